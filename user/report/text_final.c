// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The text report at the end. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "text_int.h"

/* Rows of the table of U(t): 10 ms, 100 ms, 1 s, 5 s. */
static const unsigned char row_point[] = { 12, 18, 24, 28 };

#define ROUND_ROWS 8

static void add_item(char *list, size_t size, const char *item)
{
	size_t n = strlen(list);

	snprintf(list + n, size - n, "%s%s", n ? ", " : "", item);
}

static void print_backing(struct dp_buf *b, const struct dp_subject *vm)
{
	char list[256] = "", item[96], n[FMT], z[FMT], granule[FMT], mmu[24] = "";
	const struct dp_backing *k = &vm->backing;

	if (k->bytes_4k) {
		snprintf(item, sizeof(item), "%s in pages of %s",
			 dp_fmt_bytes(n, sizeof(n), (double)k->bytes_4k),
			 dp_fmt_page(z, sizeof(z), k->host_page));
		add_item(list, sizeof(list), item);
	}
	if (k->bytes_thp) {
		snprintf(item, sizeof(item), "%s in transparent hugepages",
			 dp_fmt_bytes(n, sizeof(n), (double)k->bytes_thp));
		add_item(list, sizeof(list), item);
	}
	if (k->bytes_huge) {
		snprintf(item, sizeof(item), "%s in hugepages of %s",
			 dp_fmt_bytes(n, sizeof(n), (double)k->bytes_huge),
			 dp_fmt_page(z, sizeof(z), k->huge_size));
		add_item(list, sizeof(list), item);
	}
	dp_fmt_page(granule, sizeof(granule), vm->granule);
	if (vm->mmu)
		snprintf(mmu, sizeof(mmu), " (%s MMU)", dp_mmu_name(vm->mmu));
	dp_text_wrap(b, 2, "Backing: %s. Wire unit 4K, tracking granule %s%s%s.",
		     list[0]	? list
		     : k->known ? "not touched yet"
				: "not known",
		     vm->granule_mixed ? "up to " : "", granule, mmu);
}

static void print_vm(struct dp_buf *b, const struct dp_report *r)
{
	const struct dp_subject *vm = &r->vm;
	char ram[FMT], log[FMT], mode[64];
	char blind[128] = "";

	dp_fmt_bytes(ram, sizeof(ram), (double)vm->ram);
	dp_fmt_bytes(log, sizeof(log), (double)vm->logging);
	if (vm->log_mode == DP_LOG_RING)
		snprintf(mode, sizeof(mode), "rings of %u", vm->ring_entries);
	else if (vm->log_mode == DP_LOG_BITMAP)
		snprintf(mode, sizeof(mode), "bitmap, cleared by %s",
			 vm->manual_protect & 1 ? "CLEAR" : "GET");
	else
		snprintf(mode, sizeof(mode), "mode not known");
	dp_text_wrap(b, 2, "VM: PID %d%s%s, QEMU %s, %u vCPU%s, %s of RAM; %s logs now (%s).", (int)vm->pid,
		     vm->name[0] ? ", " : "", vm->name,
		     vm->qemu_version[0] ? vm->qemu_version : "of unknown version", vm->nvcpus,
		     vm->nvcpus == 1 ? "" : "s", ram, log, mode);
	print_backing(b, vm);
	if (vm->blind & DP_BLIND_DMA)
		add_item(blind, sizeof(blind), "QEMU's emulated devices (DMA)");
	if (vm->blind & DP_BLIND_VHOST_KERNEL)
		add_item(blind, sizeof(blind), "vhost (kernel)");
	if (vm->blind & DP_BLIND_VHOST_USER)
		add_item(blind, sizeof(blind), "vhost-user");
	if (vm->blind & DP_BLIND_VFIO)
		add_item(blind, sizeof(blind), "VFIO devices");
	if (blind[0])
		dp_text_wrap(b, 2,
			     "Not in KVM's log, so not counted: writes by %s. The rates are lower bounds.",
			     blind);
}

