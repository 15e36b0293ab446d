// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The dirty ring: every push is seen with its time and vCPU, de-duplicated here, and only counters and
 * bits reach user space.
 *
 * Each page (and each block of 64K and more) has a stamp: when its push last counted. An anchor is a moment
 * at which the rings had been emptied, so that every page was re-armed; a push counts for an anchor if
 * the page's stamp is older than the anchor, once, in the bin of its lag. A page that is pushed again
 * without a re-arming in between therefore never counts twice. Anchors exist on DP_LEVELS levels
 * (dirtyprof/bins.h) and are opened at RESETs, lower levels together with higher ones, so that a level's
 * anchor is never newer than the one below it, and the search can stop at the first stamp that is newer.
 *
 * Bits say which pages were dirtied since the last sync. A RESET that is no vCPU's ends a sync: from then on
 * another set of bits is written, so that no later page counts for this sync, however late user space comes. What
 * a ring still holds then was pushed before but is the next sync's: it is listed apart.
 *
 * Not every RESET will do: one that a full ring forces comes while the guest writes, so that a curve that
 * starts there starts too steeply. A reaper's or a sync's comes at its own time. Full rings serve
 * only where nothing else empties them.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "compat.bpf.h"
#include "shared.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile int targ_tgid = 0;
const volatile __u32 targ_slot_ids = 0;		/* slots map holds this many ids of each address space */
const volatile __u32 targ_chunks = 0;		/* chunks of one set of bits */
const volatile __u32 targ_stamp_base[5] = {};	/* first stamp of each size */
const volatile __u32 targ_sample_shift[5] = {}; /* 1 block in 2^shift is stamped */
const volatile __u32 targ_regions = 0;
const volatile __u32 targ_vcpus = 1;

__u64 clock_base;  /* CLOCK_MONOTONIC, ns, of stamp 0 */
__u32 cur_bits;	   /* the set of bits that is written */
__u32 next_bits;   /* a clean set to go on with at a sync; taken by whoever swaps it */
__u32 closed_bits; /* the set that the RESET under way has closed */
__u32 nleft;	   /* pages that the last such RESET left in the rings */
__u32 left[DP_LEFT_MAX];
__u32 active;	    /* anchors are open */
__u64 started_ns;   /* when the anchors of this logging were opened first */
__u64 last_push_ns; /* last push that was not a repetition */
__u64 last_wake_ns; /* user space is woken at most 100 times a second */
__u32 rearmed;	    /* stamp of the last RESET of any kind */
__u32 blind_limit;  /* pages: more than this at a RESET is no good anchor */
struct dp_anchor anchors[DP_LEVELS];
struct dp_vcpu_stat vcpu_stats[DP_MAX_STAT_VCPUS];
__u32 ring_reset[DP_MAX_STAT_VCPUS]; /* each ring's reset_index at its last RESET */
__u32 full_seen;		     /* a ring of this RESET had been full */
__u32 ring_used[DP_MAX_STAT_VCPUS];  /* pushed and not yet reset, at each ring's last RESET */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct dp_ring_slot);
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

/* One small record a sync, so that user space can close its interval there. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} notes SEC(".maps");

/* One vCPU is the only writer: atomics, a fifth of the cost of a push, are for several. */
#define ALONE() (targ_vcpus == 1)

/* QEMU's reaper comes once a second. */
#define ANCHOR_OVERDUE_NS 2500000000ull

static __always_inline void add_one(u32 *p)
{
	if (ALONE())
		*(volatile u32 *)p += 1;
	else
		__sync_fetch_and_add(p, 1);
}

static __always_inline u32 swap(u32 *p, u32 v)
{
	u32 old;

	if (!ALONE())
		return __sync_lock_test_and_set(p, v);
	old = *(volatile u32 *)p;
	*(volatile u32 *)p = v;
	return old;
}

static __always_inline u32 stamp_of(u64 now)
{
	return (u32)((now - clock_base) >> DP_STAMP_SHIFT) + 1;
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

static __always_inline bool older(u32 stamp, u32 anchor)
{
	return !stamp || (s32)(stamp - anchor) < 0;
}

/*
 * A block was pushed at `stamp`, last at `last`: count it for every level whose anchor it is the first after.
 * Not static: the verifier then looks at it once, not at each of its callers' paths.
 */
__attribute__((noinline)) int count_levels(u32 row, u32 last, u32 stamp)
{
	struct dp_hist *h = bpf_map_lookup_elem(&hists, &row);
	u32 l, bin;
	u64 lag;

	if (!h)
		return 0;
	for (l = 0; l < DP_LEVELS; l++) {
		u32 anchor = anchors[l].stamp;

		if (!older(last, anchor))
			break;
		lag = (u64)(u32)(stamp - anchor) << DP_STAMP_SHIFT;
		if (lag >= DP_LEVEL_NS(l))
			continue; /* the anchor has run its length and waits for a RESET */
		bin = dp_bin_of(lag);
		if (bin < DP_BINS)
			add_one(&h->c[l][anchors[l].opened & 1][bin]);
	}
	return 0;
}

/* Opens anchors at `stamp` for the levels that are due, or for all. */
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

static __always_inline void start_logging(u64 now)
{
	if (__sync_val_compare_and_swap(&active, 0, 1))
		return;
	started_ns = now;
	rearmed = stamp_of(now);
	open_anchors(rearmed, 0, true);
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
			stamp = stamp_of(bpf_ktime_get_ns());
		last = swap(st, stamp);
		count_levels(targ_regions + i, last, stamp);
	}
	return 0;
}

