// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The prediction against page-by-page migrations of the same guests, and against arithmetic. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "predict_cases.h"

static void against_pages(const struct dp_curve *c, const struct guest_case *g, const struct plan_case *k)
{
	double exit_bps = k->exit > 0 ? k->exit : k->b, quantum;
	static struct dp_prediction p;
	struct dp_plan plan;
	struct dp_link link;
	struct sim_result r;

	make_plan(k, &plan, &link);
	assert_int_equal(dp_predict(c, &link, &plan, &p), 0);
	r = truth(g, &plan, k->b, k->bs, exit_bps, p.verdict == DP_NEVER ? 30 : 100, true);
	if (getenv("SHOW"))
		print_message(
			"%-12s %-40s %-10s total %.3f %.3f %.3f | %.3f  down %.3f %.3f %.3f | %.3f rounds %g | %u\n",
			g->name, k->name, dp_verdict_name(p.verdict), p.total.lo, p.total.mid, p.total.hi,
			r.total, p.downtime.lo, p.downtime.mid, p.downtime.hi, r.downtime, p.rounds.mid,
			r.syncs);
	if (p.verdict == DP_NEVER && r.converged)
		fail_msg("%s, %s: never, but it took %.3f s", g->name, k->name, r.total);
	if (p.verdict == DP_CONVERGES && !r.converged)
		fail_msg("%s, %s: converges, but did not", g->name, k->name);
	if (r.converged) {
		/* QEMU looks every 50 ms, so what is left at the end varies by what is sent in a quarter of that or so. */
		quantum = 0.0125 * k->b / k->bs;
		agree("total", g->name, k->name, p.total, r.total, p.rounds.mid > 8 ? 0.10 : 0.03, 0.01);
		agree("downtime", g->name, k->name, p.downtime, r.downtime, 0.04, quantum);
		if (k->queue > 0)
			agree("blackout", g->name, k->name, p.blackout, r.blackout, 0.04, quantum);
	}
	if (!p.mid_converges) {
		/* The floor: what a migration at the least limit has, and no less is to be had. */
		plan.limit = p.least_limit.mid * 1.05;
		r = truth(g, &plan, k->b, k->bs, exit_bps, 60, false);
		if (!r.converged)
			fail_msg("%s, %s: least limit %.3f s does not do", g->name, k->name,
				 p.least_limit.mid);
		agree("floor", g->name, k->name, p.floor, r.downtime, 0.10, 0.0);
		plan.limit = p.least_limit.lo * 0.9;
		r = truth(g, &plan, k->b, k->bs, exit_bps, 30, false);
		if (r.converged)
			fail_msg("%s, %s: went below the floor: %.3f s", g->name, k->name, r.downtime);
	}
}

static void test_against_pages(void **state)
{
	uint32_t i, j;

	for (i = 0; i < NGUESTS; i++) {
		struct dp_curve *c = observe(&guests[i], 12.0);

		for (j = 0; j < NPLANS; j++)
			against_pages(c, &guests[i], &plans[j]);
		dp_curve_free(c);
	}
	(void)state;
}

/* From the middle of a migration, told only what QEMU would tell. */
static void test_running(void **state)
{
	static const double at[] = { 1.0, 3.0, 4.5 };
	static struct dp_prediction p;
	uint32_t i;

	for (i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		struct dp_curve *c = observe(&guests[2], 12.0);
		struct sim_tier tier[2] = { guests[2].tier[0], guests[2].tier[1] };
		struct sim_guest g = { tier, 2, 99 };
		struct sim_result r;
		struct sim_copy *s;
		struct dp_plan plan;
		struct dp_link link;

		make_plan(&plans[0], &plan, &link);
		link.rounds = link.switchover = sure(60 * MB);
		plan.limit = 0.4;
		s = copy_new(&g, &plan);
		copy_run(s, &plan, 60 * MB, 60 * MB, 60 * MB, at[i], &r);
		assert_false(r.converged);
		plan.running = true;
		plan.remaining = s->pending * plan.wire_page;
		plan.elapsed = plan.setup + s->now;
		plan.since_sync = s->now - s->last_sync;
		assert_int_equal(dp_predict(c, &link, &plan, &p), 0);
		copy_run(s, &plan, 60 * MB, 60 * MB, 60 * MB, 60, &r);
		assert_true(r.converged);
		assert_int_equal(p.verdict, DP_CONVERGES);
		if (getenv("SHOW"))
			print_message("at %.1f: total %.3f %.3f %.3f | %.3f down %.3f | %.3f\n", at[i],
				      p.total.lo, p.total.mid, p.total.hi, r.total, p.downtime.mid,
				      r.downtime);
		agree("total", "running", "two tiers", p.total, r.total, 0.05, 0.05);
		agree("downtime", "running", "two tiers", p.downtime, r.downtime, 0.05, 0.02);
		near_est(p.stop_now, plan.remaining / (60 * MB) + plan.fixed);
		free(s);
		dp_curve_free(c);
	}
	(void)state;
}

