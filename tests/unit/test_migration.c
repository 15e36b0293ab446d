// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A migration that a session follows: what is left, when it is over. Expected values are worked out beside each check. */
#include "session_fixture.h"

/*
 * 16384 pages of 4104 bytes; 20 MB/s delivered, so QEMU syncs below 20e6 * 0.3 = 6e6 bytes; what it measures over 100 ms may be off by
 * 64 pages and a tick of 4 ms.
 */
static void remaining_by_model(void **state)
{
	const double off = (64 * 4096 + 0.004 * 20e6) / (0.1 * 20e6);
	struct fx f;
	struct dp_session *s = session(&f, (struct dp_session_opts){ .limit = 0.3 });
	const struct dp_report *r;
	double left;

	f.s.zero_share = 0;
	r = send(s, &f, 20e6, 20e6, 0, 0);
	assert_int_equal(r->mig.outcome, DP_MIG_RUNNING);
	close_to(r->mig.remaining, 16384 * 4104.0 - 20e6);
	assert_true(r->mig.remaining_known);

	fx_log(fx_next(&f, SEC, DP_SYNC));
	fx_send(&f, 20000000, 20e6, 0, 0);
	fx_sync(&f, 2 * SEC, 1009, true);
	r = add(s, &f);
	assert_int_equal(r->kind, DP_REPORT_SYNC);
	assert_int_equal(r->nsyncs, 1);
	assert_int_equal(r->syncs[0].round, 1);
	/*
	 * 27.2 MB cannot have been left: at most the threshold is, less the share of RAM that was written, which is
	 * among the 1009 new pages
	 */
	left = 6e6 * (1 + off) / 4096 * 4104 * (1 - 1009.0 / 16384) + 1009 * 4104.0;
	close_to(r->syncs[0].remaining, left);
	close_to(r->syncs[0].sent, 40e6);
	close_to(r->syncs[0].since, 2);

	r = send(s, &f, 5e6, 20e6, 0, 0);
	close_to(r->mig.remaining, left - 5e6);
	assert_int_equal(r->nsyncs, 0);
	assert_int_equal(r->mig.nsyncs, 1);
	assert_int_equal(r->mig.rounds, 1);
	close_to(r->mig.elapsed, 3);
	close_to(r->mig.sent, 45e6);

	/* QEMU knows better */
	fx_log(fx_next(&f, SEC, DP_TIMER));
	fx_send(&f, 1000000, 20e6, 0, 0);
	f.s.qmp_known = f.s.qmp_active = true;
	f.s.qmp_remaining = 777777;
	r = add(s, &f);
	close_to(r->mig.remaining, 777777);
	assert_true(r->mig.remaining_qmp);
	dp_session_free(s);
}

/* What is left falls under the threshold by itself: 67.2 MB - 3 * 20 MB - 2 MB = 5.2 MB carried over in full. */
static void leftover_is_carried(void **state)
{
	struct fx f;
	struct dp_session *s = session(&f, (struct dp_session_opts){ .limit = 0.3 });
	const struct dp_report *r;
	int i;

	f.s.zero_share = 0;
	for (i = 0; i < 3; i++)
		send(s, &f, 20e6, 20e6, 0, 0);
	fx_log(fx_next(&f, SEC / 10, DP_SYNC));
	fx_send(&f, 2000000, 20e6, 0, 0);
	fx_sync(&f, 3 * SEC + SEC / 10, 101, true);
	r = add(s, &f);
	close_to(r->syncs[0].remaining, (16384 * 4104.0 - 62e6) * (1 - 101.0 / 16384) + 101 * 4104.0);
	dp_session_free(s);
}

