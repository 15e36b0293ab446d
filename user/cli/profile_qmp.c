// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* QMP beside the profile: migration facts where they were asked for, and --start. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/log.h"
#include "cli/profile.h"
#include "cli/progress.h"

#define OPEN_MS		  2000
#define QUERY_MS	  200
#define WINDOW_MIN_NS	  1000000000ull
#define WINDOW_DEFAULT_NS 5000000000ull
#define WINDOW_MAX_NS	  60000000000ull

/* Connects to the one that was named, else to the first of its own that answers: a QEMU serves one client a socket. */
static int connect_qmp(struct profile *p)
{
	const struct dp_proc *proc = dp_watch_proc(p->watch);
	struct dp_qmp_addr addr;
	char msg[256] = "";
	uint32_t i;
	int err = -ENOENT;

	if (p->o.qmp) {
		err = dp_qmp_addr_parse(p->o.qmp, &addr);
		if (err)
			dp_err("\"%s\" is no QMP socket (PATH, unix:PATH or tcp:HOST:PORT)", p->o.qmp);
		else if ((err = dp_qmp_open(&addr, OPEN_MS, &p->qmp, msg, sizeof(msg))))
			dp_err("%s", msg);
		return err;
	}
	for (i = 0; i < proc->nqmp; i++) {
		err = dp_qmp_open(&proc->qmp[i], OPEN_MS, &p->qmp, msg, sizeof(msg));
		if (!err)
			return 0;
	}
	if (i)
		dp_err("%s", msg);
	else
		dp_err("--start: no QMP socket in the command line of process %d; name one: --start=SOCKET",
		       (int)p->o.pid);
	return err;
}

int dp_profile_qmp_open(struct profile *p)
{
	pid_t peer;
	int err;

	if (!p->o.start && !p->o.qmp)
		return 0;
	err = connect_qmp(p);
	if (err)
		return err;
	/* libvirt listens on behalf of its QEMUs, so another process at the other end is not wrong, but worth a word. */
	peer = dp_qmp_peer_pid(p->qmp);
	if (peer && peer != p->o.pid)
		dp_warn("the QMP socket was opened by process %d, not by the VM's (%d)", (int)peer,
			(int)p->o.pid);
	err = dp_qmp_query_params(p->qmp, &p->params, OPEN_MS);
	if (err && err != -EREMOTEIO) {
		dp_err("QMP: %s", dp_qmp_error(p->qmp));
		return err;
	}
	p->params_known = !err;
	return 0;
}

/* A QMP that stops answering costs its facts, not the measurement. */
static void lose_qmp(struct profile *p, const char *why)
{
	if (dp_qmp_dead(p->qmp))
		dp_warn("QMP: %s; going on without it", why);
}

void dp_profile_qmp_facts(struct profile *p, struct dp_snapshot *s)
{
	struct dp_qmp_migrate m;
	bool was_dead;
	int err;

	s->qmp_known = false;
	if (!p->qmp)
		return;
	was_dead = dp_qmp_dead(p->qmp);
	err = dp_qmp_query_migrate(p->qmp, &m, QUERY_MS);
	if (err) {
		if (!was_dead)
			lose_qmp(p, dp_qmp_error(p->qmp));
		return;
	}
	if (m.active && !dp_qmp_query_params(p->qmp, &p->params, QUERY_MS)) {
		struct dp_session_opts so;

		/* Limits are changed while a migration runs, often because of what was predicted. */
		p->params_known = true;
		dp_profile_session_opts(p, &so);
		dp_session_set_opts(p->session, &so);
		/* An error stays with the trace: adding to it tells it again. */
		dp_record_opts(p, &so);
	}
	s->qmp_known = true;
	s->qmp_active = m.active;
	s->qmp_done = m.done;
	s->qmp_remaining = m.remaining;
	s->qmp_transferred = m.transferred;
	s->qmp_downtime_ms = m.downtime_ms;
	s->qmp_expected_ms = m.expected_downtime_ms;
	s->qmp_total_ms = m.total_time_ms;
	s->qmp_dirty_sync_count = m.dirty_sync_count;
}

/*
 * The first window is the long one: the prediction needs the curve up to the time of the first round, when all
 * RAM is sent. It is as long as that, within bounds, and not longer than the run.
 */
