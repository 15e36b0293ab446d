// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The verdict, what limits convergence, what to change, and the figures that it rests on. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "html_int.h"

struct face {
	const char *cls, *word;
	const char *icon; /* SVG path in a box of 24: told apart by its form, not by colour alone */
};

static struct face face_of(const struct dp_report *r)
{
	static const struct face of[] = {
		[DP_UNKNOWN] = { "unknown", "Unknown",
				 "M8.5 9.5a3.5 3.5 0 1 1 5 3.2c-1 .5-1.5 1.2-1.5 2.3M12 18.2v.1" },
		[DP_CONVERGES] = { "ok", "Converges", "M6 12.5l4 4 8-9" },
		[DP_BORDERLINE] = { "edge", "Borderline", "M5 15c2.3-4 4.7-4 7 0s4.7 4 7 0M5 9h14" },
		[DP_NEVER] = { "bad", "Never ends by itself", "M7 7l10 10M17 7L7 17" },
	};
	static const struct face done = { "ok", "Migrated", "M6 12.5l4 4 8-9" };

	if (r->mig.outcome == DP_MIG_DONE && !r->predicted)
		return done;
	return of[r->predicted ? r->pred.verdict : DP_UNKNOWN];
}

/* The sentence without the word that stands above it. */
static void sentence(struct dp_buf *b, const struct dp_report *r)
{
	struct dp_buf words = { 0 };
	const char *s;
	char first[2] = "";

	dp_words_verdict(&words, r);
	s = words.data ? words.data : "";
	while (isupper((unsigned char)*s))
		s++;
	if (s > words.data && !strncmp(s, ". ", 2))
		s += 2;
	else
		s = words.data ? words.data : "";
	if (!strncmp(s, "unknown, ", 9))
		s += 9;
	first[0] = (char)toupper((unsigned char)*s);
	dp_h_esc(b, first);
	dp_h_esc(b, *s ? s + 1 : s);
	b->failed |= words.failed;
	dp_buf_free(&words);
}

static void notes(struct dp_buf *b, const struct dp_report *r, bool advice)
{
	struct dp_buf words = { 0 };
	bool any = false;
	uint32_t i;

	for (i = 0; i < r->nnotes; i++) {
		dp_buf_reset(&words);
		if (dp_words_note(&words, r, &r->note[i]) != advice || !words.len)
			continue;
		if (!any)
			dp_buf_printf(b, "<h4>%s</h4><ul class=\"%s\">\n",
				      advice ? "What would make it converge" : "To keep in mind",
				      advice ? "advice" : "cautions");
		any = true;
		dp_buf_printf(b, "<li data-note=\"%s\">", dp_note_name(r->note[i].kind));
		words.data[0] = (char)toupper((unsigned char)words.data[0]);
		dp_h_esc(b, words.data);
		dp_buf_printf(b, "</li>\n");
	}
	if (any)
		dp_buf_printf(b, "</ul>\n");
	b->failed |= words.failed;
	dp_buf_free(&words);
}

static void tile(struct dp_buf *b, const char *name, const char *key, struct dp_est e, dp_fmt_fn fmt)
{
	dp_buf_printf(b, "<div class=\"tile\"><dt>%s</dt><dd>", name);
	dp_h_est(b, key, e, fmt);
	dp_buf_printf(b, "</dd></div>\n");
}

/* What happened is one number. */
static void tile_value(struct dp_buf *b, const char *name, const char *key, double v, dp_fmt_fn fmt)
{
	dp_buf_printf(b, "<div class=\"tile\"><dt>%s</dt><dd>", name);
	dp_h_value(b, key, v, fmt);
	dp_buf_printf(b, "</dd></div>\n");
}

static void tiles(struct dp_buf *b, const struct dp_report *r)
{
	dp_buf_printf(b, "<dl class=\"tiles\">\n");
	tile(b, "dirty rate, 4K pages", "report.dirty_rate_bytes_per_s.4K", r->rate[DP_4K], dp_fmt_rate);
	tile(b, "dirtied within 1 s", "report.dirtied_in_1s_bytes.4K", r->u[DP_4K][DP_POINT_1S],
	     dp_fmt_bytes);
	tile(b, "path, in the rounds", "report.bandwidth.rounds_bytes_per_s", r->speeds.rounds, dp_fmt_bits);
	if (r->predicted) {
		tile(b, "downtime’s floor", "report.prediction.floor_s", r->pred.floor, dp_fmt_time);
		tile(b, "total time", "report.prediction.total_s", r->pred.total, dp_fmt_time);
		tile(b, "downtime", "report.prediction.downtime_s", r->pred.downtime, dp_fmt_time);
	} else if (r->mig.outcome == DP_MIG_DONE) {
		tile_value(b, "total time", "report.migration.total_s", r->mig.total, dp_fmt_time);
		tile_value(b, "downtime", "report.migration.downtime_s", r->mig.downtime, dp_fmt_time);
	}
	dp_buf_printf(b, "</dl>\n");
}

static char *fmt_throttle(char *buf, size_t size, double v)
{
	if (v >= 1)
		snprintf(buf, size, "none does it");
	else if (isnan(v))
		snprintf(buf, size, "-");
	else
		snprintf(buf, size, "%.0f %%", v * 100);
	return buf;
}

