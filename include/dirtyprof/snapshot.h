/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The boundary between measuring and computing: one struct dp_snapshot an interval holds all that the
 * probes saw. Everything right of it (user/model, user/report) is pure: no libbpf, no I/O, no clock.
 *
 * Times are nanoseconds on the session's clock (0 = when dirtyprof attached) unless a name says
 * otherwise; counts are of this interval alone unless a comment says "so far".
 */
#ifndef DIRTYPROF_SNAPSHOT_H
#define DIRTYPROF_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "dirtyprof/bins.h"

#define DP_WIRE_UNIT	4096u /* QEMU's target page: what migration sends, in bytes */
#define DP_REGION_SHIFT 18    /* a region is 2^18 pages of 4 KiB = 1 GiB of guest-physical memory */
#define DP_MAX_VCPUS	256   /* per-vCPU counts kept; further vCPUs are added to the last one */
#define DP_NAME_LEN	32

/* Page sizes that dirty pages are rolled up to. */
enum dp_size { DP_4K, DP_64K, DP_2M, DP_16M, DP_1G, DP_SIZES };

static inline unsigned int dp_size_shift(enum dp_size s) /* log2 of the size in bytes */
{
	static const unsigned char shift[DP_SIZES] = { 12, 16, 21, 24, 30 };

	return shift[s];
}

static inline const char *dp_size_name(enum dp_size s)
{
	static const char *const name[DP_SIZES] = { "4K", "64K", "2M", "16M", "1G" };

	return name[s];
}

enum dp_source { DP_SRC_NONE, DP_SRC_RING, DP_SRC_MARK, DP_SRC_HARVEST, DP_SRC_SAMPLE };

static inline const char *dp_source_name(enum dp_source s)
{
	static const char *const name[] = { "none", "ring", "mark", "harvest", "sample" };

	return name[s];
}

/* How the VM logs. */
enum dp_log_mode { DP_LOG_UNKNOWN, DP_LOG_BITMAP, DP_LOG_RING };

/* The guest's MMU where it decides what KVM can tell apart: POWER under KVM HV. */
enum dp_mmu { DP_MMU_ANY, DP_MMU_RADIX, DP_MMU_HASH };

static inline const char *dp_mmu_name(enum dp_mmu m)
{
	static const char *const name[] = { "", "radix", "hash" };

	return name[m];
}

/* What backs a slot's memory on the host. Bytes; the sum may be less than the slot (not yet touched). */
struct dp_backing {
	uint64_t bytes_4k;   /* base pages (the host's own size, see host_page) */
	uint64_t bytes_thp;  /* transparent hugepages */
	uint64_t bytes_huge; /* hugetlbfs */
	uint32_t huge_size;  /* hugetlbfs page size in bytes, 0 = not hugetlb; 1G = 1u << 30 */
	uint32_t host_page;  /* the host's base page size in bytes */
	bool known;	     /* false: smaps could not be read */
};

struct dp_slot {
	uint16_t id;
	uint16_t as_id;
	uint32_t flags;	   /* KVM_MEM_* */
	uint64_t base_gfn; /* in host pages: dp_vm.host_page */
	uint64_t npages;   /* in host pages */
	uint64_t hva;
	bool logging;	      /* KVM_MEM_LOG_DIRTY_PAGES is set */
	bool ram;	      /* counts as migratable RAM: not read-only */
	uint32_t region_base; /* number of the region that its first page lies in */
	uint32_t nregions;    /* regions it spans */
	struct dp_backing backing;
};

