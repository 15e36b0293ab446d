/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How much of its time a guest's vCPUs run. */
#ifndef DIRTYPROF_VM_BUSY_H
#define DIRTYPROF_VM_BUSY_H

#include "vm/proc.h"

#define DP_BUSY_VCPUS 288 /* more vCPUs are not looked at */

/* Zero to start. */
struct dp_busy {
	uint64_t at_ns;
	uint32_t n;
	struct {
		pid_t tid;
		uint64_t run_ns;
	} vcpu[DP_BUSY_VCPUS]; /* by ascending tid */
};

/*
 * The share of the time since the last call that a vCPU ran, 0 to 1, those that run more counting more (the mean weighted by
 * run time): a guest with one busy vCPU of four is busy. vCPUs are told by their threads' names, which QEMU gives with -name
 * debug-threads=on, as libvirt starts it. 0: unknown (the first call, no such names, the process gone).
 */
double dp_busy_since(struct dp_busy *b, const struct dp_proc *p, uint64_t now_ns);

#endif
