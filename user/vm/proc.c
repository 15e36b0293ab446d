// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli/log.h"
#include "qmp/clock.h"
#include "vm/proc_priv.h"

#define STATUS_MAX  8192
#define CMDLINE_MAX (1u << 20)
#define POLL_MS	    50 /* where there is no pidfd to wait on */

static int fail(struct dp_proc *p, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Leaves the line for people and closes. */
static int fail(struct dp_proc *p, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->msg, sizeof(p->msg), fmt, ap);
	va_end(ap);
	dp_log_clean(p->msg);
	dp_proc_close(p);
	return err;
}

static int fail_errno(struct dp_proc *p, int err)
{
	switch (err) {
	case -ESRCH:
	case -ENOENT:
		return fail(p, -ESRCH, "no process %d", p->pid);
	case -EPERM:
	case -EACCES:
		return fail(p, -EPERM, "no permission to look at process %d: run as root", p->pid);
	default:
		return fail(p, err, "process %d: %s", p->pid, strerror(-err));
	}
}

/* The value of "Key:\tvalue" in /proc/PID/status. */
static const char *status_value(const char *status, const char *key)
{
	const char *s = strstr(status, key);

	return s ? s + strlen(key) + strspn(s + strlen(key), " \t") : "";
}

/* 'R', 'S', 'Z', ...; 0 if the process is gone. */
static char state_of(int dirfd, int *tgid)
{
	char *status, state;
	size_t len;

	if (proc__read(dirfd, "status", STATUS_MAX, &status, &len))
		return 0;
	state = *status_value(status, "\nState:");
	if (tgid)
		*tgid = atoi(status_value(status, "\nTgid:"));
	free(status);
	return state;
}

/* Opens /proc/PID and the pidfd, and makes sure that both are of one live process. */
static int open_handles(struct dp_proc *p)
{
	char path[32], state;
	int tgid = 0;

	snprintf(path, sizeof(path), "/proc/%d", p->pid);
	p->dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->dirfd < 0) {
		/* hidepid takes other users' processes out of /proc */
		bool hidden = errno == ENOENT && kill(p->pid, 0) && errno == EPERM;

		return fail_errno(p, hidden ? -EPERM : errno == EMFILE ? -EMFILE : -ESRCH);
	}
	state = state_of(p->dirfd, &tgid);
	if (!state)
		return fail_errno(p, -ESRCH);
	if (tgid != p->pid)
		return fail(p, -ESRCH, "%d is a thread of process %d: give that", p->pid, tgid);
	p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	if (p->pidfd < 0 && errno == EMFILE)
		return fail_errno(p, -EMFILE);
	state = state_of(p->dirfd, NULL);
	if (!state || state == 'Z' || state == 'X')
		return fail(p, -ESRCH, "process %d has exited", p->pid);
	return 0;
}

/* Is it a QEMU, and what does its command line say? */
static int read_identity(struct dp_proc *p)
{
	char exe[512], *buf = NULL;
	size_t len = 0;
	ssize_t n;
	int err;

	err = proc__read(p->dirfd, "comm", 64, &buf, &len);
	if (err)
		return err;
	buf[strcspn(buf, "\n")] = '\0';
	snprintf(p->comm, sizeof(p->comm), "%.15s", buf);
	dp_log_clean(p->comm);
	free(buf);
	n = readlinkat(p->dirfd, "exe", exe, sizeof(exe) - 1);
	exe[n > 0 ? n : 0] = '\0';
	err = proc__read(p->dirfd, "cmdline", CMDLINE_MAX, &buf, &len);
	if (err)
		return err;
	p->qemu = proc__qemu_name(exe) || (len && proc__qemu_name(buf));
	if (p->nvms || p->qemu)
		proc__find_version(p);
	if (p->qemu_version[0])
		p->qemu = true;
	if (p->qemu && p->nvms)
		proc__parse_args(p, buf, len);
	free(buf);
	return 0;
}

