// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Recording what a session is fed with, beside it. */
#include <errno.h>
#include <string.h>

#include "cli/log.h"
#include "cli/profile.h"

static int failed(struct profile *p, int err)
{
	if (err)
		dp_err("cannot record into %s: %s", p->o.record, strerror(-err));
	return err;
}

int dp_record_open(struct profile *p)
{
	char msg[DP_TRACE_MSG];
	int err = p->o.record ? dp_trace_create(p->o.record, p->o.append, &p->trace, msg, sizeof(msg)) : 0;

	if (err)
		dp_err("%s", msg);
	return err;
}

int dp_record_start(struct profile *p)
{
	struct dp_session_opts so;
	struct dp_trace_start start;

	if (!p->trace)
		return 0;
	dp_trace_host_now(&start.host);
	start.host.interval = p->o.interval_ns;
	start.source = dp_watch_source(p->watch);
	start.logging = dp_watch_logging(p->watch);
	dp_profile_session_opts(p, &so);
	return failed(p, dp_trace_put_start(p->trace, &start, &so, dp_watch_vm(p->watch)));
}

int dp_record_opts(struct profile *p, const struct dp_session_opts *so)
{
	return p->trace ? failed(p, dp_trace_put_opts(p->trace, so)) : 0;
}

int dp_record_add(struct profile *p, const struct dp_snapshot *s)
{
	return p->trace ? failed(p, dp_trace_put(p->trace, s)) : 0;
}

int dp_record_close(struct profile *p, bool end)
{
	uint64_t bytes, n;
	int err;

	if (!p->trace)
		return 0;
	err = dp_trace_close(p->trace, end, &bytes, &n);
	p->trace = NULL;
	/* What stopped the recording has been told already. */
	if (!err && n)
		dp_info("%llu intervals and syncs recorded into %s: %llu bytes, %.0f each",
			(unsigned long long)n, p->o.record, (unsigned long long)bytes,
			(double)bytes / (double)n);
	return end ? failed(p, err) : 0;
}
