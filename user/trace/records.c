// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The fields of each record, in order. What is added to a struct later goes at its record's end, behind dp_io_more. */
#include "dirtyprof/heat.h"
#include "model/layout.h"
#include "trace/codec.h"

#define PAGES_MAX (1ull << 52) /* 4K pages of any address space */
#define SLOTS_MAX 2048u	       /* more are not read of any VM */
#define TEXT_MAX  4096
#define WALL_MAX  1000000000000000000 /* us: 1e12 s */

/* Enums are written as numbers; one that is out of range would index a table. */
#define ENUM(io, field, last)                                                                                \
	do {                                                                                                 \
		uint32_t e_ = (uint32_t)(field);                                                             \
		dp_io_u32(io, &e_);                                                                          \
		if (!(io)->writing && e_ > (uint32_t)(last))                                                 \
			(io)->failed = true;                                                                 \
		else if (!(io)->writing)                                                                     \
			(field) = (__typeof__(field))(int)e_;                                                \
	} while (0)

static void check(struct dp_io *io, bool right)
{
	io->failed |= !io->writing && !right;
}

static void io_sizes(struct dp_io *io, uint64_t v[DP_SIZES])
{
	int i;

	for (i = 0; i < DP_SIZES; i++) {
		dp_io_u64(io, &v[i]);
		check(io, v[i] <= PAGES_MAX);
	}
}

static void io_host(struct dp_io *io, struct dp_trace_host *h)
{
	dp_io_str(io, h->tool, sizeof(h->tool));
	dp_io_str(io, h->kernel, sizeof(h->kernel));
	dp_io_str(io, h->machine, sizeof(h->machine));
	dp_io_str(io, h->cpu, sizeof(h->cpu));
	dp_io_u32(io, &h->ncpus);
	dp_io_u32(io, &h->page);
	dp_io_u64(io, &h->memory);
	dp_io_s64(io, &h->wall_us);
	dp_io_u64(io, &h->interval);
}

void dp_io_start(struct dp_io *io, struct dp_trace_start *s)
{
	io_host(io, &s->host);
	ENUM(io, s->source, DP_SRC_SAMPLE);
	dp_io_bool(io, &s->logging);
}

void dp_io_opts(struct dp_io *io, struct dp_session_opts *o)
{
	dp_io_f64(io, &o->bandwidth);
	dp_io_f64(io, &o->switchover_bandwidth);
	dp_io_f64(io, &o->avail_switchover);
	dp_io_f64(io, &o->max_bandwidth);
	dp_io_f64(io, &o->limit);
	dp_io_f64(io, &o->fixed);
	dp_io_f64(io, &o->fixed_lo);
	dp_io_f64(io, &o->fixed_hi);
	dp_io_f64(io, &o->got.lo);
	dp_io_f64(io, &o->got.mid);
	dp_io_f64(io, &o->got.hi);
	dp_io_u32(io, &o->got_from);
	dp_io_f64(io, &o->queue);
	dp_io_u32(io, &o->learned);
	dp_io_f64(io, &o->setup);
	dp_io_f64(io, &o->zero_scan_bps);
	dp_io_f64(io, &o->throttle);
	dp_io_bool(io, &o->ac.on);
	dp_io_f64(io, &o->ac.trigger);
	dp_io_f64(io, &o->ac.initial);
	dp_io_f64(io, &o->ac.increment);
	dp_io_f64(io, &o->ac.max);
	dp_io_u32(io, &o->channels);
	dp_io_bool(io, &o->multifd);
	dp_io_f64(io, &o->interval);
	dp_io_text(io, &o->started_by, TEXT_MAX);
	dp_io_text(io, &o->hook, TEXT_MAX);
	dp_io_text(io, &o->command, TEXT_MAX);
	if (dp_io_more(io))
		dp_io_u64(io, &o->clock_ns);
	check(io, o->clock_ns <= DP_IO_NS_MAX);
}

static void io_backing(struct dp_io *io, struct dp_backing *b)
{
	dp_io_u64(io, &b->bytes_4k);
	dp_io_u64(io, &b->bytes_thp);
	dp_io_u64(io, &b->bytes_huge);
	dp_io_u32(io, &b->huge_size);
	dp_io_u32(io, &b->host_page);
	dp_io_bool(io, &b->known);
}

