// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Bandwidth x downtime limit: a prediction for each pair, from what a report carries. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dirtyprof/report.h"

void dp_basis_link(const struct dp_basis *b, double bandwidth, bool no_cap, struct dp_link *out)
{
	/* NAN compares as false: no cap. QEMU lifts the cap at switchover. */
	out->rounds = dp_nominal(bandwidth);
	if (!no_cap && b->cap < bandwidth)
		out->rounds = (struct dp_est){ fmin(out->rounds.lo, b->cap), b->cap, b->cap };
	out->switchover = dp_nominal(b->switchover > 0 ? b->switchover : bandwidth);
	out->exit_bps = b->exit_bps > 0 ? b->exit_bps : 0;
}

/* Of a list of n ascending values, v is one more, in its place; nothing where it is there already, within a hundredth. */
static void insert(double *list, uint32_t *n, double v)
{
	uint32_t i, at = 0;

	if (!(v > 0) || *n >= DP_TABLE_MAX)
		return;
	for (i = 0; i < *n; i++) {
		if (fabs(list[i] - v) <= 0.01 * v)
			return;
		at += list[i] < v;
	}
	memmove(list + at + 1, list + at, (*n - at) * sizeof(*list));
	list[at] = v;
	(*n)++;
}

/* Links that are sold, or steps around the path where that is known; 1 Gb/s is 125 MB/s. */
static void choose_bandwidths(const struct dp_basis *b, struct dp_table_report *t)
{
	static const double sold[] = { 1, 2.5, 10, 25, 40, 100 };
	static const double steps[] = { 0.25, 0.5, 1, 2, 4, 10 };
	uint32_t i;

	for (i = 0; i < sizeof(sold) / sizeof(sold[0]); i++)
		insert(t->bandwidth, &t->nbandwidths, b->path > 0 ? b->path * steps[i] : sold[i] * 125e6);
}

static void choose_limits(const struct dp_basis *b, struct dp_table_report *t)
{
	insert(t->limit, &t->nlimits, 0.1);
	insert(t->limit, &t->nlimits, 0.3);
	insert(t->limit, &t->nlimits, 1.0);
	insert(t->limit, &t->nlimits, b->plan.limit);
	if (t->nlimits < 4)
		insert(t->limit, &t->nlimits, 3.0);
}

static int fill_cell(const struct dp_curve *c, const struct dp_basis *b, double bandwidth, double limit,
		     bool no_cap, struct dp_prediction *p, struct dp_cell *out)
{
	struct dp_plan plan = b->plan;
	struct dp_link link;
	int err;

	plan.limit = limit;
	plan.running = false;
	dp_basis_link(b, bandwidth, no_cap, &link);
	err = dp_predict(c, &link, &plan, p);
	if (err)
		return err;
	out->verdict = p->verdict;
	out->total = p->total;
	out->downtime = p->downtime;
	out->rounds = p->rounds;
	return 0;
}

int dp_table_fill(const struct dp_basis *b, const struct dp_basis_vm *vm, struct dp_table_report *t)
{
	return dp_table_fill_told(b, vm, t, NULL, NULL);
}

int dp_table_fill_told(const struct dp_basis *b, const struct dp_basis_vm *vm, struct dp_table_report *t,
		       void (*tick)(void *ctx, uint32_t done, uint32_t all), void *ctx)
{
	struct dp_prediction *p;
	struct dp_curve *c;
	uint32_t i, j;
	int err = 0;

	if (!b->known)
		return -ENODATA;
	if (dp_points_wrong(&b->curve) || t->nbandwidths > DP_TABLE_MAX || t->nlimits > DP_TABLE_MAX)
		return -EINVAL;
	c = dp_curve_from_points(&b->curve);
	p = malloc(sizeof(*p));
	if (!c || !p) {
		err = -ENOMEM;
		goto cleanup;
	}
	if (!t->nbandwidths)
		choose_bandwidths(b, t);
	if (!t->nlimits)
		choose_limits(b, t);
	t->vm = *vm;
	t->cap = b->cap;
	t->fixed = b->plan.fixed;
	t->throttle = b->plan.throttle;
	t->reach = b->curve.reach;
	t->assumed = b->assumed & ~DP_ASSUMED_LIMIT;
	for (i = 0; !err && i < t->nbandwidths; i++)
		for (j = 0; !err && j < t->nlimits; j++) {
			if (tick)
				tick(ctx, i * t->nlimits + j, t->nbandwidths * t->nlimits);
			err = fill_cell(c, b, t->bandwidth[i], t->limit[j], t->no_cap, p, &t->cell[i][j]);
		}
cleanup:
	dp_curve_free(c);
	free(p);
	return err;
}

int dp_table_exit_status(const struct dp_table_report *t)
{
	uint32_t i, j;

	for (i = 0; i < t->nbandwidths; i++)
		for (j = 0; j < t->nlimits; j++)
			if (t->cell[i][j].verdict != DP_NEVER)
				return 0;
	return 2;
}
