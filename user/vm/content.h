/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a VM's memory holds, as fingerprints: read through process_vm_readv, which neither stops the guest nor unmaps
 * anything from it. A page without memory is not read, as that would allocate it.
 */
#ifndef DIRTYPROF_VM_CONTENT_H
#define DIRTYPROF_VM_CONTENT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct dp_content;

/* 0, or -ESRCH, -EPERM, -ENOMEM, other negative errno. */
int dp_content_open(pid_t pid, struct dp_content **out);
void dp_content_close(struct dp_content *c); /* NULL-safe */

/*
 * Fingerprints of n pages of 4K at the addresses hva[] in the process, which are multiples of 4096; 0 = there is no such
 * page. DP_HASH_UNKNOWN: no such page, swapped out, or it cannot be read. A page that is not mapped counts as all zeroes,
 * as that is how memory begins (of shared memory it means that this process has not touched it).
 * *bytes grows by what was read. 0, or -ESRCH, -EPERM: the process cannot be read at all.
 */
int dp_content_hash(struct dp_content *c, const uint64_t *hva, size_t n, uint64_t *hash, uint64_t *bytes);

#endif
