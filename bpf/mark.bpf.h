/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * mark_page_dirty_in_slot(): where KVM notes that a page was written, whatever the log. It is called for slots that
 * do not log as well, and again for a page that was not re-armed: both are dropped here.
 *
 * With a ring, RESETs re-arm and open anchors (ring.bpf.h). With bitmaps, the `harvest` programs see the GETs and CLEARs and
 * note in a map that both share when everything had been re-armed; the first mark after that opens the anchor, at
 * that time. So nothing that user space does late can blur it. With manual protect a round lasts from the first GET of a sync to
 * the CLEAR that leaves nothing of it to be cleared; what was marked meanwhile is dirty, and will not be marked again.
 */
#ifndef DIRTYPROF_MARK_BPF_H
#define DIRTYPROF_MARK_BPF_H

#include "rearms.bpf.h"

#define KVM_MEM_LOG_DIRTY_PAGES 1

const volatile bool targ_bitmap = false; /* the VM logs in bitmaps: re-armings come through the map */

__u64 marks;	     /* events so far, repetitions included */
__u64 round_marks;   /* of these, before the re-arming under way began */
__u64 round_seen_ns; /* which re-arming that was */
__u32 anchors_seen;  /* complete re-armings whose anchor was opened, or was not worth it */
__u32 ram_logs;	     /* a round is one of RAM, not of a VGA's memory alone; by the loader */
__u64 stopped_ns;    /* when the guest or its logging was last seen to stop: rounds from before it are over */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct dp_mark_thread);
} mark_threads SEC(".maps");

/* How this mark came, after those before it. Not static: see count_levels. */
__attribute__((noinline)) int note_gap(u64 now)
{
	u32 tid = (u32)bpf_get_current_pid_tgid(), key = tid & (DP_MARK_THREADS - 1);
	struct dp_mark_thread *t = bpf_map_lookup_elem(&mark_threads, &key);

	if (!t)
		return 0;
	dp_gap_note(t, tid, now, started_ns);
	t->end_ns = last_new_ns = bpf_ktime_get_ns();
	return 0;
}

/* Takes over what GETs and CLEARs have re-armed since the last mark. */
__attribute__((noinline)) int follow_rearming(u32 unused)
{
	u32 key = 0, seen = anchors_seen, stamp;
	struct dp_rearm *r = bpf_map_lookup_elem(&rearms, &key);
	u64 blind;

	if (!r)
		return 0;
	if (r->begun_ns && r->begun_ns != round_seen_ns) {
		round_seen_ns = r->begun_ns;
		round_marks = marks;
	}
	if (r->last_ns) {
		stamp = stamp_of(r->last_ns);
		if ((s32)(stamp - rearmed) > 0)
			rearmed = stamp;
	}
	if (r->complete == seen || __sync_val_compare_and_swap(&anchors_seen, seen, r->complete) != seen)
		return 0;
	/* What was marked between the first and the last re-arming is dirty and will not be marked again. */
	blind = r->first_ns == round_seen_ns ? marks - round_marks : 0;
	if (blind > blind_limit || r->first_ns <= stopped_ns)
		return 0;
	if (active)
		open_anchors(stamp_of(r->anchor_ns), blind, false);
	else if (ram_logs)
		start_logging(stamp_of(r->anchor_ns), blind);
	return 0;
}

static __always_inline int on_mark(u32 flags, u32 as_id, u32 id, u64 offset)
{
	struct dp_vcpu_stat *stat = &vcpu_stats[place_of(bpf_get_smp_processor_id())];
	u64 now = bpf_ktime_get_ns();

	if (!(flags & KVM_MEM_LOG_DIRTY_PAGES))
		return 0;
	if (targ_bitmap)
		follow_rearming(0);
	__sync_fetch_and_add(&marks, 1);
	__sync_fetch_and_add(&stat->pushes, 1);
	switch (count_event(cur_bits, as_id << 16 | id, offset, 0, false)) {
	case COUNT_UNKNOWN:
		__sync_fetch_and_add(&stat->unknown, 1);
		break;
	case COUNT_REPEATED:
		__sync_fetch_and_add(&stat->repeated, 1);
		break;
	case COUNT_REARMED:
	case COUNT_FIRST:
		note_gap(now);
		break;
	}
	return 0;
}

/* Run once: which threads are vCPUs, as a mark does not say whose it is. */
SEC("raw_tp")
int mark_tids(struct bpf_raw_tracepoint_args *ctx)
{
	u32 i;

	for (i = 0; i < DP_MAX_STAT_VCPUS && ring_vcpus[i]; i++)
		vcpu_stats[i].tid = kvm_vcpu_tid((struct kvm_vcpu *)ring_vcpus[i]);
	return 0;
}

/* Types need Linux 5.11 for a function of a module, and then it has all three arguments. */
SEC("fentry/mark_page_dirty_in_slot")
int BPF_PROG(mark_fentry, struct kvm *kvm, struct kvm_memory_slot *slot, u64 gfn)
{
	if (!IS_TARGET() || !slot)
		return 0;
	return on_mark(slot->flags, slot->as_id, (u16)slot->id, gfn - slot->base_gfn);
}

SEC("kprobe/mark_page_dirty_in_slot")
int BPF_KPROBE(mark_kprobe, void *first, void *second, u64 third)
{
	struct kvm_memory_slot *slot = kvm_mark_has_kvm() ? second : first;
	u64 gfn = kvm_mark_has_kvm() ? third : (u64)second;

	if (!IS_TARGET() || !slot)
		return 0;
	return on_mark(BPF_CORE_READ(slot, flags), kvm_slot_as_id(slot, 0), (u16)BPF_CORE_READ(slot, id),
		       gfn - BPF_CORE_READ(slot, base_gfn));
}

#endif
