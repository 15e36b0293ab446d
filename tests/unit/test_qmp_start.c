// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The --start driver: with a fake server whose state the tests choose (a migration, a foreign measurement,
 * refusals, silence), and with a real QEMU, where logging must be off at the end.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/fake_qmp.h"
#include "qmp/clock.h"
#include "qmp/start.h"

#define MS 1000000ULL

#define PATIENCE 30000 /* ms: for what must come, however busy the machine is */

static char dir[] = "/tmp/dp-test-start.XXXXXX";
static char sock[64];

struct bench {
	struct fake_qmp *f;
	struct dp_qmp *q;
	pid_t pid;
	uint64_t ahead_ns; /* of the real clock: a test may let time jump */
	uint64_t now_ns;   /* of the last poll */
};

static void up(struct bench *b, unsigned int major, unsigned int minor)
{
	struct dp_qmp_addr a;
	char msg[256];

	memset(b, 0, sizeof(*b));
	b->f = fake_qmp_new(major, minor);
	b->pid = fake_qmp_fork(sock, "good", b->f, 1);
	assert_true(b->pid > 0);
	assert_int_equal(dp_qmp_addr_parse(sock, &a), 0);
	assert_int_equal(dp_qmp_open(&a, PATIENCE, &b->q, msg, sizeof(msg)), 0);
}

static void down(struct bench *b, struct dp_start *s)
{
	dp_start_free(s);
	dp_qmp_close(b->q);
	fake_qmp_end(b->pid);
	fake_qmp_free(b->f);
}

/* No poll may block: one that takes long was kept from the CPU, and did not give it up itself. */
static enum dp_start_state poll_once(struct bench *b, struct dp_start *s)
{
	enum dp_start_state state;
	struct rusage was, is;
	uint64_t t;

	getrusage(RUSAGE_THREAD, &was);
	t = dp_mono_ns();
	b->now_ns = t + b->ahead_ns;
	state = dp_start_poll(s, b->now_ns);
	t = dp_mono_ns() - t;
	getrusage(RUSAGE_THREAD, &is);
	if (t > 200 * MS && is.ru_nvcsw > was.ru_nvcsw)
		fail_msg("a poll took %llu ms", (unsigned long long)(t / MS));
	return state;
}

/* Polls until the state is reached, at most ms of real time. */
static bool within(struct bench *b, struct dp_start *s, enum dp_start_state want, int ms)
{
	uint64_t end = dp_mono_ns() + (uint64_t)ms * MS;

	do {
		if (poll_once(b, s) == want)
			return true;
		usleep(1000);
	} while (dp_mono_ns() < end);
	return false;
}

static bool until(struct bench *b, struct dp_start *s, enum dp_start_state want)
{
	return within(b, s, want, PATIENCE);
}

/* A poll, and time jumps over the rest between one try and the next. */
static enum dp_start_state jump(struct bench *b, struct dp_start *s)
{
	enum dp_start_state state = poll_once(b, s);
	uint64_t next = dp_start_next_ns(s);

	if (next != UINT64_MAX && next > b->now_ns + 100 * MS)
		b->ahead_ns += next - b->now_ns;
	usleep(1000);
	return state;
}

static bool jump_until(struct bench *b, struct dp_start *s, enum dp_start_state want)
{
	uint64_t end = dp_mono_ns() + PATIENCE * MS;

	while (jump(b, s) != want)
		if (dp_mono_ns() > end)
			return false;
	return true;
}

/* Until that is in its message. */
static bool jump_until_said(struct bench *b, struct dp_start *s, const char *what)
{
	uint64_t end = dp_mono_ns() + PATIENCE * MS;

	while (!strstr(dp_start_message(s), what)) {
		if (dp_mono_ns() > end)
			return false;
		jump(b, s);
	}
	return true;
}

