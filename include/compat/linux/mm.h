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
#include <linux/mmdebug.h>
#include <linux/overflow.h>
#include <linux/page-flags.h>
#include <linux/pfn.h>
#include <linux/pgtable.h>
#include <linux/rbtree.h>
#include <linux/refcount.h>
#include <linux/sched.h>

#define PMD_SHIFT       21
#define PMD_SIZE        (1ul << PMD_SHIFT)
#define PMD_MASK        (~(PMD_SIZE - 1))
#define HPAGE_PMD_SHIFT PMD_SHIFT
#define HPAGE_PMD_SIZE  PMD_SIZE
#define HPAGE_PMD_ORDER (PMD_SHIFT - PAGE_SHIFT)
#define HPAGE_PMD_NR    (1 << HPAGE_PMD_ORDER)
#define PTRS_PER_PTE    512
#define PTRS_PER_PMD    512
#define PUD_SHIFT       30
#define TASK_SIZE       MMUN_SOFT_TASK_SIZE

/* Mappings, as the software machine has them. */
static inline struct vm_area_struct *find_vma(struct mm_struct *mm, unsigned long address)
{
	return mmun_soft_find_vma(mm, address);
}

static inline struct vm_area_struct *vma_lookup(struct mm_struct *mm, unsigned long address)
{
	return mmun_soft_vma_lookup(mm, address);
}

static inline int vm_insert_page(struct vm_area_struct *vma, unsigned long address,
				 struct page *page)
{
	return mmun_soft_vm_insert_page(vma, address, page);
}

static inline void zap_vma_ptes(struct vm_area_struct *vma, unsigned long address,
				unsigned long size)
{
	mmun_soft_zap_vma_ptes(vma, address, size);
}

/* The same, by its name in 7.2. */
static inline void zap_special_vma_range(struct vm_area_struct *vma, unsigned long address,
					 unsigned long size)
{
	mmun_soft_zap_vma_ptes(vma, address, size);
}

/* Of current, whose mmap lock is not held.  An address, or -errno. */
unsigned long __must_check vm_mmap(struct file *file, unsigned long address, unsigned long length,
				   unsigned long prot, unsigned long flags, unsigned long offset);
int vm_munmap(unsigned long start, size_t length);

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

/* The mappings of an address space from an address on.  mmap lock held. */
struct vma_iterator {
	struct mm_struct *mm;
	unsigned long address;
};

#define VMA_ITERATOR(name, mmun_mm, mmun_address) \
	struct vma_iterator name = { .mm = (mmun_mm), .address = (mmun_address) }

static inline void vma_iter_init(struct vma_iterator *vmi, struct mm_struct *mm,
				 unsigned long address)
{
	*vmi = (struct vma_iterator){ .mm = mm, .address = address };
}

/* The next one that begins below @max, or NULL. */
static inline struct vm_area_struct *vma_find(struct vma_iterator *vmi, unsigned long max)
{
	struct vm_area_struct *vma = find_vma(vmi->mm, vmi->address);

	if (!vma || vma->vm_start >= max)
		return NULL;
	vmi->address = vma->vm_end;
	return vma;
}

static inline struct vm_area_struct *vma_next(struct vma_iterator *vmi)
{
	return vma_find(vmi, ULONG_MAX);
}

#define for_each_vma(vmi, vma)            while (((vma) = vma_next(&(vmi))) != NULL)
#define for_each_vma_range(vmi, vma, end) while (((vma) = vma_find(&(vmi), end)) != NULL)

#define vm_flags_set(vma, flags)   ((void)((vma)->vm_flags |= (flags)))
#define vm_flags_clear(vma, flags) ((void)((vma)->vm_flags &= ~(flags)))
#define vm_flags_mod(vma, set, clear) \
	((void)((vma)->vm_flags = ((vma)->vm_flags | (set)) & ~(unsigned long)(clear)))
#define vma_is_anonymous(vma) (!(vma)->vm_file && !(vma)->vm_ops)

/* Pages. */
#define get_page(page)            mmun_soft_get_page(page)
#define put_page(page)            mmun_soft_put_page(page)
#define page_to_pfn(page)         mmun_soft_page_pfn(page)
#define page_to_phys(page)        PFN_PHYS(page_to_pfn(page))
#define page_address(page)        mmun_soft_page_address(page)
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
bool is_zero_pfn(unsigned long pfn);
struct page *virt_to_page(const void *address);
#define nth_page(page, n) pfn_to_page(page_to_pfn(page) + (n))

static inline void folio_get(struct folio *folio)
{
	get_page(folio_page(folio, 0));
}

static inline void folio_put(struct folio *folio)
{
	put_page(folio_page(folio, 0));
}

static inline unsigned long folio_pfn(struct folio *folio)
{
	return page_to_pfn(folio_page(folio, 0));
}

static inline void *folio_address(struct folio *folio)
{
	return page_address(folio_page(folio, 0));
}

static inline bool folio_mark_dirty(struct folio *folio)
{
	return set_page_dirty(folio_page(folio, 0));
}

#define pfn_folio(pfn)         page_folio(pfn_to_page(pfn))
#define virt_to_folio(address) page_folio(virt_to_page(address))
#define folio_put_refs(folio, n) \
	do { \
		for (long mmun_puts = (n); mmun_puts; mmun_puts--) \
			folio_put(folio); \
	} while (0)

