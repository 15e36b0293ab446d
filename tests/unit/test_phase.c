// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A guest's pace from window to window, by arithmetic: 1000 pages a second, more or less. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "dirtyprof/basis.h"
#include "model/phase.h"

#define PACE 1000.0
#define Z90  1.2815515655446004

static void near(double got, double want)
{
	if (!(fabs(got - want) <= 1e-9 * fmax(1, fabs(want))))
		fail_msg("%.12g, not %.12g", got, want);
}

/* U(t) = PACE t up to `until` s, and no more from then on. */
static struct dp_curve *straight(double until)
{
	static struct dp_points p;
	struct dp_curve *c;
	uint32_t i;

	memset(&p, 0, sizeof(p));
	p.n = 4;
	p.reach = 200;
	p.blocks = p.group_pages[0] = 1e6;
	p.ngroups = 1;
	p.t[1] = 1e-6;
	p.t[2] = until;
	p.t[3] = 200;
	for (i = 1; i < p.n; i++)
		p.lo[i] = p.mid[i] = p.hi[i] = PACE * fmin(p.t[i], until);
	c = dp_curve_from_points(&p);
	assert_non_null(c);
	return c;
}

struct run {
	uint32_t n;
	double pace, from, to;
};

static void runs(struct dp_phase *p, const struct run *r, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n * 100; i++)
		if (i % 100 < r[i / 100].n)
			dp_phase_add(p, r[i / 100].pace * (r[i / 100].to - r[i / 100].from), r[i / 100].from,
				     r[i / 100].to);
}

static void test_spread(void **state)
{
	static const struct {
		const char *what;
		struct run r[3];
		uint32_t n;
		double spread, lasting;
	} t[] = {
		{ "steady", { { 8, 1000, 0, 1 } }, 1, 0, 8 },
		{ "steady, windows of any length",
		  { { 8, 1000, 0, 1 }, { 8, 1000, 0, 0.1 }, { 2, 1000, 1, 3 } },
		  3,
		  0,
		  12.8 },
		/* half as much and half as much again, less 1/1000 for counting */
		{ "one change", { { 4, 500, 0, 1 }, { 4, 1500, 0, 1 } }, 2, 0.49899899799498598, 4 },
		{ "one change, behind the re-arming",
		  { { 4, 500, 1, 2 }, { 4, 1500, 3, 4 } },
		  2,
		  0.49899899799498598,
		  4 },
		{ "two changes",
		  { { 2, 500, 0, 1 }, { 4, 1500, 0, 1 }, { 2, 500, 0, 1 } },
		  3,
		  0.49899899799498598,
		  8 / 3.0 },
		{ "ten per cent", { { 4, 900, 0, 1 }, { 4, 1100, 0, 1 } }, 2, 0, 4 },
		/* 16 pages tell no pace */
		{ "too short", { { 8, 5000, 0, 0.015 }, { 3, 500, 0, 1 } }, 2, 0, 0 },
		{ "too few", { { 1, 500, 0, 1 }, { 2, 1500, 0, 1 } }, 2, 0, 0 },
	};
	struct dp_curve *c = straight(100);
	uint32_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct dp_phase p = { 0 };
		double lasting;

		print_message("%s\n", t[i].what);
		runs(&p, t[i].r, t[i].n);
		near(dp_phase_spread(&p, c, &lasting), t[i].spread);
		if (t[i].lasting > 0)
			near(lasting, t[i].lasting);
	}
	dp_curve_free(c);
	(void)state;
}

static void test_changed(void **state)
{
	static const struct {
		struct run r[3];
		uint32_t n;
		double earlier, recent; /* 0: has not */
	} t[] = {
		{ { { 4, 990, 0, 1 }, { 4, 1010, 0, 1 } }, 2, 0, 0 },
		{ { { 8, 1000, 0, 1 }, { 4, 3000, 0, 1 } }, 2, 1000, 3000 },
		{ { { 8, 1000, 0, 1 }, { 4, 3000, 0, 0.1 } }, 2, 1000, 3000 },
		{ { { 9, 1000, 0, 1 }, { 2, 3000, 0, 1 } }, 2, 0, 0 }, /* the recent four are no one pace */
		/*
		 * Three peaks of 5000 in the first eight: mean 2000, standard deviation of the mean sqrt(0.375 * 0.625) * 4800 /
		 * sqrt(7) = 878. Four times 200 after that is 1800 less: under 3 of them, so chance is not ruled out.
		 */
		{ { { 3, 5000, 0, 1 }, { 9, 200, 0, 1 } }, 2, 0, 0 },
	};
	struct dp_curve *c = straight(100);
	uint32_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct dp_phase p = { 0 };
		double a = 0, b = 0;

		runs(&p, t[i].r, t[i].n);
		assert_int_equal(dp_phase_changed(&p, c, &a, &b), t[i].recent > 0);
		near(a, t[i].earlier);
		near(b, t[i].recent);
	}
	dp_curve_free(c);
	(void)state;
}

