// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Numerics under the curve: Student's quantiles, a monotone and concave fit of binned counts, and the
 * band that a non-decreasing concave function through 0 must keep to once it is bounded at some points.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "model/curve_impl.h"

/* Interpolated in 1/dof, in which the quantile is nearly straight; off by less than 1 % everywhere. */
double dp_student90(double dof)
{
	static const struct {
		double inv, q;
	} tab[] = {
		{ 0.0, DP_Z90 },     { 1.0 / 30, 1.3104 },  { 1.0 / 15, 1.3406 }, { 1.0 / 10, 1.3722 },
		{ 1.0 / 7, 1.4149 }, { 1.0 / 5, 1.4759 },   { 1.0 / 4, 1.5332 },  { 1.0 / 3, 1.6377 },
		{ 1.0 / 2, 1.8856 }, { 1.0 / 1.5, 2.2210 }, { 1.0, 3.0777 },
	};
	double x = dof > 1.0 ? 1.0 / dof : 1.0;
	unsigned int i;

	for (i = 1; i + 1 < sizeof(tab) / sizeof(tab[0]); i++) {
		if (x <= tab[i].inv)
			break;
	}
	return tab[i - 1].q +
	       (tab[i].q - tab[i - 1].q) * (x - tab[i - 1].inv) / (tab[i].inv - tab[i - 1].inv);
}

#define APART 0.6

static double bin_seconds(uint32_t b)
{
	return (double)dp_bin_lo(b) * 1e-9;
}

/*
 * Pool adjacent violators: the steepest-first fit of the density of first dirtyings. Bin i had count[i] of
 * them while expo[i] anchors aged through it. Neighbours whose densities rise are pooled, which is the
 * maximum-likelihood fit among non-increasing densities. u[0..n] is its integral at the bin edges.
 */
void dp_pava_slopes(const double *count, const double *expo, uint32_t n, double *u, double cap)
{
	double c[DP_BINS], w[DP_BINS];
	uint32_t start[DP_BINS], nb = 0, i, b;

	for (i = 0; i < n; i++) {
		c[nb] = count[i];
		w[nb] = expo[i] * (bin_seconds(i + 1) - bin_seconds(i));
		start[nb] = i;
		while (nb && c[nb] * w[nb - 1] > c[nb - 1] * w[nb]) {
			c[nb - 1] += c[nb];
			w[nb - 1] += w[nb];
			nb--;
		}
		nb++;
	}
	u[0] = 0.0;
	for (b = 0, i = 0; i < n; i++) {
		if (b + 1 < nb && start[b + 1] == i)
			b++;
		u[i + 1] = dp_min(cap, u[i] + c[b] / w[b] * (bin_seconds(i + 1) - bin_seconds(i)));
	}
}

static uint32_t edge_bin(const struct dp_edges *e, double t)
{
	uint32_t b;

	if (t >= bin_seconds(e->n))
		return e->n;
	b = dp_bin_of((unsigned long long)(t * 1e9));
	return b < e->n ? b : e->n - 1;
}

/* Straight within a bin. Beyond the last edge it goes on at the mean slope of the last half of the reach. */
double dp_edges_eval(const struct dp_edges *e, double t)
{
	double a, b, end, half;
	uint32_t i;

	if (!e->n || !(t > 0.0))
		return 0.0;
	i = edge_bin(e, t);
	if (i < e->n) {
		a = bin_seconds(i);
		b = bin_seconds(i + 1);
		return e->u[i] + (e->u[i + 1] - e->u[i]) * dp_min(1.0, (t - a) / (b - a));
	}
	end = bin_seconds(e->n);
	half = dp_edges_eval(e, end / 2);
	return e->u[e->n] + (e->u[e->n] - half) / (end / 2) * (t - end);
}

/* How far a concave curve through the same edges may rise above the straight line within t's bin. */
double dp_edges_kink(const struct dp_edges *e, double t)
{
	double a, b, y, from_left, from_right = INFINITY;
	uint32_t i;

	if (!e->n || !(t > 0.0))
		return 0.0;
	i = edge_bin(e, t);
	if (i >= e->n)
		return 0.0;
	a = bin_seconds(i);
	b = bin_seconds(i + 1);
	y = dp_edges_eval(e, t);
	/* In the first bin nothing bounds it on the left but its own end. */
	from_left = e->u[i + 1];
	if (i > 0)
		from_left = e->u[i] + (e->u[i] - e->u[i - 1]) / (a - bin_seconds(i - 1)) * (t - a);
	from_right = e->u[i + 1];
	if (i + 1 < e->n)
		from_right -= (e->u[i + 2] - e->u[i + 1]) / (bin_seconds(i + 2) - b) * (b - t);
	return dp_max(0.0, dp_min(from_left, from_right) - y);
}

