/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Both directions of a trace's records in one: each struct is described once, field by field, and the same description writes
 * and reads it. Integers are LEB128 (signed ones zigzag); doubles too, doubled, if they are whole, else 1 and their eight bytes.
 */
#ifndef DIRTYPROF_TRACE_CODEC_H
#define DIRTYPROF_TRACE_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trace/trace.h"

/* Memory for what a record points to; given back as a whole. */
struct dp_arena {
	struct dp_arena_chunk *chunks;
};

void *dp_arena_get(struct dp_arena *a, size_t size); /* zeroed; NULL: out of memory */
void dp_arena_reset(struct dp_arena *a);	     /* keeps a chunk for what comes next */
void dp_arena_free(struct dp_arena *a);

struct dp_io {
	bool writing;
	bool failed; /* writing: out of memory; reading: these bytes are no such record */
	bool nomem;
	uint8_t *buf;
	size_t len, cap; /* writing: filled, allocated; reading: the record's length */
	size_t pos;	 /* reading */
	struct dp_arena *arena;
};

void dp_io_put(struct dp_io *io, const void *p, size_t n); /* writing: bytes as they are */
void dp_io_long64(struct dp_io *io, uint64_t *v);
void dp_io_long32(struct dp_io *io, uint32_t *v);
void dp_io_long8(struct dp_io *io, uint8_t *v);

/* Whether the next number to read is of one byte. Most are, and a day's trace has some 10^9 of them. */
static inline bool dp_io_short(const struct dp_io *io)
{
	return !io->writing && !io->failed && io->pos < io->len && io->buf[io->pos] < 0x80;
}

static inline void dp_io_u64(struct dp_io *io, uint64_t *v)
{
	if (dp_io_short(io))
		*v = io->buf[io->pos++];
	else
		dp_io_long64(io, v);
}

static inline void dp_io_u32(struct dp_io *io, uint32_t *v)
{
	if (dp_io_short(io))
		*v = io->buf[io->pos++];
	else
		dp_io_long32(io, v);
}

static inline void dp_io_u8(struct dp_io *io, uint8_t *v)
{
	if (dp_io_short(io))
		*v = io->buf[io->pos++];
	else
		dp_io_long8(io, v);
}

void dp_io_u16(struct dp_io *io, uint16_t *v);
void dp_io_bool(struct dp_io *io, bool *v);
void dp_io_s64(struct dp_io *io, int64_t *v);
/* As the difference to the last one of its kind: equal steps pack well. *last is moved on; 0 before the first. */
void dp_io_step(struct dp_io *io, uint64_t *v, uint64_t *last);
void dp_io_step32(struct dp_io *io, uint32_t *v, uint32_t *last);
void dp_io_f64(struct dp_io *io, double *v);		       /* any but NaN */
void dp_io_str(struct dp_io *io, char *s, size_t size);	       /* cut to size, NUL-terminated */
void dp_io_text(struct dp_io *io, const char **s, size_t max); /* into the arena; NULL is written as "" */

/*
 * A count and room for that many elements of size bytes, each of which takes at least `least` bytes of the record. False:
 * there is nothing to go through. *p is left alone when writing.
 */
bool dp_io_array(struct dp_io *io, uint32_t *n, void **p, size_t size, size_t least);

/* Whether the record goes on: what was added to a struct later is read only then, and else left zero. */
bool dp_io_more(const struct dp_io *io);

#define DP_IO_NS_MAX (1ull << 62)

/* windows.c: those of the snapshot that begins at t0_ns, or some of them. */
struct dp_windows {
	uint64_t t0_ns;
	struct dp_window *w;
	uint32_t n, room;
};

void dp_io_put_windows(struct dp_io *io, uint64_t t0_ns, const struct dp_window *w, uint32_t n);
void dp_io_get_windows(struct dp_io *io, struct dp_windows *to); /* behind those that are in *to */
void dp_io_windows(struct dp_io *io, struct dp_snapshot *s); /* the list in a snapshot: of old traces alone */

/* records.c: what is read is also held against its ranges, so that the model can rely on it. */
void dp_io_start(struct dp_io *io, struct dp_trace_start *s);
void dp_io_opts(struct dp_io *io, struct dp_session_opts *o);
void dp_io_vm(struct dp_io *io, struct dp_vm *vm);
void dp_io_snapshot(struct dp_io *io, struct dp_snapshot *s, const struct dp_vm *vm);
void dp_io_times(struct dp_io *io, struct dp_snapshot *s); /* what a snapshot begins with, up to its times */

#endif
