// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Makes a trace of a VM that there never was, through the trace writer: seeds for fuzzers, and traces larger than anybody
 * would record for a test. What it says of a guest is arithmetic: in each active region 4K pages are written at random, so
 * that of n pages at w writes a second n * (1 - exp(-w t / n)) are dirtied within t. The same arguments give the same bytes.
 *
 *   make_trace FILE [--source ring|mark|harvest] [--regions N] [--active N] [--seconds S] [--migrate] [--thin N]
 *              [--records]
 *
 * --regions: GiB of RAM; --active: of them written to; --migrate: a migration begins after a third of the time.
 * --thin: of the ages only every Nth bin, for a smaller file. --records: FILE gets what the blocks hold, unpacked: see tests/fuzz/fuzz_replay.c.
 */
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "trace/format.h"
#include "trace/trace.h"

#define MAX_REGIONS 16384u
#define MAX_ACTIVE  1024u
#define MAX_AGES    (1u << 16)
#define MAX_EXPO    4096u
#define LOOKS	    8u /* at a log between two syncs */
#define SLOTS	    2u
#define HOLE	    3u /* GiB below the hole for devices */
#define VCPUS	    4u
#define PAGES	    (1u << DP_REGION_SHIFT)
#define SEC	    1000000000ull

struct made {
	enum dp_source source;
	uint32_t regions, active, seconds, thin;
	bool migrate;
	struct dp_vm vm;
	struct dp_slot slots[SLOTS];
	uint64_t region_pages[MAX_REGIONS], region_new[MAX_REGIONS], vcpu[VCPUS], slot_new[SLOTS];
	struct dp_ages ages[MAX_AGES];
	struct dp_exposure expo[MAX_EXPO];
	struct dp_window *windows;
	struct dp_sync sync;
	struct dp_snapshot s;
	uint64_t sent;
};

static void make_vm(struct made *m)
{
	uint32_t low = m->regions < HOLE ? m->regions : HOLE, r, i;

	for (r = 0; r < m->regions; r++)
		m->region_pages[r] = PAGES;
	m->slots[0] = (struct dp_slot){
		.ram = true, .logging = true, .npages = low * (uint64_t)PAGES, .nregions = low
	};
	m->slots[1] = (struct dp_slot){ .id = 1,
					.ram = true,
					.logging = true,
					.base_gfn = 4ull * PAGES,
					.npages = (m->regions - low) * (uint64_t)PAGES,
					.region_base = low,
					.nregions = m->regions - low };
	m->vm = (struct dp_vm){ .pid = 4711,
				.name = "made",
				.qemu_version = "8.2.0",
				.nvcpus = VCPUS,
				.granule = 4096,
				.host_page = 4096,
				.log_mode = m->source == DP_SRC_HARVEST ? DP_LOG_BITMAP : DP_LOG_RING,
				.ring_entries = m->source == DP_SRC_HARVEST ? 0 : 4096,
				.generation = 1,
				.ram_pages = m->regions * (uint64_t)PAGES,
				.logging_pages = m->regions * (uint64_t)PAGES,
				.nslots = m->regions > low ? 2 : 1,
				.slots = m->slots,
				.nregions = m->regions,
				.region_pages = m->region_pages };
	for (i = 0; i < m->vm.nslots; i++)
		m->slots[i].backing = (struct dp_backing){ .bytes_4k = m->slots[i].npages * 4096,
							   .host_page = 4096,
							   .known = true };
	for (i = 0; i < DP_SIZES; i++)
		m->vm.blocks[i] = m->vm.ram_pages >> (dp_size_shift((enum dp_size)i) - 12);
}

/* Active region a of the VM: they are spread over it. */
static uint32_t place(const struct made *m, uint32_t a)
{
	return (uint32_t)((uint64_t)a * m->regions / m->active);
}

/* Blocks of a size that active region a dirties within t seconds; its pages lie together. */
static double dirtied(uint32_t a, enum dp_size size, double t)
{
	double n = 1500 + 300 * (a % 7), rate = 4000 >> (a % 5);
	double blocks = ceil(n * 4096 / (double)(1ull << dp_size_shift(size)));

	return blocks * (1 - exp(-rate * t / blocks));
}

static void put_age(struct made *m, uint32_t region, enum dp_size size, uint32_t level, uint32_t bin,
		    uint32_t anchor, double count)
{
	if (count >= 1 && !(bin % m->thin) && m->s.nages < MAX_AGES)
		m->ages[m->s.nages++] = (struct dp_ages){ region, (uint8_t)size, level, bin, anchor, count };
}

