// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * U(t) from looks at the log (harvest). A look says only that a page was written between its re-arming and
 * the look, so it gives points: of `armed` blocks, `dirty` were written within a window of known length.
 * What U does between the points is bounded by U(0) = 0, by never falling and by concavity (curve_band.c).
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "model/curve_impl.h"

#define SAME_LENGTH 1.03 /* windows whose lengths differ by less are one point */
#define ASSUMED     0.05 /* of U: spread assumed while no window was repeated */

int dp_windows_check(const struct dp_snapshot *s)
{
	uint32_t i;

	if (s->nwindows && !s->windows)
		return -EINVAL;
	for (i = 0; i < s->nwindows; i++) {
		const struct dp_window *w = &s->windows[i];

		if (w->size >= DP_SIZES || w->t_lo_ns > w->t_hi_ns || w->dirty > w->armed)
			return -EINVAL;
		if (w->region != DP_REGION_ALL && w->region >= s->vm->nregions)
			return -EINVAL;
	}
	return 0;
}

/* The set's entry for a length, made if it is not there. NULL: out of memory. */
static struct dp_wbin *wset_at(struct dp_wset *s, uint32_t bin)
{
	uint32_t i;

	for (i = 0; i < s->n && s->v[i].bin < bin; i++)
		;
	if (i < s->n && s->v[i].bin == bin)
		return &s->v[i];
	if (s->n == s->cap) {
		uint32_t cap = s->cap ? 2 * s->cap : 8;
		struct dp_wbin *v = realloc(s->v, cap * sizeof(*v));

		if (!v)
			return NULL;
		s->v = v;
		s->cap = cap;
	}
	for (uint32_t j = s->n; j > i; j--)
		s->v[j] = s->v[j - 1];
	s->n++;
	s->v[i] = (struct dp_wbin){ .bin = bin };
	return &s->v[i];
}

/*
 * Looks of one arming grow out of each other, so an arming counts once a length: the first look of it.
 */
static int wset_add(struct dp_wset *s, const struct dp_window *w)
{
	double lo = (double)w->t_lo_ns * 1e-9, hi = (double)w->t_hi_ns * 1e-9;
	double armed = (double)w->armed, p = (double)w->dirty / armed;
	struct dp_wbin *b = wset_at(s, dp_bin_of(w->t_hi_ns));

	if (!b)
		return -ENOMEM;
	b->synced = b->synced || !w->peek;
	b->peeked = b->peeked || w->peek;
	if (b->n && b->last_arming == w->arming)
		return 0;
	b->last_arming = w->arming;
	b->tmin = b->n ? fmin(b->tmin, hi) : hi;
	b->tmax = b->n ? fmax(b->tmax, hi) : hi;
	b->n++;
	b->armed += armed;
	b->dirty += (double)w->dirty;
	b->ap2 += armed * p * p;
	b->lo_s += armed * lo;
	b->hi_s += armed * hi;
	return 0;
}

int dp_windows_add(struct dp_curve *c, const struct dp_snapshot *s)
{
	uint32_t i;

	for (i = 0; i < s->nwindows; i++) {
		const struct dp_window *w = &s->windows[i];
		struct dp_size_data *d = &c->size[w->size];
		struct dp_wset *set = &d->all_set;
		int err;

		if (!w->armed || !w->t_hi_ns)
			continue;
		if (w->region != DP_REGION_ALL) {
			if (!d->set)
				d->set = calloc(c->nregions, sizeof(*d->set));
			if (!d->set)
				return -ENOMEM;
			set = &d->set[w->region];
		}
		err = wset_add(set, w);
		if (err)
			return err;
	}
	return 0;
}

/*
 * Merges entries of nearly the same length; not those that peeks are in, as two of them may come from one
 * arming and would count as a repeat. Returns the number left in out (at most DP_MAX_KNOTS).
 */
