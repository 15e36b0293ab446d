// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "cli/opts_int.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/log.h"
#include "cli/units.h"
#include "probe/bpf_util.h"

enum {
	OPT_JSON = 256,
	OPT_PROM,
	OPT_BW,
	OPT_SWITCHOVER,
	OPT_LIMIT,
	OPT_FIXED,
	OPT_THROTTLE,
	OPT_SOURCE,
	OPT_START,
	OPT_QMP,
	OPT_WINDOW,
	OPT_NO_PEEK,
	OPT_COMPARE,
	OPT_NO_COMPARE,
	OPT_HOOK,
	OPT_BTF,
	OPT_NO_CAP,
	OPT_LEARNED,
	OPT_NO_LEARNED,
	OPT_RECORD,
	OPT_APPEND,
	OPT_FROM,
	OPT_TO,
	OPT_MERGE,
	OPT_HEATMAP,
	OPT_CURVE,
	OPT_HTML,
	OPT_VERSION,
};

static const struct option longopts[] = {
	{ "pid", required_argument, NULL, 'p' },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "prometheus", required_argument, NULL, OPT_PROM },
	{ "bandwidth", required_argument, NULL, OPT_BW },
	{ "switchover-bandwidth", required_argument, NULL, OPT_SWITCHOVER },
	{ "downtime-limit", required_argument, NULL, OPT_LIMIT },
	{ "fixed-downtime", required_argument, NULL, OPT_FIXED },
	{ "throttle", required_argument, NULL, OPT_THROTTLE },
	{ "source", required_argument, NULL, OPT_SOURCE },
	{ "start", optional_argument, NULL, OPT_START },
	{ "qmp", required_argument, NULL, OPT_QMP },
	{ "window", required_argument, NULL, OPT_WINDOW },
	{ "no-peek", no_argument, NULL, OPT_NO_PEEK },
	{ "compare", optional_argument, NULL, OPT_COMPARE },
	{ "no-compare", no_argument, NULL, OPT_NO_COMPARE },
	{ "btf", required_argument, NULL, OPT_BTF },
	{ "hook", required_argument, NULL, OPT_HOOK },
	{ "no-cap", no_argument, NULL, OPT_NO_CAP },
	{ "learned", required_argument, NULL, OPT_LEARNED },
	{ "no-learned", no_argument, NULL, OPT_NO_LEARNED },
	{ "record", required_argument, NULL, OPT_RECORD },
	{ "output", required_argument, NULL, 'o' },
	{ "append", no_argument, NULL, OPT_APPEND },
	{ "from", required_argument, NULL, OPT_FROM },
	{ "to", required_argument, NULL, OPT_TO },
	{ "merge", required_argument, NULL, OPT_MERGE },
	{ "heatmap", no_argument, NULL, OPT_HEATMAP },
	{ "curve", no_argument, NULL, OPT_CURVE },
	{ "html", required_argument, NULL, OPT_HTML },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

int dp_opts_bad(const char *what, const char *value, const char *want)
{
	dp_err("%s: \"%s\" is not %s", what, value, want);
	return -EINVAL;
}

static int bandwidth(const char *name, const char *value, double *out)
{
	if (!dp_parse_bandwidth(value, out))
		return 0;
	return dp_opts_bad(name, value, "a bandwidth (10G, 866.83M: bits/s; 125MB/s, 128MiB/s: bytes/s)");
}

static int duration(const char *name, const char *value, uint64_t *out)
{
	if (!dp_parse_duration(value, out))
		return 0;
	return dp_opts_bad(name, value, "a time (300ms, 1.5s, 2)");
}

/* The next item of a list, copied; one that is too long for any value is cut, and is none either way. */
static const char *item(const char **list, char *buf, size_t size)
{
	size_t n = strcspn(*list, ",");

	snprintf(buf, size, "%.*s", (int)(n < size ? n : size - 1), *list);
	*list += n;
	*list += **list == ',';
	return buf;
}

