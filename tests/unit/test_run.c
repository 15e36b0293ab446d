// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a page needs of a run: columns that are joined without losing anything, and a page that lets nothing out. */
#include "report_fixture.h"
#include "report/run.h"
#include "report/html_int.h"

#define close_to(a, b) assert_true(fabs((a) - (b)) <= 1e-6 * fmax(1, fabs((double)(b))))

static struct dp_run *run_new(struct fx *f, struct dp_session **s)
{
	struct dp_session_opts o = { .bandwidth = 125e6 };
	struct dp_run *run = calloc(1, sizeof(*run));

	assert_non_null(run);
	*s = dp_session_new(&o);
	assert_non_null(*s);
	fx_init(f);
	dp_run_start(run, "a.trace", dp_session_start(*s, &f->vm, DP_SRC_HARVEST, false));
	return run;
}

static void add(struct dp_run *run, struct dp_session *s, struct fx *f)
{
	assert_int_equal(dp_session_add(s, &f->s), 0);
	dp_run_add(run, &f->s, dp_session_line(s));
}

static double sum_of(const struct dp_run *run, bool heat)
{
	double sum = 0;
	uint32_t i, k;

	for (i = 0; i < run->ncolumns; i++) {
		sum += heat ? 0 : run->column[i].fresh;
		for (k = 0; heat && k < DP_HEAT_BINS; k++)
			sum += (double)run->column[i].heat[k];
	}
	return sum;
}

/* 10,000 intervals of a second: each sends 3 bytes and dirties a page in part i mod 128. */
static void long_runs_stay_bounded(void **state)
{
	struct fx f;
	struct dp_session *s;
	struct dp_run *run = run_new(&f, &s);
	double sent = 0, cpu = 0;
	uint32_t i;

	f.s.source = DP_SRC_RING;
	f.vm.log_mode = DP_LOG_RING;
	for (i = 0; i < 10000; i++) {
		fx_log(fx_next(&f, SEC, DP_TIMER));
		f.s.new_blocks[DP_4K] = 1;
		memset(f.s.heat, 0, sizeof(f.s.heat));
		f.s.heat[i % DP_HEAT_BINS] = 1;
		f.s.wire.active = true;
		f.s.wire.sent_bytes = 3;
		f.s.self.user_ns = 1000000;
		dp_run_add(run, &f.s, NULL);
	}
	assert_true(run->ncolumns <= DP_RUN_COLUMNS && run->ncolumns >= DP_RUN_COLUMNS / 2);
	close_to(sum_of(run, false), 10000);
	close_to(sum_of(run, true), 10000);
	for (i = 0; i < run->ncolumns; i++) {
		const struct dp_run_column *c = &run->column[i];

		sent += c->sent;
		cpu += c->cpu;
		assert_true(c->t1 > c->t0);
		close_to(c->logged, c->t1 - c->t0);
		/* one page a second, everywhere: 4096 bytes/s */
		close_to(dp_run_fresh_bps(c), 4096);
		if (i)
			assert_true(c->t0 == run->column[i - 1].t1);
	}
	close_to(sent, 30000);
	close_to(cpu, 10);
	assert_true(run->column[0].t0 == 0 && run->column[run->ncolumns - 1].t1 == 10000);
	dp_session_free(s);
	free(run);
}

/* A fetch after 4 s brings 400 pages: 100 to each of the seconds since the one before, which ended at 2 s. */
static void what_a_fetch_brought_is_spread(void **state)
{
	static const double want[] = { 0, 50, 100, 100, 100, 100 };
	struct fx f;
	struct dp_session *s;
	struct dp_run *run = run_new(&f, &s);
	uint32_t i;

	for (i = 0; i < 5; i++) {
		fx_log(fx_next(&f, SEC, DP_TIMER));
		if (i == 1) { /* 50 in the last second alone */
			fx_look(&f, SEC, 50, 10);
			fx_sync(&f, SEC, 50, false);
			f.s.heat[7] = 50;
		}
		add(run, s, &f);
		memset(f.s.heat, 0, sizeof(f.s.heat));
	}
	fx_log(fx_next(&f, SEC, DP_SYNC));
	fx_look(&f, 4 * SEC, 400, 100);
	fx_sync(&f, 4 * SEC, 400, false);
	f.s.heat[9] = 400;
	add(run, s, &f);
	assert_int_equal(run->ncolumns, 6);
	for (i = 0; i < 6; i++) {
		close_to(run->column[i].fresh, want[i]);
		close_to(run->column[i].heat[9], i > 1 ? 100 : 0);
		close_to(run->column[i].heat[7], i == 1 ? 50 : 0);
	}
	dp_session_free(s);
	free(run);
}

