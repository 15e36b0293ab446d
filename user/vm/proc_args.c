// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a QEMU's command line says about its name, its QMP servers and its devices. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <json-c/json.h>

#include "cli/log.h"
#include "vm/proc_priv.h"

/*
 * One element of an option string, up to a single comma; ",," is a comma. Returns what follows it, NULL at
 * the end.
 */
static const char *next_element(const char *s, char *out, size_t size, bool *fits)
{
	size_t n = 0;

	*fits = true;
	for (; *s; s++) {
		if (*s == ',') {
			if (s[1] != ',')
				break;
			s++;
		}
		if (n + 1 < size)
			out[n++] = *s;
		else
			*fits = false;
	}
	out[n] = '\0';
	return *s ? s + 1 : NULL;
}

bool proc__opt(const char *opts, const char *implied, const char *key, char *out, size_t size)
{
	char e[1200];
	bool first = true, found = false, fits;
	const char *value, *name;

	for (; opts; first = false) {
		char *eq;

		opts = next_element(opts, e, sizeof(e), &fits);
		eq = strchr(e, '=');
		name = e;
		if (eq) {
			*eq = '\0';
			value = eq + 1;
		} else if (first && implied) {
			name = implied;
			value = e;
		} else if (!strncmp(e, "no", 2) && !strcmp(e + 2, key)) {
			name = key;
			value = "off";
		} else {
			value = "on";
		}
		if (strcmp(name, key))
			continue;
		/* the last one counts, as for QEMU */
		found = fits && strlen(value) < size;
		if (found)
			snprintf(out, size, "%s", value);
	}
	return found;
}

static bool opt_on(const char *opts, const char *implied, const char *key)
{
	char v[16];

	return proc__opt(opts, implied, key, v, sizeof(v)) &&
	       (!strcmp(v, "on") || !strcmp(v, "yes") || !strcmp(v, "true") || !strcmp(v, "y"));
}

static void add_qmp(struct dp_proc *p, struct dp_qmp_addr *a)
{
	if (p->nqmp == DP_PROC_MAX_QMP)
		return;
	a->pid = p->pid;
	p->qmp[p->nqmp++] = *a;
}

/* "-qmp unix:..." and "-qmp tcp:..." */
static void add_legacy(struct dp_proc *p, const char *dev)
{
	struct dp_qmp_addr a = { 0 };
	char hostport[160];
	bool fits;

	if (!strncmp(dev, "unix:", 5)) {
		dev += 5;
		a.family = opt_on(dev, "path", "abstract") ? DP_QMP_ABSTRACT : DP_QMP_UNIX;
		if (opt_on(dev, "path", "server") && proc__opt(dev, "path", "path", a.path, sizeof(a.path)) &&
		    a.path[0])
			add_qmp(p, &a);
	} else if (!strncmp(dev, "tcp:", 4)) {
		if (!opt_on(dev + 4, "host", "server"))
			return;
		next_element(dev, hostport, sizeof(hostport), &fits);
		if (fits && !dp_qmp_addr_parse(hostport, &a))
			add_qmp(p, &a);
	}
}

/* A "-chardev socket" that serves plain QMP. */
static void add_chardev(struct dp_proc *p, const char *opts)
{
	struct dp_qmp_addr a = { 0 };
	char type[16], fd[16];

	if (!proc__opt(opts, "backend", "backend", type, sizeof(type)) || strcmp(type, "socket") ||
	    !opt_on(opts, "backend", "server") || opt_on(opts, "backend", "telnet") ||
	    opt_on(opts, "backend", "websocket") || opt_on(opts, "backend", "tn3270"))
		return;
	if (proc__opt(opts, "backend", "path", a.path, sizeof(a.path)) && a.path[0]) {
		a.family = opt_on(opts, "backend", "abstract") ? DP_QMP_ABSTRACT : DP_QMP_UNIX;
		add_qmp(p, &a);
	} else if (proc__opt(opts, "backend", "port", a.port, sizeof(a.port)) && atoi(a.port) > 0) {
		a.family = DP_QMP_TCP;
		if (!proc__opt(opts, "backend", "host", a.host, sizeof(a.host)))
			a.host[0] = '\0';
		add_qmp(p, &a);
	} else if (proc__opt(opts, "backend", "fd", fd, sizeof(fd)) && isdigit((unsigned char)fd[0])) {
		/* libvirt binds the socket and passes it on */
		if (!proc__unix_path(p, atoi(fd), &a))
			add_qmp(p, &a);
	}
}

