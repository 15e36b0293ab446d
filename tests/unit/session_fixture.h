/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A session of a VM of 64 MiB, and what is added to it. */
#ifndef TESTS_SESSION_FIXTURE_H
#define TESTS_SESSION_FIXTURE_H

#include "report_fixture.h"
#include "model/session_int.h"

#define close_to(a, b) assert_true(fabs((a) - (b)) <= 1e-9 * fmax(1, fabs((double)(b))))

static inline struct dp_session *session(struct fx *f, struct dp_session_opts o)
{
	struct dp_session *s = dp_session_new(&o);

	assert_non_null(s);
	fx_init(f);
	assert_non_null(dp_session_start(s, &f->vm, DP_SRC_HARVEST, false));
	return s;
}

static inline const struct dp_report *add(struct dp_session *s, struct fx *f)
{
	assert_int_equal(dp_session_add(s, &f->s), 0);
	return dp_session_line(s);
}

/* One second of migration. */
static inline const struct dp_report *send(struct dp_session *s, struct fx *f, double bytes, double delivery,
					   double busy_s, double busy_bps)
{
	fx_log(fx_next(f, SEC, DP_TIMER));
	fx_send(f, (uint64_t)bytes, delivery, (uint64_t)(busy_s * 1e9), (uint64_t)(busy_s * busy_bps));
	return add(s, f);
}

#endif
