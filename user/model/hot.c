// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "model/hot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_MOST 2048u /* of a VM, as many as are read of one */
#define SLOTS_KEPT 1024u /* slots that went are kept up to so many: a VMM may plug all day */

static struct dp_hot_place *add_place(struct dp_hot_places *p, struct dp_hot_place what)
{
	uint32_t room = p->room ? 2 * p->room : 64;
	void *at;

	if (p->n == p->room) {
		at = realloc(p->at, room * sizeof(*p->at));
		if (!at)
			return NULL;
		p->at = at;
		p->room = room;
	}
	p->at[p->n] = what;
	return &p->at[p->n++];
}

/* Frames of 1 GiB that hold RAM, numbered as the VM's regions are: in order of address, and no more than these. */
static int add_frames(struct dp_hot_places *out, const struct dp_vm *vm)
{
	size_t n, i;
	struct dp_ram *m = dp_ram_list(vm, &n);
	uint64_t here;
	int err = 0;

	for (i = 0; i < n && !err; i++) {
		for (; m[i].npages; m[i].gfn += here, m[i].npages -= here) {
			struct dp_hot_place *last = out->n ? &out->at[out->n - 1] : NULL;

			here = (((m[i].gfn >> DP_REGION_SHIFT) + 1) << DP_REGION_SHIFT) - m[i].gfn;
			here = here < m[i].npages ? here : m[i].npages;
			if (!last || last->lo >> DP_REGION_SHIFT != m[i].gfn >> DP_REGION_SHIFT) {
				if (out->n == vm->nregions)
					break;
				last = add_place(out, (struct dp_hot_place){ .lo = m[i].gfn });
			}
			if (!last) {
				err = -ENOMEM;
				break;
			}
			last->hi = m[i].gfn + here;
			last->ram += here;
		}
	}
	free(m);
	return err;
}

static int add_parts(struct dp_hot_places *out, const struct dp_heat_range *r)
{
	uint32_t i;

	for (i = 0; i < DP_HEAT_BINS; i++)
		if (!add_place(out, (struct dp_hot_place){ r[i].lo, r[i].hi, r[i].pages, 0, 0, 0 }))
			return -ENOMEM;
	return 0;
}

/*
 * What was counted at old places, to where these addresses are now, as if evenly spread within each. Both are in order of
 * address.
 */
static void move_counts(const struct dp_hot_places *from, struct dp_hot_places *to)
{
	uint32_t i, k, first = 0;

	for (i = 0; i < from->n; i++) {
		const struct dp_hot_place *a = &from->at[i];
		struct dp_hot_place *into = NULL;
		uint64_t left = a->count;

		while (first < to->n && to->at[first].hi <= a->lo)
			first++;
		for (k = first; k < to->n && left && to->at[k].lo < a->hi; k++) {
			struct dp_hot_place *b = &to->at[k];
			uint64_t lo = a->lo > b->lo ? a->lo : b->lo, hi = a->hi < b->hi ? a->hi : b->hi;
			double part = (double)a->count * (double)(hi - lo) / (double)(a->hi - a->lo);

			if (lo >= hi)
				continue;
			into = b;
			b->count += part < (double)left ? (uint64_t)part : left;
			left -= part < (double)left ? (uint64_t)part : left;
		}
		/* what rounding left; where none of its RAM is left, it is forgotten */
		if (into)
			into->count += left;
	}
}

static bool same_ranges(const struct dp_hot_places *a, const struct dp_hot_places *b)
{
	uint32_t i;

	if (a->n != b->n)
		return false;
	for (i = 0; i < a->n; i++)
		if (a->at[i].lo != b->at[i].lo || a->at[i].hi != b->at[i].hi || a->at[i].ram != b->at[i].ram)
			return false;
	return true;
}

static int lay_out_regions(struct dp_hot_track *h, const struct dp_vm *vm)
{
	struct dp_heat_range range[DP_HEAT_BINS];
	struct dp_hot_places now = { 0 };
	bool by_frame = vm->nregions > DP_HEAT_BINS;
	int err;

	dp_heat_ranges(vm, range);
	if (memcmp(range, h->range, sizeof(range)))
		memset(h->heat, 0, sizeof(h->heat));
	memcpy(h->range, range, sizeof(range));
	err = by_frame ? add_frames(&now, vm) : add_parts(&now, range);
	if (!err && !(by_frame == h->by_frame && same_ranges(&h->regions, &now))) {
		move_counts(&h->regions, &now);
		free(h->regions.at);
		h->regions = now;
		h->by_frame = by_frame;
		return 0;
	}
	free(now.at);
	return err;
}

/* Where a slot's pages are counted: one that came back under another id is the same memory. */
static uint32_t find_slot(struct dp_hot_track *h, const struct dp_hot_place *s)
{
	uint32_t i, coldest = 0;

	for (i = 0; i < h->slots.n; i++) {
		const struct dp_hot_place *p = &h->slots.at[i];

		if (p->lo == s->lo && p->hi == s->hi && p->as_id == s->as_id)
			return i;
		if (p->count < h->slots.at[coldest].count)
			coldest = i;
	}
	if (h->slots.n < SLOTS_KEPT)
		return add_place(&h->slots, *s) ? i : DP_HOT_NOWHERE;
	h->slots.at[coldest] = *s;
	return coldest;
}

