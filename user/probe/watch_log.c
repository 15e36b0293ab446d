// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Dirty events of the interval under way: from the ring's counters, or from the bitmaps' pieces. */
#include <stdlib.h>
#include <string.h>

#include "cli/log.h"
#include "probe/watch_int.h"

#define RING_SYNC_GAP_NS 100000000ull  /* RESETs by a reaper, closer together than this, are one */
#define PARTIAL_GAP_NS	 1000000000ull /* a GET's last piece was lost */
#define PEEK_FIRST_NS	 10000000ull
#define PEEK_LONGEST_NS	 64000000000ull
#define PEEK_SHARE	 200 /* of the time, one part is for looking */

void dp_watch_note_tid(struct dp_watch *w, uint32_t tid)
{
	if (dp_watch_took_log(w, tid))
		return;
	w->log_tids[w->next_log_tid++ % 16] = tid;
	if (w->nlog_tids < 16)
		w->nlog_tids++;
}

bool dp_watch_took_log(void *ctx, uint32_t tid)
{
	const struct dp_watch *w = ctx;
	uint32_t i;

	for (i = 0; i < w->nlog_tids; i++)
		if (w->log_tids[i] == tid)
			return true;
	return false;
}

static void add_gaps(struct dp_mark_gaps *to, const struct dp_mark_gaps *g)
{
	uint32_t i;

	for (i = 0; i < DP_GAP_BINS; i++) {
		to->batched[i] += g->batched[i];
		to->alone[i] += g->alone[i];
	}
	for (i = 0; i < DP_BATCH_BINS; i++)
		to->batches[i] += g->batches[i];
}

/*
 * Moves what the ring's programs counted into the interval. set: what a RESET closed, or DP_NO_SET. With a sync:
 * the pages since the last one as well.
 */
static int take_events(struct dp_watch *w, uint32_t set, struct dp_sync *sync)
{
	const uint64_t one = 1;
	struct dp_events_take t;
	uint32_t i;
	int err = dp_events_take(w->events, set, &t);

	if (err)
		return err;
	/* With bitmaps, which pages were dirtied is what user space received; marks tell the times. */
	if (!w->harvest) {
		dp_pageset_add_words(&w->iv.pages, t.bits, t.words);
		dp_pageset_add_words(&w->sync_pages, t.bits, t.words);
	}
	err = dp_pile_add(&w->iv.ages, t.ages, t.nages);
	err = err ? err : dp_pile_add(&w->iv.exposures, t.exposures, t.nexposures);
	for (i = 0; i < DP_MAX_STAT_VCPUS; i++)
		w->iv.vcpu_events[i] += t.vcpu_events[i];
	w->iv.pushes += t.pushes;
	w->iv.repeated += t.repeated;
	w->iv.unknown += t.unknown;
	w->iv.lost += t.lost;
	add_gaps(&w->iv.gaps, &t.gaps);
	if (t.lost)
		dp_watch_change_lost(w);
	if (sync) {
		dp_watch_change_log(w, &w->sync_pages);
		for (i = 0; i < w->layout.nregions; i++)
			dp_pageset_move(&w->sync_pages, i, sync->new_blocks, NULL, NULL, 0);
		sync->new_pages = sync->reported_pages = sync->new_blocks[DP_4K];
		for (i = 0; i < t.nleft; i++)
			dp_pageset_or(&w->sync_pages, t.left[i], &one, 1);
	}
	return err;
}

int dp_watch_take_events(struct dp_watch *w)
{
	/* Syncs first: what came before them is theirs. */
	dp_watch_read_events(w);
	return take_events(w, DP_NO_SET, NULL);
}

/* Whether a RESET was a sync of its own; then its times are set. A vCPU that resets had a full ring: no sync. */
static bool is_sync(struct dp_watch *w, const struct dp_reset_note *note, struct dp_sync *s)
{
	s->t_ns = note->t_ns > w->base_ns ? note->t_ns - w->base_ns : 0;
	if (dp_events_is_vcpu(w->events, note->tid))
		return false;
	dp_watch_note_tid(w, note->tid);
	s->by_migration = w->wire && dp_wire_is_sender(w->wire, note->tid);
	if (!w->logging || (!s->by_migration && w->last_sync && s->t_ns < w->last_sync + RING_SYNC_GAP_NS))
		return false;
	s->since_ns = w->last_sync && s->t_ns > w->last_sync ? s->t_ns - w->last_sync : 0;
	return true;
}

static void tell_sync(struct dp_watch *w, uint32_t set, struct dp_sync *s)
{
	w->untold = false;
	if (take_events(w, set, s))
		return;
	w->last_sync = s->t_ns;
	dp_pile_add(&w->iv.syncs, s, 1);
	w->want_snapshot |= s->by_migration;
	dp_watch_change_sync(w, s);
}

