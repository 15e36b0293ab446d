/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Counting of dirty events, whatever brings them: de-duplicated here, so that only counters and bits
 * reach user space.
 *
 * Each page (and each block of 64K and more) has a stamp: when its event last counted. An anchor is a moment
 * at which every page was re-armed; an event counts for an anchor if the page's stamp is older than the
 * anchor, once, in the bin of its lag. A page that is dirtied again without a re-arming in between
 * therefore never counts twice. Anchors exist on DP_LEVELS levels (dirtyprof/bins.h), and lower levels are opened
 * together with higher ones, so that a level's anchor is never newer than the one below it, and the search can stop at
 * the first stamp that is newer.
 *
 * Bits say which pages were dirtied since the last sync.
 */
#ifndef DIRTYPROF_COUNT_BPF_H
#define DIRTYPROF_COUNT_BPF_H

const volatile int targ_tgid = 0;
const volatile __u32 targ_slot_ids = 0;		/* slots map holds this many ids of each address space */
const volatile __u32 targ_chunks = 0;		/* chunks of one set of bits */
const volatile __u32 targ_stamp_base[5] = {};	/* first stamp of each size */
const volatile __u32 targ_sample_shift[5] = {}; /* 1 block in 2^shift is stamped */
const volatile __u32 targ_regions = 0;
const volatile __u32 targ_vcpus = 1;
const volatile bool targ_alone = false; /* one thread at a time counts: no atomics */

__u64 clock_base; /* CLOCK_MONOTONIC, ns, of stamp 0 */
__u32 cur_bits;	  /* the set of bits that is written */
__u32 active;	  /* anchors are open */
__u32 unarmed; /* though RAM logs, no anchor can be opened before a round of re-arming has come to its end */
__u64 started_ns;  /* when the anchors of this logging were opened first */
__u64 last_new_ns; /* last event that was not a repetition */
__u32 rearmed;	   /* stamp of the last re-arming of any kind */
struct dp_anchor anchors[DP_LEVELS];
struct dp_vcpu_stat vcpu_stats[DP_MAX_STAT_VCPUS];

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct dp_events_slot);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct dp_chunk);
} bits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct dp_stamps);
} stamps SEC(".maps");

/* One row a region at 4K, then one each for 64K, 2M, 16M and 1G. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct dp_hist);
} hists SEC(".maps");

/* Where a thread is alone, atomics would be a fifth of an event's cost for nothing. */
static __always_inline void add_one(u32 *p)
{
	if (targ_alone)
		*(volatile u32 *)p += 1;
	else
		__sync_fetch_and_add(p, 1);
}

static __always_inline u32 swap(u32 *p, u32 v)
{
	u32 old;

	if (!targ_alone)
		return __sync_lock_test_and_set(p, v);
	old = *(volatile u32 *)p;
	*(volatile u32 *)p = v;
	return old;
}

static __always_inline u32 stamp_of(u64 now)
{
	return (u32)((now - clock_base) >> DP_STAMP_SHIFT) + 1;
}

static __always_inline bool older(u32 stamp, u32 anchor)
{
	return !stamp || (s32)(stamp - anchor) < 0;
}

/* A re-arming's stamp is the next one, so that what came before it is older. */
static __always_inline u32 stamp_now(void)
{
	u32 stamp = stamp_of(bpf_ktime_get_ns());

	return older(stamp, rearmed) ? rearmed : stamp;
}

static __always_inline u64 ns_of(u32 stamp)
{
	return clock_base + ((u64)(stamp - 1) << DP_STAMP_SHIFT);
}

/* The stamp of a block, or NULL where this block is not in the sample. */
static __always_inline u32 *block_stamp(u32 size, u32 block)
{
	u32 k = targ_sample_shift[size], idx = block, elem;
	struct dp_stamps *st;

	if (k) {
		/* One block of each aligned run of 2^k, at a place that a hash of the run chooses. */
		idx = block >> k;
		if ((block & ((1u << k) - 1)) != ((idx * 2654435761u) >> 16 & ((1u << k) - 1)))
			return NULL;
	}
	idx += targ_stamp_base[size];
	elem = idx / DP_STAMPS;
	st = bpf_map_lookup_elem(&stamps, &elem);
	return st ? &st->s[idx & (DP_STAMPS - 1)] : NULL;
}

/*
 * A block was dirtied at `stamp`, last at `last`: count it for every level whose anchor it is the first after.
 * Not static: the verifier then looks at it once, not at each of its callers' paths.
 */
__attribute__((noinline)) int count_levels(u32 row, u32 last, u32 stamp)
{
	struct dp_hist *h = bpf_map_lookup_elem(&hists, &row);
	u32 l, bin;
	u64 lag;

	if (!h || !active)
		return 0;
	for (l = 0; l < DP_LEVELS; l++) {
		u32 anchor = anchors[l].stamp;

		if (!older(last, anchor))
			break;
		lag = (u64)(u32)(stamp - anchor) << DP_STAMP_SHIFT;
		if (lag >= DP_LEVEL_NS(l))
			continue; /* the anchor has run its length and waits for a re-arming */
		bin = dp_bin_of(lag);
		if (bin < DP_BINS)
			add_one(&h->c[l][anchors[l].opened & 1][bin]);
	}
	return 0;
}

