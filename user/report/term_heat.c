// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The heatmap: guest-physical memory from left to right, time downwards. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "dirtyprof/term.h"
#include "text_int.h"

#define TIME_COLUMNS  7 /* "%6s " */
#define PAGES_COLUMNS 8 /* " %7s" */
#define RATE_COLUMNS  11

/* How a width is used: so many cells of so many parts and columns each. */
struct grid {
	unsigned int cells, parts, columns;
	bool pages, rate;
};

static struct grid grid_of(const struct dp_look *k)
{
	unsigned int width = (k->width > DP_TERM_LEAST ? k->width : DP_TERM_LEAST) - 1;
	unsigned int room = width - TIME_COLUMNS - PAGES_COLUMNS;
	struct grid g = { .parts = 1, .columns = 1, .pages = true };

	if (room < 4) {
		g.pages = false;
		room += PAGES_COLUMNS;
	}
	while (DP_HEAT_BINS / g.parts > room)
		g.parts *= 2;
	g.cells = DP_HEAT_BINS / g.parts;
	if (g.parts == 1)
		g.columns = room / DP_HEAT_BINS;
	g.rate = g.pages && room - g.cells * g.columns >= RATE_COLUMNS;
	return g;
}

/* An empty cell, and by how much of its RAM was written: the last is half or more, each before it down to half of that. */
static const char *const ascii[] = { " ", ".", ":", "-", "=", "+", "*", "#", "%", "@" };
static const char *const blocks[] = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
#define ASCII_LEVELS 9
#define BLOCK_LEVELS 8

static unsigned int levels(const struct dp_look *k)
{
	return k->utf8 ? BLOCK_LEVELS : ASCII_LEVELS;
}

static const char *glyph(const struct dp_look *k, unsigned int level)
{
	return k->utf8 ? blocks[level] : ascii[level];
}

static unsigned int level_of(const struct dp_look *k, uint64_t pages, uint64_t ram)
{
	unsigned int level = levels(k), halves = 1;

	if (!pages)
		return 0;
	for (; level > 1 && pages << halves < ram; level--)
		halves++;
	return level;
}

/* From cold to hot; readable on light and on dark ground. */
static const unsigned char ramp256[] = { 0, 61, 62, 97, 133, 169, 204, 209, 208, 202 };
static const unsigned char ramp8[] = { 0, 4, 4, 6, 6, 2, 3, 3, 1, 1 };

static unsigned int colour_of(const struct dp_look *k, unsigned int level)
{
	unsigned int i = level ? level + ASCII_LEVELS - levels(k) : 0;

	return k->colours == DP_COLOURS_256 ? ramp256[i] : k->colours == DP_COLOURS_8 ? ramp8[i] : 0;
}

static void set_colour(struct dp_buf *b, const struct dp_look *k, unsigned int colour)
{
	if (!colour)
		dp_buf_printf(b, "\033[0m");
	else if (k->colours == DP_COLOURS_256)
		dp_buf_printf(b, "\033[38;5;%um", colour);
	else
		dp_buf_printf(b, "\033[3%um", colour);
}

void dp_heat_row_of(const struct dp_report *r, struct dp_heat_row *out)
{
	unsigned int i;

	out->t = r->t;
	out->pages = r->logged > 0 ? (double)r->new_blocks[DP_4K] : NAN;
	out->rate = r->rate[DP_4K].mid;
	for (i = 0; i < DP_HEAT_BINS; i++) {
		out->heat[i] = r->heat[i];
		out->ram[i] = r->heat_range[i].pages;
	}
}

/* A count in seven columns: "25,344", "12.3M". */
static char *fmt_short(char *buf, size_t size, double n)
{
	const char *unit = "MGT";

	if (isnan(n))
		snprintf(buf, size, "-");
	else if (n < 999999.5)
		dp_fmt_count(buf, size, n);
	else {
		for (n /= 1e6; n >= 999.5 && unit[1]; unit++)
			n /= 1000;
		snprintf(buf, size, "%.3g%c", n, *unit);
	}
	return buf;
}

