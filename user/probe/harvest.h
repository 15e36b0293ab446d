/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The `harvest` source: copies of the dirty bitmaps that user space receives and re-arms, and looks in between. */
#ifndef DIRTYPROF_PROBE_HARVEST_H
#define DIRTYPROF_PROBE_HARVEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bpf/shared.h"
#include "probe/hook.h"

struct dp_harvest;

struct dp_harvest_opts {
	pid_t pid;
	uint32_t slot_ids;
	uint64_t host_pages; /* of all slots: sizes the ring so that one sync fits */
	const char *how;     /* the way to take, NULL: the best that works */
	bool manual;	     /* CLEAR re-arms, not GET */
};

extern const struct dp_way dp_harvest_ways[];

/* 0 or negative errno, with *msg set. */
int dp_harvest_open(const struct dp_harvest_opts *o, struct dp_harvest **out, char *msg, size_t len);
void dp_harvest_close(struct dp_harvest *h);
const char *dp_harvest_hook(const struct dp_harvest *h);

/* npages: host pages of a slot, 0 = not tracked. */
void dp_harvest_slot(struct dp_harvest *h, uint32_t as_id, uint32_t id, uint64_t npages);

/* Copies KVM's own bitmap of a slot as it is now; it arrives as pieces of type DP_HV_PEEK. 0; -ESTALE: not that slot
 * any more, -ENODATA: it has no bitmap. */
int dp_harvest_peek(struct dp_harvest *h, const struct dp_slot_rec *slot);

/* The map in which re-armings are noted (struct dp_rearm), and how many host pages of all tracked slots log. */
const struct bpf_map *dp_harvest_rearms(const struct dp_harvest *h);
void dp_harvest_logging(struct dp_harvest *h, uint64_t host_pages);

int dp_harvest_fd(const struct dp_harvest *h);
/* Calls cb for each piece that has come, in order; its lines follow it. */
void dp_harvest_read(struct dp_harvest *h, void (*cb)(void *ctx, const struct dp_hv_rec *rec), void *ctx);

uint64_t
dp_harvest_copy_ns(const struct dp_harvest *h); /* spent copying bitmaps so far; part of the stats' time */
uint64_t dp_harvest_lost(const struct dp_harvest *h); /* pieces so far */
void dp_harvest_stats(const struct dp_harvest *h, uint64_t *runs, uint64_t *ns, uint64_t *map_bytes);

#endif
