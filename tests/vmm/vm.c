// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* KVM's VM, its memory and slots. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm.h"

#define ALIGN_THP (16ull << 20) /* the largest transparent hugepage: POWER's hash MMU */

static int fail(const char *what)
{
	int err = -errno;

	fprintf(stderr, "dpvmm: %s: %s\n", what, strerror(-err));
	return err;
}

/* Guest RAM, behind private memory where they share a slot; aligned so that THP can back all of it. */
static int map_ram(struct vmm *v)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	uint64_t bytes = v->opt.mem + v->private_in_ram;
	uint8_t *p;

	if (v->opt.backing == BACK_HUGETLB) {
		p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			 flags | MAP_HUGETLB | (__builtin_ctzll(v->opt.huge_bytes) << MAP_HUGE_SHIFT), -1, 0);
		if (p == MAP_FAILED)
			return fail("hugepages (see /sys/kernel/mm/hugepages)");
	} else {
		p = mmap(NULL, bytes + ALIGN_THP, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, -1, 0);
		if (p == MAP_FAILED)
			return fail("guest memory");
		p = (uint8_t *)(((uintptr_t)p + ALIGN_THP - 1) & ~(ALIGN_THP - 1));
		if (madvise(p, bytes, v->opt.backing == BACK_THP ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) &&
		    v->opt.backing == BACK_THP)
			return fail("transparent hugepages");
	}
	v->ram = p + v->private_in_ram;
	if (v->private_in_ram)
		v->private_mem = p;
	return 0;
}

