// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qmp/clock.h"
#include "qmp/priv.h"
#include "qmp/start.h"

/* QEMU may stall for seconds under its big lock; an answer that takes longer than this will not come. */
#define SILENCE_MS   10000
#define MS	     1000000ULL
#define POLL_MS	     50	 /* query-dirty-rate, once a window should be over */
#define SLOW_POLL_MS 500 /* the same, when it is long overdue; and someone else's */
#define OVERDUE_MS   5000
#define HOLD_MS	     1000 /* between looks at a migration, or a guest that stands still */
#define WAIT_MS	     10	  /* between looks for an answer */
#define MAX_REFUSALS 3

/* The command whose answer is awaited. A window takes STATUS, MIGRATE, CALC, then RATE until it is over. */
enum step { STEP_NONE, STEP_STATUS, STEP_MIGRATE, STEP_CALC, STEP_RATE };

struct dp_start {
	struct dp_qmp *q;
	struct dp_start_opts opts;
	struct dp_start_stats stats;
	enum dp_start_state state;
	enum step step;
	uint64_t id, posted_ns;
	uint64_t next_ns;  /* nothing to do before */
	uint64_t begin_ns; /* of the running or last window: when it was asked for */
	uint64_t end_ns;   /* when it should be over */
	uint32_t window_ms;
	uint64_t unsure_until_ns;	    /* after a failure: a window of ours may last until then */
	uint64_t polled_ns, polled_mono_ns; /* the last poll, on the caller's clock and on ours */
	uint32_t refusals;		    /* of calc-dirty-rate, in a row */
	bool begun, stopping;
	char refusal[256];
	char msg[384];
};

struct dp_start *dp_start_new(struct dp_qmp *q, const struct dp_start_opts *opts)
{
	struct dp_start *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->q = q;
	s->opts = *opts;
	if (!s->opts.first_ms)
		s->opts.first_ms = s->opts.window_ms;
	return s;
}

void dp_start_free(struct dp_start *s)
{
	if (!s)
		return;
	dp_qmp_forget(s->q, s->id);
	free(s);
}

static void enter(struct dp_start *s, enum dp_start_state state, const char *msg)
{
	s->state = state;
	snprintf(s->msg, sizeof(s->msg), "%s", msg);
}

static void fail(struct dp_start *s, const char *why, uint64_t now_ns)
{
	uint64_t left = dp_start_left_ns(s, now_ns);
	char msg[sizeof(s->msg)];

	dp_qmp_forget(s->q, s->id);
	s->id = 0;
	s->step = STEP_NONE;
	s->unsure_until_ns = now_ns + left;
	if (left)
		snprintf(msg, sizeof(msg),
			 "%s; QEMU ends the running window and its logging by itself within %.1f s", why,
			 (double)left / 1e9);
	else
		snprintf(msg, sizeof(msg), "%s", why);
	enter(s, DP_START_FAILED, msg);
}

static void post(struct dp_start *s, enum step step, uint64_t now_ns)
{
	static const char *const cmd[] = { NULL, "query-status", "query-migrate", "calc-dirty-rate",
					   "query-dirty-rate" };
	struct json_object *args = NULL;

	if (step == STEP_CALC) {
		uint32_t ms = s->begun ? s->opts.window_ms : s->opts.first_ms;

		s->window_ms = dp_qmp_calc_window_ms(s->q, ms);
		args = dp_qmp_calc_args(s->q, s->opts.mode, ms);
		if (!args) {
			fail(s, "QMP: out of memory", now_ns);
			return;
		}
	} else if (step == STEP_RATE) {
		args = dp_qmp_rate_args(s->q);
	}
	if (dp_qmp_post(s->q, cmd[step], args, &s->id)) {
		s->id = 0;
		fail(s, dp_qmp_error(s->q), now_ns);
		return;
	}
	s->step = step;
	s->posted_ns = now_ns;
	s->next_ns = now_ns;
}

static void count_window(struct dp_start *s, const struct dp_qmp_dirty_rate *r, uint64_t now_ns)
{
	struct dp_start_stats *st = &s->stats;
	double seconds = s->window_ms / 1e3;
	uint32_t i;

	st->windows++;
	st->last_start_ns = s->begin_ns;
	st->last_end_ns = now_ns;
	st->last_rate_mib = r->rate_known ? r->rate_mib : 0;
	for (i = 0; i < st->nlengths && st->seconds[i] != seconds; i++)
		;
	if (i == DP_START_LENGTHS)
		return;
	if (i == st->nlengths)
		st->seconds[st->nlengths++] = seconds;
	st->count[i]++;
}

