// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The curve from a few windows and ages, by hand. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "sim_probe.h"

/* A curve from windows of a single region of n pages: length (s) and dirty pages, each its own arming. */
static struct dp_curve *from_windows(uint64_t n, const double (*w)[2], uint32_t count)
{
	struct dp_vm vm = { .nregions = 1, .region_pages = &n };
	struct dp_curve *c = dp_curve_new();
	uint32_t i;

	for (i = 0; i < count; i++) {
		struct dp_window win = { .arming = i,
					 .armed = n,
					 .dirty = (uint64_t)w[i][1],
					 .t_lo_ns = (uint64_t)(w[i][0] * 1e9),
					 .t_hi_ns = (uint64_t)(w[i][0] * 1e9) };
		struct dp_snapshot s = { .vm = &vm, .windows = &win, .nwindows = 1 };

		assert_int_equal(dp_curve_add(c, &s), 0);
	}
	assert_int_equal(dp_curve_fit(c), 0);
	return c;
}

static void near(double v, double want, double slack)
{
	if (fabs(v - want) > slack)
		fail_msg("%.3f is not within %.3f of %.3f", v, slack, want);
}

/* What concavity leaves open between points, by hand: many pages and many repeats, so that noise is nothing. */
static void test_window_bounds(void **state)
{
	/* What a point's own stamps allow, each way. */
	const double res = 1.0 / 64, lo1 = 300000 * (1 - res), hi1 = 300000 * (1 + res);
	const double lo4 = 600000 * (1 - res), hi4 = 600000 * (1 + res);
	double w[40][2], lengths[8];
	struct dp_curve *c;
	struct dp_est e;
	uint32_t i;

	for (i = 0; i < 40; i++) {
		w[i][0] = i % 2 ? 4.0 : 1.0;
		w[i][1] = i % 2 ? 600000 : 300000;
	}
	c = from_windows(1000000000, (const double(*)[2])w, 40);
	e = dp_curve_eval(c, DP_4K, 1.0);
	near(e.lo, 300000 * (1 - res), 300);
	near(e.hi, 300000 * (1 + res), 300);
	/* Before the first point: above the chord from 0; below the point, less what the next chord still rises. */
	e = dp_curve_eval(c, DP_4K, 0.5);
	near(e.lo, 150000 * (1 - res), 300);
	near(e.hi, hi1 - 0.5 * (lo4 - hi1) / 3, 1000);
	/* Between: above the chord; below both the first chord, extended, and the second point. */
	e = dp_curve_eval(c, DP_4K, 1.5);
	near(e.lo, lo1 + 0.5 * (lo4 - lo1) / 3, 700);
	near(e.hi, 1.5 * hi1, 1500);
	e = dp_curve_eval(c, DP_4K, 3.0);
	near(e.lo, lo1 + 2 * (lo4 - lo1) / 3, 1000);
	near(e.hi, hi4, 1000);
	/* Beyond: flat, or the last chord. */
	e = dp_curve_eval(c, DP_4K, 8.0);
	near(e.lo, lo4, 1000);
	near(e.hi, hi4 + 4 * (hi4 - lo1) / 3, 3000);
	near(dp_curve_rate(c, DP_4K).lo, lo1, 300);
	assert_true(isinf(dp_curve_rate(c, DP_4K).hi));
	near(dp_curve_reach(c, DP_4K), 4.0, 1e-6);
	assert_int_equal(dp_curve_windows(c, lengths, 8), 2);
	near(lengths[0], 4.0, 1e-6);
	near(lengths[1], 1.0, 1e-6);
	dp_curve_free(c);
	(void)state;
}

/* One look says nothing about the next: it must not be narrow. Repeats that differ must widen the band. */
static void test_window_noise(void **state)
{
	const double one[1][2] = { { 1.0, 100000 } };
	const double apart[4][2] = { { 1.0, 0 }, { 1.0, 200000 }, { 1.0, 0 }, { 1.0, 200000 } };
	struct dp_curve *c = from_windows(1000000, one, 1);
	struct dp_est e = dp_curve_eval(c, DP_4K, 1.0);

	assert_true(e.lo <= 95001 && e.hi >= 104999);
	dp_curve_free(c);
	c = from_windows(1000000, apart, 4);
	e = dp_curve_eval(c, DP_4K, 1.0);
	/* Standard error of the mean: sd 115470 / sqrt 4 = 57735, times Student's 1.638 at 3 degrees of freedom; and 1/64. */
	near(e.mid, 100000, 1);
	near(e.hi - e.mid, 94570 + 100000.0 / 64, 1000);
	dp_curve_free(c);
	(void)state;
}

