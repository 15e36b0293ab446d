// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "cli/units.h"

#define MAX_DIGITS	18 /* 10^18 - 1 fits in 60 bits, so nothing below can overflow 128 */
#define MAX_BYTES_PER_S 1e15L
#define MAX_NS		(10ULL * 365 * 86400 * 1000000000ULL)
#define PID_LIMIT	(1u << 22)

typedef unsigned __int128 u128;

/* A decimal as mant / 10^frac. */
struct decimal {
	uint64_t mant;
	unsigned int frac;
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static uint64_t pow10u(unsigned int n)
{
	uint64_t r = 1;

	while (n--)
		r *= 10;
	return r;
}

/*
 * Reads a number and leaves *s behind it. Leading zeros do not count as digits; zeros at the end of a
 * fraction do.
 */
static int decimal__parse(const char **s, struct decimal *d)
{
	const char *p = *s;
	bool any = false, point = false;
	unsigned int digits = 0;

	*d = (struct decimal){ 0 };
	for (;; p++) {
		if (*p == '.' && !point) {
			point = true;
			continue;
		}
		if (!is_digit(*p))
			break;
		any = true;
		if (d->mant || *p != '0')
			digits++;
		if (digits > MAX_DIGITS || (point && d->frac >= MAX_DIGITS))
			return -ERANGE;
		d->mant = d->mant * 10 + (uint64_t)(*p - '0');
		d->frac += point;
	}
	/* "5." is as likely a slip as a number */
	if (!any || (point && !d->frac))
		return -EINVAL;
	*s = p;
	return 0;
}

/* Takes a k, M, Gi, ... off *s; 1 if there is none. */
static uint64_t take_prefix(const char **s)
{
	static const char letters[] = "kMGT";
	const char *p = *s;
	char c = *p == 'K' ? 'k' : *p;
	const char *at = c ? strchr(letters, c) : NULL;
	uint64_t base = 1000, mult = 1;
	ptrdiff_t i;

	if (!at)
		return 1;
	p++;
	if (*p == 'i') {
		base = 1024;
		p++;
	}
	for (i = 0; i <= at - letters; i++)
		mult *= base;
	*s = p;
	return mult;
}

static bool one_of(const char *s, const char *const *list)
{
	for (; *list; list++)
		if (!strcmp(s, *list))
			return true;
	return false;
}

int dp_parse_bandwidth(const char *s, double *bytes_per_s)
{
	static const char *const bits[] = { "", "b", "bit", "bps", "b/s", "bit/s", NULL };
	static const char *const bytes[] = { "B", "Bps", "B/s", NULL };
	struct decimal d;
	long double v;
	int err;

	err = decimal__parse(&s, &d);
	if (err)
		return err;
	v = (long double)d.mant * (long double)take_prefix(&s);
	if (one_of(s, bits))
		v /= 8;
	else if (!one_of(s, bytes))
		return -EINVAL;
	v /= (long double)pow10u(d.frac);
	if (v < 1 || v > MAX_BYTES_PER_S)
		return -ERANGE;
	*bytes_per_s = (double)v;
	return 0;
}

int dp_parse_duration(const char *s, uint64_t *ns)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} unit[] = {
		{ "", 1000000000 },
		{ "s", 1000000000 },
		{ "ms", 1000000 },
		{ "us", 1000 },
		{ "ns", 1 },
		{ "m", 60 * 1000000000ULL },
		{ "min", 60 * 1000000000ULL },
		{ "h", 3600 * 1000000000ULL },
	};
	struct decimal d;
	size_t i;
	int err;

	err = decimal__parse(&s, &d);
	if (err)
		return err;
	for (i = 0; i < sizeof(unit) / sizeof(*unit); i++) {
		u128 v, div;

		if (strcmp(s, unit[i].name))
			continue;
		div = pow10u(d.frac);
		v = ((u128)d.mant * unit[i].ns + div / 2) / div;
		if (v > MAX_NS)
			return -ERANGE;
		*ns = (uint64_t)v;
		return 0;
	}
	return -EINVAL;
}

int dp_parse_uint(const char *s, uint64_t min, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (!is_digit(*s))
		return -EINVAL;
	for (; is_digit(*s); s++)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			v = UINT64_MAX, max = 0; /* keep looking for rubbish behind it */
	if (*s)
		return -EINVAL;
	if (v < min || v > max)
		return -ERANGE;
	*out = v;
	return 0;
}

int dp_parse_pid(const char *s, pid_t *pid)
{
	uint64_t v;
	int err = dp_parse_uint(s, 1, PID_LIMIT, &v);

	if (!err)
		*pid = (pid_t)v;
	return err;
}
