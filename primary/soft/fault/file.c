/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Faults in mappings of files and devices.
 *
 * I1  invalidate_lock is held for read from the look-up of a file page to the
 *     setting of the entry: what truncate or punch drops does not come back.
 * I2  A shared page becomes writable, its entry dirty, and the page dirty under
 *     one hold of the page_table_lock: writeback, which clears them in the
 *     reverse order, never loses a write.
 * I3  A private mapping never gets a writable entry of the file's own page.
 *
 * Not here: what is in a file (rmap/cache.c); the write to a page that is mapped already (cow.c).
 * Tests: tests/unit/soft/fault.c, tests/unit/soft/mapped_device.c.
 */
#include <errno.h>
#include <signal.h>

#include "fault/fault.h"
#include "frame/page.h"
#include "rmap/rmap.h"
#include "section.h"
#include "table/table.h"

/* I3: a copy takes the place; the reference to @page ends here. */
static int install_copy(struct soft_vma *vma, unsigned long address, unsigned int flags,
			soft_pte old, struct page *page)
{
	struct page *copy = mmun_soft_anon_page(vma, address, page);

	mmun_soft_page_put(page);
	if (!copy)
		return -ENOMEM;
	if (mmun_soft_install(vma, address, old, copy,
			      soft_fault_bits(vma, flags) | SOFT_PTE_EXCLUSIVE))
		soft_stat_inc(soft_vma_mm(vma)->soft, cow_copied);
	return 0;
}

/* @page's reference goes to the entry, or is dropped. */
static int install(struct soft_vma *vma, unsigned long address, unsigned int flags, soft_pte old,
		   struct page *page)
{
	if ((flags & SOFT_FAULT_WRITE) && soft_vma_private(vma))
		return install_copy(vma, address, flags, old, page);
	mmun_soft_install(vma, address, old, page, soft_fault_bits(vma, flags));
	return 0;
}

static int no_page(struct mmun_soft_fault *why, unsigned long address, int error)
{
	if (error != -ERANGE)
		return error;
	return mmun_soft_refuse(why, address, SIGBUS, BUS_ADRERR, "beyond the end of the file");
}

static unsigned long file_index(const struct soft_vma *vma, unsigned long address, soft_pte pte)
{
	return pte & SOFT_PTE_NONLINEAR ? soft_pte_number(pte) : soft_vma_index(vma, address);
}

int mmun_soft_fault_file(struct soft_vma *vma, unsigned long address, unsigned int flags,
			 soft_pte pte, struct mmun_soft_fault *why)
{
	struct address_space *mapping = soft_vma_mapping(vma);
	struct page *page;
	int ret = mmun_soft_pte_make(soft_vma_mm(vma), address);

	if (ret)
		return ret == -EEXIST ? 0 : ret;
	/* Before the page is looked for, as in Linux: also a write beyond the end
	 * of the file leaves the VMA with an anon_vma, and merging asks for it. */
	if ((flags & SOFT_FAULT_WRITE) && soft_vma_private(vma) && mmun_soft_anon_prepare(vma))
		return -ENOMEM;
	mmun_rwlock_read_lock(&mapping->invalidate_lock);
	page = mmun_soft_cache_get(mapping, file_index(vma, address, pte), &ret);
	if (page)
		ret = install(vma, address, flags, pte, page);
	else
		ret = no_page(why, address, ret);
	mmun_rwlock_read_unlock(&mapping->invalidate_lock);
	return ret;
}

/* The driver's answer: 1 for a page to map. */
static int driver_answer(vm_fault_t answer, unsigned long address, unsigned int flags,
			 struct mmun_soft_fault *why)
{
	if (answer & VM_FAULT_OOM)
		return -ENOMEM;
	if (answer & VM_FAULT_SIGBUS)
		return mmun_soft_refuse(why, address, SIGBUS, BUS_ADRERR,
					"the device refused the page");
	if (answer & VM_FAULT_SIGSEGV)
		return mmun_soft_refuse(why, address, SIGSEGV, SEGV_MAPERR,
					"the device has nothing there");
	if (answer & VM_FAULT_RETRY)
		return flags & SOFT_FAULT_ALLOW_RETRY ? -EAGAIN : -EBUSY;
	return answer & VM_FAULT_NOPAGE ? 0 : 1;
}

int mmun_soft_fault_device(struct soft_vma *vma, unsigned long address, unsigned int flags,
			   soft_pte pte, struct mmun_soft_fault *why)
{
	struct vm_fault vmf = {
		.vma = &vma->v,
		.flags = (flags & SOFT_FAULT_WRITE ? FAULT_FLAG_WRITE : 0) |
			 (flags & SOFT_FAULT_ALLOW_RETRY ? FAULT_FLAG_ALLOW_RETRY : 0),
		.pgoff = soft_vma_index(vma, address),
		.address = address,
	};
	int ret = mmun_soft_pte_make(soft_vma_mm(vma), address);

	if (ret)
		return ret;
	if (!vma->v.vm_ops || !vma->v.vm_ops->fault)
		return mmun_soft_refuse(why, address, SIGBUS, BUS_ADRERR,
					"the device has no page there");
	ret = driver_answer(vma->v.vm_ops->fault(&vmf), address, flags, why);
	if (ret <= 0)
		return ret;
	if (!vmf.page)
		return mmun_soft_refuse(why, address, SIGBUS, BUS_ADRERR,
					"the device gave no page");
	return install(vma, address, flags, pte, vmf.page);
}

/* Only into a place where nothing is, so there is nothing to tell.  -EAGAIN: the table went. */
static int insert(struct soft_vma *vma, unsigned long address, struct page *page)
{
	struct soft_mm *mm = soft_vma_mm(vma);
	struct soft_change change;
	soft_pte *entry;
	int ret = 0;

	mmun_soft_change_begin(&change, mm->mm);
	mmun_mutex_lock(&mm->page_table_lock);
	entry = mmun_soft_pte(mm, address);
	if (!entry) {
		ret = -EAGAIN;
	} else if (*entry) {
		ret = -EBUSY;
	} else {
		mmun_soft_page_get(page);
		mmun_soft_place(mm, address, page, soft_fault_bits(vma, 0));
	}
	mmun_mutex_unlock(&mm->page_table_lock);
	mmun_soft_change_end(&change, mm->mm);
	return ret;
}

int mmun_soft_vm_insert_page(struct vm_area_struct *v, unsigned long address, struct page *page)
{
	struct soft_mm *mm = soft_mm(v->vm_mm);
	int ret;

	address &= MMUN_SOFT_PAGE_MASK;
	if (address < v->vm_start || address >= v->vm_end)
		return -EFAULT;
	if (soft_page_test(page, SOFT_PAGE_FREE) || soft_page_anon(page))
		return -EINVAL;
	/* As in Linux, the first one needs the mmap lock for write. */
	if (!(v->vm_flags & VM_MIXEDMAP))
		soft_vma_set_flags(soft_vma(v), v->vm_flags | VM_MIXEDMAP);
	do {
		ret = mmun_soft_pte_make(mm, address);
		if (!ret)
			ret = insert(soft_vma(v), address, page);
	} while (ret == -EAGAIN);
	return ret;
}
