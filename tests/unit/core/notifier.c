/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * core/notifier.c: registration (R), release and unregistration (U), and the
 * bugs (B) that other implementations had there.
 */
#include "fake.h"

#define ROUNDS 300

/* R1, R2: sections all the time, registrations in between. */

static struct mm_struct *mm;
static struct fake fake;
static long stop;

/* The section that a thread has open, numbered; 0: none. */
static unsigned long open_section[2];

static void *sections_forever(void *arg)
{
	unsigned long *mine = &open_section[(long)arg], number = 0;
	struct mmu_notifier_range range;

	while (!counted(&stop)) {
		struct mmun_reader reader;
		bool own = ++number & 1;

		range_init(&range, mm);
		if (!own) {
			mmun_mm_read_lock(mm, &reader);
			range.flags = MMUN_RANGE_READ_LOCKED;
		}
		if (!mmu_notifier_invalidate_range_start_nonblock(&range)) {
			mmun_store_full(mine, number);
			if (number % 64 == 0)
				usleep(10);
			mmun_store_full(mine, 0);
			mmu_notifier_invalidate_range_end(&range);
		}
		if (!own)
			mmun_mm_read_unlock(mm, &reader);
	}
	return NULL;
}

static void test_register_against_sections(const unsigned int *word)
{
	pthread_t threads[2];
	long unmatched = 0, deaf = 0, unseen = 0;

	mm = fake_mm_with_word(&fake, word);
	stop = 0;
	for (long i = 0; i < 2; i++)
		threads[i] = spawn(sections_forever, (void *)i);
	for (int i = 0; i < ROUNDS; i++) {
		unsigned long before[2];
		struct watcher watcher;
		long starts;

		for (int t = 0; t < 2; t++)
			before[t] = counted(&open_section[t]);
		watch(&watcher, mm);
		for (int t = 0; t < 2; t++)
			unseen += before[t] && counted(&open_section[t]) == before[t];
		starts = counted(&watcher.starts);
		fake_section(mm);
		deaf += counted(&watcher.starts) == starts;
		mmu_notifier_unregister(&watcher.mn, mm);
		unmatched += watcher.early_ends || watcher.ends > watcher.starts;
	}
	count(&stop);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	is(unseen, 0, "R2 B5 no section of before is open when a registration returns");
	is(unmatched, 0, "R1 B5 nobody sees an end without its start");
	is(deaf, 0, "R1 every later section calls the notifier");
	mmput(mm);
}

static void *leave(void *arg)
{
	mmu_notifier_unregister(arg, mm);
	return NULL;
}

static void test_leave_inside(bool newest)
{
	struct mmu_notifier_range range;
	struct watcher first, leaver, last;
	pthread_t thread;
	long starts;

	mm = fake_mm(&fake);
	watch(&first, mm);
	if (newest)
		watch(&last, mm);
	watch(&leaver, mm);
	if (!newest)
		watch(&last, mm);
	range_init(&range, mm);
	is(mmu_notifier_invalidate_range_start(&range), 0, "a section opens");
	starts = leaver.starts;
	thread = spawn(leave, &leaver.mn);
	while (!counted(&leaver.releases))
		usleep(100);
	let_others_run();
	ok(leaver.mn.mm == mm && leaver.mn.state,
	   "R3 U2 who leaves inside a section waits for its end");
	mmu_notifier_invalidate_range_end(&range);
	pthread_join(thread, NULL);
	is(starts, 1, "R3 it saw the start");
	ok(leaver.ends <= 1 && !leaver.early_ends, "R3 and at most its end");
	ok(first.ends == 1 && last.ends == 1, "R3 the others see it, on both sides of the gap");
	mmu_notifier_unregister(&first.mn, mm);
	mmu_notifier_unregister(&last.mn, mm);
	mmput(mm);
}

/* A section that does not end. */

static void *stuck_section(void *arg)
{
	struct mmu_notifier_range range;
	long *go = arg;

	range_init(&range, mm);
	mmu_notifier_invalidate_range_start_nonblock(&range);
	count(&go[0]);
	wait_until_set(&go[1]);
	mmu_notifier_invalidate_range_end(&range);
	return NULL;
}

