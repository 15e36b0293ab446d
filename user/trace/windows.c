// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The windows of a snapshot, as records of their own before it: as many as it takes, so that no record is large. Of a large
 * VM's looks at its log most numbers are those of the window before: a byte says which.
 */
#include <stdlib.h>

#include "trace/codec.h"

#define SIZE	 0x07u /* enum dp_size */
#define PEEK	 0x08u
#define TIMES	 0x10u /* arming and times are those of the window before */
#define ARMED	 0x20u /* as many armed as in the last window of this size */
#define NEXT	 0x40u /* its region is the one behind those of the last window of this size */
#define MORE	 0x80u /* more than one region */
#define LEAST	 2u    /* bytes of a window: that, and how many are dirty */
#define ROOM_MIN 256u

#define ARMED_MAX (1ull << 33) /* pages: all that a VM can have, in two address spaces */

struct last {
	struct dp_window w, of[DP_SIZES];
	uint32_t next[DP_SIZES];
};

static void took(struct last *l, const struct dp_window *w)
{
	l->w = l->of[w->size] = *w;
	l->next[w->size] = w->region + w->more + 1;
}

static uint8_t flags_of(const struct dp_window *w, const struct last *l)
{
	uint8_t f = (uint8_t)(w->size | (w->peek ? PEEK : 0) | (w->more ? MORE : 0));

	if (w->arming == l->w.arming && w->t_lo_ns == l->w.t_lo_ns && w->t_hi_ns == l->w.t_hi_ns)
		f |= TIMES;
	if (w->armed == l->of[w->size].armed)
		f |= ARMED;
	return f | (w->region == l->next[w->size] ? NEXT : 0);
}

/* What the flags leave open. */
static void io_fields(struct dp_io *io, struct dp_window *w, uint8_t f, struct last *l)
{
	uint64_t from = l->w.t_lo_ns;

	if (!(f & NEXT))
		dp_io_step32(io, &w->region, &l->next[w->size]);
	if (!(f & TIMES)) {
		dp_io_step32(io, &w->arming, &l->w.arming);
		dp_io_step(io, &w->t_lo_ns, &from);
		dp_io_step(io, &w->t_hi_ns, &from);
	}
	if (!(f & ARMED))
		dp_io_step(io, &w->armed, &l->of[w->size].armed);
	dp_io_u64(io, &w->dirty);
	if (f & MORE)
		dp_io_u32(io, &w->more);
}

void dp_io_put_windows(struct dp_io *io, uint64_t t0_ns, const struct dp_window *w, uint32_t n)
{
	struct last last = { 0 };
	uint32_t i;

	dp_io_u64(io, &t0_ns);
	dp_io_u32(io, &n);
	for (i = 0; i < n; i++) {
		struct dp_window v = w[i];
		uint8_t f = flags_of(&v, &last);

		dp_io_put(io, &f, 1);
		io_fields(io, &v, f, &last);
		took(&last, &w[i]);
	}
}

static bool beyond(const struct dp_window *w)
{
	return w->t_hi_ns > DP_IO_NS_MAX || w->armed > ARMED_MAX;
}

static void get_window(struct dp_io *io, struct dp_window *w, struct last *l)
{
	uint8_t f = 0;

	if (io->pos < io->len)
		f = io->buf[io->pos++];
	else
		io->failed = true;
	io->failed |= (f & SIZE) >= DP_SIZES;
	if (io->failed)
		return;
	*w = l->w;
	w->size = f & SIZE;
	w->peek = f & PEEK;
	w->region = l->next[w->size];
	w->armed = l->of[w->size].armed;
	w->more = 0;
	io_fields(io, w, f, l);
	io->failed |= beyond(w);
	took(l, w);
}

static bool make_room(struct dp_windows *to, uint32_t n)
{
	uint32_t room = to->room ? to->room : ROOM_MIN;
	struct dp_window *w;

	while (room < to->n + n)
		room *= 2;
	if (room == to->room)
		return true;
	w = realloc(to->w, room * sizeof(*w));
	if (!w)
		return false;
	to->w = w;
	to->room = room;
	return true;
}

void dp_io_get_windows(struct dp_io *io, struct dp_windows *to)
{
	struct last last = { 0 };
	uint32_t n = 0, i;

	dp_io_u64(io, &to->t0_ns);
	dp_io_u32(io, &n);
	/* memory is taken for what is there, and never for more than anybody hands on */
	if (io->failed || n > (io->len - io->pos) / LEAST || n > DP_WINDOWS_MAX - to->n) {
		io->failed = true;
		return;
	}
	if (!make_room(to, n)) {
		io->failed = io->nomem = true;
		return;
	}
	for (i = 0; i < n && !io->failed; i++)
		get_window(io, &to->w[to->n++], &last);
}

/* As they were written at first. Now they come before the snapshot, and this list is empty. */
void dp_io_windows(struct dp_io *io, struct dp_snapshot *s)
{
	struct dp_window last = { 0 };
	uint32_t i, n = 0;
	void *p = NULL;

	if (dp_io_array(io, &n, &p, sizeof(*s->windows), 8))
		for (i = 0; i < n; i++) {
			struct dp_window *v = (struct dp_window *)p + i;

			dp_io_step32(io, &v->region, &last.region);
			dp_io_u8(io, &v->size);
			dp_io_bool(io, &v->peek);
			dp_io_step32(io, &v->arming, &last.arming);
			dp_io_step(io, &v->t_lo_ns, &last.t_lo_ns);
			dp_io_step(io, &v->t_hi_ns, &last.t_hi_ns);
			dp_io_step(io, &v->armed, &last.armed);
			dp_io_u64(io, &v->dirty);
			io->failed |= beyond(v);
		}
	if (io->writing)
		return;
	s->nwindows = n;
	s->windows = p;
}
