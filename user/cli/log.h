/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The one logger: messages for people, one line each, to stderr, prefixed "dirtyprof: ". stdout is for data.
 *
 * A message is cut at DP_LOG_LINE bytes; control characters in it (names that a guest's owner chose, text
 * that a QMP server sent) are shown as '?', so that a message stays one line and cannot drive the
 * terminal. A line is written with one write(), so that lines of several processes do not mix. errno is
 * kept.
 */
#ifndef DIRTYPROF_CLI_LOG_H
#define DIRTYPROF_CLI_LOG_H

#include <stdarg.h>
#include <stddef.h>

#define DP_LOG_LINE 1024

enum dp_level { DP_LVL_ERR, DP_LVL_WARN, DP_LVL_INFO, DP_LVL_DEBUG };

/* Messages above this level are left out. At start: DP_LVL_INFO. */
void dp_log_set_level(enum dp_level level);
enum dp_level dp_log_level(void);

/* Called before each line that is written: what is drawn on the terminal makes way. NULL: nobody. It must not log. */
void dp_log_before(void (*fn)(void *ctx), void *ctx);

void dp_vlog(enum dp_level level, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
void dp_log(enum dp_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * The status line: what is going on now, below all else and gone with the next message. On stderr, and only where that is a
 * terminal and we are in its foreground; cut to its width, as bytes. The same text again writes nothing. Whoever writes to stdout
 * clears it first.
 */
void dp_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void dp_status_clear(void);

/* Replaces control characters (below 0x20, 0x7f) with '?', in place. */
void dp_log_clean(char *s);

#define dp_err(...)   dp_log(DP_LVL_ERR, __VA_ARGS__)
#define dp_warn(...)  dp_log(DP_LVL_WARN, __VA_ARGS__)
#define dp_info(...)  dp_log(DP_LVL_INFO, __VA_ARGS__)
#define dp_debug(...) dp_log(DP_LVL_DEBUG, __VA_ARGS__)

#endif
