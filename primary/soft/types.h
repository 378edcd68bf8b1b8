/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a machine and an address space consist of: the structs that every floor of this
 * folder knows, and what can be asked of one alone.
 *
 * The picture, outermost lock first; while a thread holds a lock it takes only
 * ones further down:
 *
 *   mmap lock of an mm          layout; read: faults, write: changes of VMAs
 *   file->io_lock               size changes and writes by descriptor
 *   mapping->invalidate_lock    read: a fault looks a file page up and maps it;
 *                               write: truncate and punch, so no fault brings back
 *                               what they drop
 *   page lock (a bit)           the right to change page->mapping, to free or replace it
 *   mapping->i_mmap_lock        which VMAs map a file; read for walks
 *   anon_vma root lock          which VMAs may map an anonymous page; read for walks
 *   mm->changes                 read: every change of a page table entry
 *   mm->page_table_lock         the entries themselves, and data accesses of processors
 *   mapping->pages_lock         what page is where in a file
 *   zone lock                   free frames and the LRU
 *   swap lock, slot locks       swap store
 *
 * Rules that keep this free of deadlocks, each checked in debug builds:
 * M1  Every change of an entry holds the mm's ->changes for reading, and besides the
 *     mmap lock or the reverse-map lock through which the entry was found.  So mm_lock()
 *     has two ways to exclude them all: ->changes for writing, or all those locks.
 * M2  Inside a change nothing waits for a frame, the mmap lock, a page lock or a
 *     reverse-map lock: frames are allocated before (allocation reclaims, and
 *     reclaim makes changes).  No frame is allocated under a reverse-map lock either.
 * M3  As in Linux callbacks for flushes run under the page_table_lock, and no others: a driver's
 *     lock that only those others take may be held around mmun_soft_device_read(), which takes it.
 * M4  A frame with page->mapping set to an anon_vma holds a reference to it, a
 *     merged one to each that it is found through; a file page's mapping is stable
 *     under the page lock.
 * M5  A thread inside a change of one mm begins none of another's.  Not so, and not checked, a driver
 *     that takes entries away from another mm in a callback (mmun_soft_zap_vma_ptes()): if that is
 *     done in both directions at once, an mm_lock() of each of the two could keep both waiting.
 */
#ifndef MMUN_SOFT_TYPES_H
#define MMUN_SOFT_TYPES_H

#include <mmunotify/primary.h>
#include <mmunotify/soft.h>
#include <mmunotify/soft_device.h>

#include "atomic.h"
#include "interval_tree.h"
#include "list.h"
#include "lock.h"
#include "percpu_rwsem.h"
#include "tree.h"

struct anon_vma;
struct page;
struct soft_index_node; /* frame/index_map.c */
struct soft_ksm;        /* reclaim/ksm.c */
struct soft_swap;       /* frame/swap.c */
struct soft_zone;       /* frame/zone.c */

/* What a lower floor asks of a higher one; machine.c has the only one. */
struct soft_upcalls {
	/* mm.c: of every address space. */
	const struct mmun_primary_ops *primary;
	/* frame/zone.c, when no frame is free: pages that were freed, at most @nr. */
	size_t (*reclaim)(struct mmun_soft *soft, size_t nr);
	/* frame/page.c: an anonymous page's, or a merged one's, last reference went. */
	void (*anon_put)(struct anon_vma *anon_vma);
	void (*ksm_forget)(struct page *page);
	/* fault/gup.c: a page of coherent memory is wanted for long. */
	int (*leave_device)(struct page *page);
};

/* Where the bytes of frames are: frame/bytes.c. */
struct soft_bytes {
	char *start; /* of frame 0 */
	void *mapping;
	size_t mapping_size;
	int fd; /* ours, or -1 */
};

/* The machine. */
struct mmun_soft {
	const struct soft_upcalls *upcalls;
	struct mmun_soft_params params;
	struct soft_zone *zone;
	struct soft_swap *swap;
	struct soft_ksm *ksm;
	struct page *device_pages; /* frame/device.c; NULL until a device has memory */
	struct soft_bytes bytes;

