// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* dirtyprof -p PID: measure, predict, report. */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "dirtyprof/report.h"
#include "dirtyprof/session.h"
#include "cli/cmd.h"
#include "cli/log.h"
#include "cli/opts.h"
#include "cli/profile.h"
#include "cli/progress.h"
#include "probe/watch.h"

#define PREDICT_NS 15000000000ull /* that a table is measured for */

static int open_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGWINCH);
	sigaddset(&set, SIGCONT);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -errno;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

bool dp_profile_signalled(struct profile *p)
{
	struct signalfd_siginfo si;

	while (read(p->sigfd, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo == SIGCONT)
			dp_view_continued(p->view);
		else if (si.ssi_signo == SIGWINCH)
			dp_view_resized(p->view, &p->buf);
		else
			return true;
	}
	return false;
}

static void command_line(char *buf, size_t len, int argc, char **argv)
{
	size_t at = 0;
	int i;

	buf[0] = '\0';
	for (i = 0; i < argc && at < len; i++) {
		int n = snprintf(buf + at, len - at, "%s%s", i ? " " : "", i ? argv[i] : "dirtyprof");

		at += n > 0 ? (size_t)n : 0;
	}
}

/* Options of the session: the command line's, and what QMP knows. */
void dp_profile_session_opts(const struct profile *p, struct dp_session_opts *s)
{
	memset(s, 0, sizeof(*s));
	s->bandwidth = p->o.bandwidth;
	s->switchover_bandwidth = p->o.switchover;
	s->limit = (double)p->o.limit_ns / 1e9;
	/* 0 means "assumed" there: a given 0 is a nanosecond. */
	s->fixed = p->o.fixed_given ? (double)(p->o.fixed_ns ? p->o.fixed_ns : 1) / 1e9 : 0;
	dp_learned_apply(&p->learned, p->o.fixed_given, s);
	s->throttle = p->o.throttle;
	s->interval = (double)p->o.interval_ns / 1e9;
	s->clock_ns = dp_watch_zero_ns(p->watch);
	s->hook = dp_watch_hook(p->watch);
	s->command = p->command;
	s->started_by = p->o.start ? "--start" : "";
	if (!p->params_known)
		return;
	s->max_bandwidth = (double)p->params.max_bandwidth;
	s->avail_switchover = (double)p->params.avail_switchover_bandwidth;
	s->multifd = p->params.multifd;
	s->channels = p->params.multifd ? p->params.multifd_channels : 0;
	s->ac = (struct dp_auto_converge){ .on = p->params.auto_converge,
					   .trigger = p->params.throttle_trigger_pct / 100.0,
					   .initial = p->params.throttle_initial_pct / 100.0,
					   .increment = p->params.throttle_increment_pct / 100.0,
					   .max = fmin(99, p->params.throttle_max_pct) / 100.0 };
	if (!s->limit)
		s->limit = (double)p->params.downtime_limit_ms / 1e3;
}

static const char *learned_file(const struct profile *p)
{
	if (p->o.no_learned)
		return NULL;
	if (p->o.learned)
		return p->o.learned;
	return access(DP_LEARNED_DIR, F_OK) ? NULL : DP_LEARNED_FILE;
}

static void learn(struct profile *p)
{
	const char *path = learned_file(p);
	struct dp_learned_key key = { .qemu_version = dp_watch_vm(p->watch)->qemu_version,
				      .multifd = p->params_known && p->params.multifd,
				      .bandwidth = p->o.bandwidth };
	int err = path ? dp_learned_load(path, &key, &p->learned) : 0;

	if (err)
		dp_warn("cannot learn from %s: %s", path,
			err == -EBADMSG ? "it is not a file of dirtyprof's" : strerror(-err));
}

