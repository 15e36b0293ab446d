// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The QMP client: input is what the other side says. The socket is not one: recv, send, poll and the clock are replaced, so
 * that nothing waits. Four bytes of the input say how it comes rather than what (they are no JSON):
 *   0x1e  ends what one recv gives        0x1f  nothing there yet: a poll, and 40 ms
 *   0x1d  a signal came in between        0x1c  a send finds no room    0x1b  a send takes half
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "qmp/qmp.h"
#include "qmp/start.h"
#include "fuzz.h"

#define CALL_MS 100
#define TICK_MS 40
#define MS	1000000ull

ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *buf, size_t len, int flags);
int __wrap_poll(struct pollfd *p, nfds_t n, int timeout);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);

static const uint8_t *in;
static size_t left;
static uint64_t clock_ns;

static bool next_is(uint8_t c)
{
	if (!left || *in != c)
		return false;
	in++;
	left--;
	return true;
}

ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags)
{
	size_t n = 0;

	if (next_is(0x1d)) {
		errno = EINTR;
		return -1;
	}
	if (next_is(0x1f)) {
		errno = EAGAIN;
		return -1;
	}
	while (n < len && n < left && (in[n] < 0x1b || in[n] > 0x1f))
		n++;
	if (!n && left && *in != 0x1e)
		n = 1; /* meant for a send that did not come */
	memcpy(buf, in, n);
	in += n;
	left -= n;
	if (next_is(0x1e) && !n)
		return __wrap_recv(fd, buf, len, flags);
	return (ssize_t)n;
}

ssize_t __wrap_send(int fd, const void *buf, size_t len, int flags)
{
	if (next_is(0x1c)) {
		errno = EAGAIN;
		return -1;
	}
	return (ssize_t)(next_is(0x1b) ? (len + 1) / 2 : len);
}

int __wrap_poll(struct pollfd *p, nfds_t n, int timeout)
{
	clock_ns += (uint64_t)(timeout < TICK_MS ? timeout : TICK_MS) * MS;
	return 0;
}

int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	ts->tv_sec = (time_t)(clock_ns / 1000000000);
	ts->tv_nsec = (long)(clock_ns % 1000000000);
	return 0;
}

/* A message goes to a terminal as it is. */
static void check_clean(const char *s, size_t size)
{
	const char *end = memchr(s, '\0', size);

	FUZZ_CHECK(end);
	for (; s < end; s++)
		FUZZ_CHECK((unsigned char)*s >= 0x20 && *s != 0x7f);
}

/* What each query promises. */
static void check(const struct dp_qmp *q, int err, uint64_t begin_ns)
{
	FUZZ_CHECK(!err || err == -ETIMEDOUT || err == -EPIPE || err == -EPROTO || err == -EMSGSIZE ||
		   err == -EREMOTEIO);
	FUZZ_CHECK(clock_ns - begin_ns <= (CALL_MS + TICK_MS) * MS);
	FUZZ_CHECK(!err == !*dp_qmp_error(q));
	check_clean(dp_qmp_error(q), 256);
	check_clean(dp_qmp_error_class(q), 64);
	FUZZ_CHECK(err == -EREMOTEIO || !*dp_qmp_error_class(q));
	FUZZ_CHECK((err != -EPIPE && err != -EMSGSIZE) || dp_qmp_dead(q));
}

static void queries(struct dp_qmp *q)
{
	struct dp_qmp_dirty_rate rate;
	struct dp_qmp_version version;
	struct dp_qmp_migrate migrate;
	struct dp_qmp_params params;
	struct dp_qmp_status status;
	uint64_t begin = clock_ns;
	uint32_t used;
	int err;

	err = dp_qmp_query_version(q, &version, CALL_MS);
	check(q, err, begin);
	if (!err)
		check_clean(version.package, sizeof(version.package));
	begin = clock_ns;
	err = dp_qmp_query_status(q, &status, CALL_MS);
	check(q, err, begin);
	if (!err)
		check_clean(status.status, sizeof(status.status));
	begin = clock_ns;
	err = dp_qmp_query_migrate(q, &migrate, CALL_MS);
	check(q, err, begin);
	if (!err) {
		check_clean(migrate.status, sizeof(migrate.status));
		FUZZ_CHECK(migrate.mbps >= 0 && migrate.cpu_throttle_pct < 100);
		FUZZ_CHECK((migrate.transferred | migrate.remaining | migrate.total) <= INT64_MAX);
	}
	begin = clock_ns;
	err = dp_qmp_query_params(q, &params, CALL_MS);
	check(q, err, begin);
	FUZZ_CHECK(err || (params.max_bandwidth | params.downtime_limit_ms) <= INT64_MAX);
	begin = clock_ns;
	err = dp_qmp_query_dirty_rate(q, &rate, CALL_MS);
	check(q, err, begin);
	if (!err)
		check_clean(rate.mode, sizeof(rate.mode));
	begin = clock_ns;
	check(q, dp_qmp_calc_dirty_rate(q, DP_CALC_RING, 70, CALL_MS, &used), begin);
	FUZZ_CHECK(used >= 50 && used <= 60000);
}

static void windows(struct dp_qmp *q)
{
	const struct dp_start_opts o = { .mode = DP_CALC_BITMAP, .first_ms = 50, .window_ms = 500 };
	struct dp_start *s = dp_start_new(q, &o);
	struct dp_start_stats stats;
	uint64_t now = 1, begin;
	int i;

	FUZZ_CHECK(s);
	for (i = 0; i < 40 && left; i++) {
		dp_start_poll(s, now);
		check_clean(dp_start_message(s), 384);
		now += 300 * MS;
		clock_ns += 300 * MS;
	}
	dp_start_stats(s, &stats);
	FUZZ_CHECK(stats.nlengths <= DP_START_LENGTHS && stats.windows <= 40);
	begin = clock_ns;
	dp_start_stop(s, 3000, NULL, NULL);
	FUZZ_CHECK(clock_ns - begin <= (3000 + TICK_MS) * MS);
	FUZZ_CHECK(dp_start_left_ns(s, now + 3600000 * MS) <= 60000 * MS);
	check_clean(dp_start_message(s), 384);
	dp_start_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct dp_qmp *q;
	char msg[96] = "";
	int err;

	in = data;
	left = len;
	clock_ns = 1000000000ull;
	err = dp_qmp_open_fd(-1, CALL_MS, &q, msg, sizeof(msg));
	FUZZ_CHECK(!err == !!q && !err == !*msg);
	check_clean(msg, sizeof(msg));
	if (err)
		return 0;
	/* which first: both are to meet input that the other has not eaten */
	if (len & 1)
		queries(q);
	windows(q);
	queries(q);
	dp_qmp_close(q);
	return 0;
}