static void test_time_out(const unsigned int *word)
{
	struct watcher there, watcher;
	struct mmun_stats stats;
	long go[2] = { 0 }, count_before;
	pthread_t thread;
	uint64_t begin;

	mm = fake_mm_with_word(&fake, word);
	watch(&there, mm);
	thread = spawn(stuck_section, go);
	wait_until_set(&go[0]);
	watcher_init(&watcher);
	count_before = mm->mm_count;
	begin = mmun_now();
	is(mmu_notifier_register(&watcher.mn, mm), -ETIMEDOUT,
	   "R7 a section that does not end: too late");
	begin = mmun_now() - begin;
	diag("%lu ms", (unsigned long)(begin / MMUN_NSEC_PER_MSEC));
	ok(begin >= MMUN_REGISTER_WAIT_MS * MMUN_NSEC_PER_MSEC &&
		   begin < (MMUN_REGISTER_WAIT_MS + 60000) * MMUN_NSEC_PER_MSEC,
	   "R7 after the time that is promised");
	ok(fake_mmap_lock_is_free(mm) && mm->mm_count == count_before && !watcher.mn.state &&
		   !watcher.mn.mm,
	   "R7 locks, counts and the object are as before");
	memset(&watcher, 0xee, sizeof(watcher));
	fake_section(mm);
	count(&go[1]);
	pthread_join(thread, NULL);
	is(there.ends, 2, "R7 and nobody calls it: sections go on");
	mmun_mm_stats(mm, &stats);
	is((long)stats.timed_out, 1, "which is counted");
	watch(&watcher, mm);
	ok(true, "R7 it may be tried again");
	mmu_notifier_unregister(&watcher.mn, mm);
	mmu_notifier_unregister(&there.mn, mm);
	mmput(mm);
}

/* Only ranks know of readers. */
static void register_under_read_lock(void *arg)
{
	struct watcher watcher;

	watcher_init(&watcher);
	mmap_read_lock(mm);
	mmu_notifier_register(&watcher.mn, mm);
}

static void test_locking_rules(void)
{
	struct watcher watcher;
	char text[1024];

	mm = fake_mm(&fake);
	watcher_init(&watcher);
	mmap_write_lock(mm);
	is(mmu_notifier_register(&watcher.mn, mm), -EDEADLK,
	   "R4 B6 register with the mmap lock held is refused, not a deadlock");
	is(__mmu_notifier_register(&watcher.mn, mm), 0, "R4 __register wants it held");
	ok(mmun_rwlock_mine(&mm->mmap_lock), "R4 and leaves it held");
	mmap_write_unlock(mm);
	mmu_notifier_unregister(&watcher.mn, mm);
	mmput(mm);

	mm = fake_mm(&fake);
	watcher_init(&watcher);
	ok(aborted(run_in_child(register_under_read_lock, NULL, text, sizeof(text))) &&
		   strstr(text, "taken twice"),
	   "R4 register with it held for read aborts with checks");
	is(__mmu_notifier_register(&watcher.mn, mm), -EDEADLK,
	   "R4 __register without it is refused");
	mmap_read_lock(mm);
	is(__mmu_notifier_register(&watcher.mn, mm), -EDEADLK, "R4 held for read is not enough");
	mmap_read_unlock(mm);
	mmap_write_lock(mm);
	fake.lock_error = -ENOMEM;
	is(__mmu_notifier_register(&watcher.mn, mm), -ENOMEM, "R4 when it fails");
	ok(mmun_rwlock_mine(&mm->mmap_lock), "R4 the lock is still held");
	mmap_write_unlock(mm);
	fake.lock_error = 0;
	is(mmu_notifier_register(&watcher.mn, mm), 0, "R4 register takes the lock itself");
	ok(fake_mmap_lock_is_free(mm), "R4 and drops it");
	mmu_notifier_unregister(&watcher.mn, mm);
	mmput(mm);
}

