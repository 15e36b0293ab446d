// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "vm/zero.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PAGE	      4096u
#define SPEED_BYTES   (32u << 20) /* more than a core's own caches hold */
#define SPEED_STEP    (256u << 10)
#define SPEED_SECONDS 0.005
#define PM_PRESENT    (1ull << 63)
#define PM_SWAPPED    (1ull << 62)

/* splitmix64: a well-mixed sequence from a seed. */
static uint64_t next(uint64_t *s)
{
	uint64_t z = (*s += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

enum found { UNKNOWN, USED, ZERO, UNMAPPED };

static bool is_zero(const unsigned char *page)
{
	return !page[0] && !memcmp(page, page + 1, PAGE - 1);
}

static enum found look(pid_t pid, int pagemap, uint64_t addr, uint64_t host_page)
{
	unsigned char buf[PAGE];
	struct iovec local = { buf, PAGE }, remote = { (void *)(uintptr_t)addr, PAGE };
	uint64_t entry;

	if (pread(pagemap, &entry, 8, (off_t)(addr / host_page * 8)) != 8)
		return UNKNOWN;
	if (entry & PM_SWAPPED)
		return USED;
	if (!(entry & PM_PRESENT))
		return UNMAPPED;
	if (process_vm_readv(pid, &local, 1, &remote, 1, 0) != PAGE)
		return UNKNOWN;
	return is_zero(buf) ? ZERO : USED;
}

/* The address of page `at` of the ranges; 0: there is none. */
static uint64_t address(const struct dp_range *ranges, size_t n, uint64_t at)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (at < ranges[i].len / PAGE)
			return ranges[i].hva + at * PAGE;
		at -= ranges[i].len / PAGE;
	}
	return 0;
}

/* Shares of the parts, from what was found in each; a part of which nothing is known is like the whole. */
static void share_out(struct dp_zero *out, const unsigned int *zero, const unsigned int *known)
{
	unsigned int i;

	for (i = 0; i < DP_ZERO_BINS; i++)
		out->at[i] = known[i] ? (double)zero[i] / known[i] : out->share;
}

void dp_zero_sample(pid_t pid, const struct dp_range *ranges, size_t n, unsigned long long seed,
		    struct dp_zero *out)
{
	uint64_t total = 0, host_page = (uint64_t)sysconf(_SC_PAGESIZE), rng = seed;
	unsigned int k, zeros = 0, unmapped = 0, all = 0, zero[DP_ZERO_BINS] = { 0 },
			known[DP_ZERO_BINS] = { 0 };
	char path[64];
	size_t i;
	int fd;

	memset(out, 0, sizeof(*out));
	out->share = -1;
	for (i = 0; i < n; i++)
		total += ranges[i].len / PAGE;
	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)pid);
	fd = total ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return;
	for (k = 0; k < DP_ZERO_SAMPLES; k++) {
		uint64_t lo = (uint64_t)((double)total * k / DP_ZERO_SAMPLES);
		uint64_t hi = (uint64_t)((double)total * (k + 1) / DP_ZERO_SAMPLES);
		uint64_t addr = address(ranges, n, lo + (hi > lo ? next(&rng) % (hi - lo) : 0));
		enum found f = addr ? look(pid, fd, addr, host_page) : UNKNOWN;
		unsigned int bin = k * DP_ZERO_BINS / DP_ZERO_SAMPLES;

		all += f != UNKNOWN;
		known[bin] += f != UNKNOWN;
		zeros += f >= ZERO;
		zero[bin] += f >= ZERO;
		unmapped += f == UNMAPPED;
	}
	close(fd);
	if (all * 2 < DP_ZERO_SAMPLES)
		return;
	out->share = (double)zeros / all;
	out->unmapped = zeros ? (double)unmapped / zeros : 0;
	share_out(out, zero, known);
}

static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Seconds a page takes; *bytes: how far to read, and how far it came in the time. */
static double read_through(const unsigned char *m, size_t *bytes, double most, bool *zero)
{
	double from = seconds_now(), now = from;
	size_t at = 0;

	while (at < *bytes && now - from < most) {
		size_t to = at + SPEED_STEP < *bytes ? at + SPEED_STEP : *bytes;

		for (; at < to; at += PAGE)
			*zero &= is_zero(m + at);
		now = seconds_now();
	}
	*bytes = at;
	return at ? (now - from) / (double)(at / PAGE) : 0;
}

/* Of memory that was never touched, and again of the same once it is there. Bounded in time: others wait meanwhile. */
static bool measure(double *fresh, double *mapped)
{
	unsigned char *m =
		mmap(NULL, SPEED_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t bytes = SPEED_BYTES, i;
	bool zero = true;

	if (m == MAP_FAILED)
		return false;
	/* a guest's memory is read a page at a time */
	madvise(m, SPEED_BYTES, MADV_NOHUGEPAGE);
	*fresh = read_through(m, &bytes, SPEED_SECONDS, &zero);
	/* pages of their own */
	for (i = 0; i < bytes; i += PAGE)
		*(volatile unsigned char *)(m + i) = 0;
	*mapped = read_through(m, &bytes, SPEED_SECONDS, &zero);
	munmap(m, SPEED_BYTES);
	return zero && *fresh > 0 && *mapped > 0;
}

double dp_zero_speed(double unmapped)
{
	static double fresh, mapped;
	static int known; /* 1: measured, -1: cannot be */

	if (!known)
		known = measure(&fresh, &mapped) ? 1 : -1;
	return known > 0 ? PAGE / (unmapped * fresh + (1 - unmapped) * mapped) : 0;
}
