/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Bringing pages in: faults, accesses by processors, by get_user_pages and by
 * secondary MMUs.
 *
 * fault.c (dispatch, anonymous, swap), file.c, cow.c, huge.c (first touch), install.c,
 * access.c, gup.c, device.c, special.c (what drivers map by frame number).
 * Tests: tests/unit/soft/fault.c, tests/unit/soft/cow.c, tests/unit/soft/device.c.
 */
#ifndef MMUN_SOFT_FAULT_FAULT_H
#define MMUN_SOFT_FAULT_FAULT_H

#include "frame/page.h"
#include "section.h"
#include "table/table.h"
#include "types.h"

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
	 * it comes again, so that whatever the driver waits for can take it.  Without this flag it
	 * becomes -EBUSY: to ask again with the lock held could go on for ever. */
	SOFT_FAULT_ALLOW_RETRY = 32,
};

/* One fault, from whatever touches the address to the entry: Linux's struct vm_fault. */
struct soft_vm_fault {
	/* Of the caller. */
	struct soft_vma *vma;
	unsigned long address; /* page aligned from mmun_soft_fault_in() on */
	unsigned int flags;    /* SOFT_FAULT_* */
	struct mmun_soft_fault *why;

	unsigned long real_address; /* as the caller had it */
	soft_pte orig_pte;          /* what the entry said when it was looked at last */
	/* From mmun_soft_fault_lock() to unlock: the entry. */
	soft_pte *pte;
	struct soft_change change;
	/* What is, or is to be, mapped. */
	struct page *page;
};

/*
 * A present entry that permits ->flags at ->address, faulted in as needed; on 0 the
 * page_table_lock is HELD, ->orig_pte is what is there and ->page what it maps.  mmap lock
 * held (read or write).  Growing the stack is the caller's.
 * Return: 0; -ENOMEM or -EFAULT with *->why (may be NULL) filled; -EAGAIN if ALLOW_RETRY, -EBUSY if
 * not.
 */
int mmun_soft_fault_in(struct soft_vm_fault *vmf);

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

/* special.c: page_table_lock held.  Is ->orig_pte special, and its frame freed since? */
bool mmun_soft_special_stale(const struct soft_vm_fault *vmf);
/* special.c: then, with the lock let go of, the violation is reported.  -EFAULT with *->why filled. */
int mmun_soft_special_violated(const struct soft_vm_fault *vmf);
/* device.c: counts it, and calls the machine's ->violation or reports @sentence. */
void mmun_soft_violated(struct mmun_soft *soft, const struct mmun_soft_violation *what,
			const char *who);

/* cow.c: a merged (KSM) page at @address is copied apart; mmap lock held.  0, -ENOMEM. */
int mmun_soft_break_ksm(struct soft_vma *vma, unsigned long address);

/* gup.c: may get_user_pages with FOLL_* @gup_flags touch @vma?  Then the flags of its
 * faults, else -EFAULT. */
int mmun_soft_gup_rights(const struct soft_vma *vma, unsigned int gup_flags);

/* Between the files of this folder: */

/* One kind of fault each, under Linux's names.  May do only a part: the entry is looked at
 * again after 0.  -ENOMEM; -EFAULT with *->why filled; -EAGAIN, -EBUSY as above. */
/* file.c: nothing is mapped, and the mapping has a file or a driver. */
int mmun_soft_do_file_fault(struct soft_vm_fault *vmf);
int mmun_soft_do_device_fault(struct soft_vm_fault *vmf);
/* lent.c: only a device reaches the page. */
int mmun_soft_do_device_entry(struct soft_vm_fault *vmf);
/* file.c: it is in the device's memory, locked and with a reference. */
int mmun_soft_do_device_private(struct soft_vm_fault *vmf, struct page *page);
/* cow.c: the entry is present and does not permit ->flags. */
int mmun_soft_do_wp_page(struct soft_vm_fault *vmf);
/* huge.c: first touch; true when a huge page is there now. */
bool mmun_soft_do_huge_pmd_anonymous_page(struct soft_vm_fault *vmf);
/* huge.c: first touch of memory that is huge by its mapping (VM_HUGETLB). */
int mmun_soft_do_hugetlb(struct soft_vm_fault *vmf);

/* Fills *@why if there is one.  Returns -EFAULT, or -ENOMEM for SIGKILL. */
int mmun_soft_refuse(struct mmun_soft_fault *why, unsigned long address, int signal, int code,
		     const char *reason);

/* A fresh frame with @vma's anonymous identity, for @address.  A copy of @from, or zeroed for
 * NULL or the zero page.  NULL: no memory. */
struct page *mmun_soft_anon_page(struct soft_vma *vma, unsigned long address,
				 const struct page *from);

/*
 * install.c.  Begins a change and takes the page_table_lock, if the entry still says
 * ->orig_pte; ->pte is the entry then.  Else false, with nothing held, and ->pte says whether
 * there is an entry at all.  Everything that a fault does to an entry goes through here.
 */
bool mmun_soft_fault_lock(struct soft_vm_fault *vmf);
void mmun_soft_fault_unlock(struct soft_vm_fault *vmf);

/* ->page becomes what the entry maps, with the bits of the fault and @bits; the caller's
 * reference becomes the entry's.  False, and the reference is dropped: the entry says something else now. */
bool mmun_soft_finish_fault(struct soft_vm_fault *vmf, soft_pte bits);

/* page_table_lock held, the leaf entry exists: @page there, counted, on the LRU if it is a new one. */
void mmun_soft_set_page(struct soft_mm *mm, unsigned long address, struct page *page,
			soft_pte bits);

static inline struct soft_mm *soft_fault_mm(const struct soft_vm_fault *vmf)
{
	return soft_vma_mm(vmf->vma);
}

/* What an entry gets besides its frame. */
static inline soft_pte soft_fault_bits(const struct soft_vm_fault *vmf)
{
	if (!(vmf->flags & SOFT_FAULT_WRITE))
		return SOFT_PTE_YOUNG | soft_no_access(vmf->vma);
	return soft_no_access(vmf->vma) | SOFT_PTE_YOUNG | SOFT_PTE_DIRTY | SOFT_PTE_SOFT_DIRTY |
	       (vmf->vma->v.vm_flags & VM_WRITE ? SOFT_PTE_WRITE : 0);
}

/* huge.c */
/* For both ways of making one.  May the 2 MiB from @start be huge in @vma? */
bool mmun_soft_huge_fits(const struct soft_vma *vma, unsigned long start);
/* 512 zeroed frames, anonymous pages of @vma; NULL.  Does not reclaim.  put: if they were not installed. */
struct page *mmun_soft_huge_alloc(struct soft_vma *vma, unsigned long start);
void mmun_soft_huge_put(struct page *page);
/* Under the page_table_lock: maps them where nothing is; takes @leaf over. */
void mmun_soft_huge_install(struct soft_vma *vma, unsigned long start, struct page *page,
			    struct soft_table *leaf);

#endif
