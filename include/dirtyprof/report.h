/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What dirtyprof shows: one struct with every number, and its three forms (text, JSON Lines, Prometheus).
 * The forms only format; they compute nothing, so that all three carry the same numbers. Pure.
 *
 * Units: seconds, bytes, bytes/s, ratios. An unknown number is NAN, one that never comes true HUGE_VAL;
 * text shows them as "-" and "never", JSON as null, Prometheus leaves the sample out.
 */
#ifndef DIRTYPROF_REPORT_H
#define DIRTYPROF_REPORT_H

#include <stddef.h>

#include "dirtyprof/basis.h"
#include "dirtyprof/curve.h"
#include "dirtyprof/heat.h"
#include "dirtyprof/predict.h"
#include "dirtyprof/snapshot.h"

#define DP_SCHEMA	  1  /* of the JSON records; raised when a field changes its meaning or goes away */
#define DP_TEXT_WIDTH	  79 /* no line of text is longer, in bytes */
#define DP_CURVE_POINTS	  37 /* points of U(t) in a report: 100 us to 100 s, six a decade */
#define DP_POINT_1S	  24 /* of them: 1 s */
#define DP_REPORT_SYNCS	  64 /* syncs of a migration that a report keeps: the latest */
#define DP_REPORT_WINDOWS 16
#define DP_NOTES	  20
#define DP_HOT_ROWS	  32 /* of each list of what dirties most */

/* A growable string. Zero it to start; after an allocation fails `failed` stays set and writing does nothing. */
struct dp_buf {
	char *data; /* NUL-terminated once something was written; NULL before */
	size_t len, cap;
	bool failed;
};

