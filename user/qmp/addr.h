/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a QMP server listens. */
#ifndef DIRTYPROF_QMP_ADDR_H
#define DIRTYPROF_QMP_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum dp_qmp_family { DP_QMP_UNIX, DP_QMP_ABSTRACT, DP_QMP_TCP };

struct dp_qmp_addr {
	enum dp_qmp_family family;
	char path[1024]; /* unix: path, or abstract name */
	char host[128];	 /* tcp: numeric address or "localhost"; "" = loopback */
	char port[8];	 /* tcp: decimal */
	/*
	 * 0: as this process sees paths and networks. Else the process whose root and working directory
	 * the path is relative to, and whose network namespace an abstract or TCP address lives in.
	 */
	pid_t pid;
};

/*
 * What a user gives: "PATH", "unix:PATH", "tcp:HOST:PORT" (IPv6 in brackets). pid of *out is 0. 0,
 * -EINVAL, -ENAMETOOLONG. Names are not looked up (a resolver can hang): HOST is numeric or "localhost".
 */
int dp_qmp_addr_parse(const char *s, struct dp_qmp_addr *out);

/* For messages: "PATH" or "HOST:PORT"; always terminated. Returns buf. */
const char *dp_qmp_addr_str(const struct dp_qmp_addr *a, char *buf, size_t len);

/*
 * A connected, non-blocking, close-on-exec socket, or a negative errno: -ETIMEDOUT, -ENOTSOCK (the path is
 * no socket), -ENOENT, -ECONNREFUSED, -EACCES, ... deadline is on CLOCK_MONOTONIC, in ns. When a.pid's
 * network namespace is another one, the calling thread enters it and comes back.
 */
int dp_qmp_addr_connect(const struct dp_qmp_addr *a, uint64_t deadline_ns);

#endif
