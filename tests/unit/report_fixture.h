/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Snapshots and reports made by hand, for the tests of the session and of the reports. */
#ifndef TESTS_REPORT_FIXTURE_H
#define TESTS_REPORT_FIXTURE_H

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "dirtyprof/session.h"

#define SEC 1000000000ULL
#define MIB 1048576.0

/* A QEMU of 64 MiB: 16384 pages, one region, 4K granule. */
#define FX_PAGES 16384u

struct fx {
	uint64_t region_pages;
	struct dp_slot slot;
	struct dp_vm vm;
	struct dp_snapshot s;
	struct dp_window win[DP_SIZES];
	struct dp_sync sync;
	uint32_t arming;
};

static inline void fx_init(struct fx *f)
{
	enum dp_size size;

	memset(f, 0, sizeof(*f));
	f->region_pages = FX_PAGES;
	f->slot = (struct dp_slot){ .npages = FX_PAGES, .logging = true, .ram = true, .nregions = 1 };
	f->slot.backing = (struct dp_backing){ 48u << 20, 16u << 20, 0, 0, 4096, true };
	f->vm = (struct dp_vm){ .pid = 4242, .name = "guest", .qemu_version = "7.2.22", .nvcpus = 2 };
	f->vm.granule = 4096;
	f->vm.log_mode = DP_LOG_BITMAP;
	f->vm.manual_protect = 1;
	f->vm.ram_pages = f->vm.logging_pages = FX_PAGES;
	f->vm.nslots = 1;
	f->vm.slots = &f->slot;
	f->vm.nregions = 1;
	f->vm.region_pages = &f->region_pages;
	for (size = 0; size < DP_SIZES; size++)
		f->vm.blocks[size] =
			(FX_PAGES * 4096ull + (1ull << dp_size_shift(size)) - 1) >> dp_size_shift(size);
	f->vm.blind = DP_BLIND_DMA;
	f->s.vm = &f->vm;
	f->s.source = DP_SRC_HARVEST;
	f->s.zero_share = -1;
}

/* The next interval, of ns; counts are zero until the test sets them. */
static inline struct dp_snapshot *fx_next(struct fx *f, uint64_t ns, enum dp_reason reason)
{
	struct dp_snapshot *s = &f->s;
	uint64_t total = s->wire.total_sent, first = s->wire.first_ns, last = s->wire.last_ns;

	s->seq++;
	s->reason = reason;
	s->t0_ns = s->t1_ns;
	s->t1_ns += ns;
	s->wall_us = 1700000000000000 + (int64_t)(s->t1_ns / 1000);
	memset(s->new_blocks, 0, sizeof(s->new_blocks));
	s->nwindows = s->nsyncs = 0;
	memset(&s->wire, 0, sizeof(s->wire));
	s->wire.total_sent = total;
	s->wire.first_ns = first;
	s->wire.last_ns = last;
	memset(&s->self, 0, sizeof(s->self));
	s->self.rss_bytes = 20u << 20;
	return s;
}

/* RAM logs throughout this interval. */
static inline void fx_log(struct dp_snapshot *s)
{
	s->logging = true;
	s->logged_ns = s->t1_ns - s->t0_ns;
}

/*
 * One look of user space at the end of a window of ns: pages of FX_PAGES dirtied, in blocks64k of the 64K
 * blocks and as many as could be of the others: all 32 of 2M, 4 of 16M, the one of 1G.
 */
static inline void fx_look(struct fx *f, uint64_t ns, uint64_t pages, uint64_t blocks64k)
{
	const uint64_t dirty[DP_SIZES] = { pages, blocks64k, 32, 4, 1 };
	enum dp_size size;

	f->arming++;
	for (size = 0; size < DP_SIZES; size++) {
		f->win[size] = (struct dp_window){ .region = size ? DP_REGION_ALL : 0, .size = size };
		f->win[size].arming = f->arming;
		f->win[size].t_lo_ns = f->win[size].t_hi_ns = ns;
		f->win[size].armed = f->vm.blocks[size];
		f->win[size].dirty = dirty[size];
	}
	f->s.windows = f->win;
	f->s.nwindows = DP_SIZES;
	f->s.new_blocks[DP_4K] = pages;
	f->s.new_blocks[DP_64K] = blocks64k;
	f->s.new_blocks[DP_2M] = 32;
}

/* A sync at the end of the interval. */
static inline void fx_sync(struct fx *f, uint64_t since, uint64_t pages, bool by_migration)
{
	f->sync = (struct dp_sync){ .t_ns = f->s.t1_ns, .since_ns = since, .new_pages = pages };
	f->sync.reported_pages = pages;
	f->sync.new_blocks[DP_4K] = pages;
	f->sync.by_migration = by_migration;
	f->s.syncs = &f->sync;
	f->s.nsyncs = 1;
}

