// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Sets of pages, their roll-ups, the layout of guest memory: against brute force and by hand. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "model/layout.h"
#include "model/pageset.h"
#include "model/rollup.h"
#include "random_bits.h"

#define REGION (1u << DP_REGION_SHIFT)

/* Each size counted block by block, bit by bit. */
static void rollup_counts_blocks(void **state)
{
	uint64_t *bits = calloc(2 * DP_REGION_WORDS, 8), got[DP_SIZES] = { 0 };
	int i, s;

	for (i = 0; i < 3000; i++)
		set(bits, rng() % (i % 3 ? 2 * REGION : 9000));
	dp_rollup(bits, 2 * DP_REGION_WORDS, got);
	for (s = 0; s < DP_SIZES; s++) {
		uint64_t block = 1ull << (dp_size_shift((enum dp_size)s) - 12), want = 0, b, p;

		for (b = 0; b < 2 * REGION; b += block) {
			for (p = b; p < b + block && !get(bits, p); p++)
				;
			want += p < b + block;
		}
		assert_int_equal(got[s], want);
	}
	assert_int_equal(dp_popcount(bits, 2 * DP_REGION_WORDS), got[DP_4K]);
	free(bits);
	(void)state;
}

/* Shifted OR against bit by bit, at every alignment. */
static void bits_or_at_any_place(void **state)
{
	uint64_t src[4], got[8], want[8], i, at, n;

	for (at = 0; at < 130; at++) {
		n = 1 + rng() % 256;
		memset(got, 0, sizeof(got));
		memset(want, 0, sizeof(want));
		for (i = 0; i < 4; i++)
			src[i] = rng();
		dp_bits_or(got, at, src, n);
		for (i = 0; i < n; i++)
			if (get(src, i))
				set(want, at + i);
		assert_memory_equal(got, want, sizeof(got));
	}
	(void)state;
}

static void merge_counts_what_is_new(void **state)
{
	uint64_t a[3] = { 0xff, 0, 1 }, b[3] = { 0xf0f, 1ull << 63, 1 };

	assert_int_equal(dp_bits_merge(a, b, 3), 4 + 1);
	assert_int_equal(a[0], 0xfff);
	dp_bits_clear(a, 3);
	assert_int_equal(a[0] | a[1] | a[2], 0);
	(void)state;
}

/* A set of pages against plain bitmaps: what was new, blocks of each size, and empty again. */
static void pageset_against_bits(void **state)
{
	uint64_t *plain = calloc(3 * DP_REGION_WORDS + 1, 8), *all = calloc(3 * DP_REGION_WORDS + 1, 8);
	uint64_t want[DP_SIZES], got[DP_SIZES], fresh;
	struct dp_pageset a, b;
	int round, i;
	uint32_t r;

	assert_int_equal(dp_pageset_init(&a, 3), 0);
	assert_int_equal(dp_pageset_init(&b, 3), 0);
	for (round = 0; round < 6; round++) {
		for (i = 0; i < 200; i++) {
			uint64_t src[3] = { rng(), round & 1 ? rng() : 0, rng() }, n = 1 + rng() % 190;
			uint64_t at = rng() % (3 * REGION - n);

			dp_pageset_or(&b, at, src, n);
			dp_bits_or(plain, at, src, n);
		}
		assert_int_equal(dp_pageset_add_words(&b, plain, b.nwords), 0);
		assert_memory_equal(b.w, plain, 3 * DP_REGION_WORDS * 8);
		memset(want, 0, sizeof(want));
		memset(got, 0, sizeof(got));
		dp_rollup(plain, 3 * DP_REGION_WORDS, want);
		for (r = 0, fresh = 0; r < 3; r++)
			fresh += dp_pageset_move(&b, r, got, round ? &a : NULL, NULL, 0);
		assert_memory_equal(got, want, sizeof(want));
		assert_true(dp_bits_none(b.w, b.nwords));
		assert_true(dp_bits_none(b.lines, b.nwords / DP_SET_LINE / 64));
		assert_int_equal(fresh, round ? dp_bits_merge(all, plain, 3 * DP_REGION_WORDS) : 0);
		assert_memory_equal(a.w, all, 3 * DP_REGION_WORDS * 8);
		dp_bits_clear(plain, 3 * DP_REGION_WORDS);
	}
	assert_int_equal(dp_pageset_merge(&b, &a), dp_popcount(all, 3 * DP_REGION_WORDS));
	assert_memory_equal(b.w, all, 3 * DP_REGION_WORDS * 8);
	dp_pageset_clear(&b);
	assert_true(dp_bits_none(b.w, b.nwords));
	assert_int_equal(dp_pageset_merge(&a, &b), 0);
	dp_pageset_free(&a);
	dp_pageset_free(&b);
	free(plain);
	free(all);
	(void)state;
}

/* A PC's slots: low memory in pieces, a hole below 4 GiB, memory above it, SMRAM seen twice. */
static void layout_of_a_pc(void **state)
{
	const struct dp_extent e[] = {
		{ .gfn = 0x100000, .npages = 2 * REGION },   /* 4 GiB to 6 GiB */
		{ .gfn = 0x100, .npages = 0xc0000 - 0x100 }, /* 1 MiB to 3 GiB */
		{ .gfn = 0, .npages = 0xa0 },
		{ .gfn = 0, .npages = 0xa0 }, /* the other address space */
	};
	struct dp_layout l;
	uint64_t pages[5], blocks[DP_SIZES];

	assert_int_equal(dp_layout_build(&l, e, 4), 0);
	assert_int_equal(l.nregions, 5); /* 0, 1, 2 GiB; 4 and 5 GiB */
	assert_int_equal(dp_layout_index(&l, 5), 5);
	assert_int_equal(dp_layout_index(&l, 0xbffff), 3 * REGION - 1);
	assert_int_equal(dp_layout_index(&l, 0x100000), 3 * REGION);
	assert_int_equal(dp_layout_index(&l, 0xc0000), DP_INDEX_NONE);
	assert_true(dp_layout_covers(&l, 0x100000, 2 * REGION));
	assert_false(dp_layout_covers(&l, 0xbffff, 2));
	dp_layout_count(&l, e, 4, pages, blocks);
	assert_int_equal(pages[0], 0xa0 + REGION - 0x100);
	assert_int_equal(pages[1], REGION);
	assert_int_equal(blocks[DP_4K], 0xa0 + 0xc0000 - 0x100 + 2 * REGION);
	assert_int_equal(blocks[DP_1G], 5);
	assert_int_equal(blocks[DP_2M], 5 * 512); /* both pieces of low memory lie in one */
	assert_int_equal(blocks[DP_64K], 0xa0 / 16 + (0xc0000 - 0x100) / 16 + 2 * REGION / 16);
	dp_layout_free(&l);
	(void)state;
}

static void layout_refuses_nonsense(void **state)
{
	const struct dp_extent wraps = { .gfn = UINT64_MAX - 1, .npages = 5 },
			       huge = { .gfn = 0, .npages = (uint64_t)REGION * (DP_REGIONS_MAX + 1) };
	struct dp_layout l;

	assert_int_equal(dp_layout_build(&l, &wraps, 1), -EINVAL);
	assert_int_equal(dp_layout_build(&l, &huge, 1), -E2BIG);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rollup_counts_blocks),	    cmocka_unit_test(bits_or_at_any_place),
		cmocka_unit_test(merge_counts_what_is_new), cmocka_unit_test(pageset_against_bits),
		cmocka_unit_test(layout_of_a_pc),	    cmocka_unit_test(layout_refuses_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
