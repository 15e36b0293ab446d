// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * U(t) from looks at the log. A look says only that a page was written between its re-arming and the look, so
 * it gives points, each with its noise. What U does between them is bounded by U(0) = 0, by never falling and
 * by concavity (curve_band.c).
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "model/curve_impl.h"

#define MANY	8   /* points; of more, some err by more than their half band ... */
#define FAR	1.6 /* ... so that they are given this many where they bound other times */
#define RARE	4
#define CLOSE	1.5
#define REPEATS 3
#define ASSUMED 0.05 /* of U: spread assumed while no window was repeated */

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
		bool apart =
			a && (a->peek || b->peek || b->hi_s / b->armed > DP_SAME_LENGTH * a->hi_s / a->armed);

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
	}
	return n;
}

/*
 * Leaves out lengths that few armings have, close to one that many have: they add noise, and one look at a guest that
 * was held up would bound the whole curve. Returns the number left.
 */
static uint32_t leave_out_rare(struct dp_wbin *b, uint32_t n)
{
	uint32_t i, j, k = 0;
	bool keep[DP_MAX_KNOTS];

	for (i = 0; i < n; i++) {
		keep[i] = true;
		for (j = 0; j < n; j++)
			if (b[j].n >= RARE * b[i].n && b[j].tmax < CLOSE * b[i].tmax &&
			    b[i].tmax < CLOSE * b[j].tmax)
				keep[i] = false;
	}
	for (i = 0; i < n; i++)
		if (keep[i])
			b[k++] = b[i];
	return k;
}

/* Variance of one arming's share of dirty blocks, were blocks independent; never 0 (half a block at least). */
static double binomial(const struct dp_wbin *b)
{
	double per = b->armed / b->n, p = (b->dirty + 0.5) / (b->armed + 1.0);

	return p * (1.0 - p) / per;
}

static uint32_t octave(const struct dp_wbin *b)
{
	return b->bin / DP_BIN_SUB;
}

static void add_near(struct dp_wnoise *noise, const struct dp_wbin *b, double between)
{
	uint32_t o = octave(b);

	noise->near_between[o] += between;
	noise->near_dof[o] += b->n - 1.0;
	/* Lengths of one arming go together: the most repeated one tells how many repeats there were. */
	noise->near_repeats[o] = dp_max(noise->near_repeats[o], b->n - 1.0);
}

/* A guest's bursts show in short windows and not in long ones: where enough were repeated, noise of about that length. */
static void near_noise(const struct dp_wnoise *noise, const struct dp_wbin *b, double *effect, double *dof)
{
	uint32_t o = octave(b), i;
	double between = 0.0, sum = 0.0, repeats = 0.0;

	for (i = o ? o - 1 : 0; i <= o + 1 && i < DP_OCTAVES; i++) {
		between += noise->near_between[i];
		sum += noise->near_dof[i];
		repeats = dp_max(repeats, noise->near_repeats[i]);
	}
	*effect = noise->effect;
	*dof = noise->dof;
	if (repeats < REPEATS)
		return;
	*effect = dp_max(1.0, between / sum);
	*dof = repeats;
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
			double spread = dp_max(0.0, bins[i].ap2 / bins[i].armed - v * v) * bins[i].n;

			between += spread / binomial(&bins[i]);
			own += bins[i].n - 1.0;
			add_near(&noise, &bins[i], spread / binomial(&bins[i]));
		}
		dof += own;
		/* Regions are armed together: their windows do not add independent repeats. */
		noise.dof = dp_max(noise.dof, own);
		if (nb) {
			double sd = sqrt(binomial(&bins[nb - 1])) * cap[r];

			straight += sd;
			square += sd * sd;
		}
	}
	if (dof > 0.0)
		noise.effect = dp_max(1.0, between / dof);
	if (straight > 0.0)
		noise.share = sqrt(square) / straight;
	return noise;
}

/* Half band of a point, in shares of the armed blocks. */
static double half_band(const struct dp_wbin *b, struct dp_wnoise noise)
{
	double v = b->dirty / b->armed, floor_sd = sqrt(binomial(b) / b->n), sd = 0.0, effect, dof, q;

	near_noise(&noise, b, &effect, &dof);
	dof = dp_max(dof, b->n - 1.0);
	if (dof < 1.0)
		return dp_max(DP_Z90 * floor_sd * noise.share, ASSUMED * v);
	q = dp_student90(dof);
	if (b->n > 1)
		sd = sqrt(dp_max(0.0, b->ap2 / b->armed - v * v) / (b->n - 1)) * dp_student90(b->n - 1) / q;
	sd = dp_max(sd, floor_sd * sqrt(effect));
	/* The binomial part may cancel between regions, what exceeds it may not. */
	return q * (floor_sd * noise.share + dp_max(0.0, sd - floor_sd));
}

/*
 * Two points can contradict each other: no concave curve through 0 is below the one and above the other. Left alone, they
 * would leave no room between the bounds. The one that more armings are behind is believed; of equals neither.
 */
static void reconcile(struct dp_bound *p, const struct dp_wbin *b, uint32_t n)
{
	uint32_t i, j;

	for (i = 0; i < n; i++) {
		for (j = 0; j < n; j++) {
			/* How much larger U may be at j than at i. */
			double rise = dp_max(1.0, p[i].tlo > 0.0 ? p[j].thi / p[i].tlo : 1.0), h = p[i].h,
			       l = p[j].l;

			if (i == j || l <= h * rise)
				continue;
			if (b[i].n <= b[j].n)
				p[i].h = l / rise;
			if (b[j].n <= b[i].n)
				p[j].l = h * rise;
		}
	}
}

