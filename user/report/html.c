// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A page about a run, or several side by side. */
#include <stdio.h>
#include <string.h>

#include "html_int.h"
#include "html_assets.h" /* made from html.css and html.js */

struct section {
	const char *id, *nav, *title, *lead;
	void (*all)(struct dp_h *h); /* about all runs together; only where there are several */
	void (*one)(struct dp_h *h);
};

static const struct section sections[] = {
	{ "verdict", "Verdict", "Will it migrate?", NULL, NULL, dp_h_verdict },
	{ "curve", "Working set", "Working set",
	  "How much distinct memory the guest dirties within a time t: the longer one looks, the more. Where the curve of 4K pages "
	  "crosses what the path sends meanwhile, a round cannot get any shorter.",
	  dp_h_curve_all, dp_h_curve },
	{ "heat", "Heat map", "Where, and when", NULL, NULL, dp_h_heat },
	{ "time", "Over time", "Over time", NULL, NULL, dp_h_time },
	{ "rounds", "Rounds", "Rounds of pre-copy",
	  "Each round sends what was dirtied during the one before.", NULL, dp_h_rounds },
	{ "table", "Table", "Bandwidth and downtime limit", NULL, NULL, dp_h_table },
	{ "facts", "The VM", "The VM and the measurement", NULL, NULL, dp_h_facts },
	{ "self", "Overhead", "dirtyprof itself", "What measuring cost, and what it missed.", NULL,
	  dp_h_self },
};

/* The VMs' names, each once. */
static void title(struct dp_h *h)
{
	uint32_t i, k;

	for (i = 0; i < h->n; i++) {
		const struct dp_subject *vm = &h->run[i]->report.vm;
		bool said = false;

		for (k = 0; k < i; k++)
			said |= vm->name[0] && !strcmp(h->run[k]->report.vm.name, vm->name);
		if (said)
			continue;
		if (i)
			dp_buf_printf(h->b, ", ");
		if (vm->name[0])
			dp_h_esc(h->b, vm->name);
		else
			dp_buf_printf(h->b, "process %d", (int)vm->pid);
	}
}

static void head(struct dp_h *h)
{
	struct dp_buf *b = h->b;

	dp_buf_printf(b,
		      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
		      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
		      "<meta name=\"color-scheme\" content=\"light dark\">\n"
		      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
		      "style-src 'unsafe-inline'; script-src 'sha256-%s'\">\n"
		      "<meta name=\"generator\" content=\"dirtyprof " DIRTYPROF_VERSION "\">\n<title>",
		      html_js_sha256);
	title(h);
	dp_buf_printf(b, " – dirtyprof</title>\n<style>\n");
	dp_buf_append(b, html_css, strlen(html_css));
	dp_buf_printf(b, "</style>\n</head>\n");
}

static void banner(struct dp_h *h)
{
	const struct dp_run *run = h->run[0];
	struct dp_buf *b = h->b;
	char when[2 * FMT], v[FMT];

	dp_buf_printf(b, "<header><div><p class=\"brand\">dirtyprof</p><h1>");
	title(h);
	dp_buf_printf(b, "</h1><p class=\"dim\">");
	if (h->n == 1) {
		dp_h_esc(b, dp_fmt_bytes(v, sizeof(v), (double)run->report.vm.ram));
		dp_buf_printf(b, " of RAM, %u vCPU%s, ", run->report.vm.nvcpus,
			      run->report.vm.nvcpus == 1 ? "" : "s");
		if (run->report.vm.qemu_version[0])
			dp_h_printf_esc(b, "QEMU %s, ", run->report.vm.qemu_version);
		dp_buf_printf(b, "watched for %s", dp_fmt_time(v, sizeof(v), run->report.span));
		if (run->report.wall_us)
			dp_buf_printf(b, " until %s",
				      dp_fmt_utc(when, sizeof(when), (double)run->report.wall_us / 1e6));
	} else {
		dp_buf_printf(b, "%u runs side by side", h->n);
	}
	dp_buf_printf(
		b,
		"</p></div>\n<div class=\"tools\"><button type=\"button\" id=\"theme\" hidden>Theme</button>"
		"<button type=\"button\" id=\"save\" hidden>Save the data</button></div></header>\n");
}

