// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Random snapshots through the whole pure path: whatever they hold, nothing crashes (run with sanitizers too), no line
 * is too long, the JSON is valid and the Prometheus file clean. The seed is fixed; DIRTYPROF_SEED=n tries another.
 */
#include "report_fixture.h"

#define SESSIONS 60
#define STEPS	 12

static uint64_t state64 = 88172645463325252ULL;

static uint64_t rnd(void)
{
	state64 ^= state64 << 13;
	state64 ^= state64 >> 7;
	state64 ^= state64 << 17;
	return state64;
}

static uint64_t below(uint64_t n)
{
	return rnd() % n;
}

static bool chance(unsigned int percent)
{
	return below(100) < percent;
}

/* Any magnitude: a random number of random bits. */
static uint64_t any(unsigned int bits)
{
	return rnd() >> (64 - 1 - below(bits));
}

static double any_rate(void)
{
	return chance(30) ? 0 : pow(10, (double)below(12)) * (double)(1 + below(1000)) / 100;
}

struct random_vm {
	struct fx fx;
	uint64_t pages[4];
	struct dp_ages ages[16];
	struct dp_exposure expo[DP_LEVELS];
	struct dp_window win[8];
	struct dp_sync sync[4];
};

static void random_vm(struct random_vm *v)
{
	struct dp_vm *vm = &v->fx.vm;
	unsigned int i;

	memset(v, 0, sizeof(*v));
	fx_init(&v->fx);
	for (i = 0; i < sizeof(vm->name) - 1; i++)
		vm->name[i] = (char)(1 + below(255));
	if (chance(50))
		vm->name[below(sizeof(vm->name))] = 0;
	if (chance(30))
		memset(vm->qemu_version, '9', sizeof(vm->qemu_version)); /* not terminated */
	vm->pid = (int32_t)any(31);
	vm->nvcpus = (uint32_t)below(300);
	vm->granule = chance(80) ? 4096 : 1u << (12 + below(13));
	vm->log_mode = below(3);
	vm->manual_protect = (uint32_t)below(4);
	vm->blind = (uint32_t)below(16);
	vm->nregions = (uint32_t)(1 + below(4));
	vm->region_pages = v->pages;
	vm->ram_pages = 0;
	for (i = 0; i < vm->nregions; i++)
		vm->ram_pages += v->pages[i] = below(1 << 18) + 1;
	vm->logging_pages = vm->ram_pages;
	for (i = 0; i < DP_SIZES; i++)
		vm->blocks[i] = (vm->ram_pages * 4096 >> dp_size_shift((enum dp_size)i)) + 4;
	vm->blocks[DP_4K] = vm->ram_pages;
	v->fx.slot.backing.bytes_huge = any(40);
	v->fx.slot.backing.huge_size = 1u << (20 + below(11));
}

static void random_observations(struct random_vm *v)
{
	struct dp_snapshot *s = &v->fx.s;
	uint32_t i;

	s->ages = v->ages;
	s->nages = (uint32_t)below(16);
	for (i = 0; i < s->nages; i++) {
		enum dp_size size = chance(50) ? DP_4K : below(DP_SIZES);

		v->ages[i] =
			(struct dp_ages){ .region = size ? DP_REGION_ALL : (uint32_t)below(s->vm->nregions),
					  .size = size,
					  .level = (uint32_t)below(DP_LEVELS),
					  .bin = (uint32_t)below(DP_BINS),
					  .anchor = (uint32_t)below(4),
					  .count = (double)any(24) };
	}
	s->exposures = v->expo;
	s->nexposures = (uint32_t)below(DP_LEVELS);
	for (i = 0; i < s->nexposures; i++)
		v->expo[i] = (struct dp_exposure){ .level = i,
						   .count = 1 + (uint32_t)below(3),
						   .anchor = (uint32_t)below(4),
						   .to_ns = DP_LEVEL_NS(i),
						   .blind = (double)any(10) };
	s->windows = v->win;
	s->nwindows = (uint32_t)below(8);
	for (i = 0; i < s->nwindows; i++) {
		struct dp_window *w = &v->win[i];

		*w = (struct dp_window){ .size = chance(60) ? DP_4K : below(DP_SIZES), .peek = chance(20) };
		w->region = w->size ? DP_REGION_ALL : (uint32_t)below(s->vm->nregions);
		w->arming = (uint32_t)below(10);
		w->t_lo_ns = any(36);
		w->t_hi_ns = w->t_lo_ns + any(30);
		w->armed = w->size ? s->vm->blocks[w->size] : v->pages[w->region];
		w->dirty = below(w->armed + 1);
	}
}

static void random_syncs(struct random_vm *v)
{
	struct dp_snapshot *s = &v->fx.s;
	uint32_t i, k;

	s->syncs = v->sync;
	s->nsyncs = s->reason == DP_SYNC ? 1 + (uint32_t)below(3) : (uint32_t)below(2);
	for (i = 0; i < s->nsyncs; i++) {
		struct dp_sync *y = &v->sync[i];

		*y = (struct dp_sync){ .t_ns = s->t1_ns - below(s->t1_ns - s->t0_ns + 1),
				       .since_ns = any(36) };
		y->new_pages = below(s->vm->ram_pages + 1);
		y->reported_pages = any(40);
		for (k = 0; k < DP_SIZES; k++)
			y->new_blocks[k] = y->new_pages >> (2 * k);
		y->by_migration = chance(70);
		y->initial = chance(10);
	}
}

