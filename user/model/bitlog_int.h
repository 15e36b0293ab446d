/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The inside of a dirty log's reader: shared by bitlog.c (slots, looks as a whole) and bitlog_piece.c (pieces). */
#ifndef DIRTYPROF_MODEL_BITLOG_INT_H
#define DIRTYPROF_MODEL_BITLOG_INT_H

#include "model/bitlog.h"
#include "model/pageset.h"

#define UNIT_SHIFT 15 /* host pages that share re-arming times: one piece of the probe's */
#define UNIT_PAGES (1ull << UNIT_SHIFT)

struct unit {
	uint64_t armed_ns; /* last re-arming of any page of it */
	uint64_t seen_ns;  /* last GET: pages clean then are known to have been */
	uint32_t clean;	   /* host pages that were armed just after that GET */
	uint32_t unarmed;  /* bits of slot.unarmed that are set in it */
	bool known;
};

struct slot {
	struct dp_bitlog_slot d;
	uint64_t *unarmed;
	struct unit *units;
};

/* One region's part of a sync or a peek under way. */
struct part {
	uint64_t armed, unarmed, reported;
	uint64_t t_lo, t_hi;
	bool timed;
};

struct dp_bitlog {
	uint32_t nregions, manual;
	struct slot *slots;
	size_t nslots;
	struct part *sync, *peek;
	struct dp_pageset sync_set, peek_set; /* dirty, of the sync and the peek under way */
	struct dp_pageset new_set;
	uint64_t (*blocks)[DP_SIZES]; /* by region: blocks that logging slots touch */
	uint32_t *arming;
	uint64_t armed_at, last_sync, sync_t, peek_t;
	bool sync_open, peek_open;
	struct dp_window *win;
	uint32_t nwin, room;
	uint32_t last
		[DP_SIZES]; /* of win: the latest one of each size of the look under way, from 1; 0 none */
};

struct slot *dp_bitlog_slot_find(struct dp_bitlog *b, uint32_t key);

#endif
