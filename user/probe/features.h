/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which hooks this kernel gives: found out by loading and attaching each of them, for a moment, to this process. */
#ifndef DIRTYPROF_PROBE_FEATURES_H
#define DIRTYPROF_PROBE_FEATURES_H

#include <stdbool.h>
#include <stddef.h>

#define DP_FEATURES 32

struct dp_feature {
	const char *what; /* "vm", or the name of a use: "harvest" */
	const char *how;  /* what --hook WHAT= takes; "" for vm */
	const char *hook; /* for people: "fexit kvm_vm_ioctl" */
	bool works, chosen;
	char why[256]; /* why it was chosen, is not needed, or does not work */
};

/* Fills up to DP_FEATURES rows, best first within each `what`; returns how many. tick is told how many of all have been tried. */
size_t dp_features_probe(struct dp_feature *f, void (*tick)(void *ctx, size_t done, size_t all), void *ctx);

#endif
