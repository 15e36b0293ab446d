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
#include "probe/find.h"
#include "vm.skel.h"

#define MAX_RUNS 8 /* of one look */

struct dp_inspect {
	struct vm_bpf *skel;
	struct dp_finder *finder; /* NULL: the iterator is there */
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
	struct vm_bpf *s = vm_bpf__open_opts(dp_bpf_open_opts());
	int err;

	if (!s)
		return errno ? -errno : -ENOMEM;
	s->rodata->targ_tgid = i->pid;
	bpf_program__set_autoload(s->progs.kvm_files, !i->finder);
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

static int find(struct dp_inspect *i)
{
	struct dp_found f;
	int err = i->finder ? dp_finder_find(i->finder, i->pid, &f)
			    : dp_find_by_iter(i->skel->progs.kvm_files, i->pid, &f);

	if (err && err != -ENXIO)
		return err;
	i->kvm = f.kvm;
	i->vms = f.vms;
	i->vcpus = f.vcpus;
	memcpy(i->skel->bss->vcpu_ptrs, f.vcpu, sizeof(f.vcpu));
	return err;
}

/* The best that loads: an iterator over the process's files, else a look without one. */
static int open_best(struct dp_inspect *i, int lowest, bool only)
{
	int err = -ENOENT, walk, level;

	for (walk = lowest > 0; walk <= (only ? lowest : 1); walk++) {
		if (walk) {
			err = dp_finder_open(&i->finder);
			if (err)
				return err;
		}
		for (level = 0; level <= 2; level++) {
			err = open_level(i, level);
			if (!err || err == -ENOMEM)
				return err;
		}
	}
	return err;
}

int dp_inspect_open(pid_t pid, int lowest, bool only, struct dp_inspect **out, char *msg, size_t len)
{
	struct dp_inspect *i = calloc(1, sizeof(*i));
	int err = -ENOMEM;

	*out = NULL;
	if (!i)
		goto fail;
	i->pid = pid;
	err = open_best(i, lowest, only);
	if (err) {
		if (err == -EPERM || err == -EACCES)
			snprintf(
				msg, len,
				"no privilege to load BPF programs (run as root, or with CAP_BPF, CAP_PERFMON "
				"and CAP_SYS_PTRACE; lockdown=confidentiality forbids it to all)");
		else if (dp_bpf_no_btf())
			snprintf(msg, len, "%s", dp_bpf_no_btf());
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
	dp_finder_close(i->finder);
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
