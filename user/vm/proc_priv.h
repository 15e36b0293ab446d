/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Inside the view of a process. All paths are relative to p->dirfd, /proc/PID. */
#ifndef DIRTYPROF_VM_PROC_PRIV_H
#define DIRTYPROF_VM_PROC_PRIV_H

#include <dirent.h>

#include "vm/proc.h"

/* A whole /proc file, at most max bytes, with a NUL behind; to be freed. 0 or a negative errno. */
int proc__read(int dirfd, const char *path, size_t max, char **out, size_t *len);
int proc__opendir(int dirfd, const char *path, DIR **out);
/* Is this what a vCPU's descriptor links to? Old kernels leave the number out. */
bool proc__is_vcpu(const char *link);
/* Counts VMs and vCPUs, finds devices, in p's descriptors. stop_at_vm: only until the first VM. */
int proc__scan_fds(struct dp_proc *p, bool stop_at_vm);
/* The path that the unix socket behind descriptor fd of p is bound to. 0, -ENOENT. */
int proc__unix_path(const struct dp_proc *p, int fd, struct dp_qmp_addr *out);
/* The version in the binary that p runs; "" if there is none. */
void proc__find_version(struct dp_proc *p);
/*
 * Reads a QEMU's command line: len bytes of NUL-terminated arguments with a NUL behind. Fills in name,
 * debug_threads, qmp, blind.
 */
void proc__parse_args(struct dp_proc *p, const char *args, size_t len);
bool proc__qemu_name(const char *path);

/*
 * The value of key in "a,key=value,flag,b=x,,y"; implied names the first one if it has no '='. A flag has
 * the value "on", and "noflag" is flag=off. Doubled commas are one comma of a value. False if there is
 * none, or it does not fit.
 */
bool proc__opt(const char *opts, const char *implied, const char *key, char *out, size_t size);

#endif
