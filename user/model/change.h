/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which granules' contents to compare from sync to sync, so that what is found speaks for all. Pure: reading them, and
 * what that may cost, is the caller's business.
 *
 * A window is what lies between two syncs. The log says which granules were written in it; whether a 4K page of them
 * really changed is seen from its contents at both ends. Only what the log reports can have changed, so a granule that
 * was read at its last sync needs reading again only at the next sync that reports it.
 *
 * Sampling: a fixed, seeded permutation gives each granule a rank. Sampled are the ranks below a bound, all through, so
 * whatever the guest does they are a simple random sample of the granules that the log reports in any window. The
 * bound comes down whenever more would have to be read than may be, the highest ranks going first; where too little is
 * left, sampling starts afresh. With few dirty granules the bound stays above all: a census.
 *
 *	again  granules that were dirty in an earlier window: read then, if their rank is below the bound
 *	first  granules dirty for the first time: compared if their turn to be read beforehand had come (by rank as well)
 *
 * Each is estimated by itself, with the number of pages that the log reported as its weight (change_est.h).
 *
 * A page that changes and changes back within a window has not changed: a receiver that has its old content needs no
 * new one. Of the contents only fingerprints are kept (pagehash.h).
 */
#ifndef DIRTYPROF_MODEL_CHANGE_H
#define DIRTYPROF_MODEL_CHANGE_H

#include <stdbool.h>
#include <stddef.h>

#include "dirtyprof/snapshot.h"
#include "model/pageset.h"

#define DP_CHANGE_SHIFT_MAX 18 /* granules up to 1 GiB */

struct dp_change;

struct dp_change_opts {
	uint32_t shift;	   /* log2 of the 4K pages in a granule, 0 to DP_CHANGE_SHIFT_MAX */
	uint32_t nregions; /* of the page index */
	uint64_t seed;
};

struct dp_change *dp_change_new(const struct dp_change_opts *o); /* NULL: out of memory */
void dp_change_free(struct dp_change *c);			 /* NULL-safe */

/* A sync's newly reported pages. Several before a plan are one window. */
void dp_change_log(struct dp_change *c, const struct dp_pageset *pages);

/*
 * The granules to read now that the window has ended, by rank: all of them, or the first few. room: how many may be read
 * at this sync, in all; *all: it was enough for the whole sample. Returns how many are listed; the list is valid until
 * the next call of anything but got. Where it says too little, leave it, and let the next sync end the window.
 */
size_t dp_change_plan(struct dp_change *c, size_t room, const uint32_t **granules, bool *all);

/* What a granule holds: a fingerprint a page, or DP_HASH_UNKNOWN. NULL: it could not be read. In the plan's order. */
void dp_change_got(struct dp_change *c, uint32_t granule, const uint64_t *hash);

/*
 * The window is done with; planned granules that were not read are left out of the sample from now on. lag_ns: from the
 * window's end until a granule was read, a mean.
 */
void dp_change_end(struct dp_change *c, uint64_t window_ns, uint64_t lag_ns);

/*
 * Right after end: the next granule to read in case it becomes dirty one day; then got, or nothing where it is not RAM.
 * False: enough are.
 */
bool dp_change_next(struct dp_change *c, uint32_t *granule);

/*
 * What the log has reported since the window began is not all that was written: at its end contents are taken anew, and
 * nothing is compared.
 */
void dp_change_gap(struct dp_change *c);

/* Granules that would have to be read for that, at most. */
size_t dp_change_sampled(const struct dp_change *c);

/* Sets what of *out this knows: unit, windows, window_ns, lag_ns, compared, failed, again, first, past. */
void dp_change_stats(const struct dp_change *c, struct dp_changes *out);

#endif
