// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* JSON Lines: one record a line, docs/schema.json. */
#include <math.h>
#include <string.h>

#include "json_int.h"

static struct dp_jw record(const struct dp_report *r, const char *type, bool *failed)
{
	struct dp_jw w = dp_jw_record(type, failed);

	dp_jw_num(w, "time_s", r->wall_us ? (double)r->wall_us / 1e6 : NAN);
	dp_jw_num(w, "t_s", r->t);
	dp_jw_num(w, "pid", r->vm.pid);
	dp_jw_str(w, "name", r->vm.name);
	return w;
}

static void flush(struct dp_buf *b, struct dp_jw w)
{
	dp_jw_print(b, w);
	dp_buf_append(b, "\n", 1);
}

void dp_json_header(struct dp_buf *b, const struct dp_report *r)
{
	bool failed;
	struct dp_jw w = record(r, "start", &failed);

	dp_jw_str(w, "source", dp_source_name(r->source));
	dp_jw_str(w, "hook", r->hook);
	dp_jw_str(w, "started_by", r->started_by);
	dp_jw_str(w, "command", r->command);
	dp_jw_num(w, "every_s", r->every);
	dp_jw_bool(w, "logging", r->logging);
	dp_json_vm(w, r);
	flush(b, w);
}

static void by_size(struct dp_jw in, const char *key, const struct dp_est *e, size_t stride)
{
	struct dp_jw w = dp_jw_object(in, key);
	enum dp_size size;

	for (size = 0; size < DP_SIZES; size++)
		dp_jw_est(w, dp_size_name(size), e[size * stride]);
}

static void counts_by_size(struct dp_jw in, const char *key, const uint64_t *v)
{
	struct dp_jw w = dp_jw_object(in, key);
	enum dp_size size;

	for (size = 0; size < DP_SIZES; size++)
		dp_jw_count(w, dp_size_name(size), v[size]);
}

/* What intervals and the report have in common. */
static void common(struct dp_jw w, const struct dp_report *r, bool whole)
{
	struct dp_jw amp;

	dp_jw_str(w, "source", dp_source_name(r->source));
	dp_jw_num(w, "span_s", r->span);
	dp_jw_num(w, "logged_s", r->logged);
	dp_jw_bool(w, "logging", r->logging);
	counts_by_size(w, "new_blocks", r->new_blocks);
	dp_jw_count(w, "seen_bytes", r->seen);
	dp_jw_num(w, "sent_bytes", r->sent);
	dp_jw_num(w, "acked_bytes", r->acked);
	dp_jw_num(w, "sent_bytes_per_s", r->sent_bps);
	by_size(w, "dirty_rate_bytes_per_s", r->rate, 1);
	by_size(w, "dirtied_in_1s_bytes", &r->u[0][DP_POINT_1S], DP_CURVE_POINTS);
	amp = dp_jw_object(w, "amplification");
	dp_jw_num(amp, "within_s", r->amp_t);
	dp_jw_num(amp, "now", r->amp_now);
	by_size(amp, "at", r->amp, 1);
	dp_json_change(w, &r->change);
	dp_json_bandwidth(w, &r->speeds);
	dp_json_prediction(w, r, whole);
	dp_json_migration(w, &r->mig, whole);
	dp_json_notes(w, r);
	dp_json_self(w, r);
}

void dp_json_line(struct dp_buf *b, const struct dp_report *r)
{
	bool failed;
	struct dp_jw w;
	uint32_t i;

	for (i = 0; i < r->nsyncs; i++) {
		w = record(r, "sync", &failed);
		dp_json_sync(w, &r->syncs[i]);
		flush(b, w);
	}
	if (r->first_now) {
		w = record(r, "arrival", &failed);
		dp_json_moment(w, "first_ran", &r->first_ran);
		flush(b, w);
	}
	if (r->kind != DP_REPORT_INTERVAL)
		return;
	w = record(r, "interval", &failed);
	common(w, r, false);
	dp_jw_counts(w, "new_by_part", r->heat, DP_HEAT_BINS, 1);
	dp_jw_count(w, "dropped_syncs", r->dropped_syncs);
	flush(b, w);
}

void dp_json_final(struct dp_buf *b, const struct dp_report *r)
{
	bool failed;
	struct dp_jw w = record(r, "report", &failed);

	dp_jw_str(w, "hook", r->hook);
	dp_jw_str(w, "started_by", r->started_by);
	dp_jw_bool(w, "ever_logged", r->ever_logged);
	dp_json_moment(w, "first_ran", &r->first_ran);
	dp_json_vm(w, r);
	common(w, r, true);
	dp_json_curve(w, r);
	dp_json_hot(w, r);
	dp_json_heat(w, r);
	dp_json_basis(w, &r->basis);
	dp_jw_num(w, "exit_status", dp_report_exit_status(r));
	flush(b, w);
}
