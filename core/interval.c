// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Interval notifiers: insertion, removal, their callbacks, and their readers.
 *
 * I1  A section calls every interval that it touches; the tree stays as it is
 *     from then to its end, so no callback meets a removed notifier and none is
 *     passed over.
 * I2  An insertion while the sequence is odd is deferred, or made with an open
 *     section, and takes the odd sequence as its own: its readers wait for the
 *     sections that did not call it.  Otherwise it takes the odd number before
 *     the even sequence, for which nobody waits.
 * I3  A removal returns when the notifier is out of the tree and no section that
 *     may have called it is open.
 * I4  A refused section is over: its finish passes have run, and the count of
 *     open sections and what was deferred are dealt with as at an end.
 * I5  The invalidation side allocates nothing, takes no lock but to apply what
 *     was deferred, and waits only while the tree is being changed.
 *
 * Ordering of readers: ->invalidate_seq is loaded before the sequence of the mm,
 * and stored (release) after that became odd, so the two are equal only while a
 * section that called the notifier, or an insertion that it deferred, is open.
 *
 * Not here: who may touch the tree when (interval_seq.c).
 * Tests: tests/unit/interval.c, tests/unit/interval_exit.c, tests/unit/interval_many.c,
 * tests/torture/interval.c, tests/model/interval.pml.
 */
#include "interval.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>

#include "alloc.h"
#include "bug.h"

/* How many notifiers are fetched from memory at a time. */
#define BATCH 16

struct mmun_itree *mmun_itree_alloc(const struct mm_struct *mm)
{
	/* As many as that has: a thread's index there is its index here. */
	const unsigned int nr = mm->srcu.mask + 1;
	struct mmun_itree *itree = mmun_alloc(sizeof(*itree) + nr * sizeof(itree->slots[0]));

	if (itree) {
		mmun_itree_root_init(&itree->root);
		itree->nr_slots = nr;
		itree->seq = 2;
	}
	return itree;
}

void mmun_itree_free(struct mmun_itree *itree, bool usable)
{
	if (!itree)
		return;
	MMUN_BUG_ON(usable && (itree->root.node || itree->deferred.first || itree->promised));
	mmun_itree_root_destroy(&itree->root);
	mmun_free(itree);
}

static struct mmu_interval_notifier *to_sub(struct mmun_interval_node *node)
{
	return mmun_container_of(node, struct mmu_interval_notifier, interval_tree);
}

/* Finish passes in the order in which they were asked for. */
struct passes {
	struct mmu_interval_notifier_finish *first, **last;
};

static void add_pass(struct passes *passes, struct mmu_interval_notifier_finish *finish,
		     struct mmu_interval_notifier *sub)
{
	finish->notifier = sub;
	finish->link = NULL;
	*passes->last = finish;
	passes->last = &finish->link;
}

static void run_passes(const struct passes *passes)
{
	struct mmu_interval_notifier_finish *finish, *next;

	for (finish = passes->first; finish; finish = next) {
		const struct mmu_interval_notifier_ops *ops = finish->notifier->ops;

		next = finish->link;
		if (ops->invalidate_finish)
			ops->invalidate_finish(finish);
		else
			mmun_misuse("invalidate_start asks for a second pass and there is no "
				    "invalidate_finish");
	}
}

/* False: it refused, and may. */
static bool tell(struct mmu_interval_notifier *sub, const struct mmu_notifier_range *range,
		 unsigned long seq, struct passes *passes)
{
	struct mmu_interval_notifier_finish *finish = NULL;
	bool done;

	if (sub->ops->invalidate_start)
		done = sub->ops->invalidate_start(sub, range, seq, &finish);
	else
		done = sub->ops->invalidate(sub, range, seq);
	if (mmun_likely(done)) {
		if (finish)
			add_pass(passes, finish, sub);
		return true;
	}
	if (range->flags & MMUN_RANGE_NOT_REFUSABLE) {
		mmun_stat_inc(range->mm, overruled);
		return true;
	}
	if (!mmu_notifier_range_blockable(range))
		return false;
	mmun_misuse("an interval notifier refused although it may sleep; taken as done");
	return true;
}

/* The tree stays as it is: who is on the way from memory when others are called will
 * still be there. */
static bool tell_all(struct mmun_interval_node *node, struct mmun_itree_cursor *cursor,
		     const struct mmu_notifier_range *range, unsigned long seq)
{
	struct passes passes = { .last = &passes.first };
	struct mmu_interval_notifier *batch[BATCH];
	bool done = true;

	while (node && done) {
		unsigned int nr = 0;

		for (; node && nr < BATCH; node = mmun_itree_next(cursor)) {
			batch[nr] = to_sub(node);
			__builtin_prefetch(&batch[nr++]->ops, 1);
		}
		for (unsigned int i = 0; i < nr && done; i++)
			done = tell(batch[i], range, seq, &passes);
	}
	run_passes(&passes);
	return done;
}

