// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The table of dirtyprof predict: what a report carries predicts as the curve itself does, and comes back from JSON the same to the
 * last bit.
 */
#include <sys/wait.h>

#include "table_fixture.h"

static void close_est(const char *what, struct dp_est a, struct dp_est b, double share)
{
	const double x[3] = { a.lo, a.mid, a.hi }, y[3] = { b.lo, b.mid, b.hi };
	int i;

	for (i = 0; i < 3; i++)
		if (x[i] != y[i] && !(fabs(x[i] - y[i]) <= share * fmax(x[i], y[i])))
			fail_msg("%s: %.9g and %.9g", what, x[i], y[i]);
}

/* A region's share of all that is dirtied within t. */
static double part_of(const struct dp_curve *c, uint32_t region, double t)
{
	double sum = 0.0;
	uint32_t r;

	for (r = 0; r < SIM_REGIONS; r++)
		sum += dp_curve_region_eval(c, r, t).mid;
	return sum > 0 ? dp_curve_region_eval(c, region, t).mid / sum : 0;
}

/* Between its points the list is the curve within 1/10000; digits and shares add as much again. */
static void points_are_the_curve(void **state)
{
	struct dp_points *p = malloc(sizeof(*p));
	size_t k;

	for (k = 0; k < NSOME; k++) {
		struct dp_curve *c = observe(some[k], 5.0), *again;
		double t;
		uint32_t r;
		int e;

		dp_points_take(c, p);
		assert_null(dp_points_wrong(p));
		assert_int_equal(p->ngroups, SIM_REGIONS);
		again = dp_curve_from_points(p);
		assert_non_null(again);
		for (t = 2e-6; t < 1000.0; t *= 1.37) {
			close_est(some[k]->name, dp_curve_eval(c, DP_4K, t), dp_curve_eval(again, DP_4K, t),
				  2e-3);
		}
		/* The regions' shares, at the times at which a prediction reads them off. */
		for (e = -10; e < 8; e++) {
			for (r = 0; r < SIM_REGIONS; r++) {
				double x = part_of(c, r, ldexp(1, e)), y = part_of(again, r, ldexp(1, e));

				if (fabs(x - y) > 1e-3)
					fail_msg("%s, region %u, 2^%d s: %.4f, %.4f", some[k]->name, r, e, x,
						 y);
			}
		}
		assert_true(fabs(dp_curve_reach(c, DP_4K) - dp_curve_reach(again, DP_4K)) < 1e-5);
		assert_int_equal(dp_curve_fit(again), -EINVAL);
		dp_curve_free(again);
		dp_curve_free(c);
	}
	free(p);
}

/* A table's cell is what dp_predict says of the curve itself. */
static void cells_are_predictions(void **state)
{
	struct dp_prediction *p = malloc(sizeof(*p));
	struct dp_table_report *t = malloc(sizeof(*t));
	const struct dp_basis_vm vm = { .pid = 1 };
	size_t k;

	for (k = 0; k < NSOME; k++) {
		struct dp_curve *c = observe(some[k], 5.0);
		struct dp_report *r = report_of(c);
		uint32_t i, j;

		memset(t, 0, sizeof(*t));
		r->basis.cap = 60 * MB;
		assert_int_equal(dp_table_fill(&r->basis, &vm, t), 0);
		assert_int_equal(t->nbandwidths, 6);
		assert_int_equal(t->nlimits, 4);
		for (i = 0; i < t->nbandwidths; i++) {
			for (j = 0; j < t->nlimits; j++) {
				double b = t->bandwidth[i], cap = 60 * MB;
				struct dp_link link = { dp_nominal(b), dp_nominal(b), 0 };
				struct dp_plan plan = r->basis.plan;

				/* a cap is kept to, a path is what somebody says that it is */
				if (cap < b)
					link.rounds = (struct dp_est){ fmin(0.98 * b, cap), cap, cap };
				plan.limit = t->limit[j];
				assert_int_equal(dp_predict(c, &link, &plan, p), 0);
				if (p->verdict != t->cell[i][j].verdict)
					fail_msg("%s, %g, %g: %s, not %s", some[k]->name, b, plan.limit,
						 dp_verdict_name(t->cell[i][j].verdict),
						 dp_verdict_name(p->verdict));
				if (p->verdict != DP_CONVERGES)
					continue;
				close_est(some[k]->name, t->cell[i][j].total, p->total, 0.01);
				close_est(some[k]->name, t->cell[i][j].downtime, p->downtime, 0.01);
			}
		}
		free(r);
		dp_curve_free(c);
	}
	free(t);
	free(p);
}

