// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "model/pagehash.h"

#include "model/mix.h"

void dp_page_key_init(struct dp_page_key *key, uint64_t seed)
{
	unsigned int i;

	for (i = 0; i < DP_WIRE_UNIT / 4; i += 2) {
		uint64_t r = dp_mix_next(&seed);

		key->k[i] = (uint32_t)r;
		key->k[i + 1] = (uint32_t)(r >> 32);
	}
}

uint64_t dp_page_hash(const struct dp_page_key *key, const void *page)
{
	const uint32_t *m = page, *k = key->k;
	uint64_t sum = 0;
	unsigned int i;

	/* Words are paired far apart, not with their neighbours, so that compilers use vectors. */
	for (i = 0; i < DP_WIRE_UNIT / 8; i++)
		sum += (uint64_t)(m[i] + k[i]) *
		       (uint64_t)(uint32_t)(m[i + DP_WIRE_UNIT / 8] + k[i + DP_WIRE_UNIT / 8]);
	return sum ? sum : 1;
}
