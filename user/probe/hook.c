// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/hook.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/log.h"
#include "probe/bpf_util.h"
#include "probe/entry.h"
#include "probe/events.h"
#include "probe/harvest.h"
#include "probe/inspect.h"
#include "probe/wire.h"

#define KERNEL_ENOTSUPP 524 /* the kernel's own, not in errno.h */
#define MODULE_LEN	64

static const struct {
	const char *name;
	const struct dp_way *ways;
} uses[DP_USES] = {
	[DP_USE_VM] = { "vm", dp_vm_ways },	     [DP_USE_RING] = { "ring", dp_ring_ways },
	[DP_USE_MARK] = { "mark", dp_mark_ways },    [DP_USE_HARVEST] = { "harvest", dp_harvest_ways },
	[DP_USE_WIRE] = { "wire", dp_wire_ways },    [DP_USE_RUNS] = { "runs", dp_runs_ways },
	[DP_USE_ENTRY] = { "entry", dp_entry_ways },
};

const char *dp_use_name(enum dp_hook_use use)
{
	return uses[use].name;
}

const struct dp_way *dp_use_ways(enum dp_hook_use use)
{
	return uses[use].ways;
}

int dp_hooks_ask(struct dp_hooks *h, const char *arg, char *msg, size_t len)
{
	const struct dp_way *w;
	size_t n, at = 0;
	int u;

	for (u = 0; u < DP_USES; u++) {
		n = strlen(uses[u].name);
		if (strncmp(arg, uses[u].name, n) || arg[n] != '=')
			continue;
		for (w = uses[u].ways; w->how; w++) {
			if (!strcmp(arg + n + 1, w->how)) {
				h->how[u] = w->how;
				return 0;
			}
			at += (size_t)snprintf(msg + at, at < len ? len - at : 0, "%s%s=%s",
					       at ? ", " : "one of ", uses[u].name, w->how);
			at = at < len ? at : len;
		}
		return -EINVAL;
	}
	for (u = 0; u < DP_USES; u++) {
		at += (size_t)snprintf(msg + at, at < len ? len - at : 0,
				       "%s%s=", u ? ", " : "a hook: ", uses[u].name);
		at = at < len ? at : len;
	}
	return -EINVAL;
}

int dp_ways_try(const struct dp_way *ways, const char *only, int (*load)(void *ctx, const struct dp_way *way),
		void *ctx, const struct dp_way **taken, char *msg, size_t len)
{
	const struct dp_way *w;
	char why[160], first[160] = "";
	bool same = true; /* one reason for all: said once */
	size_t n = 0;
	int err = -EINVAL;

	*taken = NULL;
	for (w = ways; w->how; w++) {
		if (only && strcmp(only, w->how))
			continue;
		err = load(ctx, w);
		if (!err) {
			*taken = w;
			msg[0] = '\0';
			return 0;
		}
		dp_way_why(w, err, why, sizeof(why));
		dp_debug("%s: %s", w->hook, why);
		same &= !first[0] || !strcmp(first, why);
		if (n < len)
			n += (size_t)snprintf(msg + n, len - n, "%s%s: %s", n ? "; " : "", w->hook, why);
		memcpy(first, why, sizeof(first));
		if (err == -ENOMEM)
			break;
	}
	if (same && !only && first[0])
		snprintf(msg, len, "%s", first);
	return err;
}

static struct bpf_program *find(const struct bpf_object *obj, const char *name)
{
	return bpf_object__find_program_by_name(obj, name);
}

void dp_way_autoload(const struct dp_way *ways, const struct dp_way *way, struct bpf_object *obj)
{
	const struct dp_way *w;
	int i;

	for (w = ways; w->how; w++)
		for (i = 0; w->progs[i]; i++)
			bpf_program__set_autoload(find(obj, w->progs[i]), false);
	for (i = 0; way && way->progs[i]; i++)
		bpf_program__set_autoload(find(obj, way->progs[i]), true);
}

struct bpf_program *dp_way_prog(const struct dp_way *way, int i, const struct bpf_object *obj)
{
	return way->progs[i] ? find(obj, way->progs[i]) : NULL;
}

int dp_way_attach(const struct dp_way *way, struct bpf_object *obj, struct bpf_link *links[DP_WAY_PROGS])
{
	int i, err;

	for (i = 0; way->progs[i]; i++) {
		links[i] = bpf_program__attach(find(obj, way->progs[i]));
		if (!links[i]) {
			err = -errno;
			dp_way_detach(links);
			return err;
		}
	}
	return 0;
}

void dp_way_detach(struct bpf_link *links[DP_WAY_PROGS])
{
	int i;

	for (i = DP_WAY_PROGS - 1; i >= 0; i--) {
		bpf_link__destroy(links[i]);
		links[i] = NULL;
	}
}

void dp_way_stats(const struct dp_way *way, const struct bpf_object *obj, uint64_t *runs, uint64_t *ns)
{
	int i;

	for (i = 0; way && way->progs[i]; i++)
		dp_bpf_stats(find(obj, way->progs[i]), runs, ns);
}

uint64_t dp_way_missed(const struct dp_way *way, const struct bpf_object *obj)
{
	uint64_t missed = 0;
	int i;

	for (i = 0; way && way->progs[i]; i++)
		missed += dp_bpf_missed(find(obj, way->progs[i]));
	return missed;
}

