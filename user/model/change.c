// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "model/change_int.h"

#include <stdlib.h>
#include <string.h>

#include "model/change_est.h"
#include "model/pagehash.h"
#include "model/rollup.h"

#define SPARSE_WINDOW 3
#define FRESH	      20 /* more than 1/FRESH of a window's pages is much */

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
	c->plan = calloc(DP_CHANGE_LIST, sizeof(*c->plan));
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

void dp_change_log(struct dp_change *c, const struct dp_pageset *pages)
{
	c->ndirty += dp_pageset_merge(&c->dirty, pages);
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
	d = (double)dp_change_pages(c, e->granule);
	d = d < (double)known ? d : (double)known;
	a = (double)changed < d ? (double)changed : d;
	if (!known)
		return;
	c->compared++;
	if (dp_change_bit(c->ever, e->granule)) {
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
	else if (e->known && !c->stale && dp_change_pages(c, granule))
		count(c, e, hash);
	if (!e)
		return;
	memcpy(dp_panel_hash(&c->panel, e), hash, 8ull << c->shift);
	e->known = true;
}

static bool note_one(struct dp_change *c, uint32_t granule)
{
	bool again = dp_change_bit(c->ever, granule);

	c->total[!again] += (double)dp_change_pages(c, granule);
	c->ever[granule / 64] |= 1ull << (granule % 64);
	return true;
}

/* The weights, and what is known of the granules from now on. */
static void note_window(struct dp_change *c)
{
	size_t line, i, lines = c->dirty.nwords / DP_SET_LINE;
	const uint64_t *w = c->dirty.w;

	if (c->shift) {
		dp_change_each(c, note_one);
		return;
	}
	for (line = dp_change_line(c, 0); line < lines; line = dp_change_line(c, line + 1)) {
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
	again->fraction = (double)c->bound / (double)dp_change_ranks(c);
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
	c->bound = dp_change_ranks(c);
	c->next = 0;
	c->scanned = c->sparse = 0;
	c->windows_here = 0;
	c->total[0] = c->total[1] = 0;
	memset(&c->first, 0, sizeof(c->first));
	dp_panel_keep(&c->panel, 0);
	memset(c->ever, 0, (c->ngranules / 64 + 1) * 8);
}

/* What was read beforehand, in case it becomes dirty for the first time, may have been written since. */
static void end_gap(struct dp_change *c)
{
	uint32_t i;

	for (i = 0; i < c->panel.n; i++)
		c->panel.entry[i].drop = !dp_change_bit(c->ever, c->panel.entry[i].granule);
	dp_panel_keep(&c->panel, c->bound);
	c->next = 0;
	c->scanned = 0;
	c->stale = false;
	dp_pageset_clear(&c->dirty);
	c->ndirty = 0;
}

void dp_change_end(struct dp_change *c, uint64_t window_ns, uint64_t lag_ns)
{
	double again = c->total[0], first = c->total[1];

	/* What was planned and not read goes; what was read had lower ranks. */
	lower(c, c->ngot < c->nplan ? dp_rank_of(&c->rank, c->plan[c->ngot]) : c->cut);
	if (c->stale) {
		end_gap(c);
		return;
	}
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
	while (c->next < c->bound && c->scanned < DP_CHANGE_READ && c->panel.n < c->panel.max / 2) {
		uint32_t g = dp_rank_at(&c->rank, (uint32_t)c->next++);

		if (g >= c->ngranules || dp_change_bit(c->ever, g))
			continue;
		c->looking = true;
		*granule = g;
		return true;
	}
	return false;
}

void dp_change_gap(struct dp_change *c)
{
	c->stale = true;
}

size_t dp_change_sampled(const struct dp_change *c)
{
	return c->panel.n < DP_CHANGE_READ ? c->panel.n : DP_CHANGE_READ;
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
