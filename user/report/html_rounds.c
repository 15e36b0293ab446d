// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The rounds of pre-copy: predicted, and as they were. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "html_int.h"

#define SHOWN 40  /* rounds in the plot */
#define PANEL 150 /* pixels of a panel's frame */

struct rounds {
	const struct dp_round *predicted;
	const char *key; /* where those are in the data */
	uint32_t npredicted, nreal;
	bool before; /* predicted before the migration, not for one to come */
	/* by round: index of its sync, or -1 */
	int32_t sync[DP_REPORT_SYNCS];
};

static void collect(const struct dp_report *r, struct rounds *s)
{
	const struct dp_migration *m = &r->mig;
	uint32_t i;

	memset(s, 0, sizeof(*s));
	memset(s->sync, 0xff, sizeof(s->sync));
	if (m->outcome == DP_MIG_NONE) {
		s->predicted = r->pred.round;
		s->npredicted = r->predicted ? r->pred.nrounds : 0;
		s->npredicted = s->npredicted < DP_MAX_ROUNDS ? s->npredicted : DP_MAX_ROUNDS;
		s->key = "report.prediction.round";
		return;
	}
	s->before = true;
	s->predicted = m->before_round;
	s->npredicted = m->before_known ? m->before_nrounds : 0;
	s->key = "report.migration.predicted_before.round";
	for (i = 0; i < m->nsyncs; i++) {
		uint32_t round = m->syncs[i].round;

		if (!round || round > DP_REPORT_SYNCS)
			continue;
		s->sync[round - 1] = (int32_t)i;
		s->nreal = round > s->nreal ? round : s->nreal;
	}
}

/* Of round k: seconds, or bytes dirtied by its end; NAN where there is none. */
static double predicted(const struct rounds *s, uint32_t k, bool dirtied)
{
	if (k >= s->npredicted)
		return NAN;
	return dirtied ? s->predicted[k].dirtied * DP_WIRE_UNIT : s->predicted[k].seconds;
}

static double real(const struct dp_report *r, const struct rounds *s, uint32_t k, bool dirtied)
{
	const struct dp_sync_report *y;

	if (k >= s->nreal || s->sync[k] < 0)
		return NAN;
	y = &r->mig.syncs[s->sync[k]];
	return dirtied ? (double)y->new_blocks[DP_4K] * DP_WIRE_UNIT : y->since;
}

/* A logarithmic axis around all that is more than 0. */
static void fit(const struct dp_report *r, const struct rounds *s, uint32_t n, bool dirtied,
		struct dp_axis *a)
{
	double least = HUGE_VAL, most = 0, base = dirtied ? 16 : 10;
	uint32_t k;

	for (k = 0; k < n; k++) {
		double v[2] = { predicted(s, k, dirtied), real(r, s, k, dirtied) };
		int i;

		for (i = 0; i < 2; i++) {
			if (v[i] > 0) {
				least = fmin(least, v[i]);
				most = fmax(most, v[i]);
			}
		}
	}
	if (!(most > 0)) /* nothing is dirtied: an axis all the same */
		least = dirtied ? 65536 : 1, most = least;
	a->unit = dirtied ? DP_U_BYTES : DP_U_TIME;
	a->log = true;
	a->lo = pow(base, floor(log(least * 0.95) / log(base)));
	a->hi = pow(base, ceil(log(most * 1.05) / log(base)));
}

static void dots(struct dp_plot *p, const char *cls, const double *v, uint32_t n)
{
	double x[SHOWN];
	char line[32];
	uint32_t k;

	for (k = 0; k < n; k++)
		x[k] = k + 1;
	snprintf(line, sizeof(line), "line thin %s", cls);
	dp_plot_line(p, line, x, v, n, 1);
	for (k = 0; k < n; k++)
		if (v[k] > 0)
			dp_buf_printf(p->b, "<circle class=\"dot %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"4.5\"/>\n",
				      cls, dp_axis_at(&p->x, x[k]), dp_axis_at(&p->y, v[k]));
}

