// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Windows in a trace that nobody wrote so: refused, with a line for people, and without much memory. */
#include <errno.h>

#include "trace_fixture.h"

struct raw {
	uint8_t *p;
	size_t n;
};

static void put_byte(struct raw *r, uint8_t b)
{
	r->p[r->n++] = b;
}

static void put_number(struct raw *r, uint64_t v)
{
	for (; v > 0x7f; v >>= 7)
		put_byte(r, (uint8_t)(v | 0x80));
	put_byte(r, (uint8_t)v);
}

static void put_record(struct raw *r, enum dp_record kind, const uint8_t *p, size_t n)
{
	put_byte(r, (uint8_t)kind);
	put_number(r, n);
	memcpy(r->p + r->n, p, n);
	r->n += n;
}

/* The records of a trace's first block, as the writer made them. */
static void records_of(struct raw *r, size_t room)
{
	FILE *f = fopen(path, "re");
	uint8_t head[2 * DP_TRACE_HEAD], packed[4096];
	uLongf len = room;
	uint32_t n;

	assert_non_null(f);
	assert_int_equal(fread(head, 1, sizeof(head), f), sizeof(head));
	n = dp_get32(head + DP_TRACE_HEAD + 12);
	assert_true(n <= sizeof(packed) && fread(packed, 1, n, f) == n);
	fclose(f);
	assert_int_equal(uncompress(r->p, &len, packed, n), Z_OK);
	r->n = len;
}

static void keep(const struct raw *r)
{
	uLongf n = compressBound(r->n);
	uint8_t *p = calloc(1, 2 * DP_TRACE_HEAD + n), *head;
	FILE *f = fopen(path, "we");

	assert_non_null(p);
	assert_non_null(f);
	head = p + DP_TRACE_HEAD;
	assert_int_equal(compress2(head + DP_TRACE_HEAD, &n, r->p, r->n, 1), Z_OK);
	memcpy(p, DP_TRACE_MAGIC, 8);
	dp_put32(p + 8, DP_TRACE_VERSION);
	dp_put32(p + 20, dp_crc(p, 20));
	memcpy(head, DP_BLOCK_MAGIC, 4);
	dp_put32(head + 8, (uint32_t)r->n);
	dp_put32(head + 12, (uint32_t)n);
	dp_put32(head + 16, dp_crc(head + DP_TRACE_HEAD, n));
	dp_put32(head + 20, dp_crc(head, 20));
	assert_int_equal(fwrite(p, 1, 2 * DP_TRACE_HEAD + n, f), 2 * DP_TRACE_HEAD + n);
	assert_int_equal(fclose(f), 0);
	free(p);
}

/* Snapshots that can be read, and how it ends. */
static int play(uint32_t *n)
{
	struct dp_trace *t = open_it();
	struct dp_trace_event ev;
	int err;

	*n = 0;
	while ((err = dp_trace_next(t, &ev)) > 0)
		*n += ev.kind == DP_TRACE_SNAPSHOT;
	if (err)
		assert_non_null(strstr(dp_trace_message(t), "numbers that cannot be"));
	dp_trace_free(t);
	return err;
}

/* A trace of one snapshot at 0 s, cut apart: its start, options and VM, and the snapshot alone. */
static void cut_apart(struct raw *start, struct raw *snap, size_t room)
{
	struct dp_trace_writer *out = started();
	const struct dp_snapshot s = snapshot(0, NULL, 0);
	struct raw both = { malloc(room), 0 };

	assert_non_null(both.p);
	assert_int_equal(dp_trace_close(out, false, NULL, NULL), 0);
	records_of(start, room);
	out = started();
	assert_int_equal(dp_trace_put(out, &s), 0);
	assert_int_equal(dp_trace_close(out, false, NULL, NULL), 0);
	records_of(&both, room);
	snap->n = both.n - start->n;
	memcpy(snap->p, both.p + start->n, snap->n);
	free(both.p);
}

#define TIMES 0x10
#define NEXT  0x40
#define MORE  0x80

