// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Prometheus text format. A family's HELP and TYPE come once, then its samples of every VM. Unknown numbers and those
 * that never come true have no sample; a family without samples is left out.
 */
#include <math.h>
#include <string.h>

#include "json_int.h"

struct family;
typedef void (*sample_fn)(struct dp_buf *b, const struct family *f, const struct dp_report *r);

/* A family is sampled by `get`, by size through `get_size`, or by `write` where it has labels of its own. */
struct family {
	const char *name, *type, *help;
	double (*get)(const struct dp_report *r);
	double (*get_size)(const struct dp_report *r, enum dp_size size);
	sample_fn write;
};

static void label_value(struct dp_buf *b, const char *s)
{
	for (; *s; s++) {
		if (*s == '\n')
			dp_buf_append(b, "\\n", 2);
		else if (*s == '\\' || *s == '"')
			dp_buf_printf(b, "\\%c", *s);
		else
			dp_buf_append(b, s, 1);
	}
}

static void sample(struct dp_buf *b, const struct family *f, const struct dp_report *r, const char *label,
		   const char *value, double v)
{
	char num[DP_NUM];

	if (!isfinite(v))
		return;
	dp_buf_printf(b, "%s{pid=\"%d\",name=\"", f->name, (int)r->vm.pid);
	label_value(b, r->vm.name);
	dp_buf_append(b, "\"", 1);
	if (label)
		dp_buf_printf(b, ",%s=\"%s\"", label, value);
	dp_buf_printf(b, "} %s\n", dp_fmt_double(num, sizeof(num), v));
}

#define GET(name, expr)                                                                                      \
	static double get_##name(const struct dp_report *r)                                                  \
	{                                                                                                    \
		return expr;                                                                                 \
	}
#define GET_SIZE(name, expr)                                                                                 \
	static double get_##name(const struct dp_report *r, enum dp_size size)                               \
	{                                                                                                    \
		return expr;                                                                                 \
	}

GET(up, 1)
GET(updated, r->wall_us ? (double)r->wall_us / 1e6 : NAN)
GET(ram, (double)r->vm.ram)
GET(granule, r->vm.granule ? (double)r->vm.granule : NAN)
GET(logging, r->logging)
GET(seen, (double)r->seen)
GET_SIZE(total_blocks, (double)r->total_blocks[size])
GET_SIZE(rate, r->rate[size].mid)
GET_SIZE(rate_p10, r->rate[size].lo)
GET_SIZE(rate_p90, r->rate[size].hi)
GET_SIZE(second, r->u[size][DP_POINT_1S].mid)
GET_SIZE(second_p10, r->u[size][DP_POINT_1S].lo)
GET_SIZE(second_p90, r->u[size][DP_POINT_1S].hi)
GET_SIZE(amp, r->amp[size].mid)
GET(amp_now, r->amp_now)
GET(changed, r->change.share.mid)
GET(changed_p10, r->change.share.lo)
GET(changed_p90, r->change.share.hi)
GET(changed_rate, r->change.rate.mid)
GET(changed_rate_p10, r->change.rate.lo)
GET(changed_rate_p90, r->change.rate.hi)
GET(change_read, r->change.on ? r->change.read : NAN)
GET(change_limit, r->change.on ? r->change.limit_bps : NAN)
GET(goodput, r->speeds.goodput.bps.mid)
GET(cap, r->speeds.cap.bps.mid)
GET(capacity, r->speeds.capacity.bps.mid)
GET(bw_rounds, r->speeds.rounds.mid)
GET(bw_switchover, r->speeds.switchover.mid)
GET(active, r->mig.outcome == DP_MIG_RUNNING)
GET(mig_rounds, r->mig.outcome == DP_MIG_NONE ? NAN : r->mig.rounds)
GET(mig_sent, r->mig.outcome == DP_MIG_NONE ? NAN : r->mig.sent)
GET(remaining, r->mig.outcome == DP_MIG_NONE ? NAN : r->mig.remaining)
GET(mig_total, r->mig.total)
GET(mig_downtime, r->mig.downtime)
GET(limit, r->limit)
GET(fixed, r->fixed)
GET(stop_now, r->pred.stop_now.mid)
GET(stop_now_p10, r->pred.stop_now.lo)
GET(stop_now_p90, r->pred.stop_now.hi)
GET(redirty, r->pred.redirty.mid)
GET(redirty_p10, r->pred.redirty.lo)
GET(redirty_p90, r->pred.redirty.hi)
GET(floor, r->pred.floor.mid)
GET(floor_p10, r->pred.floor.lo)
GET(floor_p90, r->pred.floor.hi)
GET(downtime, r->pred.downtime.mid)
GET(downtime_p10, r->pred.downtime.lo)
GET(downtime_p90, r->pred.downtime.hi)
GET(total, r->pred.total.mid)
GET(total_p10, r->pred.total.lo)
GET(total_p90, r->pred.total.hi)
GET(rounds, r->pred.rounds.mid)
GET(least_limit, r->pred.least_limit.mid)
GET(least_bandwidth, r->pred.least_bandwidth.mid)
GET(least_throttle, r->pred.least_throttle.mid)
GET(events, (double)r->events)
GET(lost, (double)r->lost)
GET(unknown, (double)r->unknown)
GET(repeated, (double)r->repeated)
GET(user, r->user_seconds)
GET(bpf, r->bpf_seconds)
GET(rss, (double)r->rss)

