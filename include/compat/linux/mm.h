/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Pages, mappings, get_user_pages.  Frames are those of the software machine; raw
 * physical memory is outside. */
#ifndef MMUN_COMPAT_LINUX_MM_H
#define MMUN_COMPAT_LINUX_MM_H

#include <linux/bug.h>
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/mmap_lock.h>
#include <linux/numa.h>
#include <linux/overflow.h>
#include <linux/pfn.h>
#include <linux/pgtable.h>
#include <linux/rbtree.h>
#include <linux/refcount.h>
#include <linux/sched.h>

#define PMD_SHIFT 21
#define PMD_SIZE (1ul << PMD_SHIFT)
#define PMD_MASK (~(PMD_SIZE - 1))
#define HPAGE_PMD_SHIFT PMD_SHIFT
#define HPAGE_PMD_SIZE PMD_SIZE
#define HPAGE_PMD_ORDER (PMD_SHIFT - PAGE_SHIFT)
#define TASK_SIZE MMUN_SOFT_TASK_SIZE

static inline struct vm_area_struct *find_vma_intersection(struct mm_struct *mm,
							   unsigned long start, unsigned long end)
{
	struct vm_area_struct *vma = find_vma(mm, start);

	return vma && vma->vm_start < end ? vma : NULL;
}

static inline unsigned long vma_pages(const struct vm_area_struct *vma)
{
	return (vma->vm_end - vma->vm_start) >> PAGE_SHIFT;
}

#define vm_flags_set(vma, flags) ((void)((vma)->vm_flags |= (flags)))
#define vm_flags_clear(vma, flags) ((void)((vma)->vm_flags &= ~(flags)))
#define vm_flags_mod(vma, set, clear) \
	((void)((vma)->vm_flags = ((vma)->vm_flags | (set)) & ~(unsigned long)(clear)))
#define vma_is_anonymous(vma) (!(vma)->vm_file && !(vma)->vm_ops)

/* Pages. */
#define get_page(page) mmun_soft_get_page(page)
#define put_page(page) mmun_soft_put_page(page)
#define page_to_pfn(page) mmun_soft_page_pfn(page)
#define page_to_phys(page) PFN_PHYS(page_to_pfn(page))
#define page_address(page) mmun_soft_page_address(page)
#define lowmem_page_address(page) page_address(page)

static inline bool set_page_dirty(struct page *page)
{
	mmun_soft_set_page_dirty(page);
	return true;
}

static inline bool set_page_dirty_lock(struct page *page)
{
	might_sleep();
	return set_page_dirty(page);
}

struct page *pfn_to_page(unsigned long pfn);
bool pfn_valid(unsigned long pfn);
struct page *virt_to_page(const void *address);
#define compound_head(page) (page)
#define PageCompound(page) ((void)(page), false)
#define compound_order(page) ((void)(page), 0u)
#define is_zone_device_page(page) ((void)(page), false)

/* get_user_pages: of current, or of an mm whose mmap lock is held. */
long get_user_pages(unsigned long start, unsigned long nr, unsigned int gup_flags,
		    struct page **pages);
long get_user_pages_remote(struct mm_struct *mm, unsigned long start, unsigned long nr,
			   unsigned int gup_flags, struct page **pages, int *locked);
int get_user_pages_fast(unsigned long start, int nr, unsigned int gup_flags, struct page **pages);
long get_user_pages_unlocked(unsigned long start, unsigned long nr, struct page **pages,
			     unsigned int gup_flags);
long pin_user_pages(unsigned long start, unsigned long nr, unsigned int gup_flags,
		    struct page **pages);
long pin_user_pages_remote(struct mm_struct *mm, unsigned long start, unsigned long nr,
			   unsigned int gup_flags, struct page **pages, int *locked);
int pin_user_pages_fast(unsigned long start, int nr, unsigned int gup_flags, struct page **pages);
long pin_user_pages_unlocked(unsigned long start, unsigned long nr, struct page **pages,
			     unsigned int gup_flags);
#define unpin_user_page(page) mmun_soft_unpin_page(page)
void unpin_user_pages(struct page **pages, unsigned long nr);
void unpin_user_pages_dirty_lock(struct page **pages, unsigned long nr, bool dirty);
void release_pages(struct page **pages, int nr);

/* Into a driver's mapping. */
int vm_insert_pages(struct vm_area_struct *vma, unsigned long address, struct page **pages,
		    unsigned long *num);
int vm_map_pages(struct vm_area_struct *vma, struct page **pages, unsigned long num);
/* @pfn is a frame of the machine, and gains a reference while it is mapped. */
vm_fault_t vmf_insert_pfn(struct vm_area_struct *vma, unsigned long address, unsigned long pfn);
vm_fault_t vmf_insert_page(struct vm_area_struct *vma, unsigned long address, struct page *page);
int remap_pfn_range(struct vm_area_struct *vma, unsigned long address, unsigned long pfn,
		    unsigned long size, pgprot_t prot)
	MMUN_COMPAT_OUTSIDE("raw physical memory is not there; map pages with vm_insert_page()");
int io_remap_pfn_range(struct vm_area_struct *vma, unsigned long address, unsigned long pfn,
		       unsigned long size, pgprot_t prot)
	MMUN_COMPAT_OUTSIDE("device registers are not there; map pages with vm_insert_page()");

#define FAULT_FLAG_DEFAULT 0u
#define VM_FAULT_ERROR (VM_FAULT_OOM | VM_FAULT_SIGBUS | VM_FAULT_SIGSEGV)

static inline vm_fault_t vmf_error(int error)
{
	return error == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
}

#include <linux/slab.h>
#define kvmalloc_node(size, gfp, node) kvmalloc(size, gfp)

#endif
