// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* U(t) and the rate from the fit that curve_ages.c makes. */
#include <math.h>

#include "model/curve_impl.h"

#define RATE_SPAN 10e-3 /* s */

double dp_ages_reach(const struct dp_curve *c, enum dp_size size)
{
	return dp_bin_seconds(c->size[size].mid.n);
}

/* Value of a per-edge array at t, straight within bins, its last value beyond. */
static double at_edge(const double *v, uint32_t n, double t)
{
	double a, b;
	uint32_t i;

	if (t >= dp_bin_seconds(n))
		return v[n];
	i = dp_bin_of((unsigned long long)(t * 1e9));
	a = dp_bin_seconds(i);
	b = dp_bin_seconds(i + 1);
	return v[i] + (v[i + 1] - v[i]) * (t - a) / (b - a);
}

/* The largest slope beyond the end that concavity allows, from what the band says at earlier edges. */
static double steepest_tail(const struct dp_size_data *d, double hi_end)
{
	uint32_t n = d->mid.n, i;
	double end = dp_bin_seconds(n), best = hi_end / end;

	for (i = 1; i < n; i++) {
		double lo = d->mid.u[i] * (1.0 - DP_RESOLUTION) - d->rel[i];

		best = fmin(best, (hi_end - fmax(0.0, lo)) / (end - dp_bin_seconds(i)));
	}
	return best;
}

static double half_band(const struct dp_size_data *d, double inside)
{
	return at_edge(d->rel, d->mid.n, inside) + DP_RESOLUTION * dp_edges_eval(&d->mid, inside);
}

static double upper_end(const struct dp_curve *c, const struct dp_size_data *d, double t)
{
	double end = dp_bin_seconds(d->mid.n), inside = fmin(t, end);
	double hi = dp_edges_eval(&d->mid, inside) + half_band(d, inside) + dp_edges_kink(&d->mid, inside) +
		    c->blind;

	return t > end ? hi + steepest_tail(d, hi) * (t - end) : hi;
}

/*
 * Where events come up to `late` after their writes, what was seen by t had been written by t, and what was written by t
 * has been seen by t + late: V(t) <= U(t) <= V(t + late).
 */
struct dp_est dp_ages_eval(const struct dp_curve *c, enum dp_size size, double t)
{
	const struct dp_size_data *d = &c->size[size];
	double inside = fmin(t, dp_bin_seconds(d->mid.n));
	struct dp_est e = { 0 };

	if (!d->mid.n || !(t > 0.0))
		return e;
	e.mid = dp_edges_eval(&d->mid, t);
	e.lo = fmax(0.0, dp_edges_eval(&d->mid, inside) - half_band(d, inside));
	e.hi = fmax(upper_end(c, d, t), upper_end(c, d, t + c->late));
	return e;
}

static struct dp_est region_seen(const struct dp_curve *c, uint32_t region, double t)
{
	const struct dp_edges *g = c->region[region].edges;
	double end = dp_bin_seconds(c->nedges), inside = fmin(t, end), half, scale, total;
	struct dp_est e = { 0 };

	scale = at_edge(c->size[DP_4K].se_scale, c->nedges, inside);
	e.mid = g ? dp_edges_eval(g, inside) : 0.0;
	/* Beside the floor: one page an anchor, so that a region without a write is not "clean for ever". */
	half = scale * sqrt(fmax(e.mid, 1.0)) + DP_RESOLUTION * e.mid;
	e.lo = fmax(0.0, e.mid - half);
	total = dp_edges_eval(&c->size[DP_4K].mid, inside);
	e.hi = e.mid + half + (g ? dp_edges_kink(g, inside) : 0.0);
	e.hi += total > 0.0 ? c->blind * e.mid / total : c->blind;
	if (t > end) {
		e.hi += e.hi / end * (t - end);
		e.mid = g ? dp_edges_eval(g, t) : 0.0;
	}
	return e;
}

/* As dp_ages_eval, of one region. */
struct dp_est dp_ages_region_eval(const struct dp_curve *c, uint32_t region, double t)
{
	struct dp_est e = { 0 };

	if (!(t > 0.0) || !c->size[DP_4K].mid.n)
		return e;
	e = region_seen(c, region, t);
	if (c->late > 0.0)
		e.hi = fmax(e.hi, region_seen(c, region, t + c->late).hi);
	return e;
}

/*
 * The dirty rate: the slope up to the first edge from RATE_SPAN on that enough first dirtyings reached, bent back to
 * 0 by the fall of the slope over the next stretch of the same length. Below RATE_SPAN a log shows how a guest is
 * scheduled and how its marks are batched, not how fast it writes; nor does it below the time by which events are late.
 */
struct dp_est dp_ages_rate(const struct dp_curve *c, enum dp_size size)
{
	const struct dp_size_data *d = &c->size[size];
	double seen = 0.0, t1 = 0.0, d1, d2, bend;
	struct dp_est e = { 0 }, at;
	uint32_t i;

	for (i = 0; i < d->mid.n; i++) {
		seen += (d->mid.u[i + 1] - d->mid.u[i]) * c->anchors[i];
		t1 = dp_bin_seconds(i + 1);
		if (seen >= 400.0 && t1 >= fmax(RATE_SPAN, c->late))
			break;
	}
	if (!(t1 > 0.0))
		return e;
	at = dp_ages_eval(c, size, t1);
	d1 = at.mid / t1;
	d2 = (dp_edges_eval(&d->mid, 2 * t1) - at.mid) / t1;
	bend = fmax(0.0, d1 - d2) / 2;
	e.mid = d1 + bend;
	e.hi = at.hi / t1 + 2 * bend;
	for (i = 1; i <= d->mid.n; i++) {
		double t = dp_bin_seconds(i);

		if (t >= t1)
			e.lo = fmax(e.lo, dp_ages_eval(c, size, t).lo / t);
	}
	e.lo = fmin(e.lo, e.mid);
	return e;
}
