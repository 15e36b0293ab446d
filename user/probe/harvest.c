// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/harvest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "probe/bpf_util.h"
#include "harvest.skel.h"

#define MIN_RING   (1u << 18)
#define CHEAP_RING (1u << 24)
#define MAX_RING   (1u << 28) /* one sync of 8 TiB */

struct dp_harvest {
	struct harvest_bpf *skel;
	const struct dp_harvest_opts *opts; /* while opening */
	struct bpf_link *links[DP_WAY_PROGS];
	const struct dp_way *way;
	struct ring_buffer *ring;
	uint32_t slot_ids;
	uint64_t *pages;
	struct dp_rearm *rearm;
	size_t pages_len, rearm_len;
	void (*cb)(void *ctx, const struct dp_hv_rec *rec);
	void *cb_ctx;
};

static int on_piece(void *ctx, void *data, size_t len)
{
	struct dp_harvest *h = ctx;
	const struct dp_hv_rec *rec = data;

	if (len < sizeof(*rec) || !h->cb)
		return 0;
	/* The programs' own word for it, and still: nothing is read that did not come. */
	if (len >= sizeof(*rec) + (size_t)__builtin_popcountll(rec->lines) * DP_LINE_WORDS * 8)
		h->cb(h->cb_ctx, rec);
	return 0;
}

/*
 * One sync's pieces and half as many, as a power of two: the reader is woken on the way, so this is slack enough. Where it is
 * cheap, also room for their CLEAR, which some VMMs issue at once.
 */
static uint32_t ring_bytes(uint64_t host_pages)
{
	uint64_t sync = (host_pages / DP_CHUNK_PAGES + 16) * (sizeof(struct dp_hv_piece) + 8),
		 need = sync * 5 / 2;
	uint32_t size = MIN_RING;

	if (need > CHEAP_RING)
		need = sync * 3 / 2;
	while (size < need && size < MAX_RING)
		size *= 2;
	return size;
}

const struct dp_way dp_harvest_ways[] = {
	{ "fexit",
	  "fexit kvm_vm_ioctl",
	  "kvm_vm_ioctl",
	  { "vm_ioctl_fexit" },
	  "for VMs with dirty bitmaps; only ioctls of VMs pass it" },
	{ "kretprobe",
	  "kretprobe kvm_vm_ioctl",
	  "kvm_vm_ioctl",
	  { "vm_ioctl_kretprobe", "vm_ioctl_kprobe" },
	  "for VMs with dirty bitmaps; only ioctls of VMs pass it" },
	{ "tp_btf",
	  "tp_btf sys_exit (ioctl)",
	  "sys_exit",
	  { "ioctl_exit_btf" },
	  "for VMs with dirty bitmaps; every process's system calls pass it" },
	{ "raw_tp",
	  "raw_tp sys_exit (ioctl)",
	  "sys_exit",
	  { "ioctl_exit_raw" },
	  "for VMs with dirty bitmaps; every process's system calls pass it" },
	{ NULL },
};

/*
 * Whether a hook on a function is called: some kernels take it and never call it. Asked of a VM of our own, for a slot that
 * it has not. 0; -ENODATA: it is not called; other negative errno: it cannot be tried.
 */
static int try_hook(struct dp_harvest *h)
{
	struct kvm_dirty_log log = { .slot = 0 };
	__u64 *calls = &h->skel->bss->self_calls, before = __atomic_load_n(calls, __ATOMIC_SEQ_CST);
	int kvm, vm, err = 0;

	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		return -errno;
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0) {
		err = -errno;
	} else {
		ioctl(vm, KVM_GET_DIRTY_LOG, &log);
		if (__atomic_load_n(calls, __ATOMIC_SEQ_CST) == before)
			err = -ENODATA;
		close(vm);
	}
	close(kvm);
	return err;
}

static int load(void *ctx, const struct dp_way *way)
{
	struct dp_harvest *h = ctx;
	int err;

	h->skel = harvest_bpf__open_opts(dp_bpf_open_opts());
	if (!h->skel)
		return errno ? -errno : -ENOMEM;
	dp_way_autoload(dp_harvest_ways, way, h->skel->obj);
	h->skel->rodata->targ_tgid = h->opts->pid;
	h->skel->rodata->targ_self = getpid();
	h->skel->rodata->targ_manual = h->opts->manual;
	h->skel->rodata->targ_slot_ids = h->slot_ids;
	err = bpf_map__set_max_entries(h->skel->maps.slot_pages, h->slot_ids * 2);
	err = err ? err : bpf_map__set_max_entries(h->skel->maps.slot_rounds, h->slot_ids * 2);
	err = err ? err : bpf_map__set_max_entries(h->skel->maps.chunks, ring_bytes(h->opts->host_pages));
	err = err ? err : harvest_bpf__load(h->skel);
	err = err ? err : dp_way_attach(way, h->skel->obj, h->links);
	if (!err && strcmp(way->target, "sys_exit"))
		err = try_hook(h);
	if (err) {
		dp_way_detach(h->links);
		harvest_bpf__destroy(h->skel);
		h->skel = NULL;
	}
	return err;
}

