// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "qmp/addr.h"
#include "qmp/clock.h"

#define RETRY_MS 10 /* a unix server's full backlog gives no event to wait for */

static int copy(char *dst, size_t size, const char *src, size_t len)
{
	if (!len)
		return -EINVAL;
	if (len >= size)
		return -ENAMETOOLONG;
	memcpy(dst, src, len);
	dst[len] = '\0';
	return 0;
}

static int parse_tcp(const char *s, struct dp_qmp_addr *out)
{
	const char *colon = strrchr(s, ':');
	size_t hostlen, i;
	int err;

	if (!colon)
		return -EINVAL;
	hostlen = (size_t)(colon - s);
	if (hostlen >= 2 && s[0] == '[' && s[hostlen - 1] == ']') {
		s++;
		hostlen -= 2;
	}
	err = hostlen ? copy(out->host, sizeof(out->host), s, hostlen) : 0;
	if (!err)
		err = copy(out->port, sizeof(out->port), colon + 1, strlen(colon + 1));
	if (err)
		return err;
	for (i = 0; out->port[i]; i++)
		if (out->port[i] < '0' || out->port[i] > '9')
			return -EINVAL;
	if (i > 5 || !atoi(out->port) || atoi(out->port) > 65535)
		return -EINVAL;
	return 0;
}

int dp_qmp_addr_parse(const char *s, struct dp_qmp_addr *out)
{
	struct dp_qmp_addr a = { .family = DP_QMP_UNIX };
	int err;

	if (!strncmp(s, "tcp:", 4)) {
		a.family = DP_QMP_TCP;
		err = parse_tcp(s + 4, &a);
	} else {
		if (!strncmp(s, "unix:", 5))
			s += 5;
		err = copy(a.path, sizeof(a.path), s, strlen(s));
	}
	if (!err)
		*out = a;
	return err;
}

const char *dp_qmp_addr_str(const struct dp_qmp_addr *a, char *buf, size_t len)
{
	if (a->family == DP_QMP_TCP)
		snprintf(buf, len, strchr(a->host, ':') ? "[%s]:%s" : "%s:%s",
			 a->host[0] ? a->host : "localhost", a->port);
	else
		snprintf(buf, len, "%s%s", a->family == DP_QMP_ABSTRACT ? "@" : "", a->path);
	return buf;
}

/*
 * Opens the path as its process sees it. RESOLVE_IN_ROOT keeps absolute symbolic links inside that
 * process's root; a kernel without openat2 (before 5.6) resolves them in ours.
 */
static int open_path(const struct dp_qmp_addr *a)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC };
	bool absolute = a->path[0] == '/';
	char base[64];
	int dir, fd, err;

	if (!a->pid) {
		fd = open(a->path, O_PATH | O_CLOEXEC);
		return fd < 0 ? -errno : fd;
	}
	snprintf(base, sizeof(base), "/proc/%d/%s", a->pid, absolute ? "root" : "cwd");
	dir = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	if (absolute)
		how.resolve = RESOLVE_IN_ROOT;
	fd = (int)syscall(SYS_openat2, dir, a->path, &how, sizeof(how));
	if (fd < 0 && (errno == ENOSYS || errno == EPERM))
		fd = openat(dir, a->path + strspn(a->path, "/"), O_PATH | O_CLOEXEC);
	err = fd < 0 ? -errno : fd;
	close(dir);
	return err;
}

