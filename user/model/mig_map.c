// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "mig_map.h"

#include <math.h>
#include <string.h>

#include "dirtyprof/predict.h"

void dp_map_begin(struct dp_mig_map *m, const double size[DP_HEAT_BINS])
{
	double all = 0;
	unsigned int i;

	memset(m, 0, sizeof(*m));
	for (i = 0; i < DP_HEAT_BINS; i++) {
		m->size[i] = m->pending[i] = size[i];
		m->first[i] = true;
		all += size[i];
	}
	m->known = all > 0;
}

/* Wire bytes of a page of this part. */
static double cost(const struct dp_mig_map *m, unsigned int i, double page)
{
	return m->first[i] ? (1 - m->zeros[i]) * page + m->zeros[i] * DP_WIRE_ZERO : page;
}

double dp_map_bytes(const struct dp_mig_map *m, double page)
{
	double sum = m->behind * page;
	unsigned int i;

	for (i = 0; i < DP_HEAT_BINS; i++)
		sum += m->pending[i] * cost(m, i, page);
	return sum;
}

double dp_map_zeros(const struct dp_mig_map *m)
{
	double sum = 0;
	unsigned int i;

	for (i = 0; i < DP_HEAT_BINS; i++)
		sum += m->first[i] ? m->pending[i] * m->zeros[i] : 0;
	return sum;
}

static void leave(struct dp_mig_map *m)
{
	m->first[m->at] = false;
	m->pending[m->at] = m->behind;
	m->behind = m->done = 0;
	m->at = (m->at + 1) % DP_HEAT_BINS;
}

void dp_map_sent(struct dp_mig_map *m, double bytes, double page)
{
	unsigned int hops;

	for (hops = 0; hops <= DP_HEAT_BINS && bytes > 0; hops++) {
		double ahead = m->pending[m->at] * cost(m, m->at, page);

		if (bytes < ahead) {
			double part = bytes / ahead;

			m->pending[m->at] *= 1 - part;
			m->done += (1 - m->done) * part;
			return;
		}
		bytes -= ahead;
		leave(m);
	}
}

void dp_map_scale(struct dp_mig_map *m, double bytes, double page)
{
	double now = dp_map_bytes(m, page), by = now > 0 ? fmax(0, bytes) / now : 0;
	unsigned int i;

	for (i = 0; now > 0 && i < DP_HEAT_BINS; i++)
		m->pending[i] = fmin(m->pending[i] * by, m->size[i] * (i == m->at ? 1 - m->done : 1));
	m->behind = fmin(m->behind * by, m->size[m->at] * m->done);
}

/* In `pages` of which some are pending already, so many were found: those that are now. */
static double together(double pending, double found, double pages, double again, bool first)
{
	/* what has never been sent is pending whether it is found or not */
	double both = first && pages > 0 ? found * fmin(1, pending / pages) : fmin(pending * again, found);

	return fmin(pages, pending + found - both);
}

void dp_map_counts(const struct dp_mig_map *m, double *found, double *fresh)
{
	unsigned int i;

	*found = *fresh = 0;
	for (i = 0; i < DP_HEAT_BINS; i++) {
		*found += m->found[i];
		*fresh += m->fresh[i];
	}
}

/*
 * Of a set of pages by part the share `again` was found once more, within a time in which share[i] of part i was found. What is
 * found often lies together: in a part at least its own share is found again, and what is still missing everywhere alike. Returns
 * that.
 */
static double everywhere(const double *set, const double *share, double again)
{
	double sum = 0, want, lo = 0, hi = 1;
	unsigned int i, tries;

	for (i = 0; i < DP_HEAT_BINS; i++)
		sum += set[i];
	want = again * sum;
	for (tries = 0; tries < 40; tries++) {
		double mid = (lo + hi) / 2, got = 0;

		for (i = 0; i < DP_HEAT_BINS; i++)
			got += set[i] * fmax(mid, fmin(1, share[i]));
		if (got < want)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

/* Those whose place is known stand for the others too, for no more than one each. */
#define MOST_UNPLACED 2.0

void dp_map_read(struct dp_mig_map *m, double pages, double again)
{
	double found, fresh, share, by, now[DP_HEAT_BINS], part[DP_HEAT_BINS];
	unsigned int i;

	dp_map_counts(m, &found, &fresh);
	share = fresh > 0 ? fmin(1, pages / fresh) : 0;
	by = share > 0 ? fmin(MOST_UNPLACED, pages / (fresh * share)) : 0;
	for (i = 0; i < DP_HEAT_BINS; i++) {
		now[i] = fmin(m->size[i], m->fresh[i] * share * by);
		part[i] = m->size[i] > 0 ? now[i] / m->size[i] : 0;
		m->fresh[i] *= 1 - share;
	}
	again = everywhere(m->found, part, again);
	for (i = 0; i < DP_HEAT_BINS; i++)
		m->found[i] = together(m->found[i], now[i], m->size[i], fmax(again, part[i]), false);
}

void dp_map_forget(struct dp_mig_map *m)
{
	memset(m->fresh, 0, sizeof(m->fresh));
	memset(m->found, 0, sizeof(m->found));
}

void dp_map_again(const struct dp_mig_map *m, double *set, double *found)
{
	unsigned int i;

	*set = 0;
	for (i = 0; i < DP_HEAT_BINS; i++)
		*set += m->set[i];
	*found = m->first[m->at] ? m->found[m->at] * m->done : 0;
	for (i = 0; i < DP_HEAT_BINS; i++)
		*found += m->first[i] ? 0 : m->found[i];
}

void dp_map_sync(struct dp_mig_map *m, double again)
{
	double part[DP_HEAT_BINS];
	unsigned int i;

	for (i = 0; i < DP_HEAT_BINS; i++)
		part[i] = m->size[i] > 0 ? m->found[i] / m->size[i] : 0;
	again = everywhere(m->set, part, again);
	for (i = 0; i < DP_HEAT_BINS; i++) {
		double passed = i == m->at ? m->done : 0, ahead = m->size[i] * (1 - passed);
		double both = fmax(again, part[i]);

		m->pending[i] = together(m->pending[i], m->found[i] * (1 - passed), ahead, both, m->first[i]);
		if (i == m->at)
			m->behind =
				together(m->behind, m->found[i] * passed, m->size[i] * passed, both, false);
		m->found[i] = 0;
		m->set[i] = (m->first[i] ? 0 : m->pending[i]) + (i == m->at ? m->behind : 0);
	}
}
