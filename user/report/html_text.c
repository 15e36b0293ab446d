// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Text and values of the HTML page. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "html_int.h"
#include "json_int.h"

void dp_h_esc(struct dp_buf *b, const char *s)
{
	static const char special[] = "&<>\"'";
	static const char *const as[] = { "&amp;", "&lt;", "&gt;", "&quot;", "&#39;" };

	while (*s) {
		size_t n = strcspn(s, special);

		dp_buf_append(b, s, n);
		s += n;
		if (*s)
			dp_buf_printf(b, "%s", as[strchr(special, *s++) - special]);
	}
}

void dp_h_printf_esc(struct dp_buf *b, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	dp_h_esc(b, text);
}

/* The texts of the other forms are ASCII. */
static void nicer(struct dp_buf *b, const char *s)
{
	size_t n = strlen(s);

	if (!strcmp(s, "-"))
		dp_buf_printf(b, "–");
	else if (n > 3 && !strcmp(s + n - 3, " us"))
		dp_buf_printf(b, "%.*s µs", (int)(n - 3), s);
	else
		dp_h_esc(b, s);
}

void dp_h_value(struct dp_buf *b, const char *key, double v, dp_fmt_fn fmt)
{
	char text[FMT], exact[DP_NUM] = "";

	if (isfinite(v))
		dp_fmt_double(exact, sizeof(exact), v);
	dp_buf_printf(b, "<data value=\"%s\"", exact);
	if (key)
		dp_buf_printf(b, " data-k=\"%s\"", key);
	dp_buf_printf(b, ">");
	nicer(b, fmt(text, sizeof(text), v));
	dp_buf_printf(b, "</data>");
}

void dp_h_est(struct dp_buf *b, const char *key, struct dp_est e, dp_fmt_fn fmt)
{
	char lo[FMT], mid[FMT], hi[FMT], path[96];

	fmt(lo, sizeof(lo), e.lo);
	fmt(mid, sizeof(mid), e.mid);
	fmt(hi, sizeof(hi), e.hi);
	snprintf(path, sizeof(path), "%s.mid", key ? key : "");
	dp_h_value(b, key ? path : NULL, e.mid, fmt);
	if ((!strcmp(lo, mid) && !strcmp(mid, hi)) || (isnan(e.lo) && isnan(e.hi)))
		return;
	/* of what has no upper end, "never" would say the opposite */
	if (isinf(e.hi) && isfinite(e.mid) && (fmt == dp_fmt_rate || fmt == dp_fmt_bytes)) {
		dp_buf_printf(b, " <span class=\"band-text\">");
		snprintf(path, sizeof(path), "%s.lo", key ? key : "");
		dp_h_value(b, key ? path : NULL, e.lo, fmt);
		dp_buf_printf(b, " or more</span>");
		return;
	}
	dp_buf_printf(b, " <span class=\"band-text\">");
	snprintf(path, sizeof(path), "%s.lo", key ? key : "");
	dp_h_value(b, key ? path : NULL, e.lo, fmt);
	dp_buf_printf(b, " to ");
	snprintf(path, sizeof(path), "%s.hi", key ? key : "");
	dp_h_value(b, key ? path : NULL, e.hi, fmt);
	dp_buf_printf(b, "</span>");
}

void dp_h_cell(struct dp_buf *b, const char *key, double v, dp_fmt_fn fmt)
{
	dp_buf_printf(b, "<td>");
	dp_h_value(b, key, v, fmt);
	dp_buf_printf(b, "</td>");
}

void dp_h_cell_est(struct dp_buf *b, const char *key, struct dp_est e, dp_fmt_fn fmt)
{
	dp_buf_printf(b, "<td>");
	dp_h_est(b, key, e, fmt);
	dp_buf_printf(b, "</td>");
}

/* The civil date of a day: years begin in March, so that a leap day is the last of its year; eras of 400 years repeat. */
char *dp_fmt_utc(char *buf, size_t size, double wall_s)
{
	long long s = (long long)fmax(0, fmin(wall_s, 253402300799.0)), z = s / 86400 + 719468;
	long long era = z / 146097, doe = z % 146097;
	long long yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	long long doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
	long long month = mp < 10 ? mp + 3 : mp - 9;

	if (!isfinite(wall_s))
		snprintf(buf, size, "-");
	else
		snprintf(buf, size, "%04lld-%02lld-%02lld %02lld:%02lld:%02lld UTC",
			 yoe + era * 400 + (month <= 2), month, doy - (153 * mp + 2) / 5 + 1, s / 3600 % 24,
			 s / 60 % 60, s % 60);
	return buf;
}