static void write_verdict(struct dp_buf *b, const struct family *f, const struct dp_report *r)
{
	enum dp_verdict v;

	for (v = DP_UNKNOWN; v <= DP_NEVER; v++)
		sample(b, f, r, "verdict", dp_verdict_name(v), r->pred.verdict == v);
}

#define G   "gauge"
#define C   "counter"
#define P10 " (10th percentile)."
#define P90 " (90th percentile)."

static const struct family up = { "dirtyprof_up", G,
				  "1 while dirtyprof watches the VM, 0 after its clean exit.",
				  .get = get_up };
static const struct family updated = { "dirtyprof_last_update_timestamp_seconds", G,
				       "When this VM's figures were last computed, since the epoch.",
				       .get = get_updated };

static const struct family families[] = {
	{ "dirtyprof_ram_bytes", G, "Migratable RAM of the VM.", .get = get_ram },
	{ "dirtyprof_tracking_granule_bytes", G, "Smallest piece of memory that KVM's log tells apart.",
	  .get = get_granule },
	{ "dirtyprof_logging", G, "1 if some RAM slot logs dirty pages.", .get = get_logging },
	{ "dirtyprof_dirty_blocks_total", C,
	  "Blocks of a size first written since they were re-armed; not a rate of writes.",
	  .get_size = get_total_blocks },
	{ "dirtyprof_distinct_dirty_bytes", G, "Distinct 4K pages dirtied since the start, in bytes.",
	  .get = get_seen },
	{ "dirtyprof_dirty_rate_bytes_per_second", G,
	  "Dirty rate in blocks of a size: the slope of the curve at 0.", .get_size = get_rate },
	{ "dirtyprof_dirty_rate_p10_bytes_per_second", G, "Dirty rate in blocks of a size" P10,
	  .get_size = get_rate_p10 },
	{ "dirtyprof_dirty_rate_p90_bytes_per_second", G, "Dirty rate in blocks of a size" P90,
	  .get_size = get_rate_p90 },
	{ "dirtyprof_dirtied_in_one_second_bytes", G,
	  "Distinct blocks of a size dirtied within one second, in bytes.", .get_size = get_second },
	{ "dirtyprof_dirtied_in_one_second_p10_bytes", G, "Dirtied within one second" P10,
	  .get_size = get_second_p10 },
	{ "dirtyprof_dirtied_in_one_second_p90_bytes", G, "Dirtied within one second" P90,
	  .get_size = get_second_p90 },
	{ "dirtyprof_amplification_ratio", G,
	  "Bytes resent a byte written if the log told only blocks of this size apart.",
	  .get_size = get_amp },
	{ "dirtyprof_vm_amplification_ratio", G,
	  "Bytes resent a byte written with this VM's tracking granule.", .get = get_amp_now },
	{ "dirtyprof_really_changed_ratio", G,
	  "Share of the pages that the log reported whose contents changed, by sampling.",
	  .get = get_changed },
	{ "dirtyprof_really_changed_p10_ratio", G, "Share of reported pages that changed" P10,
	  .get = get_changed_p10 },
	{ "dirtyprof_really_changed_p90_ratio", G, "Share of reported pages that changed" P90,
	  .get = get_changed_p90 },
	{ "dirtyprof_really_changed_bytes_per_second", G,
	  "4K pages that changed from sync to sync, in bytes.", .get = get_changed_rate },
	{ "dirtyprof_really_changed_p10_bytes_per_second", G, "4K pages that changed" P10,
	  .get = get_changed_rate_p10 },
	{ "dirtyprof_really_changed_p90_bytes_per_second", G, "4K pages that changed" P90,
	  .get = get_changed_rate_p90 },
	{ "dirtyprof_contents_read_bytes_total", C, "Read from the VM's memory to compare contents.",
	  .get = get_change_read },
	{ "dirtyprof_contents_read_limit_bytes_per_second", G, "Read at most for that, as a mean.",
	  .get = get_change_limit },
	{ "dirtyprof_migration_goodput_bytes_per_second", G,
	  "Bytes that arrive over the migration's channels.", .get = get_goodput },
	{ "dirtyprof_migration_cap_bytes_per_second", G,
	  "QEMU's max-bandwidth, told by QMP or seen in the bursts.", .get = get_cap },
	{ "dirtyprof_migration_capacity_bytes_per_second", G, "The path's own rate, within bursts.",
	  .get = get_capacity },
	{ "dirtyprof_predicted_rounds_bandwidth_bytes_per_second", G,
	  "Bandwidth that the prediction uses for the rounds.", .get = get_bw_rounds },
	{ "dirtyprof_predicted_switchover_bandwidth_bytes_per_second", G,
	  "Bandwidth that the prediction uses once the guest is stopped.", .get = get_bw_switchover },
	{ "dirtyprof_migration_active", G, "1 while a migration is under way.", .get = get_active },
	{ "dirtyprof_migration_rounds", G, "Rounds ended, of the migration under way or the last one.",
	  .get = get_mig_rounds },
	{ "dirtyprof_migration_sent_bytes", G, "Bytes sent, of the migration under way or the last one.",
	  .get = get_mig_sent },
	{ "dirtyprof_migration_data_remaining_bytes", G,
	  "Bytes left to send; an upper bound where zero pages are not known.", .get = get_remaining },
	{ "dirtyprof_migration_duration_seconds", G, "What the last migration took in all.",
	  .get = get_mig_total },
	{ "dirtyprof_migration_downtime_seconds", G, "How long the last migration had the guest down.",
	  .get = get_mig_downtime },
	{ "dirtyprof_downtime_limit_seconds", G, "Downtime limit that the prediction uses.",
	  .get = get_limit },
	{ "dirtyprof_fixed_downtime_seconds", G, "Fixed part of the downtime that the prediction uses.",
	  .get = get_fixed },
	{ "dirtyprof_down_if_stopped_now_seconds", G, "Downtime if the guest were stopped now.",
	  .get = get_stop_now },
	{ "dirtyprof_down_if_stopped_now_p10_seconds", G, "Downtime if the guest were stopped now" P10,
	  .get = get_stop_now_p10 },
	{ "dirtyprof_down_if_stopped_now_p90_seconds", G, "Downtime if the guest were stopped now" P90,
	  .get = get_stop_now_p90 },
	{ "dirtyprof_redirty_aware_seconds", G, "Time to send what remains and what is dirtied meanwhile.",
	  .get = get_redirty },
	{ "dirtyprof_redirty_aware_p10_seconds", G,
	  "Time to send what remains and what is dirtied meanwhile" P10, .get = get_redirty_p10 },
	{ "dirtyprof_redirty_aware_p90_seconds", G,
	  "Time to send what remains and what is dirtied meanwhile" P90, .get = get_redirty_p90 },
	{ "dirtyprof_downtime_floor_seconds", G, "Downtime that no number of rounds gets below.",
	  .get = get_floor },
	{ "dirtyprof_downtime_floor_p10_seconds", G, "Downtime that no number of rounds gets below" P10,
	  .get = get_floor_p10 },
	{ "dirtyprof_downtime_floor_p90_seconds", G, "Downtime that no number of rounds gets below" P90,
	  .get = get_floor_p90 },
	{ "dirtyprof_predicted_downtime_seconds", G, "Predicted downtime; no sample if it never converges.",
	  .get = get_downtime },
	{ "dirtyprof_predicted_downtime_p10_seconds", G, "Predicted downtime" P10, .get = get_downtime_p10 },
	{ "dirtyprof_predicted_downtime_p90_seconds", G, "Predicted downtime" P90, .get = get_downtime_p90 },
	{ "dirtyprof_predicted_duration_seconds", G,
	  "Predicted time of the whole migration; no sample if it never ends.", .get = get_total },
	{ "dirtyprof_predicted_duration_p10_seconds", G, "Predicted time of the whole migration" P10,
	  .get = get_total_p10 },
	{ "dirtyprof_predicted_duration_p90_seconds", G, "Predicted time of the whole migration" P90,
	  .get = get_total_p90 },
	{ "dirtyprof_predicted_rounds", G, "Predicted number of rounds to come.", .get = get_rounds },
	{ "dirtyprof_least_downtime_limit_seconds", G, "Least downtime limit that converges.",
	  .get = get_least_limit },
	{ "dirtyprof_least_bandwidth_bytes_per_second", G, "Least bandwidth that converges at the limit.",
	  .get = get_least_bandwidth },
	{ "dirtyprof_least_throttle_ratio", G, "Least vCPU throttle that converges; 1: none does.",
	  .get = get_least_throttle },
	{ "dirtyprof_verdict", G, "1 for the verdict that holds, 0 for the others.", .write = write_verdict },
	{ "dirtyprof_events_total", C, "Dirty events seen.", .get = get_events },
	{ "dirtyprof_lost_events_total", C, "Dirty events or pieces of the log that could not be kept.",
	  .get = get_lost },
	{ "dirtyprof_unknown_slot_events_total", C, "Dirty events of slots that were not known.",
	  .get = get_unknown },
	{ "dirtyprof_repeated_events_total", C, "Dirty events of pages that had not been re-armed.",
	  .get = get_repeated },
	{ "dirtyprof_cpu_seconds_total", C, "CPU time of dirtyprof itself.", .get = get_user },
	{ "dirtyprof_bpf_seconds_total", C,
	  "Time in BPF programs; no sample where the kernel does not count it.", .get = get_bpf },
	{ "dirtyprof_resident_memory_bytes", G, "Resident memory of dirtyprof, its maps included.",
	  .get = get_rss },
};