/* TCP bytes all through the interval. */
static inline void fx_send(struct fx *f, uint64_t bytes, double delivery, uint64_t busy_ns,
			   uint64_t busy_bytes)
{
	struct dp_wire *w = &f->s.wire;

	w->active = w->tcp = true;
	w->channels = w->threads = 1;
	w->sent_bytes = w->acked_bytes = bytes;
	w->total_sent += bytes;
	if (!w->first_ns)
		w->first_ns = f->s.t0_ns;
	w->last_ns = f->s.t1_ns;
	w->delivery_bps = delivery;
	w->delivery_samples = delivery > 0 ? 10 : 0;
	w->busy_ns = busy_ns;
	w->busy_bytes = busy_bytes;
}

static inline struct dp_est fx_est(double lo, double mid, double hi)
{
	return (struct dp_est){ lo, mid, hi };
}

static inline void fx_hot(struct dp_hot_list *l, uint64_t lo, uint64_t ram, uint64_t count, double share)
{
	struct dp_hot_row *h = &l->row[l->n++];

	*h = (struct dp_hot_row){ .lo = lo, .hi = lo + ram, .ram = ram, .count = count, .share = share };
	l->count += count;
	l->hot = l->n;
}

/* 25,344 pages in 10 of 128 parts of 4 MiB, every other one from the first on; two slots; two vCPUs. */
static inline void fx_report_hot(struct dp_report *r)
{
	static const uint64_t pages[] = { 10000, 5000, 2000, 2000, 1500, 1500, 1000, 1000, 800, 544 };
	struct dp_hot *h = &r->hot;
	uint64_t i;

	for (i = 0; i < DP_HEAT_BINS; i++) {
		r->heat[i] = i % 2 || i >= 20 ? 0 : pages[i / 2];
		r->heat_range[i] = (struct dp_heat_range){ i * 1024, (i + 1) * 1024, 1024 };
	}
	for (i = 0; i < 10; i++)
		fx_hot(&h->regions, i * 2048, 1024, pages[i], (double)pages[i] / 25344);
	h->regions.all = 128;
	h->regions.half = 2;
	h->regions.half_ram = 2048;
	fx_hot(&h->slots, 0, 65536, 25000, 25000 / 25344.0);
	fx_hot(&h->slots, 65536, 65536, 344, 344 / 25344.0);
	h->slots.row[1].number = 3;
	h->slots.row[1].as_id = 1;
	fx_hot(&h->vcpus, 0, 0, 900000, 0.729);
	fx_hot(&h->vcpus, 0, 0, 334567, 0.271);
	h->vcpus.row[1].number = 1;
}

