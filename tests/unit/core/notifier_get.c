/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* core/notifier_get.c: one notifier per (mm, ops), put, synchronize. */
#include "fake.h"

#include <limits.h>

static struct fake fake;
static struct mm_struct *mm;
static struct watcher *last_made, *last_freed;
static long made, freed, releases;
static long alloc_answer;

static struct mmu_notifier *alloc_watcher(struct mm_struct *for_mm)
{
	if (alloc_answer)
		return mmun_err_ptr(alloc_answer);
	last_made = mmun_alloc(sizeof(*last_made));
	if (!last_made)
		return NULL;
	count(&made);
	return &last_made->mn;
}

static void free_watcher(struct mmu_notifier *mn)
{
	last_freed = watcher_of(mn);
	mmun_free(last_freed);
	count(&freed);
}

static void note_release(struct mmu_notifier *mn, struct mm_struct *released)
{
	count(&releases);
}

static const struct mmu_notifier_ops get_ops = {
	.release = note_release,
	.invalidate_range_start = watcher_start,
	.invalidate_range_end = watcher_end,
	.alloc_notifier = alloc_watcher,
	.free_notifier = free_watcher,
};

static struct mmu_notifier_ops other_ops;

static void begin(void)
{
	mm = fake_mm(&fake);
	made = freed = releases = 0;
	alloc_answer = 0;
}

static void test_singleton(void)
{
	struct mmu_notifier *a, *b, *c;

	begin();
	other_ops = get_ops;
	a = mmu_notifier_get(&get_ops, mm);
	ok(!mmun_is_err(a), "get makes a notifier");
	b = mmu_notifier_get(&get_ops, mm);
	ok(a == b && made == 1, "a second get finds it");
	c = mmu_notifier_get(&other_ops, mm);
	ok(!mmun_is_err(c) && c != a, "other ops have another");
	mmap_write_lock(mm);
	b = mmu_notifier_get_locked(&get_ops, mm);
	ok(a == b && mmun_rwlock_mine(&mm->mmap_lock), "get_locked finds it, the lock stays held");
	mmap_write_unlock(mm);
	is(mm->mm_count, 3, "R6 one reference per notifier");
	is(mm->mm_users, 1, "R5 no user");
	fake_section(mm);
	is(watcher_of(a)->starts, 1, "R1 it is called");
	mmu_notifier_put(a);
	mmu_notifier_put(a);
	mmu_notifier_synchronize();
	is(freed, 0, "put drops one user, not the notifier");
	mmu_notifier_put(a);
	mmu_notifier_put(c);
	mmu_notifier_synchronize();
	is(freed, 2, "the last put frees it, and synchronize waits for that");
	is(releases, 0, "put calls no release");
	is(mm->mm_count, 1, "R6 and the references are dropped");
	a = mmu_notifier_get(&get_ops, mm);
	is(made, 3, "a get after the last put makes a new one");
	mmu_notifier_put(a);
	mmput(mm);
	mmu_notifier_synchronize();
	is(fake.destroys, 1, "U11 the last callback may free the mm");
}

static void test_mixed(void)
{
	struct watcher plain;
	struct mmu_notifier *mn;

	begin();
	watcher_init(&plain);
	plain.mn.ops = &get_ops;
	mmu_notifier_register(&plain.mn, mm);
	mn = mmu_notifier_get(&get_ops, mm);
	ok(mn != &plain.mn, "get does not hand out what somebody registered for himself");
	mmu_notifier_put(mn);
	mmu_notifier_unregister(&plain.mn, mm);
	mmput(mm);
	mmu_notifier_synchronize();
	is(freed, 1, "and only its own is freed");
}

/* A driver registers with the lock held, and puts. */
static void test_registered(void)
{
	struct watcher *plain = mmun_alloc(sizeof(*plain));

	begin();
	watcher_init(plain);
	plain->mn.ops = &get_ops;
	mmap_write_lock(mm);
	is(__mmu_notifier_register(&plain->mn, mm), 0, "registered, to be put");
	mmap_write_unlock(mm);
	fake_section(mm);
	is(plain->starts, 1, "R1 it is called");
	mmu_notifier_put(&plain->mn);
	fake_section(mm);
	mmu_notifier_synchronize();
	ok(freed == 1 && last_freed == plain, "put frees it");
	is(mm->mm_count, 1, "R6 its reference is dropped");
	mmput(mm);
}

static void test_errors(void)
{
	static const struct mmu_notifier_ops no_alloc;
	struct mmu_notifier *mn;
	long live, nth;

	begin();
	live = mmun_alloc_live();
	is(mmun_ptr_err(mmu_notifier_get(&no_alloc, mm)), -EINVAL, "get without alloc_notifier");
	is(mmun_ptr_err(mmu_notifier_get(&get_ops, NULL)), -ESRCH, "get of no address space");
	alloc_answer = -EPERM;
	is(mmun_ptr_err(mmu_notifier_get(&get_ops, mm)), -EPERM,
	   "alloc_notifier's error is passed on");
	alloc_answer = 0;
	fake.start_error = -EBUSY;
	is(mmun_ptr_err(mmu_notifier_get(&get_ops, mm)), -EBUSY, "so is registration's");
	is(freed, made, "R7 after free_notifier");
	fake.start_error = 0;
	for (nth = 1;; nth++) {
		fail_allocation(nth);
		mn = mmu_notifier_get(&get_ops, mm);
		fail_allocation(0);
		if (!mmun_is_err(mn))
			break;
		is(mmun_ptr_err(mn), -ENOMEM, "R7 get with allocation %ld failing", nth);
		ok(mmun_alloc_live() == live && mm->mm_count == 1 && fake_mmap_lock_is_free(mm),
		   "R7 is unwound");
	}
	ok(nth == 3, "R7 two allocations can fail: the notifier and the chain");
	mmap_write_lock(mm);
	is(mmun_ptr_err(mmu_notifier_get(&get_ops, mm)), -EDEADLK, "get with the mmap lock held");
	mmap_write_unlock(mm);
	is(mmun_ptr_err(mmu_notifier_get_locked(&get_ops, mm)), -EDEADLK, "get_locked without it");
	mn->users = UINT_MAX;
	is(mmun_ptr_err(mmu_notifier_get(&get_ops, mm)), -EOVERFLOW, "too many users");
	is(mn->users, UINT_MAX, "are not made more");
	mn->users = 1;
	mmu_notifier_put(mn);
	mmgrab(mm);
	mmput(mm);
	nth = made;
	is(mmun_ptr_err(mmu_notifier_get(&get_ops, mm)), -ESRCH, "R5 get after the end");
	is(made, nth, "R5 makes none");
	mmu_notifier_synchronize();
	mmdrop(mm);
	is(fake.destroys, 1, "everything is gone");
}

