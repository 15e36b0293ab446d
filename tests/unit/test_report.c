// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The text and JSON forms. Reports are made by hand (report_fixture.h), so every number in the golden files is one
 * that is set there: golden/final.txt and golden/line.txt are layouts of them.
 */
#include "report_fixture.h"
#include "report/text_int.h"

static void number_formats(void **state)
{
	static const struct {
		dp_fmt_fn fmt;
		double v;
		const char *text;
	} t[] = {
		{ dp_fmt_bytes, 0, "0 B" },
		{ dp_fmt_bytes, 1023, "1023 B" },
		{ dp_fmt_bytes, 4096, "4.00 KiB" },
		{ dp_fmt_bytes, 99 * MIB, "99.0 MiB" },
		{ dp_fmt_bytes, 1023.6 * MIB, "1.00 GiB" },
		{ dp_fmt_bytes, 1.5 * MIB * MIB, "1.50 TiB" },
		{ dp_fmt_clock, NAN, "-" },
		{ dp_fmt_clock, -1, "-" },
		{ dp_fmt_clock, 0, "00:00:00.000000 UTC" },
		/* 2001-09-09 01:46:40 */
		{ dp_fmt_clock, 1e9 + 0.25, "01:46:40.250000 UTC" },
		{ dp_fmt_clock, 86399.9999996, "00:00:00.000000 UTC" },
		{ dp_fmt_bits, 125e6, "1.00 Gb/s" },
		{ dp_fmt_bits, 119e6, "952 Mb/s" },
		{ dp_fmt_bits, 0, "0 b/s" },
		{ dp_fmt_time, 0.688, "688 ms" },
		{ dp_fmt_time, 0.9996, "1.00 s" },
		{ dp_fmt_time, 1.574, "1.57 s" },
		{ dp_fmt_time, 0.000045, "45.0 us" },
		{ dp_fmt_time, 1800, "30.0 min" },
		{ dp_fmt_time, 0, "0 s" },
		{ dp_fmt_time, HUGE_VAL, "never" },
		{ dp_fmt_time, NAN, "-" },
		{ dp_fmt_bytes, NAN, "-" },
		{ dp_fmt_count, 25344, "25,344" },
		{ dp_fmt_count, 999.6, "1,000" },
		{ dp_fmt_count, 1000999, "1,000,999" },
		{ dp_fmt_count, 12345678, "12.3M" },
		{ dp_fmt_count, NAN, "-" },
	};
	char buf[FMT];
	unsigned int i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		assert_string_equal(t[i].fmt(buf, sizeof(buf), t[i].v), t[i].text);
}

static void wrapping(void **state)
{
	struct dp_buf b = { 0 };
	char word[201];

	memset(word, 'x', 200);
	word[200] = 0;
	dp_text_wrap(&b, 4, "  a %s b", word);
	fx_check_text(&b);
	/* "  a", 75 x after the break, 75 more, the last 50 and " b" */
	assert_memory_equal(b.data, "  a\n    xxx", 11);
	assert_int_equal(b.len, 4 + 3 * 4 + 200 + 2 + 2 + 1);
	dp_buf_reset(&b);
	/* letters of two bytes are not cut: 79 is odd */
	for (size_t i = 0; i < 100; i++)
		memcpy(word + 2 * i, "\xc3\xa9", 2);
	dp_text_wrap(&b, 0, "%s", word);
	assert_int_equal(strcspn(b.data, "\n"), 78);
	dp_buf_free(&b);
}

/* Compares with a golden file; DIRTYPROF_GOLDEN=write makes it anew, for a person to check. */
static void golden(const char *path, const struct dp_buf *b)
{
	static char want[65536];
	FILE *f;
	size_t n;

	if (getenv("DIRTYPROF_GOLDEN")) {
		f = fopen(path, "w");
		assert_non_null(f);
		fwrite(b->data, 1, b->len, f);
		fclose(f);
	}
	f = fopen(path, "r");
	if (!f)
		fail_msg("%s: run from the top of the tree", path);
	n = fread(want, 1, sizeof(want) - 1, f);
	fclose(f);
	want[n] = 0;
	assert_string_equal(b->data, want);
}

static void final_layout(void **state)
{
	struct dp_buf b = { 0 };
	struct dp_report r;

	fx_report(&r);
	dp_text_final(&b, &r);
	fx_check_text(&b);
	golden("tests/unit/golden/final.txt", &b);
	dp_buf_free(&b);
}

