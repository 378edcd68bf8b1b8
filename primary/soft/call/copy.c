/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Copying entries: fork.
 *
 * Private pages become shared: write-protected on both sides, exclusive on
 * none, so that the next writer copies (B23: the parent's secondary MMUs lose
 * their writable translations before the child can run).  A page that a device
 * has pinned stays the parent's as it is; the child gets a copy at once.
 *
 * I1  Frames for such copies are got before the section; both mmap locks are
 *     held for write, so no page can gain its first pin meanwhile.
 * I2  Each parent's entry and its copy are written under both page_table_locks:
 *     a migration finds both or neither, for a walk visits a parent before its
 *     child.
 * I3  No change of the child is begun (M5: one mm per thread): nobody can lock the
 *     child's mm before fork returns.
 * I4  Whatever fails, the section ends (S4: failure ends it too), and both sides are consistent.
 *
 * Not here: the VMAs (vma/vma.c), the child's tear-down on failure (process.c).
 * Tests: tests/unit/soft/fork.c.
 */
#include <errno.h>
#include <sched.h>

#include "alloc.h"
#include "bug.h"
#include "call/call.h"
#include "fault/fault.h"
#include "frame/page.h"
#include "frame/swap.h"
#include "rmap/rmap.h"
#include "section.h"
#include "table/table.h"

struct copy {
	struct soft_vma *parent, *child;
	struct soft_mm *from, *to;
	struct mmun_soft *soft;
	/* Private: entries lose their right to write. */
	bool cow;
	/* Never split, and so never copied on a write: the child gets its pages at once. */
	bool hugetlb;
	/* Frames for pinned pages, by page->link, and how many were found to be needed. */
	struct mmun_dlist frames;
	unsigned long pinned;
};

/* Must the child get its own copy now?  An entry that may write a private page has it alone. */
static bool stays(const struct copy *copy, struct page *page, soft_pte pte)
{
	return copy->cow && pte & (SOFT_PTE_EXCLUSIVE | SOFT_PTE_WRITE) && soft_page_pinned(page);
}

static int count_pinned(unsigned long address, soft_pte pte, void *arg)
{
	struct copy *copy = arg;
	struct page *page;
	unsigned long nr = 1;

	if (!(pte & (SOFT_PTE_PRESENT | SOFT_PTE_DEVICE)) || soft_pte_special(pte))
		return 0;
	if (soft_pte_huge(pte))
		nr = MMUN_SOFT_HUGE_PAGES;
	page = soft_pte_page(copy->from, pte);
	for (unsigned long i = 0; i < nr; i++)
		copy->pinned += stays(copy, mmun_soft_page_next(page, i), pte);
	return 0;
}

static void put_frames(struct copy *copy)
{
	struct page *page;

	while (!mmun_dlist_empty(&copy->frames)) {
		page = mmun_container_of(copy->frames.next, struct page, link);
		mmun_dlist_del(&page->link);
		mmun_soft_put_page(page);
	}
}

static int get_frames(struct copy *copy)
{
	struct page *page;

	if (!copy->hugetlb)
		mmun_soft_for_each_entry(copy->from, copy->parent->v.vm_start,
					 copy->parent->v.vm_end, count_pinned, copy);
	for (unsigned long i = 0; i < copy->pinned; i++) {
		page = mmun_soft_page_alloc(copy->soft);
		if (!page) {
			put_frames(copy);
			return -ENOMEM;
		}
		mmun_dlist_add(&page->link, &copy->frames);
	}
	return 0;
}

/* I2.  The pair has no order by rank: without the child's the parent's is let go of, too. */
static void lock_both(const struct copy *copy)
{
	for (;;) {
		mmun_mutex_lock(&copy->from->page_table_lock);
		if (mmun_mutex_trylock(&copy->to->page_table_lock))
			return;
		mmun_mutex_unlock(&copy->from->page_table_lock);
		sched_yield();
	}
}

static void unlock_both(const struct copy *copy)
{
	mmun_mutex_unlock(&copy->to->page_table_lock);
	mmun_mutex_unlock(&copy->from->page_table_lock);
}

