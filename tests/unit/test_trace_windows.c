// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Windows in a trace: what was written is read, however many there are, and in the first encoding. */
#include <errno.h>

#include "random_bits.h"
#include "trace_fixture.h"

static const struct dp_snapshot *next(struct dp_trace *t)
{
	struct dp_trace_event ev;

	do
		assert_int_equal(dp_trace_next(t, &ev), 1);
	while (ev.kind != DP_TRACE_SNAPSHOT);
	return ev.snapshot;
}

static void equal(const struct dp_window *a, const struct dp_window *b, uint32_t i)
{
	if (a->region != b->region || a->size != b->size || a->peek != b->peek || a->arming != b->arming ||
	    a->more != b->more || a->t_lo_ns != b->t_lo_ns || a->t_hi_ns != b->t_hi_ns ||
	    a->armed != b->armed || a->dirty != b->dirty)
		fail_msg("window %u", i);
}

/* Each field the same as before, another, or the largest that there is. */
static struct dp_window some_window(const struct dp_window *last)
{
	struct dp_window w = *last;
	uint64_t r = rng();

	w.region = r & 1 ? last->region + last->more + 1 : (r & 2 ? DP_REGION_ALL : (uint32_t)(r >> 40));
	w.size = r & 4 ? w.size : (uint8_t)((r >> 32) % DP_SIZES);
	w.peek = r & 8;
	w.arming = r & 16 ? w.arming : (uint32_t)rng();
	w.t_lo_ns = r & 32 ? w.t_lo_ns : rng() >> 2;
	w.t_hi_ns = r & 64 ? w.t_lo_ns : rng() >> 2;
	w.armed = r & 128 ? w.armed : rng() >> 31;
	w.dirty = r & 256 ? 0 : rng() >> (r >> 16 & 63);
	w.more = r & 512 ? 0 : (uint32_t)rng();
	return w;
}

/* More than fit in a record, and more bytes than a block may have. */
static void as_written(void **state)
{
	const uint32_t most = DP_WINDOWS_MAX,
		       count[] = { 0, 1, 1600000, 7, DP_RECORD_WINDOWS, DP_RECORD_WINDOWS + 1, 0, 3 };
	struct dp_window *w = calloc(most + 1, sizeof(*w));
	const uint32_t n = sizeof(count) / sizeof(count[0]);
	struct dp_trace_writer *out = started();
	struct dp_snapshot s;
	const struct dp_snapshot *got;
	struct dp_trace *t;
	uint64_t bytes;
	uint32_t i, k;

	assert_non_null(w);
	for (i = 1; i <= 1600000; i++)
		w[i] = some_window(&w[i - 1]);
	for (i = 0; i < n; i++) {
		s = snapshot(i, w + 1, count[i]);
		assert_int_equal(dp_trace_put(out, &s), 0);
	}
	assert_int_equal(dp_trace_close(out, true, &bytes, NULL), 0);
	assert_true(bytes > 32u << 20);
	t = open_it();
	for (i = 0; i < n; i++) {
		got = next(t);
		assert_int_equal(got->seq, i);
		assert_int_equal(got->nwindows, count[i]);
		for (k = 0; k < count[i]; k++)
			equal(&w[1 + k], &got->windows[k], k);
	}
	dp_trace_free(t);
	/* what no look hands on */
	out = started();
	s = snapshot(0, w, most + 1);
	assert_int_equal(dp_trace_put(out, &s), -EFBIG);
	assert_int_equal(dp_trace_close(out, true, NULL, NULL), -EFBIG);
	free(w);
	(void)state;
}

/* Windows belong to the snapshot behind them, also where some are passed over. */
static void passed_over(void **state)
{
	static const struct dp_window w[] = { { .armed = 9, .t_hi_ns = 5, .t_lo_ns = 5 },
					      { .armed = 9, .t_hi_ns = 7, .t_lo_ns = 7, .region = 1 } };
	struct dp_trace_writer *out = started();
	struct dp_trace_event ev;
	struct dp_trace *t;
	uint32_t i;

	for (i = 0; i < 10; i++) {
		const struct dp_snapshot s = snapshot(i, &w[i & 1], 1);

		assert_int_equal(dp_trace_put(out, &s), 0);
	}
	assert_int_equal(dp_trace_close(out, true, NULL, NULL), 0);
	t = open_it();
	dp_trace_between(t, 3, 6.5);
	for (i = 3; i <= 6; i++) { /* up to the first that ends later */
		const struct dp_snapshot *s = next(t);

		assert_int_equal(s->seq, i);
		assert_int_equal(s->nwindows, 1);
		equal(&w[i & 1], s->windows, i);
	}
	while (dp_trace_next(t, &ev) > 0)
		assert_int_not_equal(ev.kind, DP_TRACE_SNAPSHOT);
	dp_trace_free(t);
	(void)state;
}

/* What was recorded before windows had records of their own: tests/lib/make_trace as it was then, 3 GiB, two of them written to. */
static void as_at_first(void **state)
{
	const uint64_t pages = 1 << DP_REGION_SHIFT;
	struct dp_trace *t;
	uint32_t i, k, r;

	snprintf(path, sizeof(path), "tests/data/windows-at-first.trace");
	t = open_it();
	snprintf(path, sizeof(path), "%s/trace", dir);
	for (i = 0; i < 3; i++) {
		const struct dp_snapshot *s = next(t);
		const struct dp_window *w = s->windows;

		assert_int_equal(s->seq, i);
		assert_int_equal(s->nwindows, 8 * (3 + DP_SIZES - 1));
		for (k = 0; k < 8; k++, w += 3 + DP_SIZES - 1) {
			for (r = 0; r < 3 + DP_SIZES - 1; r++) {
				assert_int_equal(w[r].region, r < 3 ? r : DP_REGION_ALL);
				assert_int_equal(w[r].size, r < 3 ? 0 : r - 2);
				assert_true(w[r].peek == (k < 7) && w[r].arming == i + 1 && !w[r].more);
				assert_true(w[r].t_lo_ns == SEC >> (7 - k) && w[r].t_hi_ns == w[r].t_lo_ns);
				if (r < 3)
					assert_int_equal(w[r].armed, pages);
			}
			/* 1500 pages at 4000 writes a second, 1800 at 2000, none */
			assert_true(w[0].dirty > 0 && w[0].dirty < 1500 && w[1].dirty < 1800 && !w[2].dirty);
			assert_true(k < 7 || (w[0].dirty == 1395 && w[1].dirty == 1207));
		}
	}
	dp_trace_free(t);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_written),
		cmocka_unit_test(passed_over),
		cmocka_unit_test(as_at_first),
	};

	return run_within("trace_windows", tests, sizeof(tests) / sizeof(tests[0]));
}