static void fill_migration(struct dp_report *r)
{
	struct dp_migration *m = &r->mig;
	struct dp_sync_report *y = &m->syncs[0];

	m->outcome = DP_MIG_RUNNING;
	m->start = 5;
	m->elapsed = 7.5;
	m->channels = 1;
	m->tcp = true;
	m->rounds = 1;
	m->sent = 640 * MIB;
	m->remaining = 99 * MIB;
	m->before_known = true;
	m->before_verdict = DP_NEVER;
	m->before_total = m->before_downtime = fx_est(HUGE_VAL, HUGE_VAL, HUGE_VAL);
	m->before_rounds = 3;
	m->before_nrounds = 2;
	m->before_round[0] = (struct dp_round){ 131072, 4.5, 2570 };
	m->before_round[1] = (struct dp_round){ 2570, 0.09, 220 };
	m->nsyncs = 1;
	*y = (struct dp_sync_report){
		.number = 2, .round = 1, .t = 9.25, .since = 4.25, .by_migration = true
	};
	y->new_blocks[DP_4K] = 25344;
	y->reported_pages = 25350;
	y->sent = 500 * MIB;
	y->remaining = 101 * MIB;
	y->verdict = DP_CONVERGES;
	y->stop_now = fx_est(0.8, 0.85, 0.9);
	y->redirty = fx_est(0.9, 0.95, 1.0);
	y->total = fx_est(9.1, 9.2, 9.3);
	y->downtime = fx_est(0.21, 0.22, 0.23);
	y->rounds = 4;
	r->syncs[0] = *y;
	r->nsyncs = 1;
}

static void line_layout(void **state)
{
	struct dp_buf b = { 0 };
	struct dp_report r;

	fx_report(&r);
	fill_migration(&r);
	r.kind = DP_REPORT_START;
	dp_text_header(&b, &r);
	r.kind = DP_REPORT_INTERVAL;
	r.sent_bps = 119e6;
	dp_text_line(&b, &r);
	fx_check_text(&b);
	golden("tests/unit/golden/line.txt", &b);
	/* after a sync alone there is no interval to show */
	dp_buf_reset(&b);
	r.kind = DP_REPORT_SYNC;
	dp_text_line(&b, &r);
	assert_non_null(strstr(b.data, "sync 1:"));
	assert_null(strstr(b.data, "119"));
	dp_buf_free(&b);
}

static void truth_beside_prediction(void **state)
{
	struct dp_buf b = { 0 };
	struct dp_report r;

	fx_report(&r);
	fill_migration(&r);
	r.mig.outcome = DP_MIG_DONE;
	r.mig.total = 9.25;
	r.mig.downtime = 0.225;
	r.mig.qmp = true;
	r.predicted = false;
	r.pred.verdict = DP_UNKNOWN;
	r.nnotes = 0;
	dp_text_final(&b, &r);
	fx_check_text(&b);
	golden("tests/unit/golden/migrated.txt", &b);
	dp_buf_free(&b);
}

/* Lines are broken where it suits: as one line, with single blanks. */
static void unwrap(struct dp_buf *b)
{
	char *from, *to = b->data;

	for (from = b->data; *from; from++)
		if (!strchr(" \n", *from) || !strchr(" \n", from[1]))
			*to++ = *from == '\n' ? ' ' : *from;
	*to = '\0';
}

static void says_that_granules_differ(void **state)
{
	struct dp_buf b = { 0 };
	struct dp_report r;

	fx_report(&r);
	r.vm.mmu = DP_MMU_HASH;
	r.vm.granule = 16u << 20;
	r.vm.granule_mixed = true;
	dp_text_final(&b, &r);
	fx_check_text(&b);
	unwrap(&b);
	assert_non_null(strstr(b.data, "tracking granule up to 16 MiB (hash MMU)"));
	dp_buf_reset(&b);
	dp_json_final(&b, &r);
	assert_non_null(strstr(b.data, "\"granule_bytes\":16777216,\"granule_mixed\":true"));
	dp_buf_free(&b);
}

static void says_when_it_ran(void **state)
{
	struct dp_buf b = { 0 };
	struct dp_report r;

	fx_report(&r);
	fill_migration(&r);
	r.kind = DP_REPORT_SYNC;
	r.nsyncs = 0;
	r.first_now = true;
	r.first_ran = (struct dp_moment){ 2.5, 1e9 + 0.125, 77.25 };
	dp_text_line(&b, &r);
	fx_check_text(&b);
	assert_non_null(strstr(b.data, "01:46:40.125000"));
	dp_buf_reset(&b);
	dp_json_line(&b, &r);
	fx_check_with(FX_VALIDATE, &b);
	assert_non_null(strstr(b.data, "\"type\":\"arrival\""));
	assert_non_null(
		strstr(b.data,
		       "\"first_ran\":{\"t_s\":2.5,\"time_s\":1000000000.125,\"monotonic_s\":77.25}"));
	assert_null(strchr(strchr(b.data, '\n') + 1, '\n')); /* and nothing else */
	dp_buf_reset(&b);
	r.first_now = false;
	dp_json_line(&b, &r);
	assert_int_equal(b.len, 0);
	r.mig.outcome = DP_MIG_DONE;
	r.mig.last_ran = (struct dp_moment){ 3.5, 1e9 + 60.5, NAN };
	dp_json_final(&b, &r);
	fx_check_with(FX_VALIDATE, &b);
	assert_non_null(
		strstr(b.data, "\"last_ran\":{\"t_s\":3.5,\"time_s\":1000000060.5,\"monotonic_s\":null}"));
	dp_buf_reset(&b);
	dp_text_final(&b, &r);
	fx_check_text(&b);
	unwrap(&b);
	assert_non_null(strstr(b.data, "first ran here at 01:46:40.125000 UTC"));
	assert_non_null(strstr(b.data, "last ran here at 01:47:40.500000 UTC"));
	dp_buf_reset(&b);
	r.logging = r.ever_logged = false; /* as on the destination */
	dp_text_final(&b, &r);
	unwrap(&b);
	assert_non_null(strstr(b.data, "first ran here at 01:46:40.125000 UTC"));
	dp_buf_free(&b);
}

