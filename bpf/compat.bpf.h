/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Kernel drift, all of it: each shim names the commit that made it necessary. The BPF programs call
 * these and know of no version.
 */
#ifndef DIRTYPROF_COMPAT_BPF_H
#define DIRTYPROF_COMPAT_BPF_H

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

#endif
