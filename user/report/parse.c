// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Reads back what a prediction rests on from a report record of our own JSON. A file may have been cut, edited or made up, so
 * everything is checked here or where it is used: types, counts, ranges, order.
 */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "json_int.h"

#define DEPTH	 16
#define MAX_LINE (16u << 20)

/* Where reading goes wrong first is what is said; after that nothing is read any more. */
struct reader {
	char *msg;
	size_t size;
	bool bad;
};

static void complain(struct reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void complain(struct reader *r, const char *fmt, ...)
{
	va_list ap;

	if (r->bad)
		return;
	r->bad = true;
	va_start(ap, fmt);
	vsnprintf(r->msg, r->size, fmt, ap);
	va_end(ap);
}

static struct json_object *member(struct reader *r, struct json_object *o, const char *key,
				  enum json_type type)
{
	struct json_object *v = NULL;

	if (r->bad)
		return NULL;
	if (!json_object_object_get_ex(o, key, &v) || !json_object_is_type(v, type)) {
		complain(r, "\"%s\" is missing, or is not what it should be", key);
		return NULL;
	}
	return v;
}

/* Of what was added later. */
static bool has(struct json_object *o, const char *key)
{
	return json_object_object_get_ex(o, key, NULL);
}

/* A finite number from lo to hi; or NAN for null where that is allowed. */
static double value(struct reader *r, struct json_object *v, const char *key, bool null, double lo, double hi)
{
	double d;

	if (r->bad || (null && !v))
		return NAN;
	if (!json_object_is_type(v, json_type_double) && !json_object_is_type(v, json_type_int)) {
		complain(r, "\"%s\" is not a number", key);
		return NAN;
	}
	d = json_object_get_double(v);
	if (!(d >= lo && d <= hi)) {
		complain(r, "\"%s\" is out of range", key);
		return NAN;
	}
	return d;
}

static double number(struct reader *r, struct json_object *o, const char *key, bool null, double lo,
		     double hi)
{
	struct json_object *v = NULL;

	if (!r->bad && !json_object_object_get_ex(o, key, &v))
		complain(r, "\"%s\" is missing", key);
	return value(r, v, key, null, lo, hi);
}

/* What is cast: 0 where there is no such number. */
static double count(struct reader *r, struct json_object *o, const char *key, double hi)
{
	double d = number(r, o, key, false, 0, hi);

	return d > 0 ? d : 0;
}

/* Returns how many, at most max. */
static uint32_t numbers(struct reader *r, struct json_object *o, const char *key, double *out, uint32_t max)
{
	struct json_object *a = member(r, o, key, json_type_array);
	size_t n = a ? json_object_array_length(a) : 0, i;

	if (n > max) {
		complain(r, "\"%s\" has more than %u items", key, max);
		return 0;
	}
	for (i = 0; i < n; i++)
		out[i] = value(r, json_object_array_get_idx(a, i), key, false, 0, 1e18);
	return (uint32_t)n;
}

/* Control characters, which a terminal would obey, become '?'. */
static void text(struct reader *r, struct json_object *o, const char *key, char *out, size_t size)
{
	struct json_object *v = member(r, o, key, json_type_string);
	const char *s = v ? json_object_get_string(v) : "";
	size_t i, n = strlen(s);

	if (n >= size) /* at the start of a UTF-8 sequence */
		for (n = size - 1; n && ((unsigned char)s[n] & 0xc0) == 0x80; n--)
			;
	for (i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];
		bool c1 = i + 1 < n && c == 0xc2 && (unsigned char)s[i + 1] < 0xa0;

		out[i] = c < 0x20 || c == 0x7f || c1 ? '?' : (char)c;
		if (c1)
			out[++i] = '?';
	}
	out[n] = '\0';
}

static enum dp_exit_test exit_test(struct reader *r, struct json_object *o)
{
	struct json_object *v = member(r, o, "exit_test", json_type_string);
	const char *s = v ? json_object_get_string(v) : "";
	int e;

	for (e = DP_EXIT_PRE_9; e <= DP_EXIT_10_1; e++)
		if (!strcmp(s, dp_json_exit_test((enum dp_exit_test)e)))
			return (enum dp_exit_test)e;
	complain(r, "\"exit_test\" is none that is known");
	return DP_EXIT_PRE_9;
}