static int map_private(struct vmm *v)
{
	void *p;

	if (v->private_in_ram)
		return 0;
	p = mmap(NULL, v->private_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return fail("private memory");
	v->private_mem = p;
	return 0;
}

/* So that the guest's pace is not the host's pace of giving memory. KVM does not log the VMM's own writes. */
static void touch_pattern(struct vmm *v)
{
	uint64_t pages = pattern__pages(&v->opt.pattern);

	for (uint64_t i = 0; i < pages; i++)
		v->ram[v->opt.offset + i * v->opt.stride] = TOUCHED;
	/* Not where the pattern writes: what the guest writes must change its page. */
	for (uint64_t i = 0; v->opt.fill && i < v->opt.mem / PAGE_BYTES; i++)
		v->ram[i * PAGE_BYTES + PAGE_BYTES / 2] = 1;
}

int vm_set_slot(struct vmm *v, const struct slot *s, bool log, bool delete)
{
	struct kvm_userspace_memory_region r = {
		.slot = s->id,
		.flags = log ? KVM_MEM_LOG_DIRTY_PAGES : 0,
		.guest_phys_addr = s->gpa,
		.memory_size = delete ? 0 : s->bytes,
		.userspace_addr = (uintptr_t)s->host,
	};

	if (ioctl(v->vm, KVM_SET_USER_MEMORY_REGION, &r) < 0)
		return fail("KVM_SET_USER_MEMORY_REGION");
	return 0;
}

int vm_set_logging(struct vmm *v, bool on)
{
	for (uint32_t i = 0; i < v->nslots; i++) {
		int err = vm_set_slot(v, &v->slots[i], on, false);

		if (err)
			return err;
		v->slots[i].initial = on && v->opt.log == LOG_MANUAL_INIT;
	}
	v->logging = on;
	return 0;
}

/* Not read-only: with nested paging AMD's walk of the guest's tables counts as a write to them. It never logs. */
static int add_private_slot(struct vmm *v)
{
	struct kvm_userspace_memory_region r = {
		.slot = SLOT_PRIVATE_ID,
		.guest_phys_addr = v->private_gpa,
		.memory_size = v->private_bytes,
		.userspace_addr = (uintptr_t)v->private_mem,
	};

	if (v->private_in_ram)
		return 0;
	return ioctl(v->vm, KVM_SET_USER_MEMORY_REGION, &r) < 0 ? fail("private slot") : 0;
}

/* Behind all else, on base pages. It logs, and nobody writes to it. */
static int add_apart(struct vmm *v)
{
	uint64_t end = v->ram_gpa + v->opt.mem, end_private = v->private_gpa + v->private_bytes;
	struct slot *s = &v->slots[v->nslots];

	*s = (struct slot){ .id = v->nslots, .bytes = v->opt.apart };
	s->gpa = ((end > end_private ? end : end_private) + (1ull << 30) - 1) & ~((1ull << 30) - 1);
	s->host = mmap(NULL, s->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->host == MAP_FAILED)
		return fail("memory apart");
	madvise(s->host, s->bytes, MADV_NOHUGEPAGE);
	memset(s->host, TOUCHED, s->bytes);
	s->dirty = calloc(s->bytes / v->page_bytes / 64 + 1, sizeof(uint64_t));
	if (!s->dirty)
		return -ENOMEM;
	v->nslots++;
	return vm_set_slot(v, s, false, false);
}

static int add_slots(struct vmm *v)
{
	uint64_t pages = v->opt.mem / v->page_bytes, largest = v->opt.apart / v->page_bytes;

	v->nslots = v->opt.nslots;
	for (uint32_t i = 0; i < v->nslots; i++) {
		uint64_t from = pages * i / v->nslots, to = pages * (i + 1) / v->nslots;
		struct slot *s = &v->slots[i];
		int err;

		*s = (struct slot){ .id = i,
				    .gpa = v->ram_gpa + from * v->page_bytes,
				    .bytes = (to - from) * v->page_bytes,
				    .host = v->ram + from * v->page_bytes };
		if (!i) {
			s->gpa -= v->private_in_ram;
			s->bytes += v->private_in_ram;
			s->host -= v->private_in_ram;
		}
		s->dirty = calloc(s->bytes / v->page_bytes / 64 + 1, sizeof(uint64_t));
		if (!s->dirty)
			return -ENOMEM;
		if (s->bytes / v->page_bytes > largest)
			largest = s->bytes / v->page_bytes;
		err = vm_set_slot(v, s, false, false);
		if (err)
			return err;
	}
	if (v->opt.apart) {
		int err = add_apart(v);

		if (err)
			return err;
	}
	v->scratch = calloc(largest / 64 + 1, sizeof(uint64_t));
	return v->scratch ? 0 : -ENOMEM;
}

static bool has(const struct vmm *v, int cap)
{
	return ioctl(v->vm, KVM_CHECK_EXTENSION, cap) > 0;
}

static int missing(const char *what)
{
	fprintf(stderr, "dpvmm: not on this kernel: %s\n", what);
	return -EOPNOTSUPP;
}

/* The log's flavour must be chosen before the first vCPU is made. */
static int choose_log(struct vmm *v)
{
	struct kvm_enable_cap cap = { 0 };

	switch (v->opt.log) {
	case LOG_RING:
		if (!has(v, KVM_CAP_DIRTY_LOG_RING) && !has(v, KVM_CAP_DIRTY_LOG_RING_ACQ_REL))
			return missing("no dirty ring");
		cap.args[0] = v->opt.ring_entries * sizeof(struct kvm_dirty_gfn);
		cap.cap = KVM_CAP_DIRTY_LOG_RING_ACQ_REL;
		if (!ioctl(v->vm, KVM_ENABLE_CAP, &cap))
			return 0;
		cap.cap = KVM_CAP_DIRTY_LOG_RING;
		return ioctl(v->vm, KVM_ENABLE_CAP, &cap) ? fail("dirty ring of this size") : 0;
	case LOG_MANUAL:
	case LOG_MANUAL_INIT:
		cap.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2;
		if (!has(v, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2))
			return missing("no manual protect, no CLEAR");
		cap.args[0] = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;
		if (v->opt.log == LOG_MANUAL_INIT)
			cap.args[0] |= KVM_DIRTY_LOG_INITIALLY_SET;
		return ioctl(v->vm, KVM_ENABLE_CAP, &cap) ? fail("manual dirty log protect") : 0;
	default:
		return 0;
	}
}

static int add_vcpu(struct vmm *v, uint32_t i)
{
	struct vcpu *c = &v->vcpus[i];
	int err;

	c->vmm = v;
	c->index = i;
	c->fd = ioctl(v->vm, KVM_CREATE_VCPU, i);
	if (c->fd < 0)
		return fail("KVM_CREATE_VCPU");
	c->run = mmap(NULL, v->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
	if (c->run == MAP_FAILED) {
		c->run = NULL;
		return fail("kvm_run");
	}
	if (v->opt.log == LOG_RING) {
		err = log_ring_map(v, c);
		if (err)
			return err;
	}
	pattern__init(&c->pattern, &v->opt.pattern, i, v->opt.nvcpus);
	err = arch_vcpu_init(v, c);
	if (err) {
		errno = -err;
		return fail("vCPU state");
	}
	return 0;
}

int vm_open(struct vmm *v)
{
	int err, size;

	v->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (v->kvm < 0)
		return fail("/dev/kvm");
	v->vm = ioctl(v->kvm, KVM_CREATE_VM, 0);
	if (v->vm < 0)
		return fail("KVM_CREATE_VM");
	size = ioctl(v->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size <= 0)
		return fail("KVM_GET_VCPU_MMAP_SIZE");
	v->run_bytes = (size_t)size;
	v->page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);

	err = arch_layout(v);
	if (err)
		return err;
	v->private_bytes = arch_private_bytes(&v->opt);
	err = map_ram(v);
	if (!err)
		err = map_private(v);
	if (!err && (!v->opt.cold || v->opt.fill))
		touch_pattern(v);
	if (!err)
		err = choose_log(v);
	if (!err)
		err = arch_vm_init(v);
	if (!err)
		err = add_private_slot(v);
	if (!err)
		err = add_slots(v);
	for (uint32_t i = 0; !err && i < v->opt.nvcpus; i++)
		err = add_vcpu(v, i);
	return err;
}

void vm_close(struct vmm *v)
{
	for (uint32_t i = 0; i < v->opt.nvcpus; i++)
		if (v->vcpus[i].fd > 0)
			close(v->vcpus[i].fd);
	for (uint32_t i = 0; i < v->nslots; i++)
		free(v->slots[i].dirty);
	free(v->scratch);
	if (v->vm > 0)
		close(v->vm);
	if (v->kvm > 0)
		close(v->kvm);
}
