// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Where dirty pages come from: by vCPU, region and slot. */
#include <math.h>
#include <stdio.h>

#include "html_int.h"

#define SHOWN 8

enum kind { VCPU, REGION, SLOT };

static void addresses(struct dp_buf *b, const struct dp_hot_row *row)
{
	char lo[FMT], hi[FMT];

	dp_h_esc(b, dp_fmt_bytes(lo, sizeof(lo), (double)row->lo * DP_WIRE_UNIT));
	dp_buf_printf(b, " to ");
	dp_h_esc(b, dp_fmt_bytes(hi, sizeof(hi), (double)row->hi * DP_WIRE_UNIT));
	dp_buf_printf(b, " <span class=\"dim\">%#llx–%#llx</span>",
		      (unsigned long long)row->lo * DP_WIRE_UNIT,
		      (unsigned long long)row->hi * DP_WIRE_UNIT - 1);
}

static void hot_row(struct dp_buf *b, const struct dp_hot_row *row, enum kind kind, uint32_t i)
{
	static const char *const list[] = { "by_vcpu", "by_region", "by_slot" };
	char key[64];

	dp_buf_printf(b, "<tr><th scope=\"row\">");
	if (kind == VCPU)
		dp_buf_printf(b, "vCPU %u", row->number);
	else if (kind == SLOT)
		dp_buf_printf(b, "%u%s: ", row->number, row->as_id ? " (SMM)" : "");
	if (kind != VCPU)
		addresses(b, row);
	dp_buf_printf(b, "</th>");
	snprintf(key, sizeof(key), "report.hot.%s.%u.%s", list[kind], i, kind == VCPU ? "events" : "pages");
	dp_h_cell(b, key, (double)row->count, dp_fmt_count);
	snprintf(key, sizeof(key), "report.hot.%s.%u.share", list[kind], i);
	dp_buf_printf(b, "<td class=\"share\" style=\"--w:%.2f%%\">", 100 * fmin(1, fmax(0, row->share)));
	dp_h_value(b, key, row->share, dp_fmt_share);
	dp_buf_printf(b, "</td></tr>\n");
}

static void hot_list(struct dp_buf *b, const struct dp_hot_list *l, enum kind kind)
{
	static const char *const what[] = { "vCPU", "region, guest-physical", "memslot, guest-physical" };
	static const char *const counted[] = { "dirty events", "4K pages", "4K pages" };
	uint32_t i;

	if (!l->n)
		return;
	dp_buf_printf(b,
		      "<div class=\"scroll\"><table class=\"num hot\">\n<thead><tr><th scope=\"col\">%s</th>"
		      "<th scope=\"col\">%s</th><th scope=\"col\">share</th></tr></thead>\n<tbody>\n",
		      what[kind], counted[kind]);
	for (i = 0; i < l->n && i < SHOWN; i++)
		hot_row(b, &l->row[i], kind, i);
	dp_buf_printf(b, "</tbody></table>");
	if (l->hot > i)
		dp_buf_printf(b, "<p class=\"dim\">and %u more</p>", l->hot - i);
	dp_buf_printf(b, "</div>\n");
}

void dp_h_hot(struct dp_h *h)
{
	const struct dp_hot *hot = &h->r->report.hot;
	struct dp_buf *b = h->b;
	char ram[FMT];

	if (!hot->regions.n && !hot->vcpus.n)
		return;
	dp_buf_printf(b, "<h4>Hottest first</h4>\n");
	if (hot->regions.half)
		dp_buf_printf(b, "<p>Half of the pages are in %u of %u regions, %s of RAM.</p>\n",
			      hot->regions.half, hot->regions.all,
			      dp_fmt_bytes(ram, sizeof(ram), (double)hot->regions.half_ram * DP_WIRE_UNIT));
	dp_buf_printf(b, "<div class=\"pair\">\n");
	hot_list(b, &hot->regions, REGION);
	dp_buf_printf(b, "<div>");
	hot_list(b, &hot->vcpus, VCPU);
	hot_list(b, &hot->slots, SLOT);
	dp_buf_printf(b, "</div></div>\n");
}
