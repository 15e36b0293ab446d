// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Three bandwidths, kept apart.
 *
 * goodput: bytes that the peer acknowledged (unix sockets: that were sent) over the time that the migration was on.
 * capacity: the path's own rate. TCP measures it when data was waiting in the socket (delivery rate, not
 *   application-limited); the rate at which the thread filled the socket within bursts bounds it too: on a slow path
 *   the socket's buffer makes bursts look faster than the path, on a very fast one the thread is the slower of the
 *   two. So it is the smaller. On unix sockets only bursts are known.
 * cap: QEMU's max-bandwidth, as QMP told it; else seen in its effect: QEMU sends a tenth of it and rests until 100 ms
 *   are over, so goodput is steady and well under the rate within bursts.
 *
 * For the rounds to come goodput counts, as it has in it whatever slows the sender down between bursts; but not that
 * of round 1, when looking for zero pages leaves the wire idle. Until round 1 is over capacity stands in, with goodput
 * as the lower end. Where there is a cap, switchover has the capacity; else what the rounds have.
 */
#include <string.h>

#include "session_int.h"

#define PACKET	      524288.0 /* bytes of a multifd packet (MULTIFD_PACKET_SIZE) */
#define PACKETS_PER_S 10       /* looks at the cap (1 / BUFFER_DELAY) */
#define CAP_STEADY    0.06     /* spread of capped samples: one write of 32 KiB and a late timer at most */
#define CAP_BELOW     0.7      /* a cap nearer to capacity than this makes no difference that could be seen */
#define CAP_NEAR      0.9      /* a told cap this near to the capacity may not be reached */
#define CAP_RECENT    8
#define CAP_UNLIMITED 1e15 /* QEMU's "no limit" values are far above */
#define BURST_MIN_S   0.005
#define BURST_MOST    2	   /* more than a socket makes a path look faster than it is */
#define EARLY_S	      0.5  /* until then TCP's connections have not reached their pace, */
#define EARLY_MOST    1.25 /* and a path may give so much more than they show */

void dp_bw_reset(struct dp_bw *bw)
{
	memset(bw, 0, sizeof(*bw));
}

static void series_add(struct dp_series *s, double amount, double weight, double least)
{
	s->open_amount += amount;
	s->open_weight += weight;
	if (!(s->open_weight > 0) || s->open_weight < least)
		return;
	s->amount[s->next] = s->open_amount;
	s->weight[s->next] = s->open_weight;
	s->next = (s->next + 1) % BW_SAMPLES;
	if (s->n < BW_SAMPLES)
		s->n++;
	s->open_amount = s->open_weight = 0;
}

/* The rate below which a share q of the weight lies. Sorts the rates in place (insertion: at most 65). */
static double series_quantile(double *rate, double *weight, uint32_t n, double total, double q)
{
	double sum = 0;
	uint32_t i;

	for (i = 1; i < n; i++) {
		double r = rate[i], w = weight[i];
		uint32_t k = i;

		for (; k && rate[k - 1] > r; k--) {
			rate[k] = rate[k - 1];
			weight[k] = weight[k - 1];
		}
		rate[k] = r;
		weight[k] = w;
	}
	for (i = 0; i + 1 < n; i++) {
		sum += weight[i];
		if (sum >= q * total)
			break;
	}
	return rate[i];
}

/* Mean, 10th and 90th percentile by weight; what weighs less than `least` in all says nothing. */
static struct dp_speed series_speed(const struct dp_series *s, double least)
{
	double rate[BW_SAMPLES + 1], weight[BW_SAMPLES + 1], amount = 0, total = 0;
	struct dp_speed out = { dp_est_nan(), 0 };
	uint32_t i, n = 0;

