/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Migration by drivers: anonymous pages to and from the memory of a device.
 *
 *   setup     entries become migration entries: those of the range in one section of
 *             MMU_NOTIFY_MIGRATE, those of other address spaces through the reverse maps
 *   (the driver copies what it wants)
 *   pages     the new page takes over what the old one was
 *   finalize  migration entries name the new page, or the old one
 *
 * I1  From setup to finalize the old page is locked, off the LRU, unmapped, and its references
 *     are known: ours, and that of the fault whose page it is.  So its contents stay.
 * I2  Each page is tried only: where another holds its lock or the page, it stays.  So
 *     two that migrate never wait for each other.
 * I3  The reference that the first entry had is ours then; other entries' are dropped.
 * I4  A place where nothing was is looked at again before it is filled.
 *
 * Only anonymous pages move; merged ones and those of files stay.  A page leaves coherent memory when
 * it is to be pinned for long.
 * Tests: tests/unit/soft/device_memory.c.
 */
#include <errno.h>
#include <string.h>

#include "bug.h"
#include "fault/fault.h"
#include "frame/page.h"
#include "reclaim/reclaim.h"
#include "rmap/rmap.h"
#include "section.h"
#include "table/table.h"
#include "vma/vma.h"

#define INHERITED (SOFT_PAGE_REFERENCED | SOFT_PAGE_SWAPBACKED)

static struct page *page_of(struct mmun_soft *soft, unsigned long entry)
{
	return entry & MIGRATE_PFN_VALID ? mmun_soft_pfn_page(soft, entry >> MIGRATE_PFN_SHIFT)
					 : NULL;
}

static unsigned long entry_of(const struct page *page)
{
	return mmun_soft_page_pfn(page) << MIGRATE_PFN_SHIFT | MIGRATE_PFN_VALID |
	       MIGRATE_PFN_MIGRATE;
}

/* Is @value, which names @page, one that the driver asks for? */
static bool selected(const struct migrate_vma *args, const struct page *page, soft_pte value)
{
	if (!soft_page_test(page, SOFT_PAGE_ANON) || soft_page_test(page, SOFT_PAGE_KSM) ||
	    soft_page_pinned(page))
		return false;
	if (soft_page_test(page, SOFT_PAGE_DEVICE))
		return args->flags & (soft_page_test(page, SOFT_PAGE_PRIVATE)
					      ? MIGRATE_VMA_SELECT_DEVICE_PRIVATE
					      : MIGRATE_VMA_SELECT_DEVICE_COHERENT) &&
		       page->pgmap->owner == args->pgmap_owner;
	/* Not one that is lent. */
	return args->flags & MIGRATE_VMA_SELECT_SYSTEM && value & SOFT_PTE_PRESENT;
}

/* I2.  Off the LRU and locked; a faulting thread has locked its page already. */
static bool try_isolate(struct page *page, const struct page *fault_page)
{
	if (page != fault_page && !mmun_soft_page_trylock(page))
		return false;
	if (soft_page_test(page, SOFT_PAGE_DEVICE) || mmun_soft_lru_isolate(page))
		return true;
	mmun_soft_page_unlock(page);
	return false;
}

/* The other way, and our reference goes. */
static void put_isolated(struct page *page, const struct page *fault_page)
{
	mmun_soft_lru_putback(page, true);
	if (page != fault_page)
		mmun_soft_page_unlock(page);
	mmun_soft_put_page(page);
}

/* page_table_lock held.  What src says of the page that @value maps.  I3 */
static unsigned long take_page(const struct migrate_vma *args, unsigned long address,
			       struct page *page, soft_pte value)
{
	if (!selected(args, page, value) || !try_isolate(page, args->fault_page))
		return 0;
	if (value & SOFT_PTE_DIRTY)
		soft_page_set(page, SOFT_PAGE_DIRTY);
	mmun_soft_pte_set(soft_mm(args->vma->vm_mm), address, soft_pte_migration(page, value));
	if (value & SOFT_PTE_PRESENT)
		mmun_soft_flush_page(soft_mm(args->vma->vm_mm), address);
	soft_page_unmap(page);
	return entry_of(page) | (value & SOFT_PTE_WRITE ? MIGRATE_PFN_WRITE : 0);
}

