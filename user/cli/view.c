// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "cli/view.h"

#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "dirtyprof/term.h"

#define HISTORY	     128 /* lines that can be drawn anew */
#define CURVE_ROWS   12
#define CURVE_SCREEN 16 /* rows that a terminal must have for it, so that it has 4 of its own */

/* One line on the screen: text, or a row of the heatmap. */
struct item {
	char *text;
	struct dp_heat_row *row;
};

struct dp_view {
	bool heatmap, curve;
	bool tty;    /* stdout is a terminal that knows colours */
	bool screen; /* and whose cursor may be moved */
	struct dp_look look;
	unsigned int height;
	unsigned int drawn; /* lines of the curve that are on the screen, above the cursor */
	const struct dp_report *last;
	struct item item[HISTORY];
	unsigned int nitems; /* so far */
};

/* Of the locale that the environment names, without putting it in force: numbers must stay as they are. */
static bool utf8(void)
{
	locale_t l = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
	bool yes = l && !strcmp(nl_langinfo_l(CODESET, l), "UTF-8");

	if (l)
		freelocale(l);
	return yes;
}

static enum dp_colours colours(const char *term)
{
	const char *no = getenv("NO_COLOR"), *more = getenv("COLORTERM");

	if (no && *no)
		return DP_COLOURS_NONE;
	return strstr(term, "256color") || (more && *more) ? DP_COLOURS_256 : DP_COLOURS_8;
}

/* true: the size is another one than it was. */
static bool look_at_size(struct dp_view *v)
{
	struct winsize ws = { 0 };
	unsigned int width = DP_TERM_WIDTH, height = 24;
	bool changed;

	if (v->tty && !ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws)) {
		width = ws.ws_col ? ws.ws_col : width;
		height = ws.ws_row ? ws.ws_row : height;
	}
	changed = v->look.width != width || v->height != height;
	v->look.width = width;
	v->height = height;
	return changed;
}

struct dp_view *dp_view_new(bool heatmap, bool curve, bool live)
{
	struct dp_view *v = calloc(1, sizeof(*v));
	const char *term = getenv("TERM");

	if (!v)
		return NULL;
	v->heatmap = heatmap;
	v->curve = curve;
	v->tty = isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb");
	v->screen = v->tty && live;
	v->look.utf8 = (heatmap || curve) && utf8();
	v->look.colours = v->tty ? colours(term) : DP_COLOURS_NONE;
	look_at_size(v);
	return v;
}

static void forget(struct item *i)
{
	free(i->text);
	free(i->row);
	*i = (struct item){ 0 };
}

void dp_view_free(struct dp_view *v)
{
	unsigned int i;

	if (!v)
		return;
	for (i = 0; i < HISTORY; i++)
		forget(&v->item[i]);
	free(v);
}

static bool pictures(const struct dp_view *v)
{
	return v->heatmap || v->curve;
}

/* Keeps a line for drawing it anew; one for which there is no memory is missing then. */
static struct item *keep(struct dp_view *v)
{
	struct item *i = &v->item[v->nitems++ % HISTORY];

	forget(i);
	return i;
}

static void keep_text(struct dp_view *v, const char *text)
{
	size_t n;

	for (; v->screen && pictures(v) && *text; text += n + 1) {
		n = strcspn(text, "\n");
		keep(v)->text = strndup(text, n);
		if (!text[n])
			break;
	}
}

static void print_row(struct dp_view *v, struct dp_buf *b, const struct dp_report *r)
{
	struct dp_heat_row row, *copy;

	dp_heat_row_of(r, &row);
	dp_term_heat_row(b, &row, &v->look);
	if (!v->screen)
		return;
	copy = malloc(sizeof(*copy));
	if (copy)
		*copy = row;
	keep(v)->row = copy;
}

/* Somebody else has the terminal while we are in the background. */
static bool in_front(void)
{
	pid_t group = tcgetpgrp(STDOUT_FILENO);

	return group < 0 || group == getpgrp();
}

static unsigned int curve_rows(const struct dp_view *v)
{
	unsigned int rows;

	if (!v->curve || !v->screen || v->height < CURVE_SCREEN || v->look.width < DP_TERM_LEAST ||
	    !in_front())
		return 0;
	rows = v->height / 2 - DP_TERM_CURVE_MORE;
	return rows > CURVE_ROWS ? CURVE_ROWS : rows;
}

