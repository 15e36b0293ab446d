// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The ring source: its ways, and their object loaded, sized and mapped. */
#include "probe/events_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qmp/clock.h"

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
	r->base = dp_mono_ns() - (1u << DP_STAMP_SHIFT);
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