static void print_row(struct dp_buf *b, const char *name, const struct dp_est *v, const char *mark,
		      dp_fmt_fn fmt)
{
	char cell[DP_SIZES][FMT], lo[FMT], hi[FMT], band[2 * FMT + 8];
	enum dp_size size;

	fmt(lo, sizeof(lo), v[0].lo);
	fmt(hi, sizeof(hi), v[0].hi);
	snprintf(band, sizeof(band), "%s..%s", lo, hi);
	for (size = 0; size < DP_SIZES; size++)
		fmt(cell[size], FMT, v[size].mid);
	dp_text_row(b, "%9s%1s %9s %19s %8s %8s %8s %8s", name, mark, cell[DP_4K], band, cell[DP_64K],
		    cell[DP_2M], cell[DP_16M], cell[DP_1G]);
}

static void print_windows(struct dp_buf *b, const struct dp_report *r)
{
	struct dp_buf list = { 0 };
	char t[FMT];
	uint32_t i;

	if (!r->nwindows)
		return;
	for (i = 0; i < r->nwindows; i++)
		dp_buf_printf(&list, "%s%s", i ? ", " : "", dp_fmt_time(t, sizeof(t), r->window[i]));
	if (!list.failed)
		dp_text_wrap(b, 2,
			     "The log was seen at windows of %s; between them the curve lies in its band.",
			     list.data);
	b->failed |= list.failed;
	dp_buf_free(&list);
}

static void print_curve(struct dp_buf *b, const struct dp_report *r)
{
	struct dp_est v[DP_SIZES];
	char t[FMT], g[FMT], x[FMT];
	bool beyond = false;
	unsigned int i, size;

	if (!r->known)
		return;
	dp_buf_printf(b, "\nDirtied within t, by size of page (4K: with its 10-90 %% band)\n");
	dp_text_row(b, "%9s  %9s %19s %8s %8s %8s %8s", "t", "4K", "10-90 %", "64K", "2M", "16M", "1G");
	for (i = 0; i < sizeof(row_point); i++) {
		bool far = r->u_t[row_point[i]] > r->reach[DP_4K] * (1 + 1e-9);

		for (size = 0; size < DP_SIZES; size++)
			v[size] = r->u[size][row_point[i]];
		print_row(b, dp_fmt_time(t, sizeof(t), r->u_t[row_point[i]]), v, far ? "*" : "",
			  dp_fmt_bytes);
		beyond |= far;
	}
	print_row(b, "a second", r->rate, "", dp_fmt_bytes);
	if (!isnan(r->amp_t))
		print_row(b, "resent", r->amp, "", dp_fmt_times);
	if (beyond)
		dp_text_wrap(b, 2, "* beyond the longest lag seen, %s: extrapolated.",
			     dp_fmt_time(t, sizeof(t), r->reach[DP_4K]));
	dp_text_wrap(
		b, 2,
		"a second: the dirty rate, over the first 10 ms. What a log shows is what pre-copy will meet, not what an "
		"undisturbed guest does.");
	if (!isnan(r->amp_t))
		dp_text_wrap(
			b, 2,
			"resent: bytes sent again a byte written, within %s, if pages of this size were all "
			"that the log could tell apart. This VM (%s): %s.",
			dp_fmt_time(t, sizeof(t), r->amp_t), dp_fmt_page(g, sizeof(g), r->vm.granule),
			dp_fmt_times(x, sizeof(x), r->amp_now));
	print_windows(b, r);
}

static void print_speed(struct dp_buf *b, const char *name, struct dp_est e, const char *note)
{
	char v[FMT_EST];

	if (!isnan(e.mid))
		dp_text_row(b, "  %-21s %s%s%s", name, dp_fmt_est(v, e, dp_fmt_bits), note[0] ? ", " : "",
			    note);
}

