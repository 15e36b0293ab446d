// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* How marks come, and what that says of their times. Expected values are arithmetic on the times that are fed. */
#include "report_fixture.h"
#include "bpf/gaps.h"
#include "model/lag.h"
#include "sim_probe.h"

#define MS    1000000ull
#define STAMP 4096e-9

/* A thread as the BPF program follows it: each mark takes 200 ns to deal with. */
static void feed(struct dp_mark_thread *t, uint64_t now)
{
	dp_gap_note(t, 77, now, 1);
	t->end_ns = now + 200;
}

static struct dp_lag lag_of(const struct dp_mark_thread *t, bool collected)
{
	struct dp_mark_gaps g = { .collected = collected };
	struct dp_lag l = { 0 };
	unsigned int i;

	for (i = 0; i < DP_GAP_BINS; i++) {
		g.batched[i] = t->batched[i];
		g.alone[i] = t->alone[i];
	}
	for (i = 0; i < DP_BATCH_BINS; i++)
		g.batches[i] = t->batches[i];
	dp_lag_add(&l, &g);
	return l;
}

/* `size` marks 300 ns apart, every `gap`; as many batches. */
static void feed_batches(struct dp_mark_thread *t, uint32_t size, uint64_t gap, uint32_t batches)
{
	uint32_t b, i;

	for (b = 1; b <= batches; b++)
		for (i = 0; i < size; i++)
			feed(t, b * gap + i * 300);
}

/* The smallest power of two of nanoseconds above: bins are octaves. */
static double octave(double s)
{
	return exp2(floor(log2(s * 1e9)) + 1) * 1e-9;
}

static void test_full_buffers(void **state)
{
	struct dp_mark_thread t = { 0 };
	struct dp_lag l;

	feed_batches(&t, 512, 30 * MS, 101);
	l = lag_of(&t, false);
	assert_float_equal(dp_lag_seconds(&l), octave(30e-3), 1e-9);
	assert_float_equal(dp_lag_resolution(&l), octave(30e-3) + STAMP, 1e-9);
	/* the batch under way is not a batch yet: 101 * 512 marks over 100 */
	assert_float_equal(dp_lag_batch(&l), 512 * 1.01, 1e-9);
}

/* What fills a buffer takes its time: all of it counts, also for the last of its marks. */
static void test_slow_copy(void **state)
{
	struct dp_mark_thread t = { 0 };
	struct dp_lag l;
	uint32_t b, i;

	/* 200 us from buffer to buffer, of which 100 to 130 us pass between its first mark and its last */
	for (b = 1; b <= 200; b++)
		for (i = 0; i < 100; i++)
			feed(&t, b * 200000ull + i * 1100);
	l = lag_of(&t, false);
	assert_float_equal(dp_lag_seconds(&l), octave(200e-6), 1e-9);
}

/* Each first write faults: its mark comes with it, however seldom. */
static void test_faults(void **state)
{
	struct dp_mark_thread t = { 0 };
	struct dp_lag l;
	uint32_t i;

	for (i = 1; i <= 1000; i++)
		feed(&t, i * 10 * MS);
	l = lag_of(&t, false);
	assert_true(dp_lag_seconds(&l) == 0.0);
	assert_float_equal(dp_lag_resolution(&l), STAMP, 1e-12);
	assert_float_equal(dp_lag_batch(&l), 1, 1e-9);
	/* unless the host collects them: then a VM exit found one at a time */
	l = lag_of(&t, true);
	assert_float_equal(dp_lag_seconds(&l), octave(10e-3), 1e-9);
}

/* A fault that two marks come from, now and then, is no buffer. */
static void test_few_pairs(void **state)
{
	struct dp_mark_thread t = { 0 };
	struct dp_lag l;
	uint32_t i;

	for (i = 1; i <= 1000; i++) {
		feed(&t, i * 10 * MS);
		if (!(i % 40))
			feed(&t, i * 10 * MS + 300);
	}
	l = lag_of(&t, false);
	assert_true(dp_lag_seconds(&l) == 0.0);
}

/* Faults so fast that they look like one buffer: no buffer holds more than 512. */
static void test_endless_run(void **state)
{
	struct dp_mark_thread t = { 0 };
	struct dp_lag l;

	feed_batches(&t, 100000, 50 * MS, 3);
	l = lag_of(&t, false);
	assert_true(dp_lag_seconds(&l) <= octave(512 * 300e-9));
}