/* Sets the page's bit of this interval. */
static __always_inline void set_bit(u32 page)
{
	u32 key = cur_bits * targ_chunks + (page >> DP_CHUNK_SHIFT);
	struct dp_chunk *chunk = bpf_map_lookup_elem(&bits, &key);
	u64 *word, bit = 1ULL << (page & 63);

	if (!chunk)
		return;
	word = &chunk->w[(page >> 6) & (DP_CHUNK_WORDS - 1)];
	if (*word & bit)
		return;
	if (ALONE())
		*(volatile u64 *)word |= bit;
	else
		__sync_fetch_and_or(word, bit);
}

/* The slot of a ring entry, NULL where it is not known (yet). */
static __always_inline struct dp_ring_slot *slot_of(u32 slot, u64 offset)
{
	u32 id = slot & 0xffff, key = (slot >> 16) * targ_slot_ids + id;
	struct dp_ring_slot *s = bpf_map_lookup_elem(&slots, &key);

	return s && id < targ_slot_ids && offset < (s->npages >> s->shift) ? s : NULL;
}

static __always_inline int on_push(u32 index, u32 slot, u64 offset, u32 tid)
{
	struct dp_vcpu_stat *stat;
	struct dp_ring_slot *s;
	u32 page, newest, stamp, last, *st;
	u64 now;

	if (index >= DP_MAX_STAT_VCPUS)
		index = DP_MAX_STAT_VCPUS - 1;
	stat = &vcpu_stats[index];
	stat->pushes++;
	s = slot_of(slot, offset);
	if (!s) {
		stat->unknown++;
		return 0;
	}
	page = s->index + (u32)(offset << s->shift);
	if (!s->logging || !active) {
		/* The first push to a slot that did not log is when its logging began, to within that push. */
		s->logging = 1;
		start_logging(bpf_ktime_get_ns());
	}
	newest = anchors[0].stamp;
	st = block_stamp(0, page);
	if (st) {
		last = *st;
		if (!older(last, rearmed)) {
			stat->repeated++;
			return 0;
		}
		set_bit(page);
		if (!older(last, newest))
			return 0; /* re-armed, but counted since the newest anchor: so were its blocks */
		now = bpf_ktime_get_ns();
		stat->tid = tid;
		last_push_ns = now;
		stamp = stamp_of(now);
		last = swap(st, stamp);
		count_levels(page >> 18, last, stamp);
		count_blocks(page, newest, stamp);
		return 0;
	}
	set_bit(page);
	count_blocks(page, newest, 0);
	return 0;
}

/* All rings' unreset pushes: what the other vCPUs had left at their last RESET is near enough. */
static __always_inline u32 blind_pages(u32 index, u32 used)
{
	static u32 total;
	u32 old = ring_used[index];

	ring_used[index] = used;
	total += used - old;
	return total;
}

/* Lists an entry that the RESET left in its ring. Not static: see count_levels. */
__attribute__((noinline)) int list_left(u64 gfn_addr)
{
	struct kvm_dirty_gfn gfn;
	struct dp_ring_slot *s;
	u32 page, n = nleft;

	if (bpf_probe_read_kernel(&gfn, sizeof(gfn), (void *)gfn_addr))
		return 0;
	s = slot_of(gfn.slot, gfn.offset);
	if (!s)
		return 0;
	page = s->index + (u32)(gfn.offset << s->shift);
	nleft = n + 1;
	if (n < DP_LEFT_MAX)
		left[n] = page;
	return 0;
}

static __always_inline void list_all_left(u64 gfns, u32 size, u32 from, u32 used)
{
	u32 i;

	for (i = 0; i < DP_LEFT_MAX && i < used; i++)
		list_left(gfns + (u64)((from + i) & (size - 1)) * sizeof(struct kvm_dirty_gfn));
}

