/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An interval notifier that counts, and sections of one line, for the tests of intervals. */
#ifndef MMUN_TESTS_UNIT_PART_H
#define MMUN_TESTS_UNIT_PART_H

#include "fake.h"
#include "interval_table.h"

#define PAGE 4096ul

struct part {
	struct mmu_interval_notifier ni;
	/* The lock that ->invalidate and readers share. */
	pthread_mutex_t lock;
	long calls, finishes;
	bool refuses;
	/* Of the last call. */
	unsigned long seq;
	struct mmu_notifier_range range;
	void (*hook)(struct part *part);
	struct mmu_interval_notifier_finish finish;
	bool two_passes;
};

static UNUSED struct part *part_of(struct mmu_interval_notifier *ni)
{
	return mmun_container_of(ni, struct part, ni);
}

/* One counter orders all callbacks of a test. */
static UNUSED long steps;

static UNUSED bool part_invalidate(struct mmu_interval_notifier *ni,
				   const struct mmu_notifier_range *range, unsigned long seq)
{
	struct part *part = part_of(ni);

	count(&part->calls);
	if (part->refuses && !mmu_notifier_range_blockable(range))
		return false;
	pthread_mutex_lock(&part->lock);
	mmu_interval_set_seq(ni, seq);
	part->seq = seq;
	part->range = *range;
	pthread_mutex_unlock(&part->lock);
	if (part->hook)
		part->hook(part);
	return true;
}

static UNUSED const struct mmu_interval_notifier_ops part_ops = { .invalidate = part_invalidate };

static UNUSED void part_init(struct part *part)
{
	memset(part, 0, sizeof(*part));
	pthread_mutex_init(&part->lock, NULL);
}

static UNUSED void part_insert(struct part *part, struct mm_struct *mm, unsigned long first,
			       unsigned long pages)
{
	part_init(part);
	if (mmu_interval_notifier_insert(&part->ni, mm, first * PAGE, pages * PAGE, &part_ops))
		bail_out("cannot insert");
}

static UNUSED struct mmun_itree *itree_of(struct mm_struct *mm)
{
	return mmun_chain_itree(mmun_chain(mm));
}

/* How many sections are open, as the table has them. */
static UNUSED unsigned long nr_open(struct mm_struct *mm)
{
	const struct mmun_itree *itree = itree_of(mm);
	unsigned long nr = mmun_load_full(&itree->others.open);

	for (unsigned int g = 0; g < itree->nr_groups; g++) {
		for (unsigned int i = 0; i < MMUN_GROUP_SECTIONS; i++)
			nr += !!(mmun_load_full(&itree->groups[g].state[i]) & MMUN_SECTION_FLAGS);
	}
	return nr;
}

static UNUSED bool in_tree(struct mm_struct *mm, const struct part *part)
{
	mmun_sigmask saved;
	bool inside;

	mmun_chain_lock(mmun_chain(mm), &saved);
	inside = mmun_itree_contains(&part->ni.interval_tree);
	mmun_chain_unlock(mmun_chain(mm), &saved);
	return inside;
}

static UNUSED struct mmu_notifier_range pages(struct mm_struct *mm, unsigned long first,
					      unsigned long count)
{
	return (struct mmu_notifier_range){ .mm = mm,
					    .start = first * PAGE,
					    .end = (first + count) * PAGE };
}

static UNUSED void end_of(struct mmu_notifier_range *range)
{
	mmu_notifier_invalidate_range_end(range);
}

/* Whole sections. */
static UNUSED int nonblock_section(struct mm_struct *mm, unsigned long first, unsigned long count)
{
	struct mmu_notifier_range range = pages(mm, first, count);
	int ret = mmu_notifier_invalidate_range_start_nonblock(&range);

	if (!ret)
		end_of(&range);
	return ret;
}

static UNUSED void section_on(struct mm_struct *mm, unsigned long first, unsigned long count)
{
	struct mmu_notifier_range range = pages(mm, first, count);

	mmu_notifier_invalidate_range_start(&range);
	end_of(&range);
}

static UNUSED struct mmu_notifier_range start_on(struct mm_struct *mm, unsigned long first,
						 unsigned long count)
{
	struct mmu_notifier_range range = pages(mm, first, count);

	mmu_notifier_invalidate_range_start(&range);
	return range;
}

#endif