int dp_proc_open(pid_t pid, struct dp_proc *out)
{
	int err;

	memset(out, 0, sizeof(*out));
	out->pid = pid;
	out->pidfd = out->dirfd = out->vm_fd = -1;
	if (pid <= 0)
		return fail(out, -EINVAL, "%d is not a process id", pid);
	err = open_handles(out);
	if (err)
		return err;
	err = proc__scan_fds(out, false);
	if (!err)
		err = read_identity(out);
	if (err)
		return fail_errno(out, err);
	if (!out->nvms && out->qemu)
		return fail(out, -ENXIO, "process %d (%s) is a QEMU that does not use KVM (TCG emulation?)",
			    pid, out->comm);
	if (!out->nvms)
		return fail(out, -ENXIO, "process %d (%s) has no KVM guest", pid, out->comm);
	return 0;
}

void dp_proc_close(struct dp_proc *p)
{
	if (!p)
		return;
	if (p->pidfd >= 0)
		close(p->pidfd);
	if (p->dirfd >= 0)
		close(p->dirfd);
	p->pidfd = p->dirfd = -1;
}

bool dp_proc_alive(const struct dp_proc *p)
{
	return dp_proc_wait(p, 0) == 0;
}

int dp_proc_wait(const struct dp_proc *p, int timeout_ms)
{
	uint64_t deadline = timeout_ms < 0 ? UINT64_MAX : dp_deadline_ns(timeout_ms);

	for (;;) {
		struct pollfd pfd = { .fd = p->pidfd, .events = POLLIN };
		int left = timeout_ms < 0 ? -1 : dp_left_ms(deadline), r;
		char state;

		if (p->pidfd >= 0) {
			r = poll(&pfd, 1, left);
			if (r > 0)
				return 1;
			if (r < 0 && errno != EINTR)
				return -errno;
		} else {
			state = state_of(p->dirfd, NULL);
			if (!state || state == 'Z' || state == 'X')
				return 1;
			poll(NULL, 0, left >= 0 && left < POLL_MS ? left : POLL_MS);
		}
		if (timeout_ms >= 0 && !dp_left_ms(deadline))
			return 0;
	}
}

static int by_pid(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return (x > y) - (x < y);
}

static int list_pids(pid_t **out, size_t *n)
{
	size_t have = 0, room = 0;
	pid_t *list = NULL, *more;
	struct dirent *e;
	DIR *d = opendir("/proc");

	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		if (have == room) {
			room = room ? room * 2 : 256;
			more = realloc(list, room * sizeof(*list));
			if (!more) {
				free(list);
				closedir(d);
				return -ENOMEM;
			}
			list = more;
		}
		list[have++] = atoi(e->d_name);
	}
	closedir(d);
	if (have)
		qsort(list, have, sizeof(*list), by_pid);
	*out = list;
	*n = have;
	return 0;
}

/* A cheap look before dp_proc_open: most processes of a host are no VMs. 1, 0, or a negative errno. */
static int holds_vm(pid_t pid)
{
	struct dp_proc p = { .pid = pid };
	char path[32];
	int err;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	p.dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p.dirfd < 0)
		return -errno;
	err = proc__scan_fds(&p, true);
	close(p.dirfd);
	return err ? err : p.nvms > 0;
}

int dp_proc_each_vm(int (*cb)(void *ctx, const struct dp_proc *p), void *ctx, uint32_t *hidden)
{
	uint32_t unseen = 0;
	pid_t *pids = NULL;
	size_t n = 0, i;
	int err;

	err = list_pids(&pids, &n);
	for (i = 0; !err && i < n; i++) {
		struct dp_proc p;
		int r = holds_vm(pids[i]);

		if (r == -EACCES || r == -EPERM)
			unseen++;
		if (r <= 0 || dp_proc_open(pids[i], &p))
			continue;
		err = cb(ctx, &p);
		dp_proc_close(&p);
	}
	free(pids);
	if (hidden)
		*hidden = unseen;
	return err;
}
