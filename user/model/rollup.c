// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "model/rollup.h"

/*
 * Bitmaps of big VMs are mostly zero, and are passed over several times a second: what is zero is left behind
 * eight words (2M of guest memory) at a time.
 */
#define RUN 8

static bool none(const uint64_t *p)
{
	return !(p[0] | p[1] | p[2] | p[3] | p[4] | p[5] | p[6] | p[7]);
}

bool dp_bits_none(const uint64_t *bits, size_t nwords)
{
	size_t i = 0;

	for (; i + RUN <= nwords; i += RUN)
		if (!none(bits + i))
			return false;
	for (; i < nwords; i++)
		if (bits[i])
			return false;
	return true;
}

uint64_t dp_popcount(const uint64_t *bits, size_t nwords)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < nwords; i++) {
		if (!(i % RUN) && i + RUN <= nwords && none(bits + i))
			i += RUN - 1;
		else if (bits[i])
			n += dp_ones(bits[i]);
	}
	return n;
}

/* Writes only where a bit is set, so that pages that were never written stay without memory. */
void dp_bits_clear(uint64_t *bits, size_t nwords)
{
	size_t i;

	for (i = 0; i < nwords; i++) {
		if (!(i % RUN) && i + RUN <= nwords && none(bits + i))
			i += RUN - 1;
		else if (bits[i])
			bits[i] = 0;
	}
}

uint64_t dp_bits_merge(uint64_t *dst, const uint64_t *src, size_t nwords)
{
	uint64_t fresh = 0;
	size_t i;

	for (i = 0; i < nwords; i++) {
		uint64_t w;

		if (!(i % RUN) && i + RUN <= nwords && none(src + i)) {
			i += RUN - 1;
			continue;
		}
		w = src[i] ? src[i] & ~dst[i] : 0;
		if (w) {
			dst[i] |= w;
			fresh += dp_ones(w);
		}
	}
	return fresh;
}

void dp_rollup(const uint64_t *bits, size_t nwords, uint64_t count[DP_SIZES])
{
	uint64_t any2m = 0, any16m = 0, any1g = 0;
	size_t i;

	for (i = 0; i < nwords; i++) {
		uint64_t w = bits[i];

		if (!(i % RUN) && i + RUN <= nwords && none(bits + i)) {
			i += RUN - 1; /* the last word of its 2M: the ends of blocks below are met */
		} else if (w) {
			count[DP_4K] += dp_ones(w);
			count[DP_64K] += dp_groups16(w);
			any2m = 1;
		}
		if ((i & 7) == 7) { /* 8 words = 512 pages = 2M */
			count[DP_2M] += any2m;
			any16m |= any2m;
			any2m = 0;
		}
		if ((i & 63) == 63) { /* 64 words = 16M */
			count[DP_16M] += any16m;
			any1g |= any16m;
			any16m = 0;
		}
		if ((i & (DP_REGION_WORDS - 1)) == DP_REGION_WORDS - 1) {
			count[DP_1G] += any1g;
			any1g = 0;
		}
	}
}

void dp_bits_or(uint64_t *dst, uint64_t at, const uint64_t *src, uint64_t n)
{
	uint64_t *d = dst + at / 64, i;
	unsigned int sh = at & 63;

	for (i = 0; i < n; i += 64) {
		uint64_t w = src[i / 64];

		if (n - i < 64)
			w &= (1ull << (n - i)) - 1;
		if (!w)
			continue;
		d[i / 64] |= w << sh;
		if (sh && w >> (64 - sh))
			d[i / 64 + 1] |= w >> (64 - sh);
	}
}