static soft_pte copy_for_child(struct copy *copy, unsigned long address, const struct page *page)
{
	struct page *own = mmun_container_of(copy->frames.next, struct page, link);
	soft_pte flags = SOFT_PTE_DIRTY | SOFT_PTE_SOFT_DIRTY | SOFT_PTE_EXCLUSIVE |
			 soft_no_access(copy->child);

	MMUN_BUG_ON(mmun_dlist_empty(&copy->frames));
	mmun_dlist_del(&own->link);
	mmun_soft_copy_page(own, page);
	mmun_soft_page_set_anon(own, copy->child, address);
	soft_page_map(own);
	mmun_soft_lru_add(own);
	if (copy->child->v.vm_flags & VM_WRITE)
		flags |= SOFT_PTE_WRITE;
	return soft_pte_make(own, flags);
}

/* What both sides may still do with a page that they share from now on. */
static soft_pte shared_value(const struct copy *copy, soft_pte pte)
{
	return copy->cow ? pte & ~(SOFT_PTE_WRITE | SOFT_PTE_EXCLUSIVE) : pte;
}

static soft_pte child_value(const struct copy *copy, soft_pte pte)
{
	pte = shared_value(copy, pte) & ~SOFT_PTE_YOUNG;
	return copy->cow ? pte : pte & ~SOFT_PTE_DIRTY;
}

static void share_page(struct page *page)
{
	mmun_soft_get_page(page);
	soft_page_map(page);
}

static soft_pte copy_present_pte(struct copy *copy, struct soft_walk *walk, unsigned long address)
{
	soft_pte pte = *walk->entry;
	struct page *page = soft_pte_page(copy->from, pte);

	if (!soft_pte_special(pte)) {
		if (stays(copy, page, pte))
			return copy_for_child(copy, address, page);
		share_page(page);
	}
	mmun_soft_walk_set(walk, shared_value(copy, pte));
	return child_value(copy, pte);
}

static soft_pte copy_small(struct copy *copy, struct soft_walk *walk)
{
	soft_pte pte = *walk->entry;

	if (pte & SOFT_PTE_DEVICE && soft_pte_lent(soft_pte_page(copy->from, pte), pte)) {
		/* The device's time with it ends, by the same section. */
		pte = soft_pte_return(pte);
		mmun_soft_walk_set(walk, pte);
	}
	if (pte & SOFT_PTE_PRESENT)
		return copy_present_pte(copy, walk, walk->address);
	if (pte & SOFT_PTE_SWAP)
		mmun_soft_swap_get(copy->soft, soft_pte_number(pte));
	if (pte & SOFT_PTE_DEVICE)
		share_page(soft_pte_page(copy->from, pte));
	if (!(pte & SOFT_PTE_NONLINEAR))
		pte = shared_value(copy, pte);
	mmun_soft_walk_set(walk, pte);
	return pte;
}

static bool any_stays(const struct copy *copy, soft_pte pte)
{
	struct page *page = soft_pte_page(copy->from, pte);

	for (unsigned long i = 0; i < MMUN_SOFT_HUGE_PAGES; i++) {
		if (stays(copy, mmun_soft_page_next(page, i), pte))
			return true;
	}
	return false;
}

/* False: it was split instead, having pinned pages. */
static bool copy_huge(struct copy *copy, struct soft_walk *walk, struct soft_table *leaf)
{
	soft_pte pte = *walk->entry;
	struct page *page = soft_pte_page(copy->from, pte);

	if (any_stays(copy, pte)) {
		mmun_soft_pmd_split(copy->from, walk->address);
		return false;
	}
	for (unsigned long i = 0; i < MMUN_SOFT_HUGE_PAGES; i++)
		share_page(mmun_soft_page_next(page, i));
	mmun_soft_walk_set(walk, shared_value(copy, pte));
	mmun_soft_pmd_set_huge(copy->to, walk->address, child_value(copy, pte), leaf);
	return true;
}

/* *@own, 512 frames, becomes the child's. */
static void copy_hugetlb(const struct copy *copy, const struct soft_walk *walk,
			 struct soft_table **leaf, struct page **own)
{
	struct page *page = soft_pte_page(copy->from, *walk->entry);

	for (unsigned long i = 0; i < MMUN_SOFT_HUGE_PAGES; i++)
		mmun_soft_copy_page(mmun_soft_page_next(*own, i), mmun_soft_page_next(page, i));
	mmun_soft_huge_install(copy->child, walk->address, *own, *leaf);
	*leaf = NULL;
	*own = NULL;
}

