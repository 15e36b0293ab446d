// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What was watched, and with what: the VM, its host, and dirtyprof's own cost. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "html_int.h"

static void fact(struct dp_buf *b, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void fact(struct dp_buf *b, const char *name, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	dp_buf_printf(b, "<tr><th scope=\"row\">%s</th><td>", name);
	dp_h_esc(b, text);
	dp_buf_printf(b, "</td></tr>\n");
}

static void number(struct dp_buf *b, const char *name, const char *key, double v, dp_fmt_fn fmt)
{
	dp_buf_printf(b, "<tr><th scope=\"row\">%s</th>", name);
	dp_h_cell(b, key, v, fmt);
	dp_buf_printf(b, "</tr>\n");
}

static void backing(struct dp_buf *b, const struct dp_subject *vm)
{
	const struct dp_backing *k = &vm->backing;
	char name[64], page[FMT];

	if (!k->known) {
		fact(b, "backing", "not known");
		return;
	}
	snprintf(name, sizeof(name), "in pages of %s", dp_fmt_page(page, sizeof(page), k->host_page));
	number(b, name, "report.vm.backing.base_bytes", (double)k->bytes_4k, dp_fmt_bytes);
	if (k->bytes_thp)
		number(b, "in transparent hugepages", "report.vm.backing.thp_bytes", (double)k->bytes_thp,
		       dp_fmt_bytes);
	snprintf(name, sizeof(name), "in hugepages of %s", dp_fmt_page(page, sizeof(page), k->huge_size));
	if (k->bytes_huge)
		number(b, name, "report.vm.backing.huge_bytes", (double)k->bytes_huge, dp_fmt_bytes);
}

static void unseen(struct dp_buf *b, uint32_t blind)
{
	static const char *const name[] = { "QEMU’s emulated devices (DMA)", "vhost (kernel)", "vhost-user",
					    "VFIO devices" };
	char list[160] = "";
	int at = 0;
	unsigned int i;

	for (i = 0; i < sizeof(name) / sizeof(name[0]); i++)
		if (blind & 1u << i)
			at += snprintf(list + at, sizeof(list) - (size_t)at, "%s%s", at ? ", " : "", name[i]);
	if (at)
		fact(b, "writers not in KVM’s log", "%s: the rates are lower bounds", list);
}

static void the_vm(struct dp_buf *b, const struct dp_subject *vm)
{
	char g[FMT];

	fact(b, "name", "%s", vm->name[0] ? vm->name : "none");
	fact(b, "process", "%d", (int)vm->pid);
	fact(b, "QEMU", "%s", vm->qemu_version[0] ? vm->qemu_version : "version not known");
	fact(b, "vCPUs", "%u", vm->nvcpus);
	number(b, "RAM", "report.vm.ram_bytes", (double)vm->ram, dp_fmt_bytes);
	number(b, "logged at the end", "report.vm.logging_bytes", (double)vm->logging, dp_fmt_bytes);
	if (vm->log_mode == DP_LOG_RING)
		fact(b, "log", "dirty rings of %u entries", vm->ring_entries);
	else
		fact(b, "log", "%s",
		     vm->log_mode == DP_LOG_UNKNOWN ? "not known"
		     : vm->manual_protect & 1	    ? "bitmap, cleared by KVM_CLEAR_DIRTY_LOG"
						    : "bitmap, cleared as it is fetched");
	dp_fmt_page(g, sizeof(g), vm->granule);
	fact(b, "tracking granule", "%s%s%s%s", vm->granule_mixed ? "up to " : "", g, vm->mmu ? ", MMU " : "",
	     vm->mmu ? dp_mmu_name(vm->mmu) : "");
	backing(b, vm);
	unseen(b, vm->blind);
}

static void the_watch(struct dp_buf *b, const struct dp_run *run)
{
	const struct dp_report *r = &run->report;
	char when[FMT * 2];

	if (run->label[0])
		fact(b, "file", "%s", run->label);
	fact(b, "until", "%s", dp_fmt_utc(when, sizeof(when), r->wall_us ? (double)r->wall_us / 1e6 : NAN));
	number(b, "watched for", "report.span_s", r->span, dp_fmt_time);
	number(b, "of it with RAM logged", "report.logged_s", r->logged, dp_fmt_time);
	fact(b, "source", "%s%s%s", dp_source_name(r->source), r->hook[0] ? ", by " : "", r->hook);
	if (r->started_by[0])
		fact(b, "logging switched on by", "%s", r->started_by);
	if (run->start.command[0])
		fact(b, "command", "%s", run->start.command);
	if (r->resolution > 0)
		number(b, "marks’ resolution", "report.curve.resolution_s", r->resolution, dp_fmt_time);
}

static void the_host(struct dp_buf *b, const struct dp_run *run)
{
	const struct dp_run_host *h = &run->host;
	char when[FMT * 2];

	if (h->cpu[0])
		fact(b, "CPU", "%s", h->cpu);
	fact(b, "CPUs online", "%u", h->ncpus);
	number(b, "memory", "host.memory_bytes", (double)h->memory, dp_fmt_bytes);
	fact(b, "kernel", "%s, %s", h->kernel, h->machine);
	fact(b, "recorded by", "dirtyprof %s", h->tool);
	fact(b, "since", "%s", dp_fmt_utc(when, sizeof(when), h->wall_s));
}

void dp_h_facts(struct dp_h *h)
{
	struct dp_buf *b = h->b;

	dp_buf_printf(b, "<div class=\"pair\">\n<div><h4>The VM</h4><table class=\"facts\"><tbody>\n");
	the_vm(b, &h->r->report.vm);
	dp_buf_printf(
		b, "</tbody></table></div>\n<div><h4>The measurement</h4><table class=\"facts\"><tbody>\n");
	the_watch(b, h->r);
	dp_buf_printf(b, "</tbody></table>");
	if (h->r->host_known) {
		dp_buf_printf(b, "<h4>The host</h4><table class=\"facts\"><tbody>\n");
		the_host(b, h->r);
		dp_buf_printf(b, "</tbody></table>");
	}
	dp_buf_printf(b, "</div>\n</div>\n");
}

/* Share of a core over time. */
static void cost_plot(struct dp_h *h)
{
	const struct dp_run *run = h->r;
	double x[2 * DP_RUN_COLUMNS], v[2 * DP_RUN_COLUMNS], zero[2 * DP_RUN_COLUMNS] = { 0 }, most = 0;
	struct dp_plot p;
	char a[FMT], z[FMT], s[FMT], tip[160];
	uint32_t i;

	if (!run->ncolumns)
		return;
	for (i = 0; i < run->ncolumns; i++) {
		const struct dp_run_column *c = &run->column[i];

		x[2 * i] = c->t0;
		x[2 * i + 1] = c->t1;
		v[2 * i] = v[2 * i + 1] = c->t1 > c->t0 ? c->cpu / (c->t1 - c->t0) : NAN;
		most = fmax(most, v[2 * i]);
	}
	dp_buf_printf(h->b, "<figure>\n");
	dp_plot_open(&p, h, "plot", 190, "CPU time that dirtyprof took, as a share of one core, over time.");
	p.x = (struct dp_axis){ .unit = DP_U_TIME, .p0 = 84, .p1 = p.w - 28, .lo = x[0] };
	p.x.hi = fmax(p.x.lo + 1e-3, x[2 * run->ncolumns - 1]);
	p.y = (struct dp_axis){ .unit = DP_U_PERCENT, .p0 = p.h - 46, .p1 = 34 };
	dp_axis_upto(&p.y, fmax(0.001, most));
	dp_plot_frame(&p, "CPU, of one core", "time since dirtyprof attached");
	dp_plot_band(&p, "area c5", x, zero, v, 2 * run->ncolumns, 1);
	dp_plot_line(&p, "line thin c5", x, v, 2 * run->ncolumns, 1);
	dp_buf_printf(h->b, "<g class=\"hits\">\n");
	for (i = 0; i < run->ncolumns; i++) {
		double x0 = dp_axis_at(&p.x, x[2 * i]), x1 = dp_axis_at(&p.x, x[2 * i + 1]);
		double y = isnan(v[2 * i]) ? NAN : dp_axis_at(&p.y, v[2 * i]);

		snprintf(tip, sizeof(tip), "%s to %s\nCPU  %s", dp_fmt_time(a, sizeof(a), x[2 * i]),
			 dp_fmt_time(z, sizeof(z), x[2 * i + 1]), dp_fmt_share(s, sizeof(s), v[2 * i]));
		dp_plot_hit(&p, x0, x1, (x0 + x1) / 2, &y, 1, tip);
	}
	dp_buf_printf(h->b, "</g>\n");
	dp_plot_close(&p);
	dp_buf_printf(h->b, "</figure>\n");
}

void dp_h_self(struct dp_h *h)
{
	const struct dp_report *r = &h->r->report;
	struct dp_buf *b = h->b;
	double bpf = isnan(r->bpf_seconds) ? 0 : r->bpf_seconds;

	if (r->lost)
		dp_buf_printf(b,
			      "<p class=\"warn\"><b>Events were lost:</b> the rates are lower bounds.</p>\n");
	dp_buf_printf(b, "<div class=\"pair\">\n<table class=\"facts\"><tbody>\n");
	number(b, "CPU in user space", "report.self.user_s", r->user_seconds, dp_fmt_time);
	number(b, isnan(r->bpf_seconds) ? "CPU in BPF (not counted by this kernel’s settings)" : "CPU in BPF",
	       "report.self.bpf_s", r->bpf_seconds, dp_fmt_time);
	number(b, "of one core, all through", NULL, r->span > 0 ? (r->user_seconds + bpf) / r->span : NAN,
	       dp_fmt_share);
	number(b, "BPF program runs", "report.self.bpf_runs", (double)r->bpf_runs, dp_fmt_count);
	number(b, "resident memory", "report.self.resident_bytes", (double)r->rss, dp_fmt_bytes);
	dp_buf_printf(b, "</tbody></table>\n<table class=\"facts\"><tbody>\n");
	number(b, "distinct memory seen dirty", "report.seen_bytes", (double)r->seen, dp_fmt_bytes);
	number(b, "dirty events", "report.self.events", (double)r->events, dp_fmt_count);
	number(b, "of pages not re-armed, not counted again", "report.self.repeated", (double)r->repeated,
	       dp_fmt_count);
	number(b, "of unknown slots", "report.self.unknown_slot", (double)r->unknown, dp_fmt_count);
	number(b, "lost", "report.self.lost", (double)r->lost, dp_fmt_count);
	dp_buf_printf(b, "</tbody></table>\n</div>\n");
	cost_plot(h);
}
