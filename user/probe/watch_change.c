// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What really changed: at each sync the contents of sampled granules are compared with those at the sync before
 * (user/model/change.h). The reading is paid out of an allowance that grows with time; where it does not suffice, windows
 * are joined until it does.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/log.h"
#include "model/change.h"
#include "probe/watch_int.h"
#include "vm/content.h"

#define DEFAULT_BPS (64ull << 20)
#define SAVED_S	    4  /* s of the rate that can be saved up */
#define AT_ONCE_S   2  /* s of it that may be spent at one sync */
#define LEAST	    8  /* granules that a window is worth ending for, if so many are dirty */
#define GAP_SHARE   10 /* a window of which more than 1/GAP_SHARE was not logged is not compared */
#define BATCH_PAGES 256

struct dp_watch_change {
	struct dp_change *design;
	struct dp_content *content;
	uint32_t shift, nregions;
	uint64_t bps;
	double allowance;	 /* bytes */
	uint64_t fed_at;	 /* session clock */
	uint64_t began;		 /* of the window; 0 none yet */
	uint64_t off_at, off_ns; /* logging is off since; was, in this window */
	uint64_t read_bytes;	 /* this interval */
	uint64_t *hva, *hash;	 /* of the granules that are read at once */
	bool joined;		 /* the window goes on, though there is a gap in it */
	bool gave_up;
};

static bool wanted(const struct dp_watch *w)
{
	if (w->o.compare != DP_COMPARE_AUTO)
		return w->o.compare == DP_COMPARE_ON;
	return w->vm.granule > DP_WIRE_UNIT;
}

void dp_watch_change_close(struct dp_watch *w)
{
	struct dp_watch_change *x = w->change;

	if (!x)
		return;
	dp_change_free(x->design);
	dp_content_close(x->content);
	free(x->hva);
	free(x->hash);
	free(x);
	w->change = NULL;
}

static uint32_t granule_shift(const struct dp_watch *w)
{
	uint32_t shift = 0;

	while (shift < DP_CHANGE_SHIFT_MAX && DP_WIRE_UNIT << (shift + 1) <= w->vm.granule)
		shift++;
	return shift;
}

static int set_up(struct dp_watch *w, struct dp_watch_change *x)
{
	struct dp_change_opts o = { .shift = granule_shift(w),
				    .nregions = w->layout.nregions,
				    .seed = w->base_ns };
	size_t pages = 1ull << o.shift;
	int err = 0;

	dp_change_free(x->design);
	free(x->hva);
	free(x->hash);
	pages = pages < BATCH_PAGES ? BATCH_PAGES : pages;
	x->design = dp_change_new(&o);
	x->hva = calloc(pages, sizeof(*x->hva));
	x->hash = calloc(pages, sizeof(*x->hash));
	x->shift = o.shift;
	x->nregions = o.nregions;
	x->began = 0;
	if (!x->content)
		err = dp_content_open(w->o.pid, &x->content);
	return x->design && x->hva && x->hash ? err : -ENOMEM;
}

/* What compares, made or made anew for the VM as it is; NULL: nothing is compared. */
static struct dp_watch_change *ready(struct dp_watch *w)
{
	struct dp_watch_change *x = w->change;
	int err;

	if (!wanted(w))
		return NULL;
	if (!x) {
		x = w->change = calloc(1, sizeof(*x));
		if (!x)
			return NULL;
		x->bps = w->o.compare_bps ? w->o.compare_bps : DEFAULT_BPS;
	}
	if (x->gave_up)
		return NULL;
	if (x->design && x->shift == granule_shift(w) && x->nregions == w->layout.nregions)
		return x;
	err = set_up(w, x);
	if (!err)
		return x;
	dp_warn("contents cannot be compared: %s", strerror(-err));
	x->gave_up = true;
	return NULL;
}

/* Puts the host addresses of a granule's pages at x->hva + to, 0 where there is no RAM. False: there is none in it. */
static bool locate(struct dp_watch *w, uint32_t granule, size_t to)
{
	unsigned int sh = (unsigned int)__builtin_ctzl((unsigned long)sysconf(_SC_PAGESIZE)) - 12;
	struct dp_watch_change *x = w->change;
	uint64_t first = (uint64_t)granule << x->shift, end = first + (1ull << x->shift), at, last, k;
	bool any = false;
	uint32_t i;

	memset(x->hva + to, 0, sizeof(*x->hva) << x->shift);
	for (i = 0; i < w->vm.nslots; i++) {
		const struct dp_slot *s = &w->vm.slots[i];

		at = dp_layout_index(&w->layout, s->base_gfn << sh);
		if (!s->ram || s->as_id || at == DP_INDEX_NONE)
			continue;
		last = at + (s->npages << sh);
		last = last < end ? last : end;
		for (k = at > first ? at : first; k < last; k++) {
			x->hva[to + k - first] = s->hva + (k - at) * DP_WIRE_UNIT;
			any = true;
		}
	}
	return any;
}

