/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What this host's past migrations took that no dirty log shows: kept in a small JSON file. */
#ifndef DIRTYPROF_CLI_LEARNED_H
#define DIRTYPROF_CLI_LEARNED_H

#include <stdbool.h>
#include <stdint.h>

#include "dirtyprof/report.h"

#define DP_LEARNED_DIR	"/var/lib/dirtyprof"
#define DP_LEARNED_FILE DP_LEARNED_DIR "/learned.json" /* taken by itself where its folder exists */
#define DP_LEARNED_KEPT 64			       /* migrations, the latest */

struct dp_learned {
	uint32_t n;   /* migrations that the figures rest on; 0: there is none, and no figure */
	double fixed; /* median of the fixed part of their downtimes, s */
	double queue; /* of what their sockets held, bytes; 0: not known */
};

/*
 * Figures for a QEMU: from migrations of the same release (7.2) with multifd alike, else of the same release, else of all.
 * A file that is not there has taught nothing. 0, or negative errno (-EBADMSG: not such a file).
 */
int dp_learned_load(const char *path, const char *qemu_version, bool multifd, struct dp_learned *out);

/* Adds what a finished migration showed; nothing where it showed nothing. 0 or negative errno; then the file is as it was. */
int dp_learned_add(const char *path, const struct dp_report *r);

#endif
