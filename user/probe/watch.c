// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/watch.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/log.h"
#include "probe/bpf_util.h"
#include "probe/watch_int.h"
#include "vm/zero.h"

int dp_pile_add(struct dp_pile *p, const void *items, size_t n)
{
	void *data;
	size_t room;

	if (!n)
		return 0;
	if (p->n + n > p->room) {
		for (room = p->room ? p->room : 64; room < p->n + n; room *= 2)
			;
		data = realloc(p->data, room * p->size);
		if (!data)
			return -ENOMEM;
		p->data = data;
		p->room = room;
	}
	memcpy((char *)p->data + p->n * p->size, items, n * p->size);
	p->n += n;
	return 0;
}

static void name_vm(struct dp_watch *w)
{
	snprintf(w->vm.name, sizeof(w->vm.name), "%s", w->proc.name);
	snprintf(w->vm.qemu_version, sizeof(w->vm.qemu_version), "%s", w->proc.qemu_version);
	w->vm.pid = w->o.pid;
	w->vm.blind = w->proc.blind;
}

/*
 * Which source: the ring where the VM has one, else its bitmaps; where these are re-armed at GET, with the times of
 * marks if they can be had (dp_watch_source_open). Marks are seen whatever the log.
 */
static int choose_source(struct dp_watch *w, char *msg, size_t len)
{
	bool ring = w->kvm.vm.ring_bytes != 0;

	w->source = w->o.source ? w->o.source : ring ? DP_SRC_RING : DP_SRC_HARVEST;
	if (w->source == DP_SRC_RING && !ring) {
		snprintf(
			msg, len,
			"this VM has no dirty ring (QEMU: -accel kvm,dirty-ring-size=4096): use --source harvest");
		return -EINVAL;
	}
	if (w->source == DP_SRC_HARVEST && ring) {
		snprintf(msg, len,
			 "this VM has a dirty ring, so nothing reads its bitmaps: use --source ring");
		return -EINVAL;
	}
	/* Its page tables know what the guest wrote; nothing is marked until the log is read. */
	if (w->source == DP_SRC_MARK && w->kvm.vm.mmu) {
		snprintf(msg, len, "KVM HV marks no page when its guest writes to it: use --source harvest");
		return -EINVAL;
	}
	if (w->source == DP_SRC_SAMPLE) {
		snprintf(msg, len, "source %s is not available here (see dirtyprof features)",
			 dp_source_name(w->source));
		return -EINVAL;
	}
	return 0;
}

static int open_all(struct dp_watch *w, char *msg, size_t len)
{
	int err;

	err = dp_proc_open(w->o.pid, &w->proc);
	if (err) {
		snprintf(msg, len, "%s", w->proc.msg);
		return err;
	}
	err = dp_inspect_open(w->o.pid, &w->o.hooks, &w->inspect, msg, len);
	if (err)
		return err;
	/* Ring entries name a slot, not a VM: a second VM's would be taken for this one's. */
	if (dp_inspect_vms(w->inspect) > 1)
		dp_warn("process %d holds %u VMs: the first one's memory is shown, and the others' writes are mixed in",
			(int)w->o.pid, dp_inspect_vms(w->inspect));
	err = dp_inspect_look(w->inspect, &w->kvm);
	if (err) {
		snprintf(msg, len, "cannot read the VM of process %d: %s", (int)w->o.pid, strerror(-err));
		return err;
	}
	/* Early: a migration may be under way, and what is sent meanwhile would be missing. */
	if (!w->o.no_wire)
		dp_wire_open(w->o.pid, w->o.hooks.how[DP_USE_WIRE], &w->wire, w->wire_problem,
			     sizeof(w->wire_problem));
	else
		snprintf(w->wire_problem, sizeof(w->wire_problem), "switched off");
	name_vm(w);
	err = choose_source(w, msg, len);
	err = err ? err : dp_watch_source_open(w, msg, len);
	if (err)
		return err;
	dp_inspect_watch_vcpus(w->inspect);
	return dp_watch_entry_open(w, msg, len);
}

