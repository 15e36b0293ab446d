// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The log's slots, and what its looks as a whole say. The pieces that a look consists of: bitlog_piece.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/bitlog_int.h"

/* Share of a region that may be unarmed, or not looked at, for its window to speak for all of it. */
#define MAX_UNSEEN 0.02

static void slot_free(struct slot *s)
{
	free(s->unarmed);
	free(s->units);
}

struct dp_bitlog *dp_bitlog_new(uint32_t nregions, uint32_t manual)
{
	struct dp_bitlog *b = calloc(1, sizeof(*b));
	size_t n = nregions ? nregions : 1;

	if (!b)
		return NULL;
	b->nregions = nregions;
	b->manual = manual;
	b->sync = calloc(n, sizeof(*b->sync));
	b->peek = calloc(n, sizeof(*b->peek));
	b->blocks = calloc(n, sizeof(*b->blocks));
	b->arming = calloc(n, sizeof(*b->arming));
	if (!b->sync || !b->peek || !b->blocks || !b->arming || dp_pageset_init(&b->sync_set, nregions) ||
	    dp_pageset_init(&b->peek_set, nregions) || dp_pageset_init(&b->new_set, nregions)) {
		dp_bitlog_free(b);
		return NULL;
	}
	return b;
}

void dp_bitlog_free(struct dp_bitlog *b)
{
	size_t i;

	if (!b)
		return;
	for (i = 0; i < b->nslots; i++)
		slot_free(&b->slots[i]);
	free(b->slots);
	free(b->sync);
	free(b->peek);
	free(b->blocks);
	free(b->arming);
	dp_pageset_free(&b->sync_set);
	dp_pageset_free(&b->peek_set);
	dp_pageset_free(&b->new_set);
	free(b->win);
	free(b);
}

struct slot *dp_bitlog_slot_find(struct dp_bitlog *b, uint32_t key)
{
	size_t i;

	for (i = 0; i < b->nslots; i++)
		if (b->slots[i].d.key == key)
			return &b->slots[i];
	return NULL;
}

static uint32_t unit_pages(const struct dp_bitlog_slot *d, uint64_t unit)
{
	uint64_t left = d->nbits - (unit << UNIT_SHIFT);

	return (uint32_t)(left < UNIT_PAGES ? left : UNIT_PAGES);
}

static void all_unarmed(struct slot *s, uint64_t words, uint64_t nunits)
{
	uint64_t i;

	memset(s->unarmed, 0xff, words * 8);
	if (s->d.nbits & 63)
		s->unarmed[words - 1] = (1ull << (s->d.nbits & 63)) - 1;
	for (i = 0; i < nunits; i++)
		s->units[i].unarmed = unit_pages(&s->d, i);
}

static int slot_init(struct dp_bitlog *b, struct slot *s, const struct dp_bitlog_slot *d, uint64_t t,
		     bool exact)
{
	uint64_t words = (d->nbits + 63) / 64, nunits = (d->nbits >> UNIT_SHIFT) + 1, i;

	s->d = *d;
	s->unarmed = calloc(words ? words : 1, 8);
	s->units = calloc(nunits, sizeof(*s->units));
	if (!s->unarmed || !s->units) {
		slot_free(s);
		return -ENOMEM;
	}
	if (!d->logging)
		return 0;
	if ((b->manual & 3) == 3 && exact)
		all_unarmed(s, words, nunits);
	for (i = 0; i < nunits; i++) {
		s->units[i].known = exact;
		if ((b->manual & 3) == 3)
			continue; /* all unarmed: nothing is clean, no window starts here */
		s->units[i].armed_ns = s->units[i].seen_ns = t;
		s->units[i].clean = unit_pages(d, i);
	}
	if (exact && (b->manual & 3) != 3)
		b->armed_at = t;
	return 0;
}

