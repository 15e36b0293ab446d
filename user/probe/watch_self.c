// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What watching costs. The kernel times BPF programs only on request, and timing costs as much as a short
 * program does, so it is on for one stretch in forty and scaled up. Copies of bitmaps are too rare for that:
 * their program sums its own time.
 */
#include <bpf/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli/log.h"
#include "probe/watch_int.h"

#define STATS_ON_NS    50000000ull
#define STATS_FIRST_NS 200000000ull
#define STATS_OFF_NS   1950000000ull

static void all_stats(const struct dp_watch *w, uint64_t *runs, uint64_t *ns, uint64_t *maps)
{
	*runs = *ns = *maps = 0;
	dp_inspect_stats(w->inspect, runs, ns);
	if (w->events)
		dp_events_stats(w->events, runs, ns, maps);
	if (w->harvest)
		dp_harvest_stats(w->harvest, runs, ns, maps);
	if (w->entry)
		dp_entry_stats(w->entry, runs, ns);
	if (w->wire)
		dp_wire_stats(w->wire, runs, ns, maps);
}

static uint64_t copied(const struct dp_watch *w)
{
	return w->harvest ? dp_harvest_copy_ns(w->harvest) : 0;
}

void dp_watch_sample_cost(struct dp_watch *w)
{
	uint64_t now = dp_mono_ns(), runs, ns, maps, scale;

	if (w->stats_fd < 0) {
		/* The first one early, for short runs. */
		if (now < w->stats_off + (w->stats_on ? STATS_OFF_NS : STATS_FIRST_NS))
			return;
		w->stats_fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
		if (w->stats_fd < 0) {
			w->stats_off = now;
			return;
		}
		all_stats(w, &w->stats_runs, &w->stats_ns, &maps);
		w->stats_copy = copied(w);
		w->stats_on = now;
		return;
	}
	if (now < w->stats_on + STATS_ON_NS)
		return;
	all_stats(w, &runs, &ns, &maps);
	close(w->stats_fd);
	w->stats_fd = -1;
	/* A reopened source starts its counts again. */
	if (runs >= w->stats_runs && ns >= w->stats_ns && w->stats_off && copied(w) >= w->stats_copy) {
		uint64_t copies = copied(w) - w->stats_copy;

		ns -= copies < ns - w->stats_ns ? copies : ns - w->stats_ns;
		scale = (now - w->stats_off) / (now - w->stats_on);
		w->bpf_runs += (runs - w->stats_runs) * scale;
		w->bpf_ns += (ns - w->stats_ns) * scale;
	}
	w->stats_off = now;
}

/* A line of /proc/self/status in bytes. */
static uint64_t status_bytes(const char *field)
{
	unsigned long long kb = 0;
	size_t n = strlen(field);
	char line[128];
	FILE *f = fopen("/proc/self/status", "re");

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, field, n) && sscanf(line + n, ": %llu", &kb) == 1)
			break;
	fclose(f);
	return kb * 1024;
}

void dp_watch_note_files(struct dp_watch *w)
{
	w->file_bytes = status_bytes("RssFile");
}

/*
 * Resident bytes of this process that are its own, and what the kernel holds for its maps. Mapped maps show as
 * file pages of the process, a ring buffer even twice: of those only what was there before the maps counts.
 */
static uint64_t resident(const struct dp_watch *w, uint64_t map_bytes)
{
	return status_bytes("RssAnon") + w->file_bytes + map_bytes;
}

void dp_watch_self(struct dp_watch *w, struct dp_self *self)
{
	uint64_t runs, ns, maps, cpu;
	struct rusage ru;

	memset(self, 0, sizeof(*self));
	all_stats(w, &runs, &ns, &maps);
	self->bpf_runs = w->bpf_runs;
	cpu = copied(w);
	self->bpf_ns = w->bpf_ns + (cpu >= w->copy_seen ? cpu - w->copy_seen : cpu);
	w->copy_seen = cpu;
	w->bpf_runs = w->bpf_ns = 0;
	getrusage(RUSAGE_SELF, &ru);
	cpu = (uint64_t)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000000ull +
	      (uint64_t)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) * 1000ull;
	self->user_ns = w->cpu_ns ? cpu - w->cpu_ns : 0;
	w->cpu_ns = cpu;
	self->rss_bytes = resident(w, maps);
	self->lost = w->iv.lost;
	self->unknown = w->iv.unknown;
	self->repeated = w->iv.repeated;
	self->events = w->iv.pushes;
}
