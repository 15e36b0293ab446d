/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Layouts shared by the BPF programs and the loader. Fixed-width types, no pointers.
 *
 * Page index: guest-physical memory is numbered in frames of 1 GiB ("regions") that hold RAM, so that
 *     index = region << 18 | (gfn & 0x3ffff)      (gfn in 4K pages)
 * keeps every block size aligned and needs 32 bits up to 4 EiB of address space.
 */
#ifndef DIRTYPROF_SHARED_H
#define DIRTYPROF_SHARED_H

#ifndef DIRTYPROF_VMLINUX_H
#include <linux/types.h>
#endif

#include "dirtyprof/bins.h"

/* ---- vm.bpf.c ---- */

enum { DP_FD_VM = 1, DP_FD_VCPU = 2 };

/* One record of the file iterator: a KVM file of the process. */
struct dp_fd_rec {
	__u32 kind;
	__u32 fd;
	__u64 kvm;  /* struct kvm * */
	__u64 vcpu; /* struct kvm_vcpu *, or 0 */
	__u32 vcpu_id;
	__u32 vcpu_idx;
};
_Static_assert(sizeof(struct dp_fd_rec) == 32, "shared layout");

#define DP_FIND_RECS 256 /* find.bpf.c: descriptors that a run looks at */

/* One memslot as KVM has it; pages are host pages. */
struct dp_slot_rec {
	__u64 base_gfn, npages, hva, slot_ptr, bitmap_ptr;
	__u32 flags;
	__u16 id, as_id;
};
_Static_assert(sizeof(struct dp_slot_rec) == 48, "shared layout");

enum { DP_VM_RADIX = 1, DP_VM_HASH = 2 };

struct dp_vm_rec {
	__u64 generation[2];
	__u64 manual_protect;
	__u64 mm;
	__s32 userspace_pid;
	__u32 created_vcpus;
	__u32 ring_bytes; /* dirty_ring_size, 0 = bitmap */
	__s32 nlogging;	  /* nr_memslots_dirty_logging, -1 = this kernel does not count them */
	__u32 naspaces;
	__u32 nslots;	/* records written */
	__u32 overflow; /* slots that found no room */
	__s32 running;	/* vCPUs inside KVM_RUN; -1 = this kernel does not show it */
	__u32 done;	/* the walk over the slots is complete */
	__u32 mmu;	/* DP_VM_*: POWER, of a guest under KVM HV */
	__u32 ran;	/* vCPUs that have been in KVM_RUN at some time */
	__u32 pad;
};
_Static_assert(sizeof(struct dp_vm_rec) == 80, "shared layout");

#define DP_SLOT_RECS 2048
#define DP_VCPU_PTRS 256

/* ---- events.bpf.c ---- */

#define DP_CHUNK_SHIFT	  15 /* pages a chunk of bits covers: 128 MiB of guest */
#define DP_CHUNK_PAGES	  (1u << DP_CHUNK_SHIFT)
#define DP_CHUNK_WORDS	  (DP_CHUNK_PAGES / 64)
#define DP_STAMPS	  1024 /* stamps a map element */
#define DP_MAX_STAT_VCPUS 256

#define DP_BIT_SETS   3u /* one is written, one is free to go on with, one is being read */
#define DP_NO_SET     0xffffffffu
#define DP_NOTE_START 0xfffffffeu /* in a note: no RESET, but the first push since logging was switched on */
#define DP_LEFT_MAX   4096u	  /* pages a sync may leave in the rings and be exact */

struct dp_chunk {
	__u64 w[DP_CHUNK_WORDS];
};

struct dp_stamps {
	__u32 s[DP_STAMPS];
};

struct dp_hist {
	/* of anchors with even and with odd numbers, so that an anchor's count ends where the next one's begins */
	__u32 c[DP_LEVELS][2][DP_BINS];
};
_Static_assert(sizeof(struct dp_hist) % 8 == 0, "mapped as an array");

/* Where a slot's pages are; npages 0 = not tracked. */
struct dp_events_slot {
	__u32 index;   /* page index of its first page */
	__u32 npages;  /* 4K pages */
	__u32 logging; /* it logged when it was last looked at */
	__u32 shift;   /* log2 of 4K pages in a host page */
};

/* Counters of one vCPU, written only by its own thread: a cache line each, no atomics. */
struct dp_vcpu_stat {
	__u64 pushes, repeated, unknown;
	__u64 tid; /* the vCPU's thread, by its last push */
	__u64 pad[4];
};
_Static_assert(sizeof(struct dp_vcpu_stat) == 64, "one cache line");

/* One vCPU's ring, as far as it has been followed. */
struct dp_ring_state {
	__u64 cursor; /* set of bits << 32 | index of the next entry to read; changed by compare-and-swap only */
	__u64 read_ns; /* CLOCK_MONOTONIC up to which its entries have been read; 0 = not yet followed */
	__u32 reset;   /* reset_index at its last RESET */
	__u32 used;    /* pushed and not yet reset, at its last RESET */
};
_Static_assert(sizeof(struct dp_ring_state) == 24, "shared layout");

