// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Finding a VM and reading its memslots. Nothing here hooks anything: the iterator runs when its file is
 * read, the raw_tp program when the loader runs it (BPF_PROG_TEST_RUN), so looking costs the guest nothing.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "compat.bpf.h"
#include "shared.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile int targ_tgid = 0; /* 0: every process (list) */

struct dp_vm_rec vm_out;
__u64 vcpu_ptrs[DP_VCPU_PTRS]; /* written by the loader from what the iterator found */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, DP_SLOT_RECS);
	__type(key, u32);
	__type(value, struct dp_slot_rec);
} slots_out SEC(".maps");

#define ANON_INODE_FS_MAGIC 0x09041934

/* An anonymous inode named kvm-vm or kvm-vcpu:N. Any process can name a file so, but not on that file system. */
static __always_inline int kvm_file_kind(struct file *file)
{
	char name[10] = {};
	const unsigned char *p;

	if (BPF_CORE_READ(file, f_inode, i_sb, s_magic) != ANON_INODE_FS_MAGIC)
		return 0;
	p = BPF_CORE_READ(file, f_path.dentry, d_name.name);
	if (bpf_probe_read_kernel_str(name, sizeof(name), p) < 0)
		return 0;
	if (name[0] != 'k' || name[1] != 'v' || name[2] != 'm' || name[3] != '-' || name[4] != 'v')
		return 0;
	if (name[5] == 'm' && !name[6])
		return DP_FD_VM;
	if (name[5] == 'c' && name[6] == 'p' && name[7] == 'u' && name[8] == ':')
		return DP_FD_VCPU;
	return 0;
}

SEC("iter/task_file")
int kvm_files(struct bpf_iter__task_file *ctx)
{
	struct dp_fd_rec rec = {};
	struct file *file = ctx->file;
	struct task_struct *task = ctx->task;
	void *priv;

	if (!file || !task || (targ_tgid && task->tgid != targ_tgid))
		return 0;
	rec.kind = kvm_file_kind(file);
	if (!rec.kind)
		return 0;
	rec.fd = ctx->fd;
	priv = BPF_CORE_READ(file, private_data);
	if (rec.kind == DP_FD_VM) {
		rec.kvm = (u64)priv;
	} else {
		struct kvm_vcpu *vcpu = priv;

		rec.vcpu = (u64)vcpu;
		rec.kvm = (u64)BPF_CORE_READ(vcpu, kvm);
		rec.vcpu_id = BPF_CORE_READ(vcpu, vcpu_id);
		rec.vcpu_idx = BPF_CORE_READ(vcpu, vcpu_idx);
	}
	bpf_seq_write(ctx->meta->seq, &rec, sizeof(rec));
	return 0;
}

/* State of one walk over the slots' hash table (kernels 5.17 and later). */
struct walk {
	struct kvm_memslots *slots;
	u64 node;
	u32 bucket;
	u32 idx;
	u32 id_node_off;
};

static long walk_step(u32 i, void *data)
{
	struct walk *w = data;
	struct kvm_memory_slot *slot;
	struct dp_slot_rec *out;
	u32 n;

	if (!w->node) {
		if (w->bucket >= 128)
			return 1;
		/* id_hash[bucket].first; hlist_head is one pointer */
		bpf_probe_read_kernel(&w->node, sizeof(w->node),
				      (void *)w->slots + bpf_core_field_offset(w->slots->id_hash) +
					      w->bucket * 8);
		w->bucket++;
		return 0;
	}
	slot = (void *)(w->node - w->id_node_off);
	n = vm_out.nslots;
	out = bpf_map_lookup_elem(&slots_out, &n);
	if (!out) {
		vm_out.overflow++;
	} else {
		out->base_gfn = BPF_CORE_READ(slot, base_gfn);
		out->npages = BPF_CORE_READ(slot, npages);
		out->hva = BPF_CORE_READ(slot, userspace_addr);
		out->bitmap_ptr = (u64)BPF_CORE_READ(slot, dirty_bitmap);
		out->slot_ptr = (u64)slot;
		out->flags = BPF_CORE_READ(slot, flags);
		out->id = BPF_CORE_READ(slot, id);
		out->as_id = BPF_CORE_READ(slot, as_id);
		vm_out.nslots = n + 1;
	}
	if (bpf_probe_read_kernel(&w->node, sizeof(w->node), (void *)w->node))
		w->node = 0;
	return 0;
}

static __always_inline void walk_aspace(struct kvm *kvm, u32 as)
{
	struct kvm_memslots *slots = NULL;
	struct walk w = {};

	bpf_probe_read_kernel(&slots, sizeof(slots),
			      (void *)kvm + bpf_core_field_offset(kvm->memslots) + as * 8);
	if (!slots)
		return;
	vm_out.generation[as] = BPF_CORE_READ(slots, generation);
	w.slots = slots;
	w.idx = BPF_CORE_READ(slots, node_idx) & 1;
	/* hlist_node is two pointers */
	w.id_node_off = bpf_core_field_offset(struct kvm_memory_slot, id_node) + w.idx * 16;
	bpf_loop(DP_SLOT_RECS + 128 + 1, walk_step, &w, 0);
}

/* How many vCPUs are inside KVM_RUN; a pointer that no longer belongs to this VM is passed over. */
static __always_inline int count_running(struct kvm *kvm)
{
	int i, n = 0;

	for (i = 0; i < DP_VCPU_PTRS; i++) {
		struct kvm_vcpu *vcpu = (void *)vcpu_ptrs[i];
		int runs;

		if (!vcpu)
			break;
		if (BPF_CORE_READ(vcpu, kvm) != kvm)
			continue;
		runs = kvm_vcpu_runs(vcpu);
		if (runs < 0)
			return -1;
		n += runs;
	}
	return n;
}

/* Argument: struct kvm *, from the iterator above; a stale one yields nonsense that the loader detects, never a fault. */
SEC("raw_tp")
int vm_inspect(struct bpf_raw_tracepoint_args *ctx)
{
	struct kvm *kvm = (void *)ctx->args[0];

	__builtin_memset(&vm_out, 0, sizeof(vm_out));
	vm_out.userspace_pid = BPF_CORE_READ(kvm, userspace_pid);
	vm_out.created_vcpus = BPF_CORE_READ(kvm, created_vcpus);
	vm_out.mm = (u64)BPF_CORE_READ(kvm, mm);
	vm_out.manual_protect = kvm_manual_protect(kvm);
	vm_out.ring_bytes = kvm_ring_bytes(kvm);
	vm_out.nlogging = kvm_nlogging(kvm);
	vm_out.running = count_running(kvm);
	vm_out.naspaces = bpf_core_field_size(kvm->memslots) / 8;
	walk_aspace(kvm, 0);
	if (vm_out.naspaces > 1)
		walk_aspace(kvm, 1);
	return 0;
}

/* ---- when did the guest last run? ---- */

__u64 vcpu_last_exit_ns;

static __always_inline int on_userspace_exit(void)
{
	if ((int)(bpf_get_current_pid_tgid() >> 32) != targ_tgid)
		return 0;
	/* A plain store: whichever vCPU stores last wins, and they stop within microseconds of each other. */
	vcpu_last_exit_ns = bpf_ktime_get_ns();
	return 0;
}

SEC("tp_btf/kvm_userspace_exit")
int BPF_PROG(userspace_exit_btf, u32 reason, int err)
{
	return on_userspace_exit();
}

SEC("raw_tp/kvm_userspace_exit")
int userspace_exit_raw(struct bpf_raw_tracepoint_args *ctx)
{
	return on_userspace_exit();
}
