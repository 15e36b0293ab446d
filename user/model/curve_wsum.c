// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* U(t) of the VM from looks at the log: the sum of the regions' (curve_wfit.c), and what is known of the whole. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "model/curve_impl.h"

/*
 * Blocks of a size above 4K that a region holds are not told apart: as many as its pages fill, in proportion
 * so that they add up to the whole.
 */
static void region_caps(const struct dp_curve *c, enum dp_size size, double *cap)
{
	double per = (double)(1u << (dp_size_shift(size) - 12)), sum = 0.0;
	uint32_t r;

	for (r = 0; r < c->nregions; r++) {
		cap[r] = ceil(c->region_pages[r] / per);
		sum += cap[r];
	}
	for (r = 0; size != DP_4K && sum > 0.0 && r < c->nregions; r++)
		cap[r] *= c->blocks[size] / sum;
}

/* Adds a part's regions, each by itself; of equal ones the curve is made once. */
static int add_part(struct dp_table *tab, const struct dp_wpart *part, const double *cap,
		    struct dp_wnoise noise, struct dp_est *e, double *reach)
{
	uint32_t i, r, to = part->first + part->n;
	bool rises = false; /* from 0 */
	struct dp_wfit f;
	int err;

	for (r = part->first; r < to; r++) {
		if (r == part->first || cap[r] != cap[r - 1]) {
			err = dp_wfit_build(&f, &part->set, cap[r], noise);
			if (err)
				return err;
			for (i = 0, rises = false; i < tab->n; i++) {
				e[i] = dp_wfit_eval(&f, tab->t[i]);
				rises = rises || e[i].mid > 0.0;
			}
			*reach = dp_max(*reach, f.reach);
			dp_wfit_free(&f);
		}
		for (i = 0; rises && i < tab->n; i++) {
			tab->lo[i] += e[i].lo;
			tab->mid[i] += e[i].mid;
		}
		for (i = 0; i < tab->n; i++)
			tab->hi[i] += e[i].hi;
	}
	return 0;
}

static int add_parts(struct dp_table *tab, const struct dp_wpart *part, uint32_t n, const double *cap,
		     double *reach)
{
	struct dp_wnoise noise = dp_windows_noise(part, n, cap);
	struct dp_est *e = calloc(tab->n, sizeof(*e));
	int err = e ? 0 : -ENOMEM;
	uint32_t i;

	for (i = 0; !err && i < n; i++)
		err = add_part(tab, &part[i], cap, noise, e, reach);
	free(e);
	return err;
}

/* The whole VM's own points and the sum over regions both hold: the band is what both allow. */
static int narrow(struct dp_table *tab, const struct dp_wset *set, double cap)
{
	const struct dp_wpart one = { .n = 1, .set = *set };
	struct dp_wfit f;
	uint32_t i;
	int err = dp_wfit_build(&f, set, cap, dp_windows_noise(&one, 1, &cap));

	if (err)
		return err;
	for (i = 0; i < tab->n; i++) {
		struct dp_est e = dp_wfit_eval(&f, tab->t[i]);

		double noise = tab->t[i] > 0.0 ? dp_wfit_noise(&f, tab->t[i]) : 0.0;

		e.lo = dp_max(tab->lo[i], e.lo);
		e.hi = dp_max(e.lo, dp_min(tab->hi[i], e.hi));
		tab->mid[i] = dp_min(e.hi, dp_max(e.lo, e.mid));
		tab->lo[i] = dp_max(0.0, dp_min(e.lo, tab->mid[i] - noise));
		tab->hi[i] = dp_min(cap, dp_max(e.hi, tab->mid[i] + noise));
	}
	dp_wfit_free(&f);
	return 0;
}

/*
 * Adds the sum over regions to a table whose t are set. A whole-VM set wins over sets by region. Returns 1
 * where there was something, 0 where not, or -ENOMEM.
 */
int dp_windows_fit_size(struct dp_curve *c, enum dp_size size, struct dp_table *tab)
{
	struct dp_size_data *d = &c->size[size];
	struct dp_wpart one;
	double *cap, reach = 0.0;
	uint32_t n;
	const struct dp_wpart *part = dp_windows_parts(d, &one, &n);
	int err;

	if (part == &one) {
		err = add_parts(tab, part, n, &d->blocks, &reach);
		d->reach = dp_max(d->reach, reach);
		return err ? err : 1;
	}
	if (!n || !c->nregions)
		return 0;
	cap = calloc(c->nregions, sizeof(*cap));
	if (!cap)
		return -ENOMEM;
	region_caps(c, size, cap);
	err = add_parts(tab, part, n, cap, &reach);
	free(cap);
	if (!err && d->whole.n)
		err = narrow(tab, &d->whole, d->blocks);
	d->reach = dp_max(d->reach, reach);
	return err ? err : 1;
}

void dp_windows_drop_fits(struct dp_curve *c)
{
	uint32_t r;

	for (r = 0; r < c->nregions; r++) {
		struct dp_region_data *g = &c->region[r];

		if (g->wfit && !g->shared) {
			dp_wfit_free(g->wfit);
			free(g->wfit);
		}
		g->wfit = NULL;
		g->shared = false;
	}
}

/* Each region's own curve. */
int dp_windows_fit_regions(struct dp_curve *c)
{
	const struct dp_size_data *d = &c->size[DP_4K];
	struct dp_wnoise noise = dp_windows_noise(d->part, d->nparts, c->region_pages);
	uint32_t i, r;
	int err;

	noise.share = 1.0;
	dp_windows_drop_fits(c);
	for (i = 0; i < d->nparts; i++) {
		const struct dp_wpart *p = &d->part[i];

		for (r = p->first; p->set.n && r < p->first + p->n; r++) {
			struct dp_region_data *g = &c->region[r];

			g->shared = r > p->first && c->region_pages[r] == c->region_pages[r - 1];
			if (g->shared) {
				g->wfit = g[-1].wfit;
				continue;
			}
			g->wfit = calloc(1, sizeof(*g->wfit));
			if (!g->wfit)
				return -ENOMEM;
			err = dp_wfit_build(g->wfit, &p->set, c->region_pages[r], noise);
			if (err)
				return err;
		}
	}
	return 0;
}
