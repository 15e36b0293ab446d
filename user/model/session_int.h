/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The inside of a session: shared by session*.c, bandwidth.c and migration.c alone. */
#ifndef DIRTYPROF_SESSION_INT_H
#define DIRTYPROF_SESSION_INT_H

#include <math.h>

#include "mig_map.h"
#include "dirtyprof/session.h"
#include "model/hot.h"
#include "model/phase.h"

#define BW_SAMPLES 64
#define BW_SAMPLE_S                                                                                          \
	0.3 /* stretches shorter than this are joined: QEMU's rate limit works in steps of 0.1 s */
#define BW_STEADY_S 0.1 /* of goodput after round 1, before it counts: acks come in lumps */
/* A stopped guest's last bytes may wait for a lost packet to be sent again, at first after 200 ms, then after 400. */
#define END_SILENT_NS  1000000000ULL
#define WIRE_SILENT_NS 150000000ULL /* a capped migration rests for less than 100 ms at a time */
#define NS	       1e-9

/* The latest samples of a rate, each a weight (seconds, or a number of measurements) and what it amounts to. */
struct dp_series {
	double amount[BW_SAMPLES], weight[BW_SAMPLES];
	uint32_t n, next;
	double open_amount, open_weight; /* not yet long enough to be a sample */
};

struct dp_bw {
	struct dp_series goodput, burst, delivery;
	struct dp_series steady; /* goodput since round 1 ended */
	double burst_s;
	bool tcp, measured;
};

/* Bytes sent between two times, s, and so far. */
struct dp_mig_sent {
	double from, to, sent, after;
};

#define PAST 256 /* rounds of a migration that are kept; after more, none is */

/* What follows a migration. Model of the remaining bytes: rem at the moment when rem_sent bytes had been sent. */
struct dp_mig_track {
	struct dp_migration m;
	uint64_t first_ns; /* of the wire, to tell a new migration from the tail of an old one */
	double rem, rem_sent;
	double round_bytes; /* what was to send when this round began, no page being zero */
	struct dp_past past[PAST];
	uint32_t npast; /* may exceed PAST */
	bool stopped;	/* the last sync was the one with which QEMU stops its guest */
	double reaped;	/* pages that QEMU took from rings between its syncs: they go into the next */
	double last_sync, last_sync_sent;
	double last; /* last send, s; 0 none yet */
	double sent;
	struct dp_mig_sent sending; /* the latest that were */
	double unacked;		    /* given to sockets before it began and not acknowledged then, bytes */
	uint32_t syncs;		    /* seen of this migration */
	struct dp_mig_map map;
	double pace, pace_lasting; /* of the guest before it: dp_phase_spread */
};

struct dp_session {
	struct dp_session_opts o;
	struct dp_curve *curve;
	bool fitted;		     /* the curve has all that was added */
	double fit_t;		     /* when it was last fitted */
	enum dp_outcome fit_outcome; /* of the migration then */
	uint32_t nregions;
	bool added;
	bool looks; /* the snapshot's looks at the log tell of the guest's pace, not its syncs */
	bool shown_line, shown_syncs; /* the report's accumulators are stale from the next add on */
	double t1;		      /* end of the last snapshot */
	double began; /* s: where the first snapshot begins; not 0 where a trace is played from later on */
	enum dp_reason reason;
	uint64_t stopped_ns, left_ns; /* of the last snapshot */
	uint64_t ram_pages;
	double busy_s, busy_of; /* vCPU time, and the time it is of, s */
	double total_logged, total_sent, total_acked;
	double logged_at_sync; /* of total_logged, at the last sync */
	double held_from,
		held_was; /* when the snapshot began, s, and what sockets held then, bytes, of all migrations so far */
	double acked;		  /* bytes in the span */
	double active_s;	  /* of the span, while the migration was on */
	bool wire_seen, wire_tcp; /* in the span */
	uint32_t nsyncs_ever;
	double starts; /* moments from which first writes were counted */
	double bpf_ns, user_ns;
	struct dp_changes changes; /* the last ones */
	double change_read;	   /* bytes read for them, so far */
	struct dp_bw bw;
	struct dp_mig_track mig;
	struct dp_phase phase;
	double pace, pace_lasting; /* how much it changes, and how long it keeps to one: dp_phase_spread */
	struct dp_hot_track hot;
	struct dp_report r;
};

