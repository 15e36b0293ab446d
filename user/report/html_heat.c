// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Where and when: guest-physical memory x time. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "html_int.h"

#define LEVELS 12  /* colours, of a ramp whose lightness falls (or rises) evenly */
#define RANGE  3.0 /* decades from the darkest to the lightest */
#define ROW_PX 3.0

struct heat {
	double most;		    /* bytes/s in the hottest cell */
	double total[DP_HEAT_BINS]; /* pages */
	double peak;		    /* of totals */
};

/* Bytes a second newly dirtied in a part during a column; NAN: nothing logged. */
static double cell(const struct dp_run_column *c, uint32_t bin)
{
	return c->logged > 0 ? (double)c->heat[bin] * DP_WIRE_UNIT / c->logged : NAN;
}

static void measure(const struct dp_run *run, struct heat *s)
{
	uint32_t i, k;

	memset(s, 0, sizeof(*s));
	for (i = 0; i < run->ncolumns; i++) {
		for (k = 0; k < DP_HEAT_BINS; k++) {
			s->most = fmax(s->most, cell(&run->column[i], k));
			s->total[k] += (double)run->column[i].heat[k];
		}
	}
	for (k = 0; k < DP_HEAT_BINS; k++)
		s->peak = fmax(s->peak, s->total[k]);
}

/* 0 to LEVELS - 1; -1: nothing was dirtied. */
static int level(double v, double most)
{
	double x;

	if (!(v > 0))
		return -1;
	x = 1 + log10(v / most) / RANGE;
	return (int)fmax(0, fmin(LEVELS - 1, floor(x * LEVELS)));
}

/* All cells of one colour as one path of strokes: a run of equal cells in a row is one of them. Units: columns' edges in tenths. */
static void draw_level(struct dp_plot *p, const struct dp_run *run, const struct heat *s, int want)
{
	bool open = false;
	uint32_t i, k;

	for (k = 0; k < DP_HEAT_BINS; k++) {
		double y = p->y.p0 - ((double)k + 0.5) * ROW_PX;

		for (i = 0; i < run->ncolumns; i++) {
			uint32_t from = i;

			if (level(cell(&run->column[i], k), s->most) != want)
				continue;
			while (i + 1 < run->ncolumns && level(cell(&run->column[i + 1], k), s->most) == want)
				i++;
			if (!open)
				dp_buf_printf(p->b, "<path class=\"h%d\" d=\"", want);
			open = true;
			dp_buf_printf(p->b, "M%.1f %.1fH%.1f", dp_axis_at(&p->x, run->column[from].t0), y,
				      dp_axis_at(&p->x, run->column[i].t1));
		}
	}
	if (open)
		dp_buf_printf(p->b, "\"/>\n");
}

/* Times during which nothing logged are not times during which nothing was dirtied. */
static void draw_unlogged(struct dp_plot *p, const struct dp_run *run)
{
	uint32_t i;

	for (i = 0; i < run->ncolumns; i++) {
		const struct dp_run_column *c = &run->column[i];
		double x0 = dp_axis_at(&p->x, c->t0);

		while (i + 1 < run->ncolumns && !(run->column[i].logged > 0) &&
		       !(run->column[i + 1].logged > 0))
			i++;
		if (!(run->column[i].logged > 0))
			dp_buf_printf(
				p->b,
				"<rect class=\"unlogged\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>\n",
				x0, p->y.p1, dp_axis_at(&p->x, run->column[i].t1) - x0, p->y.p0 - p->y.p1);
	}
}

static void addresses(struct dp_plot *p, const struct dp_run *run)
{
	uint32_t k;
	char a[FMT];

	for (k = 0; k <= DP_HEAT_BINS; k += 16) {
		const struct dp_heat_range *r = &run->range[k < DP_HEAT_BINS ? k : k - 1];
		double y = p->y.p0 - k * ROW_PX;

		dp_plot_text(p, "tick end", p->x.p0 - 8, y + 4, "%s",
			     dp_fmt_bytes(a, sizeof(a),
					  (double)(k < DP_HEAT_BINS ? r->lo : r->hi) * DP_WIRE_UNIT));
		dp_buf_printf(p->b, "<path class=\"axis\" d=\"M%.1f %.1fh-4\"/>\n", p->x.p0, y);
	}
	dp_plot_text(p, "title", p->x.p0 - 84, p->y.p1 - 12, "guest-physical address, holes left out");
}

