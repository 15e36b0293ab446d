// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * How long it takes to get pages out: zero pages are where they are, looking for them takes time, and between the
 * migration and the wire are sockets that hold some of it.
 */
#include <math.h>

#include "model/predict_mem.h"

#define CAPPED 0.95 /* under this share of the path's capacity the wire is not the limit */
/*
 * QEMU hands over what it sends in one go: 64 pages (MAX_IOV_SIZE), or with multifd a packet a channel; of four channels, that
 * come to it independently, the square root counts.
 */
#define FLUSH	      262144.0
#define FLUSH_MULTIFD (2 * 524288.0)

static double zeros_before(const struct dp_sender *tx, double pages)
{
	double at = tx->bin > 0.0 ? fmin(DP_ZERO_BINS, fmax(0.0, pages) / tx->bin) : 0.0;
	uint32_t i = at < DP_ZERO_BINS ? (uint32_t)at : DP_ZERO_BINS - 1;

	return tx->zeros[i] + (tx->zeros[i + 1] - tx->zeros[i]) * (at - i);
}

double dp_zeros_share(const struct dp_sender *tx, double from, double to)
{
	return to > from ? fmin(1.0, (zeros_before(tx, to) - zeros_before(tx, from)) / (to - from)) : 0.0;
}

double dp_zeros_bin_end(const struct dp_sender *tx, double page)
{
	return (floor(page / tx->bin + 1e-9) + 1.0) * tx->bin;
}

void dp_sender_start(struct dp_sender *tx, const struct dp_plan *p, double b, double bs)
{
	double sum = 0.0;
	uint32_t i;

	tx->plan = p;
	tx->b = b;
	tx->bin = p->pages / DP_ZERO_BINS;
	/* what does not come as fast as the wire takes it does not queue up */
	tx->capped = b < CAPPED * bs;
	tx->room = tx->capped ? 0.0 : p->running ? fmin(p->room, p->queue) : p->queue;
	for (i = 0; i < DP_ZERO_BINS; i++)
		sum += p->zero_at[i];
	tx->zeros[0] = 0.0;
	for (i = 0; i < DP_ZERO_BINS; i++)
		tx->zeros[i + 1] =
			tx->zeros[i] + p->zero_pages * (sum > 0.0 ? p->zero_at[i] / sum : 1.0 / DP_ZERO_BINS);
}

double dp_sender_bytes(const struct dp_sender *tx, double z)
{
	return (1.0 - z) * tx->plan->wire_page + z * DP_WIRE_ZERO;
}

double dp_sender_scan(const struct dp_sender *tx, double z)
{
	return tx->plan->zero_scan_bps > 0.0 ? z * DP_WIRE_UNIT / tx->plan->zero_scan_bps : 0.0;
}

/*
 * What waits in the sockets keeps the wire busy while QEMU looks at zero pages; without sockets known to hold anything the
 * wire waits meanwhile.
 */
static double time_for(const struct dp_plan *p, double scan, double wire)
{
	return p->queue > 0.0 ? fmax(scan, wire) : scan + fmax(0.0, wire);
}

double dp_sender_time(const struct dp_sender *tx, double n, double z)
{
	return time_for(tx->plan, n * dp_sender_scan(tx, z), (n * dp_sender_bytes(tx, z) - tx->room) / tx->b);
}

double dp_sender_pages(const struct dp_sender *tx, double seconds, double z)
{
	double byte = dp_sender_bytes(tx, z) / tx->b, scan = dp_sender_scan(tx, z), n;

	if (tx->plan->queue <= 0.0)
		return seconds / (byte + scan);
	n = (seconds + tx->room / tx->b) / byte;
	return scan > 0.0 ? fmin(n, seconds / scan) : n;
}

void dp_sender_sent(struct dp_sender *tx, double n, double z, double dt)
{
	double room = tx->room + dt * tx->b - n * dp_sender_bytes(tx, z);

	tx->room = tx->capped ? 0.0 : fmin(tx->plan->queue, fmax(0.0, room));
}

/*
 * A writer that has waited for its socket goes on once a third of it is free, and fills that. So when the guest stops most of a third
 * goes in at once, and the last bytes wait for the next third, or fit: on average a third of a third sooner than the bytes alone
 * say, and by chance up to one of these waits more or less.
 *
 * With multifd that is as much for each channel; but all wait for the slowest one, and the devices' state goes by a connection of its
 * own, which no bulk has opened wide, and which the destination does not read before what is in the others. Measured: as often sooner as
 * later than the bytes alone say, eight of ten within the time of two thirds of what the sockets hold.
 */
double dp_stop_wait(bool multifd, double queue, double bs, double luck)
{
	double third = DP_WAKE_SHARE * queue / bs, chance = 2.0 * luck - 1.0;

	return multifd ? 2.5 * chance * third : (chance - DP_WAKE_SHARE) * third;
}

double dp_sender_stop(const struct dp_sender *tx, double bytes, double scan, double bs, double luck,
		      double *all)
{
	double queue = tx->plan->queue, room = tx->capped ? queue : tx->room, taken;

	taken = fmax(0.0, time_for(tx->plan, scan, (bytes - room) / bs));
	if (!tx->capped)
		taken = fmax(0.0, taken + dp_stop_wait(tx->plan->multifd, queue, bs, luck));

	*all = fmax(taken, (bytes + queue - room) / bs);
	return taken;
}

double dp_sender_lump(const struct dp_sender *tx)
{
	return (tx->plan->multifd ? FLUSH_MULTIFD : FLUSH) + DP_TICK * tx->b;
}

double dp_chance(double q)
{
	return q < 0.5 ? sqrt(2.0 * q) - 1.0 : 1.0 - sqrt(2.0 * (1.0 - q));
}
