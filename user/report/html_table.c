// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Bandwidth x downtime limit, as a table whose cells say what a migration would do. */
#include <math.h>
#include <stdio.h>

#include "html_int.h"

static void cell(struct dp_buf *b, const struct dp_cell *c, uint32_t index, bool here)
{
	static const char *const cls[] = { "unknown", "ok", "edge", "bad" };
	char key[64], v[FMT_EST], d[FMT_EST], n[FMT_EST];

	dp_buf_printf(b, "<td class=\"cell %s%s\" title=\"", cls[c->verdict], here ? " here" : "");
	dp_h_printf_esc(b, "%s: total %s, downtime %s, rounds %s", dp_verdict_name(c->verdict),
			dp_fmt_est(v, c->total, dp_fmt_time), dp_fmt_est(d, c->downtime, dp_fmt_time),
			dp_fmt_est(n, c->rounds, dp_fmt_count));
	dp_buf_printf(b, "\">");
	if (c->verdict == DP_NEVER) {
		dp_buf_printf(b, "<b>never</b>");
	} else if (c->verdict == DP_UNKNOWN) {
		dp_buf_printf(b, "unknown");
	} else {
		if (c->verdict == DP_BORDERLINE)
			dp_buf_printf(b, "<i>?</i> ");
		if (isfinite(c->total.mid)) {
			snprintf(key, sizeof(key), "table.cells.%u.total_s.mid", index);
			dp_buf_printf(b, "<b>");
			dp_h_value(b, key, c->total.mid, dp_fmt_time);
			dp_buf_printf(b, "</b><small>down ");
			snprintf(key, sizeof(key), "table.cells.%u.downtime_s.mid", index);
			dp_h_value(b, key, c->downtime.mid, dp_fmt_time);
			dp_buf_printf(b, "</small>");
		} else {
			dp_buf_printf(b, "borderline");
		}
	}
	dp_buf_printf(b, "</td>");
}

static bool near(double a, double b)
{
	return fabs(a - b) <= 0.01 * fabs(b);
}

static void words(struct dp_buf *b, const struct dp_run *run)
{
	const struct dp_table_report *t = &run->table;
	char v[FMT];
	bool held = false;
	uint32_t i;

	for (i = 0; i < t->nbandwidths; i++)
		held |= t->cap < t->bandwidth[i];
	dp_buf_printf(
		b,
		"<p class=\"dim\">Each cell: total time, and the downtime then, of a migration over a path of this "
		"bandwidth with this downtime limit. ? is borderline. The downtime includes a fixed part of %s%s.",
		dp_fmt_time(v, sizeof(v), t->fixed), t->assumed & DP_ASSUMED_FIXED ? " (assumed)" : "");
	if (held && !t->no_cap)
		dp_buf_printf(
			b,
			" QEMU’s max-bandwidth, %s, holds down the rounds on any faster path, not the downtime.",
			dp_fmt_bits(v, sizeof(v), t->cap));
	if (t->throttle > 0)
		dp_buf_printf(b, " With the vCPUs throttled by %.0f %%.", t->throttle * 100);
	dp_buf_printf(b, "%s</p>\n", t->assumed & DP_ASSUMED_EXIT ? " QEMU’s exit test was assumed." : "");
}

void dp_h_table(struct dp_h *h)
{
	const struct dp_run *run = h->r;
	const struct dp_table_report *t = &run->table;
	struct dp_buf *b = h->b;
	uint32_t i, j;

	if (!run->tabled) {
		dp_buf_printf(
			b,
			"<p class=\"empty\">Nothing is known of this VM’s dirtying, so there is nothing to make a "
			"table from.</p>\n");
		return;
	}
	dp_buf_printf(
		b,
		"<div class=\"scroll\"><table class=\"grid-table\">\n<thead><tr><th scope=\"col\">path \\ limit</th>");
	for (j = 0; j < t->nlimits; j++) {
		dp_buf_printf(b, "<th scope=\"col\">");
		dp_h_value(b, NULL, t->limit[j], dp_fmt_time);
		dp_buf_printf(b, "</th>");
	}
	dp_buf_printf(b, "</tr></thead>\n<tbody>\n");
	for (i = 0; i < t->nbandwidths; i++) {
		dp_buf_printf(b, "<tr><th scope=\"row\">");
		dp_h_value(b, NULL, t->bandwidth[i], dp_fmt_bits);
		dp_buf_printf(b, "</th>");
		for (j = 0; j < t->nlimits; j++)
			cell(b, &t->cell[i][j], i * t->nlimits + j,
			     near(t->bandwidth[i], run->report.basis.path) &&
				     near(t->limit[j], run->report.limit));
		dp_buf_printf(b, "</tr>\n");
	}
	dp_buf_printf(b, "</tbody></table></div>\n");
	words(b, run);
}
