// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The curve as the rounds need it: tabulated once a quantile, and shared out over memory. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/predict_impl.h"

double dp_est_at(struct dp_est e, double z)
{
	double k = fmin(1.0, fabs(z) / DP_Z90);

	return z < 0.0 ? e.mid - k * (e.mid - e.lo) : e.mid + k * (e.hi - e.mid);
}

static double tab_time(uint32_t i)
{
	return ldexp(1.0 + (double)(i % DP_TAB_SUB) / DP_TAB_SUB, DP_TAB_MIN_E + (int)(i / DP_TAB_SUB));
}

/*
 * The grid is straight in the mantissa, so that index and part can be read off a double's bits; this is the
 * innermost step of every simulation.
 */
void dp_tab_locate(double t, uint32_t *i, double *part)
{
	uint64_t bits;

	if (!(t >= 0x1p-20)) {
		*i = 0;
		*part = 0.0;
	} else if (t >= 0x1p24) {
		*i = DP_TAB_N - 2;
		*part = 1.0;
	} else {
		memcpy(&bits, &t, sizeof(bits));
		*i = (uint32_t)((bits >> 47) - ((uint64_t)(1023 + DP_TAB_MIN_E) << 5));
		*part = (double)(bits & ((1ULL << 47) - 1)) * 0x1p-47;
	}
}

double dp_tab_eval(const double *u, double t)
{
	uint32_t i;
	double part;

	if (!(t > 0.0))
		return 0.0;
	if (t < 0x1p-20)
		return u[0] * (t / 0x1p-20);
	dp_tab_locate(t, &i, &part);
	return u[i] + (u[i + 1] - u[i]) * part;
}

/* Segments of one region each: k equal ones a region. */
static void cut_regions(struct dp_env *env, const double *pages, uint32_t regions, double clear)
{
	uint32_t k = DP_SEGMENTS / regions, r, j, chunk = 0;

	for (r = 0; r < regions; r++) {
		double seg = pages[r] / k;
		uint32_t first = chunk;

		for (j = 0; j < k; j++) {
			uint32_t i = r * k + j;

			env->pages[i] = seg;
			env->chunk_part[i] = clear < seg ? clear / seg : 1.0;
			env->chunk[i] = first + (clear >= seg ? (uint32_t)floor(j * seg / clear) : j);
			chunk = env->chunk[i] + 1;
		}
	}
	env->n = regions * k;
}

/* More regions than segments: neighbours share one. */
static void group_regions(struct dp_env *env, const double *pages, uint32_t regions, double clear)
{
	uint32_t r, i;

	env->n = DP_SEGMENTS;
	for (r = 0; r < regions; r++)
		env->pages[(uint64_t)r * DP_SEGMENTS / regions] += pages[r];
	for (i = 0; i < env->n; i++) {
		env->chunk[i] = i;
		env->chunk_part[i] = env->pages[i] > clear ? clear / env->pages[i] : 1.0;
	}
}

/* The heat of memory from page `from` to `to`, of n. */
static double heat_of(const struct dp_plan *plan, double from, double to, double n)
{
	double bin = n / DP_ZERO_BINS, sum = 0.0;
	uint32_t i;

	for (i = 0; n > 0.0 && i < DP_ZERO_BINS; i++)
		sum += plan->heat_at[i] * fmax(0.0, fmin(to, (i + 1) * bin) - fmax(from, i * bin)) / bin;
	return sum;
}

/*
 * Shares u pages among k segments by their heat. What was counted at short times has more of what is written often than a long
 * time has: a segment takes no more than it has, and the others take the rest.
 */
