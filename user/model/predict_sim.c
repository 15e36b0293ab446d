// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * One pre-copy, round by round, as QEMU does it: memory is sent in one direction, round and round; when what
 * is left in QEMU's bitmap falls under the threshold the log is read again, and the exit test is on the sum of
 * what was left and what is newly dirty. So a page is pending if it was written since it was last re-armed,
 * and what is pending at a sync is the sum over memory of U(time since each part was re-armed). That is less
 * than U(a whole pass), the more so the less the curve bends: see "What is pending" in docs/model.md.
 */
#include <math.h>
#include <string.h>

#include "model/predict_impl.h"

#define STEP   0.05 /* seconds of sending between two looks at the threshold (QEMU's MAX_WAIT) */
#define WINDOW 0.1  /* seconds over which QEMU measures its bandwidth (BUFFER_DELAY) */
/*
 * A writer that waits for room in its socket is woken when a third of it is free (sk_stream_write_space), so that a look
 * comes up to so much later than STEP.
 */
#define WAKE_SHARE (1.0 / 3)
#define PERIOD	   1.0 /* seconds that auto-converge waits at least between two looks */
#define PATIENCE   8   /* such looks in a row that find nothing bad, after which none will */
#define MAX_SYNCS  4000u
#define STEP_SYNCS 128u /* after so many syncs the step doubles: a long pass needs no finer look */
#define MAX_TIME   1e8
#define STALLED	   0.002 /* a pass that lowers the least pending by a smaller share of it leads nowhere */

/* When a part of memory was last sent. Times on the guest's clock, which a throttle slows down, from the start. */
struct rec {
	double rearmed; /* its pages that were sent then are armed since */
	double sync;	/* the sync before: its other pages count from here */
	double window;	/* how long the pages that were sent had had to be dirtied */
	double in_gap;	/* of pages written in a gap like (sync, rearmed), the share that is cold */
};

struct sim {
	const struct dp_sim_in *in;
	const struct dp_env *env;
	double throttle, k; /* k: the speed of the guest's clock */
	double now;	    /* seconds from the start */
	double guest;	    /* the same on the guest's clock, as are last_sync and entered */
	double last_sync;
	struct rec rec[DP_SEGMENTS];
	bool first[DP_SEGMENTS];    /* never sent yet */
	double pend[DP_SEGMENTS];   /* in QEMU's bitmap and not yet sent; of the current one: ahead */
	uint32_t cur;		    /* segment being sent */
	double done;		    /* share of it that was passed */
	struct rec part;	    /* sums over that share, weighted by it */
	double part_weight, behind; /* behind: pending in that share */
	uint32_t chunk;
	double entered;		    /* when the current chunk was entered */
	uint32_t passes;	    /* through all of memory */
	double before[DP_SEGMENTS]; /* pages before each segment */
	struct dp_sender tx;
};

static double segment_u(const struct sim *s, uint32_t g, double t)
{
	double u, part;
	uint32_t i;

	if (!(t > 0.0))
		return 0.0;
	u = dp_tab_eval(s->in->u, t);
	if (s->env->even)
		return fmin(s->env->pages[g], u / s->env->n);
	dp_tab_locate(t, &i, &part);
	part = (i % DP_SHARE_STEP + part) / DP_SHARE_STEP;
	i /= DP_SHARE_STEP;
	u *= s->env->share[i][g] * (1.0 - part) + s->env->share[i + 1][g] * part;
	return fmin(s->env->pages[g], u);
}

/*
 * Pages pending at a sync `now` in a segment whose pages were all treated as r says. All that were written since
 * r->rearmed (d ago) are. So are those that were clean at r->sync, after a window w, and were written in the gap g
 * between the two, U(w + g) - U(w), unless they are among the former, having been written again. How many were
 * not: if writes have no memory, as many of the cold pages as U says, (U(w + d + g) - U(w + d)) / (U(w + g) - U(w));
 * if a page's writes keep a distance, as many as of all pages, (U(d + g) - U(d)) / U(g). The larger one is right
 * for any mixture of memoryless pages and for pages that are written in turn.
 */
