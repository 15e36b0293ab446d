/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Pre-copy rounds, downtime and convergence from U(t) and the bandwidth. Pure.
 * Bandwidths are bytes a second, times seconds, sizes bytes.
 */
#ifndef DIRTYPROF_PREDICT_H
#define DIRTYPROF_PREDICT_H

#include "dirtyprof/curve.h"

#define DP_WIRE_HEADER	       8.0  /* bytes before a normal page (main channel) */
#define DP_WIRE_HEADER_MULTIFD 10.5 /* multifd packet header, a page's share */
#define DP_WIRE_ZERO	       9.0  /* a zero page: header and flag byte */
#define DP_NOMINAL	       0.02 /* a path of a given bandwidth gives that, more or less by this share (10 to 90 %) */
#define DP_MAX_ROUNDS	       512 /* rounds kept for showing; a simulation may have more */

enum dp_verdict { DP_UNKNOWN, DP_CONVERGES, DP_BORDERLINE, DP_NEVER };

static inline const char *dp_verdict_name(enum dp_verdict v)
{
	static const char *const name[] = { "unknown", "converges", "borderline", "never" };

	return name[v];
}

/* How QEMU ends the iterative phase, by release: see docs/model.md. */
enum dp_exit_test { DP_EXIT_PRE_9, DP_EXIT_9, DP_EXIT_10_1 };

struct dp_link {
	struct dp_est
		rounds; /* B: bytes/s while pre-copy runs (the cap where there is one); mid <= 0: unknown */
	struct dp_est switchover; /* Bs: bytes/s once the guest is stopped: the path's capacity */
	double exit_bps; /* bandwidth QEMU's exit test uses (avail-switchover-bandwidth); 0 = rounds */
};

/*
 * QEMU's auto-converge (migration/ram.c, migration_trigger_throttle): after a second or more, at a sync, where the pages
 * found dirty since are more than `trigger` of the bytes sent since, for the second time: the throttle is `initial`, and
 * each such time later `increment` more, up to `max`.
 */
struct dp_auto_converge {
	bool on;
	double trigger, initial, increment, max; /* ratios */
};

/* A round that is over. */
struct dp_past {
	double seconds; /* from the sync before, or the start, to the one that ended it */
	double left;	/* wire bytes not sent when it ended */
	double pending; /* wire bytes to be sent after that sync */
};

struct dp_plan {
	double pages;	   /* N: 4K pages of migratable RAM */
	double zero_pages; /* N0 of them, sent as zero pages; 0 if unknown */
	/* where they are: the share of zero pages in each equal part of memory, in the order in which it is sent, 0 to 1;
	 * scaled to zero_pages; all 0: evenly spread */
	double zero_at[DP_ZERO_BINS];
	/* where the guest writes: weights, 0 to 1, of equal parts of memory in the same order; all 0: everywhere alike */
	double heat_at[DP_ZERO_BINS];
	double wire_page;     /* w: bytes on the wire for a normal page, e.g. 4096 + DP_WIRE_HEADER */
	double zero_scan_bps; /* bytes/s at which the migration thread finds zero pages; 0 = free of cost */
	double limit;	      /* L: downtime limit */
	double fixed;	      /* F: fixed part of the downtime */
	double fixed_lo, fixed_hi; /* its 10-90 % range, from past migrations; fixed_hi 0: not known */
	double setup;		   /* time before the first round */
	bool multifd;		   /* pages go through several sockets */
	double queue; /* Q: bytes that the migration's sockets hold when the wire is the limit; 0 unknown */
	enum dp_exit_test exit_test;
	double clear_pages; /* pages a CLEAR re-arms at a time, just before they are sent (2^18, with
	                                manual protect); 0 = all at the sync (GET clears; dirty ring) */
	double throttle; /* 0 to < 1: vCPU throttle in force at the start, and all along without auto-converge */
	struct dp_auto_converge ac;
	/* share of its time that a vCPU runs, (0, 1]: a throttle takes idle time first; 0 unknown, it never idles */
	double busy;
	/* a migration under way: */
	bool running;
	double remaining; /* wire bytes still to send, known at `now` */
	double elapsed;	  /* since it began */
	double room; /* bytes that the sockets can take at once; 0: they are as full as they get, or it is not known */
	double since_sync; /* since its last sync; dirtied meanwhile is not yet in `remaining`. 0: that very moment, when
	                      QEMU's test is still to come */
	bool stopped;		    /* its guest is stopped: what remains is all that will be sent */
	const struct dp_past *past; /* all of its rounds that are over; npast 0: not known */
	uint32_t npast;
};