/* The first window is the long one, then one an interval; their lengths and number are told. */
static void one_after_another(void **state)
{
	struct dp_start_opts o = {
		.mode = DP_CALC_RING, .first_ms = 300, .window_ms = 60, .interval_ms = 150, .max_windows = 4
	};
	struct dp_start_stats st;
	struct dp_start *s;
	struct bench b;
	uint64_t t;

	up(&b, 8, 2);
	s = dp_start_new(b.q, &o);
	t = dp_mono_ns();
	assert_true(until(&b, s, DP_START_RUNNING));
	assert_true(b.f->last_milli && b.f->last_calc_time == 300);
	assert_string_equal(b.f->last_mode, "dirty-ring");
	assert_string_equal(dp_start_message(s), "QEMU measures its dirty rate for 0.3 s (dirty-ring)");
	assert_true(dp_start_left_ns(s, b.now_ns) == 300 * MS);
	assert_true(until(&b, s, DP_START_STOPPED));
	t = dp_mono_ns() - t;
	/* 300, then starts at least 150 apart, the last of them 60 long */
	assert_true(t >= (300 + 150 + 150 + 60) * MS);
	dp_start_stats(s, &st);
	assert_true(st.windows == 4 && b.f->calcs == 4 && st.nlengths == 2 && st.held_back == 0);
	assert_true(st.seconds[0] == 0.3 && st.count[0] == 1 && st.seconds[1] == 0.06 && st.count[1] == 3);
	assert_true(st.last_rate_mib == 99 && st.last_end_ns - st.last_start_ns >= 60 * MS);
	assert_true(b.f->min_rate_gap_ns == UINT64_MAX || b.f->min_rate_gap_ns >= 45 * MS);
	assert_true(dp_start_next_ns(s) == UINT64_MAX);
	assert_true(b.f->measuring_until_ns <= dp_mono_ns()); /* nothing logs */
	down(&b, s);
}

/* Before 8.2: whole seconds. A window that QEMU is late to end is waited for, politely. */
static void whole_seconds(void **state)
{
	struct dp_start_opts o = { .mode = DP_CALC_BITMAP, .window_ms = 200, .max_windows = 1 };
	struct dp_start_stats st;
	struct dp_start *s;
	struct bench b;

	up(&b, 7, 2);
	b.f->window_scale_pct = 130;
	s = dp_start_new(b.q, &o);
	assert_true(until(&b, s, DP_START_RUNNING));
	assert_true(!b.f->last_milli && b.f->last_calc_time == 1);
	assert_true(until(&b, s, DP_START_STOPPED));
	dp_start_stats(s, &st);
	assert_true(st.windows == 1 && st.nlengths == 1 && st.seconds[0] == 1.0);
	assert_true(st.last_end_ns - st.last_start_ns >= 1300 * MS);
	/* 300 ms overdue at 50 ms a query, or more on a busy machine */
	assert_in_range(b.f->rate_queries, 1, 8);
	assert_true(b.f->min_rate_gap_ns >= 45 * MS);
	down(&b, s);
}

static void hands_off_migrations(void **state)
{
	static const char *const under_way[] = { "setup", "active", "pre-switchover", "postcopy-active",
						 "cancelling" };
	struct dp_start_opts o = { .mode = DP_CALC_BITMAP, .window_ms = 50 };
	struct dp_start_stats st;
	struct dp_start *s;
	struct bench b;
	uint64_t end;

	up(&b, 8, 2);
	s = dp_start_new(b.q, &o);
	for (size_t i = 0; i < sizeof(under_way) / sizeof(*under_way); i++) {
		char says[64];

		strcpy(b.f->migrate, under_way[i]);
		snprintf(says, sizeof(says), "a migration is under way (%s)", under_way[i]);
		assert_true(jump_until_said(&b, s, says));
		assert_int_equal(dp_start_state(s), DP_START_HELD);
		/* and for as long as it lasts */
		end = b.now_ns + 5000 * MS;
		while (b.now_ns < end)
			assert_int_equal(jump(&b, s), DP_START_HELD);
	}
	assert_int_equal(b.f->calcs, 0);
	dp_start_stats(s, &st);
	assert_int_equal(st.held_back, 1);
	/* it was cancelled: on we go, and stop for the next one after the window that runs */
	strcpy(b.f->migrate, "cancelled");
	assert_true(jump_until(&b, s, DP_START_RUNNING));
	strcpy(b.f->migrate, "active");
	assert_true(until(&b, s, DP_START_HELD));
	assert_true(b.f->calcs >= 1 && b.f->calcs_while_migrating == 0);
	/* a guest that stands still is not measured either */
	b.f->running = false;
	b.f->migrate[0] = '\0';
	assert_true(jump_until_said(&b, s, "does not run (paused)"));
	end = b.now_ns + 5000 * MS;
	while (b.now_ns < end)
		assert_int_equal(jump(&b, s), DP_START_HELD);
	assert_int_equal(b.f->calcs_while_paused, 0);
	assert_int_equal(dp_start_stop(s, 1000, NULL, NULL), 0);
	down(&b, s);
}

