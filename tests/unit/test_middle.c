// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Predictions from the middle of a migration, against the rest of it, page by page. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "predict_cases.h"

static void at_sync(const struct dp_curve *c, const struct guest_case *g, const struct plan_case *k,
		    uint32_t sync)
{
	double exit_bps = k->exit > 0 ? k->exit : k->b;
	struct sim_tier tier[2] = { g->tier[0], g->tier[1] };
	struct sim_guest guest = { tier, g->ntiers, 0x2545F4914F6CDD1DULL };
	static struct dp_prediction p;
	struct dp_plan plan;
	struct dp_link link;
	struct sim_result r;
	struct sim_copy *s;

	make_plan(k, &plan, &link);
	s = copy_new(&guest, &plan);
	s->stop_at = sync;
	copy_run(s, &plan, k->b, k->bs, exit_bps, 100, &r);
	plan.running = true;
	plan.remaining = copy_bytes(s, &plan);
	plan.past = s->past;
	plan.npast = s->npast;
	plan.elapsed = plan.setup + s->now;
	plan.since_sync = s->now - s->last_sync;
	plan.throttle = s->throttle;
	assert_int_equal(dp_predict(c, &link, &plan, &p), 0);
	copy_run(s, &plan, k->b, k->bs, exit_bps, 100, &r);
	if (getenv("SHOW"))
		print_message(
			"%-12s %-40s sync %2u at %6.3f %-10s total %.3f %.3f %.3f | %.3f (%+.1f%%)  down %.3f %.3f %.3f | %.3f (%+.1f%%) rounds %g | %u\n",
			g->name, k->name, sync, plan.elapsed, dp_verdict_name(p.verdict), p.total.lo,
			p.total.mid, p.total.hi, r.total, 100 * (p.total.mid / r.total - 1), p.downtime.lo,
			p.downtime.mid, p.downtime.hi, r.downtime, 100 * (p.downtime.mid / r.downtime - 1),
			p.rounds.mid, r.syncs - sync);
	assert_true(r.converged);
	assert_int_equal(p.verdict, DP_CONVERGES);
	agree("total", g->name, k->name, p.total, r.total, p.rounds.mid > 8 ? 0.10 : 0.03, 0.01);
	agree("downtime", g->name, k->name, p.downtime, r.downtime, 0.04, 0.0125 * k->b / k->bs);
	free(s);
}

static void test_at_syncs(void **state)
{
	uint32_t i, j;

	for (i = 0; i < NGUESTS; i++) {
		struct dp_curve *c = observe(&guests[i], 12.0);

		for (j = 0; j < NPLANS; j++) {
			double exit_bps = plans[j].exit > 0 ? plans[j].exit : plans[j].b;
			struct dp_plan plan;
			struct dp_link link;
			struct sim_result r;

			make_plan(&plans[j], &plan, &link);
			r = truth(&guests[i], &plan, plans[j].b, plans[j].bs, exit_bps, 100, false);
			if (!r.converged || r.syncs < 2 || plans[j].ac)
				continue;
			at_sync(c, &guests[i], &plans[j], 1);
			if (r.syncs > 3)
				at_sync(c, &guests[i], &plans[j], r.syncs / 2);
			if (r.syncs > 2)
				at_sync(c, &guests[i], &plans[j], r.syncs - 1);
		}
		dp_curve_free(c);
	}
	(void)state;
}

struct tally {
	uint32_t n, held;
};

static void count(struct tally *t, struct dp_est e, double seen)
{
	t->n++;
	t->held += seen >= e.lo - 1e-3 && seen <= e.hi + 1e-3;
}

/*
 * A migration of chance: the path is off what was said of it, QEMU's bandwidth off the path's, and a stop takes its time. before, middle:
 * predictions that know nothing of it, from the start and at its second sync.
 */
