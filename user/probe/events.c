// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/events_int.h"

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

#define DRAIN_MIN_NS 1500000ull
#define DRAIN_MAX_NS 32000000ull

static uint64_t mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static int on_note(void *ctx, void *data, size_t len)
{
	struct dp_events *r = ctx;

	const struct dp_reset_note *note = data;

	if (len >= sizeof(*note) && note->set != DP_NOTE_START && r->cb)
		r->cb(r->cb_ctx, note);
	return 0;
}

/* Places the stamps of each size and sizes the maps from the VM. */
static int configure(struct dp_events *r, const struct dp_events_opts *o)
{
	struct events_bpf *s = r->skel;
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
	s->rodata->targ_drain = r->drain;
	s->rodata->targ_alone = !r->drain && !o->mark && r->nvcpus == 1;
	s->rodata->targ_bitmap = o->rearms != NULL;
	s->bss->clock_base = r->base;
	s->bss->ring_kvm = o->kvm;
	for (i = 0; i < DP_MAX_STAT_VCPUS && i < (int)o->nptrs; i++)
		s->bss->ring_vcpus[i] = o->vcpu_ptrs[i];
	s->bss->unarmed = o->rearms != NULL; /* until told otherwise */
	s->bss->next_bits = 1;
	s->bss->closed_bits = DP_NO_SET;
	/* A RESET that leaves more than 1/16 of the rings unreset is no moment at which every page was re-armed. */
	s->bss->blind_limit =
		64 + (o->rearms ? (uint32_t)(o->host_pages / 64) : r->nvcpus * o->ring_entries / 16);
	err = o->rearms ? bpf_map__reuse_fd(s->maps.rearms, bpf_map__fd(o->rearms)) : 0;
	err = err ? err : bpf_map__set_max_entries(s->maps.slots, r->slot_ids * 2);
	err = err ? err : bpf_map__set_max_entries(s->maps.bits, r->nchunks * DP_BIT_SETS);
	err = err ? err : bpf_map__set_max_entries(s->maps.stamps, r->nstamps);
	err = err ? err : bpf_map__set_max_entries(s->maps.hists, r->nrows);
	err = err || !o->mark ? err : bpf_map__set_max_entries(s->maps.mark_threads, DP_MARK_THREADS);
	return err;
}

/* Programs: at RESETs; what feeds; at the first push. */
const struct dp_way dp_ring_ways[] = {
	{ "tp_btf",
	  "tp_btf kvm_dirty_ring_reset",
	  "kvm_dirty_ring_reset",
	  { "reset_btf", "ring_drain", "first_push_btf" },
	  "for VMs with a dirty ring; the guest's pushes stay free" },
	{ "raw_tp",
	  "raw_tp kvm_dirty_ring_reset",
	  "kvm_dirty_ring_reset",
	  { "reset_raw", "ring_drain", "first_push_raw" },
	  "for VMs with a dirty ring; the guest's pushes stay free" },
	{ "push-tp_btf",
	  "tp_btf kvm_dirty_ring_push",
	  "kvm_dirty_ring_push",
	  { "reset_btf", "push_btf" },
	  "for VMs with a dirty ring; every push passes it" },
	{ "push-raw_tp",
	  "raw_tp kvm_dirty_ring_push",
	  "kvm_dirty_ring_push",
	  { "reset_raw", "push_raw" },
	  "for VMs with a dirty ring; every push passes it" },
	{ NULL },
};

const struct dp_way dp_mark_ways[] = {
	{ "fentry",
	  "fentry mark_page_dirty_in_slot",
	  "mark_page_dirty_in_slot",
	  { "mark_fentry" },
	  "the time of each first write, with bitmaps as well" },
	{ "kprobe",
	  "kprobe mark_page_dirty_in_slot",
	  "mark_page_dirty_in_slot",
	  { "mark_kprobe" },
	  "the time of each first write, with bitmaps as well" },
	{ NULL },
};

/* Loads the object for a way; what else is to be loaded has been said. Attaches what sees RESETs, if anything does. */
static int load_object(struct dp_events *r)
{
	int err = configure(r, r->opts);

	err = err ? err : events_bpf__load(r->skel);
	if (!err && r->reset) {
		r->links[0] = bpf_program__attach(r->reset);
		err = r->links[0] ? 0 : -errno;
	}
	if (err) {
		events_bpf__destroy(r->skel);
		r->skel = NULL;
	}
	return err;
}

