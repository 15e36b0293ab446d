// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Follows one migration: when it began, what each sync found, what is left to send, how it ended.
 *
 * What is left, where QEMU does not say: all RAM at the start, and from then on what was left before, minus what was
 * sent, plus at each sync the new pages, within what QEMU's threshold says (mig_left.c). Part of what is left was written again
 * meanwhile, is among the new pages, and counts once.
 */
#include <string.h>

#include "predict_impl.h"
#include "session_int.h"

#define SETUP_BYTES 65536.0 /* a first sync before this much was sent belongs to the setup, not to a round */

double dp_mig_wire_page(const struct dp_session *s)
{
	bool multifd = s->o.multifd || s->mig.m.multifd;

	return DP_WIRE_UNIT + (multifd ? DP_WIRE_HEADER_MULTIFD : DP_WIRE_HEADER);
}

bool dp_mig_starts(const struct dp_session *s, const struct dp_snapshot *snap)
{
	const struct dp_mig_track *mt = &s->mig;

	if (mt->m.outcome == DP_MIG_RUNNING)
		return false;
	if (snap->wire.active &&
	    (snap->logging || snap->logged_ns || (snap->qmp_known && snap->qmp_active))) {
		/* the last bytes of the migration that has just ended come with its own first_ns */
		return mt->m.outcome == DP_MIG_NONE || snap->wire.first_ns != mt->first_ns;
	}
	return snap->qmp_known && snap->qmp_active && mt->m.outcome == DP_MIG_NONE && snap->logging;
}

static double all_ram(const struct dp_session *s)
{
	double pages = (double)s->ram_pages, w = dp_mig_wire_page(s), z = s->r.zero_share;

	return isnan(z) ? pages * w : pages * ((1 - z) * w + z * DP_WIRE_ZERO);
}

static void map_zeros(struct dp_session *s)
{
	uint32_t i;

	for (i = 0; i < DP_HEAT_BINS; i++)
		s->mig.map.zeros[i] =
			isnan(s->r.zero_share) ? 0 : s->r.zero_at[i * DP_ZERO_BINS / DP_HEAT_BINS];
}

static void begin_map(struct dp_session *s)
{
	double size[DP_HEAT_BINS];
	uint32_t i;

	for (i = 0; i < DP_HEAT_BINS; i++)
		size[i] = (double)s->r.heat_range[i].pages;
	dp_map_begin(&s->mig.map, size);
	map_zeros(s);
}

void dp_mig_begin(struct dp_session *s, const struct dp_snapshot *snap)
{
	const struct dp_report *r = &s->r;
	struct dp_mig_track *mt = &s->mig;

	memset(mt, 0, sizeof(*mt));
	mt->first_ns = snap->wire.first_ns;
	mt->m.outcome = DP_MIG_RUNNING;
	mt->m.start = (double)(mt->first_ns ? mt->first_ns : snap->t0_ns) * NS;
	mt->m.total = mt->m.downtime = mt->m.fixed_seen = mt->m.queue_seen = NAN;
	mt->m.path_given = mt->m.path_seen = NAN;
	mt->m.last_ran = dp_moment_nan();
	mt->unacked = s->total_sent - s->total_acked;
	mt->m.multifd = snap->wire.channels > 1;
	mt->last_sync = mt->m.start;
	mt->rem = all_ram(s);
	mt->m.remaining = mt->rem;
	mt->round_bytes = (double)s->ram_pages * dp_mig_wire_page(s);
	mt->m.before_total = mt->m.before_downtime = mt->m.before_blackout = dp_est_nan();
	mt->m.before_rounds = NAN;
	if (r->predicted) {
		mt->m.before_known = true;
		mt->m.before_verdict = r->pred.verdict;
		mt->m.before_total = r->pred.total;
		mt->m.before_downtime = r->pred.downtime;
		mt->m.before_blackout = r->pred.blackout;
		mt->m.before_rounds = r->pred.nrounds;
		mt->m.before_nrounds = r->pred.nrounds < DP_REPORT_SYNCS ? r->pred.nrounds : DP_REPORT_SYNCS;
		memcpy(mt->m.before_round, r->pred.round, mt->m.before_nrounds * sizeof(r->pred.round[0]));
	}
	begin_map(s);
	dp_bw_reset(&s->bw);
	mt->pace = s->pace;
	mt->pace_lasting = s->pace_lasting;
	memset(&s->phase, 0, sizeof(s->phase));
}

void dp_mig_found(struct dp_session *s, const struct dp_snapshot *snap)
{
	uint32_t i;

	for (i = 0; i < DP_HEAT_BINS; i++)
		s->mig.map.fresh[i] += (double)snap->heat[i];
}

