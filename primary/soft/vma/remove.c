/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The end of a VMA, and of the mmap lock.
 *
 * I1  The reference to a file is dropped only after the mmap lock: the last one
 *     calls the driver's ->release, which may want that lock.
 *
 * Tests: tests/unit/soft/map.c.
 */
#include "vma/vma.h"

void mmun_soft_vma_remove(struct soft_mm *mm, struct soft_vma *vma)
{
	mmun_soft_vma_unlink(mm, vma);
	vma->next_closing = mm->closing;
	mm->closing = vma;
}

static void put_files(struct soft_vma *closing)
{
	struct soft_vma *vma;

	while (closing) {
		vma = closing;
		closing = vma->next_closing;
		if (vma->v.vm_file)
			mmun_soft_file_put(vma->v.vm_file);
		mmun_soft_vma_free(vma);
	}
}

void mmun_soft_write_unlock(struct soft_mm *mm)
{
	struct soft_vma *closing = mm->closing;

	mm->closing = NULL;
	mmap_write_unlock(mm->mm);
	put_files(closing);
}
