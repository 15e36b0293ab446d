// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Dirty pages by place: against a walk over every single page, and by hand. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/heat.h"
#include "model/layout.h"

#define REGION (1u << DP_REGION_SHIFT)
#define SLOTS  6

static uint64_t rng_state = 88172645463325252ull;

static uint64_t rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state;
}

struct fx {
	struct dp_slot slot[SLOTS];
	struct dp_vm vm;
	struct dp_layout layout;
	struct dp_pageset set, seen;
	struct dp_heat heat;
	uint64_t got[DP_HEAT_BINS];
};

static void fx_slot(struct fx *f, uint16_t as, uint64_t base, uint64_t npages, bool ram)
{
	f->vm.slots = f->slot;
	f->slot[f->vm.nslots++] =
		(struct dp_slot){ .as_id = as, .base_gfn = base, .npages = npages, .ram = ram };
}

/* Regions as the layout has them, and a plan. sh: log2 of 4K pages in a host page. */
static void fx_plan(struct fx *f, unsigned int sh)
{
	struct dp_extent e[SLOTS];
	size_t n = 0;
	uint32_t i;

	f->vm.host_page = 4096u << sh;
	for (i = 0; i < f->vm.nslots; i++)
		if (f->slot[i].ram)
			e[n++] = (struct dp_extent){ .gfn = f->slot[i].base_gfn << sh,
						     .npages = f->slot[i].npages << sh };
	assert_int_equal(dp_layout_build(&f->layout, e, n), 0);
	for (i = 0; i < f->vm.nslots; i++) {
		struct dp_slot *s = &f->slot[i];
		uint32_t a = dp_layout_index(&f->layout, s->base_gfn << sh),
			 b = dp_layout_index(&f->layout, ((s->base_gfn + s->npages) << sh) - 1);

		if (!s->ram)
			continue;
		s->region_base = a >> DP_REGION_SHIFT;
		s->nregions = (b >> DP_REGION_SHIFT) - (a >> DP_REGION_SHIFT) + 1;
	}
	assert_int_equal(dp_pageset_init(&f->set, f->layout.nregions), 0);
	assert_int_equal(dp_pageset_init(&f->seen, f->layout.nregions), 0);
	assert_int_equal(dp_heat_plan(&f->heat, &f->vm), 0);
}

static void fx_free(struct fx *f)
{
	dp_heat_free(&f->heat);
	dp_pageset_free(&f->set);
	dp_pageset_free(&f->seen);
	dp_layout_free(&f->layout);
}

static void dirty(struct fx *f, uint64_t gfn)
{
	const uint64_t one = 1;

	dp_pageset_or(&f->set, dp_layout_index(&f->layout, gfn), &one, 1);
}

/* Ends an interval; returns the pages that were dirty in it. */
static uint64_t take(struct fx *f)
{
	uint64_t count[DP_SIZES] = { 0 };
	uint32_t r;

	for (r = 0; r < f->layout.nregions; r++)
		dp_pageset_move(&f->set, r, count, &f->seen, f->heat.part, f->heat.n);
	dp_heat_take(&f->heat, f->got);
	return count[DP_4K];
}

/* The slot in whose RAM a page lies, page by page; SLOTS: none. */
static uint32_t slot_of(const struct fx *f, uint64_t gfn, unsigned int sh)
{
	uint32_t i, best = SLOTS;

	for (i = 0; i < f->vm.nslots; i++) {
		const struct dp_slot *s = &f->slot[i];

		if (s->ram && gfn >= s->base_gfn << sh && gfn < (s->base_gfn + s->npages) << sh &&
		    (best == SLOTS || s->as_id < f->slot[best].as_id))
			best = i;
	}
	return best;
}

