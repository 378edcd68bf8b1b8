/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * mremap.
 *
 * A move makes a mapping at the new place (or extends one that is there and fits),
 * moves the entries, and unmaps the old place.
 *
 * I1  The old range has two sections: for the entries, and for the mapping.
 *     What was at the new place went before, with its own notice.
 * I2  Entries that could not be moved for want of a table are moved back, and then it is the
 *     new mapping that goes.
 * I3  A reverse-map walk that looks at the new place before the old one must not run
 *     meanwhile.  A new mapping stands behind the old one in their trees; one that
 *     was extended may not, so then the trees are locked.
 *
 * Several mappings are moved in one call only when nothing is resized, each by itself
 * and at its distance from the first, as Linux does since 6.17.
 *
 * Tests: tests/unit/soft/remap.c.
 */
#include <errno.h>
#include <sys/mman.h>

#include "call/call.h"
#include "reclaim/reclaim.h"
#include "rmap/rmap.h"
#include "section.h"
#include "table/table.h"
#include "vma/vma.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

struct remap {
	struct soft_mm *mm;
	unsigned long address, old_length, new_length;
	int flags;
	unsigned long new_address;
	struct soft_vma *vma; /* at ->address */
};

/* Does the caller say where it goes? */
static bool is_placed(const struct remap *r)
{
	return r->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP);
}

static bool overlaps(const struct remap *r)
{
	return r->address + r->old_length > r->new_address &&
	       r->new_address + r->new_length > r->address;
}

static int check_arguments(const struct remap *r)
{
	if (r->flags & ~(MREMAP_FIXED | MREMAP_MAYMOVE | MREMAP_DONTUNMAP) ||
	    r->address & ~MMUN_SOFT_PAGE_MASK || !r->new_length ||
	    r->new_length > MMUN_SOFT_TASK_SIZE)
		return -EINVAL;
	if (!is_placed(r))
		return 0;
	if (r->new_address > MMUN_SOFT_TASK_SIZE - r->new_length ||
	    r->new_address & ~MMUN_SOFT_PAGE_MASK || !(r->flags & MREMAP_MAYMOVE))
		return -EINVAL;
	if (r->flags & MREMAP_DONTUNMAP && r->old_length != r->new_length)
		return -EINVAL;
	return overlaps(r) ? -EINVAL : 0;
}

/* Splits and the new mapping must not fail half way. */
static bool has_headroom(const struct soft_mm *mm, unsigned int wanted)
{
	return mm->map_count + wanted < mmun_soft_max_map_count(mm);
}

static int check_growth(const struct remap *r)
{
	const struct soft_vma *vma = r->vma;
	unsigned long pgoff = soft_vma_index(vma, r->address);

	if (pgoff + (r->new_length >> MMUN_SOFT_PAGE_SHIFT) < pgoff)
		return -EINVAL;
	if (vma->v.vm_flags & (VM_DONTEXPAND | VM_PFNMAP))
		return -EFAULT;
	if (!mmun_soft_may_expand(r->mm, (r->new_length - r->old_length) >> MMUN_SOFT_PAGE_SHIFT))
		return -ENOMEM;
	return 0;
}

static int check_vma(const struct remap *r)
{
	const struct soft_vma *vma = r->vma;
	unsigned long length = r->old_length < r->new_length ? r->old_length : r->new_length;

	if (!vma)
		return -EFAULT;
	if (r->old_length >= r->new_length && !is_placed(r))
		return 0;
	if (vma->v.vm_flags & VM_HUGETLB)
		return -EINVAL;
	/* Nothing of it, once more elsewhere: only of memory that can be shared. */
	if (!r->old_length && !(vma->v.vm_flags & (VM_SHARED | VM_MAYSHARE)))
		return -EINVAL;
	if (r->flags & MREMAP_DONTUNMAP && vma->v.vm_flags & (VM_DONTEXPAND | VM_PFNMAP))
		return -EINVAL;
	if (length > vma->v.vm_end - r->address)
		return -EFAULT;
	return r->new_length > r->old_length ? check_growth(r) : 0;
}

static int shrink_mapping(struct remap *r)
{
	int ret = mmun_soft_unmap(r->mm, r->address + r->new_length, r->address + r->old_length,
				  MMUN_OP_MREMAP);

	if (ret)
		return ret;
	r->old_length = r->new_length;
	r->vma = mmun_soft_vma_at(r->mm, r->address);
	return 0;
}

static int choose_address(struct remap *r)
{
	const bool may_be_huge = soft_vma_anonymous(r->vma) &&
				 r->new_length % MMUN_SOFT_HUGE_SIZE == 0;
	mmun_soft_address where = mmun_soft_area(r->mm, is_placed(r) ? r->new_address : 0,
						 r->new_length, r->flags & MREMAP_FIXED,
						 may_be_huge);

	if (mmun_soft_is_error(where))
		return (int)(long)where;
	r->new_address = where;
	return 0;
}

