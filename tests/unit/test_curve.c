// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The curve against guests whose U(t) is known by arithmetic. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "sim_probe.h"

static const double instants[] = { 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0 };
#define NINSTANTS (sizeof(instants) / sizeof(instants[0]))

struct curve_case {
	const char *name;
	struct sim_tier tier[2];
	uint32_t ntiers;
	double start, end;
	uint32_t ring;
	double width; /* the half band may not exceed this share of U, from 50 ms on */
};

static const struct curve_case ring_cases[] = {
	{ "uniform, fast",
	  { { .kind = SIM_RANDOM, .first = 100, .pages = 24989, .rate = 125000 } },
	  1,
	  0,
	  6,
	  4096,
	  0.05 },
	{ "uniform, slow",
	  { { .kind = SIM_RANDOM, .first = 0, .pages = 24989, .rate = 2500 } },
	  1,
	  0,
	  20,
	  4096,
	  0.08 },
	{ "two tiers",
	  { { .kind = SIM_RANDOM, .first = 0, .pages = 1009, .rate = 50450 },
	    { .kind = SIM_RANDOM, .first = 20000, .pages = 30011, .rate = 6002 } },
	  2,
	  0,
	  12,
	  8192,
	  0.06 },
	{ "slow sweep",
	  { { .kind = SIM_SWEEP, .first = 0, .pages = 30011, .rate = 5003 } },
	  1,
	  0,
	  20,
	  1000,
	  0.06 },
	{ "periodic rewrite",
	  { { .kind = SIM_SWEEP, .first = 4096, .pages = 25343, .rate = 300000 } },
	  1,
	  0,
	  6,
	  4096,
	  0.05 },
	{ "uniform, seen from the middle",
	  { { .kind = SIM_RANDOM, .first = 0, .pages = 24989, .rate = 50000 } },
	  1,
	  7,
	  17,
	  4096,
	  0.05 },
	{ "bursts",
	  { { .kind = SIM_BURST, .first = 0, .pages = 9973, .rate = 26830.7, .burst = 0.05 } },
	  1,
	  0,
	  20,
	  65536,
	  9.0 },
};

static void check_known(struct dp_curve *c, const struct sim_guest *g, const char *name, double width)
{
	struct dp_est before = { 0 };
	uint32_t i, r;

	assert_int_equal(dp_curve_fit(c), 0);
	assert_true(dp_curve_known(c, DP_4K));
	for (i = 0; i < NINSTANTS; i++) {
		double t = instants[i], truth = sim_truth(g, t), sum = 0.0;
		struct dp_est e = dp_curve_eval(c, DP_4K, t);

		if (getenv("SHOW"))
			print_message("%-30s t=%-5g truth %9.1f  band %9.1f %9.1f %9.1f\n", name, t, truth,
				      e.lo, e.mid, e.hi);
		assert_true(e.lo <= e.mid && e.mid <= e.hi);
		assert_true(e.lo >= before.lo && e.mid >= before.mid && e.hi >= before.hi);
		if (truth < e.lo || truth > e.hi)
			fail_msg("%s: U(%g s) = %.1f is outside %.1f .. %.1f", name, t, truth, e.lo, e.hi);
		if (t >= 0.05 && (e.hi - e.lo) / 2 > width * truth)
			fail_msg("%s: band %.1f .. %.1f at %g s is wider than it should be", name, e.lo, e.hi,
				 t);
		for (r = 0; r < SIM_REGIONS; r++)
			sum += dp_curve_region_eval(c, r, t).mid;
		/* With windows the middle is only a guess between bounds; with anchors the parts make the whole. */
		if (width < 1e8 && fabs(sum - e.mid) > 0.06 * e.mid + 3.0)
			fail_msg("%s: regions add up to %.1f, not %.1f, at %g s", name, sum, e.mid, t);
		before = e;
	}
}

static void test_ring(void **state)
{
	uint32_t i;

	for (i = 0; i < sizeof(ring_cases) / sizeof(ring_cases[0]); i++) {
		const struct curve_case *k = &ring_cases[i];
		struct sim_tier tier[2] = { k->tier[0], k->tier[1] };
		struct sim_guest g = { tier, k->ntiers, 0x9E3779B97F4A7C15ULL + i };
		struct sim_probe *p = sim_probe_new();
		struct dp_curve *c = dp_curve_new();

		assert_int_equal(sim_run_ring(p, &g, c, k->start, k->end, 1.0, k->ring), 0);
		check_known(c, &g, k->name, k->width);
		dp_curve_free(c);
		free(p);
	}
	(void)state;
}

/*
 * A slow sweep whose pages are re-armed by ring-full resets: every age runs from just after a page's own write to its next
 * one, so nearly all ages are one period. Kaplan-Meier over them says that next to nothing is dirtied before.
 */
