// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The time resolution of marks, from how they come. */
#include "model/lag.h"

#include <math.h>

#define QUANTILE 0.9 /* the end of all bands */

void dp_lag_add(struct dp_lag *l, const struct dp_mark_gaps *g)
{
	unsigned int i;

	for (i = 0; i < DP_GAP_BINS; i++) {
		double alone = (double)g->alone[i], batched = (double)g->batched[i];

		l->within[i] += batched + (g->collected ? alone : 0.0);
		l->certain += g->collected ? 0.0 : alone;
		l->marks += batched + alone;
	}
	for (i = 0; i < DP_BATCH_BINS; i++)
		l->batches += (double)g->batches[i];
}

double dp_lag_seconds(const struct dp_lag *l)
{
	double below = l->certain;
	unsigned int i;

	for (i = 0; i < DP_GAP_BINS && below < QUANTILE * l->marks; i++)
		below += l->within[i];
	return i ? ldexp(1e-9, DP_GAP_SHIFT + (int)i - 1) : 0.0;
}

double dp_lag_resolution(const struct dp_lag *l)
{
	return l->marks > 0.0 ? dp_lag_seconds(l) + ldexp(1e-9, DP_STAMP_SHIFT) : NAN;
}

double dp_lag_batch(const struct dp_lag *l)
{
	return l->marks > 0.0 && l->batches > 0.0 ? l->marks / l->batches : NAN;
}
