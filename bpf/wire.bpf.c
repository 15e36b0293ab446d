// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What one process puts on its sockets, by thread and socket: bytes, bursts and, for TCP, what the socket
 * itself knows (acknowledged bytes, delivery rate, whether the sender kept it busy). User space decides
 * which of them carry a migration.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "shared.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile int targ_tgid = 0;

__u64 lost_sockets;	   /* sends of sockets that found no room in the map */
__u64 lost_returns;	   /* sends whose end was not seen, so that their bytes are not known */
struct dp_wire_stat fresh; /* all zero: what a new entry starts from */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, DP_WIRE_ENTRIES);
	__type(key, struct dp_wire_key);
	__type(value, struct dp_wire_stat);
} sockets SEC(".maps");

#define AF_UNIX	    1
#define AF_INET	    2
#define AF_INET6    10
#define IPPROTO_TCP 6

static __always_inline struct dp_wire_stat *new_stat(struct dp_wire_key *key, struct sock *sk, u64 now)
{
	struct dp_wire_stat *st;

	bpf_map_update_elem(&sockets, key, &fresh, BPF_NOEXIST);
	st = bpf_map_lookup_elem(&sockets, key);
	if (!st) {
		__sync_fetch_and_add(&lost_sockets, 1);
		return NULL;
	}
	st->first_ns = now;
	st->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	st->protocol = BPF_CORE_READ(sk, sk_protocol);
	if (st->family == AF_INET) {
		u32 addr = BPF_CORE_READ(sk, __sk_common.skc_daddr);

		__builtin_memcpy(st->daddr, &addr, sizeof(addr));
		st->dport = BPF_CORE_READ(sk, __sk_common.skc_dport);
	} else if (st->family == AF_INET6) {
		BPF_CORE_READ_INTO(&st->daddr, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr8);
		st->dport = BPF_CORE_READ(sk, __sk_common.skc_dport);
	}
	bpf_get_current_comm(st->comm, sizeof(st->comm));
	return st;
}

static __always_inline void read_tcp(struct dp_wire_stat *st, struct sock *sk)
{
	struct tcp_sock *tp = (void *)sk;
	u32 delivered = BPF_CORE_READ(tp, rate_delivered), interval = BPF_CORE_READ(tp, rate_interval_us);
	u64 rate;

	st->acked = BPF_CORE_READ(tp, bytes_acked);
	st->sent = BPF_CORE_READ(tp, bytes_sent);
	st->retrans = BPF_CORE_READ(tp, bytes_retrans);
	st->srtt_us = BPF_CORE_READ(tp, srtt_us) >> 3;
	st->mss = BPF_CORE_READ(tp, mss_cache);
	if (!interval || (delivered == st->rate_delivered && interval == st->rate_interval))
		return;
	st->rate_delivered = delivered;
	st->rate_interval = interval;
	if (BPF_CORE_READ_BITFIELD_PROBED(tp, rate_app_limited)) {
		st->app_limited++;
		return;
	}
	rate = (u64)delivered * st->mss * 1000000 / interval;
	/* Summed apart, so that a short sample behind a burst weighs no more than the time it spans. */
	st->rate_bytes += (u64)delivered * st->mss;
	st->rate_us += interval;
	st->rates++;
	if (rate > st->rate_max)
		st->rate_max = rate;
}

/* What the application had given to this socket when it was first seen: acknowledged, or still queued. */
static __always_inline u64 sent_before(struct sock *sk, int ret)
{
	struct tcp_sock *tp = (void *)sk;
	u64 all = BPF_CORE_READ(tp, bytes_acked) +
		  (u32)(BPF_CORE_READ(tp, write_seq) - BPF_CORE_READ(tp, snd_una));

	return all > (u64)ret ? all - ret : 0;
}

static __always_inline bool is_tcp(const struct dp_wire_stat *st)
{
	return st->protocol == IPPROTO_TCP && (st->family == AF_INET || st->family == AF_INET6);
}

