// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Traces of guests that nobody ran: synth KIND FILE. What a dirty ring, or a log that is fetched, would have shown of guests whose
 * U(t) is known by arithmetic: tiers of pages, each of which is written at random moments, `rate` a second each. For the tests of
 * what is made of traces.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trace/trace.h"
#include "synth_kinds.h"

struct synth {
	const struct kind *k;
	struct dp_trace_writer *w;
	struct dp_slot slot[2];
	uint64_t *region_pages, *region_new, slot_new[2], vcpu[256];
	struct dp_vm vm;
	struct dp_snapshot s;
	struct dp_ages *ages;
	struct dp_exposure expo[4 * DP_LEVELS];
	struct dp_window *win;
	struct dp_sync sync;
	double anchor[DP_LEVELS];
	double armed; /* s: the last re-arming of a log that is fetched */
	double seen[NTIER];
	uint32_t arming;
	uint64_t sent;
};

/* Pages of a tier (blocks of 2^shift of them) that are written within t, from `at` on. */
static double tier_u(const struct tier *t, double at, double len, unsigned int shift)
{
	double per = (double)(1ull << shift), n = ceil((double)t->pages / per), on = len;

	if (t->to > 0)
		on = fmax(0, fmin(at + len, t->to) - fmax(at, t->from));
	return n * -expm1(-t->rate * fmin(per, (double)t->pages) * on);
}

static double u(const struct kind *k, double at, double len, unsigned int shift)
{
	double sum = 0;
	int i;

	for (i = 0; i < NTIER; i++)
		sum += k->tier[i].pages ? tier_u(&k->tier[i], at, len, shift) : 0;
	return sum;
}

/* Memory lies below 3 GiB and from 4 GiB on, as in a PC. */
static void make_vm(struct synth *y)
{
	const struct kind *k = y->k;
	uint64_t low = k->ram < 3 * GIB ? k->ram : 3 * GIB;
	struct dp_vm *vm = &y->vm;
	uint32_t i;
	enum dp_size size;

	y->slot[0] = (struct dp_slot){ .npages = low, .logging = !k->never_logs, .ram = true };
	y->slot[0].nregions = (uint32_t)((low + GIB - 1) / GIB);
	y->slot[1] = (struct dp_slot){ .id = 1, .base_gfn = 4 * GIB, .npages = k->ram - low, .ram = true };
	y->slot[1].logging = !k->never_logs;
	y->slot[1].region_base = y->slot[0].nregions;
	y->slot[1].nregions = (uint32_t)((k->ram - low + GIB - 1) / GIB);
	vm->nslots = k->ram > low ? 2 : 1;
	for (i = 0; i < vm->nslots; i++)
		y->slot[i].backing = (struct dp_backing){
			y->slot[i].npages * 1024, y->slot[i].npages * 3072, 0, 0, 4096, true
		};
	vm->slots = y->slot;
	vm->pid = 4242;
	snprintf(vm->name, sizeof(vm->name), "%s", k->vm);
	strcpy(vm->qemu_version, "7.2.22");
	vm->nvcpus = k->vcpus;
	vm->granule = vm->host_page = 4096;
	vm->log_mode = k->ring ? DP_LOG_RING : DP_LOG_BITMAP;
	vm->ring_entries = k->ring ? 65536 : 0;
	vm->manual_protect = k->ring ? 0 : 1;
	vm->generation = 1;
	vm->ram_pages = k->ram;
	vm->logging_pages = k->never_logs ? 0 : k->ram;
	vm->nregions = y->slot[0].nregions + (vm->nslots > 1 ? y->slot[1].nregions : 0);
	y->region_pages = calloc(vm->nregions, sizeof(uint64_t));
	y->region_new = calloc(vm->nregions, sizeof(uint64_t));
	y->win = calloc(vm->nregions + DP_SIZES, sizeof(*y->win));
	y->ages = calloc((size_t)(vm->nregions + 4) * DP_LEVELS * DP_BINS, sizeof(*y->ages));
	if (!y->region_pages || !y->region_new || !y->win || !y->ages)
		exit(1);
	for (i = 0; i < vm->nregions; i++)
		y->region_pages[i] = GIB;
	if (vm->nslots == 1 && k->ram % GIB)
		y->region_pages[vm->nregions - 1] = k->ram % GIB;
	vm->region_pages = y->region_pages;
	for (size = 0; size < DP_SIZES; size++)
		vm->blocks[size] =
			(k->ram + (1ull << (dp_size_shift(size) - 12)) - 1) >> (dp_size_shift(size) - 12);
	vm->blind = DP_BLIND_DMA | DP_BLIND_VHOST_KERNEL;
}