int dp_watch_open(const struct dp_watch_opts *o, struct dp_watch **out, char *msg, size_t len)
{
	struct dp_watch *w = calloc(1, sizeof(*w));
	int err;

	*out = NULL;
	if (!w) {
		snprintf(msg, len, "out of memory");
		return -ENOMEM;
	}
	w->o = *o;
	w->stats_fd = -1;
	w->proc.pidfd = w->proc.dirfd = -1;
	w->zero.share = -1;
	/* Now, as later nobody may be kept waiting for it. */
	dp_zero_speed(0);
	w->iv.ages.size = sizeof(struct dp_ages);
	w->iv.exposures.size = sizeof(struct dp_exposure);
	w->iv.windows.size = sizeof(struct dp_window);
	w->iv.syncs.size = sizeof(struct dp_sync);
	w->base_ns = dp_mono_ns();
	dp_watch_note_files(w);
	err = open_all(w, msg, len);
	if (err) {
		dp_watch_close(w);
		return err;
	}
	/* The session's clock starts when everything is attached. */
	w->base_ns = w->stats_off = dp_mono_ns();
	w->nrecs = 0; /* what logs already is news to the source */
	if (w->bitlog)
		dp_bitlog_idle(w->bitlog, 0); /* times that it was told so far were on another clock */
	err = dp_watch_refresh(w, w->base_ns, false);
	if (err) {
		snprintf(msg, len, "the VM of process %d went away", (int)o->pid);
		dp_watch_close(w);
		return err;
	}
	/* What is dirty already is told from what comes before anybody is told that it can come. */
	if (w->harvest && w->bitlog)
		dp_watch_peek(w);
	dp_watch_backing(w);
	w->next_backing = BACKING_NS;
	/* libbpf's view of the kernel's types is not needed any more. */
	malloc_trim(0);
	*out = w;
	return 0;
}

void dp_watch_close(struct dp_watch *w)
{
	if (!w)
		return;
	dp_watch_source_close(w);
	dp_watch_change_close(w);
	dp_wire_close(w->wire);
	dp_entry_close(w->entry);
	dp_inspect_close(w->inspect);
	dp_proc_close(&w->proc);
	dp_layout_free(&w->layout);
	if (w->stats_fd >= 0)
		close(w->stats_fd);
	free(w->iv.ages.data);
	free(w->iv.exposures.data);
	free(w->iv.windows.data);
	free(w->iv.syncs.data);
	dp_heat_free(&w->heat);
	free(w->vm.slots);
	free(w->vm.region_pages);
	free(w->recs);
	free(w);
}

const struct dp_proc *dp_watch_proc(const struct dp_watch *w)
{
	return &w->proc;
}

const struct dp_vm *dp_watch_vm(const struct dp_watch *w)
{
	return &w->vm;
}

enum dp_source dp_watch_source(const struct dp_watch *w)
{
	return w->source;
}

const char *dp_watch_hook(const struct dp_watch *w)
{
	return w->hook;
}

const char *dp_watch_wire_problem(const struct dp_watch *w)
{
	return w->wire_problem;
}

bool dp_watch_logging(const struct dp_watch *w)
{
	return w->logging;
}

uint64_t dp_watch_now_ns(const struct dp_watch *w)
{
	return dp_mono_ns() - w->base_ns;
}

uint64_t dp_watch_zero_ns(const struct dp_watch *w)
{
	return w->base_ns;
}

static void sample_zero(struct dp_watch *w)
{
	struct dp_range *r = calloc(w->vm.nslots ? w->vm.nslots : 1, sizeof(*r));
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint32_t i;
	size_t n = 0;

	for (i = 0; r && i < w->vm.nslots; i++)
		if (w->vm.slots[i].ram && !w->vm.slots[i].as_id)
			r[n++] = (struct dp_range){ w->vm.slots[i].hva, w->vm.slots[i].npages * page };
	if (n)
		dp_zero_sample(w->o.pid, r, n, w->base_ns + w->seq, &w->zero);
	free(r);
}

