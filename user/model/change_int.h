/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Inside of change*.c. */
#ifndef DIRTYPROF_MODEL_CHANGE_INT_H
#define DIRTYPROF_MODEL_CHANGE_INT_H

#include "model/change.h"
#include "model/change_panel.h"
#include "model/change_rank.h"

#define DP_CHANGE_READ 4096u  /* granules a window: a share within 1 %, whatever it is */
#define DP_CHANGE_LIST 32768u /* dirty granules that are ranked one by one */

struct dp_change {
	uint32_t shift;	    /* log2 of 4K pages in a granule */
	uint32_t ngranules; /* of the index */
	struct dp_rank rank;
	struct dp_pageset dirty; /* pages of the window under way */
	uint64_t ndirty;	 /* how many they are */
	uint64_t *ever;		 /* a bit a granule: dirty in a window of this design */
	struct dp_panel panel;	 /* the sample */
	uint32_t *plan;
	size_t nplan, ngot;
	uint64_t bound; /* sampled: ranks below it */
	uint64_t cut;	/* what the bound will be once the plan was read */
	uint64_t next;	/* ranks below it were read beforehand */
	bool little;	/* of what may be read is in the sample */
	bool fresh;	/* much of the last window was dirty for the first time */
	bool stale;	/* the window under way has a gap */
	bool looking;	/* a granule of dp_change_next is awaited */
	uint32_t scanned, sparse;
	uint64_t windows_here; /* ended in this design */
	double total[2];       /* pages reported: again, first */
	struct dp_change_sum first;
	struct dp_change_past past;
	uint64_t windows, window_ns, lag_ns, compared, failed;
};

static inline uint64_t dp_change_ranks(const struct dp_change *c)
{
	return 1ull << c->rank.bits;
}

static inline bool dp_change_bit(const uint64_t *bits, uint32_t i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

/* 4K pages of a granule that are dirty in this window. */
static inline uint64_t dp_change_pages(const struct dp_change *c, uint32_t granule)
{
	uint64_t at = (uint64_t)granule << c->shift, n = 1ull << c->shift, w;

	if (n >= 64)
		return dp_popcount(c->dirty.w + at / 64, (size_t)(n / 64));
	w = c->dirty.w[at / 64] >> (at % 64) & ((1ull << n) - 1);
	return (uint64_t)__builtin_popcountll(w);
}

/* change_plan.c */
/* Calls fn for each dirty granule, until it says to stop. */
void dp_change_each(struct dp_change *c, bool (*fn)(struct dp_change *c, uint32_t granule));
/* The first line of the set from this one on that has a dirty page; or none, beyond the last. */
size_t dp_change_line(const struct dp_change *c, size_t line);

#endif
