/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * madvise.
 *
 * I1  Mapping by mapping from below; holes are passed over and make -ENOMEM of
 *     success; an error stops, and what was done stays done.
 * I2  What changes flags holds the mmap lock for write.  What drops or ages pages holds it
 *     for read, as other threads may go on faulting; so does what may let go of it.
 * I3  Advice that nobody can see the effect of (read-ahead) is checked and no more.
 *
 * Tests: tests/unit/soft/advise.c.
 */
#include <errno.h>
#include <limits.h>
#include <sys/mman.h>

#include "call/call.h"
#include "fault/fault.h"
#include "reclaim/reclaim.h"
#include "section.h"
#include "table/table.h"
#include "vma/vma.h"

/* Younger than the headers of some systems this builds on. */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

struct advice {
	struct soft_mm *mm;
	int what;
	/* One mapping's part of the range. */
	struct soft_vma *vma;
	unsigned long start, end;
	/* The mmap lock was let go of and taken again: ->vma may be gone. */
	bool unlocked;
};

enum kind { UNKNOWN, CHANGES_FLAGS, READS_LAYOUT, WRITES_LAYOUT, POPULATES };

static enum kind kind_of(int what)
{
	switch (what) {
	case MADV_NORMAL:
	case MADV_RANDOM:
	case MADV_SEQUENTIAL:
	case MADV_DONTFORK:
	case MADV_DOFORK:
	case MADV_WIPEONFORK:
	case MADV_KEEPONFORK:
	case MADV_MERGEABLE:
	case MADV_UNMERGEABLE:
	case MADV_HUGEPAGE:
	case MADV_NOHUGEPAGE:
	case MADV_DONTDUMP:
	case MADV_DODUMP:
		return CHANGES_FLAGS;
	case MADV_WILLNEED:
	case MADV_DONTNEED:
	case MADV_DONTNEED_LOCKED:
	case MADV_FREE:
	case MADV_REMOVE:
	case MADV_COLD:
	case MADV_PAGEOUT:
		return READS_LAYOUT;
	case MADV_COLLAPSE:
		return WRITES_LAYOUT;
	case MADV_POPULATE_READ:
	case MADV_POPULATE_WRITE:
		return POPULATES;
	default:
		return UNKNOWN;
	}
}

/* Flags. */

/* Only private memory of the kernel's own kind can be merged; others are left as they are. */
static int mergeable(const struct advice *a, unsigned long *flags)
{
	if (!(*flags & (VM_SHARED | VM_MAYSHARE | SOFT_VM_SPECIAL)))
		*flags |= VM_MERGEABLE;
	return 0;
}

static int unmergeable(const struct advice *a, unsigned long *flags)
{
	int ret = 0;

	if (*flags & VM_MERGEABLE && a->vma->anon_vma)
		ret = mmun_soft_unmerge_range(a->vma, a->start, a->end);
	if (!ret)
		*flags &= ~VM_MERGEABLE;
	return ret;
}

/* May each flag be changed so? */
static int check_flags(const struct advice *a)
{
	const unsigned long flags = a->vma->v.vm_flags;

	switch (a->what) {
	case MADV_DOFORK:
		return flags & VM_IO ? -EINVAL : 0;
	case MADV_WIPEONFORK:
		return a->vma->v.vm_file || flags & (VM_SHARED | VM_HUGETLB) ? -EINVAL : 0;
	case MADV_DODUMP:
		return flags & SOFT_VM_SPECIAL && !(flags & VM_HUGETLB) ? -EINVAL : 0;
	default:
		return 0;
	}
}

static const struct {
	int what;
	unsigned long clear, set;
} flag_changes[] = {
	{ MADV_NORMAL, VM_RAND_READ | VM_SEQ_READ, 0 },
	{ MADV_SEQUENTIAL, VM_RAND_READ, VM_SEQ_READ },
	{ MADV_RANDOM, VM_SEQ_READ, VM_RAND_READ },
	{ MADV_DONTFORK, 0, VM_DONTCOPY },
	{ MADV_DOFORK, VM_DONTCOPY, 0 },
	{ MADV_WIPEONFORK, 0, VM_WIPEONFORK },
	{ MADV_KEEPONFORK, VM_WIPEONFORK, 0 },
	{ MADV_DONTDUMP, 0, VM_DONTDUMP },
	{ MADV_DODUMP, VM_DONTDUMP, 0 },
	{ MADV_HUGEPAGE, VM_NOHUGEPAGE, VM_HUGEPAGE },
	{ MADV_NOHUGEPAGE, VM_HUGEPAGE, VM_NOHUGEPAGE },
};