/* What an anchor of a level saw between two lags. */
static void put_anchor(struct made *m, uint32_t level, uint32_t anchor, uint64_t from, uint64_t to)
{
	uint32_t b, a, z;

	if (from >= to || m->s.nexposures == MAX_EXPO)
		return;
	m->expo[m->s.nexposures++] = (struct dp_exposure){ level, 1, anchor, from, to, 0 };
	for (b = dp_bin_of(from); b < DP_BINS && dp_bin_lo(b) < to; b++) {
		double lo = (double)(dp_bin_lo(b) > from ? dp_bin_lo(b) : from) * 1e-9;
		double hi = (double)(dp_bin_hi(b) < to ? dp_bin_hi(b) : to) * 1e-9;
		double sum[DP_SIZES] = { 0 };

		for (a = 0; a < m->active; a++) {
			put_age(m, place(m, a), DP_4K, level, b, anchor,
				floor(dirtied(a, DP_4K, hi)) - floor(dirtied(a, DP_4K, lo)));
			for (z = DP_4K + 1; z < DP_SIZES; z++)
				sum[z] += floor(dirtied(a, (enum dp_size)z, hi)) -
					  floor(dirtied(a, (enum dp_size)z, lo));
		}
		for (z = DP_4K + 1; z < DP_SIZES; z++)
			put_age(m, DP_REGION_ALL, (enum dp_size)z, level, b, anchor, sum[z]);
	}
}

static uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* QEMU empties the rings once a second, and anchors are opened then; an interval sees a part of each that was open in it. */
static void make_ages(struct made *m, uint64_t t0, uint64_t t1)
{
	uint64_t k, begin, from;
	uint32_t l;

	for (l = 0; l < DP_LEVELS; l++) {
		uint64_t len = DP_LEVEL_NS(l), period = len > SEC ? len : SEC;

		for (k = t0 / period; k * period < t1; k++) {
			begin = k * period;
			from = t0 > begin ? t0 - begin : 0;
			put_anchor(m, l, (uint32_t)k + 1, from, min64(t1 - begin, len));
		}
	}
}

/* As the log's reader does: what is the same side by side in one. last: of each size of the look under way, from 1. */
static void put_window(struct made *m, const struct dp_window *w, uint32_t *last)
{
	if (*last && dp_window_joins(&m->windows[*last - 1], w)) {
		m->windows[*last - 1].more += w->more + 1;
		return;
	}
	m->windows[m->s.nwindows++] = *w;
	*last = m->s.nwindows;
}

/* Windows of each size that end t after all was armed: of regions [from, to), in which nothing is dirty, or of active region a. */
static void put_windows(struct made *m, struct dp_window *w, uint32_t from, uint32_t to, int a,
			uint32_t *last)
{
	uint32_t z;

	w->region = from;
	w->more = to - from - 1;
	for (z = 0; from < to && z < DP_SIZES; z++) {
		w->size = (uint8_t)z;
		w->armed = m->vm.blocks[z] / m->regions;
		w->dirty = a < 0 ? 0
				 : (uint64_t)dirtied((uint32_t)a, (enum dp_size)z, (double)w->t_hi_ns * 1e-9);
		put_window(m, w, &last[z]);
	}
}

/* All regions' logs, looked at some time after they were armed, never quite the same, and at last fetched. */
static void make_windows(struct made *m, uint64_t t0, uint64_t t1)
{
	uint32_t k, a, i = (uint32_t)(t1 / SEC);

	for (k = 1; k <= LOOKS; k++) {
		uint64_t t = ((t1 - t0) >> (LOOKS - k)) + i * k * 7919ull % 997 * 1000;
		struct dp_window w = { .peek = k < LOOKS, .arming = i, .t_lo_ns = t, .t_hi_ns = t };
		uint32_t last[DP_SIZES] = { 0 }, at = 0;

		for (a = 0; a < m->active; a++) {
			put_windows(m, &w, at, place(m, a), -1, last);
			at = place(m, a) + 1;
			put_windows(m, &w, at - 1, at, (int)a, last);
		}
		put_windows(m, &w, at, m->regions, -1, last);
	}
}

