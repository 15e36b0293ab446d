// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The VM's memslots: their layout in the page index, and the source that fits. */
#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "probe/watch_int.h"

#define SPARE_SLOT_IDS 64 /* for slots that are plugged in later */

/* log2 of 4K pages in a host page. */
static unsigned int page_shift(void)
{
	long size = sysconf(_SC_PAGESIZE);
	unsigned int sh = 0;

	while (size > (4096l << sh))
		sh++;
	return sh;
}

static bool is_ram(const struct dp_slot_rec *s)
{
	return s->npages && !(s->flags & KVM_MEM_READONLY);
}

/* The RAM slots in 4K pages. *n of them; NULL: out of memory. */
static struct dp_extent *extents(const struct dp_slot_rec *recs, uint32_t nrecs, size_t *n)
{
	struct dp_extent *e = calloc(nrecs ? nrecs : 1, sizeof(*e));
	unsigned int sh = page_shift();
	uint32_t i;

	*n = 0;
	for (i = 0; e && i < nrecs; i++) {
		if (!is_ram(&recs[i]))
			continue;
		e[(*n)++] = (struct dp_extent){ .gfn = recs[i].base_gfn << sh,
						.npages = recs[i].npages << sh,
						.logging = recs[i].flags & KVM_MEM_LOG_DIRTY_PAGES };
	}
	return e;
}

int dp_watch_copy_slots(struct dp_watch *w, const struct dp_kvm *k)
{
	struct dp_slot_rec *r = malloc((k->vm.nslots ? k->vm.nslots : 1) * sizeof(*r));

	if (!r)
		return -ENOMEM;
	memcpy(r, k->slots, k->vm.nslots * sizeof(*r));
	free(w->recs);
	w->recs = r;
	w->nrecs = k->vm.nslots;
	return 0;
}

/* Fills w->vm from w->recs and w->layout. */
static int fill_vm(struct dp_watch *w, const struct dp_vm_rec *vr)
{
	struct dp_vm *vm = &w->vm;
	unsigned int sh = page_shift();
	struct dp_extent *ext;
	struct dp_slot *slots = calloc(w->nrecs ? w->nrecs : 1, sizeof(*slots));
	uint64_t *pages = calloc(w->layout.nregions ? w->layout.nregions : 1, sizeof(*pages));
	size_t n;
	uint32_t i;

	ext = extents(w->recs, w->nrecs, &n);
	if (!slots || !pages || !ext) {
		free(slots);
		free(pages);
		free(ext);
		return -ENOMEM;
	}
	for (i = 0; i < w->nrecs; i++) {
		slots[i].hva = w->recs[i].hva;
		slots[i].npages = w->recs[i].npages;
		dp_watch_keep_backing(vm, &slots[i]);
	}
	free(vm->slots);
	free(vm->region_pages);
	vm->slots = slots;
	vm->region_pages = pages;
	vm->nslots = w->nrecs;
	vm->host_page = (uint32_t)sysconf(_SC_PAGESIZE);
	vm->nregions = w->layout.nregions;
	vm->generation++;
	vm->nvcpus = dp_inspect_vcpus(w->inspect);
	vm->log_mode = vr->ring_bytes ? DP_LOG_RING : DP_LOG_BITMAP;
	vm->ring_entries = vr->ring_bytes / 16;
	vm->manual_protect = (uint32_t)vr->manual_protect;
	vm->mmu = vr->mmu == DP_VM_RADIX ? DP_MMU_RADIX : vr->mmu == DP_VM_HASH ? DP_MMU_HASH : DP_MMU_ANY;
	if (!vm->granule)
		dp_watch_granule(w); /* again when the backing is known */
	vm->ram_pages = vm->logging_pages = 0;
	for (i = 0; i < w->nrecs; i++) {
		const struct dp_slot_rec *r = &w->recs[i];
		struct dp_slot *s = &slots[i];
		uint32_t a = dp_layout_index(&w->layout, r->base_gfn << sh);
		uint64_t end = ((r->base_gfn + r->npages) << sh) - 1;

		*s = (struct dp_slot){ .id = r->id,
				       .as_id = r->as_id,
				       .flags = r->flags,
				       .base_gfn = r->base_gfn,
				       .npages = r->npages,
				       .hva = r->hva,
				       .backing = s->backing };
		s->logging = r->flags & KVM_MEM_LOG_DIRTY_PAGES;
		s->ram = is_ram(r);
		if (a != DP_INDEX_NONE && s->ram) {
			s->region_base = a >> DP_REGION_SHIFT;
			s->nregions = (uint32_t)((end >> DP_REGION_SHIFT) -
						 ((r->base_gfn << sh) >> DP_REGION_SHIFT) + 1);
		}
		if (s->ram && !r->as_id && s->logging)
			vm->logging_pages += r->npages << sh;
	}
	dp_layout_count(&w->layout, ext, n, pages, vm->blocks);
	vm->ram_pages = vm->blocks[DP_4K];
	free(ext);
	return dp_heat_plan(&w->heat, vm);
}