	/* Which address spaces, files and memory of devices exist. */
	struct mmun_mutex list_lock; /* MMUN_RANK_SOFT_LIST */
	struct mmun_dlist mms;       /* soft_mm.link */
	struct mmun_dlist files;     /* soft_file.link */
	unsigned int nr_mms;         /* structs not freed yet, more than the list has */

	/* mm_lock() by marks: one task at a time, machine wide. */
	struct mmun_mutex all_locks; /* MMUN_RANK_SOFT_ALL_LOCKS */

	struct mmun_soft_stats stats;
};

#define soft_stat_inc(soft, field)    ((void)mmun_add_relaxed(&(soft)->stats.field, 1))
#define soft_stat_add(soft, field, n) ((void)mmun_add_relaxed(&(soft)->stats.field, (n)))

static inline unsigned long soft_min(unsigned long a, unsigned long b)
{
	return a < b ? a : b;
}

static inline unsigned long soft_max(unsigned long a, unsigned long b)
{
	return a > b ? a : b;
}

/* An address space; mm->priv. */
struct soft_mm {
	struct mmun_soft *soft;
	struct mm_struct *mm;
	struct mmun_dlist link;

	/* Under the mmap lock: read to look, write to change. */
	struct mmun_tree vmas; /* soft_vma.node, by start; summary: widest gap */
	unsigned int map_count;
	unsigned long total_pages; /* of all VMAs */
	unsigned long start_brk, brk;
	struct soft_vma *closing; /* gone, files not put yet: mmun_soft_write_unlock() */

	/* Entries: see table.h. */
	struct mmun_mutex page_table_lock; /* MMUN_RANK_SOFT_PTL */
	struct mmun_percpu_rwsem changes;  /* MMUN_RANK_SOFT_CHANGES */
	struct soft_table *pgd;

	/* The pages are gone or going: set under page_table_lock before the first is freed. */
	bool dead;
};

static inline struct soft_mm *soft_mm(const struct mm_struct *mm)
{
	return mmun_mm_priv(mm);
}

/* Page frames: frame/page.h. */

struct address_space;
struct soft_merged;

/* page->flags; changed atomically. */
enum {
	SOFT_PAGE_LOCKED = 1u << 0, /* the page lock; waiters: futex on flags */
	SOFT_PAGE_WAITERS = 1u << 1,
	SOFT_PAGE_DIRTY = 1u << 2,      /* differs from the store or the swap slot */
	SOFT_PAGE_REFERENCED = 1u << 3, /* second chance */
	SOFT_PAGE_LRU = 1u << 4,        /* on the LRU; cleared by isolation */
	SOFT_PAGE_ANON = 1u << 5,       /* ->anon_vma is valid */
	SOFT_PAGE_KSM = 1u << 6,        /* merged: ->merged is valid */
	SOFT_PAGE_ZERO = 1u << 7,       /* the zero page: never counted, never freed */
	SOFT_PAGE_FREE = 1u << 8,
	SOFT_PAGE_SWAPBACKED = 1u << 9, /* MADV_FREE clears it: clean ones may be dropped */
	SOFT_PAGE_DEVICE = 1u << 10,  /* of a device's memory: ->pgmap is valid, never on the LRU */
	SOFT_PAGE_PRIVATE = 1u << 11, /* only that device reaches it; else it is coherent */
};

struct page {
	/* First: drivers see these two (include/compat/linux/mm_types.h). */
	union {
		/* Zone lock: the LRU. */
		struct mmun_dlist link;
		struct {
			struct dev_pagemap *pgmap;
			void *zone_device_data; /* the driver's */
		};
	};
	unsigned int flags;
	int refcount;
	/* Entries that map it (each subpage of a huge mapping counts one). */
	int mapcount;
	/* FOLL_PIN users, each of which also holds a reference. */
	int pincount;
	union {
		struct anon_vma *anon_vma;     /* ANON: a reference is held */
		struct address_space *mapping; /* file page; NULL when truncated */
		struct soft_merged *merged;    /* KSM: the page's own */
	};
	/* File pages: offset in pages.  Anonymous: address as in the VMA's vm_pgoff terms. */
	unsigned long index;
	/* Freed how often.  Read without a lock by the checker. */
	unsigned long generation;
	struct mmun_soft *soft;
};

