// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "cli/replay.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "cli/log.h"
#include "cli/progress.h"

struct player {
	const struct dp_opts *o;
	const struct dp_play *play;
	struct dp_session *session;
	struct dp_trace *trace;
	uint64_t intervals; /* since the last line */
	bool done;	    /* what --to asked for has been played */
	struct dp_learned learned;
};

/* What the command line says, over what was recorded. */
static void options(const struct player *p, const struct dp_session_opts *recorded,
		    struct dp_session_opts *out)
{
	const struct dp_opts *o = p->o;

	*out = *recorded;
	if (o->bandwidth > 0) {
		/* What was learnt of a path holds for one that is about as fast. */
		if (o->bandwidth > recorded->bandwidth * DP_LEARNED_NEAR ||
		    o->bandwidth * DP_LEARNED_NEAR < recorded->bandwidth)
			out->got = (struct dp_est){ 0 };
		out->bandwidth = o->bandwidth;
	}
	if (o->switchover > 0)
		out->switchover_bandwidth = o->switchover;
	if (o->limit_ns)
		out->limit = (double)o->limit_ns / 1e9;
	if (o->learned) {
		bool given = !recorded->learned && recorded->fixed > 0;

		if (!given)
			out->fixed = out->fixed_lo = out->fixed_hi = 0;
		out->queue = 0;
		dp_learned_apply(&p->learned, given, out);
	}
	if (o->fixed_given) {
		out->fixed = (double)(o->fixed_ns ? o->fixed_ns : 1) / 1e9;
		out->fixed_lo = out->fixed_hi = 0;
		out->learned = 0;
	}
	if (o->throttle > 0)
		out->throttle = o->throttle;
	if (o->merge > 1)
		out->interval *= (double)o->merge;
}

/* What migrations before this one took, from another file than when it was recorded. */
static int learn(struct player *p, const struct dp_trace_event *ev)
{
	struct dp_learned_key key = { .qemu_version = ev->vm->qemu_version,
				      .multifd = ev->opts->multifd,
				      .bandwidth =
					      p->o->bandwidth > 0 ? p->o->bandwidth : ev->opts->bandwidth };
	int err = p->o->learned ? dp_learned_load(p->o->learned, &key, &p->learned) : 0;

	if (err)
		dp_err("cannot learn from %s: %s", p->o->learned,
		       err == -EBADMSG ? "it is not a file of dirtyprof's" : strerror(-err));
	return err;
}

static int finish(struct player *p, bool whole)
{
	const struct dp_report *r;
	int err;

	if (!p->session)
		return 0;
	r = dp_session_final(p->session);
	err = p->play->final(p->play->ctx, r, whole);
	if (!err && p->o->learned) {
		err = dp_learned_add(p->o->learned, r);
		if (err)
			dp_err("cannot add what this migration took to %s: %s", p->o->learned,
			       strerror(-err));
	}
	dp_session_free(p->session);
	p->session = NULL;
	return err;
}

static int start(struct player *p, const struct dp_trace_event *ev)
{
	struct dp_session_opts so;
	int err = finish(p, false) ?: learn(p, ev);

	if (err)
		return err;
	options(p, ev->opts, &so);
	p->session = dp_session_new(&so);
	p->intervals = 0;
	p->done = false;
	if (!p->session) {
		dp_err("the trace's options are out of range, or memory is short");
		return -EINVAL;
	}
	return p->play->start(p->play->ctx, ev,
			      dp_session_start(p->session, ev->vm, ev->start.source, ev->start.logging));
}

static bool line_is_due(struct player *p, const struct dp_snapshot *s)
{
	uint64_t at = 0, size = 0;

	if (p->play->no_lines)
		return false;
	if (p->play->wants) {
		dp_trace_progress(p->trace, &at, &size);
		return p->play->wants(p->play->ctx, s, size ? (double)at / (double)size : 0);
	}
	if (s->reason != DP_TIMER)
		return true;
	if (++p->intervals < p->o->merge)
		return false;
	p->intervals = 0;
	return true;
}

