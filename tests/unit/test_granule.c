// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The tracking granule of VMs whose memory is not all alike: from the MMU and what backs each slot, and from what the log
 * shows of them. Host pages of 4K and of 64K.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "probe/watch_int.h"

#define KB	   (1u << 10)
#define MB	   (1u << 20)
#define GB	   (1u << 30)
#define WIRE_SHIFT 12 /* pages of 4K */
#define SLOTS	   4

static long host_page;

long __real_sysconf(int name);
long __wrap_sysconf(int name);

long __wrap_sysconf(int name)
{
	return name == _SC_PAGESIZE ? host_page : __real_sysconf(name);
}

struct sim {
	struct dp_watch w;
	struct dp_slot slot[SLOTS];
	struct dp_pageset dirty;
};

static void sim_open(struct sim *s, enum dp_mmu mmu)
{
	memset(s, 0, sizeof(*s));
	s->w.vm.mmu = mmu;
	s->w.vm.slots = s->slot;
}

/* A slot in bytes; huge: size of the hugetlb pages behind it, 0: base pages. */
static struct dp_slot *add(struct sim *s, uint64_t gpa, uint64_t bytes, uint32_t huge)
{
	struct dp_slot *slot = &s->slot[s->w.vm.nslots++];

	slot->ram = true;
	slot->base_gfn = gpa / (uint64_t)host_page;
	slot->npages = bytes / (uint64_t)host_page;
	slot->backing.known = true;
	slot->backing.host_page = (uint32_t)host_page;
	slot->backing.huge_size = huge;
	return slot;
}

static void sim_layout(struct sim *s)
{
	struct dp_extent e[SLOTS];
	uint32_t i;

	for (i = 0; i < s->w.vm.nslots; i++)
		e[i] = (struct dp_extent){ s->slot[i].base_gfn * (uint64_t)host_page >> WIRE_SHIFT,
					   s->slot[i].npages * (uint64_t)host_page >> WIRE_SHIFT, true };
	assert_int_equal(dp_layout_build(&s->w.layout, e, i), 0);
	assert_int_equal(dp_pageset_init(&s->dirty, s->w.layout.nregions), 0);
}

static void sim_close(struct sim *s)
{
	dp_layout_free(&s->w.layout);
	dp_pageset_free(&s->dirty);
}

/* The log of an interval: these bytes of guest memory are dirty. */
static void dirty(struct sim *s, uint64_t gpa, uint64_t bytes)
{
	uint32_t index = dp_layout_index(&s->w.layout, gpa >> WIRE_SHIFT);
	uint64_t n = bytes >> WIRE_SHIFT, i;

	assert_true(index != DP_INDEX_NONE);
	for (i = index; i < index + n; i++)
		dp_pageset_or(&s->dirty, i, &(uint64_t){ 1 }, 1);
}

static void seen(struct sim *s)
{
	dp_watch_granule_seen(&s->w, &s->dirty);
	dp_pageset_clear(&s->dirty);
}

static void expect(const struct sim *s, uint32_t granule, bool mixed)
{
	assert_int_equal(s->w.vm.granule, granule);
	assert_int_equal(s->w.vm.granule_mixed, mixed);
}

/* What KVM can tell apart is the host's page on x86 and on radix, whatever backs the memory. */
static void test_fine(void **state)
{
	static const enum dp_mmu mmus[] = { DP_MMU_ANY, DP_MMU_RADIX };
	struct sim s;
	size_t i;

	for (i = 0; i < 2; i++) {
		sim_open(&s, mmus[i]);
		add(&s, 0, GB, GB);
		add(&s, GB, GB, 2 * MB);
		add(&s, 2ull * GB, GB, 0);
		sim_layout(&s);
		dp_watch_granule(&s.w);
		expect(&s, (uint32_t)host_page, false);
		dirty(&s, 0, 64 * KB);
		dirty(&s, GB + 2ull * MB, 64 * KB);
		seen(&s);
		expect(&s, (uint32_t)host_page, false);
		sim_close(&s);
	}
	(void)state;
}

/* Hash: as large as the backing, and 16M; nothing is mixed while whole pages of that size are dirty. */
static void test_alike(void **state)
{
	static const struct {
		uint32_t huge, granule;
	} t[] = { { 0, 0 }, { 2 * MB, 2 * MB }, { 16 * MB, 16 * MB }, { GB, 16 * MB } };
	struct sim s;
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		uint32_t granule = t[i].granule ? t[i].granule : (uint32_t)host_page;

		sim_open(&s, DP_MMU_HASH);
		add(&s, 0, GB, t[i].huge);
		add(&s, 4ull * GB, GB, t[i].huge);
		sim_layout(&s);
		dp_watch_granule(&s.w);
		expect(&s, granule, false);
		dirty(&s, 0, granule);
		dirty(&s, 3ull * granule, granule);
		dirty(&s, 4ull * GB + GB - granule, granule);
		seen(&s);
		expect(&s, granule, false);
		sim_close(&s);
	}
	(void)state;
}

