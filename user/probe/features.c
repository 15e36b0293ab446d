// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/features.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "probe/harvest.h"
#include "probe/inspect.h"
#include "probe/events.h"
#include "probe/wire.h"

static int try_ring(int level, char *msg, size_t len)
{
	uint64_t frame = 0;
	struct dp_layout layout = { .nregions = 1, .frame = &frame };
	struct dp_events_opts o = { .pid = getpid(),
				    .nvcpus = 1,
				    .ring_entries = 4096,
				    .slot_ids = 8,
				    .layout = &layout,
				    .lowest = level,
				    .only = true };
	struct dp_events *r;
	int err = dp_events_open(&o, &r, msg, len);

	if (!err) {
		err = dp_events_start(r);
		if (err)
			snprintf(msg, len, "does not attach: %s", strerror(-err));
	}
	dp_events_close(r);
	return err;
}

static int try_harvest(int level, char *msg, size_t len)
{
	struct dp_harvest_opts o = {
		.pid = getpid(), .slot_ids = 8, .host_pages = 1, .lowest = level, .only = true
	};
	struct dp_harvest *h;
	int err = dp_harvest_open(&o, &h, msg, len);

	dp_harvest_close(h);
	return err;
}

static int try_wire(int level, char *msg, size_t len)
{
	struct dp_wire_probe *w;
	int err = dp_wire_open(getpid(), level, true, &w, msg, len);

	dp_wire_close(w);
	return err;
}

/* This process holds no VM: that it got as far as finding out shows that the iterator and the reader work. */
static int try_vm(int level, char *msg, size_t len)
{
	struct dp_inspect *i;
	int err = dp_inspect_open(getpid(), level, true, &i, msg, len);

	dp_inspect_close(i);
	return err == -ENXIO ? 0 : err;
}

static const struct {
	const char *what, *hook;
	int level;
	int (*attempt)(int level, char *msg, size_t len);
	const char *good; /* why it is the one to take */
} table[] = {
	{ "vm", "iter task_file, raw_tp test run", 0, try_vm,
	  "finds the VM and its memslots; hooks nothing" },
	{ "vm", "raw_tp test run alone", 1, try_vm,
	  "finds the VM and its memslots without iterators and the kernel's own BTF" },
	{ "ring", "tp_btf kvm_dirty_ring_reset", 0, try_ring,
	  "for VMs with a dirty ring; the guest's pushes stay free" },
	{ "ring", "raw_tp kvm_dirty_ring_reset", 1, try_ring,
	  "for VMs with a dirty ring; the guest's pushes stay free" },
	{ "ring", "tp_btf kvm_dirty_ring_push", 2, try_ring,
	  "for VMs with a dirty ring; every push passes it" },
	{ "ring", "raw_tp kvm_dirty_ring_push", 3, try_ring,
	  "for VMs with a dirty ring; every push passes it" },
	{ "harvest", "tp_btf sys_exit (ioctl)", 0, try_harvest,
	  "for VMs with dirty bitmaps; every process's system calls pass it" },
	{ "harvest", "raw_tp sys_exit (ioctl)", 1, try_harvest,
	  "for VMs with dirty bitmaps; every process's system calls pass it" },
	{ "wire", "tp_btf sock_send_length", 0, try_wire, "bytes of the migration's sockets" },
	{ "wire", "raw_tp sock_send_length", 1, try_wire, "bytes of the migration's sockets" },
};

size_t dp_features_probe(struct dp_feature *f)
{
	size_t i, n = sizeof(table) / sizeof(*table);
	const char *have = "";

	for (i = 0; i < n; i++) {
		char msg[200] = "";

		memset(&f[i], 0, sizeof(f[i]));
		f[i].what = table[i].what;
		f[i].hook = table[i].hook;
		f[i].works = !table[i].attempt(table[i].level, msg, sizeof(msg));
		f[i].chosen = f[i].works && strcmp(have, table[i].what) != 0;
		if (f[i].chosen)
			have = table[i].what;
		snprintf(f[i].why, sizeof(f[i].why), "%s",
			 !f[i].works   ? msg
			 : f[i].chosen ? table[i].good
				       : "works; a better one does as well");
	}
	return n;
}
