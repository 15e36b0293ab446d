// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * x86: a 32-bit protected-mode guest without paging, because that is what a KVM without long mode can
 * run. RAM up to 3 GiB is at 0. More RAM starts at 1 GiB, and the guest reaches its first 3 GiB; the
 * rest of the slot is there (for bitmaps, scans and bookkeeping of that size) and stays clean.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm.h"

#define GUEST_PORT	  0x10
#define REACH_MAX	  (3ull << 30) /* bytes of RAM that the guest can write to */
#define LARGE_RAM_GPA	  (1ull << 30)
#define SMALL_PRIVATE_GPA 0xd0000000ull
#define CODE_BYTES	  PAGE_BYTES
#define MAILBOX_BYTES	  (2 * PAGE_BYTES)

/* The private slot: the code, then a mailbox a vCPU. */
struct mailbox {
	uint32_t value, groups, singles, pad;
	uint32_t addr[BATCH_MAX];
};
_Static_assert(sizeof(struct mailbox) <= MAILBOX_BYTES, "a mailbox is two pages");

extern const uint8_t guest_x86_code[];
extern const uint32_t guest_x86_bytes;

uint64_t arch_private_bytes(const struct options *o)
{
	return CODE_BYTES + o->nvcpus * MAILBOX_BYTES;
}

int arch_layout(struct vmm *v)
{
	const struct options *o = &v->opt;
	uint64_t pages = pattern__pages(&o->pattern);
	bool large = o->mem > REACH_MAX;

	if (pages && o->offset + (pages - 1) * o->stride >= REACH_MAX) {
		fprintf(stderr, "dpvmm: this guest reaches only the first 3 GiB of its memory\n");
		return -EINVAL;
	}
	v->ram_gpa = large ? LARGE_RAM_GPA : 0;
	v->private_gpa = large ? 0 : SMALL_PRIVATE_GPA;
	return 0;
}

int arch_vm_init(struct vmm *v)
{
	memcpy(v->private_mem, guest_x86_code, guest_x86_bytes);
	return 0;
}

static void flat_segment(struct kvm_segment *s, uint16_t selector, uint8_t type)
{
	*s = (struct kvm_segment){ .base = 0,
				   .limit = 0xffffffffu,
				   .selector = selector,
				   .type = type,
				   .present = 1,
				   .s = 1,
				   .db = 1,
				   .g = 1 };
}

int arch_vcpu_init(struct vmm *v, struct vcpu *c)
{
	uint64_t box = CODE_BYTES + c->index * MAILBOX_BYTES, at = v->private_gpa;
	struct kvm_regs regs = { .rip = at, .rbp = at + box, .rflags = 2 };
	struct kvm_sregs sregs;

	if (ioctl(c->fd, KVM_GET_SREGS, &sregs) < 0)
		return -errno;
	flat_segment(&sregs.cs, 0x08, 11);
	flat_segment(&sregs.ds, 0x10, 3);
	sregs.es = sregs.fs = sregs.gs = sregs.ss = sregs.ds;
	sregs.cr0 |= 1;
	if (ioctl(c->fd, KVM_SET_SREGS, &sregs) < 0 || ioctl(c->fd, KVM_SET_REGS, &regs) < 0)
		return -errno;
	c->mailbox = v->private_mem + box;
	return 0;
}

void arch_put_batch(struct vcpu *c, const uint64_t *index, uint32_t n, uint32_t value)
{
	const struct vmm *v = c->vmm;
	struct mailbox *m = c->mailbox;

	m->value = value;
	m->groups = n / 16;
	m->singles = n % 16;
	for (uint32_t i = 0; i < n; i++)
		m->addr[i] = (uint32_t)(v->ram_gpa + v->opt.offset + index[i] * v->opt.stride);
}

int arch_handle_exit(struct vcpu *c)
{
	const struct kvm_run *run = c->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		if (run->io.port == GUEST_PORT && run->io.direction == KVM_EXIT_IO_OUT)
			return 1;
		fprintf(stderr, "dpvmm: unexpected port 0x%x\n", run->io.port);
		return -EIO;
	case KVM_EXIT_MMIO:
		fprintf(stderr, "dpvmm: guest touched 0x%llx, which is not memory\n", run->mmio.phys_addr);
		return -EFAULT;
	case KVM_EXIT_INTERNAL_ERROR:
		fprintf(stderr, "dpvmm: KVM internal error %u\n", run->internal.suberror);
		return -EIO;
	default:
		fprintf(stderr, "dpvmm: unexpected exit %u\n", run->exit_reason);
		return -EIO;
	}
}
