// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Pictures in a terminal, at many widths: what stands where is worked out from what is drawn. */
#include "report_fixture.h"
#include "dirtyprof/term.h"

/* Columns that a line takes: bytes that begin a character, colours left out. */
static unsigned int columns(const char *s, size_t len)
{
	unsigned int n = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		if (s[i] == '\033') {
			while (i < len && s[i] != 'm')
				i++;
			continue;
		}
		n += ((unsigned char)s[i] & 0xc0) != 0x80;
	}
	return n;
}

/* Number of lines; each is at most `most` columns. */
static unsigned int lines_within(const struct dp_buf *b, unsigned int most)
{
	const char *p = b->data ? b->data : "";
	unsigned int n = 0;

	assert_false(b->failed);
	while (*p) {
		size_t len = strcspn(p, "\n");

		assert_int_equal(p[len], '\n');
		if (columns(p, len) > most)
			fail_msg("%u columns of %u: %.*s", columns(p, len), most, (int)len, p);
		p += len + 1;
		n++;
	}
	return n;
}

static struct dp_look plain(unsigned int width)
{
	return (struct dp_look){ .width = width };
}

static const struct {
	unsigned int width, cells, columns;
	bool pages, rate;
} grids[] = {
	/* 7 columns for the time, 8 for the pages, the last stays free: 16; 11 more for the rate */
	{ 10, 4, 1, true, false },    /* as 20 */
	{ 20, 4, 1, true, false },    /* 4 left */
	{ 23, 4, 1, true, false },    /* 7 */
	{ 24, 8, 1, true, false },    /* 8 */
	{ 79, 32, 1, true, true },    /* 63: 32, and 31 for the rate */
	{ 80, 64, 1, true, false },   /* 64 */
	{ 90, 64, 1, true, false },   /* 74: 10 over */
	{ 91, 64, 1, true, true },    /* 75: 11 over */
	{ 143, 64, 1, true, true },   /* 127 */
	{ 144, 128, 1, true, false }, /* 128 */
	{ 271, 128, 1, true, true },  /* 255 */
	{ 272, 128, 2, true, false }, /* 256 */
	{ 500, 128, 3, true, true },  /* 484 = 3 * 128 + 100 */
};

/* One cell in two is full. */
static void widths(void **state)
{
	struct dp_heat_row h = { .t = 12.5, .pages = 25344, .rate = 10 * MIB };
	unsigned int i, c, j;
	struct dp_report r;
	struct dp_buf b = { 0 };

	fx_report(&r);
	for (i = 0; i < sizeof(grids) / sizeof(grids[0]); i++) {
		struct dp_look k = plain(grids[i].width);
		char want[1024] = "  12.5 ";

		for (j = 0; j < DP_HEAT_BINS; j++) {
			h.ram[j] = 100;
			h.heat[j] = j / (DP_HEAT_BINS / grids[i].cells) % 2 ? 100 : 0;
		}
		for (c = 0; c < grids[i].cells; c++)
			for (j = 0; j < grids[i].columns; j++)
				strcat(want, c % 2 ? "@" : " ");
		strcat(want, "  25,344");
		strcat(want, grids[i].rate ? " 10.0 MiB/s\n" : "\n");
		dp_buf_reset(&b);
		dp_term_heat_row(&b, &h, &k);
		assert_string_equal(b.data, want);
		assert_int_equal(lines_within(&b, grids[i].width < 20 ? 19 : grids[i].width - 1), 1);
		/* the columns' names take the same width */
		dp_buf_reset(&b);
		dp_term_heat_axis(&b, &r, &k);
		assert_int_equal(columns(b.data, b.len - 1), columns(want, strlen(want) - 1));
		/* in blocks, as wide; with colours, too */
		k.utf8 = true;
		for (k.colours = DP_COLOURS_NONE; k.colours <= DP_COLOURS_256; k.colours++) {
			dp_buf_reset(&b);
			dp_term_heat_row(&b, &h, &k);
			assert_int_equal(columns(b.data, b.len - 1), columns(want, strlen(want) - 1));
			assert_int_equal(strchr(b.data, '\033') != NULL, k.colours != DP_COLOURS_NONE);
			if (k.colours)
				assert_non_null(strstr(b.data, "\033[0m"));
		}
	}
	dp_buf_free(&b);
	(void)state;
}

