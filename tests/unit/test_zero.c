// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Zero pages, sampled in this process's own memory, of which it is known what is where. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "vm/zero.h"

#define PAGE 4096u
#define SIZE (64u << 20)

static unsigned char *memory(void)
{
	unsigned char *m = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(m != MAP_FAILED);
	madvise(m, SIZE, MADV_NOHUGEPAGE);
	return m;
}

/* The first quarter used, the second written with zeros, the rest never touched: each of 64 parts is all one or the other. */
static void test_parts(void **state)
{
	unsigned char *m = memory();
	struct dp_range r[2] = { { (uintptr_t)m, SIZE / 8 }, { (uintptr_t)m + SIZE / 8, SIZE - SIZE / 8 } };
	struct dp_zero z;
	int i;

	for (i = 0; i < (int)(SIZE / PAGE / 2); i++)
		m[(size_t)i * PAGE + 4095] = i < (int)(SIZE / PAGE / 4);
	dp_zero_sample(getpid(), r, 2, 7, &z);
	assert_true(fabs(z.share - 0.75) < 1e-9);
	assert_true(fabs(z.unmapped - 2.0 / 3) < 1e-9);
	for (i = 0; i < DP_ZERO_BINS; i++)
		assert_true(z.at[i] == (i >= DP_ZERO_BINS / 4));
	/* looking allocates nothing */
	dp_zero_sample(getpid(), r, 2, 8, &z);
	assert_true(fabs(z.unmapped - 2.0 / 3) < 1e-9);
	munmap(m, SIZE);
	(void)state;
}

/* One page in four is used, wherever one looks. */
static void test_spread(void **state)
{
	unsigned char *m = memory();
	struct dp_range r = { (uintptr_t)m, SIZE };
	struct dp_zero z;
	double sum = 0;
	size_t i;

	for (i = 0; i < SIZE; i += 4 * PAGE)
		m[i] = 1;
	dp_zero_sample(getpid(), &r, 1, 7, &z);
	/* four standard errors */
	assert_true(fabs(z.share - 0.75) < 4 * sqrt(0.75 * 0.25 / DP_ZERO_SAMPLES));
	for (i = 0; i < DP_ZERO_BINS; i++)
		sum += z.at[i] / DP_ZERO_BINS;
	assert_true(fabs(sum - z.share) < 1e-9);
	munmap(m, SIZE);
	(void)state;
}

static void test_nothing(void **state)
{
	struct dp_range gone = { 4096, SIZE };
	struct dp_zero z;

	dp_zero_sample(getpid(), NULL, 0, 7, &z);
	assert_true(z.share < 0);
	/* no such process */
	dp_zero_sample(0x3fffffff, &gone, 1, 7, &z);
	assert_true(z.share < 0);
	(void)state;
}

/* Memory that is not there takes a fault on top of the reading. */
static void test_speed(void **state)
{
	double mapped = dp_zero_speed(0), fresh = dp_zero_speed(1), half = dp_zero_speed(0.5);

	assert_true(mapped > 0 && fresh > 0);
	assert_true(fabs(1 / half - (1 / mapped + 1 / fresh) / 2) < 1e-6 / half);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_spread),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_speed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
