/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The memory of a simulated pre-copy: what of it is pending, and since when each part is re-armed. Shared by predict_mem.c,
 * predict_sim.c (the rounds to come) and predict_resume.c (those that were).
 */
#ifndef DIRTYPROF_PREDICT_MEM_H
#define DIRTYPROF_PREDICT_MEM_H

#include "model/predict_impl.h"

#define DP_STEP 0.05 /* seconds of sending between two looks at the threshold (QEMU's MAX_WAIT) */
/* the same under a cap: QEMU sends what it may within BUFFER_DELAY, and rests until that is over */
#define DP_STEP_CAPPED 0.1
/*
 * A writer that waits for room in its socket is woken when a third of it is free (sk_stream_write_space), so that a look
 * comes up to so much later than DP_STEP.
 */
#define DP_WAKE_SHARE (1.0 / 3)
#define DP_WINDOW     0.1 /* seconds over which QEMU measures its bandwidth (BUFFER_DELAY) */

/* When a part of memory was last sent. Times on the guest's clock, which a throttle slows down, from the start. */
struct dp_rec {
	double rearmed; /* its pages that were sent then are armed since */
	double sync;	/* the sync before: its other pages count from here */
	double window;	/* how long the pages that were sent had had to be dirtied */
	double in_gap;	/* of pages written in a gap like (sync, rearmed), the share that is cold */
};

struct dp_mem {
	const struct dp_sim_in *in;
	const struct dp_env *env;
	double throttle, k; /* k: the speed of the guest's clock */
	double now;	    /* seconds from the start */
	double guest;	    /* the same on the guest's clock, as are last_sync and entered */
	double last_sync;
	struct dp_rec rec[DP_SEGMENTS];
	bool first[DP_SEGMENTS];    /* never sent yet */
	double pend[DP_SEGMENTS];   /* in QEMU's bitmap and not yet sent; of the current one: ahead */
	uint32_t cur;		    /* segment being sent */
	double done;		    /* share of it that was passed */
	struct dp_rec part;	    /* sums over that share, weighted by it */
	double part_weight, behind; /* behind: pending in that share */
	uint32_t chunk;
	double entered;		    /* when the current chunk was entered */
	uint32_t passes;	    /* through all of memory */
	double before[DP_SEGMENTS]; /* pages before each segment */
	struct dp_sender tx;
};

/* Pages of segment g that are written within t. */
double dp_mem_u(const struct dp_mem *s, uint32_t g, double t);
/* The log is read: what is pending anew. */
void dp_mem_sync(struct dp_mem *s);
double dp_mem_pending(const struct dp_mem *s);
/* Of pages written in a gap like that between r->sync and r->rearmed, the share that is cold. */
double dp_mem_cold_share(const struct dp_mem *s, uint32_t g, const struct dp_rec *r);
/*
 * n pages of the current segment, not more than are pending ahead, are sent within dt of the guest's time. Moves on to the next
 * segment once none is ahead.
 */
void dp_mem_sent(struct dp_mem *s, double n, double dt);
/* The share of zero pages in the rest of a segment, of which `done` was passed; only pages not yet sent are zero. */
double dp_mem_zeros(const struct dp_mem *s, uint32_t g, double done);
/* The same of what can be sent next at one cost: pages up to the next bin's start, *n if that is less. */
double dp_mem_zeros_next(const struct dp_mem *s, double *n);
/* Wire bytes of what is pending: of pages never sent, and of the others. */
double dp_mem_bytes_first(const struct dp_mem *s);
double dp_mem_bytes_again(const struct dp_mem *s);

#define DP_SEND_HOPS                                                                                         \
	(2 * DP_SEGMENTS + 2 + DP_ZERO_BINS) /* no more costs than this follow one another in a pass */

/* Puts the memory into the state that a migration under way is in now. */
void dp_mem_resume(struct dp_mem *s);

#endif