static void test_counts(void)
{
	struct watcher watcher;

	mm = fake_mm(&fake);
	mmgrab(mm);
	watch(&watcher, mm);
	is(mm->mm_users, 1, "R5 register takes no user of the memory");
	is(mm->mm_count, 3, "R6 but a reference to the struct");
	mmu_notifier_unregister(&watcher.mn, mm);
	is(mm->mm_users, 1, "R5 unregister drops none");
	is(mm->mm_count, 2, "R6 and the reference");
	fake.start_error = -ENOTSUP;
	is(mmu_notifier_register(&watcher.mn, mm), -ENOTSUP, "R6 a failure");
	is(mm->mm_count, 2, "R6 leaves the count alone");
	fake.start_error = 0;
	mmput(mm);
	is(mmu_notifier_register(&watcher.mn, mm), -ESRCH, "R5 no registration without users");
	is(mm->mm_count, 1, "R6 which leaves the count alone");
	mmdrop(mm);

	mm = fake_mm(&fake);
	watch(&watcher, mm);
	mmput(mm);
	is(fake.destroys, 0, "R6 a registered notifier keeps the struct beyond exit");
	mmu_notifier_unregister(&watcher.mn, mm);
	is(fake.destroys, 1, "R6 U11 until it unregisters");
}

static void check_unchanged(struct watcher *watcher, long live, const char *step)
{
	ok(fake_mmap_lock_is_free(mm) && mm->mm_count == 1 && mm->mm_users == 1 &&
		   fake.locks == fake.unlocks && mmun_alloc_live() == live &&
		   watcher->mn.state == 0,
	   "R7 %s: locks, counts and memory are as before", step);
}

static void flush(struct mmu_notifier *mn, struct mm_struct *of, unsigned long start,
		  unsigned long end)
{
}

static const struct mmu_notifier_ops flushed = { .arch_invalidate_secondary_tlbs = flush };
static const struct mmu_notifier_ops flushed_before = { .invalidate_range = flush };

static void test_failures(void)
{
	struct watcher watcher;
	int ret = -ENOMEM;
	long live;

	mm = fake_mm(&fake);
	watcher_init(&watcher);
	live = mmun_alloc_live();
	for (long nth = 1; ret == -ENOMEM; nth++) {
		fail_allocation(nth);
		ret = mmu_notifier_register(&watcher.mn, mm);
		fail_allocation(0);
		if (!ret)
			break;
		is(ret, -ENOMEM, "R7 allocation %ld fails", nth);
		check_unchanged(&watcher, live, "a failed allocation");
		ok(!mm_has_notifiers(mm), "R9 and the mm has no chain");
	}
	is(ret, 0, "R7 registration succeeds when no allocation fails");
	mmu_notifier_unregister(&watcher.mn, mm);
	mmput(mm);

	mm = fake_mm(&fake);
	live = mmun_alloc_live();
	fake.start_error = -EBUSY;
	is(mmu_notifier_register(&watcher.mn, mm), -EBUSY, "R7 the source does not start");
	check_unchanged(&watcher, live, "the source does not start");
	is(fake.locks, 0, "R7 and nothing was quiesced");
	fake.start_error = 0;
	fake.lock_error = -ENOMEM;
	is(mmu_notifier_register(&watcher.mn, mm), -ENOMEM, "R7 mm_lock fails");
	check_unchanged(&watcher, live, "mm_lock fails");
	fake.lock_error = 0;
	watcher.mn.ops = NULL;
	is(mmu_notifier_register(&watcher.mn, mm), -EINVAL, "R7 a notifier without ops");
	watcher.mn.ops = &flushed;
	is(mmu_notifier_register(&watcher.mn, mm), -EOPNOTSUPP,
	   "R7 one that waits for flushes where there are none");
	watcher.mn.ops = &flushed_before;
	is(mmu_notifier_register(&watcher.mn, mm), -EOPNOTSUPP, "R7 by the older name, too");
	check_unchanged(&watcher, live, "a notifier without ops");
	mmput(mm);
}

static void allocate_nothing_while_locked(struct mm_struct *locked)
{
	allocations = 0;
}

