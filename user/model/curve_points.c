// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A curve as a list of points, and a curve made from such a list. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dirtyprof/basis.h"
#include "model/curve_impl.h"

/* The grid that predictions read the curve at: predict_impl.h has the same, and a test holds them together. */
#define GRID_SUB   32
#define GRID_MIN_E (-20)
#define GRID_N	   (44 * GRID_SUB + 1)
#define SHARE_STEP 16
#define RUN	   256	/* grid points that one straight line may stand for */
#define TOLERANCE  1e-4 /* of U */
#define MAX_VALUE  1e15

_Static_assert(GRID_N + 1 == DP_POINTS && (GRID_N - 1) / SHARE_STEP + 1 == DP_POINT_SHARES, "sizes");

/* Seven significant digits: what is written and read back is the same number. */
static double rounded(double v)
{
	char buf[32];

	snprintf(buf, sizeof(buf), "%.6e", v);
	return strtod(buf, NULL);
}

static double grid_time(uint32_t i)
{
	return ldexp(1.0 + (double)(i % GRID_SUB) / GRID_SUB, GRID_MIN_E + (int)(i / GRID_SUB));
}

static bool close_to(double a, double b)
{
	return fabs(a - b) <= TOLERANCE * fmax(a, b) + 1e-9;
}

/* Whether the straight line from grid point a to b stands for all between them. */
static bool straight(const struct dp_est *u, uint32_t a, uint32_t b)
{
	double ta = grid_time(a), len = grid_time(b) - ta;
	uint32_t i;

	for (i = a + 1; i < b; i++) {
		double k = (grid_time(i) - ta) / len;

		if (!close_to(u[i].lo, u[a].lo + k * (u[b].lo - u[a].lo)) ||
		    !close_to(u[i].mid, u[a].mid + k * (u[b].mid - u[a].mid)) ||
		    !close_to(u[i].hi, u[a].hi + k * (u[b].hi - u[a].hi)))
			return false;
	}
	return true;
}

static void put(struct dp_points *p, double t, struct dp_est e)
{
	p->t[p->n] = rounded(t);
	p->lo[p->n] = rounded(e.lo);
	p->mid[p->n] = rounded(e.mid);
	p->hi[p->n] = rounded(e.hi);
	p->n++;
}

/* U never falls; what arithmetic leaves of that in the last digit is put right. */
static int read_grid(const struct dp_curve *c, struct dp_est **out)
{
	struct dp_est *u = calloc(GRID_N, sizeof(*u)), before = { 0 };
	uint32_t i;

	if (!u)
		return -1;
	for (i = 0; i < GRID_N; i++) {
		u[i] = dp_curve_eval(c, DP_4K, grid_time(i));
		u[i].lo = fmax(u[i].lo, before.lo);
		u[i].mid = fmax(fmax(u[i].mid, u[i].lo), before.mid);
		u[i].hi = fmax(fmax(u[i].hi, u[i].mid), before.hi);
		before = u[i];
	}
	*out = u;
	return 0;
}

static void take_curve(const struct dp_curve *c, struct dp_points *p)
{
	struct dp_est *u;
	uint32_t i, next;

	if (read_grid(c, &u))
		return;
	put(p, 0.0, (struct dp_est){ 0 });
	put(p, grid_time(0), u[0]);
	for (i = 0; i < GRID_N - 1; i = next) {
		for (next = i + 1; next + 1 < GRID_N && next - i < RUN && straight(u, i, next + 1);)
			next++;
		put(p, grid_time(next), u[next]);
	}
	free(u);
}

/* The groups' shares of U at a time. Neighbouring regions are grouped as a prediction groups them. */
static void take_share(const struct dp_curve *c, const struct dp_points *p, double t, double *share)
{
	uint32_t regions = dp_curve_regions(c), r, g;
	double sum = 0.0;

	for (g = 0; g < p->ngroups; g++)
		share[g] = 0.0;
	for (r = 0; r < regions; r++) {
		double u = dp_curve_region_eval(c, r, t).mid;

		share[(uint64_t)r * p->ngroups / regions] += u;
		sum += u;
	}
	for (g = 0; g < p->ngroups; g++)
		share[g] = rounded(sum > 0.0 ? share[g] / sum : p->group_pages[g] / fmax(1.0, p->blocks));
}

static bool same_share(const double *a, const double *b, uint32_t n)
{
	while (n--)
		if (!close_to(a[n], b[n]))
			return false;
	return true;
}

static void take_regions(const struct dp_curve *c, struct dp_points *p)
{
	uint32_t regions = dp_curve_regions(c), r, i;

	p->ngroups = regions < DP_POINT_GROUPS ? regions : DP_POINT_GROUPS;
	for (r = 0; r < regions; r++)
		p->group_pages[(uint64_t)r * p->ngroups / regions] += dp_curve_region_pages(c, r);
	for (i = 0; p->ngroups > 1 && i < DP_POINT_SHARES; i++) {
		uint32_t n = p->nshares;

		take_share(c, p, grid_time(i * SHARE_STEP), p->share[n]);
		p->share_t[n] = rounded(grid_time(i * SHARE_STEP));
		/* The middle one of three alike says nothing. */
		if (n > 1 && same_share(p->share[n], p->share[n - 1], p->ngroups) &&
		    same_share(p->share[n], p->share[n - 2], p->ngroups)) {
			memcpy(p->share[n - 1], p->share[n], sizeof(p->share[n]));
			p->share_t[n - 1] = p->share_t[n];
			continue;
		}
		p->nshares++;
	}
	if (p->nshares < DP_POINT_SHARES) {
		memset(p->share[p->nshares], 0, sizeof(p->share[0]));
		p->share_t[p->nshares] = 0;
	}
}

