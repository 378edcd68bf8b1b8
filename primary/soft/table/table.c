/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Page tables: finding, making and freeing the tables, and the walk over what
 * is in them.
 *
 * I1  A table is reached, changed, linked and unlinked under the
 *     page_table_lock only, and pointers into it are good for that long.
 * I2  A leaf that mmun_soft_pte_make() promised stays while the maker holds the
 *     mmap lock: leaves go under the mmap lock for write only (tables_free,
 *     collapse), and a huge entry takes the place of nothing, never of a leaf.
 * I3  ->used is the number of entries that are not 0.
 * I4  Level 1 holds one empty leaf for each of its huge entries.
 *
 * Not here: notifiers, references and map counts; they are the callers'.
 * Tests: tests/unit/soft/table.c.
 */
#include <errno.h>

#include "alloc.h"
#include "bug.h"
#include "table/table.h"

#define ROOT_LEVEL 3

static unsigned int index_at(unsigned long address, unsigned int level)
{
	return address >> (MMUN_SOFT_PAGE_SHIFT + 9 * level) & (SOFT_TABLE_ENTRIES - 1);
}

/* The bytes that one entry of @level stands for. */
static unsigned long span(unsigned int level)
{
	return MMUN_SOFT_PAGE_SIZE << 9 * level;
}

/* Where the next entry of @level begins. */
static unsigned long next_entry(unsigned long address, unsigned int level)
{
	return (address & ~(span(level) - 1)) + span(level);
}

static struct soft_table *below(soft_pte entry)
{
	return entry & SOFT_PTE_PRESENT ? NULL : (struct soft_table *)(uintptr_t)entry;
}

static soft_pte pointer_to(const struct soft_table *table)
{
	return (soft_pte)(uintptr_t)table;
}

/* The lowest table on the way to @address that is not below @level. */
static struct soft_table *lowest(const struct soft_mm *mm, unsigned long address,
				 unsigned int level)
{
	struct soft_table *table = mm->pgd, *next;

	while (table->level > level) {
		next = below(table->entry[index_at(address, table->level)]);
		if (!next)
			break;
		table = next;
	}
	return table;
}

static struct soft_table *table_at(const struct soft_mm *mm, unsigned long address,
				   unsigned int level)
{
	struct soft_table *table = lowest(mm, address, level);

	return table->level == level ? table : NULL;
}

static soft_pte *entry_at(const struct soft_mm *mm, unsigned long address, unsigned int level)
{
	struct soft_table *table = table_at(mm, address, level);

	return table ? &table->entry[index_at(address, level)] : NULL;
}

soft_pte *mmun_soft_pte(struct soft_mm *mm, unsigned long address)
{
	return entry_at(mm, address, 0);
}

soft_pte *mmun_soft_pmd(struct soft_mm *mm, unsigned long address)
{
	return entry_at(mm, address, 1);
}

static soft_pte part_of_huge(soft_pte huge, unsigned long address)
{
	return huge + ((soft_pte)index_at(address, 0) << SOFT_PTE_SHIFT);
}

soft_pte mmun_soft_pte_value(struct soft_mm *mm, unsigned long address)
{
	struct soft_table *table = lowest(mm, address, 0);
	soft_pte value = table->entry[index_at(address, table->level)];

	if (!table->level)
		return value;
	return value & SOFT_PTE_PRESENT ? part_of_huge(value, address) : 0;
}

static void set(struct soft_table *table, soft_pte *entry, soft_pte value)
{
	table->used += !*entry && value;
	table->used -= *entry && !value;
	table->emptied &= !value;
	*entry = value;
}

void mmun_soft_pte_set(struct soft_mm *mm, unsigned long address, soft_pte value)
{
	struct soft_table *table = table_at(mm, address, 0);

	MMUN_BUG_ON(!table);
	set(table, &table->entry[index_at(address, 0)], value);
}

void mmun_soft_pmd_set(struct soft_mm *mm, unsigned long address, soft_pte value)
{
	soft_pte *entry = entry_at(mm, address, 1);

	MMUN_BUG_ON(!entry || !soft_pte_huge(*entry) || !soft_pte_huge(value));
	*entry = value;
}

static void deposit(struct soft_table *table, struct soft_table *leaf)
{
	leaf->entry[0] = pointer_to(table->deposit);
	table->deposit = leaf;
}

