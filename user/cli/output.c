// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Where reports go: stdout and the Prometheus file. The same for a live session and for one that is replayed. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/log.h"
#include "cli/profile.h"
#include "cli/textfile.h"

/* A message is about to be written to the terminal. */
static void make_way(void *ctx)
{
	struct profile *p = ctx;

	if (isatty(STDERR_FILENO))
		dp_view_erase(p->view);
}

int dp_out_open(struct profile *p)
{
	bool live = !p->o.file && !p->o.quiet && !p->o.predict && !p->o.json;

	p->view = dp_view_new(p->o.heatmap, p->o.curve, live);
	if (!p->view) {
		dp_err("out of memory");
		return -ENOMEM;
	}
	dp_log_before(make_way, p);
	return 0;
}

void dp_out_close(struct profile *p)
{
	dp_status_clear();
	dp_log_before(NULL, NULL);
	dp_view_free(p->view);
	p->view = NULL;
	dp_buf_free(&p->buf);
	dp_buf_free(&p->prom);
}

int dp_out_flush(struct profile *p)
{
	int err = 0;

	if (p->buf.failed)
		err = -ENOMEM;
	else if (p->o.predict || p->o.quiet) /* its table, or nothing, comes at the end */
		err = 0;
	else if (p->buf.len) {
		if (isatty(STDOUT_FILENO))
			dp_status_clear();
		err = dp_stdout_write(p->buf.data, p->buf.len);
	}
	dp_buf_reset(&p->buf);
	if (err == -EPIPE)
		dp_debug("nobody reads stdout any more");
	else if (err)
		dp_err("cannot write the output: %s", strerror(-err));
	return err;
}

int dp_out_prom(struct profile *p, const struct dp_report *r, bool stale)
{
	const struct dp_report *const one[] = { r };
	int err;

	if (!p->o.prometheus)
		return 0;
	dp_buf_reset(&p->prom);
	if (stale)
		dp_prom_stale(&p->prom, one, 1);
	else
		dp_prom(&p->prom, one, 1);
	err = p->prom.failed ? -ENOMEM : dp_textfile_write(p->o.prometheus, p->prom.data, p->prom.len);
	if (err)
		dp_err("cannot write %s: %s", p->o.prometheus, strerror(-err));
	return err;
}

int dp_out_header(struct profile *p, const struct dp_report *r)
{
	if (p->o.json)
		dp_json_header(&p->buf, r);
	else
		dp_view_header(p->view, &p->buf, r);
	return dp_out_flush(p);
}

int dp_out_line(struct profile *p, const struct dp_report *r)
{
	if (p->o.json)
		dp_json_line(&p->buf, r);
	else
		dp_view_line(p->view, &p->buf, r);
	return dp_out_flush(p);
}

int dp_out_final(struct profile *p, const struct dp_report *r)
{
	if (p->o.predict)
		return dp_profile_table(p, r);
	if (p->o.json)
		dp_json_final(&p->buf, r);
	else
		dp_view_final(p->view, &p->buf, r);
	p->status = p->o.quiet ? 0 : dp_report_exit_status(r);
	return dp_out_flush(p);
}
