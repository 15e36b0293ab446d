// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What sampling contents is made of: an order of granules, fingerprints, intervals. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "model/change.h"
#include "model/change_est.h"
#include "model/change_rank.h"
#include "model/pagehash.h"

#define SEC 1000000000ull

static void permutation(void **state)
{
	static uint8_t seen[1u << 18];
	struct dp_rank r;
	uint32_t bits, i;

	for (bits = 0; bits <= 18; bits++) {
		memset(seen, 0, sizeof(seen));
		dp_rank_init(&r, bits, 1000 + bits);
		for (i = 0; i < 1u << bits; i++) {
			uint32_t k = dp_rank_of(&r, i);

			assert_true(k < 1u << bits);
			assert_false(seen[k]++);
			assert_int_equal(dp_rank_at(&r, k), i);
		}
	}
	dp_rank_init(&r, 32, 7);
	for (i = 1; i < 1000; i++)
		assert_int_equal(dp_rank_at(&r, dp_rank_of(&r, i * 4294967u)), i * 4294967u);
}

static void fingerprints(void **state)
{
	static struct dp_page_key key;
	static uint32_t page[DP_WIRE_UNIT / 4], other[DP_WIRE_UNIT / 4];
	uint64_t zero, h;
	unsigned int i, b;

	dp_page_key_init(&key, 42);
	zero = dp_page_hash(&key, page);
	assert_true(zero != DP_HASH_UNKNOWN);
	/* every single bit counts, and so does its place */
	for (i = 0; i < DP_WIRE_UNIT / 4; i++) {
		for (b = 0; b < 32; b += 5) {
			page[i] = 1u << b;
			h = dp_page_hash(&key, page);
			assert_true(h != zero);
			other[(i + 1) % (DP_WIRE_UNIT / 4)] = 1u << b;
			assert_true(dp_page_hash(&key, other) != h);
			other[(i + 1) % (DP_WIRE_UNIT / 4)] = 0;
			page[i] = 0;
		}
	}
	assert_true(dp_page_hash(&key, page) == zero);
}

static void student(void **state)
{
	/* tables of the 90 % quantile */
	static const struct {
		double df, t;
	} row[] = { { 1, 3.0777 }, { 2, 1.8856 },  { 3, 1.6377 },  { 4, 1.5332 },
		    { 5, 1.4759 }, { 10, 1.3722 }, { 30, 1.3104 }, { 100, 1.2901 } };
	size_t i;

	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		assert_true(fabs(dp_student_90(row[i].df) - row[i].t) < 0.001);
	assert_true(fabs(dp_student_90(1e9) - 1.2816) < 0.0001);
}

/* n pages of which a changed, each its own granule and seen once. */
static struct dp_est pages(double n, double a, double fraction)
{
	struct dp_change_sum s = { .total = n / fraction,
				   .fraction = fraction,
				   .n = n,
				   .a = a,
				   .d = n,
				   .aa = a,
				   .ad = a,
				   .dd = n,
				   .pages = n };

	return dp_change_stratum(&s);
}

static void intervals(void **state)
{
	/* Wilson at 1.2816: (p + z2/2n -+ z sqrt(p(1-p)/n + z2/4n2)) / (1 + z2/n), z2 = 1.6424; n large, so that t is z */
	struct dp_est e = pages(10000, 3000, 1e-9);
	double n = 10000, p = 0.3, z2 = 1.642374, half = sqrt(z2) * sqrt(0.21 / n + z2 / (4 * n * n));

	assert_true(e.mid == 0.3);
	assert_true(fabs(e.lo - (p + z2 / 2 / n - half) / (1 + z2 / n)) < 2e-6);
	assert_true(fabs(e.hi - (p + z2 / 2 / n + half) / (1 + z2 / n)) < 2e-6);
	/* three quarters of all granules seen: half the width */
	assert_true(fabs((pages(10000, 3000, 0.75).hi - pages(10000, 3000, 0.75).lo) / (e.hi - e.lo) - 0.5) <
		    0.001);
	/* all of them: no doubt */
	e = pages(3, 1, 1);
	assert_true(e.lo == e.mid && e.mid == e.hi && e.mid == 1.0 / 3);
	/* none of 20 changed: (0, t2 / (20 + t2)), t(19) = 1.3277 */
	e = pages(20, 0, 1e-9);
	assert_true(e.lo == 0 && e.mid == 0);
	assert_true(fabs(e.hi - 1.3277 * 1.3277 / (20 + 1.3277 * 1.3277)) < 0.0005);
	e = pages(20, 20, 1e-9);
	assert_true(e.hi == 1 && e.mid == 1 &&
		    fabs(1 - e.lo - 1.3277 * 1.3277 / (20 + 1.3277 * 1.3277)) < 0.0005);
	/* one granule says little, none nothing */
	e = pages(1, 1, 1e-9);
	assert_true(e.lo < 0.1 && e.hi == 1);
	assert_true(isnan(pages(0, 0, 0.5).mid));
}

static void unknown_stratum(void **state)
{
	struct dp_changes c = { .on = true, .window_ns = SEC };
	struct dp_est e;

	assert_true(isnan(dp_change_share(&c).mid));
	c.again = (struct dp_change_sum){ .total = 300,
					  .fraction = 1,
					  .n = 3,
					  .a = 60,
					  .d = 300,
					  .aa = 1200,
					  .ad = 6000,
					  .dd = 30000,
					  .pages = 300 };
	e = dp_change_share(&c);
	assert_true(e.lo == 0.2 && e.mid == 0.2 && e.hi == 0.2);
	/* a quarter of everything was never compared: it may all have changed, or nothing of it */
	c.first.total = 100;
	e = dp_change_share(&c);
	assert_true(fabs(e.mid - 0.2) < 1e-12);
	assert_true(fabs(e.lo - (0.2 - 0.25 * 0.2)) < 1e-12);
	assert_true(fabs(e.hi - (0.2 + 0.25 * 0.8)) < 1e-12);
	/* read a tenth of a window late */
	c.first.total = 0;
	c.lag_ns = SEC / 10;
	e = dp_change_share(&c);
	assert_true(e.mid == 0.2 && fabs(e.hi - 0.2 / 0.9) < 1e-12);
	/* closed and joined it is the same */
	dp_change_close(&c.again, &c.first, &c.past);
	e = dp_change_share(&c);
	assert_true(fabs(e.mid - 0.2) < 1e-12 && fabs(e.lo - 0.2) < 1e-12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(permutation), cmocka_unit_test(fingerprints),	  cmocka_unit_test(student),
		cmocka_unit_test(intervals),   cmocka_unit_test(unknown_stratum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
