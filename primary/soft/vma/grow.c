/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Mappings that grow down: the stack.
 *
 * I1  A stack keeps its guard: nothing accessible lies within 256 pages below.
 *
 * Tests: tests/unit/soft/map.c.
 */
#include <errno.h>

#include "rmap/rmap.h"
#include "vma/vma.h"

/* RLIMIT_STACK as Linux sets it. */
#define STACK_LIMIT (8ul << 20)

static bool guard_is_free(const struct soft_vma *vma, unsigned long address)
{
	const struct soft_vma *prev = mmun_soft_vma_prev(vma);

	if (!prev || prev->v.vm_flags & VM_GROWSDOWN || !(prev->v.vm_flags & SOFT_VM_ACCESS))
		return true;
	return address - prev->v.vm_end >= SOFT_STACK_GUARD;
}

int mmun_soft_vma_grow(struct soft_vma *vma, unsigned long address)
{
	struct soft_place place = { address & MMUN_SOFT_PAGE_MASK, vma->v.vm_end, 0 };
	unsigned long pages;

	if (!(vma->v.vm_flags & VM_GROWSDOWN))
		return -EFAULT;
	if (place.start < MMUN_SOFT_MIN_ADDRESS)
		return -EPERM;
	if (place.start >= vma->v.vm_start)
		return 0;
	/* Its pages keep their anonymous index, so there must be one anon_vma for them. */
	if (!guard_is_free(vma, place.start) || mmun_soft_anon_prepare(vma))
		return -ENOMEM;
	pages = (vma->v.vm_start - place.start) >> MMUN_SOFT_PAGE_SHIFT;
	if (pages > vma->v.vm_pgoff || place.end - place.start > STACK_LIMIT ||
	    !mmun_soft_may_expand(soft_vma_mm(vma), pages))
		return -ENOMEM;
	place.pgoff = vma->v.vm_pgoff - pages;
	mmun_soft_vma_move_bounds(vma, &place, NULL, NULL);
	return 0;
}
