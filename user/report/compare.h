/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Two runs side by side: which differences exceed the noise. Pure.
 *
 * Each figure has a 10-90 % band. The difference's band is made of both as if they were independent: its half-width below is the
 * root of the sum of the squares of B's below and A's above, and the other way round. A difference exceeds the noise where 0 lies
 * outside twice that: of normal errors, about one in a hundred does by chance. The noise is that of the measurements: what a guest
 * does differently from one day to another is a difference.
 */
#ifndef DIRTYPROF_REPORT_COMPARE_H
#define DIRTYPROF_REPORT_COMPARE_H

#include "run.h"

#define DP_COMPARE_ROWS 40

enum dp_differs {
	DP_DIFFERS_UNKNOWN, /* one of the two, or its error, is not known */
	DP_DIFFERS_NO,
	DP_DIFFERS_YES,
};
const char *dp_differs_name(enum dp_differs d); /* "unknown", "no", "yes" */

struct dp_difference {
	char name[40];
	const char *unit; /* "bytes", "bytes_per_s", "bits": bytes/s shown as bits, "s", "count", "ratio" */
	struct dp_est a, b;
	struct dp_est diff; /* b - a; NAN where one is never */
	double ratio;	    /* b / a; NAN where that is no number */
	enum dp_differs differs;
};

struct dp_comparison {
	const struct dp_run *a, *b;
	uint32_t n, differ; /* rows; of them, so many that exceed the noise */
	struct dp_difference row[DP_COMPARE_ROWS];
};

/* Fills in all that both runs' last reports know. Both runs have to outlive c. */
void dp_compare(struct dp_comparison *c, const struct dp_run *a, const struct dp_run *b);

/* One difference, from a and b alone. */
void dp_differ(struct dp_difference *d);

/* What a migration, or the prediction, says of a run: "done", or a verdict's name. */
const char *dp_compare_verdict(const struct dp_run *run);

typedef char *(*dp_value_fmt)(char *buf, size_t size, double v);
dp_value_fmt dp_difference_fmt(const struct dp_difference *d);
/* With its sign: "+12.0 MiB". */
char *dp_fmt_signed(char *buf, size_t size, double v, dp_value_fmt fmt);

void dp_text_compare(struct dp_buf *b, const struct dp_comparison *c);
/* One record of type "compare". */
void dp_json_compare(struct dp_buf *b, const struct dp_comparison *c);

#endif