static void on_reset(void *ctx, const struct dp_reset_note *note)
{
	struct dp_sync s = { 0 };
	struct dp_watch *w = ctx;

	if (!is_sync(w, note, &s)) {
		if (note->set != DP_NO_SET)
			take_events(w, note->set, NULL);
		return;
	}
	if (note->set != DP_NO_SET) {
		tell_sync(w, note->set, &s);
		return;
	}
	/* We were so late that no set was free to go on with: its pages are told with the next one's. */
	w->untold = true;
	w->untold_sync = s;
}

void dp_watch_read_events(struct dp_watch *w)
{
	if (!dp_events_resets(w->events, on_reset, w))
		return;
	w->next_drain = 0;
	/* A migration's last one has no next: better with what came since than not at all. */
	if (w->untold && w->untold_sync.by_migration)
		tell_sync(w, DP_NO_SET, &w->untold_sync);
}

void dp_watch_drain(struct dp_watch *w)
{
	uint64_t now = dp_mono_ns(), next;

	if (now - w->base_ns < w->next_drain)
		return;
	next = dp_events_drain(w->events);
	/* Nobody writes a ring: the first push, or the next look at the VM, will tell. */
	w->next_drain = next == UINT64_MAX ? now - w->base_ns + POLL_NS : next - w->base_ns;
}

/* The windows of a look, or of a sync, become the interval's. */
static void take_windows(struct dp_watch *w, bool keep)
{
	uint32_t n;
	const struct dp_window *win = dp_bitlog_windows(w->bitlog, &n);

	if (keep && w->iv.windows.n + n <= DP_WINDOWS_MAX)
		dp_pile_add(&w->iv.windows, win, n);
	dp_bitlog_take_windows(w->bitlog);
}

/* The GETs so far were one sync. */
void dp_watch_end_sync(struct dp_watch *w)
{
	struct dp_sync s;
	bool ram;

	if (!w->sync_open)
		return;
	w->sync_open = false;
	w->nsync_keys = 0;
	dp_watch_change_log(w, dp_bitlog_sync_pages(w->bitlog));
	ram = dp_bitlog_end_sync(w->bitlog, &s);
	take_windows(w, true);
	if (!ram)
		return;
	s.by_migration = w->wire && (dp_wire_is_sender(w->wire, w->sync_tid) || dp_wire_running(w->wire));
	w->last_sync = s.t_ns;
	dp_pile_add(&w->iv.syncs, &s, 1);
	w->want_snapshot |= s.by_migration;
	dp_watch_change_sync(w, &s);
}

static bool key_in_sync(const struct dp_watch *w, uint32_t key)
{
	uint32_t i;

	for (i = 0; i < w->nsync_keys; i++)
		if (w->sync_keys[i] == key)
			return true;
	return false;
}

static void on_get(struct dp_watch *w, const struct dp_hv_rec *rec, const struct dp_bitlog_piece *p)
{
	/* A slot's second GET begins the next sync, as does a pause. */
	if (w->sync_open &&
	    ((!rec->first && key_in_sync(w, rec->slot)) || p->t_ns > w->sync_last + SYNC_GAP_NS))
		dp_watch_end_sync(w);
	if (!rec->first && w->nsync_keys < 512)
		w->sync_keys[w->nsync_keys++] = rec->slot;
	w->sync_open = true;
	w->sync_partial = !p->last;
	w->sync_last = p->t_ns;
	w->sync_tid = rec->tid;
	dp_watch_note_tid(w, rec->tid);
	dp_bitlog_get(w->bitlog, p);
}

/* The lines that came, put back to their places; the others are not read. */
static const uint64_t *unpack(struct dp_watch *w, const struct dp_hv_rec *rec)
{
	const uint64_t *from = (const uint64_t *)(rec + 1);
	uint64_t lines;

	if (!~rec->lines)
		return from;
	for (lines = rec->lines; lines; lines &= lines - 1, from += DP_LINE_WORDS)
		memcpy(w->chunk + (size_t)__builtin_ctzll(lines) * DP_LINE_WORDS, from, DP_LINE_WORDS * 8);
	return rec->lines ? w->chunk : NULL;
}

