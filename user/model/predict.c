// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The answers of a prediction and their intervals. The rounds are run over a small grid of normal quantiles of
 * the curve and of the bandwidth, each grid point standing for the same probability; nothing is random.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/predict_impl.h"

#define NQ    5
#define NGRID (NQ * NQ)
/*
 * A stop is handed from thread to thread: the migration's, QEMU's main loop, the vCPUs and back. Each may wait for its turn.
 */
#define HAND_OVERS 4
#define MAX_PAGES  0x1p52

/* Quantiles of 0.1, 0.3, 0.5, 0.7, 0.9: the middles of five equally likely fifths. */
static const double quantile[NQ] = { -DP_Z90, -0.5244005127080407, 0.0, 0.5244005127080407, DP_Z90 };

static bool in_range(double v, double lo, double hi)
{
	return isfinite(v) && v >= lo && v <= hi;
}

static bool est_ok(struct dp_est e)
{
	return in_range(e.lo, 0.0, 1e18) && in_range(e.mid, 0.0, 1e18) && in_range(e.hi, 0.0, 1e18) &&
	       e.lo <= e.mid && e.mid <= e.hi;
}

static bool bandwidth_missing(struct dp_est e)
{
	return isfinite(e.mid) && e.mid <= 0.0;
}

int dp_plan_check(const struct dp_link *l, const struct dp_plan *p)
{
	uint32_t i;

	for (i = 0; i < DP_ZERO_BINS; i++) {
		if (!in_range(p->zero_at[i], 0, 1) || !in_range(p->heat_at[i], 0, 1))
			return -EINVAL;
	}
	if (!in_range(p->pages, 0, MAX_PAGES) || !in_range(p->zero_pages, 0, p->pages) ||
	    !in_range(p->wire_page, 1, 1e9) || !in_range(p->zero_scan_bps, 0, 1e18))
		return -EINVAL;
	if (!in_range(p->limit, 0, 1e9) || !in_range(p->fixed, 0, 1e9) || !in_range(p->setup, 0, 1e9) ||
	    !in_range(p->fixed_lo, 0, 1e9) || !in_range(p->fixed_hi, 0, 1e9) ||
	    !in_range(p->queue, 0, 1e12) || !in_range(p->clear_pages, 0, MAX_PAGES) ||
	    !in_range(p->throttle, 0, 0.9999) || !in_range(p->busy, 0, 1) ||
	    !in_range(p->ac.trigger, 0, 100) || !in_range(p->ac.initial, 0, 0.9999) ||
	    !in_range(p->ac.increment, 0, 1) || !in_range(p->ac.max, 0, 0.9999))
		return -EINVAL;
	if ((unsigned int)p->exit_test > DP_EXIT_10_1 || !in_range(l->exit_bps, 0, 1e18))
		return -EINVAL;
	if (p->running && (!in_range(p->remaining, 0, 1e30) || !in_range(p->elapsed, 0, 1e9) ||
			   !in_range(p->since_sync, 0, 1e9) || !in_range(p->room, 0, 1e12)))
		return -EINVAL;
	for (i = 0; p->running && i < p->npast; i++) {
		if (!in_range(p->past[i].seconds, 0, 1e9) || !in_range(p->past[i].left, 0, 1e30) ||
		    !in_range(p->past[i].pending, 0, 1e30))
			return -EINVAL;
	}
	if (!bandwidth_missing(l->rounds) && !est_ok(l->rounds))
		return -EINVAL;
	if (!bandwidth_missing(l->switchover) && !est_ok(l->switchover))
		return -EINVAL;
	return 0;
}

void dp_link_at(const struct dp_link *link, double zb, struct dp_sim_in *in)
{
	struct dp_est s = link->switchover.mid > 0.0 ? link->switchover : link->rounds;

	/* A spread that includes standstill is cut off at a thousandth of the middle. */
	in->b = fmax(dp_est_at(link->rounds, zb), link->rounds.mid * 1e-3);
	in->bs = fmax(dp_est_at(s, zb), s.mid * 1e-3);
	in->exit = link->exit_bps > 0.0 ? link->exit_bps : in->b;
}

static const double *env_at(const struct dp_env *env, double z)
{
	uint32_t i, best = 0;

	for (i = 1; i < env->nz; i++) {
		if (fabs(env->z[i] - z) < fabs(env->z[best] - z))
			best = i;
	}
	return env->u[best];
}

