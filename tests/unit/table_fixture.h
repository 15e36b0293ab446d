/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reports that tables are made from. */
#ifndef TESTS_TABLE_FIXTURE_H
#define TESTS_TABLE_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "dirtyprof/report.h"
#include "guest_cases.h"

/* Uniform, two tiers, a rewrite: the last two are unevenly spread over the regions. */
static const struct guest_case *const some[] = { &guests[1], &guests[2], &guests[4] };
#define NSOME (sizeof(some) / sizeof(some[0]))

/* A report of a guest of SIM_PAGES, with all that a table needs. */
static inline struct dp_report *report_of(const struct dp_curve *c)
{
	struct dp_report *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->kind = DP_REPORT_FINAL;
	r->wall_us = 1234567;
	r->t = 7.25;
	r->logged = 5.0;
	r->vm.pid = 4711;
	r->vm.ram = SIM_PAGES * 4096ull;
	strcpy(r->vm.name, "web \303\244");
	strcpy(r->vm.qemu_version, "7.2.22");
	r->basis = (struct dp_basis){ .known = true, .assumed = DP_ASSUMED_FIXED | DP_ASSUMED_SCAN };
	r->basis.plan = (struct dp_plan){ .pages = SIM_PAGES,
					  .zero_pages = 1000.0 / 3,
					  .wire_page = W,
					  .limit = 0.3,
					  .fixed = 0.02,
					  .setup = 0.01,
					  .clear_pages = 16384,
					  .exit_test = DP_EXIT_9 };
	r->basis.path = 100 * MB;
	r->basis.cap = r->basis.switchover = r->basis.exit_bps = NAN;
	dp_points_take(c, &r->basis.curve);
	return r;
}

#endif
