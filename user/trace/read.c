// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trace/codec.h"
#include "trace/format.h"

struct dp_trace {
	FILE *file;
	char *path, msg[DP_TRACE_MSG];
	uint64_t at, size; /* bytes of the file: read in whole blocks, all */
	uint32_t blocks;
	struct dp_trace_start start;
	bool begun;   /* a start was read, */
	bool started; /* and its options and VM */
	double from, to;
	bool past; /* a snapshot ended after `to` */
	int err;
	uint8_t *packed, *raw;
	size_t packed_cap, raw_cap;
	struct dp_io io; /* the block, as far as it was read */
	struct dp_vm vm;
	struct dp_session_opts opts;
	bool have_vm, have_opts;
	struct dp_snapshot snapshot;
	struct dp_windows windows; /* of the snapshot to come */
	struct dp_arena vm_mem, opts_mem, snapshot_mem;
};

int dp_trace_header(const uint8_t *head, uint32_t *version)
{
	if (memcmp(head, DP_TRACE_MAGIC, 8) || dp_crc(head, 20) != dp_get32(head + 20))
		return -EBADMSG;
	*version = dp_get32(head + 8);
	if (*version != DP_TRACE_VERSION)
		return *version > DP_TRACE_VERSION ? -EPROTONOSUPPORT : -EBADMSG;
	return 0;
}

int dp_block_header(const uint8_t *head, uint32_t number, uint32_t *raw, uint32_t *packed, uint32_t *crc)
{
	if (memcmp(head, DP_BLOCK_MAGIC, 4) || dp_crc(head, 20) != dp_get32(head + 20) ||
	    dp_get32(head + 4) != number)
		return -EBADMSG;
	*raw = dp_get32(head + 8);
	*packed = dp_get32(head + 12);
	*crc = dp_get32(head + 16);
	return *raw && *raw <= DP_BLOCK_MAX && *packed && *packed <= compressBound(DP_BLOCK_MAX) ? 0
												 : -EBADMSG;
}

