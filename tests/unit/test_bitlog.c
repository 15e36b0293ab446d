// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What dirty bitmaps say: a slot by hand, and a large one page by page. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "model/bitlog.h"
#include "random_bits.h"

#define REGION (1u << DP_REGION_SHIFT)
#define MS     1000000ull

/* --- one slot of 1024 pages, key 7 --- */

#define N 1024

struct fix {
	struct dp_bitlog *b;
	uint64_t bits[N / 64];
	unsigned int shift;
};

static void open_log(struct fix *f, uint32_t manual, bool exact, uint64_t t)
{
	struct dp_bitlog_slot s;

	memset(&s, 0, sizeof(s));
	s.key = 7;
	s.nbits = N;
	s.shift = f->shift;
	s.logging = true;
	f->b = dp_bitlog_new(1, manual);
	assert_non_null(f->b);
	assert_int_equal(dp_bitlog_slots(f->b, &s, 1, t, exact), 0);
	memset(f->bits, 0, sizeof(f->bits));
}

static struct dp_bitlog_piece piece(struct fix *f, uint64_t t)
{
	return (struct dp_bitlog_piece){ .key = 7, .t_ns = t, .n = N, .bits = f->bits, .last = true };
}

static struct dp_sync get_at(struct fix *f, uint64_t t)
{
	struct dp_bitlog_piece p = piece(f, t);
	struct dp_sync s;

	assert_int_equal(dp_bitlog_get(f->b, &p), 0);
	assert_true(dp_bitlog_end_sync(f->b, &s));
	return s;
}

static void clear_at(struct fix *f, uint64_t t)
{
	struct dp_bitlog_piece p = piece(f, t);

	assert_int_equal(dp_bitlog_clear(f->b, &p), 0);
}

/* The windows at 4K since the last call. */
static uint32_t windows(struct fix *f, struct dp_window *out, uint32_t room)
{
	uint32_t n, i, k = 0;
	const struct dp_window *w = dp_bitlog_windows(f->b, &n);

	for (i = 0; i < n; i++)
		if (w[i].size == DP_4K && k < room)
			out[k++] = w[i];
	dp_bitlog_take_windows(f->b);
	return k;
}

static void fill(struct fix *f, unsigned int from, unsigned int n)
{
	while (n--)
		set(f->bits, from++);
}

/* Without manual protect GET re-arms: each window is the time between two GETs. */
static void get_clears(void **state)
{
	struct fix f = { 0 };
	struct dp_window w[4];
	struct dp_sync s;

	open_log(&f, 0, true, 100 * MS);
	fill(&f, 0, 7);
	s = get_at(&f, 300 * MS);
	assert_int_equal(s.new_pages, 7);
	assert_int_equal(windows(&f, w, 4), 1);
	assert_int_equal(w[0].t_lo_ns, 200 * MS);
	assert_int_equal(w[0].t_hi_ns, 200 * MS);
	assert_int_equal(w[0].armed, N);
	assert_int_equal(w[0].dirty, 7);
	s = get_at(&f, 350 * MS);
	assert_int_equal(s.new_pages, 7); /* re-armed, and written again */
	assert_int_equal(s.since_ns, 50 * MS);
	assert_int_equal(windows(&f, w, 4), 1);
	assert_int_equal(w[0].t_hi_ns, 50 * MS);
	dp_bitlog_free(f.b);
	(void)state;
}

/* With it a page that was reported counts again only after its CLEAR, and windows begin there. */
static void clear_rearms(void **state)
{
	struct fix f = { 0 };
	struct dp_window w[4];

	open_log(&f, 1, true, 0);
	fill(&f, 0, 10);
	assert_int_equal(get_at(&f, 100 * MS).new_pages, 10);
	windows(&f, w, 4);
	fill(&f, 10, 5); /* the ten are still set: nobody cleared them */
	assert_int_equal(get_at(&f, 200 * MS).new_pages, 5);
	windows(&f, w, 4);
	clear_at(&f, 250 * MS);
	memset(f.bits, 0, sizeof(f.bits));
	fill(&f, 0, 3);
	assert_int_equal(get_at(&f, 400 * MS).new_pages, 3);
	assert_int_equal(windows(&f, w, 4), 1);
	assert_int_equal(w[0].t_lo_ns, 150 * MS); /* since the CLEAR */
	assert_int_equal(w[0].t_hi_ns, 200 * MS); /* pages clean at the GET before: since that */
	assert_int_equal(w[0].armed, N);
	dp_bitlog_free(f.b);
	(void)state;
}

