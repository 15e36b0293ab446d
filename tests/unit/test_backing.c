// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * smaps, as text of several hosts and as this process's own. Expected bytes are the fixture's kB x 1024,
 * shared by overlap.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "vm/backing.h"

#define KiB 1024ull
#define MiB (1024 * KiB)
#define GiB (1024 * MiB)

static int parse(const char *text, uint32_t page, const struct dp_range *r, size_t n, struct dp_backing *out)
{
	FILE *f = fmemopen((void *)text, strlen(text), "r");
	int err;

	assert_non_null(f);
	err = dp_backing_parse(f, page, r, n, out);
	fclose(f);
	return err;
}

static void check(const struct dp_backing *b, uint64_t base, uint64_t thp, uint64_t huge, uint32_t size,
		  uint32_t page)
{
	if (b->bytes_4k != base || b->bytes_thp != thp || b->bytes_huge != huge || b->huge_size != size ||
	    b->host_page != page || !b->known)
		fail_msg("base %llu thp %llu huge %llu size %u page %u known %d",
			 (unsigned long long)b->bytes_4k, (unsigned long long)b->bytes_thp,
			 (unsigned long long)b->bytes_huge, b->huge_size, b->host_page, b->known);
}

/*
 * Guest RAM of 128 MiB with 100 MiB touched, 64 MiB of it huge; names that try to look like what they are
 * not.
 */
static const char x86_thp[] =
	"55d000000000-55d000001000 r-xp 00000000 fe:00 12 /tmp/7f0000000000-7f0008000000 rw-p\\012Rss: 999 kB\n"
	"Size:                  4 kB\nKernelPageSize:        4 kB\nMMUPageSize:           4 kB\nRss:                   4 kB\n"
	"AnonHugePages:         0 kB\nVmFlags: rd ex mr mw me\n"
	"7f0000000000-7f0008000000 rw-p 00000000 00:00 0 \n"
	"Size:             131072 kB\nKernelPageSize:        4 kB\nMMUPageSize:           4 kB\n"
	"Rss:              102400 kB\nPss:              102400 kB\nAnonymous:        102400 kB\n"
	"AnonHugePages:     65536 kB\nShmemPmdMapped:        0 kB\nFilePmdMapped:         0 kB\n"
	"Shared_Hugetlb:        0 kB\nPrivate_Hugetlb:       0 kB\nTHPeligible:           1\nVmFlags: rd wr mr mw me\n"
	"7f0010000000-7f0010010000 rw-s 00000000 00:01 5 /memfd:a b\\012c (deleted)\n"
	"KernelPageSize:        4 kB\nRss:                  64 kB\nShmemPmdMapped:        0 kB\n";

static void thp(void **state)
{
	const struct dp_range r[] = {
		{ 0x7f0000000000, 128 * MiB }, /* all of it */
		{ 0x7f0000000000, 32 * MiB },  /* its first quarter */
		{ 0x7f0004000000, 1 * GiB },   /* its second half, and the memfd behind a hole */
		{ 0x7f0010000000, 64 * KiB },
		{ 0x600000000000, GiB },	  /* nothing there */
		{ 0xfffffffffffff000, 2 * 4096 }, /* over the end of the address space */
		{ 0x7f0000000000, 0 },
	};
	struct dp_backing b[7];

	assert_int_equal(parse(x86_thp, 4096, r, 7, b), 0);
	check(&b[0], 36 * MiB, 64 * MiB, 0, 0, 4096);
	check(&b[1], 9 * MiB, 16 * MiB, 0, 0, 4096);
	check(&b[2], 18 * MiB + 64 * KiB, 32 * MiB, 0, 0, 4096);
	check(&b[3], 64 * KiB, 0, 0, 0, 4096);
	check(&b[4], 0, 0, 0, 0, 4096);
	check(&b[5], 0, 0, 0, 0, 4096);
	check(&b[6], 0, 0, 0, 0, 4096);
	/* shared memory's hugepages count as well */
	assert_int_equal(
		parse("7f0000000000-7f0000800000 rw-s 0 0:1 5 /dev/shm/x\nKernelPageSize: 4 kB\n"
		      "Rss: 8192 kB\nAnonHugePages: 0 kB\nShmemPmdMapped: 6144 kB\nFilePmdMapped: 0 kB\n",
		      4096, r, 1, b),
		0);
	check(&b[0], 2 * MiB, 6 * MiB, 0, 0, 4096);
}