/* One host page of a 16M page, the last of all: the guest maps with smaller ones as well. It stays so. */
static void test_parted(void **state)
{
	struct sim s;

	sim_open(&s, DP_MMU_HASH);
	add(&s, 0, GB, 16 * MB);
	sim_layout(&s);
	dp_watch_granule(&s.w);
	dirty(&s, 0, 16 * MB);
	seen(&s);
	expect(&s, 16 * MB, false);
	dirty(&s, GB - (uint64_t)host_page, (uint64_t)host_page);
	seen(&s);
	expect(&s, 16 * MB, true);
	dirty(&s, 0, 16 * MB);
	seen(&s);
	dp_watch_granule(&s.w);
	expect(&s, 16 * MB, true);
	sim_close(&s);
	(void)state;
}

/* All but one host page. */
static void test_parted_hole(void **state)
{
	struct sim s;

	sim_open(&s, DP_MMU_HASH);
	add(&s, 0, GB, 16 * MB);
	sim_layout(&s);
	dp_watch_granule(&s.w);
	dirty(&s, 32 * MB, 16 * MB - (uint64_t)host_page);
	seen(&s);
	expect(&s, 16 * MB, true);
	sim_close(&s);
	(void)state;
}

/* A slot of 16M pages and one of base pages: mixed by what backs them, with nothing dirty, and only as long as it is there. */
static void test_slots(void **state)
{
	struct dp_slot *small;
	struct sim s;

	sim_open(&s, DP_MMU_HASH);
	add(&s, 0, GB, 16 * MB);
	small = add(&s, GB, 512 * MB, 0);
	sim_layout(&s);
	small->backing.known = false;
	dp_watch_granule(&s.w);
	expect(&s, 16 * MB, false);
	/* its log is no proof: a page of it need not be one of 16M */
	dirty(&s, GB, (uint64_t)host_page);
	seen(&s);
	expect(&s, 16 * MB, false);
	small->backing.known = true;
	dp_watch_granule(&s.w);
	expect(&s, 16 * MB, true);
	/* a ROM is not tracked */
	small->ram = false;
	dp_watch_granule(&s.w);
	expect(&s, 16 * MB, false);
	small->ram = true;
	s.w.vm.nslots = 1;
	dp_watch_granule(&s.w);
	expect(&s, 16 * MB, false);
	/* the hugepages go instead: all that is left is alike */
	s.slot[0] = s.slot[1];
	dp_watch_granule(&s.w);
	expect(&s, (uint32_t)host_page, false);
	sim_close(&s);
	(void)state;
}

/* What a part of a 2M page showed says nothing of pages of 16M that come later. */
static void test_parted_then_larger(void **state)
{
	struct sim s;

	sim_open(&s, DP_MMU_HASH);
	add(&s, 0, GB, 2 * MB);
	sim_layout(&s);
	dp_watch_granule(&s.w);
	dirty(&s, 0, (uint64_t)host_page);
	seen(&s);
	expect(&s, 2 * MB, true);
	s.slot[0].backing.huge_size = 16 * MB;
	dp_watch_granule(&s.w);
	expect(&s, 16 * MB, false);
	sim_close(&s);
	(void)state;
}

/* A slot that begins and ends within a block of 16M: there its neighbours, which may not log, decide what is dirty. */
static void test_edges(void **state)
{
	struct sim s;

	sim_open(&s, DP_MMU_HASH);
	add(&s, 8 * MB, 48 * MB, 16 * MB); /* 8M .. 56M: whole blocks at 16M and 32M */
	sim_layout(&s);
	dp_watch_granule(&s.w);
	dirty(&s, 8 * MB, (uint64_t)host_page);
	dirty(&s, 48 * MB, (uint64_t)host_page);
	seen(&s);
	expect(&s, 16 * MB, false);
	dirty(&s, 32 * MB, (uint64_t)host_page);
	seen(&s);
	expect(&s, 16 * MB, true);
	sim_close(&s);
	(void)state;
}

static int run(long page)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fine),   cmocka_unit_test(test_alike),
		cmocka_unit_test(test_parted), cmocka_unit_test(test_parted_hole),
		cmocka_unit_test(test_slots),  cmocka_unit_test(test_parted_then_larger),
		cmocka_unit_test(test_edges),
	};

	host_page = page;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return run(4 * KB) + run(64 * KB);
}
