/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How long it still takes, in the status line (cli/log.h), of what takes more than two seconds. */
#ifndef DIRTYPROF_CLI_PROGRESS_H
#define DIRTYPROF_CLI_PROGRESS_H

#include <stdint.h>

/* Something whose length is known: so much of it is over, of so much, ns. "measuring [####....] 11 s left" */
void dp_progress_time(const char *what, uint64_t done_ns, uint64_t all_ns);

uint64_t dp_progress_now(void); /* CLOCK_MONOTONIC, ns */

/* Something whose end follows from how far it came since start_ns, by that clock: done of all. May be called often. */
void dp_progress_share(const char *what, uint64_t start_ns, uint64_t done, uint64_t all);

#endif
