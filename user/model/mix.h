/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Numbers from a seed. */
#ifndef DIRTYPROF_MODEL_MIX_H
#define DIRTYPROF_MODEL_MIX_H

#include <stdint.h>

/* splitmix64: the next of a well-mixed sequence, whatever the seed. */
static inline uint64_t dp_mix_next(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

#endif
