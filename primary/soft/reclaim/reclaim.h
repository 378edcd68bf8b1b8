/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Taking pages away: reclaim, merging, migration.
 *
 * reclaim.c, ksm.c, migrate.c, collapse.c, oom.c.
 * Tests: tests/unit/soft/{reclaim,ksm,migrate}.c; tests/torture/soft.c.
 */
#ifndef MMUN_SOFT_RECLAIM_RECLAIM_H
#define MMUN_SOFT_RECLAIM_RECLAIM_H

#include "types.h"

int mmun_soft_ksm_create(struct mmun_soft *soft);
void mmun_soft_ksm_destroy(struct mmun_soft *soft);
/* The last entry of a merged page went: forget it (by soft_upcalls). */
void mmun_soft_ksm_forget(struct page *page);
/* @new, which has the contents, is the merged page from now on; @old is nothing.  Both locked. */
void mmun_soft_ksm_move(struct page *old, struct page *new);

/* migrate_device.c: @page of coherent memory moves to the machine's; the caller's reference goes.
 * 0; -EBUSY: somebody else has it; -ENOMEM.  May wait for the page lock. */
int mmun_soft_leave_device(struct page *page);

/* For MADV_PAGEOUT / MADV_COLD: these pages of @vma now, private to this mm only; mmap lock held for read. */
size_t mmun_soft_reclaim_range(struct soft_vma *vma, unsigned long start, unsigned long end);
void mmun_soft_cold_range(struct soft_vma *vma, unsigned long start, unsigned long end);
/* MADV_UNMERGEABLE: copies merged pages of the range apart.  0, -ENOMEM. */
int mmun_soft_unmerge_range(struct soft_vma *vma, unsigned long start, unsigned long end);

/* collapse.c.  mmap lock for write; section CLEAR, MMUN_OP_MADV_COLLAPSE.  Return as madvise():
 * 0, also when it is huge already; -EINVAL; -ENOMEM; -EAGAIN for pages that others use. */
int mmun_soft_collapse_locked(struct soft_vma *vma, unsigned long address);

#endif