/* Which blocks exist: the slots' own pages, rolled up by region. */
static int count_blocks(struct dp_bitlog *b)
{
	struct dp_pageset one;
	uint64_t all[64], from, to, at;
	uint32_t r;
	size_t i;

	if (dp_pageset_init(&one, 1))
		return -ENOMEM;
	memset(all, 0xff, sizeof(all));
	memset(b->blocks, 0, b->nregions * sizeof(*b->blocks));
	for (r = 0; r < b->nregions; r++) {
		uint64_t base = (uint64_t)r << DP_REGION_SHIFT, end = base + (1u << DP_REGION_SHIFT);

		for (i = 0; i < b->nslots; i++) {
			const struct dp_bitlog_slot *d = &b->slots[i].d;

			from = d->index > base ? d->index : base;
			to = d->index + (d->nbits << d->shift);
			to = to < end ? to : end;
			for (at = from; d->logging && at < to; at += 4096)
				dp_pageset_or(&one, at - base, all, to - at < 4096 ? to - at : 4096);
		}
		dp_pageset_move(&one, 0, b->blocks[r], NULL, NULL, 0);
	}
	dp_pageset_free(&one);
	return 0;
}

int dp_bitlog_slots(struct dp_bitlog *b, const struct dp_bitlog_slot *slots, size_t n, uint64_t t_ns,
		    bool exact)
{
	struct slot *fresh = calloc(n ? n : 1, sizeof(*fresh));
	size_t i, k = 0;
	int err;

	if (!fresh)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		struct slot *old = dp_bitlog_slot_find(b, slots[i].key);

		if (((uint64_t)slots[i].index + (slots[i].nbits << slots[i].shift)) >
		    (uint64_t)b->nregions << DP_REGION_SHIFT)
			continue; /* not in this layout: the caller rebuilds */
		if (old && !memcmp(&old->d, &slots[i], sizeof(old->d))) {
			fresh[k++] = *old;
			old->unarmed = NULL;
			old->units = NULL;
			old->d.key = UINT32_MAX;
			continue;
		}
		err = slot_init(b, &fresh[k], &slots[i], t_ns, exact);
		if (err) {
			while (k--)
				slot_free(&fresh[k]);
			free(fresh);
			/* Slots that were moved are gone as well: start from nothing rather than from half. */
			b->nslots = 0;
			return err;
		}
		k++;
	}
	for (i = 0; i < b->nslots; i++)
		slot_free(&b->slots[i]);
	free(b->slots);
	b->slots = fresh;
	b->nslots = k;
	return count_blocks(b);
}

static void add_window(struct dp_bitlog *b, const struct dp_window *w)
{
	uint32_t last = b->last[w->size];

	if (last && dp_window_joins(&b->win[last - 1], w)) {
		b->win[last - 1].more++;
		return;
	}
	if (b->nwin == b->room) {
		uint32_t room = b->room ? b->room * 2 : 64;
		struct dp_window *win = realloc(b->win, room * sizeof(*win));

		if (!win)
			return; /* a window less: the band widens, nothing is wrong */
		b->win = win;
		b->room = room;
	}
	b->win[b->nwin++] = *w;
	b->last[w->size] = b->nwin;
}

/* dirty: the region's dirty blocks of each size. */
static void emit(struct dp_bitlog *b, uint32_t r, const struct part *p, const uint64_t *dirty, bool peek)
{
	uint64_t all = b->blocks[r][DP_4K];
	struct dp_window w = {
		.region = r, .peek = peek, .arming = b->arming[r], .t_lo_ns = p->t_lo, .t_hi_ns = p->t_hi
	};
	int s;

	if (!p->timed || !p->t_lo || !all || (double)p->armed < (1 - MAX_UNSEEN) * (double)all)
		return;
	for (s = 0; s < DP_SIZES; s++) {
		w.size = (uint8_t)s;
		w.armed = s == DP_4K ? p->armed : b->blocks[r][s];
		w.dirty = dirty[s];
		add_window(b, &w);
	}
}