static void test_allocation_order(void)
{
	struct watcher watcher;

	mm = fake_mm(&fake);
	fake.while_locked = allocate_nothing_while_locked;
	watcher_init(&watcher);
	fail_allocation(1000);
	mmu_notifier_register(&watcher.mn, mm);
	is(allocations, 0, "R8 nothing is allocated after mm_lock");
	mmu_notifier_unregister(&watcher.mn, mm);
	is(allocations, 0, "R8 nor by unregister");
	fail_allocation(0);
	mmput(mm);
}

struct joiner {
	struct watcher watcher;
	pthread_t thread;
};

static void *join(void *arg)
{
	watch(arg, mm);
	return NULL;
}

static void test_chain_block(void)
{
	struct joiner joiners[4];
	struct mmu_notifier_mm *chain;
	long live;

	mm = fake_mm(&fake);
	live = mmun_alloc_live();
	for (int i = 0; i < 4; i++)
		joiners[i].thread = spawn(join, &joiners[i].watcher);
	for (int i = 0; i < 4; i++)
		pthread_join(joiners[i].thread, NULL);
	is(mmun_alloc_live(), live + 1, "R9 concurrent first registrations leave one block");
	chain = mm->mmu_notifier_mm;
	for (int i = 0; i < 4; i++)
		mmu_notifier_unregister(&joiners[i].watcher.mn, mm);
	ok(mm->mmu_notifier_mm == chain && mm_has_notifiers(mm),
	   "R9 S10 which stays when the list is empty");
	watch(&joiners[0].watcher, mm);
	is(mmun_alloc_live(), live + 1, "R9 and is used again");
	mmu_notifier_unregister(&joiners[0].watcher.mn, mm);
	mmput(mm);
	is(mmun_alloc_live(), live - 1, "R9 it goes with the mm");
}

static int order[4], nr_ordered;

static void note_order(struct watcher *watcher)
{
	order[nr_ordered++] = watcher->id;
}

static void test_order(void)
{
	static const struct mmu_notifier_ops empty;
	struct mmu_notifier deaf = { .ops = &empty };
	struct mmu_notifier_range range;
	struct watcher watchers[3];

	mm = fake_mm(&fake);
	for (int i = 0; i < 3; i++) {
		watch(&watchers[i], mm);
		watchers[i].id = i + 1;
		watchers[i].in_start = note_order;
		if (i == 1)
			is(mmu_notifier_register(&deaf, mm), 0, "R10 ops without members register");
	}
	fake_section(mm);
	ok(nr_ordered == 3 && order[0] == 3 && order[1] == 2 && order[2] == 1,
	   "R10 callbacks run newest first, missing ones are skipped");
	range_init(&range, mm);
	mmu_notifier_invalidate_page(mm, 4096);
	is(mmu_notifier_clear_flush_young(mm, 0, 4096), 0, "R10 a missing clear_flush_young is 0");
	is(mmu_notifier_clear_young(mm, 0, 4096), 0, "R10 so is a missing clear_young");
	is(mmu_notifier_test_young(mm, 0), 0, "R10 and a missing test_young");
	mmu_notifier_change_pte(mm, 0, 0);
	for (int i = 0; i < 3; i++)
		mmu_notifier_unregister(&watchers[i].mn, mm);
	mmu_notifier_unregister(&deaf, mm);
	mmput(mm);
	ok(true, "U9 a notifier without release leaves");
}

static void test_twice(void)
{
	struct watcher watcher;
	struct fake second;
	struct mm_struct *other = fake_mm(&second);

	mm = fake_mm(&fake);
	watch(&watcher, mm);
	is(mmu_notifier_register(&watcher.mn, mm), -EEXIST, "R11 registering twice is refused");
	is(mmu_notifier_register(&watcher.mn, other), -EEXIST, "R11 on another mm too");
	is(mm->mm_count, 2, "R11 and changes no count");
	mmu_notifier_unregister(&watcher.mn, mm);
	is(mmu_notifier_register(&watcher.mn, other), 0,
	   "R11 after unregister it may register again");
	mmu_notifier_unregister(&watcher.mn, other);
	is(watcher.releases, 2, "U5 one release per registration");
	mmput(mm);
	mmput(other);
}

