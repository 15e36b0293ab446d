// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The parts of the JSON records; docs/schema.json says what each is. */
#include <math.h>

#include "json_int.h"

static void blind(struct dp_jw w, uint32_t bits)
{
	static const char *const name[] = { "dma", "vhost-kernel", "vhost-user", "vfio" };
	struct json_object *a = dp_jw_array(w, "unseen_writers");
	unsigned int i;

	for (i = 0; a && i < sizeof(name) / sizeof(name[0]); i++) {
		struct json_object *s;

		if (!(bits & 1u << i))
			continue;
		s = json_object_new_string(name[i]);
		if (!s || json_object_array_add(a, s)) {
			json_object_put(s);
			*w.failed = true;
		}
	}
}

void dp_json_vm(struct dp_jw in, const struct dp_report *r)
{
	static const char *const mode[] = { "unknown", "bitmap", "ring" };
	struct dp_jw w = dp_jw_object(in, "vm"), k;
	const struct dp_subject *vm = &r->vm;

	dp_jw_str(w, "qemu_version", vm->qemu_version);
	dp_jw_count(w, "vcpus", vm->nvcpus);
	dp_jw_count(w, "ram_bytes", vm->ram);
	dp_jw_count(w, "logging_bytes", vm->logging);
	dp_jw_count(w, "granule_bytes", vm->granule);
	dp_jw_bool(w, "granule_mixed", vm->granule_mixed);
	dp_jw_str(w, "mmu", dp_mmu_name(vm->mmu));
	dp_jw_count(w, "wire_unit_bytes", DP_WIRE_UNIT);
	dp_jw_str(w, "log_mode", mode[vm->log_mode]);
	dp_jw_count(w, "ring_entries", vm->ring_entries);
	dp_jw_count(w, "manual_protect", vm->manual_protect);
	k = dp_jw_object(w, "backing");
	dp_jw_bool(k, "known", vm->backing.known);
	dp_jw_count(k, "base_bytes", vm->backing.bytes_4k);
	dp_jw_count(k, "thp_bytes", vm->backing.bytes_thp);
	dp_jw_count(k, "huge_bytes", vm->backing.bytes_huge);
	dp_jw_count(k, "huge_page_bytes", vm->backing.huge_size);
	dp_jw_count(k, "base_page_bytes", vm->backing.host_page);
	blind(w, vm->blind);
}

void dp_json_change(struct dp_jw in, const struct dp_change_report *c)
{
	struct dp_jw w = dp_jw_object(in, "really_changed");

	dp_jw_bool(w, "compared", c->on);
	dp_jw_count(w, "granule_bytes", c->unit);
	dp_jw_est(w, "share", c->share);
	dp_jw_est(w, "bytes_per_s", c->rate);
	dp_jw_est(w, "resent", c->resent);
	dp_jw_num(w, "window_s", c->window);
	dp_jw_count(w, "windows", c->windows);
	dp_jw_count(w, "granules", c->compared);
	dp_jw_count(w, "unreadable", c->failed);
	dp_jw_num(w, "read_bytes", c->read);
	dp_jw_num(w, "read_bytes_per_s", c->read_bps);
	dp_jw_num(w, "read_limit_bytes_per_s", c->limit_bps);
}

static void speed(struct dp_jw in, const char *key, const struct dp_speed *s)
{
	struct dp_jw w = dp_jw_object(in, key);

	dp_jw_est(w, "bytes_per_s", s->bps);
	dp_jw_count(w, "samples", s->samples);
}

void dp_json_bandwidth(struct dp_jw in, const struct dp_speeds *s)
{
	struct dp_jw w = dp_jw_object(in, "bandwidth");

	speed(w, "goodput", &s->goodput);
	speed(w, "cap", &s->cap);
	speed(w, "capacity", &s->capacity);
	dp_jw_bool(w, "capped", s->capped);
	dp_jw_est(w, "rounds_bytes_per_s", s->rounds);
	dp_jw_str(w, "rounds_from", dp_speed_from_name(s->rounds_from));
	dp_jw_est(w, "switchover_bytes_per_s", s->switchover);
	dp_jw_str(w, "switchover_from", dp_speed_from_name(s->switchover_from));
}

static const char *const assumed_name[] = {
	"limit", "fixed", "setup", "exit_test", "switchover", "zero_scan"
};

const char *dp_json_assumed_name(unsigned int bit)
{
	return bit < sizeof(assumed_name) / sizeof(assumed_name[0]) ? assumed_name[bit] : NULL;
}

const char *dp_json_exit_test(enum dp_exit_test e)
{
	static const char *const name[] = { "before-9.0", "9.0", "10.1" };

	return (unsigned int)e < sizeof(name) / sizeof(name[0]) ? name[e] : NULL;
}