/* Nobody was there before logging began, and another thread's marks say nothing of this one's. */
static void test_beginnings(void **state)
{
	struct dp_mark_thread t = { 0 };

	dp_gap_note(&t, 5, 1000 * MS, 999 * MS);
	t.end_ns = 1000 * MS;
	assert_int_equal(t.bin, dp_gap_bin(1 * MS));
	dp_gap_note(&t, 6, 1000 * MS + 500, 990 * MS);
	assert_int_equal(t.marks, 1);
	assert_int_equal(t.bin, dp_gap_bin(10 * MS + 500));
	assert_int_equal(t.alone[dp_gap_bin(1 * MS)], 1);
	t.end_ns = 1000 * MS + 600;
	/* logging was switched off and on again: from_ns is when it began anew */
	dp_gap_note(&t, 6, 5000 * MS, 4990 * MS);
	assert_int_equal(t.bin, dp_gap_bin(10 * MS));
}

static void test_bins(void **state)
{
	struct dp_lag none = { 0 };

	assert_int_equal(dp_gap_bin(0), 0);
	assert_int_equal(dp_gap_bin(1023), 0);
	assert_int_equal(dp_gap_bin(1024), 1);
	assert_int_equal(dp_gap_bin(2047), 1);
	assert_int_equal(dp_gap_bin(2048), 2);
	assert_int_equal(dp_gap_bin(UINT64_MAX), DP_GAP_BINS - 1);
	assert_true(isnan(dp_lag_resolution(&none)) && isnan(dp_lag_batch(&none)));
	assert_true(dp_lag_seconds(&none) == 0.0);
}

/* ---- the curve of a guest whose writes are collected ---- */

#define PAGES  20011u
#define RATE   10000.0
#define EXIT_S 30e-3

struct pml {
	uint32_t page[DP_BATCH_MARKS], n;
	double first, next_exit;
	struct dp_mark_thread thread;
};

/* A VM exit: what the buffer holds is marked now. */
static void empty_buffer(struct pml *m, struct sim_probe *p, double now)
{
	uint32_t i;

	for (i = 0; i < m->n; i++) {
		feed(&m->thread, (uint64_t)(now * 1e9) + i * 300);
		sim_push(p, m->page[i], now);
	}
	m->n = 0;
	m->next_exit = now + EXIT_S;
}

static bool in_buffer(const struct pml *m, uint32_t page)
{
	uint32_t i;

	for (i = 0; i < m->n; i++)
		if (m->page[i] == page)
			return true;
	return false;
}

/* 20 s of a guest with a sync each `every` s, before which the vCPUs are made to exit. gaps: the curve is told how marks came. */
static struct dp_curve *collected(double every, bool gaps)
{
	struct sim_tier tier = { .kind = SIM_RANDOM, .first = 100, .pages = PAGES, .rate = RATE };
	struct sim_guest g = { &tier, 1, 0x9E3779B97F4A7C15ULL };
	struct sim_probe *p = sim_probe_new();
	struct dp_curve *c = dp_curve_new();
	struct pml m = { .next_exit = EXIT_S };
	double sync = every;
	unsigned int i;

	sim_start(&g);
	while (sync < 20.0) {
		double now = fmin(tier.next, fmin(sync, m.next_exit));

		if (now == tier.next) {
			if (p->armed[tier.page] >= 0.0 && !in_buffer(&m, tier.page))
				m.page[m.n++] = tier.page;
			if (m.n == DP_BATCH_MARKS)
				empty_buffer(&m, p, now);
			sim_advance(&g, &tier);
			continue;
		}
		empty_buffer(&m, p, now);
		if (now < sync)
			continue;
		sim_reset(p, now);
		assert_int_equal(sim_snapshot(p, c, sync - every, sync), 0);
		sync += every;
	}
	if (gaps) {
		memset(&p->snap.gaps, 0, sizeof(p->snap.gaps));
		for (i = 0; i < DP_GAP_BINS; i++)
			p->snap.gaps.batched[i] = m.thread.batched[i];
		for (i = 0; i < DP_BATCH_BINS; i++)
			p->snap.gaps.batches[i] = m.thread.batches[i];
		assert_int_equal(sim_snapshot(p, c, sync - every, sync - every), 0);
	}
	assert_int_equal(dp_curve_fit(c), 0);
	free(p);
	return c;
}

static unsigned int outside(const struct dp_curve *c, unsigned int *above)
{
	struct sim_tier tier = { .kind = SIM_RANDOM, .pages = PAGES, .rate = RATE };
	struct sim_guest g = { &tier, 1, 0 };
	unsigned int n = 0;
	double t;

	for (t = 1e-3, *above = 0; t < 1.0; t *= 1.1) {
		struct dp_est e = dp_curve_eval(c, DP_4K, t);
		double truth = sim_truth(&g, t);

		if (getenv("SHOW"))
			print_message("t=%-8.4f truth %9.1f  band %9.1f %9.1f %9.1f\n", t, truth, e.lo, e.mid,
				      e.hi);
		n += truth < e.lo || truth > e.hi;
		*above += truth > e.hi;
	}
	return n;
}

