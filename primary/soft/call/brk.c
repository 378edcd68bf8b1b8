/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The heap: brk.
 *
 * I1  The heap is an ordinary anonymous mapping that only its lower neighbour is merged
 *     with; growing it never closes the gap to a stack above.
 *
 * Tests: tests/unit/soft/map.c.
 */
#include <errno.h>
#include <sys/mman.h>

#include "call/call.h"
#include "vma/vma.h"

int mmun_soft_set_brk_base(struct mm_struct *mm, unsigned long base)
{
	struct soft_mm *self = soft_mm(mm);
	int ret = 0;

	if (base < MMUN_SOFT_MIN_ADDRESS || base >= MMUN_SOFT_TASK_SIZE)
		return -EINVAL;
	mmap_write_lock(mm);
	if (self->brk != self->start_brk)
		ret = -EBUSY;
	else
		self->start_brk = self->brk = base;
	mmap_write_unlock(mm);
	return ret;
}

static int do_brk_flags(struct soft_mm *mm, unsigned long start, unsigned long end)
{
	const struct soft_span span = {
		.place = { start, end, start >> MMUN_SOFT_PAGE_SHIFT },
		.flags = VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC | VM_ACCOUNT,
	};
	struct soft_vma *vma;

	if (!mmun_soft_may_expand(mm, (end - start) >> MMUN_SOFT_PAGE_SHIFT) ||
	    mm->map_count > mmun_soft_max_map_count(mm))
		return -ENOMEM;
	vma = mmun_soft_vma_merge_new(mm, &span, true);
	if (!vma) {
		vma = mmun_soft_vma_alloc(mm);
		if (!vma)
			return -ENOMEM;
		vma->v.vm_start = start;
		vma->v.vm_end = end;
		vma->v.vm_pgoff = span.place.pgoff;
		vma->v.vm_flags = span.flags;
		mmun_soft_vma_link(mm, vma);
	}
	soft_vma_set_flags(vma, vma->v.vm_flags | VM_SOFTDIRTY);
	return 0;
}

static int grow_heap(struct soft_mm *mm, unsigned long old, unsigned long new)
{
	mmun_soft_address where = mmun_soft_area(mm, old, new - old, true, false);
	const struct soft_vma *next;

	if (mmun_soft_is_error(where))
		return (int)(long)where;
	next = mmun_soft_vma_find(mm, old);
	if (next && new + MMUN_SOFT_PAGE_SIZE > soft_vma_start_gap(next))
		return -ENOMEM;
	return do_brk_flags(mm, old, new);
}

static int shrink_heap(struct soft_mm *mm, unsigned long old, unsigned long new)
{
	const struct soft_vma *vma = mmun_soft_vma_find(mm, new);

	if (!vma || vma->v.vm_start >= old)
		return -ENOMEM;
	return mmun_soft_unmap(mm, new, old, MMUN_OP_BRK);
}

static int set_break(struct soft_mm *mm, unsigned long brk)
{
	unsigned long new = soft_page_align(brk), old = soft_page_align(mm->brk);
	int ret = 0;

	if (!mm->start_brk || brk < mm->start_brk)
		return -EINVAL;
	if (new != old)
		ret = brk <= mm->brk ? shrink_heap(mm, old, new) : grow_heap(mm, old, new);
	if (!ret)
		mm->brk = brk;
	return ret;
}

unsigned long mmun_soft_brk(struct mm_struct *mm, unsigned long brk)
{
	struct soft_mm *self = soft_mm(mm);
	unsigned long now;

	mmap_write_lock(mm);
	(void)set_break(self, brk);
	now = self->brk;
	mmun_soft_write_unlock(self);
	return now;
}
