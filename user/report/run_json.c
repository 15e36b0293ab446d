// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A run as JSON: its records as --json prints them, and the series. */
#include <math.h>
#include <string.h>

#include "run.h"
#include "json_int.h"

#define STRIDE (sizeof(struct dp_run_column) / sizeof(double))

_Static_assert(sizeof(struct dp_run_column) % sizeof(double) == 0, "a column is so many doubles");

static void estimates(struct dp_jw in, const char *key, const struct dp_est *e, uint32_t n)
{
	struct dp_jw w = dp_jw_object(in, key);

	dp_jw_nums(w, "lo", &e->lo, n, STRIDE);
	dp_jw_nums(w, "mid", &e->mid, n, STRIDE);
	dp_jw_nums(w, "hi", &e->hi, n, STRIDE);
}

static void events(struct dp_jw w, const struct dp_run *run)
{
	struct json_object *a = dp_jw_array(w, "events");
	uint32_t i;

	for (i = 0; a && i < run->nevents; i++) {
		struct dp_jw o = dp_jw_item(w, a);

		dp_jw_num(o, "t_s", run->event[i].t);
		dp_jw_str(o, "event", dp_run_event_name(run->event[i].kind));
	}
	dp_jw_count(w, "dropped_events", run->dropped_events);
}

/* A row for each part of RAM, one number a column: 4K pages, to a tenth, as a fetch's pages are spread. */
static void heat(struct dp_jw in, const struct dp_run *run)
{
	struct dp_jw w = dp_jw_object(in, "heat");
	struct json_object *a = dp_jw_array(w, "parts");
	double v[DP_RUN_COLUMNS];
	uint32_t i, k;

	dp_jw_bool(w, "memory_changed", run->moved);
	for (i = 0; a && i < DP_HEAT_BINS; i++) {
		struct dp_jw o = dp_jw_item(w, a);

		dp_jw_count(o, "from_address", run->range[i].lo * DP_WIRE_UNIT);
		dp_jw_count(o, "to_address", run->range[i].hi * DP_WIRE_UNIT);
		dp_jw_count(o, "pages", run->range[i].pages);
		for (k = 0; k < run->ncolumns; k++)
			v[k] = round((double)run->column[k].heat[i] * 10) / 10;
		dp_jw_nums(o, "new_pages", v, run->ncolumns, 1);
	}
}

static void host(struct dp_buf *b, const struct dp_run *run)
{
	const struct dp_run_host *h = &run->host;
	bool failed;
	struct dp_jw w = dp_jw_new(&failed);

	dp_jw_bool(w, "known", run->host_known);
	if (run->host_known) {
		dp_jw_str(w, "recorded_by", h->tool);
		dp_jw_str(w, "kernel", h->kernel);
		dp_jw_str(w, "machine", h->machine);
		dp_jw_str(w, "cpu", h->cpu);
		dp_jw_count(w, "cpus", h->ncpus);
		dp_jw_count(w, "memory_bytes", h->memory);
		dp_jw_num(w, "began_s", h->wall_s);
	}
	dp_jw_print(b, w);
}

static void series(struct dp_buf *b, const struct dp_run *run)
{
	const struct dp_run_column *c = run->column;
	bool failed = false;
	struct dp_jw w = { json_object_new_object(), &failed };
	uint32_t n = run->ncolumns;

	failed = !w.o;
	dp_jw_nums(w, "from_s", &c->t0, n, STRIDE);
	dp_jw_nums(w, "to_s", &c->t1, n, STRIDE);
	dp_jw_nums(w, "logged_s", &c->logged, n, STRIDE);
	dp_jw_nums(w, "new_pages", &c->fresh, n, STRIDE);
	dp_jw_nums(w, "sent_bytes", &c->sent, n, STRIDE);
	dp_jw_nums(w, "remaining_bytes", &c->left, n, STRIDE);
	dp_jw_nums(w, "stop_now_s", &c->stop_now, n, STRIDE);
	estimates(w, "dirty_rate_bytes_per_s", &c->rate, n);
	estimates(w, "dirtied_in_1s_bytes", &c->within_1s, n);
	dp_jw_nums(w, "cpu_s", &c->cpu, n, STRIDE);
	dp_jw_nums(w, "lost", &c->lost, n, STRIDE);
	events(w, run);
	heat(w, run);
	dp_jw_print(b, w);
}

void dp_run_json(struct dp_buf *b, const struct dp_run *run)
{
	bool failed = false;
	struct json_object *label = json_object_new_string(run->label);
	const char *s = label ? json_object_to_json_string_ext(label, JSON_C_TO_STRING_PLAIN) : NULL;

	failed = !s;
	dp_buf_printf(b, "{\"label\":%s,\"start\":", s ? s : "\"\"");
	json_object_put(label);
	if (run->started)
		dp_json_header(b, &run->start);
	else
		dp_buf_printf(b, "null");
	dp_buf_printf(b, ",\"host\":");
	host(b, run);
	dp_buf_printf(b, ",\"report\":");
	dp_json_final(b, &run->report);
	dp_buf_printf(b, ",\"table\":");
	if (run->tabled)
		dp_json_table(b, &run->table);
	else
		dp_buf_printf(b, "null");
	dp_buf_printf(b, ",\"series\":");
	series(b, run);
	dp_buf_printf(b, "}");
	b->failed |= failed;
}
