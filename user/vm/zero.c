// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "vm/zero.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE	   4096u
#define PM_PRESENT (1ull << 63)
#define PM_SWAPPED (1ull << 62)

/* splitmix64: a well-mixed sequence from a seed. */
static uint64_t next(uint64_t *s)
{
	uint64_t z = (*s += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/* 1 zero, 0 not, -1 cannot tell. */
static int page_is_zero(pid_t pid, int pagemap, uint64_t addr, uint64_t host_page)
{
	unsigned char buf[PAGE];
	struct iovec local = { buf, PAGE }, remote = { (void *)(uintptr_t)addr, PAGE };
	uint64_t entry;

	if (pread(pagemap, &entry, 8, (off_t)(addr / host_page * 8)) != 8)
		return -1;
	if (entry & PM_SWAPPED)
		return 0;
	if (!(entry & PM_PRESENT))
		return 1;
	if (process_vm_readv(pid, &local, 1, &remote, 1, 0) != PAGE)
		return -1;
	return !buf[0] && !memcmp(buf, buf + 1, PAGE - 1);
}

double dp_zero_share(pid_t pid, const struct dp_range *ranges, size_t n, unsigned long long seed)
{
	uint64_t total = 0, host_page = (uint64_t)sysconf(_SC_PAGESIZE), rng = seed, at;
	unsigned int k, zero = 0, known = 0;
	char path[64];
	int fd, z;
	size_t i;

	for (i = 0; i < n; i++)
		total += ranges[i].len / PAGE;
	if (!total)
		return -1;
	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	for (k = 0; k < DP_ZERO_SAMPLES; k++) {
		uint64_t lo = (uint64_t)((double)total * k / DP_ZERO_SAMPLES);
		uint64_t hi = (uint64_t)((double)total * (k + 1) / DP_ZERO_SAMPLES);

		at = lo + (hi > lo ? next(&rng) % (hi - lo) : 0);
		for (i = 0; i < n && at >= ranges[i].len / PAGE; i++)
			at -= ranges[i].len / PAGE;
		if (i == n)
			continue;
		z = page_is_zero(pid, fd, ranges[i].hva + at * PAGE, host_page);
		if (z < 0)
			continue;
		known++;
		zero += (unsigned int)z;
	}
	close(fd);
	return known * 2 >= DP_ZERO_SAMPLES ? (double)zero / known : -1;
}
