// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What past migrations taught, kept in a file. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "cli/learned.h"

static char path[] = "/tmp/dp-learned-XXXXXX";
static char file[64];

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(path))
		return -1;
	snprintf(file, sizeof(file), "%s/learned.json", path);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(file);
	return rmdir(path);
}

static struct dp_report *migrated(const char *version, bool multifd, double fixed, double queue)
{
	static struct dp_report r;

	memset(&r, 0, sizeof(r));
	r.mig.outcome = DP_MIG_DONE;
	r.mig.multifd = multifd;
	r.mig.fixed_seen = fixed;
	r.mig.queue_seen = queue;
	r.mig.path_given = r.mig.path_seen = NAN;
	strcpy(r.vm.qemu_version, version);
	return &r;
}

static struct dp_report *over(double given, double seen, bool multifd)
{
	struct dp_report *r = migrated("7.2.22", multifd, 0.01, given / 50);

	r->mig.path_given = given;
	r->mig.path_seen = seen;
	return r;
}

static int load_over(const char *version, bool multifd, double bandwidth, struct dp_learned *l)
{
	const struct dp_learned_key key = { .qemu_version = version,
					    .multifd = multifd,
					    .bandwidth = bandwidth };

	return dp_learned_load(file, &key, l);
}

static int load(const char *version, bool multifd, struct dp_learned *l)
{
	return load_over(version, multifd, 0, l);
}

static void write_file(const char *text)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* Medians, of migrations that are alike as long as there are some. */
static void test_medians(void **state)
{
	struct dp_learned l;

	unlink(file);
	assert_int_equal(load("7.2.22", false, &l), 0);
	assert_int_equal(l.n, 0);
	assert_int_equal(dp_learned_add(file, migrated("7.2.22", false, 0.010, 3e6)), 0);
	assert_int_equal(dp_learned_add(file, migrated("7.2.5", false, 0.050, NAN)), 0);
	assert_int_equal(dp_learned_add(file, migrated("7.2.22", false, 0.020, 5e6)), 0);
	assert_int_equal(dp_learned_add(file, migrated("7.2.22", true, 0.5, 9e6)), 0);
	assert_int_equal(dp_learned_add(file, migrated("10.0.2", false, 0.002, 1e6)), 0);
	assert_int_equal(load("7.2.1", false, &l), 0);
	assert_int_equal(l.n, 3);
	assert_true(l.fixed.mid == 0.020 && l.queue == 4e6);
	assert_int_equal(load("7.2.1", true, &l), 0);
	assert_true(l.n == 1 && l.fixed.mid == 0.5 && l.queue == 9e6);
	/* 10.0 with multifd: the same release without; 8.2: all */
	assert_int_equal(load("10.0.9", true, &l), 0);
	assert_true(l.n == 1 && l.fixed.mid == 0.002 && l.queue == 1e6);
	assert_int_equal(load("8.2.0", false, &l), 0);
	assert_true(l.n == 5 && l.fixed.mid == 0.020 && l.queue == 4e6);
	(void)state;
}

static void test_what_teaches_nothing(void **state)
{
	struct dp_report *r = migrated("7.2.22", false, NAN, 3e6);

	unlink(file);
	assert_int_equal(dp_learned_add(file, r), 0);
	assert_int_equal(access(file, F_OK), -1);
	r = migrated("7.2.22", false, 0.01, 3e6);
	r->mig.outcome = DP_MIG_CANCELLED;
	assert_int_equal(dp_learned_add(file, r), 0);
	assert_int_equal(access(file, F_OK), -1);
	(void)state;
}

/* It does not grow for ever, and the latest count. */
static void test_bounded(void **state)
{
	struct dp_learned l;
	struct stat st;
	int i;

	unlink(file);
	for (i = 0; i < 2 * DP_LEARNED_KEPT; i++)
		assert_int_equal(dp_learned_add(file,
						migrated("9.0", false, i < DP_LEARNED_KEPT ? 1 : 0.25, NAN)),
				 0);
	assert_int_equal(load("9.0", false, &l), 0);
	assert_int_equal(l.n, DP_LEARNED_KEPT);
	assert_true(l.fixed.mid == 0.25 && l.queue == 0);
	assert_int_equal(stat(file, &st), 0);
	assert_true(st.st_size < 32768);
	(void)state;
}

