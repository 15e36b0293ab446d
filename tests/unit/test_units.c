// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Units of the command line, and the logger's one-line rule. Expected values are arithmetic on units.h's
 * definitions.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "cli/log.h"
#include "cli/units.h"

static const struct {
	const char *s;
	double v;
} good_bw[] = {
	{ "8", 1.0 },
	{ "1000", 125.0 },
	{ "10G", 10e9 / 8 },
	{ "10Gbps", 10e9 / 8 },
	{ "10Gb/s", 10e9 / 8 },
	{ "10Gb", 10e9 / 8 },
	{ "10Gbit/s", 10e9 / 8 },
	{ "10Gbit", 10e9 / 8 },
	{ "866.83M", 108353750.0 },
	{ "125MB/s", 125e6 },
	{ "125MiB/s", 125.0 * 1048576 },
	{ "128MiB", 134217728.0 },
	{ "1KiB", 1024.0 },
	{ "1kiBps", 1024.0 },
	{ "1kB", 1000.0 },
	{ "1KB", 1000.0 },
	{ "1Gi", 1073741824.0 / 8 },
	{ ".5MB", 500000.0 },
	{ "0.5MB", 500000.0 },
	{ "1TB", 1e12 },
	{ "1TiB", 1099511627776.0 },
	{ "1000TB", 1e15 },
	{ "00010M", 1.25e6 },
	{ "1B", 1.0 },
};

struct bad {
	const char *s;
	int err;
};

static const struct bad bad_bw[] = {
	{ "", -EINVAL },
	{ "G", -EINVAL },
	{ ".", -EINVAL },
	{ "5.", -EINVAL },
	{ "-1G", -EINVAL },
	{ "+1G", -EINVAL },
	{ " 1G", -EINVAL },
	{ "1G ", -EINVAL },
	{ "1 G", -EINVAL },
	{ "1e9", -EINVAL },
	{ "0x10", -EINVAL },
	{ "nan", -EINVAL },
	{ "inf", -EINVAL },
	{ "1.2.3G", -EINVAL },
	{ "10g", -EINVAL },
	{ "10m", -EINVAL },
	{ "10GG", -EINVAL },
	{ "10Gx", -EINVAL },
	{ "10Gbyte", -EINVAL },
	{ "10i", -EINVAL },
	{ "10bps/s", -EINVAL },
	{ "1,5G", -EINVAL },
	{ "1T0", -EINVAL },
	{ "0", -ERANGE },
	{ "0G", -ERANGE },
	{ "7", -ERANGE },
	{ "1001TB", -ERANGE },
	{ "9999999999999999999", -ERANGE },
	{ "0.0000000000000000001T", -ERANGE },
	{ "999999999999999999TiB", -ERANGE },
};

static void bandwidth(void **state)
{
	double v;
	size_t i;

	for (i = 0; i < sizeof(good_bw) / sizeof(*good_bw); i++) {
		v = -1;
		if (dp_parse_bandwidth(good_bw[i].s, &v) || v != good_bw[i].v)
			fail_msg("%s: %.17g, want %.17g", good_bw[i].s, v, good_bw[i].v);
	}
	for (i = 0; i < sizeof(bad_bw) / sizeof(*bad_bw); i++) {
		int err;

		v = -1;
		err = dp_parse_bandwidth(bad_bw[i].s, &v);
		if (err != bad_bw[i].err || v != -1)
			fail_msg("\"%s\": %d, value %g; want %d", bad_bw[i].s, err, v, bad_bw[i].err);
	}
}

static const struct {
	const char *s;
	uint64_t ns;
} good_time[] = {
	{ "300ms", 300000000 },
	{ "1.5s", 1500000000 },
	{ "2", 2000000000 },
	{ "0", 0 },
	{ "0ms", 0 },
	{ "1ns", 1 },
	{ "1.5us", 1500 },
	{ "0.1s", 100000000 },
	{ "1m", 60000000000 },
	{ "1.5min", 90000000000 },
	{ "2h", 7200000000000 },
	{ ".25", 250000000 },
	{ "0.4ns", 0 },
	{ "0.5ns", 1 },
	{ "0.3333333333s", 333333333 },
	{ "87600h", 315360000000000000 }, /* ten years of 365 days */
};

static const struct bad bad_time[] = {
	{ "", -EINVAL },
	{ "ms", -EINVAL },
	{ "-1s", -EINVAL },
	{ "1 s", -EINVAL },
	{ "1sec", -EINVAL },
	{ "1s ", -EINVAL },
	{ "nan", -EINVAL },
	{ "inf", -EINVAL },
	{ "1e3", -EINVAL },
	{ "1S", -EINVAL },
	{ "1.5.s", -EINVAL },
	{ "0x1", -EINVAL },
	{ "87601h", -ERANGE },
	{ "99999999999999999999", -ERANGE },
	{ "999999999999999999h", -ERANGE },
};

