/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What struct dp_curve is made of. Private to user/model. docs/model.md has the mathematics.
 *
 * Two kinds of evidence are gathered apart and joined by dp_curve_fit():
 *   ages     first dirtyings after anchors (ring, mark): curve_ages.c
 *   windows  looks at the log, interval-censored (harvest): curve_windows.c
 */
#ifndef DIRTYPROF_CURVE_IMPL_H
#define DIRTYPROF_CURVE_IMPL_H

#include "dirtyprof/basis.h"
#include "dirtyprof/curve.h"
#include "model/lag.h"

#define DP_BATCHES    16		 /* for the jackknife; snapshots go round */
#define DP_Z90	      1.2815515655446004 /* standard normal quantile of 0.9 */
#define DP_RESOLUTION (1.0 / 64) /* of U, each way: stamps, and start points unevenly spread within a bin */
#define DP_GRID_SUB   4		 /* points a bin in a table fitted to ages; to windows alone, 1 */
#define DP_MAX_KNOTS  192	 /* window lengths kept apart in one set */
#define DP_WBINS_MAX                                                                                         \
	(1u << 21) /* in all sets: those of each region of 1 TiB at each length, or else 200 MB */
#define DP_LOOKS_MAX   (1u << 16) /* of a snapshot that are counted as a whole */
#define DP_OCTAVES     (DP_BINS / DP_BIN_SUB + 1)
#define DP_SAME_LENGTH 1.03 /* windows whose lengths differ by less are one point */

/* As fmin and fmax where no operand is NaN, but no call: a large VM's fit is millions of them. */
static inline double dp_min(double a, double b)
{
	return a < b ? a : b;
}

static inline double dp_max(double a, double b)
{
	return a > b ? a : b;
}

/*
 * Two sums a bin. low: only the shortest level that covers the bin, whose anchors are the most and never
 * overlap each other. all: every level; used where low was never exposed.
 */
struct dp_bins_pair {
	double low[DP_BINS], all[DP_BINS];
};

/* U at bin edges for one set of counts, from anchors. */
struct dp_edges {
	uint32_t n;	       /* edges with a value: bins 0 .. n-1 were exposed; 0 = nothing */
	double u[DP_BINS + 1]; /* at dp_bin_lo(i), i = 0 .. n */
};

/* Windows of one length (within a bin's width) of one region, each arming once. */
struct dp_wbin {
	uint32_t bin;
	uint32_t n; /* armings */
	uint32_t last_arming;
	bool peek;	     /* dirtyprof looked itself; else user space got the log */
	double armed, dirty; /* blocks, summed */
	double ap2;	     /* sum of armed * (dirty / armed)^2 */
	double lo_s, hi_s;   /* sums of armed * t_lo, armed * t_hi */
	double tmin, tmax;   /* seconds */
};

struct dp_wset {
	struct dp_wbin *v;
	uint32_t n, cap;
};

/* Regions side by side whose windows were all the same so far: at first one such part, in the end each that was written to. */
struct dp_wpart {
	uint32_t first, n;
	uint32_t snapshot, looks; /* looks of that snapshot so far */
	struct dp_wset set;	  /* of each of them */
};

/* All regions at one look. */
struct dp_look {
	struct dp_window sum;
	unsigned __int128 lo,
		hi; /* sums of armed * ns: whole numbers, so that it does not matter how regions were told */
	double pages;
	uint64_t tmin, tmax;
	bool mixed;
};

/*
 * Bounds on U at points, and what a non-decreasing concave function through 0 can do between them.
 * Point i says: U(thi) >= l and U(tlo) <= h. Sorted by thi.
 */
struct dp_bound {
	double tlo, thi, l, h;
	double right, left; /* steepest slopes away from (tlo, h) that the other points allow */
};

struct dp_hull {
	struct dp_bound *p;
	uint32_t n;
	double *vt, *vu; /* vertices of the lower bound (least concave majorant of the l) */
	uint32_t nv;
};

/* One region's interval-censored fit: the band with noise, and without it for the middle. Blocks, seconds. */
struct dp_wfit {
	struct dp_hull band, mid;
	double cap, reach;
	double far; /* half bands that the points of band are given */
};

/* How much windows of one length differ, over all regions of a size. */
struct dp_wnoise {
	double effect; /* variance between armings / binomial variance, >= 1 */
	double dof;    /* behind it; 0: no window was ever repeated */
	double share;  /* binomial errors added as independent / added straight, <= 1 */
	/* the same by octave of the length, where windows of about that length were repeated */
	double near_between[DP_OCTAVES], near_dof[DP_OCTAVES], near_repeats[DP_OCTAVES];
};

struct dp_table {
	uint32_t n;
	double *t, *lo, *mid, *hi; /* one allocation, at t */
};

