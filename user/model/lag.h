/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How much later than its write a mark comes: docs/hooks.md, "mark". Where the processor collects writes, KVM marks them at
 * the next VM exit, a buffer at once. Then each was written at some time since the buffer before, and that gap is the
 * resolution of its time. Where each first write faults, its mark comes with it. Pure.
 */
#ifndef DIRTYPROF_MODEL_LAG_H
#define DIRTYPROF_MODEL_LAG_H

#include "dirtyprof/snapshot.h"

struct dp_lag {
	double certain;		    /* marks that came with their write */
	double within[DP_GAP_BINS]; /* marks that came within a gap of this bin */
	double marks, batches;
};

void dp_lag_add(struct dp_lag *l, const struct dp_mark_gaps *g);

/*
 * Nine of ten marks came at most so many seconds after their write: the upper edge of a bin, so up to twice too much. 0: at
 * once, or no mark.
 */
double dp_lag_seconds(const struct dp_lag *l);

/* The same, with what the unit of the kept times adds. NAN: no mark. */
double dp_lag_resolution(const struct dp_lag *l);

/* Marks that came at once, a mean over the batches. NAN: none. */
double dp_lag_batch(const struct dp_lag *l);

#endif
