// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What an interval comes to. */
#include <string.h>
#include <time.h>

#include "probe/watch_int.h"

/* What is dirty in the interval, by size, by region and by place; the next one begins with none. */
static void count_pages(struct dp_watch *w, struct dp_pageset *pages, struct dp_snapshot *s)
{
	uint64_t before;
	uint32_t r;

	if (!pages->nwords || !w->region_new)
		return;
	dp_watch_granule_seen(w, pages);
	for (r = 0; r < w->layout.nregions; r++) {
		before = s->new_blocks[DP_4K];
		w->seen_pages += dp_pageset_move(pages, r, s->new_blocks, &w->seen, w->heat.part, w->heat.n);
		w->region_new[r] = s->new_blocks[DP_4K] - before;
	}
	dp_heat_take(&w->heat, s->heat);
}

struct dp_snapshot *dp_watch_close_interval(struct dp_watch *w, enum dp_reason reason)
{
	struct dp_snapshot *s = &w->snap;
	struct dp_pageset *pages = w->harvest && w->bitlog ? dp_bitlog_new_pages(w->bitlog) : &w->iv.pages;
	struct timespec wall;

	if (w->events)
		dp_watch_take_events(w);
	memset(s, 0, sizeof(*s));
	s->seq = w->seq++;
	s->reason = reason;
	s->t0_ns = w->iv.t0;
	s->t1_ns = dp_mono_ns() - w->base_ns;
	clock_gettime(CLOCK_REALTIME, &wall);
	s->wall_us = wall.tv_sec * 1000000ll + wall.tv_nsec / 1000;
	s->source = w->source;
	s->logging = w->logging;
	s->logged_ns = w->iv.logged_ns < s->t1_ns - s->t0_ns ? w->iv.logged_ns : s->t1_ns - s->t0_ns;
	s->vm = &w->vm;
	count_pages(w, pages, s);
	s->seen_pages = w->seen_pages;
	s->nregions = w->layout.nregions;
	s->region_new = w->region_new;
	s->slot_new = w->heat.slot_new;
	s->nvcpus =
		w->source == DP_SRC_RING ? (w->vm.nvcpus < DP_MAX_VCPUS ? w->vm.nvcpus : DP_MAX_VCPUS) : 0;
	s->vcpu_events = w->iv.vcpu_events;
	s->ages = w->iv.ages.data;
	s->nages = (uint32_t)w->iv.ages.n;
	s->exposures = w->iv.exposures.data;
	s->nexposures = (uint32_t)w->iv.exposures.n;
	s->windows = w->iv.windows.data;
	s->nwindows = (uint32_t)w->iv.windows.n;
	s->syncs = w->iv.syncs.data;
	s->nsyncs = (uint32_t)w->iv.syncs.n;
	s->gaps = w->iv.gaps;
	s->gaps.collected = w->collected;
	s->vcpu_busy = reason == DP_TIMER ? dp_busy_since(&w->busy, &w->proc, dp_mono_ns()) : 0;
	s->zero_share = w->zero.share;
	if (w->zero.share >= 0) {
		memcpy(s->zero_at, w->zero.at, sizeof(s->zero_at));
		s->zero_scan_bps = dp_zero_speed(w->zero.unmapped);
	}
	if (w->wire) {
		dp_wire_take(w->wire, w->logging, w->base_ns, dp_watch_took_log, w, &w->wire_now);
		dp_wire_forget(w->wire, w->logging, dp_mono_ns());
		s->wire = w->wire_now;
		w->iv.lost += dp_wire_lost(w->wire);
	}
	dp_watch_changes(w, &s->changes);
	s->vcpu_stopped_ns = w->stopped_at;
	s->vcpu_left_ns = dp_watch_left_ns(w);
	s->vcpu_first_ns = w->first_ran;
	dp_watch_self(w, &s->self);
	return s;
}

void dp_watch_next_interval(struct dp_watch *w)
{
	w->iv.t0 = w->snap.t1_ns;
	w->iv.ages.n = w->iv.exposures.n = w->iv.windows.n = w->iv.syncs.n = 0;
	memset(&w->iv.gaps, 0, sizeof(w->iv.gaps));
	w->iv.pushes = w->iv.repeated = w->iv.unknown = w->iv.lost = w->iv.logged_ns = 0;
	if (w->iv.vcpu_events)
		memset(w->iv.vcpu_events, 0, DP_MAX_STAT_VCPUS * sizeof(uint64_t));
}

struct dp_snapshot *dp_watch_snapshot(struct dp_watch *w)
{
	return &w->snap;
}

struct dp_snapshot *dp_watch_finish(struct dp_watch *w)
{
	struct dp_kvm k;

	if (w->snap.vm)
		dp_watch_next_interval(w);
	dp_watch_entry_seen(w);
	/* Of a process that is gone no vCPU runs. */
	w->kvm.vm.running = dp_inspect_look(w->inspect, &k) ? 0 : k.vm.running;
	if (w->events)
		dp_watch_read_events(w);
	if (w->harvest) {
		dp_watch_read_harvest(w);
		if (w->bitlog)
			dp_watch_end_sync(w);
	}
	return dp_watch_close_interval(w, DP_LAST);
}