static int header(struct profile *p)
{
	const struct dp_report *r = dp_session_start(p->session, dp_watch_vm(p->watch),
						     dp_watch_source(p->watch), dp_watch_logging(p->watch));

	/* Before anything is measured: a target that cannot be written is an error now, not in an hour. */
	return dp_out_header(p, r) ?: dp_out_prom(p, r, false);
}

static int show_line(struct profile *p)
{
	const struct dp_report *r = dp_session_line(p->session);

	if (!r)
		return 0;
	p->migration_done = r->mig.outcome == DP_MIG_DONE;
	return dp_out_line(p, r) ?: dp_out_prom(p, r, false);
}

static int add(struct profile *p, struct dp_snapshot *s)
{
	int err;

	dp_profile_qmp_facts(p, s);
	err = dp_record_add(p, s);
	if (err)
		return err;
	err = dp_session_add(p->session, s);
	if (err == -EINVAL) {
		dp_warn("an interval's numbers contradict each other: left out");
		return 0;
	}
	if (err)
		dp_err("out of memory");
	return err;
}

/*
 * How long it still takes: to the end if that is known, else to the end of the first calculation of --start, before which little
 * is known, else to the next line.
 */
static void progress(const struct profile *p, uint64_t now)
{
	const char *what = p->o.quiet ? "recording" : "measuring";
	uint64_t left;

	if (p->o.count) {
		dp_progress_time(what, now, p->o.count * p->o.interval_ns);
		return;
	}
	left = dp_profile_first_left(p, now);
	if (left)
		dp_progress_time("the first calculation of QEMU", now, now + left);
	else if (!p->o.quiet)
		dp_progress_time("next line", now % p->o.interval_ns, p->o.interval_ns);
}

/* One turn of the main loop. 1: go on, 0: done, negative errno. */
static int turn(struct profile *p)
{
	uint64_t now = dp_watch_now_ns(p->watch), until = now + 1000000000ull, next;
	struct dp_snapshot *s;
	int ev, err;

	next = dp_profile_start_poll(p, now);
	if (p->failed)
		return 0;
	progress(p, now);
	if (next < until)
		until = next;
	ev = dp_watch_step(p->watch, until, p->sigfd);
	if (ev < 0) {
		dp_err("cannot go on: %s", strerror(-ev));
		return ev;
	}
	if (ev == DP_WATCH_GONE) {
		p->gone = true;
		return 0;
	}
	if (ev == DP_WATCH_FD) {
		if (dp_profile_signalled(p))
			return 0;
		return dp_out_flush(p) ?: 1;
	}
	if (ev != DP_WATCH_SNAPSHOT)
		return 1;
	s = dp_watch_snapshot(p->watch);
	err = add(p, s);
	if (err)
		return err;
	err = show_line(p);
	if (err)
		return err;
	if (s->reason == DP_TIMER && p->o.count && ++p->lines >= p->o.count)
		return 0;
	return p->migration_done ? 0 : 1;
}

/* What the migration showed, for the next ones. That it cannot be kept is no failure of this run. */
static void remember(struct profile *p, const struct dp_report *r)
{
	const char *path = learned_file(p);
	int err = path ? dp_learned_add(path, r) : 0;

	if (err)
		dp_warn("cannot add what this migration took to %s: %s", path, strerror(-err));
}

static int final(struct profile *p)
{
	struct dp_snapshot *s = dp_watch_finish(p->watch);
	const struct dp_report *r;
	int err = s ? add(p, s) : -ENOMEM;

	if (err)
		return err;
	/* Syncs since the last line. */
	r = dp_session_line(p->session);
	err = r ? dp_out_line(p, r) : 0;
	r = dp_session_final(p->session);
	if (!err)
		err = dp_out_final(p, r);
	p->migration_done |= r->mig.outcome == DP_MIG_DONE;
	remember(p, r);
	return err ?: dp_out_prom(p, r, true);
}

