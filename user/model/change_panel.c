// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "model/change_panel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_HASHES  (1u << 17) /* 1 MiB; more only where MIN_ENTRIES granules need it */
#define MAX_ENTRIES (1u << 15)
#define MIN_ENTRIES 8u

int dp_panel_init(struct dp_panel *p, uint32_t shift)
{
	p->shift = shift;
	p->n = 0;
	p->max = MAX_HASHES >> shift;
	p->max = p->max < MIN_ENTRIES ? MIN_ENTRIES : p->max > MAX_ENTRIES ? MAX_ENTRIES : p->max;
	for (p->nslots = 16; p->nslots < 2 * p->max; p->nslots *= 2)
		;
	p->entry = calloc(p->max, sizeof(*p->entry));
	p->hash = calloc((size_t)p->max << shift, sizeof(*p->hash));
	p->slot = calloc(p->nslots, sizeof(*p->slot));
	return p->entry && p->hash && p->slot ? 0 : -ENOMEM;
}

void dp_panel_free(struct dp_panel *p)
{
	free(p->entry);
	free(p->hash);
	free(p->slot);
	*p = (struct dp_panel){ 0 };
}

/* The table's place for a granule: where it is, or where it would go. */
static uint32_t *place(const struct dp_panel *p, uint32_t granule)
{
	uint32_t i = granule * 2654435761u & (p->nslots - 1);

	while (p->slot[i] && p->entry[p->slot[i] - 1].granule != granule)
		i = (i + 1) & (p->nslots - 1);
	return &p->slot[i];
}

struct dp_panel_entry *dp_panel_find(const struct dp_panel *p, uint32_t granule)
{
	uint32_t s = *place(p, granule);

	return s ? &p->entry[s - 1] : NULL;
}

struct dp_panel_entry *dp_panel_add(struct dp_panel *p, uint32_t granule, uint32_t rank)
{
	if (dp_panel_full(p))
		return NULL;
	*place(p, granule) = p->n + 1;
	p->entry[p->n] = (struct dp_panel_entry){ .granule = granule, .rank = rank };
	return &p->entry[p->n++];
}

uint64_t *dp_panel_hash(const struct dp_panel *p, const struct dp_panel_entry *e)
{
	return p->hash + ((size_t)(e - p->entry) << p->shift);
}

void dp_panel_keep(struct dp_panel *p, uint64_t bound)
{
	size_t bytes = sizeof(*p->hash) << p->shift;
	uint32_t i, n = 0;

	memset(p->slot, 0, p->nslots * sizeof(*p->slot));
	for (i = 0; i < p->n; i++) {
		if (p->entry[i].rank >= bound || p->entry[i].drop)
			continue;
		if (n != i) {
			memcpy(dp_panel_hash(p, &p->entry[n]), dp_panel_hash(p, &p->entry[i]), bytes);
			p->entry[n] = p->entry[i];
		}
		*place(p, p->entry[n].granule) = n + 1;
		n++;
	}
	p->n = n;
}

bool dp_panel_full(const struct dp_panel *p)
{
	return p->n == p->max;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

uint64_t dp_panel_quarter(const struct dp_panel *p)
{
	uint32_t *rank = malloc((p->n ? p->n : 1) * sizeof(*rank)), i;
	uint64_t bound = 0;

	for (i = 0; rank && i < p->n; i++)
		rank[i] = p->entry[i].rank;
	if (rank && p->n) {
		qsort(rank, p->n, sizeof(*rank), by_value);
		bound = rank[p->n - p->n / 4 - 1];
	}
	/* Out of memory: 0, all of them. */
	free(rank);
	return bound;
}