static void by_chance(const struct dp_curve *c, const struct guest_case *g, uint64_t seed, struct tally t[4])
{
	const double said = 60 * MB;
	struct sim_tier tier[2] = { g->tier[0], g->tier[1] };
	struct sim_guest guest = { tier, g->ntiers, seed };
	struct plan_case k = { .b = said, .bs = said, .limit = 0.5, .clear = 16384 };
	static struct dp_prediction before, middle;
	double b = said * (1 + DP_NOMINAL * sqrt(-2 * log(sim_random(&seed))) *
				       cos(2 * M_PI * sim_random(&seed)) / DP_HI);
	double q = sim_random(&seed), fixed;
	struct dp_plan plan, real;
	struct dp_link link;
	struct sim_result r;
	struct sim_copy *s;

	make_plan(&k, &plan, &link);
	link.rounds = link.switchover = dp_nominal(said);
	assert_int_equal(dp_predict(c, &link, &plan, &before), 0);
	fixed = q < 0.5 ? plan.fixed * 2 * q : plan.fixed + (2 * q - 1) * 4 * 0.004;
	real = plan;
	real.fixed = fixed;
	s = copy_new(&guest, &real);
	s->noise = cases_noise(said);
	s->chance = seed;
	s->stop_at = 2;
	copy_run(s, &real, b, b, b, 100, &r);
	if (!r.converged) {
		plan.running = true;
		plan.remaining = copy_bytes(s, &real);
		plan.elapsed = plan.setup + s->now;
		plan.past = s->past;
		plan.npast = s->npast;
		assert_int_equal(dp_predict(c, &link, &plan, &middle), 0);
		copy_run(s, &real, b, b, b, 100, &r);
		assert_true(r.converged);
		count(&t[2], middle.total, r.total);
		count(&t[3], middle.downtime, r.downtime);
	}
	count(&t[0], before.total, r.total);
	count(&t[1], before.downtime, r.downtime);
	free(s);
}

/* Of the 10-90 % intervals about 80 % hold the truth where chance is what they take it for; rather more than fewer. */
static void test_coverage(void **state)
{
	static const char *const what[] = { "total before", "downtime before", "total at a sync",
					    "downtime at a sync" };
	static const uint32_t which[] = { 0, 1, 2, 5 };
	struct tally t[4] = { { 0 } };
	uint32_t i, j;

	for (i = 0; i < sizeof(which) / sizeof(which[0]); i++) {
		struct dp_curve *c = observe(&guests[which[i]], 12.0);

		for (j = 0; j < 20; j++)
			by_chance(c, &guests[which[i]], 0x9E3779B97F4A7C15ULL * (20 * i + j + 1), t);
		dp_curve_free(c);
	}
	for (i = 0; i < 4; i++) {
		if (getenv("SHOW"))
			print_message("%s: %u of %u\n", what[i], t[i].held, t[i].n);
		if (t[i].n < 30 || t[i].held < 0.7 * t[i].n)
			fail_msg("%s: %u of %u intervals hold the truth", what[i], t[i].held, t[i].n);
	}
	(void)state;
}

/* Once the guest is stopped nothing is open but the path: 8000 pages at 40 MB/s, far above the limit. */
static void test_stopped(void **state)
{
	static const struct dp_past past[] = { { 7.5, 12e6, 8000 * W } };
	static struct dp_prediction p;
	struct dp_curve *c = observe(&guests[3], 2.0);
	struct dp_plan plan;
	struct dp_link link;
	double full;

	make_plan(&plans[0], &plan, &link);
	plan.running = plan.stopped = true;
	plan.remaining = 8000 * W;
	plan.elapsed = 7.5;
	plan.past = past;
	plan.npast = 1;
	plan.since_sync = 0;
	plan.limit = 0.01;
	assert_int_equal(dp_predict(c, &link, &plan, &p), 0);
	assert_int_equal(p.verdict, DP_CONVERGES);
	/* the last 2924 pages of memory were never sent, the others were */
	near(p.downtime.mid, 8000 * W / (40 * MB) + plan.fixed, 1e-6);
	near(p.total.mid, 7.5 + 8000 * W / (40 * MB) + plan.fixed, 1e-6);
	/* sockets that have room for a megabyte take that at once */
	plan.queue = 4 * MB;
	plan.room = 0;
	assert_int_equal(dp_predict(c, &link, &plan, &p), 0);
	full = p.downtime.mid;
	plan.room = 1 * MB;
	assert_int_equal(dp_predict(c, &link, &plan, &p), 0);
	near(full - p.downtime.mid, 1 / 40.0, 1e-6);
	plan.queue = plan.room = 0;
	/* throttled by 99 % a vCPU sleeps for 0.99 s at a time; half of all stops find it asleep for 0.49 s or more */
	assert_int_equal(dp_predict(c, &link, &plan, &p), 0);
	full = p.blackout.mid;
	plan.throttle = 0.99;
	assert_int_equal(dp_predict(c, &link, &plan, &p), 0);
	near(p.blackout.mid - full, 0.49, 1e-6);
	plan.throttle = 0;
	assert_int_equal(dp_predict(c, &link, &plan, &p), 0);
	/* the path is sure, but not what is left, nor what a stop takes */
	assert_true(p.downtime.lo < p.downtime.mid - 0.005 && p.downtime.hi > p.downtime.mid + 0.005);
	dp_curve_free(c);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_at_syncs), cmocka_unit_test(test_coverage),
					    cmocka_unit_test(test_stopped) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