static void test_unobserved(void **state)
{
	uint64_t pages[2] = { 1000, 500 };
	struct dp_vm vm = { .nregions = 2, .region_pages = pages };
	struct dp_snapshot s = { .vm = &vm };
	struct dp_curve *c = dp_curve_new();
	struct dp_est e;

	assert_int_equal(dp_curve_fit(c), 0);
	assert_false(dp_curve_known(c, DP_4K));
	assert_int_equal(dp_curve_add(c, &s), 0);
	assert_int_equal(dp_curve_fit(c), 0);
	assert_false(dp_curve_known(c, DP_4K));
	e = dp_curve_eval(c, DP_4K, 3.0);
	assert_true(e.lo == 0.0 && e.mid == 0.0 && e.hi == 1500.0);
	e = dp_curve_eval(c, DP_4K, -1.0);
	assert_true(e.hi == 0.0);
	e = dp_curve_eval(c, DP_4K, NAN);
	assert_true(e.hi == 0.0);
	e = dp_curve_region_eval(c, 1, 1.0);
	assert_true(e.mid == 0.0 && e.hi == 500.0);
	assert_true(dp_curve_reach(c, DP_4K) == 0.0);
	assert_int_equal(dp_curve_windows(c, NULL, 0), 0);
	dp_curve_free(c);
	dp_curve_free(NULL);
	(void)state;
}

/* Anchors that nobody wrote after are knowledge: the guest is idle, with an upper bound of its own. */
static void test_idle(void **state)
{
	uint64_t pages = 100000;
	struct dp_vm vm = { .nregions = 1, .region_pages = &pages };
	struct dp_exposure x[2] = { { .level = 0, .count = 59, .to_ns = DP_LEVEL_NS(0) },
				    { .level = 3, .count = 10, .to_ns = DP_LEVEL_NS(3) } };
	struct dp_snapshot s = {
		.vm = &vm, .exposures = x, .nexposures = 2, .t1_ns = 10ull << 30, .logged_ns = 10ull << 30
	};
	struct dp_curve *c = dp_curve_new();
	struct dp_est e;

	assert_int_equal(dp_curve_add(c, &s), 0);
	assert_int_equal(dp_curve_fit(c), 0);
	assert_true(dp_curve_known(c, DP_4K));
	e = dp_curve_eval(c, DP_4K, 1.0);
	assert_true(e.lo == 0.0 && e.mid == 0.0 && e.hi > 0.0 && e.hi < 5.0);
	dp_curve_free(c);
	(void)state;
}

/*
 * Two anchors of level 3 saw 300 and 500 first dirtyings in the bin at 1 ms: U just above it is 400. Anchors that hid 50 pages
 * raise only the upper end. A larger size has counts and blocks of its own.
 */