/* All gfns below `end`, one by one: which part and slot is each of, and what is counted there. */
static void against_every_page(struct fx *f, uint64_t end, unsigned int sh, unsigned int one_in)
{
	uint64_t all = 0, k = 0, gfn, want[DP_HEAT_BINS] = { 0 }, slot[SLOTS] = { 0 }, total = 0, lo, hi;
	struct dp_heat_range range[DP_HEAT_BINS], r[DP_HEAT_BINS] = { 0 };
	uint32_t b = 0, s;

	for (gfn = 0; gfn < end; gfn++)
		all += slot_of(f, gfn, sh) != SLOTS;
	for (gfn = 0; gfn < end; gfn++) {
		s = slot_of(f, gfn, sh);
		if (s == SLOTS)
			continue;
		/* the part that has page k: floor(n * b / 128) <= k < floor(n * (b + 1) / 128) */
		while (k >= all * (b + 1) / 128)
			b++;
		k++;
		r[b].lo = r[b].pages ? r[b].lo : gfn;
		r[b].hi = gfn + 1;
		r[b].pages++;
		if (rng() % one_in)
			continue;
		dirty(f, gfn);
		want[b]++;
		slot[s]++;
		total++;
	}
	assert_int_equal(take(f), total);
	assert_memory_equal(f->got, want, sizeof(want));
	assert_memory_equal(f->heat.slot_new, slot, f->vm.nslots * sizeof(*slot));
	dp_heat_ranges(&f->vm, range);
	for (b = 0; b < DP_HEAT_BINS; b++) {
		assert_int_equal(range[b].lo, r[b].lo);
		assert_int_equal(range[b].hi, r[b].hi);
		assert_int_equal(range[b].pages, r[b].pages);
	}
	assert_int_equal(dp_heat_range(&f->vm, 77, &lo, &hi), r[77].pages);
	assert_true(lo == r[77].lo && hi == r[77].hi);
	/* counted once: the next interval has none of them */
	assert_int_equal(take(f), 0);
	memset(want, 0, sizeof(want));
	assert_memory_equal(f->got, want, sizeof(want));
}

/* Low memory in pieces, a ROM, a hole, memory above 4 GiB; SMM sees the same, and RAM where others see none. */
static void a_pc(void **state)
{
	struct fx f = { 0 };

	fx_slot(&f, 0, 0x100000, 0x10007, true);
	fx_slot(&f, 0, 0, 0xa0, true);
	fx_slot(&f, 0, 0xc0, 0x20, false);
	fx_slot(&f, 1, 0, 0xc000, true);
	fx_slot(&f, 0, 0x100, 0xc000 - 0x100, true);
	fx_slot(&f, 0, 0xfd000, 0x1000, true);
	fx_plan(&f, 0);
	against_every_page(&f, 0x120000, 0, 5);
	against_every_page(&f, 0x120000, 0, 1);
	assert_int_equal(dp_region_gfn(&f.vm, 0), 0);
	assert_int_equal(dp_region_gfn(&f.vm, 1), 3 * REGION); /* 0xfd000 lies in the frame of 3 GiB */
	assert_int_equal(dp_region_gfn(&f.vm, 2), 4 * REGION);
	assert_true(dp_region_gfn(&f.vm, 3) == UINT64_MAX);
	fx_free(&f);
	(void)state;
}

/* Bounds that lie within words of the bitmap, a slot over two regions, and pages of 64K on the host. */
static void any_size(void **state)
{
	static const uint64_t pages[] = { 127, 128, 129, 1009, 50021, REGION + 4001 };
	unsigned int i, sh;

	for (sh = 0; sh <= 4; sh += 4) {
		for (i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
			struct fx f = { 0 };

			fx_slot(&f, 0, 3 + i, pages[i] >> (sh ? 3 : 0), true);
			fx_slot(&f, 0, 3 + i + pages[i] + 11, 5, true);
			fx_plan(&f, sh);
			against_every_page(&f, (pages[i] + 100) << sh, sh, 3);
			fx_free(&f);
		}
	}
	(void)state;
}

