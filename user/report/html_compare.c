// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What differs between the first run and each of the others. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "compare.h"
#include "html_int.h"

#define BAR_W 200.0 /* pixels, from -100 % to +100 % */

/* The difference and its band as a share of A, around a line at 0. */
static void bar(struct dp_buf *b, const struct dp_difference *d, unsigned int colour)
{
	double v[3] = { d->diff.lo / d->a.mid, d->diff.mid / d->a.mid, d->diff.hi / d->a.mid };
	double mid = v[1];
	int i;

	dp_buf_printf(b, "<td class=\"bar\">");
	if (d->a.mid > 0 && isfinite(v[1])) {
		for (i = 0; i < 3; i++)
			v[i] = BAR_W / 2 * (1 + fmax(-1, fmin(1, isnan(v[i]) ? mid : v[i]))) + 6;
		dp_buf_printf(
			b,
			"<svg class=\"mini\" viewBox=\"0 0 %g 20\" aria-hidden=\"true\"><path class=\"axis\" d=\"M%g 0V20\"/>"
			"<path class=\"line thin c%u\" d=\"M%.1f 10H%.1f\"/>"
			"<circle class=\"dot%s c%u\" cx=\"%.1f\" cy=\"10\" r=\"4.5\"/></svg>",
			BAR_W + 12, BAR_W / 2 + 6, colour, v[0], v[2],
			d->differs == DP_DIFFERS_YES ? "" : " hollow", colour, v[1]);
	}
	dp_buf_printf(b, "</td>");
}

static void signed_est(struct dp_buf *b, const char *key, const struct dp_difference *d)
{
	dp_value_fmt fmt = dp_difference_fmt(d);
	const double *v[3] = { &d->diff.mid, &d->diff.lo, &d->diff.hi };
	static const char *const part[] = { "mid", "lo", "hi" };
	char text[FMT + 2], exact[FMT];
	int i;

	dp_buf_printf(b, "<td>");
	for (i = 0; i < (isnan(d->diff.lo) ? 1 : 3); i++) {
		snprintf(exact, sizeof(exact), "%.17g", *v[i]);
		dp_buf_printf(b, "%s<data value=\"%s\" data-k=\"%s.difference.%s\">",
			      i == 1   ? " <span class=\"band-text\">"
			      : i == 2 ? " to "
				       : "",
			      isfinite(*v[i]) ? exact : "", key, part[i]);
		dp_h_esc(b, dp_fmt_signed(text, sizeof(text), *v[i], fmt));
		dp_buf_printf(b, "</data>%s", i == 2 ? "</span>" : "");
	}
	dp_buf_printf(b, "</td>");
}

static void row(struct dp_buf *b, const struct dp_difference *d, uint32_t i, unsigned int colour)
{
	static const char *const words[] = { "not known", "within the noise", "yes" };
	static const char *const cls[] = { "no", "no", "yes" };
	dp_fmt_fn fmt = dp_difference_fmt(d);
	char key[64], path[72];

	snprintf(key, sizeof(key), "differences.%u", i);
	dp_buf_printf(b, "<tr><th scope=\"row\">%s</th>", d->name);
	snprintf(path, sizeof(path), "%s.a", key);
	dp_h_cell_est(b, path, d->a, fmt);
	snprintf(path, sizeof(path), "%s.b", key);
	dp_h_cell_est(b, path, d->b, fmt);
	signed_est(b, key, d);
	bar(b, d, colour);
	dp_buf_printf(b, "<td class=\"word differs %s\">%s</td></tr>\n", cls[d->differs], words[d->differs]);
}

static void one(struct dp_h *h, const struct dp_comparison *c, uint32_t which)
{
	unsigned int colour = dp_h_colour(which);
	struct dp_buf *b = h->b;
	uint32_t i;

	dp_buf_printf(b, "<div data-compare=\"%u\"><h3><span class=\"badge c%u\">%c</span> ", which - 1,
		      colour, 'A' + (int)which);
	dp_h_esc(b, c->b->label);
	dp_buf_printf(b, " <span class=\"dim\">against</span> <span class=\"badge c%u\">A</span> ",
		      dp_h_colour(0));
	dp_h_esc(b, c->a->label);
	dp_buf_printf(b, "</h3>\n");
	if (!c->n) {
		dp_buf_printf(b, "<p class=\"empty\">Nothing is known of both.</p></div>\n");
		return;
	}
	dp_buf_printf(
		b,
		"<p><b>%u of %u</b> figures differ by more than the noise. A: %s; %c: %s.</p>\n"
		"<div class=\"scroll\"><table class=\"num\">\n<thead><tr><th scope=\"col\"></th><th scope=\"col\">A</th>"
		"<th scope=\"col\">%c</th><th scope=\"col\">difference</th>"
		"<th scope=\"col\" class=\"bar\">−100 %% to +100 %% of A</th>"
		"<th scope=\"col\" class=\"word\">exceeds the noise</th></tr></thead>\n<tbody>\n",
		c->differ, c->n, dp_compare_verdict(c->a), 'A' + (int)which, dp_compare_verdict(c->b),
		'A' + (int)which);
	for (i = 0; i < c->n; i++)
		row(b, &c->row[i], i, colour);
	dp_buf_printf(b, "</tbody></table></div></div>\n");
}

void dp_h_compare(struct dp_h *h)
{
	struct dp_comparison *c = calloc(1, sizeof(*c));
	uint32_t i;

	if (!c) {
		h->b->failed = true;
		return;
	}
	dp_buf_printf(
		h->b,
		"<section id=\"compare\">\n<h2>Differences</h2>\n<p class=\"lead\">Each difference with its error, from "
		"both bands. It exceeds the noise where 0 is outside of twice its 10–90 %% band; about one in a hundred "
		"does by chance. What happened in a migration has the error of what was predicted before it.</p>\n");
	for (i = 1; i < h->n; i++) {
		dp_compare(c, h->run[0], h->run[i]);
		one(h, c, i);
	}
	dp_buf_printf(h->b, "</section>\n");
	free(c);
}

void dp_h_compare_data(struct dp_buf *json, const struct dp_h *h)
{
	struct dp_comparison *c = calloc(1, sizeof(*c));
	uint32_t i;

	if (!c) {
		json->failed = true;
		return;
	}
	for (i = 1; i < h->n; i++) {
		dp_compare(c, h->run[0], h->run[i]);
		dp_buf_printf(json, "%s", i > 1 ? "," : "");
		dp_json_compare(json, c);
	}
	free(c);
}
