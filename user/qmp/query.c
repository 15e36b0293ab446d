// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <string.h>

#include "qmp/clock.h"
#include "qmp/priv.h"

/* Runs cmd and takes its answer apart with parse. */
#define QUERY(q, cmd, args, timeout_ms, parse, out)                                                          \
	do {                                                                                                 \
		struct json_object *ret_ = NULL;                                                             \
		const char *what_ = "";                                                                      \
		int err_ = dp_qmp_execute(q, cmd, args, timeout_ms, &ret_);                                  \
                                                                                                             \
		if (!err_ && (parse)(ret_, out, &what_))                                                     \
			err_ = qmp__fail(q, -EPROTO,                                                         \
					 "QMP: %s: \"%s\" is missing, of the wrong type or out "             \
					 "of range",                                                         \
					 cmd, what_);                                                        \
		json_object_put(ret_);                                                                       \
		return err_;                                                                                 \
	} while (0)

int dp_qmp_query_version(struct dp_qmp *q, struct dp_qmp_version *out, int timeout_ms)
{
	QUERY(q, "query-version", NULL, timeout_ms, dp_qmp_parse_version, out);
}

int dp_qmp_query_status(struct dp_qmp *q, struct dp_qmp_status *out, int timeout_ms)
{
	QUERY(q, "query-status", NULL, timeout_ms, dp_qmp_parse_status, out);
}

int dp_qmp_query_migrate(struct dp_qmp *q, struct dp_qmp_migrate *out, int timeout_ms)
{
	QUERY(q, "query-migrate", NULL, timeout_ms, dp_qmp_parse_migrate, out);
}

static int query_parameters(struct dp_qmp *q, struct dp_qmp_params *out, int timeout_ms)
{
	QUERY(q, "query-migrate-parameters", NULL, timeout_ms, dp_qmp_parse_params, out);
}

static int query_capabilities(struct dp_qmp *q, struct dp_qmp_params *out, int timeout_ms)
{
	QUERY(q, "query-migrate-capabilities", NULL, timeout_ms, dp_qmp_parse_caps, out);
}

int dp_qmp_query_params(struct dp_qmp *q, struct dp_qmp_params *out, int timeout_ms)
{
	uint64_t deadline = dp_deadline_ns(timeout_ms);
	int err;

	memset(out, 0, sizeof(*out));
	err = query_parameters(q, out, timeout_ms);
	return err ? err : query_capabilities(q, out, dp_left_ms(deadline));
}

const char *dp_calc_mode_name(enum dp_calc_mode m)
{
	static const char *const name[] = { "page-sampling", "dirty-bitmap", "dirty-ring" };

	return name[m];
}

static bool has_milliseconds(const struct dp_qmp *q)
{
	return dp_qmp_version_atleast(q, 8, 2);
}

uint32_t dp_qmp_calc_window_ms(const struct dp_qmp *q, uint32_t ms)
{
	uint32_t min = 50;

	if (!has_milliseconds(q)) {
		min = 1000;
		ms = ms > 60000 ? ms : (ms + 999) / 1000 * 1000;
	}
	return ms < min ? min : ms > 60000 ? 60000 : ms;
}

struct json_object *dp_qmp_calc_args(const struct dp_qmp *q, enum dp_calc_mode mode, uint32_t ms)
{
	struct json_object *o = json_object_new_object();
	bool milli = has_milliseconds(q);

	if (!o)
		return NULL;
	ms = dp_qmp_calc_window_ms(q, ms);
	if (json_object_object_add(o, "calc-time", json_object_new_int64(milli ? ms : ms / 1000)) ||
	    (milli && json_object_object_add(o, "calc-time-unit", json_object_new_string("millisecond"))) ||
	    json_object_object_add(o, "mode", json_object_new_string(dp_calc_mode_name(mode)))) {
		json_object_put(o);
		return NULL;
	}
	return o;
}

struct json_object *dp_qmp_rate_args(const struct dp_qmp *q)
{
	struct json_object *o;

	if (!has_milliseconds(q))
		return NULL;
	o = json_object_new_object();
	if (o)
		json_object_object_add(o, "calc-time-unit", json_object_new_string("millisecond"));
	return o;
}

int dp_qmp_query_dirty_rate(struct dp_qmp *q, struct dp_qmp_dirty_rate *out, int timeout_ms)
{
	QUERY(q, "query-dirty-rate", dp_qmp_rate_args(q), timeout_ms, dp_qmp_parse_dirty_rate, out);
}

int dp_qmp_calc_dirty_rate(struct dp_qmp *q, enum dp_calc_mode mode, uint32_t ms, int timeout_ms,
			   uint32_t *used_ms)
{
	struct json_object *args = dp_qmp_calc_args(q, mode, ms);

	if (!args)
		return qmp__fail(q, -ENOMEM, "QMP: out of memory");
	if (used_ms)
		*used_ms = dp_qmp_calc_window_ms(q, ms);
	return dp_qmp_execute(q, "calc-dirty-rate", args, timeout_ms, NULL);
}
