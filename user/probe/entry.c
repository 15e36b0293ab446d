// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/entry.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "probe/bpf_util.h"
#include "entry.skel.h"

struct dp_entry {
	struct entry_bpf *skel;
	struct bpf_link *links[DP_WAY_PROGS];
	const struct dp_way *way;
	pid_t pid;
};

const struct dp_way dp_entry_ways[] = {
	{ "fentry",
	  "fentry kvm_arch_vcpu_ioctl_run",
	  "kvm_arch_vcpu_ioctl_run",
	  { "entry_fentry" },
	  "when a guest that migrates here runs first; attached until then" },
	{ "kprobe",
	  "kprobe kvm_arch_vcpu_ioctl_run",
	  "kvm_arch_vcpu_ioctl_run",
	  { "entry_kprobe" },
	  "when a guest that migrates here runs first; attached until then" },
	{ "tp_btf",
	  "tp_btf kvm_fpu",
	  "kvm_fpu",
	  { "entry_btf" },
	  "when a guest that migrates here runs first; attached until then" },
	{ "raw_tp",
	  "raw_tp kvm_fpu",
	  "kvm_fpu",
	  { "entry_raw" },
	  "when a guest that migrates here runs first; attached until then" },
	{ "sys-raw_tp",
	  "raw_tp sys_enter (ioctl)",
	  "sys_enter",
	  { "entry_syscall" },
	  "when a guest that migrates here runs first; until then every process's system calls pass it" },
	{ NULL },
};

/* Calls KVM_RUN of a vCPU of our own, told to return at once. 0 or negative errno. */
static int run_own(int kvm)
{
	int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), vm, vcpu, err = 0;
	struct kvm_run *run = MAP_FAILED;

	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0)
		return -errno;
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	if (vcpu >= 0 && size > 0)
		run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED) {
		err = -errno;
	} else {
		run->immediate_exit = 1;
		ioctl(vcpu, KVM_RUN, 0);
		munmap(run, (size_t)size);
	}
	if (vcpu >= 0)
		close(vcpu);
	close(vm);
	return err;
}

/* A hook that attaches is not always called: tried on ourselves. 0; -ENODATA: it is not; other negative errno: cannot be tried. */
static int try_hook(const struct dp_entry *e)
{
	__u64 *calls = &e->skel->bss->self_calls, before = __atomic_load_n(calls, __ATOMIC_SEQ_CST);
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), err;

	if (kvm < 0)
		return -errno;
	err = run_own(kvm);
	close(kvm);
	if (!err && __atomic_load_n(calls, __ATOMIC_SEQ_CST) == before)
		err = -ENODATA;
	return err;
}

static int load(void *ctx, const struct dp_way *way)
{
	struct dp_entry *e = ctx;
	int err;

	e->skel = entry_bpf__open_opts(dp_bpf_open_opts());
	if (!e->skel)
		return errno ? -errno : -ENOMEM;
	dp_way_autoload(dp_entry_ways, way, e->skel->obj);
	e->skel->rodata->targ_tgid = e->pid;
	e->skel->rodata->targ_self = getpid();
	err = entry_bpf__load(e->skel);
	err = err ? err : dp_way_attach(way, e->skel->obj, e->links);
	err = err ? err : try_hook(e);
	if (err) {
		dp_way_detach(e->links);
		entry_bpf__destroy(e->skel);
		e->skel = NULL;
	}
	return err;
}

int dp_entry_open(pid_t pid, const char *how, struct dp_entry **out, char *msg, size_t len)
{
	struct dp_entry *e = calloc(1, sizeof(*e));
	int err;

	*out = NULL;
	if (!e) {
		snprintf(msg, len, "out of memory");
		return -ENOMEM;
	}
	e->pid = pid;
	err = dp_ways_try(dp_entry_ways, how, load, e, &e->way, msg, len);
	if (err) {
		dp_entry_close(e);
		return err;
	}
	*out = e;
	return 0;
}

void dp_entry_close(struct dp_entry *e)
{
	if (!e)
		return;
	dp_way_detach(e->links);
	entry_bpf__destroy(e->skel);
	free(e);
}

const char *dp_entry_hook(const struct dp_entry *e)
{
	return e->way->hook;
}

uint64_t dp_entry_ns(const struct dp_entry *e)
{
	return __atomic_load_n(&e->skel->bss->first_entry_ns, __ATOMIC_RELAXED);
}

void dp_entry_stats(const struct dp_entry *e, uint64_t *runs, uint64_t *ns)
{
	dp_way_stats(e->way, e->skel->obj, runs, ns);
}
