// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the ring's programs counted: anchors and how far they aged, first dirtyings by lag, vCPUs' counters. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "probe/events_int.h"

static int add_exposure(struct dp_events *r, uint32_t level, uint32_t count, uint32_t anchor, uint64_t from,
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
void dp_events_age_anchors(struct dp_events *r, uint64_t t_ns)
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
static void see_pushes(struct dp_events *r, uint64_t t_ns)
{
	uint64_t pushes = 0;
	uint32_t i;

	for (i = 0; i < DP_MAX_STAT_VCPUS && i < r->nvcpus; i++)
		pushes += __atomic_load_n(&r->skel->bss->vcpu_stats[i].pushes, __ATOMIC_RELAXED);
	if (pushes != r->active_pushes)
		r->active_ns = t_ns;
	r->active_pushes = pushes;
}

void dp_events_logging(struct dp_events *r, bool on, bool armed, uint64_t t_ns)
{
	struct events_bpf *s = r->skel;
	uint32_t l, i;

	__atomic_store_n(&s->bss->unarmed, !armed, __ATOMIC_SEQ_CST);
	__atomic_store_n(&s->bss->ram_logs, on, __ATOMIC_SEQ_CST);
	if (on)
		see_pushes(r, t_ns);
	if (on == r->on)
		return;
	/* What the rings hold came before. */
	dp_events_drain(r);
	r->on = on;
	if (on) {
		uint32_t zero = 0;

		/* Where a push came first, it opened the anchors. */
		if (armed && __atomic_compare_exchange_n(&s->bss->active, &zero, 1, false, __ATOMIC_SEQ_CST,
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
	s->bss->stopped_ns = t_ns;
	/* It was noticed late: the anchors end with the last push that was seen, or not much later. */
	if (r->active_ns < s->bss->last_new_ns)
		r->active_ns = s->bss->last_new_ns;
	if (r->active_ns && r->active_ns < t_ns && r->active_ns > s->bss->started_ns)
		t_ns = r->active_ns;
	dp_events_age_anchors(r, t_ns);
	for (l = 0; l < DP_LEVELS; l++)
		r->seen[l].open = false;
	for (i = 0; i < r->slot_ids * 2; i++)
		r->slots[i].logging = 0;
	__atomic_store_n(&s->bss->active, 0, __ATOMIC_SEQ_CST);
	dp_events_drain(r); /* hooks the next first push */
}

static int add_age(struct dp_events *r, uint32_t row, uint32_t level, uint32_t odd, uint32_t bin, uint32_t n)
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

int dp_events_take_ages(struct dp_events *r)
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

void dp_events_take_counters(struct dp_events *r, struct dp_events_take *out)
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

static uint64_t since(uint64_t *prev, uint64_t now)
{
	uint64_t n = now - *prev;

	*prev = now;
	return n;
}

/* How marks came since the last look. The batches under way are not yet among them. */
void dp_events_take_gaps(struct dp_events *r, struct dp_mark_gaps *out)
{
	struct dp_mark_gaps sum = { 0 };
	uint32_t i, k;

	for (i = 0; i < DP_MARK_THREADS; i++) {
		const struct dp_mark_thread *t = &r->threads[i];

		if (!__atomic_load_n(&t->tid, __ATOMIC_RELAXED))
			continue;
		for (k = 0; k < DP_GAP_BINS; k++) {
			sum.batched[k] += __atomic_load_n(&t->batched[k], __ATOMIC_RELAXED);
			sum.alone[k] += __atomic_load_n(&t->alone[k], __ATOMIC_RELAXED);
		}
		for (k = 0; k < DP_BATCH_BINS; k++)
			sum.batches[k] += __atomic_load_n(&t->batches[k], __ATOMIC_RELAXED);
	}
	for (k = 0; k < DP_GAP_BINS; k++) {
		out->batched[k] = since(&r->prev_gaps.batched[k], sum.batched[k]);
		out->alone[k] = since(&r->prev_gaps.alone[k], sum.alone[k]);
	}
	for (k = 0; k < DP_BATCH_BINS; k++)
		out->batches[k] = since(&r->prev_gaps.batches[k], sum.batches[k]);
}
