/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Taking mappings away: munmap, what MAP_FIXED replaces, exit.
 *
 * I1  The section is exactly the range that was asked for, one, however many
 *     mappings are in it; of nothing if there is none.  Everything that may fail
 *     comes before.
 * I2  A driver's ->close runs after its pages have gone and outside any section:
 *     it may take locks that its callbacks take.
 *
 * Not here: what goes with the mmap lock (vma/remove.c).
 * Tests: tests/unit/soft/map.c.
 */
#include <errno.h>

#include "call/call.h"
#include "section.h"
#include "table/table.h"
#include "vma/vma.h"

static void close_vma(struct soft_vma *vma)
{
	if (vma->v.vm_ops && vma->v.vm_ops->close)
		vma->v.vm_ops->close(&vma->v);
}

/* As far as nothing is mapped now: a table goes with the last mapping in it. */
static void free_pgtables(struct soft_mm *mm, unsigned long start)
{
	struct soft_vma *next = mmun_soft_vma_find(mm, start);
	struct soft_vma *prev = next ? mmun_soft_vma_prev(next)
				     : soft_vma_of_node(mmun_tree_last(&mm->vmas));

	mmun_soft_tables_free(mm, prev ? prev->v.vm_end : 0,
			      next ? next->v.vm_start : MMUN_SOFT_TASK_SIZE + MMUN_SOFT_PAGE_SIZE);
}

int mmun_soft_unmap_prepare(struct soft_mm *mm, unsigned long start, unsigned long end)
{
	struct soft_vma *vma = mmun_soft_vma_find(mm, start);
	int ret = 0;

	if (vma && vma->v.vm_start < start) {
		/* A hole in one mapping leaves two: the only unmap that adds one. */
		if (end < vma->v.vm_end && mm->map_count >= mmun_soft_max_map_count(mm))
			return -ENOMEM;
		ret = mmun_soft_vma_split_uncounted(vma, start);
	}
	if (ret)
		return ret;
	vma = mmun_soft_vma_find(mm, end - 1);
	if (vma && vma->v.vm_start < end && vma->v.vm_end > end)
		ret = mmun_soft_vma_split_uncounted(vma, end);
	return ret;
}

static struct soft_vma *next_inside(struct soft_vma *vma, unsigned long end)
{
	return vma && vma->v.vm_start < end ? vma : NULL;
}

void mmun_soft_unmap_prepared(struct soft_mm *mm, unsigned long start, unsigned long end,
			      enum mmun_op op)
{
	struct soft_vma *vma, *next, *first = next_inside(mmun_soft_vma_find(mm, start), end);
	struct soft_section section;

	if (!first)
		return;
	mmun_soft_section_start(&section, mm->mm, MMU_NOTIFY_UNMAP, op, start, end, false);
	for (vma = first; vma; vma = next_inside(mmun_soft_vma_next(vma), end))
		mmun_soft_zap(vma, vma->v.vm_start, vma->v.vm_end, NULL);
	mmun_soft_section_end(&section, false);

	for (vma = first; vma; vma = next_inside(mmun_soft_vma_next(vma), end))
		close_vma(vma);
	for (vma = first; vma; vma = next) {
		next = next_inside(mmun_soft_vma_next(vma), end);
		mmun_soft_vma_remove(mm, vma);
	}
	free_pgtables(mm, start);
}

int mmun_soft_unmap(struct soft_mm *mm, unsigned long start, unsigned long end, enum mmun_op op)
{
	int ret = -EINVAL;

	/* mremap takes an old length of any size. */
	if (start <= end && end <= MMUN_SOFT_TASK_SIZE)
		ret = mmun_soft_unmap_prepare(mm, start, end);
	if (!ret)
		mmun_soft_unmap_prepared(mm, start, end, op);
	return ret;
}

int mmun_soft_munmap(struct mm_struct *mm, unsigned long address, size_t length)
{
	struct soft_mm *self = soft_mm(mm);
	unsigned long size = soft_page_align(length);
	int ret;

	if (address & ~MMUN_SOFT_PAGE_MASK || address > MMUN_SOFT_TASK_SIZE ||
	    length > MMUN_SOFT_TASK_SIZE - address || !size)
		return -EINVAL;
	mmap_write_lock(mm);
	ret = mmun_soft_unmap(self, address, address + size, MMUN_OP_MUNMAP);
	mmun_soft_write_unlock(self);
	return ret;
}

void mmun_soft_unmap_all(struct soft_mm *mm)
{
	struct soft_vma *vma, *next;
	struct soft_change change;

	mmun_soft_change_begin(&change, mm->mm);
	soft_for_each_vma(vma, mm)
		mmun_soft_zap(vma, vma->v.vm_start, vma->v.vm_end, NULL);
	mmun_soft_change_end(&change, mm->mm);

	soft_for_each_vma(vma, mm)
		close_vma(vma);
	for (vma = mmun_soft_vma_first(mm); vma; vma = next) {
		next = mmun_soft_vma_next(vma);
		mmun_soft_vma_remove(mm, vma);
	}
}

/* A driver's own pages: what it has put there goes, the mapping stays. */
void mmun_soft_zap_vma_ptes(struct vm_area_struct *v, unsigned long address, unsigned long size)
{
	struct soft_section section;

	if (address < v->vm_start || size > v->vm_end - v->vm_start || address > v->vm_end - size ||
	    !(v->vm_flags & (VM_PFNMAP | VM_IO | VM_MIXEDMAP)))
		return;
	mmun_soft_section_start(&section, v->vm_mm, MMU_NOTIFY_CLEAR, MMUN_OP_DRIVER, address,
				address + size, false);
	mmun_soft_zap(soft_vma(v), address, address + size, NULL);
	mmun_soft_section_end(&section, false);
}