static int bandwidths(struct dp_opts *o, const char *list)
{
	char buf[64];

	o->nbandwidths = 0;
	do {
		if (o->nbandwidths == DP_TABLE_MAX) {
			dp_err("--bandwidth: at most %d of them", DP_TABLE_MAX);
			return -EINVAL;
		}
		if (bandwidth("--bandwidth", item(&list, buf, sizeof(buf)), &o->bandwidths[o->nbandwidths]))
			return -EINVAL;
		o->nbandwidths++;
	} while (*list);
	return 0;
}

static int limit(const char *value, uint64_t *ns)
{
	if (duration("--downtime-limit", value, ns))
		return -EINVAL;
	return *ns > LIMIT_MAX_NS
		       ? dp_opts_bad("--downtime-limit", value, "a limit that QEMU takes (up to 2000s)")
		       : 0;
}

static int limits(struct dp_opts *o, const char *list)
{
	char buf[64];

	o->nlimits = 0;
	do {
		uint64_t *ns = &o->limits_ns[o->nlimits];

		if (o->nlimits == DP_TABLE_MAX) {
			dp_err("--downtime-limit: at most %d of them", DP_TABLE_MAX);
			return -EINVAL;
		}
		if (duration("--downtime-limit", item(&list, buf, sizeof(buf)), ns))
			return -EINVAL;
		if (!*ns || *ns > LIMIT_MAX_NS)
			return dp_opts_bad("--downtime-limit", buf, "a limit that QEMU takes (1ms to 2000s)");
		o->nlimits++;
	} while (*list);
	return 0;
}

static int throttle(const char *value, double *out)
{
	uint64_t pct;
	char num[8];
	size_t n = strlen(value);

	if (n && value[n - 1] == '%')
		n--;
	if (!n || n >= sizeof(num))
		return dp_opts_bad("--throttle", value, "a percentage from 0 to 99");
	memcpy(num, value, n);
	num[n] = '\0';
	if (dp_parse_uint(num, 0, 99, &pct))
		return dp_opts_bad("--throttle", value, "a percentage from 0 to 99");
	*out = (double)pct / 100;
	return 0;
}

static int source(const char *value, enum dp_source *out)
{
	if (!strcmp(value, "ring"))
		*out = DP_SRC_RING;
	else if (!strcmp(value, "harvest"))
		*out = DP_SRC_HARVEST;
	else if (!strcmp(value, "mark"))
		*out = DP_SRC_MARK;
	else if (!strcmp(value, "auto"))
		*out = DP_SRC_NONE;
	else
		return dp_opts_bad("--source", value, "one of auto, ring, mark, harvest");
	return 0;
}

static int prometheus(const char *value, const char **out)
{
	size_t n = strlen(value);

	/* node_exporter reads nothing else, so a file of another name would silently never be seen. */
	if (n < 6 || strcmp(value + n - 5, ".prom"))
		return dp_opts_bad("--prometheus", value, "a file whose name ends in .prom");
	*out = value;
	return 0;
}

int dp_use_btf(const char *path)
{
	char msg[DP_LOG_LINE];
	int err = dp_bpf_use_btf(path, msg, sizeof(msg));

	if (err)
		dp_err("%s", msg);
	return err;
}

int dp_take_btf(int *argc, char **argv)
{
	const char *path = NULL;
	int from, to = 1;

	for (from = 1; from < *argc; from++) {
		if (!strncmp(argv[from], "--btf=", 6)) {
			path = argv[from] + 6;
		} else if (!strcmp(argv[from], "--btf")) {
			if (++from == *argc) {
				dp_err("option --btf needs a value (see dirtyprof --help)");
				return -EINVAL;
			}
			path = argv[from];
		} else {
			argv[to++] = argv[from];
		}
	}
	*argc = to;
	return path ? dp_use_btf(path) : 0;
}

static int hook(const char *value, struct dp_hooks *out)
{
	char want[256];

	return dp_hooks_ask(out, value, want, sizeof(want)) ? dp_opts_bad("--hook", value, want) : 0;
}

