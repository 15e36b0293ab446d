/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef DPVMM_PATTERN_H
#define DPVMM_PATTERN_H

#include <stdbool.h>
#include <stdint.h>

#define MAX_SETS 2

/* A set of pages that are written alike. Pages of a pattern are numbered 0, 1, 2, ... set after set. */
struct set_spec {
	uint64_t npages;
	uint64_t rate; /* writes a second over the whole set; 0 = as fast as the guest can */
	bool random;   /* uniformly random page each time; else in turn */
};

struct pattern_spec {
	uint32_t nsets;
	struct set_spec set[MAX_SETS];
	uint32_t
		same; /* of every 100 pages in a row, the first so many always get the value that they have */
	uint64_t seed;
};

/* One vCPU's share: a contiguous part of each set, at the rate that keeps each page's own rate. */
struct share {
	struct set_spec spec;
	uint64_t first, npages; /* page numbers of the pattern */
	uint64_t done, rng;
};

struct pattern {
	uint32_t nsets;
	struct share share[MAX_SETS];
	bool paced;
};

/* Which pages were written: a bit for each page of the pattern. */
struct truth {
	uint64_t npages;
	uint64_t *ever, *since;
	uint64_t distinct; /* bits in ever */
};

/* Parses rounds:P[:RATE], sweep:M:RATE, uniform:M:RATE, tiers:M1:R1:M2:R2, silent:P[:RATE], idle. 0 or -EINVAL. */
int pattern__parse(struct pattern_spec *p, const char *text);
uint64_t pattern__pages(const struct pattern_spec *p);

bool pattern__same(const struct pattern_spec *p, uint64_t page);

/* The share of vCPU k of n. */
void pattern__init(struct pattern *p, const struct pattern_spec *spec, uint32_t k, uint32_t n);

/*
 * The writes that are due t_ns after the start and have not been handed out: at most max page numbers.
 * A paced share is due for floor(t * rate) writes; an unpaced one always fills the batch.
 */
uint32_t pattern__due(struct pattern *p, uint64_t t_ns, uint64_t *index, uint32_t max);

int truth__init(struct truth *t, uint64_t npages); /* 0 or -ENOMEM */
void truth__free(struct truth *t);
void truth__add(struct truth *t, const uint64_t *index, uint32_t n); /* thread-safe */
/* Distinct pages since the last take, and how many of them got another value; exact if no batch runs. */
uint64_t truth__take(struct truth *t, const struct pattern_spec *p, uint64_t *changed);

#endif