static void says_what_it_waits_for(void **state)
{
	struct dp_buf b = { 0 };
	struct dp_report r;

	fx_report(&r);
	r.logging = r.ever_logged = r.known = r.predicted = false;
	r.pred.verdict = DP_UNKNOWN;
	dp_text_header(&b, &r);
	assert_non_null(strstr(b.data, "--start"));
	assert_non_null(strstr(b.data, "dirty-bitmap"));
	dp_buf_reset(&b);
	dp_text_final(&b, &r);
	assert_non_null(strstr(b.data, "nothing was measured"));
	assert_null(strstr(b.data, "Verdict"));
	fx_check_text(&b);
	dp_buf_free(&b);
}

static void all_words(void **state)
{
	static const enum dp_verdict verdict[] = { DP_UNKNOWN, DP_CONVERGES, DP_BORDERLINE, DP_NEVER };
	struct dp_buf b = { 0 };
	struct dp_report r;
	unsigned int i, k;

	fx_report(&r);
	fill_migration(&r);
	for (i = 0; i < 4; i++) {
		for (k = 0; k < DP_NOTE_KINDS; k++) {
			r.pred.verdict = verdict[i];
			r.pred.floor.mid = k & 1 ? 0.1 : 0.5;
			r.nnotes = 1;
			r.note[0] = (struct dp_note){ (enum dp_note_kind)k, 1234.5, 2345.6 };
			dp_buf_reset(&b);
			dp_text_verdict(&b, &r);
			dp_text_notes(&b, &r);
			fx_check_text(&b);
			/* each has words of its own: a verdict and one more paragraph */
			assert_true(strlen(strchr(b.data, '\n')) > 10);
			assert_non_null(dp_note_name((enum dp_note_kind)k));
		}
	}
	dp_buf_free(&b);
}

static void json_is_valid(void **state)
{
	struct dp_buf b = { 0 };
	struct dp_report r;

	fx_report(&r);
	dp_json_header(&b, &r);
	fill_migration(&r);
	strcpy(r.vm.name, "a\"b\\c\xc3\xa9");
	r.kind = DP_REPORT_INTERVAL;
	dp_json_line(&b, &r);
	assert_null(strstr(b.data, "\"round\":["));
	dp_json_final(&b, &r);
	assert_non_null(
		strstr(b.data,
		       "\"rounds\":3,\"round\":[{\"pages\":131072,\"seconds\":4.5,\"dirtied\":2570}"));
	r.nnotes = DP_NOTE_KINDS;
	for (unsigned int k = 0; k < DP_NOTE_KINDS; k++)
		r.note[k] = (struct dp_note){ (enum dp_note_kind)k, HUGE_VAL, NAN };
	r.mig.outcome = DP_MIG_DONE;
	r.assumed = 63;
	r.vm.blind = 15;
	dp_json_final(&b, &r);
	assert_false(b.failed);
	fx_check_with(FX_VALIDATE, &b);
	dp_buf_free(&b);
}

/* The validator must be able to fail. */
static void json_validator_works(void **state)
{
	struct dp_buf b = { 0 };
	struct dp_report r;
	char *p;
	int rc;

	fx_report(&r);
	dp_json_header(&b, &r);
	p = strstr(b.data, "\"vcpus\"");
	assert_non_null(p);
	p[1] = 'V';
	rc = fx_pipe(FX_VALIDATE " >/dev/null", b.data, b.len);
	if (rc == -1)
		skip();
	assert_int_equal(rc, 1);
	dp_buf_free(&b);
}

static void buffers(void **state)
{
	struct dp_buf b = { 0 };
	int i;

	for (i = 0; i < 1000; i++)
		dp_buf_printf(&b, "%d,", i);
	/* 10 of one digit, 90 of two, 900 of three, and 1000 commas */
	assert_int_equal(b.len, 10 + 180 + 2700 + 1000);
	assert_int_equal(strlen(b.data), b.len);
	dp_buf_append(&b, "x", SIZE_MAX / 2);
	assert_true(b.failed);
	dp_buf_printf(&b, "more");
	assert_int_equal(b.len, 3890);
	dp_buf_free(&b);
	assert_null(b.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(number_formats),
		cmocka_unit_test(wrapping),
		cmocka_unit_test(final_layout),
		cmocka_unit_test(line_layout),
		cmocka_unit_test(truth_beside_prediction),
		cmocka_unit_test(says_that_granules_differ),
		cmocka_unit_test(says_when_it_ran),
		cmocka_unit_test(says_what_it_waits_for),
		cmocka_unit_test(all_words),
		cmocka_unit_test(json_is_valid),
		cmocka_unit_test(json_validator_works),
		cmocka_unit_test(buffers),
	};

	return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