static const char x86_huge[] =
	"7e0000000000-7e0040000000 rw-s 00000000 00:0f 77 /dev/hugepages/qemu_back_mem.pc.ram.x (deleted)\n"
	"Size:            1048576 kB\nKernelPageSize:     2048 kB\nMMUPageSize:        2048 kB\nRss: 0 kB\n"
	"Shared_Hugetlb:   524288 kB\nPrivate_Hugetlb:  262144 kB\nVmFlags: rd wr sh ht\n"
	"7e0040000000-7e0140000000 rw-p 00000000 00:0f 78 /mnt/huge1g/x\n"
	"Size:            4194304 kB\nKernelPageSize:  1048576 kB\nMMUPageSize:     1048576 kB\nRss: 0 kB\n"
	"Shared_Hugetlb:        0 kB\nPrivate_Hugetlb: 4194304 kB\n"
	"7e0140000000-7e0140200000 rw-p 00000000 00:0f 79 /dev/hugepages/y\n"
	"Size:               2048 kB\nKernelPageSize:     2048 kB\nRss: 0 kB\nPrivate_Hugetlb: 0 kB\n";

static void hugetlb(void **state)
{
	const struct dp_range r[] = {
		{ 0x7e0000000000, GiB },
		{ 0x7e0040000000, 4 * GiB },
		{ 0x7e0000000000, 6 * GiB },   /* all: the largest size is told */
		{ 0x7e0020000000, 256 * MiB }, /* a quarter of the first */
	};
	struct dp_backing b[4];

	assert_int_equal(parse(x86_huge, 4096, r, 4, b), 0);
	check(&b[0], 0, 0, 768 * MiB, 2 << 20, 4096);
	check(&b[1], 0, 0, 4 * GiB, 1 << 30, 4096);
	check(&b[2], 0, 0, 4 * GiB + 768 * MiB, 1 << 30, 4096);
	check(&b[3], 0, 0, 192 * MiB, 2 << 20, 4096);
}

/* ppc64: 64K base pages are nothing special, 16M ones are hugetlb. */
static const char ppc64[] =
	"7ffe00000000-7ffe10000000 rw-p 00000000 00:00 0 \n"
	"Size:             262144 kB\nKernelPageSize:       64 kB\nMMUPageSize:          64 kB\nRss:              131072 kB\n"
	"AnonHugePages:     16384 kB\n"
	"7ffd00000000-7ffd0c000000 rw-p 00000000 00:10 9 /anon_hugepage (deleted)\n"
	"Size:             196608 kB\nKernelPageSize:    16384 kB\nMMUPageSize:       16384 kB\nRss:                   0 kB\n"
	"Private_Hugetlb:   49152 kB\n";

static void ppc(void **state)
{
	const struct dp_range r[] = { { 0x7ffe00000000, 256 * MiB }, { 0x7ffd00000000, 192 * MiB } };
	struct dp_backing b[2];

	assert_int_equal(parse(ppc64, 65536, r, 2, b), 0);
	check(&b[0], 112 * MiB, 16 * MiB, 0, 0, 65536);
	check(&b[1], 0, 0, 48 * MiB, 16 << 20, 65536);
}

