/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef DIRTYPROF_CLI_OPTS_INT_H
#define DIRTYPROF_CLI_OPTS_INT_H

#include "cli/opts.h"

#define LIMIT_MAX_NS 2000000000000ull /* of QEMU's downtime-limit */

/* opts.c: "WHAT: "VALUE" is not WANT" on stderr; -EINVAL. */
int dp_opts_bad(const char *what, const char *value, const char *want);

/* opts.c: takes all options, of whatever command; leaves optind at the first argument. 0, or -EINVAL after a line on stderr. */
int dp_opts_read(struct dp_opts *o, int argc, char **argv);

#endif
