// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The session: bandwidths, the migration, what is shown when. Expected values are worked out beside each check. */
#include "report_fixture.h"
#include "model/session_int.h"

#define close_to(a, b) assert_true(fabs((a) - (b)) <= 1e-9 * fmax(1, fabs((double)(b))))

static struct dp_session *session(struct fx *f, struct dp_session_opts o)
{
	struct dp_session *s = dp_session_new(&o);

	assert_non_null(s);
	fx_init(f);
	assert_non_null(dp_session_start(s, &f->vm, DP_SRC_HARVEST, false));
	return s;
}

static const struct dp_report *add(struct dp_session *s, struct fx *f)
{
	assert_int_equal(dp_session_add(s, &f->s), 0);
	return dp_session_line(s);
}

/* One second of migration. */
static const struct dp_report *send(struct dp_session *s, struct fx *f, double bytes, double delivery,
				    double busy_s, double busy_bps)
{
	fx_log(fx_next(f, SEC, DP_TIMER));
	fx_send(f, (uint64_t)bytes, delivery, (uint64_t)(busy_s * 1e9), (uint64_t)(busy_s * busy_bps));
	return add(s, f);
}

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

/* 16384 pages of 4104 bytes; 20 MB/s delivered, so QEMU syncs below 20e6 * 0.3 = 6e6 bytes. */
static void remaining_by_model(void **state)
{
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
	left = 6e6 / 4096 * 4104 * (1 - 1009.0 / 16384) + 1009 * 4104.0;
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
 * 4 MB that were sent in it took 200 at 20 MB/s.
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
	close_to(r->mig.fixed_seen, 0.3 - 4e6 / r->speeds.goodput.bps.mid);
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

/* 512 pages of 4K lie in 100 blocks of 64K, and in every larger one of a VM of 64 MiB. */
static void sizes_and_amplification(void **state)
{
	struct fx f;
	struct dp_session *s = session(&f, (struct dp_session_opts){ .bandwidth = 125e6 });
	const struct dp_report *r;

	fx_log(fx_next(&f, SEC, DP_TIMER));
	fx_look(&f, SEC, 512, 100);
	r = add(s, &f);
	assert_true(r->known);
	close_to(r->u_t[DP_POINT_1S], 1);
	close_to(r->u[DP_4K][DP_POINT_1S].mid, 2 * MIB);
	close_to(r->u[DP_64K][DP_POINT_1S].mid, 6.25 * MIB);
	close_to(r->u[DP_2M][DP_POINT_1S].mid, 64 * MIB);
	close_to(r->u[DP_1G][DP_POINT_1S].mid, 64 * MIB); /* there is no more of it */
	close_to(r->amp_t, 1);
	close_to(r->amp[DP_4K].mid, 1);
	close_to(r->amp[DP_64K].mid, 3.125);
	close_to(r->amp[DP_2M].mid, 32);
	close_to(r->amp[DP_1G].mid, 32);
	close_to(r->amp_now, 1);

	/* KVM tells apart only 64K: what was written in them is not known */
	f.vm.granule = 65536;
	fx_next(&f, SEC, DP_TIMER);
	r = add(s, &f);
	assert_true(isnan(r->amp_now));
	assert_true(isnan(r->amp[DP_2M].mid));
	assert_int_equal(r->note[0].kind, DP_NOTE_HUGE_GRANULE);
	dp_session_free(s);
}

/* One window in which of `dirty` hugepages of 16M one page each was changed. */
static void classic_window(struct fx *f, uint64_t ns, uint64_t dirty)
{
	struct dp_changes *c = &f->s.changes;
	double n = (double)dirty;

	fx_log(fx_next(f, ns, DP_TIMER));
	fx_look(f, ns, dirty * 4096, dirty * 256);
	f->win[DP_2M].dirty = dirty * 8;
	f->win[DP_16M].dirty = dirty;
	fx_sync(f, ns, dirty * 4096, false);
	c->on = true;
	c->unit = 16 << 20;
	c->limit_bps = 64 << 20;
	c->read_bytes = dirty << 24;
	c->windows++;
	c->window_ns += ns;
	c->compared += dirty;
	/* all of them compared: a page each window of 4096 reported ones */
	c->again.total += n * 4096;
	c->again.fraction = 1;
	c->again.n = n;
	c->again.a += n;
	c->again.d += n * 4096;
	c->again.aa = c->again.a * c->again.a / n;
	c->again.ad = c->again.a * c->again.d / n;
	c->again.dd = c->again.d * c->again.d / n;
	c->again.pages = n * 4096;
}

/* A guest of 1 GiB on hugepages of 16M that KVM cannot tell apart within: a word in each of 40 a second. */
static void coarse_granule(void **state)
{
	struct fx f;
	struct dp_session *s = session(&f, (struct dp_session_opts){ .bandwidth = 125e6 });
	const struct dp_report *r;
	uint64_t pages = 1 << 18;
	unsigned int i;

	f.region_pages = f.vm.ram_pages = f.vm.logging_pages = f.slot.npages = pages;
	for (i = 0; i < DP_SIZES; i++)
		f.vm.blocks[i] = (pages << 12) >> dp_size_shift(i);
	f.vm.granule = 16 << 20;
	f.slot.backing = (struct dp_backing){ 0, 0, 1u << 30, 16 << 20, 65536, true };
	classic_window(&f, SEC / 2, 40);
	add(s, &f);
	for (i = 0; i < 4; i++) {
		classic_window(&f, SEC, 40);
		r = add(s, &f);
	}
	assert_true(r->change.share.mid == 1.0 / 4096 && r->change.share.hi == 1.0 / 4096);
	/* 40 pages in each of 5 windows, over 4.5 s */
	close_to(r->change.rate.mid, 200 * 4096 / 4.5);
	close_to(r->change.resent.mid, 4096);
	close_to(r->change.window, 0.9);
	close_to(r->change.read, 5 * 40 * 16 * MIB);
	close_to(r->amp_now, 4096);
	close_to(r->amp[DP_4K].mid, 1);
	assert_true(isnan(r->amp[DP_64K].mid) && isnan(r->amp[DP_2M].mid));
	close_to(r->amp[DP_16M].mid, 4096);
	/* 640 MiB over 125 MB/s: no less than 5 s; one 64K page for each of them is 2.5 MiB: 21 ms */
	assert_int_equal(r->pred.verdict, DP_NEVER);
	assert_int_equal(r->note[0].kind, DP_NOTE_SMALLER_PAGES);
	assert_true(r->note[0].value == 65536);
	close_to(r->note[0].value2, r->pred.least_bandwidth.mid * 16 / 4096);
	assert_true(r->note[0].value2 < 125e6 / 5);

	/* pages that all changed: smaller ones would not help */
	f.s.changes.again.a = f.s.changes.again.d;
	f.s.changes.again.aa = f.s.changes.again.ad = f.s.changes.again.dd;
	fx_log(fx_next(&f, SEC, DP_TIMER));
	r = add(s, &f);
	assert_true(r->change.share.mid == 1);
	assert_int_equal(r->pred.verdict, DP_NEVER);
	for (i = 0; i < r->nnotes; i++)
		assert_true(r->note[i].kind != DP_NOTE_SMALLER_PAGES);
	dp_session_free(s);
}

static void syncs_do_not_cut_intervals(void **state)
{
	struct fx f;
	struct dp_session *s = session(&f, (struct dp_session_opts){ 0 });
	const struct dp_report *r;

	fx_log(fx_next(&f, SEC / 4, DP_SYNC));
	f.s.new_blocks[DP_4K] = 100;
	f.s.self.lost = 2;
	fx_sync(&f, SEC / 4, 100, false);
	r = add(s, &f);
	assert_int_equal(r->kind, DP_REPORT_SYNC);
	assert_int_equal(r->nsyncs, 1);
	fx_log(fx_next(&f, 3 * SEC / 4, DP_TIMER));
	f.s.new_blocks[DP_4K] = 11;
	f.s.self.lost = 3;
	r = add(s, &f);
	assert_int_equal(r->kind, DP_REPORT_INTERVAL);
	assert_int_equal(r->nsyncs, 0);
	assert_int_equal(r->new_blocks[DP_4K], 111);
	close_to(r->span, 1);
	close_to(r->logged, 1);
	assert_true(r->logging_changed);
	assert_int_equal(r->lost, 5);
	fx_log(fx_next(&f, SEC, DP_TIMER));
	f.s.new_blocks[DP_4K] = 7;
	r = add(s, &f);
	assert_int_equal(r->new_blocks[DP_4K], 7);
	assert_int_equal(r->total_blocks[DP_4K], 118);
	assert_false(r->logging_changed);
	r = dp_session_final(s);
	assert_int_equal(r->new_blocks[DP_4K], 118);
	close_to(r->span, 2);
	close_to(r->logged, 2);
	dp_session_free(s);
}

/* 64 GiB: the curve is fitted every 0.1 + 63 * 0.08 = 5.1 s, and at the end. */
static void huge_vms_are_fitted_less_often(void **state)
{
	static uint64_t pages[64];
	struct fx f;
	struct dp_session *s = session(&f, (struct dp_session_opts){ .bandwidth = 125e6 });
	const struct dp_report *r;
	double first, u[8];
	int i;

	f.vm.nregions = 64;
	f.vm.region_pages = pages;
	for (i = 0; i < 64; i++)
		pages[i] = 1u << DP_REGION_SHIFT;
	f.vm.ram_pages = f.vm.logging_pages = 64ull << DP_REGION_SHIFT;
	f.vm.blocks[DP_4K] = f.vm.ram_pages;
	for (i = 0; i < 8; i++) {
		fx_log(fx_next(&f, SEC, DP_TIMER));
		fx_look(&f, SEC, 1000 + 1000 * (uint64_t)i, 100);
		u[i] = add(s, &f)->u[DP_4K][DP_POINT_1S].mid;
	}
	first = u[0];
	for (i = 1; i < 6; i++) /* 2 to 6 s: less than 5.1 s after the first fit at 1 s */
		assert_true(u[i] == first);
	assert_true(u[6] > first); /* 7 s */
	assert_true(u[7] == u[6]);
	r = dp_session_final(s);
	assert_true(r->u[DP_4K][DP_POINT_1S].mid > u[7]);
	assert_int_equal(r->total_blocks[DP_4K], 8 * 1000 + 28 * 1000);
	dp_session_free(s);
}

static void phases(void **state)
{
	struct dp_phase p = { 0 };
	double a = 0, b = 0;
	int i;

	for (i = 0; i < 8; i++)
		dp_phase_add(&p, 1000 + (i & 1 ? 10 : -10), 1);
	assert_false(dp_phase_changed(&p, &a, &b));
	for (i = 0; i < 4; i++)
		dp_phase_add(&p, 3000 + (i & 1 ? 10 : -10), 1);
	assert_true(dp_phase_changed(&p, &a, &b));
	close_to(a, 1000);
	close_to(b, 3000);
	/* windows of another length are not compared: U(t)/t falls with t */
	memset(&p, 0, sizeof(p));
	for (i = 0; i < 8; i++)
		dp_phase_add(&p, 1000, 1);
	for (i = 0; i < 4; i++)
		dp_phase_add(&p, 3000, 0.1);
	assert_false(dp_phase_changed(&p, &a, &b));
	/*
	 * Three peaks of 5000 in the first eight: mean 2000, standard deviation of the mean sqrt(0.375 * 0.625) * 4800 /
	 * sqrt(7) = 878. Four times 200 after that is 1800 less: under 3 of them, so chance is not ruled out.
	 */
	memset(&p, 0, sizeof(p));
	for (i = 0; i < 12; i++)
		dp_phase_add(&p, i < 8 && i % 3 == 0 ? 5000 : 200, 1);
	assert_false(dp_phase_changed(&p, &a, &b));
}

static void versions(void **state)
{
	static const struct {
		const char *v;
		unsigned int number;
		enum dp_exit_test test;
		double cap;
	} t[] = {
		{ "7.2.22", 702, DP_EXIT_PRE_9, 128 * MIB }, { "8.2.1", 802, DP_EXIT_PRE_9, 128 * MIB },
		{ "9.0.0", 900, DP_EXIT_9, 128 * MIB },	     { "10.0.2", 1000, DP_EXIT_9, 128 * MIB },
		{ "10.1.0", 1001, DP_EXIT_10_1, 128 * MIB }, { "5.1.0", 501, DP_EXIT_PRE_9, 32 * MIB },
		{ "5.2.0", 502, DP_EXIT_PRE_9, 128 * MIB },  { "", 0, DP_EXIT_PRE_9, 128 * MIB },
		{ "rubbish", 0, DP_EXIT_PRE_9, 128 * MIB },
	};
	unsigned int i;
	bool known;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_int_equal(dp_version_number(t[i].v), t[i].number);
		assert_int_equal(dp_exit_test_of(t[i].v, &known), t[i].test);
		assert_int_equal(known, t[i].number != 0);
		close_to(dp_default_cap(t[i].v), t[i].cap);
	}
}

