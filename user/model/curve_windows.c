// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Looks at the log (harvest), gathered: of `armed` blocks, `dirty` were written within a window of known
 * length. They are kept by region and by length. What they say of U: curve_wfit.c.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "model/curve_impl.h"

int dp_windows_check(const struct dp_snapshot *s)
{
	uint32_t i;

	if (s->nwindows && !s->windows)
		return -EINVAL;
	for (i = 0; i < s->nwindows; i++) {
		const struct dp_window *w = &s->windows[i];

		if (w->size >= DP_SIZES || w->t_lo_ns > w->t_hi_ns || w->dirty > w->armed)
			return -EINVAL;
		if (w->region != DP_REGION_ALL && w->region >= s->vm->nregions)
			return -EINVAL;
	}
	return 0;
}

/*
 * The set's entry for a length, made if it is not there; peeks have one of their own, so that they cannot take
 * the place of what user space itself received. NULL: out of memory.
 */
static struct dp_wbin *wset_at(struct dp_wset *s, uint32_t bin, bool peek)
{
	uint32_t i;

	for (i = 0; i < s->n && (s->v[i].bin < bin || (s->v[i].bin == bin && s->v[i].peek && !peek)); i++)
		;
	if (i < s->n && s->v[i].bin == bin && s->v[i].peek == peek)
		return &s->v[i];
	if (s->n == s->cap) {
		uint32_t cap = s->cap ? 2 * s->cap : 8;
		struct dp_wbin *v = realloc(s->v, cap * sizeof(*v));

		if (!v)
			return NULL;
		s->v = v;
		s->cap = cap;
	}
	for (uint32_t j = s->n; j > i; j--)
		s->v[j] = s->v[j - 1];
	s->n++;
	s->v[i] = (struct dp_wbin){ .bin = bin, .peek = peek };
	return &s->v[i];
}

/*
 * Looks of one arming grow out of each other, so an arming counts once a length: the first look of it.
 */
static int wset_add(struct dp_wset *s, const struct dp_window *w)
{
	double lo = (double)w->t_lo_ns * 1e-9, hi = (double)w->t_hi_ns * 1e-9;
	double armed = (double)w->armed, p = (double)w->dirty / armed;
	struct dp_wbin *b = wset_at(s, dp_bin_of(w->t_hi_ns), w->peek);

	if (!b)
		return -ENOMEM;
	if (b->n && b->last_arming == w->arming)
		return 0;
	b->last_arming = w->arming;
	b->tmin = b->n ? dp_min(b->tmin, hi) : hi;
	b->tmax = b->n ? dp_max(b->tmax, hi) : hi;
	b->n++;
	b->armed += armed;
	b->dirty += (double)w->dirty;
	b->ap2 += armed * p * p;
	b->lo_s += armed * lo;
	b->hi_s += armed * hi;
	return 0;
}

/* All regions at one look. */
struct look {
	struct dp_window sum;
	double armed, lo, hi, pages;
	uint64_t tmin, tmax;
	bool mixed;
};

/*
 * A guest that wanders from region to region makes each region's windows differ, though the whole is steady.
 * Where one look saw all regions at windows of one length, the whole is counted as well: the k-th windows of
 * all regions within a snapshot are one look.
 */
static int add_whole(struct dp_curve *c, const struct dp_snapshot *s, enum dp_size size)
{
	uint32_t *rank = calloc((size_t)c->nregions + 1, sizeof(*rank)), i, n = 0;
	struct look *looks = calloc((size_t)s->nwindows + 1, sizeof(*looks));
	int err = rank && looks ? 0 : -ENOMEM;

	for (i = 0; !err && i < s->nwindows; i++) {
		const struct dp_window *w = &s->windows[i];
		struct look *l;

		if (w->size != size || w->region == DP_REGION_ALL || !w->armed || !w->t_hi_ns)
			continue;
		l = &looks[rank[w->region]++];
		n = rank[w->region] > n ? rank[w->region] : n;
		if (!l->pages) {
			l->sum = *w;
			l->sum.armed = l->sum.dirty = 0;
			l->tmin = l->tmax = w->t_hi_ns;
		}
		l->mixed = l->mixed || l->sum.peek != w->peek;
		l->tmin = w->t_hi_ns < l->tmin ? w->t_hi_ns : l->tmin;
		l->tmax = w->t_hi_ns > l->tmax ? w->t_hi_ns : l->tmax;
		l->sum.armed += w->armed;
		l->sum.dirty += w->dirty;
		l->armed += (double)w->armed;
		l->lo += (double)w->armed * (double)w->t_lo_ns;
		l->hi += (double)w->armed * (double)w->t_hi_ns;
		l->pages += c->region_pages[w->region];
	}
	for (i = 0; !err && i < n; i++) {
		struct look *l = &looks[i];

		if (l->mixed || (double)l->tmax > DP_SAME_LENGTH * (double)l->tmin ||
		    l->pages < c->blocks[DP_4K])
			continue;
		l->sum.t_lo_ns = (uint64_t)(l->lo / l->armed);
		l->sum.t_hi_ns = (uint64_t)(l->hi / l->armed);
		err = wset_add(&c->size[size].whole, &l->sum);
	}
	free(rank);
	free(looks);
	return err;
}

int dp_windows_add(struct dp_curve *c, const struct dp_snapshot *s)
{
	int err, size;
	uint32_t i;

	for (size = 0; c->nregions > 1 && s->nwindows && size < DP_SIZES; size++) {
		err = add_whole(c, s, (enum dp_size)size);
		if (err)
			return err;
	}
	for (i = 0; i < s->nwindows; i++) {
		const struct dp_window *w = &s->windows[i];
		struct dp_size_data *d = &c->size[w->size];
		struct dp_wset *set = &d->all_set;

		if (!w->armed || !w->t_hi_ns)
			continue;
		if (w->region != DP_REGION_ALL) {
			if (!d->set)
				d->set = calloc(c->nregions, sizeof(*d->set));
			if (!d->set)
				return -ENOMEM;
			set = &d->set[w->region];
		}
		err = wset_add(set, w);
		if (err)
			return err;
	}
	return 0;
}

/* Mean lengths of the windows in n sets, each once; synced: only those at which user space got the log. */
uint32_t dp_windows_list(const struct dp_wset *set, uint32_t n, bool synced, double *t, uint32_t max)
{
	double sum[DP_BINS] = { 0 }, weight[DP_BINS] = { 0 };
	uint32_t i, r, found = 0;

	for (r = 0; r < n; r++) {
		for (i = 0; i < set[r].n; i++) {
			const struct dp_wbin *b = &set[r].v[i];

			if (synced && b->peek)
				continue;
			sum[b->bin] += b->hi_s;
			weight[b->bin] += b->armed;
		}
	}
	for (i = DP_BINS; i-- > 0;) {
		if (weight[i] <= 0.0)
			continue;
		if (found < max)
			t[found] = sum[i] / weight[i];
		found++;
	}
	return found;
}
