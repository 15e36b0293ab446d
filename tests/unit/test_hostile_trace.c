// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Traces that were cut or damaged: what is read is what stood in the whole blocks before the damage, and an error with a line for
 * people, or the line alone.
 */
#include "hostile_trace.h"

#define BLOCKS_MAX 8

/* A whole trace, as bytes, and where its blocks begin. */
struct whole {
	uint8_t *p;
	size_t len, block[BLOCKS_MAX + 1];	  /* and where the last one ends */
	uint32_t nblocks, before[BLOCKS_MAX + 1]; /* snapshots in the blocks before */
};

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
		cmocka_unit_test(cut_anywhere),	      cmocka_unit_test(added_to_after_a_cut),
		cmocka_unit_test(bits_of_the_header), cmocka_unit_test(damage_anywhere),
		cmocka_unit_test(other_versions),     cmocka_unit_test(lengths_of_a_block),
		cmocka_unit_test(no_files),
	};

	return run_within("hostile_trace", tests, sizeof(tests) / sizeof(tests[0]));
}
