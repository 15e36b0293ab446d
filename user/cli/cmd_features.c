// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* dirtyprof features: what this kernel gives, what would be taken, and why. */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/cmd.h"
#include "cli/log.h"
#include "cli/progress.h"
#include "cli/opts.h"
#include "probe/features.h"

static void show_json(const struct dp_feature *f)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "what", json_object_new_string(f->what));
	json_object_object_add(o, "how", json_object_new_string(f->how));
	json_object_object_add(o, "hook", json_object_new_string(f->hook));
	json_object_object_add(o, "works", json_object_new_boolean(f->works));
	json_object_object_add(o, "chosen", json_object_new_boolean(f->chosen));
	json_object_object_add(o, "why", json_object_new_string(f->why));
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

#define INDENT 23
#define WIDTH  79

/* The words of s, indented, in lines of at most WIDTH. */
static void wrapped(const char *s)
{
	size_t n, at = 0;

	for (; *s; s += n + strspn(s + n, " ")) {
		n = strcspn(s, " ");
		if (at && at + 1 + n > WIDTH) {
			putchar('\n');
			at = 0;
		}
		at += (size_t)printf("%*s%.*s", at ? 1 : INDENT, "", (int)n, s);
	}
	putchar('\n');
}

static void show_text(const struct dp_feature *f, size_t n)
{
	char line[sizeof(f->why) + 32];
	struct utsname u;
	size_t i;

	if (!uname(&u))
		printf("Kernel %s %s, BTF %s, /dev/kvm %s\n", u.release, u.machine,
		       access("/sys/kernel/btf/vmlinux", R_OK) ? "missing" : "there",
		       access("/dev/kvm", F_OK) ? "missing" : "there");
	printf("  %-8s %-11s %s\n", "USE", "HOW", "HOOK");
	for (i = 0; i < n; i++) {
		printf("%c %-8s %-11s %s\n", f[i].chosen ? '*' : ' ', f[i].what, f[i].how, f[i].hook);
		snprintf(line, sizeof(line), "%s%s",
			 f[i].chosen  ? "works, taken: "
			 : f[i].works ? "works: "
				      : "does not work: ",
			 f[i].why);
		wrapped(line);
	}
	printf("* is taken; --hook USE=HOW takes another.\n");
}

/* A VM must be found, and its log be read in one way at least. */
static const char *what_is_missing(const struct dp_feature *f, size_t n)
{
	bool vm = false, log = false;
	size_t i;

	for (i = 0; i < n; i++) {
		vm |= f[i].chosen && !strcmp(f[i].what, "vm");
		log |= f[i].chosen && (!strcmp(f[i].what, "ring") || !strcmp(f[i].what, "harvest"));
	}
	return !vm ? f[0].why : !log ? "no hook shows what is dirtied" : NULL;
}

static void tick(void *ctx, size_t done, size_t all)
{
	dp_progress_share("trying hooks", *(uint64_t *)ctx, done, all);
}

int dp_cmd_features(int argc, char **argv)
{
	struct dp_feature f[DP_FEATURES];
	const char *missing;
	bool json = false;
	uint64_t start = dp_progress_now();
	size_t n, i;
	int k;

	if (dp_take_btf(&argc, argv))
		return DP_EXIT_ERROR;
	for (k = 1; k < argc; k++) {
		if (!strcmp(argv[k], "--json")) {
			json = true;
		} else if (!strcmp(argv[k], "-v") || !strcmp(argv[k], "--verbose")) {
			dp_log_set_level(DP_LVL_DEBUG);
		} else {
			dp_err("features: unexpected argument \"%s\" (only --json, --verbose, --btf FILE)",
			       argv[k]);
			return DP_EXIT_ERROR;
		}
	}
	n = dp_features_probe(f, tick, &start);
	dp_status_clear();
	for (i = 0; i < n && json; i++)
		show_json(&f[i]);
	if (!json)
		show_text(f, n);
	if (fflush(stdout))
		return DP_EXIT_ERROR;
	missing = what_is_missing(f, n);
	if (missing) {
		dp_err("nothing can be measured here: %s", missing);
		return DP_EXIT_ERROR;
	}
	return DP_EXIT_OK;
}
