/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Pictures in a terminal: the heatmap, a line an interval, and the curve. What the terminal is like is an input. Pure.
 */
#ifndef DIRTYPROF_TERM_H
#define DIRTYPROF_TERM_H

#include "dirtyprof/report.h"

#define DP_TERM_WIDTH 80 /* where there is no terminal */
#define DP_TERM_LEAST 20 /* columns; narrower terminals get lines that are too long */

enum dp_colours { DP_COLOURS_NONE, DP_COLOURS_8, DP_COLOURS_256 };

/* No line is longer than width - 1 columns: in the last one some terminals break it. */
struct dp_look {
	unsigned int width; /* columns */
	bool utf8;	    /* blocks and lines of Unicode, else ASCII */
	enum dp_colours colours;
};

/* One line of the heatmap. */
struct dp_heat_row {
	double t;     /* s since attaching */
	double pages; /* 4K pages first written since re-armed; NAN: nothing logged */
	double rate;  /* bytes/s; NAN unknown */
	uint64_t heat[DP_HEAT_BINS], ram[DP_HEAT_BINS]; /* of it and of RAM, 4K pages in each part */
};

void dp_heat_row_of(const struct dp_report *r, struct dp_heat_row *out);

/* In words, what the cells are. */
void dp_term_heat_intro(struct dp_buf *b, const struct dp_report *r, const struct dp_look *k);
/* The columns: above the cells the guest-physical addresses of some, at the left end of each. */
void dp_term_heat_axis(struct dp_buf *b, const struct dp_report *r, const struct dp_look *k);
void dp_term_heat_row(struct dp_buf *b, const struct dp_heat_row *h, const struct dp_look *k);

/*
 * U(t) with its band, both axes logarithmic, and what the path sends within t where that is known: `rows` lines (at least 4) of
 * it, and DP_TERM_CURVE_MORE for title and axis. Nothing while no curve is known. Returns the number of lines.
 */
#define DP_TERM_CURVE_MORE 4
unsigned int dp_term_curve(struct dp_buf *b, const struct dp_report *r, const struct dp_look *k,
			   unsigned int rows);

#endif
