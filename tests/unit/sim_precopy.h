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
	double now, last_sync;
	struct sim_guest *guest;
	double throttle;
};

struct sim_result {
	bool converged;
	double total, downtime;
	uint32_t syncs; /* after the first */
};

static inline void copy_guest_until(struct sim_copy *s, double now)
{
	struct sim_tier *t;

	for (;;) {
		t = sim_next(s->guest);
		if (t->next > now * (1.0 - s->throttle))
			return;
		s->kvm[t->page] = true;
		sim_advance(s->guest, t);
	}
}

static inline void copy_sync(struct sim_copy *s, const struct dp_plan *plan)
{
	uint32_t i;

	copy_guest_until(s, s->now);
	for (i = 0; i < SIM_PAGES; i++) {
		if (!s->kvm[i])
			continue;
		s->pending += !s->qemu[i];
		s->qemu[i] = true;
		if (plan->clear_pages > 0.0) {
			s->known[i] = true;
			s->to_clear[(uint32_t)(i / plan->clear_pages)] = true;
		} else {
			s->kvm[i] = false;
		}
	}
	s->last_sync = s->now;
	s->syncs++;
}

/* Seconds to get page i out. Zero pages are spread evenly; only a page's first copy is one. */
static inline double copy_cost(const struct sim_copy *s, const struct dp_plan *plan, uint32_t i, double b)
{
	if (!s->sent[i] && fmod((double)i * plan->zero_pages, SIM_PAGES) < plan->zero_pages)
		return DP_WIRE_ZERO / b + (plan->zero_scan_bps > 0.0 ? 4096 / plan->zero_scan_bps : 0.0);
	return plan->wire_page / b;
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
	s->now += copy_cost(s, plan, i, b);
	s->sent[i] = true;
	s->qemu[i] = false;
	s->pending--;
}

/* Gives up after `patience` seconds. */
static inline void copy_run(struct sim_copy *s, const struct dp_plan *plan, double b, double bs,
			    double exit_bps, double patience, struct sim_result *r)
{
	double threshold = exit_bps * plan->limit, until;
	uint32_t i;

	*r = (struct sim_result){ .total = HUGE_VAL, .downtime = HUGE_VAL };
	while (s->now < patience) {
		if (s->pending * 4096.0 < threshold) {
			copy_sync(s, plan);
			if (s->pending * 4096.0 < threshold) {
				r->converged = true;
				r->downtime = plan->fixed;
				for (i = 0; i < SIM_PAGES; i++)
					r->downtime += s->qemu[i] ? copy_cost(s, plan, i, bs) : 0.0;
				r->total = plan->setup + s->now + r->downtime;
				r->syncs = s->syncs;
				return;
			}
		}
		for (until = s->now + 0.05; s->pending && s->now < until && s->now < patience;)
			copy_page(s, plan, b);
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