/* As out of kmalloc(): only the operations are set. */
static void test_memory_used_before(void)
{
	static const unsigned char contents[] = { 0xff, 0xa5, 0x01, 0x08 };
	struct watcher watcher;

	mm = fake_mm(&fake);
	for (size_t i = 0; i < sizeof(contents); i++) {
		const struct mmu_notifier_ops *ops;
		struct watcher copy;

		watch(&watcher, mm);
		ops = watcher.mn.ops;
		copy = watcher;
		mmu_notifier_unregister(&watcher.mn, mm);
		memset(&watcher.mn, contents[i], sizeof(watcher.mn));
		watcher.mn.ops = ops;
		is(mmu_notifier_register(&watcher.mn, mm), 0, "R11 of bytes %#x: registered",
		   contents[i]);
		is(mmu_notifier_register(&watcher.mn, mm), -EEXIST, "R11 twice is refused");
		is(watcher.mn.users, 0, "R11 nobody has got it");
		mmu_notifier_unregister(&watcher.mn, mm);
		is(mmu_notifier_register(&copy.mn, mm), 0, "R11 so is a copy of another");
		mmu_notifier_unregister(&copy.mn, mm);
	}
	is(mm->mm_count, 1, "R11 and no reference is left");
	mmput(mm);
}

/* Release, exit, unregister. */

static long in_release, may_return, done;

static void slow_release(struct watcher *watcher)
{
	count(&in_release);
	wait_until_set(&may_return);
}

static void reset_release(void)
{
	in_release = may_return = done = 0;
}

static struct watcher shared;

static void *unregister_shared(void *arg)
{
	mmu_notifier_unregister(&shared.mn, mm);
	count(&done);
	return NULL;
}

static void *put_mm(void *arg)
{
	mmput(mm);
	count(&done);
	return NULL;
}

static void *exit_mm(void *arg)
{
	mmun_mm_exit(mm);
	count(&done);
	return NULL;
}

static void test_release_before_memory(void)
{
	pthread_t thread;

	reset_release();
	mm = fake_mm(&fake);
	watch(&shared, mm);
	shared.in_release = slow_release;
	thread = spawn(put_mm, NULL);
	wait_until_set(&in_release);
	let_others_run();
	ok(!fake.exits && !counted(&done), "U1 the memory stays while a release runs");
	count(&may_return);
	pthread_join(thread, NULL);
	is(fake.exits, 1, "U1 and goes afterwards");
	mmu_notifier_unregister(&shared.mn, mm);
	is(shared.releases, 1, "U4 U5 unregister after exit is legal and releases nothing again");
}

static long in_start, may_end_start;

static void slow_start(struct watcher *watcher)
{
	count(&in_start);
	wait_until_set(&may_end_start);
}

static void *one_section(void *arg)
{
	fake_section(mm);
	return NULL;
}

static void test_unregister_waits(void)
{
	pthread_t section, thread;

	reset_release();
	mm = fake_mm(&fake);
	watch(&shared, mm);
	shared.in_start = slow_start;
	section = spawn(one_section, NULL);
	wait_until_set(&in_start);
	thread = spawn(unregister_shared, NULL);
	let_others_run();
	ok(!counted(&done), "U2 unregister waits for a running callback");
	count(&may_end_start);
	pthread_join(section, NULL);
	pthread_join(thread, NULL);
	fake_section(mm);
	is(shared.starts, 1, "U2 and none runs afterwards");
	mmput(mm);
}

static void test_exit_waits_for_unregister(void)
{
	pthread_t leaver, exiter;

	reset_release();
	mm = fake_mm(&fake);
	watch(&shared, mm);
	shared.in_release = slow_release;
	leaver = spawn(unregister_shared, NULL);
	wait_until_set(&in_release);
	exiter = spawn(put_mm, NULL);
	let_others_run();
	ok(!fake.exits && !counted(&done), "U3 exit waits while an unregister is in release");
	count(&may_return);
	pthread_join(leaver, NULL);
	pthread_join(exiter, NULL);
	is(shared.releases, 1, "U5 release ran once");
	is(fake.exits, 1, "U3 and the memory went after it");
}