static int snapshot(struct player *p, const struct dp_snapshot *s)
{
	const struct dp_report *r = NULL;
	int err;

	if ((double)s->t1_ns / 1e9 > p->o->to) {
		p->done = true;
		return finish(p, true);
	}
	err = dp_session_add(p->session, s);
	if (err == -EINVAL) /* as it was left out live */
		err = 0;
	if (err) {
		dp_err("out of memory");
		return err;
	}
	if (line_is_due(p, s))
		r = dp_session_line(p->session);
	return p->play->line(p->play->ctx, s, r);
}

static int event(struct player *p, const struct dp_trace_event *ev)
{
	struct dp_session_opts so;

	if (ev->kind == DP_TRACE_START)
		return start(p, ev);
	if (!p->session || p->done)
		return 0;
	switch (ev->kind) {
	case DP_TRACE_OPTS:
		options(p, ev->opts, &so);
		dp_session_set_opts(p->session, &so);
		return 0;
	case DP_TRACE_SNAPSHOT:
		return snapshot(p, ev->snapshot);
	default:
		return finish(p, true);
	}
}

static void read_so_far(const struct dp_trace *t, uint64_t from)
{
	uint64_t at, size;

	dp_trace_progress(t, &at, &size);
	dp_progress_share("reading the trace", from, at, size);
}

int dp_play(const char *path, const struct dp_opts *o, const struct dp_play *play)
{
	struct player p = { .o = o, .play = play };
	struct dp_trace *t;
	struct dp_trace_event ev;
	char msg[DP_TRACE_MSG];
	int err = dp_trace_open(path, &t, msg, sizeof(msg)), bad = 0, sessions = 0;
	uint64_t from = dp_progress_now();
	bool quiet;

	if (err) {
		dp_err("%s", msg);
		return err;
	}
	p.trace = t;
	dp_trace_between(t, o->from, o->to);
	/* lines on a terminal show by themselves how far it is */
	quiet = play->no_lines || !isatty(STDOUT_FILENO);
	while (!err && (bad = dp_trace_next(t, &ev)) > 0) {
		if (quiet)
			read_so_far(t, from);
		sessions += ev.kind == DP_TRACE_START;
		err = event(&p, &ev);
	}
	dp_status_clear();
	if (!err && bad < 0 && sessions)
		dp_warn("%s; what comes before is shown", dp_trace_message(t));
	else if (!err && bad < 0)
		dp_err("%s; nothing before it can be shown", dp_trace_message(t));
	else if (!err && !sessions) {
		dp_err("%s: nothing was recorded in it", path);
		err = -ENODATA;
	}
	if (!err)
		err = finish(&p, false);
	/* A recorder that was killed leaves a trace that is good as far as it goes. */
	if (!err && bad && (bad != -ENODATA || !sessions))
		err = bad;
	dp_session_free(p.session);
	dp_trace_free(t);
	return err;
}

static int out_start(void *ctx, const struct dp_trace_event *ev, const struct dp_report *r)
{
	return dp_out_header(ctx, r);
}

static int out_line(void *ctx, const struct dp_snapshot *s, const struct dp_report *r)
{
	return r ? dp_out_line(ctx, r) : 0;
}

/* A file for Prometheus shows the moment that was asked for, or that the VM is not watched any more, as at a live end. */
static int out_final(void *ctx, const struct dp_report *r, bool whole)
{
	struct profile *p = ctx;

	return dp_out_final(p, r) ?: dp_out_prom(p, r, !isfinite(p->o.to));
}

int dp_replay(struct profile *p)
{
	struct dp_play play = {
		.start = out_start, .line = out_line, .final = out_final, .ctx = p, .no_lines = p->o.predict
	};

	return dp_play(p->o.file, &p->o, &play);
}
