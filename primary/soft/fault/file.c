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

/* I3: a copy takes the place of ->page, whose reference ends here. */
static int do_cow_fault(struct soft_vm_fault *vmf)
{
	struct page *page = vmf->page;

	vmf->page = mmun_soft_anon_page(vmf->vma, vmf->address, page);
	mmun_soft_put_page(page);
	if (!vmf->page)
		return -ENOMEM;
	if (mmun_soft_finish_fault(vmf, SOFT_PTE_EXCLUSIVE))
		soft_stat_inc(soft_fault_mm(vmf)->soft, cow_copied);
	return 0;
}

/* ->page's reference goes to the entry, or is dropped.  What Linux has two functions for, a
 * read and a write to a shared mapping, differs in the bits of the entry only. */
static int do_read_or_shared_fault(struct soft_vm_fault *vmf)
{
	mmun_soft_finish_fault(vmf, 0);
	return 0;
}

static bool is_cow_fault(const struct soft_vm_fault *vmf)
{
	return (vmf->flags & SOFT_FAULT_WRITE) && soft_vma_private(vmf->vma);
}

static int map_page(struct soft_vm_fault *vmf)
{
	return is_cow_fault(vmf) ? do_cow_fault(vmf) : do_read_or_shared_fault(vmf);
}

static int no_page(struct soft_vm_fault *vmf, const char *reason)
{
	return mmun_soft_refuse(vmf->why, vmf->real_address, SIGBUS, BUS_ADRERR, reason);
}

static unsigned long file_index(const struct soft_vm_fault *vmf)
{
	if (vmf->orig_pte & SOFT_PTE_NONLINEAR)
		return soft_pte_number(vmf->orig_pte);
	return soft_vma_index(vmf->vma, vmf->address);
}

int mmun_soft_do_file_fault(struct soft_vm_fault *vmf)
{
	struct address_space *mapping = soft_vma_mapping(vmf->vma);
	int ret = mmun_soft_pte_make(soft_fault_mm(vmf), vmf->address);

	if (ret)
		return ret == -EEXIST ? 0 : ret;
	/* Before the page is looked for, as in Linux: also a write beyond the end
	 * of the file leaves the VMA with an anon_vma, and merging asks for it. */
	if (is_cow_fault(vmf) && mmun_soft_anon_prepare(vmf->vma))
		return -ENOMEM;
	mmun_rwlock_read_lock(&mapping->invalidate_lock);
	vmf->page = mmun_soft_cache_get(mapping, file_index(vmf), &ret);
	if (vmf->page)
		ret = map_page(vmf);
	else if (ret == -ERANGE)
		ret = no_page(vmf, "beyond the end of the file");
	mmun_rwlock_read_unlock(&mapping->invalidate_lock);
	return ret;
}

/* The driver's answer: 1 for a page to map. */
static int driver_answer(struct soft_vm_fault *vmf, vm_fault_t answer)
{
	if (answer & VM_FAULT_OOM)
		return -ENOMEM;
	if (answer & VM_FAULT_SIGBUS)
		return no_page(vmf, "the device refused the page");
	if (answer & VM_FAULT_SIGSEGV)
		return mmun_soft_refuse(vmf->why, vmf->real_address, SIGSEGV, SEGV_MAPERR,
					"the device has nothing there");
	if (answer & VM_FAULT_RETRY)
		return vmf->flags & SOFT_FAULT_ALLOW_RETRY ? -EAGAIN : -EBUSY;
	return answer & VM_FAULT_NOPAGE ? 0 : 1;
}

static unsigned int driver_flags(const struct soft_vm_fault *vmf)
{
	return (vmf->flags & SOFT_FAULT_WRITE ? FAULT_FLAG_WRITE : 0) |
	       (vmf->flags & SOFT_FAULT_ALLOW_RETRY ? FAULT_FLAG_ALLOW_RETRY : 0);
}

int mmun_soft_do_device_fault(struct soft_vm_fault *vmf)
{
	const struct vm_operations_struct *ops = vmf->vma->v.vm_ops;
	struct vm_fault driver = {
		.vma = &vmf->vma->v,
		.flags = driver_flags(vmf),
		.pgoff = soft_vma_index(vmf->vma, vmf->address),
		.address = vmf->address,
	};
	int ret = mmun_soft_pte_make(soft_fault_mm(vmf), vmf->address);

	if (ret)
		return ret;
	if (!ops || !ops->fault)
		return no_page(vmf, "the device has no page there");
	ret = driver_answer(vmf, ops->fault(&driver));
	if (ret <= 0)
		return ret;
	if (!driver.page)
		return no_page(vmf, "the device gave no page");
	vmf->page = driver.page;
	return map_page(vmf);
}

int mmun_soft_do_device_private(struct soft_vm_fault *vmf, struct page *page)
{
	struct vm_fault driver = {
		.vma = &vmf->vma->v,
		.flags = driver_flags(vmf),
		.pgoff = soft_vma_index(vmf->vma, vmf->address),
		.address = vmf->address,
		.page = page,
		.pte = &vmf->orig_pte,
	};
	int ret = driver_answer(vmf, page->pgmap->ops->migrate_to_ram(&driver));

	return ret < 0 ? ret : 0;
}

/* Only into a place where nothing is, so no notifier needs to know.  -EAGAIN: the table went. */
static int insert_page(struct soft_vm_fault *vmf)
{
	if (!mmun_soft_fault_lock(vmf))
		return vmf->pte ? -EBUSY : -EAGAIN;
	mmun_soft_get_page(vmf->page);
	mmun_soft_set_page(soft_fault_mm(vmf), vmf->address, vmf->page, soft_fault_bits(vmf));
	mmun_soft_fault_unlock(vmf);
	return 0;
}

int mmun_soft_vm_insert_page(struct vm_area_struct *v, unsigned long address, struct page *page)
{
	struct soft_vm_fault vmf = {
		.vma = soft_vma(v),
		.address = address & MMUN_SOFT_PAGE_MASK,
		.page = page,
	};
	int ret;

	if (vmf.address < v->vm_start || vmf.address >= v->vm_end)
		return -EFAULT;
	if (soft_page_test(page, SOFT_PAGE_FREE) || soft_page_anon(page))
		return -EINVAL;
	/* As in Linux, the first one needs the mmap lock for write. */
	if (!(v->vm_flags & VM_MIXEDMAP))
		soft_vma_set_flags(soft_vma(v), v->vm_flags | VM_MIXEDMAP);
	do {
		ret = mmun_soft_pte_make(soft_fault_mm(&vmf), vmf.address);
		if (!ret)
			ret = insert_page(&vmf);
	} while (ret == -EAGAIN);
	return ret;
}
