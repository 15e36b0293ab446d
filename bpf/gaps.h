/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which of a thread's marks came at once, and how long after the ones before: plain C, so that a test can feed it. */
#ifndef DIRTYPROF_GAPS_H
#define DIRTYPROF_GAPS_H

#include "shared.h"

/*
 * Two marks with less than this from the end of the one to the beginning of the other had no VM exit between them: an exit,
 * KVM's handling of a fault and the way back take longer.
 */
#define DP_BATCH_GAP_NS 1000u

static inline __u32 dp_gap_bin(__u64 ns)
{
	__u32 bin = ns >> DP_GAP_SHIFT ? dp_log2(ns >> DP_GAP_SHIFT) + 1 : 0;

	return bin < DP_GAP_BINS ? bin : DP_GAP_BINS - 1;
}

/*
 * A mark of thread `tid` at `now` tells of a write since the thread's previous batch of marks, as whatever was written before
 * that came with it; nor can it have been before logging began (`started`). That is so where the processor collects
 * writes. Where each one faults, marks come alone and at once. Which of the two it is, user space tells from all of them.
 * The caller sets end_ns when it is done with the mark. All times: CLOCK_MONOTONIC, ns.
 */
static inline void dp_gap_note(struct dp_mark_thread *t, __u32 tid, __u64 now, __u64 started)
{
	__u64 since = now > t->from_ns ? now - t->from_ns : 0;

	if (t->tid == tid && t->marks && t->marks < DP_BATCH_MARKS && now < t->end_ns + DP_BATCH_GAP_NS) {
		if (t->marks == 1)
			t->batched[t->bin & (DP_GAP_BINS - 1)]++;
		t->batched[dp_gap_bin(since) & (DP_GAP_BINS - 1)]++;
		t->marks++;
		return;
	}
	if (t->marks == 1)
		t->alone[t->bin & (DP_GAP_BINS - 1)]++;
	if (t->marks)
		t->batches[dp_log2(t->marks) & (DP_BATCH_BINS - 1)]++;
	t->from_ns = t->tid == tid && t->end_ns > started ? t->end_ns : started;
	t->bin = dp_gap_bin(now > t->from_ns ? now - t->from_ns : 0);
	t->tid = tid;
	t->marks = 1;
}

#endif
