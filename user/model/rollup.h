/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Bits of pages in index order (bpf/shared.h: a region is 2^18 consecutive bits) and what they add up to
 * at each block size. Pure.
 */
#ifndef DIRTYPROF_MODEL_ROLLUP_H
#define DIRTYPROF_MODEL_ROLLUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dirtyprof/snapshot.h"

#define DP_REGION_WORDS ((1u << DP_REGION_SHIFT) / 64)

/* Bits set. Inline, as it is asked for each word, and the CPU's own count is not assumed. */
static inline uint64_t dp_ones(uint64_t w)
{
	w -= w >> 1 & 0x5555555555555555ull;
	w = (w & 0x3333333333333333ull) + (w >> 2 & 0x3333333333333333ull);
	return ((w + (w >> 4)) & 0x0f0f0f0f0f0f0f0full) * 0x0101010101010101ull >> 56;
}

/* Groups of 16 bits (64K blocks) of a word that are not zero. */
static inline uint64_t dp_groups16(uint64_t w)
{
	w |= w >> 8;
	w |= w >> 4;
	w |= w >> 2;
	w |= w >> 1;
	return (w & 0x0001000100010001ull) * 0x0001000100010001ull >> 48;
}

/* Adds to count[] the blocks of each size with at least one bit set; nwords is a multiple of DP_REGION_WORDS. */
void dp_rollup(const uint64_t *bits, size_t nwords, uint64_t count[DP_SIZES]);

/* The same for words that begin and end anywhere: count of set bits. */
uint64_t dp_popcount(const uint64_t *bits, size_t nwords);

/* No bit is set. */
bool dp_bits_none(const uint64_t *bits, size_t nwords);

/* Zeroes, but touches only what is not: memory that was never written stays unallocated. */
void dp_bits_clear(uint64_t *bits, size_t nwords);

/* dst |= src, likewise; returns how many bits were new. */
uint64_t dp_bits_merge(uint64_t *dst, const uint64_t *src, size_t nwords);

/* dst[at .. at+n) |= src[0 .. n): bit positions; src is read in whole words, bits beyond n ignored. */
void dp_bits_or(uint64_t *dst, uint64_t at, const uint64_t *src, uint64_t n);

#endif