static int lay_out_slots(struct dp_hot_track *h, const struct dp_vm *vm)
{
	uint32_t i, *at = calloc(vm->nslots + 1ull, sizeof(*at));
	struct dp_hot_place s;

	if (!at)
		return -ENOMEM;
	free(h->slot_at);
	h->slot_at = at;
	h->nslots = vm->nslots;
	for (i = 0; i < vm->nslots; i++) {
		at[i] = DP_HOT_NOWHERE;
		s = (struct dp_hot_place){ .number = vm->slots[i].id, .as_id = vm->slots[i].as_id };
		if (i >= SLOTS_MOST || !dp_slot_span(vm, i, &s.lo, &s.hi))
			continue;
		s.ram = s.hi - s.lo;
		at[i] = find_slot(h, &s);
		if (at[i] == DP_HOT_NOWHERE)
			return -ENOMEM;
		h->slots.at[at[i]].number = s.number;
	}
	return 0;
}

static int lay_out(struct dp_hot_track *h, const struct dp_vm *vm)
{
	int err;

	if (h->laid_out && h->generation == vm->generation && h->nslots == vm->nslots &&
	    h->nregions == vm->nregions)
		return 0;
	h->laid_out = false;
	err = lay_out_regions(h, vm);
	err = err ? err : lay_out_slots(h, vm);
	if (err)
		return err;
	h->generation = vm->generation;
	h->nregions = vm->nregions;
	h->laid_out = true;
	return 0;
}

int dp_hot_add(struct dp_hot_track *h, const struct dp_snapshot *s)
{
	uint32_t i;
	int err = lay_out(h, s->vm);

	if (err)
		return err;
	for (i = 0; i < DP_HEAT_BINS; i++)
		h->heat[i] += s->heat[i];
	for (i = 0; !h->by_frame && i < h->regions.n; i++)
		h->regions.at[i].count += s->heat[i];
	for (i = 0; h->by_frame && s->region_new && i < h->regions.n && i < s->nregions; i++)
		h->regions.at[i].count += s->region_new[i];
	for (i = 0; s->slot_new && i < h->nslots; i++)
		if (h->slot_at[i] != DP_HOT_NOWHERE)
			h->slots.at[h->slot_at[i]].count += s->slot_new[i];
	for (i = 0; s->vcpu_events && i < s->nvcpus && i < DP_MAX_VCPUS; i++)
		h->vcpu[i] += s->vcpu_events[i];
	if (s->vcpu_events && s->nvcpus > h->nvcpus)
		h->nvcpus = s->nvcpus < DP_MAX_VCPUS ? s->nvcpus : DP_MAX_VCPUS;
	return 0;
}

/* The hottest first; of equals, the one at the lower address or number. */
static int hotter(const void *a, const void *b)
{
	const struct dp_hot_place *x = a, *y = b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	if (x->lo != y->lo)
		return x->lo < y->lo ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

/* places: a copy, which is sorted. */
static void fill_list(struct dp_hot_list *out, struct dp_hot_place *places, uint32_t n)
{
	uint64_t sum = 0;
	uint32_t i;

	out->all = n;
	for (i = 0; i < n; i++) {
		out->count += places[i].count;
		out->hot += places[i].count != 0;
	}
	qsort(places, n, sizeof(*places), hotter);
	for (i = 0; i < out->hot && 2 * sum < out->count; i++) {
		sum += places[i].count;
		out->half_ram += places[i].ram;
		out->half++;
	}
	out->n = out->hot < DP_HOT_ROWS ? out->hot : DP_HOT_ROWS;
	for (i = 0; i < out->n; i++) {
		const struct dp_hot_place *p = &places[i];

		out->row[i] = (struct dp_hot_row){ p->number,
						   p->as_id,
						   p->lo,
						   p->hi,
						   p->ram,
						   p->count,
						   (double)p->count / (double)out->count };
	}
}

static void fill_places(struct dp_hot_list *out, const struct dp_hot_places *p)
{
	struct dp_hot_place *copy = malloc((p->n + 1ull) * sizeof(*copy));

	if (!copy)
		return;
	if (p->n)
		memcpy(copy, p->at, p->n * sizeof(*copy));
	fill_list(out, copy, p->n);
	free(copy);
}

void dp_hot_fill(const struct dp_hot_track *h, struct dp_hot *out)
{
	struct dp_hot_place vcpu[DP_MAX_VCPUS];
	uint32_t i;

	memset(out, 0, sizeof(*out));
	memset(vcpu, 0, sizeof(vcpu));
	for (i = 0; i < h->nvcpus; i++) {
		vcpu[i].number = i;
		vcpu[i].count = h->vcpu[i];
	}
	fill_list(&out->vcpus, vcpu, h->nvcpus);
	fill_places(&out->regions, &h->regions);
	fill_places(&out->slots, &h->slots);
}

void dp_hot_free(struct dp_hot_track *h)
{
	free(h->regions.at);
	free(h->slots.at);
	free(h->slot_at);
	memset(h, 0, sizeof(*h));
}
