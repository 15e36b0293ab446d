/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Traces: what a session was fed, in a file, so that the same pure code can be fed with it again. docs/trace.md has the
 * format. A trace holds counts, addresses within the guest's memory, and the command lines' facts; never a page's content.
 */
#ifndef DIRTYPROF_TRACE_TRACE_H
#define DIRTYPROF_TRACE_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dirtyprof/session.h"
#include "dirtyprof/snapshot.h"

#define DP_TRACE_MSG 256

/* Where it was recorded. */
struct dp_trace_host {
	char tool[32];	   /* dirtyprof's version */
	char kernel[96];   /* uname -r */
	char machine[32];  /* uname -m */
	char cpu[96];	   /* "" if unknown */
	uint32_t ncpus;	   /* online */
	uint32_t page;	   /* bytes of a base page */
	uint64_t memory;   /* bytes of RAM */
	int64_t wall_us;   /* when the recording began, microseconds since the epoch */
	uint64_t interval; /* ns between lines */
};

void dp_trace_host_now(struct dp_trace_host *h); /* of this machine; interval is left 0 */

struct dp_trace_start {
	struct dp_trace_host host;
	enum dp_source source;
	bool logging;
};

/* ---- writing ---- */

struct dp_trace_writer;

/*
 * Creates path, or with append adds to the trace that it holds, after its last whole block. 0, or negative errno with msg
 * set: -EEXIST (without append), -EBADMSG (it is no trace), -EBUSY (somebody records into it).
 */
int dp_trace_create(const char *path, bool append, struct dp_trace_writer **out, char *msg, size_t len);

/* A session begins: what dp_session_new and dp_session_start are given. 0 or negative errno, as all below. */
int dp_trace_put_start(struct dp_trace_writer *w, const struct dp_trace_start *s,
		       const struct dp_session_opts *o, const struct dp_vm *vm);

/* New options, where they differ from the last ones. */
int dp_trace_put_opts(struct dp_trace_writer *w, const struct dp_session_opts *o);

/* A snapshot, after its VM where that has changed. */
int dp_trace_put(struct dp_trace_writer *w, const struct dp_snapshot *s);

/*
 * Writes what is left. end: the session ended in order. The file is closed whatever happens; after an error it ends with its
 * last whole block, or is gone if it has none. bytes and snapshots (or NULL): what this writer wrote.
 */
int dp_trace_close(struct dp_trace_writer *w, bool end, uint64_t *bytes, uint64_t *snapshots);

/* ---- reading ---- */

struct dp_trace;

enum dp_trace_kind { DP_TRACE_START, DP_TRACE_OPTS, DP_TRACE_SNAPSHOT, DP_TRACE_END };

/* What pointers point to holds until the next event; the VM's until the next event but one. */
struct dp_trace_event {
	enum dp_trace_kind kind;
	struct dp_trace_start start;	    /* START */
	const struct dp_session_opts *opts; /* START, OPTS */
	const struct dp_vm *vm;		    /* START */
	const struct dp_snapshot *snapshot; /* SNAPSHOT */
};

/* Whether a file begins like a trace; false also where it cannot be read. */
bool dp_trace_is(const char *path);

/* 0, or negative errno with msg set. */
int dp_trace_open(const char *path, struct dp_trace **out, char *msg, size_t len);
void dp_trace_free(struct dp_trace *t); /* NULL-safe */

/*
 * The next event: 1; 0 at the end of the file. Negative: nothing more can be read, and dp_trace_message says why.
 * -ENODATA: the file was cut, as when the recorder was killed; -EBADMSG: it is damaged; -EIO and the like. All events
 * before it were whole.
 */
int dp_trace_next(struct dp_trace *t, struct dp_trace_event *ev);
const char *dp_trace_message(const struct dp_trace *t);

/*
 * Passes over snapshots that begin before `from`, and all of a session behind the first that ends after `to` (seconds on its
 * clock; HUGE_VAL: none): they are held against their block's checksum and not taken apart.
 */
void dp_trace_between(struct dp_trace *t, double from, double to);

/* Bytes read of the file's size: for progress. */
void dp_trace_progress(const struct dp_trace *t, uint64_t *at, uint64_t *size);

#endif
