/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The inside of the HTML page: text and values (html_text.c), plots (html_plot.c, html_axis.c), and its sections. */
#ifndef DIRTYPROF_HTML_INT_H
#define DIRTYPROF_HTML_INT_H

#include "run.h"
#include "text_int.h"

/* The page as it is written. */
struct dp_h {
	struct dp_buf *b;
	const struct dp_run *const *run;
	uint32_t n;
	uint32_t at;		/* index of the run at hand */
	const struct dp_run *r; /* the same */
	double width;		/* of a run's plots, in pixels of their own */
	unsigned int ids;	/* for what needs a name of its own */
};

/* The colour of a run: neighbours far apart. */
static inline unsigned int dp_h_colour(uint32_t run)
{
	static const unsigned char of[DP_HTML_RUNS] = { 0, 4, 2, 5, 3, 1 };

	return of[run % DP_HTML_RUNS];
}

/* --- text and values --- */

void dp_h_esc(struct dp_buf *b, const char *s); /* for text and for attributes in double quotes */
void dp_h_printf_esc(struct dp_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * A number as people read it, which also says exactly what it is and where in the data it stands: key is the path in this run's
 * part of the data ("report.prediction.floor_s.mid"), NULL: nowhere, it was worked out. NAN and HUGE_VAL are null there.
 */
void dp_h_value(struct dp_buf *b, const char *key, double v, dp_fmt_fn fmt);
/* "mid (lo to hi)"; key is the estimate's path. */
void dp_h_est(struct dp_buf *b, const char *key, struct dp_est e, dp_fmt_fn fmt);
/* The same as a table's cell. */
void dp_h_cell(struct dp_buf *b, const char *key, double v, dp_fmt_fn fmt);
void dp_h_cell_est(struct dp_buf *b, const char *key, struct dp_est e, dp_fmt_fn fmt);

char *dp_fmt_utc(char *buf, size_t size, double wall_s);

/* --- plots --- */

enum dp_unit { DP_U_TIME, DP_U_BYTES, DP_U_BYTES_S, DP_U_BITS_S, DP_U_COUNT, DP_U_PERCENT };

struct dp_axis {
	enum dp_unit unit;
	bool log;
	double lo, hi; /* hi > lo; log: lo > 0 */
	double p0, p1; /* where they are, in pixels */
	double step;   /* linear: from line to line; 0: what fits */
};

struct dp_tick {
	double v;
	bool minor;
	char label[24]; /* "" for minor ones */
};

#define DP_TICKS 72

double dp_axis_at(const struct dp_axis *a, double v); /* pixels; what lies outside stays near the axis */
uint32_t dp_axis_ticks(const struct dp_axis *a, struct dp_tick *t);
void dp_axis_upto(struct dp_axis *a, double most); /* from 0 to a round number at or above `most` */

struct dp_plot {
	struct dp_buf *b;
	double w, h;
	struct dp_axis x, y;
	unsigned int id;
};

/* label: what the picture shows, for who cannot see it. kind: "plot" or "heat". */
void dp_plot_open(struct dp_plot *p, struct dp_h *h, const char *kind, double height, const char *label);
void dp_plot_close(struct dp_plot *p);
/* The axes' grid and labels; those along x only where there is a title for them. */
void dp_plot_frame(struct dp_plot *p, const char *ytitle, const char *xtitle);
void dp_plot_times(struct dp_plot *p, const char *xtitle); /* the labels along x alone */
/* Everything up to clip_end is cut at the frame. */
void dp_plot_clip(struct dp_plot *p, struct dp_h *h);
void dp_plot_clip_end(struct dp_plot *p);
/* A line through points; a NAN interrupts it. cls: CSS classes. */
void dp_plot_line(struct dp_plot *p, const char *cls, const double *x, const double *y, uint32_t n,
		  size_t stride);
/* The area between two lines. */
void dp_plot_band(struct dp_plot *p, const char *cls, const double *x, const double *lo, const double *hi,
		  uint32_t n, size_t stride);
void dp_plot_text(struct dp_plot *p, const char *cls, double x, double y, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
void dp_plot_vline(struct dp_plot *p, const char *cls, double v);
/* The strip from x0 to x1 (pixels) that shows `tip` (lines end in \n; escaped here) and marks at x, and at y where not NAN. */
void dp_plot_hit(struct dp_plot *p, double x0, double x1, double x, const double *y, uint32_t ny,
		 const char *tip);

/* --- sections; each for the run at hand --- */

void dp_h_verdict(struct dp_h *h);
void dp_h_curve(struct dp_h *h);
void dp_h_curve_all(struct dp_h *h); /* of all runs, in one plot */
void dp_h_heat(struct dp_h *h);
void dp_h_hot(struct dp_h *h);
void dp_h_time(struct dp_h *h);
void dp_h_rounds(struct dp_h *h);
void dp_h_table(struct dp_h *h);
void dp_h_facts(struct dp_h *h);
void dp_h_self(struct dp_h *h);
void dp_h_compare(struct dp_h *h); /* all others with the first */
void dp_h_compare_data(struct dp_buf *json, const struct dp_h *h);

#endif