/* 0.4 to 1.6, always the same for the same place and time: no memory is written evenly. */
static double uneven(uint64_t place, uint64_t time)
{
	uint64_t x = place * 0x9e3779b97f4a7c15ull ^ time * 0xbf58476d1ce4e5b9ull;

	x ^= x >> 31;
	x *= 0x94d049bb133111ebull;
	x ^= x >> 29;
	return 0.4 + 1.2 * (double)(x >> 11) / 9007199254740992.0;
}

/* So many of a tier's pages were dirtied: in n equal parts of `size` pages each. */
static void place(struct synth *y, const struct tier *t, double pages, double size, uint32_t n, uint64_t *out)
{
	double first = (double)t->first, sum = 0, w[1024 + 8] = { 0 };
	uint32_t i;

	if (t->drift > 0)
		first += fmod(t->drift * (double)y->s.t0_ns / 1e9, (double)t->span);
	for (i = 0; i < n && i < 1024; i++) {
		double lo = fmax(first, i * size), hi = fmin(first + (double)t->pages, (i + 1) * size);

		w[i] = fmax(0, hi - lo) * uneven(i, y->s.seq);
		sum += w[i];
	}
	for (i = 0; i < n && i < 1024 && sum > 0; i++)
		out[i] += (uint64_t)round(pages * w[i] / sum);
}

static void newly(struct synth *y, double from, double len)
{
	const struct kind *k = y->k;
	enum dp_size size;
	uint32_t i;

	for (size = 0; size < DP_SIZES; size++)
		y->s.new_blocks[size] = (uint64_t)round(u(k, from, len, dp_size_shift(size) - 12));
	for (i = 0; i < NTIER && k->tier[i].pages; i++) {
		double n = tier_u(&k->tier[i], from, len, 0);

		place(y, &k->tier[i], n, (double)k->ram / DP_HEAT_BINS, DP_HEAT_BINS, y->s.heat);
		place(y, &k->tier[i], n, (double)GIB, y->vm.nregions, y->region_new);
		y->seen[i] = fmax(y->seen[i], tier_u(&k->tier[i], 0, from + len, 0));
		y->slot_new[k->tier[i].first >= 3 * GIB] += (uint64_t)n;
		y->vcpu[i % k->vcpus] += (uint64_t)n;
		y->s.seen_pages += (uint64_t)y->seen[i];
	}
}

/* What anchors of each level saw: U between the lags that they passed through. */
static void ages(struct synth *y, double from, double to)
{
	const struct kind *k = y->k;
	uint32_t l, b, n = 0, r;
	enum dp_size size;

	y->s.nexposures = 0;
	for (l = 0; l < DP_LEVELS; l++) {
		double len = (double)DP_LEVEL_NS(l) / 1e9, lag0, lag1;

		if (from - y->anchor[l] >= len)
			y->anchor[l] = from;
		lag0 = from - y->anchor[l];
		lag1 = fmin(len, to - y->anchor[l]);
		y->expo[y->s.nexposures++] =
			(struct dp_exposure){ .level = l,
					      .count = 1,
					      .anchor = (uint32_t)(y->anchor[l] * 1000) + 1,
					      .from_ns = (uint64_t)(lag0 * 1e9),
					      .to_ns = (uint64_t)(lag1 * 1e9) };
		for (b = 0; b < DP_BINS; b++) {
			double lo = fmax(lag0, (double)dp_bin_lo(b) / 1e9),
			       hi = fmin(lag1, (double)dp_bin_hi(b) / 1e9);

			if (hi <= lo)
				continue;
			for (size = 0; size < DP_SIZES; size++) {
				unsigned int sh = dp_size_shift(size) - 12;
				double c = u(k, y->anchor[l], hi, sh) - u(k, y->anchor[l], lo, sh);

				for (r = 0; c > 0 && r < (size ? 1 : y->vm.nregions); r++) {
					double share = size ? 1 : 1.0 / y->vm.nregions;

					y->ages[n++] =
						(struct dp_ages){ .region = size ? DP_REGION_ALL : r,
								  .size = (uint8_t)size,
								  .level = l,
								  .bin = b,
								  .anchor =
									  (uint32_t)(y->anchor[l] * 1000) + 1,
								  .count = c * share };
				}
			}
		}
	}
	y->s.nages = n;
	y->s.ages = y->ages;
	y->s.exposures = y->expo;
}