/* A curve with U = n from the first microseconds on: the worst that n pages can do. Exact but for its own noise. */
static struct dp_curve *flat(uint64_t pages, double n)
{
	struct dp_vm vm = { .nregions = 1, .region_pages = &pages };
	struct dp_ages a = { .level = DP_LEVELS - 1, .bin = 0, .count = 100 * n };
	struct dp_exposure x = { .level = DP_LEVELS - 1, .count = 100, .to_ns = DP_LEVEL_NS(DP_LEVELS - 1) };
	struct dp_snapshot s = { .vm = &vm,
				 .ages = &a,
				 .nages = 1,
				 .exposures = &x,
				 .nexposures = 1,
				 .t1_ns = 100 * DP_LEVEL_NS(DP_LEVELS - 1),
				 .logged_ns = 100 * DP_LEVEL_NS(DP_LEVELS - 1) };
	struct dp_curve *c = dp_curve_new();

	assert_int_equal(dp_curve_add(c, &s), 0);
	assert_int_equal(dp_curve_fit(c), 0);
	return c;
}

/*
 * 262,144 pages, 25,344 of them rewritten at once, 1 Gb/s = 125e6 B/s: those take 25344 x 4104 / 125e6 = 832.1 ms. So
 * 300 ms never does; at the limit of 900 ms the first round ends it.
 */
static void test_arithmetic(void **state)
{
	const double round = 25344 * W / 125e6;
	static struct dp_prediction p;
	struct dp_curve *c = flat(262144, 25344);
	struct dp_link link = { .rounds = sure(125e6), .switchover = sure(125e6) };
	struct dp_plan plan = { .pages = 262144, .wire_page = W, .limit = 0.3, .fixed = 0.03, .setup = 0.1 };

	assert_int_equal(dp_predict(c, &link, &plan, &p), 0);
	assert_int_equal(p.verdict, DP_NEVER);
	assert_false(p.mid_converges);
	assert_true(isinf(p.total.mid) && isinf(p.downtime.lo));
	near(p.floor.mid, round + 0.03, 0.005 * round);
	near(p.least_limit.mid, 25344 * 4096 / 125e6, 0.006 * round);
	near(p.least_bandwidth.mid, 25344 * 4096 / 0.3, 0.006 * 25344 * 4096 / 0.3);
	assert_true(p.least_throttle.mid == 1.0);
	near_est(p.stop_now, 262144 * W / 125e6 + 0.03);
	/* All of RAM takes 8.6 s; 25,344 pages are dirty again after it. */
	near(p.redirty.mid, (262144 + 25344) * W / 125e6, 1e-3);
	plan.limit = 0.9;
	assert_int_equal(dp_predict(c, &link, &plan, &p), 0);
	assert_int_equal(p.verdict, DP_CONVERGES);
	/* RAM goes out until under 900 ms are left, 27,466 pages: the hot set is among what is pending then. */
	assert_true(p.downtime.mid <= 0.9 * W / 4096 + 0.03 && p.downtime.mid >= round * 0.99);
	assert_true(p.total.mid > 0.1 + 262144 * W / 125e6 &&
		    p.total.mid < 0.1 + (262144 + 2 * 27466) * W / 125e6);
	/* The cap is lifted at switchover: the same floor takes an eighth of the time. */
	plan.limit = 0.3;
	link.switchover = sure(1e9);
	assert_int_equal(dp_predict(c, &link, &plan, &p), 0);
	assert_int_equal(p.verdict, DP_NEVER);
	near(p.floor.mid, round / 8 + 0.03, 0.005 * round);
	assert_true(p.helped_by_switchover_bw);
	link.exit_bps = 1e9;
	assert_int_equal(dp_predict(c, &link, &plan, &p), 0);
	assert_int_equal(p.verdict, DP_CONVERGES);
	assert_false(p.helped_by_switchover_bw);
	dp_curve_free(c);
	(void)state;
}

