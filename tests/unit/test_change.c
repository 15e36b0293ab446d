// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Sampled contents against a simulated guest whose changes are all known: what is estimated, and how often the interval
 * holds the truth.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "model/change.h"
#include "model/change_est.h"
#include "model/change_rank.h"
#include "model/pagehash.h"

#define SEC   1000000000ull
#define WORDS ((1u << DP_REGION_SHIFT) / 64)

/* A guest of one region. Content is a number a page. */
struct sim {
	struct dp_change *c;
	uint32_t shift;
	uint64_t rng;
	uint64_t *now, *before;	  /* contents; at the last sync */
	uint64_t bits[WORDS];	  /* written since then; a granule's are all set at once */
	double reported, changed; /* truth, from the second window on */
	uint32_t windows;
	size_t budget; /* granules read a window */
	size_t read, most;
};

static uint64_t draw(struct sim *s, uint64_t below)
{
	return (uint64_t)(((unsigned __int128)dp_mix_next(&s->rng) * below) >> 64);
}

static void sim_open(struct sim *s, uint32_t shift, size_t budget, uint64_t seed)
{
	struct dp_change_opts o = { .shift = shift, .nregions = 1, .seed = seed * 7919 };

	memset(s, 0, sizeof(*s));
	s->shift = shift;
	s->rng = seed;
	s->budget = budget;
	s->now = malloc((1u << DP_REGION_SHIFT) * sizeof(*s->now));
	s->before = malloc((1u << DP_REGION_SHIFT) * sizeof(*s->before));
	s->c = dp_change_new(&o);
	assert_non_null(s->c);
	assert_non_null(s->now);
	assert_non_null(s->before);
	for (uint32_t i = 0; i < 1u << DP_REGION_SHIFT; i++)
		s->now[i] = s->before[i] = i + 1;
}

static void sim_close(struct sim *s)
{
	dp_change_free(s->c);
	free(s->now);
	free(s->before);
}

/* A write: the whole granule is reported, the page alone may change. */
static void sim_write(struct sim *s, uint32_t page, bool changes)
{
	uint32_t g = page >> s->shift, i;

	for (i = g << s->shift; i < (g + 1) << s->shift; i++)
		s->bits[i / 64] |= 1ull << (i % 64);
	if (changes)
		s->now[page] += 1ull << 32;
}

static void sim_read(struct sim *s, uint32_t g)
{
	dp_change_got(s->c, g, s->now + ((size_t)g << s->shift));
	s->read++;
}

static void sim_log(struct sim *s)
{
	struct dp_pageset pages;

	assert_int_equal(dp_pageset_init(&pages, 1), 0);
	dp_pageset_add_words(&pages, s->bits, WORDS);
	dp_change_log(s->c, &pages);
	dp_pageset_free(&pages);
}

/* The window ends with a sync of 1 s. */
static void sim_sync(struct sim *s)
{
	const uint32_t *plan;
	size_t n, i;
	uint32_t g;
	bool all;

	for (i = 0; i < 1u << DP_REGION_SHIFT && s->windows; i++) {
		s->reported += s->bits[i / 64] >> (i % 64) & 1;
		s->changed += s->now[i] != s->before[i];
	}
	memcpy(s->before, s->now, (1u << DP_REGION_SHIFT) * sizeof(*s->now));
	sim_log(s);
	n = dp_change_plan(s->c, s->budget, &plan, &all);
	s->read = 0;
	for (i = 0; i < n && i < s->budget; i++)
		sim_read(s, plan[i]);
	dp_change_end(s->c, SEC, 0);
	while (s->read < s->budget && dp_change_next(s->c, &g))
		sim_read(s, g);
	s->most = s->read > s->most ? s->read : s->most;
	memset(s->bits, 0, sizeof(s->bits));
	s->windows++;
}

static struct dp_est sim_share(struct sim *s)
{
	struct dp_changes out = { .on = true };

	dp_change_stats(s->c, &out);
	return dp_change_share(&out);
}

static double sim_total(struct sim *s)
{
	struct dp_changes out = { 0 };

	dp_change_stats(s->c, &out);
	return out.again.total + out.first.total + out.past.total;
}