void dp_term_heat_row(struct dp_buf *b, const struct dp_heat_row *h, const struct dp_look *k)
{
	struct grid g = grid_of(k);
	char t[FMT], n[FMT], rate[FMT];
	unsigned int i, j, level, colour, now = 0;

	snprintf(t, sizeof(t), "%.1f", h->t);
	dp_buf_printf(b, "%6s ", t);
	for (i = 0; i < g.cells; i++) {
		uint64_t pages = 0, ram = 0;

		for (j = i * g.parts; j < (i + 1) * g.parts; j++) {
			pages += h->heat[j];
			ram += h->ram[j];
		}
		level = level_of(k, pages, ram);
		colour = colour_of(k, level);
		if (level && colour != now) {
			set_colour(b, k, colour);
			now = colour;
		}
		for (j = 0; j < g.columns; j++)
			dp_buf_printf(b, "%s", glyph(k, level));
	}
	if (now)
		set_colour(b, k, 0);
	if (g.pages)
		dp_buf_printf(b, " %7s", fmt_short(n, sizeof(n), h->pages));
	if (g.rate)
		dp_buf_printf(b, " %8.8s%s", dp_fmt_bytes(rate, sizeof(rate), h->rate),
			      isnan(h->rate) ? "" : "/s");
	dp_buf_printf(b, "\n");
}

/* "0", "512M", "3.25G" */
static void fmt_address(char *buf, size_t size, uint64_t gfn)
{
	static const char unit[] = "KMGTP";
	double v = (double)gfn * (DP_WIRE_UNIT / 1024);
	const char *u = unit;

	for (; v >= 1024 && u[1]; u++)
		v /= 1024;
	if (v > 0)
		snprintf(buf, size, "%.4g%c", v, *u);
	else
		snprintf(buf, size, "0");
}

void dp_term_heat_axis(struct dp_buf *b, const struct dp_report *r, const struct dp_look *k)
{
	struct grid g = grid_of(k);
	unsigned int step = g.cells >= 32 ? g.cells / 4 : g.cells, i, used = 0, columns = g.cells * g.columns;
	char label[FMT];

	dp_buf_printf(b, "%6s ", "TIME s");
	for (i = 0; i < g.cells; i += step) {
		dp_buf_printf(b, "%*s", (int)(i * g.columns - used), "");
		fmt_address(label, sizeof(label), r->heat_range[i * g.parts].lo);
		label[step * g.columns < FMT ? step * g.columns - 1 : FMT - 1] = '\0';
		dp_buf_printf(b, "%s", label);
		used = i * g.columns + (unsigned int)strlen(label);
	}
	dp_buf_printf(b, "%*s", (int)(used < columns ? columns - used : 0), "");
	if (g.pages)
		dp_buf_printf(b, " %7s", "NEW 4K");
	if (g.rate)
		dp_buf_printf(b, " %10s", "RATE/s");
	dp_buf_printf(b, "\n");
}

void dp_term_heat_intro(struct dp_buf *b, const struct dp_report *r, const struct dp_look *k)
{
	struct grid g = grid_of(k);
	unsigned int i, n = levels(k);
	struct dp_buf scale = { 0 };
	uint64_t pages = 0;
	char bytes[FMT];

	for (i = 0; i < DP_HEAT_BINS; i++)
		pages += r->heat_range[i].pages;
	for (i = 1; i <= n; i++)
		dp_buf_printf(&scale, "%s%s", i > 1 ? " " : "", glyph(k, i));
	dp_text_wrap(
		b, 2,
		"From left to right: RAM in %u cells of %s, by guest-physical address; an interval a line. A cell's pages "
		"that were first written since they were re-armed:",
		g.cells, dp_fmt_bytes(bytes, sizeof(bytes), (double)pages * DP_WIRE_UNIT / g.cells));
	dp_buf_printf(b, "  %s  up to %.2g %%; each twice the last; half or more\n",
		      scale.data ? scale.data : "", 100.0 / (1u << (n - 1)));
	b->failed |= scale.failed;
	dp_buf_free(&scale);
}
