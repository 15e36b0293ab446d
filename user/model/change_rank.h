/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A seeded permutation of the granules: the order in which they are sampled. */
#ifndef DIRTYPROF_MODEL_CHANGE_RANK_H
#define DIRTYPROF_MODEL_CHANGE_RANK_H

#include <stdint.h>

#include "model/mix.h"

#define DP_RANK_ROUNDS 3

struct dp_rank {
	uint32_t bits;
	uint32_t mul[DP_RANK_ROUNDS], inv[DP_RANK_ROUNDS], add;
};

/* The permutation: odd multipliers and shifts by half the width, both of which can be undone. */
static inline uint32_t dp_rank_fold(const struct dp_rank *c, uint32_t x)
{
	return c->bits > 1 ? x ^ x >> (c->bits + 1) / 2 : x;
}

static inline uint32_t dp_rank_mask(const struct dp_rank *c)
{
	return (uint32_t)((1ull << c->bits) - 1);
}

static inline uint32_t dp_rank_of(const struct dp_rank *c, uint32_t x)
{
	int i;

	x += c->add;
	for (i = 0; i < DP_RANK_ROUNDS; i++)
		x = dp_rank_fold(c, x * c->mul[i] & dp_rank_mask(c));
	return x;
}

static inline uint32_t dp_rank_at(const struct dp_rank *c, uint32_t x)
{
	int i;

	for (i = DP_RANK_ROUNDS - 1; i >= 0; i--)
		x = dp_rank_fold(c, x) * c->inv[i] & dp_rank_mask(c);
	return (x - c->add) & dp_rank_mask(c);
}

/* Newton: each step doubles the bits of the inverse modulo 2^32 that are right; an odd number's own 3 are. */
static inline uint32_t dp_rank_inverse(uint32_t odd)
{
	uint32_t x = odd;
	int i;

	for (i = 0; i < 4; i++)
		x *= 2 - odd * x;
	return x;
}

/* Ranks of 0 to 2^bits - 1. */
static inline void dp_rank_init(struct dp_rank *c, uint32_t bits, uint64_t seed)
{
	int i;

	c->bits = bits;
	for (i = 0; i < DP_RANK_ROUNDS; i++) {
		c->mul[i] = (uint32_t)dp_mix_next(&seed) | 1;
		c->inv[i] = dp_rank_inverse(c->mul[i]);
	}
	c->add = (uint32_t)dp_mix_next(&seed);
}

#endif
