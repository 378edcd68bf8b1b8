/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* core/exit.c: each notifier is released, what is late is counted, nothing waits for itself. */
#include "part.h"

static struct fake fake;
static struct mm_struct *mm;

static unsigned long timed_out(void)
{
	struct mmun_stats stats;

	mmun_mm_stats(mm, &stats);
	return stats.exit_timed_out;
}

static void begin(unsigned int exit_wait_ms)
{
	static struct mmun_primary_ops ops;
	const struct mmun_mm_params params = { .ops = &ops, .priv = &fake };

	memset(&fake, 0, sizeof(fake));
	ops = fake_ops;
	ops.exit_wait_ms = exit_wait_ms;
	if (mmun_mm_create(&params, &mm))
		bail_out("no memory for an mm");
}

static int order[8], nr_released;

static void note_release(struct watcher *watcher)
{
	order[nr_released++] = watcher->id;
}

static void test_everybody(unsigned int exit_wait_ms)
{
	static const struct mmu_notifier_ops silent_ops = { .invalidate_range_end = watcher_end };
	struct mmu_notifier silent = { .ops = &silent_ops };
	struct watcher watchers[5];
	struct mmun_stats stats;
	struct part part;

	begin(exit_wait_ms);
	nr_released = 0;
	for (int i = 0; i < 5; i++) {
		watch(&watchers[i], mm);
		watchers[i].id = i;
		watchers[i].in_release = note_release;
		if (i == 2 && mmu_notifier_register(&silent, mm))
			bail_out("cannot register");
	}
	part_insert(&part, mm, 1, 1);
	mmun_mm_exit(mm);
	is(nr_released, 5, "U1 exit releases everybody");
	ok(order[0] == 4 && order[1] == 3 && order[2] == 2 && order[3] == 1 && order[4] == 0,
	   "R10 the newest first");
	is(part.calls, 1, "U1 intervals, too");
	ok(mmun_list_empty(&mmun_chain(mm)->list), "U3 nobody is left on the list");
	mmun_mm_stats(mm, &stats);
	is(stats.released, 5, "each ->release is counted, a missing one is not");
	is(timed_out(), 0, "and nothing was late");
	for (int i = 0; i < 5; i++)
		mmu_notifier_unregister(&watchers[i].mn, mm);
	mmu_notifier_unregister(&silent, mm);
	mmu_interval_notifier_remove(&part.ni);
	mmput(mm);
	is(fake.exits, 1, "U1 then the memory goes");
}

/* The tree is being changed, which is all that is in the way. */
static void test_intervals_late(void)
{
	struct watcher watcher;
	struct part part;

	begin(30);
	watch(&watcher, mm);
	part_insert(&part, mm, 1, 1);
	while (!mmun_itree_write_begin(itree_of(mm)))
		;
	mmun_mm_exit(mm);
	mmun_itree_write_end(itree_of(mm));
	is(part.calls, 0, "U3 intervals that cannot be looked for in time are not called");
	is(watcher.releases, 1, "U3 the others are");
	is(timed_out(), 1, "and that is counted");
	mmu_interval_notifier_remove(&part.ni);
	mmu_notifier_unregister(&watcher.mn, mm);
	mmput(mm);
}

static long inside, may_go;

static void *stay_inside(void *arg)
{
	struct mmun_reader reader;

	mmun_mm_read_lock(mm, &reader);
	count(&inside);
	wait_until_set(&may_go);
	mmun_mm_read_unlock(mm, &reader);
	return NULL;
}

/* A section is open, which is all that is in the way. */
static void test_section_late(void)
{
	struct watcher watcher;
	struct part part;
	pthread_t thread;

	begin(30);
	inside = may_go = 0;
	watch(&watcher, mm);
	part_insert(&part, mm, 1, 1);
	thread = spawn(stay_inside, NULL);
	wait_until_set(&inside);
	mmun_mm_exit(mm);
	ok(watcher.releases == 1 && part.calls == 1, "U3 everybody is released beside a section");
	is(timed_out(), 1, "U3 which is not waited for: that is counted");
	count(&may_go);
	pthread_join(thread, NULL);
	mmu_interval_notifier_remove(&part.ni);
	mmu_notifier_unregister(&watcher.mn, mm);
	mmput(mm);
}

/* As a signal handler does that comes in the middle of it. */
static void exit_again(struct part *part)
{
	part->hook = NULL;
	mmun_mm_exit(mm);
	count(&inside);
}

static void test_exit_in_exit(void)
{
	struct part part;

	begin(0);
	inside = 0;
	part_insert(&part, mm, 1, 1);
	part.hook = exit_again;
	mmun_mm_exit(mm);
	is(inside, 1, "U3 exit inside the callback of exit does not wait for itself");
	is(part.calls, 1, "U5 nor call anybody again");
	mmu_interval_notifier_remove(&part.ni);
	mmput(mm);
}

static void stay_in_release(struct watcher *watcher)
{
	count(&inside);
	wait_until_set(&may_go);
}

static void *exit_it(void *arg)
{
	mmun_mm_exit(mm);
	return NULL;
}

/* A handler that interrupted a wait for sections, while another thread is in the release step. */
static void test_exit_in_wait(void)
{
	struct mmun_wait wait, other;
	struct watcher watcher;
	struct srcu_struct another;
	pthread_t thread;

	begin(0);
	inside = may_go = 0;
	watch(&watcher, mm);
	watcher.in_release = stay_in_release;
	thread = spawn(exit_it, NULL);
	wait_until_set(&inside);
	mmun_wait_push(&wait, &mm->srcu);
	mmun_wait_push(&other, &another);
	mmun_mm_exit(mm);
	mmun_wait_pop(&other);
	mmun_wait_pop(&wait);
	ok(!counted(&may_go),
	   "U3 exit inside a wait for the sections does not wait for another exit");
	count(&may_go);
	pthread_join(thread, NULL);
	mmu_notifier_unregister(&watcher.mn, mm);
	mmput(mm);
}

/* The last user has left, and the release step has not begun. */
static void test_between(void)
{
	struct watcher watcher;

	begin(0);
	mm->mm_users = 0;
	watcher_init(&watcher);
	is(mmu_notifier_register(&watcher.mn, NULL), -ESRCH, "R5 nor on no address space");
	is(mmu_notifier_register(&watcher.mn, mm), -ESRCH, "R5 without a user nobody registers");
	is(fake.starts, 0, "R7 the source is not started for it");
	ok(!mmget_not_zero(mm), "B10 nor becomes one");
	is(mm->mm_users, 0, "B10 the count stays");
	mm->mm_users = 1;
	mmput(mm);
}

int main(void)
{
	test_everybody(0);
	test_everybody(10000);
	test_intervals_late();
	test_section_late();
	test_exit_in_exit();
	test_exit_in_wait();
	test_between();
	return tap_done();
}
