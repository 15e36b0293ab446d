// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The dirty bitmap: a copy of exactly what user space received, taken at the return of its
 * KVM_GET_DIRTY_LOG, and of what it re-armed, at KVM_CLEAR_DIRTY_LOG. Nothing is counted here: 4 KiB of
 * bits cover 128 MiB of guest, and copying them costs less than looking at them. Between two syncs
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
__u64 copy_ns; /* time spent copying: rare and long, so it is not sampled but summed */

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

static long copy_chunk(u32 i, void *data)
{
	struct copy *c = data;
	struct dp_hv_rec *rec;
	u64 n, bytes;
	int err;

	if (c->first >= c->end)
		return 1;
	n = c->end - c->first;
	if (n > DP_CHUNK_PAGES)
		n = DP_CHUNK_PAGES;
	rec = bpf_ringbuf_reserve(&chunks, sizeof(*rec), 0);
	if (!rec) {
		__sync_fetch_and_add(&lost_chunks, 1);
		c->src += DP_CHUNK_PAGES / 8;
		c->first += n;
		return 0;
	}
	bytes = ((n + 63) / 64) * 8;
	if (bytes > sizeof(rec->bits))
		bytes = sizeof(rec->bits);
	if (c->kernel)
		err = bpf_probe_read_kernel(&rec->bits, bytes, (void *)c->src);
	else
		err = bpf_probe_read_user(&rec->bits, bytes, (void *)c->src);
	rec->type = c->type;
	rec->flags = c->first + n >= c->end ? DP_HV_LAST : 0;
	rec->t_ns = c->now;
	rec->slot = c->slot;
	rec->tid = c->tid;
	rec->first = c->first;
	rec->npages = n;
	if (err) {
		/* Never a bitmap of stale bytes: the range is lost, and counted. */
		__sync_fetch_and_add(&lost_chunks, 1);
		bpf_ringbuf_discard(rec, BPF_RB_NO_WAKEUP);
	} else {
		/* Wake the reader now and then, so that the ring need not hold a huge slot at once. */
		bpf_ringbuf_submit(rec, (rec->flags & DP_HV_LAST) || !(i & 63) ? BPF_RB_FORCE_WAKEUP
									       : BPF_RB_NO_WAKEUP);
	}
	c->src += DP_CHUNK_PAGES / 8;
	c->first += n;
	return 0;
}

static __always_inline void copy_bits(struct copy *c)
{
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