static void write_samples(struct dp_buf *b, const struct family *f, const struct dp_report *r)
{
	enum dp_size size;

	if (f->write)
		f->write(b, f, r);
	else if (f->get)
		sample(b, f, r, NULL, NULL, f->get(r));
	for (size = 0; f->get_size && size < DP_SIZES; size++)
		sample(b, f, r, "size", dp_size_name(size), f->get_size(r, size));
}

static void write_family(struct dp_buf *b, const struct family *f, const struct dp_report *const *r, size_t n)
{
	size_t start = b->len, head, i;

	dp_buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", f->name, f->help, f->name, f->type);
	head = b->len;
	for (i = 0; i < n; i++)
		write_samples(b, f, r[i]);
	if (b->len == head && !b->failed) {
		b->len = start;
		b->data[start] = 0;
	}
}

void dp_prom(struct dp_buf *b, const struct dp_report *const *r, size_t n)
{
	size_t i;

	write_family(b, &up, r, n);
	write_family(b, &updated, r, n);
	for (i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		write_family(b, &families[i], r, n);
}

void dp_prom_stale(struct dp_buf *b, const struct dp_report *const *r, size_t n)
{
	size_t i;

	dp_buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", up.name, up.help, up.name, up.type);
	for (i = 0; i < n; i++)
		sample(b, &up, r[i], NULL, NULL, 0);
	write_family(b, &updated, r, n);
}