void dp_json_assumed(struct dp_jw w, uint32_t bits)
{
	struct json_object *a = dp_jw_array(w, "assumed");
	unsigned int i;

	for (i = 0; a && dp_json_assumed_name(i); i++) {
		struct json_object *s;

		if (!(bits & 1u << i))
			continue;
		s = json_object_new_string(dp_json_assumed_name(i));
		if (!s || json_object_array_add(a, s)) {
			json_object_put(s);
			*w.failed = true;
		}
	}
}

static void terms(struct dp_jw in, const struct dp_report *r)
{
	struct dp_jw w = dp_jw_object(in, "terms");

	dp_jw_num(w, "limit_s", r->limit);
	dp_jw_num(w, "fixed_s", r->fixed);
	dp_jw_num(w, "queue_bytes", r->queue > 0 ? r->queue : NAN);
	dp_jw_count(w, "learned_from", r->learned);
	dp_jw_num(w, "setup_s", r->setup);
	dp_jw_num(w, "throttle", r->throttle);
	dp_jw_num(w, "zero_share", r->zero_share);
	dp_jw_num(w, "wire_page_bytes", r->wire_page);
	dp_jw_str(w, "exit_test", dp_json_exit_test(r->exit_test));
	dp_json_assumed(w, r->assumed);
}

static void round_list(struct dp_jw w, const struct dp_round *round, uint32_t n)
{
	struct json_object *a = dp_jw_array(w, "round");
	uint32_t i;

	for (i = 0; a && i < n; i++) {
		struct dp_jw o = dp_jw_item(w, a);

		dp_jw_num(o, "pages", round[i].pages);
		dp_jw_num(o, "seconds", round[i].seconds);
		dp_jw_num(o, "dirtied", round[i].dirtied);
	}
}

void dp_json_prediction(struct dp_jw in, const struct dp_report *r, bool rounds)
{
	struct dp_jw w = dp_jw_object(in, "prediction");
	const struct dp_prediction *p = &r->pred;

	dp_jw_bool(w, "known", r->predicted);
	dp_jw_str(w, "verdict", dp_verdict_name(p->verdict));
	dp_jw_est(w, "stop_now_s", p->stop_now);
	dp_jw_est(w, "redirty_aware_s", p->redirty);
	dp_jw_est(w, "floor_s", p->floor);
	dp_jw_est(w, "rounds", p->rounds);
	dp_jw_est(w, "total_s", p->total);
	dp_jw_est(w, "downtime_s", p->downtime);
	dp_jw_est(w, "blackout_s", p->blackout);
	dp_jw_est(w, "least_limit_s", p->least_limit);
	dp_jw_est(w, "least_bandwidth_bytes_per_s", p->least_bandwidth);
	dp_jw_est(w, "least_throttle", p->least_throttle);
	terms(w, r);
	if (rounds)
		round_list(w, p->round, p->nrounds < DP_MAX_ROUNDS ? p->nrounds : DP_MAX_ROUNDS);
}

static void blocks(struct dp_jw in, const char *key, const uint64_t *v)
{
	struct dp_jw w = dp_jw_object(in, key);
	enum dp_size size;

	for (size = 0; size < DP_SIZES; size++)
		dp_jw_count(w, dp_size_name(size), v[size]);
}

void dp_json_sync(struct dp_jw w, const struct dp_sync_report *y)
{
	dp_jw_count(w, "number", y->number);
	dp_jw_count(w, "round", y->round);
	dp_jw_num(w, "at_s", y->t);
	dp_jw_num(w, "since_s", y->since);
	dp_jw_bool(w, "by_migration", y->by_migration);
	dp_jw_bool(w, "initial", y->initial);
	blocks(w, "new_blocks", y->new_blocks);
	dp_jw_count(w, "reported_pages", y->reported_pages);
	dp_jw_num(w, "sent_bytes", y->sent);
	dp_jw_num(w, "remaining_bytes", y->remaining);
	dp_jw_str(w, "verdict", dp_verdict_name(y->verdict));
	dp_jw_est(w, "stop_now_s", y->stop_now);
	dp_jw_est(w, "redirty_aware_s", y->redirty);
	dp_jw_est(w, "total_s", y->total);
	dp_jw_est(w, "downtime_s", y->downtime);
	dp_jw_est(w, "blackout_s", y->blackout);
	dp_jw_num(w, "rounds", y->rounds);
}

static void before(struct dp_jw in, const struct dp_migration *m, bool rounds)
{
	struct dp_jw w = dp_jw_object(in, "predicted_before");

	dp_jw_bool(w, "known", m->before_known);
	dp_jw_str(w, "verdict", dp_verdict_name(m->before_verdict));
	dp_jw_est(w, "total_s", m->before_total);
	dp_jw_est(w, "downtime_s", m->before_downtime);
	dp_jw_est(w, "blackout_s", m->before_blackout);
	dp_jw_num(w, "rounds", m->before_rounds);
	if (rounds)
		round_list(w, m->before_round, m->before_nrounds);
}

