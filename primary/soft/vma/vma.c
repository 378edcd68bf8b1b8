/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The tree of an mm's VMAs: look-up, link, split, copy.
 *
 * I1  VMAs do not overlap, so the order of starts is the order of ends; a boundary
 *     moves only to where no neighbour is, or together with it.
 * I2  A VMA's gap is what is free between it and the one before, so whatever
 *     moves an end or a start refreshes the gap of the VMA above it.
 * I3  A page that is mapped is covered, at every moment, by at least one VMA that
 *     a reverse-map walk finds: the upper half of a split enters the reverse maps
 *     before the lower half shrinks.  That a walk meets a page twice is harmless.
 * I4  A huge mapping lies within one VMA: it is split before a boundary cuts it.
 *
 * Not here: which neighbours merge (merge.c); entries (table.h).
 * Tests: tests/unit/soft/vma.c.
 */
#include <errno.h>

#include "alloc.h"
#include "rmap/rmap.h"
#include "table/table.h"
#include "vma/vma.h"

static bool vma_less(const struct mmun_tree_node *a, const struct mmun_tree_node *b)
{
	return soft_vma_of_node(a)->v.vm_start < soft_vma_of_node(b)->v.vm_start;
}

static unsigned long widest(const struct mmun_tree_node *node)
{
	return node ? soft_vma_of_node(node)->max_gap : 0;
}

static bool gap_update(struct mmun_tree_node *node)
{
	struct soft_vma *vma = soft_vma_of_node(node);
	unsigned long max = vma->gap;

	if (widest(node->left) > max)
		max = widest(node->left);
	if (widest(node->right) > max)
		max = widest(node->right);
	if (vma->max_gap == max)
		return false;
	vma->max_gap = max;
	return true;
}

static void refresh_gap(struct soft_vma *vma)
{
	const struct soft_vma *prev;
	unsigned long floor, top;

	if (!vma)
		return;
	prev = mmun_soft_vma_prev(vma);
	floor = prev ? prev->v.vm_end : 0;
	top = soft_vma_start_gap(vma);
	vma->gap = top > floor ? top - floor : 0;
	mmun_tree_changed(&vma->node, gap_update);
}

static void tree_insert(struct soft_mm *mm, struct soft_vma *vma)
{
	vma->gap = vma->max_gap = 0;
	mmun_tree_insert(&mm->vmas, &vma->node, vma_less, gap_update);
	refresh_gap(vma);
	refresh_gap(mmun_soft_vma_next(vma));
	mm->map_count++;
	mm->total_pages += soft_vma_pages(vma);
}

static void tree_remove(struct soft_mm *mm, struct soft_vma *vma)
{
	struct soft_vma *next = mmun_soft_vma_next(vma);

	mmun_tree_remove(&mm->vmas, &vma->node, gap_update);
	refresh_gap(next);
	mm->map_count--;
	mm->total_pages -= soft_vma_pages(vma);
}

struct soft_vma *mmun_soft_vma_find(const struct soft_mm *mm, unsigned long address)
{
	struct mmun_tree_node *node = mm->vmas.root;
	struct soft_vma *vma, *found = NULL;

	while (node) {
		vma = soft_vma_of_node(node);
		if (vma->v.vm_end > address) {
			found = vma;
			if (vma->v.vm_start <= address)
				break;
			node = node->left;
		} else {
			node = node->right;
		}
	}
	return found;
}

struct soft_vma *mmun_soft_vma_at(const struct soft_mm *mm, unsigned long address)
{
	struct soft_vma *vma = mmun_soft_vma_find(mm, address);

	return vma && vma->v.vm_start <= address ? vma : NULL;
}

struct vm_area_struct *mmun_soft_find_vma(struct mm_struct *mm, unsigned long address)
{
	struct soft_vma *vma = mmun_soft_vma_find(soft_mm(mm), address);

	return vma ? &vma->v : NULL;
}

struct vm_area_struct *mmun_soft_vma_lookup(struct mm_struct *mm, unsigned long address)
{
	struct soft_vma *vma = mmun_soft_vma_at(soft_mm(mm), address);

	return vma ? &vma->v : NULL;
}

struct soft_vma *mmun_soft_vma_alloc(struct soft_mm *mm)
{
	struct soft_vma *vma = mmun_alloc(sizeof(*vma));

	if (!vma)
		return NULL;
	vma->v.vm_mm = mm->mm;
	mmun_dlist_init(&vma->anon_chain);
	mmun_dlist_init(&vma->nonlinear);
	vma->i_mmap.start = 1; /* empty: in no tree */
	return vma;
}

void mmun_soft_vma_free(struct soft_vma *vma)
{
	mmun_free(vma);
}