static uint32_t merge(const struct dp_wset *s, struct dp_wbin *out)
{
	uint32_t i, n = 0;

	for (i = 0; i < s->n; i++) {
		const struct dp_wbin *b = &s->v[i];
		struct dp_wbin *a = n ? &out[n - 1] : NULL;
		bool apart = a && (a->peeked || b->peeked || b->hi_s / b->armed > SAME_LENGTH * a->hi_s / a->armed);

		if (!a || (apart && n < DP_MAX_KNOTS)) {
			out[n++] = *b;
			continue;
		}
		a->n += b->n;
		a->armed += b->armed;
		a->dirty += b->dirty;
		a->ap2 += b->ap2;
		a->lo_s += b->lo_s;
		a->hi_s += b->hi_s;
		a->tmax = b->tmax;
		a->synced = a->synced || b->synced;
		a->peeked = a->peeked || b->peeked;
	}
	return n;
}

/* Variance of one arming's share of dirty blocks, were blocks independent; never 0 (half a block at least). */
static double binomial(const struct dp_wbin *b)
{
	double per = b->armed / b->n, p = (b->dirty + 0.5) / (b->armed + 1.0);

	return p * (1.0 - p) / per;
}

struct dp_wnoise dp_windows_noise(const struct dp_wset *set, const double *cap, uint32_t n)
{
	struct dp_wnoise noise = { .effect = 1.0, .share = 1.0 };
	double between = 0.0, dof = 0.0, straight = 0.0, square = 0.0;
	struct dp_wbin bins[DP_MAX_KNOTS];
	uint32_t r, i;

	for (r = 0; r < n; r++) {
		uint32_t nb = merge(&set[r], bins);
		double own = 0.0;

		for (i = 0; i < nb; i++) {
			double v = bins[i].dirty / bins[i].armed;
			double spread = fmax(0.0, bins[i].ap2 / bins[i].armed - v * v) * bins[i].n;

			between += spread / binomial(&bins[i]);
			own += bins[i].n - 1.0;
		}
		dof += own;
		/* Regions are armed together: their windows do not add independent repeats. */
		noise.dof = fmax(noise.dof, own);
		if (nb) {
			double sd = sqrt(binomial(&bins[nb - 1])) * cap[r];

			straight += sd;
			square += sd * sd;
		}
	}
	if (dof > 0.0)
		noise.effect = fmax(1.0, between / dof);
	if (straight > 0.0)
		noise.share = sqrt(square) / straight;
	return noise;
}

/* Half band of a point, in shares of the armed blocks. */
static double half_band(const struct dp_wbin *b, struct dp_wnoise noise)
{
	double v = b->dirty / b->armed, floor_sd = sqrt(binomial(b) / b->n), sd = 0.0, dof, q;

	dof = fmax(noise.dof, b->n - 1.0);
	if (dof < 1.0)
		return fmax(DP_Z90 * floor_sd * noise.share, ASSUMED * v);
	q = dp_student90(dof);
	if (b->n > 1)
		sd = sqrt(fmax(0.0, b->ap2 / b->armed - v * v) / (b->n - 1)) * dp_student90(b->n - 1) / q;
	sd = fmax(sd, floor_sd * sqrt(noise.effect));
	/* The binomial part may cancel between regions, what exceeds it may not. */
	return q * (floor_sd * noise.share + fmax(0.0, sd - floor_sd));
}