int dp_harvest_open(const struct dp_harvest_opts *o, struct dp_harvest **out, char *msg, size_t len)
{
	struct dp_harvest *h = calloc(1, sizeof(*h));
	int err;

	*out = NULL;
	if (!h) {
		snprintf(msg, len, "out of memory");
		return -ENOMEM;
	}
	h->opts = o;
	h->slot_ids = o->slot_ids;
	err = dp_ways_try(dp_harvest_ways, o->how, load, h, &h->way, msg, len);
	h->opts = NULL;
	if (err)
		goto fail;
	h->pages_len = dp_bpf_array_bytes(sizeof(uint64_t), o->slot_ids * 2);
	h->pages = dp_bpf_map(h->skel->maps.slot_pages, h->pages_len);
	h->rearm_len = dp_bpf_array_bytes(sizeof(*h->rearm), 1);
	h->rearm = dp_bpf_map(h->skel->maps.rearms, h->rearm_len);
	h->ring = ring_buffer__new(bpf_map__fd(h->skel->maps.chunks), on_piece, h, NULL);
	if (!h->pages || !h->rearm || !h->ring) {
		err = -errno;
		snprintf(msg, len, "cannot map the bitmaps' ring: %s", strerror(-err));
		goto fail;
	}
	*out = h;
	return 0;
fail:
	dp_harvest_close(h);
	return err;
}

void dp_harvest_close(struct dp_harvest *h)
{
	if (!h)
		return;
	dp_way_detach(h->links);
	ring_buffer__free(h->ring);
	dp_bpf_unmap(h->pages, h->pages_len);
	dp_bpf_unmap(h->rearm, h->rearm_len);
	harvest_bpf__destroy(h->skel);
	free(h);
}

const char *dp_harvest_hook(const struct dp_harvest *h)
{
	return h->way->hook;
}

void dp_harvest_slot(struct dp_harvest *h, uint32_t as_id, uint32_t id, uint64_t npages)
{
	if (as_id <= 1 && id < h->slot_ids)
		__atomic_store_n(&h->pages[as_id * h->slot_ids + id], npages, __ATOMIC_RELAXED);
}

int dp_harvest_peek(struct dp_harvest *h, const struct dp_slot_rec *slot)
{
	uint64_t args[4] = { slot->slot_ptr, (uint64_t)slot->as_id << 16 | slot->id, slot->base_gfn,
			     slot->npages };
	int err, ret = 0;

	err = dp_bpf_run(h->skel->progs.vm_peek, args, 4, &ret);
	if (err)
		return err;
	return ret == 1 ? -ESTALE : ret == 2 ? -ENODATA : 0;
}

const struct bpf_map *dp_harvest_rearms(const struct dp_harvest *h)
{
	return h->skel->maps.rearms;
}

void dp_harvest_logging(struct dp_harvest *h, uint64_t host_pages)
{
	if (h->rearm)
		__atomic_store_n(&h->rearm->total, host_pages, __ATOMIC_RELAXED);
}

int dp_harvest_fd(const struct dp_harvest *h)
{
	return ring_buffer__epoll_fd(h->ring);
}

void dp_harvest_read(struct dp_harvest *h, void (*cb)(void *ctx, const struct dp_hv_rec *rec), void *ctx)
{
	h->cb = cb;
	h->cb_ctx = ctx;
	ring_buffer__consume(h->ring);
	h->cb = NULL;
}

uint64_t dp_harvest_copy_ns(const struct dp_harvest *h)
{
	return __atomic_load_n(&h->skel->bss->copy_ns, __ATOMIC_RELAXED);
}

uint64_t dp_harvest_lost(const struct dp_harvest *h)
{
	/*
	 * Where programs on system calls can be preempted, some of those that the kernel skips are other processes' calls; it
	 * does not say whose.
	 */
	return __atomic_load_n(&h->skel->bss->lost_chunks, __ATOMIC_RELAXED) +
	       dp_way_missed(h->way, h->skel->obj);
}

void dp_harvest_stats(const struct dp_harvest *h, uint64_t *runs, uint64_t *ns, uint64_t *map_bytes)
{
	dp_way_stats(h->way, h->skel->obj, runs, ns);
	dp_bpf_stats(h->skel->progs.vm_peek, runs, ns);
	*map_bytes += dp_bpf_memlock(h->skel->maps.slot_pages) + dp_bpf_memlock(h->skel->maps.calls) +
		      dp_bpf_memlock(h->skel->maps.chunks) + dp_bpf_memlock(h->skel->maps.scratches);
}
