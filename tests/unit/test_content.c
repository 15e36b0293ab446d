// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Reading contents, of this process itself: what is there, what is not, and that nothing is made by looking at it. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "model/pagehash.h"
#include "vm/content.h"

#define PAGES 300 /* more than are read at once */

struct area {
	unsigned char *p;
	size_t page; /* the host's */
	uint64_t hva[PAGES], hash[PAGES];
	struct dp_content *c;
};

static int set_up(void **state)
{
	struct area *a = calloc(1, sizeof(*a));
	size_t i;

	if (!a)
		return -1;
	a->page = (size_t)sysconf(_SC_PAGESIZE);
	a->p = mmap(NULL, PAGES * DP_WIRE_UNIT + a->page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	if (a->p == MAP_FAILED || dp_content_open(getpid(), &a->c))
		return -1;
	/* a hugepage would bring pages that nobody touched */
	madvise(a->p, PAGES * DP_WIRE_UNIT, MADV_NOHUGEPAGE);
	for (i = 0; i < PAGES; i++)
		a->hva[i] = (uintptr_t)a->p + i * DP_WIRE_UNIT;
	*state = a;
	return 0;
}

static int tear_down(void **state)
{
	struct area *a = *state;

	dp_content_close(a->c);
	munmap(a->p, PAGES * DP_WIRE_UNIT + a->page);
	free(a);
	return 0;
}

static uint64_t look(struct area *a)
{
	uint64_t bytes = 0;

	assert_int_equal(dp_content_hash(a->c, a->hva, PAGES, a->hash, &bytes), 0);
	return bytes;
}

static size_t resident(const struct area *a)
{
	size_t n = (PAGES * DP_WIRE_UNIT + a->page - 1) / a->page, i, sum = 0;
	unsigned char *v = malloc(n);

	assert_non_null(v);
	assert_int_equal(mincore(a->p, PAGES * DP_WIRE_UNIT, v), 0);
	for (i = 0; i < n; i++)
		sum += v[i] & 1;
	free(v);
	return sum;
}

static void changes_are_seen(void **state)
{
	struct area *a = *state;
	uint64_t before[PAGES];
	size_t i;

	memset(a->p, 7, PAGES * DP_WIRE_UNIT);
	assert_int_equal(look(a), PAGES * DP_WIRE_UNIT);
	memcpy(before, a->hash, sizeof(before));
	for (i = 0; i < PAGES; i += 3)
		a->p[i * DP_WIRE_UNIT + i * 13 % DP_WIRE_UNIT] ^= 1;
	look(a);
	for (i = 0; i < PAGES; i++)
		assert_int_equal(a->hash[i] != before[i], i % 3 == 0);
	/* and back */
	for (i = 0; i < PAGES; i += 3)
		a->p[i * DP_WIRE_UNIT + i * 13 % DP_WIRE_UNIT] ^= 1;
	look(a);
	assert_memory_equal(a->hash, before, sizeof(before));
}

static void nothing_is_allocated(void **state)
{
	struct area *a = *state;
	size_t i, per = a->page / DP_WIRE_UNIT, touched = 0;
	uint64_t zero;

	assert_int_equal(resident(a), 0);
	assert_int_equal(look(a), 0);
	assert_int_equal(resident(a), 0);
	zero = a->hash[0];
	for (i = 0; i < PAGES; i++)
		assert_true(a->hash[i] == zero && zero != DP_HASH_UNKNOWN);
	for (i = 0; i + 2 * per <= PAGES; i += 2 * per, touched++)
		a->p[i * DP_WIRE_UNIT] = i % 4 ? 0 : 1;
	assert_int_equal(look(a), touched * a->page);
	assert_int_equal(resident(a), touched);
	/* all zeroes, touched or not, are the same */
	for (i = 0; i < PAGES; i++)
		assert_int_equal(a->hash[i] == zero, !a->p[i * DP_WIRE_UNIT]);
}

static void holes_and_faults(void **state)
{
	struct area *a = *state;
	size_t i, per = a->page / DP_WIRE_UNIT;

	memset(a->p, 9, PAGES * DP_WIRE_UNIT);
	look(a);
	/* no such page; and pages that are there, but may not be read */
	a->hva[5] = a->hva[70] = 0;
	mprotect(a->p + 16 * per * DP_WIRE_UNIT, a->page, PROT_NONE);
	look(a);
	for (i = 0; i < PAGES; i++) {
		int gone = i == 5 || i == 70 || (i >= 16 * per && i < 17 * per);

		assert_int_equal(a->hash[i] == DP_HASH_UNKNOWN, gone);
	}
	mprotect(a->p + 16 * per * DP_WIRE_UNIT, a->page, PROT_READ | PROT_WRITE);
	a->hva[5] = (uintptr_t)a->p + 5 * DP_WIRE_UNIT;
	a->hva[70] = (uintptr_t)a->p + 70 * DP_WIRE_UNIT;
}

static void gone_processes(void **state)
{
	struct area *a = *state;
	struct dp_content *c;
	uint64_t bytes = 0;
	pid_t pid = fork();
	int err;

	if (!pid) {
		pause();
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(dp_content_open(pid, &c), 0);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	err = dp_content_hash(c, a->hva, PAGES, a->hash, &bytes);
	assert_int_equal(err, -ESRCH);
	dp_content_close(c);
	assert_int_equal(dp_content_open(pid, &c), -ESRCH);
	assert_null(c);
	dp_content_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(changes_are_seen, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nothing_is_allocated, set_up, tear_down),
		cmocka_unit_test_setup_teardown(holes_and_faults, set_up, tear_down),
		cmocka_unit_test_setup_teardown(gone_processes, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
