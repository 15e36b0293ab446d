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

#include "model/predict_mem.h"

#define PERIOD	       1.0 /* seconds that auto-converge waits at least between two looks */
#define PATIENCE       8   /* such looks in a row that find nothing bad, after which none will */
#define MAX_SYNCS      4000u
#define STEP_SYNCS     128u /* after so many syncs the step doubles: a long pass needs no finer look */
#define MAX_TIME       1e8
#define THROTTLE_SLICE 0.01  /* s (CPU_THROTTLE_TIMESLICE_NS) */
#define STALLED	       0.002 /* a pass that lowers the least pending by a smaller share of it leads nowhere */

/* Sends until `pages` are sent, `seconds` have passed or nothing is left. Returns the pages sent. */
static double send(struct dp_mem *s, double pages, double seconds)
{
	double sent = 0.0;
	uint32_t hops;

	for (hops = 0; hops < DP_SEND_HOPS; hops++) {
		double ahead = s->pend[s->cur], n = fmin(ahead, pages - sent), dt, z, most;
		bool whole, enough;

		z = dp_mem_zeros_next(s, &n);
		most = dp_sender_pages(&s->tx, seconds, z);
		enough = n >= pages - sent || n > most;
		n = fmin(n, most);
		whole = n >= ahead;
		dt = dp_sender_time(&s->tx, n, z);
		dp_sender_sent(&s->tx, n, z, dt);
		dp_mem_sent(s, n, dt * s->k);
		if (n > 0.0) {
			sent += n;
			s->now += dt;
			seconds -= dt;
		}
		if (!whole && (enough || n <= 0.0))
			break;
		if (!whole)
			continue;
		if (sent >= pages || dp_mem_pending(s) <= 0.0)
			break;
	}
	return sent;
}

/* A throttled vCPU runs for a slice and sleeps in between, of which QEMU wakes it only to stop it: it has not run since. */
static double asleep(const struct dp_mem *s)
{
	double p = s->throttle, all = THROTTLE_SLICE * p / (1.0 - p);

	return p > 0.0 ? all * fmax(0.0, s->in->wait - (1.0 - p)) / p : 0.0;
}

/*
 * Down for this long if the guest stopped now, F included: by QEMU, who is done when all is in the sockets, and until the
 * destination has it all.
 */
static double stop_time(const struct dp_mem *s, double *blackout)
{
	struct dp_sender tx = s->tx;
	double bytes = s->behind * s->in->plan->wire_page, scan = 0.0, down;
	uint32_t g;

	for (g = 0; g < s->env->n; g++) {
		double z = dp_mem_zeros(s, g, g == s->cur ? s->done : 0.0);

		bytes += s->pend[g] * dp_sender_bytes(&tx, z);
		scan += s->pend[g] * dp_sender_scan(&tx, z);
	}
	down = dp_sender_stop(&tx, bytes, scan, s->in->bs, s->in->wait, blackout);
	*blackout += s->in->plan->fixed + s->in->extra + asleep(s);
	return down + s->in->plan->fixed + s->in->extra;
}

static bool may_stop(const struct dp_mem *s, double threshold)
{
	double bytes = dp_mem_pending(s) * DP_WIRE_UNIT;

	if (bytes < 0.5 * DP_WIRE_UNIT)
		return true;
	/* equal but for rounding is equal */
	return s->in->plan->exit_test == DP_EXIT_10_1 ? bytes <= threshold * (1.0 + 1e-12)
						      : bytes < threshold * (1.0 - 1e-12);
}

/* Evenly spread in (0, 1): the same for the same seed, round and purpose (the finalizer of MurmurHash3). */
static double drawn(const struct dp_sim_in *in, uint32_t round, uint32_t what)
{
	uint32_t x = in->seed * 0x9E3779B9u + round * 0x85EBCA6Bu + what * 0x27D4EB2Fu;

	x = (x ^ x >> 16) * 0x85EBCA6Bu;
	x = (x ^ x >> 13) * 0xC2B2AE35u;
	return ((x ^ x >> 16) + 0.5) * 0x1p-32;
}

/*
 * From the round's start to QEMU's next look, t from it. Each look comes a little later than `step` after the one before, so that after
 * many of them nobody knows where in a step it is.
 */
static double next_look(const struct dp_mem *s, double t, double step, uint32_t round)
{
	double steps = t / step, early = 0.0;

	if (s->in->seed)
		early = drawn(s->in, round, 1) *
			fmin(1.0, steps * dp_sender_lump(&s->tx) / (s->in->b * step));
	return (floor(steps + early) + 1.0 - early) * step;
}

/*
 * One round: sends until what is left is under the threshold at one of QEMU's looks, then syncs. first: the threshold
 * after QEMU's first measurement, where that differs; 0 else.
 */
static void do_round(struct dp_mem *s, uint32_t round, double threshold, double first, double step,
		     struct dp_round *r)
{
	double before = s->now, all = dp_mem_pending(s), left, rest;