struct dp_size_data {
	struct dp_bins_pair batch[DP_BATCHES]; /* weighted first dirtyings */
	bool aged;			       /* some age was seen */
	struct dp_wset all_set;		       /* windows of the whole VM (DP_REGION_ALL) */
	struct dp_wset whole;		       /* looks at all regions at windows of one length, added up */
	struct dp_wpart *part;	   /* by region, in order; none until a window of this size came */
	uint32_t nparts, room, at; /* at: the one behind the latest */
	struct dp_look *look;	   /* of the snapshot under way */
	uint32_t nlooks, look_room;
	/* the fit */
	bool known;
	double reach, blocks;
	struct dp_table tab;
	struct dp_est rate;
	/* by edge, from the anchors */
	struct dp_edges mid;
	double se_scale[DP_BINS + 1]; /* quantile x sqrt(design effect / anchors): band = this x sqrt(U) */
	double rel[DP_BINS + 1];      /* half band of the anchored total, without resolution and blind */
};

struct dp_region_data {
	struct dp_bins_pair *ages; /* NULL until an age came */
	struct dp_edges *edges;	   /* the fit */
	struct dp_wfit *wfit;
	bool shared; /* wfit is that of the region before */
};

struct dp_curve {
	uint32_t nregions;
	double *region_pages;
	double *pages_before; /* by region, and in all */
	double blocks[DP_SIZES];
	uint32_t adds;
	uint32_t nsnapshots; /* that had windows */
	uint32_t nwbins;     /* in all sets, */
	uint32_t wbin;	     /* and the place of the latest in its own */
	/* exposure of anchors, common to all sizes and regions */
	struct dp_bins_pair expo[DP_BATCHES]; /* anchors, weighted */
	struct dp_bins_pair expo_sq;	      /* anchors, weighted twice: for the effective number */
	double blind_sum, blind_weight;
	bool exposed;
	struct dp_lag lag; /* of marks behind their writes */
	struct dp_size_data size[DP_SIZES];
	struct dp_region_data *region;
	/* the fit */
	bool fitted;
	uint32_t nedges;	 /* bins 0 .. nedges-1 were exposed */
	double expo_of[DP_BINS]; /* the exposure used */
	double anchors[DP_BINS]; /* effective number of anchors behind it */
	bool use_all[DP_BINS];
	double region_scale[DP_BINS + 1]; /* by edge: whole / sum of the regions' own fits */
	double blind;
	double late;		 /* s: events may come so much later than their writes */
	struct dp_points *given; /* made from points (curve_points.c); NULL: from observations */
};

/* --- curve_band.c: pure numerics --- */
double dp_student90(double dof); /* 0.9 quantile of Student's t; dof >= 1 */
void dp_pava_slopes(const double *count, const double *expo, uint32_t n, double *u, double cap);
int dp_hull_build(struct dp_hull *h, const struct dp_bound *p, uint32_t n);
void dp_hull_free(struct dp_hull *h);
double dp_hull_lo(const struct dp_hull *h, double t);
double dp_hull_hi(const struct dp_hull *h, double t); /* may lie below dp_hull_lo where points contradict */
double dp_edges_eval(const struct dp_edges *e, double t);
double dp_edges_kink(const struct dp_edges *e, double t);

/* Where a bin begins, s. */
static inline double dp_bin_seconds(uint32_t b)
{
	return (double)dp_bin_lo(b) * 1e-9;
}

/* --- curve_ages.c --- */
int dp_ages_check(const struct dp_snapshot *s);
int dp_ages_add(struct dp_curve *c, const struct dp_snapshot *s);
int dp_ages_fit(struct dp_curve *c);

/* --- curve_ages_eval.c --- */
struct dp_est dp_ages_eval(const struct dp_curve *c, enum dp_size size, double t);
struct dp_est dp_ages_region_eval(const struct dp_curve *c, uint32_t region, double t);
struct dp_est dp_ages_rate(const struct dp_curve *c, enum dp_size size);
double dp_ages_reach(const struct dp_curve *c, enum dp_size size);

/* --- curve_points.c --- */
/* A group's share of U(t). */
double dp_points_share(const struct dp_points *p, uint32_t group, double t);

/* --- curve_windows.c --- */
int dp_windows_check(const struct dp_snapshot *s);
int dp_windows_add(struct dp_curve *c, const struct dp_snapshot *s);
void dp_windows_free(struct dp_size_data *d);
/* What was seen of a size: the whole VM's windows where there are some, else those by region. *one: room for the former. */
const struct dp_wpart *dp_windows_parts(const struct dp_size_data *d, struct dp_wpart *one, uint32_t *n);
uint32_t dp_windows_list(const struct dp_size_data *d, bool synced, double *t, uint32_t max);

/* --- curve_wfit.c --- */
struct dp_wnoise dp_windows_noise(const struct dp_wpart *part, uint32_t n,
				  const double *cap); /* cap: by region */
int dp_wfit_build(struct dp_wfit *f, const struct dp_wset *s, double cap, struct dp_wnoise noise);
void dp_wfit_free(struct dp_wfit *f);
struct dp_est dp_wfit_eval(const struct dp_wfit *f, double t);
double dp_wfit_noise(const struct dp_wfit *f, double t); /* half band of the points around t */

/* --- curve_wsum.c --- */
int dp_windows_fit_size(struct dp_curve *c, enum dp_size size, struct dp_table *tab);
int dp_windows_fit_regions(struct dp_curve *c);
void dp_windows_drop_fits(struct dp_curve *c);

#endif
