// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Copies into the report what the VM is and what the curve says. */
#include <string.h>

#include "model/change_est.h"
#include "session_int.h"

/* Length of the UTF-8 sequence at s, 0 where it is none (overlong forms and surrogates are none). */
static size_t utf8_len(const unsigned char *s)
{
	static const unsigned int least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned int c = s[0], i, n;

	if (c < 0x80)
		return 1;
	n = c >= 0xf0 && c < 0xf8 ? 4 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xc0 && c < 0xe0 ? 2 : 0;
	if (!n)
		return 0;
	c &= 0x7fu >> n;
	for (i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	return c >= least[n] && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff) ? n : 0;
}

/* Control characters would break lines (C1 ones are two bytes: 0xc2 0x80 to 0xc2 0x9f). */
static bool is_control(const unsigned char *s, size_t len)
{
	return len == 1 ? s[0] < 0x20 || s[0] == 0x7f : len == 2 && s[0] == 0xc2 && s[1] < 0xa0;
}

void dp_clean(char *dst, size_t size, const char *src)
{
	const unsigned char *s = (const unsigned char *)(src ? src : "");
	size_t out = 0;

	while (*s) {
		size_t len = utf8_len(s);
		bool bad = !len || is_control(s, len);

		if (out + (bad ? 1 : len) >= size)
			break;
		if (bad)
			dst[out++] = '?';
		else
			memcpy(dst + out, s, len), out += len;
		s += len ? len : 1;
	}
	dst[out] = 0;
}

/* The char arrays of a snapshot need not be terminated. */
static void clean_array(char *dst, size_t size, const char *src, size_t src_size)
{
	char tmp[DP_NAME_LEN * 2 + 1];
	size_t n = strnlen(src, src_size);

	memcpy(tmp, src, n);
	tmp[n] = 0;
	dp_clean(dst, size, tmp);
}

void dp_fill_subject(struct dp_subject *out, const struct dp_vm *vm)
{
	uint32_t i;

	memset(out, 0, sizeof(*out));
	out->pid = vm->pid;
	clean_array(out->name, sizeof(out->name), vm->name, sizeof(vm->name));
	clean_array(out->qemu_version, sizeof(out->qemu_version), vm->qemu_version, sizeof(vm->qemu_version));
	out->nvcpus = vm->nvcpus;
	out->ram = vm->ram_pages * DP_WIRE_UNIT;
	out->logging = vm->logging_pages * DP_WIRE_UNIT;
	out->granule = vm->granule;
	out->granule_mixed = vm->granule_mixed;
	out->mmu = vm->mmu;
	out->log_mode = vm->log_mode;
	out->ring_entries = vm->ring_entries;
	out->manual_protect = vm->manual_protect;
	out->blind = vm->blind;
	for (i = 0; vm->slots && i < vm->nslots; i++) {
		const struct dp_backing *b = &vm->slots[i].backing;

		if (!vm->slots[i].ram || !b->known)
			continue;
		out->backing.known = true;
		out->backing.bytes_4k += b->bytes_4k;
		out->backing.bytes_thp += b->bytes_thp;
		out->backing.bytes_huge += b->bytes_huge;
		if (b->huge_size > out->backing.huge_size)
			out->backing.huge_size = b->huge_size;
		if (b->host_page > out->backing.host_page)
			out->backing.host_page = b->host_page;
	}
}

/* 1, 1.5, 2, 3, 5 and 7 times each power of ten from 100 us to 100 s. */
static double curve_point(unsigned int i)
{
	static const double step[] = { 1, 1.5, 2, 3, 5, 7 };
	static const double decade[] = { 1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100 };

	return step[i % 6] * decade[i / 6];
}

static struct dp_est scaled(struct dp_est e, double by)
{
	return (struct dp_est){ e.lo * by, e.mid * by, e.hi * by };
}

/* Bytes of RAM in a block, a mean: less than its size where blocks are larger than the memory that lies in them. */
static double block_bytes(const struct dp_report *r, enum dp_size size)
{
	double whole = (double)(1ull << dp_size_shift(size));

	return r->blocks[size] > 0 ? fmin(whole, r->blocks[DP_4K] * DP_WIRE_UNIT / r->blocks[size]) : whole;
}

static void fill_size(struct dp_session *s, enum dp_size size)
{
	struct dp_report *r = &s->r;
	bool known = s->fitted && dp_curve_known(s->curve, size);
	unsigned int i;
	double bytes;

	r->blocks[size] = dp_curve_blocks(s->curve, size);
	r->reach[size] = dp_curve_reach(s->curve, size);
	bytes = block_bytes(r, size);
	r->rate[size] = known ? scaled(dp_curve_rate(s->curve, size), bytes) : dp_est_nan();
	for (i = 0; i < DP_CURVE_POINTS; i++)
		r->u[size][i] =
			known ? scaled(dp_curve_eval(s->curve, size, r->u_t[i]), bytes) : dp_est_nan();
}

/*
 * Were blocks of this size all that the log could tell apart, each would be sent whole: U_H(t) bytes in place of U_4K(t).
 * The two are measured together, so their bands do not vary independently; taking them as if they did errs on the wide side.
 */
