// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A page is pending if it was written since it was last re-armed, and what is pending at a sync is the sum over memory of
 * U(time since each part was re-armed). That is less than U(a whole pass), the more so the less the curve bends: see "What is
 * pending" in docs/model.md.
 */
#include <math.h>

#include "model/predict_mem.h"

double dp_mem_u(const struct dp_mem *s, uint32_t g, double t)
{
	double u, part;
	uint32_t i;

	if (!(t > 0.0))
		return 0.0;
	u = dp_tab_eval(s->in->u, t);
	if (s->env->even)
		return fmin(s->env->pages[g], u / s->env->n);
	dp_tab_locate(t, &i, &part);
	part = (i % DP_SHARE_STEP + part) / DP_SHARE_STEP;
	i /= DP_SHARE_STEP;
	u *= s->env->share[i][g] * (1.0 - part) + s->env->share[i + 1][g] * part;
	return fmin(s->env->pages[g], u);
}

/*
 * Pages pending at a sync `now` in a segment whose pages were all treated as r says. All that were written since
 * r->rearmed (d ago) are. So are those that were clean at r->sync, after a window w, and were written in the gap g
 * between the two, U(w + g) - U(w), unless they are among the former, having been written again. How many were
 * not: if writes have no memory, as many of the cold pages as U says, (U(w + d + g) - U(w + d)) / (U(w + g) - U(w));
 * if a page's writes keep a distance, as many as of all pages, (U(d + g) - U(d)) / U(g). The larger one is right
 * for any mixture of memoryless pages and for pages that are written in turn.
 */
static double pending_of(const struct dp_mem *s, uint32_t g, const struct dp_rec *r, double now)
{
	double d = now - r->rearmed, gap = r->rearmed - r->sync, w = r->window;
	double u = dp_mem_u(s, g, d), cold, turn;

	if (isfinite(w) && gap > 0.0) {
		cold = dp_mem_u(s, g, w + d + gap) - dp_mem_u(s, g, w + d);
		turn = (dp_mem_u(s, g, d + gap) - u) * r->in_gap;
		u += fmax(cold, turn);
	}
	return fmin(u, s->env->pages[g]);
}

/* (U(w + g) - U(w)) / U(g), which does not change until the segment is sent again. */
double dp_mem_cold_share(const struct dp_mem *s, uint32_t g, const struct dp_rec *r)
{
	double gap = r->rearmed - r->sync, all;

	if (!isfinite(r->window) || !(gap > 0.0))
		return 0.0;
	all = dp_mem_u(s, g, gap);
	return all > 0.0 ? (dp_mem_u(s, g, r->window + gap) - dp_mem_u(s, g, r->window)) / all : 0.0;
}

static struct dp_rec part_mean(const struct dp_mem *s)
{
	double w = s->part_weight;
	struct dp_rec r = { s->part.rearmed / w, s->part.sync / w, s->part.window / w, 0.0 };

	r.in_gap = dp_mem_cold_share(s, s->cur, &r);
	return r;
}

void dp_mem_sync(struct dp_mem *s)
{
	uint32_t g;

	for (g = 0; g < s->env->n; g++) {
		double all = s->first[g] ? s->env->pages[g] : pending_of(s, g, &s->rec[g], s->guest);

		s->pend[g] = all;
		if (g != s->cur || s->part_weight <= 0.0)
			continue;
		struct dp_rec mean = part_mean(s);

		s->pend[g] = all * (1.0 - s->done);
		s->behind = pending_of(s, g, &mean, s->guest) * s->done;
	}
	s->last_sync = s->guest;
}

double dp_mem_pending(const struct dp_mem *s)
{
	double sum = s->behind;
	uint32_t g;

	for (g = 0; g < s->env->n; g++)
		sum += s->pend[g];
	return sum;
}

static void leave_segment(struct dp_mem *s)
{
	uint32_t g = s->cur;

	if (s->part_weight > 0.0) {
		s->rec[g] = part_mean(s);
		s->first[g] = false;
	}
	s->pend[g] = s->behind;
	s->behind = s->done = s->part_weight = 0.0;
	s->part = (struct dp_rec){ 0 };
	s->cur = (g + 1) % s->env->n;
	s->passes += s->cur == 0;
	if (s->env->chunk[s->cur] != s->chunk) {
		s->chunk = s->env->chunk[s->cur];
		s->entered = s->guest;
	}
}

/* The share `part` of the current segment is sent within dt from now, of the guest's time. */
static void pass(struct dp_mem *s, double part, double dt)
{
	double chunk = s->env->chunk_part[s->cur], rearmed = s->last_sync, window = HUGE_VAL;

	if (part <= 0.0)
		return;
	if (s->env->lazy) {
		rearmed = fmax(s->last_sync, s->entered);
		if (chunk < 1.0)
			rearmed = fmax(s->last_sync, s->guest) + fmax(0.0, 1.0 - chunk / part) * dt / 2;
	}
	if (!s->first[s->cur])
		window = s->last_sync - s->rec[s->cur].rearmed;
	s->part.rearmed += part * rearmed;
	s->part.sync += part * s->last_sync;
	s->part.window += part * window;
	s->part_weight += part;
}

double dp_mem_zeros(const struct dp_mem *s, uint32_t g, double done)
{
	double from = s->before[g] + done * s->env->pages[g], to = s->before[g] + s->env->pages[g];

	return s->first[g] ? dp_zeros_share(&s->tx, from, to) : 0.0;
}

double dp_mem_zeros_next(const struct dp_mem *s, double *n)
{
	double from = s->before[s->cur] + s->done * s->env->pages[s->cur], end;

	if (!s->first[s->cur] || s->in->plan->zero_pages <= 0.0)
		return 0.0;
	end = dp_zeros_bin_end(&s->tx, from);
	/* the last bits of a bin are no step of their own */
	if (end - from < *n * (1.0 - 1e-9))
		*n = end - from;
	return dp_zeros_share(&s->tx, from, from + *n);
}

double dp_mem_bytes_first(const struct dp_mem *s)
{
	double sum = 0.0;
	uint32_t g;

	for (g = 0; g < s->env->n; g++) {
		if (s->first[g])
			sum += s->pend[g] *
			       dp_sender_bytes(&s->tx, dp_mem_zeros(s, g, g == s->cur ? s->done : 0.0));
	}
	return sum;
}

double dp_mem_bytes_again(const struct dp_mem *s)
{
	double sum = s->behind;
	uint32_t g;

	for (g = 0; g < s->env->n; g++)
		sum += s->first[g] ? 0.0 : s->pend[g];
	return sum * s->in->plan->wire_page;
}

void dp_mem_sent(struct dp_mem *s, double n, double dt)
{
	double ahead = s->pend[s->cur];
	bool whole = n >= ahead;

	if (n > 0.0) {
		double part = whole ? 1.0 - s->done : (1.0 - s->done) * n / ahead;

		pass(s, part, dt);
		s->done += part;
		s->pend[s->cur] -= n;
		s->guest += dt;
	}
	if (whole)
		leave_segment(s);
}
