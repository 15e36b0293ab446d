// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "vm/busy.h"

#include <stdlib.h>

/* Threads of the last look and of this one, both by ascending tid: what each of both ran in between. */
static void add_up(const struct dp_busy *was, const struct dp_busy *is, double *sum, double *squares)
{
	uint32_t i, k = 0;

	for (i = 0; i < is->n; i++) {
		double ran;

		while (k < was->n && was->vcpu[k].tid < is->vcpu[i].tid)
			k++;
		if (k == was->n || was->vcpu[k].tid != is->vcpu[i].tid ||
		    is->vcpu[i].run_ns <= was->vcpu[k].run_ns)
			continue;
		ran = (double)(is->vcpu[i].run_ns - was->vcpu[k].run_ns);
		*sum += ran;
		*squares += ran * ran;
	}
}

double dp_busy_since(struct dp_busy *b, const struct dp_proc *p, uint64_t now_ns)
{
	struct dp_busy now = { .at_ns = now_ns };
	struct dp_thread *threads;
	double passed = (double)(now_ns - b->at_ns), sum = 0, squares = 0;
	size_t n, i;

	if (dp_proc_threads(p, &threads, &n))
		return 0;
	for (i = 0; i < n && now.n < DP_BUSY_VCPUS; i++) {
		if (threads[i].kind != DP_THREAD_VCPU)
			continue;
		now.vcpu[now.n].tid = threads[i].tid;
		now.vcpu[now.n++].run_ns = threads[i].utime_ns + threads[i].stime_ns;
	}
	free(threads);
	add_up(b, &now, &sum, &squares);
	*b = now;
	if (!(sum > 0) || !(passed > 0))
		return 0;
	return squares / sum < passed ? squares / sum / passed : 1;
}