static void duration(void **state)
{
	uint64_t v;
	size_t i;

	for (i = 0; i < sizeof(good_time) / sizeof(*good_time); i++) {
		v = UINT64_MAX;
		if (dp_parse_duration(good_time[i].s, &v) || v != good_time[i].ns)
			fail_msg("%s: %llu", good_time[i].s, (unsigned long long)v);
	}
	for (i = 0; i < sizeof(bad_time) / sizeof(*bad_time); i++) {
		int err;

		v = 77;
		err = dp_parse_duration(bad_time[i].s, &v);
		if (err != bad_time[i].err || v != 77)
			fail_msg("\"%s\": %d, want %d", bad_time[i].s, err, bad_time[i].err);
	}
}

static void integers(void **state)
{
	uint64_t v = 77;
	pid_t pid = 77;

	assert_int_equal(dp_parse_uint("18446744073709551615", 0, UINT64_MAX, &v), 0);
	assert_true(v == UINT64_MAX);
	v = 77;
	assert_int_equal(dp_parse_uint("18446744073709551616", 0, UINT64_MAX, &v), -ERANGE);
	assert_int_equal(dp_parse_uint("99999999999999999999999x", 0, UINT64_MAX, &v), -EINVAL);
	assert_int_equal(dp_parse_uint("", 0, 9, &v), -EINVAL);
	assert_int_equal(dp_parse_uint("-1", 0, 9, &v), -EINVAL);
	assert_int_equal(dp_parse_uint("1.0", 0, 9, &v), -EINVAL);
	assert_int_equal(dp_parse_uint("10", 0, 9, &v), -ERANGE);
	assert_int_equal(dp_parse_uint("1", 2, 9, &v), -ERANGE);
	assert_true(v == 77);
	assert_int_equal(dp_parse_uint("9", 2, 9, &v), 0);
	assert_true(v == 9);

	assert_int_equal(dp_parse_pid("0", &pid), -ERANGE);
	assert_int_equal(dp_parse_pid("-1", &pid), -EINVAL);
	assert_int_equal(dp_parse_pid("1e9", &pid), -EINVAL);
	assert_int_equal(dp_parse_pid("1000000000", &pid), -ERANGE);
	assert_int_equal(dp_parse_pid("4194305", &pid), -ERANGE);
	assert_int_equal(pid, 77);
	assert_int_equal(dp_parse_pid("4194304", &pid), 0);
	assert_int_equal(pid, 4194304);
}

/* Logs one message into a pipe in stderr's place. */
static size_t logged(char *buf, size_t len, enum dp_level level, const char *text)
{
	int p[2], keep = dup(STDERR_FILENO);
	ssize_t n;

	assert_int_equal(pipe(p), 0);
	assert_true(dup2(p[1], STDERR_FILENO) >= 0);
	errno = ENOTTY;
	dp_log(level, "%s", text);
	assert_int_equal(errno, ENOTTY);
	assert_true(dup2(keep, STDERR_FILENO) >= 0);
	close(keep);
	close(p[1]);
	n = read(p[0], buf, len - 1);
	close(p[0]);
	assert_true(n >= 0);
	buf[n] = '\0';
	return (size_t)n;
}

static void one_line(void **state)
{
	char buf[4096], big[3000];

	logged(buf, sizeof(buf), DP_LVL_ERR, "no such \x1b[2Jprocess\nsecond\r\x7f");
	assert_string_equal(buf, "dirtyprof: no such ?[2Jprocess?second??\n");
	logged(buf, sizeof(buf), DP_LVL_WARN, "done\n");
	assert_string_equal(buf, "dirtyprof: done\n");
	logged(buf, sizeof(buf), DP_LVL_WARN, "");
	assert_string_equal(buf, "dirtyprof: \n");
	assert_int_equal(logged(buf, sizeof(buf), DP_LVL_DEBUG, "hidden"), 0);
	dp_log_set_level(DP_LVL_DEBUG);
	assert_int_equal(logged(buf, sizeof(buf), DP_LVL_DEBUG, "shown"), strlen("dirtyprof: shown\n"));
	dp_log_set_level(DP_LVL_INFO);
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(logged(buf, sizeof(buf), DP_LVL_ERR, big), DP_LOG_LINE);
	assert_int_equal(buf[DP_LOG_LINE - 1], '\n');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bandwidth),
		cmocka_unit_test(duration),
		cmocka_unit_test(integers),
		cmocka_unit_test(one_line),
	};

	return cmocka_run_group_tests_name("units", tests, NULL, NULL);
}
