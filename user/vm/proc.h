/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A VMM process as /proc shows it: does it hold a KVM VM, which QEMU is it, where is its QMP, which
 * threads has it, which of its devices write memory behind KVM's dirty log.
 */
#ifndef DIRTYPROF_VM_PROC_H
#define DIRTYPROF_VM_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "dirtyprof/snapshot.h"
#include "qmp/addr.h"

#define DP_PROC_MAX_QMP 4
#define DP_PROC_MSG	256

struct dp_proc {
	pid_t pid;
	int pidfd; /* -1: this kernel has none (before 5.3) */
	int dirfd; /* /proc/PID: stays tied to this process, whatever becomes of the number */
	char comm[16];
	bool qemu;		    /* looks like a QEMU: its program name or its binary says so */
	uint32_t nvms;		    /* kvm-vm descriptors (of distinct numbers) */
	int vm_fd;		    /* the first one's number in that process */
	uint32_t nvcpus;	    /* kvm-vcpu descriptors */
	char name[DP_NAME_LEN * 2]; /* -name, "" without */
	bool debug_threads;	    /* threads carry names */
	/* "7.2.22", read out of the binary that runs; "" unknown. QMP knows better */
	char qemu_version[DP_NAME_LEN];
	uint32_t nqmp; /* QMP servers in its command line, in that order */
	struct dp_qmp_addr qmp[DP_PROC_MAX_QMP];
	/*
	 * DP_BLIND_*, from open descriptors (hot-plugged devices as well) and, for a QEMU, from its
	 * command line. Of other VMMs' emulated devices nothing is known: DP_BLIND_DMA is for QEMU alone.
	 */
	uint32_t blind;
	char msg[DP_PROC_MSG]; /* after an error: one line for people */
};

/*
 * Opens a process that holds a KVM VM. 0, or with out->msg set and nothing left open:
 *   -EINVAL  pid is not positive          -ESRCH  no such process, has exited, or pid is a thread's
 *   -EPERM   may not look at it           -ENXIO  no KVM VM in it (a QEMU under TCG: own message)
 *   -EMFILE, -ENOMEM, -EIO
 */
int dp_proc_open(pid_t pid, struct dp_proc *out);
void dp_proc_close(struct dp_proc *p); /* NULL-safe, also after a failed or repeated close */

bool dp_proc_alive(const struct dp_proc *p);
/* 1: it has exited; 0: not within timeout_ms (-1 = no end); negative errno. */
int dp_proc_wait(const struct dp_proc *p, int timeout_ms);

/*
 * Calls cb for each process of this host (that /proc shows) that holds a kvm-vm descriptor, by ascending
 * pid; p is closed afterwards. A non-zero return of cb ends it and is returned. *hidden (may be NULL):
 * processes that could not be looked at.
 */
int dp_proc_each_vm(int (*cb)(void *ctx, const struct dp_proc *p), void *ctx, uint32_t *hidden);

/* By name only, so a hint: names exist under -name debug-threads=on alone, and anyone may choose them. */
enum dp_thread_kind {
	DP_THREAD_OTHER,
	DP_THREAD_VCPU,	     /* "CPU 3/KVM" */
	DP_THREAD_MIGRATION, /* "live_migration", "mig/src/main" */
	DP_THREAD_MULTIFD,   /* "multifdsend_0", "mig/src/send_0" */
	DP_THREAD_DIRTYRATE, /* "get_dirtyrate", "mig/dirtyrate" */
	DP_THREAD_REAPER,    /* "kvm-reaper" */
};

struct dp_thread {
	pid_t tid;
	enum dp_thread_kind kind;
	int index; /* of a vCPU or channel; -1 none */
	char comm[16];
	uint64_t utime_ns, stime_ns; /* CPU time so far, to the clock tick */
};

const char *dp_thread_kind_name(enum dp_thread_kind k);
enum dp_thread_kind dp_thread_classify(const char *comm, int *index);

/*
 * All threads by ascending tid, in an array to be freed; threads that end meanwhile are left out. 0,
 * -ESRCH, -ENOMEM, -EIO.
 */
int dp_proc_threads(const struct dp_proc *p, struct dp_thread **out, size_t *n);

#endif
