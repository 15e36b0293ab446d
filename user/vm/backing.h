/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What backs a VM's memory on the host: base pages, transparent hugepages or hugetlb, from
 * /proc/PID/smaps.
 */
#ifndef DIRTYPROF_VM_BACKING_H
#define DIRTYPROF_VM_BACKING_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "dirtyprof/snapshot.h"

struct dp_range {
	uint64_t hva, len; /* bytes */
};

/*
 * Fills out[i] for each range; ranges may overlap each other. Counted is what is mapped (touched) now.
 * Where a range covers a part of a mapping, that part's share of the mapping's figures is taken (smaps
 * does not say where in it they lie). A range that meets hugetlb mappings of several sizes gets the
 * largest as huge_size. 0, or -ESRCH, -EPERM, -EIO, -EINVAL (not smaps): then every out[i] has known =
 * false and zeroes, host_page excepted.
 *
 * The kernel walks the process's page tables for this: call it at attach and when slots change, not every
 * interval.
 */
int dp_backing_read(pid_t pid, const struct dp_range *ranges, size_t n, struct dp_backing *out);

/* The same from a stream, for a host with this base page size. */
int dp_backing_parse(FILE *f, uint32_t host_page, const struct dp_range *ranges, size_t n,
		     struct dp_backing *out);

#endif