/* A guest that writes the same 1009 pages over and over: never more than those are left, whatever was not sent. */
static void rewritten_pages_count_once(void **state)
{
	struct fx f;
	struct dp_session *s = session(&f, (struct dp_session_opts){ .limit = 100 });
	const struct dp_report *r;
	double left = 16384 * 4104.0;
	int i;

	f.s.zero_share = 0;
	for (i = 0; i < 60; i++) {
		double again = fmin(1, 1009 * 4104.0 / left), sent = i ? 1e6 : 60e6;

		fx_log(fx_next(&f, SEC, DP_SYNC));
		fx_send(&f, (uint64_t)sent, 60e6, 0, 0);
		fx_sync(&f, SEC, 1009, true);
		r = add(s, &f);
		left = (left - sent) * (1 - again) + 1009 * 4104.0;
		close_to(r->syncs[0].remaining, left);
	}
	assert_true(left < 1.001 * 1009 * 4104);
	dp_session_free(s);
}

static void remaining_is_a_bound_at_first(void **state)
{
	struct fx f;
	struct dp_session *s = session(&f, (struct dp_session_opts){ 0 });
	const struct dp_report *r = send(s, &f, 20e6, 20e6, 0, 0);
	int i;

	assert_false(r->mig.remaining_known);
	for (i = 1; i <= 2; i++) {
		fx_log(fx_next(&f, SEC, DP_SYNC));
		fx_send(&f, 20000000, 20e6, 0, 0);
		fx_sync(&f, SEC, 1009, true);
		r = add(s, &f);
		assert_int_equal(r->mig.rounds, i);
		assert_int_equal(r->mig.remaining_known, i == 2);
	}
	dp_session_free(s);

	/* half of RAM is zero: half of 16384 pages cost 9 bytes */
	s = session(&f, (struct dp_session_opts){ 0 });
	f.s.zero_share = 0.5;
	fx_log(fx_next(&f, SEC, DP_TIMER));
	add(s, &f);
	r = send(s, &f, 1e6, 20e6, 0, 0);
	close_to(r->mig.remaining, 8192 * 4104.0 + 8192 * 9.0 - 1e6);
	dp_session_free(s);
}

static void setup_sync_is_no_round(void **state)
{
	struct fx f;
	struct dp_session *s = session(&f, (struct dp_session_opts){ 0 });
	const struct dp_report *r;

	fx_log(fx_next(&f, SEC / 10, DP_SYNC));
	fx_send(&f, 4000, 0, 0, 0);
	fx_sync(&f, 0, 3, true);
	r = add(s, &f);
	assert_int_equal(r->syncs[0].round, 0);
	assert_true(isnan(r->syncs[0].since));
	assert_int_equal(r->mig.rounds, 0);
	/* there is one setup: a VM of zero pages sends next to nothing in round 1 */
	fx_log(fx_next(&f, SEC / 10, DP_SYNC));
	fx_send(&f, 4000, 0, 0, 0);
	fx_sync(&f, SEC / 10, 3, true);
	r = add(s, &f);
	assert_int_equal(r->syncs[0].round, 1);
	dp_session_free(s);
}

static struct dp_session *migrated(struct fx *f)
{
	struct dp_session *s = session(f, (struct dp_session_opts){ 0 });

	fx_next(f, 3 * SEC, DP_TIMER);
	add(s, f);
	send(s, f, 20e6, 20e6, 0, 0);
	send(s, f, 20e6, 20e6, 0, 0);
	/* the last interval: the guest stops at 5.25 s, the last byte leaves at 5.5 s */
	fx_log(fx_next(f, 2 * SEC, DP_TIMER));
	fx_send(f, 10000000, 20e6, 0, 0);
	f->s.wire.last_ns = 5 * SEC + SEC / 2;
	f->s.vcpu_stopped_ns = 5 * SEC + SEC / 4;
	return s;
}