/* Zero pages: 9 bytes each, and the time to read them adds to the wire's. An idle guest of 131,072 pages, 110,000 zero. */
static void test_zero_pages(void **state)
{
	struct dp_curve *c = flat(131072, 0);
	struct dp_link link = { .rounds = sure(125e6), .switchover = sure(125e6) };
	struct dp_plan plan = {
		.pages = 131072, .zero_pages = 110000, .wire_page = W, .limit = 0.001, .zero_scan_bps = 4e9
	};
	double want = 21072 * W / 125e6 + 110000 * 9 / 125e6 + 110000 * 4096.0 / 4e9, total, down;
	uint32_t n;

	assert_true(dp_simulate(c, &link, &plan, 0, 0, &total, &down, &n, NULL));
	near(total, want, 1e-6);
	assert_true(down < 1e-6);
	plan.zero_scan_bps = 0;
	assert_true(dp_simulate(c, &link, &plan, 0, 0, &total, &down, &n, NULL));
	near(total, want - 110000 * 4096.0 / 4e9, 1e-6);
	dp_curve_free(c);
	(void)state;
}

/* QEMU's tests differ by release in one thing: whether pending may equal the threshold. 1000 pages, all of RAM, exactly. */
static void test_exit_tests(void **state)
{
	struct dp_curve *c = flat(1000, 1000);
	struct dp_link link = { .rounds = sure(4096000), .switchover = sure(4096000) };
	struct dp_plan plan = { .pages = 1000, .wire_page = 4096, .limit = 1.0 };
	double total, down;
	uint32_t n;

	plan.exit_test = DP_EXIT_10_1;
	assert_true(dp_simulate(c, &link, &plan, 0, 0, &total, &down, &n, NULL));
	near(down, 1.0, 1e-9);
	near(total, 1.0, 1e-9);
	plan.exit_test = DP_EXIT_9;
	assert_true(dp_simulate(c, &link, &plan, DP_HI, 0, &total, &down, &n, NULL) == false);
	plan.exit_test = DP_EXIT_PRE_9;
	assert_false(dp_simulate(c, &link, &plan, DP_HI, 0, &total, &down, &n, NULL));
	dp_curve_free(c);
	(void)state;
}

static struct dp_curve *one_window(double t, double dirty)
{
	uint64_t pages = 262144;
	struct dp_vm vm = { .nregions = 1, .region_pages = &pages };
	struct dp_window w = { .armed = pages,
			       .dirty = (uint64_t)dirty,
			       .t_lo_ns = (uint64_t)(t * 1e9),
			       .t_hi_ns = (uint64_t)(t * 1e9) };
	struct dp_snapshot s = { .vm = &vm, .windows = &w, .nwindows = 1 };
	struct dp_curve *c = dp_curve_new();

	assert_int_equal(dp_curve_add(c, &s), 0);
	assert_int_equal(dp_curve_fit(c), 0);
	return c;
}

static void test_verdicts(void **state)
{
	static struct dp_prediction p;
	struct dp_link link = { .rounds = sure(125e6), .switchover = sure(125e6) };
	struct dp_plan plan = { .pages = 262144, .wire_page = W, .limit = 0.3 };
	/* 30,000 pages in 10 s: 985 ms of wire if they are all hot, 98 ms a second if they are dirtied evenly. */
	struct dp_curve *c = one_window(10.0, 30000);

	assert_int_equal(dp_predict(c, &link, &plan, &p), 0);
	assert_int_equal(p.verdict, DP_BORDERLINE);
	assert_true(p.settle_window > 0.0 && p.settle_window < 10.0);
	assert_true(p.least_limit.lo <= p.least_limit.mid && p.least_limit.mid <= p.least_limit.hi);
	dp_curve_free(c);
	/* A window far shorter than the rounds says nothing of them. */
	c = one_window(0.001, 300);
	assert_int_equal(dp_predict(c, &link, &plan, &p), 0);
	assert_int_equal(p.verdict, DP_UNKNOWN);
	dp_curve_free(c);
	/* Nothing observed, but all of RAM is below the limit: certain all the same. */
	c = dp_curve_new();
	assert_int_equal(dp_predict(c, &link, &plan, &p), 0);
	plan.pages = 1000;
	assert_int_equal(dp_predict(c, &link, &plan, &p), 0);
	assert_int_equal(p.verdict, DP_CONVERGES);
	dp_curve_free(c);
	/* No bandwidth: only what does not need one. */
	c = flat(262144, 1000);
	plan.pages = 262144;
	link.rounds = sure(0);
	assert_int_equal(dp_predict(c, &link, &plan, &p), -ENODATA);
	assert_int_equal(p.verdict, DP_UNKNOWN);
	near_est(p.stop_now, 262144 * W / 125e6);
	/* The link in doubt, not the curve: borderline, and no window would settle it. 1000 pages need 13.65 MB/s. */
	link.rounds = link.switchover = (struct dp_est){ 9e6, 13.65e6, 18e6 };
	assert_int_equal(dp_predict(c, &link, &plan, &p), 0);
	assert_int_equal(p.verdict, DP_BORDERLINE);
	assert_true(p.settle_window == 0.0);
	dp_curve_free(c);
	(void)state;
}

