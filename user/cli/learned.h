/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What this host's past migrations took that no dirty log shows: kept in a small JSON file. */
#ifndef DIRTYPROF_CLI_LEARNED_H
#define DIRTYPROF_CLI_LEARNED_H

#include <stdbool.h>
#include <stdint.h>

#include "dirtyprof/report.h"
#include "dirtyprof/session.h"

#define DP_LEARNED_DIR	"/var/lib/dirtyprof"
#define DP_LEARNED_FILE DP_LEARNED_DIR "/learned.json" /* taken by itself where its folder exists */
#define DP_LEARNED_KEPT 64			       /* migrations, the latest */

#define DP_LEARNED_NEAR 1.25 /* paths are alike within this factor */

/* Of what migration figures are asked. */
struct dp_learned_key {
	const char *qemu_version;
	bool multifd;
	double bandwidth; /* the path as given, bytes/s; 0: not given */
};

struct dp_learned {
	uint32_t n;	     /* migrations that the figures rest on; 0: there is none, and no figure */
	struct dp_est fixed; /* the fixed part of their downtimes, s: median, 10-90 % */
	double queue;	     /* what their sockets held, bytes; 0: not known */
	uint32_t npath;	     /* migrations over a path that was given as about as fast */
	struct dp_est
		got; /* the share of it that they got; a next one's 10-90 % interval; 0 where npath is 0 */
};

/*
 * Figures for a migration: from those of the same release (7.2) with multifd alike, else of the same release, else of all. What
 * the path decides, from those over a path as fast within a quarter, where there are any. A file that is not there has taught
 * nothing. 0, or negative errno (-EBADMSG: not such a file).
 */
int dp_learned_load(const char *path, const struct dp_learned_key *key, struct dp_learned *out);

/* What is known of it into a session's options; the fixed part only where nobody gave that. */
void dp_learned_apply(const struct dp_learned *l, bool fixed_given, struct dp_session_opts *o);

/* Adds what a finished migration showed; nothing where it showed nothing. 0 or negative errno; then the file is as it was. */
int dp_learned_add(const char *path, const struct dp_report *r);

#endif