void dp_json_moment(struct dp_jw in, const char *key, const struct dp_moment *m)
{
	struct dp_jw w = dp_jw_object(in, key);
	bool known = m->t > 0;

	dp_jw_num(w, "t_s", known ? m->t : NAN);
	dp_jw_num(w, "time_s", known ? m->wall : NAN);
	dp_jw_num(w, "monotonic_s", known ? m->mono : NAN);
}

void dp_json_migration(struct dp_jw in, const struct dp_migration *m, bool syncs)
{
	struct dp_jw w = dp_jw_object(in, "migration");
	struct json_object *a;
	uint32_t i;

	dp_jw_str(w, "outcome", dp_outcome_name(m->outcome));
	if (m->outcome == DP_MIG_NONE)
		return;
	dp_jw_num(w, "start_s", m->start);
	dp_jw_num(w, "elapsed_s", m->elapsed);
	dp_jw_count(w, "channels", m->channels);
	dp_jw_bool(w, "multifd", m->multifd);
	dp_jw_bool(w, "tcp", m->tcp);
	dp_jw_count(w, "rounds", m->rounds);
	dp_jw_num(w, "sent_bytes", m->sent);
	dp_jw_num(w, "remaining_bytes", m->remaining);
	dp_jw_bool(w, "remaining_known", m->remaining_known);
	dp_jw_bool(w, "remaining_by_qemu", m->remaining_qmp);
	dp_jw_bool(w, "measured_by_qemu", m->qmp);
	dp_jw_num(w, "total_s", m->total);
	dp_jw_num(w, "downtime_s", m->downtime);
	dp_json_moment(w, "last_ran", &m->last_ran);
	dp_jw_num(w, "fixed_s", m->fixed_seen);
	dp_jw_num(w, "queue_bytes", m->queue_seen);
	dp_jw_num(w, "path_given_bytes_per_s", m->path_given);
	dp_jw_num(w, "path_seen_bytes_per_s", m->path_seen);
	before(w, m, syncs);
	if (!syncs)
		return;
	dp_jw_count(w, "earlier_syncs", m->dropped_syncs);
	a = dp_jw_array(w, "syncs");
	for (i = 0; a && i < m->nsyncs; i++)
		dp_json_sync(dp_jw_item(w, a), &m->syncs[i]);
}

void dp_json_notes(struct dp_jw w, const struct dp_report *r)
{
	struct json_object *a = dp_jw_array(w, "notes");
	uint32_t i;

	for (i = 0; a && i < r->nnotes; i++) {
		struct dp_jw o = dp_jw_item(w, a);

		dp_jw_str(o, "note", dp_note_name(r->note[i].kind));
		dp_jw_num(o, "value", r->note[i].value);
		dp_jw_num(o, "value2", r->note[i].value2);
	}
}

void dp_json_self(struct dp_jw in, const struct dp_report *r)
{
	struct dp_jw w = dp_jw_object(in, "self");

	dp_jw_count(w, "events", r->events);
	dp_jw_count(w, "lost", r->lost);
	dp_jw_count(w, "unknown_slot", r->unknown);
	dp_jw_count(w, "repeated", r->repeated);
	dp_jw_num(w, "bpf_s", r->bpf_seconds);
	dp_jw_count(w, "bpf_runs", r->bpf_runs);
	dp_jw_num(w, "user_s", r->user_seconds);
	dp_jw_count(w, "resident_bytes", r->rss);
}

void dp_json_curve(struct dp_jw in, const struct dp_report *r)
{
	struct dp_jw w = dp_jw_object(in, "curve"), o;
	const size_t stride = sizeof(struct dp_est) / sizeof(double);
	enum dp_size size;

	dp_jw_bool(w, "known", r->known);
	dp_jw_nums(w, "t_s", r->u_t, DP_CURVE_POINTS, 1);
	for (size = 0; size < DP_SIZES; size++) {
		o = dp_jw_object(w, dp_size_name(size));
		dp_jw_num(o, "blocks", r->blocks[size]);
		dp_jw_num(o, "reach_s", r->reach[size]);
		dp_jw_nums(o, "lo_bytes", &r->u[size][0].lo, DP_CURVE_POINTS, stride);
		dp_jw_nums(o, "mid_bytes", &r->u[size][0].mid, DP_CURVE_POINTS, stride);
		dp_jw_nums(o, "hi_bytes", &r->u[size][0].hi, DP_CURVE_POINTS, stride);
	}
	dp_jw_num(w, "resolution_s", r->resolution);
	dp_jw_num(w, "batch_marks", r->batch);
	dp_jw_nums(w, "windows_s", r->window, r->nwindows, 1);
}
