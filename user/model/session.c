// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A session: snapshots in, reports out. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "session_int.h"

static bool in_range(double v, double least, double below)
{
	return v >= least && v < below;
}

int dp_session_set_opts(struct dp_session *s, const struct dp_session_opts *o)
{
	const double rate[] = { o->bandwidth,
				o->switchover_bandwidth,
				o->avail_switchover,
				o->max_bandwidth,
				o->zero_scan_bps,
				o->queue,
				o->got.lo,
				o->got.mid,
				o->got.hi };
	const double time[] = { o->limit, o->fixed, o->setup, o->interval, o->fixed_lo, o->fixed_hi };
	unsigned int i;

	for (i = 0; i < sizeof(rate) / sizeof(rate[0]); i++) {
		if (!in_range(rate[i], 0, 1e19))
			return -EINVAL;
	}
	for (i = 0; i < sizeof(time) / sizeof(time[0]); i++) {
		if (!in_range(time[i], 0, 1e9))
			return -EINVAL;
	}
	if (!in_range(o->throttle, 0, 1))
		return -EINVAL;
	s->o = *o;
	s->o.started_by = s->o.hook = s->o.command = NULL;
	dp_clean(s->r.started_by, sizeof(s->r.started_by), o->started_by);
	dp_clean(s->r.hook, sizeof(s->r.hook), o->hook);
	dp_clean(s->r.command, sizeof(s->r.command), o->command);
	s->r.every = o->interval;
	return 0;
}

struct dp_session *dp_session_new(const struct dp_session_opts *o)
{
	struct dp_session *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->fit_t = -HUGE_VAL;
	s->curve = dp_curve_new();
	if (!s->curve || dp_session_set_opts(s, o)) {
		dp_session_free(s);
		return NULL;
	}
	s->r.zero_share = NAN;
	s->r.zero_scan_bps = s->o.zero_scan_bps;
	s->r.bpf_seconds = NAN;
	s->mig.m.total = s->mig.m.downtime = s->mig.m.remaining = NAN;
	s->mig.m.before_total = s->mig.m.before_downtime = s->mig.m.before_blackout = dp_est_nan();
	s->mig.m.last_ran = s->r.first_ran = dp_moment_nan();
	s->mig.m.fixed_seen = s->mig.m.queue_seen = NAN;
	s->mig.m.path_given = s->mig.m.path_seen = NAN;
	s->mig.m.before_rounds = NAN;
	return s;
}

void dp_session_free(struct dp_session *s)
{
	if (!s)
		return;
	dp_curve_free(s->curve);
	dp_hot_free(&s->hot);
	free(s);
}

/* What changes with every snapshot and costs nothing. */
static void fill_cheap(struct dp_session *s)
{
	struct dp_report *r = &s->r;

	r->mig = s->mig.m;
	r->acked = s->wire_seen && s->wire_tcp ? s->acked : NAN;
	r->sent_bps = s->active_s > 0 ? (s->wire_tcp ? s->acked : r->sent) / s->active_s : NAN;
}

/* Everything that a report says of the moment t, from the state as it is. */
static void fill(struct dp_session *s, double t)
{
	dp_fill_change(s);
	dp_fill_curve(s);
	dp_session_predict(s, t);
	dp_session_notes(s);
	fill_cheap(s);
}

const struct dp_report *dp_session_start(struct dp_session *s, const struct dp_vm *vm, enum dp_source source,
					 bool logging)
{
	struct dp_report *r = &s->r;

	dp_fill_subject(&r->vm, vm);
	dp_heat_ranges(vm, r->heat_range);
	s->ram_pages = vm->ram_pages;
	r->kind = DP_REPORT_START;
	r->source = source;
	r->logging = logging;
	fill(s, s->t1);
	return r;
}

/* What was shown is done with: start anew. */
static void forget_shown(struct dp_session *s)
{
	struct dp_report *r = &s->r;

	if (s->shown_line) {
		memset(r->new_blocks, 0, sizeof(r->new_blocks));
		memset(r->heat, 0, sizeof(r->heat));
		r->span = r->logged = r->sent = 0;
		s->active_s = s->acked = 0;
		s->wire_seen = false;
		r->logging_changed = false;
	}
	if (s->shown_syncs) {
		r->nsyncs = r->dropped_syncs = 0;
		r->first_now = false;
	}
	s->shown_line = s->shown_syncs = false;
}

