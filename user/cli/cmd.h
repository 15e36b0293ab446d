/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The sub-commands. Each takes its own argv (argv[0] is its name) and returns an exit status: 0, 1 error, 2 never. */
#ifndef DIRTYPROF_CLI_CMD_H
#define DIRTYPROF_CLI_CMD_H

#define DP_EXIT_OK    0
#define DP_EXIT_ERROR 1
#define DP_EXIT_NEVER 2

int dp_cmd_profile(int argc, char **argv);
int dp_cmd_list(int argc, char **argv);
int dp_cmd_features(int argc, char **argv);
int dp_cmd_predict(int argc, char **argv);
int dp_cmd_record(int argc, char **argv);
int dp_cmd_report(int argc, char **argv);

void dp_usage(void); /* to stdout: asked for */

#endif
