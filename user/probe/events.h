/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The `ring` source: BPF programs on kvm_dirty_ring_push and _reset, and what they counted. */
#ifndef DIRTYPROF_PROBE_EVENTS_H
#define DIRTYPROF_PROBE_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "dirtyprof/snapshot.h"
#include "bpf/shared.h"
#include "model/layout.h"
#include "probe/hook.h"

struct dp_events;

struct dp_events_opts {
	pid_t pid;
	uint32_t nvcpus;
	uint32_t ring_entries; /* a vCPU's */
	uint32_t slot_ids;     /* ids 0 .. slot_ids - 1 of each address space can be tracked */
	const struct dp_layout *layout;
	uint64_t kvm;		/* struct kvm * */
	const __u64 *vcpu_ptrs; /* struct kvm_vcpu * of each vCPU */
	uint32_t nptrs;
	const char *how;	      /* the way to take, NULL: the best that works */
	bool mark;		      /* events are marks, not what a ring holds */
	const struct bpf_map *rearms; /* marks of a VM with bitmaps: of dp_harvest_rearms(); else NULL */
	uint64_t host_pages;	      /* of all slots */
};

/* Ways to follow a ring: read at RESETs and now and then (tp_btf, raw_tp), every push hooked (likewise). */
extern const struct dp_way dp_ring_ways[];

/* Ways to see marks. */
extern const struct dp_way dp_mark_ways[];

/* 0 or negative errno, with *msg set. */
int dp_events_open(const struct dp_events_opts *o, struct dp_events **out, char *msg, size_t len);
/* Counts dirty events from now on: after the slots are known. 0 or negative errno. */
int dp_events_start(struct dp_events *r);
void dp_events_close(struct dp_events *r);
const char *dp_events_hook(const struct dp_events *r);

/* The slots as they are: index DP_INDEX_NONE or npages 0 = not tracked. */
void dp_events_slot(struct dp_events *r, uint32_t as_id, uint32_t id, const struct dp_events_slot *s);

/*
 * Logging of RAM was seen to be on (opens anchors if no push has) or off (closes them) at t_ns, CLOCK_MONOTONIC. armed: when
 * it is on next, or has just come on, all pages are armed; else the first anchors wait for the end of a round of re-arming.
 */
void dp_events_logging(struct dp_events *r, bool on, bool armed, uint64_t t_ns);

/* Counts what the rings hold unread. When to call next, CLOCK_MONOTONIC; UINT64_MAX: not before something happens. */
uint64_t dp_events_drain(struct dp_events *r);

/*
 * Everything counted since the last call. Arrays belong to r and hold until the next call. set: of a RESET that
 * dp_events_resets told, whose bits to take; DP_NO_SET: those that are written now. bits is NULL where a RESET has
 * just ended a sync that has not been told yet: they wait for it.
 */
struct dp_events_take {
	uint64_t *bits; /* pages in index order, nregions * 2^18 bits */
	size_t words;
	const uint32_t
		*left; /* page indices that the RESET left in the rings: they are the next sync's as well */
	uint32_t nleft;
	struct dp_ages *ages;
	uint32_t nages;
	struct dp_exposure *exposures;
	uint32_t nexposures;
	uint64_t *vcpu_events;
	uint32_t nvcpus;
	uint64_t pushes, repeated, unknown, lost;
	struct dp_mark_gaps gaps; /* marks: `collected` is not set here */
};
int dp_events_take(struct dp_events *r, uint32_t set, struct dp_events_take *out);

/* RESETs since the last call: calls cb for each. fd wakes a poll when there are some. True: anchors may be new: drain. */
int dp_events_fd(const struct dp_events *r);
bool dp_events_resets(struct dp_events *r, void (*cb)(void *ctx, const struct dp_reset_note *note),
		      void *ctx);

/* Whether this thread is a vCPU's: its RESETs come from a full ring, not from a sync. */
bool dp_events_is_vcpu(const struct dp_events *r, uint32_t tid);

/* Once an hour or so: forgets stamps so old that their counter would wrap. */
void dp_events_age_stamps(struct dp_events *r, uint64_t now_ns);

void dp_events_stats(const struct dp_events *r, uint64_t *runs, uint64_t *ns, uint64_t *map_bytes);

#endif
