/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Pre-copy page by page, after QEMU's loop and KVM's log, on a simulated guest: bitmaps instead of formulas.
 * It shares nothing with user/model; the prediction is held against it.
 */
#ifndef TESTS_SIM_PRECOPY_H
#define TESTS_SIM_PRECOPY_H

#include "dirtyprof/predict.h"
#include "sim_probe.h"

struct sim_copy {
	bool qemu[SIM_PAGES];	  /* to be sent */
	bool known[SIM_PAGES];	  /* set in the last answer of the log, not cleared since */
	bool kvm[SIM_PAGES];	  /* KVM's log */
	bool sent[SIM_PAGES];	  /* at least once */
	bool to_clear[SIM_PAGES]; /* by chunk: a CLEAR is due before its next page is sent */
	uint32_t pending, pos, syncs;
	uint32_t stop_at; /* copy_run returns after so many syncs; 0 never */
	double now, last_sync;
	double level, drained; /* bytes in the sockets, as of when */
	double given;	       /* bytes that QEMU has given to them */
	double noise;	       /* QEMU's bandwidth is off by up to so much of itself, anew every 100 ms */
	double noise_at, factor;
	uint64_t chance;
	double window, used; /* under a cap: when the 100 ms began, and bytes sent in them */
	struct sim_guest *guest;
	double throttle;
	double clock_from,
		clock_at; /* the guest's clock showed this then, and goes on at the throttled speed */
	double period_start, period_given;
	uint32_t period_dirtied, high;
	uint64_t copies; /* pages sent */
	struct dp_past past[256];
	uint32_t npast;
};

struct sim_result {
	bool converged;
	double total, downtime;
	double blackout; /* until the sockets are empty */
	uint32_t syncs;	 /* after the first */
};

static inline void copy_guest_until(struct sim_copy *s, double now)
{
	struct sim_tier *t;

	for (;;) {
		t = sim_next(s->guest);
		if (t->next > s->clock_at + (now - s->clock_from) * (1.0 - s->throttle))
			return;
		s->kvm[t->page] = true;
		sim_advance(s->guest, t);
	}
}

/* QEMU's auto-converge, at a sync: see migration_trigger_throttle. */
static inline void copy_auto_converge(struct sim_copy *s, const struct dp_plan *plan)
{
	double sent = ((double)s->copies - s->period_given) * plan->wire_page, up;

	if (!plan->ac.on || s->now <= s->period_start + 1.0)
		return;
	if (s->period_dirtied * 4096.0 > sent * plan->ac.trigger && ++s->high >= 2) {
		s->high = 0;
		up = s->throttle > 0.0 ? s->throttle + plan->ac.increment : plan->ac.initial;
		s->clock_at += (s->now - s->clock_from) * (1.0 - s->throttle);
		s->clock_from = s->now;
		s->throttle = fmin(up, plan->ac.max);
	}
	s->period_start = s->now;
	s->period_given = (double)s->copies;
	s->period_dirtied = 0;
}

/* Only a page's first copy is zero. Zero pages are spread evenly, or fill whole parts of memory. */
static inline bool copy_zero(const struct sim_copy *s, const struct dp_plan *plan, uint32_t i)
{
	uint32_t part;

	for (part = 0; part < DP_ZERO_BINS; part++) {
		if (plan->zero_at[part] > 0.0)
			return !s->sent[i] && plan->zero_at[(uint64_t)i * DP_ZERO_BINS / SIM_PAGES] > 0.0;
	}
	return !s->sent[i] && fmod((double)i * plan->zero_pages, SIM_PAGES) < plan->zero_pages;
}

/* On the wire, of what is to be sent. */
static inline double copy_bytes(const struct sim_copy *s, const struct dp_plan *plan)
{
	double sum = 0.0;
	uint32_t i;

	for (i = 0; i < SIM_PAGES; i++)
		sum += !s->qemu[i] ? 0.0 : copy_zero(s, plan, i) ? DP_WIRE_ZERO : plan->wire_page;
	return sum;
}

static inline void copy_sync(struct sim_copy *s, const struct dp_plan *plan)
{
	struct dp_past past = { .seconds = s->now - s->last_sync, .left = copy_bytes(s, plan) };
	uint32_t i;

	copy_guest_until(s, s->now);
	for (i = 0; i < SIM_PAGES; i++) {
		if (!s->kvm[i])
			continue;
		s->pending += !s->qemu[i];
		s->period_dirtied += !s->qemu[i];
		s->qemu[i] = true;
		if (plan->clear_pages > 0.0) {
			s->known[i] = true;
			s->to_clear[(uint32_t)(i / plan->clear_pages)] = true;
		} else {
			s->kvm[i] = false;
		}
	}
	past.pending = copy_bytes(s, plan);
	if (s->npast < 256)
		s->past[s->npast++] = past;
	s->last_sync = s->now;
	s->syncs++;
	copy_auto_converge(s, plan);
}

/* Seconds to get page i out. */
static inline double copy_cost(const struct sim_copy *s, const struct dp_plan *plan, uint32_t i, double b)
{
	if (copy_zero(s, plan, i))
		return DP_WIRE_ZERO / b + (plan->zero_scan_bps > 0.0 ? 4096 / plan->zero_scan_bps : 0.0);
	return plan->wire_page / b;
}

static inline void copy_drain(struct sim_copy *s, double b)
{
	s->level = fmax(0.0, s->level - (s->now - s->drained) * b);
	s->drained = s->now;
}

