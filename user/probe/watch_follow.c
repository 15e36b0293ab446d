// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Looks at the VM again and again: its slots, what of them logs, whether the guest runs. */
#include <errno.h>
#include <string.h>

#include "cli/log.h"
#include "probe/watch_int.h"

#define STOPPED_NS	200000000ull /* a VMM may hold a vCPU this long between two KVM_RUNs */
#define BETWEEN_RUNS_NS 5000000ull
#define INITIALLY_SET	2u /* of manual protect: logging begins with every page dirty, and none armed */

static bool same_slots(const struct dp_watch *w, const struct dp_kvm *k)
{
	return k->vm.nslots == w->nrecs && !memcmp(k->slots, w->recs, w->nrecs * sizeof(*w->recs));
}

/* A VGA's memory logs all the time: RAM logs when at least half of it does. */
static bool ram_logs(const struct dp_watch *w)
{
	return w->vm.logging_pages && w->vm.logging_pages * 2 >= w->vm.ram_pages;
}

/*
 * No vCPU is inside KVM_RUN, and the last one left it a while ago: the guest is stopped, not just in QEMU's
 * hands for one exit. Its curve then stands still too: a page that is not written says nothing.
 */
static void follow_run_state(struct dp_watch *w)
{
	uint64_t last = dp_inspect_last_run_ns(w->inspect), now = dp_mono_ns();

	last = last > w->base_ns ? last - w->base_ns : 1;
	now -= w->base_ns;
	/* A guest that is paced by its VMM is hardly ever seen inside, but it has run since. */
	if (w->kvm.vm.running != 0 || last > w->stopped_at)
		w->stopped_at = 0;
	if (w->kvm.vm.running == 0 && !w->stopped_at && now > last + STOPPED_NS) {
		w->stopped_at = last;
		dp_debug("the guest stopped at %.3f s", (double)last / 1e9);
	}
}

/* The ring's anchors are followed while RAM logs and the guest runs. */
static void follow_events(struct dp_watch *w, uint64_t t_mono)
{
	bool on = w->logging && !w->stopped_at;

	if (!w->logging)
		w->dirty_before = false;
	else if (w->stopped_at)
		w->dirty_before = true;
	if (w->events)
		dp_events_logging(w->events, on,
				  !w->harvest || !(w->dirty_before || (w->vm.manual_protect & INITIALLY_SET)),
				  w->stopped_at ? w->base_ns + w->stopped_at : t_mono);
}

/* A guest that was in KVM_RUN a moment ago may be on its way back: one that is paced by its VMM is hardly ever seen inside. */
bool dp_watch_guest_stopped(struct dp_watch *w)
{
	struct dp_kvm k;

	if (!dp_inspect_look(w->inspect, &k)) {
		w->kvm.vm.running = k.vm.running;
		follow_run_state(w);
	}
	return w->stopped_at || (w->kvm.vm.running == 0 &&
				 dp_mono_ns() > dp_inspect_last_run_ns(w->inspect) + BETWEEN_RUNS_NS);
}

/* A vCPU has been plugged in, with a ring that nobody follows. Its file comes a moment after it was counted. */
static bool vcpus_changed(struct dp_watch *w, const struct dp_kvm *k)
{
	uint32_t before = w->last_vcpus;

	w->last_vcpus = k->vm.created_vcpus;
	return w->events && k->vm.created_vcpus == before && before != w->opened_vcpus;
}

/* Opens the source anew, for a VM that it no longer fits. */
static int start_over(struct dp_watch *w, uint64_t t_mono, struct dp_kvm *k)
{
	char msg[DP_WATCH_MSG];
	int err;

	/* What is left of a VM that is being freed can look like anything: only an open file makes it real. */
	if (dp_inspect_refind(w->inspect) || dp_inspect_look(w->inspect, k))
		return -ESTALE;
	w->kvm = *k;
	dp_info("the VM's memory layout or vCPUs changed: starting over");
	if (w->logging && w->events)
		dp_events_logging(w->events, false, false, t_mono);
	dp_watch_source_close(w);
	err = dp_watch_source_open(w, msg, sizeof(msg));
	if (err)
		dp_err("%s", msg);
	return err;
}

/*
 * Looks at the VM's slots at t_mono and follows changes. exact: they changed at t_mono, as the call that
 * changed them was seen; else at some time since the last look. 0; -ESTALE: the VM is gone; -ENOMEM.
 */
int dp_watch_refresh(struct dp_watch *w, uint64_t t_mono, bool exact)
{
	struct dp_kvm k;
	bool was = w->logging, over;
	int err = dp_inspect_look(w->inspect, &k);

	if (err == -ESTALE) {
		err = dp_inspect_refind(w->inspect);
		err = err ? -ESTALE : dp_inspect_look(w->inspect, &k);
	}
	if (err)
		return err;
	w->kvm = k;
	if (k.vm.overflow)
		dp_debug("%u memslots found no room", k.vm.overflow);
	follow_run_state(w);
	over = vcpus_changed(w, &k);
	if (same_slots(w, &k) && !over) {
		follow_events(w, t_mono);
		return 0;
	}
	err = dp_watch_copy_slots(w, &k);
	if (err)
		return err;
	if (over || !dp_watch_fits(w) || w->vm.ring_entries != k.vm.ring_bytes / 16) {
		/* The next look finds the same change, when nobody reads the source any more. */
		w->nrecs = 0;
		if (w->reading)
			return 0;
		err = start_over(w, t_mono, &k);
		if (err)
			return err;
		was = false;
	} else {
		err = dp_watch_tell_slots(w, t_mono, exact);
		if (err)
			return err;
	}
	if (!dp_watch_backing_known(&w->vm))
		w->next_backing = 0;
	w->logging = ram_logs(w);
	follow_events(w, t_mono);
	if (w->logging != was) {
		dp_watch_change_logging(w, w->logging, t_mono - w->base_ns);
		dp_debug("logging of RAM is %s", w->logging ? "on" : "off");
		w->last_sync = w->logging ? t_mono - w->base_ns : 0;
	}
	return 0;
}