static void make_counts(struct made *m)
{
	uint32_t a, z;

	memset(m->region_new, 0, sizeof(m->region_new));
	memset(m->s.heat, 0, sizeof(m->s.heat));
	memset(m->s.new_blocks, 0, sizeof(m->s.new_blocks));
	m->slot_new[0] = m->slot_new[1] = 0;
	for (a = 0; a < m->active; a++) {
		uint32_t r = place(m, a);
		uint64_t n = (uint64_t)dirtied(a, DP_4K, 1);

		m->region_new[r] += n;
		m->slot_new[r >= m->slots[0].nregions] += n;
		m->s.heat[(uint64_t)r * DP_HEAT_BINS / m->regions] += n;
		for (z = 0; z < DP_SIZES; z++)
			m->s.new_blocks[z] += (uint64_t)dirtied(a, (enum dp_size)z, 1);
	}
	for (z = 0; z < VCPUS; z++)
		m->vcpu[z] = m->s.new_blocks[DP_4K] / VCPUS;
	m->s.seen_pages += m->s.seen_pages ? 0 : m->s.new_blocks[DP_4K];
	m->s.self = (struct dp_self){ .bpf_runs = 1000,
				      .bpf_ns = 300000,
				      .user_ns = 2000000,
				      .rss_bytes = 40 << 20,
				      .events = m->s.new_blocks[DP_4K] };
}

/* 1 Gb/s of a migration that QMP tells of; a sync at the end of each interval. */
static void make_migration(struct made *m, uint32_t i, uint64_t t0, uint64_t t1)
{
	uint64_t bytes = 117000000, begin = m->seconds / 3 * SEC;

	m->s.qmp_known = true;
	m->s.qmp_active = i >= m->seconds / 3;
	if (!m->s.qmp_active)
		return;
	m->sent += bytes;
	m->s.wire = (struct dp_wire){ .active = true,
				      .tcp = true,
				      .channels = 1,
				      .threads = 1,
				      .sent_bytes = bytes,
				      .acked_bytes = bytes,
				      .total_sent = m->sent,
				      .first_ns = begin,
				      .last_ns = t1,
				      .busy_ns = t1 - t0,
				      .busy_bytes = bytes,
				      .delivery_bps = 118e6,
				      .delivery_max_bps = 119e6,
				      .delivery_samples = 500,
				      .srtt_us = 200 };
	m->s.qmp_transferred = m->sent;
	m->s.qmp_remaining = m->vm.ram_pages * 4096 / (i + 1);
	m->s.qmp_dirty_sync_count = 1 + i - m->seconds / 3;
	m->sync = (struct dp_sync){ .t_ns = t1,
				    .since_ns = t1 - t0,
				    .new_pages = m->s.new_blocks[DP_4K],
				    .reported_pages = m->s.new_blocks[DP_4K],
				    .by_migration = true };
	memcpy(m->sync.new_blocks, m->s.new_blocks, sizeof(m->sync.new_blocks));
	m->s.syncs = &m->sync;
	m->s.nsyncs = 1;
	m->s.reason = DP_SYNC;
}

static void make_snapshot(struct made *m, uint32_t i)
{
	uint64_t t0 = i * SEC, t1 = t0 + SEC;
	uint32_t k;

	m->s.seq = i;
	m->s.reason = i + 1 == m->seconds ? DP_LAST : DP_TIMER;
	m->s.t0_ns = t0;
	m->s.t1_ns = t1;
	m->s.wall_us = 1700000000000000 + (int64_t)(t1 / 1000);
	m->s.source = m->source;
	m->s.logging = true;
	m->s.logged_ns = SEC;
	m->s.vm = &m->vm;
	m->s.nvcpus = VCPUS;
	m->s.vcpu_events = m->vcpu;
	m->s.nregions = m->regions;
	m->s.region_new = m->region_new;
	m->s.slot_new = m->slot_new;
	m->s.nages = m->s.nexposures = m->s.nwindows = m->s.nsyncs = 0;
	m->s.ages = m->ages;
	m->s.exposures = m->expo;
	m->s.windows = m->windows;
	m->s.zero_share = 0.25;
	for (k = 0; k < DP_ZERO_BINS; k++)
		m->s.zero_at[k] = k < DP_ZERO_BINS / 4 ? 1 : 0;
	m->s.zero_scan_bps = 8e9;
	m->s.vcpu_busy = 0.75;
	make_counts(m);
	if (m->source == DP_SRC_HARVEST)
		make_windows(m, t0, t1);
	else
		make_ages(m, t0, t1);
	if (m->migrate)
		make_migration(m, i, t0, t1);
}

