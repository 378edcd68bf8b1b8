/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Mappings: the tree of an mm's VMAs, and what changes it.
 *
 * Merging and splitting follow Linux 6.x, so that the layout is the one that
 * /proc/self/maps would show: neighbours merge when flags, file and offset
 * continue, neither has vm_ops->close, and their anon_vmas are the same or one has none and
 * the other's chain is not inherited from a parent.
 *
 * vma.c (tree, split), merge.c, area.c (unmapped area, limits), grow.c (stacks), remove.c,
 * mm_lock.c.
 * Tests: tests/unit/soft/vma.c.
 */
#ifndef MMUN_SOFT_VMA_VMA_H
#define MMUN_SOFT_VMA_VMA_H

#include "types.h"

/* mmap lock held.  The first VMA that ends above @address. */
struct soft_vma *mmun_soft_vma_find(const struct soft_mm *mm, unsigned long address);
/* The one that @address is in; NULL. */
struct soft_vma *mmun_soft_vma_at(const struct soft_mm *mm, unsigned long address);
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

/* remove.c.  Out of the tree and the reverse maps; file put and memory freed by mmun_soft_write_unlock(). */
void mmun_soft_vma_remove(struct soft_mm *mm, struct soft_vma *vma);
/* mmap_write_unlock(), and then the last references to files: a driver's ->release may take the lock. */
void mmun_soft_write_unlock(struct soft_mm *mm);

/* mm_lock.c */
int mmun_soft_lock(struct mm_struct *mm, struct mm_lock_data *data);
void mmun_soft_unlock(struct mm_struct *mm, struct mm_lock_data *data);

#endif