/* noise.share < 1 gives the band to be used in a sum over regions. 0 or -ENOMEM. */
int dp_wfit_build(struct dp_wfit *f, const struct dp_wset *s, double cap, struct dp_wnoise noise)
{
	struct dp_bound p[DP_MAX_KNOTS] = { 0 };
	struct dp_wbin bins[DP_MAX_KNOTS];
	uint32_t n = merge(s, bins), i;
	double half[DP_MAX_KNOTS];
	int err;

	*f = (struct dp_wfit){ .cap = cap };
	for (i = 0; i < n; i++) {
		const struct dp_wbin *b = &bins[i];
		double u = cap * b->dirty / b->armed;

		p[i] = (struct dp_bound){ .tlo = b->lo_s / b->armed, .thi = b->hi_s / b->armed, .l = u, .h = u };
		/* Averaging over unequal lengths lowers a concave curve by at most this. */
		half[i] = half_band(b, noise) * cap + u * (b->tmax - b->tmin) / (4 * b->tmax);
		f->reach = fmax(f->reach, p[i].thi);
	}
	err = dp_hull_build(&f->mid, p, n);
	for (i = 0; i < n; i++) {
		p[i].l = fmax(0.0, p[i].l - half[i]);
		p[i].h = fmin(cap, p[i].h + half[i]);
	}
	if (!err)
		err = dp_hull_build(&f->band, p, n);
	if (err)
		dp_wfit_free(f);
	return err;
}

void dp_wfit_free(struct dp_wfit *f)
{
	dp_hull_free(&f->band);
	dp_hull_free(&f->mid);
}

/* The middle is the geometric mean of what the points allow: it passes through them and through 0. */
struct dp_est dp_wfit_eval(const struct dp_wfit *f, double t)
{
	struct dp_est e = { 0 };

	if (!(t > 0.0))
		return e;
	if (!f->band.n) {
		e.hi = f->cap;
		return e;
	}
	e.lo = fmin(f->cap, dp_hull_lo(&f->band, t));
	e.hi = fmin(f->cap, dp_hull_hi(&f->band, t));
	e.mid = sqrt(dp_hull_lo(&f->mid, t) * fmin(f->cap, dp_hull_hi(&f->mid, t)));
	e.mid = fmin(e.hi, fmax(e.lo, e.mid));
	return e;
}

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

static int add_set(struct dp_table *tab, const struct dp_wset *set, double cap, struct dp_wnoise noise,
		   double *reach)
{
	struct dp_wfit f;
	uint32_t i;
	int err = dp_wfit_build(&f, set, cap, noise);

	if (err)
		return err;
	for (i = 0; i < tab->n; i++) {
		struct dp_est e = dp_wfit_eval(&f, tab->t[i]);

		tab->lo[i] += e.lo;
		tab->mid[i] += e.mid;
		tab->hi[i] += e.hi;
	}
	*reach = fmax(*reach, f.reach);
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
	struct dp_wnoise noise;
	double *cap, reach = 0.0;
	uint32_t r;
	int err = 0;

	if (d->all_set.n) {
		noise = dp_windows_noise(&d->all_set, &d->blocks, 1);
		err = add_set(tab, &d->all_set, d->blocks, noise, &reach);
		d->reach = fmax(d->reach, reach);
		return err ? err : 1;
	}
	if (!d->set || !c->nregions)
		return 0;
	cap = calloc(c->nregions, sizeof(*cap));
	if (!cap)
		return -ENOMEM;
	region_caps(c, size, cap);
	noise = dp_windows_noise(d->set, cap, c->nregions);
	for (r = 0; !err && r < c->nregions; r++)
		err = add_set(tab, &d->set[r], cap[r], noise, &reach);
	free(cap);
	d->reach = fmax(d->reach, reach);
	return err ? err : 1;
}

/* Mean lengths of the windows in n sets, each once; synced: only those at which user space got the log. */
uint32_t dp_windows_list(const struct dp_wset *set, uint32_t n, bool synced, double *t, uint32_t max)
{
	double sum[DP_BINS] = { 0 }, weight[DP_BINS] = { 0 };
	uint32_t i, r, found = 0;

	for (r = 0; r < n; r++) {
		for (i = 0; i < set[r].n; i++) {
			const struct dp_wbin *b = &set[r].v[i];

			if (synced && !b->synced)
				continue;
			sum[b->bin] += b->hi_s;
			weight[b->bin] += b->armed;
		}
	}
	for (i = DP_BINS; i-- > 0;) {
		if (weight[i] <= 0.0)
			continue;
		if (found < max)
			t[found] = sum[i] / weight[i];
		found++;
	}
	return found;
}
