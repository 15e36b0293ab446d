// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Traces that were cut, damaged or made up: what is read is what stood in the whole blocks before the damage, and an error
 * with a line for people, or the line alone. All of it within 1 GiB of address space and 100 s.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "model/layout.h"
#include "trace/format.h"
#include "trace/trace.h"

#define SEC	   1000000000ull
#define BLOCKS_MAX 8

static char dir[] = "/tmp/dirtyprof-hostile.XXXXXX";
static char path[64];

/* A whole trace, as bytes, and where its blocks begin. */
struct whole {
	uint8_t *p;
	size_t len, block[BLOCKS_MAX + 1];	  /* and where the last one ends */
	uint32_t nblocks, before[BLOCKS_MAX + 1]; /* snapshots in the blocks before */
};

static struct dp_slot slots[1];
static uint64_t region_pages[1] = { 1 << DP_REGION_SHIFT };

static struct dp_vm a_vm(void)
{
	slots[0] = (struct dp_slot){ .ram = true, .npages = region_pages[0], .nregions = 1 };
	return (struct dp_vm){ .pid = 1,
			       .nvcpus = 1,
			       .granule = 4096,
			       .host_page = 4096,
			       .generation = 1,
			       .ram_pages = region_pages[0],
			       .nslots = 1,
			       .slots = slots,
			       .nregions = 1,
			       .region_pages = region_pages };
}

static const struct dp_trace_start begin = { .source = DP_SRC_HARVEST, .logging = true };
static const struct dp_session_opts opts = { .bandwidth = 125e6, .interval = 1 };

static int put(struct dp_trace_writer *w, const struct dp_vm *vm, uint32_t i)
{
	const uint64_t new[1] = { 1000 + i };
	const struct dp_window win = {
		.armed = 1 << DP_REGION_SHIFT, .dirty = 1000, .t_hi_ns = SEC, .arming = i
	};
	const struct dp_snapshot s = { .seq = i,
				       .t0_ns = i * SEC,
				       .t1_ns = (i + 1) * SEC,
				       .source = DP_SRC_HARVEST,
				       .logging = true,
				       .vm = vm,
				       .nregions = 1,
				       .region_new = new,
				       .nwindows = 1,
				       .windows = &win,
				       .zero_share = -1 };

	return dp_trace_put(w, &s);
}

static struct dp_trace_writer *create(void)
{
	struct dp_trace_writer *w;
	char msg[DP_TRACE_MSG];

	unlink(path);
	assert_int_equal(dp_trace_create(path, false, &w, msg, sizeof(msg)), 0);
	return w;
}

/* n snapshots; a block ends after each fifth second. */
static void make(uint32_t n)
{
	struct dp_trace_writer *w = create();
	struct dp_vm vm = a_vm();
	uint32_t i;

	assert_int_equal(dp_trace_put_start(w, &begin, &opts, &vm), 0);
	for (i = 0; i < n; i++)
		assert_int_equal(put(w, &vm, i), 0);
	assert_int_equal(dp_trace_close(w, true, NULL, NULL), 0);
}

static void keep(const void *p, size_t len)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

/* Reads all that can be read. Snapshots; *err and the line for people. */
static uint32_t play(int *err, char *msg)
{
	struct dp_trace_event ev;
	struct dp_trace *t;
	uint32_t n = 0;

	msg[0] = '\0';
	*err = dp_trace_open(path, &t, msg, DP_TRACE_MSG);
	if (*err)
		return 0;
	while ((*err = dp_trace_next(t, &ev)) > 0) {
		if (ev.kind != DP_TRACE_SNAPSHOT)
			continue;
		/* as it was written */
		assert_int_equal(ev.snapshot->seq, n);
		assert_int_equal(ev.snapshot->region_new[0], 1000 + n);
		n++;
	}
	if (*err < 0)
		snprintf(msg, DP_TRACE_MSG, "%s", dp_trace_message(t));
	/* it stays so */
	assert_int_equal(dp_trace_next(t, &ev), *err);
	dp_trace_free(t);
	return n;
}

