/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where a new mapping goes, and how much there may be.
 *
 * As on Linux: the hint if it is free, else the highest gap below a base that
 * leaves room for the stack, and only when that is full what is above the base.
 * A gap ends below the guard of a stack that is above it.  Each VMA knows the
 * widest gap of its subtree, so a search is O(log n).
 *
 * Not here: whether what is there may be replaced (call/map.c).
 * Tests: tests/unit/soft/map.c.
 */
#include <errno.h>

#include "vma/vma.h"

/* With address space randomisation off, Linux has the same: 128 MiB below the end. */
#define MMAP_BASE         (MMUN_SOFT_TASK_SIZE - (128ul << 20))
#define DEFAULT_MAP_COUNT 65530u

unsigned int mmun_soft_max_map_count(const struct soft_mm *mm)
{
	return mm->soft->params.max_map_count ? mm->soft->params.max_map_count : DEFAULT_MAP_COUNT;
}

bool mmun_soft_may_expand(const struct soft_mm *mm, unsigned long pages)
{
	const size_t limit = mm->soft->params.address_space;

	return !limit || mm->total_pages + pages <= limit >> MMUN_SOFT_PAGE_SHIFT;
}

bool mmun_soft_area_used(const struct soft_mm *mm, unsigned long start, unsigned long end)
{
	const struct soft_vma *vma = mmun_soft_vma_find(mm, start);

	return vma && vma->v.vm_start < end;
}

/* The last in @node's subtree with a gap of @length. */
static struct soft_vma *last_with_gap(struct mmun_tree_node *node, unsigned long length)
{
	while (node && soft_vma_of_node(node)->max_gap >= length) {
		if (node->right && soft_vma_of_node(node->right)->max_gap >= length)
			node = node->right;
		else if (soft_vma_of_node(node)->gap >= length)
			return soft_vma_of_node(node);
		else
			node = node->left;
	}
	return NULL;
}

/* The last before @vma. */
static struct soft_vma *prev_with_gap(struct soft_vma *vma, unsigned long length)
{
	struct mmun_tree_node *node = &vma->node;
	struct soft_vma *found = last_with_gap(node->left, length);

	while (!found && node->parent) {
		const bool was_right = node->parent->right == node;

		node = node->parent;
		if (!was_right)
			continue;
		if (soft_vma_of_node(node)->gap >= length)
			return soft_vma_of_node(node);
		found = last_with_gap(node->left, length);
	}
	return found;
}

/* The highest free @length bytes below @ceiling, or 0. */
static unsigned long search_down(const struct soft_mm *mm, unsigned long length,
				 unsigned long ceiling)
{
	/* The first whose gap @ceiling may cut: those before it lie below as a whole. */
	struct soft_vma *vma = mmun_soft_vma_find(mm, ceiling);
	const struct soft_vma *below = vma ? mmun_soft_vma_prev(vma)
					   : soft_vma_of_node(mmun_tree_last(&mm->vmas));
	unsigned long floor = below ? below->v.vm_end : MMUN_SOFT_MIN_ADDRESS, top = ceiling;

	if (floor < MMUN_SOFT_MIN_ADDRESS)
		floor = MMUN_SOFT_MIN_ADDRESS;
	if (vma && soft_vma_start_gap(vma) < top)
		top = soft_vma_start_gap(vma);
	if (top > floor && top - floor >= length)
		return top - length;
	vma = vma ? prev_with_gap(vma, length) : last_with_gap(mm->vmas.root, length);
	if (!vma || soft_vma_start_gap(vma) - length < MMUN_SOFT_MIN_ADDRESS)
		return 0;
	return soft_vma_start_gap(vma) - length;
}

static unsigned long search(const struct soft_mm *mm, unsigned long length)
{
	unsigned long address = search_down(mm, length, MMAP_BASE);

	return address ? address : search_down(mm, length, MMUN_SOFT_TASK_SIZE);
}

static unsigned long search_huge(const struct soft_mm *mm, unsigned long length)
{
	unsigned long address = search(mm, length + MMUN_SOFT_HUGE_SIZE);

	if (!address)
		return 0;
	return (address + MMUN_SOFT_HUGE_SIZE) & ~(MMUN_SOFT_HUGE_SIZE - 1);
}

static bool hint_is_free(const struct soft_mm *mm, unsigned long hint, unsigned long length)
{
	const struct soft_vma *vma;

	if (hint > MMUN_SOFT_TASK_SIZE - length)
		return false;
	vma = mmun_soft_vma_find(mm, hint);
	return !vma || hint + length <= soft_vma_start_gap(vma);
}

static mmun_soft_address check_fixed(unsigned long address, unsigned long length)
{
	if (address > MMUN_SOFT_TASK_SIZE - length)
		return -ENOMEM;
	if (address & ~MMUN_SOFT_PAGE_MASK)
		return -EINVAL;
	if (address < MMUN_SOFT_MIN_ADDRESS)
		return -EPERM;
	return address;
}

mmun_soft_address mmun_soft_area(const struct soft_mm *mm, unsigned long hint, unsigned long length,
				 bool fixed, bool huge)
{
	unsigned long address = 0;

	if (length > MMUN_SOFT_TASK_SIZE)
		return -ENOMEM;
	if (fixed)
		return check_fixed(hint, length);
	hint &= MMUN_SOFT_PAGE_MASK;
	if (hint && hint_is_free(mm, hint, length))
		return check_fixed(hint, length);
	if (huge && !hint)
		address = search_huge(mm, length);
	if (!address)
		address = search(mm, length);
	return address ? address : (mmun_soft_address)-ENOMEM;
}
