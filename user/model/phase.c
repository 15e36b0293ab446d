// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "model/phase.h"

#include <math.h>

#define RECENT	 4
#define EARLIER	 4 /* at least, beside the recent ones */
#define RATIO	 1.5
#define SIGMA	 3.0
#define UNSTEADY 0.2  /* windows of steady guests, too, differ by some percent */
#define LEAST	 16.0 /* pages that a window should have, by the curve, to tell a pace */

void dp_phase_add(struct dp_phase *p, double pages, double from, double to)
{
	if (!(to > from))
		return;
	p->s[p->next] = (struct dp_phase_sample){ pages, from, to };
	p->next = (p->next + 1) % DP_PHASE_SAMPLES;
	if (p->n < DP_PHASE_SAMPLES)
		p->n++;
}

/* One look at all regions: pages, and sums over what was armed. */
struct look {
	double dirty, armed, since, armings;
	uint32_t region;
};

/* The last look of a snapshot: regions come in order, so that one that does not begins another look. */
static bool last_look(const struct dp_snapshot *snap, struct look *l)
{
	uint32_t i;

	*l = (struct look){ 0 };
	for (i = 0; i < snap->nwindows; i++) {
		const struct dp_window *w = &snap->windows[i];
		double regions = 1.0 + w->more;

		if (w->size != DP_4K || !w->peek || w->region == DP_REGION_ALL)
			continue;
		if (w->region <= l->region && l->armed > 0.0)
			*l = (struct look){ 0 };
		l->region = w->region + w->more;
		l->dirty += regions * (double)w->dirty;
		l->armed += regions * (double)w->armed;
		l->since += regions * (double)w->armed * (double)w->t_hi_ns * 1e-9;
		l->armings += regions * (double)w->arming;
	}
	return l->armed > 0.0;
}

bool dp_phase_look(struct dp_phase *p, const struct dp_snapshot *snap)
{
	struct look l;
	double at;

	if (!last_look(snap, &l))
		return false;
	at = l.since / l.armed;
	/* of the same armings it has what the one before had, and more */
	if (l.armings == p->looked_armings && l.dirty >= p->looked_dirty)
		dp_phase_add(p, l.dirty - p->looked_dirty, p->looked_at, at);
	else
		dp_phase_add(p, l.dirty, 0.0, at);
	p->looked_dirty = l.dirty;
	p->looked_at = at;
	p->looked_armings = l.armings;
	return true;
}

/* Windows against the curve, the oldest first. */
struct paces {
	uint32_t n;
	double ratio[DP_PHASE_SAMPLES], seconds[DP_PHASE_SAMPLES], expected[DP_PHASE_SAMPLES];
};

static void paces_of(const struct dp_phase *p, const struct dp_curve *c, struct paces *out)
{
	uint32_t i;

	out->n = 0;
	for (i = 0; i < p->n; i++) {
		const struct dp_phase_sample *s =
			&p->s[(p->next + DP_PHASE_SAMPLES - p->n + i) % DP_PHASE_SAMPLES];
		double u = dp_curve_eval(c, DP_4K, s->to).mid - dp_curve_eval(c, DP_4K, s->from).mid;

		if (!(u >= LEAST))
			continue;
		out->ratio[out->n] = s->pages / u;
		out->seconds[out->n] = s->to - s->from;
		out->expected[out->n++] = u;
	}
}

double dp_phase_spread(const struct dp_phase *p, const struct dp_curve *c, double *lasting)
{
	double all = 0.0, mean = 0.0, var = 0.0;
	uint32_t i, turns = 0;
	struct paces x;

	*lasting = 0.0;
	paces_of(p, c, &x);
	for (i = 0; i < x.n; i++) {
		all += x.seconds[i];
		mean += x.seconds[i] * x.ratio[i];
	}
	if (x.n < EARLIER || !(mean > 0.0))
		return 0.0;
	mean /= all;
	for (i = 0; i < x.n; i++) {
		double off = x.ratio[i] / mean - 1.0;

		/* less what counting alone makes of it */
		var += x.seconds[i] * (off * off - 1.0 / x.expected[i]);
		turns += i && (x.ratio[i] > mean) != (x.ratio[i - 1] > mean);
	}
	*lasting = all / (turns + 1);
	var = sqrt(fmax(0.0, var / all));
	return var > UNSTEADY ? var : 0.0;
}

struct moments {
	double n, sum, squares;
};

static double mean_of(const struct moments *m)
{
	return m->sum / m->n;
}

/* Variance of the mean. */
static double mean_variance(const struct moments *m)
{
	double mean = mean_of(m);

	return fmax(0.0, m->squares / m->n - mean * mean) / fmax(1.0, m->n - 1.0);
}

bool dp_phase_changed(const struct dp_phase *p, const struct dp_curve *c, double *earlier, double *recent)
{
	struct moments m[2] = { { 0 } };
	double a, b, sd, last;
	struct paces x;
	uint32_t i;

	paces_of(p, c, &x);
	if (x.n < RECENT + EARLIER)
		return false;
	for (i = 0; i < x.n; i++) {
		struct moments *to = &m[i + RECENT >= x.n];

		to->n++;
		to->sum += x.ratio[i];
		to->squares += x.ratio[i] * x.ratio[i];
	}
	a = mean_of(&m[0]);
	b = mean_of(&m[1]);
	sd = sqrt(mean_variance(&m[0]) + mean_variance(&m[1]));
	if (fmax(a, b) < RATIO * fmin(a, b) || fabs(a - b) < SIGMA * sd || a == b)
		return false;
	last = x.expected[x.n - 1] / x.seconds[x.n - 1];
	*earlier = a * last;
	*recent = b * last;
	return true;
}
