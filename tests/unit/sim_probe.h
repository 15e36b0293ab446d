/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What ring and harvest would see of a simulated guest, as snapshots. For the unit tests of the model alone.
 */
#ifndef TESTS_SIM_PROBE_H
#define TESTS_SIM_PROBE_H

#include "dirtyprof/curve.h"
#include "sim_guest.h"

#define SIM_REGIONS	 4
#define SIM_REGION_PAGES 16384u
#define SIM_PAGES	 (SIM_REGIONS * SIM_REGION_PAGES)

struct sim_probe {
	uint64_t region_pages[SIM_REGIONS];
	struct dp_vm vm;
	struct dp_snapshot snap;
	double armed[SIM_PAGES];  /* armed since, in seconds; < 0: dirty */
	double pushed[SIM_PAGES]; /* last push */
	bool dirty[SIM_PAGES];	  /* harvest: since the last clear */
	double anchor[DP_LEVELS]; /* < 0: none open */
	double due[DP_LEVELS];	  /* when the next one may be opened */
	double aged[DP_LEVELS];	  /* lag up to which exposure was reported */
	uint32_t count[SIM_REGIONS][DP_LEVELS][DP_BINS];
	struct dp_ages ages[SIM_REGIONS * DP_LEVELS * DP_BINS];
	struct dp_exposure expo[4096];
	struct dp_window win[4096];
	uint32_t in_ring;
	/* naive Kaplan-Meier: complete ages (re-arming to next push), by bin */
	double km[DP_BINS];
};

static inline struct sim_probe *sim_probe_new(void)
{
	struct sim_probe *p = calloc(1, sizeof(*p));
	uint32_t i;

	if (!p)
		abort();
	for (i = 0; i < SIM_REGIONS; i++)
		p->region_pages[i] = SIM_REGION_PAGES;
	p->vm.nregions = SIM_REGIONS;
	p->vm.region_pages = p->region_pages;
	for (i = 0; i < SIM_PAGES; i++)
		p->pushed[i] = -1.0;
	for (i = 0; i < DP_LEVELS; i++)
		p->anchor[i] = -1.0;
	p->snap.vm = &p->vm;
	p->snap.ages = p->ages;
	p->snap.exposures = p->expo;
	p->snap.windows = p->win;
	return p;
}

static inline double sim_level_s(uint32_t l)
{
	return (double)DP_LEVEL_NS(l) * 1e-9;
}

/* Reports how far level l's anchor aged by `now`; closes it at its full length. */
static inline void sim_age(struct sim_probe *p, uint32_t l, double now)
{
	double lag;

	if (p->anchor[l] < 0.0)
		return;
	lag = fmin(now - p->anchor[l], sim_level_s(l));
	if (lag > p->aged[l] && p->snap.nexposures < 4096) {
		p->expo[p->snap.nexposures++] = (struct dp_exposure){
			.level = l,
			.count = 1,
			.from_ns = (uint64_t)(p->aged[l] * 1e9),
			.to_ns = (uint64_t)(lag * 1e9),
		};
	}
	p->aged[l] = lag;
	if (lag >= sim_level_s(l))
		p->anchor[l] = -1.0;
}

/* A RESET that empties the rings: all is armed, and every level whose turn it is opens an anchor. */
static inline void sim_reset(struct sim_probe *p, double now)
{
	uint32_t i, l;

	for (i = 0; i < SIM_PAGES; i++) {
		if (p->armed[i] < 0.0)
			p->armed[i] = now;
	}
	p->in_ring = 0;
	for (l = 0; l < DP_LEVELS; l++) {
		sim_age(p, l, now);
		if (p->anchor[l] < 0.0 && now >= p->due[l]) {
			p->anchor[l] = now;
			p->due[l] = now + (double)DP_LEVEL_PERIOD_NS(l) * 1e-9;
			p->aged[l] = 0.0;
		}
	}
}

/* A guest write under the ring: a push if the page is armed. */
static inline void sim_push(struct sim_probe *p, uint32_t page, double now)
{
	uint32_t l;

	if (p->armed[page] < 0.0)
		return;
	p->km[dp_bin_of((uint64_t)((now - p->armed[page]) * 1e9))]++;
	for (l = 0; l < DP_LEVELS; l++) {
		double lag = now - p->anchor[l];

		if (p->anchor[l] >= 0.0 && lag < sim_level_s(l) && p->pushed[page] < p->anchor[l])
			p->count[page / SIM_REGION_PAGES][l][dp_bin_of((uint64_t)(lag * 1e9))]++;
	}
	p->armed[page] = -1.0;
	p->pushed[page] = now;
	p->in_ring++;
}

