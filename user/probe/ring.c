// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/ring.h"

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
#include "probe/bpf_util.h"
#include "ring.skel.h"

/* Stamps kept of each size: 16 MiB. Above, one block in 2^shift is stamped, at hashed places. */
#define MAX_STAMPS (1u << 22)

/* What an anchor looked like when it was last read. */
struct anchor_seen {
	struct dp_anchor a;
	bool open;
	uint64_t age_ns; /* of the open one */
	double blind;
};

struct dp_ring {
	struct ring_bpf *skel;
	struct bpf_link *links[2];
	struct bpf_program *push, *reset;
	struct ring_buffer *notes;
	const char *hook;
	uint32_t nregions, nchunks, slot_ids, nvcpus, nrows;
	uint32_t nstamps, sample_shift[DP_SIZES], stamp_base[DP_SIZES];
	struct dp_ring_slot *slots;
	struct dp_chunk *bits;
	struct dp_stamps *stamps;
	struct dp_hist *hists, *prev;
	size_t slots_len, bits_len, stamps_len, hists_len;
	bool on;
	uint64_t active_ns, active_pushes; /* when pushes were last seen to go on */
	uint64_t base;
	struct anchor_seen seen[DP_LEVELS];
	uint64_t prev_pushes[DP_MAX_STAT_VCPUS], prev_repeated, prev_unknown;
	/* results of a take */
	uint64_t *out_events;
	struct dp_ages *ages;
	uint32_t nages, ages_room;
	struct dp_exposure *exposures; /* of a take under way; cuts are added when logging stops */
	uint32_t nexposures, exposures_room;
	uint32_t cur;	     /* the set of bits that was written when last looked */
	uint32_t spare;	     /* a clean set that the programs do not have; DP_NO_SET: none */
	uint32_t handed_out; /* the set that the last take gave, until it is clean again */
	uint32_t waiting;    /* takes since a sync closed a set whose note has not come */
	uint32_t left[DP_LEFT_MAX];
	void (*cb)(void *ctx, const struct dp_reset_note *note);
	void *cb_ctx;
};

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

