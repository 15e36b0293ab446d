/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What of a process's files is KVM's. */
#ifndef DIRTYPROF_KVMFILE_BPF_H
#define DIRTYPROF_KVMFILE_BPF_H

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

/* Describes a file of KVM's; false: it is none. */
static __always_inline bool kvm_file_describe(struct file *file, u32 fd, struct dp_fd_rec *rec)
{
	void *priv;

	rec->kind = kvm_file_kind(file);
	if (!rec->kind)
		return false;
	rec->fd = fd;
	priv = BPF_CORE_READ(file, private_data);
	if (rec->kind == DP_FD_VM) {
		rec->kvm = (u64)priv;
	} else {
		struct kvm_vcpu *vcpu = priv;

		rec->vcpu = (u64)vcpu;
		rec->kvm = (u64)BPF_CORE_READ(vcpu, kvm);
		rec->vcpu_id = BPF_CORE_READ(vcpu, vcpu_id);
		rec->vcpu_idx = BPF_CORE_READ(vcpu, vcpu_idx);
	}
	return true;
}

#endif