static int new_flags(const struct advice *a, unsigned long *flags)
{
	int ret = check_flags(a);

	if (ret)
		return ret;
	if (a->what == MADV_MERGEABLE)
		return mergeable(a, flags);
	if (a->what == MADV_UNMERGEABLE)
		return unmergeable(a, flags);
	for (size_t i = 0; i < sizeof(flag_changes) / sizeof(*flag_changes); i++) {
		if (flag_changes[i].what == a->what)
			*flags = (*flags & ~flag_changes[i].clear) | flag_changes[i].set;
	}
	return 0;
}

/* For madvise() a want of memory is a reason to try again. */
static int change_flags(struct advice *a)
{
	unsigned long flags = a->vma->v.vm_flags;
	int ret = new_flags(a, &flags);

	if (!ret && flags != a->vma->v.vm_flags) {
		ret = mmun_soft_vma_modify(&a->vma, a->start, a->end, flags);
		if (!ret)
			soft_vma_set_flags(a->vma, flags);
	}
	return ret == -ENOMEM ? -EAGAIN : ret;
}

/* Pages. */

/* A huge page that is never split goes whole, or not at all if the range begins inside one; where
 * the range ends inside one that stays, as in Linux. */
static int fit_hugetlb(struct advice *a)
{
	if (!(a->vma->v.vm_flags & VM_HUGETLB))
		return 0;
	if (a->what == MADV_FREE || a->start != soft_huge_start(a->start))
		return -EINVAL;
	a->end = soft_huge_start(a->end);
	return 0;
}

static int drop_pages(const struct advice *a, enum mmun_op op)
{
	/* A nonlinear mapping remembers which pages it chose. */
	const struct soft_zap how = { .last = ULONG_MAX, .keep_nonlinear = true };
	struct soft_section section;
	int ret;

	ret = mmun_soft_split_huge_edges(a->vma, a->start, a->end);
	if (ret)
		return ret;
	mmun_soft_section_start(&section, a->mm->mm, MMU_NOTIFY_CLEAR, op, a->start, a->end, false);
	if (a->what == MADV_FREE)
		mmun_soft_zap_lazily(a->vma, a->start, a->end);
	else
		mmun_soft_zap(a->vma, a->start, a->end, &how);
	mmun_soft_section_end(&section, false);
	return 0;
}

static int advise_drop(struct advice *a, enum mmun_op op)
{
	const unsigned long forbidden = VM_PFNMAP |
					(a->what == MADV_DONTNEED_LOCKED ? 0 : VM_LOCKED);
	const unsigned long end = a->end;
	int ret;

	if (a->vma->v.vm_flags & forbidden)
		return -EINVAL;
	if (a->what == MADV_FREE && !soft_vma_anonymous(a->vma))
		return -EINVAL;
	ret = fit_hugetlb(a);
	if (!ret && a->start < a->end)
		ret = drop_pages(a, op);
	a->end = end;
	return ret;
}

static int age_pages(const struct advice *a)
{
	if (a->vma->v.vm_flags & (VM_LOCKED | VM_PFNMAP | VM_HUGETLB))
		return -EINVAL;
	if (a->what == MADV_COLD)
		mmun_soft_cold_range(a->vma, a->start, a->end);
	else
		(void)mmun_soft_reclaim_range(a->vma, a->start, a->end);
	return 0;
}

/* The hole goes through the file, to all that map it; its locks come before none of ours but
 * the mmap lock, which is let go of as on Linux. */
static int advise_remove(struct advice *a)
{
	const unsigned long flags = a->vma->v.vm_flags;
	struct file *file = a->vma->v.vm_file;
	uint64_t offset = (uint64_t)soft_vma_index(a->vma, a->start) << MMUN_SOFT_PAGE_SHIFT;
	int ret;

	if (flags & (VM_LOCKED | VM_NONLINEAR) || !file)
		return -EINVAL;
	if ((flags & (VM_SHARED | VM_MAYWRITE)) != (VM_SHARED | VM_MAYWRITE))
		return -EACCES;
	mmun_soft_file_get(file);
	mmap_read_unlock(a->mm->mm);
	ret = mmun_soft_file_punch(file, offset, a->end - a->start, MMUN_OP_MADV_REMOVE);
	mmun_soft_file_put(file);
	mmap_read_lock(a->mm->mm);
	a->unlocked = true;
	return ret;
}

