// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What would have to change: the least limit, bandwidth and throttle at which the rounds end. */
#include <math.h>
#include <stddef.h>

#include "model/predict_impl.h"

#define MIN_LIMIT    1e-3  /* QEMU's limit is in whole milliseconds */
#define FINE	     0.004 /* searches end when the answer is known to this share of itself */
#define MAX_SEARCH   24
#define MAX_FACTOR   12 /* steps of 4 that a bandwidth is looked for in */
#define MAX_BPS	     1e15
#define MAX_THROTTLE 0.99

static bool converges(const struct dp_sim_in *in, struct dp_sim_out *out)
{
	out->rounds = NULL;
	dp_sim_run(in, out);
	return out->converges;
}

static bool at_limit(const struct dp_sim_in *in, double limit, double *downtime)
{
	struct dp_plan plan = *in->plan;
	struct dp_sim_in one = *in;
	struct dp_sim_out out;

	plan.limit = limit;
	one.plan = &plan;
	if (!converges(&one, &out))
		return false;
	*downtime = out.downtime;
	return true;
}

/* *downtime: what the migration at that limit has, which no limit can lower. */
double dp_least_limit(const struct dp_sim_in *in, double *downtime)
{
	double unit = DP_WIRE_UNIT / in->exit, lo = MIN_LIMIT, hi, mid, t, guess;
	int i;

	*downtime = 0.0;
	if (at_limit(in, lo, downtime))
		return lo;
	/* With room for all of RAM the first test passes. */
	hi = in->env->total * unit * 1.001 + MIN_LIMIT;
	if (!at_limit(in, hi, downtime))
		return HUGE_VAL;
	t = dp_fixed_point(in);
	guess = dp_tab_eval(in->u, dp_guest_speed(in->plan, in->plan->throttle) * t) * unit * 1.02 + 0.06;
	if (guess > lo && guess < hi && at_limit(in, guess, downtime))
		hi = guess;
	for (i = 0; i < MAX_SEARCH && hi - lo > FINE * hi; i++) {
		mid = hi > 8 * lo ? sqrt(lo * hi) : (lo + hi) / 2;
		if (at_limit(in, mid, downtime))
			hi = mid;
		else
			lo = mid;
	}
	return hi;
}

static bool at_bandwidth(const struct dp_sim_in *in, double b, bool own_exit)
{
	struct dp_sim_in one = *in;
	struct dp_sim_out out;

	one.b = b;
	one.bs = fabs(in->bs - in->b) <= 1e-6 * in->b ? b : fmax(in->bs, b);
	if (!own_exit)
		one.exit = b;
	return converges(&one, &out);
}

/* own_exit: the exit test has a bandwidth of its own, which stays; else it moves along. */
double dp_least_bandwidth(const struct dp_sim_in *in, bool own_exit)
{
	double lo = in->b, hi = in->b, mid;
	int i;

	if (at_bandwidth(in, in->b, own_exit)) {
		for (i = 0; i < MAX_FACTOR; i++) {
			lo = hi / 4;
			if (!at_bandwidth(in, lo, own_exit))
				break;
			hi = lo;
		}
		if (i == MAX_FACTOR)
			return hi;
	} else {
		for (i = 0; i < 2 * MAX_FACTOR; i++) {
			hi = lo * 4;
			if (hi > MAX_BPS)
				return HUGE_VAL;
			if (at_bandwidth(in, hi, own_exit))
				break;
			lo = hi;
		}
		if (i == 2 * MAX_FACTOR)
			return HUGE_VAL;
	}
	for (i = 0; i < MAX_SEARCH && hi - lo > FINE * hi; i++) {
		mid = sqrt(lo * hi);
		if (at_bandwidth(in, mid, own_exit))
			hi = mid;
		else
			lo = mid;
	}
	return hi;
}

static bool at_throttle(const struct dp_sim_in *in, double throttle)
{
	struct dp_plan plan = *in->plan;
	struct dp_sim_in one = *in;
	struct dp_sim_out out;

	plan.throttle = throttle;
	one.plan = &plan;
	return converges(&one, &out);
}

double dp_least_throttle(const struct dp_sim_in *in)
{
	double lo = 0.0, hi = MAX_THROTTLE, mid;

	if (at_throttle(in, 0.0))
		return 0.0;
	if (!at_throttle(in, hi))
		return 1.0;
	while (hi - lo > FINE) {
		mid = (lo + hi) / 2;
		if (at_throttle(in, mid))
			hi = mid;
		else
			lo = mid;
	}
	return hi;
}