static void on_piece(void *ctx, const struct dp_hv_rec *rec)
{
	struct dp_watch *w = ctx;
	struct dp_bitlog_piece p = { .key = rec->slot,
				     .t_ns = rec->t_ns > w->base_ns ? rec->t_ns - w->base_ns : 0,
				     .first = rec->first,
				     .n = rec->npages,
				     .bits = unpack(w, rec),
				     .empty = ~rec->lines,
				     .last = rec->flags & DP_HV_LAST };

	if (rec->type == DP_HV_SLOTS) {
		dp_watch_end_sync(w);
		if (!dp_watch_refresh(w, rec->t_ns, true) && !w->nrecs)
			w->next_poll = p.t_ns;
		return;
	}
	if (!w->bitlog)
		return; /* the layout changed and could not be laid out again */
	switch (rec->type) {
	case DP_HV_GET:
		on_get(w, rec, &p);
		break;
	case DP_HV_CLEAR:
		/* A VMM may take and re-arm slot by slot: still one sync. */
		if (w->sync_open && p.t_ns > w->sync_last + SYNC_GAP_NS)
			dp_watch_end_sync(w);
		dp_watch_note_tid(w, rec->tid);
		dp_bitlog_clear(w->bitlog, &p);
		break;
	case DP_HV_PEEK:
		dp_watch_end_sync(w);
		dp_bitlog_peek(w->bitlog, &p);
		break;
	}
}

void dp_watch_read_harvest(struct dp_watch *w)
{
	uint64_t lost, gap;

	w->reading = true;
	dp_harvest_read(w->harvest, on_piece, w);
	w->reading = false;
	if (!w->bitlog)
		return;
	lost = dp_harvest_lost(w->harvest);
	if (lost != w->harvest_lost) {
		w->iv.lost += lost - w->harvest_lost;
		w->harvest_lost = lost;
		dp_bitlog_lost(w->bitlog, UINT32_MAX);
		dp_watch_change_lost(w);
	}
	/* The reader may be so late, and so quick, that it overtakes the copying of a large bitmap. */
	gap = w->sync_partial ? PARTIAL_GAP_NS : SYNC_GAP_NS;
	if (w->sync_open && dp_mono_ns() - w->base_ns > w->sync_last + gap)
		dp_watch_end_sync(w);
}

/* Looks at all that logs. Returns how long it took, 0 if the bitmaps' reader is gone. */
static uint64_t look_at_log(struct dp_watch *w, bool keep)
{
	uint64_t t0 = dp_mono_ns();
	uint32_t i;

	for (i = 0; i < w->nrecs; i++)
		if ((w->recs[i].flags & 1) && w->recs[i].npages)
			dp_harvest_peek(w->harvest, &w->recs[i]);
	dp_watch_read_harvest(w);
	if (!w->bitlog)
		return 0;
	dp_bitlog_end_peek(w->bitlog);
	take_windows(w, keep);
	return dp_mono_ns() - t0;
}

/* The windows of a guest that has not run yet begin when it does. now: before it was seen to stand still. */
static void peek_stopped(struct dp_watch *w, uint64_t now)
{
	if (dp_inspect_never_ran(w->inspect)) {
		if (!dp_bitlog_idle(w->bitlog, now)) {
			look_at_log(w, false);
			if (!w->bitlog)
				return;
		}
		w->peek_armed = now;
		w->idle = true;
	}
	w->next_peek = now + PEEK_FIRST_NS;
}

static void first_run(struct dp_watch *w, uint64_t now)
{
	uint64_t last = dp_inspect_last_run_ns(w->inspect);

	w->idle = false;
	dp_bitlog_ran(w->bitlog, last > w->base_ns && last < now + w->base_ns ? last - w->base_ns : now);
}

/*
 * Between two syncs KVM's own bitmap shows how many pages have been dirtied since they were re-armed. It
 * is looked at after 10, 14, 20, 28 ... ms, so that the curve has points at every scale, and never
 * more than 1/200 of the time is spent on it, over all armings: where looks are dear, each arming has others of them.
 */
void dp_watch_peek(struct dp_watch *w)
{
	uint64_t armed = dp_bitlog_armed_at(w->bitlog), now = dp_mono_ns() - w->base_ns, age, took;

#if !defined(__x86_64__)
	return; /* elsewhere the bitmap is complete only at GET */
#endif
	if (w->o.no_peek || !w->logging || w->sync_open)
		return;
	if (armed > w->peek_armed + PEEK_FIRST_NS / 2) {
		w->peek_armed = armed;
		w->next_peek = armed + PEEK_FIRST_NS > w->peek_free ? armed + PEEK_FIRST_NS : w->peek_free;
	}
	if (now < w->next_peek)
		return;
	if (dp_watch_guest_stopped(w)) {
		peek_stopped(w, now);
		return;
	}
	if (w->idle)
		first_run(w, now);
	took = look_at_log(w, true);
	now += took;
	age = now > w->peek_armed ? now - w->peek_armed : 0;
	/* The next one at sqrt(2) times this age. */
	w->next_peek = now + age * 41 / 100;
	w->peek_free = now + took * PEEK_SHARE;
	if (w->next_peek < w->peek_free)
		w->next_peek = w->peek_free;
	if (age > PEEK_LONGEST_NS)
		w->next_peek = now + PEEK_LONGEST_NS;
}