static void io_slot(struct dp_io *io, struct dp_slot *s, uint32_t nregions)
{
	dp_io_u16(io, &s->id);
	dp_io_u16(io, &s->as_id);
	dp_io_u32(io, &s->flags);
	dp_io_u64(io, &s->base_gfn);
	dp_io_u64(io, &s->npages);
	dp_io_u64(io, &s->hva);
	dp_io_bool(io, &s->logging);
	dp_io_bool(io, &s->ram);
	dp_io_u32(io, &s->region_base);
	dp_io_u32(io, &s->nregions);
	io_backing(io, &s->backing);
	check(io, s->base_gfn <= PAGES_MAX && s->npages <= PAGES_MAX);
	check(io, !s->nregions || (s->region_base < nregions && s->nregions <= nregions - s->region_base));
}

/*
 * What goes through a VM's RAM by frames of 1 GiB must come to an end: its slots span as many as it has regions, in each of two
 * address spaces, and those at which two slots meet twice.
 */
static void check_frames(struct dp_io *io, const struct dp_vm *vm)
{
	uint64_t lo, hi, frames = 0;
	uint32_t i;

	for (i = 0; i < vm->nslots; i++)
		if (dp_slot_span(vm, i, &lo, &hi))
			frames += ((hi - 1) >> DP_REGION_SHIFT) - (lo >> DP_REGION_SHIFT) + 1;
	check(io, frames <= 2ull * DP_REGIONS_MAX + SLOTS_MAX);
}

static void io_slots(struct dp_io *io, struct dp_vm *vm)
{
	void *slots = vm->slots;
	uint32_t i;

	if (dp_io_array(io, &vm->nslots, &slots, sizeof(*vm->slots), 15)) {
		check(io, vm->nslots <= SLOTS_MAX);
		for (i = 0; i < vm->nslots; i++)
			io_slot(io, (struct dp_slot *)slots + i, vm->nregions);
	}
	vm->slots = slots;
	if (!io->failed)
		check_frames(io, vm);
}

static void io_u64s(struct dp_io *io, uint32_t *n, const uint64_t **v)
{
	void *p = (void *)(uintptr_t)*v;
	uint32_t i;

	if (dp_io_array(io, n, &p, sizeof(**v), 1))
		for (i = 0; i < *n; i++)
			dp_io_u64(io, (uint64_t *)p + i);
	*v = p;
}

void dp_io_vm(struct dp_io *io, struct dp_vm *vm)
{
	const uint64_t *pages = vm->region_pages;
	uint64_t pid = (uint32_t)vm->pid;
	uint32_t i;

	dp_io_u64(io, &pid);
	check(io, pid <= 1u << 22);
	vm->pid = (int32_t)pid;
	dp_io_str(io, vm->name, sizeof(vm->name));
	dp_io_str(io, vm->qemu_version, sizeof(vm->qemu_version));
	dp_io_u32(io, &vm->nvcpus);
	dp_io_u32(io, &vm->granule);
	dp_io_bool(io, &vm->granule_mixed);
	dp_io_u32(io, &vm->host_page);
	check(io, !(vm->host_page & (vm->host_page - 1)) && (!vm->host_page || vm->host_page >= 4096));
	ENUM(io, vm->mmu, DP_MMU_HASH);
	ENUM(io, vm->log_mode, DP_LOG_RING);
	dp_io_u32(io, &vm->ring_entries);
	dp_io_u32(io, &vm->manual_protect);
	dp_io_u32(io, &vm->generation);
	dp_io_u64(io, &vm->ram_pages);
	dp_io_u64(io, &vm->logging_pages);
	check(io,
	      vm->ram_pages <= (uint64_t)DP_REGIONS_MAX << DP_REGION_SHIFT && vm->logging_pages <= PAGES_MAX);
	io_u64s(io, &vm->nregions, &pages);
	check(io, vm->nregions <= DP_REGIONS_MAX);
	vm->region_pages = (uint64_t *)(uintptr_t)pages;
	for (i = 0; i < vm->nregions && !io->failed; i++)
		check(io, vm->region_pages[i] <= 1ull << DP_REGION_SHIFT);
	io_sizes(io, vm->blocks);
	dp_io_u32(io, &vm->blind);
	io_slots(io, vm);
}

static void io_ages(struct dp_io *io, struct dp_snapshot *s)
{
	void *p = (void *)(uintptr_t)s->ages;
	struct dp_ages last = { 0 };
	uint32_t i;

	if (dp_io_array(io, &s->nages, &p, sizeof(*s->ages), 6))
		for (i = 0; i < s->nages; i++) {
			struct dp_ages *a = (struct dp_ages *)p + i;

			dp_io_step32(io, &a->region, &last.region);
			dp_io_u8(io, &a->size);
			dp_io_u32(io, &a->level);
			dp_io_step32(io, &a->bin, &last.bin);
			dp_io_step32(io, &a->anchor, &last.anchor);
			dp_io_f64(io, &a->count);
			check(io, a->count >= 0 && a->count <= (double)PAGES_MAX);
		}
	s->ages = p;
}