/* The all-ones answer after INITIALLY_SET is no dirty page. */
static void initially_set_is_left_out(void **state)
{
	struct fix f = { 0 };
	struct dp_window w[4];
	struct dp_sync s;

	open_log(&f, 3, true, 0);
	fill(&f, 0, N);
	s = get_at(&f, 10 * MS);
	assert_int_equal(s.new_pages, 0);
	assert_int_equal(s.reported_pages, N);
	assert_true(s.initial);
	assert_int_equal(windows(&f, w, 4), 0);
	clear_at(&f, 20 * MS);
	memset(f.bits, 0, sizeof(f.bits));
	fill(&f, 100, 13);
	s = get_at(&f, 120 * MS);
	assert_int_equal(s.new_pages, 13);
	assert_false(s.initial);
	assert_int_equal(windows(&f, w, 4), 1);
	assert_int_equal(w[0].t_lo_ns, 100 * MS);
	assert_int_equal(w[0].t_hi_ns, 100 * MS);
	dp_bitlog_free(f.b);
	(void)state;
}

/* A look in between sees what is dirty so far, and changes nothing. */
static void peeks_change_nothing(void **state)
{
	struct fix f = { 0 };
	struct dp_bitlog_piece p;
	struct dp_window w[4];

	open_log(&f, 0, true, 10 * MS);
	fill(&f, 0, 4);
	p = piece(&f, 30 * MS);
	assert_int_equal(dp_bitlog_peek(f.b, &p), 0);
	dp_bitlog_end_peek(f.b);
	assert_int_equal(windows(&f, w, 4), 1);
	assert_true(w[0].peek);
	assert_int_equal(w[0].dirty, 4);
	assert_int_equal(w[0].t_lo_ns, 20 * MS);
	fill(&f, 4, 2);
	assert_int_equal(get_at(&f, 60 * MS).new_pages, 6);
	dp_bitlog_free(f.b);
	(void)state;
}

/* Attached in the middle of logging: what is set at first is of unknown age; what is clean is armed. */
static void attached_in_the_middle(void **state)
{
	struct fix f = { 0 };
	struct dp_bitlog_piece p;
	struct dp_window w[4];

	open_log(&f, 1, false, 500 * MS);
	fill(&f, 0, 20);
	p = piece(&f, 500 * MS);
	assert_int_equal(dp_bitlog_peek(f.b, &p), 0);
	dp_bitlog_end_peek(f.b);
	assert_int_equal(windows(&f, w, 4), 0);
	fill(&f, 20, 3);
	assert_int_equal(get_at(&f, 600 * MS).new_pages, 3);
	dp_bitlog_free(f.b);
	(void)state;
}

/* A lost piece makes the slot unknown until its next GET: a window less, never a wrong one. */
static void lost_pieces_give_no_window(void **state)
{
	struct fix f = { 0 };
	struct dp_window w[4];

	open_log(&f, 0, true, 0);
	get_at(&f, 100 * MS);
	windows(&f, w, 4);
	dp_bitlog_lost(f.b, UINT32_MAX);
	fill(&f, 0, 9);
	get_at(&f, 200 * MS);
	assert_int_equal(windows(&f, w, 4), 0);
	get_at(&f, 300 * MS);
	assert_int_equal(windows(&f, w, 4), 1);
	assert_int_equal(w[0].dirty, 9);
	dp_bitlog_free(f.b);
	(void)state;
}

/* A host page of 64K: one bit is 16 pages of 4K, and one block of 64K. */
static void bits_of_64k(void **state)
{
	struct fix f = { .shift = 4 };
	struct dp_sync s;

	open_log(&f, 0, true, 0);
	fill(&f, 3, 1);
	fill(&f, 900, 2);
	s = get_at(&f, 100 * MS);
	assert_int_equal(s.new_pages, 3 * 16);
	assert_int_equal(s.new_blocks[DP_64K], 3);
	assert_int_equal(s.new_blocks[DP_2M], 2);
	dp_bitlog_free(f.b);
	(void)state;
}