/* noise.share < 1 gives the band to be used in a sum over regions. 0 or -ENOMEM. */
int dp_wfit_build(struct dp_wfit *f, const struct dp_wset *s, double cap, struct dp_wnoise noise)
{
	struct dp_bound p[DP_MAX_KNOTS] = { 0 };
	struct dp_wbin bins[DP_MAX_KNOTS];
	uint32_t n = merge(s, bins), i;
	double half[DP_MAX_KNOTS];
	int err;

	n = leave_out_rare(bins, n);
	*f = (struct dp_wfit){ .cap = cap, .far = n > MANY ? FAR : 1.0 };
	for (i = 0; i < n; i++) {
		const struct dp_wbin *b = &bins[i];
		double u = cap * b->dirty / b->armed;

		p[i] = (struct dp_bound){
			.tlo = b->lo_s / b->armed, .thi = b->hi_s / b->armed, .l = u, .h = u
		};
		/* Averaging over unequal lengths lowers a concave curve by at most this. */
		half[i] = half_band(b, noise) * cap + u * (b->tmax - b->tmin) / (4 * b->tmax);
		half[i] += DP_RESOLUTION * u;
		f->reach = dp_max(f->reach, p[i].thi);
	}
	err = dp_hull_build(&f->mid, p, n);
	for (i = 0; i < n; i++) {
		p[i].l = dp_max(0.0, p[i].l - f->far * half[i]);
		p[i].h = dp_min(cap, p[i].h + f->far * half[i]);
	}
	reconcile(p, bins, n);
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

/*
 * Half band of the points around t. Many points bound each other, but looks of one arming err together, so a
 * band narrower than its points' own noise is not believed.
 */
static double noise_at(const struct dp_wfit *f, double t)
{
	const struct dp_bound *p = f->band.p;
	uint32_t n = f->band.n, i;
	double a, b;

	for (i = 0; i < n && p[i].thi < t; i++)
		;
	b = i < n ? (p[i].h - p[i].l) / (2 * f->far) : (p[n - 1].h - p[n - 1].l) / (2 * f->far);
	if (i == n || p[i].thi <= t)
		return b;
	if (!i)
		return b * t / p[0].thi;
	a = (p[i - 1].h - p[i - 1].l) / (2 * f->far);
	return p[i].thi > p[i - 1].thi ? a + (b - a) * (t - p[i - 1].thi) / (p[i].thi - p[i - 1].thi) : b;
}

/* What the next point alone says from above, and the last one from below, with their own half bands. */
static void bound_by_neighbours(const struct dp_wfit *f, double t, struct dp_est *e)
{
	const struct dp_bound *p = f->band.p;
	uint32_t n = f->band.n, i;

	for (i = 0; i < n && p[i].tlo < t; i++)
		;
	if (i < n)
		e->hi = dp_min(e->hi, (p[i].h + p[i].l) / 2 + (p[i].h - p[i].l) / (2 * f->far));
	for (i = n; i > 0 && p[i - 1].thi > t; i--)
		;
	if (i > 0)
		e->lo = dp_max(e->lo,
			       (p[i - 1].h + p[i - 1].l) / 2 - (p[i - 1].h - p[i - 1].l) / (2 * f->far));
	e->hi = dp_max(e->hi, e->lo);
}

/* The middle is the geometric mean of what the points allow: it passes through them and through 0. */
struct dp_est dp_wfit_eval(const struct dp_wfit *f, double t)
{
	struct dp_est e = { 0 };
	double noise, lo, hi;

	if (!(t > 0.0))
		return e;
	if (!f->band.n) {
		e.hi = f->cap;
		return e;
	}
	noise = noise_at(f, t);
	lo = dp_hull_lo(&f->band, t);
	hi = dp_hull_hi(&f->band, t);
	e.lo = dp_min(f->cap, lo);
	e.hi = dp_min(f->cap, dp_max(hi, lo));
	if (f->far > 1.0)
		bound_by_neighbours(f, t, &e);
	lo = dp_hull_lo(&f->mid, t);
	hi = dp_hull_hi(&f->mid, t);
	e.mid = sqrt(lo * dp_min(f->cap, dp_max(hi, lo)));
	e.mid = dp_min(e.hi, dp_max(e.lo, e.mid));
	e.lo = dp_max(0.0, dp_min(e.lo, e.mid - noise));
	e.hi = dp_min(f->cap, dp_max(e.hi, e.mid + noise));
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
	*reach = dp_max(*reach, f.reach);
	dp_wfit_free(&f);
	return 0;
}

/* The whole VM's own points and the sum over regions both hold: the band is what both allow. */
static int narrow(struct dp_table *tab, const struct dp_wset *set, double cap)
{
	struct dp_wfit f;
	uint32_t i;
	int err = dp_wfit_build(&f, set, cap, dp_windows_noise(set, &cap, 1));

	if (err)
		return err;
	for (i = 0; i < tab->n; i++) {
		struct dp_est e = dp_wfit_eval(&f, tab->t[i]);

		double noise = tab->t[i] > 0.0 ? noise_at(&f, tab->t[i]) : 0.0;

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
	struct dp_wnoise noise;
	double *cap, reach = 0.0;
	uint32_t r;
	int err = 0;

	if (d->all_set.n) {
		noise = dp_windows_noise(&d->all_set, &d->blocks, 1);
		err = add_set(tab, &d->all_set, d->blocks, noise, &reach);
		d->reach = dp_max(d->reach, reach);
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
	if (!err && d->whole.n)
		err = narrow(tab, &d->whole, d->blocks);
	d->reach = dp_max(d->reach, reach);
	return err ? err : 1;
}
