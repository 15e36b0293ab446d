/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A trace's file, for one test after the other. */
#ifndef TESTS_TRACE_FILE_H
#define TESTS_TRACE_FILE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

#include "trace/format.h"
#include "trace/trace.h"

#define SEC 1000000000ull

static char dir[] = "/tmp/dirtyprof-trace.XXXXXX";
static char path[64];

static const struct dp_trace_start begin = { .source = DP_SRC_HARVEST, .logging = true };
static const struct dp_session_opts opts = { .bandwidth = 125e6, .interval = 1 };

static inline struct dp_trace_writer *create(void)
{
	struct dp_trace_writer *w;
	char msg[DP_TRACE_MSG];

	unlink(path);
	assert_int_equal(dp_trace_create(path, false, &w, msg, sizeof(msg)), 0);
	return w;
}

/* All tests, within 1 GiB of address space and 100 s. */
static inline int run_within(const char *name, const struct CMUnitTest *tests, size_t n)
{
	const struct rlimit room = { 1ul << 30, 1ul << 30 };
	int failed;

	if (setrlimit(RLIMIT_AS, &room) || !mkdtemp(dir))
		return 1;
	alarm(100);
	snprintf(path, sizeof(path), "%s/trace", dir);
	failed = _cmocka_run_group_tests(name, tests, n, NULL, NULL);
	unlink(path);
	rmdir(dir);
	return failed;
}

#endif
