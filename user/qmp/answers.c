// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * QMP answers taken apart. Absent members mean "older QEMU" or "not now" and give 0; a member of the wrong
 * type, a negative count or one above 2^63 - 1 is an answer that cannot be believed: -EPROTO. Times, rates
 * and bandwidths that QEMU derives by dividing by what may be next to nothing (expected-downtime, mbps)
 * can be out of range in an honest answer: those give 0, "not reported".
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <json-c/json.h>

#include "qmp/qmp.h"

/* 1: got it; 0: absent; -EPROTO. */
static int get_u64(struct json_object *o, const char *key, uint64_t *out, const char **what)
{
	struct json_object *v;

	*out = 0;
	if (!json_object_object_get_ex(o, key, &v))
		return 0;
	*what = key;
	/* below 0 and above INT64_MAX json-c clamps: compare both readings */
	if (!json_object_is_type(v, json_type_int) || json_object_get_int64(v) < 0 ||
	    json_object_get_uint64(v) > INT64_MAX)
		return -EPROTO;
	*out = json_object_get_uint64(v);
	return 1;
}

/* For derived figures: of the right type, but out of range gives 0. */
static int get_loose(struct json_object *o, const char *key, uint64_t *out, const char **what)
{
	struct json_object *v;

	if (json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_int) &&
	    get_u64(o, key, out, what) < 0) {
		*out = 0;
		return 0;
	}
	return get_u64(o, key, out, what);
}

static int get_u32(struct json_object *o, const char *key, uint32_t *out, const char **what)
{
	uint64_t v;
	int r = get_u64(o, key, &v, what);

	*out = (uint32_t)v;
	return r > 0 && v > UINT32_MAX ? -EPROTO : r;
}

static int get_str(struct json_object *o, const char *key, char *out, size_t len, const char **what)
{
	struct json_object *v;

	out[0] = '\0';
	if (!json_object_object_get_ex(o, key, &v))
		return 0;
	*what = key;
	if (!json_object_is_type(v, json_type_string))
		return -EPROTO;
	snprintf(out, len, "%s", json_object_get_string(v));
	/* names of the protocol are plain ASCII, and go into reports as they are */
	for (; *out; out++)
		if ((unsigned char)*out < 0x20 || (unsigned char)*out > 0x7e)
			*out = '?';
	return 1;
}

static int get_bool(struct json_object *o, const char *key, bool *out, const char **what)
{
	struct json_object *v;

	*out = false;
	if (!json_object_object_get_ex(o, key, &v))
		return 0;
	*what = key;
	if (!json_object_is_type(v, json_type_boolean))
		return -EPROTO;
	*out = json_object_get_boolean(v);
	return 1;
}

static int not_object(struct json_object *o, const char **what)
{
	*what = "return";
	return !json_object_is_type(o, json_type_object);
}

int dp_qmp_parse_version(struct json_object *o, struct dp_qmp_version *out, const char **what)
{
	struct json_object *qemu;

	memset(out, 0, sizeof(*out));
	if (not_object(o, what))
		return -EPROTO;
	*what = "qemu";
	if (!json_object_object_get_ex(o, "qemu", &qemu) || !json_object_is_type(qemu, json_type_object))
		return -EPROTO;
	if (get_u32(qemu, "major", &out->major, what) <= 0 || get_u32(qemu, "minor", &out->minor, what) < 0 ||
	    get_u32(qemu, "micro", &out->micro, what) < 0 ||
	    get_str(o, "package", out->package, sizeof(out->package), what) < 0)
		return -EPROTO;
	return 0;
}

int dp_qmp_parse_status(struct json_object *o, struct dp_qmp_status *out, const char **what)
{
	memset(out, 0, sizeof(*out));
	if (not_object(o, what) || get_bool(o, "running", &out->running, what) <= 0 ||
	    get_str(o, "status", out->status, sizeof(out->status), what) <= 0)
		return -EPROTO;
	return 0;
}

static int parse_ram(struct json_object *ram, struct dp_qmp_migrate *out, const char **what)
{
	struct json_object *v;

	*what = "ram";
	if (!json_object_is_type(ram, json_type_object))
		return -EPROTO;
	if (get_u64(ram, "transferred", &out->transferred, what) < 0 ||
	    get_u64(ram, "remaining", &out->remaining, what) < 0 ||
	    get_u64(ram, "total", &out->total, what) < 0 ||
	    get_u64(ram, "normal", &out->normal_pages, what) < 0 ||
	    get_u64(ram, "duplicate", &out->zero_pages, what) < 0 ||
	    get_u64(ram, "page-size", &out->page_size, what) < 0 ||
	    get_u64(ram, "dirty-sync-count", &out->dirty_sync_count, what) < 0 ||
	    get_loose(ram, "dirty-pages-rate", &out->dirty_pages_rate, what) < 0)
		return -EPROTO;
	if (json_object_object_get_ex(ram, "mbps", &v)) {
		*what = "mbps";
		if (!json_object_is_type(v, json_type_double) && !json_object_is_type(v, json_type_int))
			return -EPROTO;
		out->mbps = json_object_get_double(v);
		if (!isfinite(out->mbps) || out->mbps < 0)
			out->mbps = 0;
	}
	out->ram_known = true;
	return 0;
}