static void rubbish(void **state)
{
	static const struct {
		const char *text;
		int err;
	} c[] = {
		{ "Rss: 4 kB\n", -EINVAL },
		{ "\n", -EINVAL },
		{ "zzz\n", -EINVAL },
		{ "1000\n", -EINVAL },
		{ "2000-1000 rw-p\n", -EINVAL }, /* ends before it begins */
		{ "1000-1000 rw-p\n", -EINVAL },
		{ "1000-2000 rw-p\nRss: -4 kB\nRss: 18446744073709551615 kB\nRss: 4\nRss:\nKernelPageSize: x kB\n",
		  0 },
	};
	const struct dp_range r = { 0x1000, 0x1000 };
	char big[20000], *text;
	struct dp_backing b;
	size_t n = 0;

	for (size_t i = 0; i < sizeof(c) / sizeof(*c); i++) {
		if (parse(c[i].text, 4096, &r, 1, &b) != c[i].err)
			fail_msg("%s", c[i].text);
		assert_true(b.known == !c[i].err && !b.bytes_4k && !b.huge_size && b.host_page == 4096);
	}
	/* a name of many kilobytes, whose pieces look like headers and fields */
	n += (size_t)sprintf(big, "1000-2000 rw-p 0 0:0 5 /");
	while (n < sizeof(big) - 64)
		n += (size_t)sprintf(big + n, "Rss: 4 kB 3000-4000 rw-p ");
	text = malloc(n + 64);
	sprintf(text, "%s\nRss: 4 kB\n", big);
	assert_int_equal(parse(text, 4096, &r, 1, &b), 0);
	check(&b, 4096, 0, 0, 0, 4096);
	free(text);
}

/* Many mappings: a scale, and that nothing is counted twice. */
static void many(void **state)
{
	const size_t vmas = 20000;
	const struct dp_range r = { 0x100000000, vmas * 8192 };
	struct dp_backing b;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	for (size_t i = 0; i < vmas; i++)
		fprintf(f, "%llx-%llx rw-p 00000000 00:00 0 \nKernelPageSize: 4 kB\nRss: 4 kB\n",
			0x100000000 + i * 8192ull, 0x100000000 + i * 8192ull + 8192);
	fclose(f);
	assert_int_equal(parse(text, 4096, &r, 1, &b), 0);
	check(&b, vmas * 4096, 0, 0, 0, 4096);
	free(text);
}

/* This process: 37 of 63 pages touched; with a hugepage where the host gives one. */
static void own(void **state)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), huge = 2 * MiB;
	struct dp_backing b[2];
	char *m, *h;

	/* between guards, so that no neighbour merges with them */
	m = mmap(NULL, 65 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	h = mmap(NULL, 4 * huge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(m != MAP_FAILED && h != MAP_FAILED);
	m += page;
	h = (char *)(((uintptr_t)h + 2 * huge - 1) & ~(huge - 1));
	assert_int_equal(mprotect(m, 63 * page, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(mprotect(h, huge, PROT_READ | PROT_WRITE), 0);
	for (int i = 0; i < 37; i++)
		m[(uint64_t)i * page] = 1;
	madvise(h, huge, MADV_HUGEPAGE);
	*h = 1;
	const struct dp_range r[2] = { { (uintptr_t)m, 63 * page }, { (uintptr_t)h, huge } };
	assert_int_equal(dp_backing_read(getpid(), r, 2, b), 0);
	assert_true(b[0].known && b[0].host_page == page && b[0].bytes_thp == 0);
	assert_true(b[0].bytes_4k == 37 * page);
	assert_true(b[1].bytes_thp == huge || b[1].bytes_4k == page);
	if (b[1].bytes_thp == huge)
		assert_true(b[1].bytes_4k == 0);
}

static void gone(void **state)
{
	struct dp_range r = { 0, UINT64_MAX };
	struct dp_backing b;
	pid_t pid = fork();
	siginfo_t info;

	if (!pid)
		_exit(0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(dp_backing_read(pid, &r, 1, &b), -ESRCH);
	assert_false(b.known);
	waitpid(pid, NULL, 0);
	assert_int_equal(dp_backing_read(pid, &r, 1, &b), -ESRCH);
	assert_int_equal(dp_backing_read(-1, &r, 1, &b), -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(thp),	   cmocka_unit_test(hugetlb), cmocka_unit_test(ppc),
		cmocka_unit_test(rubbish), cmocka_unit_test(many),    cmocka_unit_test(own),
		cmocka_unit_test(gone),
	};

	return cmocka_run_group_tests_name("backing", tests, NULL, NULL);
}
