/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A folder with a socket in it, and the client at a server that misbehaves as told. */
#ifndef TESTS_QMP_FIXTURE_H
#define TESTS_QMP_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <json-c/json.h>

#include "lib/fake_qmp.h"
#include "qmp/clock.h"
#include "qmp/qmp.h"

#define SHORT_MS 300
#define PATIENCE 30000 /* ms: for what must come, however busy the machine is */

static char dir[] = "/tmp/dp-test-qmp.XXXXXX";
static char sock[64];
static char msg[256];

static inline struct dp_qmp_addr addr_of(const char *path)
{
	struct dp_qmp_addr a;

	assert_int_equal(dp_qmp_addr_parse(path, &a), 0);
	return a;
}

static inline int open_fake(const char *mode, struct fake_qmp *f, pid_t *pid, struct dp_qmp **q,
			    int timeout_ms)
{
	struct dp_qmp_addr a = addr_of(sock);

	*pid = fake_qmp_fork(sock, mode, f, 1);
	assert_true(*pid > 0);
	msg[0] = '\0';
	return dp_qmp_open(&a, timeout_ms, q, msg, sizeof(msg));
}

static inline void one_clear_line(const char *s)
{
	assert_true(strlen(s) > 10);
	for (; *s; s++)
		assert_true((unsigned char)*s >= 0x20 && *s != 0x7f);
}

static inline int setup(void **state)
{
	if (!mkdtemp(dir))
		return -1;
	snprintf(sock, sizeof(sock), "%s/qmp", dir);
	return 0;
}

static inline int teardown(void **state)
{
	char cmd[64];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

#endif