/* A fetch of the log: all that was dirtied since the last. */
static void fetch(struct synth *y, double to)
{
	const struct kind *k = y->k;
	double len = to - y->armed;
	uint64_t ns = (uint64_t)(len * 1e9);
	enum dp_size size;
	uint32_t i, r, n = 0;

	y->arming++;
	for (r = 0; r < y->vm.nregions; r++) {
		double dirty = 0;

		for (i = 0; i < NTIER && k->tier[i].pages; i++) {
			const struct tier *t = &k->tier[i];
			double lo = fmax((double)t->first, (double)r * GIB),
			       hi = fmin((double)(t->first + t->pages), (r + 1.0) * GIB);

			if (hi > lo)
				dirty += tier_u(t, y->armed, len, 0) * (hi - lo) / (double)t->pages;
		}
		y->win[n++] = (struct dp_window){ .region = r,
						  .size = DP_4K,
						  .arming = y->arming,
						  .t_lo_ns = ns,
						  .t_hi_ns = ns,
						  .armed = y->region_pages[r],
						  .dirty = (uint64_t)dirty };
	}
	for (size = DP_64K; size < DP_SIZES; size++)
		y->win[n++] = (struct dp_window){ .region = DP_REGION_ALL,
						  .size = (uint8_t)size,
						  .arming = y->arming,
						  .t_lo_ns = ns,
						  .t_hi_ns = ns,
						  .armed = y->vm.blocks[size],
						  .dirty = (uint64_t)fmin((double)y->vm.blocks[size],
									  u(k, y->armed, len,
									    dp_size_shift(size) - 12)) };
	y->s.windows = y->win;
	y->s.nwindows = n;
	newly(y, y->armed, len);
	y->sync = (struct dp_sync){ .t_ns = (uint64_t)(to * 1e9),
				    .since_ns = ns,
				    .new_pages = y->s.new_blocks[DP_4K] };
	y->sync.reported_pages = y->sync.new_pages;
	y->s.syncs = &y->sync;
	y->s.nsyncs = 1;
	y->armed = to;
}

static void begin(struct synth *y, double from, double to, enum dp_reason reason)
{
	struct dp_snapshot *s = &y->s;
	uint32_t seq = s->seq;
	double first = (double)s->wire.first_ns;

	memset(s, 0, sizeof(*s));
	memset(y->region_new, 0, y->vm.nregions * sizeof(uint64_t));
	memset(y->slot_new, 0, sizeof(y->slot_new));
	memset(y->vcpu, 0, sizeof(y->vcpu));
	s->seq = seq + 1;
	s->reason = reason;
	s->t0_ns = (uint64_t)(from * 1e9);
	s->t1_ns = (uint64_t)(to * 1e9);
	s->wall_us = 1767225600000000 + (int64_t)(to * 1e6); /* 2026-01-01 */
	s->source = y->k->never_logs ? DP_SRC_NONE : y->k->ring ? DP_SRC_RING : DP_SRC_HARVEST;
	s->logging = !y->k->never_logs;
	s->logged_ns = s->logging ? s->t1_ns - s->t0_ns : 0;
	s->vm = &y->vm;
	s->nvcpus = y->k->vcpus;
	s->vcpu_events = y->vcpu;
	s->nregions = y->vm.nregions;
	s->region_new = y->region_new;
	s->slot_new = y->slot_new;
	s->wire.first_ns = (uint64_t)first;
	s->wire.total_sent = y->sent;
	s->zero_share = 0.25;
	s->vcpu_busy = 0.8;
	s->self.user_ns = (uint64_t)((to - from) * 1e9 * (0.004 + 0.002 * sin(to)));
	s->self.bpf_ns = (uint64_t)((to - from) * 1e9 * 0.002);
	s->self.bpf_runs = 1000;
	s->self.rss_bytes = 24u << 20;
}

static void put(struct synth *y)
{
	y->s.self.events = y->s.new_blocks[DP_4K];
	if (dp_trace_put(y->w, &y->s))
		exit(1);
}

static void watch(struct synth *y, double from, double to)
{
	double t, next;

	for (t = from; t < to - 1e-9; t = next) {
		next = fmin(to, t + y->k->every);
		begin(y, t, next, !y->k->ring && !y->k->never_logs ? DP_SYNC : DP_TIMER);
		if (y->k->ring) {
			newly(y, t, next - t);
			ages(y, t, next);
		} else if (!y->k->never_logs) {
			fetch(y, next);
		}
		put(y);
		if (y->s.reason == DP_SYNC) { /* the timer's line */
			begin(y, next, next + 1e-3, DP_TIMER);
			put(y);
			next += 1e-3;
		}
	}
}

