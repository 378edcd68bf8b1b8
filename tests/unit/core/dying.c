/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * core/notifier.c and core/notifier_get.c where something ends early: an address space dies
 * while a notifier joins, a thread is cancelled in ->release, a notifier outlives all else.
 */
#include "fake.h"

static struct fake fake;

static int die_in_start(struct mm_struct *mm)
{
	mmun_mm_exit(mm);
	return 0;
}

static const struct mmun_primary_ops dying_ops = { .name = "dying", .start = die_in_start };

static void test_dies_while_joining(void)
{
	struct mmun_mm_params params = { .ops = &dying_ops };
	struct mmun_stats stats;
	struct watcher watcher;
	struct mm_struct *mm;

	if (mmun_mm_create(&params, &mm))
		bail_out("no memory for an mm");
	watcher_init(&watcher);
	is(mmu_notifier_register(&watcher.mn, mm), -ESRCH,
	   "R5: an address space that dies while a notifier joins refuses it");
	is(mm->mm_count, 1, "R6: and no struct is held for it");
	mmun_mm_stats(mm, &stats);
	is(stats.registered, 0, "R7: it does not count as registered");
	is(watcher.mn.state, 0, "R7: and is free for another address space");
	ok(fake_mmap_lock_is_free(mm), "R7: the mmap lock is free");
	mmput(mm);
}

/* The thread that ends the address space is cancelled in a callback. */

static long finished;

static void reach_cancellation_point(struct watcher *watcher)
{
	pthread_testcancel();
	count(&finished);
}

static void *cancelled_exit(void *mm)
{
	pthread_cancel(pthread_self());
	mmput(mm);
	pthread_testcancel();
	return NULL;
}

static struct watcher last_watcher;

static void *cancelled_unregister(void *mm)
{
	pthread_cancel(pthread_self());
	mmu_notifier_unregister(&last_watcher.mn, mm);
	pthread_testcancel();
	return NULL;
}

static void test_cancelled(void *(*ends)(void *), const char *what)
{
	struct mm_struct *mm = fake_mm(&fake);
	void *status;

	finished = 0;
	watch(&last_watcher, mm);
	mmgrab(mm);
	last_watcher.in_release = reach_cancellation_point;
	pthread_join(spawn(ends, mm), &status);
	ok(status == PTHREAD_CANCELED, "a thread is cancelled in %s", what);
	is(last_watcher.releases, 1, "U5: ->release began once");
	if (!ok(finished == 1, "U3: and was finished, or others would wait for ever"))
		bail_out("unregister would wait for ever");
	if (ends == cancelled_exit)
		mmu_notifier_unregister(&last_watcher.mn, mm);
	else
		mmput(mm);
	is(fake.exits, 1, "U4: the rest of the end comes about");
	mmdrop(mm);
	is(fake.destroys, 1, "R6: and the struct goes");
}

/* A notifier of mmu_notifier_get() keeps the struct until it has been freed. */

static struct mmu_notifier shared;
static int freed, destroyed_before;

static struct mmu_notifier *alloc_shared(struct mm_struct *mm)
{
	return &shared;
}

static void free_shared(struct mmu_notifier *mn)
{
	freed++;
	destroyed_before += fake.destroys;
}

static void test_freed_last(void)
{
	static const struct mmu_notifier_ops ops = {
		.alloc_notifier = alloc_shared,
		.free_notifier = free_shared,
	};
	struct mm_struct *mm = fake_mm(&fake);

	ok(mmu_notifier_get(&ops, mm) == &shared, "a notifier is got");
	mmput(mm);
	is(fake.destroys, 0, "R6: it holds the struct");
	mmu_notifier_put(&shared);
	mmu_notifier_synchronize();
	is(freed, 1, "->free_notifier is called");
	is(destroyed_before, 0, "U11: before the struct goes");
	is(fake.destroys, 1, "R6: which is the next thing to happen");
}

int main(void)
{
	test_dies_while_joining();
	test_cancelled(cancelled_exit, "the end of the address space");
	test_cancelled(cancelled_unregister, "unregister");
	test_freed_last();
	return tap_done();
}
