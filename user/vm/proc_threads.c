// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/log.h"
#include "vm/proc_priv.h"

#define STAT_MAX 1024

const char *dp_thread_kind_name(enum dp_thread_kind k)
{
	static const char *const name[] = { "other", "vcpu", "migration", "multifd", "dirtyrate", "reaper" };

	return name[k];
}

/*
 * prefix, a decimal number, suffix, and nothing else; -1 if not. A comm is cut at 15 bytes, so that the
 * suffix may be.
 */
static int numbered(const char *s, const char *prefix, const char *suffix)
{
	size_t n = strlen(prefix);
	char *end;
	long v;

	if (strncmp(s, prefix, n) || !isdigit((unsigned char)s[n]))
		return -1;
	v = strtol(s + n, &end, 10);
	if (v > 65535 || strncmp(end, suffix, strlen(end)) || (strlen(s) < 15 && strcmp(end, suffix)))
		return -1;
	return (int)v;
}

enum dp_thread_kind dp_thread_classify(const char *comm, int *index)
{
	static const struct {
		const char *prefix, *suffix; /* suffix NULL: the whole name */
		enum dp_thread_kind kind;
	} known[] = {
		{ "CPU ", "/KVM", DP_THREAD_VCPU },
		{ "live_migration", NULL, DP_THREAD_MIGRATION },
		{ "mig/src/main", NULL, DP_THREAD_MIGRATION },
		{ "multifdsend_", "", DP_THREAD_MULTIFD },
		{ "mig/src/send_", "", DP_THREAD_MULTIFD },
		{ "get_dirtyrate", NULL, DP_THREAD_DIRTYRATE },
		{ "mig/dirtyrate", NULL, DP_THREAD_DIRTYRATE },
		{ "kvm-reaper", NULL, DP_THREAD_REAPER },
	};

	*index = -1;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (!known[i].suffix) {
			if (!strcmp(comm, known[i].prefix))
				return known[i].kind;
			continue;
		}
		*index = numbered(comm, known[i].prefix, known[i].suffix);
		if (*index >= 0)
			return known[i].kind;
	}
	return DP_THREAD_OTHER;
}

/*
 * "TID (comm) S ppid ... utime stime ...": the name may hold blanks and brackets, so its end is the last
 * bracket.
 */
static int parse_stat(const char *s, struct dp_thread *t)
{
	const char *open = strchr(s, '('), *close = strrchr(s, ')');
	unsigned long long utime, stime;
	uint64_t tick_ns = 1000000000ULL / (uint64_t)sysconf(_SC_CLK_TCK);

	if (!open || !close || close < open)
		return -EIO;
	if (sscanf(close + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &utime, &stime) != 2)
		return -EIO;
	snprintf(t->comm, sizeof(t->comm), "%.*s", (int)(close - open - 1), open + 1);
	dp_log_clean(t->comm);
	t->utime_ns = utime * tick_ns;
	t->stime_ns = stime * tick_ns;
	t->kind = dp_thread_classify(t->comm, &t->index);
	return 0;
}

static int by_tid(const void *a, const void *b)
{
	const struct dp_thread *x = a, *y = b;

	return (x->tid > y->tid) - (x->tid < y->tid);
}

int dp_proc_threads(const struct dp_proc *p, struct dp_thread **out, size_t *n)
{
	struct dp_thread *list = NULL, *more;
	size_t have = 0, room = 0, len;
	struct dirent *e;
	char path[300];
	int err;
	DIR *d;

	*out = NULL;
	*n = 0;
	err = proc__opendir(p->dirfd, "task", &d);
	if (err)
		return err == -ENOENT ? -ESRCH : err;
	while ((e = readdir(d))) {
		char *stat;

		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		if (have == room) {
			room = room ? room * 2 : 16;
			more = realloc(list, room * sizeof(*list));
			if (!more) {
				err = -ENOMEM;
				break;
			}
			list = more;
		}
		snprintf(path, sizeof(path), "%s/stat", e->d_name);
		if (proc__read(dirfd(d), path, STAT_MAX, &stat, &len))
			continue; /* ended meanwhile */
		list[have].tid = atoi(e->d_name);
		if (!parse_stat(stat, &list[have]))
			have++;
		free(stat);
	}
	closedir(d);
	if (!err && !have)
		err = -ESRCH;
	if (err) {
		free(list);
		return err;
	}
	qsort(list, have, sizeof(*list), by_tid);
	*out = list;
	*n = have;
	return 0;
}