static double pending_of(const struct sim *s, uint32_t g, const struct rec *r, double now)
{
	double d = now - r->rearmed, gap = r->rearmed - r->sync, w = r->window;
	double u = segment_u(s, g, d), cold, turn;

	if (isfinite(w) && gap > 0.0) {
		cold = segment_u(s, g, w + d + gap) - segment_u(s, g, w + d);
		turn = (segment_u(s, g, d + gap) - u) * r->in_gap;
		u += fmax(cold, turn);
	}
	return fmin(u, s->env->pages[g]);
}

/* (U(w + g) - U(w)) / U(g), which does not change until the segment is sent again. */
static double cold_share(const struct sim *s, uint32_t g, const struct rec *r)
{
	double gap = r->rearmed - r->sync, all;

	if (!isfinite(r->window) || !(gap > 0.0))
		return 0.0;
	all = segment_u(s, g, gap);
	return all > 0.0 ? (segment_u(s, g, r->window + gap) - segment_u(s, g, r->window)) / all : 0.0;
}

static struct rec part_mean(const struct sim *s)
{
	double w = s->part_weight;
	struct rec r = { s->part.rearmed / w, s->part.sync / w, s->part.window / w, 0.0 };

	r.in_gap = cold_share(s, s->cur, &r);
	return r;
}

static void do_sync(struct sim *s)
{
	uint32_t g;

	for (g = 0; g < s->env->n; g++) {
		double all = s->first[g] ? s->env->pages[g] : pending_of(s, g, &s->rec[g], s->guest);

		s->pend[g] = all;
		if (g != s->cur || s->part_weight <= 0.0)
			continue;
		struct rec mean = part_mean(s);

		s->pend[g] = all * (1.0 - s->done);
		s->behind = pending_of(s, g, &mean, s->guest) * s->done;
	}
	s->last_sync = s->guest;
}

static double pending(const struct sim *s)
{
	double sum = s->behind;
	uint32_t g;

	for (g = 0; g < s->env->n; g++)
		sum += s->pend[g];
	return sum;
}

static void leave_segment(struct sim *s)
{
	uint32_t g = s->cur;

	if (s->part_weight > 0.0) {
		s->rec[g] = part_mean(s);
		s->first[g] = false;
	}
	s->pend[g] = s->behind;
	s->behind = s->done = s->part_weight = 0.0;
	s->part = (struct rec){ 0 };
	s->cur = (g + 1) % s->env->n;
	s->passes += s->cur == 0;
	if (s->env->chunk[s->cur] != s->chunk) {
		s->chunk = s->env->chunk[s->cur];
		s->entered = s->guest;
	}
}

/* The share `part` of the current segment is sent within dt from now, of the guest's time. */
static void pass(struct sim *s, double part, double dt)
{
	double chunk = s->env->chunk_part[s->cur], rearmed = s->last_sync, window = HUGE_VAL;

	if (part <= 0.0)
		return;
	if (s->env->lazy) {
		rearmed = fmax(s->last_sync, s->entered);
		if (chunk < 1.0)
			rearmed = fmax(s->last_sync, s->guest) + fmax(0.0, 1.0 - chunk / part) * dt / 2;
	}
	if (!s->first[s->cur])
		window = s->last_sync - s->rec[s->cur].rearmed;
	s->part.rearmed += part * rearmed;
	s->part.sync += part * s->last_sync;
	s->part.window += part * window;
	s->part_weight += part;
}

/* The share of zero pages in the rest of a segment, of which `done` was passed; only pages not yet sent are zero. */
static double zeros_ahead(const struct sim *s, uint32_t g, double done)
{
	double from = s->before[g] + done * s->env->pages[g], to = s->before[g] + s->env->pages[g];

	return s->first[g] ? dp_zeros_share(&s->tx, from, to) : 0.0;
}

