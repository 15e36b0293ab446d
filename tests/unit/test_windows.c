// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Windows told for regions side by side, and each by itself: the curve is the same to the last bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <cmocka.h>

#include "dirtyprof/curve.h"
#include "random_bits.h"

#define REGIONS 24u
#define LOOKS	6u
#define MOST	(LOOKS * REGIONS * DP_SIZES)
#define SEC	1000000000ull

static uint32_t below(uint32_t n)
{
	return (uint32_t)((rng() >> 32) * n >> 32);
}

struct told {
	struct dp_window w[MOST];
	uint32_t n, last[DP_SIZES];
};

static void tell(struct told *t, const struct dp_window *w, bool together)
{
	uint32_t *last = &t->last[w->size];

	if (together && *last && dp_window_joins(&t->w[*last - 1], w)) {
		t->w[*last - 1].more++;
		return;
	}
	t->w[t->n++] = *w;
	*last = t->n;
}

static uint64_t blocks_of(const uint64_t *pages, uint32_t r, uint32_t size)
{
	uint64_t per = 1ull << (dp_size_shift((enum dp_size)size) - 12);

	return (pages[r] + per - 1) / per;
}

/* The same looks of an interval, told in both ways. Some regions are not looked at, some have times of their own. */
static void looks_of(uint32_t i, const uint64_t *pages, uint32_t active, struct told *one, struct told *many)
{
	uint32_t k, r, z, skip = below(3) ? REGIONS : below(REGIONS);

	one->n = many->n = 0;
	for (k = 1; k <= LOOKS; k++) {
		uint64_t t = (SEC >> (LOOKS - k)) + below(3) * 5000000ull;

		memset(one->last, 0, sizeof(one->last));
		memset(many->last, 0, sizeof(many->last));
		for (r = 0; r < REGIONS; r++) {
			bool writes = active >> r & 1, late = r < 2 * below(2);

			for (z = 0; r != skip && z < DP_SIZES; z++) {
				struct dp_window w = { .region = r,
						       .size = (uint8_t)z,
						       .peek = k < LOOKS,
						       .arming = i + (r == 3),
						       .t_lo_ns = t - (late ? 1234567 : 0),
						       .t_hi_ns = t,
						       .armed = blocks_of(pages, r, z) };

				w.dirty = writes ? 1 + below((uint32_t)w.armed) : 0;
				tell(one, &w, false);
				tell(many, &w, true);
			}
		}
	}
}

static void add(struct dp_curve *c, const struct dp_vm *vm, const struct told *t)
{
	const struct dp_snapshot s = { .vm = vm, .windows = t->w, .nwindows = t->n };

	assert_int_equal(dp_curve_add(c, &s), 0);
	assert_int_equal(dp_curve_fit(c), 0);
}

static void same(const struct dp_est *a, const struct dp_est *b, const char *what, uint32_t i, double t)
{
	if (memcmp(a, b, sizeof(*a)))
		fail_msg("%s %u at %g s: %.17g %.17g %.17g, not %.17g %.17g %.17g", what, i, t, b->lo, b->mid,
			 b->hi, a->lo, a->mid, a->hi);
}

static void compare(const struct dp_curve *a, const struct dp_curve *b)
{
	double at[2][DP_BINS], t;
	uint32_t i, n;

	for (t = 1e-4; t < 20; t *= 1.17) {
		for (i = 0; i < DP_SIZES; i++) {
			struct dp_est x = dp_curve_eval(a, (enum dp_size)i, t);
			struct dp_est y = dp_curve_eval(b, (enum dp_size)i, t);

			same(&x, &y, "size", i, t);
		}
		for (i = 0; i < REGIONS; i++) {
			struct dp_est x = dp_curve_region_eval(a, i, t);
			struct dp_est y = dp_curve_region_eval(b, i, t);

			same(&x, &y, "region", i, t);
			if (dp_curve_region_same(b, i)) {
				x = dp_curve_region_eval(b, i - 1, t);
				same(&x, &y, "a region like the one before it,", i, t);
			}
		}
	}
	n = dp_curve_windows(a, at[0], DP_BINS);
	assert_int_equal(dp_curve_windows(b, at[1], DP_BINS), n);
	assert_true(n > 0 && n <= DP_BINS);
	assert_memory_equal(at[0], at[1], n * sizeof(double));
}

