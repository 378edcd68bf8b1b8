/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * mprotect, and the write-protection of soft-dirty tracking.
 *
 * I1  Mapping by mapping from below: what was done before an error stays done.
 * I2  A mapping that has the rights already is not changed, and there is no section.
 * I3  The flags change first and the entries inside the section: nobody faults in
 *     between, the mmap lock is held for write.
 *
 * Tests: tests/unit/soft/vma.c.
 */
#include <errno.h>
#include <sys/mman.h>

#include "call/call.h"
#include "fault/fault.h"
#include "section.h"
#include "table/table.h"
#include "vma/vma.h"

#define PROT_SEMAPHORES 0x8 /* PROT_SEM: known and without effect */

struct change {
	struct soft_mm *mm;
	unsigned long start, end;
	unsigned long rights;
};

/* Memory that begins to be writable counts as a promise; one that was never touched may be
 * taken back from it. */
static unsigned long account(const struct soft_vma *vma, unsigned long flags)
{
	const unsigned long counted = VM_ACCOUNT | VM_WRITE | VM_SHARED | VM_NORESERVE;

	if (flags & VM_WRITE)
		return vma->v.vm_flags & counted ? flags : flags | VM_ACCOUNT;
	if (soft_vma_anonymous(vma) && !vma->anon_vma)
		return flags & ~VM_ACCOUNT;
	return flags;
}

static void change_protection(struct soft_vma *vma, unsigned long start, unsigned long end)
{
	struct soft_section section;

	mmun_soft_section_start(&section, vma->v.vm_mm, MMU_NOTIFY_PROTECTION_VMA, MMUN_OP_MPROTECT,
				start, end, false);
	mmun_soft_protect(vma, start, end);
	mmun_soft_section_end(&section, false);
}

/* [start, end) of *@vma, which becomes the VMA that it is in then. */
static int mprotect_fixup(struct soft_vma **vma, unsigned long start, unsigned long end,
			  unsigned long rights)
{
	const unsigned long before = (*vma)->v.vm_flags;
	unsigned long flags = (before & ~SOFT_VM_ACCESS) | rights;
	int ret;

	/* VM_MAY* is four bits further up. */
	if (flags & ~(flags >> 4) & SOFT_VM_ACCESS)
		return -EACCES;
	if (flags == before)
		return 0;
	flags = account(*vma, flags);
	ret = mmun_soft_vma_modify(vma, start, end, flags);
	if (ret)
		return ret;
	soft_vma_set_flags(*vma, flags);
	change_protection(*vma, start, end);
	/* Locked memory that may now be written does not fault later. */
	if ((before & (VM_WRITE | VM_SHARED | VM_LOCKED)) == VM_LOCKED && flags & VM_WRITE)
		(void)mmun_soft_populate_all(soft_vma_mm(*vma), start, end, 0);
	return 0;
}

static int change_range(const struct change *c)
{
	struct soft_vma *vma = mmun_soft_vma_find(c->mm, c->start);
	unsigned long start = c->start, end;
	int ret;

	while (start < c->end) {
		if (!vma || vma->v.vm_start > start)
			return -ENOMEM;
		end = vma->v.vm_end < c->end ? vma->v.vm_end : c->end;
		ret = mprotect_fixup(&vma, start, end, c->rights);
		if (ret)
			return ret;
		start = vma->v.vm_end;
		vma = mmun_soft_vma_next(vma);
	}
	return 0;
}

/* PROT_GROWSDOWN: from the start of the mapping that grows down. */
static int from_below(struct change *c)
{
	const struct soft_vma *vma = mmun_soft_vma_find(c->mm, c->start);

	if (!vma || vma->v.vm_start >= c->end)
		return -ENOMEM;
	if (!(vma->v.vm_flags & VM_GROWSDOWN))
		return -EINVAL;
	c->start = vma->v.vm_start;
	return 0;
}

/* PROT_GROWSUP: nothing grows up. */
static int to_above(const struct change *c)
{
	const struct soft_vma *vma = mmun_soft_vma_find(c->mm, c->start);

	return vma && vma->v.vm_start <= c->start ? -EINVAL : -ENOMEM;
}

int mmun_soft_mprotect(struct mm_struct *mm, unsigned long address, size_t length, int prot)
{
	const int grows = prot & (PROT_GROWSDOWN | PROT_GROWSUP);
	struct change c = {
		.mm = soft_mm(mm),
		.start = address,
		.end = address + soft_page_align(length),
		.rights = mmun_soft_vm_flags(prot),
	};
	int ret = 0;

	if (grows == (PROT_GROWSDOWN | PROT_GROWSUP) || address & ~MMUN_SOFT_PAGE_MASK)
		return -EINVAL;
	if (!length)
		return 0;
	if (c.end <= c.start)
		return -ENOMEM;
	if (prot & ~(grows | PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEMAPHORES))
		return -EINVAL;
	mmap_write_lock(mm);
	if (grows == PROT_GROWSDOWN)
		ret = from_below(&c);
	else if (grows == PROT_GROWSUP)
		ret = to_above(&c);
	if (!ret)
		ret = change_range(&c);
	mmun_soft_write_unlock(c.mm);
	return ret;
}

/* Soft-dirty: a write fault will say again what is written from now on. */
int mmun_soft_clear_soft_dirty(struct mm_struct *mm)
{
	struct soft_mm *self = soft_mm(mm);
	struct soft_section section;
	struct soft_vma *vma;

	mmap_write_lock(mm);
	soft_for_each_vma(vma, self) {
		soft_vma_set_flags(vma, vma->v.vm_flags & ~VM_SOFTDIRTY);
		mmun_soft_section_start(&section, mm, MMU_NOTIFY_SOFT_DIRTY, MMUN_OP_SOFT_DIRTY,
					vma->v.vm_start, vma->v.vm_end, false);
		mmun_soft_protect_soft_dirty(vma, vma->v.vm_start, vma->v.vm_end);
		mmun_soft_section_end(&section, false);
	}
	mmun_soft_flush_all(self);
	mmap_write_unlock(mm);
	return 0;
}