static void someone_elses(void **state)
{
	struct dp_start_opts o = { .mode = DP_CALC_BITMAP, .window_ms = 50, .max_windows = 1 };
	struct dp_start_stats st;
	struct dp_start *s;
	struct bench b;

	up(&b, 8, 2);
	b.f->measuring_until_ns = UINT64_MAX;
	s = dp_start_new(b.q, &o);
	assert_true(until(&b, s, DP_START_FOREIGN));
	assert_true(dp_start_left_ns(s, b.now_ns) == 0);
	b.f->measuring_until_ns = 0;
	assert_true(until(&b, s, DP_START_STOPPED));
	dp_start_stats(s, &st);
	assert_true(st.windows == 1 && b.f->calcs == 1);
	down(&b, s);
	/* another's need not be waited for at a stop */
	up(&b, 8, 2);
	b.f->measuring_until_ns = UINT64_MAX;
	s = dp_start_new(b.q, &o);
	assert_true(until(&b, s, DP_START_FOREIGN));
	assert_int_equal(dp_start_stop(s, PATIENCE, NULL, NULL), 0);
	down(&b, s);
}

static void failures(void **state)
{
	struct dp_start_opts o = { .mode = DP_CALC_RING, .window_ms = 50 };
	struct dp_start *s;
	struct bench b;

	/* refused for good: said after three tries, a second apart, in QEMU's words */
	up(&b, 8, 2);
	b.f->refuse = true;
	s = dp_start_new(b.q, &o);
	assert_true(jump_until(&b, s, DP_START_FAILED));
	assert_int_equal(b.f->refusals, 3);
	assert_true(b.ahead_ns > 2 * 900 * MS);
	assert_string_equal(dp_start_message(s), "QMP: QEMU refuses calc-dirty-rate: no?way");
	assert_int_equal(dp_start_stop(s, 100, NULL, NULL), 0); /* nothing was started */
	down(&b, s);

	/* QEMU stops answering: given up after 10 s, without ever blocking */
	up(&b, 8, 2);
	b.f->stuck = true;
	s = dp_start_new(b.q, &o);
	assert_false(within(&b, s, DP_START_FAILED, 100));
	b.ahead_ns += 10100 * MS;
	assert_true(until(&b, s, DP_START_FAILED));
	assert_non_null(strstr(dp_start_message(s), "stopped answering"));
	down(&b, s);

	/* QMP dies in the middle of a window: it is said that QEMU ends it by itself */
	up(&b, 8, 2);
	o.window_ms = 30000;
	s = dp_start_new(b.q, &o);
	assert_true(until(&b, s, DP_START_RUNNING));
	fake_qmp_end(b.pid);
	b.ahead_ns += 20000 * MS;
	assert_int_equal(poll_once(&b, s), DP_START_RUNNING);
	b.ahead_ns += 11000 * MS;
	assert_true(until(&b, s, DP_START_FAILED));
	assert_int_equal(dp_start_stop(s, 100, NULL, NULL), 0); /* its time has passed */
	down(&b, s);

	/* a QEMU that denies the window that it agreed to */
	up(&b, 8, 2);
	o.window_ms = 50;
	b.f->forgetful = true;
	s = dp_start_new(b.q, &o);
	assert_true(until(&b, s, DP_START_RUNNING));
	assert_false(within(&b, s, DP_START_FAILED, 200));
	b.ahead_ns += 5100 * MS;
	assert_true(until(&b, s, DP_START_FAILED));
	down(&b, s);
}

static bool yes(void *ctx)
{
	return true;
}

static void stopping(void **state)
{
	struct dp_start_opts o = { .mode = DP_CALC_BITMAP, .first_ms = 400, .window_ms = 50 };
	struct dp_start *s;
	struct bench b;
	uint64_t t;
	double left;

	/* waits for the rest of the window, and not for all of the time that it has */
	up(&b, 8, 2);
	s = dp_start_new(b.q, &o);
	assert_true(until(&b, s, DP_START_RUNNING));
	t = dp_mono_ns();
	assert_int_equal(dp_start_stop(s, 2 * PATIENCE, NULL, NULL), 0);
	assert_true(b.f->measuring_until_ns <= dp_mono_ns());
	assert_true(dp_mono_ns() - t < PATIENCE * MS);
	assert_int_equal(b.f->calcs, 1);
	assert_int_equal(dp_start_poll(s, dp_mono_ns()), DP_START_STOPPED);
	assert_int_equal(dp_start_stop(s, 5000, NULL, NULL), 0);
	down(&b, s);

	/* a bound that is too short, and an impatient user: told when it ends */
	up(&b, 8, 2);
	o.first_ms = 60000;
	s = dp_start_new(b.q, &o);
	assert_true(until(&b, s, DP_START_RUNNING));
	t = dp_mono_ns();
	assert_int_equal(dp_start_stop(s, 150, NULL, NULL), -ETIMEDOUT);
	assert_in_range((dp_mono_ns() - t) / MS, 150, PATIENCE);
	assert_true(sscanf(strstr(dp_start_message(s), "ends by itself in "), "ends by itself in %lf",
			   &left) == 1);
	assert_true(left <= 60 - 0.149 && left > 60 - PATIENCE / 1e3);
	assert_int_equal(dp_start_stop(s, 60000, yes, NULL), -EINTR);
	/* dead QMP meanwhile */
	fake_qmp_end(b.pid);
	b.ahead_ns = 0;
	assert_int_equal(dp_start_stop(s, 200, NULL, NULL), -ETIMEDOUT);
	down(&b, s);

	/* before anything was asked: at once */
	up(&b, 8, 2);
	s = dp_start_new(b.q, &o);
	assert_int_equal(dp_start_stop(s, 0, NULL, NULL), 0);
	assert_int_equal(b.f->calcs, 0);
	down(&b, s);

	/* asked for, not answered yet: what comes of it is waited for */
	up(&b, 8, 2);
	o.first_ms = 200;
	s = dp_start_new(b.q, &o);
	for (t = dp_mono_ns(); dp_start_left_ns(s, b.now_ns) == 0 && dp_mono_ns() - t < PATIENCE * MS;) {
		poll_once(&b, s);
		usleep(500);
	}
	assert_int_equal(dp_start_stop(s, PATIENCE, NULL, NULL), 0);
	assert_true(b.f->calcs == 1 && b.f->measuring_until_ns <= dp_mono_ns());
	down(&b, s);
	dp_start_free(NULL);
}

