/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Guests that nobody ran: see synth.c. */
#ifndef TESTS_SYNTH_KINDS_H
#define TESTS_SYNTH_KINDS_H

#include <stdbool.h>
#include <stdint.h>

#define GIB   262144ull /* 4K pages */
#define NTIER 8

struct tier {
	uint64_t first, pages; /* 4K pages of RAM, in the order of addresses */
	double rate;	       /* writes a second to each page */
	double from, to;       /* s: while it is at work; 0, 0: always */
	double drift;	       /* pages a second that it moves on by, */
	uint64_t span;	       /* over so many, and again */
};

struct kind {
	const char *name, *vm;
	uint64_t ram; /* 4K pages */
	uint32_t vcpus;
	bool ring, never_logs;
	double seconds;
	double migrate_at, bandwidth; /* s, bytes/s; 0: it is not migrated */
	double given;		      /* --bandwidth, bytes/s */
	double limit;		      /* s */
	double every;		      /* s */
	struct tier tier[NTIER];
};

/* NULL: there is none of this name. */
const struct kind *kind_of(const char *name);

#endif
