/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From snapshots to reports: feeds the curve, keeps the bandwidths apart, follows a migration, predicts.
 * Pure: a recorded trace goes through the same code and gives the same reports.
 *
 *	s = dp_session_new(&opts);
 *	r = dp_session_start(s, vm, source, logging);      header
 *	for each interval or sync:
 *		dp_session_add(s, &snapshot);
 *		r = dp_session_line(s);                        line
 *	r = dp_session_final(s);                           final
 *	dp_session_free(s);
 *
 * The report belongs to the session and holds until the next call.
 */
#ifndef DIRTYPROF_SESSION_H
#define DIRTYPROF_SESSION_H

#include "dirtyprof/report.h"

#define DP_LIMIT_DEFAULT 0.3   /* s: QEMU's downtime-limit where nothing else is known */
#define DP_FIXED_DEFAULT 0.02  /* s: stop, device state, destination start; assumed */
#define DP_SETUP_DEFAULT 0.005 /* s: before the first round; assumed */

struct dp_session;

/* Zero, and then set what is known. Strings are copied; NULL counts as "". */
struct dp_session_opts {
	double bandwidth; /* --bandwidth, bytes/s: the path's; 0 = measure it during a migration */
	double switchover_bandwidth; /* --switchover-bandwidth, bytes/s: the path's once the guest is stopped; 0 = as above */
	double avail_switchover; /* QEMU's avail-switchover-bandwidth, bytes/s; 0 = not set */
	double max_bandwidth;	 /* QEMU's max-bandwidth, bytes/s, from QMP; 0 = unknown */
	double limit;		 /* downtime limit, s; 0 = DP_LIMIT_DEFAULT, assumed */
	double fixed;		 /* fixed part of the downtime, s; 0 = DP_FIXED_DEFAULT, assumed */
	double queue; /* what the migration's sockets hold when the wire is the limit, bytes; 0 = unknown */
	double fixed_lo, fixed_hi; /* its 10-90 % range in past migrations, s; 0 = unknown */
	/* What past migrations got of a path that was given as about as fast: shares of bandwidth, 10-90 %; mid 0 = unknown */
	struct dp_est got;
	uint32_t got_from;	    /* so many of them */
	uint32_t learned;	    /* past migrations that fixed and queue were learnt from; 0 = none */
	double setup;		    /* before the first round, s; 0 = DP_SETUP_DEFAULT, assumed */
	double zero_scan_bps;	    /* bytes/s at which zero pages are found; 0 = unknown, no cost assumed */
	double throttle;	    /* vCPU throttle to come that was not in force when measuring, 0 to < 1 */
	struct dp_auto_converge ac; /* QEMU's auto-converge, from QMP */
	uint32_t channels;	    /* of multifd, from QMP; 0 = unknown */
	bool multifd;		    /* also found out from the number of channels */
	double interval;	    /* s between lines; 0 = none */
	uint64_t clock_ns;	    /* CLOCK_MONOTONIC at the session's zero; 0 = unknown */
	const char *started_by;	    /* what dirtyprof did to switch logging on: "--start"; "" nothing */
	const char *hook;	    /* "tp_btf kvm_dirty_ring_push" */
	const char *command;	    /* the command line, for the record */
};

struct dp_session *dp_session_new(const struct dp_session_opts *o); /* NULL: out of memory */
void dp_session_free(struct dp_session *s);			    /* NULL-safe */

/* Takes new options (a limit that QMP reported, a throttle that rose). 0 or -EINVAL (a field out of range). */
int dp_session_set_opts(struct dp_session *s, const struct dp_session_opts *o);

const struct dp_report *dp_session_start(struct dp_session *s, const struct dp_vm *vm, enum dp_source source,
					 bool logging);

/* Adds an interval. 0, -ENOMEM, or -EINVAL: inconsistent; then the snapshot was left out. */
int dp_session_add(struct dp_session *s, const struct dp_snapshot *snap);

/* What to show after an add: INTERVAL after DP_TIMER and DP_LAST, SYNC after DP_SYNC. NULL: nothing was added yet. */
const struct dp_report *dp_session_line(struct dp_session *s);

/* Everything, at the end. Never NULL. */
const struct dp_report *dp_session_final(struct dp_session *s);

#endif
