// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The verdict, the advice and the cautions, in words. */
#include <math.h>
#include <stdio.h>

#include "text_int.h"

const char *dp_text_speed_from(enum dp_speed_from f)
{
	static const char *const name[] = { "not known",
					    "as given",
					    "max-bandwidth, from QMP",
					    "goodput, measured",
					    "cap, seen on the wire",
					    "path, measured",
					    "as given, less what past migrations did not get of it" };

	return name[f];
}

static void unknown(struct dp_buf *b, const struct dp_report *r)
{
	if (r->mig.outcome == DP_MIG_DONE)
		dp_buf_printf(b, "the migration is done.");
	else if (!r->ever_logged)
		dp_buf_printf(b, "unknown, as the VM did not log dirty pages while it was watched.");
	else if (!r->known)
		dp_buf_printf(b, "unknown, as no dirty page's age was seen.");
	else if (isnan(r->speeds.rounds.mid))
		dp_buf_printf(b, "unknown, as the bandwidth is not known.");
	else
		dp_buf_printf(b, "unknown.");
}

void dp_words_verdict(struct dp_buf *b, const struct dp_report *r)
{
	const struct dp_prediction *p = &r->pred;
	char limit[FMT], bw[FMT], floor[FMT_EST], least[FMT_EST], total[FMT_EST], down[FMT_EST], n[FMT_EST];
	const char *will = r->mig.outcome == DP_MIG_RUNNING ? "will" : "would";

	dp_fmt_time(limit, sizeof(limit), r->limit);
	dp_fmt_bits(bw, sizeof(bw), r->speeds.rounds.mid);
	dp_fmt_est(floor, p->floor, dp_fmt_time);
	dp_fmt_est(least, p->least_limit, dp_fmt_time);
	dp_fmt_est(total, p->total, dp_fmt_time);
	dp_fmt_est(down, p->downtime, dp_fmt_time);
	dp_fmt_est(n, p->rounds, dp_fmt_count);
	if (!r->predicted)
		unknown(b, r);
	else if (p->verdict == DP_CONVERGES)
		dp_buf_printf(
			b,
			"CONVERGES. At %s the migration %s end: rounds %s, %s in all, with the guest down "
			"for %s; the limit is %s%s.",
			bw, will, n, total, down, limit,
			p->downtime.mid > r->limit ? ", which QEMU holds against the sending alone" : "");
	else if (p->verdict == DP_NEVER && p->floor.mid > r->limit)
		dp_buf_printf(b,
			      "NEVER. At %s the downtime cannot go below %s, and the limit is %s: the "
			      "migration %s not end by itself.",
			      bw, floor, limit, will);
	else if (p->verdict == DP_NEVER)
		dp_buf_printf(b,
			      "NEVER. At %s and a limit of %s what is left never falls under what QEMU asks "
			      "for before it stops the guest: the migration %s not end by itself.",
			      bw, limit, will);
	else if (p->verdict == DP_BORDERLINE)
		dp_buf_printf(b,
			      "BORDERLINE. The least downtime limit that converges at %s is %s, and the "
			      "limit is %s: the measurement does not decide it.",
			      bw, least, limit);
	else
		unknown(b, r);
}

void dp_text_verdict(struct dp_buf *b, const struct dp_report *r)
{
	struct dp_buf words = { 0 };

	dp_words_verdict(&words, r);
	if (words.len)
		dp_text_wrap(b, 2, "Verdict: %s", words.data);
	b->failed |= words.failed;
	dp_buf_free(&words);
}

/* Where the granule is a hugepage's the VM can have smaller ones; where it is the host's own page, only another kernel can. */
static char *smaller_pages(char *buf, size_t size, const struct dp_report *r, double bytes)
{
	char page[FMT];

	dp_fmt_page(page, sizeof(page), (uint32_t)bytes);
	if (r->vm.granule > r->vm.backing.host_page && r->vm.backing.host_page)
		snprintf(buf, size, "back the VM with pages of %s instead of hugepages", page);
	else
		snprintf(buf, size, "run the host with pages of %s", page);
	return buf;
}

static void advice(struct dp_buf *b, const struct dp_report *r, const struct dp_note *n)
{
	char a[FMT], c[96], share[FMT], bw[FMT];

	switch (n->kind) {
	case DP_NOTE_SMALLER_PAGES:
		dp_buf_printf(b,
			      "%s: KVM tells apart only %s here, and of what it reports %s really changed; "
			      "%s would then do",
			      smaller_pages(c, sizeof(c), r, n->value),
			      dp_fmt_page(a, sizeof(a), r->vm.granule),
			      dp_fmt_share(share, sizeof(share), r->change.share.mid),
			      dp_fmt_bits(bw, sizeof(bw), n->value2));
		break;
	case DP_NOTE_RAISE_LIMIT:
		dp_buf_printf(b, "raise downtime-limit to at least %.0f ms", ceil(n->value * 1e3));
		break;
	case DP_NOTE_NEED_BANDWIDTH:
		dp_buf_printf(b, "or it needs at least %s", dp_fmt_bits(a, sizeof(a), n->value));
		break;
	case DP_NOTE_NEED_THROTTLE:
		dp_buf_printf(b, "or a vCPU throttle of %.0f %% (auto-converge gets there by itself)",
			      ceil(n->value * 100));
		break;
	case DP_NOTE_THROTTLE_FAILS:
		dp_buf_printf(b, "no vCPU throttle up to 99 %% would do it");
		break;
	case DP_NOTE_SWITCHOVER_BW:
		dp_buf_printf(b,
			      "set avail-switchover-bandwidth to %.0f (%s): QEMU lifts its rate limit at "
			      "switchover, but does not count on it unless told (8.2 and later)",
			      n->value, dp_fmt_bits(a, sizeof(a), n->value));
		break;
	case DP_NOTE_RAISE_CAP:
		dp_buf_printf(b, "raise max-bandwidth: it holds the rounds to %s on a path of %s",
			      dp_fmt_bits(a, sizeof(a), n->value), dp_fmt_bits(c, sizeof(c), n->value2));
		break;
	case DP_NOTE_POSTCOPY:
		dp_buf_printf(b, "or post-copy, if a downtime of %s is more than is acceptable",
			      dp_fmt_time(a, sizeof(a), n->value));
		break;
	case DP_NOTE_SETTLE_WINDOW:
		dp_buf_printf(b, "a measurement over %s would settle it",
			      dp_fmt_time(a, sizeof(a), n->value));
		break;
	default:
		break;
	}
}

