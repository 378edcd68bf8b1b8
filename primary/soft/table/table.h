/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Page tables: four levels of 512 entries, 4 KiB leaves and 2 MiB entries.
 *
 * An entry is a plain word, read and written under the page_table_lock:
 *
 *   0                      nothing (an anonymous or linear file page by default)
 *   PRESENT                frame number << 12 | flags; with NO_ACCESS the frame is kept
 *                          for when mprotect() gives rights back, and nobody reads it
 *   PRESENT | SPECIAL      the same of a driver's, with the frame's generation above its number: what
 *                          asks for the page of a mapping finds none, and nothing is counted
 *   SWAP | slot << 12      in the swap store
 *   MIGRATION | pfn << 12  being migrated; WRITE, NO_ACCESS say what it was
 *   DEVICE | pfn << 12     only a device reaches the page, which is in its private memory or lent to
 *                          it: maps it and holds a reference like a present one, but a
 *                          processor that comes here faults
 *   NONLINEAR | pgoff<<12  not present; the file page remap_file_pages() chose
 *
 * table.c (walk, make, free), zap.c, protect.c, move.c, split.c.
 * Tests: tests/unit/soft/table.c, tests/unit/soft/huge.c.
 *
 * Functions that change entries are called inside a change (M1: it holds ->changes) with the
 * page_table_lock NOT held, and take it themselves, unless said otherwise.
 * They call no notifier: the caller's section does.
 */
#ifndef MMUN_SOFT_TABLE_TABLE_H
#define MMUN_SOFT_TABLE_TABLE_H

#include "frame/page.h"
#include "types.h"

static inline soft_pte soft_pte_make(const struct page *page, soft_pte flags)
{
	flags |= soft_page_test(page, SOFT_PAGE_PRIVATE) ? SOFT_PTE_DEVICE : SOFT_PTE_PRESENT;
	return mmun_soft_page_pfn(page) << SOFT_PTE_SHIFT | flags;
}

/* What an entry takes through a migration. */
#define SOFT_PTE_KEPT \
	(SOFT_PTE_WRITE | SOFT_PTE_DIRTY | SOFT_PTE_SOFT_DIRTY | SOFT_PTE_EXCLUSIVE | \
	 SOFT_PTE_NO_ACCESS)

/* Is the page that @value names one of the machine, lent to a device? */
static inline bool soft_pte_lent(const struct page *page, soft_pte value)
{
	return value & SOFT_PTE_DEVICE && !soft_page_test(page, SOFT_PAGE_PRIVATE);
}

static inline soft_pte soft_pte_lend(soft_pte value)
{
	return (value & (SOFT_PTE_KEPT | ~((1ull << SOFT_PTE_SHIFT) - 1))) | SOFT_PTE_DEVICE;
}

/* And as it was; written, as far as anybody can say. */
static inline soft_pte soft_pte_return(soft_pte value)
{
	if (value & SOFT_PTE_WRITE)
		value |= SOFT_PTE_DIRTY | SOFT_PTE_SOFT_DIRTY;
	return (value & ~SOFT_PTE_DEVICE) | SOFT_PTE_PRESENT;
}

/* What takes the place of @value, which maps @page, while that is on its way. */
static inline soft_pte soft_pte_migration(const struct page *page, soft_pte value)
{
	return (soft_pte)mmun_soft_page_pfn(page) << SOFT_PTE_SHIFT | SOFT_PTE_MIGRATION |
	       (value & SOFT_PTE_KEPT);
}

/* What each entry of @vma says besides: only a forced access faults in where there is no right. */
static inline soft_pte soft_no_access(const struct soft_vma *vma)
{
	return vma->v.vm_flags & SOFT_VM_ACCESS ? 0 : SOFT_PTE_NO_ACCESS;
}

/* The same translation?  Processors set the other bits of a present entry at any time. */
static inline bool soft_pte_same(soft_pte a, soft_pte b)
{
	const soft_pte set = SOFT_PTE_YOUNG | SOFT_PTE_DIRTY | SOFT_PTE_SOFT_DIRTY;

	return !((a ^ b) & (a & SOFT_PTE_PRESENT ? ~set : ~0ull));
}

