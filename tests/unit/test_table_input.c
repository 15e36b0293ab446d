// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What dirtyprof predict reads a table from: the reader stands what a file can hold. DP_FUZZ_SEED and DP_FUZZ_RUNS choose the seed
 * (1) and the runs.
 */
#include "table_fixture.h"

static void want(const char *line, int err, const char *says)
{
	static struct dp_basis b;
	struct dp_basis_vm vm;
	char msg[160];
	int got = dp_basis_parse(line, strlen(line), &b, &vm, msg, sizeof(msg));

	if (got != err || !strstr(msg, says))
		fail_msg("%.60s: %d \"%s\", not %d \"%s\"", line, got, msg, err, says);
}

/* What is wrong is said; and a record that is none of ours is not taken for one. */
static void other_input(void **state)
{
	want("", -EINVAL, "too early");
	want("TIME s  NEW 4K", -EINVAL, "no JSON");
	want("{\"a\":", -EINVAL, "too early");
	want("[]", -EINVAL, "no record");
	want("{}", -EINVAL, "no record");
	want("{\"dirtyprof\":\"1\",\"type\":\"report\"}", -EINVAL, "schema");
	want("{\"dirtyprof\":\"1\",\"schema\":99,\"type\":\"report\"}", -EINVAL, "newer");
	want("{\"dirtyprof\":\"1\",\"schema\":1,\"type\":7}", -EINVAL, "type");
	want("{\"dirtyprof\":\"1\",\"schema\":1,\"type\":\"interval\"}", 1, "");
	want("{\"dirtyprof\":\"1\",\"schema\":1,\"type\":\"report\"}", -EINVAL, "older");
	want("{\"dirtyprof\":\"1\",\"schema\":1,\"type\":\"report\",\"basis\":[]}", -EINVAL, "basis");
	want("{\"dirtyprof\":\"1\",\"schema\":1,\"type\":\"report\",\"basis\":{\"known\":true}}", -EINVAL,
	     "ram_pages");
	want("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", -EINVAL, "no JSON");
}

/* The points' own rules, one broken at a time. */
static void wrong_points(void **state)
{
	struct dp_points *p = calloc(1, sizeof(*p));

	p->n = 3;
	p->blocks = 100;
	p->t[1] = 1, p->t[2] = 2;
	p->mid[1] = 5, p->mid[2] = 6;
	p->hi[1] = 7, p->hi[2] = 8;
	assert_null(dp_points_wrong(p));
	p->t[2] = 1;
	assert_non_null(dp_points_wrong(p));
	p->t[2] = 2, p->mid[2] = 4;
	assert_non_null(dp_points_wrong(p));
	p->mid[2] = 9;
	assert_non_null(dp_points_wrong(p));
	p->mid[2] = NAN;
	assert_non_null(dp_points_wrong(p));
	p->mid[2] = 6, p->n = DP_POINTS + 1;
	assert_non_null(dp_points_wrong(p));
	p->n = 3, p->ngroups = DP_POINT_GROUPS + 1;
	assert_non_null(dp_points_wrong(p));
	p->ngroups = 1, p->nshares = 1, p->share[0][0] = 1.5;
	assert_non_null(dp_points_wrong(p));
	assert_null(dp_curve_from_points(p));
	free(p);
}

static uint64_t rng = 1;

static uint32_t rnd(uint32_t n)
{
	return (uint32_t)(sim_random(&rng) * n) % n;
}

static const char *const words[] = {
	"{",	   "}",	      "[",     "]",	   "\"",   ",",	  ":",
	"null",	   "-1",      "1e999", "-1e308",   "NaN",  "0",	  "18446744073709551616",
	"\\u0000", "\\ud800", "\xff",  "\xc2\x80", "1e15", "true"
};

/* Cuts, copies, flips, inserts words, and puts other numbers in place of those that are there. */
static size_t mutate(char *buf, size_t len, size_t room)
{
	uint32_t k;

	for (k = 1 + rnd(4); k; k--) {
		size_t at = rnd((uint32_t)len + 1), n;
		const char *w = words[rnd(sizeof(words) / sizeof(words[0]))];

		switch (rnd(4)) {
		case 0:
			if (at < len)
				buf[at] = (char)(1 + rnd(255));
			break;
		case 1:
			n = rnd(rnd(4) ? 20 : (uint32_t)(len - at) + 1);
			n = n < len - at ? n : len - at;
			memmove(buf + at, buf + at + n, len - at - n);
			len -= n;
			break;
		case 2:
			while (at < len && !strchr(",:[", buf[at]))
				at++;
			at += at < len;
			n = at < len ? strcspn(buf + at, ",]}") : 0;
			memmove(buf + at, buf + at + n, len - at - n);
			len -= n;
			/* fall through */
		default:
			n = strlen(w);
			if (len + n >= room)
				break;
			memmove(buf + at + n, buf + at, len - at);
			memcpy(buf + at, w, n);
			len += n;
		}
		buf[len] = '\0';
	}
	return len;
}

/* Whatever the file holds: an answer, and a table that can be printed or an error. */
static void fuzz(void **state)
{
	const size_t room = 1 << 17;
	unsigned int runs = getenv("DP_FUZZ_RUNS") ? (unsigned int)atoi(getenv("DP_FUZZ_RUNS")) : 1500, i;
	struct dp_curve *c = observe(some[1], 5.0);
	struct dp_report *r = report_of(c);
	struct dp_buf json = { 0 }, out = { 0 };
	char *buf = malloc(room), msg[160];
	static struct dp_table_report t;
	static struct dp_basis b;
	unsigned int good = 0, bad = 0;
	struct dp_basis_vm vm;

	rng = getenv("DP_FUZZ_SEED") ? strtoull(getenv("DP_FUZZ_SEED"), NULL, 0) : 1;
	dp_json_final(&json, r);
	assert_true(json.len < room / 2);
	for (i = 0; i < runs; i++) {
		/* half of it in what a table is made from */
		size_t from = rnd(2) ? (size_t)(strstr(json.data, "\"basis\"") - json.data) : 0, len;
		int err;

		memcpy(buf, json.data, json.len + 1);
		len = from + mutate(buf + from, json.len - from, room - from);
		err = dp_basis_parse(buf, len, &b, &vm, msg, sizeof(msg));
		assert_true(err == 0 || err == 1 || (err == -EINVAL && *msg && strlen(msg) < sizeof(msg)));
		bad += err != 0;
		if (err)
			continue;
		memset(&t, 0, sizeof(t));
		t.nbandwidths = t.nlimits = 1;
		t.bandwidth[0] = 100 * MB;
		t.limit[0] = 0.3;
		err = dp_table_fill(&b, &vm, &t);
		assert_true(!err || err == -EINVAL || err == -ENODATA);
		good += !err;
		if (err)
			continue;
		dp_buf_reset(&out);
		dp_text_table(&out, &t);
		dp_json_table(&out, &t);
		assert_false(out.failed);
	}
	/* neither all refused nor all taken: the mutations are of use */
	assert_true(good > runs / 50 && bad > runs / 50);
	dp_buf_free(&json);
	dp_buf_free(&out);
	free(buf);
	free(r);
	dp_curve_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(other_input),
		cmocka_unit_test(wrong_points),
		cmocka_unit_test(fuzz),
	};

	return cmocka_run_group_tests_name("table_input", tests, NULL, NULL);
}
