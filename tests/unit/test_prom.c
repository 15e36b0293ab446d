// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The Prometheus form, and that text, JSON and Prometheus carry the same numbers. */
#include <json-c/json.h>

#include "report_fixture.h"
#include "report/text_int.h"

/* The value of a sample, e.g. name "dirtyprof_ram_bytes", label `size="4K"` or NULL; NAN if there is none. */
static double prom_value(const char *text, const char *name, int pid, const char *label)
{
	char start[128];
	const char *p;

	snprintf(start, sizeof(start), "%s{pid=\"%d\",", name, pid);
	for (p = text; *p; p += strcspn(p, "\n") + 1) {
		const char *end = p + strcspn(p, "\n"), *l = label ? strstr(p, label) : p;
		const char *value = memrchr(p, ' ', (size_t)(end - p));

		if (!strncmp(p, start, strlen(start)) && l && l < end && value)
			return strtod(value, NULL);
	}
	return NAN;
}

static void one(struct dp_buf *b, const struct dp_report *r)
{
	const struct dp_report *list[] = { r };

	dp_buf_reset(b);
	dp_prom(b, list, 1);
	assert_false(b->failed);
}

static void samples(void **state)
{
	struct dp_buf b = { 0 };
	struct dp_report r;

	fx_report(&r);
	one(&b, &r);
	assert_true(prom_value(b.data, "dirtyprof_up", 4242, NULL) == 1);
	assert_true(prom_value(b.data, "dirtyprof_ram_bytes", 4242, NULL) == 536870912);
	assert_true(prom_value(b.data, "dirtyprof_last_update_timestamp_seconds", 4242, NULL) ==
		    1700000012.5);
	assert_true(prom_value(b.data, "dirtyprof_lost_events_total", 4242, NULL) == 7);
	assert_true(prom_value(b.data, "dirtyprof_verdict", 4242, "verdict=\"never\"") == 1);
	assert_true(prom_value(b.data, "dirtyprof_verdict", 4242, "verdict=\"converges\"") == 0);
	assert_true(prom_value(b.data, "dirtyprof_dirty_blocks_total", 4242, "size=\"64K\"") == 12672);
	/* never, and unknown, have no sample, and a family without samples is not announced */
	assert_null(strstr(b.data, "dirtyprof_predicted_downtime_seconds"));
	assert_null(strstr(b.data, "dirtyprof_migration_rounds"));
	assert_null(strstr(b.data, "NaN"));
	assert_null(strstr(b.data, "Inf"));
	assert_null(strstr(b.data, "nan"));
	fx_check_with(FX_PROMTOOL, &b);
	dp_buf_free(&b);
}

static void several_vms(void **state)
{
	struct dp_buf b = { 0 };
	struct dp_report r[2];
	const struct dp_report *list[] = { &r[0], &r[1] };
	const char *help;

	fx_report(&r[0]);
	fx_report(&r[1]);
	r[1].vm.pid = 99;
	strcpy(r[1].vm.name, "a\"b\\c");
	r[1].limit = 0.5;
	dp_prom(&b, list, 2);
	assert_true(prom_value(b.data, "dirtyprof_downtime_limit_seconds", 4242, NULL) == 0.3);
	assert_true(prom_value(b.data, "dirtyprof_downtime_limit_seconds", 99, NULL) == 0.5);
	assert_non_null(strstr(b.data, "name=\"a\\\"b\\\\c\""));
	help = strstr(b.data, "# HELP dirtyprof_up ");
	assert_non_null(help);
	assert_null(strstr(help + 1, "# HELP dirtyprof_up "));
	fx_check_with(FX_PROMTOOL, &b);

	dp_buf_reset(&b);
	dp_prom_stale(&b, list, 2);
	assert_true(prom_value(b.data, "dirtyprof_up", 99, NULL) == 0);
	assert_true(prom_value(b.data, "dirtyprof_last_update_timestamp_seconds", 99, NULL) == 1700000012.5);
	assert_null(strstr(b.data, "dirtyprof_ram_bytes"));
	fx_check_with(FX_PROMTOOL, &b);
	dp_buf_free(&b);
}

