/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The share of a VM's memory that migration will send as zero pages, by sampling content. */
#ifndef DIRTYPROF_VM_ZERO_H
#define DIRTYPROF_VM_ZERO_H

#include <stddef.h>
#include <sys/types.h>

#include "vm/backing.h"

#define DP_ZERO_SAMPLES 1024

/*
 * Looks at DP_ZERO_SAMPLES pages of 4K, one at a random place in each of as many equal strata of the ranges. A page that
 * is not mapped is not read (that would allocate it) and counts as zero; a swapped one as not zero. Returns the share,
 * 0 to 1, with a standard error of at most 1.6 %, or < 0 if the process cannot be read. seed: any number; the
 * same seed looks at the same places.
 */
double dp_zero_share(pid_t pid, const struct dp_range *ranges, size_t n, unsigned long long seed);

#endif
