// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What contents say of the log: the part of the text report on sampled granules. */
#include <math.h>
#include <stdio.h>

#include "text_int.h"

char *dp_fmt_times(char *buf, size_t size, double v)
{
	if (isfinite(v))
		snprintf(buf, size, v < 9.995 ? "%.2fx" : v < 99.95 ? "%.1fx" : "%.0fx", v);
	else
		snprintf(buf, size, "-");
	return buf;
}

char *dp_fmt_share(char *buf, size_t size, double v)
{
	double p = v * 100;

	if (isfinite(p))
		snprintf(buf, size, "%.*f %%",
			 p == 0 || p >= 99.95 ? 0
			 : p >= 9.995	      ? 1
			 : p >= 0.9995	      ? 2
					      : 4,
			 p);
	else
		snprintf(buf, size, "-");
	return buf;
}

void dp_text_est(struct dp_buf *b, const char *name, struct dp_est e, dp_fmt_fn fmt)
{
	char v[FMT_EST];

	dp_text_row(b, "  %-21s %s", name, dp_fmt_est(v, e, fmt));
}

char *dp_fmt_rate(char *buf, size_t size, double v)
{
	char n[FMT];

	dp_fmt_bytes(n, sizeof(n), v);
	snprintf(buf, size, isfinite(v) ? "%s/s" : "%s", n);
	return buf;
}

/* 4K pages: few of them have a fraction. */
static char *fmt_pages(char *buf, size_t size, double v)
{
	if (isfinite(v) && v < 99.95)
		snprintf(buf, size, "%.1f", v);
	else
		dp_fmt_count(buf, size, v);
	return buf;
}

void dp_text_change(struct dp_buf *b, const struct dp_report *r)
{
	const struct dp_change_report *c = &r->change;
	char n[FMT], unit[FMT], k[FMT], t[FMT], rate[FMT], most[FMT], bad[64] = "";
	double pages = c->unit / (double)DP_WIRE_UNIT;

	if (!c->on)
		return;
	if (isnan(c->share.mid)) {
		dp_buf_append(b, "\n", 1);
		dp_text_wrap(b, 2, "Contents: nothing was compared; it takes two syncs of the log.");
		return;
	}
	dp_buf_printf(b, "\nReally changed, by contents from sync to sync (10-90 %% in brackets)\n");
	dp_text_est(b, "of what was reported", c->share, dp_fmt_share);
	if (pages > 1)
		dp_text_est(b, "4K pages a granule",
			    (struct dp_est){ c->share.lo * pages, c->share.mid * pages, c->share.hi * pages },
			    fmt_pages);
	dp_text_est(b, "real dirty rate", c->rate, dp_fmt_rate);
	dp_text_est(b, "resent", c->resent, dp_fmt_times);
	if (c->failed)
		snprintf(bad, sizeof(bad), " %s could not be read.",
			 dp_fmt_count(n, sizeof(n), (double)c->failed));
	dp_text_wrap(
		b, 2,
		"Compared %s granules of %s in %s windows of %s; read %s/s of at most %s/s.%s A page that "
		"was written with what it held, or changed back, has not changed.",
		dp_fmt_count(n, sizeof(n), (double)c->compared), dp_fmt_page(unit, sizeof(unit), c->unit),
		dp_fmt_count(k, sizeof(k), (double)c->windows), dp_fmt_time(t, sizeof(t), c->window),
		dp_fmt_bytes(rate, sizeof(rate), c->read_bps), dp_fmt_bytes(most, sizeof(most), c->limit_bps),
		bad);
}