static void hits(struct dp_plot *p, const struct dp_report *r, const struct rounds *s, uint32_t n,
		 const struct dp_axis *y)
{
	double half = (dp_axis_at(&p->x, 2) - dp_axis_at(&p->x, 1)) / 2;
	char a[FMT], c[FMT];
	uint32_t k;

	dp_buf_printf(p->b, "<g class=\"hits\">\n");
	for (k = 0; k < n; k++) {
		double x = dp_axis_at(&p->x, k + 1), at[4];
		struct dp_buf tip = { 0 };
		int i;

		for (i = 0; i < 4; i++) {
			double v = i & 1 ? real(r, s, k, i / 2) : predicted(s, k, i / 2);

			at[i] = v > 0 ? dp_axis_at(&y[i / 2], v) : NAN;
		}
		dp_buf_printf(&tip, "round %u", k + 1);
		if (k < s->npredicted)
			dp_buf_printf(&tip, "\npredicted  %s, %s dirtied",
				      dp_fmt_time(a, sizeof(a), predicted(s, k, false)),
				      dp_fmt_bytes(c, sizeof(c), predicted(s, k, true)));
		if (k < s->nreal && s->sync[k] >= 0)
			dp_buf_printf(&tip, "\nhappened  %s, %s dirtied",
				      dp_fmt_time(a, sizeof(a), real(r, s, k, false)),
				      dp_fmt_bytes(c, sizeof(c), real(r, s, k, true)));
		dp_plot_hit(p, x - half, x + half, x, at, 4, tip.data ? tip.data : "");
		p->b->failed |= tip.failed;
		dp_buf_free(&tip);
	}
	dp_buf_printf(p->b, "</g>\n");
}

static bool any_dirtied(const struct dp_report *r, const struct rounds *s, uint32_t n)
{
	uint32_t k;

	for (k = 0; k < n; k++)
		if (predicted(s, k, true) > 0 || real(r, s, k, true) > 0)
			return true;
	return false;
}

static void plot(struct dp_h *h, const struct dp_report *r, const struct rounds *s)
{
	uint32_t most = s->npredicted > s->nreal ? s->npredicted : s->nreal, n = most < SHOWN ? most : SHOWN,
		 k;
	double v[SHOWN];
	struct dp_axis y[2];
	struct dp_plot p;
	int i;

	dp_buf_printf(h->b, "<figure>\n<div class=\"legend\">");
	if (s->npredicted)
		dp_buf_printf(h->b, "<span class=\"key dot-key hollow c0\">predicted%s</span>",
			      s->before ? " before it began" : "");
	if (s->nreal)
		dp_buf_printf(h->b, "<span class=\"key dot-key c4\">happened</span>");
	dp_buf_printf(h->b, "</div>\n");
	dp_plot_open(
		&p, h, "plot", 2 * (PANEL + 50) + 52,
		"Rounds of pre-copy: how long each takes and how much is dirtied by its end. The table below has its numbers.");
	p.x = (struct dp_axis){
		.unit = DP_U_COUNT, .lo = 0.5, .hi = fmax(6, n) + 0.5, .p0 = 84, .p1 = p.w - 28
	};
	for (i = 0; i < 2; i++) {
		y[i].p1 = 34 + i * (PANEL + 50);
		y[i].p0 = y[i].p1 + PANEL;
		fit(r, s, n, i, &y[i]);
		p.y = y[i];
		dp_plot_frame(&p, i ? "dirtied by the round’s end" : "the round takes", i ? "round" : NULL);
		for (k = 0; k < n; k++)
			v[k] = predicted(s, k, i);
		dots(&p, "hollow c0", v, n);
		for (k = 0; k < n; k++)
			v[k] = real(r, s, k, i);
		dots(&p, "c4", v, n);
		if (i && !any_dirtied(r, s, n))
			dp_plot_text(&p, "note big", (p.x.p0 + p.x.p1) / 2, (p.y.p0 + p.y.p1) / 2,
				     "nothing is dirtied");
	}
	p.y.p1 = y[0].p1;
	hits(&p, r, s, n, y);
	dp_plot_close(&p);
	dp_buf_printf(
		h->b,
		"<figcaption>Both axes are logarithmic: rounds that shrink by the same factor fall on a straight line, "
		"and one that has reached the floor is level.");
	if (most > SHOWN)
		dp_buf_printf(h->b, " The first %d of %u rounds.", SHOWN, most);
	dp_buf_printf(h->b, "</figcaption></figure>\n");
}

