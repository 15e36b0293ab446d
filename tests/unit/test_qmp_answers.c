// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What QEMU answers to query-migrate, to its limits. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <json-c/json.h>

#include "qmp/qmp.h"

static void answer_limits(void **state)
{
	static const struct {
		const char *text;
		int err;
		uint64_t remaining, expected;
	} c[] = {
		{ "{}", 0, 0, 0 },
		{ "{\"status\":\"active\",\"ram\":{\"remaining\":9223372036854775807}}", 0, INT64_MAX, 0 },
		{ "{\"ram\":{\"remaining\":9223372036854775808}}", -EPROTO, 0, 0 },
		{ "{\"ram\":{\"remaining\":-1}}", -EPROTO, 0, 0 },
		{ "{\"ram\":{\"remaining\":1.5}}", -EPROTO, 0, 0 },
		{ "{\"ram\":{\"remaining\":true}}", -EPROTO, 0, 0 },
		{ "{\"expected-downtime\":-9223372036854775808,\"ram\":{\"mbps\":-1}}", 0, 0, 0 },
		{ "{\"expected-downtime\":850}", 0, 0, 850 },
		{ "{\"expected-downtime\":\"850\"}", -EPROTO, 0, 0 },
		{ "{\"status\":5}", -EPROTO, 0, 0 },
	};
	struct dp_qmp_migrate m;
	const char *what;

	for (size_t i = 0; i < sizeof(c) / sizeof(*c); i++) {
		struct json_object *o = json_tokener_parse(c[i].text);

		assert_non_null(o);
		if (dp_qmp_parse_migrate(o, &m, &what) != c[i].err)
			fail_msg("%s", c[i].text);
		if (!c[i].err)
			assert_true(m.remaining == c[i].remaining &&
				    m.expected_downtime_ms == c[i].expected && m.mbps == 0);
		json_object_put(o);
	}
	/* a state of a later QEMU is taken for a migration under way */
	{
		struct json_object *o = json_tokener_parse("{\"status\":\"teleporting\"}");

		assert_int_equal(dp_qmp_parse_migrate(o, &m, &what), 0);
		assert_true(m.active);
		json_object_put(o);
	}
}

/* A state that is set before the figures are there. */
static void done_with_figures(void **state)
{
	static const struct {
		const char *text;
		bool done;
	} c[] = {
		{ "{\"status\":\"completed\",\"total-time\":0,\"downtime\":0}", false },
		{ "{\"status\":\"completed\"}", false },
		{ "{\"status\":\"completed\",\"total-time\":2974,\"downtime\":0}", true },
		{ "{\"status\":\"active\",\"total-time\":2974}", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(c) / sizeof(*c); i++) {
		struct json_object *o = json_tokener_parse(c[i].text);
		struct dp_qmp_migrate m;
		const char *what;

		assert_int_equal(dp_qmp_parse_migrate(o, &m, &what), 0);
		assert_int_equal(m.done, c[i].done);
		assert_int_equal(m.active, i == 3);
		json_object_put(o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answer_limits),
		cmocka_unit_test(done_with_figures),
	};

	return cmocka_run_group_tests_name("qmp_answers", tests, NULL, NULL);
}
