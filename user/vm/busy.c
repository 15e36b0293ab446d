// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "vm/busy.h"

#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int dp_busy_is_vcpu(const char *name)
{
	if (strncmp(name, "CPU ", 4) != 0 || !isdigit((unsigned char)name[4]))
		return 0;
	for (name += 4; isdigit((unsigned char)*name); name++)
		;
	return !strcmp(name, "/KVM") || !strcmp(name, "/KVM\n");
}

static int is_vcpu_thread(pid_t pid, pid_t tid)
{
	char path[64], name[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", (int)pid, (int)tid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (!fgets(name, sizeof(name), f))
		name[0] = '\0';
	fclose(f);
	return dp_busy_is_vcpu(name);
}

/* Time on a CPU so far; 0 if it cannot be read. */
static uint64_t run_ns(pid_t pid, pid_t tid)
{
	char path[64];
	uint64_t ns = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", (int)pid, (int)tid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%" SCNu64, &ns) != 1)
		ns = 0;
	fclose(f);
	return ns;
}

static void find_vcpus(struct dp_busy *b, pid_t pid)
{
	char path[64];
	struct dirent *e;
	DIR *d;

	b->n = 0;
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	d = opendir(path);
	if (!d)
		return;
	while (b->n < DP_BUSY_VCPUS && (e = readdir(d))) {
		pid_t tid = (pid_t)atol(e->d_name);

		if (tid <= 0 || !is_vcpu_thread(pid, tid))
			continue;
		b->vcpu[b->n].tid = tid;
		b->vcpu[b->n++].run_ns = run_ns(pid, tid);
	}
	closedir(d);
}

double dp_busy_since(struct dp_busy *b, pid_t pid, uint64_t now_ns)
{
	double passed = (double)(now_ns - b->at_ns), sum = 0, squares = 0;
	uint32_t i;

	if (!b->at_ns || !b->n) {
		find_vcpus(b, pid);
		b->at_ns = now_ns;
		return 0;
	}
	for (i = 0; i < b->n; i++) {
		uint64_t ns = run_ns(pid, b->vcpu[i].tid);
		double ran = ns > b->vcpu[i].run_ns ? (double)(ns - b->vcpu[i].run_ns) : 0;

		b->vcpu[i].run_ns = ns;
		sum += ran;
		squares += ran * ran;
	}
	b->at_ns = now_ns;
	if (!(sum > 0) || !(passed > 0))
		return 0;
	return squares / sum < passed ? squares / sum / passed : 1;
}
