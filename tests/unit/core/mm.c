/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* core/mm.c, core/exit.c and core/op.c: counts, locks, exit, names. */
#include "fake.h"

static void test_create(void)
{
	struct fake fake = { 0 };
	struct mm_struct *mm = (struct mm_struct *)&fake;
	struct mmun_primary_ops no_lock = fake_ops;
	struct mmun_mm_params params = { .ops = NULL };
	long live = mmun_alloc_live();

	is(mmun_mm_create(&params, &mm), -EINVAL, "no mm without operations");
	no_lock.lock = NULL;
	params.ops = &no_lock;
	is(mmun_mm_create(&params, &mm), -EINVAL, "nor without a lock operation");
	params.ops = &fake_ops;
	fail_allocation(1);
	is(mmun_mm_create(&params, &mm), -ENOMEM, "R7 no memory, no mm");
	fail_allocation(0);
	ok(mm == (struct mm_struct *)&fake, "the result is untouched on failure");
	is(mmun_alloc_live(), live, "and nothing leaks");
	params.priv = &fake;
	is(mmun_mm_create(&params, &mm), 0, "an mm");
	ok(mmun_mm_priv(mm) == &fake, "with its private pointer");
	is(mm->mm_users, 1, "one user");
	is(mm->mm_count, 1, "one reference");
	ok(!mm_has_notifiers(mm), "S10 and no notifiers");
	mmput(mm);
	is(fake.exits, 1, "the last user ends the memory");
	is(fake.destroys, 1, "and with it the last reference");
	is(mmun_alloc_live(), live, "the struct is freed");
}

static void test_counts(void)
{
	struct fake fake;
	struct mm_struct *mm = fake_mm(&fake);

	mmget(mm);
	is(mm->mm_users, 2, "mmget() adds a user");
	is(mm->mm_count, 1, "and no reference");
	mmput(mm);
	is(fake.exits, 0, "the memory stays while a user is left");
	mmgrab(mm);
	mmput(mm);
	is(fake.exits, 1, "the memory goes with its last user");
	is(fake.destroys, 0, "the struct stays while referenced");
	ok(!mmget_not_zero(mm), "B10 a dying mm is not revived");
	is(mm->mm_users, 0, "B10 and its count stays zero");
	mmdrop(mm);
	is(fake.destroys, 1, "the struct goes with its last reference");
}

struct race {
	struct mm_struct *mm;
	long revived;
	long stop;
};

static void *reviver(void *arg)
{
	struct race *race = arg;

	while (!counted(&race->stop)) {
		if (mmget_not_zero(race->mm)) {
			if (mmun_load_full(&race->mm->dead))
				count(&race->revived);
			mmput(race->mm);
		}
	}
	return NULL;
}

static void test_revive_race(void)
{
	long wrong = 0, exits = 0;

	for (int i = 0; i < 300; i++) {
		struct fake fake;
		struct race race = { .mm = fake_mm(&fake) };
		pthread_t thread;

		mmgrab(race.mm);
		thread = spawn(reviver, &race);
		sched_yield();
		mmput(race.mm);
		count(&race.stop);
		pthread_join(thread, NULL);
		wrong += race.revived;
		exits += fake.exits;
		mmdrop(race.mm);
	}
	is(wrong, 0, "B10 no user is gained after the end, in 300 races");
	is(exits, 300, "and each memory ended exactly once");
}

static void test_exit(void)
{
	struct fake fake;
	struct mm_struct *mm = fake_mm(&fake);
	struct watcher watcher, late;
	struct mmun_stats stats;

	watch(&watcher, mm);
	mmun_mm_exit(mm);
	is(watcher.releases, 1, "S11 exit releases every notifier");
	is(fake.exits, 0, "the memory itself stays while somebody counts as a user");
	ok(!mmget_not_zero(mm), "an mm that was exited gains no users");
	watcher_init(&late);
	is(mmu_notifier_register(&late.mn, mm), -ESRCH, "R5 nor notifiers");
	mmun_mm_exit(mm);
	is(watcher.releases, 1, "U5 a second exit does nothing");
	mmun_mm_stats(mm, &stats);
	is(stats.registered, 1, "statistics: one registration");
	is(stats.released, 1, "statistics: one release at exit");
	is(stats.unregistered, 0, "statistics: no unregistration");
	mmu_notifier_unregister(&watcher.mn, mm);
	mmun_mm_stats(mm, &stats);
	is(stats.unregistered, 1, "statistics: one unregistration");
	mmput(mm);
	is(fake.exits, 1, "the last user ends the memory");
	is(watcher.releases, 1, "U5 and releases nobody again");
}

/* What the primary counts itself is in the same struct. */

static void own_stats(const struct mm_struct *mm, struct mmun_stats *out)
{
	out->unsettled += 100;
}

