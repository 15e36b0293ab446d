/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The dirty ring. A push costs the guest about a microsecond, and any program on its tracepoint adds
 * to that. So nothing is hooked there unless it is asked for: every few milliseconds the loader runs
 * ring_drain (ring_read.bpf.h), which reads what the vCPUs' rings have gained, and at each RESET the rest is read before
 * KVM gives the entries back, so that none is missed. Only the first push after logging was switched on is hooked, to know when that
 * was. With a program on every push each has its own time, at the guest's cost.
 *
 * A RESET that is no vCPU's ends a sync: from then on another set of bits is written, so that no later page
 * counts for this sync, however late user space comes. What a ring still holds then was pushed before but is the next
 * sync's; what of it has been counted already is listed apart.
 *
 * Not every RESET is an anchor: one that a full ring forces comes while the guest writes, so that a curve that
 * starts there starts too steeply. A reaper's or a sync's comes at its own time. Full rings serve
 * only where nothing else empties them.
 */
#ifndef DIRTYPROF_RING_BPF_H
#define DIRTYPROF_RING_BPF_H

const volatile bool targ_drain = false; /* the rings are read; else their pushes are hooked */

__u32 next_bits;   /* a clean set to go on with at a sync; taken by whoever swaps it */
__u32 closed_bits; /* the set that the RESET under way has closed */
__u32 nleft;	   /* pages that the last such RESET left in the rings */
__u32 left[DP_LEFT_MAX];
__u64 last_wake_ns; /* user space is woken at most 100 times a second */
__u32 blind_limit;  /* pages: more than this at a RESET is no good anchor */
__u32 full_seen;    /* a ring of this RESET had been full */

/* One small record a sync, so that user space can close its interval there. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} notes SEC(".maps");

/* QEMU's reaper comes once a second. */
#define ANCHOR_OVERDUE_NS 2500000000ull

/* ---- by hooking the push ---- */

static __always_inline int on_push(u32 index, u32 slot, u64 offset, u32 tid)
{
	struct dp_vcpu_stat *stat;

	stat = &vcpu_stats[place_of(index < DP_MAX_STAT_VCPUS ? index : DP_MAX_STAT_VCPUS - 1)];
	stat->pushes++;
	switch (count_event(cur_bits, slot, offset, 0, false)) {
	case COUNT_UNKNOWN:
		stat->unknown++;
		break;
	case COUNT_REPEATED:
		stat->repeated++;
		break;
	case COUNT_FIRST:
		stat->tid = tid;
		last_new_ns = bpf_ktime_get_ns();
		break;
	}
	return 0;
}

/* The first push since logging was switched on: user space takes this program away again. */
static __always_inline int on_first_push(u32 slot, u64 offset)
{
	struct dp_events_slot *s;
	struct dp_reset_note *note;
	u64 now;

	if (active)
		return 0;
	s = slot_of(slot, offset);
	if (!s)
		return 0;
	now = bpf_ktime_get_ns();
	see_logging(s, stamp_of(now));
	note = bpf_ringbuf_reserve(&notes, sizeof(*note), 0);
	if (!note)
		return 0;
	note->t_ns = now;
	note->tid = 0;
	note->set = DP_NOTE_START;
	bpf_ringbuf_submit(note, BPF_RB_FORCE_WAKEUP);
	return 0;
}

/* ---- RESETs ---- */

/* All rings' unreset pushes: what the other vCPUs had left at their last RESET is near enough. */
static __always_inline u32 blind_pages(struct dp_ring_state *rs, u32 used)
{
	static u32 total;
	u32 old = rs->used;

	rs->used = used;
	total += used - old;
	return total;
}

/* Lists an entry that the RESET left in its ring. Not static: see count_levels. */
__attribute__((noinline)) int list_left(u64 gfn_addr)
{
	struct kvm_dirty_gfn gfn;
	struct dp_events_slot *s;
	u32 n = nleft;

	if (bpf_probe_read_kernel(&gfn, sizeof(gfn), (void *)gfn_addr))
		return 0;
	s = slot_of(gfn.slot, gfn.offset);
	if (!s)
		return 0;
	nleft = n + 1;
	if (n < DP_LEFT_MAX)
		left[n] = page_of(s, gfn.offset);
	return 0;
}

static long list_next_left(u32 i, void *data)
{
	const struct ring_view *v = data;

	list_left(v->gfns + (u64)((v->reset + i) & (v->size - 1)) * sizeof(struct kvm_dirty_gfn));
	return 0;
}

