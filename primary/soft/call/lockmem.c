/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * mlock, munlock, msync, and filling mappings ahead of use.
 *
 * I1  mlock marks first and fills then: when filling fails, the marks stay, as on Linux.
 * I2  msync holds a reference to the file instead of the mmap lock while it writes.
 *
 * Tests: tests/unit/soft/advise.c.
 */
#include <errno.h>
#include <sys/mman.h>

#include "call/call.h"
#include "fault/fault.h"
#include "vma/vma.h"

void mmun_soft_populate_quietly(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	struct soft_mm *self = soft_mm(mm);
	struct soft_vma *vma;
	unsigned long from;

	mmap_read_lock(mm);
	while (start < end && (vma = mmun_soft_vma_find(self, start)) && vma->v.vm_start < end) {
		from = soft_max(start, vma->v.vm_start);
		start = soft_min(end, vma->v.vm_end);
		(void)mmun_soft_populate_all(self, from, start, SOFT_FAULT_ALLOW_RETRY);
	}
	mmap_read_unlock(mm);
}

/* Drivers' pages stay anyway. */
static int mark_vma(struct soft_vma **vma, unsigned long start, unsigned long end,
		    unsigned long lock)
{
	unsigned long flags = ((*vma)->v.vm_flags & ~VM_LOCKED) | lock;
	int ret;

	if (flags == (*vma)->v.vm_flags || flags & SOFT_VM_SPECIAL)
		return 0;
	ret = mmun_soft_vma_modify(vma, start, end, flags);
	if (!ret)
		soft_vma_set_flags(*vma, flags);
	return ret;
}

static int mark_range(struct soft_mm *mm, unsigned long start, unsigned long end,
		      unsigned long lock)
{
	struct soft_vma *vma = mmun_soft_vma_find(mm, start);
	int ret;

	while (start < end) {
		if (!vma || vma->v.vm_start > start)
			return -ENOMEM;
		ret = mark_vma(&vma, start, soft_min(end, vma->v.vm_end), lock);
		if (ret)
			return ret;
		start = vma->v.vm_end;
		vma = mmun_soft_vma_next(vma);
	}
	return 0;
}

static int mark(struct mm_struct *mm, unsigned long start, unsigned long end, unsigned long lock)
{
	int ret;

	if (end < start)
		return -EINVAL;
	mmap_write_lock(mm);
	ret = mark_range(soft_mm(mm), start, end, lock);
	mmun_soft_write_unlock(soft_mm(mm));
	return ret;
}

static unsigned long page_end(unsigned long address, size_t length)
{
	unsigned long start = address & MMUN_SOFT_PAGE_MASK;

	return start + soft_page_align(length + (address - start));
}

int mmun_soft_mlock(struct mm_struct *mm, unsigned long address, size_t length)
{
	unsigned long start = address & MMUN_SOFT_PAGE_MASK, end = page_end(address, length);
	int ret = mark(mm, start, end, VM_LOCKED);

	if (ret)
		return ret;
	mmap_read_lock(mm);
	ret = mmun_soft_populate_all(soft_mm(mm), start, end, SOFT_FAULT_ALLOW_RETRY);
	mmap_read_unlock(mm);
	/* POSIX has these two for it. */
	if (ret == -ENOMEM)
		return -EAGAIN;
	return ret == -EFAULT ? -ENOMEM : ret;
}

int mmun_soft_munlock(struct mm_struct *mm, unsigned long address, size_t length)
{
	return mark(mm, address & MMUN_SOFT_PAGE_MASK, page_end(address, length), 0);
}

static int write_back(struct file *f, unsigned long first, unsigned long last)
{
	const struct soft_file *file = soft_file(f);

	if (file->device)
		return -EINVAL;
	if (file->kind == MMUN_SOFT_FILE_REGULAR)
		mmun_soft_write_back(file->mapping, first, last);
	return 0;
}

/* One mapping's part; the mmap lock is let go of when there is something to write. */
static int sync_vma(struct mm_struct *mm, const struct soft_vma *vma, unsigned long start,
		    unsigned long end, int flags, bool *unlocked)
{
	struct file *file = vma->v.vm_file;
	unsigned long first, last;
	int ret;

	*unlocked = false;
	if (flags & MS_INVALIDATE && vma->v.vm_flags & VM_LOCKED)
		return -EBUSY;
	if (!(flags & MS_SYNC) || !file || !(vma->v.vm_flags & VM_SHARED))
		return 0;
	first = soft_vma_index(vma, start);
	last = soft_vma_index(vma, end - 1);
	mmun_soft_file_get(file);
	mmap_read_unlock(mm);
	*unlocked = true;
	ret = write_back(file, first, last);
	mmun_soft_file_put(file);
	return ret;
}

/* Holes are passed over and make -ENOMEM of success; MS_ASYNC alone stops at one. */
static int sync_range(struct mm_struct *mm, unsigned long start, unsigned long end, int flags)
{
	struct soft_vma *vma;
	unsigned long part_end;
	bool unlocked;
	int ret = 0, hole = 0;

	mmap_read_lock(mm);
	while (!ret && start < end) {
		vma = mmun_soft_vma_find(soft_mm(mm), start);
		if (!vma || vma->v.vm_start > start)
			hole = -ENOMEM;
		if (!vma || vma->v.vm_start >= end || (hole && flags == MS_ASYNC))
			break;
		start = soft_max(start, vma->v.vm_start);
		part_end = soft_min(end, vma->v.vm_end);
		ret = sync_vma(mm, vma, start, part_end, flags, &unlocked);
		if (unlocked)
			mmap_read_lock(mm);
		start = part_end;
	}
	mmap_read_unlock(mm);
	return ret ? ret : hole;
}

int mmun_soft_msync(struct mm_struct *mm, unsigned long address, size_t length, int flags)
{
	unsigned long end = address + soft_page_align(length);

	if (flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC) || address & ~MMUN_SOFT_PAGE_MASK ||
	    (flags & MS_ASYNC && flags & MS_SYNC))
		return -EINVAL;
	if (end < address)
		return -ENOMEM;
	return sync_range(mm, address, end, flags);
}
