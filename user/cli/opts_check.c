// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which options and arguments each command takes. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <string.h>

#include "cli/log.h"
#include "cli/opts.h"
#include "cli/opts_int.h"
#include "cli/units.h"
#include "report/run.h"

static int positional(struct dp_opts *o, int argc, char **argv)
{
	if (optind < argc) {
		if (dp_parse_duration(argv[optind], &o->interval_ns) || o->interval_ns < 50000000ull ||
		    o->interval_ns > 3600ull * 1000000000ull)
			return dp_opts_bad("interval", argv[optind],
					   "a time from 50ms to 1h (plain numbers are seconds)");
		optind++;
	}
	if (optind < argc) {
		if (dp_parse_uint(argv[optind], 1, 1ull << 40, &o->count))
			return dp_opts_bad("count", argv[optind], "a number of intervals from 1");
		optind++;
	}
	if (optind < argc) {
		dp_err("unexpected argument \"%s\" (see dirtyprof --help)", argv[optind]);
		return -EINVAL;
	}
	return 0;
}

/* What only a trace has. */
static bool replays(const struct dp_opts *o)
{
	return o->from > 0 || isfinite(o->to) || o->merge > 1 || o->html;
}

/* Pictures are for people. */
static int pictures(const struct dp_opts *o)
{
	if (!o->json || !(o->heatmap || o->curve))
		return 0;
	dp_err("--heatmap and --curve are text, so not with --json");
	return -EINVAL;
}

int dp_opts_parse(struct dp_opts *o, int argc, char **argv)
{
	int err;

	memset(o, 0, sizeof(*o));
	err = dp_opts_read(o, argc, argv);
	if (err || o->help || o->version)
		return err;
	if (o->no_cap) {
		dp_err("--no-cap is for dirtyprof predict alone");
		return -EINVAL;
	}
	if (replays(o)) {
		dp_err("--from, --to, --merge and --html are for a trace: dirtyprof report");
		return -EINVAL;
	}
	if (o->append && !o->record) {
		dp_err("--append: into which trace? (-o FILE)");
		return -EINVAL;
	}
	err = pictures(o) ?: positional(o, argc, argv);
	if (err)
		return err;
	if (!o->pid) {
		dp_err("no VM given: dirtyprof -p PID (dirtyprof list shows this host's)");
		return -EINVAL;
	}
	return 0;
}

int dp_opts_parse_record(struct dp_opts *o, int argc, char **argv)
{
	int err = dp_opts_parse(o, argc, argv);

	if (err || o->help || o->version)
		return err;
	if (!o->record) {
		dp_err("record: into which file? (-o FILE)");
		return -EINVAL;
	}
	if (o->json || o->heatmap || o->curve) {
		dp_err("record: nothing is printed (--json, --heatmap, --curve); dirtyprof -p PID --record FILE prints as well");
		return -EINVAL;
	}
	o->quiet = true;
	return 0;
}

/* What only a measurement can obey. */
static bool asks_to_measure(const struct dp_opts *o)
{
	return o->pid || o->start || o->qmp || o->window_ns || o->source || o->no_peek || o->compare ||
	       o->no_learned || o->record || o->append;
}

static int several(const struct dp_opts *o)
{
	if (o->html && o->compare_runs) {
		dp_err("report: --html and --compare are two things; a page about several traces compares them, too");
		return -EINVAL;
	}
	if ((o->html || o->compare_runs) &&
	    (o->prometheus || o->merge > 1 || o->heatmap || o->curve || (o->html && o->json))) {
		dp_err("report: other outputs and --merge do not go with %s",
		       o->html ? "--html" : "--compare, but --json does");
		return -EINVAL;
	}
	if (o->html && (o->nfiles < 1 || o->nfiles > DP_HTML_RUNS)) {
		dp_err("report: --html takes one trace or up to %d (dirtyprof record makes them)",
		       DP_HTML_RUNS);
		return -EINVAL;
	}
	if (o->compare_runs && o->nfiles != 2) {
		dp_err("report: --compare takes two traces");
		return -EINVAL;
	}
	if (!o->html && !o->compare_runs && o->nfiles != 1) {
		dp_err("report: give one trace (dirtyprof record makes them)");
		return -EINVAL;
	}
	return 0;
}

int dp_opts_parse_report(struct dp_opts *o, int argc, char **argv)
{
	int err;

	memset(o, 0, sizeof(*o));
	o->report = true;
	err = dp_opts_read(o, argc, argv);
	if (err || o->help || o->version)
		return err;
	/* Without a rate it is about runs here, not about contents. */
	if (o->compare == DP_COMPARE_ON && !(o->compare_bps > 0)) {
		o->compare_runs = true;
		o->compare = DP_COMPARE_AUTO;
	}
	if (asks_to_measure(o) || o->no_cap) {
		dp_err("report: it shows what was recorded; of the options, those on what to predict for and on output apply");
		return -EINVAL;
	}
	o->file = argv[optind];
	o->files = argv + optind;
	o->nfiles = argc - optind;
	return several(o) ?: pictures(o);
}

int dp_opts_parse_predict(struct dp_opts *o, int argc, char **argv)
{
	int err;

	memset(o, 0, sizeof(*o));
	o->predict = true;
	err = dp_opts_read(o, argc, argv);
	if (err || o->help || o->version)
		return err;
	if (o->heatmap || o->curve) {
		dp_err("predict: a table has no pictures (--heatmap, --curve)");
		return -EINVAL;
	}
	if (o->prometheus) {
		dp_err("predict: a table has no Prometheus form (--prometheus)");
		return -EINVAL;
	}
	if (o->pid) {
		uint32_t i;

		/* The slowest path has the longest first round, so the curve is needed as far as that. */
		for (i = 0; i < o->nbandwidths; i++)
			if (!i || o->bandwidths[i] < o->bandwidth)
				o->bandwidth = o->bandwidths[i];
		return positional(o, argc, argv);
	}
	if (optind != argc - 1) {
		dp_err("predict: give a VM (-p PID), or one file: a trace, or what dirtyprof --json printed (- is stdin)");
		return -EINVAL;
	}
	o->file = argv[optind];
	if (asks_to_measure(o) || o->html) {
		dp_err("predict: of the options, a file takes only those on what to predict for, and --json");
		return -EINVAL;
	}
	return 0;
}