static void made_up(void **state)
{
	static const struct {
		const char *what;
		int err;
		uint32_t n;
		bool before; /* the VM is known */
		uint8_t one[24];
		size_t len1;
		uint8_t two[24];
		size_t len2;
	} r[] = {
		{ "one", 0, 1, false, { 0, 1, TIMES | NEXT, 0, 5 }, 5, { 0 }, 0 },
		{ "none", 0, 1, false, { 0, 0 }, 2, { 0 }, 0 },
		{ "nothing", -EBADMSG, 0, false, { 0 }, 0, { 0 }, 0 },
		{ "fewer bytes than windows", -EBADMSG, 0, false, { 0, 3, TIMES | NEXT, 0, 5 }, 5, { 0 }, 0 },
		{ "2^32 - 1 windows",
		  -EBADMSG,
		  0,
		  false,
		  { 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0 },
		  9,
		  { 0 },
		  0 },
		{ "cut within a window", -EBADMSG, 0, false, { 0, 1, NEXT, 2, 9 }, 5, { 0 }, 0 },
		{ "cut before the regions",
		  -EBADMSG,
		  0,
		  false,
		  { 0, 1, TIMES | NEXT | MORE, 0, 5 },
		  5,
		  { 0 },
		  0 },
		{ "a size that there is not",
		  -EBADMSG,
		  0,
		  false,
		  { 0, 1, TIMES | NEXT | 5, 0, 5 },
		  5,
		  { 0 },
		  0 },
		{ "more armed than any VM has",
		  -EBADMSG,
		  0,
		  false,
		  { 0, 1, TIMES | NEXT, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 0 },
		  11,
		  { 0 },
		  0 },
		{ "another snapshot's", -EBADMSG, 0, false, { 1, 1, TIMES | NEXT, 0, 5 }, 5, { 0 }, 0 },
		{ "two snapshots'",
		  -EBADMSG,
		  0,
		  false,
		  { 0, 1, TIMES | NEXT, 0, 5 },
		  5,
		  { 1, 1, TIMES | NEXT, 0, 5 },
		  5 },
		{ "before the VM", -EBADMSG, 0, true, { 0, 1, TIMES | NEXT, 0, 5 }, 5, { 0 }, 0 },
		{ "in two records",
		  0,
		  1,
		  false,
		  { 0, 1, TIMES | NEXT, 0, 5 },
		  5,
		  { 0, 2, TIMES | NEXT, 0, 5, TIMES | NEXT | MORE, 0, 5, 1 },
		  9 },
	};
	struct raw start = { malloc(4096), 0 }, snap = { malloc(4096), 0 }, all = { malloc(16384), 0 };
	uint32_t n;
	size_t i;

	assert_true(start.p && snap.p && all.p);
	cut_apart(&start, &snap, 4096);
	for (i = 0; i < sizeof(r) / sizeof(r[0]); i++) {
		int err;

		all.n = 0;
		if (r[i].before)
			put_record(&all, DP_REC_WINDOWS, r[i].one, r[i].len1);
		memcpy(all.p + all.n, start.p, start.n);
		all.n += start.n;
		if (!r[i].before)
			put_record(&all, DP_REC_WINDOWS, r[i].one, r[i].len1);
		if (r[i].len2)
			put_record(&all, DP_REC_WINDOWS, r[i].two, r[i].len2);
		memcpy(all.p + all.n, snap.p, snap.n);
		all.n += snap.n;
		keep(&all);
		err = play(&n);
		if (err != r[i].err || n != r[i].n)
			fail_msg("%s: %d, %u snapshots", r[i].what, err, n);
	}
	free(start.p);
	free(snap.p);
	free(all.p);
	(void)state;
}

/* Two bytes each in the file's block, and next to nothing in the file: no more memory is taken than for what anybody writes. */
static void many(void **state)
{
	const uint32_t a_record = 1 << 19, records = 32;
	const size_t room = (size_t)records * (2 * a_record + 16) + 16384;
	struct raw start = { malloc(room), 0 }, snap = { malloc(4096), 0 },
		   one = { calloc(2, a_record + 8), 0 };
	uint32_t k, n;

	assert_true(start.p && snap.p && one.p);
	cut_apart(&start, &snap, 4096);
	put_number(&one, 0);
	put_number(&one, a_record);
	one.n += 2 * (size_t)a_record;
	for (k = 0; k < 2 * a_record; k += 2)
		one.p[one.n - 2 * a_record + k] = TIMES | NEXT | 0x20;
	for (k = 0; k < records; k++)
		put_record(&start, DP_REC_WINDOWS, one.p, one.n);
	keep(&start);
	assert_int_equal(play(&n), -EBADMSG);
	free(start.p);
	free(snap.p);
	free(one.p);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(made_up),
		cmocka_unit_test(many),
	};

	return run_within("hostile_windows", tests, sizeof(tests) / sizeof(tests[0]));
}