static inline struct page *soft_pte_page(const struct soft_mm *mm, soft_pte pte)
{
	return mmun_soft_pfn_page(mm->soft, soft_pte_number(pte));
}

static inline soft_pte soft_pte_make_special(const struct page *page, soft_pte flags)
{
	const soft_pte generation = mmun_load_acquire(&page->generation);

	return SOFT_PTE_SPECIAL |
	       (generation & SOFT_PTE_GENERATION_MASK) << SOFT_PTE_GENERATION_SHIFT |
	       (soft_pte)mmun_soft_page_pfn(page) << SOFT_PTE_SHIFT | SOFT_PTE_PRESENT | flags;
}

/* Has the frame that a special entry names been freed since? */
static inline bool soft_pte_stale(const struct soft_mm *mm, soft_pte pte)
{
	const struct page *page = soft_pte_page(mm, pte);

	return soft_page_test(page, SOFT_PAGE_FREE) ||
	       (mmun_load_acquire(&page->generation) & SOFT_PTE_GENERATION_MASK) !=
		       soft_pte_generation(pte);
}

static inline bool soft_page_anon(const struct page *page)
{
	return soft_page_test(page, SOFT_PAGE_ANON | SOFT_PAGE_KSM);
}

/* All under the page_table_lock: */

/* The 4 KiB entry of @address, or NULL when there is no leaf (nothing there, or a huge entry). */
soft_pte *mmun_soft_pte(struct soft_mm *mm, unsigned long address);
/* The level 1 entry of @address, or NULL. */
soft_pte *mmun_soft_pmd(struct soft_mm *mm, unsigned long address);
/* What maps @address: a 4 KiB entry, or for a huge one the entry that its part would
 * have (PRESENT|HUGE|flags, frame of that part); 0. */
soft_pte mmun_soft_pte_value(struct soft_mm *mm, unsigned long address);
/* Stores into a slot that mmun_soft_pte_make()/pmd_make() prepared; keeps ->used.
 * pmd_set changes the flags of a huge entry; one comes to be by pmd_set_huge(), which takes over
 * an empty @leaf, and goes by pmd_clear_huge(), which gives it back. */
void mmun_soft_pte_set(struct soft_mm *mm, unsigned long address, soft_pte value);
void mmun_soft_pmd_set(struct soft_mm *mm, unsigned long address, soft_pte value);
void mmun_soft_pmd_set_huge(struct soft_mm *mm, unsigned long address, soft_pte value,
			    struct soft_table *leaf);
struct soft_table *mmun_soft_pmd_clear_huge(struct soft_mm *mm, unsigned long address);
/* The leaf itself: in (where nothing was), and out. */
void mmun_soft_leaf_set(struct soft_mm *mm, unsigned long address, struct soft_table *leaf);
struct soft_table *mmun_soft_leaf_take(struct soft_mm *mm, unsigned long address);
/* Not under it: leaves that a zap of all of them, in [start, end), has left empty. */
void mmun_soft_leaves_emptied(struct soft_mm *mm, unsigned long start, unsigned long end);
/* A huge entry becomes 512 small ones that say the same. */
void mmun_soft_pmd_split(struct soft_mm *mm, unsigned long address);

/* Not under it: make the tables above @address's leaf entry (or huge entry), so that
 * mmun_soft_pte()/pmd() will not be NULL.  0 or -ENOMEM.  In any context (plain memory,
 * no reclaim).  mmun_soft_pte_make() over a huge entry: -EEXIST. */
int mmun_soft_pte_make(struct soft_mm *mm, unsigned long address);
int mmun_soft_pmd_make(struct soft_mm *mm, unsigned long address);
/* An empty leaf in no table; mmun_free() it.  NULL: no memory. */
struct soft_table *mmun_soft_leaf_alloc(void);

int mmun_soft_tables_create(struct soft_mm *mm);
/* Frees the tables that lie wholly in [start, end) where no VMA is left; mmap lock for write. */
void mmun_soft_tables_free(struct soft_mm *mm, unsigned long start, unsigned long end);
void mmun_soft_tables_destroy(struct soft_mm *mm);

