/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A set of pages by page index: a bitmap, and above it a bit for each line of 8 words (512 pages: 2M of guest memory). Most
 * of a big VM is clean most of the time: what walks over a set costs what is in it, not what the VM has.
 */
#ifndef DIRTYPROF_MODEL_PAGESET_H
#define DIRTYPROF_MODEL_PAGESET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dirtyprof/snapshot.h"
#include "model/rollup.h"

#define DP_SET_LINE 8u /* words */

struct dp_pageset {
	uint64_t *w;	 /* nwords */
	uint64_t *lines; /* bit i: line i has a page */
	size_t nwords;
};

/* Parts of the index, one after the other from index 0 on: how many pages were found in each. */
struct dp_part {
	uint64_t end; /* index behind its last page; ascending, the last one's beyond all pages */
	uint64_t pages;
};

/* An empty set for nregions; memory is used where pages are put in. 0 or -ENOMEM. */
int dp_pageset_init(struct dp_pageset *s, uint32_t nregions);
void dp_pageset_free(struct dp_pageset *s); /* one that is all zero, too */

/* Puts in the pages at .. at + n of the bits of src; as dp_bits_or. */
void dp_pageset_or(struct dp_pageset *s, uint64_t at, const uint64_t *src, uint64_t n);

/* Puts in what a bitmap of nwords from index 0 has; returns how many pages were new. */
uint64_t dp_pageset_add_words(struct dp_pageset *s, const uint64_t *src, size_t nwords);

/* Puts all of src in, which is of the same size; returns how many pages were new. */
uint64_t dp_pageset_merge(struct dp_pageset *dst, const struct dp_pageset *src);

/*
 * Takes region r out of a set: adds to count[] the blocks of each size in which it has a page, and moves its pages to dst, a
 * set for as many regions, unless that is NULL. Returns how many pages were new there. Adds its pages to the parts that they
 * lie in (nparts 0: nobody asks). One pass: the lines of a large set are seldom in a cache.
 */
uint64_t dp_pageset_move(struct dp_pageset *s, uint32_t r, uint64_t count[DP_SIZES], struct dp_pageset *dst,
			 struct dp_part *parts, size_t nparts);

/* Empties it. */
void dp_pageset_clear(struct dp_pageset *s);

#endif
