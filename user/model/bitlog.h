/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a VM's dirty bitmaps say, from the pieces that user space received (GET), re-armed (CLEAR) and
 * that dirtyprof looked at in between (PEEK). Pure: fed in the order in which things happened.
 *
 * A page is "unarmed" while it has been reported and not re-armed since: its writes are invisible and its
 * set bit says nothing new. With manual protect CLEAR re-arms; without it, GET itself does. After
 * KVM_DIRTY_LOG_INITIALLY_SET every page begins unarmed, so that the first, all-ones answer counts nowhere.
 *
 * The window of a page that a GET reports as new runs from its re-arming (by CLEAR) or, for a page
 * that was clean at the GET before, from that GET: hence the two ends of struct dp_window.
 */
#ifndef DIRTYPROF_MODEL_BITLOG_H
#define DIRTYPROF_MODEL_BITLOG_H

#include "dirtyprof/snapshot.h"
#include "model/layout.h"
#include "model/pageset.h"

struct dp_bitlog;

struct dp_bitlog_slot {
	uint32_t key;	/* as_id << 16 | id */
	uint32_t index; /* page index of its first page */
	uint32_t shift; /* log2 of 4K pages in one bit (0 on x86, 4 where the host page is 64K) */
	uint64_t nbits; /* host pages */
	bool logging;
};

/* One piece of a bitmap: bits first .. first + n of the slot; first is a multiple of 64. */
struct dp_bitlog_piece {
	uint32_t key;
	uint64_t t_ns;
	uint64_t first, n;
	const uint64_t *bits; /* NULL: none is set */
	uint64_t empty;	      /* bit i: words 8i .. 8i+7 of bits are known to have none, and are not read */
	bool last;	      /* the call's last piece */
};

/* manual: bit 0 = CLEAR re-arms, bit 1 = all ones at first. NULL: out of memory. */
struct dp_bitlog *dp_bitlog_new(uint32_t nregions, uint32_t manual);
void dp_bitlog_free(struct dp_bitlog *b);

/*
 * The slots as they are at t_ns. A slot that began to log since the last call did so at t_ns if `exact`,
 * else at an unknown time before; one that changed or stopped is forgotten. 0 or -ENOMEM.
 */
int dp_bitlog_slots(struct dp_bitlog *b, const struct dp_bitlog_slot *slots, size_t n, uint64_t t_ns,
		    bool exact);

int dp_bitlog_get(struct dp_bitlog *b, const struct dp_bitlog_piece *p);
int dp_bitlog_clear(struct dp_bitlog *b, const struct dp_bitlog_piece *p);
int dp_bitlog_peek(struct dp_bitlog *b, const struct dp_bitlog_piece *p);

/* The GETs since the last call form one sync: its windows are added to the list, its totals to *s. True if RAM
 * was covered (at least half of what logs). */
bool dp_bitlog_end_sync(struct dp_bitlog *b, struct dp_sync *s);
/* 4K pages that the sync under way has reported as new so far; until dp_bitlog_end_sync. */
const struct dp_pageset *dp_bitlog_sync_pages(const struct dp_bitlog *b);

void dp_bitlog_end_peek(struct dp_bitlog *b);

/* Windows since the last dp_bitlog_take_windows; owned by b, valid until the next call that adds one. */
const struct dp_window *dp_bitlog_windows(const struct dp_bitlog *b, uint32_t *n);
void dp_bitlog_take_windows(struct dp_bitlog *b);

/* 4K pages that syncs reported as new since the caller last emptied the set. */
struct dp_pageset *dp_bitlog_new_pages(struct dp_bitlog *b);

/* A piece was lost: the slot's state is unknown until its next GET. key UINT32_MAX: of every slot. */
void dp_bitlog_lost(struct dp_bitlog *b, uint32_t key);

/* The guest stood still until t_ns: no window begins earlier. False: the state of some slot is not known. */
bool dp_bitlog_idle(struct dp_bitlog *b, uint64_t t_ns);

/* It began to run after that, at t_ns at the latest: windows under way begin between the two. */
void dp_bitlog_ran(struct dp_bitlog *b, uint64_t t_ns);

/* When something was re-armed last, or logging began; 0 = never. Peeks are scheduled from it. */
uint64_t dp_bitlog_armed_at(const struct dp_bitlog *b);

#endif
