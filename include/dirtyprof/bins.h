/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Log-linear bins for durations, shared by the BPF programs and the model.
 *
 * Bin 0 holds [0, 2^16) ns. From there every octave [2^e, 2^(e+1)) ns is cut into 8 bins of equal
 * width, up to 2^40 ns (1100 s). A bin's width is therefore at most 1/8 of its lower edge: reading a
 * value off a bin has a relative error of at most 12.5 %. Cumulative counts at bin edges are exact.
 *
 * Levels: a start point ("anchor") of level l is followed for 2^(28 + 2l) ns (268 ms, 1.07 s, 4.3 s, 17 s, 69 s,
 * 275 s, 1100 s); the next one of that level is opened at the first re-arming after that. Shorter levels would
 * give the same start points (re-arming is seldom more frequent), and opening an anchor costs: it makes every page's
 * next dirtying count again.
 */
#ifndef DIRTYPROF_BINS_H
#define DIRTYPROF_BINS_H

#define DP_BIN_MIN_SHIFT 16
#define DP_BIN_MAX_SHIFT 40
#define DP_BIN_SUB_SHIFT 3
#define DP_BIN_SUB	 (1 << DP_BIN_SUB_SHIFT)
#define DP_BINS		 (1 + (DP_BIN_MAX_SHIFT - DP_BIN_MIN_SHIFT) * DP_BIN_SUB) /* 193 */

#define DP_LEVELS	      7
#define DP_LEVEL_SHIFT(l)     (28 + 2 * (l))
#define DP_LEVEL_NS(l)	      (1ULL << DP_LEVEL_SHIFT(l))
#define DP_LEVEL_PERIOD_NS(l) DP_LEVEL_NS(l) /* at least this long between two anchors of a level */

/*
 * How marks come (struct dp_mark_gaps). Times by octave: bin 0 holds [0, 2^10) ns, bin i [2^(9 + i), 2^(10 + i)) ns, the last
 * one all that is longer (550 s). Batches by floor(log2(marks)); the processor's buffer of writes that PML fills holds 512.
 */
#define DP_GAP_SHIFT   10
#define DP_GAP_BINS    32
#define DP_BATCH_BINS  16
#define DP_BATCH_MARKS 512u
#define DP_STAMP_SHIFT 12  /* times of dirty events are kept in units of 4096 ns */
#define DP_ZERO_BINS   64  /* equal parts of RAM of which the share of zero pages is known */
#define DP_HEAT_BINS   128 /* equal parts of RAM of which the dirty pages are counted */

/* floor(log2(v)) of a non-zero value; no builtin, as BPF has no instruction for it. */
static inline unsigned int dp_log2(unsigned long long v)
{
	unsigned int r = 0;

	if (v >> 32) {
		v >>= 32;
		r += 32;
	}
	if (v >> 16) {
		v >>= 16;
		r += 16;
	}
	if (v >> 8) {
		v >>= 8;
		r += 8;
	}
	if (v >> 4) {
		v >>= 4;
		r += 4;
	}
	if (v >> 2) {
		v >>= 2;
		r += 2;
	}
	if (v >> 1)
		r += 1;
	return r;
}

/* The bin that holds a duration of ns; durations beyond the last edge fall into the last bin. */
static inline unsigned int dp_bin_of(unsigned long long ns)
{
	unsigned int e;

	if (ns < (1ULL << DP_BIN_MIN_SHIFT))
		return 0;
	if (ns >= (1ULL << DP_BIN_MAX_SHIFT))
		return DP_BINS - 1;
	e = dp_log2(ns);
	return 1 + (e - DP_BIN_MIN_SHIFT) * DP_BIN_SUB +
	       (unsigned int)((ns >> (e - DP_BIN_SUB_SHIFT)) & (DP_BIN_SUB - 1));
}

/* Lower edge of a bin, in ns; dp_bin_lo(DP_BINS) is the upper edge of the last one. */
static inline unsigned long long dp_bin_lo(unsigned int bin)
{
	unsigned int e, sub;

	if (!bin)
		return 0;
	e = DP_BIN_MIN_SHIFT + (bin - 1) / DP_BIN_SUB;
	sub = (bin - 1) % DP_BIN_SUB;
	return (unsigned long long)(DP_BIN_SUB + sub) << (e - DP_BIN_SUB_SHIFT);
}

static inline unsigned long long dp_bin_hi(unsigned int bin)
{
	return dp_bin_lo(bin + 1);
}

#endif
