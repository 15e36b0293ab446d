// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/log.h"
#include "qmp/clock.h"
#include "qmp/priv.h"

#define MAX_SKIPPED 256 /* messages that even a call with no time passes over */

int qmp__fail(struct dp_qmp *q, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(q->err, sizeof(q->err), fmt, ap);
	va_end(ap);
	dp_log_clean(q->err);
	return err;
}

/* What an error of the stream means to people; the stream is of no more use after it. */
static int lost(struct dp_qmp *q, int err)
{
	q->dead = true;
	switch (err) {
	case -EPIPE:
		return qmp__fail(q, err, "QMP: the connection was closed by the other side");
	case -EPROTO:
		return qmp__fail(q, err, "QMP: the other side does not talk QMP");
	case -EMSGSIZE:
		return qmp__fail(q, err, "QMP: a message longer than %u bytes or deeper than %u levels",
				 DP_QMP_MAX_MESSAGE, DP_QMP_MAX_DEPTH);
	default:
		return qmp__fail(q, err, "QMP: %s", strerror(-err));
	}
}

static struct qmp_pending *find(struct dp_qmp *q, uint64_t id)
{
	for (int i = 0; i < DP_QMP_MAX_PENDING; i++)
		if (q->pending[i].id == id)
			return &q->pending[i];
	return NULL;
}

/* The command that has waited longest: answers come in order, so one without an id is its. */
static struct qmp_pending *oldest(struct dp_qmp *q)
{
	struct qmp_pending *old = NULL;

	for (int i = 0; i < DP_QMP_MAX_PENDING; i++) {
		struct qmp_pending *p = &q->pending[i];

		if (p->id && !p->answer && (!old || p->id < old->id))
			old = p;
	}
	return old;
}

static void release(struct qmp_pending *p)
{
	json_object_put(p->answer);
	memset(p, 0, sizeof(*p));
}

/* Sorts one message to whoever waits for it. Takes o. */
static int dispatch(struct dp_qmp *q, struct json_object *o)
{
	struct qmp_pending *p;
	struct json_object *id;

	if (json_object_object_get_ex(o, "event", NULL)) {
		q->events++;
		json_object_put(o);
		return 0;
	}
	if (!json_object_object_get_ex(o, "return", NULL) && !json_object_object_get_ex(o, "error", NULL)) {
		json_object_put(o);
		return lost(q, -EPROTO);
	}
	if (!json_object_object_get_ex(o, "id", &id))
		p = oldest(q);
	else if (json_object_is_type(id, json_type_int) && json_object_get_int64(id) > 0)
		p = find(q, (uint64_t)json_object_get_int64(id));
	else
		p = NULL;
	if (p && !p->answer)
		p->answer = o;
	else
		json_object_put(o); /* too late, or not ours */
	return 0;
}

/* Opens an answer up. Takes o. */
static int unwrap(struct dp_qmp *q, const char *cmd, struct json_object *o, struct json_object **ret)
{
	struct json_object *v, *class = NULL, *desc = NULL;
	int err = 0;

	if (json_object_object_get_ex(o, "return", &v)) {
		if (ret)
			*ret = json_object_get(v);
	} else if (json_object_object_get_ex(o, "error", &v) && json_object_is_type(v, json_type_object) &&
		   json_object_object_get_ex(v, "class", &class) &&
		   json_object_object_get_ex(v, "desc", &desc) &&
		   json_object_is_type(class, json_type_string) &&
		   json_object_is_type(desc, json_type_string)) {
		snprintf(q->err_class, sizeof(q->err_class), "%s", json_object_get_string(class));
		dp_log_clean(q->err_class);
		err = qmp__fail(q, -EREMOTEIO, "QMP: QEMU refuses %s: %s", cmd, json_object_get_string(desc));
	} else {
		err = qmp__fail(q, -EPROTO, "QMP: the answer to %s is not one", cmd);
	}
	json_object_put(o);
	return err;
}

static int check_alive(struct dp_qmp *q)
{
	q->err_class[0] = '\0';
	if (!q->dead) {
		q->err[0] = '\0';
		return 0;
	}
	if (!q->err[0])
		lost(q, -EPIPE);
	return -EPIPE;
}