static int validate(const struct dp_buf *b)
{
	FILE *f = popen("timeout 120 /usr/bin/python3 tests/unit/validate.py docs/schema.json >&2", "w");
	int status;

	assert_non_null(f);
	fwrite(b->data, 1, b->len, f);
	status = pclose(f);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* From the report itself and from its JSON: the same numbers, to the last bit. */
static void json_loses_nothing(void **state)
{
	static struct dp_basis back;
	static struct dp_table_report a, b;
	size_t k;

	for (k = 0; k < NSOME; k++) {
		struct dp_curve *c = observe(some[k], 5.0);
		struct dp_report *r = report_of(c);
		struct dp_buf json = { 0 }, one = { 0 }, two = { 0 };
		struct dp_basis_vm vm;
		char msg[160];
		int status;

		r->basis.cap = k ? 134217728.0 / 3 : NAN;
		r->basis.switchover = k > 1 ? 1e9 / 7 : NAN;
		r->basis.plan.zero_scan_bps = k ? 0 : 2e9 / 3;
		dp_json_final(&json, r);
		assert_false(json.failed);
		assert_int_equal(dp_basis_parse(json.data, json.len, &back, &vm, msg, sizeof(msg)), 0);
		assert_string_equal(vm.name, "web \303\244");
		assert_int_equal(vm.pid, 4711);
		assert_int_equal(vm.ram, SIM_PAGES * 4096ull);
		assert_int_equal(back.assumed, r->basis.assumed);
		assert_memory_equal(&back.curve, &r->basis.curve, sizeof(back.curve));
		memset(&a, 0, sizeof(a));
		memset(&b, 0, sizeof(b));
		assert_int_equal(dp_table_fill(&r->basis, &vm, &a), 0);
		assert_int_equal(dp_table_fill(&back, &vm, &b), 0);
		dp_json_table(&one, &a);
		dp_json_table(&two, &b);
		/* the schema; 127, 77: there is nothing to check it with */
		dp_buf_append(&json, one.data, one.len);
		status = validate(&json);
		if (status == 127 || status == 77)
			print_message("[  SKIPPED ] the schema: python3-jsonschema is not installed\n");
		else
			assert_int_equal(status, 0);
		assert_string_equal(one.data, two.data);
		dp_buf_free(&json);
		dp_buf_free(&one);
		dp_buf_free(&two);
		free(r);
		dp_curve_free(c);
	}
}

/* Links: a cap holds down the rounds of faster paths and nothing else. */
static void links(void **state)
{
	struct dp_basis b = { .cap = 50, .switchover = NAN, .exit_bps = NAN };
	struct dp_link l;

	dp_basis_link(&b, 40, false, &l);
	assert_true(l.rounds.mid == 40 && l.switchover.mid == 40 && l.exit_bps == 0);
	dp_basis_link(&b, 80, false, &l);
	assert_true(l.rounds.mid == 50 && l.rounds.hi == 50 && l.switchover.mid == 80);
	dp_basis_link(&b, 80, true, &l);
	assert_true(l.rounds.mid == 80 && l.switchover.mid == 80);
	b.cap = NAN;
	b.switchover = 10;
	b.exit_bps = 20;
	dp_basis_link(&b, 80, false, &l);
	assert_true(l.rounds.mid == 80 && l.switchover.mid == 10 && l.exit_bps == 20);
}

/* Four cells alike after the bandwidth. */
static void row(const char *line, const char *cell)
{
	char expect[128];

	snprintf(expect, sizeof(expect), "%.11s %16s %16s %16s %16s", line, cell, cell, cell, cell);
	assert_string_equal(line, expect);
}

/* Made by hand, with every kind of cell and as many columns as there can be. */
static void text(void **state)
{
	struct dp_table_report *t = calloc(1, sizeof(*t));
	const double inf = HUGE_VAL;
	struct dp_buf b = { 0 };
	char *line, *save;
	uint32_t i;

	strcpy(t->vm.name, "a name of a VM that is as long as such a name can be, in all 63");
	t->vm.pid = 4194304;
	t->vm.ram = 1ull << 44;
	t->vm.logged = 15;
	t->reach = 4;
	t->fixed = 0.02;
	t->cap = 134217728;
	t->assumed = DP_ASSUMED_FIXED | DP_ASSUMED_EXIT;
	t->nbandwidths = t->nlimits = DP_TABLE_MAX;
	for (i = 0; i < DP_TABLE_MAX; i++) {
		t->bandwidth[i] = 12.48e6 * (i + 1) * 1000;
		t->limit[i] = 0.111 * (i + 1);
		t->cell[0][i] =
			(struct dp_cell){ DP_CONVERGES, { 1, 1.26, 2 }, { 0.1, 0.1024, 0.2 }, { 1, 2, 3 } };
		t->cell[1][i] =
			(struct dp_cell){ DP_NEVER, { inf, inf, inf }, { inf, inf, inf }, { inf, inf, inf } };
		t->cell[2][i] =
			(struct dp_cell){ DP_BORDERLINE, { 1, inf, inf }, { 1, inf, inf }, { 1, inf, inf } };
		t->cell[3][i] = (struct dp_cell){
			DP_BORDERLINE, { 9, 999.4 * 60, 1 }, { 1, 0.9994, 1 }, { 1, 1, 1 }
		};
	}
	dp_text_table(&b, t);
	assert_non_null(strstr(b.data, "99.8 Gb/s      1.26 s 102 ms"));
	assert_non_null(strstr(b.data, "max-bandwidth is 1.07 Gb/s"));
	assert_non_null(strstr(b.data, "20.0 ms (assumed)"));
	assert_int_equal(dp_table_exit_status(t), 0);
	for (line = strtok_r(b.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strlen(line) > DP_TEXT_WIDTH)
			fail_msg("%zu columns: %s", strlen(line), line);
		if (!strncmp(line, "200 Gb/s", 8))
			row(line, "-");
		if (!strncmp(line, "300 Gb/s", 8))
			row(line, "?");
		if (!strncmp(line, "399 Gb/s", 8))
			row(line, "? 16.7 h 999 ms");
	}
	t->nbandwidths = 2;
	for (i = 0; i < DP_TABLE_MAX; i++)
		t->cell[0][i] = t->cell[1][i];
	assert_int_equal(dp_table_exit_status(t), 2);
	dp_buf_free(&b);
	free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(points_are_the_curve),
		cmocka_unit_test(cells_are_predictions),
		cmocka_unit_test(json_loses_nothing),
		cmocka_unit_test(links),
		cmocka_unit_test(text),
	};

	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