/* The VM as it was seen; changes bump generation. */
struct dp_vm {
	int32_t pid;
	char name[DP_NAME_LEN * 2];	/* -name of the QEMU, "" if it has none */
	char qemu_version[DP_NAME_LEN]; /* "7.2.22", "" if unknown */
	uint32_t nvcpus;
	/*
	 * Tracking granule in bytes: what KVM can tell apart. The host's page; with POWER's hash MMU the page with which the
	 * guest maps its memory, which can be as large as the backing one and 16 MiB: the largest of all RAM then.
	 * granule_mixed says that some is told apart finer: by its backing, or because the log has shown it.
	 */
	uint32_t granule;
	bool granule_mixed;
	uint32_t host_page; /* bytes: the unit of a slot's base_gfn and npages; 0: 4096 */
	enum dp_mmu mmu;
	enum dp_log_mode log_mode;
	uint32_t ring_entries;	 /* per vCPU; 0 = bitmap */
	uint32_t manual_protect; /* 0 = GET clears; bit 0 = manual, bit 1 = initially set */
	uint32_t generation;
	uint64_t ram_pages;	/* 4K pages of all ram slots, each backing range counted once */
	uint64_t logging_pages; /* 4K pages of slots that log */
	uint32_t nslots;
	struct dp_slot *slots;
	/*
	 * A region is a 1 GiB frame of guest-physical memory that holds RAM; they are numbered in ascending
	 * order of address. Several slots can share one, and one slot can span several. The N of U(t):
	 */
	uint32_t nregions;
	uint64_t *region_pages;	   /* by region: 4K pages of RAM in it that log or would log */
	uint64_t blocks[DP_SIZES]; /* all regions: aligned blocks of each size that hold such a page */
	uint32_t blind;		   /* DP_BLIND_*: writers that KVM's log cannot show */
};

#define DP_BLIND_DMA	      (1u << 0) /* QEMU's own device emulation */
#define DP_BLIND_VHOST_KERNEL (1u << 1)
#define DP_BLIND_VHOST_USER   (1u << 2)
#define DP_BLIND_VFIO	      (1u << 3)

/*
 * First dirtyings after an anchor (ring, mark). An anchor is a start point at which every page of the
 * region had been re-armed. count[l][b] is the number of pages whose first dirtying after the open
 * anchor of level l came at a lag in bin b.
 */
struct dp_ages {
	uint32_t region; /* region number; DP_REGION_ALL for sizes above 4K */
	uint8_t size;	 /* enum dp_size */
	uint32_t level, bin;
	uint32_t anchor; /* number of the level's open anchor, from 1; 0: not known */
	double count;	 /* pages; already scaled where pages were sampled */
};
#define DP_REGION_ALL UINT32_MAX

/* During this interval `count` anchors of this level aged from from_ns to to_ns. */
struct dp_exposure {
	uint32_t level;
	uint32_t count;
	uint32_t anchor; /* as in struct dp_ages: repeats are told apart by it */
	uint64_t from_ns, to_ns;
	double blind; /* pages, a mean an anchor: dirty but not re-armed at the anchor, so
	                                    their next write was invisible; widens the band upwards */
};

/*
 * One look at a region's log (harvest): of `armed` pages, `dirty` were written between their re-arming
 * and this look. Their windows lie between t_lo and t_hi (equal where all were re-armed at once).
 * Windows of one region and one arming are cumulative, not independent; arming tells them apart. Most of a large VM's
 * regions are quiet and looked at together: one entry tells of all that lie side by side and had the same window. What is
 * computed is the same whether they are told so or each by itself.
 */
struct dp_window {
	uint32_t region;
	uint8_t size;	 /* enum dp_size: armed and dirty are blocks of this size */
	bool peek;	 /* true: dirtyprof looked itself; false: user space got the log */
	uint32_t arming; /* number of the arming in this region, so far */
	uint32_t more;	 /* so many regions behind this one had just such a window */
	uint64_t t_lo_ns, t_hi_ns;
	uint64_t armed, dirty;
};
#define DP_WINDOWS_MAX (1u << 21) /* of a snapshot; looks that would make it more are left out */

