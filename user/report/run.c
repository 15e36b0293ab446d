// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* How a run went over time, in a bounded number of columns. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "run.h"
#include "model/session_int.h"

#define LEAST_WIDTH                                                                                          \
	0.05 /* s: the shortest interval there is; in less, a lump of acknowledgements looks like a rate */

const char *dp_run_event_name(enum dp_run_event_kind k)
{
	static const char *const name[] = { "logging-on", "logging-off", "migration-begins", "migration-done",
					    "migration-cancelled" };

	return name[k];
}

double dp_run_fresh_bps(const struct dp_run_column *c)
{
	return c->logged > 0 ? c->fresh * DP_WIRE_UNIT / c->logged : NAN;
}

void dp_run_start(struct dp_run *run, const char *label, const struct dp_report *r)
{
	dp_clean(run->label, sizeof(run->label), label);
	run->start = *r;
	run->started = true;
	run->width = LEAST_WIDTH;
	run->outcome = r->mig.outcome;
}

void dp_run_host(struct dp_run *run, const struct dp_run_host *host)
{
	struct dp_run_host *h = &run->host;

	*h = *host;
	dp_clean(h->tool, sizeof(h->tool), host->tool);
	dp_clean(h->kernel, sizeof(h->kernel), host->kernel);
	dp_clean(h->machine, sizeof(h->machine), host->machine);
	dp_clean(h->cpu, sizeof(h->cpu), host->cpu);
	run->host_known = true;
}

static void add_event(struct dp_run *run, double t, enum dp_run_event_kind kind)
{
	if (run->nevents < DP_RUN_EVENTS)
		run->event[run->nevents++] = (struct dp_run_event){ t, kind };
	else
		run->dropped_events++;
}

/* b follows a. */
static void merge(struct dp_run_column *a, const struct dp_run_column *b)
{
	uint32_t i;

	a->t1 = b->t1;
	a->logged += b->logged;
	a->fresh += b->fresh;
	a->sent += b->sent;
	a->cpu += b->cpu;
	a->lost += b->lost;
	a->left = b->left;
	if (!isnan(b->stop_now))
		a->stop_now = b->stop_now;
	if (!isnan(b->rate.mid)) {
		a->rate = b->rate;
		a->within_1s = b->within_1s;
	}
	for (i = 0; i < DP_HEAT_BINS; i++)
		a->heat[i] += b->heat[i];
}

/* Half as many columns, each twice as long at least: neighbours join until they are. */
static void thin_out(struct dp_run *run)
{
	uint32_t i, n = 0;

	run->width = (run->column[run->ncolumns - 1].t1 - run->column[0].t0) / (DP_RUN_COLUMNS / 2);
	for (i = 1; i < run->ncolumns; i++) {
		struct dp_run_column *last = &run->column[n];

		if (last->t1 - last->t0 < run->width)
			merge(last, &run->column[i]);
		else
			run->column[++n] = run->column[i];
	}
	run->ncolumns = n + 1;
}

static void append(struct dp_run *run, const struct dp_run_column *c)
{
	struct dp_run_column *last = run->ncolumns ? &run->column[run->ncolumns - 1] : NULL;

	if (last && last->t1 - last->t0 < run->width) {
		merge(last, c);
		return;
	}
	if (run->ncolumns == DP_RUN_COLUMNS)
		thin_out(run);
	run->column[run->ncolumns++] = *c;
}

/*
 * Pages that were dirtied at some time from `from` on, up to the end of the last column. They join the columns that this time
 * lies in, in proportion.
 */
static void spread(struct dp_run *run, double from, double fresh, const uint64_t *heat)
{
	struct dp_run_column *c = &run->column[run->ncolumns - 1];
	double end = c->t1, hi = end;
	uint32_t i;

	for (;; c--) {
		/* what was before the first column counts in it, and a gap in what precedes it */
		bool first = c == run->column || c->t0 <= from;
		double part = end > from ? (hi - (first ? from : c->t0)) / (end - from) : 1;

		c->fresh += fresh * part;
		for (i = 0; i < DP_HEAT_BINS; i++)
			c->heat[i] += (float)((double)heat[i] * part);
		if (first || !(end > from))
			return;
		hi = c->t0;
	}
}

