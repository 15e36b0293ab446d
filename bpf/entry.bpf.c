// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * When a guest that has not run yet runs first, as on the destination of a migration: a vCPU's thread calls KVM_RUN. The
 * loader attaches one of these while such a VM waits, and lets go of it when it has told: a guest that runs pays nothing.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "shared.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile int targ_tgid = 0;
const volatile int targ_self = 0; /* the loader's own process */

#define KVM_RUN 0xae80u /* _IO(KVMIO, 0x80), behind the direction bits */

__u64 first_entry_ns; /* CLOCK_MONOTONIC; 0 = not yet */
__u64 self_calls;     /* KVM_RUNs of the loader's own, by which it sees that the hook is called */

static __always_inline int on_entry(void)
{
	int tgid = (int)(bpf_get_current_pid_tgid() >> 32);

	if (tgid == targ_self)
		__sync_fetch_and_add(&self_calls, 1);
	/* A plain store: of vCPUs that come at once the last to store wins, microseconds after the first. */
	else if (tgid == targ_tgid && !first_entry_ns)
		first_entry_ns = bpf_ktime_get_ns();
	return 0;
}

SEC("fentry/kvm_arch_vcpu_ioctl_run")
int BPF_PROG(entry_fentry)
{
	return on_entry();
}

SEC("kprobe/kvm_arch_vcpu_ioctl_run")
int entry_kprobe(void *ctx)
{
	return on_entry();
}

/* x86: the guest's FPU is loaded at the beginning of KVM_RUN, and the host's at its end (load 0). */
SEC("tp_btf/kvm_fpu")
int BPF_PROG(entry_btf, int load)
{
	return load ? on_entry() : 0;
}

SEC("raw_tp/kvm_fpu")
int entry_raw(struct bpf_raw_tracepoint_args *ctx)
{
	return (int)ctx->args[0] ? on_entry() : 0;
}

/* Every system call of every process passes this one. */
SEC("raw_tp/sys_enter")
int entry_syscall(struct bpf_raw_tracepoint_args *ctx)
{
	struct pt_regs *regs = (void *)ctx->args[0];

	if (ctx->args[1] != DP_NR_IOCTL)
		return 0;
	if ((DP_SYSCALL_ARG2_CORE(regs) & 0xffffu) != KVM_RUN)
		return 0;
	return on_entry();
}