static void test_unregister_waits_for_exit(void)
{
	pthread_t leaver, exiter;

	reset_release();
	mm = fake_mm(&fake);
	mmgrab(mm);
	watch(&shared, mm);
	shared.in_release = slow_release;
	exiter = spawn(exit_mm, NULL);
	wait_until_set(&in_release);
	leaver = spawn(unregister_shared, NULL);
	let_others_run();
	ok(!counted(&done), "U3 U4 unregister during exit waits for the release in progress");
	count(&may_return);
	pthread_join(leaver, NULL);
	pthread_join(exiter, NULL);
	is(shared.releases, 1, "U5 release ran once");
	mmput(mm);
	mmdrop(mm);
}

static void test_release_sees_invalidations(void)
{
	pthread_t thread;

	for (int by_exit = 0; by_exit < 2; by_exit++) {
		const char *how = by_exit ? "exit" : "unregister";

		reset_release();
		mm = fake_mm(&fake);
		watch(&shared, mm);
		shared.in_release = slow_release;
		thread = spawn(by_exit ? exit_mm : unregister_shared, NULL);
		wait_until_set(&in_release);
		fake_section(mm);
		mmu_notifier_invalidate_page(mm, 4096);
		is(shared.starts, 1, "U6 B1 a section during the release of %s is seen", how);
		is(shared.pages, 1, "U6 B1 so is a page");
		count(&may_return);
		pthread_join(thread, NULL);
		fake_section(mm);
		is(shared.starts, 1, "U6 and none after the release has finished");
		if (by_exit)
			mmu_notifier_unregister(&shared.mn, mm);
		mmput(mm);
	}
}

/* Exit has the claim, so unregister does not take the notifier off the list. */
static void test_walk_during_exit(void)
{
	pthread_t exiter, leaver, section;

	reset_release();
	in_start = may_end_start = 0;
	mm = fake_mm(&fake);
	mmgrab(mm);
	watch(&shared, mm);
	shared.in_release = slow_release;
	shared.in_start = slow_start;
	exiter = spawn(exit_mm, NULL);
	wait_until_set(&in_release);
	leaver = spawn(unregister_shared, NULL);
	let_others_run();
	section = spawn(one_section, NULL);
	wait_until_set(&in_start);
	count(&may_return);
	let_others_run();
	is(counted(&done), 0,
	   "U2 unregister waits for a walk that began while exit was in release");
	count(&may_end_start);
	pthread_join(section, NULL);
	pthread_join(leaver, NULL);
	pthread_join(exiter, NULL);
	is(shared.releases, 1, "U5 and release ran once");
	mmput(mm);
	mmdrop(mm);
}

static void *unregister_when_told(void *arg)
{
	wait_until_set(arg);
	mmu_notifier_unregister(&shared.mn, mm);
	return NULL;
}

static void test_exit_race(void)
{
	long wrong = 0;

	for (int i = 0; i < ROUNDS; i++) {
		long go = 0;
		pthread_t thread;

		mm = fake_mm(&fake);
		mmgrab(mm);
		watch(&shared, mm);
		thread = spawn(unregister_when_told, &go);
		count(&go);
		mmput(mm);
		pthread_join(thread, NULL);
		wrong += shared.releases != 1 || mm->mm_count != 1 || fake.exits != 1;
		mmdrop(mm);
	}
	is(wrong, 0, "U5 U7 B2 exit and unregister race: one release, right counts (%d rounds)",
	   ROUNDS);
}

static long nested_result;
static struct mm_struct *other_mm;
static struct watcher other_watcher;

static void register_inside(struct watcher *watcher)
{
	struct watcher inner;

	watcher_init(&inner);
	nested_result = mmu_notifier_register(&inner.mn, mm);
}

static void unregister_from_other(struct watcher *watcher)
{
	mmu_notifier_unregister(&other_watcher.mn, other_mm);
}

