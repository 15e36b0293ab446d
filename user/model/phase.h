/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A guest's pace from window to window, each against what the curve of them all has for it: how much it changes, how long it
 * keeps to one, and whether it has just changed for good.
 */
#ifndef DIRTYPROF_MODEL_PHASE_H
#define DIRTYPROF_MODEL_PHASE_H

#include "dirtyprof/curve.h"

#define DP_PHASE_SAMPLES 32

/* So many pages were first written in a window from `from` to `to` after they were re-armed, s. */
struct dp_phase_sample {
	double pages, from, to;
};

struct dp_phase {
	struct dp_phase_sample s[DP_PHASE_SAMPLES];
	uint32_t n, next;
	/* dirtyprof's last look at the log: pages, mean time since they were re-armed (s), and the sum of the armings' numbers */
	double looked_dirty, looked_at, looked_armings;
};

void dp_phase_add(struct dp_phase *p, double pages, double from, double to);

/* What the last look of a snapshot has more than that of the one before (harvest). False: it has no look. */
bool dp_phase_look(struct dp_phase *p, const struct dp_snapshot *snap);

/*
 * How much the pace differs between windows, as a share (standard deviation); *lasting: how long it keeps to one side of its mean,
 * s. 0: hardly.
 */
double dp_phase_spread(const struct dp_phase *p, const struct dp_curve *c, double *lasting);

/* true: the latest windows differ strongly from the earlier ones. Pages a second, both for windows as the last one. */
bool dp_phase_changed(const struct dp_phase *p, const struct dp_curve *c, double *earlier, double *recent);

#endif