/* Its window began before anything was watched: what was before counts in the first column, and nothing gets lost. */
static void a_fetch_of_more_than_was_watched(void **state)
{
	struct fx f;
	struct dp_session *s;
	struct dp_run *run = run_new(&f, &s);

	f.s.t1_ns = 100 * SEC; /* --from */
	fx_log(fx_next(&f, SEC, DP_TIMER));
	add(run, s, &f);
	fx_log(fx_next(&f, SEC, DP_SYNC));
	fx_look(&f, 10 * SEC, 1000, 100);
	fx_sync(&f, 10 * SEC, 1000, false);
	add(run, s, &f);
	assert_int_equal(run->ncolumns, 2);
	close_to(run->column[0].fresh, 900); /* 92 s to 101 s */
	close_to(run->column[1].fresh, 100);
	dp_session_free(s);
	free(run);
}

static void events_are_kept(void **state)
{
	struct fx f;
	struct dp_session *s;
	struct dp_run *run = run_new(&f, &s);
	uint32_t i;

	fx_next(&f, SEC, DP_TIMER);
	add(run, s, &f);
	for (i = 0; i < 2; i++) {
		fx_log(fx_next(&f, SEC, DP_TIMER));
		fx_send(&f, 20000000, 20e6, 0, 0);
		add(run, s, &f);
	}
	fx_next(&f, 5 * SEC, DP_TIMER);
	f.s.logging = false;
	f.s.logged_ns = 0;
	add(run, s, &f);
	assert_int_equal(run->nevents, 4);
	assert_int_equal(run->event[0].kind, DP_RUN_LOG_ON);
	close_to(run->event[0].t, 2);
	assert_int_equal(run->event[1].kind, DP_RUN_MIG_BEGINS);
	close_to(run->event[1].t, 1);
	assert_int_equal(run->event[2].kind, DP_RUN_LOG_OFF);
	assert_true(run->event[3].kind == DP_RUN_MIG_DONE || run->event[3].kind == DP_RUN_MIG_CANCELLED);
	assert_true(isnan(run->column[0].left));
	assert_false(isnan(run->column[1].left));
	dp_session_free(s);
	free(run);
}

/* Names that would leave the place where they are written. */
static void nothing_gets_out(void **state)
{
	static const char name[] = "</script><script>alert(1)</script>\"'&";
	struct dp_buf b = { 0 };
	struct fx f;
	struct dp_session *s;
	struct dp_run *run = run_new(&f, &s);
	const struct dp_run *const one[] = { run };
	const char *p;
	int scripts = 0;

	snprintf(f.vm.name, sizeof(f.vm.name), "%s", name);
	dp_run_start(run, "<b>&\"", dp_session_start(s, &f.vm, DP_SRC_HARVEST, false));
	dp_run_host(run, &(struct dp_run_host){ .cpu = "<i>\x01'", .kernel = "</td>" });
	fx_log(fx_next(&f, SEC, DP_TIMER));
	fx_look(&f, SEC, 512, 100);
	fx_sync(&f, SEC, 512, false);
	add(run, s, &f);
	assert_int_equal(dp_run_final(run, dp_session_final(s)), 0);
	assert_true(run->tabled);
	dp_html(&b, one, 1);
	assert_false(b.failed);
	assert_null(strstr(b.data, "alert(1)</script>"));
	assert_non_null(
		strstr(b.data, "&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;"));
	assert_null(strstr(b.data, "<b>&"));
	assert_null(strstr(b.data, "<i>?"));
	assert_non_null(strstr(b.data, "&lt;i&gt;?&#39;"));
	for (p = b.data; (p = strstr(p, "<script")); p++)
		scripts++;
	assert_int_equal(scripts, 2);
	assert_null(strstr(b.data, "nan"));
	assert_null(strstr(b.data, "inf\""));
	dp_buf_free(&b);
	dp_session_free(s);
	free(run);
}

