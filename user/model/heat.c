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

/* Slots that cover the page at which the sweep is: a heap, the one that the page is of on top. */
struct sweep {
	const struct dp_vm *vm;
	uint32_t *heap, nspans, nheap;
	uint64_t *hi; /* by slot */
};

static bool before(const struct dp_vm *vm, uint32_t a, uint32_t b)
{
	return vm->slots[a].as_id != vm->slots[b].as_id ? vm->slots[a].as_id < vm->slots[b].as_id : a < b;
}

static void push(struct sweep *s, uint32_t slot)
{
	uint32_t i = s->nheap++;

	for (; i && before(s->vm, slot, s->heap[(i - 1) / 2]); i = (i - 1) / 2)
		s->heap[i] = s->heap[(i - 1) / 2];
	s->heap[i] = slot;
}

static void pop(struct sweep *s)
{
	uint32_t last = s->heap[--s->nheap], i = 0, k;

	while ((k = 2 * i + 1) < s->nheap) {
		if (k + 1 < s->nheap && before(s->vm, s->heap[k + 1], s->heap[k]))
			k++;
		if (!before(s->vm, s->heap[k], last))
			break;
		s->heap[i] = s->heap[k];
		i = k;
	}
	s->heap[i] = last;
}

struct key {
	uint64_t lo;
	uint32_t slot;
};

static int cmp_key(const void *a, const void *b)
{
	const struct key *x = a, *y = b;

	if (x->lo != y->lo)
		return x->lo < y->lo ? -1 : 1;
	return x->slot < y->slot ? -1 : x->slot > y->slot;
}

/* Along the pages where something begins or ends; out has room for two a slot. */
static size_t walk(struct sweep *s, const struct key *key, struct dp_ram *out)
{
	uint64_t at, to;
	uint32_t i = 0, top;
	size_t n = 0;

	while (i < s->nspans || s->nheap) {
		at = n ? out[n - 1].gfn + out[n - 1].npages : 0;
		while (s->nheap && s->hi[s->heap[0]] <= at)
			pop(s);
		if (!s->nheap && i == s->nspans)
			break;
		if (!s->nheap && key[i].lo > at)
			at = key[i].lo;
		for (; i < s->nspans && key[i].lo <= at; i++)
			if (s->hi[key[i].slot] > at)
				push(s, key[i].slot);
		if (!s->nheap)
			continue;
		/* as far as the slot goes, or to where one begins that comes before it */
		top = s->heap[0];
		to = s->hi[top];
		for (; i < s->nspans && key[i].lo < to; i++) {
			if (before(s->vm, key[i].slot, top)) {
				to = key[i].lo;
				break;
			}
			push(s, key[i].slot);
		}
		out[n++] = (struct dp_ram){ .gfn = at, .npages = to - at, .slot = top };
	}
	return n;
}

struct dp_ram *dp_ram_list(const struct dp_vm *vm, size_t *n)
{
	uint32_t all = vm->slots ? vm->nslots : 0, i;
	struct sweep s = { .vm = vm };
	struct dp_ram *out = calloc(2 * (size_t)all + 1, sizeof(*out));
	struct key *key = calloc((size_t)all + 1, sizeof(*key));
	uint64_t lo;

	s.heap = calloc((size_t)all + 1, sizeof(*s.heap));
	s.hi = calloc((size_t)all + 1, sizeof(*s.hi));
	*n = 0;
	if (out && key && s.heap && s.hi) {
		for (i = 0; i < all; i++)
			if (dp_slot_span(vm, i, &lo, &s.hi[i]))
				key[s.nspans++] = (struct key){ lo, i };
		qsort(key, s.nspans, sizeof(*key), cmp_key);
		*n = walk(&s, key, out);
	}
	free(key);
	free(s.heap);
	free(s.hi);
	if (*n)
		return out;
	free(out);
	return NULL;
}

static uint64_t ram_pages(const struct dp_ram *m, size_t n)
{
	uint64_t pages = 0;

	while (n--)
		pages += m[n].npages;
	return pages;
}

/* The number of RAM pages before part b. */
static uint64_t bin_begin(uint64_t pages, uint32_t b)
{
	return pages * b / DP_HEAT_BINS;
}

void dp_heat_ranges(const struct dp_vm *vm, struct dp_heat_range out[DP_HEAT_BINS])
{
	size_t n, i;
	struct dp_ram *m = dp_ram_list(vm, &n);
	uint64_t all = ram_pages(m, n), done = 0, here;
	uint32_t b = 0;

	memset(out, 0, DP_HEAT_BINS * sizeof(*out));
	for (i = 0; i < n; i++) {
		for (; m[i].npages; m[i].gfn += here, m[i].npages -= here) {
			while (bin_begin(all, b + 1) <= done)
				b++;
			here = bin_begin(all, b + 1) - done;
			here = here < m[i].npages ? here : m[i].npages;
			if (!out[b].pages)
				out[b].lo = m[i].gfn;
			out[b].hi = m[i].gfn + here;
			out[b].pages += here;
			done += here;
		}
	}
	free(m);
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

static int add_parts(struct dp_heat *h, const struct dp_vm *vm, const struct dp_ram *ram, size_t n)
{
	uint64_t all = ram_pages(ram, n), done = 0, end = 0, at, here, left;
	uint32_t b = 0;
	size_t i;
	int err = 0;

	for (i = 0; i < n && !err; i++) {
		at = index_of(vm, &ram[i]);
		if (at > end)
			err = add(h, at, DP_HEAT_NONE, DP_HEAT_NONE);
		for (left = ram[i].npages; !err && left; left -= here) {
			while (bin_begin(all, b + 1) <= done)
				b++;
			here = bin_begin(all, b + 1) - done;
			here = here < left ? here : left;
			done += here;
			at += here;
			err = add(h, at, b, ram[i].slot);
		}
		end = at;
	}
	return err ? err : add(h, UINT64_MAX, DP_HEAT_NONE, DP_HEAT_NONE);
}

int dp_heat_plan(struct dp_heat *h, const struct dp_vm *vm)
{
	size_t n;
	struct dp_ram *ram = dp_ram_list(vm, &n);
	int err = -ENOMEM;

	dp_heat_free(h);
	h->nslots = vm->nslots;
	h->slot_new = calloc(vm->nslots + 1ull, sizeof(*h->slot_new));
	if (h->slot_new && (n || !vm->ram_pages))
		err = add_parts(h, vm, ram, n);
	free(ram);
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
