/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A VM as KVM has it: struct kvm from the process's file table, its memslots, whether and how it logs.
 * Looking hooks nothing and costs the guest nothing, so it may be done often.
 */
#ifndef DIRTYPROF_PROBE_INSPECT_H
#define DIRTYPROF_PROBE_INSPECT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bpf/shared.h"
#include "probe/hook.h"

struct dp_inspect;

extern const struct dp_way dp_vm_ways[], dp_runs_ways[];

struct dp_kvm {
	struct dp_vm_rec vm;
	const struct dp_slot_rec *slots; /* vm.nslots of them; valid until the next look */
};

/*
 * Finds the VM of a process. hooks: ways to find it (DP_USE_VM) and to watch its vCPUs run (DP_USE_RUNS), NULL: the best. 0, or
 * with *msg set to a line for people: -EPERM (no privilege for BPF), -ENOSYS (the kernel lacks what is needed: BTF,
 * iterators), -ENXIO (no KVM file in it), -ENOMEM, other negative errno.
 */
int dp_inspect_open(pid_t pid, const struct dp_hooks *hooks, struct dp_inspect **out, char *msg, size_t len);
void dp_inspect_close(struct dp_inspect *i);

/* Reads the VM now. 0; -ESTALE: the VM that was found is gone (closed, or its memory reused). */
int dp_inspect_look(struct dp_inspect *i, struct dp_kvm *out);

/* Looks for the VM's file again (a process can close one VM and make another). 0, -ENXIO, ... */
int dp_inspect_refind(struct dp_inspect *i);

uint32_t dp_inspect_vcpus(const struct dp_inspect *i); /* by their files, at the last find */
const __u64 *dp_inspect_vcpu_ptrs(const struct dp_inspect *i,
				  uint32_t *n);	     /* struct kvm_vcpu *, at most DP_VCPU_PTRS */
uint64_t dp_inspect_kvm(const struct dp_inspect *i); /* struct kvm * */
uint32_t dp_inspect_vms(const struct dp_inspect *i);

/*
 * Whether this machine's KVM is POWER's KVM HV, which marks no page when its guest writes to it: read off a VM that is made for
 * this and closed again. false where no VM can be made or read, too.
 */
bool dp_inspect_machine_is_hv(void);

/* Watches when vCPUs return to user space, to know when the guest stopped. 0 or negative errno (then the times stay 0). */
int dp_inspect_watch_vcpus(struct dp_inspect *i);
uint64_t dp_inspect_last_run_ns(const struct dp_inspect *i); /* CLOCK_MONOTONIC; 0 = not seen */

/* No vCPU was seen to leave KVM_RUN so far; false where that cannot be seen. */
bool dp_inspect_never_ran(const struct dp_inspect *i);

/* Run count and time of its programs are added. */
void dp_inspect_stats(const struct dp_inspect *i, uint64_t *runs, uint64_t *ns);

#endif
