// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "trace/codec.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK (64u << 10)

struct dp_arena_chunk {
	struct dp_arena_chunk *next;
	size_t used, size;
	_Alignas(16) unsigned char data[];
};

void *dp_arena_get(struct dp_arena *a, size_t size)
{
	struct dp_arena_chunk *c = a->chunks;
	void *p;

	size = (size + 15) & ~(size_t)15;
	if (!c || c->size - c->used < size) {
		size_t room = size > CHUNK ? size : CHUNK;

		c = malloc(sizeof(*c) + room);
		if (!c)
			return NULL;
		c->next = a->chunks;
		c->used = 0;
		c->size = room;
		a->chunks = c;
	}
	p = c->data + c->used;
	c->used += size;
	return memset(p, 0, size);
}

void dp_arena_reset(struct dp_arena *a)
{
	struct dp_arena_chunk *c, *keep = a->chunks;

	if (!keep)
		return;
	while ((c = keep->next)) {
		keep->next = c->next;
		free(c);
	}
	keep->used = 0;
}

void dp_arena_free(struct dp_arena *a)
{
	dp_arena_reset(a);
	free(a->chunks);
	a->chunks = NULL;
}

void dp_io_put(struct dp_io *io, const void *p, size_t n)
{
	if (io->failed)
		return;
	if (io->cap - io->len < n) {
		size_t cap = io->cap ? io->cap * 2 : 4096;
		uint8_t *more;

		while (cap - io->len < n)
			cap *= 2;
		more = realloc(io->buf, cap);
		if (!more) {
			io->failed = io->nomem = true;
			return;
		}
		io->buf = more;
		io->cap = cap;
	}
	memcpy(io->buf + io->len, p, n);
	io->len += n;
}

static void put_varint(struct dp_io *io, uint64_t v)
{
	uint8_t bytes[10];
	size_t n = 0;

	do {
		bytes[n++] = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
		v >>= 7;
	} while (v);
	dp_io_put(io, bytes, n);
}

static uint64_t get_varint(struct dp_io *io)
{
	uint64_t v = 0;
	unsigned int shift = 0;

	while (!io->failed) {
		uint8_t b;

		if (io->pos >= io->len || shift > 63)
			break;
		b = io->buf[io->pos++];
		/* The tenth byte has one bit left. */
		if (shift == 63 && (b & 0x7e))
			break;
		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return v;
		shift += 7;
	}
	io->failed = true;
	return 0;
}

static inline int64_t unzigzag(uint64_t u)
{
	return (int64_t)((u >> 1) ^ (u & 1 ? UINT64_MAX : 0));
}

void dp_io_long64(struct dp_io *io, uint64_t *v)
{
	if (io->writing)
		put_varint(io, *v);
	else
		*v = get_varint(io);
}

static uint64_t small(struct dp_io *io, uint64_t v, uint64_t max)
{
	dp_io_u64(io, &v);
	if (v > max) {
		io->failed = true;
		v = 0;
	}
	return v;
}

void dp_io_long32(struct dp_io *io, uint32_t *v)
{
	*v = (uint32_t)small(io, *v, UINT32_MAX);
}

void dp_io_u16(struct dp_io *io, uint16_t *v)
{
	*v = (uint16_t)small(io, *v, UINT16_MAX);
}

void dp_io_long8(struct dp_io *io, uint8_t *v)
{
	*v = (uint8_t)small(io, *v, UINT8_MAX);
}

void dp_io_bool(struct dp_io *io, bool *v)
{
	*v = small(io, *v, 1);
}

void dp_io_step(struct dp_io *io, uint64_t *v, uint64_t *last)
{
	int64_t d = (int64_t)(*v - *last);

	dp_io_s64(io, &d);
	if (!io->writing)
		*v = *last + (uint64_t)d;
	*last = *v;
}

