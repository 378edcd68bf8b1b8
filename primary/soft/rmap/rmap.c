/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From a page to its entries: the walk, ageing, and write protection for writeback.
 *
 * I1  A walk holds the reverse-map lock for read, so the VMAs it visits stay where they
 *     are.  It visits places where the page may be; what changes an entry looks at
 *     it under the page_table_lock, inside a change of the mm, and one mm at a time.
 * I2  Notifiers are asked and notified without the page_table_lock, for the same
 *     reason that the lock is the innermost: a driver may access memory with its own
 *     lock held.
 * I3  A section is opened only for an entry that was seen to need it.
 *
 * Not here: taking entries away (unmap.c).  Tests: tests/unit/soft/rmap.c.
 */
#include "frame/page.h"
#include "rmap/rmap.h"
#include "section.h"
#include "table/table.h"

struct walk {
	unsigned long index;
	const struct page *named; /* what the entries name */
	bool (*visit)(struct soft_vma *vma, unsigned long address, void *arg);
	void *arg;
};

static inline unsigned long address_of(const struct soft_vma *vma, unsigned long index)
{
	return vma->v.vm_start + ((index - vma->v.vm_pgoff) << MMUN_SOFT_PAGE_SHIFT);
}

static bool walk_anon(struct anon_vma *anon_vma, unsigned long index, const struct walk *walk)
{
	struct mmun_rwlock *lock = &anon_vma->root->lock.lock;
	struct mmun_interval *it;
	bool more = true;

	mmun_rwlock_read_lock(lock);
	mmun_for_each_interval(it, &anon_vma->chains, index, index) {
		struct soft_vma *vma = mmun_container_of(it, struct anon_vma_chain, interval)->vma;

		more = walk->visit(vma, address_of(vma, index), walk->arg);
		if (!more)
			break;
	}
	mmun_rwlock_read_unlock(lock);
	return more;
}

/* An entry may be visited more than once: as in Linux, by way of its own source and of
 * an ancestor's. */
static void walk_merged(const struct soft_merged *merged, const struct walk *walk)
{
	struct soft_source *source = mmun_soft_source_first(merged);

	while (source && walk_anon(source->anon_vma, source->index, walk))
		source = mmun_soft_source_next(source);
}

/* In a nonlinear VMA any entry may name the page. */
struct search {
	const struct page *page;
	unsigned long address;
};

static int is_it(unsigned long address, soft_pte value, void *arg)
{
	struct search *search = arg;

	if (!(value & (SOFT_PTE_PRESENT | SOFT_PTE_MIGRATION)) || soft_pte_special(value) ||
	    soft_pte_number(value) != mmun_soft_page_pfn(search->page))
		return 0;
	search->address = address;
	return 1;
}

static bool walk_nonlinear(struct soft_vma *vma, const struct walk *walk)
{
	struct search search = { .page = walk->named };
	unsigned long from = vma->v.vm_start;

	while (mmun_soft_for_each_entry(soft_vma_mm(vma), from, vma->v.vm_end, is_it, &search)) {
		if (!walk->visit(vma, search.address, walk->arg))
			return false;
		from = search.address + MMUN_SOFT_PAGE_SIZE;
	}
	return true;
}

static bool walk_linear(struct address_space *mapping, const struct walk *walk)
{
	struct mmun_interval *it;

	mmun_for_each_interval(it, &mapping->i_mmap, walk->index, walk->index) {
		struct soft_vma *vma = mmun_container_of(it, struct soft_vma, i_mmap);

		if (!walk->visit(vma, address_of(vma, walk->index), walk->arg))
			return false;
	}
	return true;
}

static void walk_file(struct address_space *mapping, const struct walk *walk)
{
	struct mmun_dlist *node;

	mmun_rwlock_read_lock(&mapping->i_mmap_lock.lock);
	if (!walk_linear(mapping, walk))
		goto unlock;
	mmun_dlist_for_each(node, &mapping->nonlinear) {
		if (!walk_nonlinear(mmun_container_of(node, struct soft_vma, nonlinear), walk))
			break;
	}
unlock:
	mmun_rwlock_read_unlock(&mapping->i_mmap_lock.lock);
}

void mmun_soft_rmap_walk_for(struct page *page, const struct page *entries_name,
			     bool (*visit)(struct soft_vma *vma, unsigned long address, void *arg),
			     void *arg)
{
	const struct walk walk = { page->index, entries_name, visit, arg };

	if (soft_page_test(page, SOFT_PAGE_KSM))
		walk_merged(page->merged, &walk);
	else if (soft_page_test(page, SOFT_PAGE_ANON))
		walk_anon(page->anon_vma, page->index, &walk);
	else if (page->mapping)
		walk_file(page->mapping, &walk);
}

void mmun_soft_rmap_walk(struct page *page,
			 bool (*visit)(struct soft_vma *vma, unsigned long address, void *arg),
			 void *arg)
{
	mmun_soft_rmap_walk_for(page, page, visit, arg);
}

bool mmun_soft_entry_maps(struct soft_vma *vma, unsigned long address, const struct page *page,
			  soft_pte *value)
{
	struct soft_mm *mm = soft_vma_mm(vma);

	mmun_mutex_lock(&mm->page_table_lock);
	*value = mmun_soft_pte_value(mm, address);
	mmun_mutex_unlock(&mm->page_table_lock);
	return soft_pte_maps(*value, page);
}