struct dp_round {
	double pages; /* sent in this round */
	double seconds;
	double dirtied; /* pages newly found dirty at the sync that ends it */
};

struct dp_prediction {
	enum dp_verdict verdict;
	bool mid_converges;	/* what the middle of the band says */
	struct dp_est stop_now; /* down if stopped now: remaining / Bs + F */
	struct dp_est redirty;	/* re-dirty-aware: (rem + U(rem/B)w)/B, with B, no F */
	struct dp_est floor; /* downtime cannot go below it: that of a migration at least_limit, F included.
	                                With a saturated U this is t* B/Bs + F, t* = U(t*) w / B; less where U still
	                                rises, as a sync comes in the middle of a pass (docs/model.md) */
	struct dp_est total; /* start (or now minus elapsed) to end; HUGE_VAL where it never ends */
	struct dp_est downtime; /* that the migration then has, as QEMU counts it; HUGE_VAL where never */
	/* how long the guest then stands still: QEMU's downtime ends when its last bytes are in the socket, and the
	 * destination starts when it has read them, up to Q / Bs later. HUGE_VAL where never */
	struct dp_est blackout;
	struct dp_est
		least_limit; /* smallest downtime limit that converges; at least 1 ms, QEMU's resolution */
	struct dp_est least_bandwidth; /* smallest B (Bs scaled along if equal) that converges at the limit;
	                                  HUGE_VAL: none does */
	struct dp_est least_throttle;  /* smallest vCPU throttle, 0 to 0.99; 1.0 = none suffices */
	bool helped_by_switchover_bw; /* capped; never passes B L, but would pass Bs L with avail-switchover-bandwidth */
	uint32_t nrounds;	      /* of the middle, as far as kept in round[]; also where it never ends */
	struct dp_est rounds; /* number of them until it ends; HUGE_VAL where never */
	struct dp_round round[DP_MAX_ROUNDS];
	double settle_window; /* borderline: the window, in seconds, whose measurement would settle it; 0 none */
};

/* The speed of the guest's time under a throttle: 1 as without one. */
static inline double dp_guest_speed(const struct dp_plan *p, double throttle)
{
	double left = (1.0 - throttle) / (p->busy > 0.0 ? p->busy : 1.0);

	return left < 1.0 ? left : 1.0;
}

/* The bandwidth of a path that was not measured: what somebody says that it has. */
static inline struct dp_est dp_nominal(double bps)
{
	return (struct dp_est){ bps * (1 - DP_NOMINAL), bps, bps * (1 + DP_NOMINAL) };
}

/*
 * Fills *out. Bytes a second from megabits and the like are the caller's business. 0, or -EINVAL (a field out of its range or
 * not a number; *out is zero), -ENODATA (no bandwidth: only what does not need one is filled in, the verdict is unknown),
 * -ENOMEM. Takes about 10 ms.
 *
 * verdict: converges if at least 90 % of the probability does, never if at most 10 %. Between: borderline, or unknown where it
 * hangs on times beyond four times the curve's reach, or where nothing was observed.
 */
int dp_predict(const struct dp_curve *c, const struct dp_link *link, const struct dp_plan *plan,
	       struct dp_prediction *out);

/* One run of the rounds with a fixed quantile pair: zu, zb in [-1.2816, 1.2816] move U and B inside their bands (z < 0: lower).
 * Returns true if it converges; total and downtime as above (HUGE_VAL if not, also where an argument is out of range). rounds
 * may be NULL, else it has room for DP_MAX_ROUNDS, of which *nrounds are filled. */
bool dp_simulate(const struct dp_curve *c, const struct dp_link *link, const struct dp_plan *plan, double zu,
		 double zb, double *total, double *downtime, uint32_t *nrounds, struct dp_round *rounds);

/* --- the scalar figures of docs/expected-downtime.md; plain arithmetic, milliseconds --- */
double dp_ms_qemu_2_12(double dirty_pages_per_s, double page_size, double bps); /* dirty rate / bandwidth */
double dp_ms_remaining(double remaining_bytes, double bps);			/* remaining / bandwidth */
double dp_ms_redirty(double remaining_bytes, double dirty_bytes_per_s,
		     double bps); /* (rem + rate*rem/bw) / bw */

#endif
