// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "model/heat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GFN_MAX (1ull << 52) /* 64 bits of address */

/* log2 of 4K pages in a host page. */
static unsigned int page_shift(const struct dp_vm *vm)
{
	unsigned int sh = 0;

	while (sh < 20 && vm->host_page > (DP_WIRE_UNIT << sh))
		sh++;
	return sh;
}

bool dp_slot_span(const struct dp_vm *vm, uint32_t i, uint64_t *lo, uint64_t *hi)
{
	const struct dp_slot *s = &vm->slots[i];
	unsigned int sh = page_shift(vm);

	if (!s->ram || !s->npages || s->base_gfn >= GFN_MAX >> sh || s->npages > GFN_MAX >> sh)
		return false;
	*lo = s->base_gfn << sh;
	*hi = (s->base_gfn + s->npages) << sh;
	return true;
}

bool dp_ram_next(const struct dp_vm *vm, uint64_t gfn, struct dp_ram *out)
{
	uint64_t lo, hi, start = UINT64_MAX, end = 0;
	uint32_t i, best = 0;

	for (i = 0; vm->slots && i < vm->nslots; i++) {
		if (!dp_slot_span(vm, i, &lo, &hi) || hi <= gfn)
			continue;
		lo = lo > gfn ? lo : gfn;
		if (lo > start || (lo == start && vm->slots[i].as_id >= vm->slots[best].as_id))
			continue;
		start = lo;
		end = hi;
		best = i;
	}
	if (start == UINT64_MAX)
		return false;
	for (i = 0; i < vm->nslots; i++)
		if (vm->slots[i].as_id < vm->slots[best].as_id && dp_slot_span(vm, i, &lo, &hi) &&
		    lo > start && lo < end)
			end = lo;
	*out = (struct dp_ram){ .gfn = start, .npages = end - start, .slot = best };
	return true;
}

static uint64_t ram_pages(const struct dp_vm *vm)
{
	struct dp_ram m = { 0 };
	uint64_t n = 0;

	while (dp_ram_next(vm, m.gfn + m.npages, &m))
		n += m.npages;
	return n;
}

/* The number of RAM pages before part b. */
static uint64_t bin_begin(uint64_t pages, uint32_t b)
{
	return pages * b / DP_HEAT_BINS;
}

void dp_heat_ranges(const struct dp_vm *vm, struct dp_heat_range out[DP_HEAT_BINS])
{
	uint64_t all = ram_pages(vm), done = 0, n;
	struct dp_ram m = { 0 };
	uint32_t b = 0;

	memset(out, 0, DP_HEAT_BINS * sizeof(*out));
	while (dp_ram_next(vm, m.gfn + m.npages, &m)) {
		while (m.npages) {
			while (bin_begin(all, b + 1) <= done)
				b++;
			n = bin_begin(all, b + 1) - done;
			n = n < m.npages ? n : m.npages;
			if (!out[b].pages)
				out[b].lo = m.gfn;
			out[b].hi = m.gfn + n;
			out[b].pages += n;
			done += n;
			m.gfn += n;
			m.npages -= n;
		}
	}
}

uint64_t dp_heat_range(const struct dp_vm *vm, uint32_t bin, uint64_t *lo, uint64_t *hi)
{
	struct dp_heat_range r[DP_HEAT_BINS];

	*lo = *hi = 0;
	if (bin >= DP_HEAT_BINS)
		return 0;
	dp_heat_ranges(vm, r);
	*lo = r[bin].lo;
	*hi = r[bin].hi;
	return r[bin].pages;
}

uint64_t dp_region_gfn(const struct dp_vm *vm, uint32_t r)
{
	uint64_t lo, hi;
	uint32_t i;

	for (i = 0; vm->slots && i < vm->nslots; i++) {
		const struct dp_slot *s = &vm->slots[i];

		if (r >= s->region_base && r - s->region_base < s->nregions && dp_slot_span(vm, i, &lo, &hi))
			return ((lo >> DP_REGION_SHIFT) + (r - s->region_base)) << DP_REGION_SHIFT;
	}
	return UINT64_MAX;
}

void dp_heat_free(struct dp_heat *h)
{
	free(h->part);
	free(h->place);
	free(h->slot_new);
	*h = (struct dp_heat){ 0 };
}

/* A part that ends behind `end`. */
static int add(struct dp_heat *h, uint64_t end, uint32_t bin, uint32_t slot)
{
	size_t room = h->room ? 2 * h->room : 256;
	void *p;

	if (h->n == h->room) {
		p = realloc(h->part, room * sizeof(*h->part));
		if (!p)
			return -ENOMEM;
		h->part = p;
		p = realloc(h->place, room * sizeof(*h->place));
		if (!p)
			return -ENOMEM;
		h->place = p;
		h->room = room;
	}
	h->part[h->n] = (struct dp_part){ .end = end };
	h->place[h->n++] = (struct dp_heat_place){ bin, slot };
	return 0;
}

/* The page index of a slot's 4K page. */
static uint64_t index_of(const struct dp_vm *vm, const struct dp_ram *m)
{
	const struct dp_slot *s = &vm->slots[m->slot];
	uint64_t frame = (s->base_gfn << page_shift(vm)) >> DP_REGION_SHIFT;

	return (s->region_base + (m->gfn >> DP_REGION_SHIFT) - frame) << DP_REGION_SHIFT |
	       (m->gfn & ((1u << DP_REGION_SHIFT) - 1));
}

static int add_parts(struct dp_heat *h, const struct dp_vm *vm)
{
	uint64_t all = ram_pages(vm), done = 0, end = 0, at, n;
	struct dp_ram m = { 0 };
	uint32_t b = 0;
	int err = 0;

	while (!err && dp_ram_next(vm, m.gfn + m.npages, &m)) {
		at = index_of(vm, &m);
		if (at > end)
			err = add(h, at, DP_HEAT_NONE, DP_HEAT_NONE);
		for (; !err && m.npages; m.gfn += n, m.npages -= n) {
			while (bin_begin(all, b + 1) <= done)
				b++;
			n = bin_begin(all, b + 1) - done;
			n = n < m.npages ? n : m.npages;
			done += n;
			at += n;
			err = add(h, at, b, m.slot);
		}
		end = at;
	}
	return err ? err : add(h, UINT64_MAX, DP_HEAT_NONE, DP_HEAT_NONE);
}

int dp_heat_plan(struct dp_heat *h, const struct dp_vm *vm)
{
	int err;

	dp_heat_free(h);
	h->nslots = vm->nslots;
	h->slot_new = calloc(vm->nslots + 1ull, sizeof(*h->slot_new));
	err = h->slot_new ? add_parts(h, vm) : -ENOMEM;
	if (err)
		dp_heat_free(h);
	return err;
}

void dp_heat_take(struct dp_heat *h, uint64_t heat[DP_HEAT_BINS])
{
	size_t i;

	memset(heat, 0, DP_HEAT_BINS * sizeof(*heat));
	if (h->slot_new)
		memset(h->slot_new, 0, h->nslots * sizeof(*h->slot_new));
	for (i = 0; i < h->n; i++) {
		if (!h->part[i].pages || h->place[i].bin == DP_HEAT_NONE)
			continue;
		heat[h->place[i].bin] += h->part[i].pages;
		h->slot_new[h->place[i].slot] += h->part[i].pages;
	}
	for (i = 0; i < h->n; i++)
		h->part[i].pages = 0;
}