static inline bool soft_page_test(const struct page *page, unsigned int flag)
{
	return mmun_load_relaxed(&page->flags) & flag;
}

static inline void soft_page_set(struct page *page, unsigned int flag)
{
	(void)__atomic_fetch_or(&page->flags, flag, __ATOMIC_SEQ_CST);
}

/* Returns whether it was set. */
static inline bool soft_page_clear(struct page *page, unsigned int flag)
{
	return __atomic_fetch_and(&page->flags, ~flag, __ATOMIC_SEQ_CST) & flag;
}

/* One entry more or less maps it; under the page_table_lock of that entry. */
static inline void soft_page_map(struct page *page)
{
	if (!soft_page_test(page, SOFT_PAGE_ZERO))
		(void)mmun_add_full(&page->mapcount, 1);
}

static inline void soft_page_unmap(struct page *page)
{
	if (!soft_page_test(page, SOFT_PAGE_ZERO))
		(void)mmun_sub_full(&page->mapcount, 1);
}

static inline int soft_page_mapcount(const struct page *page)
{
	return mmun_load_full(&page->mapcount);
}

static inline bool soft_page_pinned(const struct page *page)
{
	return mmun_load_full(&page->pincount) > 0;
}

/* Page tables: table/table.h. */

typedef uint64_t soft_pte;

#define SOFT_PTE_PRESENT    (1ull << 0)
#define SOFT_PTE_WRITE      (1ull << 1)
#define SOFT_PTE_YOUNG      (1ull << 2)
#define SOFT_PTE_DIRTY      (1ull << 3)
#define SOFT_PTE_SOFT_DIRTY (1ull << 4)
#define SOFT_PTE_HUGE       (1ull << 5) /* in an upper entry: maps 2 MiB */
#define SOFT_PTE_SWAP       (1ull << 6)
#define SOFT_PTE_MIGRATION  (1ull << 7)
#define SOFT_PTE_NONLINEAR  (1ull << 8)
#define SOFT_PTE_EXCLUSIVE  (1ull << 9)  /* anonymous, known to be only ours: may be reused */
#define SOFT_PTE_NO_ACCESS  (1ull << 10) /* the mapping has no right at all (PROT_NONE) */
/* Not present, but counted as if: only a device reaches the page. */
#define SOFT_PTE_DEVICE (1ull << 11)
#define SOFT_PTE_SHIFT  12
/* With PRESENT: a driver has put it there by frame number.  It counts as no mapping of the page and
 * holds no reference; above the frame number is how often the frame had been freed then. */
#define SOFT_PTE_SPECIAL          (1ull << 63)
#define SOFT_PTE_GENERATION_SHIFT 40
#define SOFT_PTE_GENERATION_MASK  ((1ull << (63 - SOFT_PTE_GENERATION_SHIFT)) - 1)

static inline bool soft_pte_special(soft_pte pte)
{
	return pte & SOFT_PTE_PRESENT && pte & SOFT_PTE_SPECIAL;
}

static inline unsigned long soft_pte_number(soft_pte pte)
{
	if (soft_pte_special(pte))
		pte &= (1ull << SOFT_PTE_GENERATION_SHIFT) - 1;
	return pte >> SOFT_PTE_SHIFT;
}

static inline unsigned long soft_pte_generation(soft_pte special)
{
	return special >> SOFT_PTE_GENERATION_SHIFT & SOFT_PTE_GENERATION_MASK;
}

static inline bool soft_pte_huge(soft_pte value)
{
	return value & SOFT_PTE_HUGE;
}

#define SOFT_TABLE_ENTRIES 512

