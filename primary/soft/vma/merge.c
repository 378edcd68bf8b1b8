/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which neighbours are one VMA, and making them one.
 *
 * Two ranges are alike when flags (but soft-dirty) and file are the same and the
 * page offsets continue.  Their anonymous pages must be found through one
 * anon_vma: the same, or only one has any and did not inherit it by fork, or it
 * would lengthen the chains of pages that others of the family own.
 *
 * I1  A VMA whose driver wants to hear of its end (vm_ops->close) is never merged
 *     away; one that is extended may have such a driver.
 * I2  The VMA that grows takes over the anon_vma before its bounds move, so the pages it
 *     receives are found at every moment (vma.c, I3).
 *
 * The cases are those of Linux 6.18, as the layout that programs see depends on them.
 *
 * Tests: tests/unit/soft/vma.c.
 */
#include <errno.h>

#include "rmap/rmap.h"
#include "table/table.h"
#include "vma/vma.h"

static unsigned long pages_of(const struct soft_place *place)
{
	return (place->end - place->start) >> MMUN_SOFT_PAGE_SHIFT;
}

static bool alike(const struct soft_vma *vma, const struct soft_span *span)
{
	return !((vma->v.vm_flags ^ span->flags) & ~VM_SOFTDIRTY) && vma->v.vm_file == span->file;
}

static bool removable(const struct soft_vma *vma)
{
	return !vma->v.vm_ops || !vma->v.vm_ops->close;
}

/* @grown: the VMA that the range extends, if that is what happens: nothing of its
 * own moves then, and one that had no pages may be taken in whatever its ancestry. */
static bool anon_fits(const struct soft_vma *vma, const struct soft_span *span,
		      const struct soft_vma *grown)
{
	if (grown && grown == span->origin && !vma->anon_vma)
		return true;
	return mmun_soft_anon_mergeable(vma, span->origin);
}

static bool joins_left(const struct soft_vma *prev, const struct soft_span *span)
{
	return prev && prev->v.vm_end == span->place.start && alike(prev, span) &&
	       prev->v.vm_pgoff + soft_vma_pages(prev) == span->place.pgoff &&
	       anon_fits(prev, span, NULL);
}

static bool joins_right(const struct soft_vma *next, const struct soft_span *span,
			const struct soft_vma *grown)
{
	return next && next->v.vm_start == span->place.end && alike(next, span) &&
	       span->place.pgoff + pages_of(&span->place) == next->v.vm_pgoff &&
	       anon_fits(next, span, grown);
}

/* Each fits the range between them; do they fit each other? */
static bool ends_meet(const struct soft_vma *prev, const struct soft_vma *next)
{
	return !prev->anon_vma || !next->anon_vma || prev->anon_vma == next->anon_vma;
}

static int take_anon(struct soft_vma *vma, const struct soft_vma *from)
{
	if (!from || !from->anon_vma || vma->anon_vma)
		return 0;
	return mmun_soft_anon_clone(vma, (struct soft_vma *)(uintptr_t)from);
}

static void take_place(struct soft_vma *vma, const struct soft_place *place, struct soft_vma *gone,
		       struct soft_vma *gone_too)
{
	struct soft_mm *mm = soft_vma_mm(vma);

	mmun_soft_vma_move_bounds(vma, place, NULL, NULL);
	if (gone)
		mmun_soft_vma_remove(mm, gone);
	if (gone_too)
		mmun_soft_vma_remove(mm, gone_too);
}

struct soft_vma *mmun_soft_vma_merge_new(struct soft_mm *mm, const struct soft_span *span,
					 bool expand_only)
{
	struct soft_vma *next = mmun_soft_vma_find(mm, span->place.start);
	struct soft_vma *prev = next ? mmun_soft_vma_prev(next)
				     : soft_vma_of_node(mmun_tree_last(&mm->vmas));
	struct soft_place place = span->place;
	struct soft_vma *target;
	bool left, right;

	if (span->flags & SOFT_VM_SPECIAL)
		return NULL;
	left = joins_left(prev, span);
	right = !expand_only && joins_right(next, span, prev) && (!left || ends_meet(prev, next));
	if (left && right && !removable(next))
		right = false;
	if (!left && !right)
		return NULL;

	if (right)
		place.end = next->v.vm_end;
	if (left) {
		place.start = prev->v.vm_start;
		place.pgoff = prev->v.vm_pgoff;
	}
	target = left ? prev : next;
	if ((left && right && take_anon(target, next)) || take_anon(target, span->origin))
		return NULL;
	take_place(target, &place, left && right ? next : NULL, NULL);
	return target;
}

