// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Text about a migration: its syncs as they come, and prediction beside truth when it has ended. */
#include <math.h>
#include <stdio.h>

#include "text_int.h"

#define SYNC_ROWS 12

void dp_text_sync(struct dp_buf *b, const struct dp_report *r, const struct dp_sync_report *y)
{
	char n[FMT], since[FMT], left[FMT], total[FMT] = "", down[FMT], t[FMT];

	dp_fmt_count(n, sizeof(n), (double)y->new_blocks[DP_4K]);
	dp_fmt_time(since, sizeof(since), y->since);
	dp_fmt_bytes(left, sizeof(left), y->remaining);
	if (!y->round) {
		dp_text_wrap(b, 10, "%6.1f sync at the migration's start: %s left", y->t, left);
		return;
	}
	dp_fmt_time(down, sizeof(down), y->stop_now.mid);
	if (isfinite(y->total.mid))
		snprintf(total, sizeof(total), "total %.20s, ", dp_fmt_time(t, sizeof(t), y->total.mid));
	dp_text_wrap(b, 10, "%6.1f sync %u: %s new 4K in %s, %s left; stopped now: down %s; %s%s", y->t,
		     y->round, n, since, left, down, total, dp_verdict_name(y->verdict));
}

static void row(struct dp_buf *b, const char *when, struct dp_est total, struct dp_est down, double rounds,
		const char *verdict)
{
	char t[FMT], d[FMT], lo[FMT], hi[FMT], band[2 * FMT + 8] = "", n[FMT];

	dp_fmt_time(t, sizeof(t), total.mid);
	dp_fmt_time(d, sizeof(d), down.mid);
	dp_fmt_time(lo, sizeof(lo), down.lo);
	dp_fmt_time(hi, sizeof(hi), down.hi);
	dp_fmt_count(n, sizeof(n), rounds);
	if (down.lo < down.hi)
		snprintf(band, sizeof(band), "%s to %s", lo, hi);
	dp_text_row(b, "  %-18s %8s %8s %18s %6s %s", when, t, d, band, n, verdict);
}

static void table(struct dp_buf *b, const struct dp_migration *m)
{
	uint32_t i, from = m->nsyncs > SYNC_ROWS ? m->nsyncs - SYNC_ROWS : 0;
	struct dp_est total = { m->total, m->total, m->total },
		      down = { m->downtime, m->downtime, m->downtime };
	char when[FMT + 20], at[FMT];

	dp_text_row(b, "  %-18s %8s %8s %18s %6s", "predicted", "total", "downtime", "(10-90 %)", "rounds");
	if (m->before_known)
		row(b, "before it began", m->before_total, m->before_downtime, m->before_rounds,
		    dp_verdict_name(m->before_verdict));
	else
		dp_text_row(b, "  %-18s %8s %8s", "before it began", "-", "-");
	for (i = from; i < m->nsyncs; i++) {
		const struct dp_sync_report *y = &m->syncs[i];

		if (!y->round)
			continue;
		dp_fmt_time(at, sizeof(at), fmax(0, y->t - m->start));
		snprintf(when, sizeof(when), "sync %u, %s", y->round, at);
		row(b, when, y->total, y->downtime, y->rounds, dp_verdict_name(y->verdict));
	}
	if (m->dropped_syncs + from)
		dp_buf_printf(b, "  (earlier syncs, left out: %u)\n", m->dropped_syncs + from);
	if (m->outcome == DP_MIG_DONE)
		row(b, "happened", total, down, m->rounds, m->qmp ? "by QEMU" : "on the wire");
}

void dp_text_migration(struct dp_buf *b, const struct dp_report *r)
{
	const struct dp_migration *m = &r->mig;
	char sent[FMT], t[FMT], left[FMT], e[FMT];

	if (m->outcome == DP_MIG_NONE)
		return;
	dp_buf_append(b, "\n", 1);
	dp_fmt_bytes(sent, sizeof(sent), m->sent);
	dp_fmt_time(t, sizeof(t), m->start);
	dp_fmt_time(e, sizeof(e), m->elapsed);
	dp_text_wrap(b, 2, "Migration: %s; began at %s, %s %s over %u %s%s, %u round%s.",
		     m->outcome == DP_MIG_RUNNING ? "under way"
		     : m->outcome == DP_MIG_DONE
			     ? "completed"
			     : "ended without the guest having stopped (cancelled or failed)",
		     t, sent, m->outcome == DP_MIG_RUNNING ? "sent so far" : "sent", m->channels,
		     m->tcp ? "TCP channel" : "unix channel", m->channels == 1 ? "" : "s", m->rounds,
		     m->rounds == 1 ? "" : "s");
	if (m->outcome == DP_MIG_RUNNING) {
		dp_fmt_bytes(left, sizeof(left), m->remaining);
		dp_text_wrap(b, 2, "  %s after %s: %s %s%s.", "Left to send", e,
			     m->remaining_known ? "" : "at most", left,
			     m->remaining_qmp ? " (QEMU says so)" : "");
	}
	table(b, m);
	if (m->outcome == DP_MIG_DONE && !m->qmp && !isnan(m->downtime))
		dp_text_wrap(
			b, 2,
			"  The downtime is from the guest's last instruction here to the last byte sent; the "
			"destination's start comes on top.");
	if (m->last_ran.t > 0) {
		dp_fmt_clock(t, sizeof(t), m->last_ran.wall);
		dp_text_wrap(b, 2,
			     "  The guest last ran here at %s; it stood still until it first ran on the "
			     "destination, which dirtyprof -p tells there.",
			     t);
	}
}
