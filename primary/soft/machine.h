/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The machine and the address space as the files of this folder see them.
 *
 * The picture, outermost lock first; while a thread holds a lock it takes only
 * ones further down:
 *
 *   mmap lock of an mm          layout; read: faults, write: changes of VMAs
 *   file->io_lock               size changes and writes by descriptor
 *   mapping->invalidate_lock    read: a fault looks a file page up and maps it;
 *                               write: truncate and punch, so no fault brings back
 *                               what they drop
 *   page lock (a bit)           who may change page->mapping, free or replace it
 *   mapping->i_mmap_lock        which VMAs map a file; read for walks
 *   anon_vma root lock          which VMAs may map an anonymous page; read for walks
 *   mm->changes                 read: every change of a page table entry
 *   mm->page_table_lock         the entries themselves, and data accesses of processors
 *   mapping->pages_lock         what page is where in a file
 *   zone lock                   free frames and the LRU
 *   swap lock, slot locks       swap store
 *
 * Rules that keep this free of dead-locks, each checked in debug builds:
 * M1  Every change of an entry holds the mm's ->changes for reading, and besides the
 *     mmap lock or the reverse-map lock through which the entry was found.  So mm_lock()
 *     has two ways to exclude them all: ->changes for writing, or all those locks.
 * M2  Inside a change nothing waits for a frame, the mmap lock, a page lock or a
 *     reverse-map lock: frames are allocated before (allocation reclaims, and
 *     reclaim makes changes).  No frame is allocated under a reverse-map lock either.
 * M3  No callback of a notifier runs under the page_table_lock: a driver's lock
 *     may be held around mmun_soft_device_read(), which takes it.
 * M4  A frame with page->mapping set to an anon_vma holds a reference to it, a
 *     merged one to each that it is found through; a file page's mapping is stable
 *     under the page lock.
 * M5  A thread inside a change of one mm begins none of another's.
 */
#ifndef MMUN_SOFT_MACHINE_H
#define MMUN_SOFT_MACHINE_H

#include <mmunotify/primary.h>
#include <mmunotify/soft.h>

#include "atomic.h"
#include "lock.h"
#include "percpu_rwsem.h"
#include "tree.h"

/* A circular list with a head. */
struct soft_list {
	struct soft_list *next, *prev;
};

static inline void soft_list_init(struct soft_list *head)
{
	head->next = head->prev = head;
}

static inline bool soft_list_empty(const struct soft_list *head)
{
	return head->next == head;
}

static inline void soft_list_add(struct soft_list *node, struct soft_list *after)
{
	node->next = after->next;
	node->prev = after;
	after->next->prev = node;
	after->next = node;
}

static inline void soft_list_add_tail(struct soft_list *node, struct soft_list *head)
{
	soft_list_add(node, head->prev);
}

static inline void soft_list_del(struct soft_list *node)
{
	node->next->prev = node->prev;
	node->prev->next = node->next;
	soft_list_init(node);
}

#define soft_container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

struct page;
struct soft_zone; /* page.c */
struct soft_swap; /* swap.c */
struct soft_ksm;  /* ksm.c */

/* The machine. */
struct mmun_soft {
	struct mmun_soft_params params;
	struct soft_zone *zone;
	struct soft_swap *swap;
	struct soft_ksm *ksm;

	/* Which address spaces and files exist. */
	struct mmun_mutex list_lock; /* MMUN_RANK_SOFT_LIST */
	struct soft_list mms;        /* soft_mm.link */
	struct soft_list files;      /* soft_file.link */
	unsigned int nr_mms;         /* structs not freed yet, more than the list has */

	/* mm_lock() by marks: one task at a time, machine wide. */
	struct mmun_mutex all_locks; /* MMUN_RANK_SOFT_ALL_LOCKS */

	/* Migration in progress; a fault that meets a migration entry waits for it. */
	struct mmun_mutex migrate_lock; /* MMUN_RANK_SOFT_MIGRATE */

	struct mmun_soft_stats stats;
};

#define soft_stat_inc(soft, field)    ((void)mmun_add_relaxed(&(soft)->stats.field, 1))
#define soft_stat_add(soft, field, n) ((void)mmun_add_relaxed(&(soft)->stats.field, (n)))

/* An address space; mm->priv. */
struct soft_mm {
	struct mmun_soft *soft;
	struct mm_struct *mm;
	struct soft_list link;

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

/* The mm's ->changes for reading, a read section of the mm, cancellation off.  Without
 * a section it is for entries that only come to be (nothing was translated there
 * before).  Nests inside a section of the same mm. */
struct soft_change {
	struct mmun_reader reader;
	unsigned int slot;
	int cancel;
};
void mmun_soft_change_begin(struct soft_change *c, struct mm_struct *mm);
void mmun_soft_change_end(struct soft_change *c, struct mm_struct *mm);

/*
 * One section of one mm: a change, and start...end.
 *
 * soft_section_start() begins the change and tells the notifiers; the caller then
 * takes the page_table_lock and changes entries, releases it, and ends.
 * start fails only with @nonblock (-EAGAIN; then nothing is held and end is not
 * called).  Called with the page_table_lock not held.
 */
struct soft_section {
	struct mmu_notifier_range range;
	struct mmun_origin origin;
	struct soft_change change;
};

int mmun_soft_section_start(struct soft_section *s, struct mm_struct *mm,
			    enum mmu_notifier_event event, enum mmun_op op, unsigned long start,
			    unsigned long end, bool nonblock);
/* @unchanged: nothing in the range changed (adds MMUN_RANGE_UNCHANGED). */
void mmun_soft_section_end(struct soft_section *s, bool unchanged);

/* machine.c: an address space without VMAs; fork fills it.  Nobody but the caller knows it
 * until mmun_soft_mm_publish(), from when mmun_soft_for_each_mm() may visit it. */
int mmun_soft_mm_alloc(struct mmun_soft *soft, struct mm_struct **out);
void mmun_soft_mm_publish(struct mm_struct *mm);
/* exit_mmap and what frees the struct's own part, for the table of operations. */
void mmun_soft_mm_exit(struct mm_struct *mm);
void mmun_soft_mm_destroy(void *priv);
extern const struct mmun_primary_ops mmun_primary_soft;

/* mm_lock.c */
int mmun_soft_lock(struct mm_struct *mm, struct mm_lock_data *data);
void mmun_soft_unlock(struct mm_struct *mm, struct mm_lock_data *data);

/*
 * Calls @visit for each live mm of @soft, with a user of it held (mmget), no
 * lock held; stops when it returns false.  A mm made meanwhile may be missed.
 */
void mmun_soft_for_each_mm(struct mmun_soft *soft, bool (*visit)(struct mm_struct *mm, void *arg),
			   void *arg);

#endif
