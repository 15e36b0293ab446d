// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Looks at the log (harvest), gathered: of `armed` blocks, `dirty` were written within a window of known
 * length. They are kept by region and by length. What they say of U: curve_wfit.c.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

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
		if (w->region == DP_REGION_ALL ? w->more : (uint64_t)w->region + w->more >= s->vm->nregions)
			return -EINVAL;
	}
	return 0;
}

/*
 * The set's entry for a length, made if it is not there; peeks have one of their own, so that they cannot take
 * the place of what user space itself received. NULL: out of memory, or there is room for no more (*full).
 */
static struct dp_wbin *wset_at(struct dp_curve *c, struct dp_wset *s, uint32_t bin, bool peek, bool *full)
{
	uint32_t i = c->wbin;

	/* the next region's is mostly at the same place */
	if (i < s->n && s->v[i].bin == bin && s->v[i].peek == peek)
		return &s->v[i];
	for (i = 0; i < s->n && (s->v[i].bin < bin || (s->v[i].bin == bin && s->v[i].peek && !peek)); i++)
		;
	c->wbin = i;
	if (i < s->n && s->v[i].bin == bin && s->v[i].peek == peek)
		return &s->v[i];
	*full = c->nwbins == DP_WBINS_MAX;
	if (*full)
		return NULL;
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
	c->nwbins++;
	s->v[i] = (struct dp_wbin){ .bin = bin, .peek = peek };
	return &s->v[i];
}

/*
 * Looks of one arming grow out of each other, so an arming counts once a length: the first look of it.
 */
