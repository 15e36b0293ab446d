// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The working-set curve U(t): plots on logarithmic axes, and its table. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "html_int.h"

#define STRIDE	 (sizeof(struct dp_est) / sizeof(double))
#define LABEL_PX 15 /* a label's line */

struct curve_line {
	const char *name, *label;
	char cls[8];
	const struct dp_report *r;
	enum dp_size size;
	double label_y;
};

static bool any_known(const struct curve_line *l, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (l[i].r->known)
			return true;
	return false;
}

/* From a page, or little less than the least that is known, to all of RAM. */
static void axes(struct dp_plot *p, const struct curve_line *l, uint32_t n)
{
	double most = 65536;
	uint32_t i, k;

	for (i = 0; i < n; i++) {
		most = fmax(most, (double)l[i].r->vm.ram);
		for (k = 0; k < DP_CURVE_POINTS; k++)
			if (isfinite(l[i].r->u[l[i].size][k].mid))
				most = fmax(most, l[i].r->u[l[i].size][k].mid);
	}
	p->x = (struct dp_axis){ DP_U_TIME, true, 1e-4, 100, 66, p->w - 54, 0 };
	p->y = (struct dp_axis){ DP_U_BYTES, true, 4096, exp2(ceil(log2(most * 1.6))), p->h - 46, 34, 0 };
}

/* Solid up to the longest lag seen, dashed where extrapolated. */
static void draw_line(struct dp_plot *p, const struct curve_line *l)
{
	const struct dp_est *u = l->r->u[l->size];
	double mid[DP_CURVE_POINTS], lo[DP_CURVE_POINTS], hi[DP_CURVE_POINTS];
	uint32_t i, seen = 0;
	char cls[32];

	if (!l->r->known)
		return;
	for (i = 0; i < DP_CURVE_POINTS; i++) {
		mid[i] = u[i].mid;
		lo[i] = u[i].lo;
		hi[i] = isfinite(u[i].hi) ? u[i].hi : p->y.hi;
		if (l->r->u_t[i] <= l->r->reach[l->size] * (1 + 1e-9))
			seen = i + 1;
	}
	snprintf(cls, sizeof(cls), "band %s", l->cls);
	dp_plot_band(p, cls, l->r->u_t, lo, hi, DP_CURVE_POINTS, 1);
	snprintf(cls, sizeof(cls), "line %s", l->cls);
	dp_plot_line(p, cls, l->r->u_t, mid, seen, 1);
	snprintf(cls, sizeof(cls), "line dashed %s", l->cls);
	seen -= seen > 0;
	dp_plot_line(p, cls, l->r->u_t + seen, mid + seen, DP_CURVE_POINTS - seen, 1);
}

/* Names at the right ends, moved apart where they would overlap. */
static void names(struct dp_plot *p, struct curve_line *l, uint32_t n)
{
	uint32_t order[8] = { 0 }, i, k;

	for (i = 0; i < n; i++) {
		double end = l[i].r->u[l[i].size][DP_CURVE_POINTS - 1].mid;

		l[i].label_y = fmin(p->y.p0, dp_axis_at(&p->y, end));
		/* of those that end alike the larger block comes first */
		for (k = i; k && l[order[k - 1]].label_y > l[i].label_y - 3; k--)
			order[k] = order[k - 1];
		order[k] = i;
	}
	for (i = 1; i < n; i++)
		l[order[i]].label_y = fmax(l[order[i]].label_y, l[order[i - 1]].label_y + LABEL_PX);
	/* those that fell below the frame push the others up again */
	for (i = n; i--;) {
		double below = i + 1 < n ? l[order[i + 1]].label_y - LABEL_PX : p->y.p0;

		l[order[i]].label_y = fmin(l[order[i]].label_y, below);
	}
	for (i = 0; i < n; i++) {
		char cls[32];

		snprintf(cls, sizeof(cls), "name %s", l[i].cls);
		if (l[i].r->known && l[i].r->u[l[i].size][DP_CURVE_POINTS - 1].mid > 0)
			dp_plot_text(p, cls, p->x.p1 + 8, l[i].label_y + 4, "%s", l[i].name);
	}
}

