// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/wire.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/shared.h"
#include "probe/bpf_util.h"
#include "vm/proc.h"
#include "wire.skel.h"

#define ADDR_UNIX	1
#define PROTO_TCP	6
#define STREAM_MIN	(1u << 20) /* bytes: less is no stream by itself */
#define CHANNEL_MIN	4096u
#define STREAM_SEND_MIN 1024	      /* mean bytes a send: pages, not messages */
#define IDLE_NS		5000000000ull /* an entry that is silent this long is forgotten */
#define STREAM_END_NS	1000000000ull /* silent this long with logging off: the migration is over */

struct sock_seen {
	struct dp_wire_key key;
	struct dp_wire_stat last, now;
	bool used, present;
	bool mig;	      /* carries a migration */
	bool named;	      /* by its thread's name */
	bool first_of_socket; /* no other thread had sent on it before */
};

struct dp_wire_probe {
	struct wire_bpf *skel;
	struct bpf_link *links[DP_WAY_PROGS];
	const struct dp_way *way;
	pid_t pid;
	struct sock_seen seen[DP_WIRE_ENTRIES];
	bool running; /* a migration's stream was seen and has not ended */
	uint64_t total, first_ns, last_ns;
};

const struct dp_way dp_wire_ways[] = {
	{ "tp_btf",
	  "tp_btf sock_send_length",
	  "sock_send_length",
	  { "send_btf" },
	  "bytes of the migration's sockets" },
	{ "raw_tp",
	  "raw_tp sock_send_length",
	  "sock_send_length",
	  { "send_raw" },
	  "bytes of the migration's sockets" },
	{ "fexit",
	  "fexit tcp_sendmsg, unix_stream_sendmsg",
	  "tcp_sendmsg",
	  { "tcp_fexit", "unix_fexit" },
	  "bytes of the migration's sockets, of TCP and unix" },
	{ "kretprobe",
	  "kretprobe tcp_sendmsg, unix_stream_sendmsg",
	  "tcp_sendmsg",
	  { "tcp_kretprobe", "unix_kretprobe", "tcp_kprobe", "unix_kprobe" },
	  "bytes of the migration's sockets, of TCP and unix" },
	{ NULL },
};

static int load(void *ctx, const struct dp_way *way)
{
	struct dp_wire_probe *w = ctx;
	int err;

	w->skel = wire_bpf__open_opts(dp_bpf_open_opts());
	if (!w->skel)
		return errno ? -errno : -ENOMEM;
	dp_way_autoload(dp_wire_ways, way, w->skel->obj);
	w->skel->rodata->targ_tgid = w->pid;
	err = wire_bpf__load(w->skel);
	err = err ? err : dp_way_attach(way, w->skel->obj, w->links);
	if (err) {
		wire_bpf__destroy(w->skel);
		w->skel = NULL;
	}
	return err;
}

int dp_wire_open(pid_t pid, const char *how, struct dp_wire_probe **out, char *msg, size_t len)
{
	struct dp_wire_probe *w = calloc(1, sizeof(*w));
	int err;

	*out = NULL;
	if (!w) {
		snprintf(msg, len, "out of memory");
		return -ENOMEM;
	}
	w->pid = pid;
	err = dp_ways_try(dp_wire_ways, how, load, w, &w->way, msg, len);
	if (err) {
		dp_wire_close(w);
		return err;
	}
	*out = w;
	return 0;
}

void dp_wire_close(struct dp_wire_probe *w)
{
	if (!w)
		return;
	dp_way_detach(w->links);
	wire_bpf__destroy(w->skel);
	free(w);
}

const char *dp_wire_hook(const struct dp_wire_probe *w)
{
	return w->way->hook;
}

static struct sock_seen *find(struct dp_wire_probe *w, const struct dp_wire_key *k, bool add)
{
	struct sock_seen *room = NULL;
	size_t i;

	for (i = 0; i < DP_WIRE_ENTRIES; i++) {
		struct sock_seen *s = &w->seen[i];

		if (s->used && s->key.sk == k->sk && s->key.tid == k->tid)
			return s;
		if (!s->used && !room)
			room = s;
	}
	if (!add || !room)
		return NULL;
	memset(room, 0, sizeof(*room));
	room->used = true;
	room->key = *k;
	return room;
}

static bool others(const struct dp_wire_probe *w, const struct sock_seen *s)
{
	size_t i;

	for (i = 0; i < DP_WIRE_ENTRIES; i++)
		if (w->seen[i].used && &w->seen[i] != s && w->seen[i].key.sk == s->key.sk)
			return true;
	return false;
}