static void test_kaplan_meier_fails(void **state)
{
	struct sim_tier tier = { .kind = SIM_SWEEP, .first = 0, .pages = 30011, .rate = 30011 };
	struct sim_guest g = { &tier, 1, 1 };
	struct sim_probe *p = sim_probe_new();
	struct dp_curve *c = dp_curve_new();
	double survive = 1.0, at_risk = 0.0, naive, truth = sim_truth(&g, 0.5);
	struct dp_est e;
	uint32_t b;

	assert_int_equal(sim_run_ring(p, &g, c, 0.0, 20.0, 50.0, 512), 0);
	assert_int_equal(dp_curve_fit(c), 0);
	for (b = 0; b < DP_BINS; b++)
		at_risk += p->km[b];
	/* The estimator as it stands in textbooks, over complete ages; N is what the guest has. */
	for (b = 0; b < DP_BINS && dp_bin_hi(b) <= 500000000; b++) {
		survive *= 1.0 - p->km[b] / at_risk;
		at_risk -= p->km[b];
	}
	naive = 30011 * (1.0 - survive);
	e = dp_curve_eval(c, DP_4K, 0.5);
	assert_true(fabs(truth - 15005.5) < 0.01);
	assert_true(naive < 0.2 * truth);
	assert_true(e.lo <= truth && truth <= e.hi && fabs(e.mid - truth) < 0.02 * truth);
	dp_curve_free(c);
	free(p);
	(void)state;
}

static const struct harvest_case {
	struct curve_case guest;
	double len[3];
	uint32_t nlen, windows;
	double peek;
} harvest_cases[] = {
	{ { "harvest: uniform, 1 s",
	    { { .kind = SIM_RANDOM, .first = 0, .pages = 24989, .rate = 12500 } },
	    1,
	    0,
	    0,
	    0,
	    0 },
	  { 1.0 },
	  1,
	  8,
	  0 },
	{ { "harvest: uniform, three lengths",
	    { { .kind = SIM_RANDOM, .first = 0, .pages = 24989, .rate = 12500 } },
	    1,
	    0,
	    0,
	    0,
	    0 },
	  { 0.3, 1.0, 4.0 },
	  3,
	  9,
	  0 },
	{ { "harvest: sweep with peeks",
	    { { .kind = SIM_SWEEP, .first = 0, .pages = 30011, .rate = 8009 } },
	    1,
	    0,
	    0,
	    0,
	    0 },
	  { 2.0 },
	  1,
	  4,
	  0.1 },
	{ { "harvest: two tiers",
	    { { .kind = SIM_RANDOM, .first = 0, .pages = 1009, .rate = 50450 },
	      { .kind = SIM_RANDOM, .first = 20000, .pages = 30011, .rate = 6002 } },
	    2,
	    0,
	    0,
	    0,
	    0 },
	  { 1.0, 3.0 },
	  2,
	  6,
	  0.25 },
	{ { "harvest: periodic rewrite",
	    { { .kind = SIM_SWEEP, .first = 100, .pages = 25343, .rate = 300000 } },
	    1,
	    0,
	    0,
	    0,
	    0 },
	  { 1.0 },
	  1,
	  5,
	  0 },
	{ { "harvest: one window",
	    { { .kind = SIM_RANDOM, .first = 0, .pages = 24989, .rate = 12500 } },
	    1,
	    0,
	    0,
	    0,
	    0 },
	  { 2.0 },
	  1,
	  1,
	  0 },
	{ { "harvest: bursts",
	    { { .kind = SIM_BURST, .first = 0, .pages = 9973, .rate = 3323.9, .burst = 0.05 } },
	    1,
	    0,
	    0,
	    0,
	    0 },
	  { 1.0 },
	  1,
	  12,
	  0 },
};

static void test_harvest(void **state)
{
	uint32_t i;

	for (i = 0; i < sizeof(harvest_cases) / sizeof(harvest_cases[0]); i++) {
		const struct harvest_case *k = &harvest_cases[i];
		struct sim_tier tier[2] = { k->guest.tier[0], k->guest.tier[1] };
		struct sim_guest g = { tier, k->guest.ntiers, 0x94D049BB133111EBULL + i };
		struct sim_probe *p = sim_probe_new();
		struct dp_curve *c = dp_curve_new();

		assert_int_equal(sim_run_harvest(p, &g, c, k->len, k->nlen, k->windows, k->peek), 0);
		check_known(c, &g, k->guest.name, 1e9);
		dp_curve_free(c);
		free(p);
	}
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ring),
		cmocka_unit_test(test_kaplan_meier_fails),
		cmocka_unit_test(test_harvest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
