/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Interval notifiers: insertion and removal.
 *
 * I1  An insertion finds the memory that the tree can need with one interval more before
 *     it is made, where no lock is held; so it cannot fail under the chain lock, and a
 *     removal needs none.
 * I2  Whoever changes the tree holds the chain lock and keeps walks out of it meanwhile
 *     (interval_table.c); if one is in the way, everything is given up and begun again.
 * I3  A removal returns when the notifier is out of the tree and the sections that
 *     overlap it and may have found it there are over.
 *
 * Not here: callbacks and readers (interval_seq.c).
 * Tests: tests/unit/core/{interval,interval_exit,interval_many}.c,
 * tests/torture/interval.c, tests/model/interval.pml.
 */
#include "interval_table.h"

#include <errno.h>
#include <stdint.h>

#include "bug.h"
#include "notifier.h"

static int check_insert(const struct mmu_interval_notifier *sub, struct mm_struct *mm,
			unsigned long start, unsigned long length,
			const struct mmu_interval_notifier_ops *ops)
{
	if (!sub)
		return -EINVAL;
	if (!mm)
		return -ESRCH;
	if (!length || start + (length - 1) < start)
		return -EOVERFLOW;
	if (!ops || (!ops->invalidate && !ops->invalidate_start))
		return -EINVAL;
	if (mmun_mm_is_stale(mm))
		return -ESRCH;
	if (mmun_load_full(&mm->mm_users) <= 0)
		return -EINVAL;
	if (!mmun_mm_alive(mm))
		return -ESRCH;
	return sub->state == mmun_interval_inserted(sub) ? -EEXIST : 0;
}

static bool is_started(const struct mm_struct *mm)
{
	return !mm->ops->is_started || mm->ops->is_started(mm);
}

/* The mm's chain in interval mode; the first caller quiesces the mm for that, and one
 * after the source was stopped starts it again. */
static int interval_mode(struct mm_struct *mm, bool take_mmap_lock, struct mmu_notifier_mm **chain)
{
	int ret = 0;

	if (mmun_rwlock_mine(&mm->mmap_lock) == take_mmap_lock)
		return -EDEADLK;
	*chain = mmun_chain(mm);
	if (!*chain || !mmun_load_acquire(&(*chain)->intervals_ready) || !is_started(mm))
		ret = do_mmu_notifier_register(NULL, mm, take_mmap_lock, 0);
	if (!ret)
		*chain = mmun_chain(mm);
	return ret;
}

/* What a step under the chain lock asks for. */
enum step {
	STEP_DONE,
	/* Begin again after a walk that is in the way. */
	STEP_BACK_OFF,
	/* After more memory for the tree was found. */
	STEP_GROW,
	/* The mm is dying. */
	STEP_REFUSED,
};

static enum step insert_step(struct mm_struct *mm, struct mmun_itree *itree,
			     struct mmu_interval_notifier *sub)
{
	enum step step = STEP_REFUSED;

	if (!mmun_itree_has_room(&itree->root, itree->nr + 1))
		return STEP_GROW;
	if (!mmun_itree_write_begin(itree))
		return STEP_BACK_OFF;
	/* Z: after walks are kept out; pairs with L: the release event finds the
	 * interval, or it is not inserted. */
	if (mmun_mm_alive(mm)) {
		/* Nobody has looked yet for sections that are open: no number is clean. */
		sub->invalidate_seq = mmun_number(itree->root.serial + 1, MMUN_PLACE_INSERTION);
		mmun_itree_insert(&itree->root, &sub->interval_tree);
		itree->nr++;
		sub->state = mmun_interval_inserted(sub);
		step = STEP_DONE;
	}
	mmun_itree_write_end(itree);
	return step;
}

static int grow(struct mmu_notifier_mm *chain)
{
	struct mmun_itree_root *root = &chain->itree->root;
	struct mmun_itree_chunk *chunk;
	unsigned long nr_nodes;
	mmun_sigmask saved;

	mmun_chain_lock(chain, &saved);
	nr_nodes = root->nr_nodes;
	mmun_chain_unlock(chain, &saved);
	chunk = mmun_itree_chunk_alloc(nr_nodes);
	if (!chunk)
		return -ENOMEM;
	mmun_chain_lock(chain, &saved);
	mmun_itree_add_chunk(root, chunk);
	mmun_chain_unlock(chain, &saved);
	return 0;
}