	r->pages = 0.0;
	if (first > 0.0)
		r->pages = send(s, HUGE_VAL, DP_WINDOW);
	rest = all - r->pages - threshold / DP_WIRE_UNIT;
	if (first <= 0.0 || (all - r->pages) * DP_WIRE_UNIT >= first) {
		r->pages += send(s, fmax(0.0, rest), HUGE_VAL);
		r->pages += send(s, HUGE_VAL, next_look(s, s->now - before, step, round) - (s->now - before));
	}
	left = fmax(0.0, all - r->pages);
	dp_mem_sync(s);
	r->seconds = s->now - before;
	r->dirtied = fmax(0.0, dp_mem_pending(s) - left);
}

/*
 * What QEMU takes for its bandwidth first includes what went into empty sockets. 0: nothing, or QEMU has been told what to
 * reckon with.
 */
static double first_threshold(const struct dp_mem *s)
{
	const struct dp_sim_in *in = s->in;
	const struct dp_plan *p = in->plan;

	/* several sockets at once do not fill within so short a time */
	if (p->multifd || s->tx.capped || p->queue <= 0.0 || in->exit != in->b)
		return 0.0;
	/* of a migration under way: at its first sync, if that came so soon */
	if (p->running && (p->since_sync > 0.0 || p->npast != 1 || p->past[0].seconds > 2 * DP_WINDOW))
		return 0.0;
	return (in->exit + p->queue / DP_WINDOW) * p->limit;
}

/*
 * QEMU's threshold is by the bandwidth that it measured last, over DP_WINDOW, and so up and down by what it counts at once. Under
 * a cap it sends just what it may, but for multifd's channels, whose packets count when they are sent.
 */
static double lucky(const struct dp_mem *s, uint32_t round, double threshold)
{
	const struct dp_sim_in *in = s->in;

	if (!in->seed || (s->tx.capped && !in->plan->multifd) || in->exit != in->b)
		return threshold;
	return threshold * fmax(0.0, 1.0 + (round ? dp_chance(drawn(in, round, 0)) : in->luck) *
						     dp_sender_lump(&s->tx) / (in->b * DP_WINDOW));
}

static void start(struct dp_mem *s)
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
		dp_mem_resume(s);
	else
		dp_mem_sync(s);
	s->chunk = s->env->chunk[s->cur];
}

static void set_throttle(struct dp_mem *s, double throttle)
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
static bool auto_converge(struct dp_mem *s, struct period *d, const struct dp_round *r)
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
static bool throttle_may_rise(const struct dp_mem *s, const struct period *d)
{
	const struct dp_auto_converge *ac = &s->in->plan->ac;

	return ac->on && s->throttle < ac->max && d->good < PATIENCE;
}

/* What may be sent under a cap goes out in bursts; the last one of a round is not waited for until the next one would come. */
static double in_a_burst(const struct dp_mem *s)
{
	const struct dp_sim_in *in = s->in;

	return s->tx.capped && s->now > DP_STEP_CAPPED ? in->late * DP_STEP_CAPPED * (1.0 - in->b / in->bs)
						       : 0.0;
}

void dp_sim_run(const struct dp_sim_in *in, struct dp_sim_out *out)
{
	const struct dp_plan *p = in->plan;
	struct dp_mem s = { .in = in, .env = in->env };
	struct period period = { 0 };
	double threshold, first, best = HUGE_VAL, earlier = HUGE_VAL;
	double step;
	uint32_t mark = 0;
	bool test, early;

	set_throttle(&s, p->throttle);
	start(&s);
	step = s.tx.capped ? DP_STEP_CAPPED : DP_STEP + in->late * DP_WAKE_SHARE * p->queue / in->b;
	first = first_threshold(&s);
	test = p->running ? p->since_sync <= 0.0 : first <= 0.0;
	out->converges = false;
	out->total = out->downtime = out->blackout = HUGE_VAL;
	for (out->nrounds = 0; out->nrounds < MAX_SYNCS && s.now < MAX_TIME; out->nrounds++) {
		struct dp_round r;

		threshold = lucky(&s, out->nrounds, in->exit * p->limit);
		early = p->running ? !out->nrounds : out->nrounds == 1 && s.now <= DP_WINDOW + 1e-9;
		if ((p->running && p->stopped) ||
		    (test && may_stop(&s, early ? fmax(first, threshold) : threshold))) {
			out->converges = true;
			out->downtime = stop_time(&s, &out->blackout);
			out->total =
				s.now + out->downtime + (p->running ? p->elapsed : p->setup) - in_a_burst(&s);
			return;
		}
		test = true;
		if (out->nrounds && out->nrounds % STEP_SYNCS == 0)
			step *= 2;
		do_round(&s, out->nrounds, threshold, out->nrounds || p->running ? 0.0 : first, step, &r);
		if (out->rounds && out->nrounds < DP_MAX_ROUNDS)
			out->rounds[out->nrounds] = r;
		best = fmin(best, dp_mem_pending(&s));
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
