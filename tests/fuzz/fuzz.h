/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the fuzz targets share. A target is a program with LLVMFuzzerTestOneInput; libFuzzer calls it, or driver.c where the
 * compiler has no libFuzzer. It keeps nothing between inputs, touches nothing of the system and waits for nothing.
 */
#ifndef DIRTYPROF_TESTS_FUZZ_H
#define DIRTYPROF_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* An input that breaks a promise is a finding, like one that breaks memory. */
#define FUZZ_CHECK(cond)                                                                                     \
	do {                                                                                                 \
		if (!(cond)) {                                                                               \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond);                   \
			abort();                                                                             \
		}                                                                                            \
	} while (0)

#endif