static void add_self(struct dp_session *s, const struct dp_self *self)
{
	struct dp_report *r = &s->r;

	r->events += self->events;
	r->lost += self->lost;
	r->unknown += self->unknown;
	r->repeated += self->repeated;
	r->bpf_runs += self->bpf_runs;
	r->rss = self->rss_bytes;
	s->bpf_ns += (double)self->bpf_ns;
	s->user_ns += (double)self->user_ns;
	r->bpf_seconds = r->bpf_runs ? s->bpf_ns * NS : NAN;
	r->user_seconds = s->user_ns * NS;
}

static void take_zeros(struct dp_session *s, const struct dp_snapshot *snap)
{
	struct dp_report *r = &s->r;
	uint32_t i;

	if (snap->zero_share < 0)
		return;
	r->zero_share = fmin(1, snap->zero_share);
	for (i = 0; i < DP_ZERO_BINS; i++)
		r->zero_at[i] = fmin(1, fmax(0, snap->zero_at[i]));
	if (snap->zero_scan_bps > 0)
		r->zero_scan_bps = snap->zero_scan_bps;
}

/* How busy the guest is when nothing throttles it: before a migration, or as long as none is known. */
static void take_busy(struct dp_session *s, const struct dp_snapshot *snap, double dt)
{
	if (!(snap->vcpu_busy > 0) || (s->busy_of > 0 && s->mig.m.outcome == DP_MIG_RUNNING))
		return;
	s->busy_s += fmin(1, snap->vcpu_busy) * dt;
	s->busy_of += dt;
	s->r.busy = s->busy_of > 0 ? s->busy_s / s->busy_of : 0;
}

static void add_counts(struct dp_session *s, const struct dp_snapshot *snap)
{
	struct dp_report *r = &s->r;
	double dt = (double)(snap->t1_ns - snap->t0_ns) * NS, logged = fmin(dt, (double)snap->logged_ns * NS);
	uint32_t k;
	int i;

	r->seq = snap->seq;
	r->wall_us = snap->wall_us;
	r->t = (double)snap->t1_ns * NS;
	r->source = snap->source;
	r->span += dt;
	r->logged += logged;
	s->total_logged += logged;
	for (i = 0; i < DP_SIZES; i++) {
		r->new_blocks[i] += snap->new_blocks[i];
		r->total_blocks[i] += snap->new_blocks[i];
	}
	for (i = 0; i < DP_HEAT_BINS; i++)
		r->heat[i] += snap->heat[i];
	for (k = 0; k < snap->nexposures; k++)
		if (!snap->exposures[k].level && !snap->exposures[k].from_ns)
			s->starts += snap->exposures[k].count;
	r->seen = snap->seen_pages * DP_WIRE_UNIT;
	r->logging_changed |= r->logging != snap->logging;
	r->logging = snap->logging;
	r->ever_logged |= snap->logging || snap->logged_ns;
	s->changes = snap->changes;
	s->change_read += (double)snap->changes.read_bytes;
	take_zeros(s, snap);
	take_busy(s, snap, dt);
	s->held_from = (double)snap->t0_ns * NS;
	s->held_was = s->total_sent - s->total_acked;
	if (snap->wire.active) {
		s->wire_seen = true;
		s->wire_tcp = snap->wire.tcp;
		s->active_s += dp_bw_active(snap);
		r->sent += (double)snap->wire.sent_bytes;
		s->acked += (double)snap->wire.acked_bytes;
		s->total_sent += (double)snap->wire.sent_bytes;
		s->total_acked += (double)snap->wire.acked_bytes;
	}
	add_self(s, &snap->self);
}

/* Of a migration under way the guest's pace before it counts as well: rounds are few. */
static void allow_for_pace(struct dp_session *s)
{
	s->pace = dp_phase_spread(&s->phase, s->curve, &s->pace_lasting);
	if (s->mig.m.outcome == DP_MIG_RUNNING && s->mig.pace > s->pace) {
		s->pace = s->mig.pace;
		s->pace_lasting = s->mig.pace_lasting;
	}
	dp_curve_widen(s->curve, s->pace, s->pace_lasting);
}

static int fit(struct dp_session *s)
{
	int err = dp_curve_fit(s->curve);

	if (!err)
		allow_for_pace(s);
	s->fitted = !err;
	s->fit_t = s->t1;
	return err;
}