static int post(struct dp_qmp *q, const char *cmd, struct json_object *args, uint64_t deadline_ns,
		uint64_t *id)
{
	struct qmp_pending *p = find(q, 0);
	struct json_object *o = NULL;
	const char *text;
	size_t len;
	int err;

	err = check_alive(q);
	if (err)
		goto cleanup;
	err = qmp__fail(q, -EBUSY, "QMP: too many commands under way");
	if (!p)
		goto cleanup;
	err = qmp__fail(q, -ENOMEM, "QMP: out of memory");
	o = json_object_new_object();
	if (!o || json_object_object_add(o, "execute", json_object_new_string(cmd)) ||
	    json_object_object_add(o, "id", json_object_new_int64((int64_t)(q->last_id + 1))))
		goto cleanup;
	if (args) {
		if (json_object_object_add(o, "arguments", args))
			goto cleanup;
		args = NULL;
	}
	text = json_object_to_json_string_length(o, JSON_C_TO_STRING_PLAIN, &len);
	if (!text)
		goto cleanup;
	/* JSON objects need nothing between them */
	err = qmp_stream__write(&q->s, text, len, deadline_ns);
	if (err == -EAGAIN) {
		err = qmp__fail(q, -EBUSY, "QMP: the other side takes no commands");
	} else if (err) {
		lost(q, err);
	} else {
		q->err[0] = '\0';
		p->id = ++q->last_id;
		snprintf(p->cmd, sizeof(p->cmd), "%s", cmd);
		*id = p->id;
	}
cleanup:
	json_object_put(o);
	json_object_put(args);
	return err;
}

int dp_qmp_post(struct dp_qmp *q, const char *cmd, struct json_object *args, uint64_t *id)
{
	return post(q, cmd, args, 0, id);
}

static int collect(struct dp_qmp *q, uint64_t id, uint64_t deadline_ns, struct json_object **ret)
{
	struct qmp_pending *p = id ? find(q, id) : NULL;
	struct json_object *o;
	char cmd[sizeof(p->cmd)];
	int err, n;

	if (!p)
		return qmp__fail(q, -EINVAL, "QMP: no such command is under way");
	for (n = 0; !p->answer; n++) {
		err = check_alive(q);
		if (err)
			return err;
		/* a flood of events must not keep a call past its time */
		if (n >= MAX_SKIPPED && !dp_left_ms(deadline_ns))
			return -EAGAIN;
		err = qmp_stream__read(&q->s, deadline_ns, &o);
		if (err == -EAGAIN)
			return err;
		if (!err)
			err = dispatch(q, o);
		else
			lost(q, err);
		if (err)
			return err;
	}
	o = p->answer;
	p->answer = NULL;
	memcpy(cmd, p->cmd, sizeof(cmd));
	release(p);
	q->err_class[0] = '\0';
	return unwrap(q, cmd, o, ret);
}

int dp_qmp_collect(struct dp_qmp *q, uint64_t id, int timeout_ms, struct json_object **ret)
{
	return collect(q, id, timeout_ms > 0 ? dp_deadline_ns(timeout_ms) : 0, ret);
}

void dp_qmp_forget(struct dp_qmp *q, uint64_t id)
{
	struct qmp_pending *p = id ? find(q, id) : NULL;

	if (p)
		release(p);
}

int dp_qmp_execute(struct dp_qmp *q, const char *cmd, struct json_object *args, int timeout_ms,
		   struct json_object **ret)
{
	uint64_t deadline = dp_deadline_ns(timeout_ms), id;
	int err;

	err = post(q, cmd, args, deadline, &id);
	if (err == -EBUSY)
		return qmp__fail(q, -ETIMEDOUT, "QMP: %s could not be sent within %d ms", cmd, timeout_ms);
	if (err)
		return err;
	err = collect(q, id, deadline, ret);
	if (err)
		dp_qmp_forget(q, id);
	if (err == -EAGAIN)
		err = qmp__fail(q, -ETIMEDOUT, "QMP: no answer to %s within %d ms", cmd, timeout_ms);
	return err;
}