static void test_curve(void **state)
{
	struct dp_curve *told = collected(1.0, true), *untold = collected(1.0, false);
	struct dp_est rate = dp_curve_rate(told, DP_4K);
	unsigned int above;
	double batch, t;

	/* 30 ms or 512 pages at 10000 a second (51 ms): exits come first, and one of 30 ms is cut short by each sync */
	assert_float_equal(dp_curve_resolution(told, &batch), octave(EXIT_S) + STAMP, 1e-9);
	assert_true(batch > 0.5 * RATE * EXIT_S && batch < 1.1 * RATE * EXIT_S);
	assert_int_equal(outside(told, &above), 0);
	assert_true(rate.lo <= RATE && RATE <= rate.hi);
	for (t = 1e-3; t < 0.9; t *= 1.3) {
		struct dp_est a = dp_curve_eval(told, DP_4K, t), b = dp_curve_eval(untold, DP_4K, t);

		/* what may have waited in the buffer, and no more than the guest writes meanwhile */
		assert_float_equal(a.lo, b.lo, 1e-6);
		assert_true(a.hi >= dp_curve_eval(untold, DP_4K, t + EXIT_S).hi);
		assert_true(a.hi >= b.hi + 0.5 * EXIT_S * RATE * exp(-RATE / PAGES * t));
		assert_true(a.hi <= dp_curve_eval(untold, DP_4K, t + 1.2 * octave(EXIT_S)).hi);
		assert_true(dp_curve_region_eval(told, 0, t).hi > dp_curve_region_eval(untold, 0, t).hi);
	}
	assert_true(isnan(dp_curve_resolution(untold, &batch)));
	dp_curve_free(told);
	dp_curve_free(untold);
}

/* ---- what a session says of it ---- */

static bool noted(const struct dp_report *r, enum dp_note_kind kind, double value)
{
	uint32_t i;

	for (i = 0; i < r->nnotes; i++)
		if (r->note[i].kind == kind && fabs(r->note[i].value - value) <= 1e-9 * value)
			return true;
	return false;
}

/* Ten seconds of marks, a sync a second, of which every so many opened an anchor. */
static struct dp_session *marked(uint32_t every, const struct dp_mark_gaps *gaps)
{
	struct dp_session_opts o = { 0 };
	struct dp_session *s;
	struct dp_exposure x = { .level = 0, .count = 1, .to_ns = DP_LEVEL_NS(0) };
	struct fx f;
	uint32_t i;

	fx_init(&f);
	f.s.source = DP_SRC_MARK;
	f.s.exposures = &x;
	s = dp_session_new(&o);
	assert_non_null(s);
	for (i = 0; i < 10; i++) {
		fx_log(fx_next(&f, SEC, DP_TIMER));
		fx_sync(&f, SEC, 100, false);
		f.s.nexposures = every && !(i % every);
		x.anchor = i + 1;
		f.s.gaps = *gaps;
		assert_int_equal(dp_session_add(s, &f.s), 0);
	}
	return s;
}

static void test_notes(void **state)
{
	/* bin 15: 2^24 to 2^25 ns, 30 ms */
	struct dp_mark_gaps late = { .batched[15] = 512, .batches[9] = 1 };
	struct dp_mark_gaps prompt = { .alone[15] = 512, .batches[0] = 512 };
	struct dp_session *s = marked(1, &prompt);
	const struct dp_report *r = dp_session_final(s);

	assert_float_equal(r->resolution, STAMP, 1e-12);
	assert_false(noted(r, DP_NOTE_COARSE_TIMES, r->resolution) || noted(r, DP_NOTE_FEW_STARTS, 10));
	dp_session_free(s);
	s = marked(1, &late);
	r = dp_session_final(s);
	assert_true(noted(r, DP_NOTE_COARSE_TIMES, octave(30e-3) + STAMP));
	assert_float_equal(r->batch, 512, 1e-9);
	dp_session_free(s);
	s = marked(5, &prompt);
	r = dp_session_final(s);
	assert_true(noted(r, DP_NOTE_FEW_STARTS, 2));
	dp_session_free(s);
	s = marked(0, &prompt);
	r = dp_session_final(s);
	assert_true(noted(r, DP_NOTE_FEW_STARTS, 0));
	dp_session_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_buffers), cmocka_unit_test(test_slow_copy),
		cmocka_unit_test(test_faults),	     cmocka_unit_test(test_few_pairs),
		cmocka_unit_test(test_endless_run),  cmocka_unit_test(test_beginnings),
		cmocka_unit_test(test_bins),	     cmocka_unit_test(test_curve),
		cmocka_unit_test(test_notes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