static int ask_driver(const struct remap *r)
{
	const struct vm_area_struct *v = &r->vma->v;
	unsigned long end = r->address + r->old_length;
	int ret = 0;

	if (!v->vm_ops || !v->vm_ops->may_split)
		return 0;
	if (v->vm_start != r->address)
		ret = v->vm_ops->may_split(&r->vma->v, r->address);
	if (!ret && v->vm_end != end)
		ret = v->vm_ops->may_split(&r->vma->v, end);
	return ret;
}

static int prep_move_vma(const struct remap *r)
{
	unsigned long end = r->address + r->old_length;
	int ret;

	if (!has_headroom(r->mm, 3))
		return -ENOMEM;
	ret = ask_driver(r);
	/* A merged page is known by the place it was merged at. */
	if (!ret && r->vma->v.vm_flags & VM_MERGEABLE && r->vma->anon_vma)
		ret = mmun_soft_unmerge_range(r->vma, r->address, end);
	if (!ret)
		ret = mmun_soft_split_huge_edges(r->vma, r->address, end);
	return ret;
}

/* The mapping at the new place; *@merged when one that was there takes it in.  It may take
 * in the old one too, which has no anonymous pages then: r->vma is the sum. */
static struct soft_vma *make_target(struct remap *r, bool *merged)
{
	struct soft_vma *vma = r->vma, *target;
	const unsigned long old_start = vma->v.vm_start;
	const struct soft_span span = {
		.place = {
			.start = r->new_address,
			.end = r->new_address + r->new_length,
			/* Memory that was never touched may as well be new there. */
			.pgoff = soft_vma_anonymous(vma) && !vma->anon_vma ?
				 r->new_address >> MMUN_SOFT_PAGE_SHIFT :
				 soft_vma_index(vma, r->address),
		},
		.flags = vma->v.vm_flags,
		.file = vma->v.vm_file,
		.origin = vma,
	};

	target = mmun_soft_vma_merge_new(r->mm, &span, false);
	*merged = target;
	if (!target) {
		target = mmun_soft_vma_clone(vma, &span.place);
		if (target)
			mmun_soft_vma_clone_link(target);
		return target;
	}
	if (old_start >= target->v.vm_start && old_start < target->v.vm_end)
		r->vma = target;
	return target;
}

/* I2 */
static int move_entries(const struct remap *r, struct soft_vma *target)
{
	struct soft_section section;
	unsigned long moved, back;
	int ret;

	mmun_soft_section_start(&section, r->mm->mm, MMU_NOTIFY_UNMAP, MMUN_OP_MREMAP, r->address,
				r->address + r->old_length, false);
	ret = mmun_soft_move(r->vma, r->address, target, r->new_address, r->old_length, &moved);
	if (ret)
		(void)mmun_soft_move(target, r->new_address, r->vma, r->address, moved, &back);
	mmun_soft_section_end(&section, ret);
	return ret;
}

/* MREMAP_DONTUNMAP: the old mapping stays, empty, as if it had never been touched. */
static void empty_source(const struct remap *r, const struct soft_vma *target)
{
	struct soft_vma *vma = r->vma;

	soft_vma_set_flags(vma, vma->v.vm_flags & ~VM_LOCKED);
	if (vma != target && vma->v.vm_start == r->address &&
	    vma->v.vm_end == r->address + r->old_length)
		mmun_soft_anon_unlink(vma);
}

/* The new mapping exists: afterwards there is only one of the two, or an empty one. */
static int move_contents(struct remap *r, struct soft_vma *target, bool merged)
{
	int ret = 0;

	if (r->old_length) {
		if (merged)
			mmun_soft_rmap_lock(r->vma);
		ret = move_entries(r, target);
		if (merged)
			mmun_soft_rmap_unlock(r->vma);
	}
	/* An unmap that fails leaves an empty mapping behind, on Linux too. */
	if (ret)
		(void)mmun_soft_unmap(r->mm, r->new_address, r->new_address + r->new_length,
				      MMUN_OP_MREMAP);
	else if (r->flags & MREMAP_DONTUNMAP)
		empty_source(r, target);
	else if (r->old_length)
		(void)mmun_soft_unmap(r->mm, r->address, r->address + r->old_length,
				      MMUN_OP_MREMAP);
	return ret;
}

static mmun_soft_address move_vma(struct remap *r)
{
	struct soft_vma *target;
	bool merged;
	int ret = prep_move_vma(r);

	if (ret)
		return ret;
	target = make_target(r, &merged);
	if (!target)
		return -ENOMEM;
	ret = move_contents(r, target, merged);
	return ret ? (mmun_soft_address)ret : r->new_address;
}

