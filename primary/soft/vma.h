/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Mappings: the tree of an mm's VMAs, and what changes it.
 *
 * Merging and splitting follow Linux 6.x, so that the layout is the one that
 * /proc/self/maps would show: neighbours merge when flags, file and offset
 * continue, neither has vm_ops->close, and their anon_vmas are the same or one has none and
 * the other's chain is not inherited from a parent.
 *
 * vma.c (tree, split, merge), map.c (mmap, munmap, brk, unmapped area, limits),
 * protect.c, remap.c (mremap, remap_file_pages), advise.c, lockmem.c (mlock, msync), show.c.
 * Tests: tests/unit/soft/vma.c.
 */
#ifndef MMUN_SOFT_VMA_H
#define MMUN_SOFT_VMA_H

#include "interval_tree.h"
#include "machine.h"

struct anon_vma;

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
	struct soft_list anon_chain; /* anon_vma_chain.same_vma, nearest first */
	/* File mappings: pages [vm_pgoff, ...] in the mapping's i_mmap tree, under i_mmap_lock. */
	struct mmun_interval i_mmap;
	struct soft_list nonlinear; /* VM_NONLINEAR: in mapping->nonlinear instead */
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
	return node ? soft_container_of(node, struct soft_vma, node) : NULL;
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

/* mmap lock held.  The first VMA that ends above @address. */
struct soft_vma *mmun_soft_vma_find(const struct soft_mm *mm, unsigned long address);
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

/* Everything below: mmap lock held for write. */

/* A VMA that is in no tree; ->v zeroed but for vm_mm.  NULL: no memory. */
struct soft_vma *mmun_soft_vma_alloc(struct soft_mm *mm);
void mmun_soft_vma_free(struct soft_vma *vma); /* anon chain and file reference already gone */
/* Into the tree, the file's i_mmap (takes i_mmap_lock), and the counts. */
void mmun_soft_vma_link(struct soft_mm *mm, struct soft_vma *vma);
/* Out of the tree, i_mmap and its anon_vmas: no reverse-map walk finds it any more. */
void mmun_soft_vma_unlink(struct soft_mm *mm, struct soft_vma *vma);
/* fork: a copy of @vma for @mm, its anon_vma made by anon_vma_fork, its file referenced,
 * vm_ops->open called, linked.  -ENOMEM: nothing left. */
int mmun_soft_vma_dup(struct soft_mm *mm, struct soft_vma *vma, struct soft_vma **out);
/* Splits at @address (page aligned, inside): *@vma stays the lower part.  -ENOMEM also for the map count. */
int mmun_soft_vma_split(struct soft_vma *vma, unsigned long address);
/* The same, the map count not minding: munmap may pass through one too many. */
int mmun_soft_vma_split_uncounted(struct soft_vma *vma, unsigned long address);
/* Its other half, and mremap's: a copy of @vma at @place, in all of its reverse maps, its file referenced,
 * vm_ops->open called, not yet in the mm's tree.  NULL: no memory. */
struct soft_vma *mmun_soft_vma_clone(struct soft_vma *vma, const struct soft_place *place);
void mmun_soft_vma_clone_link(struct soft_vma *copy);

/* Changes the place of @vma, or of two neighbours of one file and one anon_vma root at once
 * (@other, @other_to; NULL), so that no reverse-map walk misses a page in between. */
void mmun_soft_vma_move_bounds(struct soft_vma *vma, const struct soft_place *to,
			       struct soft_vma *other, const struct soft_place *other_to);

/* The stack grows down to @address; mmap lock for write.  0, -ENOMEM, -EFAULT, -EPERM. */
int mmun_soft_vma_grow(struct soft_vma *vma, unsigned long address);

/* merge.c.  What a range is to be. */
struct soft_span {
	struct soft_place place;
	unsigned long flags;
	struct file *file;
	/* Whose anonymous pages come with it, or NULL: extension and mremap. */
	const struct soft_vma *origin;
};

/* The free range becomes a part of the VMA before it, or (not with @expand_only) after it, or of both
 * in one, if one is alike: that VMA, or NULL. */
struct soft_vma *mmun_soft_vma_merge_new(struct soft_mm *mm, const struct soft_span *span,
					 bool expand_only);
/* [start, end) of *@vma is to have @flags: merged with neighbours that have them, else split off;
 * *@vma is the VMA that it is in then, whose flags the caller sets.  0, -ENOMEM. */
int mmun_soft_vma_modify(struct soft_vma **vma, unsigned long start, unsigned long end,
			 unsigned long flags);

/* area.c */
/* Where @length bytes go: @hint itself with @fixed, or if it is free; else the highest gap.  @huge:
 * aligned to 2 MiB if that fits.  An address; -ENOMEM, -EINVAL, -EPERM. */
mmun_soft_address mmun_soft_area(const struct soft_mm *mm, unsigned long hint, unsigned long length,
				 bool fixed, bool huge);
bool mmun_soft_area_used(const struct soft_mm *mm, unsigned long start, unsigned long end);
/* The limits: of address space, and of VMAs. */
bool mmun_soft_may_expand(const struct soft_mm *mm, unsigned long pages);
unsigned int mmun_soft_max_map_count(const struct soft_mm *mm);

/* munmap.c */
/* munmap of [start, end) by a caller that holds the lock; both page aligned. @op: for the notifiers.
 * 0; -ENOMEM; -EINVAL: beyond what can be mapped, or it wraps. */
int mmun_soft_unmap(struct soft_mm *mm, unsigned long start, unsigned long end, enum mmun_op op);
/* Its two halves.  Splits what crosses the ends: 0, -ENOMEM; */
int mmun_soft_unmap_prepare(struct soft_mm *mm, unsigned long start, unsigned long end);
/* and removes all that is inside, in one section if there is anything. */
void mmun_soft_unmap_prepared(struct soft_mm *mm, unsigned long start, unsigned long end,
			      enum mmun_op op);
/* Out of the tree and the reverse maps; file put and memory freed by mmun_soft_write_unlock(). */
void mmun_soft_vma_remove(struct soft_mm *mm, struct soft_vma *vma);
/* mmap_write_unlock(), and then the last references to files: a driver's ->release may take the lock. */
void mmun_soft_write_unlock(struct soft_mm *mm);
/* exit: all VMAs, no sections (->release has run), close() called; mmun_soft_write_unlock() puts the files. */
void mmun_soft_unmap_all(struct soft_mm *mm);

/* map.c.  PROT_* as VM_*; private memory that may be written counts as a promise (VM_ACCOUNT). */
unsigned long mmun_soft_vm_flags(int prot);
bool mmun_soft_accountable(unsigned long flags);

/* lockmem.c.  MAP_POPULATE: what can be had of the range, errors left out; takes the mmap lock for read. */
void mmun_soft_populate_quietly(struct mm_struct *mm, unsigned long start, unsigned long end);

#endif