/* Whether w, of one region, is the next one of `last` and the same. */
static inline bool dp_window_joins(const struct dp_window *last, const struct dp_window *w)
{
	return w->region != DP_REGION_ALL && last->region + last->more + 1 == w->region &&
	       last->size == w->size && last->peek == w->peek && last->arming == w->arming &&
	       last->t_lo_ns == w->t_lo_ns && last->t_hi_ns == w->t_hi_ns && last->armed == w->armed &&
	       last->dirty == w->dirty;
}

/*
 * How marks came (mark). Where the processor collects a guest's writes and KVM empties its buffer at VM exits (Intel's PML), a
 * mark is later than its write, at most by the time since the thread's previous batch; where each first write faults, it is
 * not. Marks by that time, by octave (bins.h).
 */
struct dp_mark_gaps {
	bool collected; /* KVM lets the processor collect: a mark alone is such a batch too */
	uint64_t batched
		[DP_GAP_BINS]; /* marks that came with others, without time for a VM exit between them */
	uint64_t alone[DP_GAP_BINS];	 /* marks that did not */
	uint64_t batches[DP_BATCH_BINS]; /* by floor(log2(marks)); those alone count as well */
};

/* One sync of the dirty log by user space (all slots within a few ms). */
struct dp_sync {
	uint64_t t_ns;
	uint64_t since_ns;	 /* time since the previous sync, or since logging began; 0 unknown */
	uint64_t new_pages;	 /* 4K pages first dirtied since the previous one */
	uint64_t reported_pages; /* 4K pages set in what user space received (>= new_pages) */
	uint64_t new_blocks[DP_SIZES];
	bool by_migration; /* by a thread that also sends the migration stream */
	bool initial;	   /* the all-ones answer after INITIALLY_SET, left out elsewhere */
};

/* What the migration threads put on their sockets. */
struct dp_wire {
	bool active;	   /* migration bytes were sent in this interval */
	bool tcp;	   /* false: unix sockets only, so no acked bytes and no delivery rate */
	uint32_t channels; /* sockets */
	uint32_t threads;
	uint64_t sent_bytes;  /* given to the sockets */
	uint64_t acked_bytes; /* TCP: acknowledged by the peer */
	uint64_t retrans_bytes;
	uint64_t total_sent;	    /* so far, this migration */
	uint64_t first_ns, last_ns; /* of the migration so far: first and last send */
	uint64_t busy_ns;	    /* time inside bursts (gaps of at most 1 ms between sends) */
	uint64_t busy_bytes;	    /* bytes sent inside bursts, without each burst's first send */
	double delivery_bps;	    /* bytes/s, mean over time of samples not application-limited; 0 none */
	double delivery_max_bps;    /* bytes/s, the best such sample */
	uint64_t delivery_samples, app_limited_samples;
	uint32_t srtt_us;
};

/* What dirtyprof itself cost and missed. */
struct dp_self {
	uint64_t bpf_runs, bpf_ns; /* BPF program runs and time; 0 where the kernel does not count */
	uint64_t user_ns;	   /* this process's CPU time */
	uint64_t rss_bytes;	   /* resident, maps included */
	uint64_t lost;		   /* events or log chunks that could not be kept */
	uint64_t unknown;	   /* events for slots that were not known (yet) */
	uint64_t repeated;	   /* dirtyings of pages that had not been re-armed: not counted again */
	uint64_t events;	   /* all dirty events seen (ring, mark) */
};

/*
 * Granules that were sampled alike and whose contents were compared: moments over them, so far. Of one granule, over
 * all the windows in which it was dirty: a = 4K pages whose content had changed, d = 4K pages that the log reported.
 */
struct dp_change_sum {
	double total;	 /* 4K pages that the log reported in these windows, of granules sampled or not */
	double fraction; /* of the granules that were sampled, 0 to 1; 1: all were */
	double n;	 /* granules */
	double a, d, aa, ad, dd; /* sums over them, and sums of squares and products */
	double pages;		 /* sum of d / windows */
};

/* What was estimated from samples drawn earlier: weights, and half-widths already squared. */
struct dp_change_past {
	double total;	     /* as above */
	double changed;	     /* of it, estimated */
	double below, above; /* squares of the distances from `changed` to its 10th and 90th percentile */
};