/* Whether current may lock pages at all. */
bool can_do_mlock(void);

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
/* Until 6.5 an array of mappings may follow @pages, which is NULL. */
#define get_user_pages(start, nr, flags, pages, vmas...) \
	({ \
		void *mmun_vmas[] = { NULL, ##vmas }; \
		BUG_ON(mmun_vmas[ARRAY_SIZE(mmun_vmas) - 1]); \
		(get_user_pages)(start, nr, flags, pages); \
	})
#define pin_user_pages(start, nr, flags, pages, vmas...) \
	({ \
		void *mmun_vmas[] = { NULL, ##vmas }; \
		BUG_ON(mmun_vmas[ARRAY_SIZE(mmun_vmas) - 1]); \
		(pin_user_pages)(start, nr, flags, pages); \
	})
#define MMUN_COMPAT_REMOTE(call, mm, start, nr, flags, pages, rest...) \
	({ \
		void *mmun_rest[] = { rest }; \
		BUG_ON(ARRAY_SIZE(mmun_rest) > 1 && mmun_rest[0]); \
		(call)(mm, start, nr, flags, pages, (int *)mmun_rest[ARRAY_SIZE(mmun_rest) - 1]); \
	})
#define get_user_pages_remote(args...) MMUN_COMPAT_REMOTE(get_user_pages_remote, args)
#define pin_user_pages_remote(args...) MMUN_COMPAT_REMOTE(pin_user_pages_remote, args)
#define unpin_user_page(page)          mmun_soft_unpin_page(page)
void unpin_user_pages(struct page **pages, unsigned long nr);
#define unpin_folio(folio) unpin_user_page(folio_page(folio, 0))
void unpin_user_page_range_dirty_lock(struct page *page, unsigned long nr, bool dirty);
void unpin_user_pages_dirty_lock(struct page **pages, unsigned long nr, bool dirty);
void release_pages(struct page **pages, int nr);
/* Not the zero page: nobody counts there. */
#define page_maybe_dma_pinned(page)       mmun_soft_page_pinned(page)
#define folio_maybe_dma_pinned(folio)     page_maybe_dma_pinned(folio_page(folio, 0))
#define is_longterm_pinnable_page(page)   (mmun_soft_page_memory_type(page) != MEMORY_DEVICE_COHERENT)
#define folio_is_longterm_pinnable(folio) is_longterm_pinnable_page(folio_page(folio, 0))
/* A line that says what it is. */
void dump_page(struct page *page, const char *reason);

/* Into a driver's mapping. */
int vm_insert_pages(struct vm_area_struct *vma, unsigned long address, struct page **pages,
		    unsigned long *num);
int vm_map_pages(struct vm_area_struct *vma, struct page **pages, unsigned long num);
/* Same from the first page on, whatever vm_pgoff says. */
int vm_map_pages_zero(struct vm_area_struct *vma, struct page **pages, unsigned long num);
vm_fault_t vmf_insert_page(struct vm_area_struct *vma, unsigned long address, struct page *page);
static inline bool is_cow_mapping(unsigned long flags)
{
	return (flags & (VM_SHARED | VM_MAYWRITE)) == VM_MAYWRITE;
}
/* Frames of the machine by their numbers, without a reference: mmun_soft_vm_insert_pfn().  The mapping has
 * VM_PFNMAP, and private writes go nowhere else; BUG() as in the kernel if not. */
vm_fault_t vmf_insert_pfn(struct vm_area_struct *vma, unsigned long address, unsigned long pfn);
#define vmf_insert_pfn_prot(vma, address, pfn, prot) \
	((void)(prot), vmf_insert_pfn(vma, address, pfn))
/* Also makes it such a mapping, which takes the mmap lock for write if it is none.  BUG() where something
 * is mapped.  0; -EINVAL: no frame of the machine, or a part of a private mapping; -ENOMEM.  Nothing
 * stays mapped then. */
int remap_pfn_range(struct vm_area_struct *vma, unsigned long address, unsigned long pfn,
		    unsigned long size, pgprot_t prot);
int io_remap_pfn_range(struct vm_area_struct *vma, unsigned long address, unsigned long pfn,
		       unsigned long size, pgprot_t prot)
	MMUN_COMPAT_OUTSIDE("device registers are not there; map pages with vm_insert_page()");

#define FAULT_FLAG_DEFAULT     0u
#define FAULT_FLAG_USER        0x40u
#define FAULT_FLAG_REMOTE      0x80u
#define FAULT_FLAG_INSTRUCTION 0x100u
#define VM_FAULT_ERROR         (VM_FAULT_OOM | VM_FAULT_SIGBUS | VM_FAULT_SIGSEGV)

static inline vm_fault_t vmf_error(int error)
{
	return error == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
}

/* A fault of a device: 0 or VM_FAULT_ERROR bits.  The mmap lock is held, and stays held. */
struct pt_regs;
vm_fault_t handle_mm_fault(struct vm_area_struct *vma, unsigned long address, unsigned int flags,
			   struct pt_regs *regs);
/* 0, -EFAULT, -ENOMEM.  *@unlocked is not set: the mmap lock stays held. */
int fixup_user_fault(struct mm_struct *mm, unsigned long address, unsigned int fault_flags,
		     bool *unlocked);

#include <linux/slab.h>
#define kvmalloc_node(size, gfp, node) kvmalloc(size, gfp)

#endif