/* A RESET that is no vCPU's. */
struct dp_reset_note {
	__u64 t_ns; /* CLOCK_MONOTONIC */
	__u32 tid;
	__u32 set; /* bits up to this RESET, or DP_NO_SET: no other set was free */
};
_Static_assert(sizeof(struct dp_reset_note) == 16, "shared layout");

struct dp_anchor {
	__u32 stamp;
	__u32 closed; /* anchors of this level that ran their full length */
	__u64 blind;  /* sum over anchors opened: pages dirty and not yet re-armed */
	__u32 opened;
	__u32 pad;
};

/* How a thread's marks come: written only by itself. */
struct dp_mark_thread {
	__u64 from_ns; /* the end of the batch before this one */
	__u64 end_ns;  /* when its last mark had been dealt with */
	__u32 tid;
	__u32 marks; /* of the batch under way */
	__u32 bin;   /* of its first one */
	__u32 pad;
	__u64 batched[DP_GAP_BINS], alone[DP_GAP_BINS], batches[DP_BATCH_BINS]; /* struct dp_mark_gaps */
};
_Static_assert(sizeof(struct dp_mark_thread) == 32 + 8 * (2 * DP_GAP_BINS + DP_BATCH_BINS), "shared layout");

#define DP_MARK_THREADS 512u /* places: two threads whose ids are a multiple of it apart share one */

/* ---- harvest.bpf.c ---- */

enum { DP_HV_GET = 1, DP_HV_CLEAR = 2, DP_HV_PEEK = 3, DP_HV_SLOTS = 4 };
#define DP_HV_LAST 1u /* flag: the last chunk of this call */

#define DP_LINE_WORDS  8u /* a line of a bitmap: 512 host pages */
#define DP_CHUNK_LINES (DP_CHUNK_WORDS / DP_LINE_WORDS)

/*
 * A piece of a slot's bitmap; bits are host pages, first is a multiple of DP_CHUNK_PAGES, counted from the call's first
 * page. Lines that have a set bit follow the record, in order; the others are left out. A piece that has none can be any
 * number of chunks long, another one is one chunk.
 */
struct dp_hv_rec {
	__u32 type, flags;
	__u64 t_ns; /* CLOCK_MONOTONIC */
	__u32 slot; /* as_id << 16 | id */
	__u32 tid;
	__u64 first;
	__u64 npages; /* bits that are valid here */
	__u64 lines;  /* bit i: line i of the chunk follows */
};
_Static_assert(sizeof(struct dp_hv_rec) == 48, "shared layout");
_Static_assert(DP_CHUNK_LINES == 64, "a bit a line");

struct dp_hv_piece {
	struct dp_hv_rec rec;
	struct dp_chunk bits;
};
_Static_assert(sizeof(struct dp_hv_piece) == 48 + 4096, "shared layout");

/* What GETs and CLEARs have re-armed: written by harvest.bpf.c, followed by mark.bpf.h. */
struct dp_rearm {
	__u64 total;	 /* host pages of all slots that log; by the loader. 0: nothing is noted */
	__u64 begun_ns;	 /* CLOCK_MONOTONIC; when the round under way began, 0 = none is */
	__u64 pages;	 /* of slots that it has taken in so far */
	__u64 owed;	 /* of these, dirty at their slot's GET and not CLEARed since: manual protect */
	__u64 last_ns;	 /* the last re-arming of any kind */
	__u64 first_ns;	 /* beginning and */
	__u64 anchor_ns; /* end of the last round that took in everything */
	__u32 complete;	 /* number of such rounds */
	__u32 round;	 /* number of rounds begun */
};
_Static_assert(sizeof(struct dp_rearm) == 64, "shared layout");

#define DP_REARM_ROUND_NS 1000000000ull /* GETs that are further apart are no round */

/* ---- wire.bpf.c ---- */

struct dp_wire_key {
	__u64 sk;
	__u32 tid;
	__u32 pad;
};

struct dp_wire_stat {
	__u64 bytes, sends;
	__u64 first_ns, last_ns;
	__u64 busy_ns, busy_bytes;  /* inside bursts: gaps of at most DP_BURST_GAP_NS */
	__u64 acked, sent, retrans; /* TCP, the socket's own counters, at the last send */
	__u64 rate_bytes, rate_us,
		rates;	   /* delivery rate samples that were not application-limited, summed */
	__u64 rate_max;	   /* the best of them, bytes/s */
	__u64 app_limited; /* samples that were */
	__u64 before;	   /* TCP: bytes sent before the first send that was seen */
	__u32 rate_delivered, rate_interval; /* the last sample seen, so that one counts once */
	__u32 srtt_us, mss;
	__u16 family, protocol;
	__u16 dport, pad;
	__u8 daddr[16];
	char comm[16];
};
_Static_assert(sizeof(struct dp_wire_stat) == 176, "shared layout");

#define DP_BURST_GAP_NS 1000000ull
#define DP_WIRE_ENTRIES 512

#endif
