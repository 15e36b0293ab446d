/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Inside the QMP client. */
#ifndef DIRTYPROF_QMP_PRIV_H
#define DIRTYPROF_QMP_PRIV_H

#include <stdarg.h>
#include <json-c/json.h>

#include "qmp/qmp.h"

struct qmp_pending {
	uint64_t id; /* 0 = free */
	char cmd[40];
	struct json_object *answer; /* the whole message, once it has come */
};

/* The byte stream, cut into JSON objects. */
struct qmp_stream {
	int fd;
	struct json_tokener *tok;
	bool inside;	 /* an object has begun */
	size_t fed;	 /* its bytes so far */
	size_t pos, len; /* what is unread in buf */
	char buf[65536];
};

struct dp_qmp {
	struct qmp_stream s;
	bool dead;
	uint64_t last_id, events;
	struct qmp_pending pending[DP_QMP_MAX_PENDING];
	struct dp_qmp_version version;
	pid_t peer;
	char err[256], err_class[64];
};

int qmp_stream__init(struct qmp_stream *s, int fd);
void qmp_stream__free(struct qmp_stream *s);
/* The next object. 0, -EAGAIN (deadline), -EPIPE, -EPROTO, -EMSGSIZE, -ENOMEM, or read()'s errno. */
int qmp_stream__read(struct qmp_stream *s, uint64_t deadline_ns, struct json_object **out);
/* All of it, or an error: -EAGAIN (nothing was sent), -EPIPE (the connection is of no more use). */
int qmp_stream__write(struct qmp_stream *s, const char *data, size_t len, uint64_t deadline_ns);

/* Sets the line for people, without control characters. Returns err. */
int qmp__fail(struct dp_qmp *q, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
