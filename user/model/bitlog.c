// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "model/bitlog.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/rollup.h"

#define UNIT_SHIFT 15 /* host pages that share re-arming times: one piece of the probe's */
#define UNIT_PAGES (1ull << UNIT_SHIFT)
#define UNIT_WORDS ((1u << UNIT_SHIFT) / 64)

/* Share of a region that may be unarmed, or not looked at, for its window to speak for all of it. */
#define MAX_UNSEEN 0.02

struct unit {
	uint64_t armed_ns; /* last re-arming of any page of it */
	uint64_t seen_ns;  /* last GET: pages clean then are known to have been */
	uint64_t clean;	   /* pages that were armed just after that GET */
	bool known;
	bool maybe_unarmed; /* false: no page of it is unarmed */
};

struct slot {
	struct dp_bitlog_slot d;
	uint64_t *unarmed;
	struct unit *units;
};

/* One region's part of a sync or a peek under way. */
struct part {
	uint64_t armed, unarmed, dirty, reported;
	uint64_t t_lo, t_hi;
	bool timed;
};

struct dp_bitlog {
	uint32_t nregions, manual;
	struct slot *slots;
	size_t nslots;
	struct part *sync, *peek;
	uint64_t *sync_bits, *peek_bits, *new_bits;
	uint64_t (*blocks)[DP_SIZES]; /* by region: blocks that logging slots touch */
	uint32_t *arming;
	uint64_t armed_at, last_sync, sync_t, peek_t;
	bool sync_open, peek_open;
	struct dp_window *win;
	uint32_t nwin, room;
};

/* Bits set; most words are empty or full, and counting others is a call where the CPU's own count is not assumed. */
static uint64_t ones(uint64_t w)
{
	return !w ? 0 : w == ~0ull ? 64 : (uint64_t)__builtin_popcountll(w);
}

static size_t index_words(const struct dp_bitlog *b)
{
	return (size_t)b->nregions * DP_REGION_WORDS;
}

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
	/* One word more: dp_bits_or may spill over the end with zeroes. */
	b->sync_bits = calloc(n * DP_REGION_WORDS + 1, 8);
	b->peek_bits = calloc(n * DP_REGION_WORDS + 1, 8);
	b->new_bits = calloc(n * DP_REGION_WORDS + 1, 8);
	if (!b->sync || !b->peek || !b->blocks || !b->arming || !b->sync_bits || !b->peek_bits ||
	    !b->new_bits) {
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
	free(b->sync_bits);
	free(b->peek_bits);
	free(b->new_bits);
	free(b->win);
	free(b);
}

static struct slot *slot_find(struct dp_bitlog *b, uint32_t key)
{
	size_t i;

	for (i = 0; i < b->nslots; i++)
		if (b->slots[i].d.key == key)
			return &b->slots[i];
	return NULL;
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
		memset(s->unarmed, 0xff, words * 8);
	for (i = 0; i < nunits; i++) {
		uint64_t left = d->nbits - (i << UNIT_SHIFT);

		s->units[i].known = exact;
		s->units[i].maybe_unarmed = true;
		if ((b->manual & 3) == 3)
			continue; /* all unarmed: nothing is clean, no window starts here */
		s->units[i].armed_ns = s->units[i].seen_ns = t;
		s->units[i].clean = left < (1u << UNIT_SHIFT) ? left : 1u << UNIT_SHIFT;
	}
	if (exact && (b->manual & 3) != 3)
		b->armed_at = t;
	return 0;
}

/* Which blocks exist: the slots' own pages, rolled up by region. */
static void count_blocks(struct dp_bitlog *b)
{
	uint64_t *bits = b->peek_bits, all[64];
	size_t i;
	uint32_t r;

	memset(all, 0xff, sizeof(all));
	dp_bits_clear(bits, index_words(b));
	for (i = 0; i < b->nslots; i++) {
		const struct dp_bitlog_slot *d = &b->slots[i].d;
		uint64_t n = d->nbits << d->shift, k;

		for (k = 0; d->logging && k < n; k += 4096)
			dp_bits_or(bits, d->index + k, all, n - k < 4096 ? n - k : 4096);
	}
	memset(b->blocks, 0, b->nregions * sizeof(*b->blocks));
	for (r = 0; r < b->nregions; r++)
		dp_rollup(bits + (size_t)r * DP_REGION_WORDS, DP_REGION_WORDS, b->blocks[r]);
	dp_bits_clear(bits, index_words(b));
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
		struct slot *old = slot_find(b, slots[i].key);

		if (((uint64_t)slots[i].index + (slots[i].nbits << slots[i].shift)) >
		    (uint64_t)index_words(b) * 64)
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
	count_blocks(b);
	return 0;
}