/* --- a slot of several pieces that crosses a region, page by page --- */

#define CHUNK	(1u << 15)
#define BIG	(3 * CHUNK + 777)
#define BIG_AT	(REGION - 40037) /* in no way aligned */
#define BIG_LEN ((BIG + 63) / 64)

struct big {
	struct dp_bitlog *b;
	uint64_t set[BIG_LEN]; /* the log as KVM has it */
	bool unarmed[BIG];
	uint64_t words[512];
};

/* Bits first .. first + n of src as a piece; now and then as the probe sends it, with what is empty left out. */
static struct dp_bitlog_piece part_of(struct big *g, const uint64_t *src, uint64_t first, uint64_t n,
				      uint64_t t)
{
	struct dp_bitlog_piece p = { .key = 7, .t_ns = t, .first = first, .n = n };
	uint64_t i, words = (n + 63) / 64;

	memset(g->words, 0, sizeof(g->words));
	memcpy(g->words, src + first / 64, words * 8);
	p.bits = g->words;
	if (rng() % 3 == 0)
		return p;
	for (i = 0; i < 64; i++) {
		if (!dp_bits_none(g->words + i * 8, 8))
			continue;
		p.empty |= 1ull << i;
		memset(g->words + i * 8, 0x5a, 64); /* not read */
	}
	if (!~p.empty)
		p.bits = NULL;
	return p;
}

static void write_some(struct big *g)
{
	uint64_t at = rng() % BIG, span = rng() % 3 ? 1 + rng() % 600 : BIG, i;

	for (i = 0; i < 500; i++) {
		uint64_t page = at + rng() % span;

		if (page < BIG)
			set(g->set, page);
	}
}

/* Pages of either region that were armed, and new ones of both, by looking at each page. */
static uint64_t truth(const struct big *g, uint64_t armed[2])
{
	uint64_t i, fresh = 0;

	armed[0] = armed[1] = 0;
	for (i = 0; i < BIG; i++) {
		/* A word counts to the region of its first page. */
		armed[(BIG_AT + i / 64 * 64) >> DP_REGION_SHIFT] += !g->unarmed[i];
		fresh += get(g->set, i) && !g->unarmed[i];
	}
	return fresh;
}

static void get_all(struct big *g, uint64_t t)
{
	uint64_t first, i, armed[2], fresh = truth(g, armed), seen[2] = { 0 };
	struct dp_sync s;
	const struct dp_window *w;
	uint32_t n;

	for (first = 0; first < BIG; first += CHUNK) {
		struct dp_bitlog_piece p =
			part_of(g, g->set, first, BIG - first < CHUNK ? BIG - first : CHUNK, t);

		assert_int_equal(dp_bitlog_get(g->b, &p), 0);
	}
	assert_true(dp_bitlog_end_sync(g->b, &s));
	assert_int_equal(s.new_pages, fresh);
	assert_int_equal(s.reported_pages, dp_popcount(g->set, BIG_LEN));
	w = dp_bitlog_windows(g->b, &n);
	for (i = 0; i < n; i++)
		if (w[i].size == DP_4K)
			seen[w[i].region] = w[i].armed;
	for (i = 0; i < 2; i++)
		assert_true(!seen[i] || seen[i] == armed[i]);
	dp_bitlog_take_windows(g->b);
	for (i = 0; i < BIG; i++)
		g->unarmed[i] = g->unarmed[i] || get(g->set, i);
}

static void clear_some(struct big *g, uint64_t t)
{
	uint64_t first = rng() % BIG / 64 * 64, n = 1 + rng() % CHUNK, i;
	struct dp_bitlog_piece p;

	if (n > BIG - first)
		n = BIG - first;
	else
		n = (n + 63) / 64 * 64 < BIG - first ? (n + 63) / 64 * 64 : BIG - first;
	p = part_of(g, g->set, first, n, t);
	assert_int_equal(dp_bitlog_clear(g->b, &p), 0);
	for (i = first; i < first + n; i++) {
		if (!get(g->set, i))
			continue;
		g->unarmed[i] = false;
		g->set[i / 64] &= ~(1ull << (i % 64));
	}
}

