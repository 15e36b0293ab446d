// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* How busy vCPUs are: threads of this process that bear their names, against those threads' own CPU clocks. */
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "vm/busy.h"

static volatile int stop, named;

static double clock_s(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void *thread(void *name)
{
	const char *s = name;
	double t;

	prctl(PR_SET_NAME, s);
	__sync_fetch_and_add(&named, 1);
	while (!stop) {
		/* CPU 0 runs half of the time, CPU 1 next to never, and what is no vCPU always */
		if (s[4] != '2')
			usleep(2000);
		for (t = clock_s(CLOCK_MONOTONIC); s[4] == '0' && clock_s(CLOCK_MONOTONIC) < t + 0.002;)
			;
	}
	return NULL;
}

static void test_threads(void **state)
{
	static char name[3][16] = { "CPU 0/KVM", "CPU 1/KVM", "CPU 2/TCG" };
	double tick = 1.0 / (double)sysconf(_SC_CLK_TCK), from, passed, slack, said;
	double before[2], after[2]; /* the first one's clock, before and after each look */
	struct dp_busy b = { 0 };
	struct dp_proc p = { .pid = getpid() };
	pthread_t t[3];
	clockid_t cpu;
	int i;

	p.dirfd = open("/proc/self", O_RDONLY | O_DIRECTORY);
	assert_true(p.dirfd >= 0);
	/* nobody is called so */
	assert_true(dp_busy_since(&b, &p, 1) == 0);
	assert_true(dp_busy_since(&b, &p, 1000000000) == 0);
	for (i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&t[i], NULL, thread, name[i]), 0);
	assert_int_equal(pthread_getcpuclockid(t[0], &cpu), 0);
	while (named < 3)
		usleep(1000);
	from = clock_s(CLOCK_MONOTONIC);
	before[0] = clock_s(cpu);
	/* known from here on */
	assert_true(dp_busy_since(&b, &p, (uint64_t)(from * 1e9)) == 0);
	after[0] = clock_s(cpu);
	usleep(1000000);
	passed = clock_s(CLOCK_MONOTONIC) - from;
	before[1] = clock_s(cpu);
	said = dp_busy_since(&b, &p, (uint64_t)((from + passed) * 1e9));
	after[1] = clock_s(cpu);
	stop = 1;
	for (i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	close(p.dirfd);
	/* to the ticks that /proc counts in, and what the sleeper takes of the mean */
	slack = 4 * tick / passed + 0.05;
	if (said < fmin(1, (before[1] - after[0]) / passed) - slack ||
	    said > fmin(1, (after[1] - before[0]) / passed) + slack)
		fail_msg("%.3f, and its clock says %.3f to %.3f", said, (before[1] - after[0]) / passed,
			 (after[1] - before[0]) / passed);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_threads) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