/* Ageing. */

struct look {
	struct page *page;
	unsigned int young;
};

/* One bit stands for 512 pages, and is lost to the others: they get a second chance each. */
static void share_young(struct page *page, unsigned long address)
{
	const unsigned long part = address >> MMUN_SOFT_PAGE_SHIFT & (MMUN_SOFT_HUGE_PAGES - 1);

	for (unsigned long i = 0; i < MMUN_SOFT_HUGE_PAGES; i++) {
		if (i != part)
			soft_page_set(page - part + i, SOFT_PAGE_REFERENCED);
	}
}

/* page_table_lock held. */
static bool clear_young_bit(struct soft_mm *mm, unsigned long address, struct page *page,
			    soft_pte value)
{
	if (!(value & SOFT_PTE_YOUNG))
		return false;
	if (!soft_pte_huge(value)) {
		mmun_soft_pte_set(mm, address, value & ~SOFT_PTE_YOUNG);
		return true;
	}
	mmun_soft_pmd_set(mm, address, *mmun_soft_pmd(mm, address) & ~SOFT_PTE_YOUNG);
	share_young(page, address);
	return true;
}

bool mmun_soft_test_and_clear_young(struct mm_struct *mm, unsigned long address)
{
	struct soft_mm *sm = soft_mm(mm);
	struct soft_change change;
	bool young = false;
	soft_pte value = 0;

	mmun_soft_change_begin(&change, mm);
	mmun_mutex_lock(&sm->page_table_lock);
	/* The tables know only the lower bits of an address. */
	if (!sm->dead && address < MMUN_SOFT_TASK_SIZE)
		value = mmun_soft_pte_value(sm, address);
	if (value & SOFT_PTE_PRESENT)
		young = clear_young_bit(sm, address & MMUN_SOFT_PAGE_MASK, soft_pte_page(sm, value),
					value);
	mmun_mutex_unlock(&sm->page_table_lock);
	mmun_soft_change_end(&change, mm);
	return young;
}

static int ask_notifiers(struct mm_struct *mm, unsigned long address, struct page *page, bool huge)
{
	const unsigned long size = huge ? MMUN_SOFT_HUGE_SIZE : MMUN_SOFT_PAGE_SIZE;
	const unsigned long start = address & ~(size - 1);
	int young = mmu_notifier_clear_flush_young(mm, start, start + size);

	if (young && huge)
		share_young(page, address);
	return young;
}

static bool look_at(struct soft_vma *vma, unsigned long address, void *arg)
{
	struct soft_mm *mm = soft_vma_mm(vma);
	struct look *look = arg;
	struct soft_change change;
	bool young = false, maps;
	soft_pte value;

	mmun_soft_change_begin(&change, mm->mm);
	mmun_mutex_lock(&mm->page_table_lock);
	value = mmun_soft_pte_value(mm, address);
	maps = soft_pte_maps(value, look->page);
	if (maps)
		young = clear_young_bit(mm, address, look->page, value);
	mmun_mutex_unlock(&mm->page_table_lock);
	if (maps)
		young |= ask_notifiers(mm->mm, address, look->page, soft_pte_huge(value));
	mmun_soft_change_end(&change, mm->mm);
	look->young += young;
	return true;
}

unsigned int mmun_soft_page_referenced(struct page *page)
{
	struct look look = { page, 0 };

	mmun_soft_rmap_walk(page, look_at, &look);
	return look.young;
}

/* Writeback. */

struct clean {
	struct page *page;
	bool dirty;
};

/* page_table_lock held; false: there is nothing to take away any more. */
static bool protect_entry(struct soft_mm *mm, unsigned long address, struct clean *clean)
{
	soft_pte value = mmun_soft_pte_value(mm, address);

	if (!soft_pte_maps(value, clean->page) || !(value & (SOFT_PTE_WRITE | SOFT_PTE_DIRTY)))
		return false;
	mmun_soft_pte_set(mm, address, value & ~(SOFT_PTE_WRITE | SOFT_PTE_DIRTY));
	mmun_soft_flush_page(mm, address);
	clean->dirty |= !!(value & SOFT_PTE_DIRTY);
	return true;
}

static bool clean_entry(struct soft_vma *vma, unsigned long address, void *arg)
{
	struct soft_mm *mm = soft_vma_mm(vma);
	struct clean *clean = arg;
	struct soft_section section;
	bool changed;

	/* As in Linux each shared mapping of the page has a section, whatever its entry says. */
	if (!(mmun_load_relaxed(&vma->v.vm_flags) & VM_SHARED))
		return true;
	mmun_soft_section_start(&section, mm->mm, MMU_NOTIFY_PROTECTION_PAGE, MMUN_OP_MKCLEAN,
				address, address + MMUN_SOFT_PAGE_SIZE, false);
	mmun_mutex_lock(&mm->page_table_lock);
	changed = protect_entry(mm, address, clean);
	mmun_mutex_unlock(&mm->page_table_lock);
	mmun_soft_section_end(&section, !changed);
	return true;
}

bool mmun_soft_page_mkclean(struct page *page)
{
	struct clean clean = { page, false };

	if (soft_page_mapcount(page))
		mmun_soft_rmap_walk(page, clean_entry, &clean);
	return clean.dirty;
}
