/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Page tables, to look at.  pgd_offset() and what follows it, as drivers walk them, with
 * five levels of which only the last two say anything; an entry is a copy of what the machine
 * has at that moment, so it is as old as in the kernel without the page table lock.  Writing
 * one changes nothing and set_pte_at() is outside.  A pointer to an entry is good until the end
 * of the block that asked for it.
 */
#ifndef MMUN_COMPAT_LINUX_PGTABLE_H
#define MMUN_COMPAT_LINUX_PGTABLE_H

#include <linux/mm_types.h>
#include <linux/pfn.h>

#define pgprot_val(prot)          ((prot).pgprot)
#define __pgprot(value)           ((pgprot_t){ (value) })
#define pgprot_noncached(prot)    (prot)
#define pgprot_writecombine(prot) (prot)
#define pgprot_device(prot)       (prot)
#define vm_get_page_prot(flags)   ((void)(flags), __pgprot(0))

/* As the machine has them in ->change_pte. */
#define _PAGE_PRESENT  0x001ul
#define _PAGE_RW       0x002ul
#define _PAGE_ACCESSED 0x004ul
#define _PAGE_DIRTY    0x008ul
#define _PAGE_PSE      0x020ul

/* What the machine maps at @address; @huge: only if that is a huge page.  Any lock or none;
 * does not sleep. */
unsigned long mmun_compat_entry(struct mm_struct *mm, unsigned long address, bool huge);

#define pgd_offset(mm, address)  ((void)(address), &(pgd_t){ (mm) })
#define p4d_offset(pgd, address) ((void)(address), &(p4d_t){ (pgd)->mm })
#define pud_offset(p4d, address) ((void)(address), &(pud_t){ (p4d)->mm })
#define pmd_offset(pud, address) \
	(&(pmd_t){ mmun_compat_entry((pud)->mm, address, true), (pud)->mm })
#define pte_offset_kernel(pmd, address) (&(pte_t){ mmun_compat_entry((pmd)->mm, address, false) })
#define pte_offset_map(pmd, address)    pte_offset_kernel(pmd, address)
#define pte_unmap(pte)                  ((void)(pte))

#define pgdp_get(p)          (*(p))
#define p4dp_get(p)          (*(p))
#define pudp_get(p)          (*(p))
#define pmdp_get(p)          (*(p))
#define pmdp_get_lockless(p) (*(p))
#define ptep_get(p)          (*(p))
#define ptep_get_lockless(p) (*(p))

/* Tables are there, whatever they hold. */
#define pgd_none(pgd)       ((void)(pgd), 0)
#define pgd_bad(pgd)        ((void)(pgd), 0)
#define pgd_present(pgd)    ((void)(pgd), 1)
#define p4d_none(p4d)       ((void)(p4d), 0)
#define p4d_bad(p4d)        ((void)(p4d), 0)
#define p4d_present(p4d)    ((void)(p4d), 1)
#define p4d_leaf(p4d)       ((void)(p4d), 0)
#define pud_none(pud)       ((void)(pud), 0)
#define pud_bad(pud)        ((void)(pud), 0)
#define pud_present(pud)    ((void)(pud), 1)
#define pud_leaf(pud)       ((void)(pud), 0)
#define pmd_none(pmd)       ((void)(pmd), 0)
#define pmd_bad(pmd)        ((void)(pmd), 0)
#define pmd_present(pmd)    ((void)(pmd), 1)
#define pmd_val(value)      ((value).pmd)
#define pmd_leaf(pmd)       (!!(pmd_val(pmd) & _PAGE_PSE))
#define pmd_trans_huge(pmd) pmd_leaf(pmd)
#define pmd_write(pmd)      (!!(pmd_val(pmd) & _PAGE_RW))
#define pmd_pfn(pmd)        (pmd_val(pmd) >> PAGE_SHIFT)

#define pte_val(value)   ((value).pte)
#define pte_none(pte)    (!pte_val(pte))
#define pte_present(pte) (!!(pte_val(pte) & _PAGE_PRESENT))
#define pte_write(pte)   (!!(pte_val(pte) & _PAGE_RW))
#define pte_dirty(pte)   (!!(pte_val(pte) & _PAGE_DIRTY))
#define pte_young(pte)   (!!(pte_val(pte) & _PAGE_ACCESSED))
#define pte_pfn(pte)     (pte_val(pte) >> PAGE_SHIFT)
#define pte_page(pte)    pfn_to_page(pte_pfn(pte))

#define __pte(value) ((pte_t){ (value) })

/* Clears the young bit of the machine's entry, and of the copy; was it set? */
bool mmun_compat_clear_young(struct mm_struct *mm, unsigned long address, unsigned long *copy);
#define ptep_test_and_clear_young(vma, address, ptep) \
	mmun_compat_clear_young((vma)->vm_mm, address, &(ptep)->pte)
#define pmdp_test_and_clear_young(vma, address, pmdp) \
	mmun_compat_clear_young((vma)->vm_mm, address, &(pmdp)->pmd)
/* As on x86: no flush for that. */
#define ptep_clear_flush_young(vma, address, ptep) ptep_test_and_clear_young(vma, address, ptep)
#define pmdp_clear_flush_young(vma, address, pmdp) pmdp_test_and_clear_young(vma, address, pmdp)

#define MMUN_COMPAT_READ_ONLY __attribute__((error("entries are the machine's, to look at")))
void set_pte_at(struct mm_struct *mm, unsigned long address, pte_t *ptep,
		pte_t pte) MMUN_COMPAT_READ_ONLY;
pte_t ptep_clear_flush(struct vm_area_struct *vma, unsigned long address,
		       pte_t *ptep) MMUN_COMPAT_READ_ONLY;
pmd_t pmdp_huge_clear_flush(struct vm_area_struct *vma, unsigned long address,
			    pmd_t *pmdp) MMUN_COMPAT_READ_ONLY;
pud_t pudp_huge_clear_flush(struct vm_area_struct *vma, unsigned long address,
			    pud_t *pudp) MMUN_COMPAT_READ_ONLY;

typedef int (*pte_fn_t)(pte_t *pte, unsigned long address, void *data);
/* @fn for each page of a range, until one returns an error, which is returned.  The existing
 * form leaves out what is not mapped.  Context: mmap lock held. */
int apply_to_page_range(struct mm_struct *mm, unsigned long address, unsigned long size,
			pte_fn_t fn, void *data);
int apply_to_existing_page_range(struct mm_struct *mm, unsigned long address, unsigned long size,
				 pte_fn_t fn, void *data);

#endif