/* The same of what can be sent next at one cost: pages up to the next bin's start, *n if that is less. */
static double zeros_next(const struct sim *s, double *n)
{
	double from = s->before[s->cur] + s->done * s->env->pages[s->cur], end;

	if (!s->first[s->cur] || s->in->plan->zero_pages <= 0.0)
		return 0.0;
	end = dp_zeros_bin_end(&s->tx, from);
	/* the last bits of a bin are no step of their own */
	if (end - from < *n * (1.0 - 1e-9))
		*n = end - from;
	return dp_zeros_share(&s->tx, from, from + *n);
}

/* Sends until `pages` are sent, `seconds` have passed or nothing is left. Returns the pages sent. */
static double send(struct sim *s, double pages, double seconds)
{
	double sent = 0.0;
	uint32_t hops;

	for (hops = 0; hops < 2 * DP_SEGMENTS + 2 + DP_ZERO_BINS; hops++) {
		double ahead = s->pend[s->cur], n = fmin(ahead, pages - sent), dt, z, most;
		bool whole, enough;

		z = zeros_next(s, &n);
		most = dp_sender_pages(&s->tx, seconds, z);
		enough = n >= pages - sent || n > most;
		n = fmin(n, most);
		whole = n >= ahead;
		dt = dp_sender_time(&s->tx, n, z);
		dp_sender_sent(&s->tx, n, z, dt);
		if (n > 0.0) {
			double part = whole ? 1.0 - s->done : (1.0 - s->done) * n / ahead;

			pass(s, part, dt * s->k);
			s->done += part;
			s->pend[s->cur] -= n;
			sent += n;
			s->now += dt;
			s->guest += dt * s->k;
			seconds -= dt;
		}
		if (!whole && (enough || n <= 0.0))
			break;
		if (!whole)
			continue;
		leave_segment(s);
		if (sent >= pages || pending(s) <= 0.0)
			break;
	}
	return sent;
}

/* Pages of the first pass that are still to be sent, where so many bytes are. */
static double first_left(const struct sim *s, double bytes)
{
	const struct dp_plan *p = s->in->plan;
	double n = s->env->total, lo = 0.0, hi = n;
	uint32_t i;

	for (i = 0; i < 60; i++) {
		double mid = (lo + hi) / 2, zeros = mid * dp_zeros_share(&s->tx, n - mid, n);

		if ((mid - zeros) * p->wire_page + zeros * DP_WIRE_ZERO < bytes)
			lo = mid;
		else
			hi = mid;
	}
	return hi;
}

/* Of the round that a running migration is in: what was sent since its sync, and what is still to come. */
static void resume(struct sim *s)
{
	const struct dp_plan *p = s->in->plan;
	bool first = p->elapsed <= p->since_sync + p->setup + STEP;
	double n = s->env->total, left, start, window = HUGE_VAL, lo = 0.0, hi = 0x1p24, at;
	uint32_t g, i;

	left = first ? first_left(s, p->remaining) : fmin(n, p->remaining / p->wire_page);
	start = first ? n : fmin(n, left + p->since_sync * s->in->b / p->wire_page);
	for (i = 0; !first && i < 60; i++) {
		window = (lo + hi) / 2;
		if (dp_tab_eval(s->in->u, window) < start)
			lo = window;
		else
			hi = window;
	}
	at = start > 0.0 ? (start - left) / start * s->env->n : 0.0;
	s->last_sync = -p->since_sync * s->k;
	for (g = 0; g < s->env->n; g++) {
		double when =
			s->last_sync + (at > 0.0 ? fmin(1.0, (g + 0.5) / at) : 0.0) * p->since_sync * s->k;
		double share = first ? s->env->pages[g] / fmax(1.0, n)
				     : segment_u(s, g, window) / fmax(1e-9, dp_tab_eval(s->in->u, window));

		s->first[g] = first;
		s->rec[g] = (struct rec){ s->last_sync - window, s->last_sync - window, HUGE_VAL, 0.0 };
		s->pend[g] = start * share * fmin(1.0, fmax(0.0, g + 1 - at));
		if (g + 1 > at)
			continue;
		s->first[g] = false;
		s->rec[g] = (struct rec){ s->env->lazy ? when : s->last_sync, s->last_sync, window, 0.0 };
		s->rec[g].in_gap = cold_share(s, g, &s->rec[g]);
	}
	s->cur = at < s->env->n ? (uint32_t)at : 0;
	s->chunk = s->env->chunk[s->cur];
	s->entered = s->last_sync;
}