static void bad_input(void **state)
{
	struct dp_session_opts o = { .throttle = 1 };
	struct fx f;
	struct dp_session *s;

	assert_null(dp_session_new(&o));
	o = (struct dp_session_opts){ .bandwidth = NAN };
	assert_null(dp_session_new(&o));
	o = (struct dp_session_opts){ .limit = -1 };
	assert_null(dp_session_new(&o));
	dp_session_free(NULL);

	s = session(&f, (struct dp_session_opts){ 0 });
	assert_null(dp_session_line(s));
	fx_log(fx_next(&f, SEC, DP_TIMER));
	assert_int_equal(dp_session_add(s, &f.s), 0);
	f.s.t1_ns = SEC / 2; /* time runs backwards */
	f.s.t0_ns = 0;
	assert_int_equal(dp_session_add(s, &f.s), -EINVAL);
	f.s.t1_ns = 2 * SEC;
	f.s.nsyncs = 1;
	f.s.syncs = NULL;
	assert_int_equal(dp_session_add(s, &f.s), -EINVAL);
	f.s.nsyncs = 0;
	f.s.zero_share = NAN;
	assert_int_equal(dp_session_add(s, &f.s), -EINVAL);
	f.s.zero_share = -1;
	f.s.vm = NULL;
	assert_int_equal(dp_session_add(s, &f.s), -EINVAL);
	close_to(dp_session_final(s)->span, 1);
	dp_session_free(s);
}

