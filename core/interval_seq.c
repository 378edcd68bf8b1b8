/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Interval notifiers: their callbacks, and their readers, which repeat what a callback
 * may have met (collision-retry by ->invalidate_seq).
 *
 * I1  A section is in the table of open sections before it looks at the tree, calls
 *     every interval that it touches and that is there from its start on, and those
 *     that come meanwhile or not.
 * I2  Each section that calls anybody has a number of its own, and so has each
 *     insertion.  A reader takes its interval's number and then waits for the sections
 *     in the table that overlap the interval: one that has set the number, or was open
 *     before the insertion, is among them.  A section that sets it later is what
 *     mmu_interval_read_retry() sees.
 * I3  A refused section is over: its finish passes have run, and it is not in the
 *     table any more.
 * I4  The invalidation side allocates nothing, takes no lock, and waits only while the
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
 * Not here: insertion and removal (interval.c), the table, and who may touch the tree
 * when (interval_table.c).
 * Tests: tests/unit/core/interval.c, tests/unit/core/interval_exit.c, tests/torture/interval.c,
 * tests/model/interval.pml.
 */
#include "interval_seq.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>

#include "bug.h"
#include "interval_table.h"

/* How many notifiers a walk finds. */
#define BATCH 16

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
static __attribute__((noinline)) void find_batch(struct batch *batch, struct mmun_itree *itree,
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
		find_batch(&batch, itree, range->start, last, number);
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
	if (mmun_sections_wait(mmun_chain_itree(mmun_chain(sub->mm)), sub->interval_tree.start,
			       sub->interval_tree.last)) {
		mmun_misuse("mmu_interval_read_begin() inside a section that overlaps the interval "
			    "would wait for itself; it does not, and is to be retried");
		return seq - 1;
	}
	mmun_store_release(&sub->clean_seq, seq);
	return seq;
}
