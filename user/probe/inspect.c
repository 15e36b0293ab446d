// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/inspect.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
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
	const struct dp_way *way; /* NULL: the kernel lets nobody watch vCPUs run */
	const char *runs;	  /* the way that was asked for, or NULL */
	char why[256];		  /* why there is none, in words */
	pid_t pid;
	uint64_t kvm;
	uint64_t mm;
	uint32_t vcpus, vms;
	size_t slots_bytes;
	struct dp_slot_rec *slots;
};

const struct dp_way dp_vm_ways[] = {
	{ "iter",
	  "iter task_file, raw_tp test run",
	  "",
	  { "kvm_files" },
	  "finds the VM and its memslots; hooks nothing" },
	{ "run",
	  "raw_tp test run alone",
	  "",
	  { NULL },
	  "finds the VM and its memslots without iterators and the kernel's own BTF; hooks nothing" },
	{ NULL },
};

const struct dp_way dp_runs_ways[] = {
	{ "tp_btf",
	  "tp_btf kvm_userspace_exit",
	  "kvm_userspace_exit",
	  { "userspace_exit_btf" },
	  "tells when the guest stands still" },
	{ "raw_tp",
	  "raw_tp kvm_userspace_exit",
	  "kvm_userspace_exit",
	  { "userspace_exit_raw" },
	  "tells when the guest stands still" },
	{ NULL },
};

/* The object, with this way to watch vCPUs run; NULL: without one. */
static int load_programs(void *ctx, const struct dp_way *way)
{
	struct dp_inspect *i = ctx;
	struct vm_bpf *s = vm_bpf__open_opts(dp_bpf_open_opts());
	int err;

	if (!s)
		return errno ? -errno : -ENOMEM;
	s->rodata->targ_tgid = i->pid;
	dp_way_autoload(dp_vm_ways, i->finder ? NULL : &dp_vm_ways[0], s->obj);
	dp_way_autoload(dp_runs_ways, way, s->obj);
	err = vm_bpf__load(s);
	if (err) {
		vm_bpf__destroy(s);
		return err;
	}
	i->skel = s;
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

/* A way to find the VM; with the best way to watch it run, or without one. */
static int load(void *ctx, const struct dp_way *vm)
{
	struct dp_inspect *i = ctx;
	int err;

	if (!vm->progs[0]) {
		err = dp_finder_open(&i->finder);
		if (err)
			return err;
	}
	err = dp_ways_try(dp_runs_ways, i->runs, load_programs, i, &i->way, i->why, sizeof(i->why));
	if (err && err != -ENOMEM && !i->runs)
		err = load_programs(i, NULL);
	/* Asked for by name: it must attach, too. */
	if (!err && i->runs) {
		err = dp_inspect_watch_vcpus(i);
		if (err)
			dp_way_why(i->way, err, i->why, sizeof(i->why));
	}
	if (err) {
		dp_finder_close(i->finder);
		i->finder = NULL;
	}
	return err;
}

/* Finds words for what dp_ways_try could not do; it has said in msg what it knows. */
static void why_not(const struct dp_inspect *i, int err, char *msg, size_t len)
{
	if ((err == -EPERM || err == -EACCES) && geteuid())
		snprintf(msg, len,
			 "no privilege to load BPF programs (run as root, or with CAP_BPF, CAP_PERFMON and "
			 "CAP_SYS_PTRACE)");
	else if (dp_bpf_no_btf())
		snprintf(msg, len, "%s", dp_bpf_no_btf());
	else if (i->runs)
		snprintf(msg, len, "%s", i->why);
}

int dp_inspect_open(pid_t pid, const struct dp_hooks *hooks, struct dp_inspect **out, char *msg, size_t len)
{
	struct dp_inspect *i = calloc(1, sizeof(*i));
	const struct dp_way *vm;
	int err = -ENOMEM;

	*out = NULL;
	if (!i)
		goto fail;
	i->pid = pid;
	i->runs = hooks ? hooks->how[DP_USE_RUNS] : NULL;
	err = dp_ways_try(dp_vm_ways, hooks ? hooks->how[DP_USE_VM] : NULL, load, i, &vm, msg, len);
	if (err) {
		why_not(i, err, msg, len);
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

bool dp_inspect_machine_is_hv(void)
{
	struct dp_inspect *i;
	struct dp_kvm k;
	char msg[256];
	bool hv = false;
	int kvm, vm;

	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		return false;
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm >= 0 && !dp_inspect_open(getpid(), NULL, &i, msg, sizeof(msg))) {
		hv = !dp_inspect_look(i, &k) && k.vm.mmu;
		dp_inspect_close(i);
	}
	if (vm >= 0)
		close(vm);
	close(kvm);
	return hv;
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

int dp_inspect_watch_vcpus(struct dp_inspect *i)
{
	if (!i->way)
		return -ENOENT;
	if (i->link)
		return 0;
	i->link = bpf_program__attach(dp_way_prog(i->way, 0, i->skel->obj));
	return i->link ? 0 : -errno;
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
	dp_way_stats(i->way, i->skel->obj, runs, ns);
	dp_bpf_stats(i->skel->progs.vm_inspect, runs, ns);
}
