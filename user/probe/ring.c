// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/ring_int.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cli/log.h"
#include "model/rollup.h"

static uint64_t mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static int on_note(void *ctx, void *data, size_t len)
{
	struct dp_ring *r = ctx;

	if (len >= sizeof(struct dp_reset_note) && r->cb)
		r->cb(r->cb_ctx, data);
	return 0;
}

/* Places the stamps of each size and sizes the maps from the VM. */
static int configure(struct dp_ring *r, const struct dp_ring_opts *o)
{
	struct ring_bpf *s = r->skel;
	uint64_t total = 0;
	int i, err;

	for (i = 0; i < DP_SIZES; i++) {
		uint64_t n =
			((uint64_t)r->nregions << DP_REGION_SHIFT) >> (dp_size_shift((enum dp_size)i) - 12);

		r->sample_shift[i] = 0;
		while (n > MAX_STAMPS) {
			n = (n + 1) / 2;
			r->sample_shift[i]++;
		}
		r->stamp_base[i] = (uint32_t)total;
		total += n;
		s->rodata->targ_sample_shift[i] = r->sample_shift[i];
		s->rodata->targ_stamp_base[i] = r->stamp_base[i];
	}
	r->nstamps = (uint32_t)((total + DP_STAMPS - 1) / DP_STAMPS);
	s->rodata->targ_tgid = o->pid;
	s->rodata->targ_slot_ids = r->slot_ids;
	s->rodata->targ_chunks = r->nchunks;
	s->rodata->targ_regions = r->nregions;
	s->rodata->targ_vcpus = r->nvcpus;
	s->bss->clock_base = r->base;
	s->bss->next_bits = 1;
	s->bss->closed_bits = DP_NO_SET;
	/* A RESET that leaves more than 1/16 of the rings unreset is no moment at which every page was re-armed. */
	s->bss->blind_limit = 64 + r->nvcpus * o->ring_entries / 16;
	err = bpf_map__set_max_entries(s->maps.slots, r->slot_ids * 2);
	err = err ? err : bpf_map__set_max_entries(s->maps.bits, r->nchunks * DP_BIT_SETS);
	err = err ? err : bpf_map__set_max_entries(s->maps.stamps, r->nstamps);
	err = err ? err : bpf_map__set_max_entries(s->maps.hists, r->nrows);
	return err;
}

static int load(struct dp_ring *r, const struct dp_ring_opts *o, int level)
{
	int err;

	r->skel = ring_bpf__open();
	if (!r->skel)
		return errno ? -errno : -ENOMEM;
	bpf_program__set_autoload(r->skel->progs.push_btf, level == 0);
	bpf_program__set_autoload(r->skel->progs.reset_btf, level == 0);
	bpf_program__set_autoload(r->skel->progs.push_raw, level == 1);
	bpf_program__set_autoload(r->skel->progs.reset_raw, level == 1);
	err = configure(r, o);
	err = err ? err : ring_bpf__load(r->skel);
	if (!err) {
		r->push = level ? r->skel->progs.push_raw : r->skel->progs.push_btf;
		r->reset = level ? r->skel->progs.reset_raw : r->skel->progs.reset_btf;
		r->hook = level ? "raw_tp kvm_dirty_ring_push" : "tp_btf kvm_dirty_ring_push";
		r->links[0] = bpf_program__attach(r->reset);
		err = r->links[0] ? 0 : -errno;
	}
	if (err) {
		ring_bpf__destroy(r->skel);
		r->skel = NULL;
	}
	return err;
}

static int map_all(struct dp_ring *r)
{
	r->slots_len = dp_bpf_array_bytes(sizeof(*r->slots), r->slot_ids * 2);
	r->bits_len = dp_bpf_array_bytes(sizeof(*r->bits), r->nchunks * DP_BIT_SETS);
	r->stamps_len = dp_bpf_array_bytes(sizeof(*r->stamps), r->nstamps);
	r->hists_len = dp_bpf_array_bytes(sizeof(*r->hists), r->nrows);
	r->slots = dp_bpf_map(r->skel->maps.slots, r->slots_len);
	r->bits = dp_bpf_map(r->skel->maps.bits, r->bits_len);
	r->stamps = dp_bpf_map(r->skel->maps.stamps, r->stamps_len);
	r->hists = dp_bpf_map(r->skel->maps.hists, r->hists_len);
	r->prev = calloc(r->nrows, sizeof(*r->prev));
	r->out_events = calloc(DP_MAX_STAT_VCPUS, sizeof(*r->out_events));
	if (!r->slots || !r->bits || !r->stamps || !r->hists || !r->prev || !r->out_events)
		return -ENOMEM;
	r->notes = ring_buffer__new(bpf_map__fd(r->skel->maps.notes), on_note, r, NULL);
	return r->notes ? 0 : -errno;
}

