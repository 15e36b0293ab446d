/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Guests with known write patterns, and what the probes would see of them: a seeded, exact simulation at
 * the level of single pages. For the unit tests of the model alone.
 */
#ifndef TESTS_SIM_GUEST_H
#define TESTS_SIM_GUEST_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dirtyprof/snapshot.h"

static inline double sim_random(uint64_t *state) /* (0, 1]; xorshift64* */
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return (double)(((x * 0x2545F4914F6CDD1DULL) >> 11) + 1) / 9007199254740992.0;
}

/* A tier of pages; three kinds of writing. */
enum sim_kind {
	SIM_RANDOM, /* each write hits a random page of the tier: independent exponential gaps */
	SIM_SWEEP,  /* pages in order, round and round, at a constant rate */
	SIM_BURST,  /* every period all pages in order within `burst` seconds, then nothing */
};

struct sim_tier {
	enum sim_kind kind;
	uint32_t first, pages;
	double rate; /* writes a second over the tier; SIM_BURST: pages / period */
	double burst;
	uint32_t stride; /* SIM_SWEEP: pages from one write to the next, 0 = 1; coprime to pages */
	/* state */
	double next;
	uint64_t k;
	uint32_t page;
};

struct sim_guest {
	struct sim_tier *tier;
	uint32_t ntiers;
	uint64_t seed;
};

/* The time of tier i's next write after the current one, which it also moves on to. */
static inline void sim_advance(struct sim_guest *g, struct sim_tier *t)
{
	double period;

	switch (t->kind) {
	case SIM_RANDOM:
		t->next -= log(sim_random(&g->seed)) / t->rate;
		t->page = t->first + (uint32_t)(sim_random(&g->seed) * t->pages) % t->pages;
		break;
	case SIM_SWEEP:
		t->next = (double)++t->k / t->rate;
		t->page = t->first + (uint32_t)(t->k * (t->stride ? t->stride : 1) % t->pages);
		break;
	case SIM_BURST:
		period = t->pages / t->rate;
		t->k++;
		t->next = floor((double)t->k / t->pages) * period +
			  (double)(t->k % t->pages) * t->burst / t->pages;
		t->page = t->first + (uint32_t)(t->k % t->pages);
		break;
	}
}

static inline void sim_start(struct sim_guest *g)
{
	uint32_t i;

	for (i = 0; i < g->ntiers; i++) {
		g->tier[i].next = 0.0;
		g->tier[i].k = 0;
		sim_advance(g, &g->tier[i]);
	}
}

/* The tier that writes next. */
static inline struct sim_tier *sim_next(struct sim_guest *g)
{
	struct sim_tier *best = &g->tier[0];
	uint32_t i;

	for (i = 1; i < g->ntiers; i++) {
		if (g->tier[i].next < best->next)
			best = &g->tier[i];
	}
	return best;
}

/* U(t) by arithmetic. */
static inline double sim_truth(const struct sim_guest *g, double t)
{
	double u = 0.0;
	uint32_t i;

	for (i = 0; i < g->ntiers; i++) {
		const struct sim_tier *r = &g->tier[i];
		double x = r->rate * t / r->pages;

		u += r->pages * (r->kind == SIM_RANDOM ? 1.0 - exp(-x) : fmin(1.0, x));
	}
	return u;
}

#endif