/* 80 columns: cells of two parts. Of 512 pages n are dirty: the last glyph from 1/2 on, the one before from 1/4 on, ... */
static void shades(void **state)
{
	static const char glyphs[] = " .:-=+*#%@";
	static const uint64_t pages[] = { 0,  1,  2,  3,   4,	7,   8,	  15,  16,  31,
					  32, 63, 64, 127, 128, 255, 256, 511, 512, 513 };
	struct dp_heat_row h = { .pages = NAN, .rate = NAN };
	struct dp_look k = plain(80);
	struct dp_buf b = { 0 };
	unsigned int i, n = sizeof(pages) / sizeof(pages[0]);

	for (i = 0; i < DP_HEAT_BINS; i++)
		h.ram[i] = 256;
	for (i = 0; i < n; i++) {
		h.heat[2 * i] = pages[i] / 2;
		h.heat[2 * i + 1] = pages[i] - pages[i] / 2;
	}
	dp_term_heat_row(&b, &h, &k);
	for (i = 0; i < n; i++) {
		int level = 0;

		if (pages[i])
			level = (int)fmin(9, fmax(1, 10 + floor(log2((double)pages[i] / 512))));
		assert_int_equal(b.data[7 + i], glyphs[level]);
	}
	/* nothing is known: no number */
	assert_string_equal(b.data + 7 + 64, "       -\n");
	/* a part without RAM, and counts that no RAM has room for: full */
	memset(h.ram, 0, sizeof(h.ram));
	h.ram[2] = 1;
	h.heat[0] = 0;
	h.heat[2] = UINT64_MAX >> 8;
	dp_buf_reset(&b);
	dp_term_heat_row(&b, &h, &k);
	assert_int_equal(b.data[7 + 1], '@');
	dp_buf_free(&b);
	(void)state;
}

/* A colour lasts as long as the level does; blanks need none. */
static void colours(void **state)
{
	struct dp_heat_row h = { .t = 1, .pages = 1, .rate = NAN };
	struct dp_look k = { .width = 24, .colours = DP_COLOURS_8 };
	struct dp_buf b = { 0 };
	unsigned int i;

	for (i = 0; i < DP_HEAT_BINS; i++)
		h.ram[i] = 1;
	for (i = 16; i < 64; i++) /* cells 1 to 3 of 8, and 6 */
		h.heat[i] = 1;
	for (i = 96; i < 112; i++)
		h.heat[i] = 1;
	dp_term_heat_row(&b, &h, &k);
	assert_string_equal(b.data, "   1.0  \033[31m@@@  @ \033[0m       1\n");
	dp_buf_free(&b);
	(void)state;
}

/* 512 MiB without a hole: a quarter is 128 MiB. */
static void axis(void **state)
{
	struct dp_look k = plain(80);
	struct dp_buf b = { 0 };
	struct dp_report r;
	unsigned int i;

	fx_report(&r);
	dp_term_heat_axis(&b, &r, &k);
	assert_string_equal(
		b.data, "TIME s 0               128M            256M            384M              NEW 4K\n");
	/* a hole of 1 GiB before the third quarter, and what does not come out even */
	for (i = 64; i < DP_HEAT_BINS; i++)
		r.heat_range[i].lo += 1 << 18;
	r.heat_range[96].lo = (3 << 18) + (1 << 16) + 1;
	dp_buf_reset(&b);
	dp_term_heat_axis(&b, &r, &k);
	assert_string_equal(
		b.data, "TIME s 0               128M            1.25G           3.25G             NEW 4K\n");
	dp_buf_reset(&b);
	dp_term_heat_intro(&b, &r, &k);
	assert_int_equal(lines_within(&b, 79), 4);
	assert_non_null(strstr(b.data, "64 cells of 8.00 MiB"));
	assert_non_null(strstr(b.data, "up to 0.39 %")); /* 1/256 */
	k.utf8 = true;
	dp_buf_reset(&b);
	dp_term_heat_intro(&b, &r, &k);
	lines_within(&b, 79);
	assert_non_null(strstr(b.data, "up to 0.78 %")); /* 1/128 */
	dp_buf_free(&b);
	(void)state;
}

