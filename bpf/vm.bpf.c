// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Finding a VM and reading its memslots. Nothing here hooks anything: the iterator runs when its file is
 * read, the raw_tp program when the loader runs it (BPF_PROG_TEST_RUN), so looking costs the guest nothing.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "compat.bpf.h"
#include "shared.h"
#include "kvmfile.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile int targ_tgid = 0; /* 0: every process (list) */

struct dp_vm_rec vm_out;
__u64 vcpu_ptrs[DP_VCPU_PTRS]; /* written by the loader from what the iterator found */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, DP_SLOT_RECS);
	__type(key, u32);
	__type(value, struct dp_slot_rec);
} slots_out SEC(".maps");

/* Buckets, links and array elements a run looks at: both address spaces of a VM with 700 slots. */
#define WALK_STEPS 1024

SEC("iter/task_file")
int kvm_files(struct bpf_iter__task_file *ctx)
{
	struct dp_fd_rec rec = {};
	struct file *file = ctx->file;
	struct task_struct *task = ctx->task;

	if (!file || !task || (targ_tgid && task->tgid != targ_tgid))
		return 0;
	if (!kvm_file_describe(file, ctx->fd, &rec))
		return 0;
	bpf_seq_write(ctx->meta->seq, &rec, sizeof(rec));
	return 0;
}

/*
 * One walk over the memslots of all address spaces. It goes on from here in the next run when a run was not enough. In a
 * global: what the verifier cannot know it cannot take for constant.
 */
struct {
	__u64 kvm, slots; /* struct kvm *, struct kvm_memslots * */
	__u64 node;	  /* where in a chain of the hash table */
	__u32 as, at;	  /* address space; bucket or index to look at next */
	__u32 end;	  /* of buckets, or of the array */
	__u32 node_off;	  /* of the chain's link in a slot */
} walk;

static __always_inline void add_slot(struct kvm_memory_slot *slot)
{
	u32 n = vm_out.nslots;
	struct dp_slot_rec *out = bpf_map_lookup_elem(&slots_out, &n);

	if (!out) {
		vm_out.overflow++;
		return;
	}
	out->base_gfn = BPF_CORE_READ(slot, base_gfn);
	out->npages = BPF_CORE_READ(slot, npages);
	out->hva = BPF_CORE_READ(slot, userspace_addr);
	out->bitmap_ptr = (u64)BPF_CORE_READ(slot, dirty_bitmap);
	out->slot_ptr = (u64)slot;
	out->flags = BPF_CORE_READ(slot, flags);
	out->id = BPF_CORE_READ(slot, id);
	out->as_id = kvm_slot_as_id(slot, walk.as);
	vm_out.nslots = n + 1;
}

/* Begins with the next address space; false: that was the last one. */
static __always_inline bool next_aspace(void)
{
	struct kvm *kvm = (void *)walk.kvm;
	struct kvm_memslots *slots = NULL;

	walk.slots = 0;
	walk.as++;
	if (walk.as >= vm_out.naspaces || walk.as > 1)
		return false;
	bpf_probe_read_kernel(&slots, sizeof(slots),
			      (void *)kvm + bpf_core_field_offset(kvm->memslots) + walk.as * 8);
	if (!slots)
		return true;
	vm_out.generation[walk.as & 1] = BPF_CORE_READ(slots, generation);
	walk.slots = (u64)slots;
	walk.node = 0;
	walk.at = 0;
	walk.end = kvm_memslots_end(slots);
	walk.node_off = kvm_memslots_node_offset(slots);
	return true;
}

/* Looks at one bucket, link or array element. */
static __always_inline void walk_step(void)
{
	struct kvm_memslots *slots = (void *)walk.slots;
	u64 node = walk.node;

	if (kvm_memslots_sorted()) {
		add_slot(kvm_memslots_element(slots, walk.at++));
		return;
	}
	if (!node) {
		walk.node = kvm_memslots_bucket(slots, walk.at++);
		return;
	}
	add_slot((void *)(node - walk.node_off));
	if (bpf_probe_read_kernel(&node, sizeof(node), (void *)node))
		node = 0;
	walk.node = node;
}

static __always_inline void walk_on(void)
{
	u32 i;

	for (i = 0; i < WALK_STEPS; i++) {
		if (walk.slots && (walk.node || walk.at < walk.end)) {
			walk_step();
			continue;
		}
		if (!next_aspace()) {
			vm_out.done = 1;
			return;
		}
	}
}

/*
 * How many vCPUs are inside KVM_RUN, and how many have been there at some time; a pointer that no longer belongs to this VM is
 * passed over.
 */
static __always_inline void count_vcpus(struct kvm *kvm)
{
	int i;

	for (i = 0; i < DP_VCPU_PTRS; i++) {
		struct kvm_vcpu *vcpu = (void *)vcpu_ptrs[i];
		int runs;

		if (!vcpu)
			break;
		if (BPF_CORE_READ(vcpu, kvm) != kvm)
			continue;
		if (kvm_vcpu_tid(vcpu))
			vm_out.ran++;
		runs = kvm_vcpu_runs(vcpu);
		if (runs < 0)
			vm_out.running = -1;
		else
			vm_out.running += runs;
	}
}

/*
 * Arguments: struct kvm *, from the iterator above, and whether to go on with the last walk. A stale pointer yields nonsense
 * that the loader detects, never a fault.
 */
SEC("raw_tp")
int vm_inspect(struct bpf_raw_tracepoint_args *ctx)
{
	struct kvm *kvm = (void *)ctx->args[0];

	if (!ctx->args[1]) {
		__builtin_memset(&vm_out, 0, sizeof(vm_out));
		vm_out.userspace_pid = BPF_CORE_READ(kvm, userspace_pid);
		vm_out.created_vcpus = BPF_CORE_READ(kvm, created_vcpus);
		vm_out.mm = (u64)BPF_CORE_READ(kvm, mm);
		vm_out.manual_protect = kvm_manual_protect(kvm);
		vm_out.ring_bytes = kvm_ring_bytes(kvm);
		vm_out.nlogging = kvm_nlogging(kvm);
		count_vcpus(kvm);
		vm_out.mmu = kvm_power_mmu(kvm);
		vm_out.naspaces = bpf_core_field_size(kvm->memslots) / 8;
		walk.kvm = (u64)kvm;
		walk.slots = 0;
		walk.as = (u32)-1;
	}
	walk_on();
	return 0;
}

/* ---- when did the guest last run? ---- */

__u64 vcpu_last_exit_ns;

static __always_inline int on_userspace_exit(void)
{
	if ((int)(bpf_get_current_pid_tgid() >> 32) != targ_tgid)
		return 0;
	/* A plain store: whichever vCPU stores last wins, and they stop within microseconds of each other. */
	vcpu_last_exit_ns = bpf_ktime_get_ns();
	return 0;
}

SEC("tp_btf/kvm_userspace_exit")
int BPF_PROG(userspace_exit_btf, u32 reason, int err)
{
	return on_userspace_exit();
}

SEC("raw_tp/kvm_userspace_exit")
int userspace_exit_raw(struct bpf_raw_tracepoint_args *ctx)
{
	return on_userspace_exit();
}
