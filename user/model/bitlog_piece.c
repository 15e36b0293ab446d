// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Pieces of a dirty bitmap: what each one shows of the slot's pages, and what it changes for them. Sums over pages that a
 * piece says nothing new of come from the units' counts; only words that have a set bit are looked at.
 */
#include <errno.h>

#include "model/bitlog_int.h"

#define LINE_WORDS 8u

/* A run of a piece's bits within one unit and one region (a word counts to the region of its first page). */
struct stretch {
	uint64_t bit, end;
	struct unit *unit;
	uint32_t region;
};

/* The next stretch of a piece, from bit *at on; false at its end. */
static bool next_stretch(const struct slot *s, const struct dp_bitlog_piece *p, uint64_t *at,
			 struct stretch *st)
{
	uint64_t end = p->first + p->n, unit_end = ((*at >> UNIT_SHIFT) + 1) << UNIT_SHIFT;
	uint64_t page = s->d.index + (*at << s->d.shift), word = 64ull << s->d.shift, left;

	if (*at >= end)
		return false;
	st->bit = *at;
	st->unit = &s->units[*at >> UNIT_SHIFT];
	st->region = (uint32_t)(page >> DP_REGION_SHIFT);
	left = ((uint64_t)(st->region + 1) << DP_REGION_SHIFT) - page;
	st->end = *at + (left + word - 1) / word * 64;
	st->end = st->end < unit_end ? st->end : unit_end;
	st->end = st->end < end ? st->end : end;
	*at = st->end;
	return true;
}

/* The piece's word at slot bit `bit` (a multiple of 64), without what lies at `end` or beyond. */
static uint64_t word_at(const struct dp_bitlog_piece *p, uint64_t bit, uint64_t end)
{
	uint64_t w = p->bits[(bit - p->first) / 64];

	return end - bit < 64 ? w & ((1ull << (end - bit)) - 1) : w;
}

/* Moves *bit on to the next word that has a set bit, and gives it; 0 where there is none before end. */
static uint64_t next_word(const struct dp_bitlog_piece *p, uint64_t *bit, uint64_t end)
{
	uint64_t i = (*bit - p->first) / 64, stop = p->bits ? (end - p->first + 63) / 64 : 0, line, left;

	while (i < stop) {
		line = i / LINE_WORDS;
		left = line < 64 ? ~p->empty >> line : 1;
		if (!(left & 1)) {
			i = (left ? line + (uint64_t)__builtin_ctzll(left) : 64) * LINE_WORDS;
			continue;
		}
		for (; i < (line + 1) * LINE_WORDS && i < stop; i++) {
			if (!p->bits[i])
				continue;
			*bit = p->first + i * 64;
			/* Only a piece's last word can have bits that do not count, and they are its last. */
			return word_at(p, *bit, end);
		}
	}
	return 0;
}

/* Unarmed pages in a stretch of bits of one unit. */
static uint64_t unarmed_in(const struct slot *s, const struct unit *u, uint64_t bit, uint64_t end)
{
	uint64_t n = 0, w;

	if (!u->unarmed)
		return 0;
	if (!(bit & (UNIT_PAGES - 1)) && (end - bit == UNIT_PAGES || end == s->d.nbits))
		return u->unarmed;
	for (; bit < end; bit += 64) {
		w = s->unarmed[bit / 64];
		n += dp_ones(end - bit < 64 ? w & ((1ull << (end - bit)) - 1) : w);
	}
	return n;
}

static void part_times(struct part *p, const struct unit *u, uint64_t t)
{
	uint64_t since = u->armed_ns > u->seen_ns ? u->armed_ns : u->seen_ns;
	uint64_t lo = t - since, hi = u->clean ? t - u->seen_ns : lo;

	if (!u->known || !since)
		return;
	if (!p->timed || lo < p->t_lo)
		p->t_lo = lo;
	if (!p->timed || hi > p->t_hi)
		p->t_hi = hi;
	p->timed = true;
}

/* Adds one word of dirty host pages. */
static void add_dirty(struct dp_pageset *set, const struct slot *s, uint64_t bit, uint64_t w)
{
	static const uint64_t all[4] = { ~0ull, ~0ull, ~0ull, ~0ull };
	uint64_t at;

	if (!s->d.shift) {
		dp_pageset_or(set, s->d.index + bit, &w, 64);
		return;
	}
	for (; w; w &= w - 1) {
		at = (bit + (uint64_t)__builtin_ctzll(w)) << s->d.shift;
		dp_pageset_or(set, s->d.index + at, all, 1u << s->d.shift);
	}
}

/* What one look at a piece shows, added to the regions' parts. */
static void look(const struct slot *s, const struct dp_bitlog_piece *p, struct part *parts,
		 struct dp_pageset *set)
{
	unsigned int sh = s->d.shift;
	uint64_t at = p->first, n, un, w, bit;
	struct stretch st;