int mmun_intervals_start(struct mmu_notifier_mm *chain, struct mmu_notifier_range *range)
{
	struct mmun_itree_cursor cursor;
	struct mmun_interval_node *node;
	unsigned long seq = 0;

	node = mmun_itree_enter(range->mm, chain->itree, range->start, range->end - 1, &cursor,
				&seq);
	if (!node || tell_all(node, &cursor, range, seq))
		return 0;
	mmun_stat_inc(range->mm, refused);
	mmun_itree_leave(range->mm, chain);
	return -EAGAIN;
}

void mmun_intervals_end(struct mmu_notifier_mm *chain, struct mmu_notifier_range *range)
{
	mmun_itree_leave(range->mm, chain);
}

/* At exit, before any ->release of the list. */
void mmun_intervals_release(struct mm_struct *mm, struct mmu_notifier_mm *chain)
{
	struct mmu_notifier_range range = {
		.mm = mm,
		.start = 0,
		.end = ULONG_MAX,
		.flags = MMU_NOTIFIER_RANGE_BLOCKABLE,
		.event = MMU_NOTIFY_RELEASE,
	};
	struct mmun_walk walk;
	int cancel;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	mmun_walk_push(&walk, mm);
	(void)mmun_intervals_start(chain, &range);
	mmun_walk_pop(&walk);
	mmun_intervals_end(chain, &range);
	pthread_setcancelstate(cancel, NULL);
}

static int check_insert(const struct mmu_interval_notifier *sub, struct mm_struct *mm,
			unsigned long start, unsigned long length,
			const struct mmu_interval_notifier_ops *ops)
{
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

/* The mm's chain in interval mode; the first caller quiesces the mm for that. */
static int interval_mode(struct mm_struct *mm, bool take_mmap_lock, struct mmu_notifier_mm **chain)
{
	int ret = 0;

	if (mmun_rwlock_mine(&mm->mmap_lock) == take_mmap_lock)
		return -EDEADLK;
	*chain = mmun_chain(mm);
	if (!*chain || !mmun_load_acquire(&(*chain)->intervals_ready))
		ret = do_mmu_notifier_register(NULL, mm, take_mmap_lock, 0);
	if (!ret)
		*chain = mmun_chain(mm);
	return ret;
}

/* What a step under the chain lock asks for. */
enum step {
	STEP_DONE,
	/* Sleep until the sequence has changed. */
	STEP_WAIT,
	/* Begin again: at once, or after a walk that is in the way. */
	STEP_AGAIN,
	STEP_BACK_OFF,
	/* After more memory for the tree was found. */
	STEP_GROW,
	/* The mm is dying. */
	STEP_REFUSED,
};

static enum step defer(struct mmun_itree *itree, struct mmu_interval_notifier *sub,
		       unsigned long seq, enum step deferred)
{
	return mmun_itree_defer(itree, sub, seq) ? deferred : STEP_AGAIN;
}

/* The tree is ours and the sequence even. */
static void insert_now(struct mmun_itree *itree, struct mmu_interval_notifier *sub)
{
	unsigned long seq = mmun_itree_seq(itree);

	if (mmun_itree_idle(itree)) {
		sub->invalidate_seq = seq - 1;
	} else {
		/* Sections are open that have not called it: readers wait. */
		sub->invalidate_seq = seq | 1;
		/* T: odd before sections are counted again, in insert(); pairs
		 * with S: the last section makes it even, or we do. */
		mmun_store_full(&itree->seq, seq | 1);
	}
	mmun_itree_insert(&itree->root, &sub->interval_tree);
}

static enum step insert_step(struct mm_struct *mm, struct mmun_itree *itree,
			     struct mmu_interval_notifier *sub)
{
	unsigned long seq = mmun_itree_seq(itree);
	enum step step = STEP_DONE;

	if (!mmun_mm_alive(mm))
		return STEP_REFUSED;
	if (!mmun_itree_has_room(&itree->root, itree->promised + 1))
		return STEP_GROW;
	if (seq & 1) {
		sub->invalidate_seq = seq;
		return defer(itree, sub, seq, STEP_DONE);
	}
	if (!mmun_itree_write_begin(itree))
		return STEP_BACK_OFF;
	if (mmun_itree_odd(itree))
		step = STEP_AGAIN;
	/* Z: after walks are kept out; pairs with L: the release event finds the
	 * interval, or it is not inserted. */
	else if (!mmun_mm_alive(mm))
		step = STEP_REFUSED;
	else
		insert_now(itree, sub);
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
		if (step == STEP_DONE) {
			sub->state = mmun_interval_inserted(sub);
			chain->itree->promised++;
		}
		mmun_chain_unlock(chain, &saved);
		if (step == STEP_BACK_OFF)
			mmun_itree_back_off(chain->itree);
		else if (step == STEP_GROW)
			ret = grow(chain);
	} while (!ret && (step == STEP_AGAIN || step == STEP_BACK_OFF || step == STEP_GROW));
	if (ret)
		return ret;
	if (step == STEP_REFUSED)
		return -ESRCH;
	if (mmun_itree_odd(chain->itree) && mmun_itree_idle(chain->itree))
		mmun_itree_close(mm, chain);
	return 0;
}