/* ---- words ---- */

static bool is_how(const struct dp_way *way, const char *prefix)
{
	return !strncmp(way->how, prefix, strlen(prefix));
}

static bool is_tracepoint(const struct dp_way *way)
{
	return strstr(way->how, "tp_btf") || strstr(way->how, "raw_tp");
}

static bool locked_down(void)
{
	char line[80] = "";
	FILE *f = fopen("/sys/kernel/security/lockdown", "re");

	if (!f)
		return false;
	if (!fgets(line, sizeof(line), f))
		line[0] = '\0';
	fclose(f);
	return strstr(line, "[confidentiality]") != NULL;
}

/* Whether the kernel has this symbol, and in which module ("": none). Seconds of reading on no machine: 10 MB. */
static bool find_symbol(const char *name, char module[MODULE_LEN])
{
	char line[512], sym[256], mod[MODULE_LEN];
	FILE *f = fopen("/proc/kallsyms", "re");
	bool found = false;
	int n;

	module[0] = '\0';
	while (f && !found && fgets(line, sizeof(line), f)) {
		n = sscanf(line, "%*s %*s %255s [%63[^]]", sym, mod);
		if (n < 1 || strcmp(sym, name))
			continue;
		found = true;
		if (n == 2)
			memcpy(module, mod, sizeof(mod));
	}
	if (f)
		fclose(f);
	return found;
}

/* Whether the kernel has what a way hooks, and in which module. Of a tracepoint either symbol may be hidden. */
static bool find_target(const struct dp_way *way, char module[MODULE_LEN])
{
	static const char *const prefix[] = { "__tracepoint_", "__traceiter_" };
	char sym[128];
	size_t i;

	if (!is_tracepoint(way))
		return find_symbol(way->target, module);
	for (i = 0; i < sizeof(prefix) / sizeof(*prefix); i++) {
		snprintf(sym, sizeof(sym), "%s%s", prefix[i], way->target);
		if (find_symbol(sym, module))
			return true;
	}
	return false;
}

/* libbpf found no type for the target. */
static void why_no_type(const struct dp_way *way, const char *module, char *msg, size_t len)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/kernel/btf/%s", module);
	if (module[0] && access(path, R_OK))
		snprintf(msg, len, "the module %s has no BTF (Linux 5.11 and CONFIG_DEBUG_INFO_BTF_MODULES)",
			 module);
	else
		snprintf(msg, len, "this kernel's BTF does not list %s", way->target);
}

static bool no_kprobes(void)
{
	return access("/sys/bus/event_source/devices/kprobe/type", F_OK) &&
	       access("/sys/kernel/tracing/kprobe_events", F_OK) &&
	       access("/sys/kernel/debug/tracing/kprobe_events", F_OK);
}

static void why_not_permitted(const struct dp_way *way, char *msg, size_t len)
{
	if (geteuid())
		snprintf(msg, len,
			 "no privilege (run as root, or with CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE)");
	else if (is_how(way, "fe"))
		snprintf(msg, len, "this kernel refuses %s programs", way->how);
	else
		snprintf(msg, len, "the kernel does not permit it");
}

void dp_way_why(const struct dp_way *way, int err, char *msg, size_t len)
{
	bool typed = strstr(way->how, "tp_btf") || is_how(way, "fe"),
	     probe = strstr(way->how, "probe") != NULL;
	char module[MODULE_LEN];

	if (locked_down())
		snprintf(msg, len, "lockdown=confidentiality forbids BPF to read the kernel's memory");
	else if (err == -EPERM)
		why_not_permitted(way, msg, len);
	else if (dp_bpf_no_btf() ||
		 ((typed || is_how(way, "iter")) && access("/sys/kernel/btf/vmlinux", R_OK)))
		snprintf(msg, len, "%s",
			 dp_bpf_no_btf() ? dp_bpf_no_btf() : "this kernel has no BTF of its own");
	else if (probe && no_kprobes())
		snprintf(msg, len, "this kernel has no kprobes (CONFIG_KPROBES, CONFIG_KPROBE_EVENTS)");
	else if (err == -ENODATA)
		snprintf(msg, len, "it attaches, but this kernel does not call it");
	else if (err == -KERNEL_ENOTSUPP)
		snprintf(msg, len, "this kernel cannot attach %s programs to functions", way->how);
	else if (way->target[0] && !find_target(way, module))
		snprintf(msg, len, "this kernel has no %s %s%s",
			 is_tracepoint(way) ? "tracepoint" : "function", way->target,
			 strstr(way->target, "kvm") ? " (is the module kvm loaded?)" : "");
	else if (typed && err == -ESRCH)
		why_no_type(way, module, msg, len);
	else if (err == -EINVAL && !dp_bpf_has_atomics())
		snprintf(
			msg, len,
			"this kernel's BPF has no atomic operations but addition (Linux 5.12, and later on some machines)");
	else if (err == -EACCES || err == -EINVAL)
		snprintf(msg, len, "the kernel's verifier refuses the program (see features -v)");
	else
		snprintf(msg, len, "%s", strerror(-err));
}