static void draw_curve(struct dp_view *v, struct dp_buf *b, const struct dp_report *r)
{
	unsigned int rows = curve_rows(v);

	v->drawn = rows ? dp_term_curve(b, r, &v->look, rows) : 0;
}

static void erase(struct dp_view *v, struct dp_buf *b)
{
	if (v->drawn)
		dp_buf_printf(b, "\r\033[%uA\033[J", v->drawn);
	v->drawn = 0;
}

void dp_view_erase(struct dp_view *v)
{
	struct dp_buf b = { 0 };
	size_t at = 0;
	ssize_t n;

	if (!v || !v->drawn)
		return;
	erase(v, &b);
	while (b.data && at < b.len && (n = write(STDOUT_FILENO, b.data + at, b.len - at)) > 0)
		at += (size_t)n;
	dp_buf_free(&b);
}

static void print_columns(struct dp_view *v, struct dp_buf *b, const struct dp_report *r)
{
	if (v->heatmap)
		dp_term_heat_axis(b, r, &v->look);
	else
		dp_text_columns(b);
}

/* Rows that a line takes, if the terminal breaks it; text has at most DP_TEXT_WIDTH bytes. */
static unsigned int rows_of(const struct dp_view *v, const struct item *i)
{
	size_t n = i->text ? strlen(i->text) : 1;

	return n ? (unsigned int)((n - 1) / v->look.width) + 1 : 1;
}

/* The columns, the latest lines and the curve, on an empty screen. */
static void draw_anew(struct dp_view *v, struct dp_buf *b)
{
	unsigned int i, first = v->nitems, room = v->height - 2, rows = curve_rows(v), used = 0, n;

	if (rows)
		room -= rows + DP_TERM_CURVE_MORE;
	while (first && v->nitems - first < HISTORY) {
		n = rows_of(v, &v->item[(first - 1) % HISTORY]);
		if (used + n > room)
			break;
		used += n;
		first--;
	}
	dp_buf_printf(b, "\033[H\033[2J");
	print_columns(v, b, v->last);
	for (i = first; i < v->nitems; i++) {
		const struct item *it = &v->item[i % HISTORY];

		if (it->row)
			dp_term_heat_row(b, it->row, &v->look);
		else if (it->text)
			dp_buf_printf(b, "%s\n", it->text);
	}
	draw_curve(v, b, v->last);
}

void dp_view_resized(struct dp_view *v, struct dp_buf *b)
{
	if (!v->tty || !pictures(v) || !v->last || !look_at_size(v))
		return;
	if (v->screen && v->height >= 4)
		draw_anew(v, b);
	else
		print_columns(v, b, v->last);
}

void dp_view_continued(struct dp_view *v)
{
	v->drawn = 0;
}

void dp_view_header(struct dp_view *v, struct dp_buf *b, const struct dp_report *r)
{
	v->last = r;
	if (!v->heatmap) {
		dp_text_header(b, r);
		return;
	}
	dp_text_tracing(b, r);
	dp_term_heat_intro(b, r, &v->look);
	print_columns(v, b, r);
}

void dp_view_line(struct dp_view *v, struct dp_buf *b, const struct dp_report *r)
{
	size_t from;

	v->last = r;
	dp_view_resized(v, b);
	erase(v, b);
	from = b->len;
	if (v->heatmap)
		dp_text_events(b, r);
	else
		dp_text_line(b, r);
	if (b->len > from)
		keep_text(v, b->data + from);
	if (v->heatmap && r->kind == DP_REPORT_INTERVAL)
		print_row(v, b, r);
	draw_curve(v, b, r);
}

void dp_view_final(struct dp_view *v, struct dp_buf *b, const struct dp_report *r)
{
	size_t from;

	look_at_size(v);
	erase(v, b);
	v->last = NULL;
	dp_text_final(b, r);
	if (!v->curve)
		return;
	dp_buf_printf(b, "\n");
	from = b->len;
	if (!dp_term_curve(b, r, &v->look, CURVE_ROWS) && b->len == from)
		dp_buf_printf(b, "No curve: nothing was dirtied, or nothing logged it.\n");
}