static void predicted_cells(struct dp_buf *b, const struct rounds *s, uint32_t k)
{
	char key[80];

	if (k >= s->npredicted) {
		dp_buf_printf(b, "<td>–</td><td>–</td><td>–</td>");
		return;
	}
	snprintf(key, sizeof(key), "%s.%u.pages", s->key, k);
	dp_h_cell(b, key, s->predicted[k].pages, dp_fmt_count);
	snprintf(key, sizeof(key), "%s.%u.seconds", s->key, k);
	dp_h_cell(b, key, s->predicted[k].seconds, dp_fmt_time);
	snprintf(key, sizeof(key), "%s.%u.dirtied", s->key, k);
	dp_h_cell(b, key, s->predicted[k].dirtied, dp_fmt_count);
}

static void real_cells(struct dp_buf *b, const struct dp_report *r, const struct rounds *s, uint32_t k)
{
	int32_t i = k < s->nreal ? s->sync[k] : -1;
	const struct dp_sync_report *y;
	char key[80];

	if (i < 0) {
		dp_buf_printf(b, "<td>–</td><td>–</td><td>–</td>");
		return;
	}
	y = &r->mig.syncs[i];
	snprintf(key, sizeof(key), "report.migration.syncs.%d.sent_bytes", i);
	dp_h_cell(b, key, y->sent, dp_fmt_bytes);
	snprintf(key, sizeof(key), "report.migration.syncs.%d.since_s", i);
	dp_h_cell(b, key, y->since, dp_fmt_time);
	snprintf(key, sizeof(key), "report.migration.syncs.%d.new_blocks.4K", i);
	dp_h_cell(b, key, (double)y->new_blocks[DP_4K], dp_fmt_count);
}

static void table(struct dp_buf *b, const struct dp_report *r, const struct rounds *s)
{
	uint32_t n = s->npredicted > s->nreal ? s->npredicted : s->nreal, k;
	uint32_t kept = n < DP_REPORT_SYNCS ? n : DP_REPORT_SYNCS;

	dp_buf_printf(
		b,
		"<details%s><summary>The numbers</summary><div class=\"scroll\"><table class=\"num\">\n<thead><tr>"
		"<th rowspan=\"2\" scope=\"col\">round</th><th colspan=\"3\" scope=\"colgroup\">predicted</th>%s</tr>\n<tr>"
		"<th scope=\"col\">pages sent</th><th scope=\"col\">takes</th><th scope=\"col\">pages dirtied</th>%s</tr></thead>\n<tbody>\n",
		n <= 12 ? " open" : "", s->before ? "<th colspan=\"3\" scope=\"colgroup\">happened</th>" : "",
		s->before
			? "<th scope=\"col\">sent</th><th scope=\"col\">took</th><th scope=\"col\">pages dirtied</th>"
			: "");
	for (k = 0; k < kept; k++) {
		dp_buf_printf(b, "<tr><th scope=\"row\">%u</th>", k + 1);
		predicted_cells(b, s, k);
		if (s->before)
			real_cells(b, r, s, k);
		dp_buf_printf(b, "</tr>\n");
	}
	dp_buf_printf(b, "</tbody></table></div>");
	if (n > kept)
		dp_buf_printf(b, "<p>%u more are in the data.</p>", n - kept);
	dp_buf_printf(b, "</details>\n");
}

static void row(struct dp_buf *b, const char *key, struct dp_est total, struct dp_est down, double rounds,
		enum dp_verdict v)
{
	char path[96];

	snprintf(path, sizeof(path), "%s.total_s", key);
	dp_h_cell_est(b, path, total, dp_fmt_time);
	snprintf(path, sizeof(path), "%s.downtime_s", key);
	dp_h_cell_est(b, path, down, dp_fmt_time);
	snprintf(path, sizeof(path), "%s.rounds", key);
	dp_h_cell(b, path, rounds, dp_fmt_count);
	dp_buf_printf(b, "<td class=\"word\">%s</td></tr>\n", dp_verdict_name(v));
}