static void names_are_cleaned(void **state)
{
	char out[16];

	dp_clean(out, sizeof(out), "a\nb\x7f\xc3\xa9\xff\"\\");
	assert_string_equal(out, "a?b?\xc3\xa9?\"\\");
	dp_clean(out, 5, "abc\xc3\xa9"); /* no room for the last letter: not cut in half */
	assert_string_equal(out, "abc");
	dp_clean(out, sizeof(out), "\xc0\x80\xed\xa0\x80\xc2\x85"); /* overlong, surrogate, C1 control */
	assert_string_equal(out, "??????");
	dp_clean(out, sizeof(out), NULL);
	assert_string_equal(out, "");
}

static void notes(void **state)
{
	struct fx f;
	struct dp_session *s = session(&f, (struct dp_session_opts){ 0 });
	const struct dp_report *r;

	fx_log(fx_next(&f, SEC, DP_TIMER));
	f.s.self.lost = 5;
	r = add(s, &f);
	assert_int_equal(r->nnotes, 2);
	assert_int_equal(r->note[0].kind, DP_NOTE_NO_BANDWIDTH);
	assert_int_equal(r->note[1].kind, DP_NOTE_LOST);
	close_to(r->note[1].value, 5);
	dp_session_free(s);
	/* 1 GB/s, but nothing says that max-bandwidth was raised */
	s = session(&f, (struct dp_session_opts){ .bandwidth = 1e9 });
	fx_log(fx_next(&f, SEC, DP_TIMER));
	r = add(s, &f);
	assert_int_equal(r->nnotes, 1);
	assert_int_equal(r->note[0].kind, DP_NOTE_CAP_UNKNOWN);
	close_to(r->note[0].value, 128 * MIB);
	dp_session_free(s);
}