/* level 0: leaf (4 KiB entries), 1: 2 MiB entries or leaves, 2, 3: the root. */
struct soft_table {
	soft_pte entry
		[SOFT_TABLE_ENTRIES]; /* above level 0: pointer | 0, or a HUGE entry at level 1 */
	unsigned int level;
	unsigned int used; /* entries that are not 0 */
	/* A leaf whose last entries one zap of all of it took: as good as none, until it
	 * is made again (Linux frees it then; here a fault may be on its way to it). */
	bool emptied;
	/* At level 1: an empty leaf for each huge entry, so that a split cannot fail;
	 * chained through their first entries. */
	struct soft_table *deposit;
};

/* Mappings: vma/vma.h. */

/* Where a VMA is, and what its first page is. */
struct soft_place {
	unsigned long start, end, pgoff;
};

struct soft_vma {
	struct vm_area_struct v;    /* first: vm_area_struct and soft_vma convert by cast */
	struct mmun_tree_node node; /* soft_mm.vmas */
	/* Free bytes between the previous VMA's end and this one's start, less the guard of a
	 * stack; the widest in the subtree. */
	unsigned long gap, max_gap;
	/* rmap.h.  ->anon_vma is set once, under mmap read + page_table_lock, or mmap write. */
	struct anon_vma *anon_vma;
	struct mmun_dlist anon_chain; /* anon_vma_chain.same_vma, nearest first */
	/* File mappings: pages [vm_pgoff, ...] in the mapping's i_mmap tree, under i_mmap_lock. */
	struct mmun_interval i_mmap;
	struct mmun_dlist nonlinear; /* VM_NONLINEAR: in mapping->nonlinear instead */
	/* Gone, but its file reference is not yet dropped: soft_mm.closing. */
	struct soft_vma *next_closing;
};

/* Their pages are a driver's: they neither merge nor grow nor are locked. */
#define SOFT_VM_SPECIAL (VM_IO | VM_DONTEXPAND | VM_PFNMAP | VM_MIXEDMAP)
#define SOFT_VM_ACCESS  (VM_READ | VM_WRITE | VM_EXEC)
/* Left free below a mapping that grows down. */
#define SOFT_STACK_GUARD (256ul << MMUN_SOFT_PAGE_SHIFT)

static inline struct soft_vma *soft_vma(const struct vm_area_struct *v)
{
	return (struct soft_vma *)(uintptr_t)v;
}

static inline struct soft_vma *soft_vma_of_node(const struct mmun_tree_node *node)
{
	return node ? mmun_container_of(node, struct soft_vma, node) : NULL;
}

static inline struct soft_mm *soft_vma_mm(const struct soft_vma *vma)
{
	return soft_mm(vma->v.vm_mm);
}

static inline bool soft_vma_private(const struct soft_vma *vma)
{
	return !(vma->v.vm_flags & VM_SHARED);
}

/* Is it copied by fork, and may pages in it be anonymous copies? */
static inline bool soft_vma_cow(const struct soft_vma *vma)
{
	return (vma->v.vm_flags & (VM_SHARED | VM_MAYWRITE)) == VM_MAYWRITE;
}

static inline unsigned long soft_vma_pages(const struct soft_vma *vma)
{
	return (vma->v.vm_end - vma->v.vm_start) >> MMUN_SOFT_PAGE_SHIFT;
}

static inline bool soft_vma_anonymous(const struct soft_vma *vma)
{
	return !vma->v.vm_file;
}

/* Reverse-map walks look at the flags with no mmap lock. */
static inline void soft_vma_set_flags(struct soft_vma *vma, unsigned long flags)
{
	mmun_store_relaxed(&vma->v.vm_flags, flags);
}

static inline unsigned long soft_page_align(unsigned long value)
{
	return (value + MMUN_SOFT_PAGE_SIZE - 1) & MMUN_SOFT_PAGE_MASK;
}

static inline unsigned long soft_huge_start(unsigned long address)
{
	return address & ~(MMUN_SOFT_HUGE_SIZE - 1);
}

/* Where what lies below @vma must end. */
static inline unsigned long soft_vma_start_gap(const struct soft_vma *vma)
{
	unsigned long guard = vma->v.vm_flags & VM_GROWSDOWN ? SOFT_STACK_GUARD : 0;

	return vma->v.vm_start > guard ? vma->v.vm_start - guard : 0;
}

