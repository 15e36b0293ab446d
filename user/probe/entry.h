/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* When a guest that has not run yet runs first: hooked only while it is waited for. */
#ifndef DIRTYPROF_PROBE_ENTRY_H
#define DIRTYPROF_PROBE_ENTRY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "probe/hook.h"

struct dp_entry;

extern const struct dp_way dp_entry_ways[];

/* how: the way to take, NULL: the best that works. 0 or negative errno, with *msg set. */
int dp_entry_open(pid_t pid, const char *how, struct dp_entry **out, char *msg, size_t len);
void dp_entry_close(struct dp_entry *e); /* NULL-safe */
const char *dp_entry_hook(const struct dp_entry *e);

/* CLOCK_MONOTONIC; 0: it has not run yet. */
uint64_t dp_entry_ns(const struct dp_entry *e);

/* Run count and time of its program are added. */
void dp_entry_stats(const struct dp_entry *e, uint64_t *runs, uint64_t *ns);

#endif