static void test_inside_callbacks(void)
{
	struct fake second;
	struct watcher watcher;

	mm = fake_mm(&fake);
	other_mm = fake_mm(&second);
	watch(&watcher, mm);
	watcher.in_start = register_inside;
	fake_section(mm);
	is(nested_result, -EDEADLK, "U8 register inside a callback is refused");
	watch(&other_watcher, other_mm);
	watcher.in_start = unregister_from_other;
	fake_section(mm);
	is(other_watcher.releases, 1, "U8 unregister from another mm inside a callback is legal");
	mmu_notifier_unregister(&watcher.mn, mm);
	mmput(mm);
	mmput(other_mm);
}

static void test_unregister_under_mmap_lock(void)
{
	struct watcher watcher;

	mm = fake_mm(&fake);
	watch(&watcher, mm);
	mmap_write_lock(mm);
	mmu_notifier_unregister(&watcher.mn, mm);
	mmap_write_unlock(mm);
	is(watcher.releases, 1, "U4 S7 unregister with the mmap lock held for write");
	watch(&watcher, mm);
	mmap_read_lock(mm);
	mmu_notifier_unregister(&watcher.mn, mm);
	mmap_read_unlock(mm);
	is(watcher.releases, 1, "U4 S7 and for read");
	mmput(mm);
}

/* B20: the last user goes away inside a driver, under the driver's lock. */

static pthread_mutex_t driver_lock = PTHREAD_MUTEX_INITIALIZER;

static void put_other(struct watcher *watcher)
{
	pthread_mutex_lock(&driver_lock);
	mmput(other_mm);
	pthread_mutex_unlock(&driver_lock);
}

static void test_last_put_in_callback(void)
{
	struct fake second;
	struct watcher watcher;

	mm = fake_mm(&fake);
	other_mm = fake_mm(&second);
	watch(&watcher, mm);
	watch(&other_watcher, other_mm);
	watcher.in_start = put_other;
	fake_section(mm);
	is(other_watcher.releases, 1,
	   "U10 B20 the last mmput in a callback of another mm releases");
	is(second.exits, 1, "U10 B20 and ends that memory");
	mmu_notifier_unregister(&other_watcher.mn, other_mm);

	mmu_notifier_unregister(&watcher.mn, mm);
	mmput(mm);

	mm = fake_mm(&fake);
	other_mm = mm;
	mmgrab(mm);
	watch(&watcher, mm);
	watcher.in_start = put_other;
	fake_section(mm);
	is(watcher.releases, 1, "U10 B20 in a callback of the same mm it does not wait for itself");
	mmu_notifier_unregister(&watcher.mn, mm);
	mmdrop(mm);
}

/* A handler that leaves the process while its thread is inside. */

static void exit_handler(int sig)
{
	mmun_mm_exit(mm);
}

static void raise_signal(struct watcher *watcher)
{
	raise(SIGUSR1);
}

static void test_exit_in_handler(void)
{
	struct watcher watcher;

	mm = fake_mm(&fake);
	watch(&watcher, mm);
	watcher.in_start = raise_signal;
	signal(SIGUSR1, exit_handler);
	fake_section(mm);
	is(watcher.releases, 1, "U1 exit from a handler that interrupted a section releases");
	mmu_notifier_unregister(&watcher.mn, mm);
	mmput(mm);

	mm = fake_mm(&fake);
	watch(&watcher, mm);
	watcher.in_release = raise_signal;
	mmu_notifier_unregister(&watcher.mn, mm);
	is(watcher.releases, 1,
	   "U5 exit from a handler that interrupted a release does not repeat it");
	mmput(mm);
	signal(SIGUSR1, SIG_DFL);
}

/* The end of a process waits for others only for a time, whatever they hold. */

static struct mm_struct *bounded_mm(void)
{
	static const struct mmun_primary_ops ops = { .name = "bounded", .exit_wait_ms = 100 };
	const struct mmun_mm_params params = { .ops = &ops };
	struct mm_struct *new;

	if (mmun_mm_create(&params, &new))
		bail_out("no memory for an mm");
	return new;
}

static bool exits_in_time(void)
{
	uint64_t begin = mmun_now();

	mmun_mm_exit(mm);
	begin = mmun_now() - begin;
	diag("exit took %lu ms", (unsigned long)(begin / MMUN_NSEC_PER_MSEC));
	/* Generous for a loaded machine; without a limit it does not end at all. */
	return begin >= 100 * MMUN_NSEC_PER_MSEC && begin < 20 * MMUN_NSEC_PER_SEC;
}

