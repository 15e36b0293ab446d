// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The working-set curve: gathers snapshots, joins anchored ages with interval-censored windows and tabulates
 * the result. See docs/model.md.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/curve_impl.h"

#define GRID_MAX (DP_GRID_SUB * DP_BINS + DP_BINS + 1)

struct dp_curve *dp_curve_new(void)
{
	return calloc(1, sizeof(struct dp_curve));
}

static void drop_regions(struct dp_curve *c)
{
	uint32_t r;
	int s;

	for (r = 0; r < c->nregions; r++) {
		free(c->region[r].ages);
		free(c->region[r].edges);
	}
	dp_windows_drop_fits(c);
	for (s = 0; s < DP_SIZES; s++) {
		dp_windows_free(&c->size[s]);
		free(c->size[s].tab.t);
	}
	free(c->region);
	free(c->region_pages);
	free(c->pages_before);
	free(c->given);
}

void dp_curve_free(struct dp_curve *c)
{
	if (!c)
		return;
	drop_regions(c);
	free(c);
}

/* Takes the VM's shape. Where regions came or went their numbers mean others than before: begin anew. */
static int take_shape(struct dp_curve *c, const struct dp_vm *vm)
{
	uint32_t r;
	int s;

	if (vm->nregions && !vm->region_pages)
		return -EINVAL;
	if (c->nregions != vm->nregions || !c->region) {
		struct dp_region_data *region = calloc((size_t)vm->nregions + 1, sizeof(*region));
		double *pages = calloc((size_t)vm->nregions + 1, sizeof(*pages));
		double *before = calloc((size_t)vm->nregions + 1, sizeof(*before));

		if (!region || !pages || !before) {
			free(region);
			free(pages);
			free(before);
			return -ENOMEM;
		}
		drop_regions(c);
		memset(c, 0, sizeof(*c));
		c->nregions = vm->nregions;
		c->region = region;
		c->region_pages = pages;
		c->pages_before = before;
	}
	c->blocks[DP_4K] = 0.0;
	for (r = 0; r < c->nregions; r++) {
		c->region_pages[r] = (double)vm->region_pages[r];
		c->blocks[DP_4K] += c->region_pages[r];
		c->pages_before[r + 1] = c->blocks[DP_4K];
	}
	for (s = DP_4K + 1; s < DP_SIZES; s++)
		c->blocks[s] = (double)vm->blocks[s];
	return 0;
}

int dp_curve_add(struct dp_curve *c, const struct dp_snapshot *s)
{
	int err;

	if (!c || !s || !s->vm || c->given)
		return -EINVAL;
	err = dp_ages_check(s);
	if (!err)
		err = dp_windows_check(s);
	if (!err)
		err = take_shape(c, s->vm);
	if (!err)
		err = dp_ages_add(c, s);
	if (!err)
		err = dp_windows_add(c, s);
	c->fitted = c->fitted && err;
	if (!err && (s->nexposures || s->nages))
		c->adds++;
	return err;
}

