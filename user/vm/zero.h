/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The share of a VM's memory that migration will send as zero pages, by sampling content, and the time to find them. */
#ifndef DIRTYPROF_VM_ZERO_H
#define DIRTYPROF_VM_ZERO_H

#include <stddef.h>
#include <sys/types.h>

#include "dirtyprof/bins.h"
#include "vm/backing.h"

#define DP_ZERO_SAMPLES 1024

struct dp_zero {
	double share;	 /* of all pages, 0 to 1, with a standard error of at most 1.6 %; < 0: unknown */
	double unmapped; /* of the zero pages, those that no memory backs: a reader takes a fault for each */
	double at[DP_ZERO_BINS]; /* the share in each equal part of the ranges, one after the other */
};

/*
 * Looks at DP_ZERO_SAMPLES pages of 4K, one at a random place in each of as many equal strata of the ranges. A page that
 * is not mapped is not read (that would allocate it) and counts as zero; a swapped one as not zero. share is < 0 if the
 * process cannot be read. seed: any number; the same seed looks at the same places.
 */
void dp_zero_sample(pid_t pid, const struct dp_range *ranges, size_t n, unsigned long long seed,
		    struct dp_zero *out);

/*
 * Bytes a second at which one thread finds that memory is zero, measured on this host with memory of its own: mapped and
 * not, mixed as `unmapped` says. Takes some 15 ms at most, and only the first time. 0: it could not be measured.
 */
double dp_zero_speed(double unmapped);

#endif