/* The classic case: 3 words in 3 hugepages of 16M, each window. */
static void three_hugepages(void **state)
{
	struct sim s;
	struct dp_est e;
	int w, k;

	sim_open(&s, 12, 8, 1);
	/* a guest that does nothing yet: the first window of its writes is still the first */
	for (w = 0; w < 2; w++)
		sim_sync(&s);
	for (w = 0; w < 6; w++) {
		for (k = 0; k < 3; k++)
			sim_write(&s, (uint32_t)(k * 5) * 4096 + 17, true);
		sim_sync(&s);
	}
	e = sim_share(&s);
	assert_true(e.lo == 1.0 / 4096 && e.mid == 1.0 / 4096 && e.hi == 1.0 / 4096);
	assert_true(sim_total(&s) == 5 * 3 * 4096);
	sim_close(&s);
}

static void there_and_back(void **state)
{
	struct sim s;
	int w, i;

	sim_open(&s, 0, 1000, 1);
	for (w = 0; w < 4; w++) {
		for (i = 0; i < 100; i++) {
			sim_write(&s, (uint32_t)i, true);
			if (i < 75)
				s.now[i] = s.before[i];
		}
		sim_sync(&s);
	}
	assert_true(sim_share(&s).mid == 0.25);
	assert_true(s.changed == 0.25 * s.reported);
	sim_close(&s);
}

static void unreadable(void **state)
{
	struct dp_changes out = { 0 };
	const uint32_t *plan;
	uint64_t hash[16];
	struct sim s;
	bool all;
	int w, i;

	sim_open(&s, 4, 1000, 1);
	for (w = 0; w < 4; w++) {
		sim_write(&s, 32, true);
		sim_write(&s, 64, true);
		sim_log(&s);
		assert_int_equal(dp_change_plan(s.c, s.budget, &plan, &all), 2);
		for (i = 0; i < 2; i++) {
			memcpy(hash, s.now + (size_t)plan[i] * 16, sizeof(hash));
			memset(hash + 8, 0, 8 * sizeof(hash[0]));
			/* one granule half, the other not at all */
			dp_change_got(s.c, plan[i], plan[i] == 2 ? hash : NULL);
		}
		dp_change_end(s.c, SEC, 0);
	}
	dp_change_stats(s.c, &out);
	assert_int_equal(out.failed, 4);
	assert_int_equal(out.compared, 3);
	assert_true(out.again.n == 1 && out.again.a == 3 && out.again.d == 24);
	sim_close(&s);
}

/* Every other window the log is off, and what is written then is not compared: not even where it was silent before. */
static void gap(void **state)
{
	struct sim s;
	int w, i;

	sim_open(&s, 0, 1000, 1);
	for (w = 0; w < 9; w++) {
		for (i = 0; i < 64 && w % 2; i++)
			s.now[i] += 1ull << 40;
		for (i = 0; i < 64 && w % 2 == 0; i++)
			sim_write(&s, (uint32_t)i, i < 16);
		if (w % 2)
			dp_change_gap(s.c);
		sim_sync(&s);
	}
	assert_true(sim_share(&s).mid == 0.25 && sim_share(&s).lo == 0.25);
	/* the first one had nothing to be compared with */
	assert_true(sim_total(&s) == 4 * 64);
	sim_close(&s);
}

/* A pattern of writes for one window. */
typedef void (*guest_fn)(struct sim *s, int window);

/* 20,000 pages each window, 30 % of them always with what is there already. */
static void silent_guest(struct sim *s, int window)
{
	uint32_t i;

	for (i = 0; i < 20000; i++)
		sim_write(s, i * 13, i % 10 >= 3);
}

/* A third hot and always changed, the rest at random and mostly silent: who is dirty in a window says how likely. */
static void mixed_guest(struct sim *s, int window)
{
	uint32_t i, k;

	for (i = 0; i < 3000; i++)
		sim_write(s, i, true);
	for (i = 0; i < 9000; i++) {
		k = 4000 + (uint32_t)draw(s, 60000);
		sim_write(s, k, k % 5 == 0);
	}
}

