// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The scalar figures that have gone by the name "expected downtime"; docs/expected-downtime.md compares them. */
#include <math.h>

#include "dirtyprof/predict.h"

static double ms(double bytes, double bps)
{
	if (!(bps > 0.0) || !isfinite(bytes))
		return 0.0;
	return bytes / bps * 1e3;
}

double dp_ms_qemu_2_12(double dirty_pages_per_s, double page_size, double bps)
{
	return ms(dirty_pages_per_s * page_size, bps);
}

double dp_ms_remaining(double remaining_bytes, double bps)
{
	return ms(remaining_bytes, bps);
}

double dp_ms_redirty(double remaining_bytes, double dirty_bytes_per_s, double bps)
{
	double seconds = ms(remaining_bytes, bps) / 1e3;

	return ms(remaining_bytes + dirty_bytes_per_s * seconds, bps);
}
