/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Guests and plans that predictions are held against page-by-page migrations with. */
#ifndef TESTS_PREDICT_CASES_H
#define TESTS_PREDICT_CASES_H

#include "guest_cases.h"
#include "sim_precopy.h"

#define DP_HI 1.2815515655446004 /* normal quantile of 0.9 */

static inline void near(double v, double want, double slack)
{
	if (!(fabs(v - want) <= slack))
		fail_msg("%.6f is not within %.6f of %.6f", v, slack, want);
}

static inline void near_est(struct dp_est e, double want)
{
	near(e.lo, want, 1e-9 * want);
	near(e.mid, want, 1e-9 * want);
	near(e.hi, want, 1e-9 * want);
}

/* QEMU's measurement of its bandwidth in 100 ms is off by what it hands over at once, 64 pages, and by 4 ms of the path. */
static inline double cases_noise(double b)
{
	return (64 * 4096 + 0.004 * b) / (0.1 * b);
}

static inline struct sim_result truth(const struct guest_case *k, const struct dp_plan *plan, double b,
				      double bs, double exit_bps, double patience, bool noise)
{
	struct sim_tier tier[2] = { k->tier[0], k->tier[1] };
	struct sim_guest g = { tier, k->ntiers, 0x2545F4914F6CDD1DULL };
	struct sim_copy *s = copy_new(&g, plan);
	struct sim_result r;

	s->noise = noise && b == bs && exit_bps == b ? cases_noise(b) : 0.0;
	copy_run(s, plan, b, bs, exit_bps, patience, &r);
	free(s);
	return r;
}

static const struct plan_case {
	const char *name;
	double b, bs, exit, limit, clear, zero, throttle, queue;
	bool tail; /* the zero pages are the last ones */
	bool ac;   /* auto-converge, as QEMU has it by itself */
} plans[] = {
	{ "40 MB/s, 0.3 s", 40 * MB, 40 * MB, 0, 0.3, 16384, 0, 0, 0, false, false },
	{ "100 MB/s, 0.3 s, cleared at the sync", 100 * MB, 100 * MB, 0, 0.3, 0, 0, 0, 0, false, false },
	{ "60 MB/s capped, 0.5 s", 60 * MB, 400 * MB, 0, 0.5, 16384, 0, 0, 0, false, false },
	{ "60 MB/s capped, 0.3 s, exit by the path", 60 * MB, 400 * MB, 400 * MB, 0.3, 16384, 0, 0, 0, false,
	  false },
	{ "30 MB/s, 1 s, zeros", 30 * MB, 30 * MB, 0, 1.0, 65536, 20000, 0, 0, false, false },
	{ "20 MB/s, 0.5 s, throttled", 20 * MB, 20 * MB, 0, 0.5, 16384, 0, 0.6, 0, false, false },
	{ "400 MB/s, 0.1 s, small chunks", 400 * MB, 400 * MB, 0, 0.1, 2048, 0, 0, 0, false, false },
	{ "40 MB/s, 0.3 s, sockets of 3 MB", 40 * MB, 40 * MB, 0, 0.3, 16384, 0, 0, 3 * MB, false, false },
	{ "40 MB/s, 0.3 s, 30 % of zeros at the end", 40 * MB, 40 * MB, 0, 0.3, 16384, 0.3, 0, 0, true,
	  false },
	{ "40 MB/s, 0.3 s, sockets, zeros at the end", 40 * MB, 40 * MB, 0, 0.3, 16384, 0.3, 0, 3 * MB, true,
	  false },
	{ "40 MB/s, 3 s, zeros at the end", 40 * MB, 40 * MB, 0, 3, 16384, 0.3, 0, 0, true, false },
	{ "40 MB/s, 4 s, sockets of 12 MB", 40 * MB, 40 * MB, 0, 4, 16384, 0, 0, 12 * MB, false, false },
	{ "40 MB/s, 0.5 s, auto-converge", 40 * MB, 40 * MB, 0, 0.5, 16384, 0, 0, 0, false, true },
	{ "35 MB/s, 0.6 s, auto-converge", 35 * MB, 35 * MB, 0, 0.6, 0, 0, 0, 0, false, true },
};
#define NPLANS (sizeof(plans) / sizeof(plans[0]))

static inline struct dp_est sure(double v)
{
	return (struct dp_est){ v, v, v };
}

static inline void make_plan(const struct plan_case *k, struct dp_plan *plan, struct dp_link *link)
{
	*plan = (struct dp_plan){
		.pages = SIM_PAGES,
		.wire_page = W,
		.limit = k->limit,
		.fixed = 0.02,
		.setup = 0.01,
		.clear_pages = k->clear,
		.zero_pages = k->zero,
		.zero_scan_bps = k->zero > 0 ? 2e9 : 0,
		.throttle = k->throttle,
		.queue = k->queue,
	};
	if (k->ac)
		plan->ac = (struct dp_auto_converge){ true, 0.5, 0.2, 0.1, 0.99 };
	if (k->tail) {
		uint32_t i, from = (uint32_t)((1 - k->zero) * DP_ZERO_BINS);

		plan->zero_pages = 0;
		for (i = from; i < DP_ZERO_BINS; i++) {
			plan->zero_at[i] = 1;
			plan->zero_pages += SIM_PAGES / DP_ZERO_BINS;
		}
	}
	*link = (struct dp_link){ .rounds = sure(k->b), .switchover = sure(k->bs), .exit_bps = k->exit };
}

/* Within the printed interval and a few percent; more where many rounds in a row each add to the error. */
static inline void agree(const char *what, const char *guest, const char *plan, struct dp_est e, double seen,
			 double share, double slack)
{
	double lo = e.lo * (1 - share) - slack, hi = e.hi * (1 + share) + slack;

	if (!(seen >= lo && seen <= hi))
		fail_msg("%s, %s: %s was %.3f s, predicted %.3f .. %.3f", guest, plan, what, seen, e.lo,
			 e.hi);
}

#endif
