// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What backs the VM's slots. */
#include <stdlib.h>
#include <unistd.h>

#include "probe/watch_int.h"
#include "vm/backing.h"

void dp_watch_backing(struct dp_watch *w)
{
	struct dp_range *ranges = calloc(w->vm.nslots ? w->vm.nslots : 1, sizeof(*ranges));
	struct dp_backing *b = calloc(w->vm.nslots ? w->vm.nslots : 1, sizeof(*b));
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint32_t i;

	if (ranges && b) {
		for (i = 0; i < w->vm.nslots; i++)
			ranges[i] = (struct dp_range){ w->vm.slots[i].hva, w->vm.slots[i].npages * page };
		dp_backing_read(w->o.pid, ranges, w->vm.nslots, b);
		for (i = 0; i < w->vm.nslots; i++)
			w->vm.slots[i].backing = b[i];
		dp_watch_granule(w);
	}
	free(ranges);
	free(b);
}

/* A slot that only began or ceased to log is backed as before: reading that takes a walk over page tables. */
void dp_watch_keep_backing(const struct dp_vm *vm, struct dp_slot *s)
{
	uint32_t i;

	for (i = 0; i < vm->nslots; i++)
		if (vm->slots[i].hva == s->hva && vm->slots[i].npages == s->npages)
			s->backing = vm->slots[i].backing;
}

bool dp_watch_backing_known(const struct dp_vm *vm)
{
	uint32_t i;

	for (i = 0; i < vm->nslots; i++)
		if (!vm->slots[i].backing.known)
			return false;
	return true;
}
