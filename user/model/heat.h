/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counts dirty pages by place: by equal parts of RAM, and by slot. Pure. */
#ifndef DIRTYPROF_MODEL_HEAT_H
#define DIRTYPROF_MODEL_HEAT_H

#include "dirtyprof/heat.h"
#include "model/pageset.h"

/* Parts of the page index, each within one bin and one slot, or in none. */
struct dp_heat {
	struct dp_part *part;
	struct dp_heat_place {
		uint32_t bin, slot; /* DP_HEAT_NONE: no RAM */
	} * place;
	size_t n, room;
	uint32_t nslots;
	uint64_t *slot_new; /* what the last take found by slot */
};
#define DP_HEAT_NONE UINT32_MAX

/* For the slots as they are, whose regions are known. Zero it before the first time. 0 or -ENOMEM: then it has no parts. */
int dp_heat_plan(struct dp_heat *h, const struct dp_vm *vm);
void dp_heat_free(struct dp_heat *h); /* one that is all zero, too */

/* What dp_pageset_move added to the parts, by bin and by slot; the parts are empty again. */
void dp_heat_take(struct dp_heat *h, uint64_t heat[DP_HEAT_BINS]);

#endif