/* page_table_lock held.  Nothing is there, or nothing but the zero page. */
static bool fillable(struct soft_mm *mm, soft_pte value)
{
	return !value || (value & SOFT_PTE_PRESENT &&
			  soft_page_test(soft_pte_page(mm, value), SOFT_PAGE_ZERO));
}

/* page_table_lock held. */
static unsigned long collect(const struct migrate_vma *args, unsigned long address)
{
	struct soft_mm *mm = soft_mm(args->vma->vm_mm);
	soft_pte value = mmun_soft_pte_value(mm, address);

	if (soft_pte_huge(value)) {
		mmun_soft_pmd_split(mm, address);
		value = mmun_soft_pte_value(mm, address);
	}
	if (!value)
		return soft_vma_anonymous(soft_vma(args->vma)) ? MIGRATE_PFN_MIGRATE : 0;
	if (fillable(mm, value))
		return args->flags & MIGRATE_VMA_SELECT_SYSTEM ? MIGRATE_PFN_MIGRATE : 0;
	if (!(value & (SOFT_PTE_PRESENT | SOFT_PTE_DEVICE)))
		return 0;
	return take_page(args, address, soft_pte_page(mm, value), value);
}

static void collect_range(struct migrate_vma *args)
{
	struct mm_struct *mm = args->vma->vm_mm;
	struct soft_section section;

	for (unsigned long at = args->start; at < args->end; at += MMUN_SOFT_HUGE_SIZE)
		mmun_soft_split_huge(soft_vma(args->vma), at);
	mmun_soft_split_huge(soft_vma(args->vma), args->end - 1);
	mmun_soft_section_start_owned(&section, mm, MMU_NOTIFY_MIGRATE, MMUN_OP_MIGRATE,
				      args->pgmap_owner, args->start, args->end);
	mmun_mutex_lock(&soft_mm(mm)->page_table_lock);
	for (unsigned long at = args->start; at < args->end; at += MMUN_SOFT_PAGE_SIZE) {
		args->dst[args->npages] = 0;
		args->src[args->npages] = collect(args, at);
		args->cpages += !!args->src[args->npages++];
	}
	mmun_mutex_unlock(&soft_mm(mm)->page_table_lock);
	mmun_soft_section_end(&section, !args->cpages);
}

static int references(const struct page *page, const struct page *fault_page)
{
	return page == fault_page ? 2 : 1;
}

/* I1: out of all other page tables too.  False: it is mapped or used by somebody. */
static bool unmap(struct page *page, const struct page *fault_page)
{
	if (soft_page_mapcount(page))
		mmun_soft_try_to_unmap(page, MMUN_OP_MIGRATE, true, 0);
	return !soft_page_mapcount(page) &&
	       mmun_load_full(&page->refcount) == references(page, fault_page);
}

static unsigned long unmap_all(struct mmun_soft *soft, unsigned long *src, unsigned long npages,
			       const struct page *fault_page)
{
	unsigned long unmapped = 0;
	struct page *page;

	for (unsigned long i = 0; i < npages; i++) {
		page = page_of(soft, src[i]);
		if (page && !unmap(page, fault_page)) {
			mmun_soft_remove_migration(page, page);
			put_isolated(page, fault_page);
			src[i] = 0;
		}
		unmapped += !!src[i];
	}
	return unmapped;
}

static bool valid(const struct migrate_vma *args)
{
	const struct vm_area_struct *vma = args->vma;

	if (!vma || vma->vm_flags & SOFT_VM_SPECIAL || !args->src || !args->dst)
		return false;
	if (args->start >= args->end || args->start < vma->vm_start || args->end > vma->vm_end)
		return false;
	return !args->fault_page || soft_page_test(args->fault_page, SOFT_PAGE_PRIVATE);
}