/* Adds one word of newly dirty host pages to the index bits. */
static void add_bits(uint64_t *dst, const struct slot *s, uint64_t bit, uint64_t w)
{
	static const uint64_t all[4] = { ~0ull, ~0ull, ~0ull, ~0ull };
	uint64_t at;

	if (!s->d.shift) {
		dp_bits_or(dst, s->d.index + bit, &w, 64);
		return;
	}
	for (; w; w &= w - 1) {
		at = (bit + (uint64_t)__builtin_ctzll(w)) << s->d.shift;
		dp_bits_or(dst, s->d.index + at, all, 1u << s->d.shift);
	}
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

static uint64_t valid_mask(const struct slot *s, uint64_t bit, uint64_t end)
{
	uint64_t left;

	if (end > s->d.nbits)
		end = s->d.nbits;
	if (bit >= end)
		return 0;
	left = end - bit;
	return left >= 64 ? ~0ull : (1ull << left) - 1;
}

/*
 * A piece without a set bit, of one unit of one region that has no unarmed page: nothing is dirty, and no word of
 * it need be looked at again. Most pieces of a big VM are so.
 */
static bool is_clean(const struct slot *s, const struct dp_bitlog_piece *p)
{
	const struct unit *u = &s->units[p->first >> UNIT_SHIFT];
	uint64_t last = p->first + p->n - 1;

	return p->n && u->known && !u->maybe_unarmed && last >> UNIT_SHIFT == p->first >> UNIT_SHIFT &&
	       !(p->n & 63) &&
	       (s->d.index + (p->first << s->d.shift)) >> DP_REGION_SHIFT ==
		       (s->d.index + (last << s->d.shift)) >> DP_REGION_SHIFT &&
	       dp_bits_none(p->bits, p->n / 64);
}

/* What one look at a piece shows, added to the regions' parts. */
static void look(const struct slot *s, const struct dp_bitlog_piece *p, bool clean, struct part *parts,
		 uint64_t *bits)
{
	uint64_t i, bit, mask, w, un;
	unsigned int sh = s->d.shift;

	if (clean) {
		struct part *part = &parts[(s->d.index + (p->first << sh)) >> DP_REGION_SHIFT];

		part->armed += p->n << sh;
		part_times(part, &s->units[p->first >> UNIT_SHIFT], p->t_ns);
		return;
	}
	for (i = 0, bit = p->first; bit < p->first + p->n; i++, bit += 64) {
		const struct unit *u = &s->units[bit >> UNIT_SHIFT];
		struct part *part = &parts[(s->d.index + (bit << sh)) >> DP_REGION_SHIFT];

		mask = valid_mask(s, bit, p->first + p->n);
		w = p->bits[i] & mask;
		part->reported += ones(w) << sh;
		if (!u->known) {
			part->unarmed += ones(mask) << sh;
			continue;
		}
		un = s->unarmed[bit / 64] & mask;
		part->unarmed += ones(un) << sh;
		part->armed += ones(mask & ~un) << sh;
		if (!(i & (UNIT_WORDS - 1)) || !(bit & ((1u << UNIT_SHIFT) - 1)))
			part_times(part, u, p->t_ns);
		w &= ~un;
		if (w) {
			part->dirty += ones(w) << sh;
			add_bits(bits, s, bit, w);
		}
	}
}

static struct slot *piece_slot(struct dp_bitlog *b, const struct dp_bitlog_piece *p)
{
	struct slot *s = slot_find(b, p->key);

	if (!s || !s->d.logging || p->first & 63 || p->first >= s->d.nbits || p->n > s->d.nbits - p->first)
		return NULL;
	return s;
}

int dp_bitlog_get(struct dp_bitlog *b, const struct dp_bitlog_piece *p)
{
	struct slot *s = piece_slot(b, p);
	uint64_t i, bit, mask;
	bool clean;

	if (!s)
		return -ENOENT;
	b->sync_open = true;
	b->sync_t = p->t_ns;
	clean = is_clean(s, p);
	look(s, p, clean, b->sync, b->sync_bits);
	for (bit = p->first & ~((1ull << UNIT_SHIFT) - 1); bit < p->first + p->n; bit += 1u << UNIT_SHIFT) {
		struct unit *u = &s->units[bit >> UNIT_SHIFT];

		u->known = true;
		u->seen_ns = p->t_ns;
		u->clean = clean ? p->n : 0;
		if (!(b->manual & 1)) {
			u->armed_ns = p->t_ns;
			b->armed_at = p->t_ns;
		}
		/* Exactly known where the piece is the whole unit, from the words below. */
		if (p->first == bit && (p->n == 1u << UNIT_SHIFT || p->first + p->n == s->d.nbits))
			u->maybe_unarmed = false;
	}
	if (clean)
		return 0;
	for (i = 0, bit = p->first; bit < p->first + p->n; i++, bit += 64) {
		mask = valid_mask(s, bit, p->first + p->n);
		if (b->manual & 1)
			s->unarmed[bit / 64] |= p->bits[i] & mask;
		else
			s->unarmed[bit / 64] = 0;
		s->units[bit >> UNIT_SHIFT].maybe_unarmed |= s->unarmed[bit / 64] != 0;
		s->units[bit >> UNIT_SHIFT].clean += ones(mask & ~s->unarmed[bit / 64]);
	}
	return 0;
}

int dp_bitlog_clear(struct dp_bitlog *b, const struct dp_bitlog_piece *p)
{
	struct slot *s = piece_slot(b, p);
	uint64_t i, bit, w;

	if (!s)
		return -ENOENT;
	for (i = 0, bit = p->first; bit < p->first + p->n; i++, bit += 64) {
		w = p->bits[i] & valid_mask(s, bit, p->first + p->n) & s->unarmed[bit / 64];
		if (!w)
			continue;
		s->unarmed[bit / 64] &= ~w;
		s->units[bit >> UNIT_SHIFT].armed_ns = p->t_ns;
		b->armed_at = p->t_ns;
	}
	return 0;
}

int dp_bitlog_peek(struct dp_bitlog *b, const struct dp_bitlog_piece *p)
{
	struct slot *s = piece_slot(b, p);
	uint64_t bit;

	if (!s)
		return -ENOENT;
	b->peek_open = true;
	b->peek_t = p->t_ns;
	look(s, p, is_clean(s, p), b->peek, b->peek_bits);
	for (bit = p->first & ~((1ull << UNIT_SHIFT) - 1); bit < p->first + p->n; bit += 1u << UNIT_SHIFT) {
		struct unit *u = &s->units[bit >> UNIT_SHIFT];
		uint64_t i, end = bit + (1u << UNIT_SHIFT);

		/* A first look in the middle of logging: what is clean now is armed now; the rest is not. */
		if (u->known)
			continue;
		if (end > p->first + p->n)
			end = p->first + p->n;
		u->known = true;
		u->maybe_unarmed = true;
		u->seen_ns = p->t_ns;
		u->clean = 0;
		for (i = bit; i < end; i += 64) {
			uint64_t mask = valid_mask(s, i, end);

			s->unarmed[i / 64] = p->bits[(i - p->first) / 64] & mask;
			u->clean += ones(mask & ~s->unarmed[i / 64]);
		}
	}
	return 0;
}

static void add_window(struct dp_bitlog *b, const struct dp_window *w)
{
	if (b->nwin == b->room) {
		uint32_t room = b->room ? b->room * 2 : 64;
		struct dp_window *win = realloc(b->win, room * sizeof(*win));

		if (!win)
			return; /* a window less: the band widens, nothing is wrong */
		b->win = win;
		b->room = room;
	}
	b->win[b->nwin++] = *w;
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

/* Whether a region can hold dirty bits: a slot's last word of one region can reach into the next. */
static bool touched(const struct part *parts, uint32_t r)
{
	return parts[r].dirty || (r && parts[r - 1].dirty);
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
	for (r = 0; r < b->nregions; r++) {
		struct part *p = &b->sync[r];

		all += b->blocks[r][DP_4K];
		looked += p->armed + p->unarmed;
		s->reported_pages += p->reported;
		memset(dirty, 0, sizeof(dirty));
		if (touched(b->sync, r)) {
			uint64_t *bits = b->sync_bits + (size_t)r * DP_REGION_WORDS;

			dp_rollup(bits, DP_REGION_WORDS, dirty);
			dp_bits_merge(b->new_bits + (size_t)r * DP_REGION_WORDS, bits, DP_REGION_WORDS);
			dp_bits_clear(bits, DP_REGION_WORDS);
		}
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
	for (r = 0; r < b->nregions; r++) {
		memset(dirty, 0, sizeof(dirty));
		if (touched(b->peek, r)) {
			uint64_t *bits = b->peek_bits + (size_t)r * DP_REGION_WORDS;

			dp_rollup(bits, DP_REGION_WORDS, dirty);
			dp_bits_clear(bits, DP_REGION_WORDS);
		}
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

uint64_t *dp_bitlog_new_bits(struct dp_bitlog *b)
{
	return b->new_bits;
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
