/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Moving entries: mremap.
 *
 * I1  An entry leaves its old place and reaches its new one under one hold of
 *     the page_table_lock; references and map counts do not change.
 * I2  All tables are made first, and then nothing can fail: the mmap lock for
 *     write sees to it that no entry comes to be meanwhile.  Huge entries may be
 *     split, through the reverse maps; so 2 MiB that are aligned on both sides
 *     move as whatever they are then, entry or leaf, and need no table of their own.
 * I3  The old place is flushed before the page_table_lock is let go of: at the new one reclaim
 *     may find the page at once, and free it.
 *
 * A reverse-map walk that has looked at the new place already and then looks at
 * the old one misses the page.  What must not miss it (truncate, the end of a
 * migration) is kept out by the caller, before the change.
 *
 * Not here: sections (the caller's), the VMAs (call/remap.c).
 * Tests: tests/unit/soft/table.c.
 */
#include "alloc.h"
#include "bug.h"
#include "section.h"
#include "table/table.h"

struct move {
	struct soft_mm *mm;
	unsigned long from, to, length;
};

static unsigned long offset_in_huge(unsigned long address)
{
	return address & (MMUN_SOFT_HUGE_SIZE - 1);
}

/* The next piece that has one leaf on either side. */
static unsigned long piece(const struct move *move)
{
	unsigned long here = MMUN_SOFT_HUGE_SIZE - offset_in_huge(move->from);
	unsigned long there = MMUN_SOFT_HUGE_SIZE - offset_in_huge(move->to);

	return soft_min(move->length, soft_min(here, there));
}

/* As Linux: a moved page counts as written. */
static soft_pte moved_value(soft_pte pte)
{
	const soft_pte page = SOFT_PTE_PRESENT | SOFT_PTE_SWAP | SOFT_PTE_DEVICE;

	return pte & page ? pte | SOFT_PTE_SOFT_DIRTY : pte;
}

/* I3 */
static void flush(const struct move *move, unsigned long length)
{
	mmun_soft_flush(move->mm, move->from, move->from + length, MMUN_SOFT_PAGE_SIZE);
}

static void move_ptes(const struct move *move, unsigned long length)
{
	struct soft_walk walk = {
		.mm = move->mm,
		.address = move->from,
		.end = move->from + length,
		.whole = true,
	};
	bool present = false;
	soft_pte pte;

	while (mmun_soft_walk_find(&walk)) {
		pte = *walk.entry;
		present |= !!(pte & SOFT_PTE_PRESENT);
		mmun_soft_walk_set(&walk, 0);
		mmun_soft_pte_set(move->mm, walk.address - move->from + move->to, moved_value(pte));
		mmun_soft_walk_advance(&walk);
	}
	if (present)
		flush(move, length);
}

static void move_leaf(const struct move *move)
{
	struct soft_table *leaf = mmun_soft_leaf_take(move->mm, move->from);

	for (unsigned int i = 0; i < SOFT_TABLE_ENTRIES; i++)
		leaf->entry[i] = moved_value(leaf->entry[i]);
	mmun_soft_leaf_set(move->mm, move->to, leaf);
}

static void move_huge(const struct move *move, soft_pte pte)
{
	struct soft_table *leaf = mmun_soft_pmd_clear_huge(move->mm, move->from);

	mmun_soft_pmd_set_huge(move->mm, move->to, moved_value(pte), leaf);
}

/* Whatever maps the 2 MiB; an empty leaf may still be where it goes. */
static void move_whole(const struct move *move)
{
	struct soft_table *leaf = mmun_soft_leaf_take(move->mm, move->to);
	soft_pte pte = *mmun_soft_pmd(move->mm, move->from);

	MMUN_BUG_ON(leaf && leaf->used);
	mmun_free(leaf);
	if (soft_pte_huge(pte))
		move_huge(move, pte);
	else
		move_leaf(move);
	flush(move, MMUN_SOFT_HUGE_SIZE);
}

/* page_table_lock held. */
static bool has_entries(const struct move *move, unsigned long length)
{
	struct soft_walk walk = {
		.mm = move->mm,
		.address = move->from,
		.end = move->from + length,
	};

	return mmun_soft_walk_find(&walk);
}

static int make_tables(const struct move *move, unsigned long length)
{
	bool needed;

	mmun_mutex_lock(&move->mm->page_table_lock);
	needed = has_entries(move, length);
	mmun_mutex_unlock(&move->mm->page_table_lock);
	if (!needed)
		return 0;
	if (length == MMUN_SOFT_HUGE_SIZE)
		return mmun_soft_pmd_make(move->mm, move->to);
	return mmun_soft_pte_make(move->mm, move->to);
}

static int move_piece(const struct move *move, unsigned long length)
{
	mmun_mutex_lock(&move->mm->page_table_lock);
	if (has_entries(move, length)) {
		if (length == MMUN_SOFT_HUGE_SIZE)
			move_whole(move);
		else
			move_ptes(move, length);
	}
	mmun_mutex_unlock(&move->mm->page_table_lock);
	return 0;
}

static int for_each_piece(struct move move, int (*visit)(const struct move *, unsigned long))
{
	unsigned long step;
	int ret = 0;

	while (!ret && move.length) {
		step = piece(&move);
		ret = visit(&move, step);
		move.from += step;
		move.to += step;
		move.length -= step;
	}
	return ret;
}

int mmun_soft_move(struct soft_vma *from, unsigned long old_start, struct soft_vma *to,
		   unsigned long new_start, unsigned long length, unsigned long *moved)
{
	const struct move move = { soft_vma_mm(from), old_start, new_start, length };
	int ret = for_each_piece(move, make_tables);

	MMUN_BUG_ON(soft_vma_mm(to) != move.mm);
	if (!ret)
		ret = for_each_piece(move, move_piece);
	*moved = ret ? 0 : length;
	return ret;
}