	for (i = 0; i < s->n; i++, n++) {
		rate[n] = s->amount[i] / s->weight[i];
		weight[n] = s->weight[i];
		amount += s->amount[i];
		total += s->weight[i];
	}
	/* A short stretch alone is better than nothing; beside whole samples it would only add noise. */
	if (!n && s->open_weight > 0 && s->open_weight >= least) {
		rate[n] = s->open_amount / s->open_weight;
		weight[n++] = s->open_weight;
		amount = s->open_amount;
		total = s->open_weight;
	}
	if (!n || !(amount > 0))
		return out;
	out.samples = n;
	out.bps.mid = amount / total;
	out.bps.lo = fmin(series_quantile(rate, weight, n, total, 0.1), out.bps.mid);
	out.bps.hi = fmax(series_quantile(rate, weight, n, total, 0.9), out.bps.mid);
	return out;
}

double dp_bw_active(const struct dp_snapshot *snap)
{
	const struct dp_wire *w = &snap->wire;
	uint64_t from = snap->t0_ns, to = snap->t1_ns;

	if (!w->active)
		return 0;
	if (w->first_ns > from)
		from = w->first_ns;
	if (w->last_ns && w->last_ns < to && to - w->last_ns > WIRE_SILENT_NS)
		to = w->last_ns;
	return to > from ? (double)(to - from) * NS : 0;
}

void dp_bw_add(struct dp_bw *bw, const struct dp_snapshot *snap, bool steady)
{
	const struct dp_wire *w = &snap->wire;
	double active = dp_bw_active(snap);

	if (active <= 0)
		return;
	bw->measured = true;
	bw->tcp = w->tcp;
	series_add(&bw->goodput, (double)(w->tcp ? w->acked_bytes : w->sent_bytes), active, BW_SAMPLE_S);
	if (steady)
		series_add(&bw->steady, (double)(w->tcp ? w->acked_bytes : w->sent_bytes), active,
			   BW_SAMPLE_S);
	if (w->busy_ns) {
		bw->burst_s += (double)w->busy_ns * NS;
		series_add(&bw->burst, (double)w->busy_bytes, (double)w->busy_ns * NS, BURST_MIN_S);
	}
	/* the channels' rates added up, as their samples are of each one's share of the path */
	if (w->delivery_bps > 0 && isfinite(w->delivery_bps) && w->delivery_samples)
		series_add(&bw->delivery, w->delivery_bps * (double)w->delivery_samples,
			   (double)w->delivery_samples, 0);
}

/*
 * What was measured, for the time to come: by a few samples it is known no better than by what somebody says (DP_NOMINAL), and by
 * very few less. Student's t (90 %, as many degrees of freedom as samples) over its value for many.
 */
static struct dp_est to_come(struct dp_est e, uint32_t n)
{
	static const double t[] = { 2.40, 1.47, 1.28, 1.20, 1.15, 1.12, 1.10, 1.09 };
	double half = n ? DP_NOMINAL * t[n < 8 ? n - 1 : 7] * e.mid : 0;

	e.lo = fmin(e.lo, e.mid - half);
	e.hi = fmax(e.hi, e.mid + half);
	return e;
}

/* The rates of the latest samples, newest last; returns how many. */
static uint32_t recent_rates(const struct dp_series *s, double *rate)
{
	uint32_t i, n = s->n < CAP_RECENT ? s->n : CAP_RECENT;

	for (i = 0; i < n; i++) {
		uint32_t k = (s->next + BW_SAMPLES - n + i) % BW_SAMPLES;

		rate[i] = s->amount[k] / s->weight[k];
	}
	return n;
}

/* Fills in cap where its effect shows. */
static void cap_seen(const struct dp_bw *bw, double capacity, double fallback, struct dp_speed *cap)
{
	double rate[CAP_RECENT], lo = HUGE_VAL, hi = 0, sum = 0;
	uint32_t i, n = recent_rates(&bw->goodput, rate);

	for (i = 0; i < n; i++) {
		lo = fmin(lo, rate[i]);
		hi = fmax(hi, rate[i]);
		sum += rate[i];
	}
	if (!n || !(sum / n < CAP_BELOW * capacity))
		return;
	/* One sample proves no steadiness, unless it hits QEMU's default. */
	if (n < 2 && fabs(rate[0] - fallback) > 0.03 * fallback)
		return;
	if (hi - lo > CAP_STEADY * sum / n)
		return;
	*cap = (struct dp_speed){ { lo, sum / n, hi }, n };
}