struct args {
	const char *buf;
	size_t len;
};

/* The argument after s, NULL at the end. An option is followed by its value or by another option. */
static const char *next_arg(const struct args *a, const char *s)
{
	if (!s)
		return NULL;
	s += strlen(s) + 1;
	return s < a->buf + a->len ? s : NULL;
}

/* arg is -name or --name */
static bool is_option(const char *arg, const char *name)
{
	if (*arg != '-')
		return false;
	arg += arg[1] == '-' ? 2 : 1;
	return !strcmp(arg, name);
}

static void add_by_id(struct dp_proc *p, const struct args *a, const char *id)
{
	char v[128];

	for (const char *opt = a->buf, *val; opt; opt = val) {
		val = next_arg(a, opt);
		if (val && is_option(opt, "chardev") && proc__opt(val, "backend", "id", v, sizeof(v)) &&
		    !strcmp(v, id)) {
			add_chardev(p, val);
			return;
		}
	}
}

static void find_qmp(struct dp_proc *p, const struct args *a)
{
	char id[128], mode[16];

	for (const char *opt = a->buf, *val; opt; opt = val) {
		val = next_arg(a, opt);
		if (!val)
			break;
		if (is_option(opt, "qmp") || is_option(opt, "qmp-pretty")) {
			if (!strncmp(val, "chardev:", 8))
				add_by_id(p, a, val + 8);
			else
				add_legacy(p, val);
		} else if (is_option(opt, "mon")) {
			if (proc__opt(val, "chardev", "mode", mode, sizeof(mode)) &&
			    !strcmp(mode, "control") && proc__opt(val, "chardev", "chardev", id, sizeof(id)))
				add_by_id(p, a, id);
		}
	}
}

static bool starts(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

/* Devices that write no guest memory, or only at reset; all others are taken to. */
static bool no_dma(const char *driver)
{
	static const char *const prefix[] = {
		"VGA",
		"secondary-vga",
		"bochs-display",
		"cirrus-vga",
		"ramfb",
		"isa-debug",
		"isa-serial",
		"isa-parallel",
		"pci-serial",
		"pvpanic",
		"pcie-root-port",
		"pci-bridge",
		"pcie-pci-bridge",
		"ioh3420",
		"pxb",
		"x3130",
		"xio3130",
		"pc-dimm",
		"nvdimm",
		"ipmi-",
		"isa-ipmi",
		"tpm-",
		"loader",
		"guest-loader",
		"i6300esb",
		"ib700",
		"smbus-eeprom",
		"spapr-vty",
		"spapr-pci-host-bridge",
		"host-x86_64-cpu",
		"vmgenid",
		"vmcoreinfo",
	};

	for (size_t i = 0; i < sizeof(prefix) / sizeof(*prefix); i++)
		if (starts(driver, prefix[i]))
			return true;
	return strstr(driver, "-cpu") || strstr(driver, "-spapr-cpu-core");
}

static uint32_t blind_device(const char *driver)
{
	if (starts(driver, "vfio-"))
		return DP_BLIND_VFIO;
	if (starts(driver, "vhost-user-"))
		return DP_BLIND_VHOST_USER;
	if (starts(driver, "vhost-"))
		return DP_BLIND_VHOST_KERNEL;
	return no_dma(driver) ? 0 : DP_BLIND_DMA;
}

static uint32_t blind_netdev(const char *type, bool vhost)
{
	if (!strcmp(type, "vhost-user"))
		return DP_BLIND_VHOST_USER;
	if (!strcmp(type, "vhost-vdpa"))
		return DP_BLIND_VHOST_KERNEL;
	return vhost ? DP_BLIND_VHOST_KERNEL : 0;
}

static const char *member(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_string)
		       ? json_object_get_string(v)
		       : "";
}

