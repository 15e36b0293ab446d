// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The migration whose "expected downtime" misled (docs/expected-downtime.md): 866.83 Mb/s, 376,892 kbytes
 * remaining, 39,044 dirty pages of 4096 bytes a second, downtime limit 300 ms.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "dirtyprof/predict.h"

#define BPS	  (866.83e6 / 8)
#define REMAINING 376892.0
#define PAGES	  39044.0

static void near(double v, double want, double slack)
{
	if (!(fabs(v - want) <= slack))
		fail_msg("%.4f is not within %.4f of %.4f", v, slack, want);
}

/* What QEMU 2.12 showed: it cut the fraction off. */
static void test_shown(void **state)
{
	double ms = dp_ms_qemu_2_12(PAGES, 4096, BPS);

	near(ms, 1475.945, 0.001);
	assert_int_equal((int)ms, 1475);
	(void)state;
}

/* Remaining over throughput: as published, with 1 kbyte = 1000 B, and with the KiB that QEMU prints. */
static void test_accepted(void **state)
{
	double published = dp_ms_remaining(REMAINING * 1000, BPS),
	       kib = dp_ms_remaining(REMAINING * 1024, BPS);

	near(published, 3478.35, 0.01);
	near(kib, 3561.83, 0.01);
	assert_int_equal((int)published, 3478);
	assert_int_equal((int)kib, 3561);
	near(kib / published, 1.024, 1e-12);
	(void)state;
}

/*
 * Re-dirty-aware: during the 3478.34 ms the guest dirties 39,044 x 4096 x 3.47835 = 556,272,000 B more, which
 * take another 5133.85 ms. In terms of the two figures above: a + a b with a = 3.47835 s, b = 1.47595.
 */
static void test_redirty(void **state)
{
	double rate = PAGES * 4096, ms = dp_ms_redirty(REMAINING * 1000, rate, BPS);

	near(ms, 3478.35 + 5133.85, 0.01);
	near(ms, dp_ms_remaining(REMAINING * 1000, BPS) * (1 + dp_ms_qemu_2_12(PAGES, 4096, BPS) / 1000),
	     1e-6);
	near(dp_ms_redirty(REMAINING * 1024, rate, BPS), 3561.83 * 2.475945, 0.02);
	/* A guest that dirties nothing needs no more than what remains. */
	near(dp_ms_redirty(REMAINING * 1024, 0, BPS), dp_ms_remaining(REMAINING * 1024, BPS), 1e-9);
	(void)state;
}

/*
 * The dirty rate exceeds what the link carries (159.9 over 108.4 MB/s), so the limit that the shown figure
 * suggests, 1.5 s, is below the accepted one, and no pre-copy whose curve stays straight gets there.
 */
static void test_which_misleads(void **state)
{
	assert_true(PAGES * 4096 > BPS);
	assert_true(dp_ms_qemu_2_12(PAGES, 4096, BPS) < dp_ms_remaining(REMAINING * 1000, BPS));
	assert_true(dp_ms_remaining(REMAINING * 1000, BPS) <
		    dp_ms_redirty(REMAINING * 1000, PAGES * 4096, BPS));
	(void)state;
}

/* The figure that a prediction prints as "down if stopped now" is the accepted one: same bytes, same bandwidth. */
static void test_stop_now_agrees(void **state)
{
	static struct dp_prediction p;
	struct dp_est bps = { BPS, BPS, BPS };
	struct dp_link link = { .rounds = bps, .switchover = bps };
	struct dp_plan plan = { .pages = 8388864.0 * 1024 / 4096,
				.wire_page = 4096 + DP_WIRE_HEADER,
				.limit = 0.3,
				.running = true,
				.remaining = REMAINING * 1024,
				.elapsed = 130.874,
				.since_sync = 1.0 };
	struct dp_curve *c = dp_curve_new();

	assert_non_null(c);
	assert_int_equal(dp_predict(c, &link, &plan, &p), 0);
	near(p.stop_now.mid * 1000, dp_ms_remaining(REMAINING * 1024, BPS), 1e-6);
	assert_int_equal(p.verdict, DP_UNKNOWN);
	dp_curve_free(c);
	(void)state;
}

static void test_no_bandwidth(void **state)
{
	assert_true(dp_ms_remaining(1e6, 0) == 0.0);
	assert_true(dp_ms_redirty(1e6, 1e6, -1) == 0.0);
	assert_true(dp_ms_qemu_2_12(NAN, 4096, 1e6) == 0.0);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shown),		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_redirty),		cmocka_unit_test(test_which_misleads),
		cmocka_unit_test(test_stop_now_agrees), cmocka_unit_test(test_no_bandwidth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
