/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From compared granules to the share of the reported 4K pages that really changed, with its 10-90 % interval. Pure.
 *
 * A granule is a cluster of pages, looked at in one window or more. Within a stratum the share is a ratio of two sums
 * over a simple random sample of granules, with the linearized variance and the finite-population factor of Cochran,
 * "Sampling Techniques" (3rd ed., 6.3 and 6.4), taken as at least that of as many pages drawn one by one. Its interval
 * is Wilson's (1927), with the number of pages that has this variance in place of the number of trials (Korn and
 * Graubard, Survey Methodology 24, 1998) and Student's t with n - 1 degrees of freedom. Strata are joined by the
 * squares of their half-widths, each side for itself (MOVER: Zou and Donner, Statistics in Medicine 27, 2008).
 */
#ifndef DIRTYPROF_MODEL_CHANGE_EST_H
#define DIRTYPROF_MODEL_CHANGE_EST_H

#include "dirtyprof/curve.h"
#include "dirtyprof/snapshot.h"

/* Share of a stratum, 0 to 1. All NAN: nothing was compared. */
struct dp_est dp_change_stratum(const struct dp_change_sum *s);

/*
 * Of everything that was compared. A stratum of which nothing was compared counts like the others in mid, and from 0 to
 * 1 in lo and hi. All NAN: nothing at all was. The reading's lag is in hi: a change in a window's first moments, before
 * its beginning was read, was missed.
 */
struct dp_est dp_change_share(const struct dp_changes *c);

/* Moves the two strata into the past and empties them. */
void dp_change_close(struct dp_change_sum *again, struct dp_change_sum *first, struct dp_change_past *past);

/* Quantile 0.9 of Student's t with df >= 1 degrees of freedom. */
double dp_student_90(double df);

#endif
