// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "model/change.h"

#include <stdlib.h>
#include <string.h>

#include "model/change_est.h"
#include "model/change_panel.h"
#include "model/change_rank.h"
#include "model/pagehash.h"
#include "model/rollup.h"

#define MAX_READ      4096u  /* granules a window: a share within 1 %, whatever it is */
#define MAX_LIST      32768u /* dirty granules that are ranked one by one */
#define SPARSE	      8	     /* less than 1/SPARSE of MAX_READ in the sample is little */
#define SPARSE_WINDOW 3
#define FRESH	      20 /* more than 1/FRESH of a window's pages is much */

struct dp_change {
	uint32_t shift;	    /* log2 of 4K pages in a granule */
	uint32_t ngranules; /* of the index */
	struct dp_rank rank;
	struct dp_pageset dirty; /* pages of the window under way */
	uint64_t ndirty;	 /* how many they are */
	uint64_t *ever;		 /* a bit a granule: dirty in a window of this design */
	struct dp_panel panel;	 /* the sample */
	uint32_t *plan;
	size_t nplan, ngot;
	uint64_t bound; /* sampled: ranks below it */
	uint64_t cut;	/* what the bound will be once the plan was read */
	uint64_t next;	/* ranks below it were read beforehand */
	bool little;	/* of what may be read is in the sample */
	bool fresh;	/* much of the last window was dirty for the first time */
	bool looking;	/* a granule of dp_change_next is awaited */
	uint32_t scanned, sparse;
	uint64_t windows_here; /* ended in this design */
	double total[2];       /* pages reported: again, first */
	struct dp_change_sum first;
	struct dp_change_past past;
	uint64_t windows, window_ns, lag_ns, compared, failed;
};

struct dp_change *dp_change_new(const struct dp_change_opts *o)
{
	struct dp_change *c = calloc(1, sizeof(*c));
	uint32_t bits = 0;

	if (!c)
		return NULL;
	c->shift = o->shift;
	c->ngranules = (uint32_t)(((uint64_t)o->nregions << DP_REGION_SHIFT) >> o->shift);
	while (1ull << bits < c->ngranules)
		bits++;
	dp_rank_init(&c->rank, bits, o->seed);
	c->bound = 1ull << bits;
	c->ever = calloc(c->ngranules / 64 + 1, 8);
	c->plan = calloc(MAX_LIST, sizeof(*c->plan));
	if (dp_pageset_init(&c->dirty, o->nregions) || dp_panel_init(&c->panel, o->shift) || !c->ever ||
	    !c->plan) {
		dp_change_free(c);
		return NULL;
	}
	return c;
}

void dp_change_free(struct dp_change *c)
{
	if (!c)
		return;
	dp_pageset_free(&c->dirty);
	free(c->ever);
	dp_panel_free(&c->panel);
	free(c->plan);
	free(c);
}

static uint64_t all_ranks(const struct dp_change *c)
{
	return 1ull << c->rank.bits;
}