/* The lint must be able to fail: a counter without _total. */
static void promtool_works(void **state)
{
	static const char bad[] = "# HELP dirtyprof_x X.\n# TYPE dirtyprof_x counter\ndirtyprof_x 1\n";
	int rc = fx_pipe(FX_PROMTOOL " >/dev/null", bad, sizeof(bad) - 1);

	if (rc == -1)
		skip();
	assert_int_not_equal(rc, 0);
}

static double json_value(struct json_object *o, const char *path)
{
	char part[64];

	while (o && *path) {
		size_t n = strcspn(path, "/");

		snprintf(part, sizeof(part), "%.*s", (int)n, path);
		if (json_object_is_type(o, json_type_array))
			o = json_object_array_get_idx(o, (size_t)atoi(part));
		else if (!json_object_object_get_ex(o, part, &o))
			fail_msg("no %s in the JSON", part);
		path += n + (path[n] == '/');
	}
	return o ? json_object_get_double(o) : NAN;
}

/* One number in three forms: in the text it stands on the line that begins with `line`. */
struct same {
	const char *json, *prom, *label, *line;
	dp_fmt_fn fmt;
};

static const struct same same[] = {
	{ "vm/ram_bytes", "dirtyprof_ram_bytes", NULL, "VM: PID", dp_fmt_bytes },
	{ "vm/granule_bytes", "dirtyprof_tracking_granule_bytes", NULL, NULL, NULL },
	{ "seen_bytes", "dirtyprof_distinct_dirty_bytes", NULL, "Seen:", dp_fmt_bytes },
	{ "new_blocks/2M", "dirtyprof_dirty_blocks_total", "size=\"2M\"", NULL, NULL },
	{ "dirty_rate_bytes_per_s/4K/mid", "dirtyprof_dirty_rate_bytes_per_second", "size=\"4K\"",
	  " a second", dp_fmt_bytes },
	{ "dirty_rate_bytes_per_s/4K/lo", "dirtyprof_dirty_rate_p10_bytes_per_second", "size=\"4K\"",
	  " a second", dp_fmt_bytes },
	{ "dirty_rate_bytes_per_s/4K/hi", "dirtyprof_dirty_rate_p90_bytes_per_second", "size=\"4K\"",
	  " a second", dp_fmt_bytes },
	{ "dirty_rate_bytes_per_s/16M/mid", "dirtyprof_dirty_rate_bytes_per_second", "size=\"16M\"",
	  " a second", dp_fmt_bytes },
	{ "dirtied_in_1s_bytes/2M/mid", "dirtyprof_dirtied_in_one_second_bytes", "size=\"2M\"", "   1.00 s",
	  dp_fmt_bytes },
	{ "curve/2M/mid_bytes/24", "dirtyprof_dirtied_in_one_second_bytes", "size=\"2M\"", "   1.00 s",
	  dp_fmt_bytes },
	{ "curve/4K/hi_bytes/24", "dirtyprof_dirtied_in_one_second_p90_bytes", "size=\"4K\"", "   1.00 s",
	  dp_fmt_bytes },
	{ "amplification/at/2M/mid", "dirtyprof_amplification_ratio", "size=\"2M\"", NULL, NULL },
	{ "amplification/now", "dirtyprof_vm_amplification_ratio", NULL, NULL, NULL },
	{ "really_changed/share/mid", "dirtyprof_really_changed_ratio", NULL, "  of what was reported",
	  dp_fmt_share },
	{ "really_changed/share/lo", "dirtyprof_really_changed_p10_ratio", NULL, "  of what was reported",
	  dp_fmt_share },
	{ "really_changed/share/hi", "dirtyprof_really_changed_p90_ratio", NULL, "  of what was reported",
	  dp_fmt_share },
	{ "really_changed/bytes_per_s/mid", "dirtyprof_really_changed_bytes_per_second", NULL,
	  "  real dirty rate", dp_fmt_bytes },
	{ "really_changed/bytes_per_s/lo", "dirtyprof_really_changed_p10_bytes_per_second", NULL,
	  "  real dirty rate", dp_fmt_bytes },
	{ "really_changed/bytes_per_s/hi", "dirtyprof_really_changed_p90_bytes_per_second", NULL,
	  "  real dirty rate", dp_fmt_bytes },
	{ "really_changed/read_bytes", "dirtyprof_contents_read_bytes_total", NULL, NULL, NULL },
	{ "really_changed/read_limit_bytes_per_s", "dirtyprof_contents_read_limit_bytes_per_second", NULL,
	  "Compared", dp_fmt_bytes },
	{ "bandwidth/rounds_bytes_per_s/mid", "dirtyprof_predicted_rounds_bandwidth_bytes_per_second", NULL,
	  "  used for the rounds", dp_fmt_bits },
	{ "bandwidth/switchover_bytes_per_s/mid", "dirtyprof_predicted_switchover_bandwidth_bytes_per_second",
	  NULL, "  used at switchover", dp_fmt_bits },
	{ "bandwidth/goodput/bytes_per_s/mid", "dirtyprof_migration_goodput_bytes_per_second", NULL,
	  "  goodput", dp_fmt_bits },
	{ "bandwidth/cap/bytes_per_s/mid", "dirtyprof_migration_cap_bytes_per_second", NULL, "  cap",
	  dp_fmt_bits },
	{ "bandwidth/capacity/bytes_per_s/mid", "dirtyprof_migration_capacity_bytes_per_second", NULL,
	  "  path's capacity", dp_fmt_bits },
	{ "prediction/terms/limit_s", "dirtyprof_downtime_limit_seconds", NULL, "  terms: downtime limit",
	  dp_fmt_time },
	{ "prediction/terms/fixed_s", "dirtyprof_fixed_downtime_seconds", NULL, "  terms: downtime limit",
	  dp_fmt_time },
	{ "prediction/stop_now_s/mid", "dirtyprof_down_if_stopped_now_seconds", NULL, "  down if stopped now",
	  dp_fmt_time },
	{ "prediction/stop_now_s/lo", "dirtyprof_down_if_stopped_now_p10_seconds", NULL,
	  "  down if stopped now", dp_fmt_time },
	{ "prediction/redirty_aware_s/mid", "dirtyprof_redirty_aware_seconds", NULL, "  re-dirty-aware",
	  dp_fmt_time },
	{ "prediction/floor_s/mid", "dirtyprof_downtime_floor_seconds", NULL, "  downtime's floor",
	  dp_fmt_time },
	{ "prediction/floor_s/hi", "dirtyprof_downtime_floor_p90_seconds", NULL, "  downtime's floor",
	  dp_fmt_time },
	{ "prediction/rounds/mid", "dirtyprof_predicted_rounds", NULL, "  rounds", dp_fmt_count },
	{ "prediction/total_s/mid", "dirtyprof_predicted_duration_seconds", NULL, "  total time",
	  dp_fmt_time },
	{ "prediction/downtime_s/lo", "dirtyprof_predicted_downtime_p10_seconds", NULL, "  downtime ",
	  dp_fmt_time },
	{ "prediction/downtime_s/mid", "dirtyprof_predicted_downtime_seconds", NULL, "  downtime ",
	  dp_fmt_time },
	{ "prediction/least_limit_s/mid", "dirtyprof_least_downtime_limit_seconds", NULL,
	  "  least downtime limit", dp_fmt_time },
	{ "prediction/least_bandwidth_bytes_per_s/mid", "dirtyprof_least_bandwidth_bytes_per_second", NULL,
	  "  least bandwidth", dp_fmt_bits },
	{ "prediction/least_throttle/mid", "dirtyprof_least_throttle_ratio", NULL, NULL, NULL },
	{ "migration/rounds", "dirtyprof_migration_rounds", NULL, "Migration:", dp_fmt_count },
	{ "migration/sent_bytes", "dirtyprof_migration_sent_bytes", NULL, "Migration:", dp_fmt_bytes },
	{ "migration/remaining_bytes", "dirtyprof_migration_data_remaining_bytes", NULL, "  Left to send",
	  dp_fmt_bytes },
	{ "self/events", "dirtyprof_events_total", NULL, "Seen:", dp_fmt_count },
	{ "self/lost", "dirtyprof_lost_events_total", NULL, "Seen:", dp_fmt_count },
	{ "self/unknown_slot", "dirtyprof_unknown_slot_events_total", NULL, "Seen:", dp_fmt_count },
	{ "self/repeated", "dirtyprof_repeated_events_total", NULL, "Seen:", dp_fmt_count },
	{ "self/user_s", "dirtyprof_cpu_seconds_total", NULL, "dirtyprof itself:", dp_fmt_time },
	{ "self/bpf_s", "dirtyprof_bpf_seconds_total", NULL, "dirtyprof itself:", dp_fmt_time },
	{ "self/resident_bytes", "dirtyprof_resident_memory_bytes", NULL, "dirtyprof itself:", dp_fmt_bytes },
};