static void make_whole(struct whole *w, uint32_t n)
{
	struct stat st;
	char msg[DP_TRACE_MSG];
	FILE *f;
	int err;

	make(n);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_int_equal(fstat(fileno(f), &st), 0);
	w->len = (size_t)st.st_size;
	w->p = malloc(w->len);
	assert_int_equal(fread(w->p, 1, w->len, f), w->len);
	fclose(f);
	w->nblocks = 0;
	for (w->block[0] = DP_TRACE_HEAD; w->block[w->nblocks] < w->len; w->nblocks++) {
		size_t at = w->block[w->nblocks];

		assert_true(w->nblocks < BLOCKS_MAX);
		w->block[w->nblocks + 1] = at + DP_TRACE_HEAD + dp_get32(w->p + at + 12);
		keep(w->p, at);
		w->before[w->nblocks] = play(&err, msg);
		assert_int_equal(err, 0);
	}
	keep(w->p, w->len);
	w->before[w->nblocks] = play(&err, msg);
	assert_int_equal(w->before[w->nblocks], n);
	assert_true(w->nblocks >= 3 && w->before[1] > 0 && w->before[1] < n);
}

/* The block that holds a byte. */
static uint32_t block_of(const struct whole *w, size_t at)
{
	uint32_t b = 0;

	while (b + 1 < w->nblocks && w->block[b + 1] <= at)
		b++;
	return b;
}

static void cut_anywhere(void **state)
{
	char msg[DP_TRACE_MSG];
	struct whole w;
	size_t n;
	int err;

	make_whole(&w, 13);
	for (n = 0; n < w.len; n++) {
		uint32_t b = block_of(&w, n), got;
		bool between = n == w.block[b];

		keep(w.p, n);
		got = play(&err, msg);
		if (n < DP_TRACE_HEAD) {
			assert_int_equal(err, -EBADMSG);
			assert_non_null(strstr(msg, n ? "cut within its header" : "empty"));
			continue;
		}
		if (err != (between ? 0 : -ENODATA) || got != w.before[b])
			fail_msg("%zu of %zu bytes: %u snapshots, %d %s", n, w.len, got, err, msg);
		assert_true(between || strstr(msg, "ends in the middle of a block"));
	}
	free(w.p);
}

/* A recorder that goes on with what is left of a trace. */
static void added_to_after_a_cut(void **state)
{
	struct dp_trace_writer *t;
	struct dp_vm vm = a_vm();
	char msg[DP_TRACE_MSG];
	struct whole w;
	int err, b;

	make_whole(&w, 13);
	for (b = 0; b < (int)w.nblocks; b++) {
		keep(w.p, w.block[b] + 30);
		assert_int_equal(dp_trace_create(path, true, &t, msg, sizeof(msg)), 0);
		assert_int_equal(dp_trace_put_start(t, &begin, &opts, &vm), 0);
		assert_int_equal(put(t, &vm, w.before[b]), 0);
		assert_int_equal(dp_trace_close(t, true, NULL, NULL), 0);
		assert_int_equal(play(&err, msg), w.before[b] + 1);
		assert_int_equal(err, 0);
	}
	keep("something else of more bytes than a header", 42);
	assert_int_equal(dp_trace_create(path, true, &t, msg, sizeof(msg)), -EBADMSG);
	assert_non_null(strstr(msg, "no trace"));
	free(w.p);
}

