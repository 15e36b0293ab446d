/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A fingerprint of a 4K page, so that two states of it can be compared without keeping its contents. Pure.
 *
 * NH of Black, Halevi, Krawczyk, Krovetz and Rogaway, "UMAC: Fast and Secure Message Authentication" (CRYPTO 1999):
 * whatever two different pages hold, the chance over the key that their fingerprints are equal is at most 2^-32.
 * So of 2^32 changed pages one may be taken for unchanged; an unchanged page is never taken for changed.
 */
#ifndef DIRTYPROF_MODEL_PAGEHASH_H
#define DIRTYPROF_MODEL_PAGEHASH_H

#include <stdint.h>

#include "dirtyprof/snapshot.h"

#define DP_HASH_UNKNOWN 0 /* no page's fingerprint: it could not be read */

struct dp_page_key {
	uint32_t k[DP_WIRE_UNIT / 4];
};

/* seed: random, and not known to the guest. */
void dp_page_key_init(struct dp_page_key *key, uint64_t seed);

/* page: DP_WIRE_UNIT bytes, aligned to 4. Never DP_HASH_UNKNOWN. */
uint64_t dp_page_hash(const struct dp_page_key *key, const void *page);

#endif
