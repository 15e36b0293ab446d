/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where dirty pages come from, over a whole session: by vCPU, by range of memory, by slot. Pure. */
#ifndef DIRTYPROF_MODEL_HOT_H
#define DIRTYPROF_MODEL_HOT_H

#include "dirtyprof/report.h"

/* One range or slot. */
struct dp_hot_place {
	uint64_t lo, hi, ram, count; /* 4K pages */
	uint32_t number, as_id;	     /* slot */
};

struct dp_hot_places {
	struct dp_hot_place *at;
	uint32_t n, room;
};

struct dp_hot_track {
	bool laid_out;
	uint32_t generation, nslots, nregions; /* of the VM that it was laid out for */
	struct dp_heat_range range[DP_HEAT_BINS];
	uint64_t heat[DP_HEAT_BINS]; /* since the ranges are as they are */
	bool by_frame;		     /* regions has frames of 1 GiB, else the parts of RAM that have any */
	struct dp_hot_places regions;
	struct dp_hot_places slots; /* all that there were, also those that went */
	uint32_t *slot_at;	    /* of the VM's slots: number of the place; DP_HOT_NOWHERE */
	uint64_t vcpu[DP_MAX_VCPUS];
	uint32_t nvcpus;
};
#define DP_HOT_NOWHERE UINT32_MAX

/* Adds an interval. 0 or -ENOMEM. Zero the track before the first. */
int dp_hot_add(struct dp_hot_track *h, const struct dp_snapshot *s);
void dp_hot_fill(const struct dp_hot_track *h, struct dp_hot *out);
void dp_hot_free(struct dp_hot_track *h);

#endif
