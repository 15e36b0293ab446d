// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Two runs' differences, for people and as JSON. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "compare.h"
#include "json_int.h"
#include "text_int.h"

dp_value_fmt dp_difference_fmt(const struct dp_difference *d)
{
	static const struct {
		const char *unit;
		dp_value_fmt fmt;
	} of[] = {
		{ "bytes", dp_fmt_bytes }, { "bytes_per_s", dp_fmt_rate }, { "bits", dp_fmt_bits },
		{ "s", dp_fmt_time },	   { "ratio", dp_fmt_share },
	};
	size_t i;

	for (i = 0; i < sizeof(of) / sizeof(of[0]); i++)
		if (!strcmp(d->unit, of[i].unit))
			return of[i].fmt;
	return dp_fmt_count;
}

char *dp_fmt_signed(char *buf, size_t size, double v, dp_value_fmt fmt)
{
	char text[FMT - 2];

	fmt(text, sizeof(text), fabs(v));
	snprintf(buf, size, "%s%s", !isfinite(v) || v == 0 ? "" : v < 0 ? "-" : "+", text);
	return buf;
}

static void subject(struct dp_buf *b, char letter, const struct dp_run *run)
{
	const struct dp_report *r = &run->report;
	char ram[FMT], span[FMT], logged[FMT];

	dp_text_wrap(b, 3, "%c: %s: %s, PID %d, %s of RAM, watched for %s, %s of it logged; %s.", letter,
		     run->label, r->vm.name[0] ? r->vm.name : "VM", (int)r->vm.pid,
		     dp_fmt_bytes(ram, sizeof(ram), (double)r->vm.ram),
		     dp_fmt_time(span, sizeof(span), r->span), dp_fmt_time(logged, sizeof(logged), r->logged),
		     dp_compare_verdict(run));
}

static void row(struct dp_buf *b, const struct dp_difference *d)
{
	dp_value_fmt fmt = dp_difference_fmt(d);
	char a[FMT], c[FMT], diff[FMT], lo[FMT], hi[FMT], band[2 * FMT + 8] = "-";

	fmt(a, sizeof(a), d->a.mid);
	fmt(c, sizeof(c), d->b.mid);
	dp_fmt_signed(diff, sizeof(diff), d->diff.mid, fmt);
	if (isfinite(d->diff.lo) && isfinite(d->diff.hi))
		snprintf(band, sizeof(band), "%s..%s", dp_fmt_signed(lo, sizeof(lo), d->diff.lo, fmt),
			 dp_fmt_signed(hi, sizeof(hi), d->diff.hi, fmt));
	dp_text_row(b, "%s%-19s %10s %10s %11s %24s",
		    d->differs == DP_DIFFERS_YES  ? "*"
		    : d->differs == DP_DIFFERS_NO ? " "
						  : "?",
		    d->name, a, c, diff, band);
}

void dp_text_compare(struct dp_buf *b, const struct dp_comparison *c)
{
	uint32_t i;

	subject(b, 'A', c->a);
	subject(b, 'B', c->b);
	dp_buf_append(b, "\n", 1);
	dp_text_row(b, " %-19s %10s %10s %11s %24s", "", "A", "B", "B - A", "10-90 %");
	for (i = 0; i < c->n; i++)
		row(b, &c->row[i]);
	dp_buf_append(b, "\n", 1);
	if (!c->n)
		dp_text_wrap(b, 2, "Nothing is known of both.");
	else
		dp_text_wrap(
			b, 2,
			"%u of %u exceed the noise (*): 0 is outside of twice the difference's 10-90 %% band, "
			"which one in a hundred is by chance. ?: not known of both, or without an error.",
			c->differ, c->n);
}

static void json_subject(struct dp_jw in, const char *key, const struct dp_run *run)
{
	struct dp_jw w = dp_jw_object(in, key);
	const struct dp_report *r = &run->report;

	dp_jw_str(w, "label", run->label);
	dp_jw_num(w, "pid", r->vm.pid);
	dp_jw_str(w, "name", r->vm.name);
	dp_jw_num(w, "time_s", r->wall_us ? (double)r->wall_us / 1e6 : NAN);
	dp_jw_num(w, "span_s", r->span);
	dp_jw_num(w, "logged_s", r->logged);
	dp_jw_count(w, "ram_bytes", r->vm.ram);
	dp_jw_str(w, "verdict", dp_compare_verdict(run));
}

static void json_rows(struct dp_jw w, const struct dp_comparison *c)
{
	struct json_object *a = dp_jw_array(w, "differences");
	uint32_t i;

	for (i = 0; a && i < c->n; i++) {
		const struct dp_difference *d = &c->row[i];
		struct dp_jw o = dp_jw_item(w, a);

		dp_jw_str(o, "what", d->name);
		dp_jw_str(o, "unit", strcmp(d->unit, "bits") ? d->unit : "bytes_per_s");
		dp_jw_est(o, "a", d->a);
		dp_jw_est(o, "b", d->b);
		dp_jw_est(o, "difference", d->diff);
		dp_jw_num(o, "ratio", d->ratio);
		dp_jw_str(o, "exceeds_noise", dp_differs_name(d->differs));
	}
}

void dp_json_compare(struct dp_buf *b, const struct dp_comparison *c)
{
	bool failed;
	struct dp_jw w = dp_jw_record("compare", &failed);

	json_subject(w, "a", c->a);
	json_subject(w, "b", c->b);
	dp_jw_count(w, "exceed_noise", c->differ);
	json_rows(w, c);
	dp_jw_print(b, w);
	dp_buf_append(b, "\n", 1);
}
