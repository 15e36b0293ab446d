// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* When the guest ran last here, and first: the two ends of a migration's blackout, one on each host. */
#include <errno.h>
#include <string.h>

#include "cli/log.h"
#include "probe/watch_int.h"

/* No vCPU has run, and it is known of each: their files were found. */
static bool never_ran(const struct dp_watch *w)
{
	return dp_inspect_vcpus(w->inspect) && !w->kvm.vm.ran;
}

int dp_watch_entry_open(struct dp_watch *w, char *msg, size_t len)
{
	const char *how = w->o.hooks.how[DP_USE_ENTRY];
	int err;

	if (!never_ran(w))
		return 0;
	err = dp_entry_open(w->o.pid, how, &w->entry, msg, len);
	if (err) {
		if (how || err == -ENOMEM)
			return err;
		dp_warn("it will not be known when the guest first runs: %s", msg);
		return 0;
	}
	/* It may have begun before that was attached; then nothing is told. */
	err = dp_inspect_look(w->inspect, &w->kvm);
	if (!err && !never_ran(w) && !dp_entry_ns(w->entry)) {
		dp_entry_close(w->entry);
		w->entry = NULL;
		return 0;
	}
	dp_info("the guest has not run here yet; its first run will be told (%s)", dp_entry_hook(w->entry));
	return 0;
}

bool dp_watch_entry_seen(struct dp_watch *w)
{
	uint64_t t = w->entry ? dp_entry_ns(w->entry) : 0;

	if (!t)
		return false;
	w->first_ran = t > w->base_ns ? t - w->base_ns : 1;
	dp_entry_close(w->entry);
	w->entry = NULL;
	dp_debug("the guest first ran at %.6f s", (double)w->first_ran / 1e9);
	return true;
}

uint64_t dp_watch_left_ns(const struct dp_watch *w)
{
	uint64_t t = dp_inspect_last_run_ns(w->inspect);

	if (w->kvm.vm.running > 0 || t <= w->base_ns)
		return 0;
	return t - w->base_ns;
}
