// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * x86: a 32-bit protected-mode guest, because that is what a KVM without long mode can run. RAM up to
 * 3 GiB is flat at 0. Above, RAM starts at 4 GiB and the guest reaches the pattern's pages, and nothing
 * else, through PAE page tables that are made once: virtual page i is page i of the pattern. They
 * never change and their accessed and dirty bits are preset, so that nobody writes to them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm.h"

#define GUEST_PORT 0x10
#define FLAT_MAX (3ull << 30)
#define HIGH_GPA (4ull << 30)
#define PRIVATE_GPA 0xd0000000ull
#define TSS_GPA 0xfffbd000ull
#define CODE_BYTES PAGE_BYTES
#define MAILBOX_BYTES (2 * PAGE_BYTES)
#define WINDOW_VA 0x400000u /* page i of the pattern is at this + i * 4096 */
#define TABLE_ENTRIES 512u
#define WINDOW_MAX 1040000ull /* pages that fit between WINDOW_VA and 4 GiB */

#define PTE_P 0x001u
#define PTE_RW 0x002u
#define PTE_A 0x020u
#define PTE_D 0x040u

/* Virtual and physical layout of the private slot: code, a mailbox a vCPU, then the page tables. */
struct mailbox {
	uint32_t value, groups, singles, pad;
	uint32_t addr[BATCH_MAX];
};
_Static_assert(sizeof(struct mailbox) <= MAILBOX_BYTES, "a mailbox is two pages");

extern const uint8_t guest_x86_start[], guest_x86_end[];

static bool paged(const struct options *o)
{
	return o->mem > FLAT_MAX;
}

static uint64_t tables_offset(const struct options *o)
{
	return CODE_BYTES + o->nvcpus * MAILBOX_BYTES;
}

static uint64_t leaf_tables(const struct options *o)
{
	return 2 + pattern__pages(&o->pattern) / TABLE_ENTRIES + 1; /* 4 MiB of code and mailboxes, then pages */
}

uint64_t arch_private_bytes(const struct options *o)
{
	uint64_t tables = paged(o) ? 1 + 4 + leaf_tables(o) : 0;

	return tables_offset(o) + tables * PAGE_BYTES;
}

int arch_layout(struct vmm *v)
{
	if (paged(&v->opt) && pattern__pages(&v->opt.pattern) > WINDOW_MAX) {
		fprintf(stderr, "dpvmm: above 3 GiB a pattern has at most %llu pages\n", WINDOW_MAX);
		return -EINVAL;
	}
	v->ram_gpa = paged(&v->opt) ? HIGH_GPA : 0;
	v->private_gpa = PRIVATE_GPA;
	return 0;
}

/* PDPT, four page directories, page tables. Virtual 0 to 4 MiB is the private slot. */
static void build_tables(struct vmm *v)
{
	const struct options *o = &v->opt;
	uint64_t off = tables_offset(o), gpa = v->private_gpa + off, pages = pattern__pages(&o->pattern);
	uint64_t *pdpt = (uint64_t *)(v->private_mem + off);
	uint64_t *pd = pdpt + TABLE_ENTRIES, *pt = pd + 4 * TABLE_ENTRIES;
	uint64_t low = WINDOW_VA / PAGE_BYTES, leaf = PTE_P | PTE_RW | PTE_A | PTE_D;

	for (uint32_t i = 0; i < 4; i++)
		pdpt[i] = (gpa + (1 + i) * PAGE_BYTES) | PTE_P;
	for (uint64_t i = 0; i < leaf_tables(o); i++)
		pd[i] = (gpa + (5 + i) * PAGE_BYTES) | PTE_P | PTE_RW | PTE_A;
	for (uint64_t i = 0; i < low && i * PAGE_BYTES < off; i++)
		pt[i] = (v->private_gpa + i * PAGE_BYTES) | PTE_P | PTE_A;
	for (uint64_t i = 0; i < pages; i++)
		pt[low + i] = ((v->ram_gpa + o->offset + i * o->stride) & ~(PAGE_BYTES - 1)) | leaf;
}

int arch_vm_init(struct vmm *v)
{
	if (ioctl(v->vm, KVM_SET_TSS_ADDR, TSS_GPA) < 0 && errno != ENOTTY)
		return -errno;
	memcpy(v->private_mem, guest_x86_start, (size_t)(guest_x86_end - guest_x86_start));
	if (paged(&v->opt))
		build_tables(v);
	return 0;
}

/* The guest's physical address width comes from CPUID: without it PAE entries stop at 64 GiB. */
static int set_cpuid(struct vmm *v, struct vcpu *c)
{
	uint32_t room = 256;
	struct kvm_cpuid2 *id = calloc(1, sizeof(*id) + room * sizeof(id->entries[0]));
	int err = 0;

	if (!id)
		return -ENOMEM;
	id->nent = room;
	if (ioctl(v->kvm, KVM_GET_SUPPORTED_CPUID, id) < 0 || ioctl(c->fd, KVM_SET_CPUID2, id) < 0)
		err = -errno;
	free(id);
	return err;
}

static void flat_segment(struct kvm_segment *s, uint16_t selector, uint8_t type)
{
	*s = (struct kvm_segment){ .base = 0, .limit = 0xffffffffu, .selector = selector, .type = type,
				   .present = 1, .s = 1, .db = 1, .g = 1 };
}

int arch_vcpu_init(struct vmm *v, struct vcpu *c)
{
	uint64_t box = CODE_BYTES + c->index * MAILBOX_BYTES, virt = paged(&v->opt) ? 0 : v->private_gpa;
	struct kvm_regs regs = { .rip = virt, .rbp = virt + box, .rflags = 2 };
	struct kvm_sregs sregs;
	int err = set_cpuid(v, c);

	if (err)
		return err;
	if (ioctl(c->fd, KVM_GET_SREGS, &sregs) < 0)
		return -errno;
	flat_segment(&sregs.cs, 0x08, 11);
	flat_segment(&sregs.ds, 0x10, 3);
	sregs.es = sregs.fs = sregs.gs = sregs.ss = sregs.ds;
	sregs.cr0 |= 1;
	if (paged(&v->opt)) {
		sregs.cr3 = v->private_gpa + tables_offset(&v->opt);
		sregs.cr4 |= 1u << 5;
		sregs.cr0 |= 1u << 31;
	}
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
	for (uint32_t i = 0; i < n; i++) {
		uint64_t at = v->opt.offset + index[i] * v->opt.stride;

		m->addr[i] = paged(&v->opt) ? (uint32_t)(WINDOW_VA + index[i] * PAGE_BYTES) : (uint32_t)at;
	}
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
