/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A QMP client over a unix or TCP socket that trusts its peer with nothing: every call has a deadline, a
 * message is at most DP_QMP_MAX_MESSAGE bytes and DP_QMP_MAX_DEPTH deep, numbers are checked for type and
 * range. Events are skipped. A QEMU serves one client a socket: while another one (libvirt) holds it, open
 * ends with -ETIMEDOUT.
 *
 * All functions return 0 or a negative errno; dp_qmp_error() then has one line for people:
 *   -ETIMEDOUT  no answer in time. The connection stays usable: a late answer is recognised by its id and
 *               dropped
 *   -EPIPE      the peer closed the connection                                  (the connection is dead)
 *   -EPROTO     not QMP: rubbish, wrong types, numbers out of range             (dead if the stream itself
 *               is rubbish)
 *   -EMSGSIZE   a message longer or deeper than the bounds                      (dead)
 *   -EREMOTEIO  QEMU answered with an error; dp_qmp_error_class() has its class
 *   -ENOMEM
 * On a dead connection every call returns -EPIPE at once. Timeouts are milliseconds for the whole call.
 * Not thread-safe. SIGPIPE is never raised.
 */
#ifndef DIRTYPROF_QMP_QMP_H
#define DIRTYPROF_QMP_QMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "qmp/addr.h"

#define DP_QMP_MAX_MESSAGE (1u << 20)
#define DP_QMP_MAX_DEPTH   32

struct json_object;
struct dp_qmp;

struct dp_qmp_version {
	uint32_t major, minor, micro;
	char package[64];
};

/*
 * Connects, reads the greeting, negotiates. On error *out is NULL and msg (may be NULL) holds the line for
 * people.
 */
int dp_qmp_open(const struct dp_qmp_addr *addr, int timeout_ms, struct dp_qmp **out, char *msg,
		size_t msg_len);
/* The same on a connected stream socket, which is closed by dp_qmp_close, and on error. */
int dp_qmp_open_fd(int fd, int timeout_ms, struct dp_qmp **out, char *msg, size_t msg_len);
void dp_qmp_close(struct dp_qmp *q); /* NULL-safe */

const char *dp_qmp_error(const struct dp_qmp *q);
const char *dp_qmp_error_class(const struct dp_qmp *q); /* "" unless the last call gave -EREMOTEIO */
bool dp_qmp_dead(const struct dp_qmp *q);
/*
 * The process that listens on a unix socket, to tell that it is the VM's; 0 unknown. libvirt listens on
 * behalf of its QEMUs.
 */
pid_t dp_qmp_peer_pid(const struct dp_qmp *q);
/* From the greeting. */
const struct dp_qmp_version *dp_qmp_version(const struct dp_qmp *q);
bool dp_qmp_version_atleast(const struct dp_qmp *q, uint32_t major, uint32_t minor);
uint64_t dp_qmp_events(const struct dp_qmp *q); /* skipped so far */

/*
 * args is consumed, also on error; may be NULL. *ret (may be NULL) is the "return" value, to be
 * json_object_put.
 */
int dp_qmp_execute(struct dp_qmp *q, const char *cmd, struct json_object *args, int timeout_ms,
		   struct json_object **ret);

/*
 * The two halves of execute, for callers that must not block. At most DP_QMP_MAX_PENDING commands may be
 * under way (-EBUSY).
 */
#define DP_QMP_MAX_PENDING 4
int dp_qmp_post(struct dp_qmp *q, const char *cmd, struct json_object *args, uint64_t *id);
/*
 * -EAGAIN: not there yet (timeout 0 never blocks). The answer to an id is given once. Use dp_qmp_forget to
 * give an id up.
 */
int dp_qmp_collect(struct dp_qmp *q, uint64_t id, int timeout_ms, struct json_object **ret);
void dp_qmp_forget(struct dp_qmp *q, uint64_t id);

/* --- queries --- */

struct dp_qmp_status {
	bool running;
	char status[32]; /* "running", "paused", "inmigrate", "postmigrate", ... */
};