/* New pages each window, one in four of them unchanged. */
static void sweeping_guest(struct sim *s, int window)
{
	uint32_t i, from = (uint32_t)window * 8000;

	for (i = from; i < from + 8000; i++)
		sim_write(s, i, i % 4 != 0);
}

/* Granules with very different shares, as memory has them: one page, some, all. */
static void clustered_guest(struct sim *s, int window)
{
	uint32_t g, i, n, per = 1u << s->shift;

	for (g = 0; g < 1200; g++) {
		n = g % 3 == 0 ? 1 : g % 3 == 1 ? 1 + (uint32_t)draw(s, per / 2) : per;
		for (i = 0; i < n; i++)
			sim_write(s, g * 11 * per + i, true);
	}
}

/* One page in each of many granules. */
static void sparse_guest(struct sim *s, int window)
{
	uint32_t g;

	for (g = 0; g < 60; g++)
		sim_write(s, g * 4096 + (uint32_t)draw(s, 4096), true);
}

/* Hot, then something else altogether, then less. */
static void moody_guest(struct sim *s, int window)
{
	uint32_t i, n = window < 5 ? 200000 : 900;

	for (i = 0; i < n; i++)
		sim_write(s, i, window < 5 ? i % 2 : i % 3);
}

static void coverage(void **state)
{
	static const struct {
		const char *name;
		guest_fn guest;
		uint32_t shift;
		size_t budget;
		int windows;
		double width; /* the interval's, at most, as a share of the truth */
	} row[] = {
		{ "silent", silent_guest, 0, 1000, 6, 0.08 },
		{ "all of a few", silent_guest, 0, 30000, 4, 0.04 },
		{ "mixed", mixed_guest, 0, 800, 8, 0.25 },
		{ "sweep", sweeping_guest, 0, 2000, 12, 0.1 },
		{ "64K granules", clustered_guest, 4, 100, 6, 0.35 },
		{ "few of them", clustered_guest, 4, 12, 6, 1.0 },
		{ "16M, 5 of 60", sparse_guest, 12, 5, 6, 2.0 },
		{ "moods", moody_guest, 0, 1000, 16, 0.15 },
	};
	size_t i;

	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		int runs = row[i].shift == 12 ? 30 : 60, run, w, in = 0;
		double width = 0, bias = 0;

		for (run = 0; run < runs; run++) {
			struct dp_est e;
			struct sim s;
			double truth;

			sim_open(&s, row[i].shift, row[i].budget, (uint64_t)run + 1);
			for (w = 0; w < row[i].windows; w++) {
				row[i].guest(&s, w);
				sim_sync(&s);
			}
			e = sim_share(&s);
			truth = s.changed / s.reported;
			assert_true(e.lo <= e.mid && e.mid <= e.hi);
			assert_true(s.most <= row[i].budget);
			in += e.lo - 1e-12 <= truth && truth <= e.hi + 1e-12;
			width += (e.hi - e.lo) / truth / runs;
			bias += (e.mid / truth - 1) / runs;
			sim_close(&s);
		}
		print_message("%s: truth within %d of %d intervals, %.2f of it wide, bias %+.3f\n",
			      row[i].name, in, runs, width, bias);
		/* 80 % nominal; three standard errors below */
		assert_true(in >= runs * (0.8 - 3 * sqrt(0.16 / runs)));
		assert_true(width <= row[i].width);
	}
}

/* However much is dirty, no more is read than may be, and the memory that it takes is bounded. */
static void bounds(void **state)
{
	struct sim s;
	uint32_t w, i;

	sim_open(&s, 0, 100000, 1);
	for (w = 0; w < 4; w++) {
		for (i = 0; i < 1u << DP_REGION_SHIFT; i++)
			sim_write(&s, i, i & 1);
		sim_sync(&s);
	}
	assert_true(s.most <= 4096);
	assert_true(fabs(sim_share(&s).mid - 0.5) < 0.05);
	sim_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_hugepages), cmocka_unit_test(there_and_back),
		cmocka_unit_test(unreadable),	   cmocka_unit_test(gap),
		cmocka_unit_test(coverage),	   cmocka_unit_test(bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