static int do_insert(struct mmu_interval_notifier *sub, struct mm_struct *mm, unsigned long start,
		     unsigned long length, const struct mmu_interval_notifier_ops *ops,
		     bool take_mmap_lock)
{
	struct mmu_notifier_mm *chain;
	int ret = check_insert(sub, mm, start, length, ops);

	if (!ret)
		ret = interval_mode(mm, take_mmap_lock, &chain);
	if (ret)
		return ret;
	*sub = (struct mmu_interval_notifier){
		.interval_tree = { .start = start, .last = start + (length - 1) },
		.ops = ops,
		.mm = mm,
	};
	mmgrab(mm);
	ret = insert(mm, chain, sub);
	if (ret)
		mmdrop(mm);
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

static enum step remove_step(struct mmun_itree *itree, struct mmu_interval_notifier *sub,
			     unsigned long *seq)
{
	*seq = mmun_itree_seq(itree);
	if (!mmun_itree_contains(&sub->interval_tree)) {
		/* Inserted and not in the tree: deferred. */
		mmun_list_del_init(&sub->deferred_item);
		return STEP_DONE;
	}
	if (*seq & 1)
		return defer(itree, sub, *seq, STEP_WAIT);
	if (!mmun_itree_write_begin(itree))
		return STEP_BACK_OFF;
	if (mmun_itree_odd(itree)) {
		mmun_itree_write_end(itree);
		return STEP_AGAIN;
	}
	mmun_itree_remove(&itree->root, &sub->interval_tree);
	mmun_itree_write_end(itree);
	return STEP_DONE;
}

/* Returns whether the caller must wait until the sequence is not *@seq. */
static bool take_out(struct mmu_notifier_mm *chain, struct mmu_interval_notifier *sub,
		     bool may_wait, unsigned long *seq)
{
	mmun_sigmask saved;
	enum step step;

	do {
		mmun_chain_lock(chain, &saved);
		step = remove_step(chain->itree, sub, seq);
		sub->state = step == STEP_WAIT && !may_wait ? MMUN_INTERVAL_ABANDONED : 0;
		if (step == STEP_DONE)
			chain->itree->promised--;
		mmun_chain_unlock(chain, &saved);
		if (step == STEP_BACK_OFF)
			mmun_itree_back_off(chain->itree);
	} while (step == STEP_AGAIN || step == STEP_BACK_OFF);
	return step == STEP_WAIT;
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
	struct mm_struct *mm;
	struct mmu_notifier_mm *chain;
	unsigned long seq;
	bool may_wait;

	if (!begin_remove(sub))
		return;
	mm = sub->mm;
	if (!mmun_mm_is_stale(mm)) {
		chain = mmun_chain(mm);
		may_wait = !mmun_task_in_section(mm);
		if (take_out(chain, sub, may_wait, &seq)) {
			if (!may_wait) {
				mmun_stat_inc(mm, misused_unregister);
				mmun_misuse("mmu_interval_notifier_remove() inside a section of the "
					    "same address space would wait for itself; the notifier "
					    "leaves when the section ends");
				return;
			}
			mmun_itree_wait(chain->itree, seq);
		}
	}
	mmdrop(mm);
}

unsigned long mmu_interval_read_begin(struct mmu_interval_notifier *interval_sub)
{
	/* U: before the sequence of the mm is loaded; pairs with the release in
	 * mmu_interval_set_seq(), which comes after that is odd. */
	unsigned long seq = mmun_load_acquire(&interval_sub->invalidate_seq);
	struct mm_struct *mm = interval_sub->mm;
	struct mmun_itree *itree;

	/* An even number is nobody's sequence: it will be retried for ever. */
	if (mmun_unlikely(mmun_mm_is_stale(mm)))
		return seq - 1;
	itree = mmun_chain_itree(mmun_chain(mm));
	if (mmun_likely(mmun_itree_seq(itree) != seq))
		return seq;
	if (mmun_task_in_section(mm)) {
		mmun_misuse("mmu_interval_read_begin() inside a section of the same address "
			    "space would wait for itself; it does not, and is to be retried");
		return seq - 1;
	}
	mmun_itree_wait(itree, seq);
	return seq;
}
