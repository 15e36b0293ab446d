// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The names that JSON gives to advice and cautions. */
#include "dirtyprof/report.h"

const char *dp_note_name(enum dp_note_kind k)
{
	static const char *const name[DP_NOTE_KINDS] = {
		"raise-downtime-limit",
		"need-bandwidth",
		"need-throttle",
		"throttle-fails",
		"avail-switchover-bandwidth",
		"raise-max-bandwidth",
		"coarse-tracking",
		"smaller-pages",
		"post-copy",
		"settle-window",
		"no-bandwidth",
		"max-bandwidth-unknown",
		"phase-change",
		"unsteady",
		"extrapolated",
		"lost-events",
		"zero-pages-unknown",
		"coarse-times",
		"few-starts",
	};

	return name[k];
}