/* The page offset (file page, or anonymous index) of @address in a linear mapping. */
static inline unsigned long soft_vma_index(const struct soft_vma *vma, unsigned long address)
{
	return vma->v.vm_pgoff + ((address - vma->v.vm_start) >> MMUN_SOFT_PAGE_SHIFT);
}

/* mmap lock held. */
static inline struct soft_vma *mmun_soft_vma_first(const struct soft_mm *mm)
{
	return soft_vma_of_node(mmun_tree_first(&mm->vmas));
}
static inline struct soft_vma *mmun_soft_vma_next(const struct soft_vma *vma)
{
	return soft_vma_of_node(mmun_tree_next(&vma->node));
}
static inline struct soft_vma *mmun_soft_vma_prev(const struct soft_vma *vma)
{
	return soft_vma_of_node(mmun_tree_prev(&vma->node));
}
#define soft_for_each_vma(vma, mm) \
	for ((vma) = mmun_soft_vma_first(mm); (vma); (vma) = mmun_soft_vma_next(vma))

/* Reverse maps: rmap/rmap.h. */

/* A lock that mm_lock() takes: the mark says that it has been taken (mark mode). */
struct soft_rmap_lock {
	struct mmun_rwlock lock;
	bool marked;
};

struct anon_vma {
	struct anon_vma *root, *parent;
	struct soft_rmap_lock lock; /* used in the root; MMUN_RANK_SOFT_ANON */
	int refcount;               /* pages, VMAs, chains, descendants; atomic */
	/* Under the root lock: */
	unsigned int children, active_vmas;
	struct mmun_interval_tree chains; /* anon_vma_chain.interval, by page index */
};

/* One VMA in one anon_vma. */
struct anon_vma_chain {
	struct mmun_interval interval; /* first; start > last: not in the tree */
	struct soft_vma *vma;
	struct anon_vma *anon_vma;
	struct mmun_dlist same_vma;
};

/* A merged page's: where an anonymous page was found that became one with it. */
struct soft_source {
	struct mmun_tree_node node;
	struct anon_vma *anon_vma; /* a reference is held */
	unsigned long index;
};

struct soft_merged {
	/* reclaim/ksm.c: the stable table. */
	struct mmun_dlist link;
	unsigned long hash;
	struct page *page;
	/* Under the page lock. */
	struct mmun_tree sources;
	unsigned long nr_sources, prune_at;
};

/* A sparse array: frame/index_map.h. */
struct soft_index_map {
	struct soft_index_node *root;
	unsigned int height; /* levels; 0 when empty */
};

/* Files. */

struct soft_file {
	struct file f; /* first */
	struct mmun_soft *soft;
	struct mmun_dlist link;
	int refcount; /* atomic; each VMA holds one */
	char *name;
	enum mmun_soft_file_kind kind;
	bool device;
	struct mmun_rwlock io_lock;    /* MMUN_RANK_SOFT_IO; write: pwrite, truncate */
	struct address_space *mapping; /* NULL for a device */
	uint64_t size;                 /* written under io_lock, read atomically */
};

static inline struct soft_file *soft_file(const struct file *file)
{
	return (struct soft_file *)(uintptr_t)file;
}

struct address_space {
	struct soft_file *file;
	struct mmun_rwlock invalidate_lock; /* MMUN_RANK_SOFT_INVALIDATE */
	struct soft_rmap_lock i_mmap_lock;  /* MMUN_RANK_SOFT_I_MMAP */
	struct mmun_interval_tree i_mmap;
	struct mmun_dlist nonlinear;
	struct mmun_mutex pages_lock; /* MMUN_RANK_SOFT_PAGES */
	struct soft_index_map pages;  /* index -> page, or swap slot (shmem) */
	struct soft_index_map store;  /* index -> bytes that the "disk" holds (regular) */
};

static inline struct address_space *soft_vma_mapping(const struct soft_vma *vma)
{
	return vma->v.vm_file ? soft_file(vma->v.vm_file)->mapping : NULL;
}

#endif
