// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Building JSON objects without losing sight of failed allocations. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_int.h"

char *dp_fmt_double(char *buf, size_t size, double v)
{
	int digits;

	for (digits = 15; digits <= 17; digits++) {
		snprintf(buf, size, "%.*g", digits, v);
		if (strtod(buf, NULL) == v)
			break;
	}
	return buf;
}

/* Takes v over; a NULL v where none was meant is a failed allocation. */
static void put(struct dp_jw w, const char *key, struct json_object *v)
{
	if (!v || !w.o || json_object_object_add(w.o, key, v)) {
		json_object_put(v);
		*w.failed = true;
	}
}

struct dp_jw dp_jw_new(bool *failed)
{
	struct dp_jw w = { json_object_new_object(), failed };

	*failed = !w.o;
	return w;
}

struct dp_jw dp_jw_record(const char *type, bool *failed)
{
	struct dp_jw w = dp_jw_new(failed);

	dp_jw_str(w, "dirtyprof", DIRTYPROF_VERSION);
	dp_jw_count(w, "schema", DP_SCHEMA);
	dp_jw_str(w, "type", type);
	return w;
}

void dp_jw_print(struct dp_buf *b, struct dp_jw w)
{
	const int flags = JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE;
	const char *s = *w.failed ? NULL : json_object_to_json_string_ext(w.o, flags);

	if (s)
		dp_buf_append(b, s, strlen(s));
	else
		b->failed = true;
	json_object_put(w.o);
}

struct dp_jw dp_jw_object(struct dp_jw in, const char *key)
{
	struct dp_jw w = { json_object_new_object(), in.failed };

	put(in, key, w.o);
	if (*in.failed)
		w.o = NULL;
	return w;
}

struct json_object *dp_jw_array(struct dp_jw in, const char *key)
{
	struct json_object *a = json_object_new_array();

	put(in, key, a);
	return *in.failed ? NULL : a;
}

static void push(struct dp_jw in, struct json_object *array, struct json_object *v)
{
	if (!array || json_object_array_add(array, v)) {
		json_object_put(v);
		*in.failed = true;
	}
}

struct dp_jw dp_jw_item(struct dp_jw in, struct json_object *array)
{
	struct dp_jw w = { json_object_new_object(), in.failed };

	if (!w.o)
		*in.failed = true;
	push(in, array, w.o);
	if (*in.failed)
		w.o = NULL;
	return w;
}

static struct json_object *new_num(double v)
{
	char buf[DP_NUM];

	return json_object_new_double_s(v, dp_fmt_double(buf, sizeof(buf), v));
}

void dp_jw_num(struct dp_jw w, const char *key, double v)
{
	if (isfinite(v))
		put(w, key, new_num(v));
	else if (!w.o || json_object_object_add(w.o, key, NULL))
		*w.failed = true;
}

void dp_jw_count(struct dp_jw w, const char *key, uint64_t v)
{
	put(w, key, json_object_new_uint64(v));
}

void dp_jw_bool(struct dp_jw w, const char *key, bool v)
{
	put(w, key, json_object_new_boolean(v));
}

void dp_jw_str(struct dp_jw w, const char *key, const char *v)
{
	put(w, key, json_object_new_string(v));
}

void dp_jw_est(struct dp_jw w, const char *key, struct dp_est e)
{
	struct dp_jw o = dp_jw_object(w, key);

	dp_jw_num(o, "lo", e.lo);
	dp_jw_num(o, "mid", e.mid);
	dp_jw_num(o, "hi", e.hi);
}

void dp_jw_nums(struct dp_jw w, const char *key, const double *v, uint32_t n, size_t stride)
{
	struct json_object *a = dp_jw_array(w, key);
	uint32_t i;

	for (i = 0; a && i < n; i++) {
		double x = v[i * stride];
		struct json_object *o = isfinite(x) ? new_num(x) : NULL;

		if (isfinite(x) && !o)
			*w.failed = true;
		push(w, a, o);
	}
}

void dp_jw_counts(struct dp_jw w, const char *key, const uint64_t *v, uint32_t n, size_t stride)
{
	struct json_object *a = dp_jw_array(w, key);
	uint32_t i;

	for (i = 0; a && i < n; i++)
		push(w, a, json_object_new_uint64(v[i * stride]));
}