int mmun_soft_migrate_vma_setup(struct migrate_vma *args)
{
	args->start &= MMUN_SOFT_PAGE_MASK;
	args->end &= MMUN_SOFT_PAGE_MASK;
	args->cpages = args->npages = 0;
	if (!valid(args))
		return -EINVAL;
	collect_range(args);
	if (args->cpages)
		args->cpages = unmap_all(soft_mm(args->vma->vm_mm)->soft, args->src, args->npages,
					 args->fault_page);
	return 0;
}

/* I1: also for those that come by the frame's number, which no entry shows them. */
static bool pass(struct page *from, struct page *to, const struct page *fault_page)
{
	const int expected = references(from, fault_page);

	if (!mmun_soft_page_freeze(from, expected))
		return false;
	mmun_soft_page_unfreeze(from, expected);
	/* No store has the contents that the driver copied. */
	soft_page_set(to, (mmun_load_relaxed(&from->flags) & INHERITED) | SOFT_PAGE_DIRTY);
	return true;
}

/* What an entry says of a page that was not there before. */
static soft_pte fresh_bits(const struct soft_vma *vma, const struct page *page)
{
	soft_pte bits = SOFT_PTE_EXCLUSIVE | SOFT_PTE_SOFT_DIRTY | soft_no_access(vma);

	if (vma->v.vm_flags & VM_WRITE)
		bits |= SOFT_PTE_WRITE | SOFT_PTE_DIRTY;
	return soft_page_test(page, SOFT_PAGE_PRIVATE) ? bits & SOFT_PTE_KEPT : bits;
}

/* Inside the section.  I4 */
static bool insert(struct soft_vma *vma, unsigned long address, struct page *page)
{
	struct soft_mm *mm = soft_vma_mm(vma);
	soft_pte value;
	bool free;

	if (!vma->anon_vma || mmun_soft_pte_make(mm, address))
		return false;
	mmun_mutex_lock(&mm->page_table_lock);
	value = mmun_soft_pte_value(mm, address);
	free = fillable(mm, value);
	if (free) {
		if (value)
			mmun_soft_flush_page(mm, address);
		mmun_soft_page_set_anon(page, vma, address);
		soft_page_set(page, SOFT_PAGE_DIRTY);
		mmun_soft_get_page(page);
		mmun_soft_set_page(mm, address, page, fresh_bits(vma, page));
	}
	mmun_mutex_unlock(&mm->page_table_lock);
	return free;
}

static void insert_all(const struct migrate_vma *args)
{
	struct soft_vma *vma = soft_vma(args->vma);
	struct mmun_soft *soft = soft_vma_mm(vma)->soft;
	unsigned long i = 0, inserted = 0;
	struct soft_section section;

	while (i < args->npages &&
	       !(args->src[i] == MIGRATE_PFN_MIGRATE && page_of(soft, args->dst[i])))
		i++;
	if (i == args->npages)
		return;
	/* Without one nothing is inserted. */
	(void)mmun_soft_anon_prepare(vma);
	mmun_soft_section_start_owned(&section, vma->v.vm_mm, MMU_NOTIFY_MIGRATE, MMUN_OP_MIGRATE,
				      args->pgmap_owner, args->start + (i << MMUN_SOFT_PAGE_SHIFT),
				      args->end);
	for (; i < args->npages; i++) {
		struct page *page = page_of(soft, args->dst[i]);

		if (args->src[i] != MIGRATE_PFN_MIGRATE || !page)
			continue;
		if (insert(vma, args->start + (i << MMUN_SOFT_PAGE_SHIFT), page))
			inserted++;
		else
			args->src[i] = 0;
	}
	mmun_soft_section_only_end(&section, !inserted);
}

static void pass_all(struct mmun_soft *soft, unsigned long *src, const unsigned long *dst,
		     unsigned long npages, const struct page *fault_page)
{
	struct page *from, *to;

	for (unsigned long i = 0; i < npages; i++) {
		from = page_of(soft, src[i]);
		to = page_of(soft, dst[i]);
		if (!to || (from && !pass(from, to, fault_page)))
			src[i] &= ~MIGRATE_PFN_MIGRATE;
		else if (from)
			soft_stat_inc(soft, migrated);
	}
}

