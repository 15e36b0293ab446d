// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trace/codec.h"
#include "trace/format.h"

struct dp_trace_writer {
	int fd, err;
	bool fresh; /* there was no file before */
	char *path;
	uint64_t good; /* bytes of the file that are whole */
	uint64_t began, snapshots;
	uint32_t blocks;
	struct dp_io raw, rec; /* the block under way, and one record */
	struct dp_io last_vm, last_opts;
	uint64_t first_ns; /* of the block under way, */
	bool timed;	   /* if it has a snapshot */
	uint8_t *packed;
	size_t packed_cap;
};

static int fail(char *msg, size_t len, int err, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static int fail(char *msg, size_t len, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg, len, fmt, ap);
	va_end(ap);
	return err;
}

static int write_all(int fd, const void *p, size_t n, uint64_t at)
{
	const char *from = p;

	while (n) {
		ssize_t done = pwrite(fd, from, n, (off_t)at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done ? -errno : -EIO;
		from += done;
		at += (uint64_t)done;
		n -= (size_t)done;
	}
	return 0;
}

static int write_header(struct dp_trace_writer *w)
{
	uint8_t head[DP_TRACE_HEAD] = { 0 };
	int err;

	memcpy(head, DP_TRACE_MAGIC, 8);
	dp_put32(head + 8, DP_TRACE_VERSION);
	dp_put32(head + 20, dp_crc(head, 20));
	err = write_all(w->fd, head, sizeof(head), 0);
	if (!err)
		w->good = sizeof(head);
	return err;
}

/* Finds the end of the last whole block. A block's contents are held against their sum, so this reads the file once. */
static int find_end(struct dp_trace_writer *w)
{
	uint8_t head[DP_TRACE_HEAD];
	uint32_t version, raw, packed, crc;
	int err;

	if (pread(w->fd, head, sizeof(head), 0) != sizeof(head))
		return -EBADMSG;
	err = dp_trace_header(head, &version);
	if (err)
		return err;
	w->good = sizeof(head);
	while (pread(w->fd, head, sizeof(head), (off_t)w->good) == sizeof(head) &&
	       !dp_block_header(head, w->blocks, &raw, &packed, &crc)) {
		uint8_t *data = malloc(packed);
		bool whole;

		if (!data)
			return -ENOMEM;
		whole = pread(w->fd, data, packed, (off_t)(w->good + sizeof(head))) == (ssize_t)packed &&
			dp_crc(data, packed) == crc;
		free(data);
		if (!whole)
			break;
		w->good += sizeof(head) + packed;
		w->blocks++;
	}
	return ftruncate(w->fd, (off_t)w->good) ? -errno : 0;
}

static int open_file(struct dp_trace_writer *w, const char *path, bool append, char *msg, size_t len)
{
	struct stat st;
	int err;

	w->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	w->fresh = w->fd >= 0;
	if (w->fd < 0 && errno == EEXIST && !append)
		return fail(msg, len, -EEXIST, "%s exists already: --append adds to a trace", path);
	if (w->fd < 0 && errno == EEXIST)
		w->fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (w->fd < 0 || fstat(w->fd, &st)) {
		err = -errno;
		return fail(msg, len, err, "%s: %s", path, strerror(-err));
	}
	if (!S_ISREG(st.st_mode))
		return fail(msg, len, -EINVAL, "%s is no regular file", path);
	if (flock(w->fd, LOCK_EX | LOCK_NB))
		return fail(msg, len, -EBUSY, "%s: somebody else records into it", path);
	if (w->fresh || !st.st_size)
		err = write_header(w);
	else
		err = find_end(w);
	if (err == -EBADMSG)
		return fail(msg, len, err, "%s is no trace of dirtyprof's: nothing was added to it", path);
	if (err == -EPROTONOSUPPORT)
		return fail(msg, len, err, "%s was made by a later dirtyprof: nothing was added to it", path);
	return err ? fail(msg, len, err, "%s: %s", path, strerror(-err)) : 0;
}

int dp_trace_create(const char *path, bool append, struct dp_trace_writer **out, char *msg, size_t len)
{
	struct dp_trace_writer *w = calloc(1, sizeof(*w));
	int err;

	if (!w || !(w->path = strdup(path))) {
		free(w);
		return fail(msg, len, -ENOMEM, "out of memory");
	}
	w->raw.writing = w->rec.writing = w->last_vm.writing = w->last_opts.writing = true;
	err = open_file(w, path, append, msg, len);
	w->began = w->good;
	if (err) {
		w->err = err;
		/* Nothing was written yet, so nothing is to be taken back. */
		w->good = 0;
		dp_trace_close(w, false, NULL, NULL);
		return err;
	}
	*out = w;
	return 0;
}

/* Packs and writes the block under way. */
static int flush(struct dp_trace_writer *w)
{
	uLongf n = compressBound(w->raw.len);
	uint8_t *p;
	int err;

	if (w->err || !w->raw.len)
		return w->err;
	if (w->packed_cap < DP_TRACE_HEAD + n) {
		p = realloc(w->packed, DP_TRACE_HEAD + n);
		if (!p)
			return w->err = -ENOMEM;
		w->packed = p;
		w->packed_cap = DP_TRACE_HEAD + n;
	}
	p = w->packed;
	if (compress2(p + DP_TRACE_HEAD, &n, w->raw.buf, w->raw.len, 6) != Z_OK)
		return w->err = -ENOMEM;
	memcpy(p, DP_BLOCK_MAGIC, 4);
	dp_put32(p + 4, w->blocks);
	dp_put32(p + 8, (uint32_t)w->raw.len);
	dp_put32(p + 12, (uint32_t)n);
	dp_put32(p + 16, dp_crc(p + DP_TRACE_HEAD, n));
	dp_put32(p + 20, dp_crc(p, 20));
	err = write_all(w->fd, p, DP_TRACE_HEAD + n, w->good);
	if (err)
		return w->err = err;
	w->good += DP_TRACE_HEAD + n;
	w->blocks++;
	w->raw.len = 0;
	w->timed = false;
	return 0;
}

/* w->rec as a record of the block under way. */
static int put(struct dp_trace_writer *w, enum dp_record kind)
{
	uint8_t k = (uint8_t)kind;
	uint64_t len = w->rec.len;

	if (w->rec.failed || len > DP_BLOCK_MAX / 2)
		return w->err = w->rec.nomem ? -ENOMEM : -EFBIG;
	if (w->raw.len && w->raw.len + len > DP_BLOCK_MAX / 2 && flush(w))
		return w->err;
	dp_io_u8(&w->raw, &k);
	dp_io_u64(&w->raw, &len);
	dp_io_put(&w->raw, w->rec.buf, w->rec.len);
	return w->err = w->raw.failed ? -ENOMEM : 0;
}

/* The record, if it is not what `last` has; that becomes it. */
static int put_changed(struct dp_trace_writer *w, enum dp_record kind, struct dp_io *last)
{
	struct dp_io swap;

	if (!w->rec.failed && last->len == w->rec.len && !memcmp(last->buf, w->rec.buf, w->rec.len))
		return 0;
	if (put(w, kind))
		return w->err;
	swap = *last;
	*last = w->rec;
	w->rec = swap;
	return 0;
}

static void begin(struct dp_trace_writer *w)
{
	w->rec.len = 0;
	w->rec.failed = false;
}

static int put_vm(struct dp_trace_writer *w, const struct dp_vm *vm)
{
	struct dp_vm copy = *vm;

	begin(w);
	dp_io_vm(&w->rec, &copy);
	return put_changed(w, DP_REC_VM, &w->last_vm);
}

int dp_trace_put_opts(struct dp_trace_writer *w, const struct dp_session_opts *o)
{
	struct dp_session_opts copy = *o;

	if (w->err)
		return w->err;
	begin(w);
	dp_io_opts(&w->rec, &copy);
	return put_changed(w, DP_REC_OPTS, &w->last_opts);
}

int dp_trace_put_start(struct dp_trace_writer *w, const struct dp_trace_start *s,
		       const struct dp_session_opts *o, const struct dp_vm *vm)
{
	struct dp_trace_start copy = *s;

	if (w->err)
		return w->err;
	w->last_vm.len = w->last_opts.len = 0;
	begin(w);
	dp_io_start(&w->rec, &copy);
	if (put(w, DP_REC_START) || dp_trace_put_opts(w, o))
		return w->err;
	return put_vm(w, vm);
}

static int put_windows(struct dp_trace_writer *w, const struct dp_snapshot *s)
{
	uint32_t i, n;

	if (s->nwindows > DP_WINDOWS_MAX)
		return w->err = -EFBIG;
	for (i = 0; i < s->nwindows; i += n) {
		n = s->nwindows - i < DP_RECORD_WINDOWS ? s->nwindows - i : DP_RECORD_WINDOWS;
		begin(w);
		dp_io_put_windows(&w->rec, s->t0_ns, s->windows + i, n);
		if (put(w, DP_REC_WINDOWS) || (w->raw.len >= DP_BLOCK_MAX / 8 && flush(w)))
			return w->err;
	}
	return 0;
}

int dp_trace_put(struct dp_trace_writer *w, const struct dp_snapshot *s)
{
	struct dp_snapshot copy = *s;

	if (w->err)
		return w->err;
	if (put_vm(w, s->vm) || put_windows(w, s))
		return w->err;
	begin(w);
	dp_io_snapshot(&w->rec, &copy, s->vm);
	if (!w->timed || s->t1_ns < w->first_ns)
		w->first_ns = s->t1_ns;
	w->timed = true;
	if (put(w, DP_REC_SNAPSHOT))
		return w->err;
	w->snapshots++;
	if (w->raw.len >= DP_BLOCK_RAW || s->t1_ns - w->first_ns >= DP_BLOCK_NS)
		return flush(w);
	return 0;
}

int dp_trace_close(struct dp_trace_writer *w, bool end, uint64_t *bytes, uint64_t *snapshots)
{
	int err = w->err;

	if (!err && end) {
		begin(w);
		err = put(w, DP_REC_END);
	}
	if (!err)
		err = flush(w);
	if (bytes)
		*bytes = w->good - w->began;
	if (snapshots)
		*snapshots = w->snapshots;
	if (w->fd >= 0) {
		/* After an error there may be part of a block behind the last whole one. */
		if (err && w->good && ftruncate(w->fd, (off_t)w->good))
			err = err ?: -errno;
		if (w->fresh && w->good <= DP_TRACE_HEAD)
			unlink(w->path);
		if (close(w->fd) && !err)
			err = -errno;
	}
	free(w->raw.buf);
	free(w->rec.buf);
	free(w->last_vm.buf);
	free(w->last_opts.buf);
	free(w->packed);
	free(w->path);
	free(w);
	return err;
}
