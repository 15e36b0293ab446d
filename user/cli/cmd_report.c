// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* dirtyprof report FILE: a trace, shown as the live tool would have shown it. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cmd.h"
#include "cli/log.h"
#include "cli/opts.h"
#include "cli/replay.h"

int dp_cmd_report(int argc, char **argv)
{
	struct profile *p = calloc(1, sizeof(*p));
	int err, status;

	if (!p) {
		dp_err("out of memory");
		return DP_EXIT_ERROR;
	}
	err = dp_opts_parse_report(&p->o, argc, argv);
	if (!err && p->o.help)
		dp_usage();
	else if (!err && p->o.version)
		puts("dirtyprof " DIRTYPROF_VERSION);
	else if (!err && p->o.html)
		err = dp_replay_html(&p->o);
	else if (!err && p->o.compare_runs)
		err = dp_replay_compare(&p->o);
	else if (!err)
		err = dp_out_open(p) ?: dp_replay(p);
	status = err ? DP_EXIT_ERROR : p->status;
	dp_out_close(p);
	free(p);
	return status;
}
