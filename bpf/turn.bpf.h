/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How the loader waits until every program that is running now has ended: the kernel (from 5.0 on) returns from an update of a
 * map of maps only after an RCU grace period, within which tracing programs run. membarrier(2) would do the same, but not
 * on a machine with one CPU, where it returns at once, though a preemptible kernel may have put a program aside there.
 */
#ifndef DIRTYPROF_TURN_BPF_H
#define DIRTYPROF_TURN_BPF_H

struct turn_value {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} turn_value SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, u32);
	__array(values, struct turn_value);
} turn SEC(".maps");

#endif