/*
 * Fitting costs up to 0.2 ms a region of 1 GiB (windows) and 0.8 ms (ages), and about 1 ms on top. To keep dirtyprof below 1 % of a core, a large
 * VM's curve is not fitted for every line; a migration's syncs are few, and may cost more.
 */
static bool fit_is_due(const struct dp_session *s, bool sync)
{
	double gap = sync ? 0.001 * s->nregions : 0.1 + 0.08 * (s->nregions - 1.0);

	return s->t1 - s->fit_t >= gap || s->fit_outcome != s->mig.m.outcome;
}

/* A sync's record with the prediction of that moment. The curve has all of this snapshot. */
static void add_sync(struct dp_session *s, const struct dp_snapshot *snap, const struct dp_sync *sync)
{
	struct dp_report *r = &s->r;
	struct dp_sync_report rec = { .number = ++s->nsyncs_ever };
	bool ours = s->mig.m.outcome == DP_MIG_RUNNING && sync->by_migration;

	rec.t = (double)sync->t_ns * NS;
	rec.since = sync->since_ns ? (double)sync->since_ns * NS : NAN;
	rec.by_migration = sync->by_migration;
	rec.initial = sync->initial;
	memcpy(rec.new_blocks, sync->new_blocks, sizeof(rec.new_blocks));
	rec.new_blocks[DP_4K] = sync->new_pages;
	rec.reported_pages = sync->reported_pages;
	rec.sent = rec.remaining = rec.rounds = NAN;
	rec.stop_now = rec.redirty = rec.total = rec.downtime = rec.blackout = dp_est_nan();
	if (ours)
		dp_mig_sync(s, snap, sync, &rec);
	else if (s->mig.m.outcome == DP_MIG_RUNNING)
		dp_mig_reaped(s, sync);
	if (!sync->initial && (ours || (s->mig.m.outcome != DP_MIG_RUNNING && !s->looks)))
		dp_phase_add(&s->phase, (double)sync->new_pages, 0, isnan(rec.since) ? 0 : rec.since);
	if (ours && rec.round && s->fitted) {
		dp_session_predict(s, rec.t);
		rec.verdict = r->pred.verdict;
		rec.stop_now = r->pred.stop_now;
		rec.redirty = r->pred.redirty;
		rec.total = r->pred.total;
		rec.downtime = r->pred.downtime;
		rec.blackout = r->pred.blackout;
		rec.rounds = r->predicted ? s->mig.m.rounds + (double)r->pred.nrounds : NAN;
	}
	s->logged_at_sync = s->total_logged;
	if (ours)
		dp_mig_keep(&s->mig, &rec);
	if (r->nsyncs < DP_REPORT_SYNCS)
		r->syncs[r->nsyncs++] = rec;
	else
		r->dropped_syncs++;
}

/* Between migrations, where no sync tells of it. */
static void see_pace(struct dp_session *s, const struct dp_snapshot *snap)
{
	bool bitmap = snap->source == DP_SRC_HARVEST ||
		      (snap->source == DP_SRC_MARK && snap->vm->log_mode == DP_LOG_BITMAP);

	s->looks = false;
	if (!snap->logged_ns || s->mig.m.outcome == DP_MIG_RUNNING || snap->reason != DP_TIMER)
		return;
	if (bitmap)
		s->looks = dp_phase_look(&s->phase, snap);
	else if (!snap->nsyncs && s->nsyncs_ever) /* before the first one the guest may not have begun */
		dp_phase_add(&s->phase, (double)snap->new_blocks[DP_4K],
			     s->total_logged - (double)snap->logged_ns * NS - s->logged_at_sync,
			     s->total_logged - s->logged_at_sync);
}

static bool consistent(const struct dp_session *s, const struct dp_snapshot *snap)
{
	uint32_t i;

	if (!snap->vm || snap->t1_ns < snap->t0_ns || (s->added && (double)snap->t1_ns * NS < s->t1))
		return false;
	if ((snap->nages && !snap->ages) || (snap->nexposures && !snap->exposures) ||
	    (snap->nwindows && !snap->windows) || (snap->nsyncs && !snap->syncs))
		return false;
	for (i = 0; i < snap->nsyncs; i++) {
		if (snap->syncs[i].t_ns > snap->t1_ns)
			return false;
	}
	return !(snap->zero_share > 1.0 + 1e-9) && !isnan(snap->zero_share);
}

