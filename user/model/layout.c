// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "model/layout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int cmp_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

int dp_layout_build(struct dp_layout *l, const struct dp_extent *ext, size_t n)
{
	uint64_t *frames, f;
	size_t total = 0, i, k = 0;

	memset(l, 0, sizeof(*l));
	for (i = 0; i < n; i++) {
		if (!ext[i].npages)
			continue;
		if (ext[i].gfn + ext[i].npages < ext[i].gfn)
			return -EINVAL;
		total += ((ext[i].gfn + ext[i].npages - 1) >> DP_REGION_SHIFT) -
			 (ext[i].gfn >> DP_REGION_SHIFT) + 1;
		if (total > 8ull * DP_REGIONS_MAX)
			return -E2BIG;
	}
	frames = calloc(total ? total : 1, sizeof(*frames));
	if (!frames)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		if (!ext[i].npages)
			continue;
		for (f = ext[i].gfn >> DP_REGION_SHIFT;
		     f <= (ext[i].gfn + ext[i].npages - 1) >> DP_REGION_SHIFT; f++)
			frames[k++] = f;
	}
	qsort(frames, k, sizeof(*frames), cmp_u64);
	for (i = 0; i < k; i++)
		if (!l->nregions || frames[l->nregions - 1] != frames[i])
			frames[l->nregions++] = frames[i];
	l->frame = frames;
	if (l->nregions > DP_REGIONS_MAX) {
		dp_layout_free(l);
		return -E2BIG;
	}
	return 0;
}

void dp_layout_free(struct dp_layout *l)
{
	if (!l)
		return;
	free(l->frame);
	memset(l, 0, sizeof(*l));
}

uint32_t dp_layout_index(const struct dp_layout *l, uint64_t gfn)
{
	uint64_t f = gfn >> DP_REGION_SHIFT, *at;

	if (!l->nregions)
		return DP_INDEX_NONE;
	at = bsearch(&f, l->frame, l->nregions, sizeof(*l->frame), cmp_u64);
	if (!at)
		return DP_INDEX_NONE;
	return (uint32_t)(at - l->frame) << DP_REGION_SHIFT | (uint32_t)(gfn & ((1u << DP_REGION_SHIFT) - 1));
}

bool dp_layout_covers(const struct dp_layout *l, uint64_t gfn, uint64_t npages)
{
	uint32_t a, b;

	if (!npages)
		return true;
	a = dp_layout_index(l, gfn);
	b = dp_layout_index(l, gfn + npages - 1);
	return a != DP_INDEX_NONE && b != DP_INDEX_NONE && (uint64_t)b - a == npages - 1;
}

static int cmp_extent(const void *a, const void *b)
{
	const struct dp_extent *x = a, *y = b;

	return (x->gfn > y->gfn) - (x->gfn < y->gfn);
}

void dp_layout_count(const struct dp_layout *l, const struct dp_extent *ext, size_t n, uint64_t *region_pages,
		     uint64_t blocks[DP_SIZES])
{
	struct dp_extent *sorted = malloc((n ? n : 1) * sizeof(*sorted));
	uint64_t done[DP_SIZES] = { 0 }, end = 0; /* first block, first page not yet counted */
	size_t i, s;

	memset(region_pages, 0, l->nregions * sizeof(*region_pages));
	memset(blocks, 0, DP_SIZES * sizeof(*blocks));
	if (!sorted)
		return;
	memcpy(sorted, ext, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), cmp_extent);
	for (i = 0; i < n; i++) {
		uint64_t a = sorted[i].gfn, b = a + sorted[i].npages, p;

		/* Address spaces repeat each other's slots: count a page once. */
		if (a < end)
			a = end;
		if (a >= b)
			continue;
		end = b;
		for (p = a; p < b;) {
			uint64_t next = ((p >> DP_REGION_SHIFT) + 1) << DP_REGION_SHIFT;
			uint32_t idx = dp_layout_index(l, p);

			if (next > b)
				next = b;
			if (idx != DP_INDEX_NONE)
				region_pages[idx >> DP_REGION_SHIFT] += next - p;
			p = next;
		}
		for (s = 0; s < DP_SIZES; s++) {
			unsigned int sh = dp_size_shift((enum dp_size)s) - 12;
			uint64_t first = a >> sh, last = (b - 1) >> sh;

			if (first < done[s])
				first = done[s];
			if (first <= last) {
				blocks[s] += last - first + 1;
				done[s] = last + 1;
			}
		}
	}
	free(sorted);
}
