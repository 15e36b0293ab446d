// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* dirtyprof report --html, --compare: several traces at once. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/log.h"
#include "cli/replay.h"
#include "cli/textfile.h"
#include "report/compare.h"
#include "report/run.h"

/*
 * Each line of a VM of hundreds of GiB is a fit of many regions' curves, and a page needs no more of them than it has columns:
 * so many in all, spread over the file. While a migration runs there are all of them, as its predictions are made then.
 */
#define REGIONS_OF_ALL_LINES 64
#define REGION_LINES	     8192
#define FIRST_LINES	     16	  /* at most so many at its beginning, as a short file is one block or two */
#define REGION_S	     0.08 /* between those, for each region: the session fits no more often */

struct pages {
	const struct dp_opts *o;
	const char *path;
	struct dp_run *run[DP_HTML_RUNS];
	uint32_t n;
	uint32_t sessions; /* of this file */
	double next_line;  /* share of the file */
	double last_line;  /* s */
	uint32_t lines;
	bool migrating;
};

static int page_start(void *ctx, const struct dp_trace_event *ev, const struct dp_report *r)
{
	const struct dp_trace_host *h = &ev->start.host;
	const char *base = strrchr(((struct pages *)ctx)->path, '/');
	struct dp_run_host host = { .ncpus = h->ncpus, .memory = h->memory };
	struct pages *p = ctx;
	char label[DP_RUN_LABEL + 16];

	if (p->n == DP_HTML_RUNS) {
		dp_err("%s: a page shows %d sessions at most", p->path, DP_HTML_RUNS);
		return -E2BIG;
	}
	p->run[p->n] = calloc(1, sizeof(struct dp_run));
	if (!p->run[p->n]) {
		dp_err("out of memory");
		return -ENOMEM;
	}
	base = base ? base + 1 : p->path;
	if (p->sessions++)
		snprintf(label, sizeof(label), "%s, session %u", base, p->sessions);
	else
		snprintf(label, sizeof(label), "%s", base);
	dp_run_start(p->run[p->n], label, r);
	snprintf(host.tool, sizeof(host.tool), "%s", h->tool);
	snprintf(host.kernel, sizeof(host.kernel), "%s", h->kernel);
	snprintf(host.machine, sizeof(host.machine), "%s", h->machine);
	snprintf(host.cpu, sizeof(host.cpu), "%s", h->cpu);
	host.wall_s = h->wall_us ? (double)h->wall_us / 1e6 : NAN;
	dp_run_host(p->run[p->n++], &host);
	p->migrating = false;
	p->lines = 0;
	p->last_line = -HUGE_VAL;
	return 0;
}

static bool page_wants(void *ctx, const struct dp_snapshot *s, double done)
{
	struct pages *p = ctx;
	double t = (double)s->t1_ns / 1e9;
	bool early = p->lines < FIRST_LINES && t >= p->last_line + REGION_S * s->vm->nregions;

	if (s->vm->nregions > REGIONS_OF_ALL_LINES && !p->migrating && !s->wire.active &&
	    done < p->next_line && !early)
		return false;
	p->next_line = done + (double)s->vm->nregions / REGION_LINES;
	p->last_line = t;
	p->lines++;
	return true;
}

static int page_line(void *ctx, const struct dp_snapshot *s, const struct dp_report *r)
{
	struct pages *p = ctx;

	dp_run_add(p->run[p->n - 1], s, r);
	if (r)
		p->migrating = r->mig.outcome == DP_MIG_RUNNING;
	return 0;
}

static int page_final(void *ctx, const struct dp_report *r, bool whole)
{
	struct pages *p = ctx;
	int err = dp_run_final(p->run[p->n - 1], r);

	if (err)
		dp_err("out of memory");
	return err;
}

static int write_page(const struct pages *p)
{
	struct dp_buf page = { 0 };
	int err;

	dp_html(&page, (const struct dp_run *const *)p->run, p->n);
	if (page.failed)
		err = -ENOMEM;
	else if (!strcmp(p->o->html, "-"))
		err = dp_stdout_write(page.data, page.len);
	else
		err = dp_textfile_write(p->o->html, page.data, page.len);
	dp_buf_free(&page);
	if (err)
		dp_err("cannot write %s: %s", p->o->html, strerror(-err));
	return err;
}

/*
 * All files' sessions, into runs. A damaged file is shown as far as it goes, as elsewhere: then *damaged is the error to end
 * with.
 */
static int play_all(struct pages *p, int *damaged)
{
	struct dp_play play = {
		.start = page_start, .line = page_line, .final = page_final, .wants = page_wants, .ctx = p
	};
	int err = 0, k;

	*damaged = 0;
	for (k = 0; !err && k < p->o->nfiles; k++) {
		p->path = p->o->files[k];
		p->sessions = 0;
		p->next_line = 0;
		err = dp_play(p->path, p->o, &play);
		if (err == -EBADMSG && p->sessions && p->run[p->n - 1]->ended) {
			*damaged = err;
			err = 0;
		}
	}
	return err;
}

static void free_all(struct pages *p)
{
	uint32_t i;

	for (i = 0; i < p->n; i++)
		free(p->run[i]);
}

int dp_replay_html(const struct dp_opts *o)
{
	struct pages p = { .o = o };
	int damaged, err = play_all(&p, &damaged) ?: write_page(&p);

	free_all(&p);
	return err ?: damaged;
}

int dp_replay_compare(const struct dp_opts *o)
{
	struct dp_comparison *c = calloc(1, sizeof(*c));
	struct pages p = { .o = o };
	struct dp_buf b = { 0 };
	int damaged = 0, err = c ? play_all(&p, &damaged) : -ENOMEM;

	if (!err && p.n != 2) {
		dp_err("report: --compare takes two sessions, and these traces hold %u", p.n);
		err = -EINVAL;
	}
	if (!err) {
		dp_compare(c, p.run[0], p.run[1]);
		if (o->json)
			dp_json_compare(&b, c);
		else
			dp_text_compare(&b, c);
		err = b.failed ? -ENOMEM : 0;
		if (!err)
			err = dp_stdout_write(b.data, b.len);
		if (err)
			dp_err("cannot write the output: %s", strerror(-err));
	}
	dp_buf_free(&b);
	free_all(&p);
	free(c);
	return err ?: damaged;
}
