// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The dirty bitmap: a copy of exactly what user space received, taken at the return of its
 * KVM_GET_DIRTY_LOG, and of what it re-armed, at KVM_CLEAR_DIRTY_LOG. Nothing is counted here. Most of a big VM's bitmap
 * is zero: what has no set bit is left out, in lines of 64 bytes (2 MiB of guest), and a run of empty chunks becomes one
 * short record. Between two syncs
 * the loader can also look at KVM's own bitmap (vm_peek): that hooks nothing and changes nothing.
 *
 * Only the system call's exit is hooked: its arguments are still in the saved registers then.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "shared.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile int targ_tgid = 0;
const volatile __u32 targ_slot_ids = 0;

__u64 lost_chunks;
__u64 gets, clears, peeks;
__u64 copy_ns;	/* time spent copying: rare and long, so it is not sampled but summed */
__u64 woken_ns; /* when the reader was woken last */

#define WAKE_NS                                                                                              \
	5000000ull    /* a VMM may re-arm in a thousand small calls: the reader need not see each at once */
#define WAKE_EVERY 64 /* records between two looks at how full the ring is */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64); /* host pages of slot as_id * targ_slot_ids + id; 0 = not tracked */
} slot_pages SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
} chunks SEC(".maps");

/*
 * Where a chunk is packed, and what changes with the data: values on the stack a verifier would follow through each
 * combination of empty lines. An entry a kind of call: a look can interrupt another call's copying on the same CPU, the
 * same program cannot.
 */
