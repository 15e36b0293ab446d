// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Where dirty pages come from, over a session: expected numbers are worked out beside each check. */
#include "report_fixture.h"
#include "model/hot.h"

#define REGION (1u << DP_REGION_SHIFT)

struct vm {
	struct dp_slot slot[4];
	uint64_t slot_new[4], region_new[200], events[3];
	struct dp_vm vm;
	struct dp_snapshot s;
	struct dp_hot_track h;
	struct dp_hot out;
};

static void vm_slot(struct vm *v, uint16_t id, uint64_t base, uint64_t npages)
{
	v->slot[v->vm.nslots++] =
		(struct dp_slot){ .id = id, .base_gfn = base, .npages = npages, .ram = true };
}

static void vm_init(struct vm *v)
{
	memset(v, 0, sizeof(*v));
	v->vm.slots = v->slot;
	v->vm.nregions = 1;
	v->s.vm = &v->vm;
	v->s.slot_new = v->slot_new;
	v->s.region_new = v->region_new;
	v->s.vcpu_events = v->events;
	v->s.nvcpus = 3;
}

static void add(struct vm *v)
{
	assert_int_equal(dp_hot_add(&v->h, &v->s), 0);
	memset(v->s.heat, 0, sizeof(v->s.heat));
	memset(v->slot_new, 0, sizeof(v->slot_new));
	memset(v->region_new, 0, sizeof(v->region_new));
	memset(v->events, 0, sizeof(v->events));
}

static void is_row(const struct dp_hot_row *r, uint64_t lo, uint64_t hi, uint64_t ram, uint64_t count,
		   double share)
{
	assert_int_equal(r->lo, lo);
	assert_int_equal(r->hi, hi);
	assert_int_equal(r->ram, ram);
	assert_int_equal(r->count, count);
	assert_true(fabs(r->share - share) < 1e-12);
}

/* 128 MiB in two slots: parts of 256 pages. Two intervals add up. */
static void adds_up_and_sorts(void **state)
{
	const struct dp_hot_list *l;
	struct vm v;

	vm_init(&v);
	vm_slot(&v, 0, 0, 8192);
	vm_slot(&v, 7, 0x100000, 24576);
	v.s.heat[3] = 10;
	v.s.heat[40] = 30;
	v.s.heat[127] = 30;
	v.slot_new[0] = 10;
	v.slot_new[1] = 60;
	v.events[1] = 100;
	add(&v);
	v.s.heat[3] = 100;
	v.s.heat[40] = 25;
	v.s.heat[41] = 5;
	v.slot_new[0] = 100;
	v.slot_new[1] = 30;
	v.events[1] = 100;
	v.events[2] = 300;
	add(&v);
	dp_hot_fill(&v.h, &v.out);
	l = &v.out.regions;
	assert_true(l->n == 4 && l->hot == 4 && l->all == 128 && l->count == 200);
	is_row(&l->row[0], 3 * 256, 4 * 256, 256, 110, 0.55);
	/* part 40 is the 9th of the second slot, which begins with part 32 */
	is_row(&l->row[1], 0x100000 + 8 * 256, 0x100000 + 9 * 256, 256, 55, 0.275);
	is_row(&l->row[2], 0x100000 + 95 * 256, 0x100000 + 96 * 256, 256, 30, 0.15);
	is_row(&l->row[3], 0x100000 + 9 * 256, 0x100000 + 10 * 256, 256, 5, 0.025);
	assert_true(l->half == 1 && l->half_ram == 256); /* 110 of 200 */
	l = &v.out.slots;
	assert_true(l->n == 2 && l->all == 2 && l->count == 200 && l->half == 1);
	is_row(&l->row[0], 0, 8192, 8192, 110, 0.55);
	is_row(&l->row[1], 0x100000, 0x100000 + 24576, 24576, 90, 0.45);
	assert_int_equal(l->row[1].number, 7);
	l = &v.out.vcpus;
	assert_true(l->n == 2 && l->hot == 2 && l->all == 3 && l->count == 500);
	assert_true(l->row[0].number == 2 && l->row[0].count == 300);
	assert_true(l->row[1].number == 1 && l->row[1].count == 200);
	assert_int_equal(v.h.heat[40], 55);
	dp_hot_free(&v.h);
	(void)state;
}

