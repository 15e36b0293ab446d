// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* How things went over time: panels one above the other that share their axis of time. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "html_int.h"

#define STRIDE	   (sizeof(struct dp_run_column) / sizeof(double))
#define PANEL	   104 /* pixels of a panel's frame */
#define ABOVE	   44  /* pixels over it, for its title */
#define PANELS	   4
#define MANY_SYNCS 24

enum panel_kind { P_FRESH, P_RATE, P_WIRE, P_LEFT };

struct panel {
	enum panel_kind kind;
	const char *title;
	const char *cls;
	enum dp_unit unit;
	bool steps; /* a column's mean; else what is known at its end */
	double v[DP_RUN_COLUMNS];
	double most;
	struct dp_axis y;
};

static double wire_bps(const struct dp_run_column *c)
{
	return c->t1 > c->t0 ? c->sent / (c->t1 - c->t0) : NAN;
}

static double value(enum panel_kind k, const struct dp_run_column *c)
{
	switch (k) {
	case P_FRESH:
		return dp_run_fresh_bps(c);
	case P_RATE:
		return c->rate.mid;
	case P_WIRE:
		return wire_bps(c);
	default:
		return c->left;
	}
}

/* The panels that have something to show. */
static uint32_t choose(const struct dp_run *run, struct panel *p)
{
	static const struct panel all[] = {
		{ P_FRESH, "newly dirtied", "c0", DP_U_BYTES_S, true, { 0 }, 0, { 0 } },
		{ P_RATE, "dirty rate, from all seen so far", "c4", DP_U_BYTES_S, false, { 0 }, 0, { 0 } },
		{ P_WIRE, "sent by the migration", "c2", DP_U_BITS_S, true, { 0 }, 0, { 0 } },
		{ P_LEFT, "left to send", "c5", DP_U_BYTES, false, { 0 }, 0, { 0 } },
	};
	uint32_t i, k, n = 0;

	for (i = 0; i < PANELS; i++) {
		bool any = i == P_FRESH;

		p[n] = all[i];
		for (k = 0; k < run->ncolumns; k++) {
			const struct dp_run_column *c = &run->column[k];
			double v = value(all[i].kind, c), hi = c->rate.hi;

			p[n].v[k] = isfinite(v) ? v : NAN;
			any |= isfinite(v) && (i != P_WIRE || v > 0);
			if (isfinite(v))
				p[n].most = fmax(p[n].most, v);
			/* the band belongs into the picture, unless it is endless or dwarfs the rest */
			if (i == P_RATE && isfinite(v) && isfinite(hi) && hi < 4 * v)
				p[n].most = fmax(p[n].most, hi);
		}
		n += any;
	}
	return n;
}

/* Means hold from a column's start to its end: an area under steps. */
static void steps(struct dp_plot *p, const struct panel *q, const struct dp_run *run)
{
	double x[2 * DP_RUN_COLUMNS], v[2 * DP_RUN_COLUMNS], zero[2 * DP_RUN_COLUMNS] = { 0 };
	char cls[32];
	uint32_t i;

	for (i = 0; i < run->ncolumns; i++) {
		x[2 * i] = run->column[i].t0;
		x[2 * i + 1] = run->column[i].t1;
		v[2 * i] = v[2 * i + 1] = q->v[i];
	}
	snprintf(cls, sizeof(cls), "area %s", q->cls);
	dp_plot_band(p, cls, x, zero, v, 2 * run->ncolumns, 1);
	snprintf(cls, sizeof(cls), "line thin %s", q->cls);
	dp_plot_line(p, cls, x, v, 2 * run->ncolumns, 1);
}

/* What is known at some columns' ends alone; between them nothing else is. */
static void line(struct dp_plot *p, const struct panel *q, const struct dp_run *run)
{
	double x[DP_RUN_COLUMNS], v[DP_RUN_COLUMNS], lo[DP_RUN_COLUMNS], hi[DP_RUN_COLUMNS];
	char cls[32];
	uint32_t i, n = 0;

	for (i = 0; i < run->ncolumns; i++) {
		const struct dp_est *e = &run->column[i].rate;

		if (isnan(q->v[i]))
			continue;
		x[n] = run->column[i].t1;
		v[n] = q->v[i];
		lo[n] = e->lo;
		hi[n] = isinf(e->hi) ? 1e3 * q->most : e->hi;
		n++;
	}
	if (q->kind == P_RATE) {
		snprintf(cls, sizeof(cls), "band %s", q->cls);
		dp_plot_band(p, cls, x, lo, hi, n, 1);
	}
	snprintf(cls, sizeof(cls), "line %s", q->cls);
	dp_plot_line(p, cls, x, v, n, 1);
	if (n == 1)
		dp_buf_printf(p->b, "<circle class=\"dot %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"/>\n", q->cls,
			      dp_axis_at(&p->x, x[0]), dp_axis_at(&p->y, v[0]));
}