void dp_buf_printf(struct dp_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void dp_buf_append(struct dp_buf *b, const char *s, size_t len);
void dp_buf_reset(struct dp_buf *b); /* empties it, keeps the memory */
void dp_buf_free(struct dp_buf *b);

/* The VM, as far as reports show it. Strings are valid UTF-8 without control characters. */
struct dp_subject {
	int32_t pid;
	char name[DP_NAME_LEN * 2];
	char qemu_version[DP_NAME_LEN];
	uint32_t nvcpus;
	uint64_t ram, logging; /* bytes of RAM; of it, in slots that log */
	uint32_t granule;      /* bytes that KVM can tell apart; granule_mixed: at most, smaller ones too */
	bool granule_mixed;
	enum dp_mmu mmu;
	enum dp_log_mode log_mode;
	uint32_t ring_entries, manual_protect;
	struct dp_backing backing; /* of all RAM slots; the largest hugetlb size where they differ */
	uint32_t blind;		   /* DP_BLIND_* */
};

/* One measured bandwidth, bytes/s: mid over all, lo and hi the spread of its samples; mid NAN: not known. */
struct dp_speed {
	struct dp_est bps;
	uint32_t samples; /* stretches of time that it rests on; 0: given, not measured */
};

enum dp_speed_from {
	DP_SPEED_NONE,
	DP_SPEED_OPTION,
	DP_SPEED_QMP,
	DP_SPEED_GOODPUT,
	DP_SPEED_CAP,
	DP_SPEED_CAPACITY,
	DP_SPEED_LEARNED /* as given, and what past migrations got of such a path */
};
const char *dp_speed_from_name(enum dp_speed_from f); /* "none", "option", "qmp", "goodput", ... */

struct dp_speeds {
	struct dp_speed goodput;  /* bytes that arrived, over the time that the migration was on */
	struct dp_speed cap;	  /* QEMU's max-bandwidth: told by QMP, or seen in the burst cadence */
	struct dp_speed capacity; /* the path's own: the rate within bursts */
	bool capped;		  /* cap is what holds the rounds back */
	struct dp_est rounds, switchover; /* what the prediction used; mid NAN: none */
	enum dp_speed_from rounds_from, switchover_from;
};

/* One sync of the dirty log. */
struct dp_sync_report {
	uint32_t number; /* of all syncs so far, from 1 */
	uint32_t round;	 /* migration: the round that it ends, from 1; 0: setup, or no migration */
	double t;	 /* since attaching */
	double since;	 /* since the previous sync; NAN unknown */
	bool by_migration, initial;
	uint64_t new_blocks[DP_SIZES];
	uint64_t reported_pages;
	double sent;	  /* bytes since the previous sync; NAN outside a migration */
	double remaining; /* bytes after it; NAN unknown */
	/* predicted at this sync; NAN where unknown */
	enum dp_verdict verdict;
	struct dp_est stop_now, redirty, total, downtime, blackout;
	double rounds; /* the whole migration's, rounds already seen included */
};

/* A moment, s: since attaching; since the epoch; on CLOCK_MONOTONIC, which all processes of a host share. NAN unknown. */
struct dp_moment {
	double t, wall, mono;
};

enum dp_outcome { DP_MIG_NONE, DP_MIG_RUNNING, DP_MIG_DONE, DP_MIG_CANCELLED };
const char *dp_outcome_name(enum dp_outcome o);

/* The migration under way, or the last one. */
struct dp_migration {
	enum dp_outcome outcome;
	double start;	/* since attaching */
	double elapsed; /* so far, or in all */
	uint32_t channels;
	bool multifd, tcp;
	uint32_t rounds;      /* ended so far */
	double sent;	      /* bytes */
	double remaining;     /* bytes; NAN unknown */
	bool remaining_known; /* false: an upper bound, as the share of zero pages is not known */
	bool remaining_qmp;   /* QEMU said so, else the model */
	bool qmp;	      /* total and downtime come from QEMU */
	double total,
		downtime; /* what happened; NAN while running. Without QMP downtime is from the guest's last
	                                   instruction here to the last byte sent: a lower bound */
	struct dp_moment last_ran; /* when the guest last ran here; known once it is done */
	/* what the log does not show: of the downtime, what was not RAM (s), and what the sockets held while the wire was
	 * the limit (bytes); NAN where it could not be told */
	double fixed_seen, queue_seen;
	/* bytes/s: the path as somebody gave it, and as the wire showed it where nothing else held the rounds back; NAN neither */
	double path_given, path_seen;
	/* predicted before it began; before_known false: nothing was known then */
	bool before_known;
	enum dp_verdict before_verdict;
	struct dp_est before_total, before_downtime, before_blackout;
	double before_rounds;
	uint32_t before_nrounds; /* kept in before_round[]: the first ones of the middle of the band */
	struct dp_round before_round[DP_REPORT_SYNCS];
	uint32_t nsyncs;	/* kept in syncs[] */
	uint32_t dropped_syncs; /* earlier ones that are not */
	struct dp_sync_report syncs[DP_REPORT_SYNCS];
};

/* Advice and cautions. value and value2 are what the text says, in base units; NAN where there is none. */
enum dp_note_kind {
	DP_NOTE_RAISE_LIMIT,	/* value: least downtime limit, s */
	DP_NOTE_NEED_BANDWIDTH, /* value: least bandwidth, bytes/s */
	DP_NOTE_NEED_THROTTLE,	/* value: least throttle, ratio */
	DP_NOTE_THROTTLE_FAILS, /* no throttle suffices */
	DP_NOTE_SWITCHOVER_BW,	/* value: avail-switchover-bandwidth to set, bytes/s */
	DP_NOTE_RAISE_CAP,	/* value: the cap, value2: the path's capacity, bytes/s */
	DP_NOTE_HUGE_GRANULE,	/* value: granule, bytes; value2: its amplification, NAN unknown */
	DP_NOTE_SMALLER_PAGES, /* value: size of the pages to back the VM with, bytes; value2: least bandwidth then */
	DP_NOTE_POSTCOPY,      /* value: the floor, s */
	DP_NOTE_SETTLE_WINDOW, /* value: the window whose measurement would settle it, s */
	DP_NOTE_NO_BANDWIDTH,  /* no bandwidth known: --bandwidth */
	DP_NOTE_CAP_UNKNOWN,   /* value: QEMU's default max-bandwidth, bytes/s; what is set is not known */
	DP_NOTE_PHASE,	       /* value: earlier, value2: recent new pages a second */
	DP_NOTE_UNSTEADY, /* value: how much the pace differs, a share; value2: how long it keeps to one, s */
	DP_NOTE_SHORT_REACH,  /* value: longest lag seen, value2: lag that the prediction needed, s */
	DP_NOTE_LOST,	      /* value: events that could not be kept */
	DP_NOTE_ZERO_UNKNOWN, /* the share of zero pages is not known: times are upper bounds */
	DP_NOTE_COARSE_TIMES, /* value: the times' resolution, s; value2: marks that come at once */
	DP_NOTE_FEW_STARTS,   /* value: start points that marks could count from, value2: syncs */
	DP_NOTE_KINDS
};
const char *dp_note_name(enum dp_note_kind k);

struct dp_note {
	enum dp_note_kind kind;
	double value, value2;
};

enum dp_report_kind { DP_REPORT_START, DP_REPORT_INTERVAL, DP_REPORT_SYNC, DP_REPORT_FINAL };

/* What is assumed, not measured or told. */
#define DP_ASSUMED_LIMIT      (1u << 0)
#define DP_ASSUMED_FIXED      (1u << 1)
#define DP_ASSUMED_SETUP      (1u << 2)
#define DP_ASSUMED_EXIT	      (1u << 3) /* QEMU's version is not known */
#define DP_ASSUMED_SWITCHOVER (1u << 4) /* the path at switchover is taken to be as fast as in the rounds */
#define DP_ASSUMED_SCAN	      (1u << 5) /* finding zero pages costs nothing */

/* What really changed of what the log reported, from contents (struct dp_changes). So far. */
struct dp_change_report {
	bool on;
	uint32_t unit;	     /* bytes of a granule that was sampled */
	struct dp_est share; /* of the reported 4K pages, 0 to 1; NAN unknown */
	struct dp_est rate;  /* bytes/s in 4K pages that changed, from sync to sync; NAN unknown */
	struct dp_est
		resent; /* bytes reported a byte changed; hi HUGE_VAL: perhaps nothing changed; NAN unknown */
	double window;	/* s between two syncs, a mean; NAN none yet */
	uint64_t windows, compared, failed;
	double read, read_bps, limit_bps; /* bytes read; a second, as a mean; at most */
};

/* A vCPU, a range of guest-physical memory or a memslot, and what was dirtied by it or in it. */
struct dp_hot_row {
	uint32_t number; /* vCPU: KVM's index; slot: KVM's id, the last it had */
	uint32_t as_id;	 /* slot: its address space */
	uint64_t lo, hi; /* 4K gfns [lo, hi); holes may lie between; vCPU: 0 */
	uint64_t ram;	 /* 4K pages of RAM in it; vCPU: 0 */
	uint64_t count; /* 4K pages first written since re-armed, one for each interval; vCPU: dirty events */
	double share;	/* of all of its list, 0 to 1 */
};

/* Where dirty pages come from: those that dirtied something, hottest first, the hottest DP_HOT_ROWS of them. */
struct dp_hot_list {
	uint32_t n;	   /* in row[] */
	uint32_t hot;	   /* that dirtied anything, listed or not */
	uint32_t all;	   /* dirty or not; of slots also those that went */
	uint32_t half;	   /* so many of the hottest make half of the count */
	uint64_t half_ram; /* 4K pages of RAM in these */
	uint64_t count;	   /* of all of them */
	struct dp_hot_row row[DP_HOT_ROWS];
};

/*
 * regions: frames of 1 GiB in VMs of more than DP_HEAT_BINS of them, else equal parts of RAM (dirtyprof/heat.h): whichever
 * is finer. Where RAM was laid out anew meanwhile, what had been counted before is put where its addresses are now.
 */
struct dp_hot {
	struct dp_hot_list vcpus, regions, slots; /* vcpus: empty where the source cannot tell */
};

struct dp_report {
	enum dp_report_kind kind;
	uint32_t seq; /* of the snapshot */
	int64_t wall_us;
	double t; /* since attaching, at the end of this interval */
	struct dp_subject vm;
	enum dp_source source;
	char hook[DP_NAME_LEN * 2];
	char started_by[DP_NAME_LEN * 2]; /* what dirtyprof did to switch logging on; "" nothing */
	char command[512];
	double every; /* s; 0: no regular lines */

	/* since the last line; FINAL: over all */
	double span, logged;		 /* s; of it, while RAM was logged */
	uint64_t new_blocks[DP_SIZES];	 /* first dirtied since re-arming: not a rate */
	uint64_t total_blocks[DP_SIZES]; /* the same, so far */
	uint64_t heat
		[DP_HEAT_BINS]; /* new_blocks[DP_4K] by equal parts of RAM; FINAL: since RAM was laid out */
	uint64_t seen;		/* bytes of distinct 4K pages dirtied so far */
	bool logging;		/* now */
	bool logging_changed;	/* since the last line */
	bool ever_logged;
	double sent, acked; /* bytes on the migration's sockets; acked NAN unless TCP */
	double sent_bps;    /* sent (TCP: acked) over the span; NAN: no migration */

	/* the curve */
	bool known; /* at 4K */
	double u_t[DP_CURVE_POINTS];
	struct dp_est u[DP_SIZES][DP_CURVE_POINTS]; /* bytes; NAN where unknown */
	struct dp_est rate[DP_SIZES];		    /* bytes/s: dp_curve_rate; NAN unknown */
	double blocks[DP_SIZES];		    /* blocks that log */
	double reach[DP_SIZES];			    /* s: beyond it U(t) is extrapolated */
	double resolution; /* s: nine of ten marks came at most so long after their write; NAN: not marks, or none */
	double batch;	   /* marks that came at once, a mean; NAN likewise */
	uint32_t nwindows; /* harvest: the windows at which the log was seen, longest first */
	double window[DP_REPORT_WINDOWS];
	/* bytes resent a byte written if the log could only tell blocks of this size apart, for writes within amp_t; NAN unknown */
	struct dp_est amp[DP_SIZES];
	double amp_t;
	double amp_now; /* with this VM's granule; NAN where the log cannot show what was really written */

	struct dp_change_report change;
	struct dp_heat_range heat_range[DP_HEAT_BINS]; /* where the parts are */
	struct dp_hot hot;			       /* FINAL */

	struct dp_speeds speeds;
	struct dp_migration mig;
	/* when the guest first ran here, if it had not before (the destination of a migration); first_now: since the last line */
	struct dp_moment first_ran;
	bool first_now;
	uint32_t nsyncs;	/* since the last line: as in mig.syncs, and those outside a migration */
	uint32_t dropped_syncs; /* since the last line, for want of room */
	struct dp_sync_report syncs[DP_REPORT_SYNCS];

	/* the prediction; total counts from the migration's start */
	bool predicted; /* false: pred holds nothing but the verdict "unknown" */
	struct dp_prediction pred;
	double limit, fixed, setup, throttle;
	double queue;	  /* bytes; 0 unknown */
	double busy;	  /* share of its time that a vCPU ran, while it was measured; 0 unknown */
	uint32_t learned; /* migrations that fixed and queue were learnt from */
	enum dp_exit_test exit_test;
	double zero_share;	      /* NAN unknown */
	double zero_at[DP_ZERO_BINS]; /* of each equal part of RAM; 0 unknown */
	double zero_scan_bps;	      /* at which QEMU finds them; 0 unknown */
	double wire_page;
	uint32_t assumed; /* DP_ASSUMED_* */
	uint32_t nnotes;
	struct dp_note note[DP_NOTES];
	struct dp_basis basis; /* FINAL: for tables of a migration to come */

	/* so far */
	uint64_t events, lost, unknown, repeated;
	double bpf_seconds, user_seconds; /* bpf_seconds NAN where the kernel does not count */
	uint64_t bpf_runs, rss;
};

/* 0: converges, done, or unknown; 2: would not converge. (1, an error, is the caller's business.) */
int dp_report_exit_status(const struct dp_report *r);

/* Text. header: once, before the first line (START). line: after each interval or sync. final: at the end. */
void dp_text_header(struct dp_buf *b, const struct dp_report *r);
void dp_text_tracing(struct dp_buf *b,
		     const struct dp_report *r); /* header's first part: what is traced, and how */
void dp_text_events(struct dp_buf *b,
		    const struct dp_report *r); /* line's: syncs of a migration, logging switched */
void dp_text_columns(struct dp_buf *b); /* the column header alone, to repeat it; header ends with it */
void dp_text_line(struct dp_buf *b, const struct dp_report *r);
void dp_text_final(struct dp_buf *b, const struct dp_report *r);

/* JSON Lines, docs/schema.json. header: "start"; line: "sync" records, then an "interval"; final: "report". */
void dp_json_header(struct dp_buf *b, const struct dp_report *r);
void dp_json_line(struct dp_buf *b, const struct dp_report *r);
void dp_json_final(struct dp_buf *b, const struct dp_report *r);

/*
 * A whole file for node_exporter's textfile collector, for n VMs (line's or final's reports). At a clean exit the
 * convention is to remove the file; dp_prom_stale is for where that cannot be done, or would be missed: it leaves
 * dirtyprof_up 0 and the time of the last update, so that every other series goes stale at the next scrape.
 */
void dp_prom(struct dp_buf *b, const struct dp_report *const *r, size_t n);
void dp_prom_stale(struct dp_buf *b, const struct dp_report *const *r, size_t n);

/* The table of `dirtyprof predict`: text, or one JSON record of type "table". */
void dp_text_table(struct dp_buf *b, const struct dp_table_report *t);
void dp_json_table(struct dp_buf *b, const struct dp_table_report *t);

/* Friendly numbers, into buf (size at least 16); return buf. */
char *dp_fmt_bytes(char *buf, size_t size, double bytes);      /* "99.0 MiB" */
char *dp_fmt_bits(char *buf, size_t size, double bytes_per_s); /* "952 Mb/s", decimal bits */
char *dp_fmt_time(char *buf, size_t size, double s);	       /* "688 ms", "1.57 s", "never", "-" */
char *dp_fmt_count(char *buf, size_t size, double n);	       /* "25,344", "12.3M" */

#endif
