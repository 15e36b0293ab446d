// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "model/change_est.h"

#include <math.h>
#include <string.h>

#define Z90 1.2815515655446004

double dp_student_90(double df)
{
	const double z = Z90, z3 = z * z * z, z5 = z3 * z * z;

	/* exact for 1 and 2; else Abramowitz and Stegun 26.7.5, within 0.001 from 3 on */
	if (df < 2)
		return 3.0776835371752536;
	if (df < 3)
		return 1.8856180831641267;
	return z + (z3 + z) / (4 * df) + (5 * z5 + 16 * z3 + 3 * z) / (96 * df * df) +
	       (3 * z5 * z * z + 19 * z5 + 17 * z3 - 15 * z) / (384 * df * df * df);
}

/* Variance of the ratio of the sums a and d. */
static double ratio_variance(const struct dp_change_sum *s, double r)
{
	double left = fmax(0, 1 - s->fraction), v = HUGE_VAL;
	double squares = fmax(0, s->aa - 2 * r * s->ad + r * r * s->dd);

	if (s->n >= 2)
		v = left * s->n / (s->n - 1) * squares / (s->d * s->d);
	return fmax(v, left * r * (1 - r) / s->pages);
}

struct dp_est dp_change_stratum(const struct dp_change_sum *s)
{
	double r, trials, t, middle, half, left = 1 - s->fraction;

	if (!(s->n > 0) || !(s->d > 0))
		return (struct dp_est){ NAN, NAN, NAN };
	r = fmin(1, fmax(0, s->a / s->d));
	if (left <= 0)
		return (struct dp_est){ r, r, r };
	/* Where all granules are alike, all changed or none, nothing tells how alike the others are: a granule counts once. */
	trials = r > 0 && r < 1 ? r * (1 - r) / ratio_variance(s, r) : s->n / left;
	if (s->n < 2)
		trials = 1 / left;
	t = dp_student_90(s->n - 1);
	middle = (r + t * t / (2 * trials)) / (1 + t * t / trials);
	half = t * sqrt(r * (1 - r) / trials + t * t / (4 * trials * trials)) / (1 + t * t / trials);
	return (struct dp_est){ fmin(r, fmax(0, middle - half)), r, fmax(r, fmin(1, middle + half)) };
}

static void join(struct dp_change_past *p, double total, struct dp_est e)
{
	double below = total * (e.mid - e.lo), above = total * (e.hi - e.mid);

	p->total += total;
	p->changed += total * e.mid;
	p->below += below * below;
	p->above += above * above;
}

/* Adds the strata to *past. */
static void join_strata(const struct dp_change_sum *again, const struct dp_change_sum *first,
			struct dp_change_past *past)
{
	struct dp_est e[2] = { dp_change_stratum(again), dp_change_stratum(first) };
	const struct dp_change_sum *s[2] = { again, first };
	double known = past->total, changed = past->changed;
	int i;

	for (i = 0; i < 2; i++) {
		if (isnan(e[i].mid))
			continue;
		known += s[i]->total;
		changed += s[i]->total * e[i].mid;
	}
	for (i = 0; i < 2; i++) {
		if (isnan(e[i].mid))
			e[i] = (struct dp_est){ 0, known > 0 ? changed / known : 0.5, 1 };
		if (s[i]->total > 0)
			join(past, s[i]->total, e[i]);
	}
}

void dp_change_close(struct dp_change_sum *again, struct dp_change_sum *first, struct dp_change_past *past)
{
	if (again->n > 0 || first->n > 0 || past->total > 0)
		join_strata(again, first, past);
	memset(again, 0, sizeof(*again));
	memset(first, 0, sizeof(*first));
}

struct dp_est dp_change_share(const struct dp_changes *c)
{
	struct dp_change_past p = c->past;
	double mid, missed;
	struct dp_est e;

	if (!(c->again.n > 0) && !(c->first.n > 0) && !(p.total > 0))
		return (struct dp_est){ NAN, NAN, NAN };
	join_strata(&c->again, &c->first, &p);
	if (!(p.total > 0))
		return (struct dp_est){ NAN, NAN, NAN };
	mid = p.changed / p.total;
	e = (struct dp_est){ fmax(0, mid - sqrt(p.below) / p.total), mid, mid + sqrt(p.above) / p.total };
	missed = c->window_ns ? fmin(0.9, (double)c->lag_ns / (double)c->window_ns) : 0;
	e.hi = fmin(1, e.hi / (1 - missed));
	return e;
}
