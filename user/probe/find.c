// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/find.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "find.skel.h"
#include "probe/bpf_util.h"

/* Linux 6.1, told to visit one process, shows its files once for each of its threads. */
static void add_vcpu(struct dp_found *f, uint64_t vcpu)
{
	uint32_t k;

	for (k = 0; k < f->vcpus && k < DP_VCPU_PTRS; k++)
		if (f->vcpu[k] == vcpu)
			return;
	if (k < DP_VCPU_PTRS)
		f->vcpu[k] = vcpu;
	f->vcpus++;
}

static void add(struct dp_found *f, const struct dp_fd_rec *rec)
{
	if (rec->kind == DP_FD_VM && rec->kvm != f->kvm) {
		f->vms++;
		if (!f->kvm)
			f->kvm = rec->kvm;
	}
	if (rec->kind == DP_FD_VCPU && rec->vcpu_idx < 65536)
		add_vcpu(f, rec->vcpu);
}

static int iter_fd(const struct bpf_program *prog, pid_t pid)
{
	union bpf_iter_link_info info = { .task.pid = (uint32_t)pid };
	LIBBPF_OPTS(bpf_link_create_opts, o, .iter_info = &info, .iter_info_len = sizeof(info));
	int fd, link;

	/* f0d74c4da1f0 (6.1) lets the iterator visit one process only; before, the program filters. */
	link = bpf_link_create(bpf_program__fd(prog), 0, BPF_TRACE_ITER, &o);
	if (link < 0)
		link = bpf_link_create(bpf_program__fd(prog), 0, BPF_TRACE_ITER, NULL);
	if (link < 0)
		return -errno;
	fd = bpf_iter_create(link);
	if (fd < 0)
		fd = -errno;
	close(link);
	return fd;
}

int dp_find_by_iter(const struct bpf_program *prog, pid_t pid, struct dp_found *out)
{
	struct dp_fd_rec rec[64];
	size_t have = 0;
	ssize_t n;
	int fd = iter_fd(prog, pid);

	if (fd < 0)
		return fd;
	memset(out, 0, sizeof(*out));
	while ((n = read(fd, (char *)rec + have, sizeof(rec) - have)) > 0 ||
	       (n < 0 && (errno == EAGAIN || errno == EINTR))) {
		size_t k, all;

		if (n < 0)
			continue;
		have += (size_t)n;
		all = have / sizeof(*rec);
		for (k = 0; k < all; k++)
			add(out, &rec[k]);
		have -= all * sizeof(*rec);
		memmove(rec, (char *)rec + all * sizeof(*rec), have);
	}
	close(fd);
	return out->kvm ? 0 : -ENXIO;
}

struct dp_finder {
	struct find_bpf *skel;
	struct dp_fd_rec *found;
	size_t found_bytes;
};

int dp_finder_open(struct dp_finder **out)
{
	struct dp_finder *f = calloc(1, sizeof(*f));
	int err;

	*out = NULL;
	if (!f)
		return -ENOMEM;
	f->skel = find_bpf__open_opts(dp_bpf_open_opts());
	err = f->skel ? find_bpf__load(f->skel) : errno ? -errno : -ENOMEM;
	if (!err) {
		f->found_bytes = dp_bpf_array_bytes(sizeof(*f->found), DP_FIND_RECS);
		f->found = dp_bpf_map(f->skel->maps.found, f->found_bytes);
		err = f->found ? 0 : -errno;
	}
	if (err) {
		dp_finder_close(f);
		return err;
	}
	*out = f;
	return 0;
}

int dp_finder_find(struct dp_finder *f, pid_t pid, struct dp_found *out)
{
	const struct find_bpf__bss *bss = f->skel->bss;
	uint64_t args[2] = { 0, 0 };
	char path[32];
	int fd, ret = 0, err;
	uint32_t i;

	memset(out, 0, sizeof(*out));
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	args[0] = (uint64_t)fd;
	do {
		err = dp_bpf_run(f->skel->progs.find_files, args, 2, &ret);
		if (!err && ret)
			err = -ESRCH;
		for (i = 0; !err && i < bss->nfound && i < DP_FIND_RECS; i++)
			add(out, &f->found[i]);
		args[1] = bss->next_fd;
	} while (!err && args[1]);
	close(fd);
	if (err)
		return err;
	return out->kvm ? 0 : -ENXIO;
}

void dp_finder_close(struct dp_finder *f)
{
	if (!f)
		return;
	dp_bpf_unmap(f->found, f->found_bytes);
	find_bpf__destroy(f->skel);
	free(f);
}
