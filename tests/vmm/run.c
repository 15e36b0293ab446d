// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The vCPU threads, and the timetable: syncs, logging on and off, slot churn, the end. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "vmm.h"

#define NSEC	    1000000000ull
#define NEVER	    UINT64_MAX
#define KICK_SIGNAL SIGUSR1
#define STOP_TRIES  50

static volatile sig_atomic_t got_signal;

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NSEC + (uint64_t)t.tv_nsec;
}

static int sleep_until(uint64_t ns)
{
	struct timespec t = { (time_t)(ns / NSEC), (long)(ns % NSEC) };

	return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static void on_stop(int sig)
{
	got_signal = 1;
}

static void on_kick(int sig)
{
}

/* Enters the guest until it has done its batch. */
static int run_batch(struct vcpu *c)
{
	struct vmm *v = c->vmm;

	for (;;) {
		int ret = ioctl(c->fd, KVM_RUN, 0);

		if (ret < 0 && errno == EINTR) {
			if (v->abort)
				return -EINTR;
			continue;
		}
		if (ret < 0 && errno == EAGAIN)
			continue;
		if (ret < 0) {
			ret = -errno;
			fprintf(stderr, "dpvmm: KVM_RUN: %s\n", strerror(-ret));
			return ret;
		}
		if (c->run->exit_reason == KVM_EXIT_DIRTY_RING_FULL) {
			c->ring_full++;
			ret = log_collect_rings(v);
		} else {
			ret = arch_handle_exit(c);
		}
		if (ret)
			return ret;
	}
}

/* Pages of a batch that keep the value that the VMM gave them beforehand come first. Returns how many they are. */
static uint32_t same_first(const struct pattern_spec *p, uint64_t *index, uint32_t n)
{
	uint32_t i, k = 0;

	for (i = 0; p->same && i < n; i++) {
		uint64_t page = index[i];

		if (!pattern__same(p, page))
			continue;
		index[i] = index[k];
		index[k++] = page;
	}
	return k;
}

static int write_batch(struct vcpu *c, const uint64_t *index, uint32_t n, uint32_t value)
{
	int err;

	if (!n)
		return 1;
	arch_put_batch(c, index, n, value);
	err = run_batch(c);
	if (err == 1) {
		truth__add(&c->vmm->truth, index, n);
		c->writes += n;
	}
	return err;
}

/* Writes all that is due; a paced guest that has nothing to do sleeps until the next tick. */
static int vcpu_step(struct vcpu *c, uint64_t *tick, uint32_t *value)
{
	struct vmm *v = c->vmm;
	uint64_t index[BATCH_MAX], now, due = v->start_ns + *tick * v->opt.batch_us * 1000ull;
	uint32_t n, same;
	int err;

	if (c->pattern.paced) {
		now = now_ns();
		if (now < due && sleep_until(due) == EINTR)
			return 0;
		if (now > due && now - due > c->late_ns)
			c->late_ns = now - due;
	}
	n = pattern__due(&c->pattern, due - v->start_ns, index, v->opt.batch_writes);
	if (c->pattern.paced && n < v->opt.batch_writes)
		++*tick;
	if (!n)
		return 0;
	++*value;
	same = same_first(&v->opt.pattern, index, n);
	pthread_rwlock_rdlock(&v->gate);
	err = write_batch(c, index, same, TOUCHED);
	if (err == 1)
		err = write_batch(c, index + same, n - same, *value);
	pthread_rwlock_unlock(&v->gate);
	return err < 0 ? err : 0;
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *c = arg;
	struct vmm *v = c->vmm;
	uint64_t tick = 1;
	uint32_t value = 1;

	while (!v->stop) {
		int err = vcpu_step(c, &tick, &value);

		if (err && err != -EINTR) {
			v->error = err;
			v->stop = true;
		}
	}
	return NULL;
}

static int start_vcpus(struct vmm *v)
{
	sigset_t block, old;
	int err = 0;

	sigemptyset(&block);
	sigaddset(&block, SIGTERM);
	sigaddset(&block, SIGINT);
	pthread_sigmask(SIG_BLOCK, &block, &old);
	for (uint32_t i = 0; i < v->opt.nvcpus && !err; i++) {
		struct vcpu *c = &v->vcpus[i];
		char name[16];

		err = -pthread_create(&c->thread, NULL, vcpu_thread, c);
		c->started = !err;
		if (err)
			break;
		snprintf(name, sizeof(name), "CPU %u/KVM", i);
		pthread_setname_np(c->thread, name);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return err;
}

/*
 * Wakes sleepers; a running batch may finish, so that the truth stays exact. One that does not within
 * STOP_TRIES of 10 ms is taken out of the guest. Kicks are repeated: one just before KVM_RUN is lost.
 */
static void stop_vcpus(struct vmm *v)
{
	v->stop = true;
	for (uint32_t i = 0; i < v->opt.nvcpus; i++) {
		struct vcpu *c = &v->vcpus[i];
		struct timespec t;
		uint32_t tries = 0;

		if (!c->started)
			continue;
		do {
			if (++tries > STOP_TRIES) {
				v->abort = true;
				c->run->immediate_exit = 1;
			}
			pthread_kill(c->thread, KICK_SIGNAL);
			clock_gettime(CLOCK_REALTIME, &t);
			t.tv_nsec += 10000000;
			if (t.tv_nsec >= 1000000000)
				t.tv_sec++, t.tv_nsec -= 1000000000;
		} while (pthread_timedjoin_np(c->thread, NULL, &t) == ETIMEDOUT);
		c->started = false;
	}
	if (v->abort)
		fprintf(stderr, "dpvmm: a guest did not finish its last batch\n");
}

static double since_start(const struct vmm *v, uint64_t ns)
{
	return ((double)ns - (double)v->start_ns) / 1e9;
}

static int do_sync(struct vmm *v, uint32_t seq, bool last)
{
	struct report r;
	int err = log_report(v, &r);

	printf("{\"event\":\"sync\",\"seq\":%u,\"t\":%.6f,\"mono_ns\":%" PRIu64 ",\"took_us\":%" PRIu64
	       ",\"logging\":%s,\"initial\":%s,\"last\":%s,\"dirty\":%" PRIu64 ",\"written\":%" PRIu64
	       ",\"changed\":%" PRIu64 ",\"entries\":%" PRIu64,
	       seq, since_start(v, r.t_ns), r.t_ns, r.took_ns / 1000, v->logging ? "true" : "false",
	       r.initial ? "true" : "false", last ? "true" : "false", r.dirty, r.written, r.changed,
	       r.entries);
	printf(",\"blocks\":{\"64K\":%" PRIu64 ",\"2M\":%" PRIu64 ",\"16M\":%" PRIu64 ",\"1G\":%" PRIu64 "}",
	       r.blocks[0], r.blocks[1], r.blocks[2], r.blocks[3]);
	printf(",\"by_slot\":[");
	for (uint32_t i = 0; i < v->nslots; i++)
		printf("%s%" PRIu64, i ? "," : "", r.by_slot[i]);
	printf("]}\n");
	fflush(stdout);
	return err;
}

static int do_logging(struct vmm *v, bool on)
{
	int err = vm_set_logging(v, on);

	printf("{\"event\":\"log\",\"on\":%s,\"t\":%.6f,\"mono_ns\":%" PRIu64 "}\n", on ? "true" : "false",
	       since_start(v, now_ns()), now_ns());
	fflush(stdout);
	return err;
}

/* Takes the last slot away and brings it back under another id, between two batches, its log harvested. */
static int do_churn(struct vmm *v)
{
	struct slot *s = &v->slots[v->nslots - 1];
	int err;

	pthread_rwlock_wrlock(&v->gate);
	err = log_collect(v);
	if (!err)
		err = vm_set_slot(v, s, false, true);
	if (!err) {
		s->id = s->id >= SLOT_ALT_ID ? s->id - SLOT_ALT_ID : s->id + SLOT_ALT_ID;
		s->initial = v->logging && v->opt.log == LOG_MANUAL_INIT;
		err = vm_set_slot(v, s, v->logging, false);
	}
	pthread_rwlock_unlock(&v->gate);
	printf("{\"event\":\"churn\",\"slot\":%u,\"t\":%.6f,\"mono_ns\":%" PRIu64 "}\n", s->id,
	       since_start(v, now_ns()), now_ns());
	fflush(stdout);
	return err;
}

static int wait_for_start(struct vmm *v)
{
	uint64_t until = now_ns() + v->opt.wait_seconds * NSEC;

	printf("{\"event\":\"ready\",\"pid\":%d,\"page\":%" PRIu64, (int)getpid(), v->page_bytes);
	if (v->mmu)
		printf(",\"mmu\":\"%s\"", v->mmu);
	printf("}\n");
	fflush(stdout);
	while (v->opt.wait_file && access(v->opt.wait_file, F_OK)) {
		if (got_signal)
			return -EINTR;
		if (now_ns() > until) {
			fprintf(stderr, "dpvmm: %s did not appear within %u s\n", v->opt.wait_file,
				v->opt.wait_seconds);
			return -ETIMEDOUT;
		}
		sleep_until(now_ns() + NSEC / 200);
	}
	return 0;
}

struct timetable {
	uint64_t sync, on, off, churn, end;
};

static uint64_t earliest(const struct timetable *t)
{
	const uint64_t at[] = { t->sync, t->on, t->off, t->churn, t->end };
	uint64_t min = NEVER;

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		if (at[i] < min)
			min = at[i];
	return min;
}

static uint64_t after_ms(uint64_t from, int64_t ms)
{
	return ms < 0 ? NEVER : from + (uint64_t)ms * 1000000u;
}

/* The next one of a series, without trying to make up for those that were missed. */
static uint64_t next_of(uint64_t last, uint32_t ms)
{
	uint64_t next = last + ms * 1000000ull, now = now_ns();

	return next > now ? next : now + ms * 1000000ull;
}

static int follow_timetable(struct vmm *v, uint32_t *nsyncs)
{
	const struct options *o = &v->opt;
	struct timetable t = {
		.sync = o->sync_ms ? after_ms(v->start_ns, o->sync_ms) : NEVER,
		.on = o->log == LOG_NONE ? NEVER : after_ms(v->start_ns, o->log_after_ms),
		.off = o->log == LOG_NONE ? NEVER : after_ms(v->start_ns, o->log_off_after_ms),
		.churn = o->churn_ms ? after_ms(v->start_ns, o->churn_ms) : NEVER,
		.end = v->start_ns + (uint64_t)(o->seconds * 1e9),
	};
	int err = 0;

	while (!err && !got_signal && !v->stop) {
		uint64_t at = earliest(&t);

		if (sleep_until(at < now_ns() + NSEC / 10 ? at : now_ns() + NSEC / 10) || now_ns() < at)
			continue;
		if (at == t.end)
			break;
		if (at == t.on) {
			t.on = NEVER;
			err = do_logging(v, true);
		} else if (at == t.off) {
			t.off = NEVER;
			err = do_sync(v, (*nsyncs)++, false);
			if (!err)
				err = do_logging(v, false);
		} else if (at == t.churn) {
			t.churn = next_of(at, o->churn_ms);
			err = do_churn(v);
		} else {
			t.sync = next_of(at, o->sync_ms);
			err = do_sync(v, (*nsyncs)++, false);
		}
	}
	return err;
}

static void print_end(struct vmm *v, uint64_t stopped_ns, uint32_t nsyncs)
{
	uint64_t writes = 0, late = 0, full = 0;
	double seconds = since_start(v, stopped_ns);

	for (uint32_t i = 0; i < v->opt.nvcpus; i++) {
		const struct vcpu *c = &v->vcpus[i];

		writes += c->writes;
		full += c->ring_full;
		late = c->late_ns > late ? c->late_ns : late;
	}
	printf("{\"event\":\"end\",\"writes\":%" PRIu64 ",\"distinct\":%" PRIu64
	       ",\"seconds\":%.6f,\"pages_per_s\":%.1f,\"syncs\":%u,\"ring_full\":%" PRIu64
	       ",\"late_ms\":%.3f}\n",
	       writes, v->truth.distinct, seconds, seconds > 0 ? (double)writes / seconds : 0.0, nsyncs, full,
	       (double)late / 1e6);
	fflush(stdout);
}

int vmm_run(struct vmm *v)
{
	struct sigaction stop = { .sa_handler = on_stop }, kick = { .sa_handler = on_kick };
	uint32_t nsyncs = 0;
	uint64_t stopped;
	int err;

	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGINT, &stop, NULL);
	sigaction(KICK_SIGNAL, &kick, NULL);
	if (v->opt.log != LOG_NONE && v->opt.log_after_ms < 0) {
		err = vm_set_logging(v, true);
		if (err)
			return err;
	}
	err = wait_for_start(v);
	if (err)
		return err == -EINTR ? 0 : err;
	/* A guest that hangs inside KVM must not outlive its time. */
	alarm((unsigned int)v->opt.seconds + 15);
	v->start_ns = now_ns();
	err = start_vcpus(v);
	if (!err)
		err = follow_timetable(v, &nsyncs);
	stop_vcpus(v);
	stopped = now_ns();
	if (!err)
		err = do_sync(v, nsyncs++, true);
	print_end(v, stopped, nsyncs);
	if (err)
		fprintf(stderr, "dpvmm: %s\n", strerror(-err));
	return err ? err : v->error;
}
