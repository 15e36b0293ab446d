/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Inside of the watch: shared by watch*.c only. */
#ifndef DIRTYPROF_PROBE_WATCH_INT_H
#define DIRTYPROF_PROBE_WATCH_INT_H

#include "probe/entry.h"
#include "probe/harvest.h"
#include "probe/inspect.h"
#include "probe/events.h"
#include "probe/watch.h"
#include "probe/wire.h"
#include "model/bitlog.h"
#include "model/heat.h"
#include "model/layout.h"
#include "model/pageset.h"
#include "qmp/clock.h"
#include "vm/busy.h"
#include "vm/zero.h"

#define POLL_NS	    50000000ull	     /* slots and logging are looked at this often */
#define BACKING_NS  30000000000ull   /* smaps walks page tables: seldom */
#define AGE_NS	    3600000000000ull /* stamps wrap after 4.9 hours: old ones are forgotten before */
#define ZERO_NS	    10000000000ull
#define SYNC_GAP_NS 10000000ull /* GETs this close together are one sync */

/* Growable arrays of an interval under way. */
struct dp_pile {
	void *data;
	size_t n, room, size;
};

int dp_pile_add(struct dp_pile *p, const void *items, size_t n);

/* What was collected since the interval began. */
struct interval {
	uint64_t t0;		 /* session clock */
	struct dp_pageset pages; /* ring; the log's reader has its own */
	struct dp_pile ages, exposures, windows, syncs;
	uint64_t *vcpu_events;
	uint64_t pushes, repeated, unknown, lost, logged_ns;
	struct dp_mark_gaps gaps;
};

struct dp_watch_change;

struct dp_watch {
	struct dp_watch_opts o;
	struct dp_proc proc;
	struct dp_inspect *inspect;
	struct dp_events *events;
	struct dp_harvest *harvest;
	struct dp_bitlog *bitlog;
	bool reading; /* inside a callback of the source, which must not be closed then */
	struct dp_wire_probe *wire;
	char wire_problem[DP_WATCH_MSG];
	enum dp_source source;
	char hook[160]; /* what is attached for it, in words */
	struct dp_layout layout;
	struct dp_vm vm;
	uint32_t
		parted; /* bytes: a block of this size was seen dirty in part, it is no page of the guest's */
	struct dp_kvm kvm;	  /* as last looked at */
	struct dp_slot_rec *recs; /* copy of its slots */
	uint32_t nrecs, slot_ids;
	uint32_t opened_vcpus, last_vcpus; /* vCPUs when the source was opened, and at the last look */
	uint64_t base_ns;		   /* CLOCK_MONOTONIC of the session's zero */
	bool dirty_before; /* pages may be dirty since before the source, or the guest, went on: not armed */
	bool collected;	   /* KVM lets the processor collect writes (PML) */
	bool untold;	   /* a RESET for which no set of bits was free waits to be told with the next one */
	struct dp_sync untold_sync;
	bool logging;		/* RAM logs */
	struct dp_entry *entry; /* while the guest has not run yet */
	uint64_t first_ran;  /* session clock: its first run, if it began while we watched; 0 = it did not */
	uint64_t stopped_at; /* session clock: the guest does not run since then; 0 = it runs */
	uint64_t next_poll, next_drain, next_backing, next_zero, next_age;
	struct interval iv;
	uint64_t due;		/* session clock: the next regular interval ends; syncs do not move it */
	struct dp_pageset seen; /* every page dirtied so far */
	struct dp_pageset sync_pages; /* ring: since the last sync */
	uint64_t seen_pages, last_sync;
	uint64_t *region_new;
	struct dp_heat heat; /* of vm's slots */
	/* harvest: the sync under way */
	uint32_t sync_keys[512], nsync_keys;
	uint64_t sync_last;
	uint32_t sync_tid;
	bool sync_open, want_snapshot;
	bool idle;	   /* harvest: the guest has not been seen to run yet */
	bool sync_partial; /* the latest GET has pieces still to come */
	uint64_t next_peek, peek_armed, harvest_lost;
	uint64_t peek_free;		/* looking may cost again from then on */
	uint64_t chunk[DP_CHUNK_WORDS]; /* a piece's bits, unpacked */
	uint32_t log_tids[16];		/* threads that took or re-armed the log */
	uint32_t nlog_tids, next_log_tid;
	struct dp_wire wire_now;
	struct dp_zero zero;
	struct dp_busy busy;
	struct dp_watch_change *change; /* NULL: contents are not compared */
	/* own cost */
	int stats_fd;
	uint64_t file_bytes; /* file pages (program, libraries) before any map was mapped */
	uint64_t stats_on, stats_off, stats_runs, stats_ns, stats_copy, copy_seen;
	uint64_t bpf_runs, bpf_ns, cpu_ns;
	uint32_t seq;
	struct dp_snapshot snap;
};