int dp_qmp_parse_migrate(struct json_object *o, struct dp_qmp_migrate *out, const char **what)
{
	static const char *const idle[] = { "none", "completed", "failed", "cancelled" };
	struct json_object *ram;
	uint64_t throttle;
	int r;

	memset(out, 0, sizeof(*out));
	if (not_object(o, what))
		return -EPROTO;
	r = get_str(o, "status", out->status, sizeof(out->status), what);
	if (r < 0)
		return r;
	if (!r)
		strcpy(out->status, "none");
	/* a state that is not known here is taken for a migration under way: hands off */
	out->active = true;
	for (size_t i = 0; i < sizeof(idle) / sizeof(*idle); i++)
		if (!strcmp(out->status, idle[i]))
			out->active = false;
	if (json_object_object_get_ex(o, "ram", &ram)) {
		r = parse_ram(ram, out, what);
		if (r)
			return r;
	}
	if (get_loose(o, "downtime", &out->downtime_ms, what) < 0 ||
	    get_loose(o, "expected-downtime", &out->expected_downtime_ms, what) < 0 ||
	    get_loose(o, "total-time", &out->total_time_ms, what) < 0 ||
	    get_loose(o, "setup-time", &out->setup_time_ms, what) < 0 ||
	    get_loose(o, "cpu-throttle-percentage", &throttle, what) < 0)
		return -EPROTO;
	out->cpu_throttle_pct = throttle > 99 ? 99 : (uint32_t)throttle;
	/* QEMU sets the state a moment before it works out what the migration took: till then all of that is 0. */
	out->done = !strcmp(out->status, "completed") && out->total_time_ms;
	return 0;
}

int dp_qmp_parse_params(struct json_object *o, struct dp_qmp_params *out, const char **what)
{
	if (not_object(o, what))
		return -EPROTO;
	if (get_u64(o, "max-bandwidth", &out->max_bandwidth, what) < 0 ||
	    get_u64(o, "avail-switchover-bandwidth", &out->avail_switchover_bandwidth, what) < 0 ||
	    get_u64(o, "downtime-limit", &out->downtime_limit_ms, what) < 0 ||
	    get_u32(o, "multifd-channels", &out->multifd_channels, what) < 0)
		return -EPROTO;
	out->throttle_trigger_pct = 50;
	out->throttle_initial_pct = 20;
	out->throttle_increment_pct = 10;
	out->throttle_max_pct = 99;
	if (get_u32(o, "throttle-trigger-threshold", &out->throttle_trigger_pct, what) < 0 ||
	    get_u32(o, "cpu-throttle-initial", &out->throttle_initial_pct, what) < 0 ||
	    get_u32(o, "cpu-throttle-increment", &out->throttle_increment_pct, what) < 0 ||
	    get_u32(o, "max-cpu-throttle", &out->throttle_max_pct, what) < 0)
		return -EPROTO;
	return 0;
}

int dp_qmp_parse_caps(struct json_object *o, struct dp_qmp_params *out, const char **what)
{
	const struct {
		const char *name;
		bool *flag;
	} cap[] = {
		{ "multifd", &out->multifd },		{ "auto-converge", &out->auto_converge },
		{ "dirty-limit", &out->dirty_limit },	{ "xbzrle", &out->xbzrle },
		{ "postcopy-ram", &out->postcopy_ram }, { "zero-copy-send", &out->zero_copy_send },
		{ "compress", &out->compress },
	};
	size_t i, c, n;

	*what = "return";
	if (!json_object_is_type(o, json_type_array))
		return -EPROTO;
	for (c = 0; c < sizeof(cap) / sizeof(*cap); c++)
		*cap[c].flag = false;
	n = json_object_array_length(o);
	for (i = 0; i < n; i++) {
		struct json_object *e = json_object_array_get_idx(o, i);
		char name[64];
		bool state;

		*what = "capability";
		if (!json_object_is_type(e, json_type_object) ||
		    get_str(e, "capability", name, sizeof(name), what) <= 0 ||
		    get_bool(e, "state", &state, what) <= 0)
			return -EPROTO;
		for (c = 0; c < sizeof(cap) / sizeof(*cap); c++)
			if (!strcmp(name, cap[c].name))
				*cap[c].flag = state;
	}
	return 0;
}

int dp_qmp_parse_dirty_rate(struct json_object *o, struct dp_qmp_dirty_rate *out, const char **what)
{
	static const char *const names[] = { "unstarted", "measuring", "measured" };
	char status[32], unit[16];
	struct json_object *v;
	uint64_t time;
	size_t i;

	memset(out, 0, sizeof(*out));
	if (not_object(o, what) || get_str(o, "status", status, sizeof(status), what) <= 0)
		return -EPROTO;
	for (i = 0; i < 3 && strcmp(status, names[i]); i++)
		;
	if (i == 3)
		return -EPROTO;
	out->status = (enum dp_calc_status)i;
	if (get_str(o, "mode", out->mode, sizeof(out->mode), what) < 0 ||
	    get_str(o, "calc-time-unit", unit, sizeof(unit), what) < 0 ||
	    get_u64(o, "calc-time", &time, what) < 0)
		return -EPROTO;
	*what = "calc-time";
	if (time > UINT32_MAX)
		return -EPROTO;
	out->calc_time_ms = strcmp(unit, "millisecond") ? time * 1000 : time;
	/* before 6.2 a rate not measured yet was -1 */
	out->rate_known = json_object_object_get_ex(o, "dirty-rate", &v) &&
			  json_object_is_type(v, json_type_int) && json_object_get_int64(v) >= 0;
	if (!out->rate_known && v && !json_object_is_type(v, json_type_int)) {
		*what = "dirty-rate";
		return -EPROTO;
	}
	return out->rate_known && get_u64(o, "dirty-rate", &out->rate_mib, what) < 0 ? -EPROTO : 0;
}
