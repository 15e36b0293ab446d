// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The dirty log, harvested as a VMM does it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

#include "vmm.h"

int log_ring_map(struct vmm *v, struct vcpu *c)
{
	size_t bytes = v->opt.ring_entries * sizeof(struct kvm_dirty_gfn);
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd,
		       (off_t)(KVM_DIRTY_LOG_PAGE_OFFSET * v->page_bytes));

	if (p == MAP_FAILED) {
		int err = -errno;

		perror("dpvmm: dirty ring");
		return err;
	}
	c->ring = p;
	return 0;
}

static struct slot *find_slot(struct vmm *v, uint32_t id)
{
	for (uint32_t i = 0; i < v->nslots; i++)
		if (v->slots[i].id == id)
			return &v->slots[i];
	return NULL;
}

/* One vCPU's new entries. */
static uint64_t collect_ring(struct vmm *v, struct vcpu *c)
{
	uint64_t n = 0;

	for (;; n++) {
		struct kvm_dirty_gfn *e = &c->ring[c->ring_next % v->opt.ring_entries];
		struct slot *s;

		if (!(__atomic_load_n(&e->flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_DIRTY))
			return n;
		s = find_slot(v, e->slot);
		if (s && e->offset < s->bytes / v->page_bytes)
			s->dirty[e->offset / 64] |= 1ull << (e->offset % 64);
		else
			fprintf(stderr, "dpvmm: ring entry for slot %u page %llu, which is not there\n",
				e->slot, e->offset);
		__atomic_store_n(&e->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
		c->ring_next++;
	}
}

int log_collect_rings(struct vmm *v)
{
	uint64_t n = 0;
	int err = 0;

	pthread_mutex_lock(&v->log_lock);
	for (uint32_t i = 0; i < v->opt.nvcpus; i++)
		n += collect_ring(v, &v->vcpus[i]);
	v->entries += n;
	if (n && ioctl(v->vm, KVM_RESET_DIRTY_RINGS, 0) < 0)
		err = -errno;
	pthread_mutex_unlock(&v->log_lock);
	return err;
}

/* CLEAR what GET gave, in chunks, only where there is something: as QEMU does. */
static int clear_slot(struct vmm *v, struct slot *s)
{
	uint64_t pages = s->bytes / v->page_bytes;

	for (uint64_t at = 0; at < pages; at += CLEAR_CHUNK) {
		uint64_t n = pages - at < CLEAR_CHUNK ? pages - at : CLEAR_CHUNK, any = 0;
		struct kvm_clear_dirty_log clear = {
			.slot = s->id,
			.num_pages = (uint32_t)n,
			.first_page = at,
			.dirty_bitmap = v->scratch + at / 64,
		};

		for (uint64_t w = 0; w < (n + 63) / 64 && !any; w++)
			any = v->scratch[at / 64 + w];
		if (!any)
			continue;
		if (v->opt.clear_delay_ms) {
			struct timespec d = { v->opt.clear_delay_ms / 1000,
					      v->opt.clear_delay_ms % 1000 * 1000000l };

			nanosleep(&d, NULL);
		}
		if (ioctl(v->vm, KVM_CLEAR_DIRTY_LOG, &clear) < 0)
			return -errno;
	}
	return 0;
}

static int collect_bitmap(struct vmm *v, struct slot *s)
{
	struct kvm_dirty_log get = { .slot = s->id, .dirty_bitmap = v->scratch };
	uint64_t words = (s->bytes / v->page_bytes + 63) / 64;

	if (ioctl(v->vm, KVM_GET_DIRTY_LOG, &get) < 0)
		return -errno;
	for (uint64_t w = 0; w < words; w++)
		s->dirty[w] |= v->scratch[w];
	return v->opt.log == LOG_BITMAP ? 0 : clear_slot(v, s);
}

int log_collect(struct vmm *v)
{
	int err = 0;

	if (!v->logging || v->opt.log == LOG_NONE)
		return 0;
	if (v->opt.log == LOG_RING)
		return log_collect_rings(v);
	for (uint32_t i = 0; !err && i < v->nslots; i++)
		err = collect_bitmap(v, &v->slots[i]);
	return err;
}

/* Slots are in ascending order of address, so a block is new when it is not the last one seen. */
static void count_slot(const struct vmm *v, struct slot *s, struct report *r, uint64_t *pages,
		       uint64_t last[4])
{
	static const uint8_t shift[4] = { 16, 21, 24, 30 };
	uint64_t words = (s->bytes / v->page_bytes + 63) / 64;

	*pages = 0;
	for (uint64_t w = 0; w < words; w++) {
		for (uint64_t bits = s->dirty[w]; bits; bits &= bits - 1) {
			uint64_t page = w * 64 + (uint64_t)__builtin_ctzll(bits),
				 gpa = s->gpa + page * v->page_bytes;

			++*pages;
			for (int k = 0; k < 4; k++) {
				r->blocks[k] += last[k] != gpa >> shift[k];
				last[k] = gpa >> shift[k];
			}
		}
		if (s->dirty[w])
			s->dirty[w] = 0;
	}
}

int log_report(struct vmm *v, struct report *r)
{
	uint64_t last[4] = { ~0ull, ~0ull, ~0ull, ~0ull };
	int err;

	memset(r, 0, sizeof(*r));
	r->t_ns = now_ns();
	if (v->opt.lockstep)
		pthread_rwlock_wrlock(&v->gate);
	for (uint32_t i = 0; i < v->nslots; i++) {
		r->initial |= v->slots[i].initial;
		v->slots[i].initial = false;
	}
	err = log_collect(v);
	r->took_ns = now_ns() - r->t_ns;
	pthread_mutex_lock(&v->log_lock);
	for (uint32_t i = 0; i < v->nslots; i++) {
		count_slot(v, &v->slots[i], r, &r->by_slot[i], last);
		r->dirty += r->by_slot[i];
	}
	r->entries = v->entries;
	v->entries = 0;
	pthread_mutex_unlock(&v->log_lock);
	r->written = truth__take(&v->truth, &v->opt.pattern, &r->changed);
	if (v->opt.lockstep)
		pthread_rwlock_unlock(&v->gate);
	return err;
}