/* Attaches what feeds and lets go of it: some programs load, but find nothing to attach to. */
static int try_feed(struct dp_events *r)
{
	struct bpf_link *link = bpf_program__attach(r->feed);
	int err = link ? 0 : -errno;

	bpf_link__destroy(link);
	if (err) {
		bpf_link__destroy(r->links[0]);
		r->links[0] = NULL;
		events_bpf__destroy(r->skel);
		r->skel = NULL;
	}
	return err;
}

/* Marks of a VM with a ring need its RESETs as well. */
static int load_mark(void *ctx, const struct dp_way *way)
{
	struct dp_events *r = ctx;
	struct events_bpf *s = events_bpf__open_opts(dp_bpf_open_opts());
	int err;

	if (!s)
		return errno ? -errno : -ENOMEM;
	r->skel = s;
	r->drain = false;
	r->first = NULL;
	dp_way_autoload(dp_ring_ways, NULL, s->obj);
	dp_way_autoload(dp_mark_ways, way, s->obj);
	r->feed = dp_way_prog(way, 0, s->obj);
	r->reset = r->opts->ring_entries ? s->progs.reset_raw : NULL;
	if (r->reset)
		bpf_program__set_autoload(r->reset, true);
	bpf_program__set_autoload(s->progs.mark_tids, r->reset != NULL);
	err = load_object(r);
	return err ? err : try_feed(r);
}

static int load(void *ctx, const struct dp_way *way)
{
	struct dp_events *r = ctx;
	struct events_bpf *s;

	r->drain = way->progs[2] != NULL;
	/* A ring that has no place of its own here can only be followed push by push. */
	if (r->drain && r->opts->nvcpus > DP_MAX_STAT_VCPUS)
		return -E2BIG;
	s = events_bpf__open_opts(dp_bpf_open_opts());
	if (!s)
		return errno ? -errno : -ENOMEM;
	r->skel = s;
	r->reset = dp_way_prog(way, 0, s->obj);
	r->feed = dp_way_prog(way, 1, s->obj);
	r->first = dp_way_prog(way, 2, s->obj);
	dp_way_autoload(dp_mark_ways, NULL, s->obj);
	bpf_program__set_autoload(s->progs.mark_tids, false);
	dp_way_autoload(dp_ring_ways, way, s->obj);
	return load_object(r);
}

static int map_all(struct dp_events *r)
{
	r->slots_len = dp_bpf_array_bytes(sizeof(*r->slots), r->slot_ids * 2);
	r->bits_len = dp_bpf_array_bytes(sizeof(*r->bits), r->nchunks * DP_BIT_SETS);
	r->stamps_len = dp_bpf_array_bytes(sizeof(*r->stamps), r->nstamps);
	r->hists_len = dp_bpf_array_bytes(sizeof(*r->hists), r->nrows);
	r->slots = dp_bpf_map(r->skel->maps.slots, r->slots_len);
	r->bits = dp_bpf_map(r->skel->maps.bits, r->bits_len);
	r->stamps = dp_bpf_map(r->skel->maps.stamps, r->stamps_len);
	r->hists = dp_bpf_map(r->skel->maps.hists, r->hists_len);
	r->threads_len = dp_bpf_array_bytes(sizeof(*r->threads), r->mark ? DP_MARK_THREADS : 1);
	r->threads = dp_bpf_map(r->skel->maps.mark_threads, r->threads_len);
	r->prev = calloc(r->nrows, sizeof(*r->prev));
	r->out_events = calloc(DP_MAX_STAT_VCPUS, sizeof(*r->out_events));
	if (!r->slots || !r->bits || !r->stamps || !r->hists || !r->threads || !r->prev || !r->out_events)
		return -ENOMEM;
	r->notes = ring_buffer__new(bpf_map__fd(r->skel->maps.notes), on_note, r, NULL);
	return r->notes ? 0 : -errno;
}

