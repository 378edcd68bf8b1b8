/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From a page to the VMAs that may map it.
 *
 * Anonymous pages: each VMA that has one points to an anon_vma; fork gives the
 * child's VMA its own anon_vma and also enters it into all of the parent's, so a
 * page is found in every descendant.  All anon_vmas of one ancestry share the lock of
 * the root, the one that has no parent.
 * Merged pages: found as each of the anonymous pages that they were before.
 * File pages: the file's address_space has an interval tree of its VMAs.
 *
 * anon_vma.c, file.c (files, i_mmap), cache.c (page cache), merged.c, rmap.c (walks), unmap.c.
 * Tests: tests/unit/soft/{anon_vma,rmap,merged,file,memfd}.c.
 */
#ifndef MMUN_SOFT_RMAP_RMAP_H
#define MMUN_SOFT_RMAP_RMAP_H

#include "frame/page.h"
#include "table/table.h"
#include "types.h"

/* All: mmap lock held, for write unless said. */
/* Read suffices: gives @vma an anon_vma if it has none, a neighbour's if they could merge.  -ENOMEM. */
int mmun_soft_anon_prepare(struct soft_vma *vma);
/* Enters @to, which is in none, into all that @from is in (split, move, merge into a VMA that
 * has none) and sets ->anon_vma.  -ENOMEM: nothing. */
int mmun_soft_anon_clone(struct soft_vma *to, struct soft_vma *from);
/* fork; sets @child->anon_vma, whatever it was. */
int mmun_soft_anon_fork(struct soft_vma *child, struct soft_vma *parent);
void mmun_soft_anon_unlink(struct soft_vma *vma);
/* Around a change of vm_start, vm_end, vm_pgoff of a linked VMA (split, merge, grow): takes
 * the i_mmap lock and the anon root lock, takes the VMA out of both trees; end puts it back and unlocks.
 * Order: i_mmap, then anon_vma (B3: else it deadlocks with mm_lock).  @next: a second VMA that changes with it, or NULL; the same
 * two at both ends.  One that has become empty stays out of both trees: unlinking it later is fine.
 * VM_NONLINEAR may change in between. */
void mmun_soft_rmap_change_begin(struct soft_vma *vma, struct soft_vma *next);
void mmun_soft_rmap_change_end(struct soft_vma *vma, struct soft_vma *next);
/* Both classes for write, the VMA's trees as they are: around the moving of entries to a VMA that
 * a walk may visit before this one (mremap into a merged neighbour), outside its section. */
void mmun_soft_rmap_lock(struct soft_vma *vma);
void mmun_soft_rmap_unlock(struct soft_vma *vma);
/* Could the two be one VMA as far as anon_vmas go (see vma.h)?  Either may be NULL: has none. */
bool mmun_soft_anon_mergeable(const struct soft_vma *a, const struct soft_vma *b);
void mmun_soft_anon_get(struct anon_vma *anon_vma);
void mmun_soft_anon_put(struct anon_vma *anon_vma);

/* page->flags ANON and SWAPBACKED, ->anon_vma, ->index, for a page about to be mapped at @address first. */
void mmun_soft_page_set_anon(struct page *page, struct soft_vma *vma, unsigned long address);

/* Without sources, and in no table; NULL: no memory. */
struct soft_merged *mmun_soft_merged_alloc(void);
void mmun_soft_merged_free(struct soft_merged *merged);
/* Page lock of the merged page held: entries that are found as the anonymous @page's belong to
 * it from now on.  0, -ENOMEM. */
int mmun_soft_merged_add(struct soft_merged *merged, const struct page *page);
struct soft_source *mmun_soft_source_first(const struct soft_merged *merged);
struct soft_source *mmun_soft_source_next(const struct soft_source *source);

/* Files. */
/* Link and unlink of a file VMA, i_mmap_lock taken inside. */
void mmun_soft_mapping_add(struct soft_vma *vma);
void mmun_soft_mapping_remove(struct soft_vma *vma);
/* The same, i_mmap_lock held for write; @vma may be NULL. */
void mmun_soft_mapping_link(struct address_space *mapping, struct soft_vma *vma);
void mmun_soft_mapping_unlink(struct address_space *mapping, struct soft_vma *vma);

/* The page at @index with a reference, read in or made when missing (M2: waits for frames); caller holds
 * invalidate_lock for read.  NULL and *@error = -ENOMEM, or -ERANGE beyond the end. */
