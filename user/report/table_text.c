// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The table of `dirtyprof predict`, for people. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "text_int.h"

#define BLOCK 4 /* limits side by side: 11 + 4 * 17 = 79 columns */

static void cell_text(char *buf, size_t size, const struct dp_cell *c)
{
	char total[FMT], down[FMT];

	if (c->verdict == DP_NEVER) {
		snprintf(buf, size, "-");
	} else if (c->verdict == DP_UNKNOWN) {
		snprintf(buf, size, "unknown");
	} else if (!isfinite(c->total.mid)) {
		snprintf(buf, size, "?");
	} else {
		dp_fmt_time(total, sizeof(total), c->total.mid);
		dp_fmt_time(down, sizeof(down), c->downtime.mid);
		snprintf(buf, size, "%s%s %s", c->verdict == DP_BORDERLINE ? "? " : "", total, down);
	}
}

static void block(struct dp_buf *b, const struct dp_table_report *t, uint32_t from, uint32_t to)
{
	char line[DP_TEXT_WIDTH + 1], cell[2 * FMT + 8];
	uint32_t i, j;
	int at;

	at = snprintf(line, sizeof(line), "%-11s", "BANDWIDTH");
	for (j = from; j < to; j++) {
		char limit[FMT];

		dp_fmt_time(limit, sizeof(limit), t->limit[j]);
		snprintf(cell, sizeof(cell), "limit %s", limit);
		at += snprintf(line + at, sizeof(line) - (size_t)at, " %16.16s", cell);
	}
	dp_text_row(b, "%s", line);
	for (i = 0; i < t->nbandwidths; i++) {
		char bw[FMT];

		at = snprintf(line, sizeof(line), "%-11.11s", dp_fmt_bits(bw, sizeof(bw), t->bandwidth[i]));
		for (j = from; j < to; j++) {
			cell_text(cell, sizeof(cell), &t->cell[i][j]);
			at += snprintf(line + at, sizeof(line) - (size_t)at, " %16.16s", cell);
		}
		dp_text_row(b, "%s", line);
	}
}

static void heading(struct dp_buf *b, const struct dp_table_report *t)
{
	char ram[FMT], logged[FMT], reach[FMT];
	const struct dp_basis_vm *v = &t->vm;

	dp_text_wrap(b, 2, "%s (process %d): %s of RAM, %s%s; dirtying measured over %s, up to lags of %s",
		     *v->name ? v->name : "VM", (int)v->pid, dp_fmt_bytes(ram, sizeof(ram), (double)v->ram),
		     *v->qemu_version ? "QEMU " : "not known to be QEMU", v->qemu_version,
		     dp_fmt_time(logged, sizeof(logged), v->logged),
		     dp_fmt_time(reach, sizeof(reach), t->reach));
	dp_text_wrap(b, 2,
		     "Each cell: total time and downtime of a migration by path and downtime limit. - never "
		     "ends, ? borderline.");
	dp_buf_append(b, "\n", 1);
}

static void cautions(struct dp_buf *b, const struct dp_table_report *t)
{
	char v[FMT];
	bool held = false;
	uint32_t i;

	for (i = 0; i < t->nbandwidths; i++)
		held |= t->cap < t->bandwidth[i];
	dp_buf_append(b, "\n", 1);
	if (held && !t->no_cap)
		dp_text_wrap(
			b, 2,
			"max-bandwidth is %s: it holds down the rounds on any faster path, not the downtime. "
			"--no-cap shows the table without it.",
			dp_fmt_bits(v, sizeof(v), t->cap));
	if (t->throttle > 0)
		dp_text_wrap(b, 2, "With the vCPUs throttled by %.0f %%.", t->throttle * 100);
	dp_text_wrap(b, 2, "The downtime includes a fixed part of %s%s.", dp_fmt_time(v, sizeof(v), t->fixed),
		     t->assumed & DP_ASSUMED_FIXED ? " (assumed)" : "");
	if (t->assumed & DP_ASSUMED_EXIT)
		dp_text_wrap(b, 2, "QEMU's version is not known: its exit test was assumed.");
}

void dp_text_table(struct dp_buf *b, const struct dp_table_report *t)
{
	uint32_t from;

	heading(b, t);
	for (from = 0; from < t->nlimits; from += BLOCK) {
		if (from)
			dp_buf_append(b, "\n", 1);
		block(b, t, from, from + BLOCK < t->nlimits ? from + BLOCK : t->nlimits);
	}
	cautions(b, t);
}