void mmun_soft_vma_link(struct soft_mm *mm, struct soft_vma *vma)
{
	mmun_soft_mapping_add(vma);
	tree_insert(mm, vma);
}

void mmun_soft_vma_unlink(struct soft_mm *mm, struct soft_vma *vma)
{
	tree_remove(mm, vma);
	mmun_soft_mapping_remove(vma);
	mmun_soft_anon_unlink(vma);
}

/* A copy that is in no tree and has no references yet. */
static struct soft_vma *copy_vma(struct soft_mm *mm, const struct soft_vma *from)
{
	struct soft_vma *vma = mmun_soft_vma_alloc(mm);

	if (vma) {
		vma->v = from->v;
		vma->v.vm_mm = mm->mm;
	}
	return vma;
}

/* @vma is what its driver and its file may know of from here on. */
static void announce(struct soft_vma *vma)
{
	if (vma->v.vm_file)
		mmun_soft_file_get(vma->v.vm_file);
	if (vma->v.vm_ops && vma->v.vm_ops->open)
		vma->v.vm_ops->open(&vma->v);
}

int mmun_soft_vma_dup(struct soft_mm *mm, struct soft_vma *vma, struct soft_vma **out)
{
	struct soft_vma *copy = copy_vma(mm, vma);
	int ret = 0;

	if (!copy)
		return -ENOMEM;
	soft_vma_set_flags(copy, vma->v.vm_flags & ~VM_LOCKED);
	/* A mapping that is wiped on fork starts like a new one. */
	if (!(vma->v.vm_flags & VM_WIPEONFORK))
		ret = mmun_soft_anon_fork(copy, vma);
	if (ret) {
		mmun_soft_vma_free(copy);
		return ret;
	}
	announce(copy);
	mmun_soft_vma_link(mm, copy);
	*out = copy;
	return 0;
}

struct soft_vma *mmun_soft_vma_clone(struct soft_vma *vma, const struct soft_place *place)
{
	struct soft_vma *copy = copy_vma(soft_vma_mm(vma), vma);

	if (!copy)
		return NULL;
	copy->v.vm_start = place->start;
	copy->v.vm_end = place->end;
	copy->v.vm_pgoff = place->pgoff;
	if (mmun_soft_anon_clone(copy, vma)) {
		mmun_soft_vma_free(copy);
		return NULL;
	}
	announce(copy);
	mmun_soft_mapping_add(copy);
	return copy;
}

void mmun_soft_vma_clone_link(struct soft_vma *copy)
{
	tree_insert(soft_vma_mm(copy), copy);
}

static void set_place(struct soft_vma *vma, const struct soft_place *to)
{
	struct soft_mm *mm = soft_vma_mm(vma);

	mm->total_pages -= soft_vma_pages(vma);
	vma->v.vm_start = to->start;
	vma->v.vm_end = to->end;
	vma->v.vm_pgoff = to->pgoff;
	mm->total_pages += soft_vma_pages(vma);
}

void mmun_soft_vma_move_bounds(struct soft_vma *vma, const struct soft_place *to,
			       struct soft_vma *other, const struct soft_place *other_to)
{
	mmun_soft_rmap_change_begin(vma, other);
	set_place(vma, to);
	if (other)
		set_place(other, other_to);
	mmun_soft_rmap_change_end(vma, other);

	refresh_gap(vma);
	refresh_gap(mmun_soft_vma_next(vma));
	if (other) {
		refresh_gap(other);
		refresh_gap(mmun_soft_vma_next(other));
	}
}

int mmun_soft_vma_split_uncounted(struct soft_vma *vma, unsigned long address)
{
	const struct vm_operations_struct *ops = vma->v.vm_ops;
	struct soft_place lower = { vma->v.vm_start, address, vma->v.vm_pgoff };
	struct soft_place upper = { address, vma->v.vm_end, soft_vma_index(vma, address) };
	struct soft_vma *copy;
	int ret = ops && ops->may_split ? ops->may_split(&vma->v, address) : 0;

	if (vma->v.vm_flags & VM_HUGETLB && address != soft_huge_start(address))
		return -EINVAL;

	if (!ret && address % MMUN_SOFT_HUGE_SIZE)
		ret = mmun_soft_split_huge(vma, address);
	if (ret)
		return ret;
	copy = mmun_soft_vma_clone(vma, &upper);
	if (!copy)
		return -ENOMEM;
	mmun_soft_vma_move_bounds(vma, &lower, NULL, NULL);
	mmun_soft_vma_clone_link(copy);
	return 0;
}

int mmun_soft_vma_split(struct soft_vma *vma, unsigned long address)
{
	struct soft_mm *mm = soft_vma_mm(vma);

	if (mm->map_count >= mmun_soft_max_map_count(mm))
		return -ENOMEM;
	return mmun_soft_vma_split_uncounted(vma, address);
}