static void hits(struct dp_plot *p, const struct curve_line *l, uint32_t n)
{
	const struct dp_report *r = l[0].r;
	uint32_t i, k;

	dp_buf_printf(p->b, "<g class=\"hits\">\n");
	for (i = 0; i < DP_CURVE_POINTS; i++) {
		double t = r->u_t[i], x = dp_axis_at(&p->x, t), y[8];
		double x0 = i ? (x + dp_axis_at(&p->x, r->u_t[i - 1])) / 2 : x;
		double x1 = i + 1 < DP_CURVE_POINTS ? (x + dp_axis_at(&p->x, r->u_t[i + 1])) / 2 : x + 6;
		struct dp_buf tip = { 0 };
		char v[FMT_EST], a[FMT];

		dp_buf_printf(&tip, "within %s", dp_fmt_time(a, sizeof(a), t));
		for (k = 0; k < n; k++) {
			const struct dp_est *u = &l[k].r->u[l[k].size][i];

			y[k] = l[k].r->known && u->mid >= p->y.lo ? dp_axis_at(&p->y, u->mid) : NAN;
			if (l[k].r->known)
				dp_buf_printf(&tip, "\n%s  %s%s", l[k].name, dp_fmt_est(v, *u, dp_fmt_bytes),
					      t > l[k].r->reach[l[k].size] * (1 + 1e-9) ? " *" : "");
		}
		dp_plot_hit(p, x0, x1, x, y, n, tip.data ? tip.data : "");
		p->b->failed |= tip.failed;
		dp_buf_free(&tip);
	}
	dp_buf_printf(p->b, "</g>\n");
}

/* What the path sends meanwhile: RAM of whose pages B t bytes are on the wire. */
static void path_line(struct dp_plot *p, const struct dp_report *r, bool text)
{
	double by = r->speeds.rounds.mid * DP_WIRE_UNIT / (r->wire_page > 0 ? r->wire_page : DP_WIRE_UNIT);
	double x[2] = { p->x.lo, p->x.hi }, y[2] = { by * p->x.lo, by * p->x.hi }, at;
	char bw[FMT];

	if (!(by > 0))
		return;
	/* up to the frame, so that the slope is right */
	if (y[0] < p->y.lo)
		x[0] = p->y.lo / by, y[0] = p->y.lo;
	if (y[1] > p->y.hi)
		x[1] = p->y.hi / by, y[1] = p->y.hi;
	if (x[1] <= x[0])
		return;
	if (!text) {
		dp_plot_line(p, "line path", x, y, 2, 1);
		return;
	}
	/* low down, where the curves of a guest that matters lie above the line */
	at = exp(log(x[0]) + 0.16 * log(x[1] / x[0]));
	dp_plot_text(p, "note", dp_axis_at(&p->x, at) + 12, dp_axis_at(&p->y, by * at) + 6, "sent at %s",
		     dp_fmt_bits(bw, sizeof(bw), r->speeds.rounds.mid));
}

/* What a line alone would leave open. */
static void marks(struct dp_plot *p, const struct dp_report *r)
{
	double ram = (double)r->vm.ram;
	char v[FMT];

	dp_plot_text(p, "note", p->x.p0 + 6, dp_axis_at(&p->y, ram) - 5, "all RAM, %s",
		     dp_fmt_bytes(v, sizeof(v), ram));
	path_line(p, r, true);
	if (r->limit >= p->x.lo && r->limit <= p->x.hi)
		dp_plot_text(p, "note", dp_axis_at(&p->x, r->limit) + 5, p->y.p0 - 8, "downtime limit, %s",
			     dp_fmt_time(v, sizeof(v), r->limit));
	if (!(r->u[DP_1G][DP_CURVE_POINTS - 1].mid > 0))
		dp_plot_text(p, "note big", (p->x.p0 + p->x.p1) / 2, (p->y.p0 + p->y.p1) / 2,
			     "No page was dirtied. The bands say how much may have gone unseen.");
}

