// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The command line: input is the arguments, each ended by a NUL. What is refused gets one line, what is taken gets none and
 * is in range. --btf opens files and is left out: it is refused here whatever its value.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "cli/log.h"
#include "cli/opts.h"
#include "cli/units.h"
#include "probe/bpf_util.h"
#include "qmp/addr.h"
#include "fuzz.h"

#define MAX_ARGS 64

void __wrap_dp_log(enum dp_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int __wrap_dp_bpf_use_btf(const char *path, char *msg, size_t len);

static unsigned int lines;

void __wrap_dp_log(enum dp_level level, const char *fmt, ...)
{
	char line[DP_LOG_LINE];
	va_list ap;

	va_start(ap, fmt);
	FUZZ_CHECK(vsnprintf(line, sizeof(line), fmt, ap) > 0);
	va_end(ap);
	dp_log_clean(line);
	lines++;
}

int __wrap_dp_bpf_use_btf(const char *path, char *msg, size_t len)
{
	snprintf(msg, len, "%s: not here", path);
	return -EINVAL;
}

/* The arguments, each in memory of its own. */
static int split(const uint8_t *data, size_t len, char **argv)
{
	int argc = 0;

	argv[argc++] = strdup("dirtyprof");
	while (len && argc < MAX_ARGS) {
		const uint8_t *end = memchr(data, '\0', len);
		size_t n = end ? (size_t)(end - data) : len;

		argv[argc++] = strndup((const char *)data, n);
		data += n + !!end;
		len -= n + !!end;
	}
	argv[argc] = NULL;
	return argc;
}

static void release(char **argv, int argc)
{
	while (argc--)
		free(argv[argc]);
}

static bool bandwidth(double v)
{
	return !(v < 0) && (v == 0 || (v >= 1 && v <= 1e15));
}

static void check(const struct dp_opts *o)
{
	struct dp_qmp_addr addr;
	char where[sizeof(addr.path) + 32];
	uint32_t i;

	FUZZ_CHECK(o->interval_ns >= 50000000 && o->interval_ns <= 3600000000000);
	FUZZ_CHECK(o->count <= 1ull << 40 && o->pid >= 0 && o->pid <= 1 << 22);
	FUZZ_CHECK(bandwidth(o->bandwidth) && bandwidth(o->switchover) && bandwidth(o->compare_bps));
	FUZZ_CHECK(o->limit_ns <= 2000000000000 && o->throttle >= 0 && o->throttle < 1);
	FUZZ_CHECK(o->from >= 0 && o->to >= 0);
	FUZZ_CHECK(o->nbandwidths <= DP_TABLE_MAX && o->nlimits <= DP_TABLE_MAX);
	for (i = 0; i < o->nbandwidths; i++)
		FUZZ_CHECK(o->bandwidths[i] > 0 && bandwidth(o->bandwidths[i]));
	for (i = 0; i < o->nlimits; i++)
		FUZZ_CHECK(o->limits_ns[i] && o->limits_ns[i] <= 2000000000000);
	if (o->qmp && !dp_qmp_addr_parse(o->qmp, &addr))
		dp_qmp_addr_str(&addr, where, sizeof(where));
}

static void parse(int (*parser)(struct dp_opts *, int, char **), const uint8_t *data, size_t len)
{
	char *args[MAX_ARGS + 1], **argv;
	int argc = split(data, len, args), err;
	struct dp_opts o;

	/* getopt sorts the pointers: the parser gets a copy of them, as long as it has to be */
	argv = malloc(((size_t)argc + 1) * sizeof(*argv));
	FUZZ_CHECK(argv);
	memcpy(argv, args, ((size_t)argc + 1) * sizeof(*argv));
	lines = 0;
	err = parser(&o, argc, argv);
	FUZZ_CHECK(err <= 0 && lines == (err ? 1 : 0));
	if (!err && !o.help && !o.version)
		check(&o);
	free(argv);
	release(args, argc);
}

/* --btf alone, as `dirtyprof list` takes it. */
static void parse_btf(const uint8_t *data, size_t len)
{
	char *args[MAX_ARGS + 1], *argv[MAX_ARGS + 1];
	int argc = split(data, len, args), left = argc, err;

	memcpy(argv, args, sizeof(argv));
	lines = 0;
	err = dp_take_btf(&left, argv);
	FUZZ_CHECK(lines == (err ? 1 : 0) && left >= 1 && left <= argc);
	release(args, argc);
}

/* The input as one value of each kind. Nothing is written where it is refused. */
static void values(const uint8_t *data, size_t len)
{
	char *s = strndup((const char *)data, len);
	uint64_t n = 42, u = 42;
	double d = 42;
	pid_t pid = 42;
	int err;

	err = dp_parse_bandwidth(s, &d);
	FUZZ_CHECK(err ? d == 42 : d >= 1 && d <= 1e15);
	err = dp_parse_duration(s, &n);
	FUZZ_CHECK(err ? n == 42 : n <= 315360000000000000);
	err = dp_parse_uint(s, 7, 1ull << 63, &u);
	FUZZ_CHECK(err ? u == 42 : u >= 7 && u <= 1ull << 63);
	err = dp_parse_pid(s, &pid);
	FUZZ_CHECK(err ? pid == 42 : pid >= 1 && pid <= 1 << 22);
	free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	parse(dp_opts_parse, data, len);
	parse(dp_opts_parse_record, data, len);
	parse(dp_opts_parse_report, data, len);
	parse(dp_opts_parse_predict, data, len);
	parse_btf(data, len);
	values(data, len);
	return 0;
}
