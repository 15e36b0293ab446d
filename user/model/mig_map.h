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
	double zeros[DP_HEAT_BINS];   /* share of zero pages in what was never sent */
	double fresh[DP_HEAT_BINS];   /* found since the last sync */
	unsigned int at;	      /* the part where QEMU is, */
	double done;		      /* and the share of it that it has passed */
};

/* All is pending. size, zeros: by part. */
void dp_map_begin(struct dp_mig_map *m, const double size[DP_HEAT_BINS], const double zeros[DP_HEAT_BINS]);

/* Wire bytes that are pending; page: of a page that is not zero. */
double dp_map_bytes(const struct dp_mig_map *m, double page);

/* So many wire bytes were sent. */
void dp_map_sent(struct dp_mig_map *m, double bytes, double page);

/* Brings what is pending to so many wire bytes, every part alike. */
void dp_map_scale(struct dp_mig_map *m, double bytes, double page);

/*
 * A sync: what was found since the last one is pending now. Of what was found in parts that have been sent before, the share
 * `again` of what is pending there was found again.
 */
void dp_map_sync(struct dp_mig_map *m, double again);

/* Pages pending that were sent before, and pages found in such parts. */
void dp_map_again(const struct dp_mig_map *m, double *pending, double *found);

#endif