static void *hold_chain_lock(void *arg)
{
	mmun_sigmask saved;
	long *go = arg;

	mmun_chain_lock(mm->mmu_notifier_mm, &saved);
	count(&go[0]);
	wait_until_set(&go[1]);
	mmun_chain_unlock(mm->mmu_notifier_mm, &saved);
	return NULL;
}

static void *hold_grace_lock(void *arg)
{
	long *go = arg;

	mmun_mutex_lock(&mm->srcu.grace_lock);
	count(&go[0]);
	wait_until_set(&go[1]);
	mmun_mutex_unlock(&mm->srcu.grace_lock);
	return NULL;
}

static long *released_go;

static void stay_in_release(struct watcher *watcher)
{
	count(&released_go[0]);
	wait_until_set(&released_go[1]);
}

static void *exit_and_stay(void *arg)
{
	released_go = arg;
	mmun_mm_exit(mm);
	return NULL;
}

static void test_bounded_exit(void *(*holder)(void *), const char *what)
{
	struct watcher watcher;
	long go[2] = { 0 };
	pthread_t thread;

	mm = bounded_mm();
	mmgrab(mm);
	watch(&watcher, mm);
	if (holder == exit_and_stay)
		watcher.in_release = stay_in_release;
	thread = spawn(holder, go);
	wait_until_set(&go[0]);
	ok(exits_in_time(), "U3 the end of a process does not wait for %s", what);
	is(watcher.releases, holder != hold_chain_lock,
	   "U1 U5 ->release has run as often as it can");
	count(&go[1]);
	pthread_join(thread, NULL);
	mmu_notifier_unregister(&watcher.mn, mm);
	is(watcher.releases, 1, "U5 and once in all");
	mmput(mm);
	mmdrop(mm);
}

/* Exit gets no lock after ->release has run: the notifier is still on the list. */

static long *lock_go;
static pthread_t locker;

static void let_chain_be_locked(struct watcher *watcher)
{
	locker = spawn(hold_chain_lock, lock_go);
	wait_until_set(&lock_go[0]);
}

static void test_unregister_after_locked_exit(void)
{
	struct watcher watcher;
	long go[2] = { 0 };

	mm = bounded_mm();
	mmgrab(mm);
	watch(&watcher, mm);
	lock_go = go;
	watcher.in_release = let_chain_be_locked;
	ok(exits_in_time(),
	   "U3 the end of a process does not wait for a lock that is taken in ->release");
	count(&go[1]);
	pthread_join(locker, NULL);
	mmu_notifier_unregister(&watcher.mn, mm);
	is(watcher.releases, 1, "U5 ->release has run once");
	ok(mmun_list_empty(&mm->mmu_notifier_mm->list), "U2 unregister takes it off the list");
	fake_section(mm);
	is(watcher.starts, 0, "U2 and sections do not find it");
	mmput(mm);
	mmdrop(mm);
}

int main(void)
{
	static const unsigned int word = 1;

	test_register_against_sections(NULL);
	test_register_against_sections(&word);
	test_leave_inside(false);
	test_leave_inside(true);
	test_locking_rules();
	test_counts();
	test_failures();
	test_allocation_order();
	test_chain_block();
	test_order();
	test_twice();
	test_memory_used_before();
	test_release_before_memory();
	test_unregister_waits();
	test_exit_waits_for_unregister();
	test_unregister_waits_for_exit();
	test_release_sees_invalidations();
	test_walk_during_exit();
	test_exit_race();
	test_inside_callbacks();
	test_unregister_under_mmap_lock();
	test_last_put_in_callback();
	test_exit_in_handler();
	test_bounded_exit(stuck_section, "a section that does not end");
	test_bounded_exit(hold_chain_lock, "the lock of the chain");
	test_bounded_exit(hold_grace_lock, "another grace period");
	test_bounded_exit(exit_and_stay, "another thread in the release step");
	test_unregister_after_locked_exit();
	test_time_out(&word);
	return tap_done();
}