bool dp_ring_slot_fits(const struct dp_ring *r, uint32_t id)
{
	return id < r->slot_ids;
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

static int add_exposure(struct dp_ring *r, uint32_t level, uint32_t count, uint32_t anchor, uint64_t from,
			uint64_t to, double blind)
{
	if (to > DP_LEVEL_NS(level))
		to = DP_LEVEL_NS(level);
	if (!count || to <= from)
		return 0;
	if (r->nexposures == r->exposures_room) {
		uint32_t room = r->exposures_room ? r->exposures_room * 2 : 64;
		struct dp_exposure *e = realloc(r->exposures, room * sizeof(*e));

		if (!e)
			return -ENOMEM;
		r->exposures = e;
		r->exposures_room = room;
	}
	r->exposures[r->nexposures++] = (struct dp_exposure){
		.level = level, .count = count, .anchor = anchor, .from_ns = from, .to_ns = to, .blind = blind
	};
	return 0;
}

/* One anchor while a program may be changing it. */
static struct dp_anchor read_anchor(const struct dp_anchor *src)
{
	struct dp_anchor a, b;
	int tries;

	for (tries = 0; tries < 100; tries++) {
		memcpy(&a, (const void *)src, sizeof(a));
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		memcpy(&b, (const void *)src, sizeof(b));
		if (!memcmp(&a, &b, sizeof(a)))
			break;
	}
	return b;
}

/* How far the open anchors of each level have aged by t, and which were closed since the last look. */
static void age_anchors(struct dp_ring *r, uint64_t t_ns)
{
	uint32_t l;

	for (l = 0; l < DP_LEVELS; l++) {
		struct anchor_seen *s = &r->seen[l];
		struct dp_anchor a = read_anchor(&r->skel->bss->anchors[l]);
		uint64_t opened_at = r->base + ((uint64_t)(a.stamp - 1) << DP_STAMP_SHIFT);
		uint64_t age = t_ns > opened_at ? t_ns - opened_at : 0;
		uint32_t opened = a.opened - s->a.opened;

		if (!a.opened)
			continue;
		if (!opened && s->open) {
			add_exposure(r, l, 1, a.opened, s->age_ns, age, s->blind);
		} else if (opened) {
			double blind = (double)(a.blind - s->a.blind) / opened;

			if (s->open)
				add_exposure(r, l, 1, s->a.opened, s->age_ns, DP_LEVEL_NS(l), s->blind);
			/* All but the last of those opened since have run their length. */
			add_exposure(r, l, opened - 1, a.opened - 1, 0, DP_LEVEL_NS(l), blind);
			add_exposure(r, l, 1, a.opened, 0, age, blind);
			s->open = true;
			s->blind = blind;
		}
		s->a = a;
		s->age_ns = age < DP_LEVEL_NS(l) ? age : DP_LEVEL_NS(l);
	}
}

/* The guest pushed something since the last look: it was writing, and logged, up to about now. */
static void see_pushes(struct dp_ring *r, uint64_t t_ns)
{
	uint64_t pushes = 0;
	uint32_t i;

	for (i = 0; i < DP_MAX_STAT_VCPUS && i < r->nvcpus; i++)
		pushes += __atomic_load_n(&r->skel->bss->vcpu_stats[i].pushes, __ATOMIC_RELAXED);
	if (pushes != r->active_pushes)
		r->active_ns = t_ns;
	r->active_pushes = pushes;
}

void dp_ring_logging(struct dp_ring *r, bool on, uint64_t t_ns)
{
	struct ring_bpf *s = r->skel;
	uint32_t l, i;

	if (on)
		see_pushes(r, t_ns);
	if (on == r->on)
		return;
	r->on = on;
	if (on) {
		uint32_t zero = 0;

		/* Where a push came first, it opened the anchors. */
		if (__atomic_compare_exchange_n(&s->bss->active, &zero, 1, false, __ATOMIC_SEQ_CST,
						__ATOMIC_SEQ_CST)) {
			s->bss->started_ns = t_ns;
			for (l = 0; l < DP_LEVELS; l++) {
				s->bss->anchors[l].stamp = (uint32_t)((t_ns - r->base) >> DP_STAMP_SHIFT) + 1;
				s->bss->anchors[l].opened++;
			}
			s->bss->rearmed = s->bss->anchors[0].stamp;
		}
		return;
	}
	/* It was noticed late: the anchors end with the last push that was seen, or not much later. */
	if (r->active_ns < s->bss->last_push_ns)
		r->active_ns = s->bss->last_push_ns;
	if (r->active_ns && r->active_ns < t_ns && r->active_ns > s->bss->started_ns)
		t_ns = r->active_ns;
	age_anchors(r, t_ns);
	for (l = 0; l < DP_LEVELS; l++)
		r->seen[l].open = false;
	for (i = 0; i < r->slot_ids * 2; i++)
		r->slots[i].logging = 0;
	__atomic_store_n(&s->bss->active, 0, __ATOMIC_SEQ_CST);
}

static int add_age(struct dp_ring *r, uint32_t row, uint32_t level, uint32_t odd, uint32_t bin, uint32_t n)
{
	uint32_t size = row < r->nregions ? DP_4K : row - r->nregions + 1, last = r->seen[level].a.opened;
	struct dp_ages *a;

	if (r->nages == r->ages_room) {
		uint32_t room = r->ages_room ? r->ages_room * 2 : 1024;

		a = realloc(r->ages, room * sizeof(*a));
		if (!a)
			return -ENOMEM;
		r->ages = a;
		r->ages_room = room;
	}
	r->ages[r->nages++] = (struct dp_ages){
		.region = size == DP_4K ? row : DP_REGION_ALL,
		.size = (uint8_t)size,
		.level = level,
		.bin = bin,
		.anchor = last - ((last & 1) != odd),
		.count = (double)n * (double)(1u << r->sample_shift[size]),
	};
	return 0;
}

static int take_ages(struct dp_ring *r)
{
	uint32_t row, i;
	int err = 0;

	r->nages = 0;
	for (row = 0; row < r->nrows && !err; row++) {
		if (!memcmp(&r->hists[row], &r->prev[row], sizeof(*r->prev)))
			continue;
		for (i = 0; i < DP_LEVELS * 2 * DP_BINS && !err; i++) {
			uint32_t *prev = &r->prev[row].c[0][0][0] + i, l = i / (2 * DP_BINS);
			uint32_t c = __atomic_load_n(&r->hists[row].c[0][0][0] + i, __ATOMIC_RELAXED);

			if (c != *prev)
				err = add_age(r, row, l, i / DP_BINS & 1, i % DP_BINS, c - *prev);
			*prev = c;
		}
	}
	return err;
}

static void take_counters(struct dp_ring *r, struct dp_ring_take *out)
{
	uint64_t repeated = 0, unknown = 0, pushes = 0;
	uint32_t i;

	for (i = 0; i < DP_MAX_STAT_VCPUS; i++) {
		const struct dp_vcpu_stat *v = &r->skel->bss->vcpu_stats[i];
		uint64_t n = __atomic_load_n(&v->pushes, __ATOMIC_RELAXED);

		r->out_events[i] = n - r->prev_pushes[i];
		pushes += r->out_events[i];
		r->prev_pushes[i] = n;
		repeated += v->repeated;
		unknown += v->unknown;
	}
	out->pushes = pushes;
	out->repeated = repeated - r->prev_repeated;
	out->unknown = unknown - r->prev_unknown;
	r->prev_repeated = repeated;
	r->prev_unknown = unknown;
	out->vcpu_events = r->out_events;
	out->nvcpus = r->nvcpus < DP_MAX_STAT_VCPUS ? r->nvcpus : DP_MAX_STAT_VCPUS;
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
		age_anchors(r, mono_ns());
	err = take_ages(r);
	take_counters(r, out);
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
