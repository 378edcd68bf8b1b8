/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * get_user_pages, and what else touches pages for somebody: populate, mlock.
 *
 * I1  A reference, and the pin, are taken under the page_table_lock while the
 *     entry maps the page: it cannot be freed, replaced or copied by fork in
 *     between.
 * I2  A page with FOLL_PIN users is mapped exclusively by its mm if it is
 *     anonymous: what the mm writes later, they see (unshare).
 * I3  With FOLL_LONGTERM no page of a device's memory is given out: it could not be moved away any
 *     more.
 *
 * Not here: faulting (fault.c); the other page functions for drivers (frame/page.c).
 * Tests: tests/unit/soft/device.c, tests/unit/soft/cow.c.
 */
#include <errno.h>
#include <sched.h>

#include "fault/fault.h"
#include "frame/page.h"
#include "table/table.h"
#include "vma/vma.h"

/* Pages of a file on a disk may not stay writable past the writeback that
 * write-protects them: nobody would hear of what is written then. */
static bool pins_past_writeback(const struct soft_vma *vma, unsigned int gup_flags)
{
	const unsigned int longterm = FOLL_PIN | FOLL_LONGTERM;

	return (gup_flags & longterm) == longterm && (vma->v.vm_flags & VM_SHARED) &&
	       soft_vma_mapping(vma) && soft_file(vma->v.vm_file)->kind == MMUN_SOFT_FILE_REGULAR;
}

static bool may_write(const struct soft_vma *vma, unsigned int gup_flags)
{
	if (pins_past_writeback(vma, gup_flags))
		return false;
	return (vma->v.vm_flags & VM_WRITE) || ((gup_flags & FOLL_FORCE) && soft_vma_cow(vma));
}

static bool may_read(const struct soft_vma *vma, unsigned int gup_flags)
{
	return (vma->v.vm_flags & VM_READ) ||
	       ((gup_flags & FOLL_FORCE) && (vma->v.vm_flags & VM_MAYREAD));
}

int mmun_soft_gup_rights(const struct soft_vma *vma, unsigned int gup_flags)
{
	bool write = gup_flags & FOLL_WRITE;
	int flags = write ? SOFT_FAULT_WRITE : 0;

	if (vma->v.vm_flags & (VM_IO | VM_PFNMAP))
		return -EFAULT;
	if (!(write ? may_write(vma, gup_flags) : may_read(vma, gup_flags)))
		return -EFAULT;
	if (gup_flags & FOLL_FORCE)
		flags |= SOFT_FAULT_FORCE;
	if (!write && (gup_flags & FOLL_PIN))
		flags |= SOFT_FAULT_UNSHARE;
	if (gup_flags & FOLL_LONGTERM)
		flags |= SOFT_FAULT_LONGTERM;
	return flags;
}

/* The zero page is never counted. */
static void take_page(struct page *page, unsigned int gup_flags)
{
	if (soft_page_test(page, SOFT_PAGE_ZERO))
		return;
	mmun_soft_get_page(page);
	if (gup_flags & FOLL_PIN)
		(void)mmun_add_full(&page->pincount, 1);
}

/* I3.  page_table_lock held, and let go of: @page moves to the machine's memory.  0: look again. */
static int leave_device(struct soft_mm *mm, struct page *page)
{
	mmun_soft_get_page(page);
	mmun_mutex_unlock(&mm->page_table_lock);
	return mm->soft->upcalls->leave_device(page);
}

/* 1: to be asked again. */
static int try_get_one(struct soft_mm *mm, unsigned long address, unsigned int gup_flags,
		       struct page **out)
{
	struct soft_vm_fault vmf = { .vma = mmun_soft_vma_at(mm, address), .address = address };
	int ret;

	if (!vmf.vma)
		return -EFAULT;
	ret = mmun_soft_gup_rights(vmf.vma, gup_flags);
	if (ret < 0)
		return ret;
	vmf.flags = (unsigned int)ret;
	ret = mmun_soft_fault_in(&vmf);
	if (ret)
		return ret;
	if (gup_flags & FOLL_LONGTERM && soft_page_test(vmf.page, SOFT_PAGE_DEVICE)) {
		ret = leave_device(mm, vmf.page);
		return ret ? ret : 1;
	}
	if (out) {
		*out = vmf.page;
		take_page(*out, gup_flags);
	}
	mmun_mutex_unlock(&mm->page_table_lock);
	return 0;
}