/* The paragraph that begins with `line`, its wrapped lines joined. */
static void paragraph(const char *text, const char *line, char *out, size_t size)
{
	const char *p;
	size_t n = 0;

	for (p = text; *p && strncmp(p, line, strlen(line)) != 0; p += strcspn(p, "\n") + 1)
		;
	if (!*p)
		fail_msg("no line \"%s\" in the text", line);
	for (; *p && n + 2 < size; p++) {
		if (*p == '\n') {
			if (p[1] != ' ')
				break;
			p += strspn(p + 1, " ");
			out[n++] = ' ';
		} else {
			out[n++] = *p;
		}
	}
	out[n] = 0;
}

static void same_numbers_everywhere(void **state)
{
	struct dp_buf text = { 0 }, json = { 0 }, prom = { 0 };
	static char para[4096];
	struct json_object *o;
	struct dp_report r;
	char shown[FMT];
	unsigned int i;

	fx_report(&r);
	r.pred.total = fx_est(9.1, 9.2, 9.3);
	r.pred.downtime = fx_est(0.21, 0.22, 0.23);
	r.pred.verdict = DP_CONVERGES;
	r.speeds.goodput.bps = fx_est(111e6, 112e6, 113e6);
	r.speeds.cap.bps = fx_est(121e6, 122e6, 123e6);
	r.speeds.capacity.bps = fx_est(131e6, 132e6, 133e6);
	r.mig.outcome = DP_MIG_RUNNING;
	r.mig.rounds = 17;
	r.mig.sent = 640 * MIB;
	r.mig.remaining = 99 * MIB;
	dp_text_final(&text, &r);
	dp_json_final(&json, &r);
	one(&prom, &r);
	o = json_tokener_parse(json.data);
	assert_non_null(o);
	for (i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		double j = json_value(o, same[i].json),
		       p = prom_value(prom.data, same[i].prom, 4242, same[i].label);

		if (!(j == p))
			fail_msg("%s: JSON %.17g, Prometheus %.17g", same[i].json, j, p);
		if (!same[i].line)
			continue;
		paragraph(text.data, same[i].line, para, sizeof(para));
		same[i].fmt(shown, sizeof(shown), j);
		if (!strstr(para, shown))
			fail_msg("%s: %s is not in: %s", same[i].json, shown, para);
	}
	json_object_put(o);
	dp_buf_free(&text);
	dp_buf_free(&json);
	dp_buf_free(&prom);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(samples),
		cmocka_unit_test(several_vms),
		cmocka_unit_test(promtool_works),
		cmocka_unit_test(same_numbers_everywhere),
	};

	return cmocka_run_group_tests_name("prom", tests, NULL, NULL);
}
