// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Where dirty pages come from, as JSON. */
#include "json_int.h"

enum kind { VCPU, REGION, SLOT };

static void row(struct dp_jw w, const struct dp_hot_row *h, enum kind kind)
{
	if (kind == VCPU) {
		dp_jw_count(w, "vcpu", h->number);
		dp_jw_count(w, "events", h->count);
	} else {
		if (kind == SLOT) {
			dp_jw_count(w, "slot", h->number);
			dp_jw_count(w, "address_space", h->as_id);
		}
		dp_jw_count(w, "gfn_lo", h->lo);
		dp_jw_count(w, "gfn_hi", h->hi);
		dp_jw_count(w, "ram_pages", h->ram);
		dp_jw_count(w, "pages", h->count);
	}
	dp_jw_num(w, "share", h->share);
}

static void list(struct dp_jw in, const char *key, const struct dp_hot_list *l, enum kind kind)
{
	struct json_object *a = dp_jw_array(in, key);
	uint32_t i;

	for (i = 0; a && i < l->n; i++)
		row(dp_jw_item(in, a), &l->row[i], kind);
}

static void half(struct dp_jw in, const struct dp_hot_list *l)
{
	struct dp_jw w = dp_jw_object(in, "half");

	dp_jw_count(w, "regions", l->half);
	dp_jw_count(w, "ram_pages", l->half_ram);
}

void dp_json_hot(struct dp_jw in, const struct dp_report *r)
{
	const struct dp_hot *h = &r->hot;
	struct dp_jw w = dp_jw_object(in, "hot");

	dp_jw_count(w, "pages", h->regions.count);
	dp_jw_count(w, "dirty_vcpus", h->vcpus.hot);
	dp_jw_count(w, "dirty_regions", h->regions.hot);
	dp_jw_count(w, "dirty_slots", h->slots.hot);
	dp_jw_count(w, "regions", h->regions.all);
	half(w, &h->regions);
	list(w, "by_vcpu", &h->vcpus, VCPU);
	list(w, "by_region", &h->regions, REGION);
	list(w, "by_slot", &h->slots, SLOT);
}

void dp_json_heat(struct dp_jw in, const struct dp_report *r)
{
	const size_t stride = sizeof(struct dp_heat_range) / sizeof(uint64_t);
	struct dp_jw w = dp_jw_object(in, "heat");

	dp_jw_counts(w, "pages", r->heat, DP_HEAT_BINS, 1);
	dp_jw_counts(w, "gfn_lo", &r->heat_range[0].lo, DP_HEAT_BINS, stride);
	dp_jw_counts(w, "gfn_hi", &r->heat_range[0].hi, DP_HEAT_BINS, stride);
	dp_jw_counts(w, "ram_pages", &r->heat_range[0].pages, DP_HEAT_BINS, stride);
}
