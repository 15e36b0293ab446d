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
			r = truth(&guests[i], &plan, plans[j].b, plans[j].bs, exit_bps, 100);
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

/* Once the guest is stopped nothing is open but the path: 8000 pages at 40 MB/s, far above the limit. */
static void test_stopped(void **state)
{
	static const struct dp_past past[] = { { 7.5, 12e6, 8000 * W } };
	static struct dp_prediction p;
	struct dp_curve *c = observe(&guests[3], 2.0);
	struct dp_plan plan;
	struct dp_link link;

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
	/* the path is sure, but not what is left, nor what a stop takes */
	assert_true(p.downtime.lo < p.downtime.mid - 0.005 && p.downtime.hi > p.downtime.mid + 0.005);
	dp_curve_free(c);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_at_syncs), cmocka_unit_test(test_stopped) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
