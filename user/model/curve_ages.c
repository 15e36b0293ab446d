// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * U(t) from anchors (ring, mark): start points at which every page was armed. In bin b, dU is the number of
 * first dirtyings at a lag in b, divided by the number of anchors that aged through b.
 *
 * The naive Kaplan-Meier estimate over all (arming, first write) pairs is not used: a page is re-armed
 * because it was written, so hot pages count more often and no page's clock starts at a random moment
 * (docs/model.md; tests/unit/test_curve.c shows it fail).
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "model/curve_impl.h"

#define MIN_EXPOSURE   0.25 /* anchors: below it a bin says too little to extend the reach */
#define TRUSTED	       4.0  /* anchors and batches from which their spread is believed */
#define MAX_CORRECTION 64.0

/* The shortest level that is followed through the whole of a bin. */
static uint32_t level_of(uint32_t bin)
{
	uint32_t l;

	for (l = 0; l + 1 < DP_LEVELS; l++) {
		if (dp_bin_hi(bin) <= DP_LEVEL_NS(l))
			break;
	}
	return l;
}

int dp_ages_check(const struct dp_snapshot *s)
{
	uint32_t i;

	if ((s->nages && !s->ages) || (s->nexposures && !s->exposures))
		return -EINVAL;
	for (i = 0; i < s->nages; i++) {
		const struct dp_ages *a = &s->ages[i];

		if (a->size >= DP_SIZES || a->level >= DP_LEVELS || a->bin >= DP_BINS ||
		    !isfinite(a->count) || a->count < 0.0)
			return -EINVAL;
		if (a->region != DP_REGION_ALL && a->region >= s->vm->nregions)
			return -EINVAL;
	}
	for (i = 0; i < s->nexposures; i++) {
		const struct dp_exposure *x = &s->exposures[i];

		if (x->level >= DP_LEVELS || x->from_ns > x->to_ns || !isfinite(x->blind) || x->blind < 0.0)
			return -EINVAL;
	}
	return 0;
}

static void pair_add(struct dp_bins_pair *p, uint32_t level, uint32_t bin, double v)
{
	p->all[bin] += v;
	if (level == level_of(bin))
		p->low[bin] += v;
}

/*
 * A level's anchors can only be opened when something is re-armed, which happens more often while the guest
 * writes much. Start points are to be spread evenly over time, so an interval's data of a level weigh
 * (time that passed) / (time that its anchors covered).
 */
static void level_weights(const struct dp_snapshot *s, double *weight)
{
	double aged[DP_LEVELS] = { 0 }, passed;
	uint32_t i;

	passed = s->logged_ns ? (double)s->logged_ns
			      : (s->t1_ns > s->t0_ns ? (double)(s->t1_ns - s->t0_ns) : 0);
	for (i = 0; i < s->nexposures; i++) {
		const struct dp_exposure *x = &s->exposures[i];

		aged[x->level] += (double)x->count * (double)(x->to_ns - x->from_ns);
	}
	for (i = 0; i < DP_LEVELS; i++) {
		weight[i] = aged[i] > 0.0 ? passed / aged[i] : 1.0;
		weight[i] = fmin(MAX_CORRECTION, fmax(1.0, weight[i]));
	}
}

/*
 * The parts of one anchor's stretch go together, so that the spread between batches is that between anchors: of a
 * guest that always rewrites the same pages it is nil, however its rounds fall into intervals.
 */
static uint32_t batch_of(const struct dp_curve *c, uint32_t anchor)
{
	return (anchor ? anchor : c->adds) % DP_BATCHES;
}

static void add_exposure(struct dp_curve *c, uint32_t batch, const struct dp_exposure *x, double weight)
{
	uint64_t end = x->to_ns < DP_LEVEL_NS(x->level) ? x->to_ns : DP_LEVEL_NS(x->level);
	uint32_t b;

	if (!x->count || x->from_ns >= end)
		return;
	for (b = dp_bin_of(x->from_ns); b < DP_BINS && dp_bin_lo(b) < end; b++) {
		uint64_t lo = dp_bin_lo(b) > x->from_ns ? dp_bin_lo(b) : x->from_ns;
		uint64_t hi = dp_bin_hi(b) < end ? dp_bin_hi(b) : end;
		double part = (double)x->count * (double)(hi - lo) / (double)(dp_bin_hi(b) - dp_bin_lo(b));

		pair_add(&c->expo[batch], x->level, b, part * weight);
		pair_add(&c->expo_sq, x->level, b, part * weight * weight);
	}
	c->blind_sum += x->blind * x->count * (double)(end - x->from_ns);
	c->blind_weight += x->count * (double)(end - x->from_ns);
	c->exposed = true;
}