static void done_on_the_wire(void **state)
{
	struct fx f;
	struct dp_session *s = migrated(&f);
	const struct dp_report *r = add(s, &f);

	assert_int_equal(r->mig.outcome, DP_MIG_DONE);
	close_to(r->mig.start, 3);
	close_to(r->mig.total, 2.5);
	close_to(r->mig.downtime, 0.25);
	assert_false(r->mig.qmp);
	/* 10 MB over the half second that the wire was busy */
	close_to(r->sent_bps, 20e6);
	r = dp_session_final(s);
	assert_int_equal(dp_report_exit_status(r), 0);
	/* its last bytes are no new migration */
	fx_log(fx_next(&f, SEC, DP_TIMER));
	fx_send(&f, 100, 0, 0, 0);
	r = add(s, &f);
	assert_int_equal(r->mig.outcome, DP_MIG_DONE);
	close_to(r->mig.total, 2.5);
	/* QEMU's own figures, when they come */
	fx_next(&f, SEC, DP_LAST);
	f.s.logging = false;
	f.s.qmp_known = f.s.qmp_done = true;
	f.s.qmp_total_ms = 2600;
	f.s.qmp_downtime_ms = 300;
	r = add(s, &f);
	assert_true(r->mig.qmp);
	close_to(r->mig.total, 2.6);
	close_to(r->mig.downtime, 0.3);
	dp_session_free(s);
}

/* A packet was lost while the guest stood still: the rest of the bytes comes 400 ms later, and is the end. */
static void a_stall_is_no_end(void **state)
{
	struct fx f;
	struct dp_session *s = session(&f, (struct dp_session_opts){ 0 });
	const struct dp_report *r;

	send(s, &f, 20e6, 20e6, 0, 0);
	fx_log(fx_next(&f, SEC, DP_SYNC));
	fx_send(&f, 10000000, 20e6, 0, 0);
	fx_sync(&f, 2 * SEC, 1000, true);
	f.s.vcpu_stopped_ns = f.s.t1_ns;
	add(s, &f);
	fx_log(fx_next(&f, SEC / 5, DP_TIMER));
	f.s.vcpu_stopped_ns = 2 * SEC;
	assert_int_equal(add(s, &f)->mig.outcome, DP_MIG_RUNNING);
	fx_log(fx_next(&f, SEC / 5, DP_TIMER));
	assert_int_equal(add(s, &f)->mig.outcome, DP_MIG_RUNNING);
	fx_log(fx_next(&f, 2 * SEC, DP_TIMER));
	fx_send(&f, 4000000, 20e6, 0, 0);
	f.s.wire.last_ns = 2 * SEC + SEC / 2;
	r = add(s, &f);
	assert_int_equal(r->mig.outcome, DP_MIG_DONE);
	close_to(r->mig.downtime, 0.5);
	close_to(r->mig.sent, 34e6);
	dp_session_free(s);
}

/*
 * What no log shows, seen in a migration: 3 MB are in its sockets while the wire is the limit, and of 300 ms downtime the
 * 4 MB that were sent in it took 200 at 20 MB/s, but for a third of a third of what the sockets hold, which they took at once.
 */
static void terms_are_seen(void **state)
{
	struct fx f;
	struct dp_session *s = session(&f, (struct dp_session_opts){ 0 });
	const struct dp_report *r;

	fx_log(fx_next(&f, SEC, DP_TIMER));
	fx_send(&f, 23000000, 20e6, 0, 0);
	f.s.wire.acked_bytes = 20000000;
	add(s, &f);
	fx_log(fx_next(&f, SEC, DP_SYNC));
	fx_send(&f, 20000000, 20e6, 0, 0);
	fx_sync(&f, 2 * SEC, 1000, true);
	f.s.vcpu_stopped_ns = f.s.t1_ns;
	r = add(s, &f);
	close_to(r->mig.queue_seen, 3e6);
	assert_true(isnan(r->mig.fixed_seen));
	fx_log(fx_next(&f, 2 * SEC, DP_TIMER));
	f.s.vcpu_stopped_ns = 2 * SEC;
	fx_send(&f, 4000000, 20e6, 0, 0);
	f.s.wire.last_ns = 2 * SEC + 3 * SEC / 10;
	r = add(s, &f);
	assert_int_equal(r->mig.outcome, DP_MIG_DONE);
	close_to(r->mig.downtime, 0.3);
	close_to(r->mig.fixed_seen, 0.3 - (4e6 - 3e6 / 9) / r->speeds.goodput.bps.mid);
	assert_true(r->speeds.goodput.bps.mid > 15e6 && r->speeds.goodput.bps.mid < 25e6);
	dp_session_free(s);
}