static void by_heat(double u, const double *pages, const double *heat, uint32_t k, double *out)
{
	double left = u, weight = 0.0;
	bool full[DP_SEGMENTS] = { false };
	uint32_t i, again = 1;

	for (i = 0; i < k; i++) {
		weight += heat[i];
		out[i] = 0.0;
	}
	while (again && weight > 0.0) {
		double per = left / weight;

		again = 0;
		for (i = 0; i < k; i++) {
			if (full[i] || heat[i] * per < pages[i])
				continue;
			full[i] = true;
			out[i] = pages[i];
			left = fmax(0.0, left - pages[i]);
			weight = fmax(0.0, weight - heat[i]);
			again++;
		}
	}
	for (i = 0; i < k; i++) {
		if (!full[i])
			out[i] = weight > 0.0 ? left * heat[i] / weight : left / k;
	}
}

static void share_out(struct dp_env *env, const struct dp_curve *c, const struct dp_plan *plan,
		      uint32_t regions)
{
	uint32_t s, r, i, k = DP_SEGMENTS / regions;
	double heat[DP_SEGMENTS], at = 0.0;

	for (i = 0; i < env->n; i++) {
		heat[i] = heat_of(plan, at, at + env->pages[i], env->total);
		at += env->pages[i];
	}
	for (s = 0; s < DP_SHARE_N; s++) {
		double t = tab_time(s * DP_SHARE_STEP), sum = 0.0, u = 0.0, *share = env->share[s];

		for (r = 0; r < regions; r++) {
			if (!r || !dp_curve_region_same(c, r))
				u = dp_curve_region_mid(c, r, t);
			sum += u;
			if (k)
				by_heat(u, env->pages + r * k, heat + r * k, k, share + r * k);
			else
				share[(uint64_t)r * DP_SEGMENTS / regions] += u;
		}
		for (i = 0; i < env->n; i++)
			share[i] = sum > 0.0 ? share[i] / sum : env->pages[i] / fmax(1.0, env->total);
	}
}

static bool has_places(const struct dp_plan *plan)
{
	uint32_t i;

	for (i = 0; i < DP_ZERO_BINS; i++) {
		if (plan->heat_at[i] > 0.0)
			return true;
	}
	return false;
}

/*
 * The regions are the guest's as the curve saw them; the plan's pages are what migrates. Where the two differ
 * in size (video memory, a plan from elsewhere) the regions are scaled.
 */
static int lay_out(struct dp_env *env, const struct dp_curve *c, const struct dp_plan *plan)
{
	uint32_t regions = dp_curve_regions(c), r, used = regions ? regions : 1;
	double *pages = calloc(used, sizeof(*pages)), sum = 0.0, clear;

	if (!pages)
		return -1;
	for (r = 0; r < regions; r++) {
		pages[r] = dp_curve_region_pages(c, r);
		sum += pages[r];
	}
	for (r = 0; r < used; r++)
		pages[r] = sum > 0.0 ? pages[r] * plan->pages / sum : plan->pages / used;
	clear = plan->clear_pages > 0.0 ? plan->clear_pages : HUGE_VAL;
	env->lazy = plan->clear_pages > 0.0;
	if (used <= DP_SEGMENTS)
		cut_regions(env, pages, used, clear);
	else
		group_regions(env, pages, used, clear);
	env->even = regions <= 1 && (!regions || !has_places(plan));
	if (!env->even)
		share_out(env, c, plan, regions);
	free(pages);
	return 0;
}

struct dp_env *dp_env_new(const struct dp_curve *c, const struct dp_plan *plan, const double *z, uint32_t n)
{
	struct dp_env *env = calloc(1, sizeof(*env));
	bool known = dp_curve_known(c, DP_4K);
	uint32_t i, k;

	if (!env)
		return NULL;
	env->total = plan->pages;
	env->nz = n;
	if (lay_out(env, c, plan)) {
		free(env);
		return NULL;
	}
	for (k = 0; k < n; k++)
		env->z[k] = z[k];
	for (i = 0; i < DP_TAB_N; i++) {
		struct dp_est e = dp_curve_eval(c, DP_4K, tab_time(i));

		/* An unobserved guest may dirty all that migrates, also what the curve has no region for. */
		if (!known)
			e.hi = plan->pages;
		for (k = 0; k < n; k++)
			env->u[k][i] = fmin(plan->pages, dp_est_at(e, z[k]));
	}
	return env;
}
