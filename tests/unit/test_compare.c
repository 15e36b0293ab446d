// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which differences exceed the noise. Expected values are worked out beside each check. */
#include "report_fixture.h"
#include "report/compare.h"

#define close_to(a, b) assert_true(fabs((a) - (b)) <= 1e-9 * fmax(1, fabs((double)(b))))

static struct dp_difference differ(struct dp_est a, struct dp_est b)
{
	struct dp_difference d = { .unit = "s", .a = a, .b = b };

	dp_differ(&d);
	return d;
}

static void errors_add_as_squares(void **state)
{
	/* half-widths: A 3 below and 4 above, B 3 below and 12 above: 5 = root(3^2 + 4^2) below, root(12^2 + 3^2) above */
	struct dp_difference d = differ(fx_est(97, 100, 104), fx_est(117, 120, 132));

	close_to(d.diff.mid, 20);
	close_to(d.diff.lo, 15);
	close_to(d.diff.hi, 20 + sqrt(153));
	close_to(d.ratio, 1.2);
	assert_int_equal(d.differs, DP_DIFFERS_YES); /* 20 > 2 * 5 */
	/* 10 is not more than twice 5, 10.1 is */
	assert_int_equal(differ(fx_est(97, 100, 104), fx_est(107, 110, 122)).differs, DP_DIFFERS_NO);
	assert_int_equal(differ(fx_est(97, 100, 104), fx_est(107.1, 110.1, 122)).differs, DP_DIFFERS_YES);
	/* and downwards it is the other side that counts: 2 * root(153) = 24.7 */
	assert_int_equal(differ(fx_est(97, 100, 104), fx_est(72, 75, 87)).differs, DP_DIFFERS_YES);
	assert_int_equal(differ(fx_est(97, 100, 104), fx_est(73, 76, 88)).differs, DP_DIFFERS_NO);
}

static void no_noise_and_no_difference(void **state)
{
	assert_int_equal(differ(fx_est(5, 5, 5), fx_est(5, 5, 5)).differs, DP_DIFFERS_NO);
	assert_int_equal(differ(fx_est(5, 5, 5), fx_est(6, 6, 6)).differs, DP_DIFFERS_YES);
	assert_true(isnan(differ(fx_est(0, 0, 0), fx_est(6, 6, 6)).ratio));
}

static void what_never_comes_true(void **state)
{
	const struct dp_est never = { HUGE_VAL, HUGE_VAL, HUGE_VAL };
	struct dp_difference d = differ(fx_est(9, 10, 11), never);

	assert_true(isnan(d.diff.mid) && isnan(d.ratio));
	assert_int_equal(d.differs, DP_DIFFERS_YES);
	assert_int_equal(differ(never, fx_est(9, 10, 11)).differs, DP_DIFFERS_YES);
	assert_int_equal(differ(never, never).differs, DP_DIFFERS_NO);
	/* one that perhaps never comes true may be the same as one that never does */
	assert_int_equal(differ(never, fx_est(9, 10, HUGE_VAL)).differs, DP_DIFFERS_NO);
	assert_int_equal(differ(fx_est(9, HUGE_VAL, HUGE_VAL), fx_est(8, 9, 10)).differs, DP_DIFFERS_NO);
	/* no upper end: twice an endless half-width is never exceeded upwards, but downwards it can be */
	assert_int_equal(differ(fx_est(9, 10, 11), fx_est(20, 20, HUGE_VAL)).differs, DP_DIFFERS_YES);
	assert_int_equal(differ(fx_est(20, 20, HUGE_VAL), fx_est(29, 30, 31)).differs, DP_DIFFERS_NO);
}

static void what_is_not_known(void **state)
{
	const struct dp_est none = { NAN, NAN, NAN };
	struct dp_difference d = differ(fx_est(NAN, 10, NAN), fx_est(NAN, 15, NAN));

	assert_int_equal(differ(none, fx_est(1, 2, 3)).differs, DP_DIFFERS_UNKNOWN);
	/* measured once each: a difference, but nobody knows its error */
	close_to(d.diff.mid, 5);
	assert_true(isnan(d.diff.lo) && isnan(d.diff.hi));
	assert_int_equal(d.differs, DP_DIFFERS_UNKNOWN);
}