static void row(struct dp_buf *b, const char *name, const char *key, struct dp_est e, dp_fmt_fn fmt)
{
	dp_buf_printf(b, "<tr><th scope=\"row\">%s</th>", name);
	dp_h_cell_est(b, key, e, fmt);
	dp_buf_printf(b, "</tr>\n");
}

static void term(struct dp_buf *b, const char *name, const char *key, double v, dp_fmt_fn fmt, bool assumed)
{
	dp_buf_printf(b, "<tr><th scope=\"row\">%s</th><td>", name);
	dp_h_value(b, key, v, fmt);
	dp_buf_printf(b, "%s</td></tr>\n", assumed ? " <span class=\"dim\">assumed</span>" : "");
}

static void speed(struct dp_buf *b, const char *name, const char *key, struct dp_est e, enum dp_speed_from f)
{
	if (isnan(e.mid))
		return;
	dp_buf_printf(b, "<tr><th scope=\"row\">%s</th><td>", name);
	dp_h_est(b, key, e, dp_fmt_bits);
	dp_buf_printf(b, " <span class=\"dim\">%s</span></td></tr>\n", f ? dp_text_speed_from(f) : "");
}

static void speeds(struct dp_buf *b, const struct dp_speeds *s)
{
	speed(b, "goodput", "report.bandwidth.goodput.bytes_per_s", s->goodput.bps, DP_SPEED_NONE);
	speed(b, "cap (max-bandwidth)", "report.bandwidth.cap.bytes_per_s", s->cap.bps, DP_SPEED_NONE);
	speed(b, "path’s capacity", "report.bandwidth.capacity.bytes_per_s", s->capacity.bps, DP_SPEED_NONE);
	speed(b, "used for the rounds", "report.bandwidth.rounds_bytes_per_s", s->rounds, s->rounds_from);
	speed(b, "used at switchover", "report.bandwidth.switchover_bytes_per_s", s->switchover,
	      s->switchover_from);
}

static void figures(struct dp_buf *b, const struct dp_report *r)
{
	const struct dp_prediction *p = &r->pred;

	dp_buf_printf(
		b,
		"<details class=\"cols\"><summary>All figures of the prediction</summary>\n<div class=\"pair\">"
		"<table class=\"facts\"><tbody>\n");
	row(b, "down if stopped now", "report.prediction.stop_now_s", p->stop_now, dp_fmt_time);
	row(b, "re-dirty-aware", "report.prediction.redirty_aware_s", p->redirty, dp_fmt_time);
	row(b, "downtime’s floor", "report.prediction.floor_s", p->floor, dp_fmt_time);
	row(b, "rounds", "report.prediction.rounds", p->rounds, dp_fmt_count);
	row(b, "total time", "report.prediction.total_s", p->total, dp_fmt_time);
	row(b, "downtime", "report.prediction.downtime_s", p->downtime, dp_fmt_time);
	row(b, "guest stands still", "report.prediction.blackout_s", p->blackout, dp_fmt_time);
	row(b, "least downtime limit", "report.prediction.least_limit_s", p->least_limit, dp_fmt_time);
	row(b, "least bandwidth", "report.prediction.least_bandwidth_bytes_per_s", p->least_bandwidth,
	    dp_fmt_bits);
	row(b, "least vCPU throttle", "report.prediction.least_throttle", p->least_throttle, fmt_throttle);
	dp_buf_printf(b, "</tbody></table>\n<table class=\"facts\"><tbody>\n");
	term(b, "downtime limit", "report.prediction.terms.limit_s", r->limit, dp_fmt_time,
	     r->assumed & DP_ASSUMED_LIMIT);
	term(b, "fixed part of the downtime", "report.prediction.terms.fixed_s", r->fixed, dp_fmt_time,
	     r->assumed & DP_ASSUMED_FIXED);
	term(b, "setup", "report.prediction.terms.setup_s", r->setup, dp_fmt_time,
	     r->assumed & DP_ASSUMED_SETUP);
	term(b, "zero pages", "report.prediction.terms.zero_share", r->zero_share, dp_fmt_share, false);
	term(b, "bytes on the wire a page", "report.prediction.terms.wire_page_bytes", r->wire_page,
	     dp_fmt_count, false);
	speeds(b, &r->speeds);
	dp_buf_printf(b, "</tbody></table></div></details>\n");
}

void dp_h_verdict(struct dp_h *h)
{
	const struct dp_report *r = &h->r->report;
	struct face f = face_of(r);
	struct dp_buf *b = h->b;

	dp_buf_printf(
		b,
		"<div class=\"verdict %s\"><svg class=\"icon\" viewBox=\"0 0 24 24\" aria-hidden=\"true\">"
		"<path d=\"%s\"/></svg><div><p class=\"word\">%s</p><p>",
		f.cls, f.icon, f.word);
	sentence(b, r);
	dp_buf_printf(b, "</p></div></div>\n");
	tiles(b, r);
	notes(b, r, true);
	notes(b, r, false);
	if (r->predicted)
		figures(b, r);
}
