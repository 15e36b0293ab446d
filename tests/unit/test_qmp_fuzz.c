// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The parsers that read what others wrote, on mutations of well-formed input: QMP sessions, command lines,
 * smaps, units. Built with the address and undefined-behaviour sanitizers. Deterministic: DP_FUZZ_SEED and
 * DP_FUZZ_RUNS choose the seed (1) and the runs.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "cli/units.h"
#include "qmp/clock.h"
#include "qmp/qmp.h"
#include "qmp/start.h"
#include "vm/backing.h"
#include "vm/proc_priv.h"

#define ROOM 30000

static uint64_t rng;
static unsigned int runs = 6000;

static uint32_t rnd(uint32_t n) /* 0 to n - 1 */
{
	/* splitmix64 */
	uint64_t z = rng += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	z ^= z >> 31;
	return n ? (uint32_t)(z % n) : 0;
}

static const char *const words[] = {
	"{",
	"}",
	"[",
	"]",
	"\"",
	",",
	":",
	"null",
	"-1",
	"18446744073709551616",
	"1e999",
	"\\u0000",
	"\\ud800",
	"\xff",
	"\"id\":1",
	"\"id\":\"1\"",
	"\"return\":",
	"\"error\":",
	"\"event\":\"X\"",
	"\n",
	"\\",
	"-",
	"=",
	",,",
	"|",
	"-qmp",
	"unix:",
	"server",
	" kB\n",
	"Rss:",
	"7f00-7f01 ",
	"0000000000000000000000000000000000",
	"%s%n",
	"'",
};

/* Cuts, copies, flips and inserts. len is of a buffer of ROOM bytes. */
static size_t mutate(char *buf, size_t len)
{
	for (uint32_t k = rnd(6); k; k--) {
		size_t at = rnd((uint32_t)len + 1), n;

		switch (rnd(5)) {
		case 0:
			if (at < len)
				buf[at] = (char)rnd(256);
			break;
		case 1:
			n = rnd(1 + (uint32_t)(len - at));
			memmove(buf + at, buf + at + n, len - at - n);
			len -= n;
			break;
		case 2:
			len = rnd(8) ? len : at;
			break;
		case 3: {
			size_t from = rnd((uint32_t)len + 1);

			n = rnd(1 + (uint32_t)(len - from));
			if (len + n > ROOM)
				break;
			char *piece = malloc(n + 1);

			memcpy(piece, buf + from, n);
			memmove(buf + at + n, buf + at, len - at);
			memcpy(buf + at, piece, n);
			free(piece);
			len += n;
			break;
		}
		default: {
			const char *w = words[rnd(sizeof(words) / sizeof(*words))];

			n = strlen(w);
			if (len + n > ROOM)
				break;
			memmove(buf + at + n, buf + at, len - at);
			memcpy(buf + at, w, n);
			len += n;
		}
		}
	}
	return len;
}

static const char *const session[] = {
	"{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, \"package\": \"Debian\"}, "
	"\"capabilities\": [\"oob\"]}}\r\n{\"return\": {}, \"id\": 1}\r\n"
	"{\"return\": {\"running\": true, \"singlestep\": false, \"status\": \"running\"}, \"id\": 2}\r\n"
	"{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"STOP\"}\r\n"
	"{\"return\": {\"expected-downtime\": 300, \"status\": \"active\", \"setup-time\": 1, \"total-time\": 1000, \"ram\": "
	"{\"total\": 84295680, \"postcopy-requests\": 0, \"dirty-sync-count\": 1, \"pages-per-second\": 1, \"page-size\": "
	"4096, \"remaining\": 82522112, \"mbps\": 0.5, \"transferred\": 12, \"duplicate\": 7, \"normal\": 9}}, \"id\": 3}\r\n"
	"{\"return\": {\"max-bandwidth\": 134217728, \"downtime-limit\": 300, \"multifd-channels\": 2}, \"id\": 4}\r\n"
	"{\"return\": [{\"state\": false, \"capability\": \"xbzrle\"}, {\"state\": true, \"capability\": \"multifd\"}], "
	"\"id\": 5}\r\n{\"return\": {\"status\": \"measured\", \"sample-pages\": 512, \"dirty-rate\": 64, \"mode\": "
	"\"dirty-bitmap\", \"start-time\": 3394, \"calc-time\": 1}, \"id\": 6}\r\n"
	"{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}, \"id\": 7}\r\n",
	"{\n \"QMP\": {\n  \"version\": {\"qemu\": {\"micro\": 0, \"minor\": 0, \"major\": 10}, \"package\": \"\"}}}\n"
	"{\"return\": {}}{\"return\": {\"running\": false, \"status\": \"paused\"}}{\"return\": {}}{\"return\": {}}"
	"{\"return\": []}{\"return\": {\"status\": \"unstarted\", \"calc-time\": 50, \"calc-time-unit\": \"millisecond\"}}"
	"{\"return\": {}}{\"return\": {\"running\": true, \"status\": \"running\"}}{\"return\": {}}{\"return\": {}}"
	"{\"return\": {\"status\": \"measuring\"}}{\"return\": {\"status\": \"measured\"}}",
};

