/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The working-set curve U(t): how many distinct pages (blocks of a size) a guest dirties within t of a
 * moment that has nothing to do with its own writes. Pure: no I/O, no clock, no libbpf.
 *
 * U is expressed in blocks of the size asked for, t in seconds. U(0) = 0, U never falls, U never
 * exceeds the blocks that log. For a stationary guest U is concave.
 */
#ifndef DIRTYPROF_CURVE_H
#define DIRTYPROF_CURVE_H

#include "dirtyprof/snapshot.h"

struct dp_curve;

/* A value with its 10-90 % interval, or wider, never knowingly narrower. lo <= mid <= hi. */
struct dp_est {
	double lo, mid, hi;
};

struct dp_curve *dp_curve_new(void);	/* NULL: out of memory */
void dp_curve_free(struct dp_curve *c); /* NULL-safe */

/*
 * Adds an interval's observations. The VM's regions and blocks are taken from the snapshot's vm; where the number of regions
 * changed, what was gathered under their old numbers is dropped. 0, or -ENOMEM, -EINVAL (inconsistent numbers; nothing is added).
 */
int dp_curve_add(struct dp_curve *c, const struct dp_snapshot *s);

/*
 * Fits U for every size from all that was added. Call after the last add, before the eval functions; may be called again after
 * further adds. About a millisecond; some 0.1 s for windows of a thousand regions. 0, -ENOMEM or -EINVAL (c is NULL).
 */
int dp_curve_fit(struct dp_curve *c);

/*
 * After a fit, of a guest whose pace changes: the band is of what a window of length t will have, no longer of the mean over all
 * windows. spread: of the pace, as a share of it (standard deviation); lasting: how long it keeps to one, s. Over t >> lasting
 * it evens out: spread / sqrt(1 + t / lasting). Until the next fit.
 */
void dp_curve_widen(struct dp_curve *c, double spread, double lasting);

/* true: something was observed, so that U is more than 0 <= U <= N. */
bool dp_curve_known(const struct dp_curve *c, enum dp_size size);

/*
 * U(t) in blocks. Beyond the longest observation lo stays flat, hi follows the largest slope that concavity allows, and mid
 * goes on at the last slope (anchors) or stays at the geometric mean of what the windows allow, as it does between windows.
 * All are capped by the number of blocks. t < 0 or NaN counts as 0. Nothing observed: lo = mid = 0, hi = all blocks.
 */
struct dp_est dp_curve_eval(const struct dp_curve *c, enum dp_size size, double t);

/*
 * The dirty rate, in blocks a second: the slope of U at 0 as its first 10 ms show it. A guest that rewrites all its
 * working set faster than that dirties more a second than this says. Windows bound it from below alone: then lo = mid = the most that any
 * window's U(T)/T proves, and hi = HUGE_VAL. Nothing observed: 0 to HUGE_VAL.
 */
struct dp_est dp_curve_rate(const struct dp_curve *c, enum dp_size size);

/* One region's curve at 4K, for the prediction by region. Regions never observed: mid 0, hi = its pages. */
struct dp_est dp_curve_region_eval(const struct dp_curve *c, uint32_t region, double t);
double dp_curve_region_mid(const struct dp_curve *c, uint32_t region,
			   double t); /* its middle alone, sooner */
/* Whether it is the same as that of the region before: most of a large VM's are. */
bool dp_curve_region_same(const struct dp_curve *c, uint32_t region);
uint32_t dp_curve_regions(const struct dp_curve *c);
double dp_curve_region_pages(const struct dp_curve *c, uint32_t region); /* 4K pages; 0 out of range */

/* Longest lag at which something was observed, in seconds; 0 = nothing. */
double dp_curve_reach(const struct dp_curve *c, enum dp_size size);

/*
 * The time resolution of what was seen, in seconds: nine of ten events came at most so much later than the write that they
 * tell of. NAN: no event told. *batch: events that came at once, a mean; NAN likewise.
 */
double dp_curve_resolution(const struct dp_curve *c, double *batch);

/*
 * The lengths of windows at which user space received the log (where it never did, those at which dirtyprof looked), longest
 * first, each once within 12.5 %. Returns how many there are, writes at most n. Seconds.
 */
uint32_t dp_curve_windows(const struct dp_curve *c, double *t, uint32_t n);

/* Number of blocks of this size that log (the N of U). */
double dp_curve_blocks(const struct dp_curve *c, enum dp_size size);

#endif