static void nav(struct dp_h *h)
{
	size_t i;

	dp_buf_printf(h->b, "<nav aria-label=\"Sections\"><ul>\n");
	if (h->n > 1)
		dp_buf_printf(h->b, "<li><a href=\"#compare\">Differences</a></li>\n");
	for (i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
		dp_buf_printf(h->b, "<li><a href=\"#%s\">%s</a></li>\n", sections[i].id, sections[i].nav);
	dp_buf_printf(h->b, "</ul></nav>\n");
}

static void section(struct dp_h *h, const struct section *s)
{
	struct dp_buf *b = h->b;
	double width = h->width;

	dp_buf_printf(b, "<section id=\"%s\">\n<h2>%s</h2>\n", s->id, s->title);
	if (s->lead)
		dp_buf_printf(b, "<p class=\"lead\">%s</p>\n", s->lead);
	if (s->all && h->n > 1) {
		h->at = 0;
		h->r = h->run[0];
		h->width = 1420;
		s->all(h);
		h->width = width;
	}
	dp_buf_printf(b, "<div class=\"runs%s\">\n", h->n > 1 ? " several" : "");
	for (h->at = 0; h->at < h->n; h->at++) {
		h->r = h->run[h->at];
		dp_buf_printf(b, "<article data-run=\"%u\">\n", h->at);
		if (h->n > 1) {
			dp_buf_printf(b, "<h3><span class=\"badge c%u\">%c</span> ", dp_h_colour(h->at),
				      'A' + (int)h->at);
			dp_h_esc(b, h->r->label[0] ? h->r->label : h->r->report.vm.name);
			dp_buf_printf(b, "</h3>\n");
		}
		s->one(h);
		dp_buf_printf(b, "</article>\n");
	}
	dp_buf_printf(b, "</div>\n</section>\n");
}

/* In a script element only "<" could end what is data; the others are escaped to be sure. All of them stand in strings alone. */
static void data(struct dp_h *h)
{
	struct dp_buf json = { 0 };
	uint32_t i;
	size_t at, n;

	dp_buf_printf(&json, "{\"dirtyprof\":\"" DIRTYPROF_VERSION "\",\"runs\":[");
	for (i = 0; i < h->n; i++) {
		if (i)
			dp_buf_printf(&json, ",\n");
		dp_run_json(&json, h->run[i]);
	}
	dp_buf_printf(&json, "],\"compare\":[");
	if (h->n > 1)
		dp_h_compare_data(&json, h);
	dp_buf_printf(&json, "]}");
	dp_buf_printf(h->b, "<script type=\"application/json\" id=\"data\">");
	for (at = 0; json.data && json.data[at]; at += n) {
		n = strcspn(json.data + at, "<>&");
		dp_buf_append(h->b, json.data + at, n);
		if (json.data[at + n])
			dp_buf_printf(h->b, "\\u%04x", (unsigned char)json.data[at + n++]);
	}
	dp_buf_printf(h->b, "</script>\n");
	h->b->failed |= json.failed;
	dp_buf_free(&json);
}

void dp_html(struct dp_buf *b, const struct dp_run *const *run, uint32_t n)
{
	struct dp_h h = { .b = b, .run = run, .n = n, .width = n > 1 ? 640 : 1040 };
	size_t i;

	head(&h);
	dp_buf_printf(b, "<body class=\"%s\">\n<a class=\"skip\" href=\"#main\">To the report</a>\n",
		      n > 1 ? "wide" : "one");
	banner(&h);
	nav(&h);
	dp_buf_printf(b, "<main id=\"main\">\n");
	if (n > 1)
		dp_h_compare(&h);
	for (i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
		section(&h, &sections[i]);
	dp_buf_printf(
		b,
		"</main>\n<footer><p>Made by dirtyprof " DIRTYPROF_VERSION
		". Numbers in brackets or after a middle are its 10th and 90th percentile. The page "
		"holds all its data as JSON, in the records that <code>--json</code> prints.</p></footer>\n"
		"<div id=\"tip\" role=\"status\" aria-live=\"polite\" hidden></div>\n");
	data(&h);
	dp_buf_printf(b, "<script>");
	dp_buf_append(b, html_js, strlen(html_js));
	dp_buf_printf(b, "</script>\n</body>\n</html>\n");
}