void dp_io_step32(struct dp_io *io, uint32_t *v, uint32_t *last)
{
	uint64_t to = *v, from = *last;

	if (io->writing) {
		dp_io_step(io, &to, &from);
	} else {
		dp_io_u64(io, &to);
		to = from + (uint64_t)unzigzag(to);
		io->failed |= to > UINT32_MAX;
		*v = (uint32_t)to;
	}
	*last = *v;
}

void dp_io_s64(struct dp_io *io, int64_t *v)
{
	uint64_t u = ((uint64_t)*v << 1) ^ (*v < 0 ? UINT64_MAX : 0);

	dp_io_u64(io, &u);
	if (!io->writing)
		*v = unzigzag(u);
}

/* Nearly all of them are counts: twice the number then. 1: the eight bytes follow. */
static void put_f64(struct dp_io *io, double v)
{
	uint64_t u, n = v >= 0 && v < 0x1p53 ? (uint64_t)v : 0;
	double same = (double)n;
	uint8_t bytes[8];
	int i;

	memcpy(&u, &v, sizeof(u));
	if (!memcmp(&same, &v, sizeof(v))) {
		put_varint(io, n << 1);
		return;
	}
	for (i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(u >> (8 * i));
	put_varint(io, 1);
	dp_io_put(io, bytes, sizeof(bytes));
}

static double get_f64(struct dp_io *io)
{
	uint64_t u = 0;
	double v = 0;
	int i;

	dp_io_u64(io, &u);
	if (!(u & 1))
		return (double)(u >> 1);
	if (io->failed || u != 1 || io->len - io->pos < 8) {
		io->failed = true;
		return 0;
	}
	for (i = 0, u = 0; i < 8; i++)
		u |= (uint64_t)io->buf[io->pos++] << (8 * i);
	memcpy(&v, &u, sizeof(v));
	io->failed = isnan(v);
	return io->failed ? 0 : v;
}

void dp_io_f64(struct dp_io *io, double *v)
{
	if (io->writing)
		put_f64(io, *v);
	else
		*v = get_f64(io);
}

static size_t text_len(struct dp_io *io, const char *s, size_t max)
{
	uint64_t n = io->writing ? strnlen(s, max) : 0;

	dp_io_u64(io, &n);
	if (!io->writing && (io->failed || n > max || n > io->len - io->pos)) {
		io->failed = true;
		n = 0;
	}
	return (size_t)n;
}

void dp_io_str(struct dp_io *io, char *s, size_t size)
{
	size_t n = text_len(io, s, size - 1);

	if (io->writing) {
		dp_io_put(io, s, n);
		return;
	}
	memcpy(s, io->buf + io->pos, n);
	s[n] = '\0';
	io->pos += n;
}

void dp_io_text(struct dp_io *io, const char **s, size_t max)
{
	const char *from = *s ? *s : "";
	size_t n = text_len(io, from, max);
	char *to;

	if (io->writing) {
		dp_io_put(io, from, n);
		return;
	}
	*s = to = io->failed ? NULL : dp_arena_get(io->arena, n + 1);
	if (!to) {
		io->nomem |= !io->failed;
		io->failed = true;
		*s = "";
		return;
	}
	memcpy(to, io->buf + io->pos, n);
	io->pos += n;
}

bool dp_io_array(struct dp_io *io, uint32_t *n, void **p, size_t size, size_t least)
{
	dp_io_u32(io, n);
	if (io->writing)
		return *n && !io->failed;
	*p = NULL;
	if (io->failed || *n > (io->len - io->pos) / least) {
		io->failed = true;
		*n = 0;
		return false;
	}
	if (!*n)
		return false;
	*p = dp_arena_get(io->arena, size * *n);
	if (!*p) {
		io->failed = io->nomem = true;
		*n = 0;
	}
	return *p;
}

bool dp_io_more(const struct dp_io *io)
{
	return io->writing || (!io->failed && io->pos < io->len);
}
