// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Command lines of QEMU, in tables: names, QMP sockets, devices that write past the log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "vm/proc_priv.h"

/* "a|b|c" as a command line. */
static void parse(struct dp_proc *p, const char *args)
{
	size_t len = strlen(args) + 1;
	char *buf = malloc(len + 1);

	memcpy(buf, args, len);
	buf[len] = '\0';
	for (char *s = buf; *s; s++)
		if (*s == '|')
			*s = '\0';
	memset(p, 0, sizeof(*p));
	p->pid = 4711;
	p->dirfd = -1;
	proc__parse_args(p, buf, len);
	free(buf);
}

static void options(void **state)
{
	static const struct {
		const char *opts, *implied, *key, *value; /* NULL: none */
	} c[] = {
		{ "vm1", "guest", "guest", "vm1" },
		{ "guest=vm1,debug-threads=on", "guest", "guest", "vm1" },
		{ "debug-threads=on,guest=a,,b", "guest", "guest", "a,b" },
		{ "a,,b,c=d", "guest", "guest", "a,b" },
		{ "x,server,nowait", "path", "server", "on" },
		{ "x,server,nowait", "path", "wait", "off" },
		{ "x,server=off", "path", "server", "off" },
		{ "a=1,a=2", NULL, "a", "2" },
		{ "a=1", NULL, "b", NULL },
		{ "", "guest", "guest", "" },
		{ ",,,", "guest", "guest", "," },
		{ "k=v=w", NULL, "k", "v=w" },
		{ "k=0123456789abcdefghijklmnopqrstuvwxyz", NULL, "k", NULL }, /* does not fit */
	};
	char v[32];

	for (size_t i = 0; i < sizeof(c) / sizeof(*c); i++) {
		bool got = proc__opt(c[i].opts, c[i].implied, c[i].key, v, sizeof(v));

		if (got != !!c[i].value || (got && strcmp(v, c[i].value)))
			fail_msg("%s: %s is \"%s\"", c[i].opts, c[i].key, got ? v : "(none)");
	}
}

static void names(void **state)
{
	struct dp_proc p;

	parse(&p, "qemu|-name|vm1");
	assert_string_equal(p.name, "vm1");
	assert_false(p.debug_threads);
	parse(&p, "qemu|--name|guest=my,,vm,debug-threads=on");
	assert_string_equal(p.name, "my,vm");
	assert_true(p.debug_threads);
	parse(&p, "qemu|-name|process=x,debug-threads=off|-name");
	assert_string_equal(p.name, "");
	parse(&p, "qemu|-name|a\x1b]0;b\nc");
	assert_string_equal(p.name, "a?]0;b?c");
	parse(&p, "qemu|-name|0123456789012345678901234567890123456789012345678901234567890123456789");
	assert_int_equal(strlen(p.name), sizeof(p.name) - 1);
	parse(&p, "");
	assert_string_equal(p.name, "");
}

static void qmp_sockets(void **state)
{
	static const struct {
		const char *args;
		uint32_t n;
		enum dp_qmp_family family;
		const char *where; /* of the first */
	} c[] = {
		{ "q|-qmp|unix:/run/q,server=on,wait=off", 1, DP_QMP_UNIX, "/run/q" },
		{ "q|-qmp|unix:q.sock,server,nowait", 1, DP_QMP_UNIX, "q.sock" },
		{ "q|-qmp|unix:path=/run/q,server=on", 1, DP_QMP_UNIX, "/run/q" },
		{ "q|-qmp-pretty|unix:/a,,b,server=on", 1, DP_QMP_UNIX, "/a,b" },
		{ "q|-qmp|unix:/run/q", 0, 0, NULL }, /* QEMU is the client */
		{ "q|-qmp|unix:/run/q,server=off", 0, 0, NULL },
		{ "q|-qmp|unix:abc,abstract=on,server=on", 1, DP_QMP_ABSTRACT, "@abc" },
		{ "q|-qmp|tcp:127.0.0.1:4444,server=on,wait=off", 1, DP_QMP_TCP, "127.0.0.1:4444" },
		{ "q|-qmp|tcp::4444,server,nowait", 1, DP_QMP_TCP, "localhost:4444" },
		{ "q|-qmp|tcp:localhost:99999,server", 0, 0, NULL },
		{ "q|-qmp|stdio", 0, 0, NULL },
		{ "q|-qmp|telnet::4444,server", 0, 0, NULL },
		{ "q|-monitor|unix:/run/hmp,server=on", 0, 0, NULL },
		{ "q|-chardev|socket,id=m,path=/run/q,server=on,wait=off|-mon|chardev=m,mode=control", 1,
		  DP_QMP_UNIX, "/run/q" },
		{ "q|-mon|m,mode=control|-chardev|socket,path=/run/q,id=m,server=on", 1, DP_QMP_UNIX,
		  "/run/q" },
		{ "q|-chardev|socket,id=m,path=/run/q,server=on|-mon|chardev=m,mode=readline", 0, 0, NULL },
		{ "q|-chardev|socket,id=m,path=/run/q,server=on|-mon|chardev=m", 0, 0, NULL },
		{ "q|-chardev|socket,id=m,path=/run/q,server=on|-serial|chardev:m", 0, 0, NULL },
		{ "q|-chardev|socket,id=x,path=/1,server=on|-chardev|socket,id=y,path=/2,server=on|-qmp|chardev:y",
		  1, DP_QMP_UNIX, "/2" },
		{ "q|-chardev|socket,id=m,host=::1,port=44,server=on|-mon|m,mode=control", 1, DP_QMP_TCP,
		  "[::1]:44" },
		{ "q|-chardev|socket,id=m,port=44,server=on,telnet=on|-mon|m,mode=control", 0, 0, NULL },
		{ "q|-chardev|socket,id=m,path=/run/q|-mon|m,mode=control", 0, 0, NULL },
		{ "q|-chardev|pty,id=m|-mon|m,mode=control", 0, 0, NULL },
		{ "q|-qmp", 0, 0, NULL },
		{ "q|-qmp|unix:/1,server|-qmp|unix:/2,server|-qmp|unix:/3,server|-qmp|unix:/4,server|-qmp|unix:/5,server",
		  4, DP_QMP_UNIX, "/1" },
	};
	char where[1100];
	struct dp_proc p;

	for (size_t i = 0; i < sizeof(c) / sizeof(*c); i++) {
		parse(&p, c[i].args);
		if (p.nqmp != c[i].n)
			fail_msg("%s: %u", c[i].args, p.nqmp);
		if (!p.nqmp)
			continue;
		dp_qmp_addr_str(&p.qmp[0], where, sizeof(where));
		if (p.qmp[0].family != c[i].family || strcmp(where, c[i].where) || p.qmp[0].pid != 4711)
			fail_msg("%s: %s", c[i].args, where);
	}
}

