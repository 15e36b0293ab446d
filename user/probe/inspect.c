// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/inspect.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/log.h"
#include "probe/bpf_util.h"
#include "vm.skel.h"

#define MAX_RUNS 8 /* of one look */

struct dp_inspect {
	struct vm_bpf *skel;
	struct bpf_link *link;
	const struct bpf_program *watch;
	pid_t pid;
	uint64_t kvm;
	uint64_t mm;
	uint32_t vcpus, vms;
	size_t slots_bytes;
	struct dp_slot_rec *slots;
};

/* level 0: typed tracepoint; 1: raw; 2: none, if the kernel refuses both. */
static int open_level(struct dp_inspect *i, int level)
{
	struct vm_bpf *s = vm_bpf__open();
	int err;

	if (!s)
		return errno ? -errno : -ENOMEM;
	s->rodata->targ_tgid = i->pid;
	bpf_program__set_autoload(s->progs.userspace_exit_btf, level == 0);
	bpf_program__set_autoload(s->progs.userspace_exit_raw, level == 1);
	err = vm_bpf__load(s);
	if (err) {
		vm_bpf__destroy(s);
		return err;
	}
	i->skel = s;
	i->watch = level == 0 ? s->progs.userspace_exit_btf : level == 1 ? s->progs.userspace_exit_raw : NULL;
	return 0;
}

/* Linux 6.1, told to visit one process, shows its files once for each of its threads. */
static void add_vcpu(struct dp_inspect *i, const struct dp_fd_rec *rec)
{
	uint32_t k;

	for (k = 0; k < i->vcpus && k < DP_VCPU_PTRS; k++)
		if (i->skel->bss->vcpu_ptrs[k] == rec->vcpu)
			return;
	if (k < DP_VCPU_PTRS)
		i->skel->bss->vcpu_ptrs[k] = rec->vcpu;
	i->vcpus++;
}

static int find(struct dp_inspect *i)
{
	struct dp_fd_rec rec[64];
	uint64_t first = 0;
	int fd, link;
	ssize_t n;
	size_t have = 0;
	union bpf_iter_link_info info = { .task.pid = (uint32_t)i->pid };
	LIBBPF_OPTS(bpf_link_create_opts, o, .iter_info = &info, .iter_info_len = sizeof(info));

	/* f0d74c4da1f0 (6.1) lets the iterator visit one process only; before, the program filters. */
	link = bpf_link_create(bpf_program__fd(i->skel->progs.kvm_files), 0, BPF_TRACE_ITER, &o);
	if (link < 0)
		link = bpf_link_create(bpf_program__fd(i->skel->progs.kvm_files), 0, BPF_TRACE_ITER, NULL);
	if (link < 0)
		return -errno;
	fd = bpf_iter_create(link);
	close(link);
	if (fd < 0)
		return -errno;
	i->vms = i->vcpus = 0;
	i->kvm = 0;
	memset(i->skel->bss->vcpu_ptrs, 0, sizeof(i->skel->bss->vcpu_ptrs));
	while ((n = read(fd, (char *)rec + have, sizeof(rec) - have)) > 0 ||
	       (n < 0 && (errno == EAGAIN || errno == EINTR))) {
		size_t k, all;

		if (n < 0)
			continue;
		have += (size_t)n;
		all = have / sizeof(*rec);
		for (k = 0; k < all; k++) {
			if (rec[k].kind == DP_FD_VM && rec[k].kvm != first) {
				i->vms++;
				if (!first)
					first = rec[k].kvm;
			}
			if (rec[k].kind == DP_FD_VCPU && rec[k].vcpu_idx < 65536)
				add_vcpu(i, &rec[k]);
		}
		have -= all * sizeof(*rec);
		memmove(rec, (char *)rec + all * sizeof(*rec), have);
	}
	close(fd);
	i->kvm = first;
	return first ? 0 : -ENXIO;
}

