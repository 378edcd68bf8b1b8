/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Interval notifiers: insertion, removal, their callbacks, and their readers.
 *
 * I1  A section is in the table of open sections before it looks at the tree, calls
 *     every interval that it touches and that is there from its start on, and those
 *     that come meanwhile or not.
 * I2  Each section that calls anybody has a number of its own, and so has each
 *     insertion.  A reader takes its interval's number and then waits for the sections
 *     in the table that overlap the interval: one that has set the number, or was open
 *     before the insertion, is among them.  A section that sets it later is what
 *     mmu_interval_read_retry() sees.
 * I3  A removal returns when the notifier is out of the tree and the sections that
 *     overlap it and may have found it there are over.
 * I4  A refused section is over: its finish passes have run, and it is not in the
 *     table any more.
 * I5  The invalidation side allocates nothing, takes no lock, and waits only while the
 *     tree is being changed.
 *
 * Why I2 is enough.  ->invalidate_seq is stored (release) by a callback, after its
 * section was put in the table, and loaded (acquire) before the table is read: so the
 * section is found there, or is over.  Whoever has set it before that one did so
 * under the driver's lock: the same holds for him.  An insertion keeps walks out, so
 * a section whose walk it follows is in the table before the insertion is made.
 * ->clean_seq is the last number for which all that was waited for: they are over for
 * the next reader of the same number, too.
 *
 * Not here: the table, and who may touch the tree when (interval_table.c).
 * Tests: tests/unit/core/interval.c, tests/unit/core/interval_exit.c, tests/unit/core/interval_many.c,
 * tests/torture/interval.c, tests/model/interval.pml.
 */
#include "interval.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>

#include "alloc.h"
#include "bug.h"

/* How many notifiers a walk finds. */
#define BATCH 16

struct mmun_itree *mmun_itree_alloc(const struct mm_struct *mm)
{
	/* As many as that has slots: a thread's index there is its index here. */
	const unsigned int used = mm->srcu.mask + 1, nr = used + MMUN_SPARE_GROUPS;
	struct mmun_itree *itree = mmun_alloc(sizeof(*itree) + nr * sizeof(itree->groups[0]));

	if (itree) {
		mmun_itree_root_init(&itree->root);
		itree->nr_groups = nr;
		itree->nr_used = used;
		itree->pid = (unsigned int)mmun_syscall3(SYS_getpid, 0, 0, 0);
		itree->key = (unsigned long)itree->pid << 32 | (uint32_t)__builtin_ia32_rdtsc() | 1;
	}
	return itree;
}

