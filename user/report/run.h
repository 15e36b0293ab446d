/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a page about a run needs beyond its last report: how things went over time, and where. Fed while a trace, or a live
 * session, is played; of one size however long that takes. Pure.
 *
 *	run = calloc(1, sizeof(*run));
 *	dp_run_start(run, "a.dpt", start);
 *	for each snapshot: dp_run_add(run, &snapshot, line);     line: dp_session_line's, or NULL
 *	dp_run_final(run, final);
 */
#ifndef DIRTYPROF_REPORT_RUN_H
#define DIRTYPROF_REPORT_RUN_H

#include "dirtyprof/heat.h"
#include "dirtyprof/report.h"

#define DP_RUN_COLUMNS 256
#define DP_RUN_EVENTS  64
#define DP_RUN_LABEL   96

/*
 * A stretch of time: one interval or more. Where the log is fetched, not pushed, the pages that a fetch brought are spread evenly
 * over the time since the one before, as nothing says when in it they were written.
 */
struct dp_run_column {
	double t0, t1; /* s since attaching */
	double logged; /* s of it, while RAM was logged */
	double fresh;  /* 4K pages first dirtied since they were re-armed */
	double sent;   /* bytes on the migration's sockets; over TCP those acknowledged */
	double cpu;  /* s of CPU that dirtyprof took, in user space and in BPF where the kernel counts that */
	double lost; /* events that could not be kept */
	/* as known at its end; NAN unknown */
	double left; /* bytes that a migration has still to send */
	double stop_now;
	struct dp_est rate, within_1s; /* bytes/s, bytes: of 4K pages */
	float heat[DP_HEAT_BINS];      /* of fresh, in equal parts of RAM (dirtyprof/heat.h) */
};

enum dp_run_event_kind {
	DP_RUN_LOG_ON,
	DP_RUN_LOG_OFF,
	DP_RUN_MIG_BEGINS,
	DP_RUN_MIG_DONE,
	DP_RUN_MIG_CANCELLED,
};
const char *dp_run_event_name(enum dp_run_event_kind k); /* "logging-on", ... */

/* Where it was measured, as far as that is known. Strings may come from anywhere; dp_run_host cleans them. */
struct dp_run_host {
	char tool[32], kernel[96], machine[32], cpu[96];
	uint32_t ncpus;
	uint64_t memory; /* bytes */
	double wall_s;	 /* when it began, since the epoch; NAN unknown */
};

struct dp_run_event {
	double t; /* s since attaching */
	enum dp_run_event_kind kind;
};

struct dp_run {
	char label[DP_RUN_LABEL]; /* the file that it comes from: valid UTF-8 without control characters */
	bool started, ended;
	double width; /* s: a column is closed when it is as long */
	uint32_t ncolumns, nevents, dropped_events;
	struct dp_run_column column[DP_RUN_COLUMNS];
	struct dp_run_event event[DP_RUN_EVENTS];
	struct dp_heat_range range[DP_HEAT_BINS]; /* what the parts are, at the end */
	uint32_t generation;			  /* of the VM that range is of */
	bool moved; /* the VM's memory changed meanwhile: earlier columns divided another RAM */
	enum dp_outcome outcome;
	bool logging; /* at the end of the last snapshot */
	struct dp_run_host host;
	bool host_known;
	struct dp_report start, report;
	/* bandwidth x downtime limit. Whoever wants lists of his own fills them in before dp_run_final. */
	struct dp_table_report table;
	bool tabled;
};

/* label: may come from anywhere. r: dp_session_start's. */
void dp_run_start(struct dp_run *run, const char *label, const struct dp_report *r);

void dp_run_host(struct dp_run *run, const struct dp_run_host *host);

/* A snapshot, and what the session said after it. */
void dp_run_add(struct dp_run *run, const struct dp_snapshot *s, const struct dp_report *line);

/* The end: r is dp_session_final's. 0, or -ENOMEM. Where there is nothing to make a table from, tabled stays false. */
int dp_run_final(struct dp_run *run, const struct dp_report *r);

/* Bytes newly dirtied a second of logging in a column; NAN where nothing logged. */
double dp_run_fresh_bps(const struct dp_run_column *c);

/* One JSON object with the records of the run as --json prints them, and the series. */
void dp_run_json(struct dp_buf *b, const struct dp_run *run);

/* Colours of lines allow so many runs on a page. */
#define DP_HTML_RUNS 6

/*
 * One page about one run or several, n from 1 to DP_HTML_RUNS, that needs nothing else: no network, no other file. All text that
 * comes from a run is escaped. b->failed: out of memory.
 */
void dp_html(struct dp_buf *b, const struct dp_run *const *run, uint32_t n);

#endif
