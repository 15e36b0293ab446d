// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A session's prediction: what it knows, put as a link and a plan. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "model/predict_mem.h"
#include "session_int.h"

#define MIB 1048576.0

unsigned int dp_version_number(const char *v)
{
	unsigned long major, minor = 0;
	char *end;

	if (!isdigit((unsigned char)v[0]))
		return 0;
	major = strtoul(v, &end, 10);
	if (*end == '.' && isdigit((unsigned char)end[1]))
		minor = strtoul(end + 1, NULL, 10);
	if (major > 1000 || minor > 99)
		return 0;
	return (unsigned int)(major * 100 + minor);
}

enum dp_exit_test dp_exit_test_of(const char *qemu_version, bool *known)
{
	unsigned int v = dp_version_number(qemu_version);

	*known = v != 0;
	if (v >= 1001)
		return DP_EXIT_10_1;
	return v >= 900 ? DP_EXIT_9 : DP_EXIT_PRE_9;
}

double dp_default_cap(const char *qemu_version)
{
	unsigned int v = dp_version_number(qemu_version);

	return v && v < 502 ? 32 * MIB : 128 * MIB;
}

static void make_link(const struct dp_session *s, struct dp_link *link)
{
	const struct dp_speeds *sp = &s->r.speeds;
	const struct dp_est none = { 0, 0, 0 };

	link->rounds = isnan(sp->rounds.mid) ? none : sp->rounds;
	link->switchover = isnan(sp->switchover.mid) ? none : sp->switchover;
	link->exit_bps = s->o.avail_switchover;
}

/* Where the guest writes, to three digits, as it is written down. */
static void heat(const struct dp_session *s, struct dp_plan *p)
{
	double most = 0, w[DP_ZERO_BINS] = { 0 };
	uint32_t i;

	for (i = 0; i < DP_HEAT_BINS; i++) {
		w[i * DP_ZERO_BINS / DP_HEAT_BINS] += (double)s->hot.heat[i];
		most = fmax(most, w[i * DP_ZERO_BINS / DP_HEAT_BINS]);
	}
	for (i = 0; most > 0 && i < DP_ZERO_BINS; i++)
		p->heat_at[i] = round(w[i] / most * 1000) / 1000;
}

/* Of a migration from its start. */
static void plan_ahead(const struct dp_session *s, struct dp_plan *p)
{
	const struct dp_report *r = &s->r;

	memset(p, 0, sizeof(*p));
	p->pages = (double)s->ram_pages;
	p->zero_pages = isnan(r->zero_share) ? 0 : r->zero_share * p->pages;
	memcpy(p->zero_at, r->zero_at, sizeof(p->zero_at));
	heat(s, p);
	p->wire_page = r->wire_page;
	p->zero_scan_bps = r->zero_scan_bps;
	p->limit = r->limit;
	p->fixed = r->fixed;
	p->fixed_lo = s->o.fixed_lo;
	p->fixed_hi = s->o.fixed_hi;
	p->multifd = s->o.multifd || s->mig.m.multifd;
	p->queue = s->mig.m.queue_seen > 0 ? s->mig.m.queue_seen : r->queue;
	/* In its first two rounds, the second of which may be the stop, or under a cap, a socket may not have held yet what it can. */
	if (s->mig.m.outcome == DP_MIG_RUNNING && (s->mig.m.rounds <= 2 || r->speeds.capped))
		p->queue = fmax(p->queue, r->queue);
	p->setup = r->setup;
	p->exit_test = r->exit_test;
	/* With the ring every page is re-armed as its entry is collected; where GET clears, at the sync. */
	p->clear_pages =
		r->vm.log_mode != DP_LOG_RING && (r->vm.manual_protect & 1) ? 1u << DP_REGION_SHIFT : 0;
	p->throttle = r->throttle;
	p->ac = s->o.ac;
	p->busy = r->busy;
}

/* What the migration's sockets hold at t, bytes: between two snapshots as if it had changed evenly. */
static double held_at(const struct dp_session *s, double t)
{
	double now = s->total_sent - s->total_acked, span = s->t1 - s->held_from;
	double share = span > 0 ? fmin(1, fmax(0, (t - s->held_from) / span)) : 1;

	return s->held_was + (now - s->held_was) * share - s->mig.unacked;
}

/*
 * While QEMU looked for zero pages its sockets ran empty, or they are not full yet. A writer that waits for its socket leaves up to a
 * third of it empty: that much is in the plan anyhow (dp_stop_wait).
 */
static double room_at(const struct dp_session *s, double t, double queue)
{
	double full = (1 - DP_WAKE_SHARE) * queue;

	return s->mig.m.tcp ? fmax(0, full - fmax(0, held_at(s, t))) / (1 - DP_WAKE_SHARE) : 0;
}

static void make_plan(const struct dp_session *s, double t, struct dp_plan *p)
{
	const struct dp_mig_track *mt = &s->mig;

	plan_ahead(s, p);
	if (mt->m.outcome != DP_MIG_RUNNING)
		return;
	p->running = true;
	p->remaining = mt->m.remaining;
	p->elapsed = fmax(0, t - mt->m.start);
	p->since_sync = fmax(0, t - mt->last_sync);
	p->room = room_at(s, t, p->queue);
	p->stopped = mt->stopped;
	p->past = mt->past;
	p->npast = mt->npast <= PAST ? mt->npast : 0;
}