int dp_ring_open(const struct dp_ring_opts *o, struct dp_ring **out, char *msg, size_t len)
{
	struct dp_ring *r = calloc(1, sizeof(*r));
	int err = -ENOMEM, level;

	*out = NULL;
	if (!r) {
		snprintf(msg, len, "out of memory");
		return err;
	}
	r->nregions = o->layout->nregions;
	r->nchunks = r->nregions << (DP_REGION_SHIFT - DP_CHUNK_SHIFT);
	r->nrows = r->nregions + DP_SIZES - 1;
	r->slot_ids = o->slot_ids;
	r->nvcpus = o->nvcpus ? o->nvcpus : 1;
	r->spare = 2;
	r->base = mono_ns() - (1u << DP_STAMP_SHIFT);
	for (level = o->lowest; level <= (o->only ? o->lowest : 1); level++) {
		err = load(r, o, level);
		if (!err)
			break;
	}
	if (err) {
		snprintf(msg, len, "cannot attach to kvm_dirty_ring_push: %s", strerror(-err));
		goto fail;
	}
	err = map_all(r);
	if (err) {
		snprintf(msg, len, "cannot map the counters: %s", strerror(-err));
		goto fail;
	}
	*out = r;
	return 0;
fail:
	dp_ring_close(r);
	return err;
}

int dp_ring_start(struct dp_ring *r)
{
	r->links[1] = bpf_program__attach(r->push);
	return r->links[1] ? 0 : -errno;
}

void dp_ring_close(struct dp_ring *r)
{
	if (!r)
		return;
	bpf_link__destroy(r->links[1]);
	bpf_link__destroy(r->links[0]);
	ring_buffer__free(r->notes);
	dp_bpf_unmap(r->slots, r->slots_len);
	dp_bpf_unmap(r->bits, r->bits_len);
	dp_bpf_unmap(r->stamps, r->stamps_len);
	dp_bpf_unmap(r->hists, r->hists_len);
	ring_bpf__destroy(r->skel);
	free(r->prev);
	free(r->out_events);
	free(r->ages);
	free(r->exposures);
	free(r);
}

const char *dp_ring_hook(const struct dp_ring *r)
{
	return r->hook;
}

void dp_ring_slot(struct dp_ring *r, uint32_t as_id, uint32_t id, const struct dp_ring_slot *s)
{
	struct dp_ring_slot *dst;

	if (as_id > 1 || id >= r->slot_ids)
		return;
	dst = &r->slots[as_id * r->slot_ids + id];
	if (s->index != dst->index || s->npages != dst->npages) {
		/* Not tracked while it changes, so that no push meets half of it. */
		__atomic_store_n(&dst->npages, 0, __ATOMIC_SEQ_CST);
		dst->index = s->index;
		dst->shift = s->shift;
		dst->logging = s->logging;
		__atomic_store_n(&dst->npages, s->npages, __ATOMIC_SEQ_CST);
		return;
	}
	dst->shift = s->shift;
	__atomic_store_n(&dst->logging, s->logging, __ATOMIC_RELAXED);
}

static uint64_t *bits_of(const struct dp_ring *r, uint32_t set)
{
	return (uint64_t *)r->bits[(size_t)set * r->nchunks].w;
}