static bool may_collapse(const struct soft_vma *vma)
{
	unsigned long last = (vma->v.vm_end - MMUN_SOFT_HUGE_SIZE) & ~(MMUN_SOFT_HUGE_SIZE - 1);

	return vma->anon_vma && !(vma->v.vm_flags & VM_NOHUGEPAGE) &&
	       vma->v.vm_end >= MMUN_SOFT_HUGE_SIZE && mmun_soft_huge_fits(vma, last);
}

static int advise_collapse(const struct advice *a)
{
	unsigned long at = (a->start + MMUN_SOFT_HUGE_SIZE - 1) & ~(MMUN_SOFT_HUGE_SIZE - 1);
	unsigned long end = soft_huge_start(a->end);
	int ret, result = 0;

	if (!may_collapse(a->vma) || at > end)
		return -EINVAL;
	for (; at < end; at += MMUN_SOFT_HUGE_SIZE) {
		ret = mmun_soft_collapse_locked(a->vma, at);
		if (ret)
			result = ret;
		if (ret == -ENOMEM)
			break;
	}
	return result;
}

static int advise_part(struct advice *a)
{
	switch (a->what) {
	case MADV_WILLNEED:
		return 0;
	case MADV_DONTNEED:
		return advise_drop(a, MMUN_OP_MADV_DONTNEED);
	case MADV_DONTNEED_LOCKED:
		return advise_drop(a, MMUN_OP_MADV_DONTNEED_LOCKED);
	case MADV_FREE:
		return advise_drop(a, MMUN_OP_MADV_FREE);
	case MADV_COLD:
	case MADV_PAGEOUT:
		return age_pages(a);
	case MADV_REMOVE:
		return advise_remove(a);
	case MADV_COLLAPSE:
		return advise_collapse(a);
	default:
		return change_flags(a);
	}
}

/* I1 */
static int advise_range(struct advice *a, unsigned long start, unsigned long end)
{
	int ret, hole = 0;

	while (start < end) {
		a->vma = mmun_soft_vma_find(a->mm, start);
		if (!a->vma || a->vma->v.vm_start > start)
			hole = -ENOMEM;
		if (!a->vma || a->vma->v.vm_start >= end)
			break;
		a->start = a->vma->v.vm_start > start ? a->vma->v.vm_start : start;
		a->end = a->vma->v.vm_end < end ? a->vma->v.vm_end : end;
		a->unlocked = false;
		ret = advise_part(a);
		if (ret)
			return ret;
		/* It may have become part of a larger one, which has that advice. */
		start = a->unlocked || a->vma->v.vm_end < a->end ? a->end : a->vma->v.vm_end;
	}
	return hole;
}

static int advise(struct mm_struct *mm, unsigned long start, unsigned long end, int what,
		  enum kind kind)
{
	struct advice a = { .mm = soft_mm(mm), .what = what };
	int ret;

	if (kind == CHANGES_FLAGS || kind == WRITES_LAYOUT) {
		mmap_write_lock(mm);
		ret = advise_range(&a, start, end);
		mmun_soft_write_unlock(a.mm);
		return ret;
	}
	mmap_read_lock(mm);
	if (kind == POPULATES)
		ret = mmun_soft_populate(a.mm, start, end, what == MADV_POPULATE_WRITE);
	else
		ret = advise_range(&a, start, end);
	mmap_read_unlock(mm);
	return ret;
}

int mmun_soft_madvise(struct mm_struct *mm, unsigned long address, size_t length, int advice)
{
	const enum kind kind = kind_of(advice);
	unsigned long size = soft_page_align(length);

	if (kind == UNKNOWN || address & ~MMUN_SOFT_PAGE_MASK || (length && !size) ||
	    address + size < address)
		return -EINVAL;
	return size ? advise(mm, address, address + size, advice, kind) : 0;
}
