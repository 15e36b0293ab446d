// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/bpf_util.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/log.h"

#define LOG_LINES 24 /* of a verifier's log: its last words say why */

static int to_log(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	char *all, *line, *end;
	int n = 0;

	/* A hook that this kernel lacks is an expected answer, not an error: the caller says what it means. */
	if (level == LIBBPF_DEBUG || dp_log_level() < DP_LVL_DEBUG || vasprintf(&all, fmt, ap) < 0)
		return 0;
	end = all + strlen(all);
	while (end > all && end[-1] == '\n')
		*--end = '\0';
	for (line = end; line > all; line--)
		if (line[-1] == '\n' && ++n == LOG_LINES)
			break;
	for (; line; line = end) {
		end = strchr(line, '\n');
		if (end)
			*end++ = '\0';
		if (*line)
			dp_debug("%s", line);
	}
	free(all);
	return 0;
}

void dp_bpf_init(void)
{
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	libbpf_set_print(to_log);
}

static struct bpf_object_open_opts open_opts = { .sz = sizeof(open_opts) };

int dp_bpf_use_btf(const char *path, char *msg, size_t len)
{
	struct btf *btf = btf__parse(path, NULL);
	int err = 0;

	if (!btf) {
		err = errno ? -errno : -EINVAL; /* libbpf has numbers of its own, above those of errno */
		if (err <= -__LIBBPF_ERRNO__START || err == -EPROTO || err == -EINVAL)
			snprintf(msg, len, "--btf %s: this is no BTF", path);
		else if (err == -ENOENT && !access(path, F_OK))
			snprintf(msg, len, "--btf %s: an ELF file without BTF in it", path);
		else
			snprintf(msg, len, "--btf %s: %s", path, strerror(-err));
		return err;
	}
	if (btf__find_by_name_kind(btf, "kvm", BTF_KIND_STRUCT) < 0) {
		err = -ENOENT;
		snprintf(msg, len,
			 "--btf %s: describes no struct kvm: it is not a kernel's, or one without KVM", path);
	}
	btf__free(btf);
	open_opts.btf_custom_path = path;
	return err;
}

const struct bpf_object_open_opts *dp_bpf_open_opts(void)
{
	return &open_opts;
}

const char *dp_bpf_no_btf(void)
{
	if (open_opts.btf_custom_path || !access("/sys/kernel/btf/vmlinux", R_OK))
		return NULL;
	return "this kernel has no BTF (CONFIG_DEBUG_INFO_BTF): give it with --btf FILE; the manual says how to make the file";
}

int dp_bpf_run(const struct bpf_program *prog, const uint64_t *args, size_t nargs, int *ret)
{
	LIBBPF_OPTS(bpf_test_run_opts, o, .ctx_in = args, .ctx_size_in = (uint32_t)(nargs * sizeof(*args)));
	int err = bpf_prog_test_run_opts(bpf_program__fd(prog), &o);

	if (err)
		return err < 0 && errno ? -errno : err;
	if (ret)
		*ret = (int)o.retval;
	return 0;
}

size_t dp_bpf_array_bytes(size_t value, size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (((value + 7) & ~(size_t)7) * n + page - 1) & ~(page - 1);
}

void *dp_bpf_map(const struct bpf_map *map, size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	return p == MAP_FAILED ? NULL : p;
}

void dp_bpf_unmap(void *p, size_t bytes)
{
	if (p)
		munmap(p, bytes);
}

void dp_bpf_stats(const struct bpf_program *prog, uint64_t *runs, uint64_t *ns)
{
	struct bpf_prog_info info;
	uint32_t len = sizeof(info);
	int fd = prog ? bpf_program__fd(prog) : -1;

	if (fd < 0)
		return;
	memset(&info, 0, sizeof(info));
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return;
	*runs += info.run_cnt;
	*ns += info.run_time_ns;
}

bool dp_bpf_has_atomics(void)
{
	/* r1 = 0; *(u64 *)(r10 - 8) = r1; r1 = xchg(r10 - 8, r1); r0 = 0; exit */
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_1 },
		{ .code = BPF_STX | BPF_MEM | BPF_DW,
		  .dst_reg = BPF_REG_10,
		  .src_reg = BPF_REG_1,
		  .off = -8 },
		{ .code = BPF_STX | BPF_ATOMIC | BPF_DW,
		  .dst_reg = BPF_REG_10,
		  .src_reg = BPF_REG_1,
		  .off = -8,
		  .imm = BPF_XCHG },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "dp_atomics", "GPL", insns,
			       sizeof(insns) / sizeof(*insns), NULL);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

uint64_t dp_bpf_missed(const struct bpf_program *prog)
{
	struct bpf_prog_info info;
	uint32_t len = sizeof(info);
	int fd = prog ? bpf_program__fd(prog) : -1;

	memset(&info, 0, sizeof(info));
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
		return 0;
	return info.recursion_misses;
}

uint64_t dp_bpf_memlock(const struct bpf_map *map)
{
	char path[64], line[128];
	unsigned long long v = 0;
	FILE *f;

	if (bpf_map__fd(map) < 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", bpf_map__fd(map));
	f = fopen(path, "re");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "memlock: %llu", &v) == 1)
			break;
	fclose(f);
	return v;
}
