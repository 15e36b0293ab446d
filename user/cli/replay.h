/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Traces through the same code as a live session. */
#ifndef DIRTYPROF_CLI_REPLAY_H
#define DIRTYPROF_CLI_REPLAY_H

#include "cli/profile.h"
#include "trace/trace.h"

/* What is told while a trace is played, in this order. Each returns 0, or a negative errno that ends it. */
struct dp_play {
	int (*start)(void *ctx, const struct dp_trace_event *ev, const struct dp_report *r);
	/* Each snapshot; r: the line that was due after it, or NULL (lines merged, or not wanted). */
	int (*line)(void *ctx, const struct dp_snapshot *s, const struct dp_report *r);
	/* whole: the session ended in order, as far as it was asked for. */
	int (*final)(void *ctx, const struct dp_report *r, bool whole);
	void *ctx;
	bool no_lines; /* lines cost a fit of the curve each */
	/* NULL: all. Else lines only after snapshots for which it says so; done: how much of the file was read, 0 to 1 */
	bool (*wants)(void *ctx, const struct dp_snapshot *s, double done);
};

/*
 * Plays a file: each of the sessions in it, with the options that a replay takes (o->from, to, merge, bandwidth, limit and so
 * on). 0; or negative errno after a line on stderr. A trace that was cut is played to its last whole block, with a warning;
 * one that is damaged, too, and then this is -EBADMSG.
 */
int dp_play(const char *path, const struct dp_opts *o, const struct dp_play *play);

/* Plays p->o.files into runs and makes a page of them: o.html. 0 or negative errno after a line on stderr. */
int dp_replay_html(const struct dp_opts *o);

/* Plays two of them and prints how they differ. Likewise. */
int dp_replay_compare(const struct dp_opts *o);

/* Plays p->o.file into the outputs that p->o asks for. */
int dp_replay(struct profile *p);

#endif
