/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Strict parsing of what is given on the command line. Nothing may follow or precede a value (no blanks),
 * numbers are plain decimals ("10", "0.5", ".5", "866.83": no sign, no exponent, no hex, no inf or nan).
 * All return 0, -EINVAL (not such a value) or -ERANGE (too large, or too small to be of use); on an error
 * nothing is written.
 */
#ifndef DIRTYPROF_CLI_UNITS_H
#define DIRTYPROF_CLI_UNITS_H

#include <stdint.h>
#include <sys/types.h>

/*
 * NUMBER[PREFIX][UNIT] -> bytes a second, from 1 to 1e15.
 *
 *   PREFIX  k K M G T        powers of 1000
 *           Ki Mi Gi Ti      powers of 1024 (ki too)
 *   UNIT    none, bit, bps, b, bit/s, b/s    bits a second
 *           B, Bps, B/s                      bytes a second
 *
 * So 10G = 10Gbps = 10Gbit/s = 1.25e9 bytes/s; 866.83M = 108353750 bytes/s; 125MB/s = 1.25e8; 128MiB/s =
 * 134217728; 1000 = 125. The case of b and B matters, that of the others (but k) as well.
 */
int dp_parse_bandwidth(const char *s, double *bytes_per_s);

/*
 * NUMBER[UNIT] -> nanoseconds, from 0 to 10 years. UNIT: ns, us, ms, s (also when there is none), m or
 * min, h. "300ms", "1.5s", "2". Rounded to the nearest nanosecond.
 */
int dp_parse_duration(const char *s, uint64_t *ns);

/* A decimal integer from min to max. */
int dp_parse_uint(const char *s, uint64_t min, uint64_t max, uint64_t *out);

/* A process id: 1 to 2^22 (the kernel's PID_MAX_LIMIT). */
int dp_parse_pid(const char *s, pid_t *pid);

#endif
