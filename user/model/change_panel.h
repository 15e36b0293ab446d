/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The granules that are in the sample, with what they held when they were last read. Bounded. */
#ifndef DIRTYPROF_MODEL_CHANGE_PANEL_H
#define DIRTYPROF_MODEL_CHANGE_PANEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dp_panel_entry {
	uint32_t granule, rank;
	uint32_t windows; /* compared, after an earlier dirty one */
	bool known;	  /* what it held */
	bool drop;	  /* at the next dp_panel_keep */
	double a, d;	  /* in those: pages changed, pages reported */
};

struct dp_panel {
	uint32_t shift; /* log2 of the 4K pages in a granule */
	struct dp_panel_entry *entry;
	uint64_t *hash; /* 2^shift for each entry */
	uint32_t n, max;
	uint32_t *slot; /* hash table of entries: number + 1, by granule */
	uint32_t nslots;
};

int dp_panel_init(struct dp_panel *p, uint32_t shift); /* 0 or -ENOMEM */
void dp_panel_free(struct dp_panel *p);		       /* one that is all zero, too */

/* NULL: it is not in. Entries move when others are added or dropped. */
struct dp_panel_entry *dp_panel_find(const struct dp_panel *p, uint32_t granule);
/* One that is not in; nothing of it is known yet. NULL: no room. */
struct dp_panel_entry *dp_panel_add(struct dp_panel *p, uint32_t granule, uint32_t rank);
uint64_t *dp_panel_hash(const struct dp_panel *p, const struct dp_panel_entry *e);

/* Drops all that are marked, and all whose rank is not below the bound. */
void dp_panel_keep(struct dp_panel *p, uint64_t bound);
bool dp_panel_full(const struct dp_panel *p);
/* A bound that a quarter of the entries reaches. */
uint64_t dp_panel_quarter(const struct dp_panel *p);

#endif