static void read_map(struct dp_wire_probe *w)
{
	int fd = bpf_map__fd(w->skel->maps.sockets), n = 0, idx;
	struct dp_wire_key key, prev, *at = NULL;
	size_t i;

	for (i = 0; i < DP_WIRE_ENTRIES; i++)
		w->seen[i].present = false;
	while (n++ < DP_WIRE_ENTRIES * 2 && !bpf_map_get_next_key(fd, at, &key)) {
		struct dp_wire_stat st;
		struct sock_seen *s;

		prev = key;
		at = &prev;
		if (bpf_map_lookup_elem(fd, &key, &st))
			continue;
		s = find(w, &key, true);
		if (!s)
			continue;
		if (!s->last.sends && !s->now.sends) {
			s->first_of_socket = !others(w, s);
			enum dp_thread_kind k = dp_thread_classify(st.comm, &idx);

			s->named = k == DP_THREAD_MIGRATION || k == DP_THREAD_MULTIFD;
		}
		s->now = st;
		s->present = true;
	}
	for (i = 0; i < DP_WIRE_ENTRIES; i++)
		if (w->seen[i].used && !w->seen[i].present)
			w->seen[i].used = false;
}

static bool same_peer(const struct sock_seen *a, const struct sock_seen *b)
{
	return a->now.family == b->now.family && a->now.family != ADDR_UNIX && a->now.dport == b->now.dport &&
	       !memcmp(a->now.daddr, b->now.daddr, sizeof(a->now.daddr));
}

/* A stream of pages by a thread that is neither the main loop nor a vCPU, while RAM logs. */
static bool looks_like_stream(const struct dp_wire_probe *w, const struct sock_seen *s)
{
	int idx;

	return s->key.tid != (uint32_t)w->pid && s->now.bytes >= STREAM_MIN &&
	       s->now.bytes / s->now.sends >= STREAM_SEND_MIN &&
	       dp_thread_classify(s->now.comm, &idx) == DP_THREAD_OTHER;
}

static void classify(struct dp_wire_probe *w, bool logging, bool (*is_migration)(void *, uint32_t), void *ctx)
{
	bool any = false;
	size_t i, k;

	for (i = 0; i < DP_WIRE_ENTRIES; i++) {
		struct sock_seen *s = &w->seen[i];

		if (!s->used || s->mig)
			continue;
		s->mig = s->named ||
			 (is_migration && s->key.tid != (uint32_t)w->pid && is_migration(ctx, s->key.tid));
	}
	/* multifd channels go to the same peer and begin when the main one does. */
	for (i = 0; i < DP_WIRE_ENTRIES; i++) {
		for (k = 0; k < DP_WIRE_ENTRIES && w->seen[i].used && !w->seen[i].mig; k++) {
			const struct sock_seen *m = &w->seen[k];

			if (m->used && m->mig && same_peer(&w->seen[i], m) &&
			    w->seen[i].now.first_ns + STREAM_END_NS > m->now.first_ns)
				w->seen[i].mig = true;
		}
		any |= w->seen[i].used && w->seen[i].mig;
	}
	for (i = 0; i < DP_WIRE_ENTRIES && logging; i++)
		if (w->seen[i].used && !w->seen[i].mig && looks_like_stream(w, &w->seen[i]) &&
		    (!any || w->seen[i].now.family == ADDR_UNIX))
			w->seen[i].mig = true;
}

/*
 * Several threads may send on one socket: it is one channel. The migration thread also writes events to QMP
 * sockets: a few hundred bytes are none.
 */
static uint32_t count_channels(const struct dp_wire_probe *w)
{
	uint32_t n = 0;
	size_t i, k;

	for (i = 0; i < DP_WIRE_ENTRIES; i++) {
		if (!w->seen[i].used || !w->seen[i].mig || w->seen[i].now.bytes < CHANNEL_MIN)
			continue;
		for (k = 0; k < i; k++)
			if (w->seen[k].used && w->seen[k].mig && w->seen[k].now.bytes >= CHANNEL_MIN &&
			    w->seen[k].key.sk == w->seen[i].key.sk)
				break;
		n += k == i;
	}
	return n;
}

