// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a session makes of the bytes on the wire: goodput, capacity, caps. Expected values are worked out beside each check. */
#include "session_fixture.h"

static void goodput_and_capacity(void **state)
{
	struct fx f;
	struct dp_session *s = session(&f, (struct dp_session_opts){ 0 });
	const struct dp_speeds *sp;

	send(s, &f, 110e6, 125e6, 0.5, 400e6);
	send(s, &f, 100e6, 125e6, 0.5, 400e6);
	sp = &send(s, &f, 120e6, 125e6, 0.5, 400e6)->speeds;
	/* 330 MB in 3 s; a third of the time at each rate, so the outer ones are the percentiles */
	close_to(sp->goodput.bps.mid, 110e6);
	close_to(sp->goodput.bps.lo, 100e6);
	close_to(sp->goodput.bps.hi, 120e6);
	assert_int_equal(sp->goodput.samples, 3);
	/* the path delivers 125 MB/s, though the socket's buffer takes 400 MB/s */
	close_to(sp->capacity.bps.mid, 125e6);
	assert_false(sp->capped);
	assert_true(isnan(sp->cap.bps.mid));
	/* in round 1 something else may have slowed it down: goodput is the lower end */
	close_to(sp->rounds.mid, 125e6);
	close_to(sp->rounds.lo, 110e6);
	assert_int_equal(sp->rounds_from, DP_SPEED_CAPACITY);
	/* after it, what arrives is what the rounds get: 115 MB/s, and round 1 is left out */
	fx_log(fx_next(&f, SEC, DP_SYNC));
	fx_send(&f, 110000000, 125e6, 0, 0);
	fx_sync(&f, 4 * SEC, 101, true);
	add(s, &f);
	/* 1 MB acknowledged within a millisecond is a lump of acks, not a bandwidth */
	fx_log(fx_next(&f, SEC / 1000, DP_SYNC));
	fx_send(&f, 1000000, 0, 0, 0);
	fx_sync(&f, SEC / 1000, 0, true);
	assert_int_equal(add(s, &f)->speeds.rounds_from, DP_SPEED_CAPACITY);
	sp = &send(s, &f, 114.115e6, 125e6, 0.5, 400e6)->speeds;
	close_to(sp->rounds.mid, 115e6); /* 115.115 MB in 1.001 s */
	assert_int_equal(sp->rounds_from, DP_SPEED_GOODPUT);
	close_to(sp->goodput.bps.mid, 555.115e6 / 5.001);
	dp_session_free(s);
}

static void cap_from_cadence(void **state)
{
	struct fx f;
	struct dp_session *s = session(&f, (struct dp_session_opts){ 0 });
	const struct dp_report *r = send(s, &f, 128 * MIB, 2e9, 0.1, 1.34e9);

	/* one sample decides only because it is QEMU's default */
	assert_true(r->speeds.capped);
	send(s, &f, 127 * MIB, 2e9, 0.1, 1.34e9);
	r = send(s, &f, 129 * MIB, 2e9, 0.1, 1.34e9);
	assert_true(r->speeds.capped);
	close_to(r->speeds.cap.bps.mid, 128 * MIB);
	close_to(r->speeds.rounds.mid, 128 * MIB);
	assert_int_equal(r->speeds.rounds_from, DP_SPEED_CAP);
	/* at switchover the cap is lifted: the thread's own 1.34 GB/s, which is less than TCP could do */
	close_to(r->speeds.switchover.mid, 1.34e9);
	assert_int_equal(r->speeds.switchover_from, DP_SPEED_CAPACITY);
	assert_false(r->assumed & DP_ASSUMED_SWITCHOVER);
	dp_session_free(s);
}

/* QMP tells the cap, and during the migration it shows: the path can do 1 GB/s. */
static void cap_told(void **state)
{
	struct fx f;
	struct dp_session *s =
		session(&f, (struct dp_session_opts){ .bandwidth = 500e6, .max_bandwidth = 50e6 });
	const struct dp_speeds *sp = &send(s, &f, 49e6, 2e9, 0.1, 1e9)->speeds;

	assert_true(sp->capped);
	close_to(sp->rounds.mid, 50e6);
	assert_int_equal(sp->rounds_from, DP_SPEED_QMP);
	close_to(sp->switchover.mid, 1e9);
	assert_int_equal(sp->switchover_from, DP_SPEED_CAPACITY);
	dp_session_free(s);
}

/* Under a cap bursts into sockets look faster than the path: what was given lies between them and goodput. */
static void cap_and_given_path(void **state)
{
	struct fx f;
	const struct dp_session_opts o = {
		.bandwidth = 100e6, .max_bandwidth = 50e6, .got = { 0.9, 0.95, 1 }, .got_from = 3
	};
	struct dp_session *s = session(&f, o);
	const struct dp_speeds *sp = &send(s, &f, 49e6, 2e9, 0.1, 136e6)->speeds;

	assert_true(sp->capped);
	close_to(sp->rounds.mid, 50e6);
	close_to(sp->switchover.lo, 90e6);
	close_to(sp->switchover.mid, 95e6);
	assert_int_equal(sp->switchover_from, DP_SPEED_LEARNED);
	dp_session_free(s);
	/* but what arrives has come over the path, and faster than bursts it cannot be */
	s = session(&f, o);
	close_to(send(s, &f, 98e6, 2e9, 0.1, 136e6)->speeds.switchover.mid, 98e6);
	dp_session_free(s);
	s = session(&f, o);
	close_to(send(s, &f, 49e6, 2e9, 0.1, 80e6)->speeds.switchover.mid, 80e6);
	dp_session_free(s);
}

