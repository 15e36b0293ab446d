// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * JSON objects off a byte stream. QEMU sends one a line, or several lines each (-qmp-pretty), so it is the
 * tokener that finds where an object ends. What it may eat is bounded: length and depth of an object,
 * bytes of a call that must not wait.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "qmp/clock.h"
#include "qmp/priv.h"

int qmp_stream__init(struct qmp_stream *s, int fd)
{
	s->fd = fd;
	s->inside = false;
	s->fed = s->pos = s->len = 0;
	s->tok = json_tokener_new_ex(DP_QMP_MAX_DEPTH);
	if (!s->tok)
		return -ENOMEM;
	/*
	 * Trailing characters are the next object's. UTF-8 is not validated: json-c takes a character that
	 * two reads share for a broken one. What is kept of strings is cleaned instead.
	 */
	json_tokener_set_flags(s->tok, JSON_TOKENER_STRICT | JSON_TOKENER_ALLOW_TRAILING_CHARS);
	return 0;
}

void qmp_stream__free(struct qmp_stream *s)
{
	if (s->tok)
		json_tokener_free(s->tok);
	s->tok = NULL;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Takes an object out of the buffer. -EAGAIN: needs more bytes. */
static int take(struct qmp_stream *s, struct json_object **out)
{
	struct json_object *o;
	size_t n;

	while (!s->inside && s->pos < s->len && is_blank(s->buf[s->pos]))
		s->pos++;
	if (s->pos == s->len)
		return -EAGAIN;
	if (!s->inside) {
		if (s->buf[s->pos] != '{')
			return -EPROTO;
		s->inside = true;
		s->fed = 0;
		json_tokener_reset(s->tok);
	}
	n = s->len - s->pos;
	o = json_tokener_parse_ex(s->tok, s->buf + s->pos, (int)n);
	switch (json_tokener_get_error(s->tok)) {
	case json_tokener_success:
		n = json_tokener_get_parse_end(s->tok);
		s->inside = false;
		break;
	case json_tokener_continue:
		break;
	case json_tokener_error_depth:
		return -EMSGSIZE;
	default:
		return -EPROTO;
	}
	s->pos += n;
	s->fed += n;
	if (s->fed > DP_QMP_MAX_MESSAGE) {
		json_object_put(o);
		return -EMSGSIZE;
	}
	if (s->inside)
		return -EAGAIN;
	if (!json_object_is_type(o, json_type_object)) {
		json_object_put(o);
		return -EPROTO;
	}
	*out = o;
	return 0;
}

/* Waits for bytes and reads them. -EAGAIN: none before the deadline. */
static int fill(struct qmp_stream *s, uint64_t deadline_ns)
{
	struct pollfd pfd = { .fd = s->fd, .events = POLLIN };

	for (;;) {
		ssize_t r = recv(s->fd, s->buf, sizeof(s->buf), MSG_DONTWAIT);

		if (r > 0) {
			s->pos = 0;
			s->len = (size_t)r;
			/* the tokener takes a NUL for the end of its input */
			return memchr(s->buf, '\0', s->len) ? -EPROTO : 0;
		}
		if (!r)
			return -EPIPE;
		if (errno == EINTR)
			continue;
		if (errno == ECONNRESET)
			return -EPIPE;
		if (errno != EAGAIN && errno != EWOULDBLOCK)
			return -errno;
		if (!dp_left_ms(deadline_ns))
			return -EAGAIN;
		if (poll(&pfd, 1, dp_left_ms(deadline_ns)) < 0 && errno != EINTR)
			return -errno;
	}
}

int qmp_stream__read(struct qmp_stream *s, uint64_t deadline_ns, struct json_object **out)
{
	size_t got = 0;

	for (;;) {
		int err = take(s, out);

		if (err != -EAGAIN)
			return err;
		/* a peer that keeps sending gets no more time than a silent one */
		if (got > DP_QMP_MAX_MESSAGE && !dp_left_ms(deadline_ns))
			return -EAGAIN;
		err = fill(s, deadline_ns);
		if (err)
			return err;
		got += s->len;
	}
}

int qmp_stream__write(struct qmp_stream *s, const char *data, size_t len, uint64_t deadline_ns)
{
	struct pollfd pfd = { .fd = s->fd, .events = POLLOUT };
	size_t off = 0;

	while (off < len) {
		ssize_t r = send(s->fd, data + off, len - off, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (r >= 0) {
			off += (size_t)r;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN && errno != EWOULDBLOCK)
			return -EPIPE;
		/* half a command makes rubbish of all that would follow */
		if (!dp_left_ms(deadline_ns))
			return off ? -EPIPE : -EAGAIN;
		poll(&pfd, 1, dp_left_ms(deadline_ns));
	}
	return 0;
}