/* Every number that a report can show, each different, none measured: what the forms are compared with. */
static inline void fx_report(struct dp_report *r)
{
	enum dp_size size;
	unsigned int i;

	memset(r, 0, sizeof(*r));
	r->kind = DP_REPORT_FINAL;
	r->wall_us = 1700000012500000;
	r->t = r->span = 12.5;
	r->logged = 11.25;
	r->vm = (struct dp_subject){ .pid = 4242, .name = "guest", .qemu_version = "7.2.22", .nvcpus = 2 };
	r->vm.ram = r->vm.logging = 512u << 20;
	r->vm.granule = 4096;
	r->vm.log_mode = DP_LOG_BITMAP;
	r->vm.manual_protect = 1;
	r->vm.backing = (struct dp_backing){ 384u << 20, 128u << 20, 0, 0, 4096, true };
	r->vm.blind = DP_BLIND_DMA | DP_BLIND_VHOST_KERNEL | DP_BLIND_VFIO;
	r->source = DP_SRC_HARVEST;
	strcpy(r->hook, "tp_btf sys_exit");
	strcpy(r->command, "dirtyprof -p 4242 1");
	r->every = 1;
	r->logging = r->ever_logged = r->known = true;
	r->seen = 200u << 20;
	r->sent = r->acked = r->sent_bps = NAN;
	for (i = 0; i < DP_CURVE_POINTS; i++) {
		static const double step[] = { 1, 1.5, 2, 3, 5, 7 };

		r->u_t[i] = step[i % 6] * pow(10, (int)(i / 6) - 4);
		/* 4K: 10 MiB/s up to 1 s and flat beyond; each size above, 3 times the one below, +- 10 % */
		for (size = 0; size < DP_SIZES; size++) {
			double u = 10 * MIB * fmin(1, r->u_t[i]) * pow(3, size);

			r->u[size][i] = fx_est(0.9 * u, u, 1.1 * u);
		}
	}
	for (size = 0; size < DP_SIZES; size++) {
		double rate = 10 * MIB * pow(3, size);

		r->new_blocks[size] = r->total_blocks[size] = 25344 >> size;
		r->rate[size] = fx_est(0.95 * rate, rate, 1.05 * rate);
		r->blocks[size] = (double)((512ull << 20) >> dp_size_shift(size));
		r->reach[size] = 2;
		r->amp[size] = fx_est(pow(3, size), pow(3, size), pow(3, size));
	}
	r->blocks[DP_1G] = 1;
	r->nwindows = 2;
	r->window[0] = 2;
	r->window[1] = 0.5;
	r->amp_t = r->amp_now = 1;
	fx_report_hot(r);
	r->change = (struct dp_change_report){ .on = true, .unit = 4096, .windows = 11, .compared = 5500 };
	r->change.share = fx_est(0.2, 0.25, 0.3);
	r->change.rate = fx_est(2 * MIB, 2.5 * MIB, 3 * MIB);
	r->change.resent = fx_est(1 / 0.3, 4, 5);
	r->change.window = 0.75;
	r->change.failed = 17;
	r->change.read = 375 * MIB;
	r->change.read_bps = 30 * MIB;
	r->change.limit_bps = 64 * MIB;
	r->speeds.goodput = (struct dp_speed){ { NAN, NAN, NAN }, 0 };
	r->speeds.cap = r->speeds.capacity = r->speeds.goodput;
	r->speeds.rounds = r->speeds.switchover = fx_est(125e6, 125e6, 125e6);
	r->speeds.rounds_from = r->speeds.switchover_from = DP_SPEED_OPTION;
	r->mig.total = r->mig.downtime = r->mig.remaining = r->mig.before_rounds = NAN;
	r->predicted = true;
	r->pred.verdict = DP_NEVER;
	r->pred.stop_now = fx_est(4.2, 4.3, 4.4);
	r->pred.redirty = fx_est(0.71, 0.72, 0.73);
	r->pred.floor = fx_est(0.61, 0.62, 0.63);
	r->pred.total = r->pred.downtime = fx_est(HUGE_VAL, HUGE_VAL, HUGE_VAL);
	r->pred.least_limit = fx_est(0.651, 0.662, 0.673);
	r->pred.least_bandwidth = fx_est(250e6, 260e6, 270e6);
	r->pred.least_throttle = fx_est(0.4, 0.45, 0.5);
	r->pred.rounds = fx_est(3, 3, 4);
	r->pred.nrounds = 3;
	r->pred.round[0] = (struct dp_round){ 131072, 4.3, 2560 };
	r->pred.round[1] = (struct dp_round){ 2560, 0.084, 215 };
	r->pred.round[2] = (struct dp_round){ 215, 0.007, 18 };
	r->limit = 0.3;
	r->fixed = 0.02;
	r->setup = 0.03;
	r->zero_share = NAN;
	r->wire_page = 4104;
	r->assumed = DP_ASSUMED_FIXED | DP_ASSUMED_SETUP | DP_ASSUMED_SCAN;
	r->note[r->nnotes++] = (struct dp_note){ DP_NOTE_RAISE_LIMIT, 0.673, NAN };
	r->note[r->nnotes++] = (struct dp_note){ DP_NOTE_NEED_BANDWIDTH, 260e6, NAN };
	r->note[r->nnotes++] = (struct dp_note){ DP_NOTE_NEED_THROTTLE, 0.45, NAN };
	r->events = 1234567;
	r->lost = 7;
	r->unknown = 11;
	r->repeated = 13;
	r->bpf_seconds = 0.125;
	r->user_seconds = 0.0625;
	r->bpf_runs = 1000;
	r->rss = 24u << 20;
}

/* Fails the test if a line is longer than DP_TEXT_WIDTH or a number is printed as nan or inf. */
static inline void fx_check_text(const struct dp_buf *b)
{
	const char *p = b->data ? b->data : "";

	assert_false(b->failed);
	assert_null(strstr(p, "nan"));
	assert_null(strstr(p, "inf "));
	while (*p) {
		size_t n = strcspn(p, "\n");

		if (n > DP_TEXT_WIDTH)
			fail_msg("%zu bytes: %.*s", n, (int)n, p);
		p += n + (p[n] == '\n');
	}
}

/* Feeds text to a command; -1: the command is not there (exit status 127, or 77: what it needs is not). */
static inline int fx_pipe(const char *cmd, const char *text, size_t len)
{
	FILE *f;
	int rc;

	signal(SIGPIPE, SIG_IGN);
	f = popen(cmd, "w");
	if (!f)
		return -1;
	fwrite(text, 1, len, f);
	rc = pclose(f);
	rc = rc == -1 ? 127 : rc & 0x7f ? 1 : rc >> 8 & 0xff;
	return rc == 127 || rc == 77 ? -1 : rc;
}

#define FX_VALIDATE "timeout 120 /usr/bin/python3 tests/unit/validate.py docs/schema.json 2>&1"
#define FX_PROMTOOL "timeout 60 promtool check metrics 2>&1"

/* Runs an outside checker on text; where it is missing, says so and goes on. */
static inline void fx_check_with(const char *cmd, const struct dp_buf *b)
{
	int rc = fx_pipe(cmd, b->data, b->len);

	if (rc == -1)
		print_message("[  SKIPPED ] not installed: %s\n", cmd);
	else
		assert_int_equal(rc, 0);
}

#endif