static uint64_t first_window(const struct profile *p)
{
	const struct dp_vm *vm = dp_watch_vm(p->watch);
	double bytes = (double)vm->ram_pages * DP_WIRE_UNIT;
	uint64_t ns = WINDOW_DEFAULT_NS;

	if (p->o.window_ns)
		ns = p->o.window_ns;
	else if (p->o.bandwidth > 0)
		ns = (uint64_t)(bytes / p->o.bandwidth * 1e9);
	if (!p->o.window_ns && ns > 2 * WINDOW_DEFAULT_NS)
		ns = 2 * WINDOW_DEFAULT_NS;
	if (p->o.count && !p->o.window_ns && ns > p->o.count * p->o.interval_ns)
		ns = p->o.count * p->o.interval_ns;
	if (ns < WINDOW_MIN_NS && !p->o.window_ns)
		ns = WINDOW_MIN_NS;
	return ns > WINDOW_MAX_NS ? WINDOW_MAX_NS : ns;
}

int dp_profile_start_open(struct profile *p)
{
	struct dp_start_opts so = { 0 };
	uint64_t first;

	if (!p->o.start)
		return 0;
	first = first_window(p);
	so.mode = dp_watch_vm(p->watch)->log_mode == DP_LOG_RING ? DP_CALC_RING : DP_CALC_BITMAP;
	so.first_ms = (uint32_t)(first / 1000000);
	so.window_ms = (uint32_t)(p->o.interval_ns / 1000000);
	p->start = dp_start_new(p->qmp, &so);
	if (!p->start) {
		dp_err("out of memory");
		return -ENOMEM;
	}
	dp_info("asking QEMU for dirty-rate calculations (%s), which switch dirty logging on: the first of %u ms, then of %u ms",
		dp_calc_mode_name(so.mode), dp_qmp_calc_window_ms(p->qmp, so.first_ms),
		dp_qmp_calc_window_ms(p->qmp, so.window_ms));
	return 0;
}

uint64_t dp_profile_start_poll(struct profile *p, uint64_t now_ns)
{
	enum dp_start_state was = p->start_state;

	if (!p->start)
		return UINT64_MAX;
	p->start_state = dp_start_poll(p->start, now_ns);
	if (p->start_state != was && *dp_start_message(p->start)) {
		if (p->start_state == DP_START_FAILED) {
			dp_err("--start: %s", dp_start_message(p->start));
			p->failed = true;
		} else
			dp_debug("--start: %s", dp_start_message(p->start));
	}
	return dp_start_next_ns(p->start);
}

uint64_t dp_profile_first_left(const struct profile *p, uint64_t now_ns)
{
	struct dp_start_stats st;

	if (!p->start)
		return 0;
	dp_start_stats(p->start, &st);
	return st.windows ? 0 : dp_start_left_ns(p->start, now_ns);
}

static bool interrupted(void *ctx)
{
	struct profile *p = ctx;
	uint64_t now = dp_watch_now_ns(p->watch);

	dp_progress_time("waiting for QEMU to end its calculation", now - p->stopping_ns,
			 now - p->stopping_ns + dp_start_left_ns(p->start, now));
	return dp_profile_signalled(p);
}

void dp_profile_start_stop(struct profile *p)
{
	struct dp_start_stats st;
	uint64_t left;
	uint32_t i;
	int err;

	if (!p->start || p->start_state == DP_START_FAILED || p->gone)
		return;
	p->stopping_ns = dp_watch_now_ns(p->watch);
	left = dp_start_left_ns(p->start, p->stopping_ns);
	if (left > 1000000000ull)
		dp_info("waiting %.0f s for QEMU to end its calculation, so that logging is off (Ctrl-C: do not wait)",
			(double)left / 1e9);
	err = dp_start_stop(p->start, (uint32_t)(left / 1000000) + 2000, interrupted, p);
	dp_status_clear();
	if (err)
		dp_warn("--start: %s", dp_start_message(p->start));
	dp_start_stats(p->start, &st);
	for (i = 0; i < st.nlengths; i++)
		dp_debug("--start: %u windows of %.3f s", st.count[i], st.seconds[i]);
}

void dp_profile_start_close(struct profile *p)
{
	dp_start_free(p->start);
	dp_qmp_close(p->qmp);
	p->start = NULL;
	p->qmp = NULL;
}
