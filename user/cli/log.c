// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/log.h"

static enum dp_level max_level = DP_LVL_INFO;

static void (*before_line)(void *ctx);
static void *before_ctx;

void dp_log_before(void (*fn)(void *ctx), void *ctx)
{
	before_line = fn;
	before_ctx = ctx;
}

void dp_log_set_level(enum dp_level level)
{
	max_level = level;
}

enum dp_level dp_log_level(void)
{
	return max_level;
}

void dp_log_clean(char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c < 0x20 || c == 0x7f)
			*s = '?';
	}
}

void dp_vlog(enum dp_level level, const char *fmt, va_list ap)
{
	static const char prefix[] = "dirtyprof: ";
	char line[DP_LOG_LINE + 1];
	size_t len = sizeof(prefix) - 1, off = 0;
	int saved = errno;

	if (level > max_level)
		return;
	memcpy(line, prefix, len);
	/* -1: room for the newline after the longest message */
	if (vsnprintf(line + len, sizeof(line) - len - 1, fmt, ap) < 0)
		line[len] = '\0';
	/* a newline that ends the message is the logger's business, not a control character */
	len = strlen(line);
	if (line[len - 1] == '\n')
		line[--len] = '\0';
	dp_log_clean(line);
	line[len++] = '\n';
	if (before_line)
		before_line(before_ctx);
	while (off < len) {
		ssize_t r = write(STDERR_FILENO, line + off, len - off);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			break; /* nowhere left to complain */
		off += (size_t)r;
	}
	errno = saved;
}

void dp_log(enum dp_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	dp_vlog(level, fmt, ap);
	va_end(ap);
}