/* Somebody else's file is neither believed nor written over. */
static void test_hostile(void **state)
{
	static const char *const text[] = {
		"",
		"{",
		"[]",
		"{}",
		"{\"file\":\"dirtyprof-learned\"}",
		"{\"file\":1,\"migrations\":[]}",
		"{\"file\":\"something else\",\"migrations\":[]}",
	};
	struct dp_learned l;
	char back[128];
	size_t i, n;
	FILE *f;

	for (i = 0; i < sizeof(text) / sizeof(*text); i++) {
		write_file(text[i]);
		assert_int_equal(load("7.2", false, &l), -EBADMSG);
		assert_int_equal(l.n, 0);
		assert_int_equal(dp_learned_add(file, migrated("7.2", false, 0.01, 1)), -EBADMSG);
		f = fopen(file, "r");
		assert_non_null(f);
		n = fread(back, 1, sizeof(back), f);
		fclose(f);
		assert_int_equal(n, strlen(text[i]));
		assert_memory_equal(back, text[i], n);
	}
	write_file(
		"{\"file\":\"dirtyprof-learned\",\"migrations\":[1,null,{},{\"fixed_s\":\"x\"},{\"fixed_s\":-1},"
		"{\"fixed_s\":1e99},{\"qemu\":7,\"fixed_s\":0.25,\"queue_bytes\":[]}]}");
	assert_int_equal(load("7.2", false, &l), 0);
	assert_true(l.n == 1 && l.fixed.mid == 0.25 && l.queue == 0);
	assert_true(dp_learned_add("/nowhere/at/all.json", migrated("7.2", false, 0.01, 1)) < 0);
	(void)state;
}

/* Of three or more, one that something else held back is left out; of two nobody can tell which that is. */
static void test_astray(void **state)
{
	struct dp_learned l;

	unlink(file);
	assert_int_equal(dp_learned_add(file, over(250e6, 100e6, false)), 0);
	assert_int_equal(dp_learned_add(file, over(250e6, 240e6, false)), 0);
	assert_int_equal(load_over("7.2.1", false, 250e6, &l), 0);
	assert_true(l.npath == 2 && fabs(l.got.mid - 0.68) < 1e-12);
	assert_int_equal(dp_learned_add(file, over(250e6, 245e6, false)), 0);
	assert_int_equal(load_over("7.2.1", false, 250e6, &l), 0);
	assert_true(l.npath == 2 && fabs(l.got.mid - 0.97) < 1e-12);
	(void)state;
}

/* What paths gave of what was said of them: of those that are about as fast alone. */
static void test_path(void **state)
{
	/* Half of the 80 % interval of Student's t with 1 and 2 degrees of freedom, by tables. */
	const double s0 = DP_NOMINAL / 1.2816, t1 = 3.078, t2 = 1.886;
	struct dp_learned l;
	double half;

	unlink(file);
	assert_int_equal(dp_learned_add(file, over(250e6, 225e6, false)), 0);
	assert_int_equal(load_over("7.2.1", false, 240e6, &l), 0);
	assert_int_equal(l.npath, 1);
	half = t1 * s0 * sqrt(2);
	assert_true(fabs(l.got.mid - 0.9) < 1e-12 && fabs(l.got.hi - 0.9 - half) < 1e-12);
	assert_true(fabs(0.9 - l.got.lo - half) < 1e-12);
	/* one twice as fast says nothing of it, and the other way round; its socket holds something else */
	assert_int_equal(dp_learned_add(file, over(500e6, 500e6, false)), 0);
	assert_int_equal(load_over("7.2.1", false, 240e6, &l), 0);
	assert_true(l.npath == 1 && l.queue == 5e6);
	assert_int_equal(load_over("7.2.1", false, 1e9, &l), 0);
	assert_true(l.npath == 0 && l.got.mid == 0 && l.queue == 7.5e6);
	assert_int_equal(load_over("7.2.1", false, 0, &l), 0);
	assert_int_equal(l.npath, 0);
	/* two */
	assert_int_equal(dp_learned_add(file, over(250e6, 235e6, false)), 0);
	assert_int_equal(load_over("7.2.1", false, 240e6, &l), 0);
	half = t2 * sqrt((s0 * s0 + 2 * 0.02 * 0.02) / 2 * 1.5);
	assert_true(l.npath == 2 && fabs(l.got.mid - 0.92) < 1e-12 && fabs(l.got.hi - 0.92 - half) < 1e-9);
	/* multifd counts for itself where there is some */
	assert_int_equal(load_over("7.2.1", true, 240e6, &l), 0);
	assert_int_equal(l.npath, 2);
	assert_int_equal(dp_learned_add(file, over(250e6, 200e6, true)), 0);
	assert_int_equal(load_over("7.2.1", true, 240e6, &l), 0);
	assert_true(l.npath == 1 && fabs(l.got.mid - 0.8) < 1e-12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_medians), cmocka_unit_test(test_path),
		cmocka_unit_test(test_astray),	cmocka_unit_test(test_what_teaches_nothing),
		cmocka_unit_test(test_bounded), cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