/*
 * Calls @visit(address, value, arg) under the page_table_lock for each present, swap, migration,
 * device or nonlinear entry in [start, end), in order; a huge one once with its first address in the
 * range; stops at nonzero and returns it.
 */
int mmun_soft_for_each_entry(struct soft_mm *mm, unsigned long start, unsigned long end,
			     int (*visit)(unsigned long address, soft_pte value, void *arg),
			     void *arg);

/*
 * The same for changing entries: from ->address on, which the caller moves by
 * mmun_soft_walk_advance(), to ->end.  One page_table_lock hold, or start again with find.
 */
struct soft_walk {
	struct soft_mm *mm;
	unsigned long address, end;
	/* A huge entry that lies only partly in the range is split (quietly: what it
	 * maps stays the same), so that one which is found lies wholly in it. */
	bool whole;
	/* Found: */
	struct soft_table *table; /* level 0, or 1 for a huge entry */
	soft_pte *entry;
};

/* The first entry that is not 0 at or above ->address; false: none before ->end. */
bool mmun_soft_walk_find(struct soft_walk *walk);
/* Changes it: level 0 to anything, a huge one to another huge one. */
void mmun_soft_walk_set(struct soft_walk *walk, soft_pte value);

static inline bool soft_walk_huge(const struct soft_walk *walk)
{
	return walk->table->level;
}

static inline unsigned long soft_walk_size(const struct soft_walk *walk)
{
	return soft_walk_huge(walk) ? MMUN_SOFT_HUGE_SIZE : MMUN_SOFT_PAGE_SIZE;
}

static inline void mmun_soft_walk_advance(struct soft_walk *walk)
{
	unsigned long size = soft_walk_size(walk);

	walk->address = (walk->address & ~(size - 1)) + size;
}

/* zap.c: empty [start, end) of @vma; references, map counts, swap slots dropped after
 * the entries are gone; dirty and young go to the pages.
 * @first..@last: only file pages with such an index (0, ULONG_MAX for all); in a nonlinear
 * VMA the entry says which.  @private_too: also anonymous copies in a private file mapping.
 * Huge entries that are only partly in the range must have been split before. */
struct soft_zap {
	unsigned long first, last;
	bool keep_private;   /* punch and reclaim leave private copies, truncate does not */
	bool keep_nonlinear; /* do not forget which page a nonlinear entry chose: it faults again */
};
/* @how NULL: everything. */
void mmun_soft_zap(struct soft_vma *vma, unsigned long start, unsigned long end,
		   const struct soft_zap *how);
/* MADV_FREE: private anonymous pages become clean, and reclaim may drop those that stay so;
 * swapped ones are dropped at once. */
void mmun_soft_zap_lazily(struct soft_vma *vma, unsigned long start, unsigned long end);

/* protect.c: mprotect; takes write away, and only a fault gives it back.  NO_ACCESS as
 * the VMA's flags say now, by which faults decide what is allowed; the bit is for the checker. */
void mmun_soft_protect(struct soft_vma *vma, unsigned long start, unsigned long end);
/* Clears soft-dirty and write; pinned pages of a private mapping keep both, as in Linux. */
void mmun_soft_protect_soft_dirty(struct soft_vma *vma, unsigned long start, unsigned long end);

/* move.c: mremap; mmap lock for write.  @to is a VMA over new_start..., where nothing is.
 * 0 and all is moved, or -ENOMEM and nothing is; *@moved says so in bytes. */
int mmun_soft_move(struct soft_vma *from, unsigned long old_start, struct soft_vma *to,
		   unsigned long new_start, unsigned long length, unsigned long *moved);

/* split.c.  All with the mmap lock or a reverse-map lock held, outside of a change: they open
 * their own section (MMU_NOTIFY_CLEAR, MMUN_OP_HUGE_SPLIT, the whole 2 MiB). */
/* A huge entry at @address becomes 512 small ones; 0, also when there is none. */
int mmun_soft_split_huge(struct soft_vma *vma, unsigned long address);
/* Split those that [start, end) covers only in part. */
int mmun_soft_split_huge_edges(struct soft_vma *vma, unsigned long start, unsigned long end);
#endif
