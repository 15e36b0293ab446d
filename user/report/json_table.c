// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a prediction rests on, and the table made from it, as JSON. */
#include <math.h>
#include <string.h>

#include "json_int.h"

static void json_auto_converge(struct dp_jw in, const struct dp_auto_converge *ac)
{
	struct dp_jw w = dp_jw_object(in, "auto_converge");

	dp_jw_bool(w, "on", ac->on);
	dp_jw_num(w, "trigger", ac->trigger);
	dp_jw_num(w, "initial", ac->initial);
	dp_jw_num(w, "increment", ac->increment);
	dp_jw_num(w, "max", ac->max);
}

void dp_json_basis(struct dp_jw in, const struct dp_basis *b)
{
	struct dp_jw w = dp_jw_object(in, "basis"), o;
	const struct dp_points *p = &b->curve;
	struct json_object *a;
	uint32_t i;

	dp_jw_bool(w, "known", b->known);
	if (!b->known)
		return;
	dp_jw_num(w, "ram_pages", b->plan.pages);
	dp_jw_num(w, "zero_pages", b->plan.zero_pages);
	dp_jw_nums(w, "zero_at", b->plan.zero_at, DP_ZERO_BINS, 1);
	dp_jw_nums(w, "heat_at", b->plan.heat_at, DP_ZERO_BINS, 1);
	dp_jw_num(w, "wire_page_bytes", b->plan.wire_page);
	dp_jw_num(w, "zero_scan_bytes_per_s", b->plan.zero_scan_bps > 0 ? b->plan.zero_scan_bps : NAN);
	dp_jw_num(w, "limit_s", b->plan.limit);
	dp_jw_num(w, "fixed_s", b->plan.fixed);
	if (b->plan.fixed_hi > 0) {
		const double range[] = { b->plan.fixed_lo, b->plan.fixed_hi };

		dp_jw_nums(w, "fixed_range_s", range, 2, 1);
	}
	dp_jw_num(w, "queue_bytes", b->plan.queue);
	dp_jw_bool(w, "multifd", b->plan.multifd);
	dp_jw_num(w, "setup_s", b->plan.setup);
	dp_jw_str(w, "exit_test", dp_json_exit_test(b->plan.exit_test));
	dp_jw_num(w, "clear_pages", b->plan.clear_pages);
	dp_jw_num(w, "throttle", b->plan.throttle);
	dp_jw_num(w, "vcpu_busy", b->plan.busy);
	json_auto_converge(w, &b->plan.ac);
	dp_json_assumed(w, b->assumed);
	dp_jw_num(w, "path_bytes_per_s", b->path);
	dp_jw_num(w, "max_bandwidth_bytes_per_s", b->cap);
	dp_jw_num(w, "switchover_bytes_per_s", b->switchover);
	dp_jw_num(w, "avail_switchover_bytes_per_s", b->exit_bps);
	o = dp_jw_object(w, "curve");
	dp_jw_num(o, "pages", p->blocks);
	dp_jw_num(o, "reach_s", p->reach);
	dp_jw_nums(o, "t_s", p->t, p->n, 1);
	dp_jw_nums(o, "lo_pages", p->lo, p->n, 1);
	dp_jw_nums(o, "mid_pages", p->mid, p->n, 1);
	dp_jw_nums(o, "hi_pages", p->hi, p->n, 1);
	o = dp_jw_object(w, "regions");
	dp_jw_nums(o, "pages", p->group_pages, p->ngroups, 1);
	a = dp_jw_array(o, "shares");
	for (i = 0; a && i < p->nshares; i++) {
		struct dp_jw row = dp_jw_item(o, a);

		dp_jw_num(row, "t_s", p->share_t[i]);
		dp_jw_nums(row, "share", p->share[i], p->ngroups, 1);
	}
}

static void cells(struct dp_jw w, const struct dp_table_report *t)
{
	struct json_object *a = dp_jw_array(w, "cells");
	uint32_t i, j;

	for (i = 0; i < t->nbandwidths; i++) {
		for (j = 0; a && j < t->nlimits; j++) {
			const struct dp_cell *c = &t->cell[i][j];
			struct dp_jw o = dp_jw_item(w, a);

			dp_jw_num(o, "bandwidth_bytes_per_s", t->bandwidth[i]);
			dp_jw_num(o, "downtime_limit_s", t->limit[j]);
			dp_jw_str(o, "verdict", dp_verdict_name(c->verdict));
			dp_jw_est(o, "total_s", c->total);
			dp_jw_est(o, "downtime_s", c->downtime);
			dp_jw_est(o, "rounds", c->rounds);
		}
	}
}

void dp_json_table(struct dp_buf *b, const struct dp_table_report *t)
{
	bool failed;
	struct dp_jw w = dp_jw_record("table", &failed);

	dp_jw_num(w, "time_s", t->vm.wall_s);
	dp_jw_num(w, "t_s", t->vm.t);
	dp_jw_num(w, "pid", t->vm.pid);
	dp_jw_str(w, "name", t->vm.name);
	dp_jw_str(w, "qemu_version", t->vm.qemu_version);
	dp_jw_count(w, "ram_bytes", t->vm.ram);
	dp_jw_num(w, "logged_s", t->vm.logged);
	dp_jw_num(w, "reach_s", t->reach);
	dp_jw_num(w, "fixed_s", t->fixed);
	dp_jw_num(w, "throttle", t->throttle);
	dp_jw_num(w, "max_bandwidth_bytes_per_s", t->cap);
	dp_jw_bool(w, "cap_lifted", t->no_cap);
	dp_json_assumed(w, t->assumed);
	cells(w, t);
	dp_jw_num(w, "exit_status", dp_table_exit_status(t));
	dp_jw_print(b, w);
	dp_buf_append(b, "\n", 1);
}