static __always_inline int on_send(struct sock *sk, int ret)
{
	struct dp_wire_key key = {};
	struct dp_wire_stat *st;
	u64 now, gap;

	if (ret <= 0)
		return 0;
	key.sk = (u64)sk;
	key.tid = (u32)bpf_get_current_pid_tgid();
	now = bpf_ktime_get_ns();
	st = bpf_map_lookup_elem(&sockets, &key);
	if (!st) {
		st = new_stat(&key, sk, now);
		if (!st)
			return 0;
		if (is_tcp(st))
			st->before = sent_before(sk, ret);
	}
	gap = now - st->last_ns;
	if (st->last_ns && gap <= DP_BURST_GAP_NS) {
		st->busy_ns += gap;
		st->busy_bytes += ret;
	}
	st->bytes += ret;
	st->sends++;
	st->last_ns = now;
	if (is_tcp(st))
		read_tcp(st, sk);
	return 0;
}

#define IS_TARGET() ((int)(bpf_get_current_pid_tgid() >> 32) == targ_tgid)

SEC("tp_btf/sock_send_length")
int BPF_PROG(send_btf, struct sock *sk, int ret, int flags)
{
	return IS_TARGET() ? on_send(sk, ret) : 0;
}

SEC("raw_tp/sock_send_length")
int send_raw(struct bpf_raw_tracepoint_args *ctx)
{
	return IS_TARGET() ? on_send((struct sock *)ctx->args[0], (int)ctx->args[1]) : 0;
}

/* ---- kernels without that tracepoint: the functions that send ---- */

SEC("fexit/tcp_sendmsg")
int BPF_PROG(tcp_fexit, struct sock *sk, struct msghdr *msg, size_t size, int ret)
{
	return IS_TARGET() ? on_send(sk, ret) : 0;
}

SEC("fexit/unix_stream_sendmsg")
int BPF_PROG(unix_fexit, struct socket *sock, struct msghdr *msg, size_t size, int ret)
{
	return IS_TARGET() ? on_send(sock->sk, ret) : 0;
}

/* A return does not know its arguments: they wait here, by thread. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, DP_WIRE_ENTRIES);
	__type(key, u32);
	__type(value, u64); /* struct sock *, of a send under way */
} sending SEC(".maps");

static __always_inline int send_begins(u64 sk)
{
	u32 tid = (u32)bpf_get_current_pid_tgid();

	if (!IS_TARGET())
		return 0;
	/* The kernel has a bounded number of places for returns, for all processes together. */
	if (bpf_map_lookup_elem(&sending, &tid))
		__sync_fetch_and_add(&lost_returns, 1);
	if (bpf_map_update_elem(&sending, &tid, &sk, BPF_ANY))
		__sync_fetch_and_add(&lost_returns, 1);
	return 0;
}

static __always_inline int send_ends(int ret)
{
	u32 tid = (u32)bpf_get_current_pid_tgid();
	u64 *at, sk;

	if (!IS_TARGET())
		return 0;
	at = bpf_map_lookup_elem(&sending, &tid);
	if (!at)
		return 0; /* it began before this was attached */
	sk = *at;
	bpf_map_delete_elem(&sending, &tid);
	return on_send((struct sock *)sk, ret);
}

SEC("kprobe/tcp_sendmsg")
int BPF_KPROBE(tcp_kprobe, struct sock *sk)
{
	return send_begins((u64)sk);
}

SEC("kretprobe/tcp_sendmsg")
int BPF_KRETPROBE(tcp_kretprobe, int ret)
{
	return send_ends(ret);
}

SEC("kprobe/unix_stream_sendmsg")
int BPF_KPROBE(unix_kprobe, struct socket *sock)
{
	return send_begins((u64)BPF_CORE_READ(sock, sk));
}

SEC("kretprobe/unix_stream_sendmsg")
int BPF_KRETPROBE(unix_kretprobe, int ret)
{
	return send_ends(ret);
}