/* Large counts stay in their columns. */
static void counts(void **state)
{
	static const struct {
		double pages;
		const char *want;
	} table[] = { { 0, "      0" },	       { 999999, "999,999" },	 { 1e6, "     1M" },
		      { 12345678, "  12.3M" }, { 268435456, "   268M" }, { 4294967296., "  4.29G" } };
	struct dp_heat_row h = { .rate = NAN };
	struct dp_look k = plain(24);
	struct dp_buf b = { 0 };
	unsigned int i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		h.pages = table[i].pages;
		dp_buf_reset(&b);
		dp_term_heat_row(&b, &h, &k);
		assert_memory_equal(b.data + 16, table[i].want, 7);
		assert_string_equal(b.data + 23, "\n");
	}
	dp_buf_free(&b);
	(void)state;
}

/* A curve of U(t) = 1 MiB (t / 1 ms)^(1/2) up to 1 s, +- 20 %, and a path of 1 MiB a ms. */
static void sqrt_report(struct dp_report *r)
{
	unsigned int i;

	fx_report(r);
	for (i = 0; i < DP_CURVE_POINTS; i++) {
		double u = MIB * sqrt(r->u_t[i] / 1e-3);

		r->u[DP_4K][i] = fx_est(u / 1.2, u, u * 1.2);
	}
	r->reach[DP_4K] = 0.1;
	r->speeds.rounds = fx_est(1000 * MIB, 1000 * MIB, 1000 * MIB);
}

#define ROWS 11

/* The marks of each column are where the values are. */
static void curve_points(void **state)
{
	struct dp_look k = plain(80);
	struct dp_buf b = { 0 };
	char line[ROWS][128] = { { 0 } };
	struct dp_report r;
	unsigned int row, c;
	const char *p;

	sqrt_report(&r);
	assert_int_equal(dp_term_curve(&b, &r, &k, ROWS), ROWS + DP_TERM_CURVE_MORE);
	assert_int_equal(lines_within(&b, 79), ROWS + DP_TERM_CURVE_MORE);
	p = strchr(strchr(b.data, '\n') + 1, '\n') + 1;
	for (row = 0; row < ROWS; row++, p = strchr(p, '\n') + 1)
		sscanf(p, "%127[^\n]", line[row]);
	/* 79 columns less 10: from 100 us to 1 s, as 3 times the reach is less */
	for (c = 0; c < 69; c++) {
		double t = 1e-4 * pow(1e4, c / 68.0), u = MIB * sqrt(t / 1e-3);
		/* from the top, 1.2 times U(1 s), to the bottom, U(100 us) */
		double top = 1.2 * MIB * sqrt(1000), bottom = MIB * sqrt(0.1);
		double at = 10 * log(top / u) / log(top / bottom), band = 10 * log(1.2) / log(top / bottom);
		double path = 10 * log(top / (1000 * MIB * t)) / log(top / bottom);
		unsigned int marks = 0;

		for (row = 0; row < ROWS; row++) {
			char m = strlen(line[row]) > 10 + c ? line[row][10 + c] : ' ';
			/* between two points the curve is straight over log t: up to 2 % off this one, 0.04 rows */
			double off = fabs(row - at);

			if (m == '*' || m == '.') {
				assert_true(off < 0.54);
				assert_int_equal(m, t > 0.1 * (1 + 1e-9) ? '.' : '*');
				marks++;
			} else if (m == ':') {
				assert_true(off < band + 0.54);
			} else if (m == '/') {
				assert_true(fabs(row - path) < 0.51);
			} else {
				assert_true(off > band - 0.54 && fabs(row - path) > 0.49);
			}
		}
		assert_int_equal(marks, 1);
	}
	/* 1 MiB is at log(1.2 sqrt(1000)) / log(1.2 sqrt(10000)) of 10 rows from the top: 7.59; 10 MiB: 2.79 */
	assert_memory_equal(line[8], "    1 MiB+", 10);
	assert_memory_equal(line[3], "   10 MiB+", 10);
	assert_memory_equal(line[4], "         |", 10);
	/* decades are 17 columns apart */
	assert_string_equal(
		p, "         ++----------------+----------------+----------------+----------------+\n"
		   "          100 us           1 ms             10 ms            100 ms\n");
	dp_buf_free(&b);
	(void)state;
}

