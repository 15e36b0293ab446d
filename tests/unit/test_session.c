// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The session: what is shown when, and what it refuses. Expected values are worked out beside each check. */
#include "session_fixture.h"

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
		cmocka_unit_test(sizes_and_amplification),
		cmocka_unit_test(coarse_granule),
		cmocka_unit_test(syncs_do_not_cut_intervals),
		cmocka_unit_test(huge_vms_are_fitted_less_often),
		cmocka_unit_test(versions),
		cmocka_unit_test(bad_input),
		cmocka_unit_test(names_are_cleaned),
		cmocka_unit_test(notes),
		cmocka_unit_test(exit_status),
	};

	return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