/* Tells the programs and the bitmap reader which slots there are. */
static int tell_source(struct dp_watch *w, uint64_t t_mono, bool exact)
{
	struct dp_bitlog_slot *bs = calloc(w->nrecs ? w->nrecs : 1, sizeof(*bs));
	struct dp_events_slot none = { 0 };
	unsigned int sh = page_shift();
	uint32_t i, as, id, n = 0;
	uint64_t logging = 0;
	int err = 0;

	if (!bs)
		return -ENOMEM;
	for (as = 0; as < 2; as++) {
		for (id = 0; id < w->slot_ids; id++) {
			for (i = 0; i < w->nrecs && (w->recs[i].as_id != as || w->recs[i].id != id); i++)
				;
			if (i < w->nrecs && is_ram(&w->recs[i]))
				continue;
			if (w->events)
				dp_events_slot(w->events, as, id, &none);
			if (w->harvest)
				dp_harvest_slot(w->harvest, as, id, 0);
		}
	}
	for (i = 0; i < w->nrecs; i++) {
		const struct dp_slot_rec *r = &w->recs[i];
		uint32_t index = dp_layout_index(&w->layout, r->base_gfn << sh);
		struct dp_events_slot rs = { .index = index,
					     .npages = (uint32_t)(r->npages << sh),
					     .shift = sh,
					     .logging = !!(r->flags & KVM_MEM_LOG_DIRTY_PAGES) };

		if (!is_ram(r) || index == DP_INDEX_NONE)
			continue;
		if (w->events)
			dp_events_slot(w->events, r->as_id, r->id, &rs);
		if (w->harvest)
			dp_harvest_slot(w->harvest, r->as_id, r->id, r->npages);
		if (rs.logging)
			logging += r->npages;
		bs[n++] = (struct dp_bitlog_slot){ .key = (uint32_t)r->as_id << 16 | r->id,
						   .index = index,
						   .shift = sh,
						   .nbits = r->npages,
						   .logging = rs.logging };
	}
	if (w->harvest)
		dp_harvest_logging(w->harvest, w->events ? logging : 0);
	if (w->bitlog)
		err = dp_bitlog_slots(w->bitlog, bs, n, t_mono - w->base_ns, exact);
	free(bs);
	return err;
}

int dp_watch_tell_slots(struct dp_watch *w, uint64_t t_mono, bool exact)
{
	int err = fill_vm(w, &w->kvm.vm);

	return err ? err : tell_source(w, t_mono, exact);
}

void dp_watch_source_close(struct dp_watch *w)
{
	dp_events_close(w->events);
	dp_harvest_close(w->harvest);
	dp_bitlog_free(w->bitlog);
	w->events = NULL;
	w->harvest = NULL;
	w->bitlog = NULL;
	dp_pageset_free(&w->iv.pages);
	dp_pageset_free(&w->seen);
	dp_pageset_free(&w->sync_pages);
	free(w->iv.vcpu_events);
	free(w->region_new);
	w->iv.vcpu_events = w->region_new = NULL;
}

/* Whether KVM lets the processor collect guests' writes: a parameter of its module, which says N where it cannot. */
static bool writes_collected(void)
{
	static const char *const path[] = { "/sys/module/kvm_intel/parameters/pml",
					    "/sys/module/kvm_amd/parameters/pml" };
	bool on = false;
	size_t i;

	for (i = 0; i < sizeof(path) / sizeof(path[0]) && !on; i++) {
		FILE *f = fopen(path[i], "re");

		if (!f)
			continue;
		on = fgetc(f) == 'Y';
		fclose(f);
	}
	return on;
}

/* The ring's events, or with mark the marks. */
static int open_events(struct dp_watch *w, bool mark, char *msg, size_t len)
{
	struct dp_events_opts eo = { .pid = w->o.pid,
				     .nvcpus = w->vm.nvcpus,
				     .ring_entries = w->vm.ring_entries,
				     .slot_ids = w->slot_ids,
				     .layout = &w->layout,
				     .kvm = dp_inspect_kvm(w->inspect),
				     .how = w->o.hooks.how[mark ? DP_USE_MARK : DP_USE_RING],
				     .mark = mark,
				     .rearms = w->harvest ? dp_harvest_rearms(w->harvest) : NULL,
				     .host_pages = w->vm.ram_pages >> page_shift() };
	int err;

	eo.vcpu_ptrs = dp_inspect_vcpu_ptrs(w->inspect, &eo.nptrs);
	err = dp_events_open(&eo, &w->events, msg, len);
	w->collected = mark && writes_collected();
	if (!err)
		snprintf(w->hook, sizeof(w->hook), "%s%s%s", dp_events_hook(w->events),
			 w->harvest ? ", " : "", w->harvest ? dp_harvest_hook(w->harvest) : "");
	return err;
}