static void draw(struct dp_h *h, struct curve_line *l, uint32_t n, bool one, const char *label)
{
	const struct dp_report *r = l[0].r;
	double ram = (double)r->vm.ram;
	struct dp_plot p;
	uint32_t i;

	dp_plot_open(&p, h, one ? "plot sizes" : "plot", 430, label);
	axes(&p, l, n);
	dp_plot_frame(&p, "memory dirtied within t", "t, time since a moment picked at random");
	dp_plot_clip(&p, h);
	for (i = n; i--;)
		draw_line(&p, &l[i]);
	if (one) {
		dp_plot_line(&p, "line limit", (double[]){ p.x.lo, p.x.hi }, (double[]){ ram, ram }, 2, 1);
		path_line(&p, r, false);
		dp_plot_vline(&p, "line limit", r->limit);
	}
	dp_plot_clip_end(&p);
	if (one)
		marks(&p, r);
	names(&p, l, n);
	hits(&p, l, n);
	dp_plot_close(&p);
}

static void row(struct dp_buf *b, const struct dp_report *r, uint32_t i)
{
	enum dp_size size;
	char key[64];

	dp_buf_printf(b, "<tr><th scope=\"row\">");
	snprintf(key, sizeof(key), "report.curve.t_s.%u", i);
	dp_h_value(b, key, r->u_t[i], dp_fmt_time);
	if (r->u_t[i] > r->reach[DP_4K] * (1 + 1e-9))
		dp_buf_printf(b, "*");
	dp_buf_printf(b, "</th>");
	for (size = 0; size < DP_SIZES; size++) {
		const char *name = dp_size_name(size);
		const struct dp_est *u = &r->u[size][i];

		snprintf(key, sizeof(key), "report.curve.%s.mid_bytes.%u", name, i);
		dp_h_cell(b, key, u->mid, dp_fmt_bytes);
		if (size != DP_4K)
			continue;
		dp_buf_printf(b, "<td>");
		snprintf(key, sizeof(key), "report.curve.%s.lo_bytes.%u", name, i);
		dp_h_value(b, key, u->lo, dp_fmt_bytes);
		dp_buf_printf(b, " to ");
		snprintf(key, sizeof(key), "report.curve.%s.hi_bytes.%u", name, i);
		dp_h_value(b, key, u->hi, dp_fmt_bytes);
		dp_buf_printf(b, "</td>");
	}
	dp_buf_printf(b, "</tr>\n");
}

static void rate_row(struct dp_buf *b, const struct dp_report *r)
{
	enum dp_size size;
	char key[64];

	dp_buf_printf(b, "<tr class=\"sum\"><th scope=\"row\">dirty rate</th>");
	for (size = 0; size < DP_SIZES; size++) {
		snprintf(key, sizeof(key), "report.dirty_rate_bytes_per_s.%s.mid", dp_size_name(size));
		dp_h_cell(b, key, r->rate[size].mid, dp_fmt_rate);
		if (size != DP_4K)
			continue;
		dp_buf_printf(b, "<td>");
		dp_h_value(b, "report.dirty_rate_bytes_per_s.4K.lo", r->rate[size].lo, dp_fmt_rate);
		dp_buf_printf(b, " to ");
		dp_h_value(b, "report.dirty_rate_bytes_per_s.4K.hi", r->rate[size].hi, dp_fmt_rate);
		dp_buf_printf(b, "</td>");
	}
	dp_buf_printf(b, "</tr>\n");
}