static const char *event_label(const struct dp_run_event *e)
{
	static const char *const name[] = { "logging on", "logging off", "migration begins", "migration done",
					    "migration ended without stopping the guest" };

	return name[e->kind];
}

/* The migration's syncs: lines, or where those would hide the rest, ticks. */
static void syncs(struct dp_plot *p, const struct dp_migration *m)
{
	struct dp_plot tick = *p;
	uint32_t i;

	if (m->nsyncs > MANY_SYNCS)
		tick.y.p0 = p->y.p1 + 7;
	for (i = 0; m->outcome != DP_MIG_NONE && i < m->nsyncs; i++)
		dp_plot_vline(&tick, "sync", m->syncs[i].t);
}

/* Lines through all panels; a name where there is room for it. */
static void events(struct dp_plot *p, const struct dp_run *run)
{
	const struct dp_run_event *order[DP_RUN_EVENTS] = { NULL };
	double last = -1e9;
	uint32_t i, k;

	for (i = 0; i < run->nevents; i++) {
		for (k = i; k && order[k - 1]->t > run->event[i].t; k--)
			order[k] = order[k - 1];
		order[k] = &run->event[i];
	}
	for (i = 0; i < run->nevents; i++) {
		const char *name = event_label(order[i]);
		double x = dp_axis_at(&p->x, order[i]->t), width = 6.2 * (double)strlen(name);
		bool left = x + width + 8 > p->x.p1;

		dp_plot_vline(p, "event", order[i]->t);
		if ((left ? x - width : x) < last + 8)
			continue;
		dp_plot_text(p, left ? "note end" : "note", left ? x - 4 : x + 4, p->y.p1 - 3, "%s", name);
		last = left ? x : x + width;
	}
}

static void tip(struct dp_buf *b, const struct dp_run *run, const struct dp_run_column *c)
{
	char a[FMT], z[FMT], v[FMT_EST];

	dp_buf_printf(b, "%s to %s", dp_fmt_time(a, sizeof(a), c->t0), dp_fmt_time(z, sizeof(z), c->t1));
	dp_buf_printf(b, "\nnewly dirtied  %s", dp_fmt_rate(a, sizeof(a), dp_run_fresh_bps(c)));
	if (!isnan(c->rate.mid))
		dp_buf_printf(b, "\ndirty rate  %s", dp_fmt_est(v, c->rate, dp_fmt_rate));
	if (c->sent > 0)
		dp_buf_printf(b, "\nsent  %s", dp_fmt_bits(a, sizeof(a), wire_bps(c)));
	if (!isnan(c->left))
		dp_buf_printf(b, "\nleft  %s%s", run->report.mig.remaining_known ? "" : "at most ",
			      dp_fmt_bytes(a, sizeof(a), c->left));
	if (!isnan(c->stop_now))
		dp_buf_printf(b, "\ndown if stopped  %s", dp_fmt_time(a, sizeof(a), c->stop_now));
}

static void hits(struct dp_plot *p, const struct dp_run *run, const struct panel *q, uint32_t n)
{
	uint32_t i, k;

	dp_buf_printf(p->b, "<g class=\"hits\">\n");
	for (i = 0; i < run->ncolumns; i++) {
		const struct dp_run_column *c = &run->column[i];
		double x0 = dp_axis_at(&p->x, c->t0), x1 = dp_axis_at(&p->x, c->t1), y[PANELS];
		struct dp_buf text = { 0 };

		for (k = 0; k < n; k++)
			y[k] = isnan(q[k].v[i]) ? NAN : dp_axis_at(&q[k].y, q[k].v[i]);
		tip(&text, run, c);
		dp_plot_hit(p, x0, x1, q[0].steps && n == 1 ? (x0 + x1) / 2 : x1, y, n,
			    text.data ? text.data : "");
		p->b->failed |= text.failed;
		dp_buf_free(&text);
	}
	dp_buf_printf(p->b, "</g>\n");
}