	while (next_stretch(s, p, &at, &st)) {
		struct part *part = &parts[st.region];

		n = st.end - st.bit;
		un = st.unit->known ? unarmed_in(s, st.unit, st.bit, st.end) : n;
		part->unarmed += un << sh;
		part->armed += (n - un) << sh;
		part_times(part, st.unit, p->t_ns);
		for (bit = st.bit; (w = next_word(p, &bit, st.end)); bit += 64) {
			part->reported += dp_ones(w) << sh;
			w &= ~s->unarmed[bit / 64];
			if (w && st.unit->known)
				add_dirty(set, s, bit, w);
		}
	}
}

static struct slot *piece_slot(struct dp_bitlog *b, const struct dp_bitlog_piece *p)
{
	struct slot *s = dp_bitlog_slot_find(b, p->key);

	if (!s || !s->d.logging || p->first & 63 || p->first >= s->d.nbits || p->n > s->d.nbits - p->first)
		return NULL;
	return s;
}

/* A unit's pages from bit to end are armed. */
static void arm(struct slot *s, struct unit *u, uint64_t bit, uint64_t end)
{
	for (; u->unarmed && bit < end; bit += 64) {
		u->unarmed -= (uint32_t)dp_ones(s->unarmed[bit / 64]);
		s->unarmed[bit / 64] = 0;
	}
}

/* Those that the piece has in there are not. */
static void disarm(struct slot *s, struct unit *u, const struct dp_bitlog_piece *p, uint64_t bit,
		   uint64_t end)
{
	uint64_t w;

	for (; (w = next_word(p, &bit, end)); bit += 64) {
		u->unarmed += (uint32_t)dp_ones(w & ~s->unarmed[bit / 64]);
		s->unarmed[bit / 64] |= w;
	}
}

/* The next run of a piece within one unit, from bit *at on; false at its end. */
static bool next_unit(const struct slot *s, const struct dp_bitlog_piece *p, uint64_t *at, struct stretch *st)
{
	uint64_t end = p->first + p->n, unit_end = ((*at >> UNIT_SHIFT) + 1) << UNIT_SHIFT;

	if (*at >= end)
		return false;
	st->bit = *at;
	st->unit = &s->units[*at >> UNIT_SHIFT];
	st->end = *at = unit_end < end ? unit_end : end;
	return true;
}

int dp_bitlog_get(struct dp_bitlog *b, const struct dp_bitlog_piece *p)
{
	struct slot *s = piece_slot(b, p);
	struct stretch st;
	uint64_t at;

	if (!s)
		return -ENOENT;
	b->sync_open = true;
	b->sync_t = p->t_ns;
	look(s, p, b->sync, &b->sync_set);
	for (at = p->first; next_unit(s, p, &at, &st);) {
		struct unit *u = st.unit;

		u->known = true;
		u->seen_ns = p->t_ns;
		if (b->manual & 1) {
			disarm(s, u, p, st.bit, st.end);
		} else {
			arm(s, u, st.bit, st.end);
			u->armed_ns = p->t_ns;
			b->armed_at = p->t_ns;
		}
		u->clean = (uint32_t)(st.end - st.bit - unarmed_in(s, u, st.bit, st.end));
	}
	return 0;
}

int dp_bitlog_clear(struct dp_bitlog *b, const struct dp_bitlog_piece *p)
{
	struct slot *s = piece_slot(b, p);
	struct stretch st;
	uint64_t at, bit, w;

	if (!s)
		return -ENOENT;
	for (at = p->first; next_unit(s, p, &at, &st);) {
		for (bit = st.bit; st.unit->unarmed && (w = next_word(p, &bit, st.end)); bit += 64) {
			w &= s->unarmed[bit / 64];
			if (!w)
				continue;
			s->unarmed[bit / 64] &= ~w;
			st.unit->unarmed -= (uint32_t)dp_ones(w);
			st.unit->armed_ns = p->t_ns;
			b->armed_at = p->t_ns;
		}
	}
	return 0;
}

int dp_bitlog_peek(struct dp_bitlog *b, const struct dp_bitlog_piece *p)
{
	struct slot *s = piece_slot(b, p);
	struct stretch st;
	uint64_t at;

	if (!s)
		return -ENOENT;
	b->peek_open = true;
	b->peek_t = p->t_ns;
	look(s, p, b->peek, &b->peek_set);
	for (at = p->first; next_unit(s, p, &at, &st);) {
		/* A first look in the middle of logging: what is clean now is armed now; the rest is not. */
		if (st.unit->known)
			continue;
		st.unit->known = true;
		st.unit->seen_ns = p->t_ns;
		arm(s, st.unit, st.bit, st.end);
		disarm(s, st.unit, p, st.bit, st.end);
		st.unit->clean = (uint32_t)(st.end - st.bit - unarmed_in(s, st.unit, st.bit, st.end));
	}
	return 0;
}