static int wset_add(struct dp_curve *c, struct dp_wset *s, const struct dp_window *w)
{
	bool full = false;
	double lo = (double)w->t_lo_ns * 1e-9, hi = (double)w->t_hi_ns * 1e-9;
	double armed = (double)w->armed, p = (double)w->dirty / armed;
	struct dp_wbin *b = wset_at(c, s, dp_bin_of(w->t_hi_ns), w->peek, &full);

	/* a window less: the band widens, nothing is wrong */
	if (!b)
		return full ? 0 : -ENOMEM;
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

/* Makes a part begin `at` regions into part i. 1; 0: there is room for no more. */
static int cut(struct dp_curve *c, struct dp_size_data *d, uint32_t i, uint32_t at)
{
	struct dp_wset copy = d->part[i].set;

	if (c->nwbins + copy.n > DP_WBINS_MAX)
		return 0;
	if (d->nparts == d->room) {
		uint32_t room = 2 * d->room;
		struct dp_wpart *part = realloc(d->part, room * sizeof(*part));

		if (!part)
			return -ENOMEM;
		d->part = part;
		d->room = room;
	}
	if (copy.n) {
		copy.cap = copy.n;
		copy.v = malloc(copy.n * sizeof(*copy.v));
		if (!copy.v)
			return -ENOMEM;
		memcpy(copy.v, d->part[i].set.v, copy.n * sizeof(*copy.v));
	} else {
		copy = (struct dp_wset){ 0 };
	}
	memmove(&d->part[i + 1], &d->part[i], (d->nparts - i) * sizeof(*d->part));
	d->nparts++;
	c->nwbins += copy.n;
	d->part[i].n = at;
	d->part[i + 1].first += at;
	d->part[i + 1].n -= at;
	d->part[i + 1].set = copy;
	return 1;
}

/* The part that holds a region: mostly the one behind the latest. */
static uint32_t part_of(const struct dp_size_data *d, uint32_t region)
{
	uint32_t a = 0, b = d->nparts;

	if (d->at < b && d->part[d->at].first <= region && region - d->part[d->at].first < d->part[d->at].n)
		return d->at;
	while (b - a > 1) {
		uint32_t m = (a + b) / 2;

		if (d->part[m].first <= region)
			a = m;
		else
			b = m;
	}
	return a;
}

/*
 * A guest that wanders from region to region makes each region's windows differ, though the whole is steady.
 * Where one look saw all regions at windows of one length, the whole is counted as well: the k-th windows of
 * all regions within a snapshot are one look.
 */
static int add_look(struct dp_curve *c, struct dp_size_data *d, struct dp_wpart *p, const struct dp_window *w)
{
	unsigned __int128 armed = (unsigned __int128)w->armed * p->n;
	struct dp_look *l;
	uint32_t k;

	if (p->snapshot != c->nsnapshots) {
		p->snapshot = c->nsnapshots;
		p->looks = 0;
	}
	k = p->looks++;
	if (k >= DP_LOOKS_MAX)
		return 0;
	if (k >= d->look_room) {
		uint32_t room = d->look_room ? 2 * d->look_room : 16;

		l = realloc(d->look, room * sizeof(*l));
		if (!l)
			return -ENOMEM;
		d->look = l;
		d->look_room = room;
	}
	l = &d->look[k];
	if (k >= d->nlooks) {
		d->nlooks = k + 1;
		*l = (struct dp_look){ .sum = *w, .tmin = w->t_hi_ns, .tmax = w->t_hi_ns };
		l->sum.armed = l->sum.dirty = 0;
	}
	l->mixed = l->mixed || l->sum.peek != w->peek;
	l->tmin = w->t_hi_ns < l->tmin ? w->t_hi_ns : l->tmin;
	l->tmax = w->t_hi_ns > l->tmax ? w->t_hi_ns : l->tmax;
	l->sum.armed += (uint64_t)armed;
	l->sum.dirty += w->dirty * p->n;
	l->lo += armed * w->t_lo_ns;
	l->hi += armed * w->t_hi_ns;
	l->pages += c->pages_before[p->first + p->n] - c->pages_before[p->first];
	return 0;
}

static int add_whole(struct dp_curve *c, struct dp_size_data *d)
{
	uint32_t i;
	int err = 0;

	for (i = 0; !err && i < d->nlooks; i++) {
		struct dp_look *l = &d->look[i];

		if (l->mixed || (double)l->tmax > DP_SAME_LENGTH * (double)l->tmin ||
		    l->pages < c->blocks[DP_4K] || !l->sum.armed)
			continue;
		l->sum.t_lo_ns = (uint64_t)(l->lo / l->sum.armed);
		l->sum.t_hi_ns = (uint64_t)(l->hi / l->sum.armed);
		err = wset_add(c, &d->whole, &l->sum);
	}
	return err;
}

static int first_part(struct dp_curve *c, struct dp_size_data *d)
{
	d->part = calloc(16, sizeof(*d->part));
	if (!d->part)
		return -ENOMEM;
	d->room = 16;
	d->nparts = 1;
	d->part[0].n = c->nregions;
	return 0;
}

/* The windows of regions side by side. */
static int add_regions(struct dp_curve *c, struct dp_size_data *d, const struct dp_window *w)
{
	uint32_t at = w->region, end = at + w->more + 1, i;
	int err = d->part ? 0 : first_part(c, d);

	if (err)
		return err;
	i = part_of(d, at);
	if (d->part[i].first < at) {
		err = cut(c, d, i, at - d->part[i].first);
		if (err <= 0)
			return err;
		i++;
	}
	for (; at < end; at += d->part[i++].n) {
		if (d->part[i].n > end - at) {
			err = cut(c, d, i, end - at);
			if (err <= 0)
				return err;
		}
		err = wset_add(c, &d->part[i].set, w);
		if (!err && c->nregions > 1)
			err = add_look(c, d, &d->part[i], w);
		if (err)
			return err;
	}
	d->at = i;
	return 0;
}

int dp_windows_add(struct dp_curve *c, const struct dp_snapshot *s)
{
	int err = 0, size;
	uint32_t i;

	if (!s->nwindows)
		return 0;
	c->nsnapshots++;
	for (size = 0; size < DP_SIZES; size++)
		c->size[size].nlooks = 0;
	for (i = 0; !err && i < s->nwindows; i++) {
		const struct dp_window *w = &s->windows[i];
		struct dp_size_data *d = &c->size[w->size];

		if (!w->armed || !w->t_hi_ns)
			continue;
		err = w->region == DP_REGION_ALL ? wset_add(c, &d->all_set, w) : add_regions(c, d, w);
	}
	for (size = 0; !err && size < DP_SIZES; size++)
		err = add_whole(c, &c->size[size]);
	return err;
}

void dp_windows_free(struct dp_size_data *d)
{
	uint32_t i;

	for (i = 0; i < d->nparts; i++)
		free(d->part[i].set.v);
	free(d->part);
	free(d->all_set.v);
	free(d->whole.v);
	free(d->look);
}

const struct dp_wpart *dp_windows_parts(const struct dp_size_data *d, struct dp_wpart *one, uint32_t *n)
{
	*one = (struct dp_wpart){ .n = 1, .set = d->all_set };
	*n = d->all_set.n ? 1 : d->nparts;
	return d->all_set.n ? one : d->part;
}

/* Mean lengths of the windows, each once; synced: only those at which user space got the log. */
uint32_t dp_windows_list(const struct dp_size_data *d, bool synced, double *t, uint32_t max)
{
	double sum[DP_BINS] = { 0 }, weight[DP_BINS] = { 0 };
	uint32_t i, k, r, n, found = 0;
	struct dp_wpart one;
	const struct dp_wpart *part = dp_windows_parts(d, &one, &n);

	for (k = 0; k < n; k++) {
		for (r = 0; r < part[k].n; r++) {
			for (i = 0; i < part[k].set.n; i++) {
				const struct dp_wbin *b = &part[k].set.v[i];

				if (synced && b->peek)
					continue;
				sum[b->bin] += b->hi_s;
				weight[b->bin] += b->armed;
			}
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