/* To where the caller says. */
static mmun_soft_address mremap_to(struct remap *r)
{
	int ret = 0;

	if (r->flags & MREMAP_FIXED) {
		ret = mmun_soft_unmap(r->mm, r->new_address, r->new_address + r->new_length,
				      MMUN_OP_MREMAP);
		/* It may have cut the very mapping that is to be moved. */
		r->vma = mmun_soft_vma_at(r->mm, r->address);
	}
	if (ret)
		return ret;
	if (!r->vma)
		return -EFAULT;
	if (r->old_length > r->new_length)
		ret = shrink_mapping(r);
	if (!ret && r->flags & MREMAP_DONTUNMAP &&
	    !mmun_soft_may_expand(r->mm, r->old_length >> MMUN_SOFT_PAGE_SHIFT))
		ret = -ENOMEM;
	if (!ret)
		ret = choose_address(r);
	return ret ? (mmun_soft_address)ret : move_vma(r);
}

static bool vma_expandable(const struct remap *r)
{
	unsigned long end = r->vma->v.vm_end, new_end = r->address + r->new_length;

	return end - r->address == r->old_length && new_end > end &&
	       new_end <= MMUN_SOFT_TASK_SIZE && !mmun_soft_area_used(r->mm, end, new_end);
}

static mmun_soft_address grow_in_place(const struct remap *r)
{
	const struct soft_vma *vma = r->vma;
	const struct soft_span span = {
		.place = { vma->v.vm_end, r->address + r->new_length,
			   soft_vma_index(vma, vma->v.vm_end) },
		.flags = vma->v.vm_flags,
		.file = vma->v.vm_file,
		.origin = vma,
	};

	if (!mmun_soft_vma_merge_new(r->mm, &span, false))
		return -ENOMEM;
	return r->address;
}

/* To where there is room. */
static mmun_soft_address remap_at(struct remap *r)
{
	int ret = 0;

	if (r->old_length == r->new_length)
		return r->address;
	if (r->old_length > r->new_length) {
		ret = shrink_mapping(r);
		return ret ? (mmun_soft_address)ret : r->address;
	}
	if (vma_expandable(r))
		return grow_in_place(r);
	if (!(r->flags & MREMAP_MAYMOVE))
		return -ENOMEM;
	ret = choose_address(r);
	return ret ? (mmun_soft_address)ret : move_vma(r);
}

static mmun_soft_address remap_one(struct remap *r)
{
	int ret = check_vma(r);

	if (ret)
		return ret;
	return is_placed(r) ? mremap_to(r) : remap_at(r);
}

/* Every mapping in the range; holes only between them and behind. */
static mmun_soft_address remap_all(const struct remap *whole)
{
	const unsigned long end = whole->address + whole->old_length;
	mmun_soft_address result = -EFAULT;
	unsigned long next = whole->address;
	struct remap r;

	for (;;) {
		r = *whole;
		r.vma = mmun_soft_vma_find(r.mm, next);
		if (!r.vma || r.vma->v.vm_start >= end)
			return result;
		if (r.vma->v.vm_start > next)
			r.address = r.vma->v.vm_start;
		else
			r.address = next;
		if (next == whole->address && r.address != next)
			return -EFAULT;
		next = r.vma->v.vm_end < end ? r.vma->v.vm_end : end;
		r.old_length = r.new_length = next - r.address;
		r.new_address = whole->new_address + (r.address - whole->address);
		result = remap_one(&r);
		if (mmun_soft_is_error(result))
			return result;
		result = whole->new_address;
		if (next == end)
			return result;
	}
}

static mmun_soft_address remap_locked(struct remap *r)
{
	if (is_placed(r) && !has_headroom(r->mm, 5))
		return -ENOMEM;
	if (r->flags & MREMAP_FIXED && r->old_length == r->new_length)
		return remap_all(r);
	r->vma = mmun_soft_vma_at(r->mm, r->address);
	return remap_one(r);
}

mmun_soft_address mmun_soft_mremap(struct mm_struct *mm, unsigned long old_address,
				   size_t old_length, size_t new_length, int flags,
				   unsigned long new_address)
{
	struct remap r = {
		.mm = soft_mm(mm),
		.address = old_address,
		.old_length = soft_page_align(old_length),
		.new_length = soft_page_align(new_length),
		.flags = flags,
		.new_address = new_address,
	};
	const unsigned long kept = r.old_length;
	mmun_soft_address result;
	bool locked;
	int ret = check_arguments(&r);

	if (ret)
		return ret;
	mmap_write_lock(mm);
	result = remap_locked(&r);
	locked = !mmun_soft_is_error(result) && r.new_length > kept &&
		 mmun_soft_vma_at(r.mm, result)->v.vm_flags & VM_LOCKED;
	mmun_soft_write_unlock(r.mm);
	if (locked)
		mmun_soft_populate_quietly(mm, result + kept, result + r.new_length);
	return result;
}