#define PLACED 0.25 /* of the pages that were found */

/* Rings are read, between syncs or at one. */
static void read_map(struct dp_session *s, const struct dp_sync *sync)
{
	double found, fresh, now = (double)sync->new_pages;

	dp_map_counts(&s->mig.map, &found, &fresh);
	dp_map_read(&s->mig.map, now, dp_mig_again(s, found, now, (double)sync->since_ns * NS));
}

/*
 * What is pending after a sync by place, and (*left) what of it was before. False: that is not known.
 */
static bool by_place(struct dp_session *s, const struct dp_sync *sync, double pages, double sent,
		     double since, double *left, double *pending)
{
	struct dp_mig_track *mt = &s->mig;
	struct dp_mig_map *m = &mt->map;
	double w = dp_mig_wire_page(s), set, found;

	/* where zero pages are may be known only now */
	if (!mt->m.rounds)
		map_zeros(s);
	read_map(s, sync);
	dp_map_counts(m, &found, &set);
	/* Both count pages found since the sync before. Where the log's pages have no place, places say nothing. */
	m->known = m->known && fabs(found - pages) <= PLACED * pages + 1;
	if (!m->known)
		return false;
	dp_map_sent(m, sent - mt->rem_sent, w);
	*left = dp_map_bytes(m, w);
	if (!mt->stopped) {
		double held = dp_mig_left(s, *left, dp_map_zeros(m), since);

		if (fabs(held - *left) > 1e-6 * *left)
			dp_map_scale(m, held, w);
		*left = dp_map_bytes(m, w);
	}
	dp_map_again(m, &set, &found);
	dp_map_sync(m, dp_mig_again(s, set, found, since));
	*pending = dp_map_bytes(m, w);
	return true;
}

/*
 * What was sent in an interval. The sockets are read a little later than it ends, so that it goes on until the last send that
 * was read.
 */
static struct dp_mig_sent stretch(const struct dp_snapshot *snap)
{
	struct dp_mig_sent s = { .from = fmax((double)snap->t0_ns, (double)snap->wire.first_ns) * NS,
				 .to = (double)snap->t1_ns * NS,
				 .sent = (double)snap->wire.sent_bytes,
				 .after = (double)snap->wire.total_sent };

	if (snap->wire.last_ns)
		s.to = fmax(s.from, (double)snap->wire.last_ns * NS);
	return s;
}

/* Bytes sent of this migration by time t, s: what was sent in a stretch is spread evenly. */
static double sent_at(const struct dp_mig_track *mt, const struct dp_snapshot *snap, double t)
{
	struct dp_mig_sent s = stretch(snap);

	/* read together with the interval before */
	if (t < mt->sending.to && (t < s.from || s.sent <= 0))
		s = mt->sending;
	if (t >= s.to || s.to <= s.from)
		return s.after;
	return fmax(0, s.after - s.sent * fmin(1, (s.to - t) / (s.to - s.from)));
}

static double left_at(const struct dp_mig_track *mt, double sent)
{
	return fmax(0, mt->rem - (sent - mt->rem_sent));
}

/* All that the rounds so far were, for the prediction to begin where they ended. */
static void keep_past(struct dp_mig_track *mt, double seconds, double left)
{
	if (mt->npast < PAST)
		mt->past[mt->npast] = (struct dp_past){ seconds, left, mt->rem };
	mt->npast++;
}

/* With pages that were found before and are not synced yet; those that were written again count once. */
static double with_reaped(const struct dp_session *s, const struct dp_sync *sync)
{
	double fresh = (double)sync->new_pages, set = s->mig.reaped;

	return set * (1 - dp_mig_again(s, set, fresh, (double)sync->since_ns * NS)) + fresh;
}

void dp_mig_reaped(struct dp_session *s, const struct dp_sync *sync)
{
	if (sync->initial)
		return;
	s->mig.reaped = with_reaped(s, sync);
	read_map(s, sync);
}

void dp_mig_sync(struct dp_session *s, const struct dp_snapshot *snap, const struct dp_sync *sync,
		 struct dp_sync_report *rec)
{
	struct dp_mig_track *mt = &s->mig;
	double t = (double)sync->t_ns * NS, sent = sent_at(mt, snap, t), left = left_at(mt, sent);
	double since = fmax(0, t - mt->last_sync), w = dp_mig_wire_page(s), fresh = with_reaped(s, sync),
	       again;

