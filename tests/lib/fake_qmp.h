/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A QMP server for tests: an honest one with a QEMU's behaviour as far as dirtyprof uses it, or one that
 * misbehaves.
 *
 * Modes:
 *   good       answers as the state below says          pretty     the same, over several lines
 *   noid       the same, without ids                    trickle    the same, a byte a write
 *   events     the same, with events in between         flood      after the greeting, events without end
 *   silent     accepts, says nothing                    mute       greets, answers nothing
 *   close      closes at once                           closecmd   closes at the first command
 *   half       half a greeting                          rubbish    random bytes
 *   long       a message of 10 MB without an end        nest       100,000 nested arrays
 *   nul        a greeting with NUL bytes in it          types      valid JSON of wrong types
 *   numbers    numbers out of range                     error      an error to every command
 *   badutf8    strings that are not UTF-8               greet2     a greeting that is an array
 */
#ifndef DIRTYPROF_TESTS_FAKE_QMP_H
#define DIRTYPROF_TESTS_FAKE_QMP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* In memory shared between server and test. */
struct fake_qmp {
	unsigned int major, minor; /* what the greeting says */
	volatile bool running;	   /* the guest runs */
	char migrate[32];	   /* status of query-migrate; "" = none */
	volatile bool refuse;	   /* calc-dirty-rate fails */
	volatile bool stuck;	   /* nothing is answered any more */
	volatile bool forgetful;   /* query-dirty-rate says "unstarted" */
	/* on CLOCK_MONOTONIC; set by calc-dirty-rate, or by a test for someone else's */
	volatile uint64_t measuring_until_ns;
	volatile uint64_t window_scale_pct; /* length of windows in percent of what was asked */
	/* what was seen */
	volatile uint32_t calcs, refusals, calcs_while_migrating, calcs_while_paused, rate_queries, commands;
	volatile uint64_t last_calc_time; /* as given */
	volatile bool last_milli;	  /* in milliseconds */
	char last_mode[32];
	volatile uint64_t min_rate_gap_ns, last_rate_ns;
};

struct fake_qmp *fake_qmp_new(unsigned int major, unsigned int minor);
void fake_qmp_free(struct fake_qmp *f);

/* Listens on a unix socket; -1 on error. */
int fake_qmp_listen(const char *path);
/* Serves clients, one after another, for ever. rubbish: seed of the random bytes. */
void fake_qmp_serve(int listen_fd, const char *mode, struct fake_qmp *f, unsigned int seed);
/* The same in a child process, which ends by itself after two minutes. 0 and its pid, or -1. */
pid_t fake_qmp_fork(const char *path, const char *mode, struct fake_qmp *f, unsigned int seed);
void fake_qmp_end(pid_t pid);

#endif