static int make(struct made *m, const char *path)
{
	const struct dp_trace_start start = {
		.host = { .tool = DIRTYPROF_VERSION,
			  .kernel = "6.1.0",
			  .machine = "x86_64",
			  .cpu = "made",
			  .ncpus = 8,
			  .page = 4096,
			  .memory = 1ull << 41,
			  .wall_us = 1700000000000000,
			  .interval = SEC },
		.source = m->source,
		.logging = true,
	};
	const struct dp_session_opts o = {
		.bandwidth = 125e6, .interval = 1, .hook = "made", .command = "make_trace"
	};
	struct dp_trace_writer *w;
	char msg[DP_TRACE_MSG];
	uint32_t i;
	int err = dp_trace_create(path, false, &w, msg, sizeof(msg)), end;

	if (err) {
		fprintf(stderr, "make_trace: %s\n", msg);
		return err;
	}
	err = dp_trace_put_start(w, &start, &o, &m->vm);
	for (i = 0; !err && i < m->seconds; i++) {
		make_snapshot(m, i);
		err = dp_trace_put(w, &m->s);
	}
	end = dp_trace_close(w, !err, NULL, NULL);
	if (err || end)
		fprintf(stderr, "make_trace: %s: %s\n", path, strerror(-(err ? err : end)));
	return err ? err : end;
}

/* A block's records: each as its kind and what it holds, between marks that no number in them happens to give. */
static void put_records(FILE *out, const uint8_t *p, size_t n)
{
	while (n) {
		uint8_t kind = *p++;
		size_t len = 0;
		unsigned int shift = 0;

		do {
			len |= (size_t)(*p & 0x7f) << shift;
			shift += 7;
		} while (*p++ & 0x80);
		fwrite("\xfe\xed\xfa", 1, 3, out);
		fputc(kind, out);
		fwrite(p, 1, len, out);
		n = len < n ? n - len - 1 - (shift / 7) : 0;
		p += len;
	}
}

static int unpack(const char *path)
{
	uint8_t head[DP_TRACE_HEAD], *packed = malloc(DP_BLOCK_MAX), *raw = malloc(DP_BLOCK_MAX);
	FILE *in = fopen(path, "re"), *out = NULL;
	int err = -EIO;

	if (!in || !packed || !raw || unlink(path) || !(out = fopen(path, "wxe")))
		goto cleanup;
	err = fread(head, 1, sizeof(head), in) == sizeof(head) ? 0 : -EIO;
	while (!err && fread(head, 1, sizeof(head), in) == sizeof(head)) {
		uint32_t n = dp_get32(head + 12);
		uLongf len = DP_BLOCK_MAX;

		if (n > DP_BLOCK_MAX || fread(packed, 1, n, in) != n ||
		    uncompress(raw, &len, packed, n) != Z_OK)
			err = -EIO;
		else
			put_records(out, raw, len);
	}
cleanup:
	if (in)
		fclose(in);
	if (out && fclose(out))
		err = -EIO;
	free(packed);
	free(raw);
	return err;
}

static uint32_t number(const char *s, uint32_t max)
{
	unsigned long v = s ? strtoul(s, NULL, 10) : 0;

	if (!v || v > max) {
		fprintf(stderr, "make_trace: a number from 1 to %u is wanted\n", max);
		exit(1);
	}
	return (uint32_t)v;
}

int main(int argc, char **argv)
{
	static struct made m = { .source = DP_SRC_RING, .regions = 1, .active = 1, .seconds = 10, .thin = 1 };
	bool records = false;
	int i;

	for (i = 2; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";

		if (!strcmp(argv[i], "--migrate")) {
			m.migrate = true;
			continue;
		} else if (!strcmp(argv[i], "--records")) {
			records = true;
			continue;
		} else if (!strcmp(argv[i], "--source")) {
			m.source = !strcmp(value, "ring")   ? DP_SRC_RING
				   : !strcmp(value, "mark") ? DP_SRC_MARK
							    : DP_SRC_HARVEST;
		} else if (!strcmp(argv[i], "--regions")) {
			m.regions = number(value, MAX_REGIONS - 1);
		} else if (!strcmp(argv[i], "--active")) {
			m.active = number(value, MAX_ACTIVE);
		} else if (!strcmp(argv[i], "--thin")) {
			m.thin = number(value, DP_BINS);
		} else if (!strcmp(argv[i], "--seconds")) {
			m.seconds = number(value, 10000000);
		} else {
			fprintf(stderr, "make_trace: %s?\n", argv[i]);
			return 1;
		}
		i++;
	}
	if (argc < 2 || m.active > m.regions) {
		fprintf(stderr,
			"make_trace: make_trace FILE [options]; not more regions active than there are\n");
		return 1;
	}
	m.windows = malloc((size_t)LOOKS * m.regions * DP_SIZES * sizeof(*m.windows));
	if (!m.windows)
		return 1;
	make_vm(&m);
	i = make(&m, argv[1]);
	free(m.windows);
	return i || (records && unpack(argv[1])) ? 1 : 0;
}