/* After this no program that began before still writes the old set of bits. */
static void wait_for_programs(void)
{
	struct timespec ms = { .tv_nsec = 2000000 };

	/* MEMBARRIER_CMD_GLOBAL waits for an RCU grace period, within which tracing programs run. */
	if (syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		nanosleep(&ms, NULL);
}

/*
 * Picks the set of bits to read and hands the programs another one to go on with. The set that a sync closed is
 * told by its note. Returns DP_NO_SET where a sync has closed one and its note is still to come.
 */
static uint32_t pick_bits(struct dp_ring *r, uint32_t set, struct dp_ring_take *out)
{
	struct ring_bpf *s = r->skel;
	uint32_t next;

	if (set == DP_NO_SET) {
		/* Whoever takes the free set may swap: no RESET can from here on. */
		next = __atomic_exchange_n(&s->bss->next_bits, DP_NO_SET, __ATOMIC_SEQ_CST);
		set = r->cur;
		if (next != DP_NO_SET)
			__atomic_store_n(&s->bss->cur_bits, next, __ATOMIC_SEQ_CST);
		else if (!r->waiting++)
			return DP_NO_SET;
		/* else the note was lost: the bits are not */
	} else {
		out->nleft = s->bss->nleft < DP_LEFT_MAX ? s->bss->nleft : DP_LEFT_MAX;
		memcpy(r->left, s->bss->left, out->nleft * sizeof(r->left[0]));
		out->left = r->left;
	}
	r->waiting = 0;
	r->cur = __atomic_load_n(&s->bss->cur_bits, __ATOMIC_SEQ_CST);
	__atomic_store_n(&s->bss->next_bits, r->spare, __ATOMIC_SEQ_CST);
	r->spare = DP_NO_SET;
	return set;
}

int dp_ring_take(struct dp_ring *r, uint32_t set, struct dp_ring_take *out)
{
	size_t words = (size_t)r->nregions * DP_REGION_WORDS;
	int err;

	memset(out, 0, sizeof(*out));
	/* The set that the last take handed out has been read. */
	if (r->spare == DP_NO_SET) {
		dp_bits_clear(bits_of(r, r->handed_out), words);
		r->spare = r->handed_out;
	}
	set = pick_bits(r, set, out);
	wait_for_programs();
	/* A push may have opened the anchors before logging was seen to be on: their ages are in this take. */
	if (r->on || __atomic_load_n(&r->skel->bss->active, __ATOMIC_RELAXED))
		dp_ring_age_anchors(r, mono_ns());
	err = dp_ring_take_ages(r);
	dp_ring_take_counters(r, out);
	if (set != DP_NO_SET) {
		r->handed_out = set;
		out->bits = bits_of(r, set);
		out->words = words;
	}
	out->ages = r->ages;
	out->nages = r->nages;
	out->exposures = r->exposures;
	out->nexposures = r->nexposures;
	/* The array stays until exposures are added again, which only the next take or change of logging does. */
	r->nexposures = 0;
	return err;
}

int dp_ring_fd(const struct dp_ring *r)
{
	return ring_buffer__epoll_fd(r->notes);
}

void dp_ring_resets(struct dp_ring *r, void (*cb)(void *ctx, const struct dp_reset_note *note), void *ctx)
{
	r->cb = cb;
	r->cb_ctx = ctx;
	ring_buffer__consume(r->notes);
	r->cb = NULL;
}

bool dp_ring_is_vcpu(const struct dp_ring *r, uint32_t tid)
{
	uint32_t i;

	for (i = 0; i < DP_MAX_STAT_VCPUS; i++)
		if (r->skel->bss->vcpu_stats[i].tid == tid)
			return true;
	return false;
}

void dp_ring_age_stamps(struct dp_ring *r, uint64_t now_ns)
{
	uint32_t now = (uint32_t)((now_ns - r->base) >> DP_STAMP_SHIFT) + 1, i, k;
	uint32_t hour = (uint32_t)(3600ull * 1000000000ull >> DP_STAMP_SHIFT);

	for (i = 0; i < r->nstamps; i++) {
		for (k = 0; k < DP_STAMPS; k++) {
			uint32_t v = __atomic_load_n(&r->stamps[i].s[k], __ATOMIC_RELAXED);

			if (v && now - v > hour)
				__atomic_compare_exchange_n(&r->stamps[i].s[k], &v, 0, false,
							    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
		}
	}
}

void dp_ring_stats(const struct dp_ring *r, uint64_t *runs, uint64_t *ns, uint64_t *map_bytes)
{
	dp_bpf_stats(r->push, runs, ns);
	dp_bpf_stats(r->reset, runs, ns);
	*map_bytes += dp_bpf_memlock(r->skel->maps.slots) + dp_bpf_memlock(r->skel->maps.bits) +
		      dp_bpf_memlock(r->skel->maps.stamps) + dp_bpf_memlock(r->skel->maps.hists) +
		      dp_bpf_memlock(r->skel->maps.notes);
}