static int moment(const char *name, const char *value, double *out)
{
	uint64_t ns;
	int err = duration(name, value, &ns);

	*out = err ? 0 : (double)ns / 1e9;
	return err;
}

static int one(struct dp_opts *o, int c)
{
	switch (c) {
	case 'p':
		return dp_parse_pid(optarg, &o->pid)
			       ? dp_opts_bad("-p", optarg, "a process id (1 to 4194304)")
			       : 0;
	case OPT_JSON:
		o->json = true;
		return 0;
	case OPT_PROM:
		return prometheus(optarg, &o->prometheus);
	case OPT_BW:
		return o->predict ? bandwidths(o, optarg) : bandwidth("--bandwidth", optarg, &o->bandwidth);
	case OPT_SWITCHOVER:
		return bandwidth("--switchover-bandwidth", optarg, &o->switchover);
	case OPT_LIMIT:
		return o->predict ? limits(o, optarg) : limit(optarg, &o->limit_ns);
	case OPT_FIXED:
		o->fixed_given = true;
		return duration("--fixed-downtime", optarg, &o->fixed_ns);
	case OPT_LEARNED:
		o->learned = optarg;
		return 0;
	case OPT_NO_LEARNED:
		o->no_learned = true;
		return 0;
	case OPT_THROTTLE:
		return throttle(optarg, &o->throttle);
	case OPT_SOURCE:
		return source(optarg, &o->source);
	case OPT_START:
		o->start = true;
		if (optarg)
			o->qmp = optarg;
		return 0;
	case OPT_QMP:
		o->qmp = optarg;
		return 0;
	case OPT_WINDOW:
		return duration("--window", optarg, &o->window_ns);
	case OPT_NO_PEEK:
		o->no_peek = true;
		return 0;
	case OPT_COMPARE:
		o->compare = DP_COMPARE_ON;
		return optarg ? bandwidth("--compare", optarg, &o->compare_bps) : 0;
	case OPT_NO_COMPARE:
		o->compare = DP_COMPARE_OFF;
		return 0;
	case OPT_NO_CAP:
		o->no_cap = true;
		return 0;
	case OPT_RECORD:
	case 'o':
		o->record = optarg;
		return 0;
	case OPT_APPEND:
		o->append = true;
		return 0;
	case OPT_FROM:
	case OPT_TO:
		return moment(c == OPT_FROM ? "--from" : "--to", optarg, c == OPT_FROM ? &o->from : &o->to);
	case OPT_MERGE:
		return dp_parse_uint(optarg, 1, 1ull << 40, &o->merge)
			       ? dp_opts_bad("--merge", optarg, "a number of intervals from 1")
			       : 0;
	case OPT_HTML:
		o->html = optarg;
		return *optarg ? 0 : dp_opts_bad("--html", optarg, "a file");
	case OPT_BTF:
		return dp_use_btf(optarg);
	case OPT_HOOK:
		return hook(optarg, &o->hooks);
	case OPT_HEATMAP:
		o->heatmap = true;
		return 0;
	case OPT_CURVE:
		o->curve = true;
		return 0;
	case 'v':
		o->verbose = true;
		return 0;
	case 'h':
		o->help = true;
		return 0;
	case OPT_VERSION:
		o->version = true;
		return 0;
	}
	return -EINVAL;
}

int dp_opts_read(struct dp_opts *o, int argc, char **argv)
{
	int c, err;

	o->interval_ns = 1000000000ull;
	o->to = HUGE_VAL;
	o->merge = 1;
	optind = 0; /* glibc: start over, also its own state */
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":p:o:vh", longopts, NULL)) != -1) {
		if (c == ':') {
			dp_err("option %s needs a value (see dirtyprof --help)", argv[optind - 1]);
			return -EINVAL;
		}
		if (c == '?') {
			dp_err("unknown option \"%s\" (see dirtyprof --help)", argv[optind - 1]);
			return -EINVAL;
		}
		err = one(o, c);
		if (err)
			return err;
	}
	return 0;
}
