/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finding the VM that a process holds: KVM's files among its own. */
#ifndef DIRTYPROF_PROBE_FIND_H
#define DIRTYPROF_PROBE_FIND_H

#include <bpf/libbpf.h>
#include <stdint.h>
#include <sys/types.h>

#include "bpf/shared.h"

struct dp_found {
	uint64_t kvm; /* struct kvm * of the first VM */
	uint32_t vms, vcpus;
	uint64_t vcpu[DP_VCPU_PTRS]; /* struct kvm_vcpu *; 0 from the end on */
};

/* By a loaded program of type iter/task_file. 0, -ENXIO: the process holds no VM, or other negative errno. */
int dp_find_by_iter(const struct bpf_program *prog, pid_t pid, struct dp_found *out);

/* Without iterators and without the kernel's own BTF. */
struct dp_finder;
int dp_finder_open(struct dp_finder **out); /* 0 or negative errno */
int dp_finder_find(struct dp_finder *f, pid_t pid, struct dp_found *out);
void dp_finder_close(struct dp_finder *f);

#endif