/* What every report assumes, from the options and the VM. */
static void fill_terms(struct dp_session *s)
{
	struct dp_report *r = &s->r;
	bool known;

	r->assumed = 0;
	r->limit = s->o.limit > 0 ? s->o.limit : DP_LIMIT_DEFAULT;
	r->fixed = s->o.fixed > 0 ? s->o.fixed : DP_FIXED_DEFAULT;
	r->queue = s->o.queue;
	r->learned = s->o.learned;
	r->setup = s->o.setup > 0 ? s->o.setup : DP_SETUP_DEFAULT;
	r->throttle = s->o.throttle;
	r->wire_page = dp_mig_wire_page(s);
	r->exit_test = dp_exit_test_of(r->vm.qemu_version, &known);
	r->assumed |= s->o.limit > 0 ? 0 : DP_ASSUMED_LIMIT;
	r->assumed |= s->o.fixed > 0 ? 0 : DP_ASSUMED_FIXED;
	r->assumed |= s->o.setup > 0 || s->mig.m.outcome == DP_MIG_RUNNING ? 0 : DP_ASSUMED_SETUP;
	r->assumed |= known ? 0 : DP_ASSUMED_EXIT;
	r->assumed |= r->zero_scan_bps > 0 ? 0 : DP_ASSUMED_SCAN;
	/* measured in the rounds, where something else than the path may have been the limit */
	if (r->speeds.switchover_from == DP_SPEED_GOODPUT || r->speeds.switchover_from == DP_SPEED_CAP ||
	    r->speeds.switchover_from == DP_SPEED_QMP)
		r->assumed |= DP_ASSUMED_SWITCHOVER;
}

static void predict_nothing(struct dp_prediction *p)
{
	const struct dp_est none = dp_est_nan();

	memset(p, 0, sizeof(*p));
	p->verdict = DP_UNKNOWN;
	p->stop_now = p->redirty = p->floor = p->total = p->downtime = p->blackout = none;
	p->least_limit = p->least_bandwidth = p->least_throttle = p->rounds = none;
}

void dp_session_predict(struct dp_session *s, double t)
{
	struct dp_report *r = &s->r;
	struct dp_link link;
	struct dp_plan plan;

	dp_bw_speeds(s, &r->speeds);
	fill_terms(s);
	r->predicted = false;
	/* Once it is over there is nothing to predict, and the curve of a stopped guest is history. */
	if (s->mig.m.outcome == DP_MIG_DONE || !r->known || isnan(r->speeds.rounds.mid) || !s->ram_pages) {
		predict_nothing(&r->pred);
		return;
	}
	make_link(s, &link);
	make_plan(s, t, &plan);
	if (dp_predict(s->curve, &link, &plan, &r->pred)) {
		predict_nothing(&r->pred);
		return;
	}
	r->predicted = true;
}

/* NAN stays. */
static double held(double v, double least, double most)
{
	return v < least ? least : v > most ? most : v;
}

/* A basis is read back (user/report/parse.c): what is beyond all networks and machines is at their edge. */
static void hold_basis(struct dp_basis *b)
{
	struct dp_plan *p = &b->plan;

	p->queue = held(p->queue, 0, 1e12);
	p->zero_scan_bps = p->zero_scan_bps >= 1 ? held(p->zero_scan_bps, 1, 1e18) : 0;
	p->throttle = held(p->throttle, 0, 0.9999);
	p->ac.trigger = held(p->ac.trigger, 0, 100);
	p->ac.initial = held(p->ac.initial, 0, 0.9999);
	p->ac.increment = held(p->ac.increment, 0, 1);
	p->ac.max = held(p->ac.max, 0, 0.9999);
	b->path = held(b->path, 0, 1e18);
	b->cap = held(b->cap, 1, 1e18);
	b->switchover = held(b->switchover, 0, 1e18);
	b->exit_bps = held(b->exit_bps, 0, 1e18);
}

void dp_session_basis(struct dp_session *s)
{
	const struct dp_speeds *sp = &s->r.speeds;
	struct dp_basis *b = &s->r.basis;

	memset(b, 0, sizeof(*b));
	b->path = b->cap = b->switchover = b->exit_bps = NAN;
	if (!s->r.known || !s->ram_pages)
		return;
	dp_points_take(s->curve, &b->curve);
	b->known = b->curve.n > 0;
	plan_ahead(s, &b->plan);
	b->assumed = s->r.assumed & ~DP_ASSUMED_SWITCHOVER;
	b->assumed |= s->o.setup > 0 ? 0 : DP_ASSUMED_SETUP;
	b->path = sp->switchover_from == DP_SPEED_OPTION && s->o.switchover_bandwidth > 0
			  ? sp->rounds.mid
			  : sp->switchover.mid;
	b->cap = sp->cap.bps.mid;
	if (s->o.switchover_bandwidth > 0)
		b->switchover = s->o.switchover_bandwidth;
	if (s->o.avail_switchover > 0)
		b->exit_bps = s->o.avail_switchover;
	hold_basis(b);
}