int dp_ages_add(struct dp_curve *c, const struct dp_snapshot *s)
{
	uint32_t i;
	double weight[DP_LEVELS];

	/* Memory first, so that a failure adds nothing. */
	for (i = 0; i < s->nages; i++) {
		const struct dp_ages *a = &s->ages[i];
		struct dp_region_data *r;

		if (a->size != DP_4K || a->region == DP_REGION_ALL)
			continue;
		r = &c->region[a->region];
		if (!r->ages)
			r->ages = calloc(1, sizeof(*r->ages));
		if (!r->ages)
			return -ENOMEM;
	}
	dp_lag_add(&c->lag, &s->gaps);
	level_weights(s, weight);
	for (i = 0; i < s->nexposures; i++) {
		const struct dp_exposure *x = &s->exposures[i];

		/* An anchor that is followed through several intervals must weigh the same in all of them. */
		add_exposure(c, batch_of(c, x->anchor), x, x->anchor ? 1.0 : weight[x->level]);
	}
	for (i = 0; i < s->nages; i++) {
		const struct dp_ages *a = &s->ages[i];
		struct dp_size_data *d = &c->size[a->size];
		double v = a->count * (a->anchor ? 1.0 : weight[a->level]);

		d->aged = true;
		pair_add(&d->batch[batch_of(c, a->anchor)], a->level, a->bin, v);
		if (a->size == DP_4K && a->region != DP_REGION_ALL)
			pair_add(c->region[a->region].ages, a->level, a->bin, v);
	}
	return 0;
}

/* Which exposure each bin rests on, and how far it reaches. Common to all sizes. */
static void fit_exposure(struct dp_curve *c)
{
	uint32_t b, k;

	c->nedges = 0;
	for (b = 0; b < DP_BINS; b++) {
		double low = 0.0, all = 0.0, sq;

		for (k = 0; k < DP_BATCHES; k++) {
			low += c->expo[k].low[b];
			all += c->expo[k].all[b];
		}
		c->use_all[b] = low < MIN_EXPOSURE;
		c->expo_of[b] = c->use_all[b] ? all : low;
		sq = c->use_all[b] ? c->expo_sq.all[b] : c->expo_sq.low[b];
		if (c->expo_of[b] < MIN_EXPOSURE)
			break;
		c->anchors[b] = c->expo_of[b] * c->expo_of[b] / sq;
		c->nedges = b + 1;
	}
	c->blind = c->blind_weight > 0.0 ? c->blind_sum / c->blind_weight : 0.0;
}

static double pick(const struct dp_curve *c, const struct dp_bins_pair *p, uint32_t b)
{
	return c->use_all[b] ? p->all[b] : p->low[b];
}

/*
 * Jackknife over batches of the raw (unpooled) estimate: var[i] at edge i. Where a batch holds all of a bin's
 * exposure, the bin cannot be left out and adds nothing. Returns the number of batches that hold anything.
 */
static uint32_t jackknife(const struct dp_curve *c, const struct dp_size_data *d, const double *count,
			  double *var)
{
	double sum[DP_BINS + 1] = { 0 }, sq[DP_BINS + 1] = { 0 };
	uint32_t k, b, used = 0;

	for (k = 0; k < DP_BATCHES; k++) {
		double diff = 0.0;
		bool any = false;

		for (b = 0; b < c->nedges; b++) {
			double e = pick(c, &c->expo[k], b), left = c->expo_of[b] - e;

			any = any || e > 0.0;
			if (left > 0.1 && e > 0.0)
				diff += (count[b] - pick(c, &d->batch[k], b)) / left -
					count[b] / c->expo_of[b];
			sum[b + 1] += diff;
			sq[b + 1] += diff * diff;
		}
		used += any;
	}
	for (b = 0; b <= c->nedges; b++) {
		var[b] = 0.0;
		if (used > 1)
			var[b] = (sq[b] - sum[b] * sum[b] / used) * (used - 1) / used;
	}
	return used;
}

/*
 * The half band at every edge. Its floor is the variance of independent pages, N p (1 - p) an anchor; where
 * enough anchors and batches show more (bursts), their excess (the design effect) multiplies it, and is
 * carried on to lags that too few anchors reached to show it themselves.
 */