/* Since when the pages of this snapshot may have been dirtied, s. */
static double dirtied_since(const struct dp_snapshot *s)
{
	double from = (double)s->t0_ns;
	uint32_t i;

	if (s->source == DP_SRC_RING || (s->source == DP_SRC_MARK && s->vm->log_mode != DP_LOG_BITMAP))
		return from * NS;
	for (i = 0; i < s->nsyncs; i++) {
		const struct dp_sync *y = &s->syncs[i];

		if (y->since_ns && y->since_ns <= y->t_ns)
			from = fmin(from, (double)(y->t_ns - y->since_ns));
	}
	return from * NS;
}

static void take_events(struct dp_run *run, const struct dp_report *r)
{
	static const enum dp_run_event_kind ends[] = {
		[DP_MIG_DONE] = DP_RUN_MIG_DONE, [DP_MIG_CANCELLED] = DP_RUN_MIG_CANCELLED
	};
	bool was_running = run->outcome == DP_MIG_RUNNING, running = r->mig.outcome == DP_MIG_RUNNING;

	/* one that began and ended within a snapshot is both at once */
	if (!was_running && r->mig.outcome != run->outcome)
		add_event(run, r->mig.start, DP_RUN_MIG_BEGINS);
	if (!running && r->mig.outcome != DP_MIG_NONE && r->mig.outcome != run->outcome)
		add_event(run, fmin(r->t, r->mig.start + r->mig.elapsed), ends[r->mig.outcome]);
	run->outcome = r->mig.outcome;
}

/* A VM changes also when it begins to log: what matters is whether its parts are others. */
static void take_ranges(struct dp_run *run, const struct dp_vm *vm)
{
	struct dp_heat_range now[DP_HEAT_BINS];

	if (run->ncolumns && vm->generation == run->generation)
		return;
	memset(now, 0, sizeof(now));
	dp_heat_ranges(vm, now);
	run->moved |= run->ncolumns > 0 && memcmp(now, run->range, sizeof(now)) != 0;
	run->generation = vm->generation;
	memcpy(run->range, now, sizeof(now));
}

void dp_run_add(struct dp_run *run, const struct dp_snapshot *s, const struct dp_report *line)
{
	struct dp_run_column c = { .t0 = (double)s->t0_ns * NS, .t1 = (double)s->t1_ns * NS };
	bool logged = run->ncolumns ? run->logging : run->start.logging;

	take_ranges(run, s->vm);
	if (logged != s->logging)
		add_event(run, c.t1, s->logging ? DP_RUN_LOG_ON : DP_RUN_LOG_OFF);
	run->logging = s->logging;
	c.logged = fmin(c.t1 - c.t0, (double)s->logged_ns * NS);
	if (s->wire.active)
		c.sent = (double)(s->wire.tcp ? s->wire.acked_bytes : s->wire.sent_bytes);
	c.cpu = (double)(s->self.user_ns + s->self.bpf_ns) * NS;
	c.lost = (double)s->self.lost;
	c.left = c.stop_now = NAN;
	c.rate = c.within_1s = dp_est_nan();
	if (line) {
		take_events(run, line);
		c.rate = line->rate[DP_4K];
		c.within_1s = line->u[DP_4K][DP_POINT_1S];
		c.stop_now = line->pred.stop_now.mid;
		if (line->mig.outcome == DP_MIG_RUNNING)
			c.left = line->mig.remaining;
	}
	append(run, &c);
	spread(run, dirtied_since(s), (double)s->new_blocks[DP_4K], s->heat);
}

int dp_run_final(struct dp_run *run, const struct dp_report *r)
{
	struct dp_basis_vm vm = { .pid = r->vm.pid, .t = r->t, .logged = r->logged, .ram = r->vm.ram };
	int err;

	run->report = *r;
	run->ended = true;
	if (run->started)
		take_events(run, r);
	vm.wall_s = r->wall_us ? (double)r->wall_us / 1e6 : NAN;
	memcpy(vm.name, r->vm.name, sizeof(vm.name));
	memcpy(vm.qemu_version, r->vm.qemu_version, sizeof(vm.qemu_version));
	err = dp_table_fill(&r->basis, &vm, &run->table);
	run->tabled = !err;
	return err == -ENOMEM ? err : 0;
}