struct dp_qmp_migrate {
	char status[32];			      /* "none" if there has been no migration */
	bool active;				      /* under way, setup to post-copy, cancelling included */
	bool done;				      /* completed, and what it took is known */
	bool ram_known;				      /* the ram.* figures below are there */
	uint64_t transferred, remaining, total;	      /* bytes */
	uint64_t normal_pages, zero_pages, page_size; /* pages of page_size bytes */
	uint64_t dirty_sync_count, dirty_pages_rate;  /* syncs; pages/s */
	double mbps;				      /* 10^6 bits/s, one window; 0 unknown */
	uint64_t downtime_ms, expected_downtime_ms, total_time_ms, setup_time_ms; /* 0 = not reported */
	uint32_t cpu_throttle_pct;						  /* auto-converge; 0 off */
};

struct dp_qmp_params {
	uint64_t max_bandwidth;		     /* bytes/s; 0 = unlimited */
	uint64_t avail_switchover_bandwidth; /* bytes/s; 0 = not set, or older than 8.2 */
	uint64_t downtime_limit_ms;
	uint32_t multifd_channels;
	/* auto-converge, percent; QEMU's defaults where it does not tell them */
	uint32_t throttle_trigger_pct, throttle_initial_pct, throttle_increment_pct, throttle_max_pct;
	/* capabilities; false where this QEMU does not know them */
	bool multifd, auto_converge, dirty_limit, xbzrle, postcopy_ram, zero_copy_send, compress;
};

enum dp_calc_mode { DP_CALC_SAMPLING, DP_CALC_BITMAP, DP_CALC_RING };
const char *dp_calc_mode_name(enum dp_calc_mode m); /* as in QMP */

enum dp_calc_status { DP_CALC_UNSTARTED, DP_CALC_MEASURING, DP_CALC_MEASURED };

struct dp_qmp_dirty_rate {
	enum dp_calc_status status;
	bool rate_known;
	uint64_t rate_mib;     /* MiB/s */
	uint64_t calc_time_ms; /* the window */
	char mode[32];
};

int dp_qmp_query_version(struct dp_qmp *q, struct dp_qmp_version *out, int timeout_ms);
int dp_qmp_query_status(struct dp_qmp *q, struct dp_qmp_status *out, int timeout_ms);
int dp_qmp_query_migrate(struct dp_qmp *q, struct dp_qmp_migrate *out, int timeout_ms);
int dp_qmp_query_params(struct dp_qmp *q, struct dp_qmp_params *out, int timeout_ms); /* two commands */
int dp_qmp_query_dirty_rate(struct dp_qmp *q, struct dp_qmp_dirty_rate *out, int timeout_ms);

/*
 * The window that QEMU can really do for the one asked: milliseconds from 8.2 (50 to 60000), else whole
 * seconds, rounded up (1000 to 60000).
 */
uint32_t dp_qmp_calc_window_ms(const struct dp_qmp *q, uint32_t ms);
/*
 * Starts a measurement: switches dirty logging on for dp_qmp_calc_window_ms(ms), which is stored in
 * *used_ms (may be NULL). There is no way to cancel it. Never call it during a migration: see start.h,
 * which takes care.
 */
int dp_qmp_calc_dirty_rate(struct dp_qmp *q, enum dp_calc_mode mode, uint32_t ms, int timeout_ms,
			   uint32_t *used_ms);

/*
 * Arguments of calc-dirty-rate, and answers taken apart (0 or -EPROTO; what holds where and why). For
 * start.c and tests.
 */
struct json_object *dp_qmp_calc_args(const struct dp_qmp *q, enum dp_calc_mode mode, uint32_t ms);
struct json_object *dp_qmp_rate_args(const struct dp_qmp *q); /* of query-dirty-rate; NULL is none */
int dp_qmp_parse_version(struct json_object *o, struct dp_qmp_version *out, const char **what);
int dp_qmp_parse_status(struct json_object *o, struct dp_qmp_status *out, const char **what);
int dp_qmp_parse_migrate(struct json_object *o, struct dp_qmp_migrate *out, const char **what);
int dp_qmp_parse_params(struct json_object *o, struct dp_qmp_params *out, const char **what);
int dp_qmp_parse_caps(struct json_object *o, struct dp_qmp_params *out, const char **what);
int dp_qmp_parse_dirty_rate(struct json_object *o, struct dp_qmp_dirty_rate *out, const char **what);

#endif