/* Tracking that is coarser than what is sent. */
static void coarse(struct dp_buf *b, const struct dp_report *r, const struct dp_note *n)
{
	bool huge = r->vm.backing.host_page && n->value > r->vm.backing.host_page;
	char a[FMT], x[FMT];

	dp_fmt_page(a, sizeof(a), (uint32_t)n->value);
	if (isnan(n->value2))
		dp_buf_printf(b,
			      "KVM tells apart only %s here, so one 4K write makes QEMU resend all of it; "
			      "what was really written is less than shown.%s",
			      a, huge ? " Back the VM with smaller pages to migrate it." : "");
	else
		dp_buf_printf(b,
			      "KVM tells apart only %s here, so one 4K write makes QEMU resend all of it: "
			      "%s what really changed%s.",
			      a, dp_fmt_times(x, sizeof(x), n->value2),
			      huge ? ", as hugepages back the VM" : "");
}

static void caution(struct dp_buf *b, const struct dp_report *r, const struct dp_note *n)
{
	char a[FMT], c[FMT];

	switch (n->kind) {
	case DP_NOTE_HUGE_GRANULE:
		coarse(b, r, n);
		break;
	case DP_NOTE_NO_BANDWIDTH:
		dp_buf_printf(
			b, "no bandwidth is known, so nothing can be said of convergence: give --bandwidth "
			   "(e.g. 10G), or watch a migration.");
		break;
	case DP_NOTE_CAP_UNKNOWN:
		dp_buf_printf(
			b,
			"QEMU's max-bandwidth is not known here; unless it is raised, its default holds "
			"the rounds to %s.",
			dp_fmt_bits(a, sizeof(a), n->value));
		break;
	case DP_NOTE_PHASE:
		dp_buf_printf(
			b,
			"the guest changed its habits: %s new pages/s of late, %s before. The curve mixes "
			"both.",
			dp_fmt_count(a, sizeof(a), n->value2), dp_fmt_count(c, sizeof(c), n->value));
		break;
	case DP_NOTE_UNSTEADY:
		dp_buf_printf(
			b,
			"the guest's pace changes, by %.0f %% more or less than its mean, some %s at a time. The band "
			"allows for that.",
			n->value * 100, dp_fmt_time(a, sizeof(a), n->value2));
		break;
	case DP_NOTE_SHORT_REACH:
		dp_buf_printf(b,
			      "the curve was seen up to %s, but the longest round takes %s: beyond it is "
			      "extrapolated.",
			      dp_fmt_time(a, sizeof(a), n->value), dp_fmt_time(c, sizeof(c), n->value2));
		break;
	case DP_NOTE_LOST:
		dp_buf_printf(b, "%s events were LOST: the rates are lower bounds.",
			      dp_fmt_count(a, sizeof(a), n->value));
		break;
	case DP_NOTE_ZERO_UNKNOWN:
		dp_buf_printf(
			b, "how much of RAM is zero is not known, so the first round and the total are upper "
			   "bounds.");
		break;
	case DP_NOTE_COARSE_TIMES:
		dp_buf_printf(
			b, "KVM marks writes %s late here, %s at once: below that the curve's band is wide.",
			dp_fmt_time(a, sizeof(a), n->value), dp_fmt_count(c, sizeof(c), n->value2));
		break;
	case DP_NOTE_FEW_STARTS:
		dp_buf_printf(
			b,
			"the log is re-armed piece by piece: of %s syncs, %s left all pages armed at about one "
			"time, from which marks can be counted. What the bitmaps show (--source harvest) rests on "
			"every sync.",
			dp_fmt_count(c, sizeof(c), n->value2), dp_fmt_count(a, sizeof(a), n->value));
		break;
	default:
		break;
	}
}

bool dp_words_note(struct dp_buf *b, const struct dp_report *r, const struct dp_note *n)
{
	size_t before = b->len;

	advice(b, r, n);
	if (b->len > before)
		return true;
	caution(b, r, n);
	return false;
}

void dp_text_notes(struct dp_buf *b, const struct dp_report *r)
{
	struct dp_buf words = { 0 };
	uint32_t i;
	int pass;

	for (pass = 0; pass < 2; pass++) {
		for (i = 0; i < r->nnotes; i++) {
			bool is_advice;

			dp_buf_reset(&words);
			is_advice = dp_words_note(&words, r, &r->note[i]);
			if (words.len && is_advice == !pass)
				dp_text_wrap(b, pass ? 2 : 4, pass ? "Note: %s" : "  - %s", words.data);
		}
	}
	b->failed |= words.failed;
	dp_buf_free(&words);
}
