/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Writing a file that others read at any time: beside it, then renamed over it. */
#ifndef DIRTYPROF_CLI_TEXTFILE_H
#define DIRTYPROF_CLI_TEXTFILE_H

#include <stddef.h>

/*
 * Replaces path with these bytes, mode 0644, so that a reader sees the old file or the new one and never a part. On an
 * error the old file is as it was and nothing else is left behind. 0 or negative errno.
 */
int dp_textfile_write(const char *path, const char *data, size_t len);

/* All of these bytes to stdout, now. 0 or negative errno. */
int dp_stdout_write(const char *data, size_t len);

#endif
