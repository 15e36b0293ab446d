// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a session advises, and what it warns of. Words are the text report's business. */
#include "session_int.h"

#define COARSE_TIME 1e-3			   /* s: windows and rounds are longer than ten of these */
#define START_EVERY (DP_LEVEL_PERIOD_NS(0) * 1e-9) /* s */
#define START_SYNCS 4
#define START_SHARE 0.25

static void note(struct dp_report *r, enum dp_note_kind kind, double value, double value2)
{
	if (r->nnotes < DP_NOTES)
		r->note[r->nnotes++] = (struct dp_note){ kind, value, value2 };
}

/*
 * Whether the coarse granule alone is why it does not converge. Pages of `size` would have at most size / 4K pages resent
 * for each 4K page that changed; and a log with the share s of the dirty pages needs the share s of the bandwidth, as only
 * U(t) / B counts in the rounds.
 */
static void blame_granule(struct dp_session *s)
{
	struct dp_report *r = &s->r;
	uint32_t size = r->vm.backing.host_page;
	double share, needed;

	if (r->vm.granule <= DP_WIRE_UNIT || isnan(r->change.share.mid))
		return;
	if (!size || size >= r->vm.granule)
		size = DP_WIRE_UNIT;
	share = fmin(1, r->change.share.mid * size / DP_WIRE_UNIT);
	needed = r->pred.least_bandwidth.mid * share;
	if (needed <= r->speeds.rounds.mid)
		note(r, DP_NOTE_SMALLER_PAGES, size, needed);
}

/* What would make a migration converge that does not, or may not. */
static void advise(struct dp_session *s)
{
	struct dp_report *r = &s->r;
	const struct dp_prediction *p = &r->pred;
	const struct dp_speeds *sp = &r->speeds;
	unsigned int version = dp_version_number(r->vm.qemu_version);

	blame_granule(s);
	if (isfinite(p->least_limit.mid))
		note(r, DP_NOTE_RAISE_LIMIT,
		     p->least_limit.hi < HUGE_VAL ? p->least_limit.hi : p->least_limit.mid, NAN);
	if (p->helped_by_switchover_bw && (!version || version >= 802))
		note(r, DP_NOTE_SWITCHOVER_BW, sp->switchover.mid, NAN);
	if (sp->capped && sp->capacity.bps.mid > sp->cap.bps.mid)
		note(r, DP_NOTE_RAISE_CAP, sp->cap.bps.mid, sp->capacity.bps.mid);
	if (isfinite(p->least_bandwidth.mid) && p->least_bandwidth.mid > 0)
		note(r, DP_NOTE_NEED_BANDWIDTH, p->least_bandwidth.mid, NAN);
	if (p->least_throttle.mid >= 1)
		note(r, DP_NOTE_THROTTLE_FAILS, NAN, NAN);
	else if (p->least_throttle.mid > 0)
		note(r, DP_NOTE_NEED_THROTTLE, p->least_throttle.mid, NAN);
	if (p->floor.mid > r->limit)
		note(r, DP_NOTE_POSTCOPY, p->floor.mid, NAN);
	if (p->verdict == DP_BORDERLINE && p->settle_window > 0)
		note(r, DP_NOTE_SETTLE_WINDOW, p->settle_window, NAN);
}

/* How far beyond what was seen the prediction had to look. */
static void check_reach(struct dp_report *r)
{
	double longest = 0;
	uint32_t i;

	for (i = 0; i < r->pred.nrounds && i < DP_MAX_ROUNDS; i++)
		longest = fmax(longest, r->pred.round[i].seconds);
	if (longest > 1.25 * r->reach[DP_4K])
		note(r, DP_NOTE_SHORT_REACH, r->reach[DP_4K], longest);
}

/* Marks count from moments at which all was armed. Syncs that are at least START_EVERY apart could be. */
static void check_starts(struct dp_session *s)
{
	double could = fmin(s->nsyncs_ever, s->total_logged / START_EVERY);

	if (s->r.source == DP_SRC_MARK && s->r.vm.log_mode == DP_LOG_BITMAP && could >= START_SYNCS &&
	    s->starts < START_SHARE * could)
		note(&s->r, DP_NOTE_FEW_STARTS, s->starts, s->nsyncs_ever);
}

static void caution(struct dp_session *s)
{
	struct dp_report *r = &s->r;
	double earlier, recent, cap = dp_default_cap(r->vm.qemu_version);

	if (isnan(r->speeds.rounds.mid) && s->mig.m.outcome != DP_MIG_DONE)
		note(r, DP_NOTE_NO_BANDWIDTH, NAN, NAN);
	if (s->mig.m.outcome == DP_MIG_NONE && s->o.bandwidth > 0 &&
	    (r->speeds.rounds_from == DP_SPEED_OPTION || r->speeds.rounds_from == DP_SPEED_LEARNED) &&
	    !(s->o.max_bandwidth > 0) && cap < r->speeds.rounds.mid)
		note(r, DP_NOTE_CAP_UNKNOWN, cap, NAN);
	if (dp_phase_changed(&s->phase, s->curve, &earlier, &recent))
		note(r, DP_NOTE_PHASE, earlier, recent);
	if (s->pace > 0)
		note(r, DP_NOTE_UNSTEADY, s->pace, s->pace_lasting);
	if (r->predicted)
		check_reach(r);
	if (r->predicted && isnan(r->zero_share) && s->mig.m.rounds == 0)
		note(r, DP_NOTE_ZERO_UNKNOWN, NAN, NAN);
	check_starts(s);
	if (r->resolution > COARSE_TIME)
		note(r, DP_NOTE_COARSE_TIMES, r->resolution, r->batch);
	if (r->lost)
		note(r, DP_NOTE_LOST, (double)r->lost, NAN);
}

void dp_session_notes(struct dp_session *s)
{
	struct dp_report *r = &s->r;

	r->nnotes = 0;
	if (r->predicted && (r->pred.verdict == DP_NEVER || r->pred.verdict == DP_BORDERLINE))
		advise(s);
	if (r->vm.granule > DP_WIRE_UNIT)
		note(r, DP_NOTE_HUGE_GRANULE, r->vm.granule, r->amp_now);
	caution(s);
}
