/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The wire: what a process puts on its sockets, and which of it is a migration. */
#ifndef DIRTYPROF_PROBE_WIRE_H
#define DIRTYPROF_PROBE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "dirtyprof/snapshot.h"
#include "probe/hook.h"

struct dp_wire_probe;

extern const struct dp_way dp_wire_ways[];

/* how: the way to take, NULL: the best that works. 0 or negative errno, with *msg set. */
int dp_wire_open(pid_t pid, const char *how, struct dp_wire_probe **out, char *msg, size_t len);
void dp_wire_close(struct dp_wire_probe *w);
const char *dp_wire_hook(const struct dp_wire_probe *w);

/* Looks at the sockets without taking anything, so that new senders are known early. As dp_wire_take. */
void dp_wire_scan(struct dp_wire_probe *w, bool logging, bool (*is_migration)(void *ctx, uint32_t tid),
		  void *ctx);

/* A migration's stream has begun and has not ended. */
bool dp_wire_running(const struct dp_wire_probe *w);

/*
 * What was sent since the last call. logging: RAM logs now, so that a stream may be a migration. base_ns: zero of the
 * snapshot's clock, in CLOCK_MONOTONIC. is_migration (may be NULL) tells whether a thread did what only migration
 * threads do (took the dirty log); names and the peer's address tell the rest.
 */
int dp_wire_take(struct dp_wire_probe *w, bool logging, uint64_t base_ns,
		 bool (*is_migration)(void *ctx, uint32_t tid), void *ctx, struct dp_wire *out);

/* Forgets sockets that have been silent, and a migration that has ended. Now and then, after a take. */
void dp_wire_forget(struct dp_wire_probe *w, bool logging, uint64_t now_ns);

/* Whether this thread sends a migration stream, as far as is known. */
bool dp_wire_is_sender(const struct dp_wire_probe *w, uint32_t tid);

uint64_t dp_wire_lost(const struct dp_wire_probe *w);
void dp_wire_stats(const struct dp_wire_probe *w, uint64_t *runs, uint64_t *ns, uint64_t *map_bytes);

#endif
