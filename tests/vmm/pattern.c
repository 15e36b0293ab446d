// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which page is written when: the truth that the dirty log is compared with. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "pattern.h"

/* Reads ":number" and moves on. */
static bool take_number(const char **text, uint64_t *out)
{
	char *end;

	if (**text != ':' || (*text)[1] < '0' || (*text)[1] > '9')
		return false;
	errno = 0;
	*out = strtoull(*text + 1, &end, 10);
	if (errno)
		return false;
	*text = end;
	return true;
}

int pattern__parse(struct pattern_spec *p, const char *text)
{
	static const struct {
		const char *name;
		uint32_t nsets;
		bool random, silent, rate_needed;
	} kinds[] = {
		{ "rounds", 1, false, false, false }, { "sweep", 1, false, false, true },
		{ "uniform", 1, true, false, true },  { "tiers", 2, true, false, true },
		{ "silent", 1, false, true, false },  { "idle", 0, false, false, false },
	};
	size_t len = strcspn(text, ":");

	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		if (strlen(kinds[k].name) != len || strncmp(kinds[k].name, text, len))
			continue;
		p->nsets = kinds[k].nsets;
		p->same = kinds[k].silent ? 100 : p->same;
		text += len;
		for (uint32_t s = 0; s < p->nsets; s++) {
			struct set_spec *set = &p->set[s];

			set->random = kinds[k].random;
			set->rate = 0;
			if (!take_number(&text, &set->npages) || !set->npages || set->npages > 1ull << 40)
				return -EINVAL;
			if (!take_number(&text, &set->rate) && kinds[k].rate_needed)
				return -EINVAL;
			if (kinds[k].rate_needed && !set->rate)
				return -EINVAL;
		}
		return *text ? -EINVAL : 0;
	}
	return -EINVAL;
}

uint64_t pattern__pages(const struct pattern_spec *p)
{
	uint64_t n = 0;

	for (uint32_t s = 0; s < p->nsets; s++)
		n += p->set[s].npages;
	return n;
}

bool pattern__same(const struct pattern_spec *p, uint64_t page)
{
	return page % 100 < p->same;
}

/* splitmix64: any seed is a good one */
static uint64_t rng_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

void pattern__init(struct pattern *p, const struct pattern_spec *spec, uint32_t k, uint32_t n)
{
	uint64_t base = 0;

	memset(p, 0, sizeof(*p));
	p->nsets = spec->nsets;
	p->paced = true;
	for (uint32_t s = 0; s < spec->nsets; s++) {
		uint64_t pages = spec->set[s].npages;
		uint64_t from = pages * k / n, to = pages * (k + 1) / n;

		p->share[s] = (struct share){ .spec = spec->set[s],
					      .first = base + from,
					      .npages = to - from,
					      .rng = spec->seed + 1000003ull * k + 7919ull * s };
		if (!spec->set[s].rate)
			p->paced = false;
		base += pages;
	}
}

static uint64_t share_due(const struct share *s, uint64_t t_ns)
{
	unsigned __int128 n = (unsigned __int128)t_ns * s->spec.rate * s->npages;

	return (uint64_t)(n / s->spec.npages / 1000000000u);
}

static uint64_t share_next(struct share *s)
{
	uint64_t i;

	if (s->spec.random)
		i = (uint64_t)(((unsigned __int128)rng_next(&s->rng) * s->npages) >> 64);
	else
		i = s->done % s->npages;
	s->done++;
	return s->first + i;
}

uint32_t pattern__due(struct pattern *p, uint64_t t_ns, uint64_t *index, uint32_t max)
{
	uint32_t n = 0;

	for (uint32_t k = 0; k < p->nsets; k++) {
		struct share *s = &p->share[k];
		uint64_t due;

		if (!s->npages)
			continue;
		due = s->spec.rate ? share_due(s, t_ns) : s->done + max;
		while (n < max && s->done < due)
			index[n++] = share_next(s);
	}
	return n;
}

int truth__init(struct truth *t, uint64_t npages)
{
	uint64_t words = npages / 64 + 1;

	memset(t, 0, sizeof(*t));
	t->npages = npages;
	t->ever = calloc(words, sizeof(uint64_t));
	t->since = calloc(words, sizeof(uint64_t));
	if (t->ever && t->since)
		return 0;
	truth__free(t);
	return -ENOMEM;
}

void truth__free(struct truth *t)
{
	free(t->ever);
	free(t->since);
	memset(t, 0, sizeof(*t));
}

void truth__add(struct truth *t, const uint64_t *index, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint64_t bit = 1ull << (index[i] % 64), w = index[i] / 64;

		/* Looking first is much cheaper, and almost always enough. */
		if (!(__atomic_load_n(&t->since[w], __ATOMIC_RELAXED) & bit))
			__atomic_fetch_or(&t->since[w], bit, __ATOMIC_RELAXED);
		if (!(__atomic_load_n(&t->ever[w], __ATOMIC_RELAXED) & bit) &&
		    !(__atomic_fetch_or(&t->ever[w], bit, __ATOMIC_RELAXED) & bit))
			__atomic_fetch_add(&t->distinct, 1, __ATOMIC_RELAXED);
	}
}

uint64_t truth__take(struct truth *t, const struct pattern_spec *p, uint64_t *changed)
{
	uint64_t n = 0;

	*changed = 0;
	for (uint64_t w = 0; w <= t->npages / 64; w++) {
		uint64_t bits = __atomic_exchange_n(&t->since[w], 0, __ATOMIC_RELAXED);

		n += (uint64_t)__builtin_popcountll(bits);
		for (; bits; bits &= bits - 1)
			*changed += !pattern__same(p, w * 64 + (uint64_t)__builtin_ctzll(bits));
	}
	return n;
}