/* 128 MiB from 0 on are parts of 256 pages; from part 96 on RAM goes on at 4 GiB. */
static void by_hand(void **state)
{
	struct dp_heat_range r[DP_HEAT_BINS];
	struct fx f = { 0 };
	uint32_t i;

	fx_slot(&f, 0, 0, 96 * 256, true);
	fx_slot(&f, 0, 4 * REGION, 32 * 256, true);
	fx_plan(&f, 0);
	for (i = 0; i < 61; i++)
		dirty(&f, i * 256 + 255); /* the last page of each of the first 61 */
	dirty(&f, 4 * REGION);
	dirty(&f, 4 * REGION + 255);
	dirty(&f, 4 * REGION + 256);
	assert_int_equal(take(&f), 64);
	for (i = 0; i < DP_HEAT_BINS; i++)
		assert_int_equal(f.got[i], i < 61 ? 1 : i == 96 ? 2 : i == 97 ? 1 : 0);
	assert_int_equal(f.heat.slot_new[0], 61);
	assert_int_equal(f.heat.slot_new[1], 3);
	dp_heat_ranges(&f.vm, r);
	assert_true(r[95].lo == 95 * 256 && r[95].hi == 96 * 256 && r[95].pages == 256);
	assert_true(r[96].lo == 4 * REGION && r[96].hi == 4 * REGION + 256 && r[96].pages == 256);
	/* a page of a slot that is gone is in no part */
	f.vm.nslots = 1;
	assert_int_equal(dp_heat_plan(&f.heat, &f.vm), 0);
	dirty(&f, 4 * REGION);
	dirty(&f, 191); /* the last page of part 0, of 192 now */
	assert_int_equal(take(&f), 2);
	for (i = 0; i < DP_HEAT_BINS; i++)
		assert_int_equal(f.got[i], i == 0);
	fx_free(&f);
	(void)state;
}

/* Slots that cannot be, and none at all. */
static void nothing_there(void **state)
{
	struct dp_heat_range r[DP_HEAT_BINS];
	struct dp_vm none = { 0 };
	struct fx f = { 0 };
	struct dp_ram *m;
	size_t n;

	assert_null(dp_ram_list(&none, &n));
	assert_int_equal(n, 0);
	dp_heat_ranges(&none, r);
	assert_int_equal(r[0].pages + r[127].pages, 0);
	fx_slot(&f, 0, UINT64_MAX - 1, 2, true);
	fx_slot(&f, 0, 5, UINT64_MAX, true);
	fx_slot(&f, 0, 7, 0, true);
	f.vm.host_page = UINT32_MAX;
	assert_null(dp_ram_list(&f.vm, &n));
	f.vm.host_page = 0;
	assert_null(dp_ram_list(&f.vm, &n));
	fx_slot(&f, 0, 9, 1, true);
	m = dp_ram_list(&f.vm, &n);
	assert_true(n == 1 && m[0].gfn == 9 && m[0].npages == 1 && m[0].slot == 3);
	free(m);
	(void)state;
}

/* Slots at random, on top of each other as none of KVM's are within an address space: each page is of one. */
static void any_overlap(void **state)
{
	struct dp_ram *m;
	size_t n, i;
	uint64_t gfn;
	int round, k;

	for (round = 0; round < 2000; round++) {
		struct fx f = { 0 };

		for (k = 0; k < SLOTS; k++)
			fx_slot(&f, (uint16_t)(rng() % 3), rng() % 40, rng() % 20, rng() % 5 != 0);
		m = dp_ram_list(&f.vm, &n);
		for (gfn = 0, i = 0; gfn < 64; gfn++) {
			while (i < n && gfn >= m[i].gfn + m[i].npages)
				i++;
			assert_int_equal(i < n && gfn >= m[i].gfn ? m[i].slot : SLOTS, slot_of(&f, gfn, 0));
		}
		for (i = 0; i + 1 < n; i++)
			assert_true(m[i].npages && m[i].gfn + m[i].npages <= m[i + 1].gfn);
		free(m);
	}
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pc),		 cmocka_unit_test(any_size),	cmocka_unit_test(by_hand),
		cmocka_unit_test(nothing_there), cmocka_unit_test(any_overlap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
