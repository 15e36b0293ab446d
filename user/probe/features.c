// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/features.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "probe/entry.h"
#include "probe/events.h"
#include "probe/harvest.h"
#include "probe/hook.h"
#include "probe/inspect.h"
#include "probe/wire.h"

static int try_events(bool mark, const char *how, char *msg, size_t len)
{
	uint64_t frame = 0;
	struct dp_layout layout = { .nregions = 1, .frame = &frame };
	struct dp_events_opts o = { .pid = getpid(),
				    .nvcpus = 1,
				    .ring_entries = mark ? 0 : 4096,
				    .slot_ids = 8,
				    .layout = &layout,
				    .how = how,
				    .mark = mark };
	struct dp_events *r;
	int err = dp_events_open(&o, &r, msg, len);

	if (!err) {
		err = dp_events_start(r);
		if (err)
			snprintf(msg, len, "does not attach: %s", strerror(-err));
	}
	dp_events_close(r);
	return err;
}

static int try_ring(const char *how, char *msg, size_t len)
{
	return try_events(false, how, msg, len);
}

/* It is not enough that it attaches: where the guest's writes do not pass it, it would show a guest that writes nothing. */
static int try_mark(const char *how, char *msg, size_t len)
{
	int err = try_events(true, how, msg, len);

	if (!err && dp_inspect_machine_is_hv()) {
		err = -EOPNOTSUPP;
		snprintf(
			msg, len,
			"it attaches, but KVM HV marks no page when its guest writes to it; harvest sees these writes");
	}
	return err;
}

static int try_harvest(const char *how, char *msg, size_t len)
{
	struct dp_harvest_opts o = { .pid = getpid(), .slot_ids = 8, .host_pages = 1, .how = how };
	struct dp_harvest *h;
	int err = dp_harvest_open(&o, &h, msg, len);

	dp_harvest_close(h);
	return err;
}

static int try_wire(const char *how, char *msg, size_t len)
{
	struct dp_wire_probe *w;
	int err = dp_wire_open(getpid(), how, &w, msg, len);

	dp_wire_close(w);
	return err;
}

/* This process holds no VM: that it got as far as finding out shows that the iterator and the reader work. */
static int try_vm(const char *how, char *msg, size_t len)
{
	struct dp_inspect *i;
	struct dp_hooks hooks = { .how = { [DP_USE_VM] = how } };
	int err = dp_inspect_open(getpid(), &hooks, &i, msg, len);

	dp_inspect_close(i);
	return err == -ENXIO ? 0 : err;
}

static int try_runs(const char *how, char *msg, size_t len)
{
	struct dp_inspect *i;
	struct dp_hooks hooks = { .how = { [DP_USE_RUNS] = how } };
	int err = dp_inspect_open(getpid(), &hooks, &i, msg, len);

	dp_inspect_close(i);
	return err == -ENXIO ? 0 : err;
}

static int try_entry(const char *how, char *msg, size_t len)
{
	struct dp_entry *e;
	int err = dp_entry_open(getpid(), how, &e, msg, len);

	dp_entry_close(e);
	return err;
}

static int (*const attempts[DP_USES])(const char *how, char *msg, size_t len) = {
	[DP_USE_VM] = try_vm,		[DP_USE_RING] = try_ring, [DP_USE_MARK] = try_mark,
	[DP_USE_HARVEST] = try_harvest, [DP_USE_WIRE] = try_wire, [DP_USE_RUNS] = try_runs,
	[DP_USE_ENTRY] = try_entry,
};

/* A way's message names the way first, which here stands beside it. */
static const char *without_name(const char *msg, const char *hook)
{
	size_t n = strlen(hook);

	return !strncmp(msg, hook, n) && !strncmp(msg + n, ": ", 2) ? msg + n + 2 : msg;
}

static void fill(struct dp_feature *f, const char *what, const char *how, const char *hook, int err,
		 const char *msg)
{
	memset(f, 0, sizeof(*f));
	f->what = what;
	f->how = how;
	f->hook = hook;
	f->works = !err;
	if (err)
		snprintf(f->why, sizeof(f->why), "%s", without_name(msg, hook));
}

static size_t all_ways(void)
{
	const struct dp_way *w;
	size_t n = 0;
	int u;

	for (u = 0; u < DP_USES; u++)
		for (w = dp_use_ways((enum dp_hook_use)u); w->how; w++)
			n++;
	return n < DP_FEATURES ? n : DP_FEATURES;
}

size_t dp_features_probe(struct dp_feature *f, void (*tick)(void *ctx, size_t done, size_t all), void *ctx)
{
	const struct dp_way *w;
	char msg[256] = "";
	bool have;
	size_t n = 0, all = all_ways();
	int u, err;

	for (u = 0; u < DP_USES; u++) {
		have = false;
		for (w = dp_use_ways((enum dp_hook_use)u); w->how && n < DP_FEATURES; w++, n++) {
			msg[0] = '\0';
			tick(ctx, n, all);
			err = attempts[u](w->how, msg, sizeof(msg));
			fill(&f[n], dp_use_name((enum dp_hook_use)u), w->how, w->hook, err, msg);
			f[n].chosen = !err && !have;
			if (!err)
				snprintf(f[n].why, sizeof(f[n].why), "%s%s", w->good,
					 have ? "; a better one works as well" : "");
			have |= !err;
		}
	}
	return n;
}