/* watch_snapshot.c */
/* Closes the interval and describes it, */
struct dp_snapshot *dp_watch_close_interval(struct dp_watch *w, enum dp_reason reason);
/* and the next one begins where the snapshot ended. */
void dp_watch_next_interval(struct dp_watch *w);

/* watch_vm.c */
int dp_watch_copy_slots(struct dp_watch *w, const struct dp_kvm *k);
bool dp_watch_fits(const struct dp_watch *w); /* the source, what was copied */
/* What is known of the VM, and what the source is told, from what was copied. */
int dp_watch_tell_slots(struct dp_watch *w, uint64_t t_mono, bool exact);
int dp_watch_source_open(struct dp_watch *w, char *msg, size_t len);
void dp_watch_source_close(struct dp_watch *w);

/* watch_follow.c */
int dp_watch_refresh(struct dp_watch *w, uint64_t t_mono, bool exact);
bool dp_watch_guest_stopped(struct dp_watch *w);

/* watch_entry.c */
/* Where the guest has not run yet: waits for it. 0, or negative errno with msg set (a hook that was asked for does not work). */
int dp_watch_entry_open(struct dp_watch *w, char *msg, size_t len);
bool dp_watch_entry_seen(struct dp_watch *w); /* it has just run first: w->first_ran */
/* Session clock: when the last vCPU left KVM_RUN, where none is inside; 0: one is, or it was not seen. */
uint64_t dp_watch_left_ns(const struct dp_watch *w);

/* watch_granule.c: from the MMU and the backing; from an interval's dirty pages, where they show more */
void dp_watch_granule(struct dp_watch *w);
void dp_watch_granule_seen(struct dp_watch *w, const struct dp_pageset *pages);

/* watch_log.c */
void dp_watch_note_tid(struct dp_watch *w, uint32_t tid);
bool dp_watch_took_log(void *ctx, uint32_t tid);
int dp_watch_take_events(struct dp_watch *w);
void dp_watch_read_events(struct dp_watch *w);
void dp_watch_drain(struct dp_watch *w);
void dp_watch_read_harvest(struct dp_watch *w);
void dp_watch_end_sync(struct dp_watch *w);
void dp_watch_peek(struct dp_watch *w);

/* watch_backing.c */
void dp_watch_backing(struct dp_watch *w);
void dp_watch_keep_backing(const struct dp_vm *vm, struct dp_slot *s);
bool dp_watch_backing_known(const struct dp_vm *vm);

/* watch_change.c */
/* The pages that a sync newly reports; then the sync, if it covers RAM. */
void dp_watch_change_log(struct dp_watch *w, const struct dp_pageset *pages);
void dp_watch_change_sync(struct dp_watch *w, const struct dp_sync *s);
/* t: session clock. */
void dp_watch_change_logging(struct dp_watch *w, bool on, uint64_t t);
void dp_watch_change_lost(struct dp_watch *w);
void dp_watch_changes(struct dp_watch *w, struct dp_changes *out);
void dp_watch_change_close(struct dp_watch *w);

/* watch_self.c */
void dp_watch_note_files(struct dp_watch *w);
void dp_watch_sample_cost(struct dp_watch *w);
void dp_watch_self(struct dp_watch *w, struct dp_self *self);

#endif