/* Looks at the VM, the log and the clock. 0, or -ESTALE when the VM is gone. */
static int poll_once(struct dp_watch *w)
{
	uint64_t now;
	int err;

	if (w->events) {
		dp_watch_read_events(w);
		dp_watch_drain(w);
	}
	if (w->harvest)
		dp_watch_read_harvest(w);
	now = dp_mono_ns();
	if (now - w->base_ns >= w->next_poll) {
		if (w->logging)
			w->iv.logged_ns +=
				now - w->base_ns - (w->next_poll > POLL_NS ? w->next_poll - POLL_NS : 0);
		w->next_poll = now - w->base_ns + POLL_NS;
		err = dp_watch_refresh(w, now, false);
		if (err)
			return err;
		if (w->wire && w->logging)
			dp_wire_scan(w->wire, true, dp_watch_took_log, w);
		if (w->events && now - w->base_ns >= w->next_age) {
			if (w->next_age)
				dp_events_age_stamps(w->events, now);
			w->next_age = now - w->base_ns + AGE_NS;
		}
		dp_watch_sample_cost(w);
		if (now - w->base_ns >= w->next_backing) {
			dp_watch_backing(w);
			w->next_backing = now - w->base_ns + BACKING_NS;
		}
		if (now - w->base_ns >= w->next_zero) {
			sample_zero(w);
			w->next_zero = now - w->base_ns + ZERO_NS;
		}
		/* Told at once: who waits for it waits for this. */
		w->want_snapshot |= dp_watch_entry_seen(w);
	}
	if (w->harvest && w->bitlog)
		dp_watch_peek(w);
	return 0;
}

static struct timespec wait_for(const struct dp_watch *w, uint64_t now, uint64_t until)
{
	uint64_t at = w->next_poll < until ? w->next_poll : until;

	if (w->harvest && w->logging && w->next_peek > now && w->next_peek < at)
		at = w->next_peek;
	if (w->sync_open && w->sync_last + SYNC_GAP_NS < at)
		at = w->sync_last + SYNC_GAP_NS;
	if (w->events && w->next_drain < at)
		at = w->next_drain;
	at = at > now ? at - now : 0;
	return (struct timespec){ .tv_sec = (time_t)(at / 1000000000ull),
				  .tv_nsec = (long)(at % 1000000000ull) };
}

int dp_watch_step(struct dp_watch *w, uint64_t until_ns, int extra_fd)
{
	uint64_t now = dp_mono_ns() - w->base_ns;
	struct timespec wait;
	struct pollfd fds[3];
	int err, n = 0, extra_at = -1;

	if (w->snap.vm) {
		dp_watch_next_interval(w);
		w->snap.vm = NULL;
	}
	if (!w->due)
		w->due = w->iv.t0 + w->o.interval_ns;
	if (w->due < until_ns)
		until_ns = w->due;
	if (w->proc.pidfd >= 0)
		fds[n++] = (struct pollfd){ .fd = w->proc.pidfd, .events = POLLIN };
	if (w->events || w->harvest)
		fds[n++] = (struct pollfd){ .fd = w->harvest ? dp_harvest_fd(w->harvest)
							     : dp_events_fd(w->events),
					    .events = POLLIN };
	if (extra_fd >= 0) {
		extra_at = n;
		fds[n++] = (struct pollfd){ .fd = extra_fd, .events = POLLIN };
	}
	wait = wait_for(w, now, until_ns);
	if (ppoll(fds, (nfds_t)n, &wait, NULL) < 0 && errno != EINTR)
		return -errno;
	if (!dp_proc_alive(&w->proc))
		return DP_WATCH_GONE;
	err = poll_once(w);
	if (err == -ESTALE)
		return DP_WATCH_GONE;
	if (err)
		return err;
	if (w->want_snapshot) {
		w->want_snapshot = false;
		dp_watch_close_interval(w, DP_SYNC);
		return DP_WATCH_SNAPSHOT;
	}
	now = dp_mono_ns() - w->base_ns;
	if (now >= w->due) {
		/* Late by a whole interval (a stopped process): skip, do not catch up. */
		w->due += (1 + (now - w->due) / w->o.interval_ns) * w->o.interval_ns;
		dp_watch_close_interval(w, DP_TIMER);
		return DP_WATCH_SNAPSHOT;
	}
	return extra_at >= 0 && (fds[extra_at].revents & POLLIN) ? DP_WATCH_FD : DP_WATCH_NOTHING;
}