static int insert(struct mm_struct *mm, struct mmu_notifier_mm *chain,
		  struct mmu_interval_notifier *sub)
{
	mmun_sigmask saved;
	enum step step;
	int ret = 0;

	do {
		mmun_chain_lock(chain, &saved);
		step = insert_step(mm, chain->itree, sub);
		mmun_chain_unlock(chain, &saved);
		if (step == STEP_BACK_OFF)
			mmun_itree_back_off(chain->itree);
		else if (step == STEP_GROW)
			ret = grow(chain);
	} while (!ret && (step == STEP_BACK_OFF || step == STEP_GROW));
	if (!ret && step == STEP_REFUSED)
		ret = -ESRCH;
	return ret;
}

static int do_insert(struct mmu_interval_notifier *sub, struct mm_struct *mm, unsigned long start,
		     unsigned long length, const struct mmu_interval_notifier_ops *ops,
		     bool take_mmap_lock)
{
	struct mmu_notifier_mm *chain;
	int ret = check_insert(sub, mm, start, length, ops);

	if (ret)
		return ret;
	/* Full, before the source is asked: its stop asks for the counts after. */
	(void)mmun_add_full(&mm->stats.inserted, 1);
	ret = interval_mode(mm, take_mmap_lock, &chain);
	if (ret)
		goto uncount;
	*sub = (struct mmu_interval_notifier){
		.interval_tree = { .start = start, .last = start + (length - 1) },
		.ops = ops,
		.mm = mm,
	};
	mmgrab(mm);
	ret = insert(mm, chain, sub);
	if (!ret)
		return 0;
	mmdrop(mm);
uncount:
	mmun_stat_inc(mm, removed);
	return ret;
}

int mmu_interval_notifier_insert(struct mmu_interval_notifier *interval_sub, struct mm_struct *mm,
				 unsigned long start, unsigned long length,
				 const struct mmu_interval_notifier_ops *ops)
{
	return do_insert(interval_sub, mm, start, length, ops, true);
}

int mmu_interval_notifier_insert_locked(struct mmu_interval_notifier *interval_sub,
					struct mm_struct *mm, unsigned long start,
					unsigned long length,
					const struct mmu_interval_notifier_ops *ops)
{
	return do_insert(interval_sub, mm, start, length, ops, false);
}

static enum step remove_step(struct mmun_itree *itree, struct mmu_interval_notifier *sub)
{
	if (!mmun_itree_write_begin(itree))
		return STEP_BACK_OFF;
	mmun_itree_remove(&itree->root, &sub->interval_tree);
	itree->nr--;
	mmun_itree_write_end(itree);
	return STEP_DONE;
}

static void take_out(struct mmu_notifier_mm *chain, struct mmu_interval_notifier *sub)
{
	mmun_sigmask saved;
	enum step step;

	do {
		mmun_chain_lock(chain, &saved);
		step = remove_step(chain->itree, sub);
		mmun_chain_unlock(chain, &saved);
		if (step == STEP_BACK_OFF)
			mmun_itree_back_off(chain->itree);
	} while (step == STEP_BACK_OFF);
}

static bool begin_remove(struct mmu_interval_notifier *sub)
{
	unsigned long inserted = mmun_interval_inserted(sub);

	if (mmun_cas_full(&sub->state, &inserted, 0))
		return true;
	mmun_misuse("mmu_interval_notifier_remove() of a notifier that is not inserted");
	return false;
}

void mmu_interval_notifier_remove(struct mmu_interval_notifier *interval_sub)
{
	struct mmu_interval_notifier *sub = interval_sub;
	struct mmu_notifier_mm *chain;
	struct mm_struct *mm;

	if (!begin_remove(sub))
		return;
	mm = sub->mm;
	mmun_stat_inc(mm, removed);
	if (!mmun_mm_is_stale(mm)) {
		chain = mmun_chain(mm);
		take_out(chain, sub);
		/* Those that may have found @sub in the tree. */
		if (mmun_sections_wait(chain->itree, sub->interval_tree.start,
				       sub->interval_tree.last)) {
			mmun_stat_inc(mm, misused_unregister);
			mmun_misuse("mmu_interval_notifier_remove() inside a section that overlaps "
				    "it would wait for itself; the notifier has left, and its "
				    "memory must stay until the section ends");
		}
	}
	mmdrop(mm);
}
