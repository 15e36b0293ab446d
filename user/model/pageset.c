// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "model/pageset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define REGION_LINES (DP_REGION_WORDS / DP_SET_LINE / 64) /* words of lines */

int dp_pageset_init(struct dp_pageset *s, uint32_t nregions)
{
	s->nwords = (size_t)nregions * DP_REGION_WORDS;
	s->w = calloc(s->nwords + 1, 8);
	s->lines = calloc((size_t)nregions * REGION_LINES + 1, 8);
	if (s->w && s->lines)
		return 0;
	dp_pageset_free(s);
	return -ENOMEM;
}

void dp_pageset_free(struct dp_pageset *s)
{
	free(s->w);
	free(s->lines);
	*s = (struct dp_pageset){ 0 };
}

/* lines is exact: a line is marked when, and only when, a bit of it is set. */
static void mark(struct dp_pageset *s, size_t word)
{
	s->lines[word / DP_SET_LINE / 64] |= 1ull << (word / DP_SET_LINE % 64);
}

void dp_pageset_or(struct dp_pageset *s, uint64_t at, const uint64_t *src, uint64_t n)
{
	unsigned int sh = at & 63;
	uint64_t i, w;
	size_t to;

	for (i = 0; i < n; i += 64) {
		w = src[i / 64];
		if (n - i < 64)
			w &= (1ull << (n - i)) - 1;
		to = (at + i) / 64;
		if (!w || to >= s->nwords)
			continue;
		if (w << sh) {
			s->w[to] |= w << sh;
			mark(s, to);
		}
		if (sh && w >> (64 - sh) && to + 1 < s->nwords) {
			s->w[to + 1] |= w >> (64 - sh);
			mark(s, to + 1);
		}
	}
}

/* One line, of which at least one bit may be set. */
static uint64_t add_line(struct dp_pageset *s, size_t word, const uint64_t *src, size_t n)
{
	uint64_t fresh = 0, w;
	size_t i;

	for (i = 0; i < n; i++) {
		w = src[i] & ~s->w[word + i];
		if (w) {
			s->w[word + i] |= w;
			fresh += dp_ones(w);
		}
	}
	if (fresh)
		mark(s, word);
	return fresh;
}

uint64_t dp_pageset_add_words(struct dp_pageset *s, const uint64_t *src, size_t nwords)
{
	uint64_t fresh = 0;
	size_t i, n;

	if (nwords > s->nwords)
		nwords = s->nwords;
	for (i = 0; i < nwords; i += DP_SET_LINE) {
		n = nwords - i < DP_SET_LINE ? nwords - i : DP_SET_LINE;
		if (!dp_bits_none(src + i, n))
			fresh += add_line(s, i, src + i, n);
	}
	return fresh;
}

uint64_t dp_pageset_merge(struct dp_pageset *dst, const struct dp_pageset *src)
{
	size_t i, word, n = src->nwords / DP_SET_LINE / 64;
	uint64_t fresh = 0, left;

	for (i = 0; i < n; i++) {
		for (left = src->lines[i]; left; left &= left - 1) {
			word = (i * 64 + (size_t)__builtin_ctzll(left)) * DP_SET_LINE;
			fresh += add_line(dst, word, src->w + word, DP_SET_LINE);
		}
	}
	return fresh;
}

/* Bytes of a word that are not zero: 8 lines are 16M. */
static uint64_t bytes_set(uint64_t w)
{
	w |= w >> 4;
	w |= w >> 2;
	w |= w >> 1;
	return (w & 0x0101010101010101ull) * 0x0101010101010101ull >> 56;
}

/* The first part that ends behind an index. */
static struct dp_part *part_of(struct dp_part *parts, size_t n, uint64_t index)
{
	size_t lo = 0, hi = n - 1, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (parts[mid].end > index)
			hi = mid;
		else
			lo = mid + 1;
	}
	return parts + lo;
}

/* Pages of one line, which begins in *p, to the parts that they lie in; *p moves on to the last of them. */
static void part_line(struct dp_part **p, uint64_t index, const uint64_t *w, uint64_t pages)
{
	uint64_t i, at, bits;

	while ((*p)->end <= index)
		++*p;
	if ((*p)->end >= index + DP_SET_LINE * 64) {
		(*p)->pages += pages;
		return;
	}
	for (i = 0; i < DP_SET_LINE; i++) {
		for (bits = w[i]; bits; bits &= bits - 1) {
			at = index + i * 64 + (uint64_t)__builtin_ctzll(bits);
			while ((*p)->end <= at)
				++*p;
			(*p)->pages++;
		}
	}
}

/* Counts the 4K and 64K blocks of a line; returns the former. */
static uint64_t count_line(const uint64_t *w, uint64_t count[DP_SIZES])
{
	uint64_t pages = 0;
	size_t k;

	for (k = 0; k < DP_SET_LINE; k++) {
		if (!w[k])
			continue;
		pages += dp_ones(w[k]);
		count[DP_64K] += dp_groups16(w[k]);
	}
	count[DP_4K] += pages;
	return pages;
}

uint64_t dp_pageset_move(struct dp_pageset *s, uint32_t r, uint64_t count[DP_SIZES], struct dp_pageset *dst,
			 struct dp_part *parts, size_t nparts)
{
	uint64_t *lines = s->lines + (size_t)r * REGION_LINES, *w, any = 0, left, fresh = 0;
	struct dp_part *p = nparts ? part_of(parts, nparts, (uint64_t)r << DP_REGION_SHIFT) : NULL;
	uint64_t pages;
	size_t i, at;

	for (i = 0; i < REGION_LINES; i++) {
		any |= lines[i];
		count[DP_2M] += dp_ones(lines[i]);
		count[DP_16M] += bytes_set(lines[i]);
		for (left = lines[i]; left; left &= left - 1) {
			at = (size_t)r * DP_REGION_WORDS +
			     (i * 64 + (size_t)__builtin_ctzll(left)) * DP_SET_LINE;
			w = s->w + at;
			if (dst)
				fresh += add_line(dst, at, w, DP_SET_LINE);
			pages = count_line(w, count);
			if (p)
				part_line(&p, at * 64, w, pages);
			memset(w, 0, DP_SET_LINE * 8);
		}
		lines[i] = 0;
	}
	count[DP_1G] += any != 0;
	return fresh;
}

void dp_pageset_clear(struct dp_pageset *s)
{
	size_t i, n = s->nwords / DP_SET_LINE / 64;
	uint64_t left;

	for (i = 0; i < n; i++) {
		for (left = s->lines[i]; left; left &= left - 1)
			memset(s->w + (i * 64 + (size_t)__builtin_ctzll(left)) * DP_SET_LINE, 0,
			       DP_SET_LINE * 8);
		s->lines[i] = 0;
	}
}