static struct dp_speed capacity_of(const struct dp_bw *bw, const struct dp_speed *goodput)
{
	struct dp_speed burst = series_speed(&bw->burst, 0), path = series_speed(&bw->delivery, 0);
	struct dp_speed out = path;

	if (bw->burst_s < BURST_MIN_S)
		burst.bps = dp_est_nan();
	if (isnan(out.bps.mid) || burst.bps.mid < out.bps.mid)
		out = burst;
	if (isnan(out.bps.mid))
		return out;
	/* What really arrived is no more than the path can do. */
	if (goodput->bps.mid > out.bps.mid)
		out.bps.mid = goodput->bps.mid;
	out.bps.lo = fmin(out.bps.lo, out.bps.mid);
	out.bps.hi = fmax(out.bps.hi, out.bps.mid);
	return out;
}

static struct dp_est est_of(double v)
{
	return (struct dp_est){ v, v, v };
}

static struct dp_est est_min(struct dp_est a, struct dp_est b)
{
	return (struct dp_est){ fmin(a.lo, b.lo), fmin(a.mid, b.mid), fmin(a.hi, b.hi) };
}

static void measure(const struct dp_session *s, struct dp_speeds *out)
{
	const struct dp_bw *bw = &s->bw;
	double known =
		s->o.max_bandwidth > 0 && s->o.max_bandwidth < CAP_UNLIMITED ? s->o.max_bandwidth : NAN;

	out->goodput = series_speed(&bw->goodput, 0);
	out->capacity = capacity_of(bw, &out->goodput);
	if (!isnan(known))
		out->cap = (struct dp_speed){ est_of(known), 0 };
	else
		cap_seen(bw, out->capacity.bps.mid, dp_default_cap(s->r.vm.qemu_version), &out->cap);
}

/*
 * From 8.2 on QEMU counts a multifd packet against the cap when it has been sent, and looks ten times a second: each channel has
 * up to one packet under way that is not counted. 0.7 of one is the middle of what was measured with 2 and 4 channels and
 * caps of 7.6 and 30 MB/s (0.68 to 0.73).
 */
static struct dp_est over_cap(const struct dp_session *s, double cap)
{
	double packets = dp_version_number(s->r.vm.qemu_version) >= 802 ? s->o.channels * PACKETS_PER_S : 0;

	return (struct dp_est){ cap + 0.5 * packets * PACKET, cap + 0.7 * packets * PACKET,
				cap + packets * PACKET };
}

static bool is_given(enum dp_speed_from from)
{
	return from == DP_SPEED_OPTION || from == DP_SPEED_LEARNED;
}

/* A path that somebody gave: what past migrations got of such a one, if there were any. */
static struct dp_est given(const struct dp_session *s)
{
	const struct dp_est *got = &s->o.got;

	if (!(got->mid > 0))
		return dp_nominal(s->o.bandwidth);
	return (struct dp_est){ s->o.bandwidth * got->lo, s->o.bandwidth * got->mid,
				s->o.bandwidth * got->hi };
}

static double held(double v, double least, double most)
{
	return fmin(fmax(v, least), most);
}

/*
 * The path as it shows while something else holds the sender back (zero pages, a cap): goodput is a lower bound then, and the rate
 * of bursts an upper one, as a socket takes at once what it can hold. What was given counts where it lies between them, unless
 * bursts are so much faster that it must be wrong.
 */
static struct dp_est path_seen(const struct dp_session *s, const struct dp_speeds *sp,
			       enum dp_speed_from *from)
{
	bool early = s->mig.m.elapsed < EARLY_S;
	double most = sp->capacity.bps.mid * (early ? EARLY_MOST : 1),
	       least = fmin(sp->goodput.bps.mid, most);
	struct dp_est e = sp->capacity.bps;