static void print_speeds(struct dp_buf *b, const struct dp_report *r)
{
	const struct dp_speeds *s = &r->speeds;
	char note[96];

	if (isnan(s->rounds.mid) && isnan(s->goodput.bps.mid))
		return;
	dp_buf_printf(b, "\nBandwidth\n");
	print_speed(b, "goodput", s->goodput.bps, "");
	print_speed(b, "cap (max-bandwidth)", s->cap.bps, s->cap.samples ? "seen in the bursts" : "QMP");
	print_speed(b, "path's capacity", s->capacity.bps, "within bursts");
	print_speed(b, "used for the rounds", s->rounds, dp_text_speed_from(s->rounds_from));
	snprintf(note, sizeof(note), "%s%s", dp_text_speed_from(s->switchover_from),
		 r->assumed & DP_ASSUMED_SWITCHOVER ? " (assumed)" : "");
	print_speed(b, "used at switchover", s->switchover, note);
}

static char *fmt_percent(char *buf, size_t size, double v)
{
	if (v >= 1)
		snprintf(buf, size, "none does it");
	else if (v <= 0)
		snprintf(buf, size, "0 %%");
	else if (isnan(v))
		snprintf(buf, size, "-");
	else
		snprintf(buf, size, "%.0f %%", v * 100);
	return buf;
}

static void print_terms(struct dp_buf *b, const struct dp_report *r)
{
	char fixed[FMT], setup[FMT], limit[FMT], scan[64] = "", exit_test[64] = "", learned[64] = "";

	if (r->learned)
		snprintf(learned, sizeof(learned), " (learnt from %u migration%s here)", r->learned,
			 r->learned == 1 ? "" : "s");
	if (r->assumed & DP_ASSUMED_SCAN)
		snprintf(scan, sizeof(scan), "; zero pages found at no cost (assumed)");
	if (r->assumed & DP_ASSUMED_EXIT)
		snprintf(exit_test, sizeof(exit_test), "; QEMU's exit test that of 8.2 and before (assumed)");
	dp_text_wrap(b, 4, "  terms: downtime limit %s%s; fixed part of the downtime %s%s; setup %s%s%s%s.",
		     dp_fmt_time(limit, sizeof(limit), r->limit),
		     r->assumed & DP_ASSUMED_LIMIT ? " (assumed)" : "",
		     dp_fmt_time(fixed, sizeof(fixed), r->fixed),
		     r->assumed & DP_ASSUMED_FIXED ? " (assumed)" : learned,
		     dp_fmt_time(setup, sizeof(setup), r->setup),
		     r->assumed & DP_ASSUMED_SETUP ? " (assumed)" : "", exit_test, scan);
}

/* The rounds of the middle: the first ones and the last. */
static void print_rounds(struct dp_buf *b, const struct dp_prediction *p)
{
	uint32_t i, n = p->nrounds < DP_MAX_ROUNDS ? p->nrounds : DP_MAX_ROUNDS;
	char sent[FMT], t[FMT], dirtied[FMT], number[FMT];

	if (!n)
		return;
	dp_text_row(b, "  %7s %11s %9s %15s", "round", "pages sent", "takes", "dirtied by then");
	for (i = 0; i < n; i++) {
		if (n > ROUND_ROWS && i == ROUND_ROWS - 2) {
			dp_text_row(b, "  %7s", "...");
			i = n - 2;
			continue;
		}
		snprintf(number, sizeof(number), "%u", i + 1);
		dp_text_row(b, "  %7s %11s %9s %15s", number,
			    dp_fmt_count(sent, sizeof(sent), p->round[i].pages),
			    dp_fmt_time(t, sizeof(t), p->round[i].seconds),
			    dp_fmt_count(dirtied, sizeof(dirtied), p->round[i].dirtied));
	}
}

