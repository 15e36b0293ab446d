/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * When all that logs had been re-armed: rounds of GETs, and with manual protect of the CLEARs that they bring. For marks
 * (mark.bpf.h), which count from such moments; noted only where somebody follows them.
 */
#ifndef DIRTYPROF_REARM_BPF_H
#define DIRTYPROF_REARM_BPF_H

#include "rearms.bpf.h"

/* The round of re-arming in which a slot's GET was, and what CLEARs still owe of what it showed. */
struct slot_round {
	u32 round;
	u32 owed; /* host pages */
};

/* By the same index. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct slot_round);
} slot_rounds SEC(".maps");

/* NULL: nobody wants to know. */
static __always_inline struct dp_rearm *wanted_rearm(void)
{
	u32 zero = 0;
	struct dp_rearm *r = bpf_map_lookup_elem(&rearms, &zero);

	return r && r->total ? r : NULL;
}

static __always_inline struct slot_round *round_of(u32 slot)
{
	u32 key = (slot >> 16) * targ_slot_ids + (slot & 0xffff);

	return bpf_map_lookup_elem(&slot_rounds, &key);
}

/* Not more often than a round ends. */
static __always_inline void end_round(struct dp_rearm *r, u64 now)
{
	if (!r->begun_ns || r->pages < r->total || r->owed)
		return;
	r->first_ns = r->begun_ns;
	r->anchor_ns = now;
	r->begun_ns = 0;
	r->complete++;
}

/* A slot's log was taken at `now`. Where GET re-arms, that is all; else it says what CLEARs owe: note_owed. */
static __always_inline void note_get(struct dp_rearm *r, u32 slot, u64 pages, u64 now)
{
	struct slot_round *in = round_of(slot);

	if (!r || !in)
		return;
	/* A slot's second GET begins the next round. */
	if (!r->begun_ns || in->round == r->round ||
	    (!targ_manual && now - r->begun_ns > DP_REARM_ROUND_NS)) {
		r->round++;
		r->pages = r->owed = 0;
		r->begun_ns = now;
	}
	in->round = r->round;
	in->owed = 0;
	r->pages += pages;
	if (targ_manual)
		return;
	r->last_ns = now;
	end_round(r, now);
}

/*
 * `set` pages of a slot were dirty at its GET. The round goes on until all that its GETs showed has been CLEARed, in whatever
 * pieces and however much later: then everything is armed but what was marked since it began.
 */
static __always_inline void note_owed(struct dp_rearm *r, u32 slot, u64 set, u64 now)
{
	struct slot_round *in = round_of(slot);

	if (!r || !in || !targ_manual)
		return;
	in->owed = set;
	r->owed += set;
	end_round(r, now);
}

static __always_inline void note_clear(struct dp_rearm *r, u32 slot, u64 set, u64 now)
{
	struct slot_round *in = round_of(slot);

	if (!r || !in || in->round != r->round)
		return;
	/* It asks for more than the GET showed: how much of that it cleared is not known, so this round does not end. */
	if (set > in->owed)
		return;
	in->owed -= set;
	r->owed -= set < r->owed ? set : r->owed;
	end_round(r, now);
}

#endif