/* Nothing dirtied, and no source that knows vCPUs. */
static void nothing(void **state)
{
	struct vm v;

	vm_init(&v);
	vm_slot(&v, 0, 0, 8192);
	v.s.vcpu_events = NULL;
	v.s.slot_new = v.s.region_new = NULL;
	add(&v);
	dp_hot_fill(&v.h, &v.out);
	assert_true(v.out.regions.n == 0 && v.out.regions.all == 128 && v.out.regions.half == 0);
	assert_true(v.out.slots.n == 0 && v.out.vcpus.n == 0 && v.out.vcpus.all == 0);
	dp_hot_free(&v.h);
	(void)state;
}

/* The list ends with the hottest DP_HOT_ROWS; what it leaves out is counted. */
static void many(void **state)
{
	const struct dp_hot_list *l;
	struct vm v;
	uint32_t i;

	vm_init(&v);
	vm_slot(&v, 0, 0, 128);
	for (i = 0; i < DP_HEAT_BINS; i++)
		v.s.heat[i] = 1 + i % 2;
	add(&v);
	dp_hot_fill(&v.h, &v.out);
	l = &v.out.regions;
	/* 64 of 2 and 64 of 1: 192; half are 48 of the former */
	assert_true(l->n == 32 && l->hot == 128 && l->count == 192 && l->half == 48 && l->half_ram == 48);
	for (i = 0; i < 32; i++)
		is_row(&l->row[i], 2 * i + 1, 2 * i + 2, 1, 2, 2.0 / 192);
	dp_hot_free(&v.h);
	(void)state;
}

/* A VM over more than 128 regions is shown by them; the hole between is none. */
static void frames(void **state)
{
	const struct dp_hot_list *l;
	struct vm v;

	vm_init(&v);
	vm_slot(&v, 0, 0, 3ull * REGION - 512); /* ends within the frame of 2 GiB */
	vm_slot(&v, 1, 4ull * REGION, 127ull * REGION);
	v.vm.nregions = v.s.nregions = 130;
	v.region_new[2] = 5;
	v.region_new[3] = 11;
	v.region_new[129] = 1;
	v.s.heat[2] = 17;
	add(&v);
	dp_hot_fill(&v.h, &v.out);
	l = &v.out.regions;
	assert_true(l->n == 3 && l->all == 130 && l->count == 17);
	is_row(&l->row[0], 4ull * REGION, 5ull * REGION, REGION, 11, 11 / 17.0);
	is_row(&l->row[1], 2ull * REGION, 3ull * REGION - 512, REGION - 512, 5, 5 / 17.0);
	is_row(&l->row[2], 130ull * REGION, 131ull * REGION, REGION, 1, 1 / 17.0);
	/* fewer counts than regions, as a damaged trace may have: no harm */
	v.s.nregions = 1;
	v.region_new[0] = 1;
	add(&v);
	dp_hot_fill(&v.h, &v.out);
	assert_int_equal(v.out.regions.count, 18);
	dp_hot_free(&v.h);
	(void)state;
}

/* RAM doubles: what was counted in a part of 4 pages is where these pages are now, in half a part of 8. */
static void laid_out_anew(void **state)
{
	const struct dp_hot_list *l;
	struct vm v;

	vm_init(&v);
	vm_slot(&v, 0, 0, 512);
	v.s.heat[0] = 3;
	v.s.heat[1] = 4;
	v.s.heat[2] = 50;
	add(&v);
	vm_slot(&v, 1, 4096, 512);
	v.vm.generation++;
	v.s.heat[0] = 100;
	add(&v);
	dp_hot_fill(&v.h, &v.out);
	l = &v.out.regions;
	assert_true(l->n == 2 && l->count == 157);
	is_row(&l->row[0], 0, 8, 8, 107, 107 / 157.0);
	is_row(&l->row[1], 8, 16, 8, 50, 50 / 157.0);
	assert_int_equal(v.h.heat[0], 100);
	/* and halves again: each part of 8 is two of 4, evenly; the second slot's pages are gone */
	v.s.heat[127] = 9;
	add(&v);
	v.vm.nslots = 1;
	v.vm.generation++;
	add(&v);
	dp_hot_fill(&v.h, &v.out);
	l = &v.out.regions;
	/* 107 = 53 and 54, the rest of rounding being with the latter */
	assert_true(l->n == 4 && l->count == 157);
	is_row(&l->row[0], 4, 8, 4, 54, 54 / 157.0);
	is_row(&l->row[1], 0, 4, 4, 53, 53 / 157.0);
	is_row(&l->row[2], 8, 12, 4, 25, 25 / 157.0);
	dp_hot_free(&v.h);
	(void)state;
}