static void fit_band(const struct dp_curve *c, struct dp_size_data *d, const double *count)
{
	double var[DP_BINS + 1], floor_var = 0.0, recent[DP_BIN_SUB], effect = 1.0, dof = 1.0, raw = 0.0,
				 clump = 0.0;
	uint32_t used = jackknife(c, d, count, var), b, i;

	for (i = 0; i < DP_BIN_SUB; i++)
		recent[i] = 1.0;
	d->rel[0] = d->se_scale[0] = 0.0;
	for (b = 0; b < c->nedges; b++) {
		double n = c->anchors[b], u = d->mid.u[b + 1], spread, p;

		/*
		 * What comes in clumps (a paced guest's batches, PML's flushes) may be in step with the anchors: then U is off
		 * by up to a clump from there on. Clumps are where the counts leave the smooth fit.
		 */
		raw += count[b] / c->expo_of[b];
		clump = fmax(clump, fmin(fabs(raw - u), u));
		floor_var += (u - d->mid.u[b]) / n;
		p = d->blocks > 0.0 ? u / d->blocks : 0.0;
		spread = floor_var * fmax(0.1, 1.0 - p);
		if (n >= TRUSTED && used >= TRUSTED) {
			recent[b % DP_BIN_SUB] = spread > 0.0 ? fmax(1.0, var[b + 1] / spread) : 1.0;
			for (effect = 1.0, i = 0; i < DP_BIN_SUB; i++)
				effect = fmax(effect, recent[i]);
			dof = fmin(n, used) - 1.0;
		} else {
			dof = fmax(1.0, fmin(dof, n - 1.0));
		}
		d->se_scale[b + 1] = dp_student90(dof) * sqrt(effect / n);
		/* One page in all anchors together is the least that counting can tell apart. */
		d->rel[b + 1] = dp_student90(dof) * sqrt(fmax(spread, 1.0 / (n * n)) * effect) + clump;
	}
}

static void fit_size(struct dp_curve *c, struct dp_size_data *d)
{
	double count[DP_BINS];
	uint32_t b, k;

	d->mid.n = 0;
	if (!c->exposed || !c->nedges || !(d->blocks > 0.0))
		return;
	for (b = 0; b < c->nedges; b++) {
		count[b] = 0.0;
		for (k = 0; k < DP_BATCHES; k++)
			count[b] += pick(c, &d->batch[k], b);
	}
	d->mid.n = c->nedges;
	dp_pava_slopes(count, c->expo_of, c->nedges, d->mid.u, d->blocks);
	fit_band(c, d, count);
}

/*
 * Each region is pooled by itself, so the regions do not quite add up to the whole, least where few anchors saw
 * the guest pass from one region to the next. The whole is better known: scale the regions to it.
 */
static void scale_regions(struct dp_curve *c)
{
	const struct dp_edges *whole = &c->size[DP_4K].mid;
	uint32_t r, i;

	for (i = 1; i <= whole->n; i++) {
		double sum = 0.0;

		for (r = 0; r < c->nregions; r++)
			sum += c->region[r].edges ? c->region[r].edges->u[i] : 0.0;
		c->region_scale[i] = sum > 0.0 ? whole->u[i] / sum : 1.0;
	}
	for (r = 0; r < c->nregions; r++) {
		double *u = c->region[r].edges ? c->region[r].edges->u : NULL;

		for (i = 1; u && i <= whole->n; i++)
			u[i] = fmax(u[i - 1], fmin(c->region_pages[r], u[i] * c->region_scale[i]));
	}
}

int dp_ages_fit(struct dp_curve *c)
{
	uint32_t r, b;
	int size;

	fit_exposure(c);
	c->late = dp_lag_seconds(&c->lag);
	/* Anchors without first dirtyings are an idle guest at 4K; at other sizes they may be untracked. */
	for (size = 0; size < DP_SIZES; size++) {
		c->size[size].mid.n = 0;
		if (c->size[size].aged || !c->size[DP_4K].aged)
			fit_size(c, &c->size[size]);
	}
	for (r = 0; r < c->nregions; r++) {
		struct dp_region_data *g = &c->region[r];
		double count[DP_BINS];

		if (!g->ages || !c->nedges)
			continue;
		if (!g->edges)
			g->edges = calloc(1, sizeof(*g->edges));
		if (!g->edges)
			return -ENOMEM;
		for (b = 0; b < c->nedges; b++)
			count[b] = pick(c, g->ages, b);
		g->edges->n = c->nedges;
		dp_pava_slopes(count, c->expo_of, c->nedges, g->edges->u, c->region_pages[r]);
	}
	scale_regions(c);
	return 0;
}
