// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which granules to read at the end of a window. */
#include <stdlib.h>

#include "model/change_int.h"

#define SPARSE 8 /* less than 1/SPARSE of what may be read is little of a sample */

size_t dp_change_line(const struct dp_change *c, size_t line)
{
	size_t n = c->dirty.nwords / DP_SET_LINE;

	while (line < n && !(c->dirty.lines[line / 64] >> (line % 64)))
		line = (line | 63) + 1;
	return line < n ? line + (size_t)__builtin_ctzll(c->dirty.lines[line / 64] >> (line % 64)) : n;
}

void dp_change_each(struct dp_change *c, bool (*fn)(struct dp_change *c, uint32_t granule))
{
	const uint32_t pages = DP_SET_LINE * 64, n = c->shift >= 9 ? 1 : pages >> c->shift;
	size_t line, lines = c->dirty.nwords / DP_SET_LINE;
	uint32_t k, last = UINT32_MAX;

	for (line = dp_change_line(c, 0); line < lines; line = dp_change_line(c, line + 1)) {
		uint32_t first = (uint32_t)((line * pages) >> c->shift);

		for (k = first; k < first + n; k++) {
			if (k == last || !dp_change_pages(c, k))
				continue;
			last = k;
			if (!fn(c, k))
				return;
		}
	}
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static bool list_one(struct dp_change *c, uint32_t granule)
{
	uint32_t r = dp_rank_of(&c->rank, granule);

	if (r >= c->bound)
		return true;
	if (c->nplan == DP_CHANGE_LIST) {
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
	for (r = 0; r < c->bound && c->nplan <= DP_CHANGE_READ; r++) {
		uint32_t g = dp_rank_at(&c->rank, (uint32_t)r);

		if (g < c->ngranules && dp_change_pages(c, g))
			c->plan[c->nplan++] = (uint32_t)r;
	}
}

/* Where much is dirtied for the first time, a part of what may be read is for granules that were not dirty yet. */
static size_t share_of(const struct dp_change *c, size_t room)
{
	if (room > 3 && c->fresh && c->next < c->bound && c->panel.n < c->panel.max / 2)
		room -= room / 4;
	return room < DP_CHANGE_READ ? room : DP_CHANGE_READ;
}

/* Those that will be compared again when they are dirty: what they hold now is to be known. */
static void list_again(struct dp_change *c)
{
	uint32_t i;

	for (i = 0; i < c->panel.n; i++)
		if (dp_change_bit(c->ever, c->panel.entry[i].granule))
			c->plan[c->nplan++] = c->panel.entry[i].rank;
}

static void list_dirty(struct dp_change *c)
{
	/* Whichever are fewer are gone through: the dirty ones, or the ranks below the bound. */
	if (c->ndirty >> c->shift < c->bound)
		dp_change_each(c, list_one);
	else
		c->nplan = DP_CHANGE_LIST + 1;
	if (c->nplan > DP_CHANGE_LIST)
		list_by_rank(c);
}

size_t dp_change_plan(struct dp_change *c, size_t room, const uint32_t **granules, bool *all)
{
	size_t i, n;

	c->looking = false;
	c->nplan = c->ngot = 0;
	if (c->stale)
		list_again(c);
	else
		list_dirty(c);
	qsort(c->plan, c->nplan, sizeof(*c->plan), by_value);
	n = share_of(c, room);
	c->little = !c->stale && c->nplan * SPARSE < n && c->bound < dp_change_ranks(c);
	/* The list has one more than may be read: it shows where the bound will have to be. */
	*all = c->nplan <= n;
	c->cut = *all ? c->bound : c->plan[n];
	c->nplan = *all ? c->nplan : n;
	for (i = 0; i < c->nplan; i++)
		c->plan[i] = dp_rank_at(&c->rank, c->plan[i]);
	*granules = c->plan;
	return c->nplan;
}