/* The last word before a migration begins, from what was known then. */
static void begin_migration(struct dp_session *s, const struct dp_snapshot *snap)
{
	if (!s->fitted && s->added)
		fit(s);
	dp_fill_curve(s);
	dp_session_predict(s, s->t1);
	dp_mig_begin(s, snap);
}

int dp_session_add(struct dp_session *s, const struct dp_snapshot *snap)
{
	uint32_t i;
	int err;

	if (!consistent(s, snap))
		return -EINVAL;
	forget_shown(s);
	dp_fill_subject(&s->r.vm, snap->vm);
	s->ram_pages = snap->vm->ram_pages;
	s->nregions = snap->vm->nregions;
	if (dp_mig_starts(s, snap))
		begin_migration(s, snap);
	err = dp_curve_add(s->curve, snap);
	err = err ? err : dp_hot_add(&s->hot, snap);
	if (err)
		return err;
	/* counts of an interval in which RAM was laid out anew would be of two divisions */
	if (memcmp(s->r.heat_range, s->hot.range, sizeof(s->r.heat_range))) {
		memset(s->r.heat, 0, sizeof(s->r.heat));
		s->mig.map.known = false;
	}
	memcpy(s->r.heat_range, s->hot.range, sizeof(s->r.heat_range));
	s->fitted = false;
	if (!s->added)
		s->began = (double)snap->t0_ns * NS;
	s->added = true;
	s->reason = snap->reason;
	s->t1 = (double)snap->t1_ns * NS;
	s->stopped_ns = snap->vcpu_stopped_ns;
	s->left_ns = snap->vcpu_left_ns;
	if (snap->vcpu_first_ns && isnan(s->r.first_ran.t)) {
		s->r.first_ran = dp_moment_of(s, snap, snap->vcpu_first_ns);
		s->r.first_now = true;
	}
	add_counts(s, snap);
	if (s->mig.m.outcome == DP_MIG_RUNNING)
		dp_mig_found(s, snap);
	if (s->mig.m.outcome == DP_MIG_RUNNING)
		dp_bw_add(&s->bw, snap, s->mig.m.rounds > 0);
	see_pace(s, snap);
	if (snap->nsyncs && fit_is_due(s, s->mig.m.outcome == DP_MIG_RUNNING)) {
		err = fit(s);
		if (err)
			return err;
		dp_fill_curve(s);
	}
	dp_bw_speeds(s, &s->r.speeds);
	for (i = 0; i < snap->nsyncs; i++)
		add_sync(s, snap, &snap->syncs[i]);
	dp_mig_update(s, snap);
	return 0;
}

static void refit(struct dp_session *s)
{
	if (!s->fitted && s->added)
		fit(s);
	s->fit_outcome = s->mig.m.outcome;
	fill(s, s->t1);
}

const struct dp_report *dp_session_line(struct dp_session *s)
{
	if (!s->added)
		return NULL;
	/* Of an interval that the end cuts short only the syncs are shown. */
	s->r.kind = s->reason == DP_TIMER ? DP_REPORT_INTERVAL : DP_REPORT_SYNC;
	if (s->fitted || s->reason == DP_LAST || fit_is_due(s, false))
		refit(s);
	else
		fill_cheap(s);
	s->shown_syncs = true;
	s->shown_line = s->r.kind == DP_REPORT_INTERVAL;
	return &s->r;
}

const struct dp_report *dp_session_final(struct dp_session *s)
{
	struct dp_report *r = &s->r;

	r->kind = DP_REPORT_FINAL;
	refit(s);
	memcpy(r->new_blocks, r->total_blocks, sizeof(r->new_blocks));
	memcpy(r->heat, s->hot.heat, sizeof(r->heat));
	dp_hot_fill(&s->hot, &r->hot);
	r->span = s->t1 - s->began;
	r->logged = s->total_logged;
	r->sent = s->total_sent;
	r->acked = s->wire_tcp ? s->total_acked : NAN;
	r->sent_bps = NAN;
	r->nsyncs = r->dropped_syncs = 0;
	dp_session_basis(s);
	return r;
}

int dp_report_exit_status(const struct dp_report *r)
{
	if (r->mig.outcome == DP_MIG_DONE)
		return 0;
	return r->predicted && r->pred.verdict == DP_NEVER ? 2 : 0;
}