/*
 * Syncs at 1.9 and 1.95 s, of which the second is told an interval later: 40 MB in 2 s were read with the first, so that
 * 1 MB went out between the two, and 2 MB since.
 */
static void a_sync_told_late(void **state)
{
	struct fx f;
	struct dp_session *s = session(&f, (struct dp_session_opts){ 0 });
	const struct dp_report *r;

	fx_log(fx_next(&f, 19 * SEC / 10, DP_SYNC));
	fx_send(&f, 40000000, 20e6, 0, 0);
	f.s.wire.last_ns = 2 * SEC;
	fx_sync(&f, 19 * SEC / 10, 1000, true);
	r = add(s, &f);
	close_to(r->syncs[0].sent, 38e6);
	fx_log(fx_next(&f, SEC / 5, DP_SYNC));
	fx_sync(&f, SEC / 20, 1000, true);
	f.sync.t_ns = 195 * SEC / 100;
	r = add(s, &f);
	close_to(r->syncs[0].sent, 1e6);
	dp_session_free(s);
}

/* Session clock 0 is 1000 s of the monotonic one; the wall clock shows 5000 s at the end of the last interval. */
static void last_run(void **state)
{
	static const struct {
		uint64_t stopped, left;
		double want; /* s; NAN unknown */
		bool qmp;
	} k[] = {
		{ 5 * SEC + SEC / 4, 5 * SEC + SEC / 4, 5.25, false },
		{ 0, 5 * SEC + SEC / 4, 5.25,
		  true }, /* QEMU said so before it was sure that the guest stands still */
		{ 5 * SEC + SEC / 4, 0, 5.25, false },
		{ 0, 0, NAN, true },
		{ 0, 5 * SEC + SEC / 4, NAN, false }, /* on its way back into the guest: it goes on */
	};
	unsigned int i;

	for (i = 0; i < sizeof(k) / sizeof(k[0]); i++) {
		struct dp_session_opts o = { .clock_ns = 1000 * SEC };
		const struct dp_moment *m;
		struct fx f;
		struct dp_session *s = migrated(&f);

		assert_int_equal(dp_session_set_opts(s, &o), 0);
		f.s.wall_us = 5000000000ll;
		f.s.vcpu_stopped_ns = k[i].stopped;
		f.s.vcpu_left_ns = k[i].left;
		f.s.qmp_known = f.s.qmp_done = k[i].qmp;
		f.s.reason = DP_LAST;
		m = &add(s, &f)->mig.last_ran;
		if (isnan(k[i].want)) {
			assert_true(isnan(m->t) && isnan(m->wall) && isnan(m->mono));
		} else {
			close_to(m->t, 5.25);
			close_to(m->wall, 5000 - ((double)f.s.t1_ns / 1e9 - 5.25));
			close_to(m->mono, 1005.25);
		}
		/* what comes later does not change it; where it was not known it may be now */
		fx_next(&f, SEC, DP_TIMER);
		f.s.vcpu_stopped_ns = f.s.vcpu_left_ns = 6 * SEC;
		m = &add(s, &f)->mig.last_ran;
		if (!isnan(k[i].want))
			close_to(m->t, 5.25);
		else if (k[i].qmp)
			close_to(m->t, 6);
		dp_session_free(s);
	}
}

