// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The machine that a trace is recorded on; no names. */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "trace/trace.h"

/* x86: "model name : ..."; POWER: "cpu : ...". */
static void cpu_name(char *out, size_t size)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256];

	out[0] = '\0';
	while (f && fgets(line, sizeof(line), f)) {
		char *value = strchr(line, ':');

		if (!value || (strncmp(line, "model name", 10) && strncmp(line, "cpu\t", 4)))
			continue;
		value += 1 + strspn(value + 1, " \t");
		value[strcspn(value, "\n")] = '\0';
		snprintf(out, size, "%s", value);
		break;
	}
	if (f)
		fclose(f);
}

static uint64_t positive(long v)
{
	return v > 0 ? (uint64_t)v : 0;
}

void dp_trace_host_now(struct dp_trace_host *h)
{
	struct utsname u;
	struct timespec now;

	memset(h, 0, sizeof(*h));
	snprintf(h->tool, sizeof(h->tool), "%s", DIRTYPROF_VERSION);
	if (!uname(&u)) {
		snprintf(h->kernel, sizeof(h->kernel), "%s", u.release);
		snprintf(h->machine, sizeof(h->machine), "%.31s", u.machine);
	}
	cpu_name(h->cpu, sizeof(h->cpu));
	h->ncpus = (uint32_t)positive(sysconf(_SC_NPROCESSORS_ONLN));
	h->page = (uint32_t)positive(sysconf(_SC_PAGESIZE));
	h->memory = positive(sysconf(_SC_PHYS_PAGES)) * h->page;
	clock_gettime(CLOCK_REALTIME, &now);
	h->wall_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}
