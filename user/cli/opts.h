/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The command line of `dirtyprof -p PID [interval [count]]`. */
#ifndef DIRTYPROF_CLI_OPTS_H
#define DIRTYPROF_CLI_OPTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "dirtyprof/basis.h"
#include "dirtyprof/snapshot.h"
#include "probe/watch.h"
#include "probe/hook.h"

struct dp_opts {
	pid_t pid;
	uint64_t interval_ns; /* 1 s */
	uint64_t count;	      /* intervals; 0 = until interrupted */
	bool json, verbose, no_peek, help, version;
	bool heatmap, curve;	      /* pictures in the text */
	const char *prometheus;	      /* file, or NULL */
	double bandwidth, switchover; /* bytes/s, 0 = not given */
	uint64_t limit_ns, fixed_ns;  /* 0 = not given */
	bool fixed_given;
	const char *learned; /* file; NULL = DP_LEARNED_FILE where its folder exists */
	bool no_learned;
	enum dp_compare compare;
	double compare_bps; /* bytes/s, 0 = not given */
	double throttle;
	enum dp_source source;
	struct dp_hooks hooks;
	bool start;
	/* dirtyprof record */
	const char *record; /* file, or NULL */
	bool append, quiet;
	/* dirtyprof report */
	bool report;
	double from, to;  /* s since the recording began; to: HUGE_VAL none */
	uint64_t merge;	  /* intervals to a line */
	const char *html; /* file of a page, "-": stdout; or NULL */
	bool compare_runs;
	char **files; /* several traces, where that makes sense; nfiles of them */
	int nfiles;
	/* dirtyprof predict */
	bool predict, no_cap;
	const char *file; /* predict ("-": stdin), report; NULL: live */
	uint32_t nbandwidths, nlimits;
	double bandwidths[DP_TABLE_MAX];
	uint64_t limits_ns[DP_TABLE_MAX];
	const char *qmp;    /* socket of --start= or --qmp, or NULL */
	uint64_t window_ns; /* first window of --start; 0 = chosen */
};

/* --btf FILE: checked and put in force. 0, or negative errno after a line on stderr. */
int dp_use_btf(const char *path);

/* For commands that have few options: takes --btf FILE out of the arguments, and dp_use_btf. */
int dp_take_btf(int *argc, char **argv);

/* 0, or -EINVAL after a line on stderr. */
int dp_opts_parse(struct dp_opts *o, int argc, char **argv);

/* The same for `dirtyprof record -p PID -o FILE`. */
int dp_opts_parse_record(struct dp_opts *o, int argc, char **argv);

/* The same for `dirtyprof report FILE`. */
int dp_opts_parse_report(struct dp_opts *o, int argc, char **argv);

/* The same for `dirtyprof predict [FILE]`, where --bandwidth and --downtime-limit take lists. */
int dp_opts_parse_predict(struct dp_opts *o, int argc, char **argv);

#endif