void mmun_itree_free(struct mmun_itree *itree, bool usable)
{
	if (!itree)
		return;
	MMUN_BUG_ON(usable && (itree->root.node || itree->nr));
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
static bool call(struct mmu_interval_notifier *sub, const struct mmu_notifier_range *range,
		 unsigned long number, struct passes *passes)
{
	struct mmu_interval_notifier_finish *finish = NULL;
	bool done;

	if (sub->ops->invalidate_start)
		done = sub->ops->invalidate_start(sub, range, number, &finish);
	else
		done = sub->ops->invalidate(sub, range, number);
	if (mmun_likely(done)) {
		if (finish)
			add_pass(passes, finish, sub);
		return true;
	}
	if (range->flags & MMUN_RANGE_NOT_REFUSABLE) {
		mmun_stat_inc(range->mm, overruled);
	} else {
		if (!mmu_notifier_range_blockable(range))
			return false;
		mmun_misuse("an interval notifier refused although it may sleep; taken as done");
	}
	/* It has not done so: at least its readers wait, or retry. */
	mmu_interval_set_seq(sub, number);
	return true;
}

/* What one walk finds. */
struct batch {
	struct mmu_interval_notifier *sub[BATCH];
	unsigned int nr;
	/* There are more, behind the last one. */
	bool more;
	struct mmun_interval_node last;
};

/* A walk, which ends with it: the next batch.  A call, so that callbacks have its stack. */
static __attribute__((noinline)) void find(struct batch *batch, struct mmun_itree *itree,
					   unsigned long start, unsigned long last,
					   unsigned long number)
{
	struct mmun_itree_cursor cursor;
	struct mmun_interval_node *node;

	/* The tree may have changed since the last walk. */
	if (mmun_unlikely(batch->more))
		node = mmun_itree_behind(&itree->root, &batch->last, start, last, &cursor);
	else
		node = mmun_itree_first(&itree->root, start, last, &cursor);
	for (batch->nr = 0; node && batch->nr < BATCH; node = mmun_itree_next(&cursor)) {
		batch->sub[batch->nr] = to_sub(node);
		__builtin_prefetch(&batch->sub[batch->nr++]->ops, 1);
	}
	batch->more = node;
	if (mmun_unlikely(batch->more))
		batch->last = batch->sub[BATCH - 1]->interval_tree;
	mmun_section_walked(itree, number);
}

static bool call_batch(const struct batch *batch, const struct mmu_notifier_range *range,
		       unsigned long number, struct passes *passes)
{
	for (unsigned int i = 0; i < batch->nr; i++) {
		if (!call(batch->sub[i], range, number, passes))
			return false;
	}
	return true;
}

/* The first walk has begun.  False: somebody refused. */
static bool call_all(struct mmun_itree *itree, const struct mmu_notifier_range *range,
		     unsigned long last, unsigned long number)
{
	struct passes passes = { .last = &passes.first };
	struct batch batch;
	bool done;

	batch.more = false;
	for (;;) {
		find(&batch, itree, range->start, last, number);
		done = call_batch(&batch, range, number, &passes);
		if (mmun_likely(!batch.more) || !done)
			break;
		mmun_section_walk(itree, number);
	}
	run_passes(&passes);
	return done;
}

/* The last byte; ranges are page aligned, so an end of ULONG_MAX is the end of all. */
static unsigned long last_of(const struct mmu_notifier_range *range)
{
	return range->end == ULONG_MAX ? ULONG_MAX : range->end - 1;
}

static int start_until(struct mmu_notifier_mm *chain, struct mmu_notifier_range *range,
		       uint64_t deadline)
{
	struct mmun_itree *itree = chain->itree;
	unsigned long number = 0;

	if (mmun_likely(range->start < range->end)) {
		number =
			mmun_section_open(range->mm, itree, range->start, last_of(range), deadline);
		if (mmun_unlikely(!number))
			return -ETIMEDOUT;
		if (!call_all(itree, range, last_of(range), number)) {
			mmun_stat_inc(range->mm, refused);
			mmun_section_close(itree, number);
			return -EAGAIN;
		}
	}
	range->section.interval = (void *)number;
	return 0;
}

int mmun_intervals_start(struct mmu_notifier_mm *chain, struct mmu_notifier_range *range)
{
	return start_until(chain, range, 0);
}

void mmun_intervals_end(struct mmu_notifier_mm *chain, struct mmu_notifier_range *range)
{
	const unsigned long number = (unsigned long)range->section.interval;

	if (!number)
		return;
	range->section.interval = NULL;
	mmun_section_close(chain->itree, number);
}

/* At exit, before any ->release of the list. */
bool mmun_intervals_release(struct mm_struct *mm, struct mmu_notifier_mm *chain, uint64_t deadline)
{
	struct mmu_notifier_range range = {
		.mm = mm,
		.start = 0,
		.end = ULONG_MAX,
		.flags = MMU_NOTIFIER_RANGE_BLOCKABLE,
		.event = MMU_NOTIFY_RELEASE,
	};
	struct mmun_walk walk;
	int cancel, ret;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	mmun_walk_push(&walk, mm);
	ret = start_until(chain, &range, deadline);
	mmun_walk_pop(&walk);
	mmun_intervals_end(chain, &range);
	pthread_setcancelstate(cancel, NULL);
	return !ret;
}

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
	/* Full, before the source is asked: who stops it asks for the counts after. */
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

/* Whoever may have found @sub in the tree; returns whether this thread may. */
static bool wait_for_sections(struct mmun_itree *itree, const struct mmu_interval_notifier *sub)
{
	return mmun_sections_wait(itree, sub->interval_tree.start, sub->interval_tree.last);
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
		if (wait_for_sections(chain->itree, sub)) {
			mmun_stat_inc(mm, misused_unregister);
			mmun_misuse("mmu_interval_notifier_remove() inside a section that overlaps "
				    "it would wait for itself; the notifier has left, and its "
				    "memory must stay until the section ends");
		}
	}
	mmdrop(mm);
}

unsigned long mmu_interval_read_begin(struct mmu_interval_notifier *interval_sub)
{
	struct mmu_interval_notifier *sub = interval_sub;
	/* Before sections are looked for (U), and before what is known of them; pairs
	 * with the release in mmu_interval_set_seq(). */
	const unsigned long seq = mmun_load_acquire(&sub->invalidate_seq);

	/* An even number is nobody's: it will be retried for ever. */
	if (mmun_unlikely(mmun_mm_is_stale(sub->mm)))
		return seq - 1;
	/* T: pairs with the store below: the sections that were waited for there are
	 * over for this reader, too. */
	if (mmun_likely(mmun_load_acquire(&sub->clean_seq) == seq))
		return seq;
	if (wait_for_sections(mmun_chain_itree(mmun_chain(sub->mm)), sub)) {
		mmun_misuse("mmu_interval_read_begin() inside a section that overlaps the interval "
			    "would wait for itself; it does not, and is to be retried");
		return seq - 1;
	}
	mmun_store_release(&sub->clean_seq, seq);
	return seq;
}