bool dp_bitlog_end_sync(struct dp_bitlog *b, struct dp_sync *s)
{
	uint64_t all = 0, looked = 0, dirty[DP_SIZES];
	uint32_t r;
	int i;

	memset(s, 0, sizeof(*s));
	if (!b->sync_open)
		return false;
	b->sync_open = false;
	memset(b->last, 0, sizeof(b->last));
	for (r = 0; r < b->nregions; r++) {
		struct part *p = &b->sync[r];

		all += b->blocks[r][DP_4K];
		looked += p->armed + p->unarmed;
		s->reported_pages += p->reported;
		memset(dirty, 0, sizeof(dirty));
		dp_pageset_move(&b->sync_set, r, dirty, &b->new_set, NULL, 0);
		for (i = 0; i < DP_SIZES; i++)
			s->new_blocks[i] += dirty[i];
		if (p->armed + p->unarmed) {
			emit(b, r, p, dirty, false);
			b->arming[r]++;
		}
	}
	s->new_pages = s->new_blocks[DP_4K];
	s->t_ns = b->sync_t;
	s->initial = (b->manual & 3) == 3 && !s->new_pages && looked && s->reported_pages >= looked;
	memset(b->sync, 0, b->nregions * sizeof(*b->sync));
	if (!all || looked * 2 < all)
		return false;
	s->since_ns = b->last_sync ? b->sync_t - b->last_sync : 0;
	b->last_sync = b->sync_t;
	return true;
}

void dp_bitlog_end_peek(struct dp_bitlog *b)
{
	uint64_t dirty[DP_SIZES];
	uint32_t r;

	if (!b->peek_open)
		return;
	b->peek_open = false;
	memset(b->last, 0, sizeof(b->last));
	for (r = 0; r < b->nregions; r++) {
		memset(dirty, 0, sizeof(dirty));
		dp_pageset_move(&b->peek_set, r, dirty, NULL, NULL, 0);
		if (b->peek[r].armed)
			emit(b, r, &b->peek[r], dirty, true);
	}
	memset(b->peek, 0, b->nregions * sizeof(*b->peek));
}

const struct dp_window *dp_bitlog_windows(const struct dp_bitlog *b, uint32_t *n)
{
	*n = b->nwin;
	return b->win;
}

void dp_bitlog_take_windows(struct dp_bitlog *b)
{
	b->nwin = 0;
}

const struct dp_pageset *dp_bitlog_sync_pages(const struct dp_bitlog *b)
{
	return &b->sync_set;
}

struct dp_pageset *dp_bitlog_new_pages(struct dp_bitlog *b)
{
	return &b->new_set;
}

void dp_bitlog_lost(struct dp_bitlog *b, uint32_t key)
{
	size_t i;
	uint64_t u;

	for (i = 0; i < b->nslots; i++) {
		struct slot *s = &b->slots[i];

		if (key != UINT32_MAX && s->d.key != key)
			continue;
		for (u = 0; u < (s->d.nbits >> UNIT_SHIFT) + 1; u++)
			s->units[u].known = false;
	}
}

bool dp_bitlog_idle(struct dp_bitlog *b, uint64_t t_ns)
{
	bool known = true;
	uint64_t u;
	size_t i;

	for (i = 0; i < b->nslots; i++) {
		struct slot *s = &b->slots[i];

		for (u = 0; s->d.logging && u < (s->d.nbits + UNIT_PAGES - 1) >> UNIT_SHIFT; u++) {
			struct unit *unit = &s->units[u];

			known = known && unit->known;
			if (unit->armed_ns)
				unit->armed_ns = t_ns;
			if (unit->seen_ns)
				unit->seen_ns = t_ns;
		}
	}
	return known;
}

void dp_bitlog_ran(struct dp_bitlog *b, uint64_t t_ns)
{
	uint64_t u;
	size_t i;

	for (i = 0; i < b->nslots; i++) {
		struct slot *s = &b->slots[i];

		for (u = 0; s->d.logging && u < (s->d.nbits + UNIT_PAGES - 1) >> UNIT_SHIFT; u++)
			if (s->units[u].seen_ns)
				s->units[u].armed_ns = t_ns;
	}
}

uint64_t dp_bitlog_armed_at(const struct dp_bitlog *b)
{
	return b->armed_at;
}
