/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The inside of the text report. */
#ifndef DIRTYPROF_TEXT_INT_H
#define DIRTYPROF_TEXT_INT_H

#include "dirtyprof/report.h"

#define FMT	32
#define FMT_EST 80

/* Writes a paragraph of at most DP_TEXT_WIDTH bytes a line; lines but the first start with `indent` blanks. */
void dp_text_wrap(struct dp_buf *b, unsigned int indent, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Writes one line, cut at DP_TEXT_WIDTH bytes: for tables, whose cells are only that wide in absurd cases. */
void dp_text_row(struct dp_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

typedef char *(*dp_fmt_fn)(char *buf, size_t size, double v);

/* A page's size: "4 KiB", "2 MiB"; "not known" for 0. */
char *dp_fmt_page(char *buf, size_t size, uint32_t bytes);

/* A ratio of bytes: "1.50x"; "-" where it is not known or has no end. */
char *dp_fmt_times(char *buf, size_t size, double v);

/* Bytes a second: "99.0 MiB/s". */
char *dp_fmt_rate(char *buf, size_t size, double v);

/* The time of day of seconds since the epoch: "15:04:05.123456 UTC". */
char *dp_fmt_clock(char *buf, size_t size, double wall);

/* A share: "37.5 %", "0.0244 %". */
char *dp_fmt_share(char *buf, size_t size, double v);

/* "mid (lo to hi)", or the middle alone where all three read the same. buf has FMT_EST bytes. */
char *dp_fmt_est(char *buf, struct dp_est e, dp_fmt_fn fmt);

/* A row of a name and an estimate. */
void dp_text_est(struct dp_buf *b, const char *name, struct dp_est e, dp_fmt_fn fmt);

/* What really changed of what the log reported (text_change.c). */
void dp_text_change(struct dp_buf *b, const struct dp_report *r);

/* Where dirty pages come from (text_hot.c). */
void dp_text_hot(struct dp_buf *b, const struct dp_report *r);

/* The verdict, the advice and the cautions (text_words.c). dp_words_*: as one line without its end, for other forms. */
void dp_words_verdict(struct dp_buf *b, const struct dp_report *r);
/* true: it is advice, false: a caution. Adds nothing for a kind that has no words. */
bool dp_words_note(struct dp_buf *b, const struct dp_report *r, const struct dp_note *n);
void dp_text_verdict(struct dp_buf *b, const struct dp_report *r);
void dp_text_notes(struct dp_buf *b, const struct dp_report *r);
void dp_text_waiting(struct dp_buf *b, const struct dp_report *r);
const char *dp_text_speed_from(enum dp_speed_from f);

/* What a migration was predicted to do, beside what it did (text_migration.c). */
void dp_text_migration(struct dp_buf *b, const struct dp_report *r);
void dp_text_sync(struct dp_buf *b, const struct dp_report *r, const struct dp_sync_report *y);

#endif