int dp_events_open(const struct dp_events_opts *o, struct dp_events **out, char *msg, size_t len)
{
	struct dp_events *r = calloc(1, sizeof(*r));
	int err;

	*out = NULL;
	if (!r) {
		snprintf(msg, len, "out of memory");
		return -ENOMEM;
	}
	r->opts = o;
	r->mark = o->mark;
	r->nregions = o->layout->nregions;
	r->nchunks = r->nregions << (DP_REGION_SHIFT - DP_CHUNK_SHIFT);
	r->nrows = r->nregions + DP_SIZES - 1;
	r->slot_ids = o->slot_ids;
	r->nvcpus = o->nvcpus ? o->nvcpus : 1;
	r->ring_entries = o->ring_entries;
	r->gap_ns = DRAIN_MIN_NS;
	r->spare = 2;
	r->base = mono_ns() - (1u << DP_STAMP_SHIFT);
	err = o->mark ? dp_ways_try(dp_mark_ways, o->how, load_mark, r, &r->way, msg, len)
		      : dp_ways_try(dp_ring_ways, o->how, load, r, &r->way, msg, len);
	r->opts = NULL;
	if (err)
		goto fail;
	err = map_all(r);
	if (err) {
		snprintf(msg, len, "cannot map the counters: %s", strerror(-err));
		goto fail;
	}
	*out = r;
	return 0;
fail:
	dp_events_close(r);
	return err;
}

/* The first push is hooked exactly while none has been seen. */
static int hook_first_push(struct dp_events *r)
{
	bool active = __atomic_load_n(&r->skel->bss->active, __ATOMIC_RELAXED);

	if (active && r->first_link) {
		bpf_link__destroy(r->first_link);
		r->first_link = NULL;
	} else if (!active && !r->first_link) {
		r->first_link = bpf_program__attach(r->first);
		return r->first_link ? 0 : -errno;
	}
	return 0;
}

int dp_events_start(struct dp_events *r)
{
	uint64_t start = 1;
	int err;

	if (r->drain) {
		err = dp_bpf_run(r->feed, &start, 1, NULL);
		return err ? err : hook_first_push(r);
	}
	/* A RESET by a vCPU's thread is no sync. */
	if (r->mark && r->reset)
		dp_bpf_run(r->skel->progs.mark_tids, &start, 1, NULL);
	r->links[1] = bpf_program__attach(r->feed);
	return r->links[1] ? 0 : -errno;
}

/*
 * What matters is the time since the last anchor: the shorter, the finer. And what a RESET finds unread is counted at
 * the guest's expense, so that a busy ring is read more often.
 */
static uint64_t drain_gap(const struct dp_events *r, uint64_t now)
{
	uint32_t most = __atomic_load_n(&r->skel->bss->drained, __ATOMIC_RELAXED);
	uint64_t opened = r->base + ((uint64_t)r->skel->bss->anchors[0].stamp << DP_STAMP_SHIFT);
	uint64_t gap = now > opened ? (now - opened) / 8 : 0, busy = r->gap_ns;

	if (most > r->ring_entries / 8)
		busy = busy / 2;
	else
		busy = busy * 2;
	if (gap > busy)
		gap = busy;
	return gap < DRAIN_MIN_NS ? DRAIN_MIN_NS : gap > DRAIN_MAX_NS ? DRAIN_MAX_NS : gap;
}

uint64_t dp_events_drain(struct dp_events *r)
{
	uint64_t start = 0, now;

	if (!r->drain)
		return UINT64_MAX;
	hook_first_push(r);
	if (!__atomic_load_n(&r->skel->bss->active, __ATOMIC_RELAXED))
		return UINT64_MAX;
	dp_bpf_run(r->feed, &start, 1, NULL);
	now = mono_ns();
	r->gap_ns = drain_gap(r, now);
	return now + r->gap_ns;
}

void dp_events_close(struct dp_events *r)
{
	if (!r)
		return;
	bpf_link__destroy(r->first_link);
	bpf_link__destroy(r->links[1]);
	bpf_link__destroy(r->links[0]);
	ring_buffer__free(r->notes);
	dp_bpf_unmap(r->slots, r->slots_len);
	dp_bpf_unmap(r->bits, r->bits_len);
	dp_bpf_unmap(r->stamps, r->stamps_len);
	dp_bpf_unmap(r->hists, r->hists_len);
	dp_bpf_unmap(r->threads, r->threads_len);
	events_bpf__destroy(r->skel);
	free(r->prev);
	free(r->out_events);
	free(r->ages);
	free(r->exposures);
	free(r);
}

