/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A small trace of a VM that there never was, and room for it; for tests of windows. */
#ifndef TESTS_TRACE_FIXTURE_H
#define TESTS_TRACE_FIXTURE_H

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

static char dir[] = "/tmp/dirtyprof-windows.XXXXXX";
static char path[64];

static struct dp_slot slots[1] = { { .ram = true, .npages = 3 << DP_REGION_SHIFT, .nregions = 3 } };
static uint64_t region_pages[3] = { 1 << DP_REGION_SHIFT, 1 << DP_REGION_SHIFT, 1 << DP_REGION_SHIFT };
static const struct dp_vm vm = { .pid = 1,
				 .nvcpus = 1,
				 .granule = 4096,
				 .host_page = 4096,
				 .generation = 1,
				 .ram_pages = 3 << DP_REGION_SHIFT,
				 .nslots = 1,
				 .slots = slots,
				 .nregions = 3,
				 .region_pages = region_pages };
static const struct dp_trace_start begin = { .source = DP_SRC_HARVEST, .logging = true };
static const struct dp_session_opts opts = { .bandwidth = 125e6, .interval = 1 };

static inline struct dp_trace_writer *create(void)
{
	struct dp_trace_writer *w;
	char msg[DP_TRACE_MSG];

	unlink(path);
	assert_int_equal(dp_trace_create(path, false, &w, msg, sizeof(msg)), 0);
	assert_int_equal(dp_trace_put_start(w, &begin, &opts, &vm), 0);
	return w;
}

static inline struct dp_snapshot snapshot(uint32_t i, const struct dp_window *w, uint32_t n)
{
	return (struct dp_snapshot){ .seq = i,
				     .t0_ns = i * SEC,
				     .t1_ns = (i + 1) * SEC,
				     .source = DP_SRC_HARVEST,
				     .logging = true,
				     .vm = &vm,
				     .nwindows = n,
				     .windows = w,
				     .zero_share = -1 };
}

static inline struct dp_trace *open_it(void)
{
	struct dp_trace *t;
	char msg[DP_TRACE_MSG];

	if (dp_trace_open(path, &t, msg, sizeof(msg)))
		fail_msg("%s", msg);
	return t;
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
