// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A guest for QEMU that dirties memory by a known pattern. Its command line:
 *
 *   dp=PATTERN[,stride=BYTES][,fill=MIB][,exit=N][,seed=N][,spin]
 *   PATTERN: rounds:P[:RATE] | sweep:M:RATE | uniform:M:RATE | tiers:M1:R1:M2:R2 | zipf:M:RATE |
 *            phase:M1:R1:M2:R2:SECONDS | silent:P[:RATE] | idle
 *
 * zipf: page 0, and pages 2^k to 2^(k+1) - 1 for each k, get the same number of writes each, at random within: Zipf's law with
 * exponent 1, in steps of an octave. phase: two sets of random writes that take turns of that many seconds, the first one first.
 * fill: makes the first MIB of memory from STATE_GPA on non-zero, before the pattern starts. exit: leaves to user space after
 * N writes (needed with a dirty ring: KVM sees only on the way in that it is full, and one that overflows is stuck for good). spin: poll the clock
 * instead of sleeping. Page i of the pattern is at STATE_GPA + i * stride; page 0 is the state page,
 * which is always dirty while the guest runs, and counts as one of the pattern's pages.
 */
#include <stdbool.h>
#include <stdint.h>

#include "layout.h"

enum phase { PHASE_BOOT = 0, PHASE_FILL = 1, PHASE_RUN = 2, PHASE_BAD = 3 };

/* Read by the harness over QMP. */
struct state {
	uint32_t magic, phase;
	uint64_t writes; /* pattern writes done */
	uint64_t rounds; /* full-speed rounds completed */
	uint64_t tsc;	 /* at the last progress */
	uint64_t tsc_start;
	uint32_t tsc_khz;
	uint32_t backlog; /* largest number of writes that were due at once */
};
#define STATE ((volatile struct state *)STATE_GPA)

struct set {
	uint32_t first, npages, rate, next, rng;
	bool random;
	uint64_t credit; /* ticks * rate not yet turned into writes */
};

#define MAX_SETS 24

struct config {
	struct set set[MAX_SETS];
	uint32_t nsets, stride, fill_mib, exit_every, seed;
	uint32_t phase_s; /* 0: all sets at once */
	bool silent, spin;
};

void sleep_tick(void);
void write_run(uint32_t addr, uint32_t stride, uint32_t count, uint32_t value);
void guest_main(const uint32_t *multiboot);