/* What was said when, beside what happened. */
static void said(struct dp_buf *b, const struct dp_report *r)
{
	const struct dp_migration *m = &r->mig;
	char key[64];
	uint32_t i;

	dp_buf_printf(
		b,
		"<h4>What was said when</h4>\n<div class=\"scroll\"><table class=\"num\">\n<thead><tr>"
		"<th scope=\"col\">predicted</th><th scope=\"col\">total</th><th scope=\"col\">downtime</th>"
		"<th scope=\"col\">rounds</th><th scope=\"col\" class=\"word\">verdict</th></tr></thead>\n<tbody>\n");
	dp_buf_printf(b, "<tr><th scope=\"row\">before it began</th>");
	if (m->before_known)
		row(b, "report.migration.predicted_before", m->before_total, m->before_downtime,
		    m->before_rounds, m->before_verdict);
	else
		dp_buf_printf(
			b, "<td>–</td><td>–</td><td>–</td><td class=\"word\">nothing was known</td></tr>\n");
	for (i = 0; i < m->nsyncs; i++) {
		const struct dp_sync_report *y = &m->syncs[i];

		if (!y->round)
			continue;
		dp_buf_printf(b, "<tr><th scope=\"row\">after round %u, at ", y->round);
		snprintf(key, sizeof(key), "report.migration.syncs.%u.at_s", i);
		dp_h_value(b, key, y->t, dp_fmt_time);
		dp_buf_printf(b, "</th>");
		snprintf(key, sizeof(key), "report.migration.syncs.%u", i);
		row(b, key, y->total, y->downtime, y->rounds, y->verdict);
	}
	if (m->outcome == DP_MIG_DONE) {
		dp_buf_printf(b, "<tr class=\"sum\"><th scope=\"row\">happened</th>");
		dp_h_cell(b, "report.migration.total_s", m->total, dp_fmt_time);
		dp_h_cell(b, "report.migration.downtime_s", m->downtime, dp_fmt_time);
		dp_h_cell(b, "report.migration.rounds", m->rounds, dp_fmt_count);
		dp_buf_printf(b, "<td class=\"word\">%s</td></tr>\n", m->qmp ? "by QEMU" : "on the wire");
	}
	dp_buf_printf(b, "</tbody></table></div>\n");
	if (m->outcome == DP_MIG_DONE && !m->qmp && !isnan(m->downtime))
		dp_buf_printf(
			b,
			"<p>The downtime is from the guest’s last instruction here to the last byte sent; the "
			"destination’s start comes on top.</p>\n");
}

static void summary(struct dp_buf *b, const struct dp_report *r)
{
	static const char *const how[] = {
		[DP_MIG_RUNNING] = "under way at the end",
		[DP_MIG_DONE] = "completed",
		[DP_MIG_CANCELLED] = "ended without the guest having stopped (cancelled or failed)"
	};
	const struct dp_migration *m = &r->mig;

	dp_buf_printf(b, "<p>The migration %s: it began at ", how[m->outcome]);
	dp_h_value(b, "report.migration.start_s", m->start, dp_fmt_time);
	dp_buf_printf(b, ", took ");
	dp_h_value(b, "report.migration.elapsed_s", m->elapsed, dp_fmt_time);
	dp_buf_printf(b, " and sent ");
	dp_h_value(b, "report.migration.sent_bytes", m->sent, dp_fmt_bytes);
	dp_buf_printf(b, " over %u %s channel%s%s.</p>\n", m->channels, m->tcp ? "TCP" : "unix",
		      m->channels == 1 ? "" : "s", m->multifd ? " (multifd)" : "");
}

void dp_h_rounds(struct dp_h *h)
{
	const struct dp_report *r = &h->r->report;
	struct rounds s;

	collect(r, &s);
	if (s.before)
		summary(h->b, r);
	if (s.npredicted || s.nreal) {
		plot(h, r, &s);
		table(h->b, r, &s);
	} else if (!s.before) {
		dp_buf_printf(h->b, "<p class=\"empty\">No round could be predicted%s.</p>\n",
			      isnan(r->speeds.rounds.mid) ? ", as the bandwidth is not known" : "");
	}
	if (s.before)
		said(h->b, r);
}
