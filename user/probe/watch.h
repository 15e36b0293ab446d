/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Watching one VM: finds it, picks its source, follows its slots and logging, and makes snapshots. */
#ifndef DIRTYPROF_PROBE_WATCH_H
#define DIRTYPROF_PROBE_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dirtyprof/snapshot.h"
#include "probe/hook.h"
#include "vm/proc.h"

struct dp_watch;

/* Whether contents are compared to see what really changed. AUTO: where the log tells less than 4K pages apart. */
enum dp_compare { DP_COMPARE_AUTO, DP_COMPARE_ON, DP_COMPARE_OFF };

struct dp_watch_opts {
	pid_t pid;
	uint64_t interval_ns;
	enum dp_source source; /* DP_SRC_NONE: choose */
	struct dp_hooks hooks; /* which to take */
	bool no_peek;	       /* do not look at KVM's bitmap between syncs */
	bool no_wire;
	enum dp_compare compare;
	uint64_t compare_bps; /* bytes/s that may be read for it; 0: a default */
};

#define DP_WATCH_MSG 256

/* 0, or negative errno with msg set. */
int dp_watch_open(const struct dp_watch_opts *o, struct dp_watch **out, char *msg, size_t len);
void dp_watch_close(struct dp_watch *w);

const struct dp_proc *dp_watch_proc(const struct dp_watch *w);
const struct dp_vm *dp_watch_vm(const struct dp_watch *w);
enum dp_source dp_watch_source(const struct dp_watch *w);
const char *dp_watch_hook(const struct dp_watch *w);
const char *dp_watch_wire_problem(const struct dp_watch *w); /* why there is none, "" if there is */
bool dp_watch_logging(const struct dp_watch *w);
uint64_t dp_watch_now_ns(const struct dp_watch *w);  /* the session's clock */
uint64_t dp_watch_zero_ns(const struct dp_watch *w); /* CLOCK_MONOTONIC at its zero */

enum dp_watch_event { DP_WATCH_NOTHING, DP_WATCH_SNAPSHOT, DP_WATCH_GONE, DP_WATCH_FD };

/*
 * Waits at most until until_ns (session clock) for something to happen. extra_fd (or -1) is a descriptor of the caller's to
 * wait for as well (signals). SNAPSHOT: dp_watch_snapshot() has an interval that ended by itself or by a migration's
 * sync. GONE: the process or its VM ended; call dp_watch_finish. Negative errno: cannot go on.
 */
int dp_watch_step(struct dp_watch *w, uint64_t until_ns, int extra_fd);

/* The snapshot that step announced. Holds until the next step. The caller may fill in the QMP fields. */
struct dp_snapshot *dp_watch_snapshot(struct dp_watch *w);

/* Ends the interval under way with reason DP_LAST. NULL: out of memory. */
struct dp_snapshot *dp_watch_finish(struct dp_watch *w);

#endif
