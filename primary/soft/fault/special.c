/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Special entries: frames that a driver maps by their numbers, often pages of another address space.
 *
 * I1  Nothing is counted for such an entry: that its frame is there is the driver's promise, which for
 *     memory of another address space it keeps by that one's notifiers.
 * I2  The entry says how often the frame had been freed when it was made; so it is known to be
 *     stale for good, whoever has the frame now.  Each access looks before, and one of a processor
 *     once more behind: no lock keeps the frame in between.
 *
 * Not here: what finds such entries and leaves their frames alone (table/zap.c, call/copy.c, cow.c,
 * the reverse maps).  Tests: tests/unit/soft/special.c.
 */
#include <errno.h>
#include <signal.h>

#include "fault/fault.h"
#include "frame/page.h"
#include "table/table.h"

/* Frame numbers above it have no room in an entry: 1 TiB. */
#define MAX_PFN (1ul << (SOFT_PTE_GENERATION_SHIFT - SOFT_PTE_SHIFT))

/* As Linux's vm_page_prot: only a shared mapping can be written without a fault. */
static soft_pte special_bits(const struct soft_vma *vma)
{
	const unsigned long writable = VM_SHARED | VM_WRITE;
	soft_pte bits = SOFT_PTE_YOUNG | soft_no_access(vma);

	if ((vma->v.vm_flags & writable) == writable)
		bits |= SOFT_PTE_WRITE | SOFT_PTE_DIRTY | SOFT_PTE_SOFT_DIRTY;
	return bits;
}

/* Only into a place where nothing is, so no notifier needs to know.  -EAGAIN: the table went. */
static int insert(struct soft_vm_fault *vmf)
{
	if (!mmun_soft_fault_lock(vmf))
		return vmf->pte ? -EBUSY : -EAGAIN;
	mmun_soft_pte_set(soft_fault_mm(vmf), vmf->address,
			  soft_pte_make_special(vmf->page, special_bits(vmf->vma)));
	mmun_soft_fault_unlock(vmf);
	return 0;
}

int mmun_soft_vm_insert_pfn(struct vm_area_struct *v, unsigned long address, unsigned long pfn)
{
	struct soft_vm_fault vmf = {
		.vma = soft_vma(v),
		.address = address & MMUN_SOFT_PAGE_MASK,
	};
	int ret;

	if (vmf.address < v->vm_start || vmf.address >= v->vm_end)
		return -EFAULT;
	vmf.page = pfn < MAX_PFN ? mmun_soft_pfn_page(soft_fault_mm(&vmf)->soft, pfn) : NULL;
	if (!vmf.page || soft_page_test(vmf.page, SOFT_PAGE_DEVICE) || !(v->vm_flags & VM_PFNMAP))
		return -EINVAL;
	do {
		ret = mmun_soft_pte_make(soft_fault_mm(&vmf), vmf.address);
		if (!ret)
			ret = insert(&vmf);
	} while (ret == -EAGAIN);
	return ret;
}

bool mmun_soft_special_stale(const struct soft_vm_fault *vmf)
{
	return soft_pte_special(vmf->orig_pte) && soft_pte_stale(soft_fault_mm(vmf), vmf->orig_pte);
}

int mmun_soft_special_violated(const struct soft_vm_fault *vmf)
{
	const struct mmun_soft_violation what = {
		.kind = MMUN_SOFT_FREED,
		.mm = vmf->vma->v.vm_mm,
		.address = vmf->real_address,
		.pfn = soft_pte_number(vmf->orig_pte),
		.write = vmf->flags & SOFT_FAULT_WRITE,
		.task = true,
	};

	mmun_soft_violated(soft_fault_mm(vmf)->soft, &what, "task");
	return mmun_soft_refuse(vmf->why, vmf->real_address, SIGBUS, BUS_ADRERR,
				"the frame that a driver has mapped there was freed");
}