static void table(struct dp_buf *b, const struct dp_run *run)
{
	char key[64];
	uint32_t i;

	dp_buf_printf(
		b,
		"<details class=\"long\"><summary>The numbers</summary><div class=\"scroll\"><table class=\"num\">\n<thead><tr>"
		"<th scope=\"col\">until</th><th scope=\"col\">4K pages newly dirtied</th>"
		"<th scope=\"col\">newly dirtied</th><th scope=\"col\">dirty rate so far</th>"
		"<th scope=\"col\">sent</th><th scope=\"col\">sent</th><th scope=\"col\">left</th>"
		"<th scope=\"col\">down if stopped</th></tr></thead>\n<tbody>\n");
	for (i = 0; i < run->ncolumns; i++) {
		const struct dp_run_column *c = &run->column[i];

		dp_buf_printf(b, "<tr><th scope=\"row\">");
		snprintf(key, sizeof(key), "series.to_s.%u", i);
		dp_h_value(b, key, c->t1, dp_fmt_time);
		dp_buf_printf(b, "</th>");
		snprintf(key, sizeof(key), "series.new_pages.%u", i);
		dp_h_cell(b, key, c->fresh, dp_fmt_count);
		dp_h_cell(b, NULL, dp_run_fresh_bps(c), dp_fmt_rate);
		snprintf(key, sizeof(key), "series.dirty_rate_bytes_per_s.mid.%u", i);
		dp_h_cell(b, key, c->rate.mid, dp_fmt_rate);
		snprintf(key, sizeof(key), "series.sent_bytes.%u", i);
		dp_h_cell(b, key, c->sent, dp_fmt_bytes);
		dp_h_cell(b, NULL, wire_bps(c), dp_fmt_bits);
		snprintf(key, sizeof(key), "series.remaining_bytes.%u", i);
		dp_h_cell(b, key, c->left, dp_fmt_bytes);
		snprintf(key, sizeof(key), "series.stop_now_s.%u", i);
		dp_h_cell(b, key, c->stop_now, dp_fmt_time);
		dp_buf_printf(b, "</tr>\n");
	}
	dp_buf_printf(b, "</tbody></table></div></details>\n");
}

/* Runs side by side have one scale. */
static void same_scale(struct dp_h *h, struct panel *q, uint32_t n)
{
	struct panel other[PANELS + 1];
	uint32_t i, k, m, no;

	for (k = 0; k < h->n; k++) {
		no = choose(h->run[k], other);
		for (i = 0; i < n; i++)
			for (m = 0; m < no; m++)
				if (other[m].kind == q[i].kind)
					q[i].most = fmax(q[i].most, other[m].most);
	}
}

void dp_h_time(struct dp_h *h)
{
	const struct dp_run *run = h->r;
	struct panel q[PANELS + 1];
	struct dp_plot p;
	uint32_t i, n;

	n = choose(run, q);
	if (!run->ncolumns || (!run->report.ever_logged && n == 1)) {
		dp_buf_printf(h->b, "<p class=\"empty\">%s</p>\n",
			      run->ncolumns ? "Nothing was logged, and nothing was sent."
					    : "There was no interval.");
		return;
	}
	same_scale(h, q, n);
	dp_buf_printf(h->b, "<figure>\n");
	dp_plot_open(
		&p, h, "plot", n * (PANEL + ABOVE) + 58,
		"Newly dirtied memory, dirty rate and the migration's throughput over time. The table below has its numbers.");
	p.x = (struct dp_axis){ .unit = DP_U_TIME, .p0 = 84, .p1 = p.w - 28 };
	p.x.lo = run->column[0].t0;
	p.x.hi = fmax(p.x.lo + 1e-3, run->column[run->ncolumns - 1].t1);
	p.y.p0 = 20 + n * (PANEL + ABOVE) - 16;
	p.y.p1 = 14;
	syncs(&p, &run->report.mig);
	events(&p, run);
	for (i = 0; i < n; i++) {
		double top = 20 + i * (PANEL + ABOVE) + ABOVE - 16;

		q[i].y = (struct dp_axis){ .unit = q[i].unit, .p0 = top + PANEL, .p1 = top };
		/* an idle guest's axis, too, has units that people use */
		dp_axis_upto(&q[i].y, fmax(q[i].most, q[i].unit == DP_U_BITS_S ? 125 : 4096));
		p.y = q[i].y;
		dp_plot_frame(&p, q[i].title, i + 1 == n ? "time since dirtyprof attached" : NULL);
		dp_plot_clip(&p, h);
		if (q[i].steps)
			steps(&p, &q[i], run);
		else
			line(&p, &q[i], run);
		dp_plot_clip_end(&p);
	}
	p.y.p1 = 14;
	hits(&p, run, q, n);
	dp_plot_close(&p);
	dp_buf_printf(
		h->b,
		"<figcaption><b>Newly dirtied</b> counts a page once until it is re-armed, so it is no "
		"rate of writes%s. ",
		run->report.source == DP_SRC_HARVEST
			? "; what a fetch of the log brought is spread over the time since the one before"
			: "");
	if (run->report.mig.outcome != DP_MIG_NONE)
		dp_buf_printf(h->b, "Thin lines or ticks are the migration’s syncs of the dirty log.");
	dp_buf_printf(h->b, "</figcaption></figure>\n");
	table(h->b, run);
}
