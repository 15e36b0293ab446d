/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where in memory a migration's pages are pending. QEMU sends memory in one direction, round and round, and goes on after a sync
 * where it was (migration/ram.c, ram_find_and_save_block). How much it sent is seen on the wire, and in which parts of memory the
 * log found pages by place (dirtyprof/heat.h): together they tell which pages are still to come, also where the guest writes
 * only to some part of its memory that was just sent, or has still to be.
 */
#ifndef DIRTYPROF_MODEL_MIG_MAP_H
#define DIRTYPROF_MODEL_MIG_MAP_H

#include <stdbool.h>

#include "dirtyprof/bins.h"

struct dp_mig_map {
	bool known;		      /* false: RAM was laid out anew meanwhile, or its parts are not known */
	double size[DP_HEAT_BINS];    /* pages */
	double pending[DP_HEAT_BINS]; /* of them; in the part where QEMU is, those before it */
	double behind;		      /* and those that it has passed in this part */
	bool first[DP_HEAT_BINS];     /* never sent yet */
	double zeros[DP_HEAT_BINS];   /* share of zero pages in what was never sent; the caller's to set */
	double fresh[DP_HEAT_BINS];   /* found since rings were last read, or the last sync, */
	double found[DP_HEAT_BINS];   /* and from that until then, each page once */
	double set[DP_HEAT_BINS];     /* pages that were pending after the last sync, of those sent before */
	unsigned int at;	      /* the part where QEMU is, */
	double done;		      /* and the share of it that it has passed */
};

/* All is pending, and no page is zero until zeros say so. size: of each part. */
void dp_map_begin(struct dp_mig_map *m, const double size[DP_HEAT_BINS]);

/* Wire bytes that are pending; page: of a page that is not zero. */
double dp_map_bytes(const struct dp_mig_map *m, double page);

/* Zero pages that are pending. */
double dp_map_zeros(const struct dp_mig_map *m);

/* So many wire bytes were sent. */
void dp_map_sent(struct dp_mig_map *m, double bytes, double page);

/* Brings what is pending to so many wire bytes, every part alike. */
void dp_map_scale(struct dp_mig_map *m, double bytes, double page);

/* What was found so far and is not pending yet: pages, and of these found since rings were last read. */
void dp_map_counts(const struct dp_mig_map *m, double *found, double *fresh);

/*
 * Rings were read, and since the time before so many pages had been found: all can be found again. What is fresh may be more, as some of
 * it came later, or less, as a page counts once there that was found before and after a reading. again: the share of those found
 * before the last reading that were found once more.
 */
void dp_map_read(struct dp_mig_map *m, double pages, double again);

/* All that was found is forgotten. */
void dp_map_forget(struct dp_mig_map *m);

/*
 * Pages found in parts that were sent before, after dp_map_read, and the set of pages that what is pending there is left of: those
 * that the last sync left. Which of them were sent since is a matter of place, not of how often they are written.
 */
void dp_map_again(const struct dp_mig_map *m, double *set, double *found);

/*
 * A sync, after dp_map_read: what was found since the last one is pending now. In parts that were sent before, the share `again`
 * of what is pending was found again.
 */
void dp_map_sync(struct dp_mig_map *m, double again);

#endif
