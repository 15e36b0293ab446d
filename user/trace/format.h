/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The file: a header, then blocks. All numbers are little endian; crc is zlib's crc32.
 *
 *	header  magic[8]  u32 version  u32 0  u32 0  u32 crc of the 20 bytes before it
 *	block   magic[4]  u32 number (from 0)  u32 raw  u32 packed  u32 crc of what follows  u32 crc of the 20 bytes before it
 *	        then `packed` bytes, a zlib stream of `raw` bytes: whole records
 *	record  u8 kind  LEB128 length  fields (records.c)
 *
 * A reader skips records of kinds that it does not know and fields behind those that it knows. What it could not read so
 * gets a new version.
 */
#ifndef DIRTYPROF_TRACE_FORMAT_H
#define DIRTYPROF_TRACE_FORMAT_H

#include <stdint.h>
#include <string.h>
#include <zlib.h>

/* Not text, and broken by whatever changes line ends. */
#define DP_TRACE_MAGIC                                                                                       \
	"\x89"                                                                                               \
	"DPT\r\n\x1a\n"
#define DP_BLOCK_MAGIC	 "dpB\x1e"
#define DP_TRACE_VERSION 1u
#define DP_TRACE_HEAD	 24u	      /* bytes of either header */
#define DP_BLOCK_RAW	 (128u << 10) /* a block is written when it has so much, */
#define DP_BLOCK_NS                                                                                          \
	5000000000ull /* or holds so much time; so much is lost at most when the recorder is killed */
#define DP_BLOCK_MAX	  (64u << 20) /* of raw bytes: a record is far smaller on any VM there is */
#define DP_RECORD_WINDOWS (1u << 16)  /* in one record; the rest comes in further ones */

enum dp_record { DP_REC_START = 1, DP_REC_OPTS, DP_REC_VM, DP_REC_SNAPSHOT, DP_REC_END, DP_REC_WINDOWS };

static inline void dp_put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
	p[2] = (uint8_t)(v >> 16);
	p[3] = (uint8_t)(v >> 24);
}

static inline uint32_t dp_get32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint32_t dp_crc(const void *p, size_t n)
{
	return (uint32_t)crc32_z(crc32_z(0, NULL, 0), p, n);
}

/* read.c: takes a header apart. 0; -EBADMSG: it is none; -EPROTONOSUPPORT: of a later version (*version). */
int dp_trace_header(const uint8_t *head, uint32_t *version);
/* 0, or -EBADMSG. */
int dp_block_header(const uint8_t *head, uint32_t number, uint32_t *raw, uint32_t *packed, uint32_t *crc);

#endif
