/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reading the vCPUs' dirty rings. A ring keeps the order of its entries: those of one reading are spread evenly over the
 * time since the last. The loader, by ring_drain, and a RESET may read at once: see drain.
 */
#ifndef DIRTYPROF_RING_READ_BPF_H
#define DIRTYPROF_RING_READ_BPF_H

struct dp_ring_state rings[DP_MAX_STAT_VCPUS];

/* Written by the loader. */
__u64 ring_kvm;			     /* struct kvm * */
__u64 ring_vcpus[DP_MAX_STAT_VCPUS]; /* struct kvm_vcpu * */

__u64 ring_lost; /* entries that were overwritten before they were read */
__u32 drained;	 /* most entries that one ring had for the last ring_drain */

/* Entries are copied in aligned blocks; one buffer for ring_drain, one for the RESETs, which come one at a time. */
#define BLOCK 256u /* entries: the smallest ring that KVM allows */

struct block {
	struct kvm_dirty_gfn g[BLOCK];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, struct block);
} blocks SEC(".maps");

/* An index into the arrays by vCPU; so that the compiler cannot leave the mask out where verifiers have forgotten why it may. */
static __always_inline u32 place_of(u32 index)
{
	asm volatile("" : "+r"(index));
	return index & (DP_MAX_STAT_VCPUS - 1);
}

/* A ring as KVM has it now. */
struct ring_view {
	u32 index, size, dirty, reset, soft_limit;
	u64 gfns;
};

static __always_inline bool view_ring(struct kvm_dirty_ring *ring, struct ring_view *v)
{
	v->index = BPF_CORE_READ(ring, index);
	v->size = BPF_CORE_READ(ring, size);
	v->dirty = BPF_CORE_READ(ring, dirty_index);
	v->reset = BPF_CORE_READ(ring, reset_index);
	v->soft_limit = BPF_CORE_READ(ring, soft_limit);
	v->gfns = (u64)BPF_CORE_READ(ring, dirty_gfns);
	return v->index < DP_MAX_STAT_VCPUS && v->gfns && v->size >= BLOCK && !(v->size & (v->size - 1));
}

/* A run of entries that one caller has claimed. */
struct run {
	u64 gfns;
	u32 from, n, mask, set;
	u32 buffer;
	u32 stamp; /* when its first can have come, */
	u64 step;  /* and how far apart they are, in 1/65536 of a stamp */
	u64 now;
	u32 index;
	bool fresh; /* see count_page */
};

static long count_entry(u32 i, void *data)
{
	struct run *r = data;
	u32 pos = (r->from + i) & r->mask, at = pos & (BLOCK - 1), key = r->buffer, stamp;
	struct block *b = bpf_map_lookup_elem(&blocks, &key);
	struct kvm_dirty_gfn *g;

	if (!b)
		return 1;
	if (!i || !at) {
		if (bpf_probe_read_kernel(b, sizeof(*b), (void *)(r->gfns + (u64)(pos - at) * sizeof(*g))))
			return 1;
	}
	g = &b->g[at];
	stamp = r->stamp + (u32)((r->step * (i + 1)) >> 16);
	/* Counters in this frame would be one more state for the verifier at every turn. */
	switch (count_event(r->set, g->slot, g->offset, stamp, r->fresh)) {
	case COUNT_UNKNOWN:
		__sync_fetch_and_add(&vcpu_stats[place_of(r->index)].unknown, 1);
		break;
	case COUNT_REPEATED:
		__sync_fetch_and_add(&vcpu_stats[place_of(r->index)].repeated, 1);
		break;
	case COUNT_FIRST:
		last_new_ns = r->now;
		break;
	}
	return 0;
}

static __always_inline u64 cursor_of(u32 set, u32 index)
{
	return (u64)set << 32 | index;
}

/*
 * Counts a ring's entries up to index `to`. Who moves the cursor owns the entries that it passes, so that the loader
 * and a RESET can be here at once and each entry is counted once, in the set of bits that the cursor named.
 */
