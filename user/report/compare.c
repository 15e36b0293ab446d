// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Differences of two runs, and whether they exceed the noise. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "compare.h"
#include "text_int.h"

#define HALF_WIDTHS 2.0

const char *dp_differs_name(enum dp_differs d)
{
	static const char *const name[] = { "unknown", "no", "yes" };

	return name[d];
}

/* Where one of them never comes true, or may not. */
static enum dp_differs endless(const struct dp_est *a, const struct dp_est *b)
{
	if (isinf(a->mid) && isinf(b->mid))
		return DP_DIFFERS_NO;
	if (isinf(a->lo) && isfinite(b->hi))
		return DP_DIFFERS_YES;
	if (isinf(b->lo) && isfinite(a->hi))
		return DP_DIFFERS_YES;
	return DP_DIFFERS_NO;
}

void dp_differ(struct dp_difference *d)
{
	const struct dp_est *a = &d->a, *b = &d->b;
	double below, above;

	d->diff = (struct dp_est){ NAN, NAN, NAN };
	d->ratio = NAN;
	d->differs = DP_DIFFERS_UNKNOWN;
	if (isnan(a->mid) || isnan(b->mid))
		return;
	if (isinf(a->mid) || isinf(b->mid)) {
		d->differs = endless(a, b);
		return;
	}
	d->diff.mid = b->mid - a->mid;
	if (a->mid > 0)
		d->ratio = b->mid / a->mid;
	if (isnan(a->lo + a->hi + b->lo + b->hi))
		return;
	below = hypot(b->mid - b->lo, a->hi - a->mid);
	above = hypot(b->hi - b->mid, a->mid - a->lo);
	d->diff.lo = d->diff.mid - below;
	d->diff.hi = d->diff.mid + above;
	d->differs = d->diff.mid > HALF_WIDTHS * below || -d->diff.mid > HALF_WIDTHS * above ? DP_DIFFERS_YES
											     : DP_DIFFERS_NO;
}

static void add(struct dp_comparison *c, const char *name, const char *unit, struct dp_est a, struct dp_est b)
{
	struct dp_difference *d = &c->row[c->n];

	if (c->n == DP_COMPARE_ROWS || (isnan(a.mid) && isnan(b.mid)))
		return;
	*d = (struct dp_difference){ .unit = unit, .a = a, .b = b };
	snprintf(d->name, sizeof(d->name), "%s", name);
	dp_differ(d);
	c->differ += d->differs == DP_DIFFERS_YES;
	c->n++;
}

static struct dp_est none(void)
{
	return (struct dp_est){ NAN, NAN, NAN };
}

/* Within what both have seen: what is extrapolated says nothing of the guests. */
static void curves(struct dp_comparison *c, const struct dp_report *a, const struct dp_report *b)
{
	static const unsigned char point[] = { 6, 12, 18, 24, 30 }; /* 1 ms, 10 ms, 100 ms, 1 s, 10 s */
	char name[40], t[FMT];
	enum dp_size size;
	unsigned int i;

	if (!a->known || !b->known)
		return;
	add(c, "dirty rate", "bytes_per_s", a->rate[DP_4K], b->rate[DP_4K]);
	for (i = 0; i < sizeof(point); i++) {
		unsigned int k = point[i];

		if (a->u_t[k] > fmin(a->reach[DP_4K], b->reach[DP_4K]) * (1 + 1e-9))
			continue;
		snprintf(name, sizeof(name), "dirtied in %s", dp_fmt_time(t, sizeof(t), a->u_t[k]));
		add(c, name, "bytes", a->u[DP_4K][k], b->u[DP_4K][k]);
	}
	for (size = DP_64K; size < DP_SIZES; size++) {
		if (fmin(a->reach[size], b->reach[size]) < 1 - 1e-9)
			continue;
		snprintf(name, sizeof(name), "in 1 s, by %s", dp_size_name(size));
		add(c, name, "bytes", a->u[size][DP_POINT_1S], b->u[size][DP_POINT_1S]);
	}
}

static void predictions(struct dp_comparison *c, const struct dp_report *a, const struct dp_report *b)
{
	const struct dp_prediction *p = &a->pred, *q = &b->pred;

	if (!a->predicted || !b->predicted)
		return;
	add(c, "down if stopped now", "s", p->stop_now, q->stop_now);
	add(c, "downtime's floor", "s", p->floor, q->floor);
	add(c, "total, predicted", "s", p->total, q->total);
	add(c, "downtime, predicted", "s", p->downtime, q->downtime);
	add(c, "rounds, predicted", "count", p->rounds, q->rounds);
	add(c, "least limit", "s", p->least_limit, q->least_limit);
	add(c, "least bandwidth", "bits", p->least_bandwidth, q->least_bandwidth);
	add(c, "least throttle", "ratio", p->least_throttle, q->least_throttle);
}

/* What happened once: how far it might have come out otherwise is taken from what was predicted before it began. */
static struct dp_est once(const struct dp_migration *m, double v, struct dp_est before)
{
	if (m->outcome != DP_MIG_DONE || isnan(v))
		return none();
	if (!m->before_known || !isfinite(before.lo) || !isfinite(before.hi))
		return (struct dp_est){ NAN, v, NAN };
	return (struct dp_est){ v - (before.mid - before.lo), v, v + (before.hi - before.mid) };
}

static void migrations(struct dp_comparison *c, const struct dp_migration *a, const struct dp_migration *b)
{
	struct dp_est ra = { NAN, a->rounds, NAN }, rb = { NAN, b->rounds, NAN };

	if (a->before_known && b->before_known) {
		add(c, "total, before", "s", a->before_total, b->before_total);
		add(c, "downtime, before", "s", a->before_downtime, b->before_downtime);
	}
	add(c, "total", "s", once(a, a->total, a->before_total), once(b, b->total, b->before_total));
	add(c, "downtime", "s", once(a, a->downtime, a->before_downtime),
	    once(b, b->downtime, b->before_downtime));
	if (a->outcome == DP_MIG_DONE && b->outcome == DP_MIG_DONE) {
		add(c, "rounds", "count", ra, rb);
		add(c, "sent", "bytes", (struct dp_est){ NAN, a->sent, NAN },
		    (struct dp_est){ NAN, b->sent, NAN });
	}
}

void dp_compare(struct dp_comparison *c, const struct dp_run *run_a, const struct dp_run *run_b)
{
	const struct dp_report *a = &run_a->report, *b = &run_b->report;

	memset(c, 0, sizeof(*c));
	c->a = run_a;
	c->b = run_b;
	curves(c, a, b);
	add(c, "really changed", "ratio", a->change.on ? a->change.share : none(),
	    b->change.on ? b->change.share : none());
	add(c, "goodput", "bits", a->speeds.goodput.bps, b->speeds.goodput.bps);
	add(c, "path's capacity", "bits", a->speeds.capacity.bps, b->speeds.capacity.bps);
	predictions(c, a, b);
	migrations(c, &a->mig, &b->mig);
}

const char *dp_compare_verdict(const struct dp_run *run)
{
	const struct dp_report *r = &run->report;

	if (r->mig.outcome == DP_MIG_DONE)
		return "done";
	return dp_verdict_name(r->predicted ? r->pred.verdict : DP_UNKNOWN);
}
