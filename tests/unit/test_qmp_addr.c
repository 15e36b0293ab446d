// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Where QMP is: addresses, and what is said of those where it is not. */
#include "qmp_fixture.h"

static void addresses(void **state)
{
	char deep[700], *p = deep, cwd[256], file[128];
	struct fake_qmp *f = fake_qmp_new(8, 2);
	struct dp_qmp_addr a = addr_of("tcp:[::1]:4444");
	struct dp_qmp *q;
	pid_t pid;

	assert_true(a.family == DP_QMP_TCP && !strcmp(a.host, "::1") && !strcmp(a.port, "4444"));
	a = addr_of("tcp::80");
	assert_string_equal(a.host, "");
	assert_string_equal(dp_qmp_addr_str(&a, file, sizeof(file)), "localhost:80");
	assert_int_equal(dp_qmp_addr_parse("", &a), -EINVAL);
	assert_int_equal(dp_qmp_addr_parse("unix:", &a), -EINVAL);
	assert_int_equal(dp_qmp_addr_parse("tcp:host", &a), -EINVAL);
	assert_int_equal(dp_qmp_addr_parse("tcp:host:", &a), -EINVAL);
	assert_int_equal(dp_qmp_addr_parse("tcp:host:0", &a), -EINVAL);
	assert_int_equal(dp_qmp_addr_parse("tcp:host:65536", &a), -EINVAL);
	assert_int_equal(dp_qmp_addr_parse("tcp:host:-1", &a), -EINVAL);

	/* nothing there; not a socket; nobody listens; a name */
	a = addr_of("/nonexistent/qmp");
	assert_int_equal(dp_qmp_open(&a, SHORT_MS, &q, msg, sizeof(msg)), -ENOENT);
	one_clear_line(msg);
	snprintf(file, sizeof(file), "%s/plain", dir);
	close(open(file, O_CREAT | O_WRONLY, 0600));
	a = addr_of(file);
	assert_int_equal(dp_qmp_open(&a, SHORT_MS, &q, msg, sizeof(msg)), -ENOTSOCK);
	a = addr_of("tcp:127.0.0.1:1");
	assert_int_equal(dp_qmp_open(&a, SHORT_MS, &q, msg, sizeof(msg)), -ECONNREFUSED);
	a = addr_of("tcp:qmp.invalid:1");
	assert_int_equal(dp_qmp_open(&a, SHORT_MS, &q, NULL, 0), -EADDRNOTAVAIL);

	/*
	 * a path longer than a socket address holds, and the same relative to a process's working
	 * directory
	 */
	p += sprintf(p, "%s", dir);
	for (int i = 0; i < 4; i++) {
		p += sprintf(p, "/%0120d", i);
		assert_int_equal(mkdir(deep, 0700), 0);
	}
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	assert_int_equal(chdir(deep), 0);
	pid = fake_qmp_fork("q", "good", f, 1);
	assert_true(pid > 0);
	assert_int_equal(chdir(cwd), 0);
	strcat(deep, "/q");
	a = addr_of(deep);
	assert_int_equal(dp_qmp_open(&a, PATIENCE, &q, msg, sizeof(msg)), 0);
	dp_qmp_close(q);
	a = addr_of("q");
	a.pid = pid;
	assert_int_equal(dp_qmp_open(&a, PATIENCE, &q, msg, sizeof(msg)), 0);
	dp_qmp_close(q);
	a = addr_of(deep);
	a.pid = pid;
	assert_int_equal(dp_qmp_open(&a, PATIENCE, &q, msg, sizeof(msg)), 0);
	assert_true(dp_qmp_version_atleast(q, 8, 2) && !dp_qmp_version_atleast(q, 8, 3));
	dp_qmp_close(q);
	fake_qmp_end(pid);
	fake_qmp_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses),
	};

	return cmocka_run_group_tests_name("qmp_addr", tests, setup, teardown);
}