static void test_by_hand(void **state)
{
	uint32_t bin = dp_bin_of(1000000);
	double edge = (double)dp_bin_hi(bin) * 1e-9;
	uint64_t pages = 100000;
	struct dp_vm vm = { .nregions = 1, .region_pages = &pages, .blocks = { 0, 0, 200, 0, 0 } };
	struct dp_ages a[2] = {
		{ .level = 3, .bin = bin },
		{ .region = DP_REGION_ALL, .size = DP_2M, .level = 3, .bin = bin, .count = 7 }
	};
	struct dp_exposure x = { .level = 3, .count = 1, .to_ns = DP_LEVEL_NS(3) };
	struct dp_snapshot s = { .vm = &vm,
				 .ages = a,
				 .nages = 2,
				 .exposures = &x,
				 .nexposures = 1,
				 .t1_ns = DP_LEVEL_NS(3),
				 .logged_ns = DP_LEVEL_NS(3) };
	double hi[2];
	int blind;

	for (blind = 0; blind < 2; blind++) {
		struct dp_curve *c = dp_curve_new();
		struct dp_est e;

		x.blind = blind * 50.0;
		for (int i = 0; i < 2; i++) {
			a[0].count = i ? 500 : 300;
			assert_int_equal(dp_curve_add(c, &s), 0);
		}
		assert_int_equal(dp_curve_fit(c), 0);
		near(dp_curve_eval(c, DP_4K, edge).mid, 400.0, 1e-6);
		near(dp_curve_eval(c, DP_4K, 1.0).mid, 400.0, 1e-6);
		near(dp_curve_region_eval(c, 0, 1.0).mid, 400.0, 1e-6);
		near(dp_curve_eval(c, DP_2M, 1.0).mid, 7.0, 1e-6);
		near(dp_curve_reach(c, DP_4K), (double)DP_LEVEL_NS(3) * 1e-9, 1e-9);
		assert_true(dp_curve_blocks(c, DP_2M) == 200.0);
		assert_false(dp_curve_known(c, DP_16M));
		/* The density may not rise, so the 400 are spread evenly from 0. */
		near(dp_curve_eval(c, DP_4K, edge / 2).mid, 200.0, 0.5);
		e = dp_curve_eval(c, DP_4K, 1.0);
		hi[blind] = e.hi;
		dp_curve_free(c);
	}
	near(hi[1] - hi[0], 50.0, 1e-6);
	(void)state;
}

/*
 * Short anchors can be opened often while the guest writes and seldom while it does not. A busy second with 60 anchors of 600
 * pages each and an idle one with a single anchor are as long as each other: the mean over time is 300, not 36000 / 61.
 */
static void test_uneven_anchors(void **state)
{
	uint32_t bin = dp_bin_of(5000000);
	uint64_t pages = 100000;
	struct dp_vm vm = { .nregions = 1, .region_pages = &pages };
	struct dp_ages a = { .level = 0, .bin = bin, .count = 60 * 600 };
	struct dp_exposure x = { .level = 0, .count = 60, .to_ns = DP_LEVEL_NS(0) };
	struct dp_snapshot s = { .vm = &vm,
				 .ages = &a,
				 .nages = 1,
				 .exposures = &x,
				 .nexposures = 1,
				 .t1_ns = 60 * DP_LEVEL_NS(0),
				 .logged_ns = 60 * DP_LEVEL_NS(0) };
	struct dp_curve *c = dp_curve_new();

	assert_int_equal(dp_curve_add(c, &s), 0);
	s.nages = 0;
	x.count = 1;
	assert_int_equal(dp_curve_add(c, &s), 0);
	assert_int_equal(dp_curve_fit(c), 0);
	near(dp_curve_eval(c, DP_4K, 0.016).mid, 300.0, 1e-6);
	dp_curve_free(c);
	(void)state;
}

/* Where a short level covers a bin, a long one's few and overlapping anchors are left out. */
static void test_shortest_level(void **state)
{
	uint32_t bin = dp_bin_of(DP_LEVEL_NS(0) - 1), late = bin + 1;
	uint64_t pages = 100000;
	struct dp_vm vm = { .nregions = 1, .region_pages = &pages };
	struct dp_ages a[3] = { { .level = 0, .bin = bin, .count = 64 * 100 },
				{ .level = 3, .bin = bin, .count = 500 },
				{ .level = 3, .bin = late, .count = 5 } };
	struct dp_exposure x[2] = { { .level = 0, .count = 64, .to_ns = DP_LEVEL_NS(0) },
				    { .level = 3, .count = 1, .to_ns = DP_LEVEL_NS(3) } };
	struct dp_snapshot s = { .vm = &vm,
				 .ages = a,
				 .nages = 3,
				 .exposures = x,
				 .nexposures = 2,
				 .t1_ns = DP_LEVEL_NS(3),
				 .logged_ns = DP_LEVEL_NS(3) };
	struct dp_curve *c = dp_curve_new();

	assert_int_equal(dp_curve_add(c, &s), 0);
	assert_int_equal(dp_curve_fit(c), 0);
	near(dp_curve_eval(c, DP_4K, (double)dp_bin_hi(bin) * 1e-9).mid, 100.0, 1e-6);
	near(dp_curve_eval(c, DP_4K, (double)dp_bin_hi(late) * 1e-9).mid, 105.0, 1e-6);
	dp_curve_free(c);
	(void)state;
}