/* Page i goes into sockets of `queue` bytes that empty themselves at b. */
static inline void copy_into_sockets(struct sim_copy *s, const struct dp_plan *plan, uint32_t i, double b)
{
	bool zero = copy_zero(s, plan, i);
	double bytes = zero ? DP_WIRE_ZERO : plan->wire_page;

	if (zero && plan->zero_scan_bps > 0.0)
		s->now += 4096 / plan->zero_scan_bps;
	copy_drain(s, b);
	if (s->level + bytes > plan->queue)
		s->now += (s->level + bytes - plan->queue) / b;
	copy_drain(s, b);
	s->level += bytes;
	s->given += bytes;
}

/* Sends the next dirty page. */
static inline void copy_page(struct sim_copy *s, const struct dp_plan *plan, double b)
{
	uint32_t clear = (uint32_t)plan->clear_pages, i, j;

	while (!s->qemu[s->pos])
		s->pos = (s->pos + 1) % SIM_PAGES;
	i = s->pos;
	if (clear && s->to_clear[i / clear]) {
		copy_guest_until(s, s->now);
		for (j = i / clear * clear; j < SIM_PAGES && j < (i / clear + 1) * clear; j++) {
			if (s->known[j])
				s->kvm[j] = s->known[j] = false;
		}
		s->to_clear[i / clear] = false;
	}
	if (plan->queue > 0.0)
		copy_into_sockets(s, plan, i, b);
	else
		s->now += copy_cost(s, plan, i, b);
	s->sent[i] = true;
	s->copies++;
	s->qemu[i] = false;
	s->pending--;
}

/* The guest stands still. */
static inline void copy_rest(struct sim_copy *s, const struct dp_plan *plan, double bs, struct sim_result *r)
{
	double from = s->now;
	uint32_t i;

	r->converged = true;
	for (i = 0; i < SIM_PAGES; i++) {
		if (!s->qemu[i])
			continue;
		if (plan->queue > 0.0)
			copy_into_sockets(s, plan, i, bs);
		else
			s->now += copy_cost(s, plan, i, bs);
	}
	r->downtime = s->now - from + plan->fixed;
	r->blackout = r->downtime + s->level / bs;
	r->total = plan->setup + from + r->downtime;
	r->syncs = s->syncs;
}

/* QEMU's bandwidth is what it gave to its sockets in the last 100 ms or more; with none known to hold anything, exit_bps. */
static inline double copy_threshold(struct sim_copy *s, const struct dp_plan *plan, double exit_bps,
				    double *from, double *given, double threshold)
{
	if (plan->queue <= 0.0) {
		if (s->noise > 0.0 && (s->factor <= 0.0 || s->now >= s->noise_at + 0.1)) {
			s->noise_at = s->now;
			s->factor = 1.0 + s->noise * (sim_random(&s->chance) - sim_random(&s->chance));
		}
		return exit_bps * plan->limit * (s->noise > 0.0 ? s->factor : 1.0);
	}
	if (s->now - *from < 0.1)
		return threshold;
	threshold = (s->given - *given) / (s->now - *from) * plan->limit;
	*from = s->now;
	*given = s->given;
	return threshold;
}

/*
 * Until QEMU looks again: after 50 ms; under a cap, when it has sent what it may of 100 ms, as fast as the path goes, and these are
 * over.
 */
static inline void copy_step(struct sim_copy *s, const struct dp_plan *plan, double b, double bs)
{
	double until = s->now + 0.05;
	bool capped = b < bs;

	if (capped && s->now >= s->window + 0.1) {
		s->window = s->now;
		s->used = 0.0;
	}
	while (s->pending && s->now < until && !(capped && s->used >= b * 0.1)) {
		copy_page(s, plan, capped ? bs : b);
		s->used += plan->wire_page;
	}
	if (capped && s->used >= b * 0.1)
		s->now = fmax(s->now, s->window + 0.1);
}

/* Gives up after `patience` seconds. */
static inline void copy_run(struct sim_copy *s, const struct dp_plan *plan, double b, double bs,
			    double exit_bps, double patience, struct sim_result *r)
{
	double threshold = 0.0, from = s->now, given = s->given;

	*r = (struct sim_result){ .total = HUGE_VAL, .downtime = HUGE_VAL };
	while (s->now < patience) {
		threshold = copy_threshold(s, plan, exit_bps, &from, &given, threshold);
		if (s->pending * 4096.0 < threshold) {
			copy_sync(s, plan);
			if (s->pending * 4096.0 < threshold) {
				copy_rest(s, plan, bs, r);
				return;
			}
			if (s->syncs == s->stop_at)
				return;
		}
		copy_step(s, plan, b, bs);
	}
	r->syncs = s->syncs;
}

static inline struct sim_copy *copy_new(struct sim_guest *g, const struct dp_plan *plan)
{
	struct sim_copy *s = calloc(1, sizeof(*s));
	uint32_t i;

	if (!s)
		abort();
	s->guest = g;
	s->chance = 0xD1B54A32D192ED03ULL;
	s->throttle = plan->throttle;
	sim_start(g);
	for (i = 0; i < SIM_PAGES; i++) {
		s->qemu[i] = true;
		if (plan->clear_pages > 0.0) {
			s->kvm[i] = s->known[i] = true;
			s->to_clear[(uint32_t)(i / plan->clear_pages)] = true;
		}
	}
	s->pending = SIM_PAGES;
	return s;
}

#endif