static struct dp_est amplification(const struct dp_report *r, enum dp_size size, unsigned int i)
{
	struct dp_est h = r->u[size][i], p = r->u[DP_4K][i];
	double most = block_bytes(r, size) / DP_WIRE_UNIT;

	if (size == DP_4K)
		return (struct dp_est){ 1, 1, 1 };
	if (!(p.mid > 0) || !(h.mid > 0))
		return dp_est_nan();
	return (struct dp_est){
		fmin(most, fmax(1, h.lo / p.hi)),
		fmin(most, fmax(1, h.mid / p.mid)),
		p.lo > 0 ? fmin(most, fmax(1, h.hi / p.lo)) : most,
	};
}

/*
 * Where the granule is above 4K the log does not show what was really written; contents do, from sync to sync. A block at
 * least as large as the granule is resent for as many bytes more as the log's own curves say. Again both bands are taken
 * as if they were independent.
 */
static void amplify_by_contents(struct dp_report *r)
{
	const struct dp_change_report *c = &r->change;
	unsigned int i, at = 0;
	enum dp_size size;

	for (i = 1; i < DP_CURVE_POINTS && r->u_t[i] <= c->window; i++)
		at = i;
	r->amp_t = c->window;
	r->amp_now = isfinite(c->resent.mid) ? c->resent.mid : NAN;
	for (size = 0; size < DP_SIZES; size++) {
		struct dp_est more = amplification(r, size, at);

		r->amp[size] = dp_est_nan();
		if (size == DP_4K)
			r->amp[size] = (struct dp_est){ 1, 1, 1 };
		else if (1ull << dp_size_shift(size) >= r->vm.granule)
			r->amp[size] = (struct dp_est){ more.lo * c->resent.lo, more.mid * c->resent.mid,
							more.hi * c->resent.hi };
	}
}

static void fill_amplification(struct dp_report *r)
{
	bool coarse = r->vm.granule > DP_WIRE_UNIT, truth = r->known && r->vm.granule && !coarse;
	unsigned int i, at = DP_CURVE_POINTS;
	enum dp_size size;

	if (coarse && r->known && !isnan(r->change.share.mid)) {
		amplify_by_contents(r);
		return;
	}

	for (i = 0; i < DP_CURVE_POINTS && r->u_t[i] <= 1.0 && r->u_t[i] <= r->reach[DP_4K] * (1 + 1e-9); i++)
		at = i;
	truth = truth && at < DP_CURVE_POINTS;
	r->amp_t = truth ? r->u_t[at] : NAN;
	r->amp_now = truth ? 1 : NAN;
	for (size = 0; size < DP_SIZES; size++)
		r->amp[size] = truth ? amplification(r, size, at) : dp_est_nan();
}

void dp_fill_curve(struct dp_session *s)
{
	struct dp_report *r = &s->r;
	enum dp_size size;
	unsigned int i;

	for (i = 0; i < DP_CURVE_POINTS; i++)
		r->u_t[i] = curve_point(i);
	r->known = s->fitted && dp_curve_known(s->curve, DP_4K);
	for (size = 0; size < DP_SIZES; size++)
		fill_size(s, size);
	r->resolution = dp_curve_resolution(s->curve, &r->batch);
	r->nwindows = s->fitted ? dp_curve_windows(s->curve, r->window, DP_REPORT_WINDOWS) : 0;
	if (r->nwindows > DP_REPORT_WINDOWS)
		r->nwindows = DP_REPORT_WINDOWS;
	fill_amplification(r);
}

static double inverse(double share)
{
	return share > 0 ? 1 / share : HUGE_VAL;
}

void dp_fill_change(struct dp_session *s)
{
	const struct dp_changes *c = &s->changes;
	struct dp_change_report *r = &s->r.change;
	double pages = c->again.total + c->first.total + c->past.total, time = (double)c->window_ns * NS;

	memset(r, 0, sizeof(*r));
	r->on = c->on;
	r->unit = c->unit;
	r->windows = c->windows;
	r->compared = c->compared;
	r->failed = c->failed;
	r->read = s->change_read;
	r->read_bps = s->t1 > 0 ? r->read / s->t1 : NAN;
	r->limit_bps = c->limit_bps ? (double)c->limit_bps : NAN;
	r->window = c->windows ? time / (double)c->windows : NAN;
	r->share = c->on ? dp_change_share(c) : dp_est_nan();
	r->rate = r->resent = dp_est_nan();
	if (isnan(r->share.mid))
		return;
	if (time > 0)
		r->rate = scaled(r->share, pages * DP_WIRE_UNIT / time);
	r->resent = (struct dp_est){ inverse(r->share.hi), inverse(r->share.mid), inverse(r->share.lo) };
}

struct dp_moment dp_moment_of(const struct dp_session *s, const struct dp_snapshot *snap, uint64_t t_ns)
{
	struct dp_moment m = { (double)t_ns * NS, NAN, NAN };

	if (snap->wall_us)
		m.wall = (double)snap->wall_us / 1e6 - ((double)snap->t1_ns - (double)t_ns) * NS;
	if (s->o.clock_ns)
		m.mono = (double)(s->o.clock_ns + t_ns) * NS;
	return m;
}
