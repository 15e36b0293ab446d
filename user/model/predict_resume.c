// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The state that a migration under way is in: its rounds so far, played as they were. */
#include <math.h>

#include "model/predict_mem.h"

/* Pages of the first pass that are still to be sent, where so many bytes are. */
static double first_left(const struct dp_mem *s, double bytes)
{
	const struct dp_plan *p = s->in->plan;
	double n = s->env->total, lo = 0.0, hi = n;
	uint32_t i;

	for (i = 0; i < 60; i++) {
		double mid = (lo + hi) / 2, zeros = mid * dp_zeros_share(&s->tx, n - mid, n);

		if ((mid - zeros) * p->wire_page + zeros * DP_WIRE_ZERO < bytes)
			lo = mid;
		else
			hi = mid;
	}
	return hi;
}

/*
 * Where the rounds so far are not known, of the round that it is in: what was sent since its sync, and what is still to come, as
 * if all memory had been sent alike.
 */
static void guess(struct dp_mem *s)
{
	const struct dp_plan *p = s->in->plan;
	bool first = p->elapsed <= p->since_sync + p->setup + DP_STEP;
	double n = s->env->total, left, start, window = HUGE_VAL, lo = 0.0, hi = 0x1p24, at;
	uint32_t g, i;

	left = first ? first_left(s, p->remaining) : fmin(n, p->remaining / p->wire_page);
	start = first ? n : fmin(n, left + p->since_sync * s->in->b / p->wire_page);
	for (i = 0; !first && i < 60; i++) {
		window = (lo + hi) / 2;
		if (dp_tab_eval(s->in->u, window) < start)
			lo = window;
		else
			hi = window;
	}
	at = start > 0.0 ? (start - left) / start * s->env->n : 0.0;
	s->last_sync = -p->since_sync * s->k;
	for (g = 0; g < s->env->n; g++) {
		double when =
			s->last_sync + (at > 0.0 ? fmin(1.0, (g + 0.5) / at) : 0.0) * p->since_sync * s->k;
		double share = first ? s->env->pages[g] / fmax(1.0, n)
				     : dp_mem_u(s, g, window) / fmax(1e-9, dp_tab_eval(s->in->u, window));

		s->first[g] = first;
		s->rec[g] = (struct dp_rec){ s->last_sync - window, s->last_sync - window, HUGE_VAL, 0.0 };
		s->pend[g] = start * share * fmin(1.0, fmax(0.0, g + 1 - at));
		if (g + 1 > at)
			continue;
		s->first[g] = false;
		s->rec[g] = (struct dp_rec){ s->env->lazy ? when : s->last_sync, s->last_sync, window, 0.0 };
		s->rec[g].in_gap = dp_mem_cold_share(s, g, &s->rec[g]);
	}
	s->cur = at < s->env->n ? (uint32_t)at : 0;
	s->chunk = s->env->chunk[s->cur];
	s->entered = s->last_sync;
}

/* Sends until `left` wire bytes are, at the pace at which that takes `seconds` of the guest's time. */
static void replay_round(struct dp_mem *s, double left, double seconds)
{
	double until = s->guest + seconds, bytes = dp_mem_bytes_first(s) + dp_mem_bytes_again(s) - left;
	double rest = bytes;
	uint32_t hops;

	for (hops = 0; hops < DP_SEND_HOPS && rest > 0.0; hops++) {
		double n = s->pend[s->cur], z = dp_mem_zeros_next(s, &n), cost = dp_sender_bytes(&s->tx, z);

		n = fmin(n, rest / cost);
		dp_mem_sent(s, n, seconds * n * cost / bytes);
		rest -= n * cost;
	}
	s->guest = until;
}

/* By so much more or less is pending of what was sent before; no part has more than its pages. */
static void scale_again(struct dp_mem *s, double by)
{
	uint32_t g;

	s->behind = fmin(s->behind * by, s->env->pages[s->cur] * s->done);
	for (g = 0; g < s->env->n; g++) {
		if (!s->first[g])
			s->pend[g] =
				fmin(s->pend[g] * by, s->env->pages[g] * (g == s->cur ? 1.0 - s->done : 1.0));
	}
}

/* What the log told in place of what the curve would have. What was never sent is known anyhow. */
static void put_right(struct dp_mem *s, double pending)
{
	double want = fmax(0.0, pending - dp_mem_bytes_first(s)), again;
	uint32_t tries;

	/* where parts are full, the others take what is left over */
	for (tries = 0; tries < 8; tries++) {
		again = dp_mem_bytes_again(s);
		if (again <= 0.0 || fabs(want - again) < 1e-3 * want)
			break;
		scale_again(s, want / again);
	}
}

static void replay(struct dp_mem *s)
{
	const struct dp_plan *p = s->in->plan;
	uint32_t i;

	s->guest = -p->since_sync * s->k;
	for (i = 0; i < p->npast; i++)
		s->guest -= p->past[i].seconds * s->k;
	s->entered = s->guest;
	dp_mem_sync(s);
	for (i = 0; i < p->npast; i++) {
		replay_round(s, p->past[i].left, p->past[i].seconds * s->k);
		dp_mem_sync(s);
		put_right(s, p->past[i].pending +
				     (i + 1 == p->npast ? s->in->off * dp_sender_lump(&s->tx) : 0.0));
	}
	if (p->since_sync > 0.0)
		replay_round(s, p->remaining, p->since_sync * s->k);
	s->guest = 0.0;
	s->passes = 0;
}

void dp_mem_resume(struct dp_mem *s)
{
	if (s->in->plan->npast)
		replay(s);
	else
		guess(s);
}
