// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Text while it runs: what is traced, the columns, a line an interval, a line a sync. */
#include <math.h>
#include <stdio.h>

#include "text_int.h"

#define COLUMNS "%6s %9s %8s %8s %9s %9s %8s %s"

void dp_text_columns(struct dp_buf *b)
{
	dp_text_row(b, COLUMNS, "TIME s", "NEW 4K", "RATE/s", "IN 1 s", "SENT", "LEFT", "STOP NOW",
		    "VERDICT");
}

static void explain(struct dp_buf *b, const struct dp_report *r)
{
	if (r->source == DP_SRC_HARVEST || (r->source == DP_SRC_MARK && r->vm.log_mode == DP_LOG_BITMAP) ||
	    r->source == DP_SRC_SAMPLE)
		dp_text_wrap(
			b, 0,
			"NEW 4K: pages first written since they were re-armed, as user space received "
			"them; not a rate. RATE/s, IN 1 s: dirty rate, and what is dirtied within 1 s, from "
			"the curve.");
	else
		dp_text_wrap(b, 0,
			     "NEW 4K: pages first written since they were re-armed; not a rate. RATE/s, IN 1 "
			     "s: dirty rate, and what is dirtied within 1 s, from the curve.");
	dp_text_wrap(b, 0, "SENT, LEFT: the migration's. STOP NOW: downtime if the guest were stopped now.");
}

void dp_text_tracing(struct dp_buf *b, const struct dp_report *r)
{
	char name[DP_NAME_LEN * 2 + 4] = "", by[DP_NAME_LEN * 2 + 8] = "", t[64] = "";

	if (r->vm.name[0])
		snprintf(name, sizeof(name), " (%s)", r->vm.name);
	if (r->hook[0])
		snprintf(by, sizeof(by), " by %s", r->hook);
	if (r->every > 0)
		snprintf(t, sizeof(t), ", every %.9g s", r->every);
	dp_text_wrap(b, 2, "Tracing dirty pages of PID %d%s, %s%s%s. Ctrl-C for the report.", (int)r->vm.pid,
		     name, dp_source_name(r->source), by, t);
	if (r->started_by[0])
		dp_text_wrap(
			b, 2,
			"Logging is switched on for this by %s; it slows a write-heavy guest while it lasts.",
			r->started_by);
	else if (!r->logging)
		dp_text_waiting(b, r);
}

void dp_text_header(struct dp_buf *b, const struct dp_report *r)
{
	dp_text_tracing(b, r);
	explain(b, r);
	dp_text_columns(b);
}

void dp_text_waiting(struct dp_buf *b, const struct dp_report *r)
{
	dp_text_wrap(
		b, 2,
		"This VM does not log dirty pages, and is left alone. Waiting for a migration or a QMP "
		"calc-dirty-rate (mode %s) to begin; or end this and run dirtyprof with --start, which asks "
		"QEMU for one.",
		r->vm.log_mode == DP_LOG_RING ? "dirty-ring" : "dirty-bitmap");
}

static void interval_line(struct dp_buf *b, const struct dp_report *r)
{
	char n[FMT] = "-", rate[FMT] = "-", u[FMT] = "-", sent[FMT] = "-", left[FMT] = "-", stop[FMT] = "-";
	char bound[FMT + 2] = "-", t[FMT];
	bool running = r->mig.outcome == DP_MIG_RUNNING;

	if (r->logged > 0)
		dp_fmt_count(n, sizeof(n), (double)r->new_blocks[DP_4K]);
	dp_fmt_bytes(rate, sizeof(rate), r->rate[DP_4K].mid);
	dp_fmt_bytes(u, sizeof(u), r->u[DP_4K][DP_POINT_1S].mid);
	dp_fmt_bits(sent, sizeof(sent), r->sent_bps);
	if (running) {
		dp_fmt_bytes(left, sizeof(left), r->mig.remaining);
		/* an upper bound while the zero pages in it are not known */
		snprintf(bound, sizeof(bound), "%s%s", r->mig.remaining_known ? "" : "<", left);
	}
	dp_fmt_time(stop, sizeof(stop), r->pred.stop_now.mid);
	snprintf(t, sizeof(t), "%.1f", r->t);
	dp_text_row(b, COLUMNS, t, n, rate, u, sent, bound, stop,
		    r->logging || r->ever_logged ? dp_verdict_name(r->pred.verdict) : "no log yet");
}

void dp_text_events(struct dp_buf *b, const struct dp_report *r)
{
	char t[FMT];
	uint32_t i;

	for (i = 0; i < r->nsyncs; i++) {
		if (r->syncs[i].by_migration)
			dp_text_sync(b, r, &r->syncs[i]);
	}
	if (r->first_now) {
		dp_fmt_clock(t, sizeof(t), r->first_ran.wall);
		dp_text_wrap(b, 7, "%6.1f the guest runs here, since %s", r->t, t);
	}
	if (r->kind != DP_REPORT_INTERVAL)
		return;
	if (r->logging_changed && !r->logging)
		dp_buf_printf(b, "%6.1f logging was switched off\n", r->t);
	else if (r->logging_changed)
		dp_buf_printf(b, "%6.1f logging was switched on\n", r->t);
}

void dp_text_line(struct dp_buf *b, const struct dp_report *r)
{
	dp_text_events(b, r);
	if (r->kind == DP_REPORT_INTERVAL)
		interval_line(b, r);
}