static void io_exposures(struct dp_io *io, struct dp_snapshot *s)
{
	void *p = (void *)(uintptr_t)s->exposures;
	uint32_t i;

	if (dp_io_array(io, &s->nexposures, &p, sizeof(*s->exposures), 6))
		for (i = 0; i < s->nexposures; i++) {
			struct dp_exposure *e = (struct dp_exposure *)p + i;

			dp_io_u32(io, &e->level);
			dp_io_u32(io, &e->count);
			dp_io_u32(io, &e->anchor);
			dp_io_u64(io, &e->from_ns);
			dp_io_u64(io, &e->to_ns);
			dp_io_f64(io, &e->blind);
			check(io, e->blind >= 0 && e->blind <= (double)PAGES_MAX && e->to_ns <= DP_IO_NS_MAX);
		}
	s->exposures = p;
}

static void io_syncs(struct dp_io *io, struct dp_snapshot *s)
{
	void *p = (void *)(uintptr_t)s->syncs;
	uint32_t i;

	if (dp_io_array(io, &s->nsyncs, &p, sizeof(*s->syncs), 11))
		for (i = 0; i < s->nsyncs; i++) {
			struct dp_sync *y = (struct dp_sync *)p + i;

			dp_io_u64(io, &y->t_ns);
			dp_io_u64(io, &y->since_ns);
			dp_io_u64(io, &y->new_pages);
			dp_io_u64(io, &y->reported_pages);
			io_sizes(io, y->new_blocks);
			dp_io_bool(io, &y->by_migration);
			dp_io_bool(io, &y->initial);
			check(io, y->new_pages <= PAGES_MAX && y->reported_pages <= PAGES_MAX);
		}
	s->syncs = p;
}

static void io_gaps(struct dp_io *io, struct dp_mark_gaps *g)
{
	uint32_t i;

	dp_io_bool(io, &g->collected);
	for (i = 0; i < DP_GAP_BINS; i++) {
		dp_io_u64(io, &g->batched[i]);
		dp_io_u64(io, &g->alone[i]);
	}
	for (i = 0; i < DP_BATCH_BINS; i++)
		dp_io_u64(io, &g->batches[i]);
}

static void io_wire(struct dp_io *io, struct dp_wire *w)
{
	dp_io_bool(io, &w->active);
	dp_io_bool(io, &w->tcp);
	dp_io_u32(io, &w->channels);
	dp_io_u32(io, &w->threads);
	dp_io_u64(io, &w->sent_bytes);
	dp_io_u64(io, &w->acked_bytes);
	dp_io_u64(io, &w->retrans_bytes);
	dp_io_u64(io, &w->total_sent);
	dp_io_u64(io, &w->first_ns);
	dp_io_u64(io, &w->last_ns);
	dp_io_u64(io, &w->busy_ns);
	dp_io_u64(io, &w->busy_bytes);
	dp_io_f64(io, &w->delivery_bps);
	dp_io_f64(io, &w->delivery_max_bps);
	dp_io_u64(io, &w->delivery_samples);
	dp_io_u64(io, &w->app_limited_samples);
	dp_io_u32(io, &w->srtt_us);
	check(io, w->delivery_bps >= 0 && w->delivery_bps < 1e18 && w->delivery_max_bps >= 0 &&
			  w->delivery_max_bps < 1e18);
}

static void io_self(struct dp_io *io, struct dp_self *v)
{
	dp_io_u64(io, &v->bpf_runs);
	dp_io_u64(io, &v->bpf_ns);
	dp_io_u64(io, &v->user_ns);
	dp_io_u64(io, &v->rss_bytes);
	dp_io_u64(io, &v->lost);
	dp_io_u64(io, &v->unknown);
	dp_io_u64(io, &v->repeated);
	dp_io_u64(io, &v->events);
}

static void io_change_sum(struct dp_io *io, struct dp_change_sum *c)
{
	double *const v[] = {
		&c->total, &c->fraction, &c->n, &c->a, &c->d, &c->aa, &c->ad, &c->dd, &c->pages
	};
	unsigned int i;

	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		dp_io_f64(io, v[i]);
		check(io, *v[i] >= 0 && *v[i] <= 1e36);
	}
}