/* All that a session can be asked; the peer has said all it will and closed. */
static void one_session(const char *data, size_t len)
{
	struct dp_start_opts o = { .mode = DP_CALC_BITMAP, .window_ms = 50 };
	struct dp_qmp_dirty_rate r;
	struct dp_qmp_migrate m;
	struct dp_qmp_params p;
	struct dp_qmp_status st;
	struct dp_start *s;
	struct dp_qmp *q;
	char msg[64];
	uint64_t now = 1;
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	assert_true(send(fd[1], data, len, MSG_DONTWAIT) == (ssize_t)len);
	shutdown(fd[1], SHUT_WR);
	if (!dp_qmp_open_fd(fd[0], 100, &q, msg, sizeof(msg))) {
		dp_qmp_query_status(q, &st, 100);
		dp_qmp_query_migrate(q, &m, 100);
		dp_qmp_query_params(q, &p, 100);
		dp_qmp_query_dirty_rate(q, &r, 100);
		dp_qmp_calc_dirty_rate(q, DP_CALC_BITMAP, 1, 100, NULL);
		s = dp_start_new(q, &o);
		for (int i = 0; i < 20; i++)
			dp_start_poll(s, now += 700000000);
		dp_start_free(s);
		dp_qmp_close(q);
	}
	close(fd[1]);
}

static void sessions(void **state)
{
	char *buf = malloc(ROOM);
	uint64_t t = dp_mono_ns();

	for (unsigned int i = 0; i < runs; i++) {
		const char *seed = session[rnd(2)];
		size_t len = strlen(seed);

		memcpy(buf, seed, len);
		one_session(buf, mutate(buf, len));
	}
	/* no timeout was waited for: each session ends with its input */
	assert_true(dp_mono_ns() - t < runs * 50000000ull);
	free(buf);
}

static void command_lines(void **state)
{
	static const char seed[] =
		"qemu|-name|guest=vm,,1,debug-threads=on|-chardev|socket,id=m,path=/run/q,server=on,wait=off|-mon|"
		"chardev=m,mode=control|-qmp|unix:/x,server|-qmp|tcp:[::1]:4444,server=on|-device|{\"driver\":"
		"\"virtio-net-pci\"}|-netdev|tap,vhost=on,id=n|-nic|user|-drive|if=none,file=x|-device|vfio-pci,host=1";
	char *buf = malloc(ROOM + 1);

	for (unsigned int i = 0; i < runs * 4; i++) {
		struct dp_proc p = { .pid = 1, .dirfd = -1 };
		size_t len = sizeof(seed); /* its NUL as well */
		char *exact;

		memcpy(buf, seed, len);
		len = mutate(buf, len);
		for (size_t k = 0; k < len; k++)
			if (buf[k] == '|')
				buf[k] = '\0';
		exact = malloc(len + 1); /* so that a byte too far is seen */
		memcpy(exact, buf, len);
		exact[len] = '\0';
		proc__parse_args(&p, exact, len);
		assert_true(p.nqmp <= DP_PROC_MAX_QMP && memchr(p.name, '\0', sizeof(p.name)));
		free(exact);
	}
	free(buf);
}

static void smaps(void **state)
{
	static const char seed[] =
		"7f0000000000-7f0008000000 rw-p 00000000 00:00 0 \nSize: 131072 kB\nKernelPageSize: 4 kB\n"
		"Rss:              102400 kB\nAnonHugePages:     65536 kB\nShmemPmdMapped:        0 kB\n"
		"7f0010000000-7f0010010000 rw-s 00000000 00:01 5 /memfd:a\\012b\nKernelPageSize: 2048 kB\n"
		"Private_Hugetlb:       64 kB\nVmFlags: rd wr\n";
	const struct dp_range r[] = { { 0x7f0000000000, 1 << 30 }, { 0, UINT64_MAX }, { UINT64_MAX, 1 } };
	char *buf = malloc(ROOM);

	for (unsigned int i = 0; i < runs * 4; i++) {
		size_t len = sizeof(seed) - 1;
		struct dp_backing b[3];
		FILE *f;

		memcpy(buf, seed, len);
		len = mutate(buf, len);
		if (!len)
			continue;
		f = fmemopen(buf, len, "r");
		dp_backing_parse(f, 4096, r, 3, b);
		fclose(f);
	}
	free(buf);
}

static void units(void **state)
{
	static const char *const seed[] = { "866.83MiB/s", "10Gbps", "1.5min", "300ms",
					    "18446744073709551615" };
	char *buf = malloc(ROOM);

	for (unsigned int i = 0; i < runs * 4; i++) {
		const char *s = seed[rnd(5)];
		size_t len = strlen(s);
		char exact[ROOM + 1];
		uint64_t n;
		double d;

		memcpy(buf, s, len);
		len = mutate(buf, len);
		memcpy(exact, buf, len);
		exact[len] = '\0';
		if (!dp_parse_bandwidth(exact, &d))
			assert_true(d >= 1 && d <= 1e15);
		if (!dp_parse_duration(exact, &n))
			assert_true(n <= 315360000000000000);
		dp_parse_uint(exact, 0, UINT64_MAX, &n);
	}
	free(buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sessions),
		cmocka_unit_test(command_lines),
		cmocka_unit_test(smaps),
		cmocka_unit_test(units),
	};

	rng = getenv("DP_FUZZ_SEED") ? strtoull(getenv("DP_FUZZ_SEED"), NULL, 0) : 1;
	if (getenv("DP_FUZZ_RUNS"))
		runs = (unsigned int)strtoul(getenv("DP_FUZZ_RUNS"), NULL, 0);
	return cmocka_run_group_tests_name("fuzz", tests, NULL, NULL);
}
