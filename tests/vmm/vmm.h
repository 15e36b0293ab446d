/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * dpvmm: a small test VMM. Its guest dirties memory by a pattern that the VMM itself dictates, write by
 * write, so that what was dirtied is known exactly and independently of KVM's dirty log.
 *
 *   pattern.c     which page is due when (the truth)
 *   arch_*.c      how a vCPU is made to write a batch of pages
 *   vm.c          KVM, memory slots, backing
 *   log.c         the dirty log as a VMM uses it: ring, bitmap, manual protect
 *   run.c         vCPU threads and the timetable
 *   main.c        options
 */
#ifndef DPVMM_VMM_H
#define DPVMM_VMM_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "pattern.h"

#define PAGE_BYTES 4096ull /* a page of the pattern, and QEMU's; KVM counts in host pages */
#define MAX_SLOTS  64
#define MAX_VCPUS  16
/* Writes that a guest does between two exits, at most: about a millisecond's worth when emulated. */
#define BATCH_MAX      4096
#define BATCH_EMULATED 1024
/*
 * The same for an emulated guest with the dirty ring. KVM looks whether the ring is full only on the way
 * into the guest, and keeps 64 entries in reserve. Emulated writes do not leave the guest: a longer
 * batch would run over the reserve, lose entries, and once it has lost a ring's worth the vCPU could
 * never run again.
 */
#define BATCH_EMULATED_RING 60
#define TOUCHED		    1 /* the value of a page of the pattern before the guest writes to it */
#define CLEAR_CHUNK	    (1ull << 18) /* pages a CLEAR covers at most, QEMU's 1 GiB */
#define SLOT_ALT_ID	    256		 /* a churned slot alternates between id i and i + this */
#define SLOT_PRIVATE_ID	    500		 /* the guest's own code and work list: never logs */

enum log_mode { LOG_NONE, LOG_BITMAP, LOG_MANUAL, LOG_MANUAL_INIT, LOG_RING };
enum backing { BACK_ANON, BACK_THP, BACK_HUGETLB };
enum mmu { MMU_HOST, MMU_RADIX, MMU_HASH }; /* POWER: the guest's; default: the host's */

struct options {
	struct pattern_spec pattern;
	uint64_t mem;		 /* bytes of guest RAM */
	uint64_t stride, offset; /* bytes between two pages of the pattern; of the first */
	enum log_mode log;
	bool emulated; /* the 32-bit guest, see arch_x86.c */
	uint32_t ring_entries;
	enum backing backing;
	uint64_t huge_bytes; /* of a hugetlb page */
	enum mmu mmu;
	uint64_t apart; /* bytes of a further slot on base pages, which the guest leaves alone; 0: none */
	uint32_t nslots, nvcpus;
	double seconds;
	uint32_t sync_ms;	 /* 0: never, only at the end */
	uint32_t batch_us;	 /* a paced guest wakes this often */
	uint32_t batch_writes;	 /* writes between two exits, at most */
	uint32_t clear_delay_ms; /* manual: wait before each 1 GiB chunk's CLEAR */
	int64_t log_after_ms;	 /* < 0: log from the start */
	int64_t log_off_after_ms;
	uint32_t churn_ms;
	bool lockstep; /* vCPUs stand still during a sync */
	bool fill;     /* no page of RAM is zero */
	bool cold;     /* the pattern's pages get their host memory only when the guest writes to them */
	const char *wait_file;
	uint32_t wait_seconds;
};

struct slot {
	uint32_t id;
	uint64_t gpa, bytes;
	uint8_t *host;
	bool initial;	 /* INITIALLY_SET: the next GET answers all ones */
	uint64_t *dirty; /* what the log gave since the last report, a bit a host page */
};

struct vcpu {
	struct vmm *vmm;
	uint32_t index;
	int fd;
	struct kvm_run *run;
	struct kvm_dirty_gfn *ring;
	uint32_t ring_next; /* next entry to collect */
	void *mailbox;	    /* arch's work list, host address */
	struct pattern pattern;
	pthread_t thread;
	bool started;
	/* written by the vCPU's thread, read by others */
	atomic_ullong writes, late_ns, ring_full;
};

struct vmm {
	struct options opt;
	int kvm, vm;
	size_t run_bytes;
	uint64_t page_bytes; /* the host's page: KVM's unit of slots and bitmaps */
	const char *mmu;     /* the guest's; NULL where there is only one */
	uint8_t *ram;
	uint64_t ram_gpa;
	uint8_t *private_mem;
	uint64_t private_gpa, private_bytes;
	uint64_t private_in_ram; /* slot 0 begins with this much private memory; 0: it has its own slot */
	uint32_t nslots;
	struct slot slots[MAX_SLOTS];
	struct vcpu vcpus[MAX_VCPUS];
	uint64_t *scratch; /* one GET's answer, the largest slot's bits */
	bool logging;
	pthread_rwlock_t gate;	  /* a vCPU holds it for reading during a batch; lockstep stops them */
	pthread_mutex_t log_lock; /* the rings' read positions and slots[].dirty */
	uint64_t entries;	  /* ring entries collected since the last report */
	struct truth truth;
	uint64_t start_ns; /* CLOCK_MONOTONIC when the guest began */
	atomic_bool stop, abort;
	atomic_int error;
};

/* vm.c: 0 or -errno, having said why on stderr */
int vm_open(struct vmm *v);
int vm_set_slot(struct vmm *v, const struct slot *s, bool log, bool delete);
int vm_set_logging(struct vmm *v, bool on);
void vm_close(struct vmm *v);

/* log.c */
struct report {
	uint64_t t_ns, took_ns;
	uint64_t dirty;	    /* distinct host pages the log gave since the last report */
	uint64_t blocks[4]; /* the same as blocks of 64K, 2M, 16M, 1G of guest-physical memory */
	uint64_t entries;   /* ring entries collected */
	uint64_t written;   /* distinct pages the guest was told to write */
	uint64_t changed;   /* of them, those that got another value */
	uint64_t by_slot[MAX_SLOTS];
	bool initial;
};
int log_ring_map(struct vmm *v, struct vcpu *c);
int log_collect(struct vmm *v); /* harvest into slots[].dirty, re-arm */
int log_collect_rings(struct vmm *v);
int log_report(struct vmm *v, struct report *r); /* collect, count and start anew */

/* arch_*.c */
uint64_t arch_private_bytes(const struct options *o);
int arch_layout(struct vmm *v); /* chooses ram_gpa, private_gpa and private_in_ram */
int arch_vm_init(struct vmm *v);
int arch_vcpu_init(struct vmm *v, struct vcpu *c);
void arch_put_batch(struct vcpu *c, const uint64_t *index, uint32_t n, uint32_t value);
int arch_handle_exit(struct vcpu *c); /* 1: batch done, 0: run on, < 0: -errno */

/* run.c */
uint64_t now_ns(void);
int vmm_run(struct vmm *v);

#endif