static void add_socket(struct dp_wire_probe *w, struct sock_seen *s, struct dp_wire *out, uint32_t *tids,
		       uint32_t *bursts)
{
	const struct dp_wire_stat *a = &s->last, *b = &s->now;
	uint64_t rates = b->rates - a->rates, bytes = b->bytes - a->bytes;
	uint32_t i;

	if (!w->running && bytes) {
		w->running = true;
		w->total = 0;
		w->first_ns = b->first_ns;
		w->last_ns = 0;
	}
	if (b->first_ns < w->first_ns)
		w->first_ns = b->first_ns;
	if (b->last_ns > w->last_ns)
		w->last_ns = b->last_ns;
	w->total += bytes;
	/* Several threads of one socket: its history counts once, for the one that was seen first. */
	if (!a->sends && s->first_of_socket)
		w->total += b->before;
	out->sent_bytes += bytes;
	out->active |= bytes != 0;
	for (i = 0; i < out->threads && tids[i] != s->key.tid; i++)
		;
	if (i == out->threads)
		tids[out->threads++] = s->key.tid;
	if (b->busy_ns != a->busy_ns)
		(*bursts)++;
	out->busy_ns += b->busy_ns - a->busy_ns;
	out->busy_bytes += b->busy_bytes - a->busy_bytes;
	if (b->protocol != PROTO_TCP)
		return;
	/* a QMP socket over TCP is no path */
	out->tcp |= b->bytes >= CHANNEL_MIN;
	out->acked_bytes += b->acked - a->acked;
	out->retrans_bytes += b->retrans - a->retrans;
	out->delivery_samples += rates;
	out->app_limited_samples += b->app_limited - a->app_limited;
	if (b->rate_us > a->rate_us)
		out->delivery_bps +=
			(double)(b->rate_bytes - a->rate_bytes) * 1e6 / (double)(b->rate_us - a->rate_us);
	if (b->rates)
		out->delivery_max_bps += (double)b->rate_max;
	if (b->srtt_us > out->srtt_us)
		out->srtt_us = b->srtt_us;
}

void dp_wire_scan(struct dp_wire_probe *w, bool logging, bool (*is_migration)(void *ctx, uint32_t tid),
		  void *ctx)
{
	read_map(w);
	classify(w, logging, is_migration, ctx);
}

bool dp_wire_running(const struct dp_wire_probe *w)
{
	return w->running;
}

int dp_wire_take(struct dp_wire_probe *w, bool logging, uint64_t base_ns,
		 bool (*is_migration)(void *ctx, uint32_t tid), void *ctx, struct dp_wire *out)
{
	uint32_t tids[DP_WIRE_ENTRIES], bursts = 0;
	uint64_t newest = 0;
	size_t i;

	memset(out, 0, sizeof(*out));
	dp_wire_scan(w, logging, is_migration, ctx);
	for (i = 0; i < DP_WIRE_ENTRIES; i++) {
		struct sock_seen *s = &w->seen[i];

		if (!s->used)
			continue;
		if (s->now.last_ns > newest)
			newest = s->now.last_ns;
		if (!s->mig)
			continue;
		add_socket(w, s, out, tids, &bursts);
		s->last = s->now;
	}
	out->channels = count_channels(w);
	/* Channels send side by side: their busy times overlap. */
	if (bursts > 1)
		out->busy_ns /= bursts;
	out->total_sent = w->total;
	out->first_ns = w->first_ns > base_ns ? w->first_ns - base_ns : 0;
	out->last_ns = w->last_ns > base_ns ? w->last_ns - base_ns : 0;
	return 0;
}

void dp_wire_forget(struct dp_wire_probe *w, bool logging, uint64_t now_ns)
{
	int fd = bpf_map__fd(w->skel->maps.sockets);
	size_t i;

	if (w->running && !logging && now_ns > w->last_ns + STREAM_END_NS)
		w->running = false;
	for (i = 0; i < DP_WIRE_ENTRIES; i++) {
		struct sock_seen *s = &w->seen[i];

		if (!s->used || now_ns < s->now.last_ns + IDLE_NS || (s->mig && w->running))
			continue;
		/* A closed socket's address is soon another's: do not let it inherit these counts. */
		bpf_map_delete_elem(fd, &s->key);
		s->used = false;
	}
}

bool dp_wire_is_sender(const struct dp_wire_probe *w, uint32_t tid)
{
	size_t i;

	for (i = 0; i < DP_WIRE_ENTRIES; i++)
		if (w->seen[i].used && w->seen[i].mig && w->seen[i].key.tid == tid)
			return true;
	return false;
}

uint64_t dp_wire_lost(const struct dp_wire_probe *w)
{
	return __atomic_load_n(&w->skel->bss->lost_sockets, __ATOMIC_RELAXED) +
	       __atomic_load_n(&w->skel->bss->lost_returns, __ATOMIC_RELAXED) +
	       dp_way_missed(w->way, w->skel->obj);
}

void dp_wire_stats(const struct dp_wire_probe *w, uint64_t *runs, uint64_t *ns, uint64_t *map_bytes)
{
	dp_way_stats(w->way, w->skel->obj, runs, ns);
	*map_bytes += dp_bpf_memlock(w->skel->maps.sockets) + dp_bpf_memlock(w->skel->maps.sending);
}
