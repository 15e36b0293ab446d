/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef DIRTYPROF_TESTS_FUZZ_PLAY_H
#define DIRTYPROF_TESTS_FUZZ_PLAY_H

#include <stddef.h>
#include <stdint.h>

/* Plays a file of these bytes as `dirtyprof report` does, in all formats, as far as a bounded time goes, and checks what comes. */
void fuzz_play(const uint8_t *file, size_t len);

#endif