	*from = DP_SPEED_CAPACITY;
	if (!(s->o.bandwidth > 0) || most >= BURST_MOST * s->o.bandwidth)
		return e;
	e = given(s);
	if (e.mid >= least && e.mid <= most)
		*from = s->o.got.mid > 0 ? DP_SPEED_LEARNED : DP_SPEED_OPTION;
	e = (struct dp_est){ held(e.lo, least, most), held(e.mid, least, most), held(e.hi, least, most) };
	return to_come(e, sp->capacity.samples);
}

/* What the path gives the rounds, where no cap is in the way. */
static struct dp_est path_for_rounds(const struct dp_session *s, struct dp_speeds *out)
{
	bool measured = s->bw.measured && (s->mig.m.outcome == DP_MIG_RUNNING || !(s->o.bandwidth > 0));
	struct dp_speed steady = series_speed(&s->bw.steady, BW_STEADY_S);
	struct dp_est path;

	if (measured && !isnan(steady.bps.mid)) {
		out->rounds_from = DP_SPEED_GOODPUT;
		return to_come(steady.bps, steady.samples);
	}
	if (measured && !isnan(out->capacity.bps.mid)) {
		path = path_seen(s, out, &out->rounds_from);
		path.lo = fmin(path.lo, out->goodput.bps.mid);
		return path;
	}
	if (s->o.bandwidth > 0) {
		out->rounds_from = s->o.got.mid > 0 ? DP_SPEED_LEARNED : DP_SPEED_OPTION;
		return given(s);
	}
	return dp_est_nan();
}

/* Whether the cap is what holds the rounds back. */
static bool cap_binds(const struct dp_speeds *sp, struct dp_est path)
{
	double cap = sp->cap.bps.mid, capacity = sp->capacity.bps.mid;

	if (isnan(cap) || sp->cap.samples)
		return !isnan(cap);
	if (isnan(capacity) || is_given(sp->rounds_from))
		return !(path.mid <= cap);
	return capacity > cap / CAP_NEAR && !(path.mid < CAP_BELOW * cap);
}

static void choose(const struct dp_session *s, struct dp_speeds *out)
{
	struct dp_est path = path_for_rounds(s, out), cap;

	out->rounds = out->switchover = path;
	out->switchover_from = out->rounds_from;
	out->capped = cap_binds(out, path);
	/* The path gives clearly more than the rounds take, whatever holds them back: at switchover nothing does. */
	if (!out->capped && out->rounds_from == DP_SPEED_GOODPUT &&
	    out->capacity.bps.mid > path.mid / CAP_NEAR) {
		out->switchover = path_seen(s, out, &out->switchover_from);
	}
	if (!out->capped)
		return;
	if (s->bw.measured && !isnan(out->capacity.bps.mid))
		out->switchover = path_seen(s, out, &out->switchover_from);
	cap = out->cap.samples ? out->cap.bps : over_cap(s, out->cap.bps.mid);
	out->rounds = isnan(path.mid) ? cap : est_min(path, cap);
	out->rounds_from = out->cap.samples ? DP_SPEED_CAP : DP_SPEED_QMP;
}

void dp_bw_speeds(const struct dp_session *s, struct dp_speeds *out)
{
	memset(out, 0, sizeof(*out));
	out->goodput.bps = out->cap.bps = out->capacity.bps = dp_est_nan();
	measure(s, out);
	choose(s, out);
	if (s->o.switchover_bandwidth > 0) {
		out->switchover = dp_nominal(s->o.switchover_bandwidth);
		out->switchover_from = DP_SPEED_OPTION;
	} else if (isnan(out->switchover.mid)) {
		out->switchover = out->rounds;
		out->switchover_from = out->rounds_from;
	}
}

const char *dp_speed_from_name(enum dp_speed_from f)
{
	static const char *const name[] = {
		"none", "option", "qmp", "goodput", "cap", "capacity", "learned"
	};

	return name[f];
}