static int get_one(struct soft_mm *mm, unsigned long address, unsigned int gup_flags,
		   struct page **out)
{
	int ret;

	do {
		ret = try_get_one(mm, address, gup_flags, out);
	} while (ret > 0);
	return ret;
}

long mmun_soft_get_user_pages(struct mm_struct *mm, unsigned long start, unsigned long nr,
			      unsigned int gup_flags, struct page **pages)
{
	unsigned long got, address = start & MMUN_SOFT_PAGE_MASK;
	int ret = 0;

	for (got = 0; got < nr; got++) {
		ret = get_one(soft_mm(mm), address, gup_flags, pages ? &pages[got] : NULL);
		if (ret)
			break;
		address += MMUN_SOFT_PAGE_SIZE;
	}
	return got ? (long)got : ret;
}

/* *@start moves on by what is done. */
static int populate_vma(struct soft_vma *vma, unsigned long *start, unsigned long end,
			unsigned int flags)
{
	for (; *start < end; *start += MMUN_SOFT_PAGE_SIZE) {
		struct soft_vm_fault vmf = { .vma = vma, .address = *start, .flags = flags };
		int ret = mmun_soft_fault_in(&vmf);

		if (ret)
			return ret;
		mmun_mutex_unlock(&soft_vma_mm(vma)->page_table_lock);
	}
	return 0;
}

/* A driver wants the mmap lock to be free for a while; no VMA is what it was after that. */
static void let_go(struct soft_mm *mm)
{
	mmap_read_unlock(mm->mm);
	sched_yield();
	mmap_read_lock(mm->mm);
}

int mmun_soft_populate(struct soft_mm *mm, unsigned long start, unsigned long end, bool write)
{
	while (start < end) {
		struct soft_vma *vma = mmun_soft_vma_at(mm, start);
		int ret;

		if (!vma)
			return -ENOMEM;
		ret = mmun_soft_gup_rights(vma, write ? FOLL_WRITE : 0);
		if (ret < 0)
			return -EINVAL;
		ret = populate_vma(vma, &start, soft_min(end, vma->v.vm_end),
				   (unsigned int)ret | SOFT_FAULT_ALLOW_RETRY);
		if (ret == -EAGAIN)
			let_go(mm);
		else if (ret)
			return ret;
	}
	return 0;
}

/* A private mapping that will be written gets its own pages now: a locked page
 * may not fault later.  Rights that mprotect took away do not matter as long as
 * there are some. */
static unsigned int populate_flags(const struct soft_vma *vma)
{
	unsigned long rights = vma->v.vm_flags;
	unsigned int gup_flags = 0;

	if ((rights & (VM_WRITE | VM_SHARED)) == VM_WRITE)
		gup_flags |= FOLL_WRITE;
	if (rights & (VM_READ | VM_WRITE | VM_EXEC))
		gup_flags |= FOLL_FORCE;
	return gup_flags;
}

static bool populates(const struct soft_vma *vma)
{
	return !(vma->v.vm_flags & (VM_IO | VM_PFNMAP));
}

int mmun_soft_populate_all(struct soft_mm *mm, unsigned long start, unsigned long end,
			   unsigned int retry)
{
	struct soft_vma *vma;
	int ret = 0;

	while (start < end) {
		vma = mmun_soft_vma_find(mm, start);
		if (!vma || vma->v.vm_start >= end)
			break;
		if (start < vma->v.vm_start)
			start = vma->v.vm_start;
		if (!populates(vma)) {
			start = vma->v.vm_end;
			continue;
		}
		ret = mmun_soft_gup_rights(vma, populate_flags(vma));
		if (ret < 0)
			return ret;
		ret = populate_vma(vma, &start, soft_min(end, vma->v.vm_end),
				   (unsigned int)ret | retry);
		if (ret == -EAGAIN)
			let_go(mm);
		else if (ret)
			return ret;
	}
	return 0;
}