static void test_statistics(void)
{
	struct mmun_primary_ops ops = fake_ops;
	struct fake fake = { 0 };
	struct mmun_mm_params params = { .ops = &ops, .priv = &fake };
	struct mmun_stats stats;
	struct mm_struct *mm;

	ops.stats = own_stats;
	if (mmun_mm_create(&params, &mm))
		bail_out("no memory for an mm");
	mmun_mm_count_unsettled(mm, 2);
	mmun_mm_count_unsettled(mm, 1);
	mm->srcu.dropped = 5;
	mm->srcu.fallbacks = 7;
	memset(&stats, 0xee, sizeof(stats));
	mmun_mm_stats(mm, &stats);
	is(stats.unsettled, 103,
	   "statistics: threads that did not settle, and what the primary adds");
	is(stats.dropped, 5, "statistics: sections whose thread is gone");
	is(stats.fallbacks, 7, "statistics: barriers without membarrier");
	ok(!stats.registered && !stats.refused && !stats.exit_timed_out,
	   "statistics: else nothing");
	mmput(mm);
}

static long in_release, may_leave;

static void slow_release(struct watcher *watcher)
{
	count(&in_release);
	wait_until_set(&may_leave);
}

static void *exiter(void *arg)
{
	mmun_mm_exit(arg);
	return NULL;
}

static long put_returned;

static void *putter(void *arg)
{
	mmput(arg);
	count(&put_returned);
	return NULL;
}

static void test_exit_waits_for_exit(void)
{
	struct fake fake;
	struct mm_struct *mm = fake_mm(&fake);
	pthread_t first, second;
	struct watcher watcher;

	watch(&watcher, mm);
	watcher.in_release = slow_release;
	first = spawn(exiter, mm);
	wait_until_set(&in_release);
	second = spawn(putter, mm);
	let_others_run();
	ok(!counted(&put_returned) && !fake.exits,
	   "U1 the last user does not free memory while another thread's exit is in ->release");
	count(&may_leave);
	pthread_join(first, NULL);
	pthread_join(second, NULL);
	is(fake.exits, 1, "it does afterwards");
	mmu_notifier_unregister(&watcher.mn, mm);
	is(fake.destroys, 1, "U11 and the last unregister frees the struct");
}

static void test_stale(void)
{
	static unsigned int word = 1;
	struct fake fake;
	struct mm_struct *mm = fake_mm_with_word(&fake, &word);

	ok(!mmun_mm_is_stale(mm), "an mm is not stale where it was made");
	word = 0;
	ok(mmun_mm_is_stale(mm), "B15 it is where its word reads zero");
	ok(!mmget_not_zero(mm), "B15 a copy gains no users");
	mmput(mm);
	is(fake.exits, 0, "B15 the end of a copy does not end the memory");
	is(fake.destroys, 1, "but its struct is freed");
	word = 1;
}

struct try_read {
	struct mm_struct *mm;
	bool read, write;
};

static void *try_locks(void *arg)
{
	struct try_read *try = arg;

	try->read = mmap_read_trylock(try->mm);
	if (try->read)
		mmap_read_unlock(try->mm);
	try->write = mmap_write_trylock(try->mm);
	if (try->write)
		mmap_write_unlock(try->mm);
	return NULL;
}

static void test_mmap_lock(void)
{
	struct fake fake;
	struct mm_struct *mm = fake_mm(&fake);
	struct try_read try = { .mm = mm };

	ok(mmun_mmap_lock_held(mm, false) && !mmun_mmap_lock_held(mm, true),
	   "unless a source has it checked, readers are not known");
	mmap_write_lock(mm);
	ok(mmun_mmap_lock_held(mm, true), "but a writer is");
	pthread_join(spawn(try_locks, &try), NULL);
	ok(!try.read && !try.write, "the mmap lock held for write keeps everybody out");
	mmap_write_unlock(mm);
	mmap_read_lock(mm);
	pthread_join(spawn(try_locks, &try), NULL);
	ok(try.read && !try.write, "held for read it lets readers in");
	mmap_read_unlock(mm);
	pthread_join(spawn(try_locks, &try), NULL);
	ok(try.read && try.write, "free it lets anybody in");
	mmput(mm);
}

static void test_names(void)
{
	ok(!strcmp(mmun_op_name(MMUN_OP_NONE), "none"), "the first operation has a name");
	ok(!strcmp(mmun_op_name(MMUN_OP_EXIT), "exit"), "the last one has");
	ok(!strcmp(mmun_op_name(MMUN_NR_OPS), "unknown"), "what is not one has not");
	ok(!strcmp(mmun_op_name(~0u), "unknown"), "nor has nonsense");
	for (unsigned int i = 0; i < MMUN_NR_OPS; i++) {
		for (unsigned int j = i + 1; j < MMUN_NR_OPS; j++) {
			if (!strcmp(mmun_op_name(i), mmun_op_name(j)))
				ok(false, "names %u and %u differ", i, j);
		}
	}
}

int main(void)
{
	test_create();
	test_counts();
	test_revive_race();
	test_exit();
	test_statistics();
	test_exit_waits_for_exit();
	test_stale();
	test_mmap_lock();
	test_names();
	return tap_done();
}
