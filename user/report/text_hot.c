// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Where dirty pages come from, in the text report. */
#include <inttypes.h>
#include <stdio.h>

#include "text_int.h"

#define HOT_VCPUS   5
#define HOT_REGIONS 8
#define HOT_SLOTS   5
#define ROW	    "  %-41s %9s %13s %8s"

/* "0x100000000-0x1007fffff": the first and the last byte. */
static char *fmt_range(char *buf, size_t size, const struct dp_hot_row *h)
{
	snprintf(buf, size, "0x%" PRIx64 "-0x%" PRIx64, h->lo * DP_WIRE_UNIT, h->hi * DP_WIRE_UNIT - 1);
	return buf;
}

static void print_row(struct dp_buf *b, const char *name, const struct dp_hot_row *h)
{
	char ram[FMT] = "", n[FMT], share[FMT];

	if (h->ram)
		dp_fmt_bytes(ram, sizeof(ram), (double)h->ram * DP_WIRE_UNIT);
	dp_text_row(b, ROW, name, ram, dp_fmt_count(n, sizeof(n), (double)h->count),
		    dp_fmt_share(share, sizeof(share), h->share));
}

static void print_rest(struct dp_buf *b, const struct dp_hot_list *l, uint32_t shown)
{
	struct dp_hot_row rest = { .count = l->count, .share = 1 };
	char name[48];
	uint32_t i;

	if (l->hot <= shown)
		return;
	for (i = 0; i < shown; i++) {
		rest.count -= l->row[i].count;
		rest.share -= l->row[i].share;
	}
	snprintf(name, sizeof(name), "  %u more", l->hot - shown);
	print_row(b, name, &rest);
}

static uint32_t at_most(uint32_t n, uint32_t most)
{
	return n < most ? n : most;
}

static void print_vcpus(struct dp_buf *b, const struct dp_hot_list *l)
{
	uint32_t i, n = at_most(l->n, HOT_VCPUS);
	char name[48];

	if (!n)
		return;
	dp_text_row(b, ROW, "vCPU", "", "events", "share");
	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "  %u", l->row[i].number);
		print_row(b, name, &l->row[i]);
	}
	print_rest(b, l, n);
}

static void print_regions(struct dp_buf *b, const struct dp_hot_list *l)
{
	uint32_t i, n = at_most(l->n, HOT_REGIONS);
	char name[48] = "  ";

	dp_text_row(b, ROW, "region, guest-physical", "RAM", "pages", "share");
	for (i = 0; i < n; i++) {
		fmt_range(name + 2, sizeof(name) - 2, &l->row[i]);
		print_row(b, name, &l->row[i]);
	}
	print_rest(b, l, n);
}

static void print_slots(struct dp_buf *b, const struct dp_hot_list *l)
{
	uint32_t i, n = at_most(l->n, HOT_SLOTS);
	char name[80], range[48], as[24];

	dp_text_row(b, ROW, "slot", "RAM", "pages", "share");
	for (i = 0; i < n; i++) {
		const struct dp_hot_row *h = &l->row[i];

		snprintf(as, sizeof(as), h->as_id ? "/%u" : "", h->as_id);
		snprintf(name, sizeof(name), "  %u%s: %s", h->number, as, fmt_range(range, sizeof(range), h));
		print_row(b, name, h);
	}
	print_rest(b, l, n);
}

void dp_text_hot(struct dp_buf *b, const struct dp_report *r)
{
	const struct dp_hot_list *l = &r->hot.regions;
	char ram[FMT];

	if (!l->count)
		return;
	dp_buf_printf(b, "\nWhere dirty pages come from, hottest first\n");
	print_vcpus(b, &r->hot.vcpus);
	print_regions(b, l);
	print_slots(b, &r->hot.slots);
	dp_text_wrap(b, 2, "Half of the pages are in %u of %u regions, %s of RAM.", l->half, l->all,
		     dp_fmt_bytes(ram, sizeof(ram), (double)l->half_ram * DP_WIRE_UNIT));
}