/*
 * Down for this long if the guest stopped now, F included: by QEMU, who is done when all is in the sockets, and until the
 * destination has it all.
 */
static double stop_time(const struct sim *s, double *blackout)
{
	struct dp_sender tx = s->tx;
	double bytes = s->behind * s->in->plan->wire_page, scan = 0.0, down;
	uint32_t g;

	for (g = 0; g < s->env->n; g++) {
		double z = zeros_ahead(s, g, g == s->cur ? s->done : 0.0);

		bytes += s->pend[g] * dp_sender_bytes(&tx, z);
		scan += s->pend[g] * dp_sender_scan(&tx, z);
	}
	down = dp_sender_stop(&tx, bytes, scan, s->in->bs, blackout);
	*blackout += s->in->plan->fixed;
	return down + s->in->plan->fixed;
}

static bool may_stop(const struct sim *s, double threshold)
{
	double bytes = pending(s) * DP_WIRE_UNIT;

	if (bytes < 0.5 * DP_WIRE_UNIT)
		return true;
	/* equal but for rounding is equal */
	return s->in->plan->exit_test == DP_EXIT_10_1 ? bytes <= threshold * (1.0 + 1e-12)
						      : bytes < threshold * (1.0 - 1e-12);
}

/*
 * One round: sends until what is left is under the threshold at one of QEMU's looks, then syncs. first: the threshold
 * after QEMU's first measurement, where that differs; 0 else.
 */
static void do_round(struct sim *s, double threshold, double first, double step, struct dp_round *r)
{
	double before = s->now, all = pending(s), left, rest;

	r->pages = 0.0;
	if (first > 0.0)
		r->pages = send(s, HUGE_VAL, WINDOW);
	rest = all - r->pages - threshold / DP_WIRE_UNIT;
	if (first <= 0.0 || (all - r->pages) * DP_WIRE_UNIT >= first) {
		r->pages += send(s, fmax(0.0, rest), HUGE_VAL);
		r->pages +=
			send(s, HUGE_VAL, (floor((s->now - before) / step) + 1.0) * step - (s->now - before));
	}
	left = fmax(0.0, all - r->pages);
	do_sync(s);
	r->seconds = s->now - before;
	r->dirtied = fmax(0.0, pending(s) - left);
}

/*
 * What QEMU takes for its bandwidth first includes what went into empty sockets. 0: nothing, or QEMU has been told what to
 * reckon with.
 */
static double first_threshold(const struct sim *s)
{
	const struct dp_sim_in *in = s->in;

	/* several sockets at once do not fill within so short a time */
	if (in->plan->running || in->plan->multifd || s->tx.room <= 0.0 || in->exit != in->b)
		return 0.0;
	return (in->exit + s->tx.room / WINDOW) * in->plan->limit;
}

static void start(struct sim *s)
{
	double sum = 0.0;
	uint32_t g;

	dp_sender_start(&s->tx, s->in->plan, s->in->b, s->in->bs);
	for (g = 0; g < s->env->n; g++) {
		s->first[g] = true;
		s->before[g] = sum;
		sum += s->env->pages[g];
	}
	if (s->in->plan->running)
		resume(s);
	else
		do_sync(s);
	s->chunk = s->env->chunk[s->cur];
}

static void set_throttle(struct sim *s, double throttle)
{
	s->throttle = throttle;
	s->k = dp_guest_speed(s->in->plan, throttle);
}