/* A page of each kind of nothing: no snapshot, no log, no curve. */
static void empty_runs(void **state)
{
	struct dp_buf b = { 0 };
	struct fx f;
	struct dp_session *s;
	struct dp_run *run = run_new(&f, &s);
	const struct dp_run *const two[] = { run, run };
	int i;

	for (i = 0; i < 2; i++) {
		assert_int_equal(dp_run_final(run, dp_session_final(s)), 0);
		dp_buf_reset(&b);
		dp_html(&b, two, 1 + (uint32_t)i);
		assert_false(b.failed);
		assert_non_null(strstr(b.data, "</html>"));
		assert_null(strstr(b.data, "nan"));
		fx_next(&f, SEC, DP_TIMER);
		add(run, s, &f);
	}
	dp_buf_free(&b);
	dp_session_free(s);
	free(run);
}

static void axes_have_round_numbers(void **state)
{
	struct dp_axis a = { .unit = DP_U_BYTES_S, .p0 = 300, .p1 = 100 };
	struct dp_tick t[DP_TICKS];
	uint32_t n, i;

	/* 200 pixels have room for 4 steps: of 3.3 GiB/s, 1 GiB/s each */
	dp_axis_upto(&a, 3.3 * 1024 * MIB);
	close_to(a.hi, 4096 * MIB);
	n = dp_axis_ticks(&a, t);
	assert_int_equal(n, 5);
	assert_string_equal(t[0].label, "0");
	assert_string_equal(t[3].label, "3 GiB/s");
	close_to(dp_axis_at(&a, 1024 * MIB), 250);
	/* 104 pixels have room for 2.5 steps: of 101 MiB/s, 50 each, and 150 is the next of them */
	a.p1 = 196;
	dp_axis_upto(&a, 101 * MIB);
	close_to(a.hi, 150 * MIB);
	n = dp_axis_ticks(&a, t);
	assert_int_equal(n, 4);
	close_to(t[n - 1].v, a.hi);
	a = (struct dp_axis){ .unit = DP_U_TIME, .log = true, .lo = 1e-4, .hi = 100, .p0 = 0, .p1 = 600 };
	n = dp_axis_ticks(&a, t);
	assert_int_equal(n, 6 * 9 + 1); /* six decades of nine lines, and the last one's end */
	close_to(dp_axis_at(&a, 1), 400);
	for (i = 0; i < n; i++)
		assert_true(t[i].minor == !t[i].label[0]);
	assert_string_equal(t[n - 1].label, "100 s");
	a = (struct dp_axis){ .unit = DP_U_TIME, .lo = 0, .hi = 86400, .p0 = 0, .p1 = 1000 };
	n = dp_axis_ticks(&a, t);
	assert_string_equal(t[1].label, "4 h"); /* 24 h in at most ten steps of what divides a day */
	assert_int_equal(n, 7);
	/* what lies outside, or is no number of a logarithm, stays near */
	a.log = true;
	a.lo = 1;
	assert_true(dp_axis_at(&a, 0) >= -50);
	assert_true(dp_axis_at(&a, 1e30) <= 1050);
}

static void dates(void **state)
{
	char b[64];

	assert_string_equal(dp_fmt_utc(b, sizeof(b), 0), "1970-01-01 00:00:00 UTC");
	assert_string_equal(dp_fmt_utc(b, sizeof(b), 951782399), "2000-02-28 23:59:59 UTC");
	assert_string_equal(dp_fmt_utc(b, sizeof(b), 951782400), "2000-02-29 00:00:00 UTC");
	assert_string_equal(dp_fmt_utc(b, sizeof(b), 1709251199), "2024-02-29 23:59:59 UTC");
	assert_string_equal(dp_fmt_utc(b, sizeof(b), 1709251200), "2024-03-01 00:00:00 UTC");
	assert_string_equal(dp_fmt_utc(b, sizeof(b), NAN), "-");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(long_runs_stay_bounded),
		cmocka_unit_test(what_a_fetch_brought_is_spread),
		cmocka_unit_test(a_fetch_of_more_than_was_watched),
		cmocka_unit_test(events_are_kept),
		cmocka_unit_test(nothing_gets_out),
		cmocka_unit_test(empty_runs),
		cmocka_unit_test(axes_have_round_numbers),
		cmocka_unit_test(dates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
