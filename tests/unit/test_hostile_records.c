// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Traces that were made up: records, VMs and snapshots that cannot be, and little to read that is much to hold. */
#include "hostile_trace.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records),	   cmocka_unit_test(vms),
		cmocka_unit_test(snapshots),	   cmocka_unit_test(bombs),
		cmocka_unit_test(extreme_options),
	};

	return run_within("hostile_records", tests, sizeof(tests) / sizeof(tests[0]));
}