static pid_t start_qemu(void)
{
	char qmp[96];
	pid_t pid;

	unlink(sock);
	snprintf(qmp, sizeof(qmp), "unix:%s,server=on,wait=off", sock);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (!freopen("/dev/null", "w", stderr))
			_exit(126);
		execlp("qemu-system-x86_64", "qemu-system-x86_64", "-nodefaults", "-display", "none", "-m",
		       "64", "-accel", "kvm", "-qmp", qmp, (char *)NULL);
		_exit(127);
	}
	return pid;
}

static void real_qemu(void **state)
{
	struct dp_start_opts o = { .mode = DP_CALC_BITMAP, .first_ms = 2000, .window_ms = 1000 };
	struct dp_start_stats st;
	struct dp_qmp_dirty_rate r;
	struct bench b = { 0 };
	struct dp_qmp_addr a;
	struct dp_start *s;
	char msg[256] = "";
	int err = -1;

	if (access("/dev/kvm", R_OK | W_OK) || system("command -v qemu-system-x86_64 >/dev/null")) {
		print_message("[  SKIP    ] no /dev/kvm or no qemu-system-x86_64\n");
		skip();
	}
	b.pid = start_qemu();
	assert_int_equal(dp_qmp_addr_parse(sock, &a), 0);
	for (int i = 0; i < 600 && err; i++) {
		err = dp_qmp_open(&a, PATIENCE, &b.q, msg, sizeof(msg));
		if (err)
			usleep(50000);
	}
	if (err)
		fail_msg("%s", msg);
	s = dp_start_new(b.q, &o);
	assert_true(until(&b, s, DP_START_RUNNING));
	assert_true(until(&b, s, DP_START_IDLE));
	assert_true(until(&b, s, DP_START_RUNNING));
	err = dp_start_stop(s, PATIENCE, NULL, NULL);
	dp_start_stats(s, &st);
	assert_int_equal(dp_qmp_query_dirty_rate(b.q, &r, PATIENCE), 0);
	assert_true(r.status == DP_CALC_MEASURED);
	assert_true(!err && st.windows == 2 && st.nlengths == 2 && st.seconds[0] == 2.0 &&
		    st.seconds[1] == 1.0);
	dp_start_free(s);
	/* a mode that this VM does not have */
	o.mode = DP_CALC_RING;
	s = dp_start_new(b.q, &o);
	assert_true(until(&b, s, DP_START_FAILED));
	assert_non_null(strstr(dp_start_message(s), "QEMU refuses calc-dirty-rate"));
	dp_start_free(s);
	kill(b.pid, SIGKILL);
	waitpid(b.pid, NULL, 0);
	dp_qmp_close(b.q);
}

static int setup(void **state)
{
	if (!mkdtemp(dir))
		return -1;
	snprintf(sock, sizeof(sock), "%s/qmp", dir);
	return 0;
}

static int teardown(void **state)
{
	unlink(sock);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_after_another),
		cmocka_unit_test(whole_seconds),
		cmocka_unit_test(hands_off_migrations),
		cmocka_unit_test(someone_elses),
		cmocka_unit_test(failures),
		cmocka_unit_test(stopping),
		cmocka_unit_test(real_qemu),
	};

	return cmocka_run_group_tests_name("start", tests, setup, teardown);
}