/* A slot that goes and comes back under another number is the same memory; one that went is still shown. */
static void slots_come_and_go(void **state)
{
	const struct dp_hot_list *l;
	struct vm v;
	int i;

	vm_init(&v);
	vm_slot(&v, 0, 0, 512);
	vm_slot(&v, 1, 1024, 512);
	for (i = 0; i < 3; i++) {
		v.slot_new[0] = 1;
		v.slot_new[1] = 10;
		add(&v);
		v.vm.nslots = 1;
		v.vm.generation++;
		add(&v);
		v.vm.nslots = 2;
		v.slot[1].id += 3;
		v.vm.generation++;
		add(&v);
	}
	v.vm.nslots = 1;
	v.vm.generation++;
	add(&v);
	dp_hot_fill(&v.h, &v.out);
	l = &v.out.slots;
	assert_true(l->n == 2 && l->all == 2);
	is_row(&l->row[0], 1024, 1536, 512, 30, 30 / 33.0);
	assert_int_equal(l->row[0].number, 10); /* 1 + 3 * 3 */
	is_row(&l->row[1], 0, 512, 512, 3, 3 / 33.0);
	dp_hot_free(&v.h);
	(void)state;
}

/* The session: an interval's own parts, and all of them at the end. */
static void in_a_session(void **state)
{
	struct dp_session *s = dp_session_new(&(struct dp_session_opts){ 0 });
	const struct dp_report *r;
	uint64_t slot_new = 7;
	struct fx f;

	fx_init(&f);
	f.s.slot_new = &slot_new;
	r = dp_session_start(s, &f.vm, DP_SRC_HARVEST, true);
	/* 16384 pages */
	assert_true(r->heat_range[5].lo == 640 && r->heat_range[5].hi == 768);
	fx_log(fx_next(&f, SEC, DP_SYNC));
	f.s.heat[5] = 7;
	assert_int_equal(dp_session_add(s, &f.s), 0);
	dp_session_line(s);
	fx_log(fx_next(&f, SEC, DP_TIMER));
	f.s.heat[5] = 1;
	f.s.heat[6] = 2;
	assert_int_equal(dp_session_add(s, &f.s), 0);
	r = dp_session_line(s);
	assert_true(r->heat[5] == 8 && r->heat[6] == 2); /* since the last line, syncs between included */
	fx_log(fx_next(&f, SEC, DP_TIMER));
	f.s.heat[5] = 0;
	f.s.heat[6] = 4;
	assert_int_equal(dp_session_add(s, &f.s), 0);
	r = dp_session_line(s);
	assert_true(r->heat[5] == 0 && r->heat[6] == 4);
	r = dp_session_final(s);
	assert_true(r->heat[5] == 8 && r->heat[6] == 6);
	assert_true(r->hot.regions.n == 2 && r->hot.regions.row[0].lo == 640 &&
		    r->hot.regions.row[0].count == 8);
	assert_true(r->hot.slots.n == 1 && r->hot.slots.row[0].count == 21);
	dp_session_free(s);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adds_up_and_sorts),
		cmocka_unit_test(nothing),
		cmocka_unit_test(many),
		cmocka_unit_test(frames),
		cmocka_unit_test(laid_out_anew),
		cmocka_unit_test(slots_come_and_go),
		cmocka_unit_test(in_a_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