static void random_wire(struct dp_snapshot *s)
{
	struct dp_wire *w = &s->wire;

	w->active = chance(70);
	w->tcp = chance(70);
	w->channels = (uint32_t)below(6);
	w->sent_bytes = any(34);
	w->acked_bytes = any(34);
	w->total_sent = chance(95) ? w->total_sent + w->sent_bytes : any(40);
	if (!w->first_ns || chance(5))
		w->first_ns = s->t0_ns + below(s->t1_ns - s->t0_ns + 1);
	w->last_ns = chance(90) ? s->t1_ns - below(s->t1_ns - s->t0_ns + 1) : any(40);
	w->busy_ns = any(30);
	w->busy_bytes = any(34);
	w->delivery_bps = any_rate();
	w->delivery_samples = below(50);
}

static void random_rest(struct dp_snapshot *s)
{
	int i;

	s->source = below(5);
	s->logging = chance(85);
	s->logged_ns = s->logging ? any(32) : 0;
	s->seen_pages = any(36);
	for (i = 0; i < DP_SIZES; i++)
		s->new_blocks[i] = any(40);
	s->self.lost = chance(10) ? any(64) : 0;
	s->self.bpf_runs = any(40);
	s->self.bpf_ns = any(50);
	s->self.user_ns = any(50);
	s->self.rss_bytes = any(60);
	s->self.events = any(50);
	s->qmp_known = chance(30);
	s->qmp_active = chance(50);
	s->qmp_done = !s->qmp_active && chance(20);
	s->qmp_remaining = any(50);
	s->qmp_total_ms = any(40);
	s->qmp_downtime_ms = any(30);
	s->zero_share = chance(50) ? -1 : (double)below(101) / 100;
	s->vcpu_stopped_ns = chance(5) ? any(40) : 0;
	s->vcpu_left_ns = chance(20) ? any(40) : 0;
	s->vcpu_first_ns = chance(5) ? any(62) : 0;
}

static struct dp_session_opts random_opts(void)
{
	struct dp_session_opts o = { .interval = (double)below(100) / 10,
				     .hook = "tp_btf kvm_dirty_ring_push" };

	o.bandwidth = any_rate();
	o.switchover_bandwidth = any_rate();
	o.avail_switchover = any_rate();
	o.max_bandwidth = any_rate();
	o.limit = (double)below(100000) / 1000;
	o.zero_scan_bps = any_rate();
	o.clock_ns = chance(50) ? any(62) : 0;
	o.throttle = (double)below(100) / 100;
	o.multifd = chance(20);
	o.started_by = chance(30) ? "--start" : NULL;
	o.command = "dirtyprof \xff\n -p 1";
	return o;
}

static void show(struct dp_session *s, struct dp_buf *text, struct dp_buf *json)
{
	const struct dp_report *r = dp_session_line(s);

	dp_text_line(text, r);
	dp_json_line(json, r);
}

static void run_one(struct random_vm *v, struct dp_buf *text, struct dp_buf *json, struct dp_buf *prom)
{
	struct dp_session_opts o = random_opts();
	struct dp_session *s = dp_session_new(&o);
	const struct dp_report *r;
	int i, rc;

	assert_non_null(s);
	random_vm(v);
	r = dp_session_start(s, &v->fx.vm, DP_SRC_RING, chance(50));
	dp_text_header(text, r);
	dp_json_header(json, r);
	for (i = 0; i < STEPS; i++) {
		struct dp_snapshot *snap = fx_next(&v->fx, 1 + any(34), below(3));

		random_observations(v);
		random_syncs(v);
		random_wire(snap);
		random_rest(snap);
		rc = dp_session_add(s, snap);
		assert_true(rc == 0 || rc == -EINVAL);
		if (!rc && chance(80))
			show(s, text, json);
	}
	r = dp_session_final(s);
	dp_text_final(text, r);
	dp_json_final(json, r);
	dp_prom(prom, &r, 1);
	assert_int_equal(dp_report_exit_status(r) & ~2, 0);
	dp_session_free(s);
}

static void random_sessions(void **state)
{
	const char *seed = getenv("DIRTYPROF_SEED");
	struct dp_buf text = { 0 }, json = { 0 }, prom = { 0 };
	static struct random_vm v;
	int i;

	if (seed)
		state64 ^= strtoull(seed, NULL, 0) * 0x9e3779b97f4a7c15ULL;
	for (i = 0; i < SESSIONS; i++) {
		dp_buf_reset(&text);
		dp_buf_reset(&prom);
		run_one(&v, &text, &json, &prom);
		fx_check_text(&text);
		assert_false(prom.failed);
		if (i % 20 == 0)
			fx_check_with(FX_PROMTOOL, &prom);
	}
	assert_false(json.failed);
	fx_check_with(FX_VALIDATE, &json);
	dp_buf_free(&text);
	dp_buf_free(&json);
	dp_buf_free(&prom);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(random_sessions) };

	return cmocka_run_group_tests_name("session, random", tests, NULL, NULL);
}
