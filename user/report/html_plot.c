// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Plots as SVG: colours and line widths are the style sheet's, so that a theme changes them. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "html_int.h"

void dp_plot_open(struct dp_plot *p, struct dp_h *h, const char *kind, double height, const char *label)
{
	p->b = h->b;
	p->w = h->width;
	p->h = height;
	p->id = ++h->ids;
	dp_buf_printf(
		p->b,
		"<svg class=\"%s\" viewBox=\"0 0 %g %g\" data-run=\"%u\" tabindex=\"0\" role=\"img\" aria-label=\"",
		kind, p->w, p->h, h->at);
	dp_h_esc(p->b, label);
	dp_buf_printf(p->b, "\">\n");
}

void dp_plot_close(struct dp_plot *p)
{
	dp_buf_printf(p->b, "<g class=\"cursor\"></g></svg>\n");
}

void dp_plot_text(struct dp_plot *p, const char *cls, double x, double y, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	dp_buf_printf(p->b, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">", cls, x, y);
	dp_h_esc(p->b, text);
	dp_buf_printf(p->b, "</text>\n");
}

static void grid(struct dp_plot *p, const struct dp_axis *a, bool is_x, bool minor, bool labels)
{
	const struct dp_axis *o = is_x ? &p->y : &p->x;
	struct dp_tick t[DP_TICKS];
	uint32_t i, n = dp_axis_ticks(a, t);

	dp_buf_printf(p->b, "<path class=\"grid%s\" d=\"", minor ? " minor" : "");
	for (i = 0; i < n; i++) {
		double at = dp_axis_at(a, t[i].v);

		if (t[i].minor != minor)
			continue;
		if (is_x)
			dp_buf_printf(p->b, "M%.1f %.1fV%.1f", at, o->p0, o->p1);
		else
			dp_buf_printf(p->b, "M%.1f %.1fH%.1f", o->p0, at, o->p1);
	}
	dp_buf_printf(p->b, "\"/>\n");
	for (i = 0; !minor && labels && i < n; i++) {
		double at = dp_axis_at(a, t[i].v);

		if (!t[i].minor && is_x)
			dp_plot_text(p, "tick mid", at, o->p0 + 18, "%s", t[i].label);
		else if (!t[i].minor)
			dp_plot_text(p, "tick end", o->p0 - 8, at + 4, "%s", t[i].label);
	}
}

void dp_plot_frame(struct dp_plot *p, const char *ytitle, const char *xtitle)
{
	grid(p, &p->x, true, true, false);
	grid(p, &p->x, true, false, xtitle);
	grid(p, &p->y, false, false, true);
	dp_buf_printf(p->b, "<path class=\"axis\" d=\"M%.1f %.1fH%.1f\"/>\n", p->x.p0, p->y.p0, p->x.p1);
	if (ytitle)
		dp_plot_text(p, "title", p->x.p0, p->y.p1 - 12, "%s", ytitle);
	if (xtitle)
		dp_plot_text(p, "title end", p->x.p1, p->y.p0 + 38, "%s", xtitle);
}

void dp_plot_times(struct dp_plot *p, const char *xtitle)
{
	struct dp_tick t[DP_TICKS];
	uint32_t i, n = dp_axis_ticks(&p->x, t);

	for (i = 0; i < n; i++) {
		double at = dp_axis_at(&p->x, t[i].v);

		dp_plot_text(p, "tick mid", at, p->y.p0 + 18, "%s", t[i].label);
		dp_buf_printf(p->b, "<path class=\"axis\" d=\"M%.1f %.1fv4\"/>\n", at, p->y.p0);
	}
	dp_plot_text(p, "title end", p->x.p1, p->y.p0 + 38, "%s", xtitle);
}

void dp_plot_clip(struct dp_plot *p, struct dp_h *h)
{
	unsigned int id = ++h->ids;

	dp_buf_printf(
		p->b,
		"<clipPath id=\"c%u\"><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/></clipPath>"
		"<g clip-path=\"url(#c%u)\">\n",
		id, p->x.p0, p->y.p1 - 1, p->x.p1 - p->x.p0, p->y.p0 - p->y.p1 + 2, id);
}

void dp_plot_clip_end(struct dp_plot *p)
{
	dp_buf_printf(p->b, "</g>\n");
}

void dp_plot_line(struct dp_plot *p, const char *cls, const double *x, const double *y, uint32_t n,
		  size_t stride)
{
	bool pen = false;
	uint32_t i;

	dp_buf_printf(p->b, "<path class=\"%s\" d=\"", cls);
	for (i = 0; i < n; i++) {
		double px = x[i * stride], py = y[i * stride];

		if (isnan(px) || isnan(py)) {
			pen = false;
			continue;
		}
		dp_buf_printf(p->b, "%c%.1f %.1f", pen ? 'L' : 'M', dp_axis_at(&p->x, px),
			      dp_axis_at(&p->y, py));
		pen = true;
	}
	dp_buf_printf(p->b, "\"/>\n");
}

/* A piece in which both edges are known. */
static void band_piece(struct dp_plot *p, const double *x, const double *lo, const double *hi, uint32_t from,
		       uint32_t to, size_t stride)
{
	uint32_t i;

	for (i = from; i < to; i++)
		dp_buf_printf(p->b, "%c%.1f %.1f", i > from ? 'L' : 'M', dp_axis_at(&p->x, x[i * stride]),
			      dp_axis_at(&p->y, hi[i * stride]));
	for (i = to; i-- > from;)
		dp_buf_printf(p->b, "L%.1f %.1f", dp_axis_at(&p->x, x[i * stride]),
			      dp_axis_at(&p->y, lo[i * stride]));
	dp_buf_printf(p->b, "Z");
}

void dp_plot_band(struct dp_plot *p, const char *cls, const double *x, const double *lo, const double *hi,
		  uint32_t n, size_t stride)
{
	uint32_t i, from = 0;

	dp_buf_printf(p->b, "<path class=\"%s\" d=\"", cls);
	for (i = 0; i <= n; i++) {
		if (i < n && !isnan(lo[i * stride]) && !isnan(hi[i * stride]))
			continue;
		if (i > from)
			band_piece(p, x, lo, hi, from, i, stride);
		from = i + 1;
	}
	dp_buf_printf(p->b, "\"/>\n");
}

void dp_plot_vline(struct dp_plot *p, const char *cls, double v)
{
	double at = dp_axis_at(&p->x, v);

	if (v >= p->x.lo && v <= p->x.hi)
		dp_buf_printf(p->b, "<path class=\"%s\" d=\"M%.1f %.1fV%.1f\"/>\n", cls, at, p->y.p0,
			      p->y.p1);
}

void dp_plot_hit(struct dp_plot *p, double x0, double x1, double x, const double *y, uint32_t ny,
		 const char *tip)
{
	uint32_t i;

	dp_buf_printf(
		p->b,
		"<rect class=\"hit\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" data-x=\"%.1f\" data-y=\"",
		x0, p->y.p1, fmax(0.5, x1 - x0), p->y.p0 - p->y.p1, x);
	for (i = 0; i < ny; i++)
		if (!isnan(y[i]))
			dp_buf_printf(p->b, "%.1f ", y[i]);
	dp_buf_printf(p->b, "\"><title>");
	dp_h_esc(p->b, tip);
	dp_buf_printf(p->b, "</title></rect>\n");
}
