// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/log.h"

static enum dp_level max_level = DP_LVL_INFO;

/* What the status line shows; only a terminal has one. */
static char status[DP_LOG_LINE];

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

static void write_all(const char *s, size_t len)
{
	ssize_t n;

	while (len) {
		n = write(STDERR_FILENO, s, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break; /* nowhere left to complain */
		s += n;
		len -= (size_t)n;
	}
}

/* A terminal that can take a line back, and that is ours: others have it while we are in the background. */
static bool has_status(unsigned int *columns)
{
	const char *term = getenv("TERM");
	struct winsize ws = { 0 };
	pid_t group;

	if (!isatty(STDERR_FILENO) || !term || !*term || !strcmp(term, "dumb"))
		return false;
	group = tcgetpgrp(STDERR_FILENO);
	if (group >= 0 && group != getpgrp())
		return false;
	*columns = !ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) && ws.ws_col ? ws.ws_col : 80;
	return true;
}

void dp_status(const char *fmt, ...)
{
	char text[DP_LOG_LINE], line[DP_LOG_LINE + 16];
	unsigned int columns;
	int saved = errno;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	dp_log_clean(text);
	if (strcmp(text, status) && has_status(&columns)) {
		memcpy(status, text, sizeof(status));
		/* a line that the terminal broke could not be taken back */
		snprintf(line, sizeof(line), "\r\033[K%.*s", (int)columns - 1, text);
		write_all(line, strlen(line));
	}
	errno = saved;
}

void dp_status_clear(void)
{
	static const char erase[] = "\r\033[K";
	int saved = errno;

	if (status[0])
		write_all(erase, sizeof(erase) - 1);
	status[0] = '\0';
	errno = saved;
}

void dp_vlog(enum dp_level level, const char *fmt, va_list ap)
{
	static const char prefix[] = "dirtyprof: ";
	char line[DP_LOG_LINE + 1];
	size_t len = sizeof(prefix) - 1;
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
	dp_status_clear();
	if (before_line)
		before_line(before_ctx);
	write_all(line, len);
	errno = saved;
}

void dp_log(enum dp_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	dp_vlog(level, fmt, ap);
	va_end(ap);
}
