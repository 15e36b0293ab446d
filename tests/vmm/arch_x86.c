// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * x86, two kinds of guest.
 *
 * native: long mode at privilege level 3, which even a software-only KVM runs on the CPU itself. It
 * behaves as guests on hardware do: the first write to a page after its re-arming faults and is logged,
 * further ones cost nothing. Paging is on: RAM is mapped once, at RAM_VA, with 2 MiB pages whose
 * accessed and dirty bits are preset, so that nobody ever writes to the tables.
 *
 * emulated: 32-bit protected mode without paging. A KVM that must emulate it logs every write, again
 * and again; on hardware it behaves as native does. It reaches the first 3 GiB of RAM.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm.h"

#define GUEST_PORT	  0x10
#define REACH_32	  (3ull << 30) /* bytes of RAM that the emulated guest can write to */
#define LARGE_RAM_GPA	  (1ull << 30)
#define SMALL_PRIVATE_GPA 0xd0000000ull
#define RAM_VA		  (1ull << 40)
#define TSS_OFFSET	  PAGE_BYTES
#define CODE_BYTES	  (2 * PAGE_BYTES) /* code, TSS */
#define MAILBOX_BYTES	  (9 * PAGE_BYTES)
#define TABLE_ENTRIES	  512ull

/* Page table entries: present, writable, user, accessed, dirty, large. */
#define PTE_TABLE   0x27u
#define PTE_LARGE   0xe7u
#define LARGE_BYTES (2ull << 20)

#define CR0_PE	 0x1ull
#define CR0_ET	 0x10ull
#define CR0_NE	 0x20ull
#define CR0_WP	 0x10000ull
#define CR0_PG	 0x80000000ull
#define CR4_PAE	 0x20ull
#define EFER_LME 0x100ull
#define EFER_LMA 0x400ull
#define RFLAGS	 0x2ull /* the bit that is always set */
/* Level 3 may use ports. The TSS says so as well, but an emulated SVM looks for another type of TSS than KVM's. */
#define IOPL3 0x3000ull

/* The TSS only says that privilege level 3 may use the port. (RFLAGS.IOPL would get lost in some KVMs.) */
#define TSS_MAP_AT 102
#define TSS_BYTES  104

/* The private slot: the code, the TSS, a mailbox a vCPU, then the page tables. The first 2 MiB are at VA 0. */
struct mailbox {
	uint32_t value, groups, singles, pad;
	union {
		uint32_t addr32[BATCH_MAX];
		uint64_t addr64[BATCH_MAX];
	};
};
_Static_assert(sizeof(struct mailbox) <= MAILBOX_BYTES, "a mailbox has its room");
_Static_assert(CODE_BYTES + MAX_VCPUS * MAILBOX_BYTES <= LARGE_BYTES, "the guest sees code and mailboxes");

extern const uint8_t guest32_code[], guest64_code[];
extern const uint32_t guest32_bytes, guest64_bytes;

static uint64_t tables_offset(const struct options *o)
{
	return CODE_BYTES + o->nvcpus * MAILBOX_BYTES;
}

static uint64_t directories(const struct options *o) /* each maps 1 GiB */
{
	return (o->mem + (1ull << 30) - 1) >> 30;
}

static uint64_t upper_directories(const struct options *o) /* each maps 512 GiB */
{
	return (directories(o) + TABLE_ENTRIES - 1) / TABLE_ENTRIES;
}

uint64_t arch_private_bytes(const struct options *o)
{
	uint64_t tables = o->emulated ? 0 : 3 + upper_directories(o) + directories(o);

	return tables_offset(o) + tables * PAGE_BYTES;
}

int arch_layout(struct vmm *v)
{
	const struct options *o = &v->opt;
	uint64_t pages = pattern__pages(&o->pattern);
	bool large = o->mem > REACH_32;

	if (o->emulated && pages && o->offset + (pages - 1) * o->stride >= REACH_32) {
		fprintf(stderr, "dpvmm: an emulated guest reaches only the first 3 GiB of its memory\n");
		return -EINVAL;
	}
	v->ram_gpa = large ? LARGE_RAM_GPA : 0;
	v->private_gpa = large ? 0 : SMALL_PRIVATE_GPA;
	return 0;
}