/* -device and -netdev also take JSON (libvirt writes that). */
static uint32_t blind_json(const char *text, bool device)
{
	struct json_object *o = json_tokener_parse(text), *v;
	uint32_t bits;

	if (!json_object_is_type(o, json_type_object)) {
		json_object_put(o);
		return 0;
	}
	if (device)
		bits = blind_device(member(o, "driver"));
	else
		bits = blind_netdev(member(o, "type"),
				    json_object_object_get_ex(o, "vhostfd", NULL) ||
					    json_object_object_get_ex(o, "vhostfds", NULL) ||
					    (json_object_object_get_ex(o, "vhost", &v) &&
					     json_object_get_boolean(v)));
	json_object_put(o);
	return bits;
}

static uint32_t blind_option(const char *opt, const char *val)
{
	static const char *const disks[] = { "hda",	   "hdb",     "hdc",	"hdd",	     "cdrom",
					     "fda",	   "fdb",     "virtfs", "usbdevice", "usb",
					     "readconfig", "soundhw", "sd" };
	bool device = is_option(opt, "device"), netdev = is_option(opt, "netdev");
	bool nic = is_option(opt, "nic") || is_option(opt, "net");
	char v[64], fds[64];

	for (size_t i = 0; i < sizeof(disks) / sizeof(*disks); i++)
		if (is_option(opt, disks[i]))
			return DP_BLIND_DMA;
	if (!val)
		return 0;
	if (is_option(opt, "drive"))
		return proc__opt(val, NULL, "if", v, sizeof(v)) &&
				       (!strcmp(v, "none") || !strcmp(v, "pflash"))
			       ? 0
			       : DP_BLIND_DMA;
	if ((device || netdev) && *val == '{')
		return blind_json(val, device);
	if (device)
		return proc__opt(val, "driver", "driver", v, sizeof(v)) ? blind_device(v) : DP_BLIND_DMA;
	if ((!netdev && !nic) || !proc__opt(val, "type", "type", v, sizeof(v)) || !strcmp(v, "none"))
		return 0;
	return blind_netdev(v, opt_on(val, "type", "vhost") || opt_on(val, "type", "vhostforce") ||
				       proc__opt(val, "type", "vhostfd", fds, sizeof(fds)) ||
				       proc__opt(val, "type", "vhostfds", fds, sizeof(fds))) |
	       (nic ? DP_BLIND_DMA : 0);
}

static void find_blind(struct dp_proc *p, const struct args *a)
{
	bool defaults = true;

	for (const char *opt = a->buf, *val; opt; opt = val) {
		val = next_arg(a, opt);
		if (is_option(opt, "nodefaults"))
			defaults = false;
		p->blind |= blind_option(opt, val);
	}
	/* a network card, a CD-ROM drive and more come by themselves */
	if (defaults)
		p->blind |= DP_BLIND_DMA;
}

void proc__parse_args(struct dp_proc *p, const char *args, size_t len)
{
	struct args a = { .buf = args, .len = len };
	char name[1024];

	if (!len)
		return;
	for (const char *opt = args, *val; opt; opt = val) {
		val = next_arg(&a, opt);
		if (!val || !is_option(opt, "name"))
			continue;
		if (proc__opt(val, "guest", "guest", name, sizeof(name))) {
			snprintf(p->name, sizeof(p->name), "%.*s", (int)sizeof(p->name) - 1, name);
			dp_log_clean(p->name);
		}
		p->debug_threads = opt_on(val, "guest", "debug-threads");
	}
	find_qmp(p, &a);
	find_blind(p, &a);
}

bool proc__qemu_name(const char *path)
{
	const char *base = strrchr(path, '/');

	base = base ? base + 1 : path;
	return starts(base, "qemu-system-") || starts(base, "qemu-kvm") || !strcmp(base, "kvm") ||
	       !strcmp(base, "qemu");
}