static int by_thi(const void *a, const void *b)
{
	const struct dp_bound *x = a, *y = b;

	return (x->thi > y->thi) - (x->thi < y->thi);
}

/* Least concave majorant of (0,0) and the lower bounds, cut where it would begin to fall. */
static void majorant(struct dp_hull *h)
{
	uint32_t i, top = 0, nv = 1;

	h->vt[0] = h->vu[0] = 0.0;
	for (i = 0; i < h->n; i++) {
		double t = h->p[i].thi, u = h->p[i].l;

		if (t <= h->vt[nv - 1]) {
			if (nv == 1 || u <= h->vu[nv - 1])
				continue;
			nv--;
		}
		while (nv >= 2 && (h->vu[nv - 1] - h->vu[nv - 2]) * (t - h->vt[nv - 2]) <=
					  (u - h->vu[nv - 2]) * (h->vt[nv - 1] - h->vt[nv - 2]))
			nv--;
		h->vt[nv] = t;
		h->vu[nv++] = u;
	}
	for (i = 1; i < nv; i++) {
		if (h->vu[i] > h->vu[top])
			top = i;
	}
	h->nv = top + 1;
}

/*
 * From a point below the curve at ta < tlo and one above it at tlo, concavity allows no steeper rise after
 * tlo than between the two; from one below it at ta > tlo, no slower rise before tlo. Points close to each other are not
 * used: their difference is mostly noise, and of many slopes the one that errs most would win.
 */
static void slopes(struct dp_hull *h)
{
	uint32_t i, j;

	for (i = 0; i < h->n; i++) {
		struct dp_bound *p = &h->p[i];

		p->right = p->tlo > 0.0 ? p->h / p->tlo : INFINITY;
		p->left = 0.0;
		for (j = 0; j < h->n; j++) {
			double ta = h->p[j].thi, la = h->p[j].l;

			if (ta <= APART * p->tlo)
				p->right = dp_min(p->right, (p->h - la) / (p->tlo - ta));
			else if (APART * ta >= p->tlo)
				p->left = dp_max(p->left, (la - p->h) / (ta - p->tlo));
		}
		p->right = dp_max(0.0, p->right);
	}
}

/* Copies the points. 0 or -ENOMEM. */
int dp_hull_build(struct dp_hull *h, const struct dp_bound *p, uint32_t n)
{
	uint32_t i;

	*h = (struct dp_hull){ .n = n };
	h->p = calloc(n ? n : 1, sizeof(*h->p));
	h->vt = calloc(2 * ((size_t)n + 1), sizeof(*h->vt));
	if (!h->p || !h->vt) {
		dp_hull_free(h);
		return -ENOMEM;
	}
	h->vu = h->vt + n + 1;
	for (i = 0; i < n; i++)
		h->p[i] = p[i];
	qsort(h->p, n, sizeof(*h->p), by_thi);
	majorant(h);
	slopes(h);
	return 0;
}

void dp_hull_free(struct dp_hull *h)
{
	free(h->p);
	free(h->vt);
	*h = (struct dp_hull){ 0 };
}

double dp_hull_lo(const struct dp_hull *h, double t)
{
	uint32_t a = 0, b = h->nv;

	if (h->nv < 2 || !(t > 0.0))
		return 0.0;
	if (t >= h->vt[h->nv - 1])
		return h->vu[h->nv - 1];
	while (b - a > 1) {
		uint32_t m = (a + b) / 2;

		if (h->vt[m] <= t)
			a = m;
		else
			b = m;
	}
	return h->vu[a] + (h->vu[a + 1] - h->vu[a]) * (t - h->vt[a]) / (h->vt[a + 1] - h->vt[a]);
}

/* Straight on from each point at the slopes that the others allow; what all of them allow holds. */
double dp_hull_hi(const struct dp_hull *h, double t)
{
	double best = INFINITY;
	uint32_t i;

	if (!(t > 0.0))
		return 0.0;
	for (i = 0; i < h->n; i++) {
		const struct dp_bound *p = &h->p[i];
		double slope = t <= p->tlo ? p->left : p->right;

		best = dp_min(best, p->h + slope * (t - p->tlo));
	}
	return best;
}