static void pieces_against_pages(void **state)
{
	struct big *g = calloc(1, sizeof(*g));
	struct dp_bitlog_slot s;
	int i;

	assert_non_null(g);
	memset(&s, 0, sizeof(s));
	s.key = 7;
	s.index = BIG_AT;
	s.nbits = BIG;
	s.logging = true;
	g->b = dp_bitlog_new(2, 1);
	assert_int_equal(dp_bitlog_slots(g->b, &s, 1, 0, true), 0);
	for (i = 1; i < 300; i++) {
		uint64_t t = (uint64_t)i * MS;

		if (rng() % 4)
			write_some(g);
		if (rng() % 3)
			clear_some(g, t);
		else
			get_all(g, t);
	}
	dp_bitlog_free(g->b);
	free(g);
	(void)state;
}

/* Regions that are quiet, and looked at together, have one window; what it says of each is what a log of that one would. */
static void quiet_regions_go_together(void **state)
{
	static const struct {
		uint32_t region, more, dirty;
	} want[] = { { 0, 1, 0 }, { 2, 0, 3 }, { 3, 1, 0 }, { 5, 1, 1 } };
	const uint64_t n = 7 * (uint64_t)REGION;
	uint64_t *bits = calloc(n / 64, 8), i, t;
	struct dp_bitlog *b = dp_bitlog_new(7, 0);
	struct dp_bitlog_slot slot;
	const struct dp_window *w;
	uint32_t count, k[DP_SIZES];
	struct dp_sync s;

	memset(&slot, 0, sizeof(slot)); /* what pads it is compared */
	slot.key = 7;
	slot.nbits = n;
	slot.logging = true;
	assert_int_equal(dp_bitlog_slots(b, &slot, 1, 10 * MS, true), 0);
	for (i = 0; i < 3; i++)
		set(bits, 2 * REGION + i);
	set(bits, 5 * REGION + 17);
	set(bits, 7 * REGION - 1);
	for (t = 30; t <= 50; t += 10) {
		struct dp_bitlog_piece p = { .key = 7, .t_ns = t * MS, .n = n, .bits = bits, .last = true };

		if (t < 50) {
			assert_int_equal(dp_bitlog_peek(b, &p), 0);
			dp_bitlog_end_peek(b);
		} else {
			assert_int_equal(dp_bitlog_get(b, &p), 0);
			assert_true(dp_bitlog_end_sync(b, &s));
		}
		w = dp_bitlog_windows(b, &count);
		assert_int_equal(count, 4 * DP_SIZES);
		memset(k, 0, sizeof(k));
		for (i = 0; i < count; i++) {
			uint32_t j = k[w[i].size]++;

			assert_true(j < 4 && w[i].peek == (t < 50));
			assert_int_equal(w[i].region, want[j].region);
			assert_int_equal(w[i].more, want[j].more);
			assert_int_equal(w[i].dirty, w[i].size && want[j].dirty ? 1 : want[j].dirty);
			assert_int_equal(w[i].armed, REGION >> (dp_size_shift((enum dp_size)w[i].size) - 12));
			assert_true(w[i].t_lo_ns == (t - 10) * MS && w[i].t_hi_ns == (t - 10) * MS);
		}
		dp_bitlog_take_windows(b);
	}
	dp_bitlog_free(b);
	free(bits);
	(void)state;
}

static void bad_pieces_are_refused(void **state)
{
	struct fix f = { 0 };
	struct dp_bitlog_piece p;

	open_log(&f, 0, true, 0);
	p = piece(&f, 1);
	p.key = 8;
	assert_int_equal(dp_bitlog_get(f.b, &p), -ENOENT);
	p = piece(&f, 1);
	p.first = 1;
	assert_int_equal(dp_bitlog_get(f.b, &p), -ENOENT);
	p = piece(&f, 1);
	p.n = N + 1;
	assert_int_equal(dp_bitlog_get(f.b, &p), -ENOENT);
	dp_bitlog_free(f.b);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(get_clears),
		cmocka_unit_test(clear_rearms),
		cmocka_unit_test(initially_set_is_left_out),
		cmocka_unit_test(peeks_change_nothing),
		cmocka_unit_test(attached_in_the_middle),
		cmocka_unit_test(lost_pieces_give_no_window),
		cmocka_unit_test(bits_of_64k),
		cmocka_unit_test(pieces_against_pages),
		cmocka_unit_test(quiet_regions_go_together),
		cmocka_unit_test(bad_pieces_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