struct page *mmun_soft_cache_get(struct address_space *mapping, unsigned long index, int *error);
/* The same, the end of the file not minding; NULL: no memory. */
struct page *mmun_soft_cache_make(struct address_space *mapping, unsigned long index);
/* Only if it is there. */
struct page *mmun_soft_cache_find(struct address_space *mapping, unsigned long index);
/* Page locked, unmapped: freezes it, @expected references including the cache's own, and takes it out,
 * leaving @swap_slot (shmem; 0 none), whose reference passes to the cache.  The caller unlocks
 * it and calls mmun_soft_page_free_frozen().  False: somebody has a reference, or a page of a regular
 * file is dirty again; nothing done. */
bool mmun_soft_cache_remove(struct page *page, int expected, unsigned long swap_slot);
/* Both locked, @from unmapped: @to takes its place, contents and dirty state, and a reference of the
 * cache (migration, KSM never); @from loses the cache's reference, keeps the caller's.  @expected as
 * above; false if referenced, nothing done.  @to is not on the LRU. */
bool mmun_soft_cache_replace(struct page *from, struct page *to, int expected);
/* Truncate and the last put: out of the cache, whatever references there are. */
void mmun_soft_cache_drop(struct page *page);
/* Everything cached, swapped or stored from @first to @last goes. */
void mmun_soft_cache_drop_range(struct address_space *mapping, unsigned long first,
				unsigned long last);
/* The first page cached at or above *@index with a reference, and *@index where it is; NULL. */
struct page *mmun_soft_cache_next(struct address_space *mapping, unsigned long *index);
/* Is there anything but zeros at @index: cached, swapped or stored? */
bool mmun_soft_cache_holds(struct address_space *mapping, unsigned long index);
/* Page locked: to the store.  The caller has cleared DIRTY before, so that a write which comes while
 * this copies makes it dirty again.  Regular files only.  Cannot fail: a cached page has its place in
 * the store. */
void mmun_soft_store_page(struct page *page);

/* rmap.c.  The walk holds the reverse-map lock for read and calls @visit for each (VMA, address) that may map
 * @page; page locked (or the caller otherwise keeps its mapping stable).  @visit opens the section. */
void mmun_soft_rmap_walk(struct page *page,
			 bool (*visit)(struct soft_vma *vma, unsigned long address, void *arg),
			 void *arg);

/* The same for a walk that looks for @entries_name in the entries, while @page says where to look (migration). */
void mmun_soft_rmap_walk_for(struct page *page, const struct page *entries_name,
			     bool (*visit)(struct soft_vma *vma, unsigned long address, void *arg),
			     void *arg);
/* Does @address map @page right now?  Takes the page_table_lock; *@value what is there. */
bool mmun_soft_entry_maps(struct soft_vma *vma, unsigned long address, const struct page *page,
			  soft_pte *value);
static inline bool soft_pte_maps(soft_pte value, const struct page *page)
{
	return value & (SOFT_PTE_PRESENT | SOFT_PTE_DEVICE) && !soft_pte_special(value) &&
	       soft_pte_number(value) == mmun_soft_page_pfn(page);
}

/* Was it used since the last look?  Entries' young bits and clear_flush_young of every
 * notifier (outside the page_table_lock; S9: all are asked); page locked.  Count of young mappings. */
unsigned int mmun_soft_page_referenced(struct page *page);
/* Unmaps everywhere, a section (CLEAR, @op) per mapping.  Entry replaced: nothing for file
 * pages, swap slot @slot for anonymous ones (one slot reference per entry), or a migration entry
 * when @migrate.  Skips locked VMAs unless @migrate, and pinned pages.  Anonymous with @slot 0 and not
 * @migrate: entries of a page that MADV_FREE gave up become empty, if it is still clean and nobody but the caller
 * (one reference) and its entries holds it.  True if nobody maps it any more. */
bool mmun_soft_try_to_unmap(struct page *page, enum mmun_op op, bool migrate, unsigned long slot);
/* The way back of @migrate: entries that name @old now map @new, which may be @old.  Both locked.
 * An anonymous @new becomes @old's heir here, a file page in mmun_soft_cache_replace(),
 * a merged one before. */
void mmun_soft_remove_migration(struct page *old, struct page *new);
/* Write-protects shared mappings of a file page (PROTECTION_PAGE, MMUN_OP_MKCLEAN, one section
 * per shared mapping that covers it); what the dirty bits said is for the caller to store.  True if any
 * was dirty. */
bool mmun_soft_page_mkclean(struct page *page);
/* Unmaps file pages first..last from every VMA: a section per VMA (CLEAR, @op).  invalidate_lock held for write.
 * @private_too: truncate also drops private copies. */
void mmun_soft_unmap_mapping(struct address_space *mapping, unsigned long first, unsigned long last,
			     bool private_too, enum mmun_op op);

#endif