static const struct dp_difference *find(const struct dp_comparison *c, const char *name)
{
	uint32_t i;

	for (i = 0; i < c->n; i++)
		if (!strcmp(c->row[i].name, name))
			return &c->row[i];
	fail_msg("no row \"%s\"", name);
	return NULL;
}

/* Two reports of the fixture: B dirties half as much again, and its migration took a second longer. */
static void runs(struct dp_run *a, struct dp_run *b)
{
	unsigned int i, size;

	fx_report(&a->report);
	fx_report(&b->report);
	strcpy(a->label, "a.trace");
	strcpy(b->label, "b.trace");
	for (size = 0; size < DP_SIZES; size++) {
		for (i = 0; i < DP_CURVE_POINTS; i++) {
			struct dp_est *u = &b->report.u[size][i];

			*u = fx_est(1.5 * u->lo, 1.5 * u->mid, 1.5 * u->hi);
		}
	}
	for (i = 0; i < 2; i++) {
		struct dp_migration *m = i ? &b->report.mig : &a->report.mig;

		m->outcome = DP_MIG_DONE;
		m->total = 10 + i;
		m->downtime = 0.2;
		m->rounds = 3;
		m->before_known = true;
		m->before_total = fx_est(9.7, 10, 10.4);
		m->before_downtime = fx_est(0.19, 0.2, 0.21);
	}
}

static void whole_runs(void **state)
{
	struct dp_run *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));
	struct dp_comparison c;
	struct dp_buf out = { 0 };
	const struct dp_difference *d;

	assert_true(a && b);
	runs(a, b);
	dp_compare(&c, a, b);
	/* 10 +- 1 MiB and 15 +- 1.5 MiB: 5 is more than twice root(1 + 2.25) = 3.6 */
	d = find(&c, "dirtied in 1.00 s");
	close_to(d->diff.mid, 5 * MIB);
	close_to(d->diff.lo, (5 - sqrt(3.25)) * MIB);
	assert_int_equal(d->differs, DP_DIFFERS_YES);
	assert_int_equal(find(&c, "dirty rate")->differs, DP_DIFFERS_NO);
	/* 10 s were not seen by either */
	assert_true(c.n < DP_COMPARE_ROWS);
	/* a second longer; the errors are those of the predictions before: root(0.3^2 + 0.4^2) = 0.5, and 1 is not more than twice that */
	d = find(&c, "total");
	close_to(d->diff.lo, 0.5);
	assert_int_equal(d->differs, DP_DIFFERS_NO);
	assert_int_equal(find(&c, "rounds")->differs, DP_DIFFERS_UNKNOWN);
	dp_text_compare(&out, &c);
	fx_check_text(&out);
	assert_non_null(
		strstr(out.data,
		       "*dirtied in 1.00 s     10.0 MiB   15.0 MiB   +5.00 MiB     +3.20 MiB..+6.80 MiB\n"));
	assert_null(strstr(out.data, "dirtied in 10.0 s"));
	dp_buf_reset(&out);
	dp_json_compare(&out, &c);
	assert_non_null(strstr(out.data, "\"what\":\"dirtied in 1.00 s\",\"unit\":\"bytes\""));
	fx_check_with(FX_VALIDATE, &out);
	dp_buf_free(&out);
	free(a);
	free(b);
}

static void signs(void **state)
{
	char b[64];

	assert_string_equal(dp_fmt_signed(b, sizeof(b), -1.5, dp_fmt_time), "-1.50 s");
	assert_string_equal(dp_fmt_signed(b, sizeof(b), 1.5, dp_fmt_time), "+1.50 s");
	assert_string_equal(dp_fmt_signed(b, sizeof(b), 0, dp_fmt_time), "0 s");
	assert_string_equal(dp_fmt_signed(b, sizeof(b), -3, dp_fmt_count), "-3");
	assert_string_equal(dp_fmt_signed(b, sizeof(b), NAN, dp_fmt_bytes), "-");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_add_as_squares),
		cmocka_unit_test(no_noise_and_no_difference),
		cmocka_unit_test(what_never_comes_true),
		cmocka_unit_test(what_is_not_known),
		cmocka_unit_test(whole_runs),
		cmocka_unit_test(signs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