static void send(struct synth *y, double bytes)
{
	struct dp_wire *w = &y->s.wire;

	w->active = w->tcp = true;
	w->channels = w->threads = 1;
	w->sent_bytes = w->acked_bytes = (uint64_t)bytes;
	y->sent += (uint64_t)bytes;
	w->total_sent = y->sent;
	if (!w->first_ns)
		w->first_ns = y->s.t0_ns;
	w->last_ns = y->s.t1_ns;
	w->delivery_bps = y->k->bandwidth;
	w->delivery_samples = 10;
	y->s.qmp_known = true;
	y->s.qmp_active = true;
}

/* Pre-copy: each round sends what was dirtied during the one before, until that fits into the downtime limit. */
static void migrate(struct synth *y)
{
	const struct kind *k = y->k;
	double t = k->migrate_at, left = 0.75 * (double)k->ram * 4104, down;
	uint32_t round;

	for (round = 1; round < 30 && (round == 1 || left > k->bandwidth * k->limit); round++) {
		double end = t + left / k->bandwidth, began = t, next, dirtied;

		for (; t < end - 1e-9; t = next) {
			next = fmin(end, t + k->every);
			begin(y, t, next, next < end ? DP_TIMER : DP_SYNC);
			send(y, (next - t) * k->bandwidth * (1 + 0.02 * sin(7 * t)));
			newly(y, t, next - t);
			ages(y, t, next);
			if (next >= end) {
				dirtied = u(k, began, end - began, 0);
				y->sync = (struct dp_sync){ .t_ns = y->s.t1_ns,
							    .since_ns = (uint64_t)((end - began) * 1e9),
							    .by_migration = true };
				y->sync.new_pages = y->sync.reported_pages = y->sync.new_blocks[DP_4K] =
					(uint64_t)dirtied;
				y->s.syncs = &y->sync;
				y->s.nsyncs = 1;
				left = dirtied * 4104;
			}
			y->s.qmp_remaining = (uint64_t)(next < end ? (end - next) * k->bandwidth : left);
			put(y);
		}
	}
	down = left / k->bandwidth + 0.018;
	begin(y, t, t + down, DP_TIMER);
	send(y, left);
	y->s.qmp_active = false;
	y->s.qmp_done = true;
	y->s.qmp_downtime_ms = (uint64_t)(down * 1e3);
	y->s.qmp_total_ms = (uint64_t)((t + down - k->migrate_at) * 1e3);
	y->s.vcpu_stopped_ns = y->s.t0_ns;
	put(y);
}

int main(int argc, char **argv)
{
	struct synth y = { 0 };
	struct dp_session_opts o = { .command = "dirtyprof record", .hook = "tp_btf kvm_dirty_ring_reset" };
	struct dp_trace_start start = { .host = { .tool = "0",
						  .kernel = "6.1.0",
						  .machine = "x86_64",
						  .cpu = "a <synthetic> CPU",
						  .ncpus = 64 } };
	char msg[DP_TRACE_MSG];

	if (argc == 3)
		y.k = kind_of(argv[1]);
	if (!y.k) {
		fprintf(stderr, "usage: synth KIND FILE\n");
		return 1;
	}
	make_vm(&y);
	o.bandwidth = y.k->given;
	o.limit = y.k->limit;
	o.interval = y.k->every;
	start.source = y.k->never_logs ? DP_SRC_NONE : y.k->ring ? DP_SRC_RING : DP_SRC_HARVEST;
	start.logging = !y.k->never_logs;
	start.host.page = 4096;
	start.host.memory = 2048 * GIB * 4096;
	start.host.wall_us = 1767225600000000;
	start.host.interval = (uint64_t)(y.k->every * 1e9);
	if (dp_trace_create(argv[2], false, &y.w, msg, sizeof(msg))) {
		fprintf(stderr, "%s\n", msg);
		return 1;
	}
	if (dp_trace_put_start(y.w, &start, &o, &y.vm))
		return 1;
	watch(&y, 0, y.k->migrate_at > 0 ? y.k->migrate_at : y.k->seconds);
	if (y.k->migrate_at > 0)
		migrate(&y);
	return dp_trace_close(y.w, true, NULL, NULL) ? 1 : 0;
}