static void exit_status(void **state)
{
	struct dp_report r;

	fx_report(&r);
	assert_int_equal(dp_report_exit_status(&r), 2);
	r.mig.outcome = DP_MIG_DONE;
	assert_int_equal(dp_report_exit_status(&r), 0);
	r.mig.outcome = DP_MIG_NONE;
	r.pred.verdict = DP_BORDERLINE;
	assert_int_equal(dp_report_exit_status(&r), 0);
	r.pred.verdict = DP_NEVER;
	r.predicted = false;
	assert_int_equal(dp_report_exit_status(&r), 0);
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
		cmocka_unit_test(remaining_by_model),
		cmocka_unit_test(leftover_is_carried),
		cmocka_unit_test(rewritten_pages_count_once),
		cmocka_unit_test(remaining_is_a_bound_at_first),
		cmocka_unit_test(setup_sync_is_no_round),
		cmocka_unit_test(done_on_the_wire),
		cmocka_unit_test(last_run),
		cmocka_unit_test(first_run),
		cmocka_unit_test(cancelled),
		cmocka_unit_test(a_stall_is_no_end),
		cmocka_unit_test(terms_are_seen),
		cmocka_unit_test(a_sync_told_late),
		cmocka_unit_test(silence_is_no_end),
		cmocka_unit_test(prediction_before_is_kept),
		cmocka_unit_test(sizes_and_amplification),
		cmocka_unit_test(coarse_granule),
		cmocka_unit_test(syncs_do_not_cut_intervals),
		cmocka_unit_test(huge_vms_are_fitted_less_often),
		cmocka_unit_test(phases),
		cmocka_unit_test(versions),
		cmocka_unit_test(bad_input),
		cmocka_unit_test(names_are_cleaned),
		cmocka_unit_test(notes),
		cmocka_unit_test(exit_status),
	};

	return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
