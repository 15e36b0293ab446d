/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Text on stdout as it runs: the usual lines, or with pictures (--heatmap, --curve). On a terminal the curve stays below the lines,
 * and all is drawn anew when the terminal's size changes; elsewhere there are plain lines, and the curve after the report.
 *
 * Everything is written into a buffer that the caller prints at once. What was drawn below the lines must go before anybody
 * else writes to the terminal: dp_view_erase.
 */
#ifndef DIRTYPROF_CLI_VIEW_H
#define DIRTYPROF_CLI_VIEW_H

#include "dirtyprof/report.h"

struct dp_view;

/* heatmap, curve: what is asked for; live: as it happens, so that a terminal may be drawn on anew. NULL: out of memory. */
struct dp_view *dp_view_new(bool heatmap, bool curve, bool live);
void dp_view_free(struct dp_view *v); /* NULL-safe */

/* In place of dp_text_header, _line and _final; reports must stay valid until the next call. */
void dp_view_header(struct dp_view *v, struct dp_buf *b, const struct dp_report *r);
void dp_view_line(struct dp_view *v, struct dp_buf *b, const struct dp_report *r);
void dp_view_final(struct dp_view *v, struct dp_buf *b, const struct dp_report *r);

/* After SIGWINCH. */
void dp_view_resized(struct dp_view *v, struct dp_buf *b);

/* After SIGCONT: others have written to the terminal meanwhile, and what is on it stays. */
void dp_view_continued(struct dp_view *v);

/* Takes what is below the lines off the screen, at once; it comes back with the next line. NULL-safe. */
void dp_view_erase(struct dp_view *v);

#endif