	rec->sent = sent - mt->last_sync_sent;
	mt->last_sync = t;
	mt->last_sync_sent = sent;
	mt->reaped = 0;
	if (sync->initial || (!mt->syncs && sent < SETUP_BYTES)) {
		mt->syncs += !sync->initial;
		rec->remaining = left;
		/* all is pending, found or not */
		dp_map_forget(&mt->map);
		return;
	}
	mt->syncs++;
	mt->stopped = dp_mig_stops(mt, since, rec->sent) || (s->stopped_ns && s->stopped_ns <= sync->t_ns);
	if (!by_place(s, sync, fresh, sent, since, &left, &mt->rem)) {
		if (!mt->stopped)
			left = dp_mig_left(s, left, 0, since);
		/* in the first round all was to be sent, written or not */
		again = mt->m.rounds ? dp_mig_again(s, mt->round_bytes / w, fresh, since)
				     : fresh * w / mt->round_bytes;
		mt->rem = left * (1 - fmin(1, again)) + fresh * w;
	}
	rec->round = ++mt->m.rounds;
	mt->rem = fmin(mt->rem, (double)s->ram_pages * w);
	mt->round_bytes = mt->rem;
	mt->rem_sent = sent;
	rec->remaining = mt->m.remaining = mt->rem;
	keep_past(mt, since, left);
}

void dp_mig_keep(struct dp_mig_track *mt, const struct dp_sync_report *rec)
{
	struct dp_migration *m = &mt->m;

	if (m->nsyncs == DP_REPORT_SYNCS) {
		memmove(m->syncs, m->syncs + 1, (DP_REPORT_SYNCS - 1) * sizeof(m->syncs[0]));
		m->nsyncs--;
		m->dropped_syncs++;
	}
	m->syncs[m->nsyncs++] = *rec;
}

/*
 * The part of the downtime that was not RAM. QEMU syncs for the last time when the guest has stopped, so all that was sent
 * later is what the downtime was for. Under a cap the last bytes go into empty sockets and take no time that can be told.
 */
static void see_fixed(struct dp_session *s)
{
	struct dp_mig_track *mt = &s->mig;
	double bps = s->r.speeds.goodput.bps.mid, ram = fmax(0, mt->sent - mt->last_sync_sent), wait = 0;

	if (!mt->m.rounds || s->r.speeds.capped || !(bps > 0) || !(mt->m.downtime >= 0))
		return;
	/* what may have been the channels is no fixed part */
	if (!isnan(mt->m.queue_seen))
		wait = dp_stop_wait(mt->m.multifd, mt->m.queue_seen, bps, mt->m.multifd ? 0.9 : 0.5);
	mt->m.fixed_seen = fmax(1e-4, mt->m.downtime - fmax(0, ram / bps + wait));
}

/* What is in the sockets: given to them and not acknowledged yet. The most is what they hold. */
static void see_queue(struct dp_session *s)
{
	struct dp_mig_track *mt = &s->mig;
	double q = s->total_sent - s->total_acked - mt->unacked;

	if (mt->m.tcp && !s->r.speeds.capped && q > 0)
		mt->m.queue_seen = fmax(q, isnan(mt->m.queue_seen) ? 0 : mt->m.queue_seen);
}

#define WIRE_BUSY 0.85 /* where goodput is so near to the capacity, the wire was what everything waited for */

#define ZERO_TIME   0.05 /* of a migration */
#define HOST_SLOWER 0.45 /* of the path: a cap that was not recognized is seldom so low */

/* Not the path, and not a look for zero pages, was what everything waited for; that will be so again. */
static bool host_is_slower(const struct dp_session *s)
{
	const struct dp_report *r = &s->r;
	double zeros = r->zero_share * (double)s->ram_pages * DP_WIRE_UNIT;

	return r->speeds.goodput.bps.mid < HOST_SLOWER * s->o.bandwidth && r->zero_scan_bps > 0 &&
	       zeros / r->zero_scan_bps < ZERO_TIME * s->mig.m.elapsed;
}

/*
 * What the path gave of what somebody said that it gives: what arrived, as what was given to sockets includes what they hold.
 * Where looking for zero pages let the wire idle that is no measure of the path, and nothing is learnt.
 */
static void see_path(struct dp_session *s)
{
	const struct dp_speeds *sp = &s->r.speeds;

	if (!s->mig.m.rounds || sp->capped || !sp->capacity.samples || !(s->o.bandwidth > 0))
		return;
	if (!(sp->goodput.bps.mid >= WIRE_BUSY * sp->capacity.bps.mid) && !host_is_slower(s))
		return;
	s->mig.m.path_given = s->o.bandwidth;
	s->mig.m.path_seen = sp->goodput.bps.mid;
}

