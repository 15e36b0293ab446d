/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Guests that predictions and their tables are tried on, and the curve that a probe with a ring sees of them. */
#ifndef TESTS_GUEST_CASES_H
#define TESTS_GUEST_CASES_H

#include "dirtyprof/predict.h"
#include "sim_probe.h"

#define MB 1e6
#define W  (4096 + DP_WIRE_HEADER)

struct guest_case {
	const char *name;
	struct sim_tier tier[2];
	uint32_t ntiers;
};

static const struct guest_case guests[] = {
	{ "hot set", { { .kind = SIM_RANDOM, .first = 30000, .pages = 5003, .rate = 500000 } }, 1 },
	{ "uniform", { { .kind = SIM_RANDOM, .first = 0, .pages = 65521, .rate = 12000 } }, 1 },
	{ "two tiers",
	  { { .kind = SIM_RANDOM, .first = 50000, .pages = 2003, .rate = 100000 },
	    { .kind = SIM_RANDOM, .first = 0, .pages = 40009, .rate = 6000 } },
	  2 },
	{ "nearly idle", { { .kind = SIM_RANDOM, .first = 1000, .pages = 997, .rate = 200 } }, 1 },
	{ "rewrite", { { .kind = SIM_SWEEP, .first = 6000, .pages = 8009, .rate = 400000 } }, 1 },
	{ "slow sweep",
	  { { .kind = SIM_SWEEP, .first = 0, .pages = 60013, .rate = 12000, .stride = 23011 } },
	  1 },
};
#define NGUESTS (sizeof(guests) / sizeof(guests[0]))

static inline struct dp_curve *observe(const struct guest_case *k, double seconds)
{
	struct sim_tier tier[2] = { k->tier[0], k->tier[1] };
	struct sim_guest g = { tier, k->ntiers, 0xD1B54A32D192ED03ULL };
	struct sim_probe *p = sim_probe_new();
	struct dp_curve *c = dp_curve_new();

	assert_non_null(c);
	assert_int_equal(sim_run_ring(p, &g, c, 0.0, seconds, 1.0, 4096), 0);
	assert_int_equal(dp_curve_fit(c), 0);
	free(p);
	return c;
}

#endif
