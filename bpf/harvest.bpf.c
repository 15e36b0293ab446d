// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The dirty bitmap: a copy of exactly what user space received, taken at the return of its
 * KVM_GET_DIRTY_LOG, and of what it re-armed, at KVM_CLEAR_DIRTY_LOG. Nothing is counted here. Most of a big VM's bitmap
 * is zero: what has no set bit is left out, in lines of 64 bytes (2 MiB of guest), and a run of empty chunks becomes one
 * short record. Between two syncs
 * the loader can also look at KVM's own bitmap (vm_peek): that hooks nothing and changes nothing.
 *
 * Only the return is hooked: of kvm_vm_ioctl() where functions can be, else of system calls, whose arguments are still in
 * the saved registers then.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "compat.bpf.h"
#include "shared.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile int targ_tgid = 0;
const volatile __u32 targ_slot_ids = 0;

const volatile bool targ_manual = false; /* CLEAR re-arms, not GET */
const volatile int targ_self = 0;	 /* the loader's own process */

__u64 lost_chunks;
__u64 self_calls; /* ioctls of the loader's own, by which it sees that the hook is called */
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

#include "rearm.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
} chunks SEC(".maps");

struct copy {
	u64 src;	/* of the chunk that begins at first */
	u64 first, end; /* host pages still to copy */
	u64 now;
	u32 type, slot, tid;
};

/*
 * A call under way, and where its chunks are packed. In a map, of whose contents a verifier assumes nothing: values on the
 * stack it would follow through each combination of empty lines. An entry a kind of call: a look can interrupt another
 * call's copying on the same CPU, the same program cannot (the kernel then leaves it out, and counts that).
 */
struct scratch {
	struct copy c;
	struct dp_hv_piece piece;
	u64 used;    /* lines kept */
	u64 empty;   /* host pages just before the next chunk: no bit is set, and no record tells so yet */
	u64 records; /* of this call so far */
	u64 count;   /* whether to count */
	u64 set;     /* the bits set so far */
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

static __always_inline u64 pages_of(u32 slot)
{
	u32 key = (slot >> 16) * targ_slot_ids + (slot & 0xffff);
	u64 *pages = bpf_map_lookup_elem(&slot_pages, &key);

	return pages && (slot & 0xffff) < targ_slot_ids ? *pages : 0;
}

/* Whether the reader must be woken: at a call's end, or so that the ring need not hold a huge slot at once. */
static __always_inline bool must_wake(struct scratch *s, bool last)
{
	const struct copy *c = &s->c;

	if (c->type == DP_HV_PEEK)
		return false; /* the one who looks reads next */
	if (last && (c->type == DP_HV_GET || c->now > woken_ns + WAKE_NS))
		return true;
	return !(s->records++ % WAKE_EVERY) && bpf_ringbuf_query(&chunks, BPF_RB_AVAIL_DATA) >
						       bpf_ringbuf_query(&chunks, BPF_RB_RING_SIZE) / 4;
}

/* A record of the piece whose first, npages and lines are set, with the lines that s has kept. */
static __noinline int put(struct scratch *s, bool last)
{
	const struct copy *c = &s->c;
	struct dp_hv_rec *rec = &s->piece.rec;
	u64 bytes = sizeof(*rec) + s->used * DP_LINE_WORDS * 8, flags = BPF_RB_NO_WAKEUP;

	if (bytes > sizeof(s->piece))
		bytes = sizeof(s->piece);
	rec->type = c->type;
	rec->flags = last ? DP_HV_LAST : 0;
	rec->t_ns = c->now;
	rec->slot = c->slot;
	rec->tid = c->tid;
	if (must_wake(s, last)) {
		flags = BPF_RB_FORCE_WAKEUP;
		woken_ns = c->now;
	}
	if (bpf_ringbuf_output(&chunks, rec, bytes, flags))
		__sync_fetch_and_add(&lost_chunks, (rec->npages + DP_CHUNK_PAGES - 1) / DP_CHUNK_PAGES);
	return 0;
}

/* What was empty up to the next chunk, as a record of its own. Leaves the chunk's packed lines alone. */
static __always_inline void put_empty(struct scratch *s, bool last)
{
	struct dp_hv_rec *rec = &s->piece.rec;
	u64 lines = rec->lines, used = s->used;

	if (!s->empty)
		return;
	rec->first = s->c.first - s->empty;
	rec->npages = s->empty;
	rec->lines = s->used = s->empty = 0;
	put(s, last);
	rec->lines = lines;
	s->used = used;
}

/* 1 where v is not 0, else 0, without a branch: a verifier would follow 2^64 ways through the lines below. */
static __always_inline u64 is_set(u64 v)
{
	u64 r = v | (0 - v);

	asm volatile("" : "+r"(r));
	return r >> 63;
}

/* Moves the lines that are not empty to the front. */
static __always_inline void pack(struct scratch *s, u64 nlines)
{
	u64 lines = 0, used = 0;
	u32 i;

	for (i = 0; i < DP_CHUNK_LINES; i++) {
		const u64 *from = &s->piece.bits.w[i * DP_LINE_WORDS];
		u64 *to = &s->piece.bits.w[(used & (DP_CHUNK_LINES - 1)) * DP_LINE_WORDS];
		u64 any = from[0] | from[1] | from[2] | from[3] | from[4] | from[5] | from[6] | from[7], keep;

		/* i - nlines is negative up to the last line; what lies behind it is an older chunk's */
		keep = is_set(any) & ((u64)i - nlines) >> 63;
		to[0] = from[0];
		to[1] = from[1];
		to[2] = from[2];
		to[3] = from[3];
		to[4] = from[4];
		to[5] = from[5];
		to[6] = from[6];
		to[7] = from[7];
		lines |= keep << i;
		used += keep;
	}
	s->piece.rec.lines = lines;
	s->used = used;
}

static __always_inline u64 ones(u64 v)
{
	v -= v >> 1 & 0x5555555555555555ull;
	v = (v & 0x3333333333333333ull) + (v >> 2 & 0x3333333333333333ull);
	v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0full;
	return v * 0x0101010101010101ull >> 56;
}

/* Counts the bits of the lines that were kept. Not static: see copy_chunk. */
__attribute__((noinline)) int count_lines(u32 type)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &type);
	u64 sum = 0;
	u32 i, k;

	if (!s)
		return 0;
	for (i = 0; i < DP_CHUNK_LINES && i < s->used; i++)
		for (k = 0; k < DP_LINE_WORDS; k++)
			sum += ones(s->piece.bits.w[i * DP_LINE_WORDS + k]);
	s->set += sum;
	return 0;
}