static int ascending(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Points at which a size is tabulated: all bins, finely, and every length of window that occurred. */
static int new_table(struct dp_table *tab, const struct dp_size_data *d)
{
	/* Between two looks a region's curve is bounded by straight lines, and a bin is narrow: ends of bins are enough. */
	uint32_t b, i, n = 0, k, sub = d->mid.n ? DP_GRID_SUB : 1;
	double *t;

	if (!tab->t)
		tab->t = calloc((size_t)4 * GRID_MAX, sizeof(*tab->t));
	if (!tab->t)
		return -ENOMEM;
	t = tab->t;
	for (b = 0; b < DP_BINS; b++) {
		double lo = (double)dp_bin_lo(b) * 1e-9, hi = (double)dp_bin_hi(b) * 1e-9;

		for (i = 0; i < sub; i++)
			t[n++] = lo + (hi - lo) * i / sub;
	}
	n += dp_windows_list(d, false, t + n, DP_BINS);
	t[n++] = (double)dp_bin_lo(DP_BINS) * 1e-9;
	qsort(t, n, sizeof(*t), ascending);
	for (i = 1, k = 1; i < n; i++) {
		if (t[i] > t[k - 1])
			t[k++] = t[i];
	}
	tab->n = k;
	tab->lo = t + GRID_MAX;
	tab->mid = tab->lo + GRID_MAX;
	tab->hi = tab->mid + GRID_MAX;
	memset(tab->lo, 0, sizeof(*tab->lo) * 3 * GRID_MAX);
	return 0;
}

/* Anchors win as far as they reach; beyond, windows narrow what anchors alone would leave open. */
static struct dp_est joined(const struct dp_curve *c, enum dp_size size, double t, struct dp_est w,
			    bool windowed)
{
	struct dp_est a = dp_ages_eval(c, size, t);
	double n = c->blocks[size];

	if (windowed && t > dp_ages_reach(c, size)) {
		a.lo = fmax(a.lo, w.lo);
		a.hi = fmax(a.lo, fmin(a.hi, w.hi));
		a.mid = w.mid;
	}
	a.lo = fmin(a.lo, n);
	a.hi = fmin(a.hi, n);
	a.mid = fmin(a.hi, fmax(a.lo, a.mid));
	return a;
}

/* U never falls: a lower bound holds for every later t, an upper one for every earlier. */
static void tidy(struct dp_table *tab, double cap)
{
	uint32_t i;

	for (i = 0; i < tab->n; i++) {
		double before = i ? tab->lo[i - 1] : 0.0, mid_before = i ? tab->mid[i - 1] : 0.0;

		tab->lo[i] = fmax(before, tab->lo[i]);
		tab->mid[i] = fmin(cap, fmax(mid_before, fmax(tab->lo[i], tab->mid[i])));
		tab->hi[i] = fmin(cap, fmax(tab->hi[i], tab->mid[i]));
	}
	for (i = tab->n - 1; i-- > 0;)
		tab->hi[i] = fmin(tab->hi[i], tab->hi[i + 1]);
}

static int fit_size(struct dp_curve *c, enum dp_size size)
{
	struct dp_size_data *d = &c->size[size];
	struct dp_table *tab = &d->tab;
	int windowed, err;
	uint32_t i;

	d->known = false;
	d->reach = dp_ages_reach(c, size);
	err = new_table(tab, d);
	if (err)
		return err;
	windowed = dp_windows_fit_size(c, size, tab);
	if (windowed < 0)
		return windowed;
	d->known = windowed || d->mid.n;
	for (i = 0; d->mid.n && i < tab->n; i++) {
		struct dp_est w = { tab->lo[i], tab->mid[i], tab->hi[i] }, e;

		e = joined(c, size, tab->t[i], w, windowed);
		tab->lo[i] = e.lo;
		tab->mid[i] = e.mid;
		tab->hi[i] = e.hi;
	}
	if (!d->known)
		return 0;
	tab->lo[0] = tab->mid[0] = tab->hi[0] = 0.0;
	tidy(tab, c->blocks[size]);
	tab->hi[0] = 0.0;
	if (d->mid.n) {
		d->rate = dp_ages_rate(c, size);
		return 0;
	}
	/* Windows bound the slope at 0 from below alone. */
	d->rate = (struct dp_est){ .hi = HUGE_VAL };
	for (i = 1; i < tab->n; i++)
		d->rate.lo = fmax(d->rate.lo, tab->t[i] > 1e-3 ? tab->lo[i] / tab->t[i] : 0.0);
	d->rate.mid = d->rate.lo;
	return 0;
}

int dp_curve_fit(struct dp_curve *c)
{
	int err, s;

	if (!c || c->given)
		return -EINVAL;
	c->fitted = false;
	for (s = 0; s < DP_SIZES; s++)
		c->size[s].blocks = c->blocks[s];
	err = dp_ages_fit(c);
	if (!err)
		err = dp_windows_fit_regions(c);
	for (s = 0; !err && s < DP_SIZES; s++)
		err = fit_size(c, (enum dp_size)s);
	c->fitted = !err;
	return err;
}

static void widen(struct dp_table *tab, double cap, double spread, double lasting)
{
	uint32_t i;

	for (i = 1; i < tab->n; i++) {
		double mid = tab->mid[i],
		       by = fmin(0.9, DP_Z90 * spread / sqrt(1.0 + tab->t[i] / lasting)) * mid;

		tab->lo[i] = fmax(tab->lo[i - 1], mid - hypot(mid - tab->lo[i], by));
		tab->hi[i] = fmin(cap, fmax(tab->hi[i - 1], mid + hypot(tab->hi[i] - mid, by)));
	}
}

void dp_curve_widen(struct dp_curve *c, double spread, double lasting)
{
	int s;

	for (s = 0; s < DP_SIZES && spread > 0.0 && lasting > 0.0; s++) {
		if (dp_curve_known(c, (enum dp_size)s))
			widen(&c->size[s].tab, c->blocks[s], spread, lasting);
	}
}

bool dp_curve_known(const struct dp_curve *c, enum dp_size size)
{
	return c && size < DP_SIZES && c->fitted && c->size[size].known;
}

double dp_curve_resolution(const struct dp_curve *c, double *batch)
{
	*batch = c ? dp_lag_batch(&c->lag) : NAN;
	return c ? dp_lag_resolution(&c->lag) : NAN;
}

double dp_curve_blocks(const struct dp_curve *c, enum dp_size size)
{
	return c && size < DP_SIZES ? c->blocks[size] : 0.0;
}

static double along(const struct dp_table *tab, const double *v, uint32_t i, double t)
{
	return v[i] + (v[i + 1] - v[i]) * (t - tab->t[i]) / (tab->t[i + 1] - tab->t[i]);
}

struct dp_est dp_curve_eval(const struct dp_curve *c, enum dp_size size, double t)
{
	double cap = dp_curve_blocks(c, size);
	const struct dp_table *tab;
	struct dp_est e = { 0 };
	uint32_t a = 0, b;

	if (!(t > 0.0))
		return e;
	if (!dp_curve_known(c, size)) {
		e.hi = cap;
		return e;
	}
	tab = &c->size[size].tab;
	for (b = tab->n - 1; b - a > 1;) {
		uint32_t m = (a + b) / 2;

		if (tab->t[m] <= t)
			a = m;
		else
			b = m;
	}
	e.lo = along(tab, tab->lo, a, fmin(t, tab->t[tab->n - 1]));
	e.hi = fmin(cap, along(tab, tab->hi, a, t));
	e.mid = fmin(e.hi, along(tab, tab->mid, a, t));
	return e;
}

struct dp_est dp_curve_rate(const struct dp_curve *c, enum dp_size size)
{
	if (!dp_curve_known(c, size))
		return (struct dp_est){ .hi = HUGE_VAL };
	return c->size[size].rate;
}

struct dp_est dp_curve_region_eval(const struct dp_curve *c, uint32_t region, double t)
{
	struct dp_est e = { 0 };
	double cap;

	if (!c || region >= c->nregions || !(t > 0.0))
		return e;
	cap = c->region_pages[region];
	e.hi = cap;
	if (!c->fitted)
		return e;
	if (c->given) {
		/* Not held to the region's size: it is the regions' shares that predictions ask for. */
		e.mid = dp_curve_eval(c, DP_4K, t).mid * dp_points_share(c->given, region, t);
		return e;
	}
	if (c->region[region].wfit && !(c->size[DP_4K].mid.n && t <= dp_ages_reach(c, DP_4K)))
		return dp_wfit_eval(c->region[region].wfit, t);
	if (!c->size[DP_4K].mid.n)
		return e;
	e = dp_ages_region_eval(c, region, t);
	e.hi = fmin(cap, e.hi);
	e.lo = fmin(e.lo, e.hi);
	e.mid = fmin(e.hi, fmax(e.lo, e.mid));
	return e;
}

double dp_curve_region_mid(const struct dp_curve *c, uint32_t region, double t)
{
	/* Most of a large VM's regions: asked for at every time of a table, for each prediction. */
	if (c && c->fitted && !c->given && region < c->nregions && !c->region[region].wfit &&
	    !c->region[region].edges)
		return 0.0;
	return dp_curve_region_eval(c, region, t).mid;
}

bool dp_curve_region_same(const struct dp_curve *c, uint32_t region)
{
	return c && c->fitted && !c->given && region < c->nregions && c->region[region].shared &&
	       !c->size[DP_4K].mid.n;
}

uint32_t dp_curve_regions(const struct dp_curve *c)
{
	return c ? c->nregions : 0;
}

double dp_curve_region_pages(const struct dp_curve *c, uint32_t region)
{
	return c && region < c->nregions ? c->region_pages[region] : 0.0;
}

double dp_curve_reach(const struct dp_curve *c, enum dp_size size)
{
	return dp_curve_known(c, size) ? c->size[size].reach : 0.0;
}

uint32_t dp_curve_windows(const struct dp_curve *c, double *t, uint32_t n)
{
	uint32_t found;

	if (!c)
		return 0;
	found = dp_windows_list(&c->size[DP_4K], true, t, n);
	return found ? found : dp_windows_list(&c->size[DP_4K], false, t, n);
}
