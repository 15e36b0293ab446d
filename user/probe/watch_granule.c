// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What KVM can tell apart in this VM: known from how it works, and checked against what its log shows. */
#include <unistd.h>

#include "probe/watch_int.h"

#define HPTE_SHIFT 24 /* log2 of the largest page of POWER's hash MMU */

/* The largest page that a hash guest can map this slot with. */
static uint32_t largest_hpte(const struct dp_slot *s, uint32_t host_page)
{
	uint32_t page = s->backing.huge_size > host_page ? s->backing.huge_size : host_page;

	return page < 1u << HPTE_SHIFT ? page : 1u << HPTE_SHIFT;
}

/*
 * x86 maps memory that logs in pages of 4K. KVM HV on radix dissolves larger mappings into host pages when logging begins.
 * On the hash MMU it is the guest that chooses the page; KVM neither splits it nor lets it be larger than the backing.
 */
void dp_watch_granule(struct dp_watch *w)
{
	uint32_t host_page = (uint32_t)sysconf(_SC_PAGESIZE), least = UINT32_MAX, most = host_page, i;

	for (i = 0; w->vm.mmu == DP_MMU_HASH && i < w->vm.nslots; i++) {
		const struct dp_slot *s = &w->vm.slots[i];
		uint32_t page = largest_hpte(s, host_page);

		if (!s->ram)
			continue;
		most = page > most ? page : most;
		/* While it is not known what backs a slot, it says nothing of the others. */
		if (s->backing.known && page < least)
			least = page;
	}
	w->vm.granule = most;
	w->vm.granule_mixed = least < most || w->parted == most;
}

/* Part of it dirty and part of it not: no single page of the guest's. */
static bool partly(const uint64_t *w, size_t words)
{
	size_t i;
	bool any = false, all = true;

	for (i = 0; i < words; i++) {
		any |= w[i] != 0;
		all &= w[i] == ~0ull;
	}
	return any && !all;
}

void dp_watch_granule_seen(struct dp_watch *w, const struct dp_pageset *pages)
{
	uint32_t host_page = (uint32_t)sysconf(_SC_PAGESIZE), i;
	uint64_t block = w->vm.granule / DP_WIRE_UNIT;

	if (w->vm.granule == host_page || w->vm.granule_mixed || block < 64)
		return;
	for (i = 0; i < w->vm.nslots; i++) {
		const struct dp_slot *s = &w->vm.slots[i];
		uint64_t scale = host_page / DP_WIRE_UNIT, at, end = (s->base_gfn + s->npages) * scale;

		if (!s->ram || largest_hpte(s, host_page) < w->vm.granule)
			continue;
		/* Blocks that lie within the slot; its first and last may have neighbours that do not log. */
		for (at = (s->base_gfn * scale + block - 1) & ~(block - 1); at + block <= end; at += block) {
			uint32_t index = dp_layout_index(&w->layout, at);

			if (index == DP_INDEX_NONE || index / 64 + block / 64 > pages->nwords)
				break;
			if (!partly(&pages->w[index / 64], block / 64))
				continue;
			w->parted = w->vm.granule;
			w->vm.granule_mixed = true;
			return;
		}
	}
}
