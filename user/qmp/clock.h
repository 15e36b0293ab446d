/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Deadlines on CLOCK_MONOTONIC, in ns. */
#ifndef DIRTYPROF_QMP_CLOCK_H
#define DIRTYPROF_QMP_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t dp_mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static inline uint64_t dp_deadline_ns(int timeout_ms)
{
	return dp_mono_ns() + (timeout_ms > 0 ? (uint64_t)timeout_ms * 1000000ULL : 0);
}

/*
 * What is left, for poll(): rounded up, so that a wait never ends before its deadline; 0 when it has
 * passed.
 */
static inline int dp_left_ms(uint64_t deadline_ns)
{
	uint64_t now = dp_mono_ns(), ms;

	if (now >= deadline_ns)
		return 0;
	ms = (deadline_ns - now + 999999) / 1000000;
	return ms > 3600000 ? 3600000 : (int)ms;
}

#endif
