/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The inside of the JSON report. */
#ifndef DIRTYPROF_JSON_INT_H
#define DIRTYPROF_JSON_INT_H

#include <json-c/json.h>

#include "dirtyprof/report.h"

#define DP_NUM 32

/* The shortest decimal that reads back as v, which is finite. */
char *dp_fmt_double(char *buf, size_t size, double v);

/* Writes an object; what could not be allocated sets failed. NAN and HUGE_VAL become null. */
struct dp_jw {
	struct json_object *o;
	bool *failed;
};

struct dp_jw dp_jw_new(bool *failed);			   /* a new object by itself; failed is set anew */
struct dp_jw dp_jw_record(const char *type, bool *failed); /* the same, as every line of ours begins */
void dp_jw_print(struct dp_buf *b, struct dp_jw w); /* adds it to b and frees it; where it failed, b fails */
struct dp_jw dp_jw_object(struct dp_jw in, const char *key);	     /* a new object as a member */
struct json_object *dp_jw_array(struct dp_jw in, const char *key);   /* a new array as a member */
struct dp_jw dp_jw_item(struct dp_jw in, struct json_object *array); /* a new object in an array */
void dp_jw_num(struct dp_jw w, const char *key, double v);
void dp_jw_count(struct dp_jw w, const char *key, uint64_t v);
void dp_jw_bool(struct dp_jw w, const char *key, bool v);
void dp_jw_str(struct dp_jw w, const char *key, const char *v);
void dp_jw_est(struct dp_jw w, const char *key, struct dp_est e);
void dp_jw_counts(struct dp_jw w, const char *key, const uint64_t *v, uint32_t n, size_t stride);
void dp_jw_nums(struct dp_jw w, const char *key, const double *v, uint32_t n, size_t stride);

/* Parts (json_parts.c). */
void dp_json_vm(struct dp_jw w, const struct dp_report *r);
void dp_json_change(struct dp_jw w, const struct dp_change_report *c);
void dp_json_bandwidth(struct dp_jw w, const struct dp_speeds *s);
void dp_json_prediction(struct dp_jw w, const struct dp_report *r, bool rounds);
void dp_json_moment(struct dp_jw in, const char *key,
		    const struct dp_moment *m); /* its numbers null where unknown */
void dp_json_migration(struct dp_jw w, const struct dp_migration *m, bool syncs);
void dp_json_sync(struct dp_jw w, const struct dp_sync_report *y);
void dp_json_notes(struct dp_jw w, const struct dp_report *r);
void dp_json_self(struct dp_jw w, const struct dp_report *r);
void dp_json_curve(struct dp_jw w, const struct dp_report *r);
void dp_json_assumed(struct dp_jw w, uint32_t bits);	     /* DP_ASSUMED_*, as an array "assumed" */
const char *dp_json_assumed_name(unsigned int bit);	     /* NULL: there is no such bit */
const char *dp_json_exit_test(enum dp_exit_test e);	     /* NULL: there is no such test */
void dp_json_hot(struct dp_jw w, const struct dp_report *r); /* json_hot.c */
void dp_json_heat(struct dp_jw w, const struct dp_report *r);
void dp_json_basis(struct dp_jw w, const struct dp_basis *b); /* json_table.c */

#endif
