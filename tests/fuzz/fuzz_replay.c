// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a trace's records hold, and all that is computed from it: numbers that no VM would give. Input is records (kind, and
 * then the fields), each behind the bytes fe ed fa; they are framed, packed and summed up here, so that every change counts.
 */
#include <string.h>

#include "trace/format.h"
#include "fuzz.h"
#include "play.h"

static const uint8_t mark[] = { 0xfe, 0xed, 0xfa };

static const uint8_t *next_mark(const uint8_t *p, const uint8_t *end)
{
	const uint8_t *m = end - p >= 3 ? memmem(p, (size_t)(end - p), mark, sizeof(mark)) : NULL;

	return m ? m : end;
}

/* The records as a block has them. At most twice as long as the input, and some more. */
static size_t frame(const uint8_t *data, size_t len, uint8_t *raw)
{
	const uint8_t *end = data + len, *p = next_mark(data, end), *to;
	size_t n = 0, v;

	for (; p < end; p = to) {
		p += sizeof(mark);
		to = next_mark(p, end);
		if (p == to)
			continue;
		raw[n++] = *p++;
		for (v = (size_t)(to - p); v > 0x7f; v >>= 7)
			raw[n++] = (uint8_t)(v | 0x80);
		raw[n++] = (uint8_t)v;
		memcpy(raw + n, p, (size_t)(to - p));
		n += (size_t)(to - p);
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t *raw = malloc(2 * len + 16), *file = malloc(2 * DP_TRACE_HEAD + compressBound(2 * len + 16));
	uint8_t *block = file + DP_TRACE_HEAD;
	size_t n;
	uLongf packed = compressBound(2 * len + 16);

	FUZZ_CHECK(raw && file);
	n = frame(data, len, raw);
	FUZZ_CHECK(compress2(block + DP_TRACE_HEAD, &packed, raw, n, 1) == Z_OK);
	memset(file, 0, 2 * DP_TRACE_HEAD);
	memcpy(file, DP_TRACE_MAGIC, 8);
	dp_put32(file + 8, DP_TRACE_VERSION);
	dp_put32(file + 20, dp_crc(file, 20));
	memcpy(block, DP_BLOCK_MAGIC, 4);
	dp_put32(block + 8, (uint32_t)n);
	dp_put32(block + 12, (uint32_t)packed);
	dp_put32(block + 16, dp_crc(block + DP_TRACE_HEAD, packed));
	dp_put32(block + 20, dp_crc(block, 20));
	fuzz_play(file, 2 * DP_TRACE_HEAD + packed);
	free(raw);
	free(file);
	return 0;
}
