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

/* Over regions. */
struct sums {
	double between, dof, straight, square;
};

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

/* Of each region by itself, though those of a part have all of it in common: the sums are the same to the last bit. */
static void part_noise(struct dp_wnoise *noise, const struct dp_wpart *part, const double *cap,
		       struct sums *sum)
{
	struct dp_wbin bins[DP_MAX_KNOTS];
	uint32_t nb = merge(&part->set, bins), r, i;
	double between[DP_MAX_KNOTS], own = 0.0, sd = nb ? sqrt(binomial(&bins[nb - 1])) : 0.0;

	for (i = 0; i < nb; i++) {
		double v = bins[i].dirty / bins[i].armed;

		between[i] =
			dp_max(0.0, bins[i].ap2 / bins[i].armed - v * v) * bins[i].n / binomial(&bins[i]);
		own += bins[i].n - 1.0;
	}
	for (r = part->first; r < part->first + part->n; r++) {
		for (i = 0; i < nb; i++) {
			sum->between += between[i];
			add_near(noise, &bins[i], between[i]);
		}
		sum->dof += own;
		sum->straight += sd * cap[r];
		sum->square += sd * cap[r] * (sd * cap[r]);
	}
	/* Regions are armed together: their windows do not add independent repeats. */
	noise->dof = dp_max(noise->dof, own);
}

struct dp_wnoise dp_windows_noise(const struct dp_wpart *part, uint32_t n, const double *cap)
{
	struct dp_wnoise noise = { .effect = 1.0, .share = 1.0 };
	struct sums sum = { 0 };
	uint32_t i;

	for (i = 0; i < n; i++)
		part_noise(&noise, &part[i], cap, &sum);
	if (sum.dof > 0.0)
		noise.effect = dp_max(1.0, sum.between / sum.dof);
	if (sum.straight > 0.0)
		noise.share = sqrt(sum.square) / sum.straight;
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
double dp_wfit_noise(const struct dp_wfit *f, double t)
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
	noise = dp_wfit_noise(f, t);
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