/* Not now: the guest does not run, or is being migrated. */
static void hold(struct dp_start *s, const char *why, uint64_t now_ns)
{
	if (s->state != DP_START_HELD)
		s->stats.held_back++;
	enter(s, DP_START_HELD, why);
	s->next_ns = now_ns + HOLD_MS * MS;
}

static void on_status(struct dp_start *s, struct json_object *o, uint64_t now_ns)
{
	struct dp_qmp_status st;
	const char *what;
	char why[96];

	if (dp_qmp_parse_status(o, &st, &what)) {
		fail(s, "QMP: query-status: not an answer", now_ns);
	} else if (!st.running) {
		snprintf(why, sizeof(why), "the guest does not run (%s): no measurement is started",
			 st.status);
		hold(s, why, now_ns);
	} else {
		post(s, STEP_MIGRATE, now_ns);
	}
}

static void on_migrate(struct dp_start *s, struct json_object *o, uint64_t now_ns)
{
	struct dp_qmp_migrate m;
	const char *what;
	char why[96];

	if (dp_qmp_parse_migrate(o, &m, &what)) {
		fail(s, "QMP: query-migrate: not an answer", now_ns);
	} else if (m.active) {
		snprintf(why, sizeof(why), "a migration is under way (%s): no measurement is started",
			 m.status);
		hold(s, why, now_ns);
	} else {
		post(s, STEP_CALC, now_ns);
	}
}

static void on_calc(struct dp_start *s, uint64_t now_ns)
{
	char msg[128];

	s->begun = true;
	s->refusals = 0;
	s->begin_ns = s->posted_ns;
	/* counted from the answer: QEMU cannot have begun later */
	s->end_ns = now_ns + s->window_ms * MS;
	s->next_ns = s->end_ns;
	snprintf(msg, sizeof(msg), "QEMU measures its dirty rate for %g s (%s)", s->window_ms / 1e3,
		 dp_calc_mode_name(s->opts.mode));
	enter(s, DP_START_RUNNING, msg);
}

static void on_rate(struct dp_start *s, struct json_object *o, uint64_t now_ns)
{
	struct dp_qmp_dirty_rate r;
	const char *what;
	bool overdue;

	if (dp_qmp_parse_dirty_rate(o, &r, &what)) {
		fail(s, "QMP: query-dirty-rate: not an answer", now_ns);
		return;
	}
	overdue = now_ns > s->end_ns + OVERDUE_MS * MS;
	/* QEMU's thread sets "measuring" after the command has been answered: a starved one may be late */
	if (r.status == DP_CALC_UNSTARTED && s->state == DP_START_RUNNING && !overdue)
		r.status = DP_CALC_MEASURING;
	if (r.status == DP_CALC_MEASURING) {
		bool slow = s->state != DP_START_RUNNING || overdue;

		if (s->state != DP_START_RUNNING) {
			enter(s, DP_START_FOREIGN,
			      "someone else's dirty-rate calculation is under way: ours follows");
			s->refusals = 0;
		}
		s->next_ns = now_ns + (slow ? SLOW_POLL_MS : POLL_MS) * MS;
		return;
	}
	if (s->state == DP_START_RUNNING) {
		if (r.status != DP_CALC_MEASURED) {
			fail(s, "QMP: QEMU does not know of the measurement that it started", now_ns);
			return;
		}
		count_window(s, &r, now_ns);
		enter(s, DP_START_IDLE, "");
		s->next_ns = s->begin_ns + s->opts.interval_ms * MS;
		return;
	}
	/* calc-dirty-rate was refused, and not for a measurement that is still under way */
	if (s->refusals >= MAX_REFUSALS) {
		fail(s, s->refusal, now_ns);
		return;
	}
	enter(s, DP_START_IDLE, "");
	s->next_ns = now_ns + (s->refusals ? HOLD_MS * MS : 0);
}

static void on_error(struct dp_start *s, int err, enum step step, uint64_t now_ns)
{
	/*
	 * a refusal has three causes: another's measurement, a migration that has just begun, a mode that
	 * cannot be had
	 */
	if (err == -EREMOTEIO && step == STEP_CALC) {
		snprintf(s->refusal, sizeof(s->refusal), "%s", dp_qmp_error(s->q));
		s->refusals++;
		post(s, STEP_RATE, now_ns);
		return;
	}
	fail(s, dp_qmp_error(s->q), now_ns);
}

