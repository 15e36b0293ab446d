/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel types that the BPF programs read, and of each only the fields they read. Offsets and sizes
 * are relocated at load time from the running kernel's BTF (CO-RE), so the order and the gaps here mean
 * nothing. Written by hand; see vmlinux/README.md for how to add a field and how it was checked.
 */
#ifndef DIRTYPROF_VMLINUX_H
#define DIRTYPROF_VMLINUX_H
#define __VMLINUX_H__ /* bpf_tracing.h: the registers have the kernel's names */

typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef __s8 s8;
typedef __u8 u8;
typedef __s16 s16;
typedef __u16 u16;
typedef __s32 s32;
typedef __u32 u32;
typedef __s64 s64;
typedef __u64 u64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;
typedef unsigned long size_t;

#define true 1
#define false 0
#define NULL ((void *)0)

/* UAPI values (include/uapi/linux/bpf.h, kvm.h, magic.h, socket.h): they never change. */
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_RINGBUF = 27,
};

enum { BPF_ANY = 0, BPF_NOEXIST = 1, BPF_EXIST = 2 };
enum { BPF_F_MMAPABLE = 1024 };
enum { BPF_RB_NO_WAKEUP = 1, BPF_RB_FORCE_WAKEUP = 2 };
enum { BPF_RB_AVAIL_DATA = 0, BPF_RB_RING_SIZE = 1 };

#include "arch.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* --- processes and files --- */

struct super_block {
	unsigned long s_magic;
};

struct inode {
	struct super_block *i_sb;
};

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct qstr d_name;
};

struct path {
	struct dentry *dentry;
};

struct file {
	struct path f_path;
	struct inode *f_inode;
	void *private_data;
};

struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct task_struct {
	int pid;
	int tgid;
	struct files_struct *files;
	struct hlist_node pid_links[1];
};

struct upid {
	int nr;
};

struct pid {
	struct hlist_head tasks[1];
	struct upid numbers[1];
};

struct proc_inode {
	struct pid *pid;
	struct inode vfs_inode;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
	u64 session_id;
	u64 seq_num;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	u32 fd;
	struct file *file;
};

struct bpf_raw_tracepoint_args {
	u64 args[0];
};

/* --- KVM --- */

typedef struct {
	int counter;
} atomic_t;

struct mm_struct;

struct kvm_memory_slot {
	struct hlist_node id_node[2];
	u64 base_gfn;
	unsigned long npages;
	unsigned long *dirty_bitmap;
	unsigned long userspace_addr;
	u32 flags;
	short id;
	u16 as_id;
};

struct kvm_memslots {
	u64 generation;
	struct hlist_head id_hash[128];
	int node_idx;
};

/* POWER's; elsewhere these fields do not exist. */
struct kvm_arch {
	unsigned long lpcr;
	u8 radix;
};

struct kvm {
	struct kvm_arch arch;
	struct mm_struct *mm;
	struct kvm_memslots *memslots[2];
	atomic_t nr_memslots_dirty_logging;
	int created_vcpus;
	u64 manual_dirty_log_protect;
	int userspace_pid;
	u32 dirty_ring_size;
};

struct kvm_dirty_gfn {
	u32 flags;
	u32 slot;
	u64 offset;
};

struct kvm_dirty_ring {
	u32 dirty_index;
	u32 reset_index;
	u32 size;
	u32 soft_limit;
	struct kvm_dirty_gfn *dirty_gfns;
	int index;
};

typedef struct {
	long counter;
} atomic_long_t;

struct mutex {
	atomic_long_t owner;
};

struct kvm_vcpu {
	struct kvm *kvm;
	struct mutex mutex;
	struct pid *pid;
	int vcpu_id;
	int vcpu_idx;
	struct kvm_dirty_ring dirty_ring;
};

/* --- sockets --- */

struct in6_addr {
	union {
		u8 u6_addr8[16];
	} in6_u;
};

struct sock_common {
	__be32 skc_daddr;
	__be16 skc_dport;
	unsigned short skc_family;
	struct in6_addr skc_v6_daddr;
};

struct sock {
	struct sock_common __sk_common;
	u16 sk_protocol;
	u16 sk_type;
};

struct socket {
	struct sock *sk;
};

struct msghdr;

struct tcp_sock {
	u32 mss_cache;
	u32 srtt_us;
	u32 rate_delivered;
	u32 rate_interval_us;
	u32 write_seq;
	u32 snd_una;
	u64 bytes_sent;
	u64 bytes_acked;
	u64 bytes_retrans;
	u8 rate_app_limited : 1;
};

#pragma clang attribute pop

#endif
