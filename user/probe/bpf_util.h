/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Small helpers over libbpf that every probe needs. */
#ifndef DIRTYPROF_PROBE_BPF_UTIL_H
#define DIRTYPROF_PROBE_BPF_UTIL_H

#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* libbpf's own messages go to the log at debug level; call once. */
void dp_bpf_init(void);

/*
 * Takes the kernel's types from this file instead of /sys/kernel/btf/vmlinux, for every object opened from now on.
 * 0, or negative errno with a line for people in msg: it cannot be read, or describes no KVM.
 */
int dp_bpf_use_btf(const char *path, char *msg, size_t len);

/* For X_bpf__open_opts() of every object. */
const struct bpf_object_open_opts *dp_bpf_open_opts(void);

/* What to say where objects do not load because the kernel has no BTF; NULL: it has, or a file was given. */
const char *dp_bpf_no_btf(void);

/* Runs a raw_tp program once with these arguments (BPF_PROG_TEST_RUN); its return value in *ret. 0 or negative errno. */
int dp_bpf_run(const struct bpf_program *prog, const uint64_t *args, size_t nargs, int *ret);

/* Maps a whole array map, read-write. NULL on failure (errno). */
void *dp_bpf_map(const struct bpf_map *map, size_t bytes);
void dp_bpf_unmap(void *p, size_t bytes);

/* Bytes that an array map of n values takes when mapped. */
size_t dp_bpf_array_bytes(size_t value, size_t n);

/* Run count and time of a program so far, 0 where statistics are off. */
void dp_bpf_stats(const struct bpf_program *prog, uint64_t *runs, uint64_t *ns);

/* Whether programs may exchange and compare atomically, not only add. */
bool dp_bpf_has_atomics(void);

/* How often the kernel skipped a program because it was running on that CPU already; 0 before Linux 5.12. */
uint64_t dp_bpf_missed(const struct bpf_program *prog);

/* Memory that the kernel charges for a map, in bytes, from its fdinfo; 0 unknown. */
uint64_t dp_bpf_memlock(const struct bpf_map *map);

#endif
