// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The QMP client against servers that misbehave in every way that came to mind. */
#include "qmp_fixture.h"

/* What open must say to each kind of rubbish, and that it takes no longer than it may. */
static void bad_greetings(void **state)
{
	static const struct {
		const char *mode;
		int err;
	} c[] = {
		{ "silent", -ETIMEDOUT }, { "close", -EPIPE },	   { "half", -ETIMEDOUT },
		{ "rubbish", -EPROTO },	  { "long", -EMSGSIZE },   { "nest", -EMSGSIZE },
		{ "nul", -EPROTO },	  { "greet2", -EPROTO },   { "mute", -ETIMEDOUT },
		{ "closecmd", -EPIPE },	  { "flood", -ETIMEDOUT },
	};
	struct fake_qmp *f = fake_qmp_new(7, 2);

	for (size_t i = 0; i < sizeof(c) / sizeof(*c); i++) {
		uint64_t t = dp_mono_ns();
		struct dp_qmp *q;
		pid_t pid;
		int err = open_fake(c[i].mode, f, &pid, &q, c[i].err == -ETIMEDOUT ? SHORT_MS : PATIENCE);

		t = (dp_mono_ns() - t) / 1000000;
		if (err != c[i].err || q || t > PATIENCE || (err == -ETIMEDOUT && t < SHORT_MS))
			fail_msg("%s: %d after %llu ms, want %d", c[i].mode, err, (unsigned long long)t,
				 c[i].err);
		one_clear_line(msg);
		assert_non_null(strstr(msg, sock));
		fake_qmp_end(pid);
	}
	fake_qmp_free(f);
}

static void check_answers(struct dp_qmp *q)
{
	struct dp_qmp_version v;
	struct dp_qmp_status st;
	struct dp_qmp_migrate m;
	struct dp_qmp_params p;
	struct dp_qmp_dirty_rate r;

	assert_int_equal(dp_qmp_query_version(q, &v, PATIENCE), 0);
	assert_int_equal(v.major, 7);
	assert_int_equal(v.minor, 2);
	assert_int_equal(v.micro, 3);
	assert_string_equal(v.package, "fake");
	assert_int_equal(dp_qmp_query_status(q, &st, PATIENCE), 0);
	assert_true(st.running);
	assert_int_equal(dp_qmp_query_migrate(q, &m, PATIENCE), 0);
	assert_true(m.active && !m.done && m.ram_known);
	assert_true(m.transferred == 82000000 && m.remaining == 4096 && m.total == 537796608);
	assert_true(m.zero_pages == 111298 && m.normal_pages == 20000 && m.page_size == 4096);
	assert_true(m.mbps == 866.83 && m.dirty_pages_rate == 25344 && m.dirty_sync_count == 3);
	assert_true(m.total_time_ms == 1574 && m.setup_time_ms == 7 && m.expected_downtime_ms == 300);
	assert_true(m.downtime_ms == 0);
	assert_int_equal(dp_qmp_query_params(q, &p, PATIENCE), 0);
	assert_true(p.max_bandwidth == 134217728 && p.downtime_limit_ms == 300 && p.multifd_channels == 2);
	assert_true(p.multifd && p.auto_converge && !p.xbzrle && !p.dirty_limit);
	assert_int_equal(dp_qmp_query_dirty_rate(q, &r, PATIENCE), 0);
	assert_true(r.status == DP_CALC_MEASURED && r.rate_known && r.rate_mib == 99 &&
		    r.calc_time_ms == 1000);
}

static void good_servers(void **state)
{
	static const char *const modes[] = { "good", "pretty", "noid", "trickle", "events" };
	struct fake_qmp *f = fake_qmp_new(7, 2);

	strcpy(f->migrate, "active");
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		struct dp_qmp *q;
		pid_t pid;

		assert_int_equal(open_fake(modes[i], f, &pid, &q, PATIENCE), 0);
		check_answers(q);
		/* qmp_capabilities and six commands, 1000 events before each answer */
		assert_true(dp_qmp_events(q) == (strcmp(modes[i], "events") ? 0 : 7000));
		assert_true(dp_qmp_peer_pid(q) == getpid()); /* who called listen() */
		dp_qmp_close(q);
		fake_qmp_end(pid);
	}
	fake_qmp_free(f);
}

