// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vm/backing.h"

#define LINE_MAX_KEPT 512 /* a line's beginning says all that is wanted; the rest is a file name */

/* One mapping of smaps; sizes in bytes. */
struct vma {
	uint64_t start, end;
	uint64_t rss, thp, hugetlb, page;
};

/* part bytes' share of value, rounded down: value * part / whole without overflow. */
static uint64_t share(uint64_t value, uint64_t part, uint64_t whole)
{
	return (uint64_t)((unsigned __int128)value * part / whole);
}

static void attribute(const struct vma *v, uint32_t host_page, const struct dp_range *r, size_t n,
		      struct dp_backing *out)
{
	uint64_t size = v->end - v->start;
	uint64_t thp = v->thp < v->rss ? v->thp : v->rss;

	for (size_t i = 0; i < n; i++) {
		uint64_t end = r[i].hva + r[i].len < r[i].hva ? UINT64_MAX : r[i].hva + r[i].len;
		uint64_t lo = v->start > r[i].hva ? v->start : r[i].hva;
		uint64_t hi = v->end < end ? v->end : end;

		if (lo >= hi)
			continue;
		/* hugetlb pages are not part of Rss */
		out[i].bytes_4k += share(v->rss - thp, hi - lo, size);
		out[i].bytes_thp += share(thp, hi - lo, size);
		out[i].bytes_huge += share(v->hugetlb, hi - lo, size);
		if (v->page > host_page && v->page <= UINT32_MAX && v->page > out[i].huge_size)
			out[i].huge_size = (uint32_t)v->page;
	}
}

/* "start-end perms offset dev inode path": only a header begins with a hexadecimal number and a dash. */
static bool parse_header(const char *line, struct vma *v)
{
	char *end;

	if (!strchr("0123456789abcdef", line[0]))
		return false;
	memset(v, 0, sizeof(*v));
	v->start = strtoull(line, &end, 16);
	if (*end != '-')
		return false;
	line = end + 1;
	v->end = strtoull(line, &end, 16);
	return end != line && *end == ' ' && v->end > v->start;
}

static void parse_field(const char *line, struct vma *v)
{
	const struct {
		const char *key;
		uint64_t *sum;
	} field[] = {
		{ "Rss:", &v->rss },
		{ "AnonHugePages:", &v->thp },
		{ "ShmemPmdMapped:", &v->thp },
		{ "FilePmdMapped:", &v->thp },
		{ "Shared_Hugetlb:", &v->hugetlb },
		{ "Private_Hugetlb:", &v->hugetlb },
		{ "KernelPageSize:", &v->page },
	};

	for (size_t i = 0; i < sizeof(field) / sizeof(*field); i++) {
		size_t n = strlen(field[i].key);
		char *end;
		unsigned long long kb;

		if (strncmp(line, field[i].key, n))
			continue;
		kb = strtoull(line + n, &end, 10);
		/* more than fits an address space is not a size */
		if (end != line + n && !strncmp(end, " kB", 3) && kb < 1ull << 53)
			*field[i].sum += kb << 10;
		return;
	}
}

/* The beginning of the next line; what is longer than the buffer is dropped. False at the end. */
static bool next_line(FILE *f, char *line, size_t size)
{
	size_t len;
	int c;

	if (!fgets(line, (int)size, f))
		return false;
	len = strlen(line);
	if (len && line[len - 1] == '\n') {
		line[len - 1] = '\0';
		return true;
	}
	do
		c = fgetc(f);
	while (c != '\n' && c != EOF);
	return true;
}

static void clear(uint32_t host_page, size_t n, struct dp_backing *out)
{
	for (size_t i = 0; i < n; i++)
		out[i] = (struct dp_backing){ .host_page = host_page };
}

int dp_backing_parse(FILE *f, uint32_t host_page, const struct dp_range *ranges, size_t n,
		     struct dp_backing *out)
{
	char line[LINE_MAX_KEPT];
	struct vma v = { 0 }, next;
	bool any = false;

	clear(host_page, n, out);
	while (next_line(f, line, sizeof(line))) {
		if (parse_header(line, &next)) {
			if (any)
				attribute(&v, host_page, ranges, n, out);
			v = next;
			any = true;
		} else if (!any) {
			return -EINVAL;
		} else {
			parse_field(line, &v);
		}
	}
	if (ferror(f)) {
		clear(host_page, n, out);
		return errno == ESRCH ? -ESRCH : -EIO;
	}
	if (!any)
		return -ESRCH; /* a process that has exited has an empty one */
	attribute(&v, host_page, ranges, n, out);
	for (size_t i = 0; i < n; i++)
		out[i].known = true;
	return 0;
}

int dp_backing_read(pid_t pid, const struct dp_range *ranges, size_t n, struct dp_backing *out)
{
	uint32_t host_page = (uint32_t)sysconf(_SC_PAGESIZE);
	char path[32];
	FILE *f;
	int err;

	clear(host_page, n, out);
	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	f = fopen(path, "re");
	if (!f)
		return errno == ENOENT ? -ESRCH : errno == EACCES ? -EPERM : -errno;
	errno = 0;
	err = dp_backing_parse(f, host_page, ranges, n, out);
	fclose(f);
	return err;
}