static struct mmu_notifier *to_put;

/* Inside a section even one that is there is not got: the answer does not depend on others. */
static void test_inside_section(void)
{
	struct mmu_notifier_range range;
	struct mmun_stats stats;
	struct mmu_notifier *mn;

	begin();
	mn = mmu_notifier_get(&get_ops, mm);
	range_init(&range, mm);
	mmu_notifier_invalidate_range_start(&range);
	is(mmun_ptr_err(mmu_notifier_get(&get_ops, mm)), -EDEADLK, "S7 get inside a section");
	is(mn->users, 1, "R7 has no user more");
	mmu_notifier_invalidate_range_end(&range);
	mmu_notifier_put(mn);
	mmun_mm_stats(mm, &stats);
	ok(stats.registered == 1 && stats.unregistered == 1, "the last put counts as a departure");
	mmu_notifier_synchronize();
	mmput(mm);
}

/* One that exit is releasing is no longer to be got. */

static long in_release, end_release;

static void slow_release(struct mmu_notifier *mn, struct mm_struct *released)
{
	count(&in_release);
	wait_until_set(&end_release);
}

static void *get_it(void *ops)
{
	struct mmu_notifier *mn = mmu_notifier_get(ops, mm);

	return (void *)(long)mmun_ptr_err(mn);
}

static void *exit_it(void *arg)
{
	mmun_mm_exit(mm);
	return NULL;
}

static void test_claimed_by_exit(void)
{
	struct mmu_notifier_ops ops = get_ops;
	pthread_t getter, exiter;
	struct mmu_notifier *mn;
	void *answer;

	begin();
	ops.release = slow_release;
	mn = mmu_notifier_get(&ops, mm);
	mmap_write_lock(mm);
	getter = spawn(get_it, &ops);
	let_others_run();
	exiter = spawn(exit_it, NULL);
	wait_until_set(&in_release);
	mmap_write_unlock(mm);
	pthread_join(getter, &answer);
	is((long)answer, -ESRCH, "U3 get does not find one that exit has claimed");
	is(mn->users, 1, "R7 which has no user more");
	count(&end_release);
	pthread_join(exiter, NULL);
	mmu_notifier_put(mn);
	mmu_notifier_synchronize();
	is(freed, made, "and all are freed");
	mmput(mm);
}

static void put_in_release(struct mmu_notifier *mn, struct mm_struct *released)
{
	count(&releases);
	mmu_notifier_put(mn);
}

static void test_put_in_release(void)
{
	struct mmu_notifier_ops ops = get_ops;

	begin();
	ops.release = put_in_release;
	to_put = mmu_notifier_get(&ops, mm);
	mmput(mm);
	mmu_notifier_synchronize();
	is(releases, 1, "U8 put from release is legal: one release");
	is(freed, 1, "U8 and one free");
	is(fake.destroys, 1, "U8 U11 and the mm goes");
}

static long in_section, may_leave;

static void *slow_section(void *arg)
{
	struct mmun_reader reader = srcu_read_lock(&mm->srcu);

	count(&in_section);
	wait_until_set(&may_leave);
	srcu_read_unlock(&mm->srcu, &reader);
	return NULL;
}

static void test_grace_period(void)
{
	pthread_t thread;

	begin();
	to_put = mmu_notifier_get(&get_ops, mm);
	thread = spawn(slow_section, NULL);
	wait_until_set(&in_section);
	mmu_notifier_put(to_put);
	let_others_run();
	is(counted(&freed), 0, "U2 a put notifier lives until the sections that may see it end");
	count(&may_leave);
	pthread_join(thread, NULL);
	mmu_notifier_synchronize();
	is(freed, 1, "U2 and no longer");
	mmput(mm);
}

static void *get_and_put(void *arg)
{
	for (int i = 0; i < 300; i++) {
		struct mmu_notifier *mn = mmu_notifier_get(&get_ops, mm);

		if (mmun_is_err(mn))
			bail_out("get failed");
		fake_section(mm);
		mmu_notifier_put(mn);
	}
	return NULL;
}

static void test_threads(void)
{
	pthread_t threads[4];
	long live;

	begin();
	live = mmun_alloc_live();
	for (int i = 0; i < 4; i++)
		threads[i] = spawn(get_and_put, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	mmu_notifier_synchronize();
	is(freed, made, "four threads get and put: every notifier is freed");
	is(mmun_alloc_live(), live + 1, "and only the chain is left");
	is(mm->mm_count, 1, "with one reference");
	mmput(mm);
}

int main(void)
{
	test_singleton();
	test_mixed();
	test_registered();
	test_errors();
	test_inside_section();
	test_claimed_by_exit();
	test_put_in_release();
	test_grace_period();
	test_threads();
	return tap_done();
}
