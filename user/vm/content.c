// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "vm/content.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "model/pagehash.h"

#define PAGE	   DP_WIRE_UNIT
#define BATCH	   64 /* pages read at once: 256 KiB stay in the cache until they are fingerprinted */
#define PM_PRESENT (1ull << 63)
#define PM_SWAPPED (1ull << 62)

struct dp_content {
	pid_t pid;
	int pagemap;
	uint64_t host_page, zero; /* size; fingerprint of a page of zeroes */
	struct dp_page_key key;
	unsigned char buf[BATCH * PAGE] __attribute__((aligned(64)));
};

int dp_content_open(pid_t pid, struct dp_content **out)
{
	struct dp_content *c = calloc(1, sizeof(*c));
	struct timespec t;
	uint64_t seed;
	char path[64];
	int err;

	*out = NULL;
	if (!c)
		return -ENOMEM;
	c->pid = pid;
	c->host_page = (uint64_t)sysconf(_SC_PAGESIZE);
	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)pid);
	c->pagemap = open(path, O_RDONLY | O_CLOEXEC);
	if (c->pagemap < 0) {
		err = errno == ENOENT ? -ESRCH : errno == EACCES ? -EPERM : -errno;
		free(c);
		return err;
	}
	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed)) {
		clock_gettime(CLOCK_MONOTONIC, &t);
		seed = (uint64_t)t.tv_nsec << 32 ^ (uint64_t)t.tv_sec ^ (uint64_t)getpid() << 16;
	}
	dp_page_key_init(&c->key, seed);
	c->zero = dp_page_hash(&c->key, c->buf);
	*out = c;
	return 0;
}

void dp_content_close(struct dp_content *c)
{
	if (!c)
		return;
	close(c->pagemap);
	free(c);
}

/* Host pages from that of hva[i] on that the next addresses fill, in order. */
static size_t host_run(const struct dp_content *c, const uint64_t *hva, size_t n, size_t i)
{
	uint64_t first = hva[i] / c->host_page;
	size_t k;

	for (k = i + 1; k < n && hva[k] == hva[k - 1] + PAGE; k++)
		;
	return (size_t)(hva[k - 1] / c->host_page - first + 1);
}

/*
 * Decides by the page tables which of a batch's pages are to be read, and what the others are. read[]: their places in
 * the batch. 0, or -ESRCH.
 */
static int choose(struct dp_content *c, const uint64_t *hva, size_t n, uint64_t *hash, size_t *read,
		  size_t *nread)
{
	uint64_t entry[BATCH + 1], first = 0;
	size_t have = 0, i;

	*nread = 0;
	for (i = 0; i < n; i++) {
		uint64_t at = hva[i] / c->host_page;

		hash[i] = DP_HASH_UNKNOWN;
		if (!hva[i])
			continue;
		if (at < first || at >= first + have) {
			ssize_t got = pread(c->pagemap, entry, host_run(c, hva, n, i) * 8, (off_t)(at * 8));

			/* Nothing: the process has let go of its memory. */
			if (got < 8)
				return -ESRCH;
			first = at;
			have = (size_t)got / 8;
		}
		if (entry[at - first] & PM_PRESENT)
			read[(*nread)++] = i;
		else if (!(entry[at - first] & PM_SWAPPED))
			hash[i] = c->zero;
	}
	return 0;
}

/* Reads pages of the batch into the buffer, one after the other. A page that cannot be read ends it: how many were. */
static ssize_t fetch(struct dp_content *c, const uint64_t *hva, const size_t *read, size_t n)
{
	struct iovec local = { c->buf, n * PAGE }, remote[BATCH];
	size_t i, k = 0;
	ssize_t got;

	for (i = 0; i < n; i++) {
		if (i && hva[read[i]] == hva[read[i - 1]] + PAGE) {
			remote[k - 1].iov_len += PAGE;
			continue;
		}
		remote[k++] = (struct iovec){ (void *)(uintptr_t)hva[read[i]], PAGE };
	}
	got = process_vm_readv(c->pid, &local, 1, remote, k, 0);
	if (got < 0)
		return errno == EFAULT ? 0 : -errno;
	return got / PAGE;
}

int dp_content_hash(struct dp_content *c, const uint64_t *hva, size_t n, uint64_t *hash, uint64_t *bytes)
{
	size_t at, len, read[BATCH], nread, done, k;
	ssize_t got;
	int err;

	for (at = 0; at < n; at += len) {
		len = n - at < BATCH ? n - at : BATCH;
		err = choose(c, hva + at, len, hash + at, read, &nread);
		if (err)
			return err;
		for (done = 0; done < nread; done += (size_t)got) {
			got = fetch(c, hva + at, read + done, nread - done);
			if (got == -ESRCH || got == -EPERM)
				return (int)got;
			for (k = 0; got > 0 && k < (size_t)got; k++)
				hash[at + read[done + k]] = dp_page_hash(&c->key, c->buf + k * PAGE);
			*bytes += got > 0 ? (uint64_t)got * PAGE : 0;
			/* The one that stopped it stays unknown. */
			if (got <= 0)
				got = 1;
		}
	}
	return 0;
}