static void no_cap_without_steadiness(void **state)
{
	struct fx f;
	struct dp_session *s = session(&f, (struct dp_session_opts){ 0 });

	assert_false(send(s, &f, 60e6, 2e9, 0.1, 1e9)->speeds.capped);
	/* 60, 66 MB/s: 9.5 % apart */
	assert_false(send(s, &f, 66e6, 2e9, 0.1, 1e9)->speeds.capped);
	dp_session_free(s);
}

/* In round 1 the wire idles while QEMU looks at zero pages: goodput alone says nothing of the path. */
static void zero_scan_is_no_bandwidth(void **state)
{
	struct fx f;
	struct dp_session *s = session(&f, (struct dp_session_opts){ 0 });
	const struct dp_speeds *sp = &send(s, &f, 20e6, 0, 0, 0)->speeds;

	assert_true(isnan(sp->rounds.mid));
	assert_int_equal(sp->rounds_from, DP_SPEED_NONE);
	close_to(sp->goodput.bps.mid, 20e6);
	dp_session_free(s);
	s = session(&f, (struct dp_session_opts){ .bandwidth = 125e6 });
	sp = &send(s, &f, 20e6, 0, 0, 0)->speeds;
	close_to(sp->rounds.mid, 125e6);
	assert_int_equal(sp->rounds_from, DP_SPEED_OPTION);
	dp_session_free(s);
}

static void given_bandwidths(void **state)
{
	struct fx f;
	struct dp_session *s =
		session(&f, (struct dp_session_opts){ .bandwidth = 125e6, .max_bandwidth = 50e6 });
	const struct dp_speeds *sp;

	fx_log(fx_next(&f, SEC, DP_TIMER));
	sp = &add(s, &f)->speeds;
	close_to(sp->rounds.mid, 50e6);
	assert_int_equal(sp->rounds_from, DP_SPEED_QMP);
	close_to(sp->switchover.mid, 125e6);
	assert_int_equal(sp->switchover_from, DP_SPEED_OPTION);
	assert_true(sp->capped);
	dp_session_free(s);

	/* a cap above the path does nothing */
	s = session(&f, (struct dp_session_opts){ .bandwidth = 125e6, .max_bandwidth = 128 * MIB });
	fx_next(&f, SEC, DP_TIMER);
	sp = &add(s, &f)->speeds;
	close_to(sp->rounds.mid, 125e6);
	assert_int_equal(sp->rounds_from, DP_SPEED_OPTION);
	assert_false(sp->capped);
	sp = &send(s, &f, 110e6, 119e6, 0, 0)->speeds;
	close_to(sp->rounds.mid, 119e6);
	assert_false(sp->capped);
	dp_session_free(s);

	/* what old QEMUs report when nothing is set is no cap */
	s = session(&f, (struct dp_session_opts){ .bandwidth = 125e6,
						  .max_bandwidth = 9223372036853727232.0,
						  .switchover_bandwidth = 1e9 });
	fx_next(&f, SEC, DP_TIMER);
	sp = &add(s, &f)->speeds;
	close_to(sp->rounds.mid, 125e6);
	assert_false(sp->capped);
	close_to(sp->switchover.mid, 1e9);
	dp_session_free(s);
}

/* Unix sockets: no acks, no delivery rate; bursts are the capacity, goodput the lower end of what the rounds get. */
static void unix_sockets(void **state)
{
	struct fx f;
	struct dp_session *s = session(&f, (struct dp_session_opts){ 0 });
	const struct dp_report *r;
	int i;

	for (i = 0; i < 2; i++) {
		fx_log(fx_next(&f, SEC, DP_TIMER));
		fx_send(&f, i ? 600000000 : 500000000, 0, SEC / 2, 400000000);
		f.s.wire.tcp = false;
		f.s.wire.acked_bytes = 0;
		r = add(s, &f);
	}
	close_to(r->speeds.goodput.bps.mid, 550e6);
	close_to(r->speeds.capacity.bps.mid, 800e6);
	close_to(r->speeds.rounds.mid, 800e6);
	close_to(r->speeds.rounds.lo, 550e6);
	assert_true(isnan(r->acked));
	close_to(r->sent, 600e6);
	close_to(r->sent_bps, 600e6);
	dp_session_free(s);
}

static void multifd(void **state)
{
	struct fx f;
	struct dp_session *s = session(&f, (struct dp_session_opts){ 0 });
	const struct dp_report *r;

	fx_log(fx_next(&f, SEC, DP_TIMER));
	fx_send(&f, 100000000, 120e6, SEC / 10, 100000000);
	f.s.wire.channels = 5;
	r = add(s, &f);
	/* the snapshot's delivery rate is that of all channels together */
	close_to(r->speeds.capacity.bps.mid, 120e6);
	assert_true(r->mig.multifd);
	close_to(r->wire_page, 4096 + 10.5);
	dp_session_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(goodput_and_capacity),
		cmocka_unit_test(cap_from_cadence),
		cmocka_unit_test(cap_told),
		cmocka_unit_test(cap_and_given_path),
		cmocka_unit_test(no_cap_without_steadiness),
		cmocka_unit_test(zero_scan_is_no_bandwidth),
		cmocka_unit_test(given_bandwidths),
		cmocka_unit_test(unix_sockets),
		cmocka_unit_test(multifd),
	};

	return cmocka_run_group_tests_name("bandwidth", tests, NULL, NULL);
}