static void stopped(struct dp_start *s)
{
	dp_qmp_forget(s->q, s->id);
	s->id = 0;
	s->step = STEP_NONE;
	enter(s, DP_START_STOPPED, "");
}

/* Takes the awaited answer, if it is there. False: nothing more to do in this step. */
static bool answer(struct dp_start *s, uint64_t now_ns)
{
	struct json_object *o = NULL;
	enum step step = s->step;
	int err;

	err = dp_qmp_collect(s->q, s->id, 0, &o);
	if (err == -EAGAIN) {
		s->next_ns = now_ns + WAIT_MS * MS;
		if (now_ns - s->posted_ns > SILENCE_MS * MS)
			fail(s, "QMP: QEMU has stopped answering", now_ns);
		return false;
	}
	s->id = 0;
	s->step = STEP_NONE;
	if (err)
		on_error(s, err, step, now_ns);
	else if (step == STEP_STATUS)
		on_status(s, o, now_ns);
	else if (step == STEP_MIGRATE)
		on_migrate(s, o, now_ns);
	else if (step == STEP_CALC)
		on_calc(s, now_ns);
	else
		on_rate(s, o, now_ns);
	json_object_put(o);
	return true;
}

enum dp_start_state dp_start_poll(struct dp_start *s, uint64_t now_ns)
{
	s->polled_ns = now_ns;
	s->polled_mono_ns = dp_mono_ns();
	if (s->state == DP_START_STOPPED || s->state == DP_START_FAILED)
		return s->state;
	/* a stop has to wait for nothing but a window of ours, or for what became of asking for one */
	if (s->stopping && s->state != DP_START_RUNNING && s->step != STEP_CALC) {
		stopped(s);
		return s->state;
	}
	if (s->step != STEP_NONE) {
		answer(s, now_ns);
		return s->state;
	}
	if (now_ns < s->next_ns)
		return s->state;
	if (s->state == DP_START_RUNNING || s->state == DP_START_FOREIGN)
		post(s, STEP_RATE, now_ns);
	else if (s->opts.max_windows && s->stats.windows >= s->opts.max_windows)
		stopped(s);
	else
		post(s, STEP_STATUS, now_ns);
	return s->state;
}

enum dp_start_state dp_start_state(const struct dp_start *s)
{
	return s->state;
}

const char *dp_start_message(const struct dp_start *s)
{
	return s->msg;
}

void dp_start_stats(const struct dp_start *s, struct dp_start_stats *out)
{
	*out = s->stats;
}

uint64_t dp_start_next_ns(const struct dp_start *s)
{
	if (s->state == DP_START_STOPPED || s->state == DP_START_FAILED)
		return UINT64_MAX;
	return s->next_ns;
}

uint64_t dp_start_left_ns(const struct dp_start *s, uint64_t now_ns)
{
	bool asked = s->step == STEP_CALC;

	/* asked for, not answered: it may have begun */
	if (asked)
		return s->window_ms * MS;
	return s->state == DP_START_RUNNING && s->end_ns > now_ns ? s->end_ns - now_ns : 0;
}

void dp_start_request_stop(struct dp_start *s)
{
	s->stopping = true;
}

/* The wait is over, the window is not. */
static int give_up(struct dp_start *s, int err, uint64_t now_ns)
{
	snprintf(s->msg, sizeof(s->msg),
		 "QEMU's dirty-rate calculation cannot be cancelled: its logging ends by itself in %.1f s",
		 (double)dp_start_left_ns(s, now_ns) / 1e9);
	return err;
}

int dp_start_stop(struct dp_start *s, uint32_t bound_ms, bool (*interrupted)(void *), void *ctx)
{
	uint64_t begin = dp_mono_ns();

	dp_start_request_stop(s);
	for (;;) {
		uint64_t mono = dp_mono_ns();
		uint64_t now = s->polled_ns + (s->polled_ns ? mono - s->polled_mono_ns : mono);
		enum dp_start_state state = dp_start_poll(s, now);

		if (state == DP_START_STOPPED)
			return 0;
		/* the message tells already when logging ends */
		if (state == DP_START_FAILED)
			return now < s->unsure_until_ns ? -EPIPE : 0;
		if (interrupted && interrupted(ctx))
			return give_up(s, -EINTR, now);
		if (mono - begin >= bound_ms * MS)
			return give_up(s, -ETIMEDOUT, now);
		poll(NULL, 0, WAIT_MS);
	}
}