/* Both locks held; what one leaf can hold.  Uses *@leaf up if the child has none here. */
static void copy_pte_range(struct copy *copy, struct soft_walk *walk, struct soft_table **leaf,
			   struct page **own)
{
	while (mmun_soft_walk_find(walk)) {
		if (copy->hugetlb) {
			copy_hugetlb(copy, walk, leaf, own);
		} else if (soft_walk_huge(walk)) {
			if (!copy_huge(copy, walk, *leaf))
				continue;
			*leaf = NULL;
		} else {
			if (!mmun_soft_pte(copy->to, walk->address)) {
				mmun_soft_leaf_set(copy->to, walk->address, *leaf);
				*leaf = NULL;
			}
			mmun_soft_pte_set(copy->to, walk->address, copy_small(copy, walk));
		}
		mmun_soft_walk_advance(walk);
	}
}

/* A leaf for the child is needed either way: for small entries, or to be deposited. */
static int copy_piece(struct copy *copy, unsigned long start, unsigned long end)
{
	struct soft_walk walk = {
		.mm = copy->from,
		.address = start,
		.end = end,
		.whole = true,
	};
	struct soft_table *leaf;
	struct page *own = NULL;

	if (mmun_soft_pmd_make(copy->to, start))
		return -ENOMEM;
	leaf = mmun_soft_leaf_alloc();
	if (!leaf)
		return -ENOMEM;
	if (copy->hugetlb)
		own = mmun_soft_huge_alloc(copy->child, start);
	if (copy->hugetlb && !own) {
		mmun_free(leaf);
		return -ENOMEM;
	}
	lock_both(copy);
	copy_pte_range(copy, &walk, &leaf, &own);
	unlock_both(copy);
	mmun_free(leaf);
	return 0;
}

/* The first address at or above @start with an entry; @end: none. */
static unsigned long next_used(struct soft_mm *mm, unsigned long start, unsigned long end)
{
	struct soft_walk walk = { .mm = mm, .address = start, .end = end };
	bool found;

	mmun_mutex_lock(&mm->page_table_lock);
	found = mmun_soft_walk_find(&walk);
	mmun_mutex_unlock(&mm->page_table_lock);
	return found ? walk.address : end;
}

static int copy_page_range(struct copy *copy, unsigned long start, unsigned long end)
{
	unsigned long stop;
	int ret;

	while ((start = next_used(copy->from, start, end)) < end) {
		stop = soft_huge_start(start) + MMUN_SOFT_HUGE_SIZE;
		if (stop > end)
			stop = end;
		ret = copy_piece(copy, start, stop);
		if (ret)
			return ret;
		start = stop;
	}
	return 0;
}

static int copy_in_section(struct copy *copy)
{
	struct soft_vma *vma = copy->parent;
	struct soft_section section;
	int ret;

	mmun_soft_section_start(&section, vma->v.vm_mm, MMU_NOTIFY_PROTECTION_PAGE, MMUN_OP_FORK,
				vma->v.vm_start, vma->v.vm_end, false);
	ret = copy_page_range(copy, vma->v.vm_start, vma->v.vm_end);
	mmun_soft_section_end(&section, false);
	return ret;
}

/* Shared: no right changes in the parent, but its entries may be split. */
static int copy_as_change(struct copy *copy)
{
	struct soft_vma *vma = copy->parent;
	struct soft_change change;
	int ret;

	mmun_soft_change_begin(&change, vma->v.vm_mm);
	ret = copy_page_range(copy, vma->v.vm_start, vma->v.vm_end);
	mmun_soft_change_end(&change, vma->v.vm_mm);
	return ret;
}

/* As Linux decides: a mapping that a fault can fill again is not worth copying. */
static bool vma_needs_copy(const struct soft_vma *vma)
{
	return vma->anon_vma || vma->v.vm_flags & (VM_NONLINEAR | VM_PFNMAP | VM_MIXEDMAP);
}

int mmun_soft_copy(struct soft_vma *parent, struct soft_vma *child)
{
	struct copy copy = {
		.parent = parent,
		.child = child,
		.from = soft_vma_mm(parent),
		.to = soft_vma_mm(child),
		.soft = soft_vma_mm(parent)->soft,
		.cow = soft_vma_cow(parent),
		.hugetlb = parent->v.vm_flags & VM_HUGETLB,
	};
	int ret;

	if (!vma_needs_copy(parent))
		return 0;
	if (!copy.cow)
		return copy_as_change(&copy);
	mmun_dlist_init(&copy.frames);
	ret = get_frames(&copy);
	if (ret)
		return ret;
	ret = copy_in_section(&copy);
	put_frames(&copy);
	return ret;
}