/* A chunk's bits into the scratch; the rest of its last line is zero. */
static __always_inline int read_bits(struct scratch *s, u64 bytes)
{
	u64 at = bytes / 8 & ~(u64)(DP_LINE_WORDS - 1);

	if (bytes > sizeof(s->piece.bits))
		bytes = sizeof(s->piece.bits);
	if (at < DP_CHUNK_WORDS)
		__builtin_memset(&s->piece.bits.w[at & (DP_CHUNK_WORDS - DP_LINE_WORDS)], 0,
				 DP_LINE_WORDS * 8);
	return s->c.type == DP_HV_PEEK ? bpf_probe_read_kernel(&s->piece.bits, bytes, (void *)s->c.src)
				       : bpf_probe_read_user(&s->piece.bits, bytes, (void *)s->c.src);
}

/*
 * The next chunk of the call of this type. 1: that was the last one. Not static: the verifier then looks at it once, not
 * once a turn of the loops below, which therefore need no bpf_loop() (Linux 5.17).
 */
__attribute__((noinline)) int copy_chunk(u32 type)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &type);
	u64 n, bytes;
	bool last;

	if (!s || s->c.first >= s->c.end)
		return 1;
	n = s->c.end - s->c.first;
	last = n <= DP_CHUNK_PAGES;
	if (!last)
		n = DP_CHUNK_PAGES;
	s->piece.rec.npages = n;
	bytes = ((n + 63) / 64) * 8;
	if (read_bits(s, bytes)) {
		/* Never a bitmap of stale bytes: the range is lost, and counted. */
		__sync_fetch_and_add(&lost_chunks, 1);
		put_empty(s, false);
		goto next;
	}
	/* A slot's all ones go on to the end of the word. */
	if (n & 63)
		s->piece.bits.w[(n >> 6) & (DP_CHUNK_WORDS - 1)] &= (1ull << (n & 63)) - 1;
	pack(s, (bytes + DP_LINE_WORDS * 8 - 1) / (DP_LINE_WORDS * 8));
	if (s->used && s->count)
		count_lines(type);
	if (s->used) {
		put_empty(s, false);
		s->piece.rec.first = s->c.first;
		s->piece.rec.npages = n; /* an empty run's record came between */
		put(s, last);
	} else {
		s->empty += n;
	}