static void build_tables(struct vmm *v)
{
	const struct options *o = &v->opt;
	uint64_t off = tables_offset(o), gpa = v->private_gpa + off;
	uint64_t nup = upper_directories(o), ndir = directories(o);
	uint64_t *pml4 = (uint64_t *)(v->private_mem + off), *low_up = pml4 + TABLE_ENTRIES;
	uint64_t *low_dir = low_up + TABLE_ENTRIES, *up = low_dir + TABLE_ENTRIES,
		 *dir = up + nup * TABLE_ENTRIES;

	pml4[0] = (gpa + 1 * PAGE_BYTES) | PTE_TABLE;
	low_up[0] = (gpa + 2 * PAGE_BYTES) | PTE_TABLE;
	low_dir[0] = v->private_gpa | PTE_LARGE;
	for (uint64_t i = 0; i < nup; i++)
		pml4[(RAM_VA >> 39) + i] = (gpa + (3 + i) * PAGE_BYTES) | PTE_TABLE;
	for (uint64_t i = 0; i < ndir; i++)
		up[i] = (gpa + (3 + nup + i) * PAGE_BYTES) | PTE_TABLE;
	for (uint64_t i = 0; i < (o->mem + LARGE_BYTES - 1) / LARGE_BYTES; i++)
		dir[i] = (v->ram_gpa + i * LARGE_BYTES) | PTE_LARGE;
}

int arch_vm_init(struct vmm *v)
{
	if (v->opt.emulated) {
		memcpy(v->private_mem, guest32_code, guest32_bytes);
	} else {
		memcpy(v->private_mem, guest64_code, guest64_bytes);
		v->private_mem[TSS_OFFSET + TSS_MAP_AT] = TSS_BYTES; /* and all zero from there: allowed */
		build_tables(v);
	}
	return 0;
}

/* Long mode, and physical addresses above 36 bits, must be in the guest's CPUID. */
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

static void set_segments(struct kvm_sregs *s, bool native)
{
	struct kvm_segment code = {
		.limit = 0xffffffffu, .selector = 0x08, .type = 11, .present = 1, .s = 1, .g = 1
	};
	struct kvm_segment data = code;

	data.type = 3;
	data.selector = 0x10;
	data.db = 1;
	code.db = !native;
	code.l = native;
	if (native) {
		code.dpl = data.dpl = 3;
		code.selector |= 3;
		data.selector |= 3;
	}
	s->cs = code;
	s->ds = s->es = s->fs = s->gs = s->ss = data;
}

int arch_vcpu_init(struct vmm *v, struct vcpu *c)
{
	bool native = !v->opt.emulated;
	uint64_t box = CODE_BYTES + c->index * MAILBOX_BYTES, at = native ? 0 : v->private_gpa;
	struct kvm_regs regs = { .rip = at, .rbp = at + box, .rflags = RFLAGS | (native ? IOPL3 : 0) };
	struct kvm_sregs sregs;
	int err = set_cpuid(v, c);

	if (err)
		return err;
	if (ioctl(c->fd, KVM_GET_SREGS, &sregs) < 0)
		return -errno;
	set_segments(&sregs, native);
	sregs.cr0 = CR0_PE | CR0_ET | CR0_NE;
	if (native) {
		sregs.tr.base = TSS_OFFSET;
		sregs.tr.limit = TSS_BYTES + GUEST_PORT / 8 + 1;
		sregs.cr3 = v->private_gpa + tables_offset(&v->opt);
		sregs.cr4 |= CR4_PAE;
		sregs.efer |= EFER_LME | EFER_LMA;
		sregs.cr0 |= CR0_PG | CR0_WP;
	}
	if (ioctl(c->fd, KVM_SET_SREGS, &sregs) < 0 || ioctl(c->fd, KVM_SET_REGS, &regs) < 0)
		return -errno;
	c->mailbox = v->private_mem + box;
	return 0;
}

void arch_put_batch(struct vcpu *c, const uint64_t *index, uint32_t n, uint32_t value)
{
	const struct vmm *v = c->vmm;
	const struct options *o = &v->opt;
	struct mailbox *m = c->mailbox;

	m->value = value;
	m->groups = n / 16;
	m->singles = n % 16;
	for (uint32_t i = 0; o->emulated && i < n; i++)
		m->addr32[i] = (uint32_t)(v->ram_gpa + o->offset + index[i] * o->stride);
	for (uint32_t i = 0; !o->emulated && i < n; i++)
		m->addr64[i] = RAM_VA + o->offset + index[i] * o->stride;
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
	case KVM_EXIT_SHUTDOWN:
		fprintf(stderr, "dpvmm: the guest shut down: this KVM cannot run it (try --cpu emulated)\n");
		return -EIO;
	case KVM_EXIT_INTERNAL_ERROR:
		fprintf(stderr, "dpvmm: KVM internal error %u\n", run->internal.suberror);
		return -EIO;
	default:
		fprintf(stderr, "dpvmm: unexpected exit %u\n", run->exit_reason);
		return -EIO;
	}
}
