// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * POWER: a guest in real mode, which runs on the CPU itself under KVM HV.
 *
 * On radix its addresses are guest-physical ones. With a hash table (HPT) they go through KVM's VRMA, which
 * maps the slot at guest-physical 0 and no other, with pages as large as the host's that back it: so there
 * the private memory is the beginning of slot 0, and slot 0 is all that the guest reaches. The guest only reads
 * its private memory, and an HPTE's C bit says "written" and nothing else, so that it never shows in the log.
 * On radix, where a page that was only read may be reported, it has a slot of its own that does not log.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm.h"

#define GUEST_HCALL	0x58 /* H_PUT_TERM_CHAR */
#define MSR_SF		(1ull << 63)
#define MSR_ME		(1ull << 12)
#define MSR_LE		1ull
#define CODE_BYTES	65536ull
#define MAILBOX_BYTES	65536ull      /* so that they are whole host pages of any size */
#define SHARED_BYTES	(16ull << 20) /* private part of slot 0: a whole hugepage of the hash MMU */
#define REACH_HPT_PAGES (1ull << 17)  /* hash groups of KVM's default HPT: VRMA has one page in each */

struct mailbox {
	uint32_t value, count;
	uint64_t addr[BATCH_MAX];
};
_Static_assert(sizeof(struct mailbox) <= MAILBOX_BYTES, "a mailbox has its room");
_Static_assert(CODE_BYTES + MAX_VCPUS * MAILBOX_BYTES <= SHARED_BYTES, "code and mailboxes have theirs");

extern const uint8_t guest_ppc64_code[];
extern const uint32_t guest_ppc64_bytes;

uint64_t arch_private_bytes(const struct options *o)
{
	return CODE_BYTES + o->nvcpus * MAILBOX_BYTES;
}

/* What a page of the VRMA will be: KVM takes the size of the host pages behind the slot, 16M at most. */
static uint64_t vrma_page(const struct vmm *v)
{
	uint64_t page = v->opt.backing == BACK_HUGETLB ? v->opt.huge_bytes : v->page_bytes;

	return page >= 16ull << 20 ? 16ull << 20 : page >= 65536 ? 65536 : 4096;
}

static int layout_hpt(struct vmm *v)
{
	uint64_t end = v->opt.mem + SHARED_BYTES;

	if (v->opt.nslots > 1 || end / vrma_page(v) > REACH_HPT_PAGES) {
		fprintf(stderr,
			"dpvmm: on the hash MMU the guest reaches one slot, of at most %llu MiB here\n",
			(REACH_HPT_PAGES * vrma_page(v) - SHARED_BYTES) >> 20);
		return -EINVAL;
	}
	if (v->opt.backing == BACK_HUGETLB && v->opt.huge_bytes > SHARED_BYTES) {
		fprintf(stderr, "dpvmm: the hash MMU has no pages larger than 16 MiB\n");
		return -EINVAL;
	}
	v->private_in_ram = SHARED_BYTES;
	v->private_gpa = 0;
	v->ram_gpa = SHARED_BYTES;
	return 0;
}

/* KVM makes a VM with the host's own MMU, and lets a radix host choose. */
static int choose_mmu(struct vmm *v, bool *radix)
{
	struct kvm_ppc_mmuv3_cfg cfg = { .flags = 0 };

	*radix = ioctl(v->kvm, KVM_CHECK_EXTENSION, KVM_CAP_PPC_MMU_RADIX) > 0;
	if (v->opt.mmu == MMU_RADIX && !*radix) {
		fprintf(stderr, "dpvmm: the host has no radix MMU\n");
		return -ENOTSUP;
	}
	if (v->opt.mmu != MMU_HASH || !*radix)
		return 0;
	*radix = false;
	if (ioctl(v->vm, KVM_PPC_CONFIGURE_V3_MMU, &cfg) < 0) {
		int err = -errno;

		fprintf(stderr, "dpvmm: this host runs no guests on the hash MMU: %s\n", strerror(-err));
		return err;
	}
	return 0;
}

int arch_layout(struct vmm *v)
{
	bool radix;
	int err;

	if (v->opt.emulated) {
		fprintf(stderr, "dpvmm: there is no emulated guest on POWER\n");
		return -EINVAL;
	}
	err = choose_mmu(v, &radix);
	if (err)
		return err;
	v->mmu = radix ? "radix" : "hash";
	if (!radix)
		return layout_hpt(v);
	v->ram_gpa = 0;
	v->private_gpa = (v->opt.mem + (1ull << 30) - 1) & ~((1ull << 30) - 1);
	return 0;
}

int arch_vm_init(struct vmm *v)
{
	memcpy(v->private_mem, guest_ppc64_code, guest_ppc64_bytes);
	/* The guest fetches what was just written as data. */
	__builtin___clear_cache((char *)v->private_mem, (char *)v->private_mem + guest_ppc64_bytes);
	return 0;
}

int arch_vcpu_init(struct vmm *v, struct vcpu *c)
{
	struct kvm_enable_cap papr = { .cap = KVM_CAP_PPC_PAPR };
	uint64_t box = CODE_BYTES + c->index * MAILBOX_BYTES;
	struct kvm_regs regs;

	if (ioctl(c->fd, KVM_ENABLE_CAP, &papr) < 0 || ioctl(c->fd, KVM_GET_REGS, &regs) < 0)
		return -errno;
	regs.pc = v->private_gpa;
	regs.msr = MSR_SF | MSR_ME | MSR_LE;
	regs.gpr[31] = v->private_gpa + box;
	if (ioctl(c->fd, KVM_SET_REGS, &regs) < 0)
		return -errno;
	c->mailbox = v->private_mem + box;
	return 0;
}

void arch_put_batch(struct vcpu *c, const uint64_t *index, uint32_t n, uint32_t value)
{
	const struct vmm *v = c->vmm;
	struct mailbox *m = c->mailbox;

	m->value = value;
	m->count = n;
	for (uint32_t i = 0; i < n; i++)
		m->addr[i] = v->ram_gpa + v->opt.offset + index[i] * v->opt.stride;
}

int arch_handle_exit(struct vcpu *c)
{
	struct kvm_run *run = c->run;

	switch (run->exit_reason) {
	case KVM_EXIT_PAPR_HCALL:
		if (run->papr_hcall.nr != GUEST_HCALL) {
			fprintf(stderr, "dpvmm: unexpected hypercall 0x%llx\n", run->papr_hcall.nr);
			return -EIO;
		}
		run->papr_hcall.ret = 0;
		return 1;
	case KVM_EXIT_MMIO:
		fprintf(stderr, "dpvmm: guest touched 0x%llx, which is not memory\n", run->mmio.phys_addr);
		return -EFAULT;
	default:
		fprintf(stderr, "dpvmm: unexpected exit %u\n", run->exit_reason);
		return -EIO;
	}
}
