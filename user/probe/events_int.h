/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Inside of the ring source: shared by events*.c only. */
#ifndef DIRTYPROF_PROBE_EVENTS_INT_H
#define DIRTYPROF_PROBE_EVENTS_INT_H

#include "probe/bpf_util.h"
#include "probe/events.h"
#include "events.skel.h"

/* Stamps kept of each size: 16 MiB. Above, one block in 2^shift is stamped, at hashed places. */
#define MAX_STAMPS (1u << 22)

#define DRAIN_MIN_NS 1500000ull

/* What an anchor looked like when it was last read. */
struct anchor_seen {
	struct dp_anchor a;
	bool open;
	uint64_t age_ns; /* of the open one */
	double blind;
};

struct dp_events {
	struct events_bpf *skel;
	struct bpf_link *links[2], *first_link;
	const struct dp_way *way;
	const struct dp_events_opts *opts; /* while opening */
	bool mark;			   /* events are marks */
	bool drain;			   /* the ring is read now and then; else every push is hooked */
	struct bpf_program *feed, *reset, *first; /* first: drain only */
	uint64_t gap_ns;			  /* between two drains */
	struct ring_buffer *notes;
	uint32_t nregions, nchunks, slot_ids, nvcpus, nrows, ring_entries;
	uint32_t nstamps, sample_shift[DP_SIZES], stamp_base[DP_SIZES];
	struct dp_events_slot *slots;
	struct dp_chunk *bits;
	struct dp_stamps *stamps;
	struct dp_hist *hists, *prev;
	struct dp_mark_thread *threads; /* mark only */
	struct dp_mark_gaps prev_gaps;
	size_t slots_len, bits_len, stamps_len, hists_len, threads_len;
	bool on;
	uint64_t active_ns, active_pushes; /* when pushes were last seen to go on */
	uint64_t base;
	struct anchor_seen seen[DP_LEVELS];
	uint64_t prev_pushes[DP_MAX_STAT_VCPUS], prev_repeated, prev_unknown, prev_lost;
	/* results of a take */
	uint64_t *out_events;
	struct dp_ages *ages;
	uint32_t nages, ages_room;
	struct dp_exposure *exposures; /* of a take under way; cuts are added when logging stops */
	uint32_t nexposures, exposures_room;
	uint32_t cur;	     /* the set of bits that was written when last looked */
	uint32_t spare;	     /* a clean set that the programs do not have; DP_NO_SET: none */
	uint32_t handed_out; /* the set that the last take gave, until it is clean again */
	uint32_t waiting;    /* takes since a sync closed a set whose note has not come */
	uint32_t left[DP_LEFT_MAX];
	void (*cb)(void *ctx, const struct dp_reset_note *note);
	void *cb_ctx;
};

/* events_count.c: what the programs counted since the last look */
void dp_events_age_anchors(struct dp_events *r, uint64_t t_ns);
int dp_events_take_ages(struct dp_events *r); /* 0 or -ENOMEM */
void dp_events_take_counters(struct dp_events *r, struct dp_events_take *out);
void dp_events_take_gaps(struct dp_events *r, struct dp_mark_gaps *out);

#endif
