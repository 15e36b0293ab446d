// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The curve as a picture of characters. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "dirtyprof/term.h"
#include "text_int.h"

#define LABEL	     9 /* columns left of the axis */
#define MOST_COLUMNS 96
#define MOST_ROWS    40
#define LEAST_RANGE  10. /* of y, top to bottom */
#define MOST_RANGE   1e6

enum mark { BLANK, BAND, PATH, BEYOND, MIDDLE, MARKS };

struct plot {
	unsigned int columns, rows;
	double t0, t1, top, bottom;
	unsigned char at[MOST_ROWS][MOST_COLUMNS];
};

static const char *const ascii[MARKS] = { " ", ":", "/", ".", "*" };
static const char *const drawn[MARKS] = { " ", "░", "╱", "·", "•" };
static const unsigned char colour[MARKS] = { 0, 0, 3, 6, 6 };

/* U(t) between the report's points, along a straight line over the logarithm of t. */
static struct dp_est eval(const struct dp_report *r, double t)
{
	unsigned int i = 0;
	double f;

	while (i + 2 < DP_CURVE_POINTS && r->u_t[i + 1] < t)
		i++;
	f = log(t / r->u_t[i]) / log(r->u_t[i + 1] / r->u_t[i]);
	f = fmin(1, fmax(0, f));
	return (struct dp_est){
		r->u[DP_4K][i].lo + f * (r->u[DP_4K][i + 1].lo - r->u[DP_4K][i].lo),
		r->u[DP_4K][i].mid + f * (r->u[DP_4K][i + 1].mid - r->u[DP_4K][i].mid),
		r->u[DP_4K][i].hi + f * (r->u[DP_4K][i + 1].hi - r->u[DP_4K][i].hi),
	};
}

static double time_at(const struct plot *p, unsigned int column)
{
	return p->t0 * pow(p->t1 / p->t0, (double)column / (p->columns - 1));
}

/* The row of a value, 0 at the top; below the bottom: rows. */
static int row_of(const struct plot *p, double v)
{
	double f = v > 0 ? log(p->top / v) / log(p->top / p->bottom) : 2;

	return (int)fmin(p->rows, fmax(-1, round(f * (p->rows - 1))));
}

/* To what is three times as long as what was seen, at least a second. */
static void choose_times(struct plot *p, const struct dp_report *r)
{
	unsigned int i = 1;

	while (i + 1 < DP_CURVE_POINTS && r->u_t[i] < fmax(1, 3 * r->reach[DP_4K]) * (1 - 1e-9))
		i++;
	p->t0 = r->u_t[0];
	p->t1 = r->u_t[i];
}

/* false: there is nothing above 0 to draw. */
static bool choose_values(struct plot *p, const struct dp_report *r)
{
	unsigned int c;

	p->top = 0;
	p->bottom = HUGE_VAL;
	for (c = 0; c < p->columns; c++) {
		struct dp_est u = eval(r, time_at(p, c));

		p->top = fmax(p->top, u.hi);
		if (u.mid > 0)
			p->bottom = fmin(p->bottom, u.mid);
	}
	if (!(p->top > 0) || !isfinite(p->top))
		return false;
	p->bottom = fmin(p->bottom, p->top / LEAST_RANGE);
	p->bottom = fmax(p->bottom, p->top / MOST_RANGE);
	return true;
}

static void put(struct plot *p, int row, unsigned int column, enum mark m)
{
	if (row >= 0 && row < (int)p->rows && p->at[row][column] < m)
		p->at[row][column] = (unsigned char)m;
}

static void draw(struct plot *p, const struct dp_report *r)
{
	double path = r->speeds.rounds.mid;
	unsigned int c;
	int row;

	memset(p->at, 0, sizeof(p->at));
	for (c = 0; c < p->columns; c++) {
		double t = time_at(p, c);
		struct dp_est u = eval(r, t);

		for (row = row_of(p, u.hi); row <= row_of(p, u.lo); row++)
			put(p, row, c, BAND);
		if (path > 0 && isfinite(path))
			put(p, row_of(p, path * t), c, PATH);
		put(p, row_of(p, u.mid), c, t > r->reach[DP_4K] * (1 + 1e-9) ? BEYOND : MIDDLE);
	}
}