static int ascending(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* 10th and 90th percentiles of v, which is sorted in place, around the given middle. */
static struct dp_est spread(double *v, uint32_t n, double mid)
{
	uint32_t rank = n / 10;

	qsort(v, n, sizeof(*v), ascending);
	return (struct dp_est){ fmin(v[rank], mid), mid, fmax(v[n - 1 - rank], mid) };
}

/* Wire bytes still to send, as QEMU would tell. */
static double bytes_left(const struct dp_plan *p)
{
	if (p->running)
		return p->remaining;
	return (p->pages - p->zero_pages) * p->wire_page + p->zero_pages * DP_WIRE_ZERO;
}

static struct dp_est over(double bytes, struct dp_est bps, double fixed)
{
	return (struct dp_est){ bytes / bps.hi + fixed, bytes / bps.mid + fixed,
				bytes / fmax(bps.lo, bps.mid * 1e-3) + fixed };
}

struct grid {
	uint32_t n, converged;
	double total[NGRID], downtime[NGRID], blackout[NGRID], rounds[NGRID], redirty[NGRID];
};

static double redirty_of(const struct dp_sim_in *in)
{
	double bytes = bytes_left(in->plan);

	return (bytes + dp_tab_eval(in->u, bytes / in->b) * in->plan->wire_page) / in->b;
}

/*
 * The plan's fixed part of the downtime is a middle one: at quantile q it takes so much more. fixed_hi is its quantile of 0.9,
 * 0.8 of the way.
 */
static double extra_of(const struct dp_plan *p, double q)
{
	/* a few past migrations need not have met the longest waits */
	double more = fmax(HAND_OVERS * DP_TICK, (p->fixed_hi - p->fixed) / 0.8);

	return q < 0.5 ? -p->fixed * (1.0 - 2.0 * q) : (2.0 * q - 1.0) * more;
}

/*
 * How late QEMU looks, what it measures and what we count is nobody's choice. As many kinds of each as of curves and bandwidths, laid out
 * so that each kind of any of them meets each of any other once (orthogonal Latin squares). There are four such squares of five, and
 * five of chance: what a stop waits for and what it is handed from thread to thread share one, as both are waiting.
 */
static void draw(struct dp_sim_in *in, uint32_t iu, uint32_t ib)
{
	static const double fifth[NQ] = { 0.5, 0.1, 0.9, 0.3, 0.7 };

	in->late = fifth[(iu + ib) % NQ];
	in->seed = 1 + iu * NQ + ib;
	in->luck = dp_chance(fifth[(iu + 2 * ib) % NQ]);
	in->off = dp_chance(fifth[(iu + 3 * ib) % NQ]);
	in->wait = fifth[(iu + 4 * ib) % NQ];
	in->extra = extra_of(in->plan, in->wait);
}

static void run_grid(const struct dp_link *link, struct dp_sim_in *in, bool link_spreads, struct grid *g)
{
	struct dp_sim_out out = { 0 };
	uint32_t iu, ib;

	g->n = g->converged = 0;
	for (iu = 0; iu < NQ; iu++) {
		for (ib = 0; ib < NQ; ib++) {
			dp_link_at(link, link_spreads ? quantile[ib] : 0.0, in);
			in->u = env_at(in->env, quantile[iu]);
			draw(in, iu, ib);
			dp_sim_run(in, &out);
			g->total[g->n] = out.total;
			g->downtime[g->n] = out.downtime;
			g->blackout[g->n] = out.blackout;
			g->rounds[g->n] = out.converges ? out.nrounds : HUGE_VAL;
			g->redirty[g->n] = redirty_of(in);
			g->converged += out.converges;
			g->n++;
		}
	}
	in->late = in->wait = 0.5;
	in->seed = 0;
	in->off = in->extra = 0.0;
}

static void run_middle(const struct dp_link *link, struct dp_sim_in *in, struct grid *g,
		       struct dp_prediction *out)
{
	struct dp_sim_out mid = { .rounds = out->round };

	dp_link_at(link, 0.0, in);
	in->u = env_at(in->env, 0.0);
	dp_sim_run(in, &mid);
	out->mid_converges = mid.converges;
	out->nrounds = mid.nrounds < DP_MAX_ROUNDS ? mid.nrounds : DP_MAX_ROUNDS;
	out->redirty = spread(g->redirty, g->n, redirty_of(in));
	out->total = spread(g->total, g->n, mid.total);
	out->downtime = spread(g->downtime, g->n, mid.downtime);
	out->blackout = spread(g->blackout, g->n, mid.blackout);
	out->rounds = spread(g->rounds, g->n, mid.converges ? mid.nrounds : HUGE_VAL);
}

static struct dp_est sorted3(double a, double mid, double b)
{
	return (struct dp_est){ fmin(mid, fmin(a, b)), mid, fmax(mid, fmax(a, b)) };
}

/* The searches at the middle and at the two ends; where curve and link both spread, each moves by 1/sqrt 2. */
static void run_searches(const struct dp_link *link, struct dp_sim_in *in, bool link_spreads,
			 struct dp_prediction *out)
{
	double limit[3], floor_[3], bps[3], throttle[3], z = link_spreads ? DP_Z90 / M_SQRT2 : DP_Z90;
	int i;

	for (i = 0; i < 3; i++) {
		dp_link_at(link, link_spreads ? (1 - i) * z : 0.0, in);
		in->u = env_at(in->env, (i - 1) * z);
		limit[i] = dp_least_limit(in, &floor_[i]);
		throttle[i] = dp_least_throttle(in);
		dp_link_at(link, 0.0, in);
		in->u = env_at(in->env, (i - 1) * DP_Z90);
		bps[i] = dp_least_bandwidth(in, link->exit_bps > 0.0);
	}
	out->least_limit = sorted3(limit[0], limit[1], limit[2]);
	out->floor = sorted3(floor_[0], floor_[1], floor_[2]);
	out->least_throttle = sorted3(throttle[0], throttle[1], throttle[2]);
	out->least_bandwidth = sorted3(bps[0], bps[1], bps[2]);
}

/* Capped, and QEMU's test against the path's own speed would pass where its own test does not. */
static bool switchover_helps(const struct dp_link *link, struct dp_sim_in *in)
{
	struct dp_sim_out out = { 0 };

	dp_link_at(link, 0.0, in);
	if (link->exit_bps > 0.0 || in->bs <= in->b * 1.05)
		return false;
	in->u = env_at(in->env, 0.0);
	in->exit = in->bs;
	dp_sim_run(in, &out);
	return out.converges;
}

/*
 * The window on which a borderline verdict hangs: a pass through the pages that keep being dirtied. 0 where
 * the curve is known well enough there, so that it is the bandwidth that is in doubt.
 */
static double settling(const struct dp_curve *c, const struct dp_link *link, struct dp_sim_in *in)
{
	struct dp_est e;
	double t;

	dp_link_at(link, 0.0, in);
	in->u = env_at(in->env, 0.0);
	t = dp_fixed_point(in);
	if (t <= 0.0) {
		in->u = env_at(in->env, DP_Z90);
		t = dp_fixed_point(in);
	}
	if (t <= 0.0)
		t = in->plan->limit;
	t *= dp_guest_speed(in->plan, in->plan->throttle);
	e = dp_curve_eval(c, DP_4K, t);
	return e.hi - e.lo > 0.05 * e.hi ? t : 0.0;
}

static enum dp_verdict judge(const struct dp_curve *c, const struct grid *g, double settle)
{
	double share = (double)g->converged / g->n;

	if (share >= 0.9)
		return DP_CONVERGES;
	if (!dp_curve_known(c, DP_4K))
		return DP_UNKNOWN;
	if (share <= 0.1)
		return DP_NEVER;
	/* It hangs on times far beyond anything that was observed. */
	if (settle > 4 * dp_curve_reach(c, DP_4K))
		return DP_UNKNOWN;
	return DP_BORDERLINE;
}

int dp_predict(const struct dp_curve *c, const struct dp_link *link, const struct dp_plan *plan,
	       struct dp_prediction *out)
{
	const double zs[] = { quantile[0], quantile[1],	      quantile[2],     quantile[3],
			      quantile[4], -DP_Z90 / M_SQRT2, DP_Z90 / M_SQRT2 };
	struct dp_sim_in in = { .plan = plan, .wait = 0.5 };
	struct dp_est bs;
	bool link_spreads;
	struct dp_env *env;
	struct grid grid;
	double settle;

	if (!c || !link || !plan || !out)
		return -EINVAL;
	memset(out, 0, sizeof(*out));
	if (dp_plan_check(link, plan))
		return -EINVAL;
	bs = link->switchover.mid > 0.0 ? link->switchover : link->rounds;
	if (bs.mid > 0.0)
		out->stop_now = over(bytes_left(plan), bs, plan->fixed);
	if (link->rounds.mid <= 0.0)
		return -ENODATA;
	env = dp_env_new(c, plan, zs, sizeof(zs) / sizeof(zs[0]));
	if (!env)
		return -ENOMEM;
	in.env = env;
	link_spreads = link->rounds.hi > link->rounds.lo || bs.hi > bs.lo;
	run_grid(link, &in, link_spreads, &grid);
	run_middle(link, &in, &grid, out);
	run_searches(link, &in, link_spreads, out);
	settle = settling(c, link, &in);
	out->verdict = judge(c, &grid, settle);
	if (out->verdict == DP_BORDERLINE || out->verdict == DP_UNKNOWN)
		out->settle_window = settle;
	if (!out->mid_converges)
		out->helped_by_switchover_bw = switchover_helps(link, &in);
	free(env);
	return 0;
}

bool dp_simulate(const struct dp_curve *c, const struct dp_link *link, const struct dp_plan *plan, double zu,
		 double zb, double *total, double *downtime, uint32_t *nrounds, struct dp_round *rounds)
{
	struct dp_sim_in in = { .plan = plan, .wait = 0.5 };
	struct dp_sim_out out = { .rounds = rounds };
	struct dp_env *env;

	*total = *downtime = HUGE_VAL;
	*nrounds = 0;
	if (!c || !link || !plan || isnan(zu) || isnan(zb) || dp_plan_check(link, plan) ||
	    link->rounds.mid <= 0.0)
		return false;
	zu = fmin(DP_Z90, fmax(-DP_Z90, zu));
	zb = fmin(DP_Z90, fmax(-DP_Z90, zb));
	env = dp_env_new(c, plan, &zu, 1);
	if (!env)
		return false;
	in.env = env;
	in.u = env->u[0];
	dp_link_at(link, zb, &in);
	dp_sim_run(&in, &out);
	*total = out.total;
	*downtime = out.downtime;
	*nrounds = out.nrounds < DP_MAX_ROUNDS ? out.nrounds : DP_MAX_ROUNDS;
	free(env);
	return out.converges;
}