/* What has been written once and is not re-armed is no pace: a curve that has come to its end tells nothing. */
static void test_saturated(void **state)
{
	static const struct run r[] = { { 8, 0, 2, 3 }, { 8, 700, 2, 3 } };
	struct dp_curve *c = straight(1);
	struct dp_phase p = { 0 };
	double a, b;

	runs(&p, r, 2);
	near(dp_phase_spread(&p, c, &a), 0);
	assert_false(dp_phase_changed(&p, c, &a, &b));
	dp_curve_free(c);
	(void)state;
}

/* Two regions that are looked at together, a third with two regions like it behind; and what another size or GET brings. */
static void test_looks(void **state)
{
	struct dp_window w[] = {
		{ 0, DP_4K, true, 1, 0, 400000000, 400000000, 5000, 77 },
		{ 1, DP_4K, true, 1, 0, 400000000, 400000000, 5000, 77 },
		{ 0, DP_2M, true, 1, 0, 900000000, 900000000, 10, 9 },
		{ 0, DP_4K, false, 1, 0, 900000000, 900000000, 5000, 4000 },
		{ 0, DP_4K, true, 1, 0, 1000000000, 1000000000, 1000, 100 },
		{ 1, DP_4K, true, 1, 0, 1000000000, 1000000000, 1000, 50 },
		{ 2, DP_4K, true, 1, 2, 500000000, 500000000, 1000, 10 },
	};
	struct dp_snapshot snap = { .windows = w, .nwindows = sizeof(w) / sizeof(w[0]) };
	struct dp_phase p = { 0 };
	uint32_t i;

	assert_true(dp_phase_look(&p, &snap));
	assert_int_equal(p.n, 1);
	near(p.s[0].pages, 180);
	near(p.s[0].from, 0);
	near(p.s[0].to, 0.7); /* two of five at 1 s, three at half */
	for (i = 4; i < 7; i++) {
		w[i].dirty += 10;
		w[i].t_hi_ns += 1000000000;
	}
	assert_true(dp_phase_look(&p, &snap));
	near(p.s[1].pages, 50);
	near(p.s[1].from, 0.7);
	near(p.s[1].to, 1.7);
	/* re-armed meanwhile */
	w[4].arming++;
	assert_true(dp_phase_look(&p, &snap));
	near(p.s[2].pages, 230);
	near(p.s[2].from, 0);
	snap.nwindows = 0;
	assert_false(dp_phase_look(&p, &snap));
	assert_int_equal(p.n, 3);
	(void)state;
}

static void test_widened(void **state)
{
	struct dp_curve *c = straight(100);
	struct dp_est e;
	double by = Z90 * 0.5 / sqrt(1 + 100 / 300.0);

	dp_curve_widen(c, 0, 1);
	e = dp_curve_eval(c, DP_4K, 100);
	near(e.lo, 100 * PACE);
	near(e.hi, 100 * PACE);
	dp_curve_widen(c, 0.5, 300);
	e = dp_curve_eval(c, DP_4K, 100);
	near(e.mid, 100 * PACE);
	near(e.lo, 100 * PACE * (1 - by));
	near(e.hi, 100 * PACE * (1 + by));
	/* never less than before, and no more than all */
	dp_curve_widen(c, 100, 1e9);
	assert_true(dp_curve_eval(c, DP_4K, 200).hi <= 1e6);
	assert_true(dp_curve_eval(c, DP_4K, 200).lo >= dp_curve_eval(c, DP_4K, 100).lo);
	assert_true(dp_curve_eval(c, DP_4K, 100).lo >= 0);
	dp_curve_free(c);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spread),	  cmocka_unit_test(test_changed),
		cmocka_unit_test(test_saturated), cmocka_unit_test(test_looks),
		cmocka_unit_test(test_widened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
