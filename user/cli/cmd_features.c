// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* dirtyprof features: what this kernel gives, what would be taken, and why. */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/cmd.h"
#include "cli/log.h"
#include "cli/opts.h"
#include "probe/features.h"

static void show_json(const struct dp_feature *f)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "what", json_object_new_string(f->what));
	json_object_object_add(o, "hook", json_object_new_string(f->hook));
	json_object_object_add(o, "works", json_object_new_boolean(f->works));
	json_object_object_add(o, "chosen", json_object_new_boolean(f->chosen));
	json_object_object_add(o, "why", json_object_new_string(f->why));
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

static void show_text(const struct dp_feature *f, size_t n)
{
	struct utsname u;
	size_t i;

	if (!uname(&u))
		printf("Kernel %s %s, BTF %s, /dev/kvm %s\n", u.release, u.machine,
		       access("/sys/kernel/btf/vmlinux", R_OK) ? "missing" : "there",
		       access("/dev/kvm", F_OK) ? "missing" : "there");
	printf("%-8s %-34s %s\n", "FOR", "HOOK", "");
	for (i = 0; i < n; i++)
		printf("%-8s %-34s %s\n%10s%.69s\n", f[i].what, f[i].hook,
		       f[i].chosen  ? "works, taken"
		       : f[i].works ? "works"
				    : "does not work",
		       "", f[i].why);
}

int dp_cmd_features(int argc, char **argv)
{
	struct dp_feature f[DP_FEATURES];
	size_t n, i, taken = 0;
	bool json;

	if (dp_take_btf(&argc, argv))
		return DP_EXIT_ERROR;
	json = argc == 2 && !strcmp(argv[1], "--json");
	if (argc > 1 && !json) {
		dp_err("features: unexpected argument \"%s\" (only --json, --btf FILE)", argv[1]);
		return DP_EXIT_ERROR;
	}
	n = dp_features_probe(f);
	for (i = 0; i < n; i++) {
		if (json)
			show_json(&f[i]);
		taken += f[i].chosen;
	}
	if (!json)
		show_text(f, n);
	if (fflush(stdout))
		return DP_EXIT_ERROR;
	if (!taken) {
		dp_err("nothing can be attached here: %s", f[0].why);
		return DP_EXIT_ERROR;
	}
	return DP_EXIT_OK;
}