/* Reads n granules, as many as fit the batch, and hands them on. Negative errno: the process cannot be read. */
static int read_granules(struct dp_watch *w, const uint32_t *granule, size_t n)
{
	struct dp_watch_change *x = w->change;
	size_t pages = 1ull << x->shift, i;
	uint64_t bytes = 0;
	int err;

	for (i = 0; i < n; i++)
		locate(w, granule[i], i * pages);
	err = dp_content_hash(x->content, x->hva, n * pages, x->hash, &bytes);
	x->allowance -= (double)bytes;
	x->read_bytes += bytes;
	for (i = 0; i < n; i++)
		dp_change_got(x->design, granule[i], err ? NULL : x->hash + i * pages);
	return err;
}

static double granule_bytes(const struct dp_watch_change *x)
{
	return (double)DP_WIRE_UNIT * (double)(1ull << x->shift);
}

static void feed(struct dp_watch_change *x, uint64_t now)
{
	double most = (double)x->bps * SAVED_S;

	if (most < granule_bytes(x))
		most = granule_bytes(x);
	x->allowance += (double)x->bps * (double)(now - x->fed_at) / 1e9;
	x->fed_at = now;
	if (x->allowance > most)
		x->allowance = most;
}

/* Granules that may be read at one sync, and that may be read now. */
static size_t at_once(const struct dp_watch_change *x)
{
	size_t n = (size_t)((double)x->bps * AT_ONCE_S / granule_bytes(x));

	return n ? n : 1;
}

static size_t room(const struct dp_watch_change *x)
{
	size_t n = x->allowance > 0 ? (size_t)(x->allowance / granule_bytes(x)) : 0;

	return n < at_once(x) ? n : at_once(x);
}

/* Granules that may become dirty one day, out of what is left of this sync's room. */
static int read_ahead(struct dp_watch *w, size_t left)
{
	struct dp_watch_change *x = w->change;
	uint32_t g;
	int err = 0;

	while (left && !err && dp_change_next(x->design, &g)) {
		if (!locate(w, g, 0))
			continue;
		err = read_granules(w, &g, 1);
		left--;
	}
	return err;
}

/* Ends the window at t (session clock), if what it takes may be read now. */
static int end_window(struct dp_watch *w, uint64_t t)
{
	struct dp_watch_change *x = w->change;
	size_t may = room(x), batch = BATCH_PAGES >> x->shift, n, i, k;
	const uint32_t *plan;
	double lag = 0;
	bool all;
	int err = 0;

	n = dp_change_plan(x->design, may, &plan, &all);
	if (!all && may < (LEAST < at_once(x) ? LEAST : at_once(x)))
		return 0;
	batch = batch ? batch : 1;
	for (i = 0; i < n && !err; i += k) {
		k = n - i < batch ? n - i : batch;
		err = read_granules(w, plan + i, k);
		lag += (double)k * fmax(0, (double)(dp_mono_ns() - w->base_ns) - (double)t);
	}
	dp_change_end(x->design, x->began ? t - x->began : 0, n ? (uint64_t)(lag / (double)n) : 0);
	x->began = t;
	x->off_ns = 0;
	/* The next window's share is left. */
	return err ? err : read_ahead(w, may > 2 * n ? may - 2 * n : 0);
}

void dp_watch_change_log(struct dp_watch *w, const struct dp_pageset *pages)
{
	struct dp_watch_change *x = ready(w);

	if (x)
		dp_change_log(x->design, pages);
}

void dp_watch_change_sync(struct dp_watch *w, const struct dp_sync *s)
{
	struct dp_watch_change *x = ready(w);
	int err;

	if (!x)
		return;
	feed(x, dp_mono_ns() - w->base_ns);
	/*
	 * QEMU's dirty-rate calculations switch logging off and on in between. If reading anew what the sample holds takes too
	 * much, a longer window in which the gap counts for less may do.
	 */
	if (x->began && x->off_ns * GAP_SHARE > s->t_ns - x->began) {
		x->joined = !x->joined && dp_change_sampled(x->design) > room(x) / 2;
		if (x->joined)
			return;
		dp_change_gap(x->design);
	}
	x->joined = false;
	err = end_window(w, s->t_ns);
	if (err && dp_proc_alive(&w->proc)) {
		dp_warn("contents cannot be compared: %s", strerror(-err));
		x->gave_up = true;
	}
}

void dp_watch_change_logging(struct dp_watch *w, bool on, uint64_t t)
{
	struct dp_watch_change *x = w->change;

	if (!x)
		return;
	if (on && x->off_at && t > x->off_at)
		x->off_ns += t - x->off_at;
	x->off_at = on ? 0 : t;
}

void dp_watch_change_lost(struct dp_watch *w)
{
	if (!w->change || !w->change->design)
		return;
	dp_change_gap(w->change->design);
	w->change->began = 0;
}

void dp_watch_changes(struct dp_watch *w, struct dp_changes *out)
{
	struct dp_watch_change *x = w->change;

	memset(out, 0, sizeof(*out));
	out->on = wanted(w) && !(x && x->gave_up);
	if (!x || !x->design)
		return;
	out->limit_bps = x->bps;
	out->read_bytes = x->read_bytes;
	x->read_bytes = 0;
	dp_change_stats(x->design, out);
}
