// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* dirtyprof list: the VMs of this host. */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dirtyprof/report.h"
#include "cli/cmd.h"
#include "cli/log.h"
#include "cli/opts.h"
#include "probe/inspect.h"
#include "vm/proc.h"

struct lister {
	bool json;
	uint32_t shown;
	bool bpf_failed;
	char bpf_msg[256];
};

struct vm_facts {
	bool known;
	uint64_t ram, logging;
	uint32_t ring_entries, vcpus;
};

/* What KVM says; without the privilege for it the list is shorter, not empty. */
static void look(struct lister *l, const struct dp_proc *p, struct vm_facts *f)
{
	struct dp_inspect *i;
	struct dp_kvm k;
	char msg[256];
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint32_t n;
	int err;

	memset(f, 0, sizeof(*f));
	err = dp_inspect_open(p->pid, NULL, &i, msg, sizeof(msg));
	if (err) {
		/* A VM may end while it is looked at; anything else concerns all of them. */
		if (dp_proc_alive(p)) {
			l->bpf_failed = true;
			snprintf(l->bpf_msg, sizeof(l->bpf_msg), "%s", msg);
		}
		return;
	}
	if (!dp_inspect_look(i, &k)) {
		f->known = true;
		f->vcpus = dp_inspect_vcpus(i);
		f->ring_entries = k.vm.ring_bytes / 16;
		for (n = 0; n < k.vm.nslots; n++) {
			if (k.slots[n].as_id || k.slots[n].flags & 2)
				continue;
			f->ram += k.slots[n].npages * page;
			if (k.slots[n].flags & 1)
				f->logging += k.slots[n].npages * page;
		}
	}
	dp_inspect_close(i);
}

static const char *log_mode(const struct vm_facts *f, char *buf, size_t len)
{
	if (!f->known)
		return "?";
	if (f->ring_entries)
		snprintf(buf, len, "ring %u", f->ring_entries);
	else
		snprintf(buf, len, "bitmap");
	return buf;
}

static void show_json(const struct dp_proc *p, const struct vm_facts *f)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "pid", json_object_new_int(p->pid));
	json_object_object_add(o, "name", json_object_new_string(p->name));
	json_object_object_add(o, "command", json_object_new_string(p->comm));
	json_object_object_add(o, "qemu_version", json_object_new_string(p->qemu_version));
	json_object_object_add(o, "vcpus", json_object_new_int64(f->known ? f->vcpus : p->nvcpus));
	json_object_object_add(o, "ram_bytes", f->known ? json_object_new_int64((int64_t)f->ram) : NULL);
	json_object_object_add(o, "logging_bytes",
			       f->known ? json_object_new_int64((int64_t)f->logging) : NULL);
	json_object_object_add(o, "ring_entries", f->known ? json_object_new_int64(f->ring_entries) : NULL);
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

static int each(void *ctx, const struct dp_proc *p)
{
	struct lister *l = ctx;
	struct vm_facts f;
	char mode[24], ram[24], logging[24], name[32];

	look(l, p, &f);
	if (l->json) {
		show_json(p, &f);
		l->shown++;
		return 0;
	}
	if (!l->shown++)
		printf("%-8s %-24s %5s %10s %-10s %10s %s\n", "PID", "NAME", "VCPUS", "RAM", "LOG", "LOGGING",
		       "QEMU");
	snprintf(name, sizeof(name), "%.24s", *p->name ? p->name : p->comm);
	dp_log_clean(name);
	printf("%-8d %-24s %5u %10s %-10s %10s %s\n", (int)p->pid, name, f.known ? f.vcpus : p->nvcpus,
	       f.known ? dp_fmt_bytes(ram, sizeof(ram), (double)f.ram) : "?",
	       log_mode(&f, mode, sizeof(mode)),
	       !f.known	   ? "?"
	       : f.logging ? dp_fmt_bytes(logging, sizeof(logging), (double)f.logging)
			   : "no",
	       p->qemu ? (*p->qemu_version ? p->qemu_version : "?") : "-");
	return 0;
}

int dp_cmd_list(int argc, char **argv)
{
	struct lister l = { 0 };
	uint32_t hidden = 0;
	int err;

	if (dp_take_btf(&argc, argv))
		return DP_EXIT_ERROR;
	if (argc == 2 && !strcmp(argv[1], "--json")) {
		l.json = true;
	} else if (argc > 1) {
		dp_err("list: unexpected argument \"%s\" (only --json, --btf FILE)", argv[1]);
		return DP_EXIT_ERROR;
	}
	err = dp_proc_each_vm(each, &l, &hidden);
	if (err) {
		dp_err("cannot list processes: %s", strerror(-err));
		return DP_EXIT_ERROR;
	}
	if (l.bpf_failed)
		dp_warn("memory and logging are unknown: %s", l.bpf_msg);
	if (hidden && geteuid())
		dp_warn("%u processes could not be looked at (run as root to see all VMs)", hidden);
	if (!l.shown && !l.json)
		dp_info("no process of this host holds a KVM VM");
	return fflush(stdout) ? DP_EXIT_ERROR : DP_EXIT_OK;
}