static inline struct dp_est dp_est_nan(void)
{
	return (struct dp_est){ NAN, NAN, NAN };
}

static inline struct dp_moment dp_moment_nan(void)
{
	return (struct dp_moment){ NAN, NAN, NAN };
}

/* bandwidth.c */
void dp_bw_reset(struct dp_bw *bw);
/* The part of an interval, in seconds, during which the migration was on; 0 none. */
double dp_bw_active(const struct dp_snapshot *snap);
/* steady: round 1 was over when it began. */
void dp_bw_add(struct dp_bw *bw, const struct dp_snapshot *snap, bool steady);
void dp_bw_speeds(const struct dp_session *s, struct dp_speeds *out);

/* migration.c */
bool dp_mig_starts(const struct dp_session *s, const struct dp_snapshot *snap);
void dp_mig_begin(struct dp_session *s, const struct dp_snapshot *snap);
/* The record of one sync; round and remaining are filled in where it belongs to the migration. */
void dp_mig_sync(struct dp_session *s, const struct dp_snapshot *snap, const struct dp_sync *sync,
		 struct dp_sync_report *rec);
/* One that QEMU did between its syncs. */
void dp_mig_found(struct dp_session *s,
		  const struct dp_snapshot *snap); /* pages by place, before its syncs */
void dp_mig_reaped(struct dp_session *s, const struct dp_sync *sync);
void dp_mig_keep(struct dp_mig_track *mt, const struct dp_sync_report *rec);
void dp_mig_update(struct dp_session *s, const struct dp_snapshot *snap);
double dp_mig_wire_page(const struct dp_session *s);

/* mig_left.c */
/* Wire bytes that QEMU has left to send at a sync, `since` seconds after the one before. by_bytes: what the bytes sent
 * would say; zeros: zero pages among what was never sent. */
double dp_mig_left(const struct dp_session *s, double by_bytes, double zeros, double since);
/*
 * A sync that follows another sooner than QEMU sends for after one that failed, with most of what was pending unsent: the one
 * with which it stops its guest.
 */
bool dp_mig_stops(const struct dp_mig_track *mt, double since, double sent);
/* Of a set of pages that were written lately, the share that is among the `fresh` ones that the log told after a further d seconds. */
double dp_mig_again(const struct dp_session *s, double set, double fresh, double d);

/* session_predict.c */
/* Predicts into r.pred from the curve as fitted, as of time t; cheap where nothing is known. */
void dp_session_predict(struct dp_session *s, double t);
/* What a prediction of a migration to come rests on, into r.basis; after dp_session_predict. */
void dp_session_basis(struct dp_session *s);
enum dp_exit_test dp_exit_test_of(const char *qemu_version, bool *known);
/* QEMU's default max-bandwidth by release, bytes/s; the latest one's where the version is not known. */
double dp_default_cap(const char *qemu_version);
/* "8.2.1" -> 802; 0 unknown. */
unsigned int dp_version_number(const char *qemu_version);

/* session_notes.c */
void dp_session_notes(struct dp_session *s);

/* session_fill.c */
void dp_fill_subject(struct dp_subject *out, const struct dp_vm *vm);
void dp_fill_curve(struct dp_session *s);
void dp_fill_change(struct dp_session *s);
/* A time on the session's clock that lies at, or shortly before, the end of this snapshot. */
struct dp_moment dp_moment_of(const struct dp_session *s, const struct dp_snapshot *snap, uint64_t t_ns);
/* Copies at most size - 1 bytes; what is no printable UTF-8 becomes '?'. */
void dp_clean(char *dst, size_t size, const char *src);

#endif