static void bits_of_the_header(void **state)
{
	char msg[DP_TRACE_MSG];
	struct whole w;
	unsigned int bit;
	int err;

	make_whole(&w, 13);
	for (bit = 0; bit < 8 * DP_TRACE_HEAD; bit++) {
		w.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		keep(w.p, w.len);
		assert_int_equal(play(&err, msg), 0);
		assert_int_equal(err, -EBADMSG);
		assert_non_null(strstr(msg, "header is damaged"));
		w.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	free(w.p);
}

/* One bit of each byte of each block: its header, its contents. */
static void damage_anywhere(void **state)
{
	char msg[DP_TRACE_MSG];
	struct whole w;
	size_t at;
	int err;

	make_whole(&w, 13);
	for (at = DP_TRACE_HEAD; at < w.len; at++) {
		uint32_t b = block_of(&w, at), got;

		w.p[at] ^= (uint8_t)(1u << at % 8);
		keep(w.p, w.len);
		got = play(&err, msg);
		if (err != -EBADMSG || got != w.before[b] || !strstr(msg, "damaged"))
			fail_msg("byte %zu: %u snapshots, %d %s", at, got, err, msg);
		w.p[at] ^= (uint8_t)(1u << at % 8);
	}
	free(w.p);
}

static void other_versions(void **state)
{
	const uint32_t version[] = { 0, DP_TRACE_VERSION + 1, 0x7fffffff, UINT32_MAX };
	char msg[DP_TRACE_MSG], says[32];
	struct whole w;
	size_t i;
	int err;

	make_whole(&w, 13);
	for (i = 0; i < sizeof(version) / sizeof(version[0]); i++) {
		dp_put32(w.p + 8, version[i]);
		dp_put32(w.p + 20, dp_crc(w.p, 20));
		keep(w.p, w.len);
		assert_int_equal(play(&err, msg), 0);
		assert_int_equal(err, version[i] ? -EPROTONOSUPPORT : -EBADMSG);
		snprintf(says, sizeof(says), "version %u;", version[i]);
		assert_true(!version[i] || strstr(msg, says));
	}
	free(w.p);
}

/* The second block's lengths, its sums made right again. */
static void lengths_of_a_block(void **state)
{
	const uint32_t hostile[] = {
		0, 1, 2, DP_BLOCK_MAX, DP_BLOCK_MAX + 1, 1u << 31, UINT32_MAX - 23, UINT32_MAX
	};
	char msg[DP_TRACE_MSG];
	struct whole w;
	unsigned int i, field;
	uint8_t *head, old[DP_TRACE_HEAD];
	int err;

	make_whole(&w, 13);
	head = w.p + w.block[1];
	memcpy(old, head, sizeof(old));
	for (field = 4; field <= 12; field += 4) { /* its number, raw, packed */
		for (i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
			if (hostile[i] == dp_get32(old + field))
				continue;
			dp_put32(head + field, hostile[i]);
			dp_put32(head + 20, dp_crc(head, 20));
			keep(w.p, w.len);
			assert_int_equal(play(&err, msg), w.before[1]);
			assert_true(err == -EBADMSG || err == -ENODATA);
			assert_true(strstr(msg, "damaged") || strstr(msg, "in the middle"));
			memcpy(head, old, sizeof(old));
		}
	}
	free(w.p);
}

/* A file of one block that holds these records. */
static void keep_block(const uint8_t *raw, size_t len)
{
	uLongf n = compressBound(len);
	uint8_t *p = calloc(1, 2 * DP_TRACE_HEAD + n), *head = p + DP_TRACE_HEAD;

	assert_non_null(p);
	assert_int_equal(compress2(head + DP_TRACE_HEAD, &n, raw, len, 9), Z_OK);
	memcpy(p, DP_TRACE_MAGIC, 8);
	dp_put32(p + 8, DP_TRACE_VERSION);
	dp_put32(p + 20, dp_crc(p, 20));
	memcpy(head, DP_BLOCK_MAGIC, 4);
	dp_put32(head + 8, (uint32_t)len);
	dp_put32(head + 12, (uint32_t)n);
	dp_put32(head + 16, dp_crc(head + DP_TRACE_HEAD, n));
	dp_put32(head + 20, dp_crc(head, 20));
	keep(p, 2 * DP_TRACE_HEAD + n);
	free(p);
}

static void records(void **state)
{
	static const struct {
		const char *what;
		uint8_t raw[24];
		size_t n;
		int err;
	} r[] = {
		{ "no length", { DP_REC_VM }, 1, -EBADMSG },
		{ "2^32 bytes", { DP_REC_VM, 0x80, 0x80, 0x80, 0x80, 0x10 }, 6, -EBADMSG },
		{ "2^64 - 1 bytes",
		  { 4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1 },
		  11,
		  -EBADMSG },
		{ "2^64 bytes",
		  { 4, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2 },
		  11,
		  -EBADMSG },
		{ "a length without an end",
		  { 4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1 },
		  12,
		  -EBADMSG },
		{ "one byte more than there are", { DP_REC_START, 3, 0, 0 }, 4, -EBADMSG },
		{ "an end of nothing", { DP_REC_END, 0 }, 2, -EBADMSG },
		{ "an empty start", { DP_REC_START, 0 }, 2, -EBADMSG },
		{ "an empty VM", { DP_REC_VM, 0 }, 2, -EBADMSG },
		{ "a snapshot of nothing", { DP_REC_SNAPSHOT, 2, 0, 0 }, 4, -EBADMSG },
		{ "2^32 - 1 regions in five bytes",
		  { DP_REC_VM, 19, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xf },
		  21,
		  -EBADMSG },
		{ "kinds of a later version", { 100, 1, 7, 101, 0 }, 5, 0 },
	};
	char msg[DP_TRACE_MSG];
	size_t i;
	int err;

	for (i = 0; i < sizeof(r) / sizeof(r[0]); i++) {
		keep_block(r[i].raw, r[i].n);
		assert_int_equal(play(&err, msg), 0);
		if (err != r[i].err || (err && !*msg))
			fail_msg("%s: %d \"%s\"", r[i].what, err, msg);
	}
}

/* What the writer writes of a VM or snapshot that cannot be. */
static void refused(const char *what, const struct dp_vm *vm, const struct dp_snapshot *s)
{
	struct dp_trace_writer *w = create();
	char msg[DP_TRACE_MSG];
	int err;

	assert_int_equal(dp_trace_put_start(w, &begin, &opts, vm), 0);
	if (s)
		assert_int_equal(dp_trace_put(w, s), 0);
	assert_int_equal(dp_trace_close(w, true, NULL, NULL), 0);
	play(&err, msg);
	if (err != -EBADMSG || !strstr(msg, "numbers that cannot be"))
		fail_msg("%s: %d \"%s\"", what, err, msg);
}

static void vms(void **state)
{
	struct dp_slot *many = calloc(2049, sizeof(*many));
	uint64_t *pages = calloc(DP_REGIONS_MAX + 1, sizeof(*pages));
	struct dp_vm vm = a_vm();
	int i;

	assert_true(many && pages);
	/* 2^51 pages are 2^33 frames of 1 GiB: more than anybody can count */
	slots[0].npages = 1ull << 51;
	refused("a slot without an end", &vm, NULL);
	vm = a_vm();
	slots[0].base_gfn = (1ull << 52) + 1;
	refused("a slot behind all addresses", &vm, NULL);
	vm = a_vm();
	slots[0].nregions = 2;
	refused("a slot of more regions than there are", &vm, NULL);
	vm = a_vm();
	vm.nslots = 2049;
	vm.slots = many;
	for (i = 0; i < 2049; i++)
		many[i] = (struct dp_slot){
			.id = (uint16_t)i, .ram = true, .npages = 1, .base_gfn = 2 * (uint64_t)i
		};
	refused("more slots than are read of any VM", &vm, NULL);
	vm = a_vm();
	vm.nregions = DP_REGIONS_MAX + 1;
	vm.region_pages = pages;
	refused("more regions than there can be", &vm, NULL);
	vm = a_vm();
	vm.region_pages = (uint64_t[]){ (1 << DP_REGION_SHIFT) + 1 };
	refused("a region of more pages than fit", &vm, NULL);
	vm = a_vm();
	vm.pid = -1;
	refused("a process id below 0", &vm, NULL);
	vm = a_vm();
	vm.host_page = 4097;
	refused("pages of 4097 bytes", &vm, NULL);
	free(many);
	free(pages);
}

static void snapshots(void **state)
{
	const struct dp_vm vm = a_vm();
	const struct dp_ages age = { .count = -1 };
	const struct dp_exposure expo = { .blind = 1e300 };
	const uint64_t two[2] = { 1, 1 };
	struct dp_snapshot s = { .vm = &vm, .zero_share = -1, .t1_ns = 1ull << 63 };

	refused("the year 2262", &vm, &s);
	s.t1_ns = SEC;
	s.zero_share = 2;
	refused("twice as many zero pages as pages", &vm, &s);
	s.zero_share = -1;
	s.vcpu_left_ns = 1ull << 63;
	refused("a guest that left in the year 2262", &vm, &s);
	s.vcpu_left_ns = 0;
	s.vcpu_first_ns = 1ull << 63;
	refused("and one that came then", &vm, &s);
	s.vcpu_first_ns = 0;
	s.reason = (enum dp_reason)17;
	refused("a reason that there is not", &vm, &s);
	s.reason = DP_TIMER;
	s.source = (enum dp_source)200;
	refused("a source that there is not", &vm, &s);
	s.source = DP_SRC_RING;
	s.nregions = 2;
	s.region_new = two;
	refused("more regions than the VM has", &vm, &s);
	s.nregions = 0;
	s.nages = 1;
	s.ages = &age;
	refused("fewer than no pages", &vm, &s);
	s.nages = 0;
	s.nexposures = 1;
	s.exposures = &expo;
	refused("1e300 pages", &vm, &s);
	s.nexposures = 0;
	s.wire.delivery_bps = -1;
	refused("less than no bandwidth", &vm, &s);
}

/* Little to read, much to hold. */
static void bombs(void **state)
{
	uint8_t *raw = calloc(1, DP_BLOCK_MAX);
	char msg[DP_TRACE_MSG];
	int err;

	assert_non_null(raw);
	/* 2^25 empty records of no kind that there is: nothing comes of them */
	keep_block(raw, DP_BLOCK_MAX);
	assert_int_equal(play(&err, msg), 0);
	assert_int_equal(err, 0);
	/* a VM of 2^25 regions: a byte each in the record, eight in memory */
	memcpy(raw, (uint8_t[]){ DP_REC_VM, 0x80, 0x80, 0x80, 0x18 }, 5); /* 3 * 2^24 bytes */
	memcpy(raw + 5 + 14, (uint8_t[]){ 0x80, 0x80, 0x80, 0x10 }, 4);	  /* behind the VM's first fields */
	keep_block(raw, 5 + (3u << 24));
	assert_int_equal(play(&err, msg), 0);
	assert_int_equal(err, -EBADMSG);
	assert_non_null(strstr(msg, "numbers that cannot be"));
	free(raw);
}

/* Options that no command line gives: what a report says of them can be read back from its JSON. */
static void extreme_options(void **state)
{
	const struct dp_session_opts o[] = {
		{ .bandwidth = 9e18,
		  .max_bandwidth = 9e18,
		  .switchover_bandwidth = 9e18,
		  .avail_switchover = 9e18 },
		{ .bandwidth = 1e-300, .max_bandwidth = 0.5, .zero_scan_bps = 0.1 },
		{ .bandwidth = 1e9,
		  .queue = 9e18,
		  .throttle = 0.999999,
		  .limit = 9e8,
		  .fixed = 9e8,
		  .setup = 9e8 },
		{ .bandwidth = 1e9, .ac = { true, 1e300, 1e300, 1e300, 1e300 } },
		{ .bandwidth = 1e9, .ac = { true, -1e300, -1e300, -1e300, -1e300 } },
	};
	static struct dp_basis b;
	struct dp_vm vm = a_vm();
	const uint64_t new[1] = { 1000 };
	const struct dp_window win = { .armed = 1 << DP_REGION_SHIFT, .dirty = 1000, .t_hi_ns = SEC };
	const struct dp_snapshot s = { .t1_ns = SEC,
				       .source = DP_SRC_HARVEST,
				       .logging = true,
				       .logged_ns = SEC,
				       .vm = &vm,
				       .nregions = 1,
				       .region_new = new,
				       .nwindows = 1,
				       .windows = &win,
				       .zero_share = -1 };
	struct dp_basis_vm whose;
	char msg[160];
	size_t i;

	for (i = 0; i < sizeof(o) / sizeof(o[0]); i++) {
		struct dp_session *x = dp_session_new(&o[i]);
		struct dp_buf json = { 0 };

		assert_non_null(x);
		dp_session_start(x, &vm, DP_SRC_HARVEST, true);
		assert_int_equal(dp_session_add(x, &s), 0);
		dp_json_final(&json, dp_session_final(x));
		if (dp_basis_parse(json.data, json.len, &b, &whose, msg, sizeof(msg)))
			fail_msg("%zu: %s", i, msg);
		assert_true(b.known);
		dp_buf_free(&json);
		dp_session_free(x);
	}
}

static void no_files(void **state)
{
	char msg[DP_TRACE_MSG];
	uint8_t noise[5000];
	unsigned int i;
	int err;

	unlink(path);
	assert_int_equal(play(&err, msg), 0);
	assert_int_equal(err, -ENOENT);
	assert_int_equal(mkdir(path, 0700), 0);
	play(&err, msg);
	assert_int_equal(err, -EINVAL);
	assert_non_null(strstr(msg, "no regular file"));
	rmdir(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	play(&err, msg);
	assert_int_equal(err, -EINVAL);
	unlink(path);
	assert_int_equal(symlink("/dev/zero", path), 0);
	play(&err, msg);
	assert_int_equal(err, -EINVAL);
	unlink(path);
	for (i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t)(i * 2654435761u >> 13);
	keep(noise, sizeof(noise));
	play(&err, msg);
	assert_int_equal(err, -EBADMSG);
	assert_non_null(strstr(msg, "no trace"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(added_to_after_a_cut),
		cmocka_unit_test(bits_of_the_header),
		cmocka_unit_test(damage_anywhere),
		cmocka_unit_test(other_versions),
		cmocka_unit_test(lengths_of_a_block),
		cmocka_unit_test(records),
		cmocka_unit_test(vms),
		cmocka_unit_test(snapshots),
		cmocka_unit_test(bombs),
		cmocka_unit_test(extreme_options),
		cmocka_unit_test(no_files),
	};
	const struct rlimit room = { 1ul << 30, 1ul << 30 };
	int failed;

	if (setrlimit(RLIMIT_AS, &room) || !mkdtemp(dir))
		return 1;
	alarm(100);
	snprintf(path, sizeof(path), "%s/trace", dir);
	failed = cmocka_run_group_tests_name("hostile_trace", tests, NULL, NULL);
	unlink(path);
	rmdir(dir);
	return failed;
}