next:
	s->c.src += DP_CHUNK_PAGES / 8;
	s->c.first += n;
	if (last)
		put_empty(s, true);
	return last;
}

#define TURNS 128

__attribute__((noinline)) int copy_turns(u32 type)
{
	u32 i;

	for (i = 0; i < TURNS; i++)
		if (copy_chunk(type))
			return 1;
	return 0;
}

__attribute__((noinline)) int copy_turns_of_turns(u32 type)
{
	u32 i;

	for (i = 0; i < TURNS; i++)
		if (copy_turns(type))
			return 1;
	return 0;
}

/* All of a call whose src, first and end are set: up to 128 ^ 3 chunks, 256 TiB of guest in one slot. */
static __always_inline void copy_bits(struct scratch *s, u32 type, u64 now)
{
	u32 i;

	s->c.type = type;
	s->c.now = now;
	s->c.tid = (u32)bpf_get_current_pid_tgid();
	s->empty = s->records = s->set = 0;
	for (i = 0; i < TURNS; i++)
		if (copy_turns_of_turns(type))
			break;
	__sync_fetch_and_add(&copy_ns, bpf_ktime_get_ns() - now);
}

static __always_inline void on_get(u64 uarg, u64 now)
{
	u32 type = DP_HV_GET;
	struct scratch *s = bpf_map_lookup_elem(&scratches, &type);
	struct dp_rearm *r;
	struct get_arg arg;

	if (!s || bpf_probe_read_user(&arg, sizeof(arg), (void *)uarg))
		return;
	s->c.slot = arg.slot;
	s->c.src = arg.bitmap;
	s->c.first = 0;
	s->c.end = pages_of(arg.slot);
	if (!s->c.end)
		return;
	__sync_fetch_and_add(&gets, 1);
	r = wanted_rearm();
	s->count = targ_manual && r;
	note_get(r, arg.slot, s->c.end, now);
	copy_bits(s, type, now);
	note_owed(r, arg.slot, s->set, now);
}

static __always_inline void on_clear(u64 uarg, u64 now)
{
	u32 type = DP_HV_CLEAR;
	struct scratch *s = bpf_map_lookup_elem(&scratches, &type);
	struct clear_arg arg;
	struct dp_rearm *r;
	u64 pages;

	if (!s || bpf_probe_read_user(&arg, sizeof(arg), (void *)uarg))
		return;
	pages = pages_of(arg.slot);
	if (!pages || arg.first_page >= pages)
		return;
	s->c.slot = arg.slot;
	s->c.src = arg.bitmap;
	s->c.first = arg.first_page;
	s->c.end = arg.first_page + arg.num_pages;
	if (s->c.end > pages)
		s->c.end = pages;
	__sync_fetch_and_add(&clears, 1);
	r = wanted_rearm();
	s->count = r != NULL;
	/* What it re-armed may be marked again while this goes on. */
	if (r)
		r->last_ns = now;
	copy_bits(s, type, now);
	note_clear(r, arg.slot, s->set, now);
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

static __always_inline bool is_ours(u32 cmd)
{
	return cmd == KVM_GET_DIRTY_LOG || cmd == KVM_CLEAR_DIRTY_LOG || cmd == KVM_SET_USER_MEMORY_REGION ||
	       cmd == KVM_SET_USER_MEMORY_REGION2;
}

/* A VM's ioctl of the loader itself. */
static __always_inline void note_self(void)
{
	if ((int)(bpf_get_current_pid_tgid() >> 32) == targ_self)
		__sync_fetch_and_add(&self_calls, 1);
}

static __always_inline int on_ioctl(u32 cmd, u64 arg, long ret)
{
	if (ret < 0 || !is_ours(cmd))
		return 0;
	if (cmd == KVM_GET_DIRTY_LOG)
		on_get(arg, bpf_ktime_get_ns());
	else if (cmd == KVM_CLEAR_DIRTY_LOG)
		on_clear(arg, bpf_ktime_get_ns());
	else
		on_slots(bpf_ktime_get_ns());
	return 0;
}

#define IS_TARGET() ((int)(bpf_get_current_pid_tgid() >> 32) == targ_tgid)

/*
 * A VM's ioctls: the same arguments as the system call's, the same return, and the bitmap is where user space finds it. The
 * function's address is taken, so that no compiler has inlined it, as it has what it calls.
 */
SEC("fexit/kvm_vm_ioctl")
int BPF_PROG(vm_ioctl_fexit, struct file *filp, unsigned int cmd, unsigned long arg, long ret)
{
	note_self();
	return IS_TARGET() ? on_ioctl(cmd, arg, ret) : 0;
}

/* A return does not know its arguments: they wait here, by thread. */
struct call {
	u64 arg;
	u32 cmd;
	u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, struct call);
} calls SEC(".maps");