/* At first few regions are written to, and in the end most. */
static void together_or_not(void **state)
{
	struct told *one = calloc(1, sizeof(*one)), *many = calloc(1, sizeof(*many));
	struct dp_curve *a = dp_curve_new(), *b = dp_curve_new();
	uint64_t armed[REGIONS], pages[REGIONS];
	struct dp_vm vm = { .nregions = REGIONS, .region_pages = pages };
	uint32_t i, r, active = 1u << 5, least = MOST, like = 0;

	assert_true(one && many && a && b);
	for (r = 0; r < REGIONS; r++)
		pages[r] = armed[r] = r == 7 || r == REGIONS - 1 ? 100000 : 1u << DP_REGION_SHIFT;
	pages[12] -= 5000; /* what is looked at is the same, what it stands for is not */
	for (i = 0; i < DP_SIZES; i++)
		for (r = 0; r < REGIONS; r++)
			vm.blocks[i] += blocks_of(pages, r, i);
	for (i = 1; i <= 40; i++) {
		looks_of(i, armed, active, one, many);
		least = many->n < least ? many->n : least;
		assert_true(many->n < one->n);
		add(a, &vm, one);
		add(b, &vm, many);
		compare(a, b);
		for (r = 0; i == 1 && r < REGIONS; r++)
			like += dp_curve_region_same(b, r);
		if (!(i % 3))
			active |= 1u << below(REGIONS);
	}
	/* the test tests nothing if none go together */
	assert_true(least < MOST / 2 && like >= REGIONS / 3);
	dp_curve_free(a);
	dp_curve_free(b);
	free(one);
	free(many);
	(void)state;
}

static void beyond_the_vm(void **state)
{
	static const struct dp_window bad[] = {
		{ .region = 3, .more = 1, .armed = 9, .t_hi_ns = 5 },
		{ .region = 0, .more = UINT32_MAX, .armed = 9, .t_hi_ns = 5 },
		{ .region = 3, .more = UINT32_MAX - 2, .armed = 9, .t_hi_ns = 5 },
		{ .region = DP_REGION_ALL, .more = 1, .armed = 9, .t_hi_ns = 5 },
	};
	uint64_t pages[4] = { 9, 9, 9, 9 };
	struct dp_vm vm = { .nregions = 4, .region_pages = pages, .blocks = { 36 } };
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct dp_snapshot s = { .vm = &vm, .windows = &bad[i], .nwindows = 1 };
		struct dp_curve *c = dp_curve_new();

		assert_int_not_equal(dp_curve_add(c, &s), 0);
		dp_curve_free(c);
	}
	(void)state;
}

/* As many lengths as there are of as many regions as there can be: the curve takes no more than it has room for. */
static void bounded(void **state)
{
	const uint32_t n = 16383;
	uint64_t *pages = calloc(n, sizeof(*pages));
	struct dp_vm vm = { .nregions = n, .region_pages = pages };
	struct dp_window *w = calloc(n, sizeof(*w));
	struct dp_snapshot s = { .vm = &vm, .windows = w };
	struct dp_curve *c = dp_curve_new();
	uint32_t i, z;

	assert_true(pages && w && c);
	for (i = 0; i < n; i++)
		pages[i] = 1u << DP_REGION_SHIFT;
	/* each region differs from the next ... */
	for (z = 0; z < DP_SIZES; z++) {
		for (i = 0; i < n; i++)
			w[i] = (struct dp_window){ .region = i,
						   .size = (uint8_t)z,
						   .t_hi_ns = SEC,
						   .armed = 1u << DP_REGION_SHIFT,
						   .dirty = i % 7 };
		s.nwindows = n;
		assert_int_equal(dp_curve_add(c, &s), 0);
	}
	/* ... and then all have windows of all lengths */
	for (z = 0; z < DP_SIZES; z++) {
		for (i = 0; i < DP_BINS; i++)
			w[i] = (struct dp_window){ .more = n - 1,
						   .size = (uint8_t)z,
						   .peek = i & 1,
						   .arming = i,
						   .t_hi_ns = dp_bin_lo(i) + 1,
						   .armed = 1u << DP_REGION_SHIFT };
		s.nwindows = DP_BINS;
		assert_int_equal(dp_curve_add(c, &s), 0);
	}
	dp_curve_free(c);
	free(pages);
	free(w);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(together_or_not),
		cmocka_unit_test(beyond_the_vm),
		cmocka_unit_test(bounded),
	};
	const struct rlimit room = { 700ul << 20, 700ul << 20 };

	if (setrlimit(RLIMIT_AS, &room))
		return 1;
	return cmocka_run_group_tests_name("windows", tests, NULL, NULL);
}