static struct soft_table *withdraw(struct soft_table *table)
{
	struct soft_table *leaf = table->deposit;

	MMUN_BUG_ON(!leaf);
	table->deposit = below(leaf->entry[0]);
	leaf->entry[0] = 0;
	return leaf;
}

void mmun_soft_pmd_set_huge(struct soft_mm *mm, unsigned long address, soft_pte value,
			    struct soft_table *leaf)
{
	struct soft_table *table = table_at(mm, address, 1);
	soft_pte *entry = &table->entry[index_at(address, 1)];

	MMUN_BUG_ON(*entry || leaf->used);
	set(table, entry, value | SOFT_PTE_HUGE);
	deposit(table, leaf);
}

struct soft_table *mmun_soft_pmd_clear_huge(struct soft_mm *mm, unsigned long address)
{
	struct soft_table *table = table_at(mm, address, 1);
	soft_pte *entry = &table->entry[index_at(address, 1)];

	MMUN_BUG_ON(!soft_pte_huge(*entry));
	set(table, entry, 0);
	return withdraw(table);
}

void mmun_soft_leaf_set(struct soft_mm *mm, unsigned long address, struct soft_table *leaf)
{
	struct soft_table *table = table_at(mm, address, 1);
	soft_pte *entry = &table->entry[index_at(address, 1)];

	MMUN_BUG_ON(*entry);
	set(table, entry, pointer_to(leaf));
}

struct soft_table *mmun_soft_leaf_take(struct soft_mm *mm, unsigned long address)
{
	struct soft_table *table = table_at(mm, address, 1);
	soft_pte *entry = &table->entry[index_at(address, 1)];
	struct soft_table *leaf = below(*entry);

	if (leaf)
		set(table, entry, 0);
	return leaf;
}

void mmun_soft_pmd_split(struct soft_mm *mm, unsigned long address)
{
	soft_pte value = *entry_at(mm, address, 1);
	struct soft_table *leaf = mmun_soft_pmd_clear_huge(mm, address);

	value &= ~SOFT_PTE_HUGE;
	for (unsigned int i = 0; i < SOFT_TABLE_ENTRIES; i++)
		leaf->entry[i] = value + ((soft_pte)i << SOFT_PTE_SHIFT);
	leaf->used = SOFT_TABLE_ENTRIES;
	leaf->emptied = false;
	mmun_soft_leaf_set(mm, address, leaf);
	soft_stat_inc(mm->soft, huge_split);
}

static struct soft_table *alloc_table(unsigned int level)
{
	struct soft_table *table = mmun_alloc(sizeof(*table));

	if (table)
		table->level = level;
	return table;
}

struct soft_table *mmun_soft_leaf_alloc(void)
{
	return alloc_table(0);
}

/* Down to @level with at most one new table, *@spare.  -EAGAIN: another one is needed. */
static int descend(struct soft_mm *mm, unsigned long address, unsigned int level,
		   struct soft_table **spare)
{
	struct soft_table *table = mm->pgd;
	soft_pte *entry;

	while (table->level > level) {
		entry = &table->entry[index_at(address, table->level)];
		if (*entry & SOFT_PTE_PRESENT)
			return -EEXIST;
		if (!*entry) {
			if (!*spare)
				return -EAGAIN;
			(*spare)->level = table->level - 1;
			set(table, entry, pointer_to(*spare));
			*spare = NULL;
		}
		table = below(*entry);
	}
	table->emptied = false;
	return 0;
}

static int make(struct soft_mm *mm, unsigned long address, unsigned int level)
{
	struct soft_table *spare = NULL;
	int ret;

	for (;;) {
		mmun_mutex_lock(&mm->page_table_lock);
		ret = descend(mm, address, level, &spare);
		mmun_mutex_unlock(&mm->page_table_lock);
		if (ret != -EAGAIN)
			break;
		spare = alloc_table(level);
		if (!spare)
			return -ENOMEM;
	}
	mmun_free(spare);
	return ret;
}

int mmun_soft_pte_make(struct soft_mm *mm, unsigned long address)
{
	return make(mm, address, 0);
}

int mmun_soft_pmd_make(struct soft_mm *mm, unsigned long address)
{
	return make(mm, address, 1);
}

int mmun_soft_tables_create(struct soft_mm *mm)
{
	mm->pgd = alloc_table(ROOT_LEVEL);
	return mm->pgd ? 0 : -ENOMEM;
}