SEC("kprobe/kvm_vm_ioctl")
int BPF_KPROBE(vm_ioctl_kprobe, struct file *filp, unsigned int cmd, unsigned long arg)
{
	u32 tid = (u32)bpf_get_current_pid_tgid();
	struct call call = { .arg = arg, .cmd = cmd };

	if (!IS_TARGET() || !is_ours(cmd))
		return 0;
	/* The kernel has a bounded number of places for returns, for all processes together. */
	if (bpf_map_lookup_elem(&calls, &tid))
		__sync_fetch_and_add(&lost_chunks, 1);
	if (bpf_map_update_elem(&calls, &tid, &call, BPF_ANY))
		__sync_fetch_and_add(&lost_chunks, 1);
	return 0;
}

SEC("kretprobe/kvm_vm_ioctl")
int BPF_KRETPROBE(vm_ioctl_kretprobe, long ret)
{
	u32 tid = (u32)bpf_get_current_pid_tgid();
	struct call *at, call;

	note_self();
	if (!IS_TARGET())
		return 0;
	at = bpf_map_lookup_elem(&calls, &tid);
	if (!at)
		return 0; /* no call of ours, or it began before this was attached */
	call = *at;
	bpf_map_delete_elem(&calls, &tid);
	return on_ioctl(call.cmd, call.arg, ret);
}

/* ---- kernels that let no function be hooked: every system call ---- */

SEC("tp_btf/sys_exit")
int BPF_PROG(ioctl_exit_btf, struct pt_regs *regs, long ret)
{
	if (!IS_TARGET() || DP_SYSCALL_NR(regs) != DP_NR_IOCTL)
		return 0;
	return on_ioctl((u32)DP_SYSCALL_ARG2(regs), DP_SYSCALL_ARG3(regs), ret);
}

SEC("raw_tp/sys_exit")
int ioctl_exit_raw(struct bpf_raw_tracepoint_args *ctx)
{
	struct pt_regs *regs = (void *)ctx->args[0];

	if (!IS_TARGET() || DP_SYSCALL_NR_CORE(regs) != DP_NR_IOCTL)
		return 0;
	return on_ioctl((u32)DP_SYSCALL_ARG2_CORE(regs), DP_SYSCALL_ARG3_CORE(regs), (long)ctx->args[1]);
}

/* Arguments: the memslot, its as_id << 16 | id, its base_gfn and npages as the loader saw them. Nothing is read
 * from a slot that no longer is the same. Only from where the architecture keeps the live log in the slot. */
SEC("raw_tp")
int vm_peek(struct bpf_raw_tracepoint_args *ctx)
{
	struct kvm_memory_slot *slot = (void *)ctx->args[0];
	u32 want = (u32)ctx->args[1], type = DP_HV_PEEK;
	struct scratch *s = bpf_map_lookup_elem(&scratches, &type);

	if (!s || (u16)BPF_CORE_READ(slot, id) != (want & 0xffff) || kvm_slot_as_id(slot, 0) != want >> 16 ||
	    BPF_CORE_READ(slot, base_gfn) != ctx->args[2] || BPF_CORE_READ(slot, npages) != ctx->args[3])
		return 1;
	s->c.slot = want;
	s->c.src = (u64)BPF_CORE_READ(slot, dirty_bitmap);
	s->c.first = 0;
	s->c.end = ctx->args[3];
	if (!s->c.src)
		return 2;
	__sync_fetch_and_add(&peeks, 1);
	copy_bits(s, type, bpf_ktime_get_ns());
	return 0;
}
