/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where a VM's memory lies in the page index: regions of 1 GiB of guest-physical memory that hold RAM,
 * numbered by address (bpf/shared.h). Pure.
 */
#ifndef DIRTYPROF_MODEL_LAYOUT_H
#define DIRTYPROF_MODEL_LAYOUT_H

#include <stddef.h>

#include "dirtyprof/snapshot.h"

#define DP_INDEX_NONE  UINT32_MAX
#define DP_REGIONS_MAX 16383u /* the index has 32 bits; 16 TiB of RAM */

struct dp_layout {
	uint32_t nregions;
	uint64_t *frame; /* by region: guest-physical address >> 30 */
};

/* A slot as KVM describes it, in 4K pages. */
struct dp_extent {
	uint64_t gfn, npages;
	bool logging;
};

/* Builds a layout that covers all extents. 0, -ENOMEM, -E2BIG (more than DP_REGIONS_MAX regions), -EINVAL. */
int dp_layout_build(struct dp_layout *l, const struct dp_extent *ext, size_t n);
void dp_layout_free(struct dp_layout *l);

/* Index of a 4K gfn, or DP_INDEX_NONE. An extent that the layout covers is contiguous in the index. */
uint32_t dp_layout_index(const struct dp_layout *l, uint64_t gfn);
bool dp_layout_covers(const struct dp_layout *l, uint64_t gfn, uint64_t npages);

/* The N of U(t): pages of each region (array of nregions), and blocks of each size, that the extents cover. */
void dp_layout_count(const struct dp_layout *l, const struct dp_extent *ext, size_t n, uint64_t *region_pages,
		     uint64_t blocks[DP_SIZES]);

#endif
