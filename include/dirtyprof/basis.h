/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * All that a prediction rests on, as plain numbers: a report carries it (JSON: "basis"), and a table for any list of
 * bandwidths and downtime limits can be made from it, at once or later from a file. Pure.
 */
#ifndef DIRTYPROF_BASIS_H
#define DIRTYPROF_BASIS_H

#include <stddef.h>

#include "dirtyprof/curve.h"
#include "dirtyprof/predict.h"

#define DP_POINTS	 1410 /* of a curve, at most: all that a prediction reads off one, and the origin */
#define DP_POINT_GROUPS	 16   /* of regions; larger VMs have neighbours together, as a prediction does */
#define DP_POINT_SHARES	 89   /* times at which the groups' shares are given, at most */
#define DP_TABLE_MAX	 16   /* bandwidths, and limits, of a table */
#define DP_BASIS_NAME	 64
#define DP_BASIS_VERSION 32

/* U(t) at 4K, straight between points whose times ascend; u in pages, lo <= mid <= hi, none of them ever falling. */
struct dp_points {
	uint32_t n;    /* 0: nothing was observed */
	double reach;  /* s: longest lag observed */
	double blocks; /* 4K pages that log */
	double t[DP_POINTS], lo[DP_POINTS], mid[DP_POINTS], hi[DP_POINTS];
	uint32_t ngroups;
	double group_pages[DP_POINT_GROUPS];
	uint32_t nshares; /* 0: one group, or each has its part of U by its size */
	double share_t[DP_POINT_SHARES], share[DP_POINT_SHARES][DP_POINT_GROUPS]; /* of U(t), 0 to 1 */
};

/*
 * Takes points off a fitted curve: as few as keep U within 1/10000 of itself in between, to seven digits, so that they can be
 * written and read back without a loss.
 */
void dp_points_take(const struct dp_curve *c, struct dp_points *out);

/* Why these are no points of a curve, for people; NULL: they are. */
const char *dp_points_wrong(const struct dp_points *p);

/* A curve that has these points, at 4K alone. NULL: out of memory, or the points are wrong. */
struct dp_curve *dp_curve_from_points(const struct dp_points *p);

/* A migration from its start; what is not known is NAN, and 0 in the plan as struct dp_plan says. */
struct dp_basis {
	bool known;	     /* false: nothing was measured, and nothing else here holds */
	struct dp_plan plan; /* limit: that of QEMU or of --downtime-limit; never running */
	uint32_t assumed;    /* DP_ASSUMED_*, about a migration to come */
	double path;	     /* bytes/s: the path as given or measured; NAN unknown */
	double cap;	     /* bytes/s: QEMU's max-bandwidth; NAN none, or unknown */
	double switchover;   /* bytes/s: the path once the guest is stopped, if given; else NAN */
	double exit_bps;     /* bytes/s: avail-switchover-bandwidth; NAN not set */
	struct dp_points curve;
};

/* Whose basis it is. */
struct dp_basis_vm {
	int32_t pid;
	double wall_s, t, logged; /* s: when (NAN unknown), since attaching, of it logging */
	uint64_t ram;		  /* bytes */
	char name[DP_BASIS_NAME], qemu_version[DP_BASIS_VERSION];
};

/* The link of a migration over a path of this bandwidth: held down by the cap, unless that is to be lifted. */
void dp_basis_link(const struct dp_basis *b, double bandwidth, bool no_cap, struct dp_link *out);

/* One cell of a table. HUGE_VAL: never. */
struct dp_cell {
	enum dp_verdict verdict;
	struct dp_est total, downtime, rounds; /* s, s, number */
};

struct dp_table_report {
	struct dp_basis_vm vm;
	uint32_t nbandwidths, nlimits;
	double bandwidth[DP_TABLE_MAX]; /* bytes/s */
	double limit[DP_TABLE_MAX];	/* s */
	bool no_cap;
	double cap; /* bytes/s, NAN none; that holds down what is faster */
	double fixed, reach, throttle;
	uint32_t assumed;
	struct dp_cell cell[DP_TABLE_MAX][DP_TABLE_MAX]; /* [bandwidth][limit] */
};

/*
 * Fills in t's cells from the lists that it has; where a list is empty (0 of them) it is chosen around what is known: the path
 * and the limit. 0, -EINVAL (a number out of range), -ENODATA (nothing was measured), -ENOMEM. Some 10 ms a cell.
 */
int dp_table_fill(const struct dp_basis *b, const struct dp_basis_vm *vm, struct dp_table_report *t);

/* The same; tick (or NULL) is told before each cell how many of all are done. */
int dp_table_fill_told(const struct dp_basis *b, const struct dp_basis_vm *vm, struct dp_table_report *t,
		       void (*tick)(void *ctx, uint32_t done, uint32_t all), void *ctx);

/* 2: no cell converges, or may; else 0. */
int dp_table_exit_status(const struct dp_table_report *t);

/*
 * Reads a line of `dirtyprof --json`. 0: *b and *vm are filled in. 1: it is a record of another type. -EINVAL, with what is wrong
 * in msg; -ENOMEM. The line may come from anywhere.
 */
int dp_basis_parse(const char *line, size_t len, struct dp_basis *b, struct dp_basis_vm *vm, char *msg,
		   size_t msg_size);

#endif
