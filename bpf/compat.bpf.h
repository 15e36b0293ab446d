/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Kernel drift, all of it: each shim names the commit that made it necessary. The BPF programs call
 * these and know of no version.
 */
#ifndef DIRTYPROF_COMPAT_BPF_H
#define DIRTYPROF_COMPAT_BPF_H

#include "shared.h"

/* fb04a1eddb1a ("KVM: X86: Implement ring-based dirty memory tracking", 5.11) added the ring. */
static __always_inline u32 kvm_ring_bytes(struct kvm *kvm)
{
	if (!bpf_core_field_exists(kvm->dirty_ring_size))
		return 0;
	return BPF_CORE_READ(kvm, dirty_ring_size);
}

/* 2a31b9db1535 ("kvm: introduce manual dirty log reprotect", 5.0) added the switch; 3c9bd4006bfc (5.7) made it a mask. */
static __always_inline u64 kvm_manual_protect(struct kvm *kvm)
{
	if (!bpf_core_field_exists(kvm->manual_dirty_log_protect))
		return 0;
	if (bpf_core_field_size(kvm->manual_dirty_log_protect) == 1) {
		u8 v = 0;

		bpf_core_read(&v, 1, &kvm->manual_dirty_log_protect);
		return v;
	}
	return BPF_CORE_READ(kvm, manual_dirty_log_protect);
}

/* "KVM: Keep track of the number of memslots with dirty logging enabled", in kernels from 6.2 on. */
static __always_inline s32 kvm_nlogging(struct kvm *kvm)
{
	if (!bpf_core_field_exists(kvm->nr_memslots_dirty_logging))
		return -1;
	return BPF_CORE_READ(kvm, nr_memslots_dirty_logging.counter);
}

/*
 * A vCPU's mutex is held for the whole of KVM_RUN. PREEMPT_RT builds mutexes on rt_mutex (bb630f9f7a7d, 5.15), which has
 * no such owner field.
 */
static __always_inline int kvm_vcpu_runs(struct kvm_vcpu *vcpu)
{
	if (!bpf_core_field_exists(vcpu->mutex.owner))
		return -1;
	return BPF_CORE_READ(vcpu, mutex.owner.counter) != 0;
}

/*
 * "bpf: Augment raw_tp arguments with PTR_MAYBE_NULL" (6.13, and in 6.12's stable series): the verifier takes every pointer
 * argument of a module's tracepoint for one that may be NULL, until it was compared.
 */
static __always_inline bool tp_arg_missing(const void *arg)
{
	return !arg;
}

/*
 * a54d806688fe ("KVM: Keep memslots in tree-based structures instead of array-based ones", 5.17): before it an address
 * space's slots are an array of used_slots elements, after it they hang in a hash table, with a set of links for each of two
 * copies. Told apart by the fields, as some distributions' older kernels have the newer layout.
 */
struct kvm_memslots___array {
	int used_slots; /* or short */
	struct kvm_memory_slot memslots[];
} __attribute__((preserve_access_index));

static __always_inline bool kvm_memslots_sorted(void)
{
	struct kvm_memslots___array *s = NULL;

	return bpf_core_field_exists(s->used_slots);
}

/* How many buckets or elements to look at. */
static __always_inline u32 kvm_memslots_end(struct kvm_memslots *slots)
{
	struct kvm_memslots___array *old = (void *)slots;
	u32 n = 0;

	if (!kvm_memslots_sorted())
		return bpf_core_field_size(slots->id_hash) / 8;
	if (bpf_core_field_size(old->used_slots) == 4)
		bpf_core_read(&n, 4, &old->used_slots);
	else
		bpf_core_read(&n, 2, &old->used_slots);
	return n <= DP_SLOT_RECS ? n : DP_SLOT_RECS;
}

static __always_inline struct kvm_memory_slot *kvm_memslots_element(struct kvm_memslots *slots, u32 i)
{
	struct kvm_memslots___array *old = (void *)slots;

	if (!bpf_core_field_exists(old->memslots))
		return NULL;
	return (void *)slots + bpf_core_field_offset(old->memslots) +
	       (u64)i * bpf_core_type_size(struct kvm_memory_slot);
}

/* The first link of a bucket's chain; hlist_head is one pointer. */
static __always_inline u64 kvm_memslots_bucket(struct kvm_memslots *slots, u32 i)
{
	u64 node = 0;

	if (bpf_core_field_exists(slots->id_hash))
		bpf_probe_read_kernel(&node, sizeof(node),
				      (void *)slots + bpf_core_field_offset(slots->id_hash) + i * 8);
	return node;
}

/* Where in a slot the links of this copy are; hlist_node is two pointers. */
static __always_inline u32 kvm_memslots_node_offset(struct kvm_memslots *slots)
{
	struct kvm_memory_slot *slot = NULL;

	if (!bpf_core_field_exists(slot->id_node) || !bpf_core_field_exists(slots->node_idx))
		return 0;
	return bpf_core_field_offset(slot->id_node) + (BPF_CORE_READ(slots, node_idx) & 1) * 16;
}

/* "KVM: Cache as_id in kvm_memory_slot" (5.11); before, whoever walks the slots knows it. */
static __always_inline u32 kvm_slot_as_id(struct kvm_memory_slot *slot, u32 walked)
{
	return bpf_core_field_exists(slot->as_id) ? BPF_CORE_READ(slot, as_id) : walked;
}

/* The ring came with fb04a1eddb1a (5.11); without it there is nothing to read. */
static __always_inline struct kvm_dirty_ring *kvm_vcpu_ring(struct kvm_vcpu *vcpu)
{
	if (!bpf_core_field_exists(vcpu->dirty_ring))
		return NULL;
	return (void *)vcpu + bpf_core_field_offset(vcpu->dirty_ring);
}

/* The thread that runs a vCPU, in the first pid namespace as bpf_get_current_pid_tgid tells it; 0: it has not run. */
static __always_inline u32 kvm_vcpu_tid(struct kvm_vcpu *vcpu)
{
	return BPF_CORE_READ(vcpu, pid, numbers[0].nr);
}

/*
 * POWER, KVM HV: the MMU of the guest. kvm_arch.radix came with the radix MMU of POWER9 (4.11); before it there was hash only.
 * KVM PR, which has neither and logs host pages, and other architectures: 0.
 */
static __always_inline u32 kvm_power_mmu(struct kvm *kvm)
{
	if (!bpf_core_field_exists(kvm->arch.lpcr) || !bpf_core_field_exists(kvm->arch.radix))
		return 0;
	/* Only HV gives its guests an LPCR. */
	if (!BPF_CORE_READ(kvm, arch.lpcr))
		return 0;
	return BPF_CORE_READ(kvm, arch.radix) ? DP_VM_RADIX : DP_VM_HASH;
}

/* e6f2dd0f8067 ("bpf: Add bpf_loop helper", 5.17); before, the verifier walks through every turn of a loop. */
enum bpf_func_id___loop {
	BPF_FUNC_loop___loop = 181,
};

static __always_inline bool kernel_has_loop(void)
{
	return bpf_core_enum_value_exists(enum bpf_func_id___loop, BPF_FUNC_loop___loop);
}

/*
 * "KVM: Pass in kvm pointer into mark_page_dirty_in_slot()" (5.11) put it before the slot, in the same series that brought
 * the dirty ring, by whose field it is told.
 */
static __always_inline bool kvm_mark_has_kvm(void)
{
	struct kvm *kvm = NULL;

	return bpf_core_field_exists(kvm->dirty_ring_size);
}

#endif
