// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* `dirtyprof predict FILE`: input is a line of the file; what is taken must give a table that can be printed. */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <json-c/json.h>

#include "dirtyprof/report.h"
#include "fuzz.h"

static void print(const struct dp_table_report *t)
{
	struct dp_buf out = { 0 };
	struct json_object *o;
	size_t i;

	dp_text_table(&out, t);
	FUZZ_CHECK(!out.failed && out.len);
	for (i = 0; i < out.len; i++)
		FUZZ_CHECK((unsigned char)out.data[i] >= 0x20 || out.data[i] == '\n');
	dp_buf_reset(&out);
	dp_json_table(&out, t);
	FUZZ_CHECK(!out.failed && out.len && out.data[out.len - 1] == '\n');
	o = json_tokener_parse(out.data);
	FUZZ_CHECK(o);
	json_object_put(o);
	dp_buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct dp_table_report t;
	static struct dp_basis b;
	struct dp_basis_vm vm;
	char msg[160];
	int err = dp_basis_parse((const char *)data, len, &b, &vm, msg, sizeof(msg));

	FUZZ_CHECK(err == 0 || err == 1 || err == -EINVAL);
	FUZZ_CHECK((err == -EINVAL) == (*msg != '\0'));
	if (err)
		return 0;
	FUZZ_CHECK(vm.pid >= 0 && memchr(vm.name, '\0', sizeof(vm.name)));
	FUZZ_CHECK(!b.known || (!dp_points_wrong(&b.curve) && b.plan.pages >= 1 &&
				b.plan.zero_pages <= b.plan.pages && b.plan.throttle < 1));
	memset(&t, 0, sizeof(t));
	/* mostly one cell: a prediction takes its time; lists that are not given are chosen */
	if (len % 32) {
		t.nbandwidths = t.nlimits = 1;
		t.bandwidth[0] = b.path > 0 ? b.path : 125e6;
		t.limit[0] = 0.3;
	}
	err = dp_table_fill(&b, &vm, &t);
	FUZZ_CHECK(!err || err == -EINVAL || err == -ENODATA);
	if (!err)
		print(&t);
	return 0;
}
