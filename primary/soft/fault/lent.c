/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Pages that only a device reaches: lent to it by make_device_exclusive(), and what a
 * processor does that touches one.
 *
 * I1  A page is lent only by an entry that may write it, and an anonymous one: nobody else's.
 * I2  Lending and taking back are sections of MMU_NOTIFY_EXCLUSIVE, under the page lock, which the
 *     driver keeps until its device has the page.  The first is the owner's, whose
 *     notifiers may ignore it; the second nobody's, so all forget the page.
 *
 * Not here: pages in the memory of a device (file.c, reclaim/migrate_device.c).
 * Tests: tests/unit/soft/device_memory.c.
 */
#include <errno.h>

#include "fault/fault.h"
#include "frame/page.h"
#include "section.h"
#include "table/table.h"
#include "vma/vma.h"

/* Locked, and with a reference: others that come meanwhile wait, and nobody frees or moves the page
 * but the driver.  NULL: to be looked at again. */
static struct page *hold(struct soft_vm_fault *vmf)
{
	unsigned int flags = 0;
	struct page *page;
	bool locked;

	if (!mmun_soft_fault_lock(vmf))
		return NULL;
	page = soft_pte_page(soft_fault_mm(vmf), vmf->orig_pte);
	locked = mmun_soft_page_trylock(page);
	if (locked)
		mmun_soft_get_page(page);
	else
		flags = mmun_soft_page_announce_wait(page);
	mmun_soft_fault_unlock(vmf);
	if (locked)
		return page;
	mmun_soft_page_wait(page, flags);
	return NULL;
}

/* I2 */
static void take_back(struct soft_vm_fault *vmf)
{
	const unsigned long end = vmf->address + MMUN_SOFT_PAGE_SIZE;
	struct soft_section section;
	bool same;

	mmun_soft_section_start_owned(&section, vmf->vma->v.vm_mm, MMU_NOTIFY_EXCLUSIVE,
				      MMUN_OP_DRIVER, NULL, vmf->address, end);
	same = mmun_soft_fault_lock(vmf);
	if (same) {
		*vmf->pte = soft_pte_return(*vmf->pte);
		mmun_soft_fault_unlock(vmf);
	}
	mmun_soft_section_end(&section, !same);
}

int mmun_soft_do_device_entry(struct soft_vm_fault *vmf)
{
	struct page *page = hold(vmf);
	int ret = 0;

	if (!page)
		return 0;
	if (soft_pte_lent(page, vmf->orig_pte))
		take_back(vmf);
	else
		ret = mmun_soft_do_device_private(vmf, page);
	mmun_soft_page_unlock(page);
	mmun_soft_put_page(page);
	return ret;
}

/* page_table_lock held.  I1 */
static bool lend(struct soft_mm *mm, unsigned long address, struct page *page)
{
	soft_pte value = mmun_soft_pte_value(mm, address);

	if (!(value & SOFT_PTE_PRESENT) || !(value & SOFT_PTE_WRITE) || soft_pte_huge(value) ||
	    soft_pte_page(mm, value) != page)
		return false;
	soft_page_set(page, SOFT_PAGE_DIRTY);
	mmun_soft_pte_set(mm, address, soft_pte_lend(value));
	mmun_soft_flush_page(mm, address);
	return true;
}

/* Page locked. */
static bool make_exclusive(struct soft_mm *mm, unsigned long address, struct page *page,
			   void *owner)
{
	struct soft_section section;
	bool lent;

	if (!soft_page_test(page, SOFT_PAGE_ANON) ||
	    soft_page_test(page, SOFT_PAGE_KSM | SOFT_PAGE_DEVICE))
		return false;
	mmun_soft_section_start_owned(&section, mm->mm, MMU_NOTIFY_EXCLUSIVE, MMUN_OP_DRIVER, owner,
				      address, address + MMUN_SOFT_PAGE_SIZE);
	mmun_mutex_lock(&mm->page_table_lock);
	lent = lend(mm, address, page);
	mmun_mutex_unlock(&mm->page_table_lock);
	mmun_soft_section_end(&section, !lent);
	return lent;
}

/* Gives up the reference if not. */
static bool try_exclusive(struct soft_mm *mm, unsigned long address, struct page *page, void *owner)
{
	struct soft_vma *vma = mmun_soft_vma_at(mm, address);

	if (!(vma->v.vm_flags & VM_HUGETLB) && mmun_soft_page_trylock(page)) {
		mmun_soft_split_huge(vma, address);
		if (make_exclusive(mm, address, page, owner))
			return true;
		mmun_soft_page_unlock(page);
	}
	mmun_soft_put_page(page);
	return false;
}

long mmun_soft_make_device_exclusive(struct mm_struct *mm, unsigned long start, unsigned long nr,
				     struct page **pages, void *owner)
{
	long got = mmun_soft_get_user_pages(mm, start, nr, FOLL_WRITE, pages);

	for (long i = 0; i < got; i++) {
		if (!try_exclusive(soft_mm(mm), start + ((unsigned long)i << MMUN_SOFT_PAGE_SHIFT),
				   pages[i], owner))
			pages[i] = NULL;
	}
	return got;
}