/*
 * What really changed of what the log reported: contents of sampled granules at a sync, compared with those at the
 * sync before (user/model/change.h). So far, unless said otherwise.
 */
struct dp_changes {
	bool on;
	uint32_t unit;		    /* bytes of a granule, the unit of sampling */
	uint64_t limit_bps;	    /* bytes/s read at most, as a mean over some seconds */
	uint64_t read_bytes;	    /* read from the VM's memory */
	uint64_t windows;	    /* between two syncs, compared */
	uint64_t window_ns;	    /* their length in all */
	uint64_t lag_ns;	    /* from a window's end until a granule was read, in all */
	uint64_t compared;	    /* granules, one for each window in which it was compared */
	uint64_t failed;	    /* granules that could not be read */
	struct dp_change_sum again; /* granules that had been dirty in an earlier window */
	struct dp_change_sum first; /* and those that had not */
	struct dp_change_past past;
};

enum dp_reason { DP_TIMER, DP_SYNC, DP_LAST };

struct dp_snapshot {
	uint32_t seq;
	enum dp_reason reason;
	uint64_t t0_ns, t1_ns;
	int64_t wall_us; /* realtime at t1, microseconds since the epoch; data, not a clock */
	enum dp_source source;
	bool logging;	    /* some RAM slot logs */
	uint64_t logged_ns; /* time of this interval during which RAM was logged */
	const struct dp_vm *vm;
	uint64_t new_blocks[DP_SIZES]; /* distinct blocks first dirtied in this interval, since re-arming */
	uint64_t seen_pages;	       /* distinct 4K pages dirtied since the start, so far */
	uint32_t nvcpus;
	const uint64_t *vcpu_events; /* ring: pushes by vCPU */
	uint32_t nregions;
	const uint64_t *region_new; /* 4K pages, as new_blocks[DP_4K], by region */
	/*
	 * The same by place (dirtyprof/heat.h): in each of DP_HEAT_BINS equal parts of RAM, and by index of vm->slots (vm->nslots
	 * of them; NULL: not known). Pages of a slot that was taken away meanwhile are in none.
	 */
	uint64_t heat[DP_HEAT_BINS];
	const uint64_t *slot_new;
	uint32_t nages, nexposures, nwindows, nsyncs;
	const struct dp_ages *ages;
	const struct dp_exposure *exposures;
	const struct dp_window *windows;
	const struct dp_sync *syncs;
	struct dp_mark_gaps gaps;
	struct dp_wire wire;
	struct dp_self self;
	/* migration facts from QMP, where it was given; else qmp_known is false */
	bool qmp_known;
	bool qmp_active;			 /* a migration is under way */
	bool qmp_done;				 /* the last one completed */
	uint64_t qmp_remaining, qmp_transferred; /* bytes */
	uint64_t qmp_downtime_ms, qmp_expected_ms, qmp_total_ms;
	uint64_t qmp_dirty_sync_count;
	struct dp_changes changes;
	double zero_share; /* share of RAM pages that are zero, by sampling; < 0 unknown */
	/* the same of each of DP_ZERO_BINS equal parts of RAM, in the order of guest-physical addresses; 0 unknown */
	double zero_at[DP_ZERO_BINS];
	double zero_scan_bps; /* speed at which this host finds its zero pages, bytes/s, measured; 0 unknown */
	double vcpu_busy; /* share of the interval that a vCPU ran, (0, 1], the busier ones counting more; 0 unknown */
	uint64_t vcpu_stopped_ns; /* when the guest last ran, if the VM stopped for good; 0 = runs */
	uint64_t
		vcpu_left_ns; /* when the last vCPU left the guest, if none is in it now; 0 = one is, or unknown */
	uint64_t
		vcpu_first_ns; /* when the guest first ran, if it had not when it was attached to; 0 = else */
};

#endif