/* Faster or more patient is never worse, whatever the guest. */
static void test_monotone(void **state)
{
	static struct dp_prediction p;
	uint32_t i, j;

	for (i = 0; i < NGUESTS; i++) {
		struct dp_curve *c = observe(&guests[i], 6.0);
		double floor_before = HUGE_VAL, throttle_before = 1.0;

		for (j = 0; j < 12; j++) {
			double b = 10 * MB * pow(1.6, j);
			struct dp_link link = { .rounds = sure(b), .switchover = sure(b) };
			struct dp_plan plan = {
				.pages = SIM_PAGES, .wire_page = W, .limit = 0.3, .clear_pages = 16384
			};

			assert_int_equal(dp_predict(c, &link, &plan, &p), 0);
			assert_true(p.floor.mid <= floor_before * 1.02 + 1e-3);
			assert_true(p.least_throttle.mid <= throttle_before + 0.01);
			assert_true(p.mid_converges == (p.least_throttle.mid == 0.0));
			if (p.mid_converges)
				assert_true(p.least_limit.mid <= plan.limit &&
					    p.least_bandwidth.mid <= b * 1.005);
			else
				assert_true(p.least_limit.mid > plan.limit &&
					    p.least_bandwidth.mid >= b * 0.995);
			floor_before = p.floor.mid;
			throttle_before = p.least_throttle.mid;
		}
		dp_curve_free(c);
	}
	(void)state;
}

static bool est_sound(struct dp_est e)
{
	return !isnan(e.lo) && !isnan(e.mid) && !isnan(e.hi) && e.lo <= e.mid && e.mid <= e.hi;
}

/* Every field of the plan and the link in turn set to what no caller should pass. */
static void test_garbage(void **state)
{
	static const double bad[] = { NAN, INFINITY, -INFINITY, -1, 0, 1e-300, 1e300, 1e9, 0.5 };
	static struct dp_prediction p;
	struct dp_curve *c = flat(262144, 5000);
	uint32_t f, i;

	for (f = 0; f < 18; f++) {
		for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
			struct dp_link link = { .rounds = sure(125e6), .switchover = sure(125e6) };
			struct dp_plan plan = {
				.pages = 262144, .wire_page = W, .limit = 0.3, .running = f >= 10 && f < 13
			};
			double *field[18] = {
				&plan.pages,	     &plan.zero_pages,	   &plan.wire_page,
				&plan.zero_scan_bps, &plan.limit,	   &plan.fixed,
				&plan.setup,	     &plan.clear_pages,	   &plan.throttle,
				&link.exit_bps,	     &plan.remaining,	   &plan.elapsed,
				&plan.since_sync,    &link.rounds.lo,	   &link.rounds.mid,
				&link.rounds.hi,     &link.switchover.mid, &link.switchover.hi,
			};
			int err;

			*field[f] = bad[i];
			err = dp_predict(c, &link, &plan, &p);
			assert_true(err == 0 || err == -EINVAL || err == -ENODATA);
			if (isnan(bad[i]))
				assert_int_equal(err, plan.running || f < 10 || f > 12 ? -EINVAL : 0);
			if (bad[i] < 0 && f != 14 && f != 16)
				assert_int_equal(err, -EINVAL);
			assert_true(est_sound(p.total) && est_sound(p.downtime) && est_sound(p.floor));
			assert_true(est_sound(p.least_limit) && est_sound(p.least_bandwidth) &&
				    est_sound(p.least_throttle));
			assert_true(est_sound(p.stop_now) && est_sound(p.redirty) && est_sound(p.rounds));
			assert_true(p.nrounds <= DP_MAX_ROUNDS && !isnan(p.settle_window));
		}
	}
	assert_int_equal(dp_predict(NULL, NULL, NULL, &p), -EINVAL);
	dp_curve_free(c);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_pages), cmocka_unit_test(test_running),
		cmocka_unit_test(test_arithmetic),    cmocka_unit_test(test_zero_pages),
		cmocka_unit_test(test_exit_tests),    cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_monotone),      cmocka_unit_test(test_garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