static bool bit(const uint64_t *bits, uint32_t i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

/* 4K pages of a granule that are dirty in this window. */
static uint64_t dirty_pages(const struct dp_change *c, uint32_t granule)
{
	uint64_t at = (uint64_t)granule << c->shift, n = 1ull << c->shift, w;

	if (n >= 64)
		return dp_popcount(c->dirty.w + at / 64, (size_t)(n / 64));
	w = c->dirty.w[at / 64] >> (at % 64) & ((1ull << n) - 1);
	return (uint64_t)__builtin_popcountll(w);
}

/* Only ranks below the bound stay. */
static void lower(struct dp_change *c, uint64_t bound)
{
	if (bound >= c->bound)
		return;
	c->bound = bound;
	if (c->next > bound)
		c->next = bound;
	dp_panel_keep(&c->panel, bound);
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

void dp_change_log(struct dp_change *c, const struct dp_pageset *pages)
{
	c->ndirty += dp_pageset_merge(&c->dirty, pages);
}

/* The first line from this one on that has a dirty page; or none, beyond the last. */
static size_t next_line(const struct dp_change *c, size_t line)
{
	size_t n = c->dirty.nwords / DP_SET_LINE;

	while (line < n && !(c->dirty.lines[line / 64] >> (line % 64)))
		line = (line | 63) + 1;
	return line < n ? line + (size_t)__builtin_ctzll(c->dirty.lines[line / 64] >> (line % 64)) : n;
}

/* Calls fn for each dirty granule, until it says to stop. */
static void each_dirty(struct dp_change *c, bool (*fn)(struct dp_change *c, uint32_t granule))
{
	const uint32_t pages = DP_SET_LINE * 64, n = c->shift >= 9 ? 1 : pages >> c->shift;
	size_t line, lines = c->dirty.nwords / DP_SET_LINE;
	uint32_t k, last = UINT32_MAX;

	for (line = next_line(c, 0); line < lines; line = next_line(c, line + 1)) {
		uint32_t first = (uint32_t)((line * pages) >> c->shift);

		for (k = first; k < first + n; k++) {
			if (k == last || !dirty_pages(c, k))
				continue;
			last = k;
			if (!fn(c, k))
				return;
		}
	}
}

static bool list_one(struct dp_change *c, uint32_t granule)
{
	uint32_t r = dp_rank_of(&c->rank, granule);

	if (r >= c->bound)
		return true;
	if (c->nplan == MAX_LIST) {
		c->nplan++;
		return false;
	}
	c->plan[c->nplan++] = r;
	return true;
}

/* By rank, until enough are dirty. */
static void list_by_rank(struct dp_change *c)
{
	uint64_t r;

	c->nplan = 0;
	for (r = 0; r < c->bound && c->nplan <= MAX_READ; r++) {
		uint32_t g = dp_rank_at(&c->rank, (uint32_t)r);

		if (g < c->ngranules && dirty_pages(c, g))
			c->plan[c->nplan++] = (uint32_t)r;
	}
}

/* Where much is dirtied for the first time, a part of what may be read is for granules that were not dirty yet. */
static size_t share_of(const struct dp_change *c, size_t room)
{
	if (room > 3 && c->fresh && c->next < c->bound && c->panel.n < c->panel.max / 2)
		room -= room / 4;
	return room < MAX_READ ? room : MAX_READ;
}

size_t dp_change_plan(struct dp_change *c, size_t room, const uint32_t **granules, bool *all)
{
	size_t i, n;

	c->looking = false;
	c->nplan = c->ngot = 0;
	/* Whichever are fewer are gone through: the dirty ones, or the ranks below the bound. */
	if (c->ndirty >> c->shift < c->bound)
		each_dirty(c, list_one);
	else
		c->nplan = MAX_LIST + 1;
	if (c->nplan > MAX_LIST)
		list_by_rank(c);
	else
		qsort(c->plan, c->nplan, sizeof(*c->plan), by_value);
	n = share_of(c, room);
	c->little = c->nplan * SPARSE < n && c->bound < all_ranks(c);
	/* The list has one more than may be read: it shows where the bound will have to be. */
	*all = c->nplan <= n;
	c->cut = *all ? c->bound : c->plan[n];
	c->nplan = *all ? c->nplan : n;
	for (i = 0; i < c->nplan; i++)
		c->plan[i] = dp_rank_at(&c->rank, c->plan[i]);
	*granules = c->plan;
	return c->nplan;
}

/* Counts of the pages of hash[] that can be compared with old[], and of those that differ. */
static void compare(const struct dp_change *c, const uint64_t *old, const uint64_t *hash, uint64_t *known,
		    uint64_t *changed)
{
	size_t i;

	*known = *changed = 0;
	for (i = 0; i < 1ull << c->shift; i++) {
		if (old[i] == DP_HASH_UNKNOWN || hash[i] == DP_HASH_UNKNOWN)
			continue;
		++*known;
		*changed += old[i] != hash[i];
	}
}

static void count(struct dp_change *c, struct dp_panel_entry *e, const uint64_t *hash)
{
	uint64_t known, changed;
	double a, d;

	compare(c, dp_panel_hash(&c->panel, e), hash, &known, &changed);
	/* Of pages that could not be read the log's report does not count either. */
	d = (double)dirty_pages(c, e->granule);
	d = d < (double)known ? d : (double)known;
	a = (double)changed < d ? (double)changed : d;
	if (!known)
		return;
	c->compared++;
	if (bit(c->ever, e->granule)) {
		e->a += a;
		e->d += d;
		e->windows++;
		return;
	}
	c->first.n++;
	c->first.a += a;
	c->first.d += d;
	c->first.aa += a * a;
	c->first.ad += a * d;
	c->first.dd += d * d;
	c->first.pages += d;
}

static struct dp_panel_entry *add(struct dp_change *c, uint32_t granule, uint32_t rank)
{
	/* Where there is no room the upper quarter of the ranks goes. */
	if (dp_panel_full(&c->panel))
		lower(c, dp_panel_quarter(&c->panel));
	return rank < c->bound ? dp_panel_add(&c->panel, granule, rank) : NULL;
}

void dp_change_got(struct dp_change *c, uint32_t granule, const uint64_t *hash)
{
	struct dp_panel_entry *e = dp_panel_find(&c->panel, granule);

	if (c->looking)
		c->scanned++;
	else
		c->ngot++;
	c->looking = false;
	if (!hash) {
		c->failed++;
		if (e)
			e->known = false;
		return;
	}
	if (!e)
		e = add(c, granule, dp_rank_of(&c->rank, granule));
	else if (e->known && dirty_pages(c, granule))
		count(c, e, hash);
	if (!e)
		return;
	memcpy(dp_panel_hash(&c->panel, e), hash, 8ull << c->shift);
	e->known = true;
}

static bool note_one(struct dp_change *c, uint32_t granule)
{
	bool again = bit(c->ever, granule);

	c->total[!again] += (double)dirty_pages(c, granule);
	c->ever[granule / 64] |= 1ull << (granule % 64);
	return true;
}

/* The weights, and what is known of the granules from now on. */
static void note_window(struct dp_change *c)
{
	size_t line, i, lines = c->dirty.nwords / DP_SET_LINE;
	const uint64_t *w = c->dirty.w;

	if (c->shift) {
		each_dirty(c, note_one);
		return;
	}
	for (line = next_line(c, 0); line < lines; line = next_line(c, line + 1)) {
		for (i = line * DP_SET_LINE; i < (line + 1) * DP_SET_LINE; i++) {
			if (!w[i])
				continue;
			c->total[0] += (double)__builtin_popcountll(w[i] & c->ever[i]);
			c->total[1] += (double)__builtin_popcountll(w[i] & ~c->ever[i]);
			c->ever[i] |= w[i];
		}
	}
}

static void add_entry(struct dp_change_sum *s, const struct dp_panel_entry *e)
{
	s->n++;
	s->a += e->a;
	s->d += e->d;
	s->aa += e->a * e->a;
	s->ad += e->a * e->d;
	s->dd += e->d * e->d;
	s->pages += e->d / e->windows;
}

static void strata(const struct dp_change *c, struct dp_change_sum *again, struct dp_change_sum *first)
{
	uint32_t i;

	memset(again, 0, sizeof(*again));
	for (i = 0; i < c->panel.n; i++)
		if (c->panel.entry[i].windows)
			add_entry(again, &c->panel.entry[i]);
	again->total = c->total[0];
	again->fraction = (double)c->bound / (double)all_ranks(c);
	*first = c->first;
	first->total = c->total[1];
	first->fraction = c->total[1] > 0 ? c->first.d / c->total[1] : 0;
}

/* Starts afresh; what was found stays. */
static void restart(struct dp_change *c)
{
	struct dp_change_sum again, first;

	strata(c, &again, &first);
	dp_change_close(&again, &first, &c->past);
	c->bound = all_ranks(c);
	c->next = 0;
	c->scanned = c->sparse = 0;
	c->windows_here = 0;
	c->total[0] = c->total[1] = 0;
	memset(&c->first, 0, sizeof(c->first));
	dp_panel_keep(&c->panel, 0);
	memset(c->ever, 0, (c->ngranules / 64 + 1) * 8);
}

void dp_change_end(struct dp_change *c, uint64_t window_ns, uint64_t lag_ns)
{
	double again = c->total[0], first = c->total[1];

	/* What was planned and not read goes; what was read had lower ranks. */
	lower(c, c->ngot < c->nplan ? dp_rank_of(&c->rank, c->plan[c->ngot]) : c->cut);
	note_window(c);
	c->fresh = (c->total[1] - first) * FRESH > c->total[0] - again + c->total[1] - first;
	if (!c->windows_here) {
		/* Nothing was read before the first one that has something dirty; nor does time count before it. */
		c->windows_here = c->ndirty != 0;
		c->total[0] = c->total[1] = 0;
		c->fresh = false;
	} else {
		c->windows_here++;
		c->windows++;
		c->window_ns += window_ns;
		c->lag_ns += lag_ns;
	}
	c->scanned = 0;
	dp_pageset_clear(&c->dirty);
	c->ndirty = 0;
	c->sparse = c->little ? c->sparse + 1 : 0;
	if (c->sparse >= SPARSE_WINDOW)
		restart(c);
}

bool dp_change_next(struct dp_change *c, uint32_t *granule)
{
	while (c->next < c->bound && c->scanned < MAX_READ && c->panel.n < c->panel.max / 2) {
		uint32_t g = dp_rank_at(&c->rank, (uint32_t)c->next++);

		if (g >= c->ngranules || bit(c->ever, g))
			continue;
		c->looking = true;
		*granule = g;
		return true;
	}
	return false;
}

void dp_change_gap(struct dp_change *c)
{
	restart(c);
	dp_pageset_clear(&c->dirty);
	c->ndirty = 0;
}

void dp_change_stats(const struct dp_change *c, struct dp_changes *out)
{
	out->unit = DP_WIRE_UNIT << c->shift;
	out->windows = c->windows;
	out->window_ns = c->window_ns;
	out->lag_ns = c->lag_ns;
	out->compared = c->compared;
	out->failed = c->failed;
	out->past = c->past;
	strata(c, &out->again, &out->first);
}
