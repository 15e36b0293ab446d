// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The QMP client against a real QEMU under KVM (skipped where there is none). */
#include "qmp_fixture.h"

static pid_t start_qemu(void)
{
	char qmp[96];
	pid_t pid;

	snprintf(qmp, sizeof(qmp), "unix:%s,server=on,wait=off", sock);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* QEMU blocks SIGALRM */
		execlp("qemu-system-x86_64", "qemu-system-x86_64", "-nodefaults", "-display", "none", "-m",
		       "64", "-accel", "kvm", "-qmp", qmp, (char *)NULL);
		_exit(127);
	}
	for (int i = 0; i < 600 && access(sock, F_OK); i++) {
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return -1;
		usleep(50000);
	}
	return pid;
}

static void real_qemu(void **state)
{
	struct dp_qmp_addr a = addr_of(sock);
	struct dp_qmp_dirty_rate r = { 0 };
	struct dp_qmp *q = NULL, *second;
	struct dp_qmp_migrate m;
	struct dp_qmp_params p;
	struct dp_qmp_version v;
	struct dp_qmp_status st;
	uint32_t used;
	pid_t pid;
	int err = -1;

	unlink(sock);
	if (access("/dev/kvm", R_OK | W_OK) || system("command -v qemu-system-x86_64 >/dev/null")) {
		print_message("[  SKIP    ] no /dev/kvm or no qemu-system-x86_64\n");
		skip();
	}
	pid = start_qemu();
	assert_true(pid > 0);
	for (int i = 0; i < 600 && err; i++) {
		err = dp_qmp_open(&a, PATIENCE, &q, msg, sizeof(msg));
		if (err)
			usleep(50000);
	}
	if (err)
		print_message("%s\n", msg);
	assert_int_equal(err, 0);
	assert_true(dp_qmp_peer_pid(q) == pid);
	assert_int_equal(dp_qmp_query_version(q, &v, PATIENCE), 0);
	assert_true(v.major >= 6 && v.major == dp_qmp_version(q)->major);
	assert_int_equal(dp_qmp_query_status(q, &st, PATIENCE), 0);
	assert_true(st.running);
	assert_string_equal(st.status, "running");
	assert_int_equal(dp_qmp_query_migrate(q, &m, PATIENCE), 0);
	assert_string_equal(m.status, "none");
	assert_int_equal(dp_qmp_query_params(q, &p, PATIENCE), 0);
	assert_true(p.downtime_limit_ms == 300 &&
		    p.max_bandwidth == 128 << 20); /* QEMU's documented defaults */
	assert_int_equal(dp_qmp_query_dirty_rate(q, &r, PATIENCE), 0);
	assert_true(r.status == DP_CALC_UNSTARTED);
	assert_int_equal(dp_qmp_execute(q, "no-such-command", NULL, PATIENCE, NULL), -EREMOTEIO);
	assert_string_equal(dp_qmp_error_class(q), "CommandNotFound");
	/* a second client is kept waiting, and must not wait for ever */
	assert_int_equal(dp_qmp_open(&a, SHORT_MS, &second, msg, sizeof(msg)), -ETIMEDOUT);
	one_clear_line(msg);
	assert_int_equal(dp_qmp_calc_dirty_rate(q, DP_CALC_BITMAP, 1000, PATIENCE, &used), 0);
	assert_int_equal(used, 1000);
	/* it takes QEMU's thread a moment to say that it measures */
	for (int i = 0; i < 600 && r.status != DP_CALC_MEASURED; i++) {
		usleep(50000);
		assert_int_equal(dp_qmp_query_dirty_rate(q, &r, PATIENCE), 0);
	}
	assert_true(r.status == DP_CALC_MEASURED && r.rate_known && r.calc_time_ms == 1000);
	/* one at a time */
	assert_int_equal(dp_qmp_calc_dirty_rate(q, DP_CALC_BITMAP, 60000, PATIENCE, &used), 0);
	for (int i = 0; i < 600 && r.status != DP_CALC_MEASURING; i++) {
		usleep(2000);
		assert_int_equal(dp_qmp_query_dirty_rate(q, &r, PATIENCE), 0);
	}
	assert_int_equal(dp_qmp_calc_dirty_rate(q, DP_CALC_BITMAP, 1000, PATIENCE, &used), -EREMOTEIO);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(dp_qmp_query_status(q, &st, PATIENCE), -EPIPE);
	dp_qmp_close(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(real_qemu),
	};

	return cmocka_run_group_tests_name("qmp_qemu", tests, setup, teardown);
}