static __always_inline void drain(struct kvm_dirty_ring *ring, const struct ring_view *v, u32 to, u32 buffer,
				  u64 now, bool fresh)
{
	struct dp_ring_state *rs = &rings[place_of(v->index)];
	struct dp_vcpu_stat *stat = &vcpu_stats[place_of(v->index)];
	u64 cur = *(volatile u64 *)&rs->cursor, since = rs->read_ns, started = active ? started_ns : 0;
	u32 lost = 0, over, first = *(volatile u32 *)&rearmed;
	struct run r = { .gfns = v->gfns,
			 .mask = v->size - 1,
			 .set = cur >> 32,
			 .buffer = buffer,
			 .now = now,
			 .index = v->index,
			 .fresh = fresh };

	r.from = (u32)cur;
	r.n = to - r.from;
	if (!r.n || (s32)r.n < 0)
		return;
	if (__sync_val_compare_and_swap(&rs->cursor, cur, cursor_of(r.set, to)) != cur)
		return; /* the other one has them */
	if (now > since)
		rs->read_ns = now;
	if (since < started)
		since = started;
	if (since > now)
		since = now;
	if (r.n > v->size) {
		lost = r.n - v->size;
		r.from += lost;
		r.n = v->size;
	}
	/* They came after the last RESET: had one come since `first` was read, it would have moved the cursor. */
	r.stamp = stamp_of(since);
	if (older(r.stamp, first))
		r.stamp = first;
	r.step = older(r.stamp, stamp_of(now)) ? ((u64)(stamp_of(now) - r.stamp) << 16) / r.n : 0;
	bpf_loop(r.n, count_entry, &r, 0);
	/* Entries that the guest has overwritten meanwhile were perhaps not what they had been. */
	over = BPF_CORE_READ(ring, dirty_index) - r.from;
	if (over > v->size)
		lost += over - v->size < r.n ? over - v->size : r.n;
	if (lost)
		__sync_fetch_and_add(&ring_lost, lost);
	__sync_fetch_and_add(&stat->pushes, r.n);
}

/* The ring of the vCPU that the loader has listed at i. 1: there is none. Not static: see count_levels. */
__attribute__((noinline)) int drain_one(u32 i, u64 now, u32 buffer, bool start)
{
	struct dp_ring_state *rs;
	struct kvm_vcpu *vcpu;
	struct kvm_dirty_ring *ring;
	struct ring_view v;
	u32 n;

	if (i >= DP_MAX_STAT_VCPUS)
		return 1;
	vcpu = (void *)ring_vcpus[i];
	if (!vcpu)
		return 1;
	/* No longer this VM's? */
	if ((u64)BPF_CORE_READ(vcpu, kvm) != ring_kvm)
		return 0;
	ring = kvm_vcpu_ring(vcpu);
	if (!ring || !view_ring(ring, &v))
		return 0;
	rs = &rings[place_of(v.index)];
	vcpu_stats[place_of(v.index)].tid = kvm_vcpu_tid(vcpu);
	if (start) {
		rs->cursor = cursor_of(cur_bits, v.dirty);
		rs->read_ns = now;
		return 0;
	}
	n = v.dirty - (u32)rs->cursor;
	if (!buffer && n > drained)
		drained = n;
	drain(ring, &v, v.dirty, buffer & 1, now, false);
	return 0;
}

struct drain_all {
	u64 now;
	u32 buffer;
	bool start;
};

static long drain_listed(u32 i, void *data)
{
	struct drain_all *d = data;

	return drain_one(i, d->now, d->buffer, d->start) != 0;
}

/* Argument: 1 to begin with what comes from now on, 0 to read it. */
SEC("raw_tp")
int ring_drain(struct bpf_raw_tracepoint_args *ctx)
{
	struct drain_all d = { .start = ctx->args[0], .now = bpf_ktime_get_ns() };

	drained = 0;
	bpf_loop(DP_MAX_STAT_VCPUS, drain_listed, &d, 0);
	return 0;
}

#endif