static void bad_answers(void **state)
{
	static const char *const modes[] = { "types", "numbers", "error", "badutf8" };
	struct fake_qmp *f = fake_qmp_new(7, 2);

	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		bool refusals = strcmp(modes[i], "types") && strcmp(modes[i], "numbers");
		struct dp_qmp_migrate m;
		struct dp_qmp_params p;
		struct dp_qmp *q;
		pid_t pid;

		assert_int_equal(open_fake(modes[i], f, &pid, &q, PATIENCE), 0);
		for (int n = 0; n < 60; n++) {
			int err = dp_qmp_query_migrate(q, &m, PATIENCE);

			if (refusals)
				assert_int_equal(err, -EREMOTEIO);
			else
				assert_true(!err || err == -EPROTO);
			if (err)
				one_clear_line(dp_qmp_error(q));
			err = dp_qmp_query_params(q, &p, PATIENCE);
			assert_true(refusals ? err == -EREMOTEIO : !err || err == -EPROTO);
			assert_false(dp_qmp_dead(q));
		}
		if (!strcmp(modes[i], "error"))
			assert_string_equal(dp_qmp_error_class(q), "GenericError");
		dp_qmp_close(q);
		fake_qmp_end(pid);
	}
	fake_qmp_free(f);
}

/*
 * A server that stops answering, or dies: each call ends in time, and a late answer is not taken for
 * another command's.
 */
static void gone_quiet(void **state)
{
	struct fake_qmp *f = fake_qmp_new(7, 2);
	struct dp_qmp_version v;
	struct dp_qmp_status st;
	struct json_object *o;
	struct dp_qmp *q;
	uint64_t t, id;
	pid_t pid;

	assert_int_equal(open_fake("good", f, &pid, &q, PATIENCE), 0);
	kill(pid, SIGSTOP);
	t = dp_mono_ns();
	assert_int_equal(dp_qmp_query_version(q, &v, 100), -ETIMEDOUT);
	t = dp_mono_ns() - t;
	assert_in_range(t / 1000000, 100, PATIENCE);
	one_clear_line(dp_qmp_error(q));
	assert_int_equal(dp_qmp_post(q, "query-status", NULL, &id), 0);
	assert_int_equal(dp_qmp_collect(q, id, 0, NULL), -EAGAIN);
	kill(pid, SIGCONT);
	/* the version's answer comes first, and must be dropped */
	assert_int_equal(dp_qmp_query_status(q, &st, PATIENCE), 0);
	assert_true(st.running);
	assert_int_equal(dp_qmp_collect(q, id, 0, &o), 0);	    /* came before, was kept */
	assert_true(json_object_object_get_ex(o, "running", NULL)); /* and is no other's */
	json_object_put(o);
	assert_int_equal(dp_qmp_collect(q, id, 0, NULL), -EINVAL);
	fake_qmp_end(pid);
	assert_int_equal(dp_qmp_query_status(q, &st, PATIENCE), -EPIPE);
	assert_int_equal(dp_qmp_query_status(q, &st, PATIENCE), -EPIPE);
	assert_true(dp_qmp_dead(q));
	one_clear_line(dp_qmp_error(q));
	dp_qmp_close(q);
	fake_qmp_free(f);
}

static void pending_is_bounded(void **state)
{
	struct fake_qmp *f = fake_qmp_new(7, 2);
	uint64_t id[DP_QMP_MAX_PENDING], extra;
	struct dp_qmp *q;
	pid_t pid;

	assert_int_equal(open_fake("good", f, &pid, &q, PATIENCE), 0);
	for (int i = 0; i < DP_QMP_MAX_PENDING; i++)
		assert_int_equal(dp_qmp_post(q, "query-status", NULL, &id[i]), 0);
	assert_int_equal(dp_qmp_post(q, "query-status", NULL, &extra), -EBUSY);
	dp_qmp_forget(q, id[0]);
	assert_int_equal(dp_qmp_post(q, "query-status", NULL, &id[0]), 0);
	for (int i = 0; i < DP_QMP_MAX_PENDING; i++)
		assert_int_equal(dp_qmp_collect(q, id[i], PATIENCE, NULL), 0);
	/* a server that reads nothing fills the socket: no call may wait for it */
	kill(pid, SIGSTOP);
	for (int i = 0, err = 0; i < 100000 && !err; i++) {
		err = dp_qmp_post(q, "query-status", NULL, &extra);
		dp_qmp_forget(q, extra);
		assert_true(!err || err == -EBUSY);
		if (err)
			one_clear_line(dp_qmp_error(q));
		assert_true(i < 99999);
	}
	fake_qmp_end(pid);
	dp_qmp_close(q);
	fake_qmp_free(f);
}