static uint32_t assumed(struct reader *r, struct json_object *o)
{
	struct json_object *a = member(r, o, "assumed", json_type_array);
	size_t n = a ? json_object_array_length(a) : 0, i;
	unsigned int bit;
	uint32_t out = 0;

	for (i = 0; i < n && i < 64; i++) {
		const char *s = json_object_get_string(json_object_array_get_idx(a, i));

		for (bit = 0; s && dp_json_assumed_name(bit); bit++)
			if (!strcmp(s, dp_json_assumed_name(bit)))
				out |= 1u << bit;
	}
	return out;
}

static void curve(struct reader *r, struct json_object *o, struct dp_points *p)
{
	p->blocks = number(r, o, "pages", false, 0, 1e15);
	p->reach = number(r, o, "reach_s", false, 0, 1e9);
	p->n = numbers(r, o, "t_s", p->t, DP_POINTS);
	if (numbers(r, o, "lo_pages", p->lo, DP_POINTS) != p->n ||
	    numbers(r, o, "mid_pages", p->mid, DP_POINTS) != p->n ||
	    numbers(r, o, "hi_pages", p->hi, DP_POINTS) != p->n)
		complain(r, "the curve's lists differ in length");
}

static void regions(struct reader *r, struct json_object *o, struct dp_points *p)
{
	struct json_object *a = member(r, o, "shares", json_type_array);
	size_t n = a ? json_object_array_length(a) : 0, i;

	p->ngroups = numbers(r, o, "pages", p->group_pages, DP_POINT_GROUPS);
	if (n > DP_POINT_SHARES) {
		complain(r, "\"shares\" has more than %u items", DP_POINT_SHARES);
		return;
	}
	for (i = 0; i < n && !r->bad; i++) {
		struct json_object *row = json_object_array_get_idx(a, i);

		if (!json_object_is_type(row, json_type_object)) {
			complain(r, "\"shares\" holds something else than objects");
			return;
		}
		p->share_t[i] = number(r, row, "t_s", false, 0, 1e9);
		if (numbers(r, row, "share", p->share[i], DP_POINT_GROUPS) != p->ngroups)
			complain(r, "\"share\" has not one item a region");
	}
	p->nshares = (uint32_t)n;
}

static void auto_converge(struct reader *r, struct json_object *o, struct dp_auto_converge *ac)
{
	struct json_object *on = o ? member(r, o, "on", json_type_boolean) : NULL;

	if (!o)
		return;
	ac->on = on && json_object_get_boolean(on);
	ac->trigger = number(r, o, "trigger", false, 0, 100);
	ac->initial = number(r, o, "initial", false, 0, 0.9999);
	ac->increment = number(r, o, "increment", false, 0, 1);
	ac->max = number(r, o, "max", false, 0, 0.9999);
}

static void basis(struct reader *r, struct json_object *o, struct dp_basis *b)
{
	struct json_object *known = member(r, o, "known", json_type_boolean), *part;
	struct dp_plan *p = &b->plan;
	double scan, range[2];
	uint32_t i;

	b->path = b->cap = b->switchover = b->exit_bps = NAN;
	b->known = known && json_object_get_boolean(known);
	if (!b->known)
		return;
	p->pages = number(r, o, "ram_pages", false, 1, 0x1p52);
	p->zero_pages = number(r, o, "zero_pages", false, 0, p->pages);
	if (numbers(r, o, "zero_at", p->zero_at, DP_ZERO_BINS) != DP_ZERO_BINS)
		complain(r, "\"zero_at\" does not have %d items", DP_ZERO_BINS);
	for (i = 0; i < DP_ZERO_BINS; i++)
		p->zero_at[i] = fmin(1, p->zero_at[i]);
	if (has(o, "heat_at") && numbers(r, o, "heat_at", p->heat_at, DP_ZERO_BINS) != DP_ZERO_BINS)
		complain(r, "\"heat_at\" does not have %d items", DP_ZERO_BINS);
	for (i = 0; i < DP_ZERO_BINS; i++)
		p->heat_at[i] = fmin(1, p->heat_at[i]);
	p->wire_page = number(r, o, "wire_page_bytes", false, 1, 1e9);
	scan = number(r, o, "zero_scan_bytes_per_s", true, 1, 1e18);
	p->zero_scan_bps = isnan(scan) ? 0 : scan;
	p->limit = number(r, o, "limit_s", false, 0, 1e9);
	p->fixed = number(r, o, "fixed_s", false, 0, 1e9);
	if (has(o, "fixed_range_s") && numbers(r, o, "fixed_range_s", range, 2) == 2) {
		p->fixed_lo = fmin(1e9, range[0]);
		p->fixed_hi = fmin(1e9, range[1]);
	}
	p->queue = number(r, o, "queue_bytes", false, 0, 1e12);
	part = member(r, o, "multifd", json_type_boolean);
	p->multifd = part && json_object_get_boolean(part);
	p->setup = number(r, o, "setup_s", false, 0, 1e9);
	p->exit_test = exit_test(r, o);
	p->clear_pages = number(r, o, "clear_pages", false, 0, 0x1p52);
	p->throttle = number(r, o, "throttle", false, 0, 0.9999);
	p->busy = number(r, o, "vcpu_busy", false, 0, 1);
	auto_converge(r, member(r, o, "auto_converge", json_type_object), &p->ac);
	b->assumed = assumed(r, o);
	b->path = number(r, o, "path_bytes_per_s", true, 0, 1e18);
	b->cap = number(r, o, "max_bandwidth_bytes_per_s", true, 1, 1e18);
	b->switchover = number(r, o, "switchover_bytes_per_s", true, 0, 1e18);
	b->exit_bps = number(r, o, "avail_switchover_bytes_per_s", true, 0, 1e18);
	part = member(r, o, "curve", json_type_object);
	if (part)
		curve(r, part, &b->curve);
	part = member(r, o, "regions", json_type_object);
	if (part)
		regions(r, part, &b->curve);
	if (!r->bad && dp_points_wrong(&b->curve))
		complain(r, "%s", dp_points_wrong(&b->curve));
}