static void print_prediction(struct dp_buf *b, const struct dp_report *r)
{
	const struct dp_prediction *p = &r->pred;

	if (!r->predicted)
		return;
	dp_buf_printf(b, "\nPrediction (10-90 %% in brackets)\n");
	dp_text_est(b, "down if stopped now", p->stop_now, dp_fmt_time);
	dp_text_est(b, "re-dirty-aware", p->redirty, dp_fmt_time);
	dp_text_est(b, "downtime's floor", p->floor, dp_fmt_time);
	dp_text_est(b, "rounds", p->rounds, dp_fmt_count);
	dp_text_est(b, "total time", p->total, dp_fmt_time);
	dp_text_est(b, "downtime", p->downtime, dp_fmt_time);
	if (r->queue > 0)
		dp_text_est(b, "guest stands still", p->blackout, dp_fmt_time);
	dp_text_est(b, "least downtime limit", p->least_limit, dp_fmt_time);
	dp_text_est(b, "least bandwidth", p->least_bandwidth, dp_fmt_bits);
	dp_text_est(b, "least throttle", p->least_throttle, fmt_percent);
	print_rounds(b, p);
	print_terms(b, r);
}

static void print_self(struct dp_buf *b, const struct dp_report *r)
{
	char ev[FMT], lost[FMT], unk[FMT], rep[FMT], bpf[FMT], user[FMT], rss[FMT], seen[FMT];

	dp_fmt_count(ev, sizeof(ev), (double)r->events);
	dp_fmt_count(rep, sizeof(rep), (double)r->repeated);
	dp_fmt_count(lost, sizeof(lost), (double)r->lost);
	dp_fmt_count(unk, sizeof(unk), (double)r->unknown);
	dp_buf_append(b, "\n", 1);
	dp_text_wrap(
		b, 2,
		"Seen: %s of distinct pages; %s events, %s of pages not re-armed (not counted again), %s of "
		"unknown slots, %s lost.",
		dp_fmt_bytes(seen, sizeof(seen), (double)r->seen), ev, rep, unk, lost);
	dp_text_wrap(b, 2, "dirtyprof itself: %s in user space, %s in BPF%s, %s resident, over %s.",
		     dp_fmt_time(user, sizeof(user), r->user_seconds),
		     dp_fmt_time(bpf, sizeof(bpf), r->bpf_seconds),
		     isnan(r->bpf_seconds) ? " (not counted by this kernel's settings)" : "",
		     dp_fmt_bytes(rss, sizeof(rss), (double)r->rss), dp_fmt_time(ev, sizeof(ev), r->span));
}

static void print_arrival(struct dp_buf *b, const struct dp_report *r)
{
	char at[FMT], after[FMT];

	if (!(r->first_ran.t > 0))
		return;
	dp_fmt_clock(at, sizeof(at), r->first_ran.wall);
	dp_fmt_time(after, sizeof(after), r->first_ran.t);
	dp_text_wrap(b, 2, "The guest first ran here at %s, %s after dirtyprof attached.", at, after);
}

void dp_text_final(struct dp_buf *b, const struct dp_report *r)
{
	char span[FMT], logged[FMT];

	dp_buf_append(b, "\n", 1);
	dp_text_wrap(b, 2, "Watched for %s, %s of it with RAM being logged; %s%s%s.",
		     dp_fmt_time(span, sizeof(span), r->span), dp_fmt_time(logged, sizeof(logged), r->logged),
		     dp_source_name(r->source), r->hook[0] ? " by " : "", r->hook);
	print_vm(b, r);
	print_arrival(b, r);
	if (!r->ever_logged && !r->logging) {
		dp_text_wrap(
			b, 2,
			"Nothing logged dirty pages meanwhile, so nothing was measured. To measure: migrate the "
			"VM, ask for a QMP calc-dirty-rate, or run dirtyprof with --start.");
	} else {
		print_curve(b, r);
		dp_text_hot(b, r);
		dp_text_change(b, r);
		print_speeds(b, r);
		print_prediction(b, r);
		dp_text_migration(b, r);
		dp_buf_append(b, "\n", 1);
		dp_text_verdict(b, r);
		dp_text_notes(b, r);
	}
	print_self(b, r);
}