static void put_target(struct page *page)
{
	mmun_soft_page_unlock(page);
	mmun_soft_put_page(page);
}

static void finalize(unsigned long src, struct page *from, struct page *to,
		     const struct page *fault_page)
{
	bool moved = to && src & MIGRATE_PFN_MIGRATE;

	if (from) {
		mmun_soft_remove_migration(from, moved ? to : from);
		if (moved)
			mmun_soft_lru_add(to);
		else
			mmun_soft_lru_putback(from, true);
		if (from != fault_page)
			mmun_soft_page_unlock(from);
		mmun_soft_put_page(from);
	}
	if (to)
		put_target(to);
}

static void finalize_all(struct mmun_soft *soft, const unsigned long *src, const unsigned long *dst,
			 unsigned long npages, const struct page *fault_page)
{
	for (unsigned long i = 0; i < npages; i++)
		finalize(src[i], page_of(soft, src[i]), page_of(soft, dst[i]), fault_page);
}

void mmun_soft_migrate_vma_pages(struct migrate_vma *args)
{
	insert_all(args);
	pass_all(soft_mm(args->vma->vm_mm)->soft, args->src, args->dst, args->npages,
		 args->fault_page);
}

void mmun_soft_migrate_vma_finalize(struct migrate_vma *args)
{
	finalize_all(soft_mm(args->vma->vm_mm)->soft, args->src, args->dst, args->npages,
		     args->fault_page);
}

/* Without an address: a frame in use gets a reference, which is ours then. */
static unsigned long take_frame(struct mmun_soft *soft, unsigned long pfn)
{
	struct page *page = mmun_soft_pfn_page(soft, pfn);

	if (!page || !soft_page_test(page, SOFT_PAGE_DEVICE) || !mmun_soft_page_tryget(page))
		return 0;
	if (try_isolate(page, NULL))
		return entry_of(page);
	mmun_soft_put_page(page);
	return 0;
}

int mmun_soft_migrate_device_range(struct mmun_soft *soft, unsigned long *src, unsigned long start,
				   unsigned long npages)
{
	for (unsigned long i = 0; i < npages; i++)
		src[i] = take_frame(soft, start + i);
	unmap_all(soft, src, npages, NULL);
	return 0;
}

int mmun_soft_migrate_device_pfns(struct mmun_soft *soft, unsigned long *src, unsigned long npages)
{
	for (unsigned long i = 0; i < npages; i++)
		src[i] = take_frame(soft, src[i]);
	unmap_all(soft, src, npages, NULL);
	return 0;
}

void mmun_soft_migrate_device_pages(struct mmun_soft *soft, unsigned long *src, unsigned long *dst,
				    unsigned long npages)
{
	pass_all(soft, src, dst, npages, NULL);
}

void mmun_soft_migrate_device_finalize(struct mmun_soft *soft, unsigned long *src,
				       unsigned long *dst, unsigned long npages)
{
	finalize_all(soft, src, dst, npages, NULL);
}

/* Both locked, a reference to each is ours; gives all of that up. */
static bool leave_locked(struct page *from, struct page *to)
{
	struct mmun_soft *soft = from->soft;
	unsigned long src = entry_of(from), dst = entry_of(to);

	if (!unmap_all(soft, &src, 1, NULL)) {
		put_target(to);
		return false;
	}
	pass_all(soft, &src, &dst, 1, NULL);
	if (src & MIGRATE_PFN_MIGRATE)
		mmun_soft_copy_page(to, from);
	finalize_all(soft, &src, &dst, 1, NULL);
	return src & MIGRATE_PFN_MIGRATE;
}

int mmun_soft_leave_device(struct page *page)
{
	struct page *to = mmun_soft_page_alloc(page->soft);

	if (!to) {
		mmun_soft_put_page(page);
		return -ENOMEM;
	}
	mmun_soft_page_lock(page);
	mmun_soft_page_lock(to);
	return leave_locked(page, to) ? 0 : -EBUSY;
}