/* Ends the interval and gives it to the curve (if any). */
static inline int sim_snapshot(struct sim_probe *p, struct dp_curve *c, double from, double now)
{
	uint32_t r, l, b;
	int err;

	p->snap.nages = 0;
	for (l = 0; l < DP_LEVELS; l++)
		sim_age(p, l, now);
	for (r = 0; r < SIM_REGIONS; r++)
		for (l = 0; l < DP_LEVELS; l++)
			for (b = 0; b < DP_BINS; b++)
				if (p->count[r][l][b])
					p->ages[p->snap.nages++] = (struct dp_ages){
						.region = r,
						.level = l,
						.bin = b,
						.count = p->count[r][l][b],
					};
	memset(p->count, 0, sizeof(p->count));
	p->snap.t0_ns = (uint64_t)(from * 1e9);
	p->snap.t1_ns = (uint64_t)(now * 1e9);
	p->snap.logged_ns = p->snap.t1_ns - p->snap.t0_ns;
	err = dp_curve_add(c, &p->snap);
	p->snap.nexposures = p->snap.nwindows = 0;
	p->snap.seq++;
	return err;
}

/* Runs the guest under a dirty ring: a reaper every `reap` seconds, and a reset whenever `ring` entries are full. */
static inline int sim_run_ring(struct sim_probe *p, struct sim_guest *g, struct dp_curve *c, double start,
			       double end, double reap, uint32_t ring)
{
	double next_reap = start, next_snap = start + 1.0;

	sim_start(g);
	while (sim_next(g)->next < start)
		sim_advance(g, sim_next(g));
	for (;;) {
		struct sim_tier *t = sim_next(g);
		double now = fmin(fmin(t->next, next_reap), next_snap);

		if (now == next_snap) {
			int err = sim_snapshot(p, c, now - 1.0, now);

			if (err || now >= end)
				return err;
			next_snap += 1.0;
		} else if (now == next_reap) {
			sim_reset(p, now);
			next_reap += reap;
		} else {
			sim_push(p, t->page, now);
			if (p->in_ring >= ring)
				sim_reset(p, now);
			sim_advance(g, t);
		}
	}
}

/* One look at every region's log; clear: it is also re-armed. */
static inline void sim_look(struct sim_probe *p, double t_lo, double t_hi, uint32_t arming, bool clear)
{
	uint32_t r, i, n;

	for (r = 0; r < SIM_REGIONS; r++) {
		for (n = 0, i = 0; i < SIM_REGION_PAGES; i++)
			n += p->dirty[r * SIM_REGION_PAGES + i];
		p->win[p->snap.nwindows++] = (struct dp_window){
			.region = r,
			.peek = !clear,
			.arming = arming,
			.armed = SIM_REGION_PAGES,
			.dirty = n,
			.t_lo_ns = (uint64_t)(t_lo * 1e9),
			.t_hi_ns = (uint64_t)(t_hi * 1e9),
		};
	}
	if (clear)
		memset(p->dirty, 0, sizeof(p->dirty));
}

/* Runs the guest under a bitmap: windows of the given lengths in turn, a peek every `peek` seconds (0: none). */
static inline int sim_run_harvest(struct sim_probe *p, struct sim_guest *g, struct dp_curve *c,
				  const double *len, uint32_t nlen, uint32_t windows, double peek)
{
	double armed = 0.0, next_peek = peek > 0.0 ? peek : INFINITY;
	uint32_t w = 0;

	sim_start(g);
	while (w < windows) {
		struct sim_tier *t = sim_next(g);
		double sync = armed + len[w % nlen], now = fmin(fmin(t->next, sync), next_peek);

		if (now == sync) {
			int err;

			sim_look(p, sync - armed, sync - armed, w, true);
			err = sim_snapshot(p, c, armed, sync);
			if (err)
				return err;
			armed = sync;
			next_peek = peek > 0.0 ? sync + peek : INFINITY;
			w++;
		} else if (now == next_peek) {
			sim_look(p, now - armed, now - armed, w, false);
			next_peek += peek;
		} else {
			p->dirty[t->page] = true;
			sim_advance(g, t);
		}
	}
	return 0;
}

#endif