/* It first ran at 0.25 s; told with the line of that time, and once. */
static void first_run(void **state)
{
	struct fx f;
	struct dp_session *s = session(&f, (struct dp_session_opts){ 0 });
	const struct dp_report *r;

	fx_next(&f, SEC / 5, DP_TIMER);
	r = add(s, &f);
	assert_false(r->first_now);
	assert_true(isnan(r->first_ran.t) && isnan(r->first_ran.wall) && isnan(r->first_ran.mono));
	fx_next(&f, SEC / 10, DP_SYNC);
	f.s.wall_us = 70000000;
	f.s.vcpu_first_ns = SEC / 4;
	r = add(s, &f);
	assert_true(r->first_now);
	close_to(r->first_ran.t, 0.25);
	close_to(r->first_ran.wall, 70 - 0.05);
	assert_true(isnan(r->first_ran.mono)); /* a trace of before it was recorded */
	fx_next(&f, SEC, DP_TIMER);
	f.s.wall_us = 71000000;
	f.s.vcpu_first_ns = SEC / 4;
	r = add(s, &f);
	assert_false(r->first_now);
	close_to(r->first_ran.t, 0.25);
	close_to(dp_session_final(s)->first_ran.wall, 70 - 0.05);
	dp_session_free(s);
}

static void cancelled(void **state)
{
	struct fx f;
	struct dp_session *s = migrated(&f);
	const struct dp_report *r;

	f.s.vcpu_stopped_ns = 0;
	add(s, &f);
	fx_next(&f, SEC, DP_TIMER);
	f.s.logging = false;
	f.s.logged_ns = 0;
	r = add(s, &f);
	assert_int_equal(r->mig.outcome, DP_MIG_CANCELLED);
	assert_true(isnan(r->mig.total));
	close_to(r->mig.elapsed, 2.5);
	/* a second attempt is another migration */
	f.s.wire.first_ns = f.s.wire.total_sent = 0;
	r = send(s, &f, 1e6, 20e6, 0, 0);
	assert_int_equal(r->mig.outcome, DP_MIG_RUNNING);
	close_to(r->mig.start, 8);
	close_to(r->mig.sent, 1e6);
	dp_session_free(s);
}

static void silence_is_no_end(void **state)
{
	struct fx f;
	struct dp_session *s = migrated(&f);

	f.s.vcpu_stopped_ns = 0;
	add(s, &f);
	fx_log(fx_next(&f, SEC, DP_TIMER));
	assert_int_equal(add(s, &f)->mig.outcome, DP_MIG_RUNNING);
	dp_session_free(s);
}

static void prediction_before_is_kept(void **state)
{
	struct fx f;
	struct dp_session *s = session(&f, (struct dp_session_opts){ .bandwidth = 125e6 });
	struct dp_prediction before;
	const struct dp_report *r;

	fx_log(fx_next(&f, SEC, DP_TIMER));
	fx_look(&f, SEC, 512, 100);
	fx_sync(&f, SEC, 512, false);
	r = add(s, &f);
	assert_true(r->predicted);
	before = r->pred;
	r = send(s, &f, 20e6, 20e6, 0, 0);
	assert_true(r->mig.before_known);
	assert_memory_equal(&r->mig.before_total, &before.total, sizeof(before.total));
	assert_memory_equal(&r->mig.before_downtime, &before.downtime, sizeof(before.downtime));
	assert_int_equal(r->mig.before_verdict, before.verdict);
	assert_true(before.nrounds > 0 && before.nrounds < DP_REPORT_SYNCS);
	assert_int_equal(r->mig.before_nrounds, before.nrounds);
	assert_memory_equal(r->mig.before_round, before.round, before.nrounds * sizeof(before.round[0]));
	/* from now on the measured 20 MB/s count */
	close_to(r->speeds.rounds.mid, 20e6);
	dp_session_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(remaining_by_model),
		cmocka_unit_test(leftover_is_carried),
		cmocka_unit_test(rewritten_pages_count_once),
		cmocka_unit_test(remaining_is_a_bound_at_first),
		cmocka_unit_test(setup_sync_is_no_round),
		cmocka_unit_test(done_on_the_wire),
		cmocka_unit_test(a_stall_is_no_end),
		cmocka_unit_test(terms_are_seen),
		cmocka_unit_test(a_sync_told_late),
		cmocka_unit_test(last_run),
		cmocka_unit_test(first_run),
		cmocka_unit_test(cancelled),
		cmocka_unit_test(silence_is_no_end),
		cmocka_unit_test(prediction_before_is_kept),
	};

	return cmocka_run_group_tests_name("migration", tests, NULL, NULL);
}
