/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which hook a source takes: a table of ways, best first, and the first that loads and attaches. Nothing is concluded from
 * a kernel's version; one way can be asked for, so that each is tested on any kernel that has it.
 */
#ifndef DIRTYPROF_PROBE_HOOK_H
#define DIRTYPROF_PROBE_HOOK_H

#include <bpf/libbpf.h>
#include <stddef.h>

#define DP_WAY_PROGS 6

/* One way to hook. A table of them ends with how == NULL. */
struct dp_way {
	const char *how;    /* the mechanism, unique within its table: "fexit"; what --hook takes */
	const char *hook;   /* for people: "fexit kvm_vm_ioctl" */
	const char *target; /* the function or tracepoint that the kernel must have */
	const char *progs[DP_WAY_PROGS + 1]; /* programs, in the order in which they are attached */
	const char *good;		     /* what speaks for it, for people */
};

/* What hooks are for. */
enum dp_hook_use {
	DP_USE_VM,
	DP_USE_RING,
	DP_USE_MARK,
	DP_USE_HARVEST,
	DP_USE_WIRE,
	DP_USE_RUNS,
	DP_USE_ENTRY,
	DP_USES
};

/* Which way each use is to take; NULL: the best that works. */
struct dp_hooks {
	const char *how[DP_USES];
};

const char *dp_use_name(enum dp_hook_use use);
const struct dp_way *dp_use_ways(enum dp_hook_use use);

/* Takes "harvest=kretprobe". 0, or -EINVAL with *msg set to what there is instead. */
int dp_hooks_ask(struct dp_hooks *h, const char *arg, char *msg, size_t len);

/*
 * Tries the ways that `only` allows (NULL: all) in order: load(ctx, way) loads and attaches, or leaves nothing behind and
 * returns a negative errno. 0 with *taken set; else the last error, and in *msg one line that says of each way why not.
 */
int dp_ways_try(const struct dp_way *ways, const char *only, int (*load)(void *ctx, const struct dp_way *way),
		void *ctx, const struct dp_way **taken, char *msg, size_t len);

/* Of all programs that the table names, only this way's are to be loaded. Before loading. */
void dp_way_autoload(const struct dp_way *ways, const struct dp_way *way, struct bpf_object *obj);

/* A way's program number i, NULL where it has none. */
struct bpf_program *dp_way_prog(const struct dp_way *way, int i, const struct bpf_object *obj);

/* Attaches a way's programs, in order, to links[0 ..]; 0, or a negative errno with nothing attached. */
int dp_way_attach(const struct dp_way *way, struct bpf_object *obj, struct bpf_link *links[DP_WAY_PROGS]);
void dp_way_detach(struct bpf_link *links[DP_WAY_PROGS]);

/* Adds the run counts, times and missed runs of a way's programs. missed: the kernel skipped the program. */
void dp_way_stats(const struct dp_way *way, const struct bpf_object *obj, uint64_t *runs, uint64_t *ns);
uint64_t dp_way_missed(const struct dp_way *way, const struct bpf_object *obj);

/* Why this way does not work, in words, from what loading or attaching returned. */
void dp_way_why(const struct dp_way *way, int err, char *msg, size_t len);

#endif