static void test_bad_input(void **state)
{
	uint64_t pages = 1000;
	struct dp_vm vm = { .nregions = 1, .region_pages = &pages };
	const struct dp_ages bad_age[] = {
		{ .size = DP_SIZES, .count = 1 },
		{ .level = DP_LEVELS, .count = 1 },
		{ .bin = DP_BINS, .count = 1 },
		{ .region = 1, .count = 1 },
		{ .count = NAN },
		{ .count = -1 },
		{ .count = INFINITY },
	};
	const struct dp_exposure bad_expo[] = { { .level = DP_LEVELS, .count = 1 },
						{ .count = 1, .from_ns = 2, .to_ns = 1 },
						{ .count = 1, .blind = NAN } };
	const struct dp_window bad_win[] = { { .armed = 1, .dirty = 2, .t_hi_ns = 5 },
					     { .armed = 1, .t_lo_ns = 6, .t_hi_ns = 5 },
					     { .size = DP_SIZES, .armed = 1, .t_hi_ns = 5 },
					     { .region = 9, .armed = 1, .t_hi_ns = 5 } };
	struct dp_curve *c = dp_curve_new();
	struct dp_snapshot s;
	uint32_t i;

	assert_int_equal(dp_curve_add(c, NULL), -EINVAL);
	for (i = 0; i < sizeof(bad_age) / sizeof(bad_age[0]); i++) {
		s = (struct dp_snapshot){ .vm = &vm, .ages = &bad_age[i], .nages = 1 };
		assert_int_equal(dp_curve_add(c, &s), -EINVAL);
	}
	for (i = 0; i < sizeof(bad_expo) / sizeof(bad_expo[0]); i++) {
		s = (struct dp_snapshot){ .vm = &vm, .exposures = &bad_expo[i], .nexposures = 1 };
		assert_int_equal(dp_curve_add(c, &s), -EINVAL);
	}
	for (i = 0; i < sizeof(bad_win) / sizeof(bad_win[0]); i++) {
		s = (struct dp_snapshot){ .vm = &vm, .windows = &bad_win[i], .nwindows = 1 };
		assert_int_equal(dp_curve_add(c, &s), -EINVAL);
	}
	s = (struct dp_snapshot){ .nages = 1 };
	assert_int_equal(dp_curve_add(c, &s), -EINVAL);
	assert_int_equal(dp_curve_fit(c), 0);
	assert_false(dp_curve_known(c, DP_4K));
	dp_curve_free(c);
	(void)state;
}

/* Regions that come or go are numbered anew: what was gathered under the old numbers may not be mixed in. */
static void test_regions_change(void **state)
{
	uint64_t pages[2] = { 1000, 1000 };
	struct dp_vm vm = { .nregions = 1, .region_pages = pages };
	struct dp_window w = { .armed = 1000, .dirty = 900, .t_lo_ns = 1000000000, .t_hi_ns = 1000000000 };
	struct dp_snapshot s = { .vm = &vm, .windows = &w, .nwindows = 1 };
	struct dp_curve *c = dp_curve_new();

	assert_int_equal(dp_curve_add(c, &s), 0);
	vm.nregions = 2;
	w.dirty = 100;
	w.region = 1;
	assert_int_equal(dp_curve_add(c, &s), 0);
	assert_int_equal(dp_curve_fit(c), 0);
	near(dp_curve_eval(c, DP_4K, 1.0).mid, 100.0, 1.0);
	assert_true(dp_curve_eval(c, DP_4K, 1.0).hi >= 1090.0);
	assert_true(dp_curve_blocks(c, DP_4K) == 2000.0);
	dp_curve_free(c);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_window_bounds),  cmocka_unit_test(test_window_noise),
		cmocka_unit_test(test_unobserved),     cmocka_unit_test(test_idle),
		cmocka_unit_test(test_by_hand),	       cmocka_unit_test(test_uneven_anchors),
		cmocka_unit_test(test_shortest_level), cmocka_unit_test(test_bad_input),
		cmocka_unit_test(test_regions_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
