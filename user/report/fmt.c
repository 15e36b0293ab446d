// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Numbers for people: three significant digits and a unit. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "text_int.h"

/* false: not a number that can be shown; then buf says what it is instead. */
static bool showable(char *buf, size_t size, double v)
{
	if (isfinite(v))
		return true;
	snprintf(buf, size, "%s", isnan(v) ? "-" : "never");
	return false;
}

/* v, which is below 10000, with three significant digits where it has a fraction. */
static char *three(char *buf, size_t size, double v, const char *unit)
{
	int digits = fabs(v) < 9.995 ? 2 : fabs(v) < 99.95 ? 1 : 0;

	if (v == 0)
		digits = 0;
	snprintf(buf, size, "%.*f %s", digits, v, unit);
	return buf;
}

static char *prefixed(char *buf, size_t size, double v, double base, double turn, const char *const *unit)
{
	if (!showable(buf, size, v))
		return buf;
	for (; fabs(v) >= turn && unit[1]; unit++)
		v /= base;
	if (fabs(v) >= 1e5) /* beyond the last unit */
		snprintf(buf, size, "%.2e %s", v, *unit);
	else
		three(buf, size, v, *unit);
	return buf;
}

char *dp_fmt_bytes(char *buf, size_t size, double bytes)
{
	static const char *const unit[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", NULL };

	return prefixed(buf, size, bytes, 1024, 1023.5, unit);
}

char *dp_fmt_page(char *buf, size_t size, uint32_t bytes)
{
	static const char *const unit[] = { "B", "KiB", "MiB", "GiB" };
	unsigned int i = 0;

	for (; bytes && !(bytes % 1024) && i < 3; i++)
		bytes /= 1024;
	if (bytes)
		snprintf(buf, size, "%u %s", bytes, unit[i]);
	else
		snprintf(buf, size, "not known");
	return buf;
}

char *dp_fmt_bits(char *buf, size_t size, double bytes_per_s)
{
	static const char *const unit[] = { "b/s", "kb/s", "Mb/s", "Gb/s", "Tb/s", "Pb/s", NULL };

	return prefixed(buf, size, bytes_per_s * 8, 1000, 999.5, unit);
}

char *dp_fmt_time(char *buf, size_t size, double s)
{
	if (!showable(buf, size, s))
		return buf;
	if (s == 0)
		snprintf(buf, size, "0 s");
	else if (fabs(s) < 0.9995e-3)
		three(buf, size, s * 1e6, "us");
	else if (fabs(s) < 0.9995)
		three(buf, size, s * 1e3, "ms");
	else if (fabs(s) < 999.5)
		three(buf, size, s, "s");
	else if (fabs(s) < 99.95 * 60)
		three(buf, size, s / 60, "min");
	else if (fabs(s) < 999.5 * 3600)
		three(buf, size, s / 3600, "h");
	else if (fabs(s) < 1e5 * 86400)
		three(buf, size, s / 86400, "d");
	else
		snprintf(buf, size, "%.2e d", s / 86400);
	return buf;
}

char *dp_fmt_clock(char *buf, size_t size, double wall)
{
	unsigned long long us;

	if (!(wall >= 0 && wall < 1e12)) {
		snprintf(buf, size, "-");
		return buf;
	}
	us = (unsigned long long)llround(wall * 1e6) % (86400ull * 1000000);
	snprintf(buf, size, "%02llu:%02llu:%02llu.%06llu UTC", us / 3600000000ull, us / 60000000 % 60,
		 us / 1000000 % 60, us % 1000000);
	return buf;
}

char *dp_fmt_count(char *buf, size_t size, double n)
{
	unsigned long long v;

	if (!showable(buf, size, n))
		return buf;
	v = (unsigned long long)fmin(9999999, fmax(0, round(n)));
	if (n >= 9999999.5e12)
		snprintf(buf, size, "%.2e", n);
	else if (n >= 9999999.5e9)
		snprintf(buf, size, "%.1fT", n / 1e12);
	else if (n >= 9999999.5e6 / 10)
		snprintf(buf, size, "%.1fG", n / 1e9);
	else if (n >= 9999999.5)
		snprintf(buf, size, "%.1fM", n / 1e6);
	else if (v >= 1000000)
		snprintf(buf, size, "%llu,%03llu,%03llu", v / 1000000, v / 1000 % 1000, v % 1000);
	else if (v >= 1000)
		snprintf(buf, size, "%llu,%03llu", v / 1000, v % 1000);
	else
		snprintf(buf, size, "%llu", v);
	return buf;
}

char *dp_fmt_est(char *buf, struct dp_est e, dp_fmt_fn fmt)
{
	char lo[FMT], mid[FMT], hi[FMT];

	fmt(lo, sizeof(lo), e.lo);
	fmt(mid, sizeof(mid), e.mid);
	fmt(hi, sizeof(hi), e.hi);
	if (!strcmp(lo, mid) && !strcmp(mid, hi))
		snprintf(buf, FMT_EST, "%.*s", FMT, mid);
	else
		snprintf(buf, FMT_EST, "%.*s (%.*s to %.*s)", FMT, mid, FMT / 2, lo, FMT / 2, hi);
	return buf;
}

/* Bytes of s that fit into room without cutting a UTF-8 sequence; at least one sequence. */
static size_t fitting(const char *s, size_t len, size_t room)
{
	size_t n = len < room ? len : room;

	if (n == len)
		return n;
	while (n && ((unsigned char)s[n] & 0xc0) == 0x80)
		n--;
	if (n)
		return n;
	for (n = 1; n < len && ((unsigned char)s[n] & 0xc0) == 0x80; n++)
		;
	return n;
}

static void break_line(struct dp_buf *b, unsigned int indent, size_t *col)
{
	dp_buf_printf(b, "\n%*s", (int)indent, "");
	*col = indent;
}

static void wrap_word(struct dp_buf *b, const char *word, size_t len, unsigned int indent, size_t *col,
		      bool first)
{
	if (!first && *col + 1 + len > DP_TEXT_WIDTH) {
		break_line(b, indent, col);
	} else if (!first) {
		dp_buf_append(b, " ", 1);
		(*col)++;
	}
	for (;;) {
		size_t n = fitting(word, len, DP_TEXT_WIDTH - *col);

		dp_buf_append(b, word, n);
		*col += n;
		word += n;
		len -= n;
		if (!len)
			return;
		break_line(b, indent, col);
	}
}

void dp_text_wrap(struct dp_buf *b, unsigned int indent, const char *fmt, ...)
{
	char text[2048];
	const char *p;
	size_t col, lead;
	bool first = true;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	lead = strspn(text, " ");
	dp_buf_append(b, text, lead);
	col = lead;
	for (p = text + lead; *p; p += strspn(p, " ")) {
		size_t len = strcspn(p, " ");

		wrap_word(b, p, len, indent, &col, first);
		first = false;
		p += len;
	}
	dp_buf_append(b, "\n", 1);
}

void dp_text_row(struct dp_buf *b, const char *fmt, ...)
{
	char line[DP_TEXT_WIDTH + 1];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n > 0)
		dp_buf_append(b, line, strlen(line));
	dp_buf_append(b, "\n", 1);
}