struct scratch {
	struct dp_hv_piece piece;
	u64 used;    /* lines kept */
	u64 empty;   /* host pages just before the next chunk: no bit is set, and no record tells so yet */
	u64 records; /* of this call so far */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DP_HV_PEEK + 1);
	__type(key, u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

#define KVM_IOC(dir, nr, size)	    (((dir) << DP_IOC_DIRSHIFT) | ((size) << 16) | (0xAEu << 8) | (nr))
#define KVM_GET_DIRTY_LOG	    KVM_IOC(DP_IOC_WRITE, 0x42u, 16u)
#define KVM_CLEAR_DIRTY_LOG	    KVM_IOC(DP_IOC_READ | DP_IOC_WRITE, 0xc0u, 24u)
#define KVM_SET_USER_MEMORY_REGION  KVM_IOC(DP_IOC_WRITE, 0x46u, 32u)
#define KVM_SET_USER_MEMORY_REGION2 KVM_IOC(DP_IOC_WRITE, 0x49u, 160u)

struct get_arg {
	u32 slot, pad;
	u64 bitmap;
};

struct clear_arg {
	u32 slot, num_pages;
	u64 first_page;
	u64 bitmap;
};

struct copy {
	u64 src;
	u64 first, end; /* host pages still to copy */
	u64 now;
	u32 type, slot, tid;
	bool kernel;
};

static __always_inline u64 pages_of(u32 slot)
{
	u32 key = (slot >> 16) * targ_slot_ids + (slot & 0xffff);
	u64 *pages = bpf_map_lookup_elem(&slot_pages, &key);

	return pages && (slot & 0xffff) < targ_slot_ids ? *pages : 0;
}

/* Whether the reader must be woken: at a call's end, or so that the ring need not hold a huge slot at once. */
static __always_inline bool must_wake(const struct copy *c, struct scratch *s, bool last)
{
	if (c->type == DP_HV_PEEK)
		return false; /* the one who looks reads next */
	if (last && (c->type == DP_HV_GET || c->now > woken_ns + WAKE_NS))
		return true;
	return !(s->records++ % WAKE_EVERY) && bpf_ringbuf_query(&chunks, BPF_RB_AVAIL_DATA) >
						       bpf_ringbuf_query(&chunks, BPF_RB_RING_SIZE) / 4;
}

/* A record of the piece whose first, npages and lines are set, with the lines that s has kept. */
static __noinline int put(struct copy *c, struct scratch *s, bool last)
{
	struct dp_hv_rec *rec = &s->piece.rec;
	u64 bytes = sizeof(*rec) + s->used * DP_LINE_WORDS * 8, flags = BPF_RB_NO_WAKEUP;

	if (bytes > sizeof(s->piece))
		bytes = sizeof(s->piece);
	rec->type = c->type;
	rec->flags = last ? DP_HV_LAST : 0;
	rec->t_ns = c->now;
	rec->slot = c->slot;
	rec->tid = c->tid;
	if (must_wake(c, s, last)) {
		flags = BPF_RB_FORCE_WAKEUP;
		woken_ns = c->now;
	}
	if (bpf_ringbuf_output(&chunks, rec, bytes, flags))
		__sync_fetch_and_add(&lost_chunks, (rec->npages + DP_CHUNK_PAGES - 1) / DP_CHUNK_PAGES);
	return 0;
}

/* What was empty up to the next chunk, as a record of its own. Leaves the chunk's packed lines alone. */
static __always_inline void put_empty(struct copy *c, struct scratch *s, bool last)
{
	struct dp_hv_rec *rec = &s->piece.rec;
	u64 lines = rec->lines, used = s->used;

	if (!s->empty)
		return;
	rec->first = c->first - s->empty;
	rec->npages = s->empty;
	rec->lines = s->used = s->empty = 0;
	put(c, s, last);
	rec->lines = lines;
	s->used = used;
}

/* Moves the lines that are not empty to the front. */
static __always_inline void pack(struct scratch *s, u32 nlines)
{
	volatile u64 *lines = &s->piece.rec.lines, *used = &s->used;
	u32 i;

	*lines = 0;
	*used = 0;
	for (i = 0; i < DP_CHUNK_LINES && i < nlines; i++) {
		const u64 *from = &s->piece.bits.w[i * DP_LINE_WORDS];
		u64 *to;

		if (!(from[0] | from[1] | from[2] | from[3] | from[4] | from[5] | from[6] | from[7]))
			continue;
		to = &s->piece.bits.w[(*used & (DP_CHUNK_LINES - 1)) * DP_LINE_WORDS];
		to[0] = from[0];
		to[1] = from[1];
		to[2] = from[2];
		to[3] = from[3];
		to[4] = from[4];
		to[5] = from[5];
		to[6] = from[6];
		to[7] = from[7];
		*lines |= 1ull << i;
		*used += 1;
	}
}

/* A chunk's bits into the scratch; the rest of its last line is zero. */
static __always_inline int read_bits(struct copy *c, struct scratch *s, u64 bytes)
{
	u64 at = bytes / 8 & ~(u64)(DP_LINE_WORDS - 1);

	if (bytes > sizeof(s->piece.bits))
		bytes = sizeof(s->piece.bits);
	if (at < DP_CHUNK_WORDS)
		__builtin_memset(&s->piece.bits.w[at & (DP_CHUNK_WORDS - DP_LINE_WORDS)], 0,
				 DP_LINE_WORDS * 8);
	return c->kernel ? bpf_probe_read_kernel(&s->piece.bits, bytes, (void *)c->src)
			 : bpf_probe_read_user(&s->piece.bits, bytes, (void *)c->src);
}

static long copy_chunk(u32 i, void *data)
{
	struct copy *c = data;
	struct scratch *s = bpf_map_lookup_elem(&scratches, &c->type);
	u64 n, bytes;
	bool last;

	if (c->first >= c->end || !s)
		return 1;
	n = c->end - c->first;
	last = n <= DP_CHUNK_PAGES;
	/* Through memory: a verifier would count the chunks one by one. */
	*(volatile u64 *)&s->piece.rec.npages = last ? n : DP_CHUNK_PAGES;
	n = *(volatile u64 *)&s->piece.rec.npages;
	bytes = ((n + 63) / 64) * 8;
	if (read_bits(c, s, bytes)) {
		/* Never a bitmap of stale bytes: the range is lost, and counted. */
		__sync_fetch_and_add(&lost_chunks, 1);
		put_empty(c, s, false);
		goto next;
	}
	pack(s, (bytes + DP_LINE_WORDS * 8 - 1) / (DP_LINE_WORDS * 8));
	if (s->used) {
		put_empty(c, s, false);
		s->piece.rec.first = c->first;
		s->piece.rec.npages = n; /* an empty run's record came between */
		put(c, s, last);
	} else {
		s->empty += n;
	}
next:
	c->src += DP_CHUNK_PAGES / 8;
	c->first += n;
	if (last)
		put_empty(c, s, true);
	return 0;
}

static __always_inline void copy_bits(struct copy *c)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &c->type);

	if (!s)
		return;
	s->empty = s->records = 0;
	/* 2^20 chunks are 128 TiB of guest in one slot. */
	bpf_loop(1 << 20, copy_chunk, c, 0);
	__sync_fetch_and_add(&copy_ns, bpf_ktime_get_ns() - c->now);
}

