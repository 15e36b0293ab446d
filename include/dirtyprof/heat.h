/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where in a VM's memory: its RAM in the order of guest-physical addresses, without the holes, each page once, and its
 * division into DP_HEAT_BINS equal parts (struct dp_snapshot: heat). Pure.
 */
#ifndef DIRTYPROF_HEAT_H
#define DIRTYPROF_HEAT_H

#include <stddef.h>

#include "dirtyprof/snapshot.h"

/* A slot's RAM as 4K gfns [lo, hi); false: it has none, or none that can be. */
bool dp_slot_span(const struct dp_vm *vm, uint32_t slot, uint64_t *lo, uint64_t *hi);

/* Consecutive RAM of one slot. */
struct dp_ram {
	uint64_t gfn, npages; /* 4K pages */
	uint32_t slot;	      /* index of vm->slots */
};

/*
 * All RAM in order of address: *n of them, to be freed by the caller; NULL: there is none, or out of memory (*n is 0 either
 * way). A page that several slots show is of the one in the lowest address space (what SMM sees of RAM is RAM), and of the
 * first in the list where that leaves several.
 */
struct dp_ram *dp_ram_list(const struct dp_vm *vm, size_t *n);

/* One part: 4K gfns [lo, hi), which may have holes between them; of them, so many pages are the part's RAM, the others none. */
struct dp_heat_range {
	uint64_t lo, hi, pages; /* all 0: a part of a VM of fewer than DP_HEAT_BINS pages that has none */
};

/* All parts (all 0 where memory is short). Part i has the pages from floor(i * n / DP_HEAT_BINS) on, counted along RAM, of n. */
void dp_heat_ranges(const struct dp_vm *vm, struct dp_heat_range out[DP_HEAT_BINS]);

/* One of them: lo and hi, returns its pages. To have them all, ask for all at once. */
uint64_t dp_heat_range(const struct dp_vm *vm, uint32_t bin, uint64_t *lo, uint64_t *hi);

/* The first 4K gfn of region r's frame of 1 GiB (snapshot's region_new); UINT64_MAX: no slot lies in it. */
uint64_t dp_region_gfn(const struct dp_vm *vm, uint32_t r);

#endif
