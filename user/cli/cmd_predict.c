// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* dirtyprof predict: the table of bandwidths and downtime limits, of a VM that is measured or from a file. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cmd.h"
#include "cli/log.h"
#include "cli/profile.h"
#include "cli/progress.h"
#include "cli/replay.h"
#include "cli/textfile.h"
#include "trace/trace.h"

#define MAX_LINE (16u << 20)

struct input {
	struct dp_basis basis;
	struct dp_basis_vm vm;
	struct dp_table_report table;
};

static void tick(void *ctx, uint32_t done, uint32_t all)
{
	dp_progress_share("predicting", *(uint64_t *)ctx, done, all);
}

static int print(struct profile *p, struct input *in)
{
	uint64_t start = dp_progress_now();
	struct dp_table_report *t = &in->table;
	uint32_t i;
	int err;

	t->no_cap = p->o.no_cap;
	t->nbandwidths = p->o.nbandwidths;
	t->nlimits = p->o.nlimits;
	memcpy(t->bandwidth, p->o.bandwidths, sizeof(t->bandwidth));
	for (i = 0; i < t->nlimits; i++)
		t->limit[i] = (double)p->o.limits_ns[i] / 1e9;
	err = dp_table_fill_told(&in->basis, &in->vm, t, tick, &start);
	if (err) {
		dp_err("%s",
		       err == -ENODATA
			       ? "nothing is known of this VM's dirtying: its RAM was not logged while it "
				 "was measured (--start does that)"
		       : err == -ENOMEM ? "out of memory"
					: "the numbers to predict from are out of range");
		return err;
	}
	dp_buf_reset(&p->buf);
	if (p->o.json)
		dp_json_table(&p->buf, t);
	else
		dp_text_table(&p->buf, t);
	err = p->buf.failed ? -ENOMEM : 0;
	dp_status_clear();
	if (!err)
		err = dp_stdout_write(p->buf.data, p->buf.len);
	if (err)
		dp_err("cannot write the output: %s", strerror(-err));
	p->status = dp_table_exit_status(t);
	return err;
}

/* Through the report's own JSON, so that a table now and one from a file are the same numbers by construction. */
int dp_profile_table(struct profile *p, const struct dp_report *r)
{
	struct input *in = calloc(1, sizeof(*in));
	char msg[160];
	int err = -ENOMEM;

	dp_buf_reset(&p->buf);
	dp_json_final(&p->buf, r);
	if (in && !p->buf.failed)
		err = dp_basis_parse(p->buf.data, p->buf.len, &in->basis, &in->vm, msg, sizeof(msg));
	if (err)
		dp_err("the report cannot be read back: %s", err == -ENOMEM ? "out of memory" : msg);
	else
		err = print(p, in);
	free(in);
	return err;
}

/* A line without its end, at most MAX_LINE bytes. 1, 0 at the end, -E2BIG, -ENOMEM, -errno. */
static int read_line(FILE *f, struct dp_buf *b)
{
	int c;

	dp_buf_reset(b);
	while ((c = getc_unlocked(f)) != EOF && c != '\n') {
		char one = (char)c;

		if (b->len == MAX_LINE)
			return -E2BIG;
		dp_buf_append(b, &one, 1);
		if (b->failed)
			return -ENOMEM;
	}
	if (ferror(f))
		return errno ? -errno : -EIO;
	return c == '\n' || b->len;
}

/* The last report of the file counts. */
static int read_file(FILE *f, const char *name, struct dp_buf *b, struct input *in)
{
	struct input *one = calloc(1, sizeof(*one));
	char msg[160];
	unsigned long line = 0;
	bool found = false;
	int err;

	if (!one)
		return -ENOMEM;
	while ((err = read_line(f, b)) > 0) {
		line++;
		if (!b->len)
			continue;
		err = dp_basis_parse(b->data, b->len, &one->basis, &one->vm, msg, sizeof(msg));
		if (err < 0) {
			dp_err("%s: line %lu: %s", name, line, err == -ENOMEM ? "out of memory" : msg);
			goto cleanup;
		}
		if (!err) {
			*in = *one;
			found = true;
		}
	}
	if (err) {
		dp_err("%s: line %lu: %s", name, line + 1,
		       err == -E2BIG ? "longer than any record" : strerror(-err));
	} else if (!found) {
		dp_err("%s: no report in it: it takes a trace, or what dirtyprof -p PID --json printed, to its end",
		       name);
		err = -ENODATA;
	}
cleanup:
	free(one);
	return err;
}

/* The numbers of a report are made; only of what was measured can others be made. */
static bool json_has(const struct dp_opts *o)
{
	return !(o->switchover > 0) && !o->fixed_given && !(o->throttle > 0) && !o->learned &&
	       !(o->from > 0) && !isfinite(o->to) && o->merge <= 1;
}

static int table_of_json(struct profile *p)
{
	bool in_stdin = !strcmp(p->o.file, "-");
	const char *name = in_stdin ? "stdin" : p->o.file;
	FILE *f = in_stdin ? stdin : fopen(p->o.file, "re");
	struct input *in = calloc(1, sizeof(*in));
	struct dp_buf line = { 0 };
	int err;

	if (!json_has(&p->o)) {
		err = -EINVAL;
		dp_err("predict: of the options, what --json printed takes only --bandwidth, --downtime-limit, --no-cap; "
		       "a trace takes more");
	} else if (!f) {
		err = -errno;
		dp_err("%s: %s", name, strerror(errno));
	} else if (!in) {
		err = -ENOMEM;
		dp_err("out of memory");
	} else {
		err = read_file(f, name, &line, in) ?: print(p, in);
	}
	if (f && !in_stdin)
		fclose(f);
	dp_buf_free(&line);
	free(in);
	return err;
}

int dp_table_of_file(struct profile *p)
{
	return strcmp(p->o.file, "-") && dp_trace_is(p->o.file) ? dp_replay(p) : table_of_json(p);
}

int dp_cmd_predict(int argc, char **argv)
{
	return dp_profile_main(argc, argv, PROFILE_PREDICT);
}