static __always_inline void list_all_left(struct ring_view *v, u32 to)
{
	u32 n = to - v->reset, i;

	if ((s32)n <= 0)
		return;
	if (n > DP_LEFT_MAX)
		n = DP_LEFT_MAX;
	if (kernel_has_loop()) {
		bpf_loop(n, list_next_left, v, 0);
		return;
	}
	for (i = 0; i < DP_LEFT_MAX && i < n; i++)
		list_next_left(i, v);
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

/* Counts what has been harvested, and goes on with the set that is written now. */
static __always_inline void drain_reset(struct kvm_dirty_ring *ring, struct ring_view *v,
					struct dp_ring_state *rs, u64 now)
{
	u64 cur = 0;
	u32 tries;

	if (!rs->read_ns) {
		/* A vCPU that is new. */
		rs->cursor = cursor_of(cur_bits, v->dirty);
		rs->read_ns = now;
		return;
	}
	drain(ring, v, v->reset, 1, now, false);
	/*
	 * Pages are re-armed one by one, before this. Whoever reads entries from here on must know; what has been read of
	 * those that came since is listed.
	 */
	rearmed = stamp_of(bpf_ktime_get_ns()) + 1;
	for (tries = 0; tries < 8; tries++) {
		cur = *(volatile u64 *)&rs->cursor;
		if (__sync_val_compare_and_swap(&rs->cursor, cur, cursor_of(cur_bits, (u32)cur)) == cur)
			break;
	}
	if (closed_bits != DP_NO_SET)
		list_all_left(v, (u32)cur);
	drain(ring, v, v->dirty, 1, now, true);
}

/* The last ring's RESET: an anchor, if it came at its own time. */
static __always_inline void end_reset(u32 blind)
{
	/* Later than that of any entry that was counted before, also by the loader, whose clock may be ahead of this RESET's. */
	u32 stamp = stamp_of(bpf_ktime_get_ns()) + 1;
	bool full = full_seen, overdue;

	full_seen = 0;
	overdue = (u64)(u32)(stamp - anchors[0].stamp) << DP_STAMP_SHIFT > ANCHOR_OVERDUE_NS;
	if (!active || blind > blind_limit || (full && !overdue)) {
		rearmed = stamp;
		return;
	}
	/* What the other rings gained before the anchor must not count after it. */
	if (targ_drain && targ_vcpus > 1) {
		struct drain_all d = { .buffer = 1, .now = bpf_ktime_get_ns() };

		bpf_loop(DP_MAX_STAT_VCPUS, drain_listed, &d, 0);
		stamp = stamp_of(bpf_ktime_get_ns()) + 1;
	}
	rearmed = stamp;
	open_anchors(stamp, blind, false);
}

static __always_inline int on_reset(struct kvm_dirty_ring *ring)
{
	u32 tid = (u32)bpf_get_current_pid_tgid(), blind;
	u64 now = bpf_ktime_get_ns();
	struct dp_reset_note *note;
	struct dp_ring_state *rs;
	struct ring_view v;
	bool wake;

	if (!view_ring(ring, &v))
		return 0;
	rs = &rings[place_of(v.index)];
	/* The rings come in order, one caller at a time. */
	if (!v.index) {
		closed_bits = DP_NO_SET;
		if (!is_vcpu(tid))
			close_bits();
	}
	if (targ_drain)
		drain_reset(ring, &v, rs, now);
	else if (closed_bits != DP_NO_SET)
		list_all_left(&v, v.dirty);
	blind = blind_pages(rs, v.dirty - v.reset);
	/* Nearly full counts as full: what matters is that the guest's writing decided when. */
	if (v.soft_limit && v.reset - rs->reset >= v.soft_limit - v.soft_limit / 8)
		full_seen = 1;
	rs->reset = v.reset;
	/* KVM_RESET_DIRTY_RINGS goes through the rings in order: the last one ends it. */
	if (v.index + 1 < targ_vcpus && v.index + 1 < DP_MAX_STAT_VCPUS)
		return 0;
	end_reset(blind);
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

SEC("tp_btf/kvm_dirty_ring_push")
int BPF_PROG(first_push_btf, struct kvm_dirty_ring *ring, u32 slot, u64 offset)
{
	return IS_TARGET() ? on_first_push(slot, offset) : 0;
}

SEC("raw_tp/kvm_dirty_ring_push")
int first_push_raw(struct bpf_raw_tracepoint_args *ctx)
{
	return IS_TARGET() ? on_first_push((u32)ctx->args[1], ctx->args[2]) : 0;
}

SEC("tp_btf/kvm_dirty_ring_reset")
int BPF_PROG(reset_btf, struct kvm_dirty_ring *ring)
{
	return IS_TARGET() && !tp_arg_missing(ring) ? on_reset(ring) : 0;
}

SEC("raw_tp/kvm_dirty_ring_reset")
int reset_raw(struct bpf_raw_tracepoint_args *ctx)
{
	return IS_TARGET() ? on_reset((void *)ctx->args[0]) : 0;
}

#endif
