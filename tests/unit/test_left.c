// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What QEMU has left at a sync, and what of it was written again. 16384 pages of 4104 bytes; expected values by arithmetic. */
#include "report_fixture.h"
#include "model/session_int.h"
#include "predict_cases.h"

#define close_to(a, b) assert_true(fabs((a) - (b)) <= 1e-6 * fmax(1, fabs((double)(b))))

#define PAGES 16384.0
/* What QEMU takes for 20 MB/s over 100 ms may be off by what it hands over at once, 64 pages, and what goes in a tick of 4 ms. */
#define OFF ((64 * 4096 + 0.004 * 20e6) / (0.1 * 20e6))
#define HI  (6e6 * (1 + OFF) / 4096 * W) /* QEMU's threshold: 20 MB/s x 0.3 s counts 4096 bytes a page */
#define LO  (6e6 * (1 - OFF) / 4096 * W - 1e6)

static struct dp_session *session(struct fx *f, double limit)
{
	struct dp_session_opts o = { .limit = limit };
	struct dp_session *s = dp_session_new(&o);

	assert_non_null(s);
	fx_init(f);
	f->s.zero_share = 0;
	assert_non_null(dp_session_start(s, &f->vm, DP_SRC_HARVEST, false));
	return s;
}

/* So much sent in so long over a path of so much, then a sync that tells of so many pages. Returns what is left after it. */
static double sync_over(double path, struct dp_session *s, struct fx *f, uint64_t ns, double sent,
			uint64_t fresh, bool by_migration)
{
	const struct dp_report *r;

	fx_log(fx_next(f, ns, DP_SYNC));
	fx_send(f, (uint64_t)sent, path, 0, 0);
	fx_sync(f, ns, fresh, by_migration);
	assert_int_equal(dp_session_add(s, &f->s), 0);
	r = dp_session_line(s);
	assert_int_equal(r->nsyncs, 1);
	return r->syncs[0].remaining;
}

static double sync_after(struct dp_session *s, struct fx *f, uint64_t ns, double sent, uint64_t fresh,
			 bool by_migration)
{
	return sync_over(20e6, s, f, ns, sent, fresh, by_migration);
}

/* The bytes say that 0.239 MB are left; but 50 ms earlier a look had found the threshold or more, and 1 MB is sent in that time. */
static void a_look_had_failed(void **state)
{
	double ram = PAGES * W, again = 101 / PAGES;
	struct fx f;
	struct dp_session *s = session(&f, 0.3);

	close_to(sync_after(s, &f, 3350 * (SEC / 1000), 67e6, 101, true), LO * (1 - again) + 101 * W);
	close_to(s->mig.past[0].left, LO);
	close_to(s->mig.past[0].seconds, 3.35);
	assert_int_equal(s->mig.npast, 1);
	dp_session_free(s);

	/* nobody told the limit: it may be lower */
	s = session(&f, 0);
	close_to(sync_after(s, &f, 3350 * (SEC / 1000), 67e6, 101, true),
		 (ram - 67e6) * (1 - again) + 101 * W);
	dp_session_free(s);
}

/* Half of memory is zero, at its end: the pages of the threshold are 9 bytes each. */
static void zero_pages_at_the_end(void **state)
{
	struct fx f;
	struct dp_session *s = session(&f, 0.3);
	uint32_t i;

	f.s.zero_share = 0.5;
	for (i = DP_ZERO_BINS / 2; i < DP_ZERO_BINS; i++)
		f.s.zero_at[i] = 1;
	close_to(sync_after(s, &f, 1680 * (SEC / 1000), 33.6e6, 101, true),
		 HI / W * DP_WIRE_ZERO * (1 - 101 / PAGES) + 101 * W);
	dp_session_free(s);
}

/*
 * The same where the log's pages have a place, in memory that was sent: none of them is among those left. No bandwidth is known, so
 * that what is left is what places say: of 8192 pages what is not sent yet, and the zero ones.
 */
static void zero_pages_by_place(void **state)
{
	struct fx f;
	struct dp_session *s = session(&f, 0.3);
	uint32_t i;

	f.s.zero_share = 0.5;
	for (i = DP_ZERO_BINS / 2; i < DP_ZERO_BINS; i++)
		f.s.zero_at[i] = 1;
	f.s.heat[0] = 101;
	close_to(sync_over(0, s, &f, 1680 * (SEC / 1000), 33.6e6, 101, true),
		 PAGES / 2 * (W + DP_WIRE_ZERO) - 33.6e6 + 101 * W);
	assert_true(s->mig.map.known);
	dp_session_free(s);
}

/* A sync 1 ms after another, with all but 1000 bytes unsent: the guest is stopped. One 100 ms after is a round. */
static void a_sync_that_stops(void **state)
{
	struct fx f;
	struct dp_session *s = session(&f, 0.3);
	double left = sync_after(s, &f, 3350 * (SEC / 1000), 67e6, 2003, true);

	assert_false(s->mig.stopped);
	left = sync_after(s, &f, SEC / 10, 2e6, 101, true);
	assert_false(s->mig.stopped);
	left = (left - 1000) * (1 - 3 * W / left) + 3 * W;
	close_to(sync_after(s, &f, SEC / 1000, 1000, 3, true), left);
	assert_true(s->mig.stopped);
	dp_session_free(s);
}

/* A ring that QEMU empties between its syncs: 503 pages, then 307, which may be among them in the share 307 / 503. */
static void reaped_pages_count(void **state)
{
	double fresh = 503 * (1 - 307.0 / 503) + 307;
	struct fx f;
	struct dp_session *s = session(&f, 0.3);

	assert_true(isnan(sync_after(s, &f, SEC, 20e6, 503, false)));
	close_to(s->mig.reaped, 503);
	close_to(sync_after(s, &f, 2350 * (SEC / 1000), 47e6, 307, true),
		 LO * (1 - fresh / PAGES) + fresh * W);
	close_to(s->mig.reaped, 0);
	dp_session_free(s);
}

/*
 * Pages that are written at their own rates: of any set, 1 - exp(-rate d) are written within d. A sweep comes to none of those that
 * it wrote last until it is round.
 */
static void written_again(void **state)
{
	struct fx f;
	struct dp_session *s = session(&f, 0.3);
	double rate = 12000.0 / 65521, u = 65521 * (1 - exp(-rate)), share;

	dp_curve_free(s->curve);
	s->curve = observe(&guests[1], 12.0);
	s->fitted = true;
	share = dp_mig_again(s, 30000, u, 1);
	near(share, 1 - exp(-rate), 0.03 * share);
	/* the log told half as much as the curve would have */
	near(dp_mig_again(s, 30000, u / 2, 1), share / 2, 1e-9);
	dp_curve_free(s->curve);
	s->curve = observe(&guests[5], 12.0);
	near(dp_mig_again(s, 12000, 12000, 1), 0, 0.03);
	assert_true(dp_mig_again(s, 0, 12000, 1) == 0);
	dp_session_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_look_had_failed),   cmocka_unit_test(zero_pages_at_the_end),
		cmocka_unit_test(zero_pages_by_place), cmocka_unit_test(a_sync_that_stops),
		cmocka_unit_test(reaped_pages_count),  cmocka_unit_test(written_again),
	};

	return cmocka_run_group_tests_name("left", tests, NULL, NULL);
}