static int fail(struct dp_trace *t, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int fail(struct dp_trace *t, int err, const char *fmt, ...)
{
	va_list ap;
	int n = snprintf(t->msg, sizeof(t->msg), "%s: ", t->path);

	va_start(ap, fmt);
	if (n > 0 && (size_t)n < sizeof(t->msg))
		vsnprintf(t->msg + n, sizeof(t->msg) - (size_t)n, fmt, ap);
	va_end(ap);
	return t->err = err;
}

const char *dp_trace_message(const struct dp_trace *t)
{
	return t->msg;
}

void dp_trace_progress(const struct dp_trace *t, uint64_t *at, uint64_t *size)
{
	*at = t->at;
	*size = t->size;
}

bool dp_trace_is(const char *path)
{
	uint8_t head[8];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	bool is = fd >= 0 && read(fd, head, sizeof(head)) == sizeof(head) && !memcmp(head, DP_TRACE_MAGIC, 8);

	if (fd >= 0)
		close(fd);
	return is;
}

static int open_file(struct dp_trace *t, const char *path)
{
	uint8_t head[DP_TRACE_HEAD];
	uint32_t version = 0;
	struct stat st;
	/* A FIFO without a writer would be waited for. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), err;

	if (fd < 0)
		return fail(t, -errno, "%s", strerror(errno));
	t->file = fdopen(fd, "r");
	if (!t->file) {
		close(fd);
		return fail(t, -ENOMEM, "out of memory");
	}
	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		return fail(t, -EINVAL, "it is no regular file");
	t->size = (uint64_t)st.st_size;
	if (!t->size)
		return fail(t, -EBADMSG, "it is empty");
	if (fread(head, 1, sizeof(head), t->file) != sizeof(head))
		return fail(t, -EBADMSG, "it is no trace of dirtyprof's, or cut within its header");
	err = dp_trace_header(head, &version);
	if (err == -EPROTONOSUPPORT)
		return fail(t, err, "it is a trace of version %u; this dirtyprof reads version %u", version,
			    DP_TRACE_VERSION);
	if (err)
		return fail(t, err, "it is no trace of dirtyprof's, or its header is damaged");
	t->at = sizeof(head);
	return 0;
}

int dp_trace_open(const char *path, struct dp_trace **out, char *msg, size_t len)
{
	struct dp_trace *t = calloc(1, sizeof(*t));
	int err;

	if (!t || !(t->path = strdup(path))) {
		free(t);
		snprintf(msg, len, "out of memory");
		return -ENOMEM;
	}
	t->to = HUGE_VAL;
	err = open_file(t, path);
	if (err) {
		snprintf(msg, len, "%s", t->msg);
		dp_trace_free(t);
		return err;
	}
	*out = t;
	return 0;
}

void dp_trace_free(struct dp_trace *t)
{
	if (!t)
		return;
	if (t->file)
		fclose(t->file);
	dp_arena_free(&t->vm_mem);
	dp_arena_free(&t->opts_mem);
	dp_arena_free(&t->snapshot_mem);
	free(t->windows.w);
	free(t->packed);
	free(t->raw);
	free(t->path);
	free(t);
}

static uint8_t *room(uint8_t **buf, size_t *cap, size_t need)
{
	if (*cap < need) {
		free(*buf);
		*cap = 0;
		*buf = malloc(need);
		if (*buf)
			*cap = need;
	}
	return *buf;
}

static int cut(struct dp_trace *t)
{
	if (ferror(t->file))
		return fail(t, -EIO, "it cannot be read: %s", strerror(errno));
	return fail(t, -ENODATA, "it ends in the middle of a block, at byte %llu",
		    (unsigned long long)t->size);
}

static int damaged(struct dp_trace *t)
{
	return fail(t, -EBADMSG, "it is damaged from byte %llu on", (unsigned long long)t->at);
}

/* Reads a block whole. 1; 0 at the end of the file; negative errno. */
static int next_block(struct dp_trace *t)
{
	uint8_t head[DP_TRACE_HEAD];
	uint32_t raw, packed, crc;
	size_t n = fread(head, 1, sizeof(head), t->file);
	uLongf len;

	if (!n && feof(t->file))
		return 0;
	if (n != sizeof(head))
		return cut(t);
	if (dp_block_header(head, t->blocks, &raw, &packed, &crc))
		return damaged(t);
	/* Memory is taken only for what is really there. */
	if (packed > t->size - t->at - sizeof(head))
		return cut(t);
	if (!room(&t->packed, &t->packed_cap, packed))
		return fail(t, -ENOMEM, "out of memory");
	if (fread(t->packed, 1, packed, t->file) != packed)
		return cut(t);
	/* zlib packs at most to a thousandth or so. */
	if (dp_crc(t->packed, packed) != crc || raw / 1040 > packed)
		return damaged(t);
	if (!room(&t->raw, &t->raw_cap, raw))
		return fail(t, -ENOMEM, "out of memory");
	len = raw;
	if (uncompress(t->raw, &len, t->packed, packed) != Z_OK || len != raw)
		return damaged(t);
	t->at += sizeof(head) + packed;
	t->blocks++;
	t->io = (struct dp_io){ .buf = t->raw, .len = raw };
	return 1;
}

static void take_vm(struct dp_trace *t, struct dp_io *rec)
{
	memset(&t->vm, 0, sizeof(t->vm));
	dp_arena_reset(&t->vm_mem);
	rec->arena = &t->vm_mem;
	dp_io_vm(rec, &t->vm);
	t->have_vm = true;
}

static void take_opts(struct dp_trace *t, struct dp_io *rec)
{
	memset(&t->opts, 0, sizeof(t->opts));
	dp_arena_reset(&t->opts_mem);
	rec->arena = &t->opts_mem;
	dp_io_opts(rec, &t->opts);
	t->have_opts = true;
}

void dp_trace_between(struct dp_trace *t, double from, double to)
{
	t->from = from;
	t->to = to;
}

static bool passed_over(struct dp_trace *t, const struct dp_io *rec)
{
	struct dp_snapshot s = { 0 };
	struct dp_io begin = *rec;

	if (!t->started || t->past)
		return t->past;
	dp_io_times(&begin, &s);
	if (begin.failed)
		return false;
	if ((double)s.t0_ns / 1e9 < t->from)
		return true;
	t->past = (double)s.t1_ns / 1e9 > t->to;
	return false;
}

/* Of a snapshot that is passed over they are, too. */
static void take_windows(struct dp_trace *t, struct dp_io *rec)
{
	struct dp_io begin = *rec;
	uint64_t t0 = 0;

	dp_io_u64(&begin, &t0);
	if (t->past || (double)t0 / 1e9 < t->from)
		return;
	rec->failed |= !t->started || (t->windows.n && t->windows.t0_ns != t0);
	dp_io_get_windows(rec, &t->windows);
}

static void take_snapshot(struct dp_trace *t, struct dp_io *rec)
{
	memset(&t->snapshot, 0, sizeof(t->snapshot));
	dp_arena_reset(&t->snapshot_mem);
	rec->arena = &t->snapshot_mem;
	rec->failed |= !t->started;
	dp_io_snapshot(rec, &t->snapshot, &t->vm);
	if (!t->windows.n)
		return;
	rec->failed |= t->snapshot.nwindows || t->snapshot.t0_ns != t->windows.t0_ns;
	t->snapshot.windows = t->windows.w;
	t->snapshot.nwindows = t->windows.n;
	t->windows.n = 0;
}

/* A session has begun once its options and its VM are known, too. */
static bool starts(struct dp_trace *t, struct dp_trace_event *ev)
{
	if (!t->begun || t->started || !t->have_opts || !t->have_vm)
		return false;
	t->started = true;
	ev->kind = DP_TRACE_START;
	ev->start = t->start;
	return true;
}

/* One record. True: it is an event. */
static bool take(struct dp_trace *t, uint8_t kind, struct dp_io *rec, struct dp_trace_event *ev)
{
	ev->opts = &t->opts;
	ev->vm = &t->vm;
	switch (kind) {
	case DP_REC_START:
		dp_io_start(rec, &t->start);
		t->begun = true;
		t->past = false;
		t->windows.n = 0;
		t->started = t->have_vm = t->have_opts = false;
		return false;
	case DP_REC_VM:
		take_vm(t, rec);
		return starts(t, ev);
	case DP_REC_OPTS:
		take_opts(t, rec);
		ev->kind = DP_TRACE_OPTS;
		return t->started || starts(t, ev);
	case DP_REC_SNAPSHOT:
		if (passed_over(t, rec))
			return false;
		take_snapshot(t, rec);
		ev->kind = DP_TRACE_SNAPSHOT;
		ev->snapshot = &t->snapshot;
		return true;
	case DP_REC_WINDOWS:
		take_windows(t, rec);
		return false;
	case DP_REC_END:
		rec->failed |= !t->started;
		t->begun = t->started = false;
		ev->kind = DP_TRACE_END;
		return true;
	}
	return false;
}

int dp_trace_next(struct dp_trace *t, struct dp_trace_event *ev)
{
	while (!t->err) {
		struct dp_io rec;
		uint64_t len = 0;
		uint8_t kind = 0;
		bool is_event;

		if (t->io.pos == t->io.len) {
			int n = next_block(t);

			if (n <= 0)
				return n;
		}
		dp_io_u8(&t->io, &kind);
		dp_io_u64(&t->io, &len);
		if (t->io.failed || len > t->io.len - t->io.pos)
			return fail(t, -EBADMSG, "block %u holds no whole records", t->blocks - 1);
		rec = (struct dp_io){ .buf = t->io.buf + t->io.pos, .len = (size_t)len };
		t->io.pos += (size_t)len;
		memset(ev, 0, sizeof(*ev));
		is_event = take(t, kind, &rec, ev);
		if (rec.failed)
			return rec.nomem ? fail(t, -ENOMEM, "out of memory")
					 : fail(t, -EBADMSG, "block %u holds numbers that cannot be",
						t->blocks - 1);
		if (is_event)
			return 1;
	}
	return t->err;
}
