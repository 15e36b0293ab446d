// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "play.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <json-c/json.h>

#include "cli/cmd.h"
#include "cli/log.h"
#include "cli/replay.h"
#include "report/run.h"
#include "fuzz.h"

#define MAX_SHOWN 24 /* lines: each may fit the curve */

void __wrap_dp_log(enum dp_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static unsigned int messages;

void dp_usage(void) /* main.c is left out */
{
}

void __wrap_dp_log(enum dp_level level, const char *fmt, ...)
{
	char line[DP_LOG_LINE];
	va_list ap;

	va_start(ap, fmt);
	FUZZ_CHECK(vsnprintf(line, sizeof(line), fmt, ap) > 0);
	va_end(ap);
	messages += level <= DP_LVL_WARN;
}

struct shown {
	struct dp_buf text, json, prom;
	struct dp_run *run;
	unsigned int n;
	bool table, page;
};

/* One JSON record a line, nothing that a terminal obeys, and what was printed is forgotten. */
static void check(struct shown *s)
{
	struct json_object *o;
	size_t i;

	FUZZ_CHECK(!s->text.failed && !s->json.failed && !s->prom.failed);
	for (i = 0; i < s->text.len; i++)
		FUZZ_CHECK((unsigned char)s->text.data[i] >= 0x20 || s->text.data[i] == '\n');
	if (s->json.len) {
		FUZZ_CHECK(memchr(s->json.data, '\n', s->json.len) == s->json.data + s->json.len - 1);
		o = json_tokener_parse(s->json.data);
		FUZZ_CHECK(o);
		json_object_put(o);
	}
	for (i = 0; i < s->prom.len; i++)
		FUZZ_CHECK((unsigned char)s->prom.data[i] >= 0x20 || s->prom.data[i] == '\n');
	dp_buf_reset(&s->text);
	dp_buf_reset(&s->json);
	dp_buf_reset(&s->prom);
}

static unsigned int count(const char *s, const char *what)
{
	unsigned int n = 0;

	while ((s = strstr(s, what))) {
		n++;
		s += strlen(what);
	}
	return n;
}

/* The page of --html: nothing of the run is taken for its own tags. */
static void page(struct shown *s)
{
	const struct dp_run *const one[] = { s->run };
	struct dp_buf b = { 0 };
	struct json_object *o;

	dp_run_json(&b, s->run);
	FUZZ_CHECK(!b.failed);
	o = json_tokener_parse(b.data);
	FUZZ_CHECK(o);
	json_object_put(o);
	dp_buf_reset(&b);
	dp_html(&b, one, 1);
	FUZZ_CHECK(!b.failed && strlen(b.data) == b.len);
	FUZZ_CHECK(count(b.data, "</html>") == 1 && count(b.data, "<body") == 1);
	FUZZ_CHECK(count(b.data, "<script") == count(b.data, "</script>"));
	FUZZ_CHECK(!count(b.data, "<img") && !count(b.data, "javascript:"));
	dp_buf_free(&b);
}

static int on_start(void *ctx, const struct dp_trace_event *ev, const struct dp_report *r)
{
	struct shown *s = ctx;

	dp_text_header(&s->text, r);
	dp_json_header(&s->json, r);
	memset(s->run, 0, sizeof(*s->run));
	dp_run_start(s->run, "</script><img>", r);
	check(s);
	return ++s->n > MAX_SHOWN ? -ECANCELED : 0;
}

static int on_line(void *ctx, const struct dp_snapshot *snap, const struct dp_report *r)
{
	struct shown *s = ctx;
	const struct dp_report *const one[] = { r };

	dp_run_add(s->run, snap, r);
	if (r) {
		dp_text_line(&s->text, r);
		dp_json_line(&s->json, r);
		dp_prom(&s->prom, one, 1);
		check(s);
	}
	return ++s->n > MAX_SHOWN ? -ECANCELED : 0;
}

/* What `predict` makes of it, through the report's JSON. */
static void table(struct shown *s)
{
	static struct dp_table_report t;
	static struct dp_basis b;
	struct dp_basis_vm vm;
	char msg[160];

	if (dp_basis_parse(s->json.data, s->json.len, &b, &vm, msg, sizeof(msg))) {
		fprintf(stderr, "the report cannot be read back: %s\n", msg);
		abort();
	}
	memset(&t, 0, sizeof(t));
	if (dp_table_fill(&b, &vm, &t))
		return;
	dp_text_table(&s->text, &t);
}

static int on_final(void *ctx, const struct dp_report *r, bool whole)
{
	struct shown *s = ctx;
	const struct dp_report *const one[] = { r };

	dp_text_final(&s->text, r);
	dp_json_final(&s->json, r);
	dp_prom_stale(&s->prom, one, 1);
	if (s->table)
		table(s);
	if (s->page && !dp_run_final(s->run, r))
		page(s);
	check(s);
	return 0;
}

void fuzz_play(const uint8_t *file, size_t len)
{
	struct shown s = { .table = len % 8 == 0, .page = len % 8 == 1, .run = malloc(sizeof(*s.run)) };
	const struct dp_play play = { .start = on_start, .line = on_line, .final = on_final, .ctx = &s };
	struct dp_opts o = { .report = true, .to = HUGE_VAL, .merge = 1 };
	int fd = memfd_create("trace", MFD_CLOEXEC), err;
	char path[64];

	FUZZ_CHECK(s.run && fd >= 0 && write(fd, file, len) == (ssize_t)len);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	messages = 0;
	err = dp_play(path, &o, &play);
	FUZZ_CHECK(err <= 0);
	FUZZ_CHECK(err == -ECANCELED || !err || messages == 1);
	FUZZ_CHECK(err != -ENOMEM);
	close(fd);
	free(s.run);
	dp_buf_free(&s.text);
	dp_buf_free(&s.json);
	dp_buf_free(&s.prom);
}
