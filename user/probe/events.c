// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/events_int.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "model/rollup.h"
#include "qmp/clock.h"

#define DRAIN_MAX_NS 32000000ull

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
	now = dp_mono_ns();
	r->gap_ns = drain_gap(r, now);
	return now + r->gap_ns;
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
static void wait_for_programs(const struct dp_events *r)
{
	struct timespec ms = { .tv_nsec = 2000000 };
	uint32_t key = 0, value = (uint32_t)bpf_map__fd(r->skel->maps.turn_value);

	if (bpf_map__update_elem(r->skel->maps.turn, &key, sizeof(key), &value, sizeof(value), BPF_ANY))
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

/*
 * Entries that were overwritten, and runs that the kernel skipped, a push, a mark or a RESET each: perhaps of another VM, so that this is
 * an upper bound.
 */
static uint64_t lost_so_far(const struct dp_events *r)
{
	return __atomic_load_n(&r->skel->bss->ring_lost, __ATOMIC_RELAXED) + dp_bpf_missed(r->reset) +
	       (r->drain ? 0 : dp_bpf_missed(r->feed));
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
	wait_for_programs(r);
	/* A push may have opened the anchors before logging was seen to be on: their ages are in this take. */
	if (r->on || __atomic_load_n(&r->skel->bss->active, __ATOMIC_RELAXED))
		dp_events_age_anchors(r, dp_mono_ns());
	err = dp_events_take_ages(r);
	dp_events_take_counters(r, out);
	if (r->mark)
		dp_events_take_gaps(r, &out->gaps);
	lost = lost_so_far(r);
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