static __always_inline void on_get(u64 uarg, u64 now)
{
	struct get_arg arg;
	struct copy c = { .type = DP_HV_GET, .now = now, .tid = (u32)bpf_get_current_pid_tgid() };

	if (bpf_probe_read_user(&arg, sizeof(arg), (void *)uarg))
		return;
	c.slot = arg.slot;
	c.src = arg.bitmap;
	c.end = pages_of(arg.slot);
	if (!c.end)
		return;
	__sync_fetch_and_add(&gets, 1);
	copy_bits(&c);
}

static __always_inline void on_clear(u64 uarg, u64 now)
{
	struct clear_arg arg;
	struct copy c = { .type = DP_HV_CLEAR, .now = now, .tid = (u32)bpf_get_current_pid_tgid() };
	u64 pages;

	if (bpf_probe_read_user(&arg, sizeof(arg), (void *)uarg))
		return;
	pages = pages_of(arg.slot);
	if (!pages || arg.first_page >= pages)
		return;
	c.slot = arg.slot;
	c.src = arg.bitmap;
	c.first = arg.first_page;
	c.end = arg.first_page + arg.num_pages;
	if (c.end > pages)
		c.end = pages;
	__sync_fetch_and_add(&clears, 1);
	copy_bits(&c);
}

/* The VM's slots changed (added, removed, logging switched): tell the loader at once. */
static __always_inline void on_slots(u64 now)
{
	struct dp_hv_rec *rec = bpf_ringbuf_reserve(&chunks, sizeof(*rec), 0);

	if (!rec)
		return;
	rec->type = DP_HV_SLOTS;
	rec->flags = DP_HV_LAST;
	rec->t_ns = now;
	rec->slot = 0;
	rec->tid = (u32)bpf_get_current_pid_tgid();
	rec->first = 0;
	rec->npages = 0;
	rec->lines = 0;
	bpf_ringbuf_submit(rec, BPF_RB_FORCE_WAKEUP);
}

static __always_inline int on_ioctl(u32 cmd, u64 arg, long ret)
{
	u64 now;

	if (ret < 0)
		return 0;
	switch (cmd) {
	case KVM_GET_DIRTY_LOG:
		now = bpf_ktime_get_ns();
		on_get(arg, now);
		break;
	case KVM_CLEAR_DIRTY_LOG:
		now = bpf_ktime_get_ns();
		on_clear(arg, now);
		break;
	case KVM_SET_USER_MEMORY_REGION:
	case KVM_SET_USER_MEMORY_REGION2:
		on_slots(bpf_ktime_get_ns());
		break;
	}
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(ioctl_exit_btf, struct pt_regs *regs, long ret)
{
	if ((int)(bpf_get_current_pid_tgid() >> 32) != targ_tgid)
		return 0;
	if (DP_SYSCALL_NR(regs) != DP_NR_IOCTL)
		return 0;
	return on_ioctl((u32)DP_SYSCALL_ARG2(regs), DP_SYSCALL_ARG3(regs), ret);
}

SEC("raw_tp/sys_exit")
int ioctl_exit_raw(struct bpf_raw_tracepoint_args *ctx)
{
	struct pt_regs *regs = (void *)ctx->args[0];

	if ((int)(bpf_get_current_pid_tgid() >> 32) != targ_tgid)
		return 0;
	if (DP_SYSCALL_NR_CORE(regs) != DP_NR_IOCTL)
		return 0;
	return on_ioctl((u32)DP_SYSCALL_ARG2_CORE(regs), DP_SYSCALL_ARG3_CORE(regs), (long)ctx->args[1]);
}

/* Arguments: the memslot, its as_id << 16 | id, its base_gfn and npages as the loader saw them. Nothing is read
 * from a slot that no longer is the same. Only from where the architecture keeps the live log in the slot. */
SEC("raw_tp")
int vm_peek(struct bpf_raw_tracepoint_args *ctx)
{
	struct kvm_memory_slot *slot = (void *)ctx->args[0];
	u32 want = (u32)ctx->args[1];
	struct copy c = { .type = DP_HV_PEEK, .kernel = true, .slot = want };

	if ((u16)BPF_CORE_READ(slot, id) != (want & 0xffff) || BPF_CORE_READ(slot, as_id) != want >> 16 ||
	    BPF_CORE_READ(slot, base_gfn) != ctx->args[2] || BPF_CORE_READ(slot, npages) != ctx->args[3])
		return 1;
	c.src = (u64)BPF_CORE_READ(slot, dirty_bitmap);
	c.end = ctx->args[3];
	if (!c.src)
		return 2;
	c.now = bpf_ktime_get_ns();
	__sync_fetch_and_add(&peeks, 1);
	copy_bits(&c);
	return 0;
}