/* At every width and height all lines fit, in ASCII and in Unicode, with colours and without. */
static void curve_sizes(void **state)
{
	struct dp_buf b = { 0 };
	struct dp_report r;
	struct dp_look k;
	unsigned int rows, n;

	sqrt_report(&r);
	memset(&k, 0, sizeof(k));
	for (k.width = 0; k.width < 140; k.width++) {
		for (rows = 0; rows < 60; rows += 7) {
			k.utf8 = (k.width + rows) % 2;
			k.colours = (enum dp_colours)(k.width % 3);
			dp_buf_reset(&b);
			n = dp_term_curve(&b, &r, &k, rows);
			assert_int_equal(lines_within(&b, k.width < 20 ? 19 : k.width - 1), n);
			assert_int_equal(n, (rows < 4 ? 4 : rows > 40 ? 40 : rows) + DP_TERM_CURVE_MORE);
			assert_int_equal(strchr(b.data, '\033') != NULL, k.colours != DP_COLOURS_NONE);
			assert_int_equal(strchr(b.data, '*') != NULL, !k.utf8);
		}
	}
	dp_buf_free(&b);
	(void)state;
}

/* What is not known is not drawn; nor is a curve that never leaves 0. */
static void no_curve(void **state)
{
	struct dp_look k = plain(80);
	struct dp_buf b = { 0 };
	struct dp_report r;
	unsigned int i;

	sqrt_report(&r);
	r.speeds.rounds = fx_est(NAN, NAN, NAN);
	dp_term_curve(&b, &r, &k, ROWS);
	assert_null(strchr(b.data, '/'));
	assert_null(strstr(b.data, "sent"));
	dp_buf_reset(&b);
	for (i = 0; i < DP_CURVE_POINTS; i++)
		r.u[DP_4K][i] = fx_est(0, 0, 0);
	assert_int_equal(dp_term_curve(&b, &r, &k, ROWS), 0);
	for (i = 0; i < DP_CURVE_POINTS; i++)
		r.u[DP_4K][i] = fx_est(NAN, NAN, NAN);
	assert_int_equal(dp_term_curve(&b, &r, &k, ROWS), 0);
	sqrt_report(&r);
	r.known = false;
	assert_int_equal(dp_term_curve(&b, &r, &k, ROWS), 0);
	assert_int_equal(b.len, 0);
	dp_buf_free(&b);
	(void)state;
}

/* A report's row: its own counts, and nothing where nothing logged. */
static void row_of_a_report(void **state)
{
	struct dp_heat_row h;
	struct dp_report r;

	fx_report(&r);
	dp_heat_row_of(&r, &h);
	assert_true(h.t == 12.5 && h.pages == 25344 && h.rate == 10 * MIB);
	assert_true(h.heat[2] == 5000 && h.ram[2] == 1024);
	r.logged = 0;
	dp_heat_row_of(&r, &h);
	assert_true(isnan(h.pages));
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(widths),      cmocka_unit_test(shades),   cmocka_unit_test(colours),
		cmocka_unit_test(axis),	       cmocka_unit_test(counts),   cmocka_unit_test(curve_points),
		cmocka_unit_test(curve_sizes), cmocka_unit_test(no_curve), cmocka_unit_test(row_of_a_report),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
