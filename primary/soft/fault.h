/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Bringing pages in: faults, accesses by processors, by get_user_pages and by
 * secondary MMUs.
 *
 * fault.c (dispatch, anonymous, swap), fault_file.c, cow.c, access.c, gup.c, page_api.c,
 * device.c; section.c has what machine.h says of sections and changes.
 * Tests: tests/unit/soft/fault.c, tests/unit/soft/cow.c, tests/unit/soft/device.c.
 */
#ifndef MMUN_SOFT_FAULT_H
#define MMUN_SOFT_FAULT_H

#include "machine.h"
#include "page.h"
#include "table.h"
#include "vma.h"

enum soft_fault_flags {
	SOFT_FAULT_WRITE = 1,
	SOFT_FAULT_EXEC = 2,
	/* FOLL_FORCE: rights of the VMA do not matter; a write makes a private copy. */
	SOFT_FAULT_FORCE = 4,
	/* FOLL_PIN: a shared anonymous page is copied apart even for a read (unshare). */
	SOFT_FAULT_UNSHARE = 8,
	/* With UNSHARE, FOLL_LONGTERM: so is any page of a private mapping that is not anonymous. */
	SOFT_FAULT_LONGTERM = 16,
	/* A driver's VM_FAULT_RETRY becomes -EAGAIN: the caller drops the mmap lock before
	 * it comes again, so that whom the driver waits for can take it.  Without this flag it
	 * becomes -EBUSY: to ask again with the lock held could go on for ever. */
	SOFT_FAULT_ALLOW_RETRY = 32,
};

/*
 * A present entry that permits @flags at @address, faulted in as needed; on 0 the
 * page_table_lock is HELD and *@pte is what is there.  mmap lock held (read or write).
 * Growing the stack is the caller's.
 * Return: 0; -ENOMEM or -EFAULT with *@why (may be NULL) filled; -EAGAIN if ALLOW_RETRY, -EBUSY if
 * not.
 */
int mmun_soft_fault_locked(struct soft_vma *vma, unsigned long address, unsigned int flags,
			   soft_pte *pte, struct mmun_soft_fault *why);

/* MADV_POPULATE_READ, _WRITE: mmap lock held for read, let go of and taken again for a driver
 * that wants it; stops at the first error.  0; -ENOMEM (also for a hole); -EINVAL (the mapping has
 * not that right); -EFAULT (beyond the end of a file). */
int mmun_soft_populate(struct soft_mm *mm, unsigned long start, unsigned long end, bool write);
/* MAP_POPULATE, mlock: as if read, private writable mappings as if written, holes left out; stops
 * at the first error.  mmap lock held; with @retry SOFT_FAULT_ALLOW_RETRY for read, and let go of
 * as above; else @retry is 0.
 * 0; -ENOMEM; -EFAULT (no access, or beyond the end of a file); -EBUSY (see ALLOW_RETRY). */
int mmun_soft_populate_all(struct soft_mm *mm, unsigned long start, unsigned long end,
			   unsigned int retry);

/* cow.c: a merged (KSM) page at @address is copied apart; mmap lock held.  0, -ENOMEM. */
int mmun_soft_break_ksm(struct soft_vma *vma, unsigned long address);

/* gup.c: may get_user_pages with FOLL_* @gup_flags touch @vma?  Then the flags of its
 * faults, else -EFAULT. */
int mmun_soft_gup_rights(const struct soft_vma *vma, unsigned int gup_flags);

/* Between the files of this header: */

/* One kind of fault each; @pte is what the entry said.  May do only a part: the entry is looked
 * at again after 0.  -ENOMEM; -EFAULT with *@why filled; -EAGAIN, -EBUSY as above. */
int mmun_soft_fault_file(struct soft_vma *vma, unsigned long address, unsigned int flags,
			 soft_pte pte, struct mmun_soft_fault *why);
int mmun_soft_fault_device(struct soft_vma *vma, unsigned long address, unsigned int flags,
			   soft_pte pte, struct mmun_soft_fault *why);
/* cow.c: the entry is present and does not permit @flags. */
int mmun_soft_fault_protected(struct soft_vma *vma, unsigned long address, unsigned int flags,
			      soft_pte pte);

/* Fills *@why if there is one.  Returns -EFAULT, or -ENOMEM for SIGKILL. */
int mmun_soft_refuse(struct mmun_soft_fault *why, unsigned long address, int signal, int code,
		     const char *reason);

/* A fresh frame with @vma's anonymous identity, for @address.  A copy of @from, or zeroed for
 * NULL or the zero page.  NULL: no memory. */
struct page *mmun_soft_anon_page(struct soft_vma *vma, unsigned long address,
				 const struct page *from);

/*
 * @page at @address, where the entry says @old and is not present; the caller's reference
 * becomes the entry's.  Returns whether the entry still said so; if not, the reference is dropped.
 */
bool mmun_soft_install(struct soft_vma *vma, unsigned long address, soft_pte old, struct page *page,
		       soft_pte bits);

/* page_table_lock held, the leaf entry exists: @page there, counted, on the LRU if it is a new one. */
void mmun_soft_place(struct soft_mm *mm, unsigned long address, struct page *page, soft_pte bits);

/* section.c: mmun_soft_section_start() for a CLEAR that may leave a pinned page behind. */
void mmun_soft_section_start_moving(struct soft_section *s, struct mm_struct *mm, enum mmun_op op,
				    unsigned long start, unsigned long end);

/* What each entry of @vma says besides: only a forced access faults in where there is no right. */
static inline soft_pte soft_no_access(const struct soft_vma *vma)
{
	return vma->v.vm_flags & SOFT_VM_ACCESS ? 0 : SOFT_PTE_NO_ACCESS;
}

/* What an entry gets besides its frame. */
static inline soft_pte soft_fault_bits(const struct soft_vma *vma, unsigned int flags)
{
	if (!(flags & SOFT_FAULT_WRITE))
		return SOFT_PTE_YOUNG | soft_no_access(vma);
	return soft_no_access(vma) | SOFT_PTE_YOUNG | SOFT_PTE_DIRTY | SOFT_PTE_SOFT_DIRTY |
	       (vma->v.vm_flags & VM_WRITE ? SOFT_PTE_WRITE : 0);
}

/* The same translation?  Processors set the other bits at any time. */
static inline bool soft_pte_same(soft_pte a, soft_pte b)
{
	return !((a ^ b) & ~(SOFT_PTE_YOUNG | SOFT_PTE_DIRTY | SOFT_PTE_SOFT_DIRTY));
}

static inline struct page *soft_pte_page(const struct soft_mm *mm, soft_pte pte)
{
	return mmun_soft_page_of_pfn(mm->soft, soft_pte_number(pte));
}

static inline bool soft_page_anon(const struct page *page)
{
	return soft_page_test(page, SOFT_PAGE_ANON | SOFT_PAGE_KSM);
}

#endif