/* Since QEMU last looked at how it gets on, PERIOD or more ago. */
struct period {
	double start, sent, dirtied; /* s; pages */
	uint32_t high;		     /* times that it looked bad, since the throttle last rose */
	uint32_t good;		     /* times in a row that it did not */
};

/* At a sync. Returns true if the throttle rose. */
static bool auto_converge(struct sim *s, struct period *d, const struct dp_round *r)
{
	const struct dp_auto_converge *ac = &s->in->plan->ac;
	double before = s->throttle;
	bool bad;

	d->sent += r->pages;
	d->dirtied += r->dirtied;
	if (s->now - d->start <= PERIOD)
		return false;
	bad = d->dirtied * DP_WIRE_UNIT > d->sent * s->in->plan->wire_page * ac->trigger;
	*d = (struct period){ .start = s->now, .high = d->high + bad, .good = bad ? 0 : d->good + 1 };
	if (!bad || d->high < 2)
		return false;
	d->high = 0;
	set_throttle(s, fmax(before, fmin(ac->max, before > 0.0 ? before + ac->increment : ac->initial)));
	return s->throttle > before;
}

/* Not where auto-converge has been content for a while. */
static bool throttle_may_rise(const struct sim *s, const struct period *d)
{
	const struct dp_auto_converge *ac = &s->in->plan->ac;

	return ac->on && s->throttle < ac->max && d->good < PATIENCE;
}

void dp_sim_run(const struct dp_sim_in *in, struct dp_sim_out *out)
{
	const struct dp_plan *p = in->plan;
	struct sim s = { .in = in, .env = in->env };
	struct period period = { 0 };
	double threshold = in->exit * p->limit, first, best = HUGE_VAL, earlier = HUGE_VAL;
	double step = STEP + in->late * WAKE_SHARE * p->queue / in->b;
	uint32_t mark = 0;
	bool test;

	set_throttle(&s, p->throttle);
	start(&s);
	first = first_threshold(&s);
	test = !p->running && first <= 0.0;
	out->converges = false;
	out->total = out->downtime = out->blackout = HUGE_VAL;
	for (out->nrounds = 0; out->nrounds < MAX_SYNCS && s.now < MAX_TIME; out->nrounds++) {
		struct dp_round r;

		if (test && may_stop(&s, out->nrounds == 1 && s.now <= WINDOW + 1e-9 ? fmax(first, threshold)
										     : threshold)) {
			out->converges = true;
			out->downtime = stop_time(&s, &out->blackout);
			out->total = s.now + out->downtime + (p->running ? p->elapsed : p->setup);
			return;
		}
		test = true;
		if (out->nrounds && out->nrounds % STEP_SYNCS == 0)
			step *= 2;
		do_round(&s, threshold, out->nrounds ? 0.0 : first, step, &r);
		if (out->rounds && out->nrounds < DP_MAX_ROUNDS)
			out->rounds[out->nrounds] = r;
		best = fmin(best, pending(&s));
		if (p->ac.on && auto_converge(&s, &period, &r))
			mark = 0;
		/* A whole pass later: is the least that was ever pending still falling? */
		if (s.passes > mark) {
			if (mark && best > earlier * (1.0 - STALLED) && !may_stop(&s, threshold) &&
			    !throttle_may_rise(&s, &period))
				return;
			mark = s.passes;
			earlier = best;
			best = HUGE_VAL;
		}
	}
}

double dp_fixed_point(const struct dp_sim_in *in)
{
	const struct dp_plan *p = in->plan;
	double t = in->env->total * p->wire_page / in->b, next;
	uint32_t i;

	for (i = 0; i < 500 && t > 1e-4; i++) {
		next = dp_tab_eval(in->u, dp_guest_speed(p, p->throttle) * t) * p->wire_page / in->b;
		if (next >= t * (1.0 - 1e-5))
			return t;
		t = next;
	}
	return t > 1e-4 ? t : 0.0;
}
