/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A small trace of a VM that there never was, and room for it; for tests of windows. */
#ifndef TESTS_TRACE_FIXTURE_H
#define TESTS_TRACE_FIXTURE_H

#include "trace_file.h"

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

static inline struct dp_trace_writer *started(void)
{
	struct dp_trace_writer *w = create();

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

#endif
