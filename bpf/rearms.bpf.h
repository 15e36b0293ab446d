/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One map of two objects: harvest.bpf.c notes re-armings in it, mark.bpf.h follows them. The loader makes both use the same. */
#ifndef DIRTYPROF_REARMS_BPF_H
#define DIRTYPROF_REARMS_BPF_H

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct dp_rearm);
} rearms SEC(".maps");

#endif
