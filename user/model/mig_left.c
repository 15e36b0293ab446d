// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What QEMU carries over a sync. It syncs when what it has left is under its threshold at one of its looks; at the look before, a
 * step of sending ago, it was not. So however the count of what was sent may have drifted, what is left lies in
 * (threshold - step, threshold).
 */
#include <string.h>

#include "model/predict_impl.h"
#include "model/predict_mem.h"
#include "session_int.h"

#define CAPPED_STEP                                                                                          \
	0.1 /* s: under a cap QEMU sends what it may of BUFFER_DELAY, rests until that is over, and looks */

#define STEPPED_S                                                                                            \
	0.045 /* between a sync that failed and the next there is a step of 50 ms at least, but for an early clock */

/*
 * Wire bytes of as many pages of QEMU's bitmap: in the first round those at the end of memory, some of which may be zero; later
 * `zeros` of them are, never sent yet.
 */
static double bytes_of(const struct dp_session *s, double pages, double zeros)
{
	const struct dp_report *r = &s->r;
	struct dp_plan p = { .pages = (double)s->ram_pages, .wire_page = dp_mig_wire_page(s) };
	struct dp_sender tx;

	pages = fmin(pages, p.pages);
	if (s->mig.m.rounds || isnan(r->zero_share)) {
		zeros = fmin(zeros, pages);
		return (pages - zeros) * p.wire_page + zeros * DP_WIRE_ZERO;
	}
	p.zero_pages = r->zero_share * p.pages;
	memcpy(p.zero_at, r->zero_at, sizeof(p.zero_at));
	dp_sender_start(&tx, &p, 1.0, 1.0);
	return pages * dp_sender_bytes(&tx, dp_zeros_share(&tx, p.pages - pages, p.pages));
}

/* Before its first measurement is a second one, what went into empty sockets is part of QEMU's bandwidth. */
static double first_extra(const struct dp_session *s, double since)
{
	const struct dp_report *r = &s->r;
	bool first = !s->mig.m.rounds && since < 2 * DP_WINDOW && !s->o.multifd && !s->mig.m.multifd;

	return first && !r->speeds.capped && !(s->o.avail_switchover > 0) ? s->o.queue / DP_WINDOW : 0;
}

/* The most that QEMU sends between two looks: the second one may wait for its socket. */
static double step_bytes(const struct dp_session *s)
{
	const struct dp_speeds *sp = &s->r.speeds;
	double queue = s->mig.m.queue_seen > 0 ? s->mig.m.queue_seen : s->o.queue;

	return sp->capped ? sp->rounds.mid * DP_STEP_CAPPED
			  : sp->rounds.mid * DP_STEP + DP_WAKE_SHARE * queue;
}

/*
 * How far what QEMU measures as its bandwidth may be from what it has, as a share: see lucky() in predict_sim.c. Under a cap it sends
 * what it may; what it was told it does not measure.
 */
static double off_by(const struct dp_session *s, double bps)
{
	struct dp_plan p = { .multifd = s->o.multifd || s->mig.m.multifd };
	struct dp_sender tx = { .plan = &p, .b = bps };

	if (s->o.avail_switchover > 0 || (s->r.speeds.capped && !p.multifd))
		return 0;
	return fmin(0.5, dp_sender_lump(&tx) / (bps * DP_WINDOW));
}

double dp_mig_left(const struct dp_session *s, double by_bytes, double zeros, double since)
{
	const struct dp_speeds *sp = &s->r.speeds;
	double bps = s->o.avail_switchover > 0 ? s->o.avail_switchover : sp->rounds.mid, pages, off, hi,
	       lo = 0;

	if (!(bps > 0) || isnan(sp->rounds.mid))
		return by_bytes;
	off = off_by(s, bps);
	pages = (bps + first_extra(s, since)) * s->r.limit / DP_WIRE_UNIT;
	hi = bytes_of(s, pages * (1 + off), zeros);
	/* a limit that is only assumed may be higher than QEMU's; above all of RAM no look can have failed */
	if (since > STEPPED_S && s->o.limit > 0 && pages < (double)s->ram_pages)
		lo = bytes_of(s, pages * (1 - off), zeros) - step_bytes(s);
	return fmin(hi, fmax(by_bytes, fmax(0, lo)));
}

bool dp_mig_stops(const struct dp_mig_track *mt, double since, double sent)
{
	return mt->m.rounds && since < STEPPED_S && sent < mt->rem / 2;
}

static double u_at(const struct dp_session *s, double t)
{
	return dp_curve_eval(s->curve, DP_4K, t).mid;
}

/*
 * The set had been written within a w with U(w) = that. Of it U(w) + U(d) - U(w + d) pages are written within a further d, of
 * U(d) in all.
 */
double dp_mig_again(const struct dp_session *s, double set, double fresh, double d)
{
	double lo = 0, hi = 0x1p24, u = s->fitted ? u_at(s, d) : 0, both;
	uint32_t i;

	if (!(set > 0))
		return 0;
	if (!(u > 0))
		return fmin(1, fresh / set);
	for (i = 0; i < 60; i++) {
		double mid = (lo + hi) / 2;

		if (u_at(s, mid) < set)
			lo = mid;
		else
			hi = mid;
	}
	both = fmax(0, u_at(s, hi) + u - u_at(s, hi + d)) / fmax(1, u_at(s, hi));
	return fmin(1, both * fresh / u);
}