static void io_changes(struct dp_io *io, struct dp_changes *c)
{
	double *const past[] = { &c->past.total, &c->past.changed, &c->past.below, &c->past.above };
	unsigned int i;

	dp_io_bool(io, &c->on);
	if (!c->on)
		return;
	dp_io_u32(io, &c->unit);
	dp_io_u64(io, &c->limit_bps);
	dp_io_u64(io, &c->read_bytes);
	dp_io_u64(io, &c->windows);
	dp_io_u64(io, &c->window_ns);
	dp_io_u64(io, &c->lag_ns);
	dp_io_u64(io, &c->compared);
	dp_io_u64(io, &c->failed);
	io_change_sum(io, &c->again);
	io_change_sum(io, &c->first);
	for (i = 0; i < sizeof(past) / sizeof(past[0]); i++)
		dp_io_f64(io, past[i]);
}

static void io_qmp(struct dp_io *io, struct dp_snapshot *s)
{
	dp_io_bool(io, &s->qmp_known);
	if (!s->qmp_known)
		return;
	dp_io_bool(io, &s->qmp_active);
	dp_io_bool(io, &s->qmp_done);
	dp_io_u64(io, &s->qmp_remaining);
	dp_io_u64(io, &s->qmp_transferred);
	dp_io_u64(io, &s->qmp_downtime_ms);
	dp_io_u64(io, &s->qmp_expected_ms);
	dp_io_u64(io, &s->qmp_total_ms);
	dp_io_u64(io, &s->qmp_dirty_sync_count);
}

static void io_guest(struct dp_io *io, struct dp_snapshot *s)
{
	uint32_t i;

	dp_io_f64(io, &s->zero_share);
	check(io, s->zero_share >= -1 && s->zero_share <= 1.0 + 1e-9);
	for (i = 0; s->zero_share >= 0 && i < DP_ZERO_BINS; i++) {
		dp_io_f64(io, &s->zero_at[i]);
		check(io, s->zero_at[i] >= 0 && s->zero_at[i] <= 1.0 + 1e-9);
	}
	dp_io_f64(io, &s->zero_scan_bps);
	check(io, s->zero_scan_bps >= 0 && s->zero_scan_bps < 1e18);
	dp_io_f64(io, &s->vcpu_busy);
	dp_io_u64(io, &s->vcpu_stopped_ns);
}

/* Of the slots of the VM as it is now. */
static void io_places(struct dp_io *io, struct dp_snapshot *s, const struct dp_vm *vm)
{
	uint32_t i, n = io->writing && s->slot_new && vm ? vm->nslots : 0;

	for (i = 0; i < DP_HEAT_BINS; i++)
		dp_io_u64(io, &s->heat[i]);
	io_u64s(io, &n, &s->slot_new);
	check(io, vm && (!n || n == vm->nslots));
}

void dp_io_times(struct dp_io *io, struct dp_snapshot *s)
{
	dp_io_u32(io, &s->seq);
	ENUM(io, s->reason, DP_LAST);
	dp_io_u64(io, &s->t0_ns);
	dp_io_u64(io, &s->t1_ns);
	check(io, s->t0_ns <= DP_IO_NS_MAX && s->t1_ns <= DP_IO_NS_MAX);
}

void dp_io_snapshot(struct dp_io *io, struct dp_snapshot *s, const struct dp_vm *vm)
{
	dp_io_times(io, s);
	dp_io_s64(io, &s->wall_us);
	check(io, s->wall_us >= 0 && s->wall_us < WALL_MAX);
	ENUM(io, s->source, DP_SRC_SAMPLE);
	dp_io_bool(io, &s->logging);
	dp_io_u64(io, &s->logged_ns);
	io_sizes(io, s->new_blocks);
	dp_io_u64(io, &s->seen_pages);
	check(io, s->seen_pages <= PAGES_MAX);
	io_u64s(io, &s->nvcpus, &s->vcpu_events);
	io_u64s(io, &s->nregions, &s->region_new);
	check(io, vm && s->nregions <= vm->nregions && s->nvcpus <= DP_MAX_VCPUS);
	io_places(io, s, vm);
	io_ages(io, s);
	io_exposures(io, s);
	dp_io_windows(io, s);
	io_syncs(io, s);
	io_gaps(io, &s->gaps);
	io_wire(io, &s->wire);
	io_self(io, &s->self);
	io_qmp(io, s);
	io_changes(io, &s->changes);
	io_guest(io, s);
	if (dp_io_more(io)) {
		dp_io_u64(io, &s->vcpu_left_ns);
		dp_io_u64(io, &s->vcpu_first_ns);
		check(io, s->vcpu_left_ns <= DP_IO_NS_MAX && s->vcpu_first_ns <= DP_IO_NS_MAX);
	}
	if (!io->writing)
		s->vm = vm;
}
