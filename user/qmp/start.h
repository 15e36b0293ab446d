/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * --start: keeps a VM logging by asking QEMU for one dirty-rate calculation after another. A state machine
 * that never blocks: the main loop calls dp_start_poll() whenever it wakes, at least every
 * dp_start_next_ns().
 *
 * A migration is never disturbed: before each window QEMU is asked whether one is under way, and while one
 * is, nothing is started (DP_START_HELD); when it has failed or was cancelled, windows go on. A guest that
 * does not run is not measured either.
 *
 * Leaving logging off: QEMU ends each window by itself, at its time, also when its QMP client has gone; it
 * has no cancel. So logging is off once the running window is over. dp_start_stop() waits for that; an
 * interrupted run has to wait for the rest of the window (dp_start_left_ns()), or to leave and say when
 * logging will end. Short windows keep that wait short.
 */
#ifndef DIRTYPROF_QMP_START_H
#define DIRTYPROF_QMP_START_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qmp/qmp.h"

enum dp_start_state {
	DP_START_IDLE,	  /* between windows */
	DP_START_RUNNING, /* a window of ours is under way: the VM logs */
	DP_START_FOREIGN, /* someone else's calculation is under way: the VM logs; ours follows */
	DP_START_HELD,	  /* a migration is under way, or the guest does not run: hands off for a second */
	DP_START_STOPPED, /* after a stop: logging is off as far as we are concerned */
	DP_START_FAILED,  /* QMP failed or QEMU refused; dp_start_message() says why */
};

#define DP_START_LENGTHS 8

struct dp_start_opts {
	enum dp_calc_mode mode; /* DP_CALC_RING where the VM has a dirty ring, else DP_CALC_BITMAP */
	uint32_t first_ms;	/* length of the first window; 0 = as the others */
	uint32_t window_ms;	/* length of the others: QEMU's limits apply, see dp_qmp_calc_window_ms */
	uint32_t interval_ms;	/* from a window's start to the next one's, at least; 0 = back to back */
	uint32_t max_windows;	/* 0 = no end */
};

/* What was used so far, for the report. */
struct dp_start_stats {
	uint32_t windows;  /* completed */
	uint32_t nlengths; /* distinct lengths, in order of first use */
	double seconds[DP_START_LENGTHS];
	uint32_t count[DP_START_LENGTHS];
	/* the last completed window, on the caller's clock */
	uint64_t last_start_ns, last_end_ns;
	uint64_t last_rate_mib; /* QEMU's own figure for it, MiB/s; 0 unknown */
	uint32_t held_back;	/* times that DP_START_HELD was entered */
};

struct dp_start;

/*
 * q stays the caller's and must outlive the object; it may be used for other queries between polls. NULL:
 * out of memory.
 */
struct dp_start *dp_start_new(struct dp_qmp *q, const struct dp_start_opts *opts);
void dp_start_free(struct dp_start *s); /* NULL-safe; does not wait: see dp_start_stop */

/*
 * One step; now_ns is any monotonic clock. Returns the state. A change of state leaves a line in
 * dp_start_message().
 */
enum dp_start_state dp_start_poll(struct dp_start *s, uint64_t now_ns);

enum dp_start_state dp_start_state(const struct dp_start *s);
const char *dp_start_message(const struct dp_start *s); /* "" if there is nothing to say */
void dp_start_stats(const struct dp_start *s, struct dp_start_stats *out);
/* When to poll next, on the same clock; UINT64_MAX = no need. */
uint64_t dp_start_next_ns(const struct dp_start *s);
/* The rest of our running window, 0 if there is none. */
uint64_t dp_start_left_ns(const struct dp_start *s, uint64_t now_ns);

/* No new window from now on; poll on until DP_START_STOPPED. */
void dp_start_request_stop(struct dp_start *s);

/*
 * Requests a stop and blocks, at most bound_ms, until QEMU says that our last window is over. 0: logging
 * is off. -ETIMEDOUT: the window goes on; the message says for how long, and that it ends by itself.
 * -EPIPE and others: QMP has gone, likewise. A bound of window length + 2 s always suffices with a QEMU
 * that answers. interrupted (may be NULL): polled, ends the wait.
 */
int dp_start_stop(struct dp_start *s, uint32_t bound_ms, bool (*interrupted)(void *), void *ctx);

#endif