/* The sync's bits end here, if another set is free. */
static __always_inline void close_bits(void)
{
	u32 next = next_bits;

	closed_bits = DP_NO_SET;
	if (next >= DP_BIT_SETS || __sync_val_compare_and_swap(&next_bits, next, DP_NO_SET) != next)
		return;
	nleft = 0;
	closed_bits = cur_bits;
	cur_bits = next;
}

/* A vCPU that resets had a full ring. That is no sync, and a wake-up costs more than all else here. */
static __always_inline bool is_vcpu(u32 tid)
{
	u32 i;

	for (i = 0; i < 64 && i < targ_vcpus; i++)
		if (vcpu_stats[i].tid == tid)
			return true;
	return false;
}

static __always_inline int on_reset(u32 index, u32 used, u32 reset_index, u32 soft_limit, u64 gfns, u32 size)
{
	u32 tid = (u32)bpf_get_current_pid_tgid(), blind, stamp;
	u64 now = bpf_ktime_get_ns();
	struct dp_reset_note *note;
	bool full, overdue, wake;

	if (index >= DP_MAX_STAT_VCPUS)
		return 0;
	/* The rings come in order, one caller at a time. */
	if (!index) {
		closed_bits = DP_NO_SET;
		if (!is_vcpu(tid))
			close_bits();
	}
	if (closed_bits != DP_NO_SET)
		list_all_left(gfns, size, reset_index, used);
	blind = blind_pages(index, used);
	/* Nearly full counts as full: what matters is that the guest's writing decided when. */
	if (soft_limit && reset_index - ring_reset[index] >= soft_limit - soft_limit / 8)
		full_seen = 1;
	ring_reset[index] = reset_index;
	/* KVM_RESET_DIRTY_RINGS goes through the rings in order: the last one ends it. */
	if (index + 1 < targ_vcpus && index + 1 < DP_MAX_STAT_VCPUS)
		return 0;
	full = full_seen;
	full_seen = 0;
	stamp = stamp_of(now);
	rearmed = stamp;
	overdue = (u64)(u32)(stamp - anchors[0].stamp) << DP_STAMP_SHIFT > ANCHOR_OVERDUE_NS;
	if (active && blind <= blind_limit && (!full || overdue))
		open_anchors(stamp, blind, false);
	if (is_vcpu(tid))
		return 0;
	note = bpf_ringbuf_reserve(&notes, sizeof(*note), 0);
	if (!note)
		return 0;
	wake = now - last_wake_ns > 10000000;
	if (wake)
		last_wake_ns = now;
	note->t_ns = now;
	note->tid = tid;
	note->set = closed_bits;
	bpf_ringbuf_submit(note, wake ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
	return 0;
}

#define IS_TARGET() ((int)(bpf_get_current_pid_tgid() >> 32) == targ_tgid)

SEC("tp_btf/kvm_dirty_ring_push")
int BPF_PROG(push_btf, struct kvm_dirty_ring *ring, u32 slot, u64 offset)
{
	u64 id = bpf_get_current_pid_tgid();

	if ((int)(id >> 32) != targ_tgid || tp_arg_missing(ring))
		return 0;
	return on_push(ring->index, slot, offset, (u32)id);
}

SEC("raw_tp/kvm_dirty_ring_push")
int push_raw(struct bpf_raw_tracepoint_args *ctx)
{
	struct kvm_dirty_ring *ring = (void *)ctx->args[0];
	u64 id = bpf_get_current_pid_tgid();

	if ((int)(id >> 32) != targ_tgid)
		return 0;
	return on_push(BPF_CORE_READ(ring, index), (u32)ctx->args[1], ctx->args[2], (u32)id);
}

SEC("tp_btf/kvm_dirty_ring_reset")
int BPF_PROG(reset_btf, struct kvm_dirty_ring *ring)
{
	u64 gfns;

	if (!IS_TARGET() || tp_arg_missing(ring))
		return 0;
	/* As a number: the verifier lets no typed pointer into list_left. */
	bpf_probe_read_kernel(&gfns, sizeof(gfns), &ring->dirty_gfns);
	return on_reset(ring->index, ring->dirty_index - ring->reset_index, ring->reset_index,
			ring->soft_limit, gfns, ring->size);
}

SEC("raw_tp/kvm_dirty_ring_reset")
int reset_raw(struct bpf_raw_tracepoint_args *ctx)
{
	struct kvm_dirty_ring *ring = (void *)ctx->args[0];

	if (!IS_TARGET())
		return 0;
	return on_reset(BPF_CORE_READ(ring, index),
			BPF_CORE_READ(ring, dirty_index) - BPF_CORE_READ(ring, reset_index),
			BPF_CORE_READ(ring, reset_index), BPF_CORE_READ(ring, soft_limit),
			(u64)BPF_CORE_READ(ring, dirty_gfns), BPF_CORE_READ(ring, size));
}