static inline void out8(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline uint32_t in32(uint16_t port)
{
	uint32_t v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline uint64_t tsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

static inline void to_user_space(void)
{
	out8(0x80, 0);
}

/* 64 by 32 bits, where the quotient fits 32 bits: what libgcc is not here to do. */
static inline uint32_t div64(uint64_t n, uint32_t d)
{
	uint32_t q, r;

	__asm__("divl %4" : "=a"(q), "=d"(r) : "a"((uint32_t)n), "d"((uint32_t)(n >> 32)), "r"(d));
	return q;
}

/* The clock: TSC ticks a millisecond, measured against the ACPI timer over about 50 ms. */
static uint32_t measure_tsc(void)
{
	uint32_t from = in32(PM_TIMER_PORT), ticks;
	uint64_t t0 = tsc();

	do
		ticks = (in32(PM_TIMER_PORT) - from) & 0xffffff;
	while (ticks < PM_TIMER_HZ / 20);
	/* (t1 - t0) / (ticks / PM_TIMER_HZ) / 1000; the multiplier is rounded to PM_TIMER_HZ / 1000 * 16 */
	return div64((tsc() - t0) * (PM_TIMER_HZ * 2 / 125), ticks * 16);
}

static void start_timer(void)
{
	uint32_t divisor = (1193182 + TICK_HZ / 2) / TICK_HZ;
	volatile uint32_t *lapic = (volatile uint32_t *)0xfee00000;

	/* On, and the 8259's interrupts let through: not every firmware leaves it so. */
	lapic[0xf0 / 4] = 0x1ff;
	lapic[0x350 / 4] = 0x700;
	out8(0x20, 0x11), out8(0xa0, 0x11); /* interrupts 0..7 become vectors 0x20.. */
	out8(0x21, 0x20), out8(0xa1, 0x28);
	out8(0x21, 0x04), out8(0xa1, 0x02);
	out8(0x21, 0x01), out8(0xa1, 0x01);
	out8(0x21, 0xfe), out8(0xa1, 0xff); /* only the timer */
	out8(0x43, 0x34);
	out8(0x40, (uint8_t)divisor);
	out8(0x40, (uint8_t)(divisor >> 8));
}

static bool skip(const char **s, const char *word)
{
	const char *p = *s;

	while (*word)
		if (*p++ != *word++)
			return false;
	*s = p;
	return true;
}

static bool number(const char **s, uint32_t *out)
{
	const char *p = *s;
	uint32_t n = 0;

	while (*p >= '0' && *p <= '9')
		n = n * 10 + (uint32_t)(*p++ - '0');
	if (p == *s)
		return false;
	*s = p;
	*out = n;
	return true;
}

static bool parse_sets(struct config *c, const char **s, uint32_t nsets, bool random)
{
	uint32_t first = 0;

	c->nsets = nsets;
	for (uint32_t i = 0; i < nsets; i++) {
		struct set *set = &c->set[i];

		set->random = random;
		set->first = first;
		set->next = 0;
		set->rate = 0;
		set->credit = 0;
		if (!skip(s, ":") || !number(s, &set->npages) || !set->npages)
			return false;
		if (skip(s, ":") && !number(s, &set->rate))
			return false;
		if (!set->rate && (random || nsets > 1))
			return false;
		first += set->npages;
	}
	return true;
}

/* As parse_sets: octaves of pages that share the rate evenly. */
static bool parse_zipf(struct config *c, const char **s)
{
	uint32_t pages, rate, first;

	if (!skip(s, ":") || !number(s, &pages) || !pages || !skip(s, ":") || !number(s, &rate))
		return false;
	for (first = 0; first < pages; first = first ? 2 * first : 1) {
		uint32_t size = first ? first : 1;
		struct set *set;

		if (c->nsets == MAX_SETS)
			return false;
		set = &c->set[c->nsets++];
		set->random = true;
		set->first = first;
		set->npages = pages - first < size ? pages - first : size;
		set->next = 0;
		set->credit = 0;
	}
	for (uint32_t k = 0; k < c->nsets; k++)
		c->set[k].rate = rate / c->nsets;
	return rate >= c->nsets;
}

static bool parse(struct config *c, const char *s)
{
	bool ok;

	while (!skip(&s, " dp="))
		if (!*s++)
			return false;
	c->stride = 4096;
	c->fill_mib = 0;
	c->exit_every = 0;
	c->seed = 1;
	c->spin = false;
	c->silent = skip(&s, "silent");
	c->nsets = c->phase_s = 0;
	if (c->silent || skip(&s, "rounds") || skip(&s, "sweep"))
		ok = parse_sets(c, &s, 1, false);
	else if (skip(&s, "uniform"))
		ok = parse_sets(c, &s, 1, true);
	else if (skip(&s, "tiers"))
		ok = parse_sets(c, &s, 2, true);
	else if (skip(&s, "phase"))
		ok = parse_sets(c, &s, 2, true) && skip(&s, ":") && number(&s, &c->phase_s) && c->phase_s;
	else if (skip(&s, "zipf"))
		ok = parse_zipf(c, &s);
	else
		ok = skip(&s, "idle");
	while (ok && skip(&s, ",")) {
		if (skip(&s, "stride="))
			ok = number(&s, &c->stride);
		else if (skip(&s, "fill="))
			ok = number(&s, &c->fill_mib);
		else if (skip(&s, "exit="))
			ok = number(&s, &c->exit_every);
		else if (skip(&s, "seed="))
			ok = number(&s, &c->seed);
		else
			ok = c->spin = skip(&s, "spin");
	}
	return ok && (!*s || *s == ' ');
}

/* All of the pattern and of the fill lies within RAM; mem_upper is KiB above 1 MiB, as multiboot has it. */
static bool fits(const struct config *c, uint32_t mem_upper)
{
	uint64_t end = (uint64_t)(mem_upper + 1024) * 1024, pages = 0;

	for (uint32_t k = 0; k < c->nsets; k++)
		pages += c->set[k].npages;
	if (pages >> 32 || !c->stride || c->stride % 4096)
		return false;
	return STATE_GPA + (uint64_t)(uint32_t)pages * c->stride <= end &&
	       STATE_GPA + ((uint64_t)c->fill_mib << 20) <= end;
}

static uint32_t page_addr(const struct config *c, uint32_t index)
{
	return STATE_GPA + WRITE_OFFSET + index * c->stride;
}

/* A run of consecutive pages, left to user space in between as configured. */
static void write_pages(const struct config *c, uint32_t first, uint32_t count, uint32_t value)
{
	uint32_t most = c->exit_every ? c->exit_every : 1024;

	while (count) {
		uint32_t n = count < most ? count : most;

		write_run(page_addr(c, first), c->stride, n, value);
		first += n;
		count -= n;
		STATE->writes += n;
		if (c->exit_every)
			to_user_space();
	}
}

static void run_full_speed(const struct config *c)
{
	const struct set *s = &c->set[0];

	for (uint32_t value = 1;; value += c->silent ? 0 : 1) {
		write_pages(c, s->first, s->npages, value ? value : 1);
		STATE->rounds++;
		STATE->tsc = tsc();
	}
}

static void write_random(const struct config *c, struct set *s, uint32_t n, uint32_t value)
{
	uint32_t x = s->rng;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t page;

		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		page = (uint32_t)(((uint64_t)x * s->npages) >> 32);
		*(volatile uint32_t *)page_addr(c, s->first + page) = value;
		if (c->exit_every && (i + 1) % c->exit_every == 0)
			to_user_space();
	}
	s->rng = x;
	STATE->writes += n;
	if (c->exit_every)
		to_user_space();
}

static void write_in_turn(const struct config *c, struct set *s, uint32_t n, uint32_t value)
{
	while (n) {
		uint32_t left = s->npages - s->next, run = n < left ? n : left;

		write_pages(c, s->first + s->next, run, value);
		s->next = run == left ? 0 : s->next + run;
		n -= run;
	}
}

/* How many of a set's writes are due, ticks after the last time; what is not done now stays due. */
static uint32_t take_due(struct set *s, uint32_t ticks, uint32_t ticks_per_s)
{
	uint32_t n;

	s->credit += (uint64_t)ticks * s->rate;
	n = div64(s->credit, ticks_per_s);
	if (n > 4096)
		n = 4096;
	s->credit -= (uint64_t)n * ticks_per_s;
	return n;
}

/* Every set gets rate * time writes. A tick is 4 of the TSC's, so that a second's worth fits 32 bits. */
static void run_paced(struct config *c)
{
	uint32_t value = 1, ticks_per_s = (STATE->tsc_khz >> 2) * 1000, turn = 0;
	uint64_t last = STATE->tsc_start, in_phase = 0;

	for (;;) {
		uint64_t now = tsc(), passed = (now - last) >> 2;

		last += passed << 2;
		in_phase += passed;
		if (c->phase_s && in_phase >= (uint64_t)c->phase_s * ticks_per_s) {
			in_phase = 0;
			turn = !turn;
		}
		for (uint32_t k = 0; k < c->nsets; k++) {
			struct set *s = &c->set[k];
			uint32_t n = take_due(s, passed >> 32 ? 0xffffffffu : (uint32_t)passed, ticks_per_s);

			/* The state page's own writes are pushed too. */
			if (c->exit_every && k % 4 == 3)
				to_user_space();
			/* What falls due while it is the other's turn is left out. */
			if (!n || (c->phase_s && k != turn))
				continue;
			if (n > STATE->backlog)
				STATE->backlog = n;
			if (!c->silent)
				value = value + 1 ? value + 1 : 1;
			if (s->random)
				write_random(c, s, n, value);
			else
				write_in_turn(c, s, n, value);
		}
		STATE->tsc = now;
		if (!c->spin)
			sleep_tick();
	}
}

/*
 * Non-zero memory from page 1 on (the state page is non-zero by itself), and every page of the pattern
 * once, so that the host has given all of it before the pattern starts.
 */
static void warm_up(const struct config *c)
{
	uint32_t pages = 0;

	for (uint32_t i = 1; i < c->fill_mib * 256; i++) {
		*(volatile uint32_t *)(STATE_GPA + WRITE_OFFSET + 4 + i * 4096) = i;
		if (c->exit_every && i % c->exit_every == 0)
			to_user_space();
	}
	for (uint32_t k = 0; k < c->nsets; k++)
		pages += c->set[k].npages;
	write_pages(c, 0, pages, 1);
	STATE->writes = 0;
}

void guest_main(const uint32_t *multiboot)
{
	struct config c;

	STATE->phase = PHASE_BOOT;
	STATE->writes = STATE->rounds = 0;
	STATE->backlog = 0;
	/* flags: bit 0 memory sizes, bit 2 command line */
	if ((multiboot[0] & 5) != 5 || !parse(&c, (const char *)multiboot[4]) || !fits(&c, multiboot[2])) {
		STATE->phase = PHASE_BAD;
		STATE->magic = STATE_MAGIC;
		return;
	}
	for (uint32_t k = 0; k < c.nsets; k++)
		c.set[k].rng = (c.seed + k) * 2654435761u | 1;
	STATE->tsc_khz = measure_tsc();
	STATE->phase = PHASE_FILL;
	STATE->magic = STATE_MAGIC;
	warm_up(&c);
	STATE->tsc_start = STATE->tsc = tsc();
	STATE->phase = PHASE_RUN;
	if (!c.nsets)
		return;
	if (!c.set[0].rate)
		run_full_speed(&c);
	if (!c.spin)
		start_timer();
	run_paced(&c);
}
