/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A trace to be spoilt, and what is read of it. */
#ifndef TESTS_HOSTILE_TRACE_H
#define TESTS_HOSTILE_TRACE_H

#include <fcntl.h>
#include <sys/stat.h>

#include "model/layout.h"
#include "trace_file.h"

static struct dp_slot slots[1];
static uint64_t region_pages[1] = { 1 << DP_REGION_SHIFT };

static inline struct dp_vm a_vm(void)
{
	slots[0] = (struct dp_slot){ .ram = true, .npages = region_pages[0], .nregions = 1 };
	return (struct dp_vm){ .pid = 1,
			       .nvcpus = 1,
			       .granule = 4096,
			       .host_page = 4096,
			       .generation = 1,
			       .ram_pages = region_pages[0],
			       .nslots = 1,
			       .slots = slots,
			       .nregions = 1,
			       .region_pages = region_pages };
}

static inline void keep(const void *p, size_t len)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

/* Reads all that can be read. Snapshots; *err and the line for people. */
static inline uint32_t play(int *err, char *msg)
{
	struct dp_trace_event ev;
	struct dp_trace *t;
	uint32_t n = 0;

	msg[0] = '\0';
	*err = dp_trace_open(path, &t, msg, DP_TRACE_MSG);
	if (*err)
		return 0;
	while ((*err = dp_trace_next(t, &ev)) > 0) {
		if (ev.kind != DP_TRACE_SNAPSHOT)
			continue;
		/* as it was written */
		assert_int_equal(ev.snapshot->seq, n);
		assert_int_equal(ev.snapshot->region_new[0], 1000 + n);
		n++;
	}
	if (*err < 0)
		snprintf(msg, DP_TRACE_MSG, "%s", dp_trace_message(t));
	/* it stays so */
	assert_int_equal(dp_trace_next(t, &ev), *err);
	dp_trace_free(t);
	return n;
}

#endif