const char *dp_events_hook(const struct dp_events *r)
{
	return r->way->hook;
}

void dp_events_slot(struct dp_events *r, uint32_t as_id, uint32_t id, const struct dp_events_slot *s)
{
	struct dp_events_slot *dst;

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

static uint64_t *bits_of(const struct dp_events *r, uint32_t set)
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

/* From now on the programs write this set. Only who took it from next_bits may say so. */
static void write_bits(struct events_bpf *s, uint32_t set)
{
	uint32_t i;

	__atomic_store_n(&s->bss->cur_bits, set, __ATOMIC_SEQ_CST);
	for (i = 0; i < DP_MAX_STAT_VCPUS; i++) {
		__u64 *cursor = &s->bss->rings[i].cursor, cur = __atomic_load_n(cursor, __ATOMIC_SEQ_CST);

		while (!__atomic_compare_exchange_n(cursor, &cur, (uint64_t)set << 32 | (uint32_t)cur, false,
						    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			;
	}
}

/*
 * Picks the set of bits to read and hands the programs another one to go on with. The set that a sync closed is
 * told by its note. Returns DP_NO_SET where a sync has closed one and its note is still to come.
 */
static uint32_t pick_bits(struct dp_events *r, uint32_t set, struct dp_events_take *out)
{
	struct events_bpf *s = r->skel;
	uint32_t next;

	if (set == DP_NO_SET) {
		/* Whoever takes the free set may swap: no RESET can from here on. */
		next = __atomic_exchange_n(&s->bss->next_bits, DP_NO_SET, __ATOMIC_SEQ_CST);
		set = r->cur;
		if (next != DP_NO_SET)
			write_bits(s, next);
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

int dp_events_take(struct dp_events *r, uint32_t set, struct dp_events_take *out)
{
	size_t words = (size_t)r->nregions * DP_REGION_WORDS;
	uint64_t lost;
	int err;

	memset(out, 0, sizeof(*out));
	/* The set that the last take handed out has been read. */
	if (r->spare == DP_NO_SET) {
		dp_bits_clear(bits_of(r, r->handed_out), words);
		r->spare = r->handed_out;
	}
	dp_events_drain(r);
	set = pick_bits(r, set, out);
	wait_for_programs();
	/* A push may have opened the anchors before logging was seen to be on: their ages are in this take. */
	if (r->on || __atomic_load_n(&r->skel->bss->active, __ATOMIC_RELAXED))
		dp_events_age_anchors(r, mono_ns());
	err = dp_events_take_ages(r);
	dp_events_take_counters(r, out);
	if (r->mark)
		dp_events_take_gaps(r, &out->gaps);
	lost = __atomic_load_n(&r->skel->bss->ring_lost, __ATOMIC_RELAXED);
	out->lost = lost - r->prev_lost;
	r->prev_lost = lost;
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

int dp_events_fd(const struct dp_events *r)
{
	return ring_buffer__epoll_fd(r->notes);
}

bool dp_events_resets(struct dp_events *r, void (*cb)(void *ctx, const struct dp_reset_note *note), void *ctx)
{
	int n;

	r->cb = cb;
	r->cb_ctx = ctx;
	n = ring_buffer__consume(r->notes);
	r->cb = NULL;
	return n > 0;
}

bool dp_events_is_vcpu(const struct dp_events *r, uint32_t tid)
{
	uint32_t i;

	for (i = 0; i < DP_MAX_STAT_VCPUS; i++)
		if (r->skel->bss->vcpu_stats[i].tid == tid)
			return true;
	return false;
}

void dp_events_age_stamps(struct dp_events *r, uint64_t now_ns)
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

void dp_events_stats(const struct dp_events *r, uint64_t *runs, uint64_t *ns, uint64_t *map_bytes)
{
	dp_bpf_stats(r->feed, runs, ns);
	dp_bpf_stats(r->reset, runs, ns);
	*map_bytes += dp_bpf_memlock(r->skel->maps.slots) + dp_bpf_memlock(r->skel->maps.bits) +
		      dp_bpf_memlock(r->skel->maps.stamps) + dp_bpf_memlock(r->skel->maps.hists) +
		      dp_bpf_memlock(r->skel->maps.notes) + dp_bpf_memlock(r->skel->maps.mark_threads);
}
