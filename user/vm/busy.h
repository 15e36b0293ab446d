/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How much of its time a guest's vCPUs run. */
#ifndef DIRTYPROF_VM_BUSY_H
#define DIRTYPROF_VM_BUSY_H

#include <stdint.h>
#include <sys/types.h>

#define DP_BUSY_VCPUS 288 /* more vCPUs are not looked at */

/* Zero to start. */
struct dp_busy {
	uint64_t at_ns;
	uint32_t n;
	struct {
		pid_t tid;
		uint64_t run_ns;
	} vcpu[DP_BUSY_VCPUS];
};

/*
 * The share of the time since the last call that a vCPU ran, 0 to 1, those that run more counting more (the mean weighted by
 * run time): a guest with one busy vCPU of four is busy. vCPUs are told by their threads' names ("CPU 0/KVM"), which QEMU
 * gives with -name debug-threads=on, as libvirt starts it. 0: unknown (the first call, no such names, the process gone).
 */
double dp_busy_since(struct dp_busy *b, pid_t pid, uint64_t now_ns);

/* Whether a thread's name is a vCPU's. */
int dp_busy_is_vcpu(const char *name);

#endif