/* A thousand events are there already: a call that must not wait may not read them all. */
static void flood_is_bounded(void **state)
{
	static const char hello[] = "{\"QMP\": {\"version\": {\"qemu\": {\"major\": 7}}}}{\"return\": {}}";
	static const char event[] = "{\"event\": \"X\"}\n";
	char all[1000 * sizeof(event)];
	struct dp_qmp *q;
	uint64_t id;
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	assert_true(write(fd[1], hello, strlen(hello)) == (ssize_t)strlen(hello));
	assert_int_equal(dp_qmp_open_fd(fd[0], 1000, &q, msg, sizeof(msg)), 0);
	for (int i = 0; i < 1000; i++)
		memcpy(all + i * strlen(event), event, sizeof(event));
	assert_true(send(fd[1], all, strlen(all), MSG_DONTWAIT) == (ssize_t)strlen(all));
	assert_int_equal(dp_qmp_post(q, "query-status", NULL, &id), 0);
	assert_int_equal(dp_qmp_collect(q, id, 0, NULL), -EAGAIN);
	assert_in_range(dp_qmp_events(q), 1, 999);
	dp_qmp_close(q);
	close(fd[1]);
}

/* Windows: QEMU 8.2 has milliseconds from 50, older ones whole seconds from 1; 60 s is the most. */
static void windows(void **state)
{
	static const struct {
		unsigned int major, minor;
		uint32_t ask, used;
		uint64_t given;
	} c[] = {
		{ 7, 2, 1, 1000, 1 },
		{ 7, 2, 1001, 2000, 2 },
		{ 7, 2, 90000, 60000, 60 },
		{ 8, 1, 59001, 60000, 60 },
		{ 8, 2, 1, 50, 50 },
		{ 8, 2, 1001, 1001, 1001 },
		{ 10, 0, 90000, 60000, 60000 },
		{ 7, 2, UINT32_MAX, 60000, 60 },
	};

	for (size_t i = 0; i < sizeof(c) / sizeof(*c); i++) {
		struct fake_qmp *f = fake_qmp_new(c[i].major, c[i].minor);
		uint32_t used = 0;
		struct dp_qmp *q;
		pid_t pid;

		assert_int_equal(open_fake("good", f, &pid, &q, PATIENCE), 0);
		assert_int_equal(dp_qmp_calc_dirty_rate(q, DP_CALC_RING, c[i].ask, PATIENCE, &used), 0);
		assert_int_equal(used, c[i].used);
		assert_true(f->last_calc_time == c[i].given);
		assert_true(f->last_milli == (c[i].major > 7 && (c[i].major > 8 || c[i].minor >= 2)));
		assert_string_equal(f->last_mode, "dirty-ring");
		assert_int_equal(dp_qmp_calc_dirty_rate(q, DP_CALC_RING, 1, PATIENCE, NULL), -EREMOTEIO);
		assert_string_equal(dp_qmp_error(q), "QMP: QEMU refuses calc-dirty-rate: no?way");
		dp_qmp_close(q);
		fake_qmp_end(pid);
		fake_qmp_free(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_greetings),
		cmocka_unit_test(good_servers),
		cmocka_unit_test(bad_answers),
		cmocka_unit_test(gone_quiet),
		cmocka_unit_test(pending_is_bounded),
		cmocka_unit_test(flood_is_bounded),
		cmocka_unit_test(windows),
	};

	return cmocka_run_group_tests_name("qmp", tests, setup, teardown);
}
