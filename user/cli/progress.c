// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/log.h"

#define LEAST_NS 2000000000ull /* shorter waits are none */
#define BAR	 20

/* "11 s", "3 min 20 s"; rounded up, as nobody minds if it ends sooner. */
static void fmt_left(char *buf, size_t size, uint64_t ns)
{
	unsigned long long s = (ns + 999999999ull) / 1000000000ull;

	if (s < 120)
		snprintf(buf, size, "%llu s", s);
	else if (s < 7200)
		snprintf(buf, size, "%llu min %llu s", s / 60, s % 60);
	else
		snprintf(buf, size, "%llu h %llu min", s / 3600, s / 60 % 60);
}

static void show(const char *what, double share, uint64_t left_ns)
{
	char bar[BAR + 1], left[48];
	int full = (int)(share * BAR);

	memset(bar, '.', BAR);
	memset(bar, '#', (size_t)(full < 0 ? 0 : full > BAR ? BAR : full));
	bar[BAR] = '\0';
	fmt_left(left, sizeof(left), left_ns);
	dp_status("%s [%s] %s left", what, bar, left);
}

void dp_progress_time(const char *what, uint64_t done_ns, uint64_t all_ns)
{
	if (all_ns > LEAST_NS && done_ns < all_ns)
		show(what, (double)done_ns / (double)all_ns, all_ns - done_ns);
}

uint64_t dp_progress_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

void dp_progress_share(const char *what, uint64_t start_ns, uint64_t done, uint64_t all)
{
	static uint64_t
		shown_ns; /* the clock is looked at in passing: not more than four times a second is written */
	uint64_t now = dp_progress_now(), spent = now - start_ns;

	/* in the first half second too little is known, and what is quick needs no word */
	if (!done || done >= all || spent < 500000000ull || now - shown_ns < 250000000ull)
		return;
	shown_ns = now;
	if ((double)spent / (double)done * (double)all > (double)LEAST_NS)
		show(what, (double)done / (double)all,
		     (uint64_t)((double)spent / (double)done * (double)(all - done)));
}