static void blind_writers(void **state)
{
	static const struct {
		const char *args;
		uint32_t bits;
	} c[] = {
		{ "q|-nodefaults", 0 },
		{ "q|-m|64", DP_BLIND_DMA },
		{ "q|-nodefaults|-device|isa-debug-exit", 0 },
		{ "q|-nodefaults|-device|VGA,id=x", 0 },
		{ "q|-nodefaults|-drive|file=x,if=none,id=d", 0 },
		{ "q|-nodefaults|-drive|file=x", DP_BLIND_DMA },
		{ "q|-nodefaults|-drive|if=pflash,file=x", 0 },
		{ "q|-nodefaults|-device|virtio-blk-pci,drive=d", DP_BLIND_DMA },
		{ "q|-nodefaults|-device|driver=e1000", DP_BLIND_DMA },
		{ "q|-nodefaults|-hda|x", DP_BLIND_DMA },
		{ "q|-nodefaults|-netdev|tap,id=n,vhost=on|-device|virtio-net-pci,netdev=n",
		  DP_BLIND_DMA | DP_BLIND_VHOST_KERNEL },
		{ "q|-nodefaults|-netdev|tap,id=n,vhost=off", 0 },
		{ "q|-nodefaults|-netdev|tap,id=n,fd=3,vhostfd=4", DP_BLIND_VHOST_KERNEL },
		{ "q|-nodefaults|-netdev|{\"type\":\"tap\",\"vhost\":true,\"id\":\"n\"}",
		  DP_BLIND_VHOST_KERNEL },
		{ "q|-nodefaults|-netdev|{\"type\":\"tap\",\"vhost\":false,\"id\":\"n\"}", 0 },
		{ "q|-nodefaults|-netdev|{\"type\":\"vhost-user\"}", DP_BLIND_VHOST_USER },
		{ "q|-nodefaults|-netdev|vhost-user,chardev=c", DP_BLIND_VHOST_USER },
		{ "q|-nodefaults|-netdev|type=vhost-vdpa,vhostdev=/dev/vhost-vdpa-0", DP_BLIND_VHOST_KERNEL },
		{ "q|-nodefaults|-device|vhost-user-fs-pci,chardev=c", DP_BLIND_VHOST_USER },
		{ "q|-nodefaults|-device|vhost-vsock-pci,guest-cid=3", DP_BLIND_VHOST_KERNEL },
		{ "q|-nodefaults|-device|vfio-pci,host=0:1", DP_BLIND_VFIO },
		{ "q|-nodefaults|-device|{\"driver\":\"vfio-pci\",\"host\":\"0:1\"}", DP_BLIND_VFIO },
		{ "q|-nodefaults|-device|{\"driver\":5}",
		  DP_BLIND_DMA },		     /* not understood: on the safe side */
		{ "q|-nodefaults|-device|{[[[", 0 }, /* QEMU would not have started */
		{ "q|-nodefaults|-nic|none", 0 },
		{ "q|-nodefaults|-nic|user,model=e1000", DP_BLIND_DMA },
		{ "q|-nodefaults|-device", 0 },
	};
	struct dp_proc p;

	for (size_t i = 0; i < sizeof(c) / sizeof(*c); i++) {
		parse(&p, c[i].args);
		if (p.blind != c[i].bits)
			fail_msg("%s: %#x, want %#x", c[i].args, p.blind, c[i].bits);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options),
		cmocka_unit_test(names),
		cmocka_unit_test(qmp_sockets),
		cmocka_unit_test(blind_writers),
	};

	return cmocka_run_group_tests_name("proc_args", tests, NULL, NULL);
}