static int greet(struct dp_qmp *q, uint64_t deadline_ns, int timeout_ms)
{
	struct json_object *o = NULL, *qmp, *version;
	const char *what;
	int err;

	err = qmp_stream__read(&q->s, deadline_ns, &o);
	if (err == -EAGAIN)
		return qmp__fail(q, -ETIMEDOUT,
				 "QMP: no greeting within %d ms (another client may hold the socket)",
				 timeout_ms);
	if (err)
		return lost(q, err);
	if (!json_object_object_get_ex(o, "QMP", &qmp) || !json_object_is_type(qmp, json_type_object) ||
	    !json_object_object_get_ex(qmp, "version", &version) ||
	    dp_qmp_parse_version(version, &q->version, &what))
		err = lost(q, -EPROTO);
	json_object_put(o);
	return err;
}

int dp_qmp_open_fd(int fd, int timeout_ms, struct dp_qmp **out, char *msg, size_t msg_len)
{
	uint64_t deadline = dp_deadline_ns(timeout_ms);
	struct ucred cred;
	socklen_t len = sizeof(cred);
	struct dp_qmp *q;
	int err;

	*out = NULL;
	q = calloc(1, sizeof(*q));
	if (!q || qmp_stream__init(&q->s, fd)) {
		if (msg)
			snprintf(msg, msg_len, "QMP: out of memory");
		free(q);
		close(fd);
		return -ENOMEM;
	}
	if (!getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) && len == sizeof(cred) && cred.pid > 0)
		q->peer = cred.pid;
	err = greet(q, deadline, timeout_ms);
	if (!err)
		err = dp_qmp_execute(q, "qmp_capabilities", NULL, dp_left_ms(deadline), NULL);
	if (err) {
		if (msg)
			snprintf(msg, msg_len, "%s", q->err);
		dp_qmp_close(q);
		return err;
	}
	*out = q;
	return 0;
}

static const char *connect_error(int err)
{
	switch (err) {
	case -ENOTSOCK:
		return "not a socket";
	case -ETIMEDOUT:
		return "takes no connection (another client may hold it)";
	case -EADDRNOTAVAIL:
		return "names are not looked up: give a numeric address";
	default:
		return strerror(-err);
	}
}

int dp_qmp_open(const struct dp_qmp_addr *addr, int timeout_ms, struct dp_qmp **out, char *msg,
		size_t msg_len)
{
	uint64_t deadline = dp_deadline_ns(timeout_ms);
	char where[sizeof(addr->path) + 32];
	char why[256];
	int fd, err;

	*out = NULL;
	dp_qmp_addr_str(addr, where, sizeof(where));
	dp_log_clean(where);
	fd = dp_qmp_addr_connect(addr, deadline);
	if (fd < 0) {
		if (msg)
			snprintf(msg, msg_len, "QMP socket %s: %s", where, connect_error(fd));
		return fd;
	}
	err = dp_qmp_open_fd(fd, dp_left_ms(deadline), out, why, sizeof(why));
	if (err && msg)
		snprintf(msg, msg_len, "QMP socket %s: %s", where, why + (strncmp(why, "QMP: ", 5) ? 0 : 5));
	return err;
}

void dp_qmp_close(struct dp_qmp *q)
{
	if (!q)
		return;
	for (int i = 0; i < DP_QMP_MAX_PENDING; i++)
		release(&q->pending[i]);
	qmp_stream__free(&q->s);
	free(q);
}

const char *dp_qmp_error(const struct dp_qmp *q)
{
	return q->err;
}

const char *dp_qmp_error_class(const struct dp_qmp *q)
{
	return q->err_class;
}

bool dp_qmp_dead(const struct dp_qmp *q)
{
	return q->dead;
}

pid_t dp_qmp_peer_pid(const struct dp_qmp *q)
{
	return q->peer;
}

const struct dp_qmp_version *dp_qmp_version(const struct dp_qmp *q)
{
	return &q->version;
}

bool dp_qmp_version_atleast(const struct dp_qmp *q, uint32_t major, uint32_t minor)
{
	return q->version.major > major || (q->version.major == major && q->version.minor >= minor);
}

uint64_t dp_qmp_events(const struct dp_qmp *q)
{
	return q->events;
}