static void finish(struct dp_session *s, const struct dp_snapshot *snap, enum dp_outcome outcome)
{
	struct dp_mig_track *mt = &s->mig;
	double last = mt->last ? mt->last : (double)snap->t1_ns * NS;

	mt->m.outcome = outcome;
	mt->m.elapsed = fmax(0, last - mt->m.start);
	if (outcome != DP_MIG_DONE)
		return;
	mt->m.remaining = 0;
	mt->m.remaining_known = true;
	mt->m.total = mt->m.elapsed;
	if (s->stopped_ns)
		mt->m.downtime = fmax(0, last - (double)s->stopped_ns * NS);
	see_fixed(s);
	see_path(s);
}

/* QEMU can say that it is done before the guest was seen to have stopped. */
static void take_last(struct dp_session *s, const struct dp_snapshot *snap)
{
	struct dp_migration *m = &s->mig.m;
	uint64_t t = s->stopped_ns ? s->stopped_ns : s->left_ns;

	if (m->outcome == DP_MIG_DONE && isnan(m->last_ran.t) && t)
		m->last_ran = dp_moment_of(s, snap, t);
}

/* QEMU's own figures, which may come after the end was seen on the wire. */
static void take_qmp(struct dp_session *s, const struct dp_snapshot *snap)
{
	struct dp_migration *m = &s->mig.m;

	if (m->outcome != DP_MIG_DONE || m->qmp || !snap->qmp_known || !snap->qmp_done)
		return;
	m->qmp = true;
	m->total = (double)snap->qmp_total_ms / 1e3;
	m->downtime = (double)snap->qmp_downtime_ms / 1e3;
	see_fixed(s);
}

/* Whether it is over, and how. The guest stops before the last bytes are sent, so silence must come with it. */
static void look_for_end(struct dp_session *s, const struct dp_snapshot *snap)
{
	struct dp_mig_track *mt = &s->mig;
	bool running = mt->m.outcome == DP_MIG_RUNNING;
	double rest = (double)snap->t1_ns * NS - mt->last;
	bool silent = !snap->wire.active || snap->reason == DP_LAST || rest > WIRE_SILENT_NS * NS;

	if (!running && mt->m.outcome != DP_MIG_CANCELLED)
		return;
	if (snap->qmp_known && snap->qmp_done && !snap->qmp_active)
		finish(s, snap, DP_MIG_DONE);
	else if (s->stopped_ns && (snap->reason == DP_LAST || rest > END_SILENT_NS * NS))
		finish(s, snap, DP_MIG_DONE);
	else if (running && silent && !snap->logging && snap->reason != DP_SYNC &&
		 !(snap->qmp_known && snap->qmp_active))
		finish(s, snap, DP_MIG_CANCELLED);
}

void dp_mig_update(struct dp_session *s, const struct dp_snapshot *snap)
{
	struct dp_mig_track *mt = &s->mig;
	struct dp_migration *m = &mt->m;

	if (m->outcome == DP_MIG_NONE)
		return;
	if (m->outcome == DP_MIG_RUNNING) {
		if (snap->wire.total_sent)
			mt->sent = (double)snap->wire.total_sent;
		if (snap->wire.channels) {
			m->channels = snap->wire.channels;
			m->multifd = m->channels > 1;
			m->tcp = snap->wire.tcp;
		}
		if (snap->wire.sent_bytes)
			mt->sending = stretch(snap);
		if (snap->wire.active)
			mt->last = (double)(snap->wire.last_ns ? snap->wire.last_ns : snap->t1_ns) * NS;
		m->sent = mt->sent;
		see_queue(s);
		m->elapsed = fmax(0, (double)snap->t1_ns * NS - m->start);
		/* At a sync we know as well, and QEMU was asked later, when more of it was sent. */
		if (snap->qmp_known && snap->qmp_active && snap->reason != DP_SYNC) {
			mt->rem = (double)snap->qmp_remaining;
			dp_map_sent(&mt->map, mt->sent - mt->rem_sent, dp_mig_wire_page(s));
			dp_map_scale(&mt->map, mt->rem, dp_mig_wire_page(s));
			mt->rem_sent = mt->sent;
			m->remaining_qmp = m->remaining_known = true;
		} else {
			if (!m->rounds) { /* where the zero pages are may be known only now */
				mt->rem = all_ram(s);
				map_zeros(s);
			}
			m->remaining_qmp = false;
			m->remaining_known |= !isnan(s->r.zero_share) || m->rounds > 1;
		}
		m->remaining = left_at(mt, mt->sent);
	}
	look_for_end(s, snap);
	take_last(s, snap);
	take_qmp(s, snap);
}

const char *dp_outcome_name(enum dp_outcome o)
{
	static const char *const name[] = { "none", "running", "done", "cancelled" };

	return name[o];
}