/* Opens anchors at `stamp` for the levels that are due, or for all. blind: pages that are dirty and not re-armed. */
static __always_inline void open_anchors(u32 stamp, u32 blind, bool all)
{
	u32 l;

	for (l = 0; l < DP_LEVELS; l++) {
		struct dp_anchor *a = &anchors[l];
		u64 age = (u64)(u32)(stamp - a->stamp) << DP_STAMP_SHIFT;

		if (!all) {
			/* A higher level is due only together with the one below: see the top. */
			if (age < DP_LEVEL_PERIOD_NS(l))
				break;
			a->closed++;
		}
		a->stamp = stamp;
		a->blind += blind;
		a->opened++;
	}
}

/* The first anchors. blind: see open_anchors. */
__attribute__((noinline)) int start_logging(u32 stamp, u32 blind)
{
	if (__sync_val_compare_and_swap(&active, 0, 1))
		return 0;
	started_ns = ns_of(stamp);
	rearmed = stamp;
	open_anchors(stamp, blind, true);
	return 0;
}

/* First dirtyings of the larger blocks; stops at the first block that counted after the newest anchor. */
__attribute__((noinline)) int count_blocks(u32 page, u32 newest, u32 stamp)
{
	const u32 shift[4] = { 4, 9, 12, 18 };
	u32 i;

	for (i = 0; i < 4; i++) {
		u32 *st = block_stamp(i + 1, page >> shift[i]);
		u32 last;

		if (!st)
			continue;
		last = *st;
		if (!older(last, newest))
			return 0;
		if (!stamp)
			stamp = stamp_now();
		last = swap(st, stamp);
		count_levels(targ_regions + i, last, stamp);
	}
	return 0;
}

/* Sets the page's bit in a set. */
static __always_inline void set_bit(u32 set, u32 page)
{
	u32 key = set * targ_chunks + (page >> DP_CHUNK_SHIFT);
	struct dp_chunk *chunk = bpf_map_lookup_elem(&bits, &key);
	u64 *word, bit = 1ULL << (page & 63);

	if (!chunk)
		return;
	word = &chunk->w[(page >> 6) & (DP_CHUNK_WORDS - 1)];
	if (*word & bit)
		return;
	if (targ_alone)
		*(volatile u64 *)word |= bit;
	else
		__sync_fetch_and_or(word, bit);
}

/* The slot that as_id << 16 | id names, NULL where it is not known (yet) or ends before offset. */
static __always_inline struct dp_events_slot *slot_of(u32 slot, u64 offset)
{
	u32 id = slot & 0xffff, key = (slot >> 16) * targ_slot_ids + id;
	struct dp_events_slot *s = bpf_map_lookup_elem(&slots, &key);

	return s && id < targ_slot_ids && offset < (s->npages >> s->shift) ? s : NULL;
}

static __always_inline u32 page_of(const struct dp_events_slot *s, u64 offset)
{
	return s->index + (u32)(offset << s->shift);
}

enum count_result { COUNT_REPEATED, COUNT_REARMED, COUNT_FIRST, COUNT_UNKNOWN };

/*
 * A page was dirtied, at `stamp` or (0) now: its bit in `set`, and its lags. COUNT_REPEATED: not re-armed since it was
 * dirtied before, so nothing changed; COUNT_REARMED: again, but it counted for the newest anchor already, and so
 * did its blocks. fresh: it has been re-armed, though `rearmed` may not say so yet.
 */
static __always_inline int count_page(u32 set, u32 page, u32 stamp, bool fresh)
{
	u32 newest = anchors[0].stamp, last, *st = block_stamp(0, page);

	if (!st) {
		set_bit(set, page);
		count_blocks(page, newest, stamp);
		return COUNT_REARMED;
	}
	last = *st;
	if (!fresh && !older(last, rearmed))
		return COUNT_REPEATED;
	set_bit(set, page);
	if (!older(last, newest))
		return COUNT_REARMED;
	if (!stamp)
		stamp = stamp_now();
	last = swap(st, stamp);
	count_levels(page >> 18, last, stamp);
	count_blocks(page, newest, stamp);
	return COUNT_FIRST;
}

/* The first event of a slot that did not log is when its logging began, to within that event. */
static __always_inline void see_logging(struct dp_events_slot *s, u32 stamp)
{
	if (s->logging && (active || unarmed))
		return;
	s->logging = 1;
	if (!unarmed)
		start_logging(stamp ? stamp : stamp_of(bpf_ktime_get_ns()), 0);
}

/* An event as KVM tells it. COUNT_UNKNOWN: no slot that is tracked. Not static: see count_levels. */
__attribute__((noinline)) int count_event(u32 set, u32 slot, u64 offset, u32 stamp, bool fresh)
{
	struct dp_events_slot *s = slot_of(slot, offset);

	if (!s)
		return COUNT_UNKNOWN;
	see_logging(s, stamp);
	return count_page(set, page_of(s, offset), stamp, fresh);
}

#endif
