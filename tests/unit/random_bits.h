/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Bits, one by one and by chance. */
#ifndef TESTS_RANDOM_BITS_H
#define TESTS_RANDOM_BITS_H

#include <stdbool.h>
#include <stdint.h>

static uint64_t rng_state = 88172645463325252ull;

static inline uint64_t rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state;
}

static inline void set(uint64_t *bits, uint64_t i)
{
	bits[i / 64] |= 1ull << (i % 64);
}

static inline bool get(const uint64_t *bits, uint64_t i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

#endif
