/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Shared by predict.c (the questions), predict_solve.c (searches), predict_sim.c (the rounds) and
 * predict_env.c (the curve, tabulated). Private to user/model. docs/model.md has the reasoning.
 */
#ifndef DIRTYPROF_PREDICT_IMPL_H
#define DIRTYPROF_PREDICT_IMPL_H

#include "dirtyprof/predict.h"

#define DP_Z90 1.2815515655446004 /* standard normal quantile of 0.9 */

/* The tabulated U: 32 points an octave from 2^-20 s (1 us) to 2^24 s (half a year), straight between. */
#define DP_TAB_SUB   32
#define DP_TAB_MIN_E (-20)
#define DP_TAB_MAX_E 24
#define DP_TAB_N     ((DP_TAB_MAX_E - DP_TAB_MIN_E) * DP_TAB_SUB + 1)
/* The shares that segments have in U: 2 points an octave. */
#define DP_SHARE_STEP 16
#define DP_SHARE_N    ((DP_TAB_N - 1) / DP_SHARE_STEP + 1)
#define DP_SEGMENTS   16
#define DP_TICK	      0.004 /* s that a thread on a busy host may wait for its turn: a scheduler's tick at HZ=250 */
#define DP_NZ	      8

/*
 * Memory in the order in which it is sent, cut into at most DP_SEGMENTS segments, and U by quantile. A chunk
 * is what one CLEAR re-arms; a segment is either part of a chunk or several.
 */
struct dp_env {
	uint32_t n; /* segments */
	double pages[DP_SEGMENTS];
	uint32_t chunk[DP_SEGMENTS];	/* number of the chunk it lies in */
	double chunk_part[DP_SEGMENTS]; /* chunk / segment where a segment holds several, else 1 */
	bool lazy;			/* chunks are re-armed as they are sent; else all at the sync */
	bool even;			/* every segment has the same share of U, at any t */
	double share[DP_SHARE_N][DP_SEGMENTS];
	double total; /* pages */
	uint32_t nz;
	double z[DP_NZ];
	double u[DP_NZ][DP_TAB_N]; /* U at quantile z[i] */
};

/* z: quantiles to tabulate, n <= DP_NZ. NULL: out of memory. Freed with free(). */
struct dp_env *dp_env_new(const struct dp_curve *c, const struct dp_plan *plan, const double *z, uint32_t n);
/* t lies at *part of the way from point *i to *i + 1; the ends stand for what is beyond them. */
void dp_tab_locate(double t, uint32_t *i, double *part);
double dp_tab_eval(const double *u, double t);

struct dp_sim_in {
	const struct dp_env *env;
	const double *u;    /* one of env->u */
	double b, bs, exit; /* bytes/s: rounds, switchover, in QEMU's exit test */
	double late;	    /* 0 to 1: how late QEMU's looks at the threshold come, of the latest they can */
	/* What is chance; 0: as expected. */
	uint32_t seed; /* of QEMU's measurements of its bandwidth, each of which is off; 0 none is */
	double luck;   /* -1 to 1, of the most that it can be: the first of them; those to come are drawn */
	double off;    /* the same of what is pending now, of a migration under way */
	double wait;   /* 0 to 1: of what a stop waits for sockets (dp_stop_wait); 0.5 as expected */
	double extra;  /* s that the fixed part of the downtime takes more than as planned; down to -fixed */
	const struct dp_plan *plan;
};

struct dp_sim_out {
	bool converges;
	double total, downtime, blackout; /* HUGE_VAL where it does not */
	uint32_t nrounds;		  /* syncs that ended a round; may exceed DP_MAX_ROUNDS */
	struct dp_round *rounds;	  /* NULL, or room for DP_MAX_ROUNDS: the first ones */
};

void dp_sim_run(const struct dp_sim_in *in, struct dp_sim_out *out);

/* What pages go through on their way out. */
struct dp_sender {
	const struct dp_plan *plan;
	double b;    /* bytes/s that leave the sockets */
	double room; /* bytes that the sockets take at once */
	bool capped; /* the wire is not the limit, so that the sockets are as good as empty, and not to be filled */
	double bin;			/* pages in one of DP_ZERO_BINS parts of memory */
	double zeros[DP_ZERO_BINS + 1]; /* zero pages before each of them */
};

void dp_sender_start(struct dp_sender *tx, const struct dp_plan *p, double b, double bs);
/* The share of zero pages between two places in memory, in pages; the end of the part that `page` lies in. */
double dp_zeros_share(const struct dp_sender *tx, double from, double to);
double dp_zeros_bin_end(const struct dp_sender *tx, double page);
/* Of a page, where a share z of pages is zero: bytes on the wire; seconds that finding the zero ones takes. */
double dp_sender_bytes(const struct dp_sender *tx, double z);
double dp_sender_scan(const struct dp_sender *tx, double z);
/* Seconds until n such pages are in the sockets; pages that are, after so long; what n pages in dt leave behind. */
double dp_sender_time(const struct dp_sender *tx, double n, double z);
double dp_sender_pages(const struct dp_sender *tx, double seconds, double z);
void dp_sender_sent(struct dp_sender *tx, double n, double z, double dt);
/* Seconds until the last bytes are in the sockets, and (*all) until they have left them, at bs. luck: see dp_stop_wait. */
double dp_sender_stop(const struct dp_sender *tx, double bytes, double scan, double bs, double luck,
		      double *all);

/*
 * Seconds that a stop takes longer than its bytes alone would, or less, where sockets can hold so much; luck: 0 to 1, 0.5 as expected.
 */
double dp_stop_wait(bool multifd, double queue, double bs, double luck);

/* Bandwidth and exit bandwidth at a quantile. */
void dp_link_at(const struct dp_link *link, double zb, struct dp_sim_in *in);
double dp_est_at(struct dp_est e, double z);
/* -1 to 1: the quantile q of the difference of two evenly spread numbers. */
double dp_chance(double q);
/* How far QEMU's count of what it sent may be off at a look, bytes: see predict_send.c. */
double dp_sender_lump(const struct dp_sender *tx);
/* The largest t with U((1 - throttle) t) w / B = t that is met on the way down from N w / B; 0 if none. */
double dp_fixed_point(const struct dp_sim_in *in);

/* The searches: in->plan and bandwidths are where they start from. */
double dp_least_limit(const struct dp_sim_in *in, double *downtime);
double dp_least_bandwidth(const struct dp_sim_in *in, bool own_exit);
double dp_least_throttle(const struct dp_sim_in *in);

int dp_plan_check(const struct dp_link *link, const struct dp_plan *plan);

#endif