static int run(struct profile *p)
{
	int err = dp_record_start(p) ?: header(p), end;

	if (err)
		return err;
	do
		err = turn(p);
	while (err > 0);
	if (err < 0)
		return err;
	dp_profile_start_stop(p);
	end = final(p);
	if (p->gone && !p->migration_done) {
		dp_err("process %d, or its VM, ended while it was watched", (int)p->o.pid);
		return -ESRCH;
	}
	return end ?: p->failed ? -EIO : 0;
}

static int set_up(struct profile *p)
{
	struct dp_watch_opts wo = { .pid = p->o.pid,
				    .interval_ns = p->o.interval_ns,
				    .source = p->o.source,
				    .hooks = p->o.hooks,
				    .no_peek = p->o.no_peek,
				    .compare = p->o.compare,
				    .compare_bps = (uint64_t)p->o.compare_bps };
	struct dp_session_opts so;
	char msg[DP_WATCH_MSG];
	int err;

	p->sigfd = open_signals();
	if (p->sigfd < 0) {
		dp_err("cannot take signals: %s", strerror(errno));
		return -errno;
	}
	err = dp_out_open(p);
	if (err)
		return err;
	err = dp_watch_open(&wo, &p->watch, msg, sizeof(msg));
	if (err) {
		dp_err("%s", msg);
		return err;
	}
	if (*dp_watch_wire_problem(p->watch))
		dp_warn("no bandwidth can be measured: %s", dp_watch_wire_problem(p->watch));
	err = dp_profile_qmp_open(p) ?: dp_record_open(p);
	if (err)
		return err;
	learn(p);
	dp_profile_session_opts(p, &so);
	p->session = dp_session_new(&so);
	if (!p->session) {
		dp_err("out of memory");
		return -ENOMEM;
	}
	return dp_profile_start_open(p);
}

static int parse(struct profile *p, enum profile_kind kind, int argc, char **argv)
{
	int err = kind == PROFILE_PREDICT  ? dp_opts_parse_predict(&p->o, argc, argv)
		  : kind == PROFILE_RECORD ? dp_opts_parse_record(&p->o, argc, argv)
					   : dp_opts_parse(&p->o, argc, argv);

	/* A table is no watch: it measures for a while and ends. */
	if (p->o.predict && !p->o.count)
		p->o.count = (PREDICT_NS + p->o.interval_ns - 1) / p->o.interval_ns;
	return err;
}

int dp_profile_main(int argc, char **argv, enum profile_kind kind)
{
	struct profile *p = calloc(1, sizeof(*p));
	int err, closed, status;

	if (!p) {
		dp_err("out of memory");
		return DP_EXIT_ERROR;
	}
	p->sigfd = -1;
	err = parse(p, kind, argc, argv);
	if (!err && (p->o.help || p->o.version)) {
		if (p->o.help)
			dp_usage();
		else
			puts("dirtyprof " DIRTYPROF_VERSION);
		free(p);
		return fflush(stdout) ? DP_EXIT_ERROR : DP_EXIT_OK;
	}
	if (!err) {
		if (p->o.verbose)
			dp_log_set_level(DP_LVL_DEBUG);
		command_line(p->command, sizeof(p->command), argc, argv);
		err = p->o.file ? dp_out_open(p) ?: dp_table_of_file(p) : set_up(p);
	}
	if (!err && !p->o.file)
		err = run(p);
	closed = dp_record_close(p, !err || p->gone);
	if (!err)
		err = closed;
	status = err ? DP_EXIT_ERROR : p->status;
	dp_profile_start_close(p);
	dp_out_close(p);
	dp_session_free(p->session);
	dp_watch_close(p->watch);
	if (p->sigfd >= 0)
		close(p->sigfd);
	free(p);
	return status;
}

int dp_cmd_profile(int argc, char **argv)
{
	return dp_profile_main(argc, argv, PROFILE_WATCH);
}

int dp_cmd_record(int argc, char **argv)
{
	return dp_profile_main(argc, argv, PROFILE_RECORD);
}