/* Beside the map: each part's share of all that was dirtied. */
static void margin(struct dp_plot *p, const struct heat *s, double left, double width)
{
	uint32_t k;

	dp_plot_text(p, "title", left, p->y.p1 - 12, "in all");
	dp_buf_printf(p->b, "<path class=\"margin\" d=\"");
	for (k = 0; k < DP_HEAT_BINS; k++) {
		double w = s->peak > 0 ? width * s->total[k] / s->peak : 0;

		if (w > 0.05)
			dp_buf_printf(p->b, "M%.1f %.1fh%.1f", left, p->y.p0 - ((double)k + 0.5) * ROW_PX, w);
	}
	dp_buf_printf(p->b, "\"/>\n<path class=\"axis\" d=\"M%.1f %.1fV%.1f\"/>\n", left, p->y.p0, p->y.p1);
}

static void legend(struct dp_buf *b, const struct heat *s)
{
	char lo[FMT], hi[FMT];
	int i;

	dp_buf_printf(b, "<div class=\"legend ramp\"><span>%s</span>",
		      s->most > 0 ? dp_fmt_rate(lo, sizeof(lo), s->most * pow(10, -RANGE)) : "–");
	dp_buf_printf(b, "<span class=\"ramp-bar\" aria-hidden=\"true\">");
	for (i = 0; i < LEVELS; i++)
		dp_buf_printf(b, "<i class=\"h%d\"></i>", i);
	dp_buf_printf(
		b,
		"</span><span>%s</span><span class=\"dim\">newly dirtied, in 1/%d of RAM, logarithmic</span>"
		"<span class=\"key none\">nothing</span><span class=\"key unlogged\">not logged</span></div>\n",
		s->most > 0 ? dp_fmt_rate(hi, sizeof(hi), s->most) : "–", DP_HEAT_BINS);
}

void dp_h_heat(struct dp_h *h)
{
	const struct dp_run *run = h->r;
	struct heat *s = malloc(sizeof(*s));
	struct dp_plot p;
	double most = 0;
	uint32_t k;
	int i;

	if (!s) {
		h->b->failed = true;
		return;
	}
	for (k = 0; k < h->n; k++) {
		measure(h->run[k], s);
		most = fmax(most, s->most);
	}
	measure(run, s);
	s->most = most; /* so that colours of runs side by side mean the same */
	if (!run->ncolumns) {
		dp_buf_printf(h->b, "<p class=\"empty\">There was no interval.</p>\n");
		goto cleanup;
	}
	dp_buf_printf(h->b, "<figure>\n");
	legend(h->b, s);
	dp_plot_open(
		&p, h, "heat", DP_HEAT_BINS * ROW_PX + 84,
		"Heat map: how much of each part of guest-physical memory was newly dirtied, over time. The hottest places are in the tables below.");
	p.x = (struct dp_axis){ .unit = DP_U_TIME, .p0 = 88, .p1 = p.w - 112 };
	p.x.lo = run->column[0].t0;
	p.x.hi = fmax(p.x.lo + 1e-3, run->column[run->ncolumns - 1].t1);
	p.y = (struct dp_axis){ .unit = DP_U_COUNT, .lo = 0, .hi = DP_HEAT_BINS };
	p.y.p0 = p.h - 46;
	p.y.p1 = p.y.p0 - DP_HEAT_BINS * ROW_PX;
	dp_buf_printf(h->b, "<rect class=\"ground\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>\n",
		      p.x.p0, p.y.p1, p.x.p1 - p.x.p0, p.y.p0 - p.y.p1);
	draw_unlogged(&p, run);
	dp_buf_printf(
		h->b,
		"<g class=\"cells\" data-rows=\"%d\" data-x0=\"%.1f\" data-x1=\"%.1f\" data-y0=\"%.1f\" data-y1=\"%.1f\">\n",
		DP_HEAT_BINS, p.x.p0, p.x.p1, p.y.p0, p.y.p1);
	for (i = 0; i < LEVELS; i++)
		draw_level(&p, run, s, i);
	dp_buf_printf(h->b, "</g>\n");
	addresses(&p, run);
	margin(&p, s, p.x.p1 + 18, 88);
	dp_plot_times(&p, "time since dirtyprof attached");
	dp_plot_close(&p);
	dp_buf_printf(
		h->b, "%s</figure>\n",
		run->moved
			? "<figcaption>The VM’s memory changed meanwhile: what is left of that was divided "
			  "otherwise than the addresses say.</figcaption>"
			: "");
	dp_h_hot(h);
cleanup:
	free(s);
}
