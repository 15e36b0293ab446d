// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Finding a VM where the kernel has no iterator over a process's files (no BTF, or too old): the loader runs
 * this and hands over an open /proc/PID, which leads to the process by way of its inode. Nothing is hooked.
 * The files are read without holding them: what was closed meanwhile yields nonsense, never a fault, and the
 * loader compares what it reads of a VM before it believes it.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "shared.h"
#include "kvmfile.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

__u32 next_fd; /* where to go on; 0: all were looked at */
__u32 nfound;

/* A map, whose bounds every verifier understands. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, DP_FIND_RECS);
	__type(key, u32);
	__type(value, struct dp_fd_rec);
} found SEC(".maps");

static __always_inline struct file *file_of(struct task_struct *task, u32 fd)
{
	struct fdtable *fdt = BPF_CORE_READ(task, files, fdt);
	struct file *file = NULL;

	if (fdt && fd < BPF_CORE_READ(fdt, max_fds))
		bpf_probe_read_kernel(&file, sizeof(file), (void *)(BPF_CORE_READ(fdt, fd) + fd));
	return file;
}

/* The process that an open /proc/PID of ours stands for. */
static __always_inline struct task_struct *task_of(u32 proc_fd)
{
	struct task_struct *self = (void *)bpf_get_current_task();
	struct file *dir = file_of(self, proc_fd);
	struct proc_inode *pi;
	struct hlist_node *node;
	u64 inode;

	inode = (u64)BPF_CORE_READ(dir, f_inode);
	if (!inode)
		return NULL;
	pi = (void *)(inode - bpf_core_field_offset(struct proc_inode, vfs_inode));
	/* tasks[0] is PIDTYPE_PID: the one task whose pid this is, linked by its pid_links[0] */
	node = BPF_CORE_READ(pi, pid, tasks[0].first);
	if (!node)
		return NULL;
	return (void *)((u64)node - bpf_core_field_offset(struct task_struct, pid_links));
}

/* Arguments: the descriptor of /proc/PID, the first descriptor to look at. Returns 0, 1: no such process. */
SEC("raw_tp")
int find_files(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = task_of((u32)ctx->args[0]);
	u32 i, fd = (u32)ctx->args[1], max;

	next_fd = 0;
	nfound = 0;
	if (!task)
		return 1;
	max = BPF_CORE_READ(task, files, fdt, max_fds);
	for (i = 0; i < DP_FIND_RECS; i++, fd++) {
		struct dp_fd_rec rec = {}, *out;
		struct file *file;
		u32 n = nfound;

		if (fd >= max)
			return 0;
		file = file_of(task, fd);
		if (!file || !kvm_file_describe(file, fd, &rec))
			continue;
		out = bpf_map_lookup_elem(&found, &n);
		if (!out)
			continue; /* never: a run looks at no more files than there is room for */
		*out = rec;
		nfound = n + 1;
	}
	next_fd = fd;
	return 0;
}
