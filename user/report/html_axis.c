// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Axes: where a value lies, and round numbers along them. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "html_int.h"

#define FAR 40 /* pixels beyond the frame that a value may lie, so that lines leave it at about their slope */

double dp_axis_at(const struct dp_axis *a, double v)
{
	double x, least = fmin(a->p0, a->p1) - FAR, most = fmax(a->p0, a->p1) + FAR;

	if (a->log)
		x = v > 0 ? log(v / a->lo) / log(a->hi / a->lo) : -HUGE_VAL;
	else
		x = (v - a->lo) / (a->hi - a->lo);
	return fmin(most, fmax(least, a->p0 + x * (a->p1 - a->p0)));
}

struct prefix {
	double by;
	const char *name;
};

/* The largest unit that v has at least one of. */
static const struct prefix *prefix_of(enum dp_unit unit, double v)
{
	static const struct prefix time[] = { { 1e-6, "µs" }, { 1e-3, "ms" }, { 1, "s" },
					      { 60, "min" },  { 3600, "h" },  { 0, NULL } };
	static const struct prefix bytes[] = { { 1, "B" },	  { 0x1p10, "KiB" }, { 0x1p20, "MiB" },
					       { 0x1p30, "GiB" }, { 0x1p40, "TiB" }, { 0, NULL } };
	static const struct prefix bytes_s[] = { { 1, "B/s" },	      { 0x1p10, "KiB/s" },
						 { 0x1p20, "MiB/s" }, { 0x1p30, "GiB/s" },
						 { 0x1p40, "TiB/s" }, { 0, NULL } };
	static const struct prefix bits[] = { { 0.125, "b/s" },	 { 125, "kb/s" },   { 125e3, "Mb/s" },
					      { 125e6, "Gb/s" }, { 125e9, "Tb/s" }, { 0, NULL } };
	static const struct prefix count[] = {
		{ 1, "" }, { 1e3, "k" }, { 1e6, "M" }, { 1e9, "G" }, { 0, NULL }
	};
	static const struct prefix percent[] = { { 0.01, "%" }, { 0, NULL } };
	static const struct prefix *const of[] = {
		[DP_U_TIME] = time,   [DP_U_BYTES] = bytes, [DP_U_BYTES_S] = bytes_s,
		[DP_U_BITS_S] = bits, [DP_U_COUNT] = count, [DP_U_PERCENT] = percent,
	};
	const struct prefix *p = of[unit];

	while (p[1].name && v >= p[1].by * (1 - 1e-9))
		p++;
	return p;
}

static void label(struct dp_tick *t, double v, const struct prefix *p)
{
	snprintf(t->label, sizeof(t->label), "%.6g%s%s", v / p->by, *p->name ? " " : "", p->name);
}

/* Decades of 10, each with its lesser lines; bytes: powers of two, so that they are round in their own units. */
static uint32_t log_ticks(const struct dp_axis *a, struct dp_tick *t)
{
	bool binary = a->unit == DP_U_BYTES || a->unit == DP_U_BYTES_S;
	double base = binary ? 2 : 10, decades = log(a->hi / a->lo) / log(base);
	int step = binary ? (int)fmax(1, ceil(decades / fmax(2, fabs(a->p1 - a->p0) / 30))) : 1, k, m;
	uint32_t n = 0;

	for (k = (int)floor(log(a->lo) / log(base)) - step; n < DP_TICKS - 10; k++) {
		double v = pow(base, k);

		if (v > a->hi * (1 + 1e-9))
			break;
		for (m = 1; m < (binary ? 2 : 10); m++) {
			double at = v * m;

			if (at < a->lo * (1 - 1e-9) || at > a->hi * (1 + 1e-9) || (binary && k % step))
				continue;
			t[n] = (struct dp_tick){ .v = at, .minor = m > 1 };
			/* decades of seconds, not minutes */
			if (m == 1)
				label(&t[n], at, prefix_of(a->unit, a->unit == DP_U_TIME ? fmin(at, 1) : at));
			n++;
		}
	}
	return n;
}

/* A round step of at least v: 1, 2 or 5 times a power of ten; of seconds, what divides minutes and hours. */
static double round_step(double v, enum dp_unit unit)
{
	static const double sexagesimal[] = { 15,   30,	  60,	120,   300,   600,   900,
					      1800, 3600, 7200, 14400, 21600, 43200, 86400 };
	double ten;
	unsigned int i;

	for (i = 0; unit == DP_U_TIME && v > 10 && i < sizeof(sexagesimal) / sizeof(double); i++)
		if (v <= sexagesimal[i])
			return sexagesimal[i];
	ten = pow(10, floor(log10(v)));
	return v <= ten * (1 + 1e-9) ? ten : v <= 2 * ten ? 2 * ten : v <= 5 * ten ? 5 * ten : 10 * ten;
}

static double linear_step(const struct dp_axis *a, const struct prefix *p)
{
	double room = fabs(a->p1 - a->p0), most = fmin(10, fmax(2, room / (a->unit == DP_U_TIME ? 90 : 42)));
	double by = a->unit == DP_U_TIME ? 1 : p->by;

	return by * round_step((a->hi - a->lo) / most / by, a->unit);
}

static uint32_t linear_ticks(const struct dp_axis *a, struct dp_tick *t)
{
	/* seconds until there are minutes of them, so that one axis has one unit */
	const struct prefix *p = prefix_of(a->unit, a->unit == DP_U_TIME ? a->hi / 3 : a->hi);
	double step = a->step > 0 ? a->step : linear_step(a, p), v;
	uint32_t n = 0;

	for (v = ceil(a->lo / step - 1e-9) * step; v <= a->hi + 1e-9 * step && n < DP_TICKS; v += step) {
		t[n] = (struct dp_tick){ .v = v };
		label(&t[n], v, p);
		if (fabs(v) < 1e-9 * step)
			strcpy(t[n].label, "0");
		n++;
	}
	return n;
}

uint32_t dp_axis_ticks(const struct dp_axis *a, struct dp_tick *t)
{
	return a->log ? log_ticks(a, t) : linear_ticks(a, t);
}

void dp_axis_upto(struct dp_axis *a, double most)
{
	a->lo = 0;
	a->hi = most > 0 && isfinite(most) ? most : 1;
	a->step = linear_step(a, prefix_of(a->unit, a->hi));
	a->hi = a->step * ceil(a->hi / a->step - 1e-9);
}