int dp_inspect_open(pid_t pid, struct dp_inspect **out, char *msg, size_t len)
{
	struct dp_inspect *i = calloc(1, sizeof(*i));
	int err = -ENOMEM, level;

	*out = NULL;
	if (!i)
		goto fail;
	i->pid = pid;
	for (level = 0; level <= 2; level++) {
		err = open_level(i, level);
		if (!err || err == -ENOMEM)
			break;
	}
	if (err) {
		if (err == -EPERM || err == -EACCES)
			snprintf(
				msg, len,
				"no privilege to load BPF programs (run as root, or with CAP_BPF, CAP_PERFMON "
				"and CAP_SYS_PTRACE; lockdown=confidentiality forbids it to all)");
		else if (access("/sys/kernel/btf/vmlinux", R_OK))
			snprintf(
				msg, len,
				"this kernel has no BTF (/sys/kernel/btf/vmlinux): CONFIG_DEBUG_INFO_BTF is needed");
		else
			snprintf(msg, len, "cannot load the BPF programs that read the VM: %s",
				 strerror(-err));
		goto fail;
	}
	i->slots_bytes = dp_bpf_array_bytes(sizeof(struct dp_slot_rec), DP_SLOT_RECS);
	i->slots = dp_bpf_map(i->skel->maps.slots_out, i->slots_bytes);
	if (!i->slots) {
		err = -errno;
		snprintf(msg, len, "cannot map the memslot table: %s", strerror(-err));
		goto fail;
	}
	err = find(i);
	if (err) {
		snprintf(msg, len,
			 err == -ENXIO ? "process %d holds no KVM VM" : "cannot walk the files of process %d",
			 (int)pid);
		goto fail;
	}
	*out = i;
	return 0;
fail:
	if (!i)
		snprintf(msg, len, "out of memory");
	dp_inspect_close(i);
	return err;
}

void dp_inspect_close(struct dp_inspect *i)
{
	if (!i)
		return;
	bpf_link__destroy(i->link);
	dp_bpf_unmap(i->slots, i->slots_bytes);
	vm_bpf__destroy(i->skel);
	free(i);
}

int dp_inspect_refind(struct dp_inspect *i)
{
	i->mm = 0;
	return find(i);
}

int dp_inspect_look(struct dp_inspect *i, struct dp_kvm *out)
{
	uint64_t args[2] = { i->kvm, 0 };
	int err;

	/* A VM with very many slots takes several runs; a list that changes meanwhile may never end. */
	do {
		err = dp_bpf_run(i->skel->progs.vm_inspect, args, 2, NULL);
		if (err)
			return err;
	} while (!i->skel->bss->vm_out.done && ++args[1] < MAX_RUNS);
	out->vm = i->skel->bss->vm_out;
	out->slots = i->slots;
	if (out->vm.nslots > DP_SLOT_RECS)
		return -ESTALE;
	/* The creator's pid is that of the process in its own pid namespace, so compare the mm, which cannot change. */
	if (!i->mm)
		i->mm = out->vm.mm;
	if (!out->vm.mm || out->vm.mm != i->mm)
		return -ESTALE;
	return 0;
}

uint32_t dp_inspect_vcpus(const struct dp_inspect *i)
{
	return i->vcpus;
}

const __u64 *dp_inspect_vcpu_ptrs(const struct dp_inspect *i, uint32_t *n)
{
	*n = i->vcpus < DP_VCPU_PTRS ? i->vcpus : DP_VCPU_PTRS;
	return i->skel->bss->vcpu_ptrs;
}

uint64_t dp_inspect_kvm(const struct dp_inspect *i)
{
	return i->kvm;
}

uint32_t dp_inspect_vms(const struct dp_inspect *i)
{
	return i->vms;
}

int dp_inspect_watch_vcpus(struct dp_inspect *i, const char **hook)
{
	*hook = "";
	if (!i->watch)
		return -ENOENT;
	i->link = bpf_program__attach(i->watch);
	if (!i->link)
		return -errno;
	*hook = i->watch == i->skel->progs.userspace_exit_btf ? "tp_btf kvm_userspace_exit"
							      : "raw_tp kvm_userspace_exit";
	return 0;
}

uint64_t dp_inspect_last_run_ns(const struct dp_inspect *i)
{
	return i->link ? __atomic_load_n(&i->skel->bss->vcpu_last_exit_ns, __ATOMIC_RELAXED) : 0;
}

bool dp_inspect_never_ran(const struct dp_inspect *i)
{
	return i->link && !dp_inspect_last_run_ns(i);
}

void dp_inspect_stats(const struct dp_inspect *i, uint64_t *runs, uint64_t *ns)
{
	dp_bpf_stats(i->watch, runs, ns);
	dp_bpf_stats(i->skel->progs.vm_inspect, runs, ns);
}