/* Frees what is empty below @table, whose first byte is @base, and lies wholly in [start, end). */
static void free_below(struct soft_table *table, unsigned long base, unsigned long start,
		       unsigned long end)
{
	const unsigned long size = span(table->level), above = base + size * SOFT_TABLE_ENTRIES;
	const unsigned int last = index_at((end < above ? end : above) - 1, table->level);
	unsigned int i = start > base ? index_at(start, table->level) : 0;
	struct soft_table *child;

	for (; i <= last; i++) {
		child = below(table->entry[i]);
		if (!child)
			continue;
		if (child->level)
			free_below(child, base + i * size, start, end);
		if (child->used || base + i * size < start || base + (i + 1) * size > end)
			continue;
		set(table, &table->entry[i], 0);
		mmun_free(child);
	}
}

void mmun_soft_tables_free(struct soft_mm *mm, unsigned long start, unsigned long end)
{
	if (start >= end)
		return;
	mmun_mutex_lock(&mm->page_table_lock);
	free_below(mm->pgd, 0, start, end);
	mmun_mutex_unlock(&mm->page_table_lock);
}

void mmun_soft_tables_destroy(struct soft_mm *mm)
{
	mmun_soft_tables_free(mm, 0, span(ROOT_LEVEL) * SOFT_TABLE_ENTRIES);
	MMUN_BUG_ON(mm->pgd->used);
	mmun_free(mm->pgd);
	mm->pgd = NULL;
}

/* What one zap of [start, end) left empty, where that was all of it. */
void mmun_soft_leaves_emptied(struct soft_mm *mm, unsigned long start, unsigned long end)
{
	unsigned long address = (start + MMUN_SOFT_HUGE_SIZE - 1) & ~(MMUN_SOFT_HUGE_SIZE - 1);
	struct soft_table *table;

	mmun_mutex_lock(&mm->page_table_lock);
	while (address < end && end - address >= MMUN_SOFT_HUGE_SIZE) {
		table = lowest(mm, address, 0);
		if (!table->level && !table->used)
			table->emptied = true;
		address = next_entry(address, table->level ? table->level : 1);
	}
	mmun_mutex_unlock(&mm->page_table_lock);
}

static bool find_in_leaf(struct soft_walk *walk)
{
	do {
		walk->entry = &walk->table->entry[index_at(walk->address, 0)];
		if (*walk->entry)
			return true;
		walk->address = next_entry(walk->address, 0);
	} while (walk->address < walk->end && index_at(walk->address, 0));
	return false;
}

/* Must the huge entry that the walk stands on be split first? */
static bool in_part(const struct soft_walk *walk)
{
	return walk->whole && (walk->address & (MMUN_SOFT_HUGE_SIZE - 1) ||
			       walk->end - walk->address < MMUN_SOFT_HUGE_SIZE);
}

bool mmun_soft_walk_find(struct soft_walk *walk)
{
	while (walk->address < walk->end) {
		walk->table = lowest(walk->mm, walk->address, 0);
		walk->entry = &walk->table->entry[index_at(walk->address, walk->table->level)];
		if (!walk->table->level) {
			if (find_in_leaf(walk))
				return true;
		} else if (!*walk->entry) {
			walk->address = next_entry(walk->address, walk->table->level);
		} else if (in_part(walk)) {
			mmun_soft_pmd_split(walk->mm, walk->address);
		} else {
			return true;
		}
	}
	return false;
}

void mmun_soft_walk_set(struct soft_walk *walk, soft_pte value)
{
	MMUN_BUG_ON(soft_walk_huge(walk) && !soft_pte_huge(value));
	set(walk->table, walk->entry, value);
}

int mmun_soft_for_each_entry(struct soft_mm *mm, unsigned long start, unsigned long end,
			     int (*visit)(unsigned long address, soft_pte value, void *arg),
			     void *arg)
{
	struct soft_walk walk = { .mm = mm, .address = start, .end = end };
	soft_pte value;
	int ret = 0;

	mmun_mutex_lock(&mm->page_table_lock);
	while (!ret && mmun_soft_walk_find(&walk)) {
		value = soft_walk_huge(&walk) ? part_of_huge(*walk.entry, walk.address)
					      : *walk.entry;
		ret = visit(walk.address, value, arg);
		mmun_soft_walk_advance(&walk);
	}
	mmun_mutex_unlock(&mm->page_table_lock);
	return ret;
}
