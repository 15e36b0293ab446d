// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A trace's file: headers, blocks, how records are framed. The first byte of the input says which checksums are made right
 * before it is read, as else hardly any change would come past them: 1 the file's header, 2 the blocks' headers, 4 their
 * contents.
 */
#include <string.h>

#include "trace/format.h"
#include "fuzz.h"
#include "play.h"

static void repair(uint8_t *file, size_t len, unsigned int how)
{
	size_t at = DP_TRACE_HEAD;

	if (len < DP_TRACE_HEAD)
		return;
	if (how & 1)
		dp_put32(file + 20, dp_crc(file, 20));
	while (len - at >= DP_TRACE_HEAD) {
		uint8_t *head = file + at, *data = head + DP_TRACE_HEAD;
		size_t left = len - at - DP_TRACE_HEAD, packed = dp_get32(head + 12);

		packed = packed < left ? packed : left;
		if (how & 4)
			dp_put32(head + 16, dp_crc(data, packed));
		if (how & 2)
			dp_put32(head + 20, dp_crc(head, 20));
		at += DP_TRACE_HEAD + packed;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t *file;

	if (!len)
		return 0;
	file = malloc(len);
	FUZZ_CHECK(file);
	memcpy(file, data + 1, len - 1);
	repair(file, len - 1, data[0]);
	fuzz_play(file, len - 1);
	free(file);
	return 0;
}