/* A socket in the network namespace of pid (0: ours). */
static int socket_in(pid_t pid, int family)
{
	struct stat theirs_st, ours_st;
	int theirs = -1, ours = -1, fd, err;
	char path[64];

	if (!pid)
		goto create;
	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	theirs = open(path, O_RDONLY | O_CLOEXEC);
	ours = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (theirs < 0 || ours < 0 || fstat(theirs, &theirs_st) || fstat(ours, &ours_st)) {
		fd = -errno;
		goto cleanup;
	}
	if (theirs_st.st_ino == ours_st.st_ino && theirs_st.st_dev == ours_st.st_dev)
		goto create;
	if (setns(theirs, CLONE_NEWNET)) {
		fd = -errno;
		goto cleanup;
	}
	fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	err = errno;
	if (setns(ours, CLONE_NEWNET)) {
		err = errno;
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	if (fd < 0)
		fd = -err;
	goto cleanup;
create:
	fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		fd = -errno;
cleanup:
	if (theirs >= 0)
		close(theirs);
	if (ours >= 0)
		close(ours);
	return fd;
}

static int connect_unix(const struct dp_qmp_addr *a, uint64_t deadline_ns)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(sa);
	int fd, path = -1, err = 0;
	struct stat st;

	if (a->family == DP_QMP_ABSTRACT) {
		size_t n = strlen(a->path);

		if (!n || n + 1 > sizeof(sa.sun_path))
			return -ENAMETOOLONG;
		memcpy(sa.sun_path + 1, a->path, n);
		len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n);
		fd = socket_in(a->pid, AF_UNIX);
	} else {
		path = open_path(a);
		if (path < 0)
			return path;
		/* by descriptor: the path may be longer than sun_path, and lie in another root */
		snprintf(sa.sun_path, sizeof(sa.sun_path), "/proc/self/fd/%d", path);
		err = fstat(path, &st) ? -errno : S_ISSOCK(st.st_mode) ? 0 : -ENOTSOCK;
		fd = err ? err : socket_in(0, AF_UNIX);
	}
	if (fd < 0) {
		err = fd;
		goto cleanup;
	}
	while (connect(fd, (struct sockaddr *)&sa, len)) {
		if (errno == EINTR)
			continue;
		err = errno == EAGAIN && !dp_left_ms(deadline_ns) ? -ETIMEDOUT : -errno;
		if (err != -EAGAIN)
			break;
		err = 0;
		poll(NULL, 0, RETRY_MS);
	}
	if (err)
		close(fd);
cleanup:
	if (path >= 0)
		close(path);
	return err ? err : fd;
}

static int connect_sa(pid_t pid, const struct sockaddr *sa, socklen_t len, uint64_t deadline_ns)
{
	int fd = socket_in(pid, sa->sa_family), err = 0;
	socklen_t errlen = sizeof(err);
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };

	if (fd < 0)
		return fd;
	if (!connect(fd, sa, len))
		return fd;
	if (errno != EINPROGRESS) {
		err = errno;
		goto fail;
	}
	for (;;) {
		int r = poll(&pfd, 1, dp_left_ms(deadline_ns));

		if (r > 0)
			break;
		if (r < 0 && errno == EINTR)
			continue;
		err = r ? errno : ETIMEDOUT;
		goto fail;
	}
	if (!getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &errlen) && !err)
		return fd;
fail:
	close(fd);
	return -(err ? err : EIO);
}

static int connect_tcp(const struct dp_qmp_addr *a, uint64_t deadline_ns)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(a->port)) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = in.sin_port };
	/* what a server binds to when it listens everywhere is not an address to connect to */
	bool any = !a->host[0] || !strcmp(a->host, "localhost") || !strcmp(a->host, "0.0.0.0") ||
		   !strcmp(a->host, "::");
	int fd;

	if (any) {
		in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		fd = connect_sa(a->pid, (struct sockaddr *)&in, sizeof(in), deadline_ns);
		if (fd >= 0 || fd == -ETIMEDOUT)
			return fd;
		in6.sin6_addr = in6addr_loopback;
		return connect_sa(a->pid, (struct sockaddr *)&in6, sizeof(in6), deadline_ns);
	}
	if (inet_pton(AF_INET, a->host, &in.sin_addr) == 1)
		return connect_sa(a->pid, (struct sockaddr *)&in, sizeof(in), deadline_ns);
	if (inet_pton(AF_INET6, a->host, &in6.sin6_addr) == 1)
		return connect_sa(a->pid, (struct sockaddr *)&in6, sizeof(in6), deadline_ns);
	return -EADDRNOTAVAIL;
}

int dp_qmp_addr_connect(const struct dp_qmp_addr *a, uint64_t deadline_ns)
{
	return a->family == DP_QMP_TCP ? connect_tcp(a, deadline_ns) : connect_unix(a, deadline_ns);
}
