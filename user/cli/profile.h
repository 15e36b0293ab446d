/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Inside of `dirtyprof -p`: what its files share. */
#ifndef DIRTYPROF_CLI_PROFILE_H
#define DIRTYPROF_CLI_PROFILE_H

#include "dirtyprof/report.h"
#include "dirtyprof/session.h"
#include "cli/learned.h"
#include "cli/opts.h"
#include "cli/view.h"
#include "probe/watch.h"
#include "qmp/qmp.h"
#include "qmp/start.h"
#include "trace/trace.h"

struct profile {
	struct dp_opts o;
	struct dp_watch *watch;
	struct dp_session *session;
	struct dp_qmp *qmp;
	struct dp_start *start;
	enum dp_start_state start_state;
	uint64_t stopping_ns; /* session clock: since when QEMU's last calculation is waited for */
	struct dp_learned learned;
	struct dp_qmp_params params;
	bool params_known;
	struct dp_buf buf, prom;
	struct dp_view *view;
	struct dp_trace_writer *trace;
	char command[512];
	uint64_t lines;
	int sigfd, status;
	bool gone, migration_done;
	bool failed; /* --start failed: report what there is, and say so in the exit status */
};

/* The whole command. Returns the exit status. */
enum profile_kind { PROFILE_WATCH, PROFILE_PREDICT, PROFILE_RECORD };
int dp_profile_main(int argc, char **argv, enum profile_kind kind);

/* output.c: where reports go, by the options. 0, or negative errno after a line on stderr. final sets p->status. */
int dp_out_open(struct profile *p);
void dp_out_close(struct profile *p);
int dp_out_flush(struct profile *p); /* prints p->buf */
int dp_out_header(struct profile *p, const struct dp_report *r);
int dp_out_line(struct profile *p, const struct dp_report *r);
int dp_out_final(struct profile *p, const struct dp_report *r);
int dp_out_prom(struct profile *p, const struct dp_report *r, bool stale);

/* record.c: the trace, where one is asked for. 0, or negative errno after a line on stderr. */
int dp_record_open(struct profile *p);
int dp_record_start(struct profile *p);
int dp_record_opts(struct profile *p, const struct dp_session_opts *so);
int dp_record_add(struct profile *p, const struct dp_snapshot *s);
int dp_record_close(struct profile *p, bool end);

/* Takes the signals that wait. true: one of them ends the run. */
bool dp_profile_signalled(struct profile *p);

/* cmd_predict.c: print the table; 0, or negative errno after a line on stderr. They set p->status. */
int dp_profile_table(struct profile *p, const struct dp_report *r);
int dp_table_of_file(struct profile *p);

void dp_profile_session_opts(const struct profile *p, struct dp_session_opts *s);

/* profile_qmp.c: everything that talks to QEMU. All may be called where no QMP was asked for. */
int dp_profile_qmp_open(struct profile *p); /* 0, or negative errno after a line on stderr */
void dp_profile_qmp_facts(struct profile *p, struct dp_snapshot *s); /* fills the qmp_* fields */
int dp_profile_start_open(struct profile *p);
uint64_t dp_profile_start_poll(struct profile *p, uint64_t now_ns); /* returns when to be called next */
uint64_t dp_profile_first_left(const struct profile *p,
			       uint64_t now_ns); /* ns of the first calculation; 0: it is over */
void dp_profile_start_stop(struct profile *p);	 /* waits until logging is off again, bounded */
void dp_profile_start_close(struct profile *p);

#endif