/* The boundary between @low and @high moves to @address, which lies in @from, one of them. */
static int shift_boundary(struct soft_vma *low, struct soft_vma *high, struct soft_vma *from,
			  unsigned long address)
{
	struct soft_place below = { low->v.vm_start, address, low->v.vm_pgoff };
	struct soft_place above = { address, high->v.vm_end, 0 };
	int ret = 0;

	above.pgoff = below.pgoff + pages_of(&below);
	if (address % MMUN_SOFT_HUGE_SIZE)
		ret = mmun_soft_split_huge(from, address);
	if (!ret)
		ret = take_anon(from == low ? high : low, from);
	if (!ret)
		mmun_soft_vma_move_bounds(low, &below, high, &above);
	return ret;
}

/* All of @vma goes into @prev, into @next, or with @next into @prev. */
static int dissolve(struct soft_vma *vma, struct soft_vma *prev, struct soft_vma *next)
{
	struct soft_vma *target = prev ? prev : next;
	struct soft_place place = {
		.start = prev ? prev->v.vm_start : vma->v.vm_start,
		.end = next ? next->v.vm_end : vma->v.vm_end,
		.pgoff = prev ? prev->v.vm_pgoff : vma->v.vm_pgoff,
	};
	int ret = take_anon(target, prev && next && next->anon_vma ? next : vma);

	if (!ret)
		take_place(target, &place, vma, prev ? next : NULL);
	return ret;
}

/* Sets *@out only when merged. */
static int merge_existing(struct soft_vma *vma, const struct soft_span *span, struct soft_vma **out)
{
	const bool from_start = span->place.start == vma->v.vm_start;
	const bool to_end = span->place.end == vma->v.vm_end;
	struct soft_vma *prev = from_start ? mmun_soft_vma_prev(vma) : NULL;
	struct soft_vma *next = to_end ? mmun_soft_vma_next(vma) : NULL;
	int ret;

	if (span->flags & SOFT_VM_SPECIAL)
		return 0;
	if (!joins_left(prev, span))
		prev = NULL;
	if (!joins_right(next, span, NULL) || (prev && !ends_meet(prev, next)))
		next = NULL;
	if (from_start && to_end && !removable(vma))
		return 0;
	if (prev && next && !removable(next))
		next = NULL;
	if (!prev && !next)
		return 0;

	if (from_start && to_end)
		ret = dissolve(vma, prev, next);
	else if (prev)
		ret = shift_boundary(prev, vma, vma, span->place.end);
	else
		ret = shift_boundary(vma, next, vma, span->place.start);
	if (!ret)
		*out = prev ? prev : next;
	return ret;
}

int mmun_soft_vma_modify(struct soft_vma **pvma, unsigned long start, unsigned long end,
			 unsigned long flags)
{
	struct soft_vma *vma = *pvma, *merged = NULL;
	const struct soft_span span = {
		.place = { start, end, soft_vma_index(vma, start) },
		.flags = flags,
		.file = vma->v.vm_file,
		.origin = vma,
	};
	int ret = merge_existing(vma, &span, &merged);

	if (ret || merged) {
		*pvma = merged ? merged : vma;
		return ret;
	}
	if (vma->v.vm_start < start) {
		ret = mmun_soft_vma_split(vma, start);
		if (ret)
			return ret;
		vma = mmun_soft_vma_next(vma);
	}
	if (vma->v.vm_end > end) {
		ret = mmun_soft_vma_split(vma, end);
		if (ret)
			return ret;
	}
	*pvma = vma;
	return 0;
}
