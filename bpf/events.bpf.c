// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Dirty events with their times: one object, whose programs are loaded as the source and its hook want them. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "compat.bpf.h"
#include "shared.h"
#include "gaps.h"
#include "turn.bpf.h"
#include "count.bpf.h"
#include "ring_read.bpf.h"
#include "ring.bpf.h"
#include "mark.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