static void whose(struct reader *r, struct json_object *o, struct dp_basis_vm *v)
{
	struct json_object *vm = member(r, o, "vm", json_type_object);

	v->wall_s = number(r, o, "time_s", true, -1e12, 1e12);
	v->t = number(r, o, "t_s", false, 0, 1e12);
	v->logged = number(r, o, "logged_s", false, 0, 1e12);
	v->pid = (int32_t)count(r, o, "pid", 1 << 30);
	text(r, o, "name", v->name, sizeof(v->name));
	if (!vm)
		return;
	text(r, vm, "qemu_version", v->qemu_version, sizeof(v->qemu_version));
	v->ram = (uint64_t)count(r, vm, "ram_bytes", 0x1p62);
}

static int record(struct reader *r, struct json_object *o, struct dp_basis *b, struct dp_basis_vm *vm)
{
	struct json_object *v = NULL;
	const char *type;

	if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, "dirtyprof", &v)) {
		complain(r, "no record of dirtyprof --json");
		return -EINVAL;
	}
	if (number(r, o, "schema", false, 0, 1e9) > DP_SCHEMA)
		complain(r, "its schema is newer than this dirtyprof");
	v = member(r, o, "type", json_type_string);
	type = v ? json_object_get_string(v) : "";
	if (r->bad)
		return -EINVAL;
	if (strcmp(type, "report"))
		return 1;
	if (!json_object_object_get_ex(o, "basis", &v)) {
		complain(r, "the report is of an older dirtyprof: it lacks what a table needs");
		return -EINVAL;
	}
	v = member(r, o, "basis", json_type_object);
	if (v)
		basis(r, v, b);
	whose(r, o, vm);
	return r->bad ? -EINVAL : 0;
}

int dp_basis_parse(const char *line, size_t len, struct dp_basis *b, struct dp_basis_vm *vm, char *msg,
		   size_t msg_size)
{
	struct reader r = { msg, msg_size, false };
	struct json_tokener *tok;
	struct json_object *o;
	int err;

	memset(b, 0, sizeof(*b));
	memset(vm, 0, sizeof(*vm));
	msg[0] = '\0';
	if (len > MAX_LINE) {
		complain(&r, "the line is longer than any record");
		return -EINVAL;
	}
	tok = json_tokener_new_ex(DEPTH);
	if (!tok)
		return -ENOMEM;
	o = json_tokener_parse_ex(tok, line, (int)len);
	if (!o && json_tokener_get_error(tok) == json_tokener_continue)
		complain(&r, "the JSON ends too early");
	else if (!o)
		complain(&r, "no JSON");
	err = o ? record(&r, o, b, vm) : -EINVAL;
	json_object_put(o);
	json_tokener_free(tok);
	return err;
}