/* "10 MiB" where the row is nearest to it, else "". */
static void label_of(const struct plot *p, int row, char *buf, size_t size)
{
	static const char *const unit[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double v;
	int i;

	buf[0] = '\0';
	for (i = 0; i < 18; i++) {
		v = pow(10, i % 3) * pow(1024, (int)(i / 3));
		if (v >= p->bottom * 0.999 && v <= p->top * 1.001 && row_of(p, v) == row)
			snprintf(buf, size, "%.0f %s", pow(10, i % 3), unit[i / 3]);
	}
}

static void print_mark(struct dp_buf *b, const struct dp_look *k, enum mark m, unsigned int *now)
{
	if (k->colours != DP_COLOURS_NONE && m != BLANK && colour[m] != *now) {
		dp_buf_printf(b, colour[m] ? "\033[3%um" : "\033[0m", colour[m]);
		*now = colour[m];
	}
	dp_buf_printf(b, "%s", (k->utf8 ? drawn : ascii)[m]);
}

static void print_rows(struct dp_buf *b, const struct plot *p, const struct dp_look *k)
{
	unsigned int row, c, end, now = 0;
	char label[FMT];

	for (row = 0; row < p->rows; row++) {
		label_of(p, (int)row, label, sizeof(label));
		dp_buf_printf(b, "%*s%s", LABEL, label,
			      k->utf8 ? (label[0] ? "┤" : "│") : (label[0] ? "+" : "|"));
		for (end = p->columns; end && p->at[row][end - 1] == BLANK; end--)
			;
		for (c = 0; c < end; c++)
			print_mark(b, k, p->at[row][c], &now);
		if (now)
			dp_buf_printf(b, "\033[0m");
		now = 0;
		dp_buf_printf(b, "\n");
	}
}

/* The decades of time below it. */
static void print_axis(struct dp_buf *b, const struct plot *p, const struct dp_look *k)
{
	static const char *const name[] = { "100 us", "1 ms", "10 ms", "100 ms", "1 s", "10 s", "100 s" };
	char tick[MOST_COLUMNS] = { 0 }, labels[MOST_COLUMNS + FMT];
	unsigned int i, c, len, used = 0;

	memset(labels, ' ', sizeof(labels));
	for (i = 0; i < sizeof(name) / sizeof(name[0]); i++) {
		double f = log(1e-4 * pow(10, i) / p->t0) / log(p->t1 / p->t0);

		if (f > 1 + 1e-9)
			break;
		c = (unsigned int)round(f * (p->columns - 1));
		len = (unsigned int)strlen(name[i]);
		tick[c] = 1;
		/* one that has no room is left out */
		if (c < used || c + len > p->columns)
			continue;
		memcpy(labels + c, name[i], len);
		used = c + len + 1;
	}
	labels[used ? used - 1 : 0] = '\0';
	dp_buf_printf(b, "%*s%s", LABEL, "", k->utf8 ? "└" : "+");
	for (c = 0; c < p->columns; c++)
		dp_buf_printf(b, "%s", k->utf8 ? (tick[c] ? "┴" : "─") : tick[c] ? "+" : "-");
	dp_buf_printf(b, "\n%*s%s\n", LABEL + 1, "", labels);
}

/* What the marks are, as many as fit. */
static void print_key(struct dp_buf *b, const struct plot *p, const struct dp_report *r,
		      const struct dp_look *k)
{
	unsigned int width = LABEL + 1 + p->columns, used = 0, i;
	char bits[FMT], path[FMT + 24] = "";
	const struct {
		enum mark mark;
		const char *text;
	} key[] = {
		{ MIDDLE, "middle" }, { BAND, "10-90 %" }, { BEYOND, "beyond what was seen" }, { PATH, path }
	};

	if (r->speeds.rounds.mid > 0 && isfinite(r->speeds.rounds.mid))
		snprintf(path, sizeof(path), "what is sent at %s",
			 dp_fmt_bits(bits, sizeof(bits), r->speeds.rounds.mid));
	dp_buf_printf(b, "%.*s\n", (int)width, "Dirtied within t, pages of 4K");
	for (i = 0; i < sizeof(key) / sizeof(key[0]); i++) {
		unsigned int now = 0, n = (unsigned int)strlen(key[i].text) + 4;

		if (n == 4 || used + n > width)
			continue;
		dp_buf_printf(b, "  ");
		print_mark(b, k, key[i].mark, &now);
		if (now)
			dp_buf_printf(b, "\033[0m");
		dp_buf_printf(b, " %s", key[i].text);
		used += n;
	}
	dp_buf_printf(b, "\n");
}

unsigned int dp_term_curve(struct dp_buf *b, const struct dp_report *r, const struct dp_look *k,
			   unsigned int rows)
{
	struct plot p = { .rows = rows < 4 ? 4 : rows < MOST_ROWS ? rows : MOST_ROWS };
	unsigned int width = (k->width > DP_TERM_LEAST ? k->width : DP_TERM_LEAST) - 1;

	if (!r->known)
		return 0;
	p.columns = width - LABEL - 1 < MOST_COLUMNS ? width - LABEL - 1 : MOST_COLUMNS;
	choose_times(&p, r);
	if (!choose_values(&p, r))
		return 0;
	draw(&p, r);
	print_key(b, &p, r, k);
	print_rows(b, &p, k);
	print_axis(b, &p, k);
	return p.rows + DP_TERM_CURVE_MORE;
}