static int open_probe(struct dp_watch *w, char *msg, size_t len)
{
	struct dp_harvest_opts ho = { .pid = w->o.pid,
				      .slot_ids = w->slot_ids,
				      .host_pages = w->vm.ram_pages,
				      .manual = w->vm.manual_protect != 0,
				      .how = w->o.hooks.how[DP_USE_HARVEST] };
	int err;

	w->hook[0] = '\0';
	if (w->vm.ring_entries)
		return open_events(w, w->source == DP_SRC_MARK, msg, len);
	err = dp_harvest_open(&ho, &w->harvest, msg, len);
	if (err)
		return err;
	snprintf(w->hook, sizeof(w->hook), "%s", dp_harvest_hook(w->harvest));
	w->bitlog = dp_bitlog_new(w->layout.nregions, w->vm.manual_protect);
	if (!w->bitlog) {
		snprintf(msg, len, "out of memory");
		return -ENOMEM;
	}
	/* CLEAR re-arms range by range, so that there is hardly a moment at which all is armed: marks are for those who ask. */
	if (w->source != DP_SRC_MARK && (w->o.source || ho.manual || w->vm.mmu))
		return 0;
	err = open_events(w, true, msg, len);
	if (!err)
		w->source = DP_SRC_MARK;
	else if (!w->o.source)
		err = 0; /* the bitmaps alone will do */
	return err;
}

/* Lays the VM's memory out and opens the source for it, from w->kvm. */
int dp_watch_source_open(struct dp_watch *w, char *msg, size_t len)
{
	struct dp_extent *ext;
	size_t n;
	uint32_t i;
	int err;

	err = dp_watch_copy_slots(w, &w->kvm);
	if (err)
		goto oom;
	ext = extents(w->recs, w->nrecs, &n);
	if (!ext) {
		err = -ENOMEM;
		goto oom;
	}
	dp_layout_free(&w->layout);
	err = dp_layout_build(&w->layout, ext, n);
	free(ext);
	if (err) {
		snprintf(msg, len,
			 err == -E2BIG ? "this VM's memory is spread too far (more than 16 TiB)"
				       : "out of memory");
		return err;
	}
	w->slot_ids = SPARE_SLOT_IDS;
	for (i = 0; i < w->nrecs; i++)
		if ((uint32_t)w->recs[i].id + SPARE_SLOT_IDS > w->slot_ids)
			w->slot_ids = (uint32_t)w->recs[i].id + SPARE_SLOT_IDS;
	err = fill_vm(w, &w->kvm.vm);
	if (err)
		goto oom;
	i = w->layout.nregions;
	err = dp_pageset_init(&w->iv.pages, i);
	err = err ? err : dp_pageset_init(&w->seen, i);
	err = err ? err : dp_pageset_init(&w->sync_pages, i);
	w->region_new = calloc(w->layout.nregions + 1, sizeof(*w->region_new));
	w->iv.vcpu_events = calloc(DP_MAX_STAT_VCPUS, sizeof(uint64_t));
	if (err || !w->region_new || !w->iv.vcpu_events) {
		err = -ENOMEM;
		goto oom;
	}
	w->seen_pages = 0;
	w->dirty_before = true;
	w->opened_vcpus = w->last_vcpus = w->kvm.vm.created_vcpus;
	err = open_probe(w, msg, len);
	if (err)
		return err;
	err = tell_source(w, dp_mono_ns(), false);
	if (err)
		goto oom;
	err = w->events ? dp_events_start(w->events) : 0;
	if (err)
		snprintf(msg, len, "%s does not attach: %s", dp_events_hook(w->events), strerror(-err));
	return err;
oom:
	snprintf(msg, len, "out of memory");
	return err;
}

bool dp_watch_fits(const struct dp_watch *w)
{
	unsigned int sh = page_shift();
	uint32_t i;

	for (i = 0; i < w->nrecs; i++) {
		const struct dp_slot_rec *r = &w->recs[i];

		if (is_ram(r) && (!dp_layout_covers(&w->layout, r->base_gfn << sh, r->npages << sh) ||
				  r->id >= w->slot_ids))
			return false;
	}
	return true;
}