void dp_points_take(const struct dp_curve *c, struct dp_points *out)
{
	memset(out, 0, sizeof(*out));
	if (!dp_curve_known(c, DP_4K))
		return;
	out->reach = rounded(dp_curve_reach(c, DP_4K));
	out->blocks = dp_curve_blocks(c, DP_4K);
	take_curve(c, out);
	if (out->n)
		take_regions(c, out);
}

static bool sane(double v)
{
	return v >= 0.0 && v <= MAX_VALUE;
}

static const char *wrong_shares(const struct dp_points *p)
{
	uint32_t i, g;

	if (p->ngroups > DP_POINT_GROUPS || p->nshares > DP_POINT_SHARES)
		return "too many regions";
	for (g = 0; g < p->ngroups; g++)
		if (!sane(p->group_pages[g]))
			return "a region's size is out of range";
	for (i = 0; i < p->nshares; i++) {
		if (!sane(p->share_t[i]) || (i && p->share_t[i] <= p->share_t[i - 1]))
			return "the times of the regions' shares do not ascend";
		for (g = 0; g < p->ngroups; g++)
			if (!(p->share[i][g] >= 0.0 && p->share[i][g] <= 1.0))
				return "a region's share is not within 0 and 1";
	}
	return NULL;
}

const char *dp_points_wrong(const struct dp_points *p)
{
	uint32_t i;

	if (p->n < 2 || p->n > DP_POINTS)
		return "the curve has too few or too many points";
	if (!sane(p->reach) || !sane(p->blocks))
		return "the curve's reach or size is out of range";
	for (i = 0; i < p->n; i++) {
		if (!sane(p->t[i]) || !sane(p->lo[i]) || !sane(p->mid[i]) || !sane(p->hi[i]))
			return "a point of the curve is out of range";
		if (p->lo[i] > p->mid[i] || p->mid[i] > p->hi[i])
			return "the curve's lower, middle and upper values are not in order";
		if (i && (p->t[i] <= p->t[i - 1] || p->lo[i] < p->lo[i - 1] || p->mid[i] < p->mid[i - 1] ||
			  p->hi[i] < p->hi[i - 1]))
			return "the curve does not ascend";
	}
	return wrong_shares(p);
}

double dp_points_share(const struct dp_points *p, uint32_t group, double t)
{
	double k, sum = 0.0;
	uint32_t i, g;

	if (!p->nshares) {
		for (g = 0; g < p->ngroups; g++)
			sum += p->group_pages[g];
		return sum > 0.0 ? p->group_pages[group] / sum : 0.0;
	}
	for (i = 0; i + 1 < p->nshares && p->share_t[i + 1] <= t;)
		i++;
	if (i + 1 == p->nshares || t <= p->share_t[i])
		return p->share[i][group];
	k = (t - p->share_t[i]) / (p->share_t[i + 1] - p->share_t[i]);
	return p->share[i][group] + k * (p->share[i + 1][group] - p->share[i][group]);
}

/* The four lists are one allocation, as the curve frees it. */
static int give_table(struct dp_table *tab, const struct dp_points *p)
{
	size_t n = p->n, size = n * sizeof(*tab->t);

	tab->t = calloc(4 * n, sizeof(*tab->t));
	if (!tab->t)
		return -1;
	tab->n = p->n;
	tab->lo = tab->t + n;
	tab->mid = tab->lo + n;
	tab->hi = tab->mid + n;
	memcpy(tab->t, p->t, size);
	memcpy(tab->lo, p->lo, size);
	memcpy(tab->mid, p->mid, size);
	memcpy(tab->hi, p->hi, size);
	return 0;
}

struct dp_curve *dp_curve_from_points(const struct dp_points *p)
{
	struct dp_size_data *d;
	struct dp_curve *c;

	if (dp_points_wrong(p))
		return NULL;
	c = dp_curve_new();
	if (!c)
		return NULL;
	d = &c->size[DP_4K];
	c->given = malloc(sizeof(*c->given));
	c->region = calloc((size_t)p->ngroups + 1, sizeof(*c->region));
	c->region_pages = calloc((size_t)p->ngroups + 1, sizeof(*c->region_pages));
	if (!c->given || !c->region || !c->region_pages || give_table(&d->tab, p)) {
		dp_curve_free(c);
		return NULL;
	}
	*c->given = *p;
	c->nregions = p->ngroups;
	memcpy(c->region_pages, p->group_pages, p->ngroups * sizeof(*c->region_pages));
	c->blocks[DP_4K] = d->blocks = p->blocks;
	d->reach = p->reach;
	d->known = c->fitted = true;
	d->rate = dp_curve_eval(c, DP_4K, 0.01);
	d->rate = (struct dp_est){ d->rate.lo / 0.01, d->rate.mid / 0.01, d->rate.hi / 0.01 };
	return c;
}