static void table(struct dp_buf *b, const struct dp_report *r)
{
	uint32_t i;

	dp_buf_printf(
		b,
		"<details><summary>The numbers</summary><div class=\"scroll\"><table class=\"num\">\n<thead><tr>"
		"<th scope=\"col\">within</th><th scope=\"col\">4K pages</th><th scope=\"col\">10–90 %%</th>"
		"<th scope=\"col\">64K</th><th scope=\"col\">2M</th><th scope=\"col\">16M</th>"
		"<th scope=\"col\">1G</th></tr></thead>\n<tbody>\n");
	for (i = 0; i < DP_CURVE_POINTS; i++)
		row(b, r, i);
	rate_row(b, r);
	dp_buf_printf(b, "</tbody></table></div>\n<p>* beyond the longest lag seen, ");
	dp_h_value(b, "report.curve.4K.reach_s", r->reach[DP_4K], dp_fmt_time);
	dp_buf_printf(b, ": extrapolated. The dirty rate is the slope at the start, over the first 10 ms.</p>"
			 "</details>\n");
}

static void legend(struct dp_buf *b, const struct curve_line *l, uint32_t n, bool one)
{
	uint32_t i;

	dp_buf_printf(b, "<div class=\"legend\">");
	for (i = 0; i < n; i++) {
		dp_buf_printf(
			b, "<button type=\"button\" class=\"key %s\" data-line=\"%s\" aria-pressed=\"true\">",
			l[i].cls, l[i].cls);
		dp_h_printf_esc(b, one ? "blocks of %s" : "%s", l[i].name);
		if (l[i].label)
			dp_h_printf_esc(b, " %s", l[i].label);
		dp_buf_printf(b, "</button>");
	}
	dp_buf_printf(b, "<span class=\"key solid\">seen</span><span class=\"key dash\">extrapolated</span>"
			 "<span class=\"key swatch\">10–90 %% band</span>");
	dp_buf_printf(b, "</div>\n");
}

static void nothing(struct dp_buf *b, const struct dp_report *r)
{
	dp_buf_printf(
		b, "<p class=\"empty\">%s</p>\n",
		r->ever_logged
			? "RAM was logged, but no page was seen from its re-arming on: there is no curve."
			: "Nothing logged dirty pages while this VM was watched: there is no curve.");
}

void dp_h_curve(struct dp_h *h)
{
	const struct dp_report *r = &h->r->report;
	struct curve_line l[DP_SIZES];
	enum dp_size size;

	for (size = 0; size < DP_SIZES; size++) {
		l[size] = (struct curve_line){ .name = dp_size_name(size), .r = r, .size = size };
		snprintf(l[size].cls, sizeof(l[size].cls), "c%d", (int)size);
	}
	if (!r->known) {
		nothing(h->b, r);
		return;
	}
	dp_buf_printf(h->b, "<figure>\n");
	legend(h->b, l, DP_SIZES, true);
	draw(h, l, DP_SIZES, true,
	     "Working-set curve: memory dirtied within a time, by size of block, on logarithmic axes. The table below has its numbers.");
	dp_buf_printf(h->b, "</figure>\n");
	table(h->b, r);
}

void dp_h_curve_all(struct dp_h *h)
{
	char name[DP_HTML_RUNS][4];
	struct curve_line l[DP_HTML_RUNS];
	uint32_t i;

	for (i = 0; i < h->n; i++) {
		snprintf(name[i], sizeof(name[i]), "%c", 'A' + (int)i);
		l[i] = (struct curve_line){ .name = name[i], .r = &h->run[i]->report, .size = DP_4K };
		l[i].label = h->run[i]->label;
		snprintf(l[i].cls, sizeof(l[i].cls), "c%u", dp_h_colour(i));
	}
	if (!any_known(l, h->n))
		return;
	dp_buf_printf(h->b, "<figure>\n");
	legend(h->b, l, h->n, false);
	draw(h, l, h->n, false, "Working-set curves at 4K of all runs, on logarithmic axes.");
	dp_buf_printf(h->b, "</figure>\n");
}
