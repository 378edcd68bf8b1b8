/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* base/lock.c: ranks, recursion, reports.  Built with the checks on. */
#include "fake.h"

static struct mmun_mutex worker, chain, changes;
static struct mmun_rwlock mmap_lock;

static void in_order(void *arg)
{
	mmun_rwlock_write_lock(&mmap_lock);
	mmun_mutex_lock(&changes);
	mmun_mutex_lock(&chain);
	mmun_mutex_lock(&worker);
	mmun_mutex_unlock(&changes);
	mmun_mutex_unlock(&worker);
	mmun_mutex_unlock(&chain);
	mmun_rwlock_write_unlock(&mmap_lock);
	mmun_rwlock_read_lock(&mmap_lock);
	mmun_rwlock_read_unlock(&mmap_lock);
}

static void inverted(void *arg)
{
	mmun_mutex_lock(&chain);
	mmun_mutex_lock(&changes);
}

static void inverted_after_in_order(void *arg)
{
	in_order(NULL);
	inverted(NULL);
}

static void twice(void *arg)
{
	mmun_mutex_lock(&chain);
	mmun_mutex_lock(&chain);
}

static void read_twice(void *arg)
{
	mmun_rwlock_read_lock(&mmap_lock);
	mmun_rwlock_read_lock(&mmap_lock);
}

static void same_rank(void *arg)
{
	struct mmun_mutex other;

	mmun_mutex_init(&other, MMUN_RANK_CHAIN);
	mmun_mutex_lock(&chain);
	mmun_mutex_lock(&other);
}

#define MANY 100

static struct mmun_rwlock many[MANY];
static struct mmun_mutex outer;

static void ascending(void *arg)
{
	for (int i = 0; i < MANY; i++)
		mmun_rwlock_write_lock_many(&many[i], NULL);
	mmun_mutex_lock(&chain);
	mmun_mutex_unlock(&chain);
	for (int i = 0; i < MANY; i++)
		mmun_rwlock_write_unlock_many(&many[i]);
	/* Nothing is left of them: an outer rank is fine again. */
	mmun_rwlock_write_lock(&mmap_lock);
	mmun_rwlock_write_unlock(&mmap_lock);
}

static void descending(void *arg)
{
	mmun_rwlock_write_lock_many(&many[1], NULL);
	mmun_rwlock_write_lock_many(&many[0], NULL);
}

static void many_twice(void *arg)
{
	mmun_rwlock_write_lock_many(&many[0], NULL);
	mmun_rwlock_write_lock_many(&many[1], NULL);
	mmun_rwlock_write_lock_many(&many[0], NULL);
}

static void many_under_mutex(void *arg)
{
	mmun_mutex_lock(&outer);
	for (int i = MANY - 1; i >= 0; i--)
		mmun_rwlock_write_lock_many(&many[i], &outer);
	for (int i = MANY - 1; i >= 0; i--)
		mmun_rwlock_write_unlock_many(&many[i]);
	mmun_mutex_unlock(&outer);
}

static void many_without_mutex(void *arg)
{
	mmun_rwlock_write_lock_many(&many[1], &outer);
}

static void many_and_outer_rank(void *arg)
{
	mmun_rwlock_write_lock_many(&many[1], NULL);
	mmun_mutex_lock(&outer);
}

static void many_after_one(void *arg)
{
	mmun_rwlock_write_lock(&many[0]);
	mmun_rwlock_write_lock_many(&many[1], NULL);
}

static void many_too_often_unlocked(void *arg)
{
	mmun_rwlock_write_lock_many(&many[0], NULL);
	mmun_rwlock_write_unlock_many(&many[0]);
	mmun_rwlock_write_unlock_many(&many[0]);
}

static struct mmun_rwlock spaces[2];

static void ascending_spaces(void *arg)
{
	mmun_rwlock_read_lock(&spaces[0]);
	mmun_rwlock_read_lock(&spaces[1]);
	mmun_rwlock_read_unlock(&spaces[0]);
	mmun_rwlock_read_unlock(&spaces[1]);
}

static void descending_spaces(void *arg)
{
	mmun_rwlock_read_lock(&spaces[1]);
	mmun_rwlock_read_lock(&spaces[0]);
}

static void not_held(void *arg)
{
	mmun_mutex_unlock(&chain);
}

static void tried(void *arg)
{
	mmun_mutex_lock(&chain);
	if (!mmun_mutex_trylock(&changes))
		_exit(1);
	mmun_mutex_unlock(&changes);
	mmun_mutex_unlock(&chain);
}

static bool says(const char *text, const char *a, const char *b)
{
	bool found = strstr(text, a) && strstr(text, b);

	if (!found)
		diag("report was: %s", text);
	return found;
}

static void test_aborts(void)
{
	char text[2048];

	ok(exited_well(run_in_child(in_order, NULL, text, sizeof(text))) && !*text,
	   "locks taken in the order of their ranks");
	ok(aborted(run_in_child(inverted, NULL, text, sizeof(text))), "an inversion aborts");
	ok(says(text, "lock order inversion",
		"notifier chain > writers of the page tables' semaphore"),
	   "its report names both locks of this thread");
	ok(says(text, "the order is:", "mmap lock > event source > "), "and the declared order");
	ok(aborted(run_in_child(inverted_after_in_order, NULL, text, sizeof(text))),
	   "an inversion of an order that was seen aborts");
	ok(says(text, "notifier chain > writers of the page tables' semaphore",
		"the other way round before: mmap lock > writers of the page tables' semaphore > notifier chain"),
	   "its report has both stacks of lock names");
	is(strchr(text, '\n') - text, (long)strlen(text) - 1, "the report is one line");
	ok(aborted(run_in_child(twice, NULL, text, sizeof(text))), "a recursive take aborts");
	ok(says(text, "taken twice", "notifier chain > notifier chain"), "and names the lock");
	ok(aborted(run_in_child(read_twice, NULL, text, sizeof(text))),
	   "a recursive read lock aborts: it deadlocks when a writer comes in between");
	ok(aborted(run_in_child(same_rank, NULL, text, sizeof(text))),
	   "two locks of one rank abort: nothing orders them");
	ok(exited_well(run_in_child(ascending_spaces, NULL, text, sizeof(text))) && !*text,
	   "but for mmap locks by ascending address");
	ok(aborted(run_in_child(descending_spaces, NULL, text, sizeof(text))),
	   "which abort by descending ones");
	ok(aborted(run_in_child(not_held, NULL, text, sizeof(text))),
	   "unlocking what is not held aborts");
	ok(exited_well(run_in_child(tried, NULL, text, sizeof(text))),
	   "a trylock that succeeds is no inversion");
}

static void test_many(void)
{
	char text[2048];

	ok(exited_well(run_in_child(ascending, NULL, text, sizeof(text))) && !*text,
	   "L1 many locks of one rank by ascending address");
	ok(aborted(run_in_child(descending, NULL, text, sizeof(text))),
	   "L1 a descending pair aborts");
	ok(says(text, "ascending address", "i_mmap > i_mmap"), "and the report says so");
	ok(aborted(run_in_child(many_twice, NULL, text, sizeof(text))),
	   "L1 one of them twice aborts");
	ok(says(text, "taken twice", "i_mmap"), "and the report says so");
	ok(exited_well(run_in_child(many_under_mutex, NULL, text, sizeof(text))) && !*text,
	   "in any order under the mutex that orders them");
	ok(aborted(run_in_child(many_without_mutex, NULL, text, sizeof(text))),
	   "without that mutex it aborts");
	ok(aborted(run_in_child(many_and_outer_rank, NULL, text, sizeof(text))),
	   "many locks count in the order of ranks");
	ok(aborted(run_in_child(many_after_one, NULL, text, sizeof(text))),
	   "one that was taken alone does not mix with many");
	ok(aborted(run_in_child(many_too_often_unlocked, NULL, text, sizeof(text))),
	   "unlocking more than were taken aborts");
}

static void *not_mine(void *arg)
{
	ok(!mmun_rwlock_mine(&mmap_lock), "a write lock is not another thread's");
	ok(!mmun_lock_held(&mmap_lock), "nor held by it");
	ok(!mmun_rwlock_read_trylock(&mmap_lock), "and keeps readers out");
	return NULL;
}

static void test_owner(void)
{
	mmun_rwlock_write_lock(&mmap_lock);
	ok(mmun_rwlock_mine(&mmap_lock), "a write lock is mine");
	ok(mmun_lock_held(&mmap_lock), "and held");
	pthread_join(spawn(not_mine, NULL), NULL);
	mmun_rwlock_write_unlock(&mmap_lock);
	ok(!mmun_rwlock_mine(&mmap_lock), "a free lock is nobody's");
	mmun_rwlock_read_lock(&mmap_lock);
	ok(!mmun_rwlock_mine(&mmap_lock) && mmun_lock_held(&mmap_lock),
	   "a read lock is held, not mine");
	mmun_rwlock_read_unlock(&mmap_lock);
}

/* A writer that takes it again at once lets readers in, and counts none that has gone. */
static long reader_rounds;

static void *read_often(void *arg)
{
	for (int i = 0; i < 10000; i++) {
		mmun_rwlock_read_lock(&mmap_lock);
		if (mmun_load_relaxed(&mmap_lock.writer))
			bail_out("a reader beside a writer");
		mmun_rwlock_read_unlock(&mmap_lock);
		(void)mmun_add_full(&reader_rounds, 1);
	}
	return arg;
}

static void test_hand_over(void)
{
	pthread_t readers[2];

	for (int i = 0; i < 2; i++)
		readers[i] = spawn(read_often, NULL);
	while (mmun_load_full(&reader_rounds) < 20000) {
		mmun_rwlock_write_lock(&mmap_lock);
		mmun_rwlock_write_unlock(&mmap_lock);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(readers[i], NULL);
	ok(true, "readers come in beside a writer that does not pause");
	is(mmap_lock.spinning, 0, "and none is waited for afterwards");
}

int main(void)
{
	mmun_mutex_init(&chain, MMUN_RANK_CHAIN);
	mmun_mutex_init(&changes, MMUN_RANK_SOFT_CHANGES);
	mmun_rwlock_init(&mmap_lock, MMUN_RANK_MMAP);
	for (int i = 0; i < 2; i++)
		mmun_rwlock_init(&spaces[i], MMUN_RANK_MMAP);
	mmun_mutex_init(&outer, MMUN_RANK_SOFT_ALL_LOCKS);
	for (int i = 0; i < MANY; i++)
		mmun_rwlock_init(&many[i], MMUN_RANK_SOFT_I_MMAP);
	test_aborts();
	test_many();
	test_owner();
	test_hand_over();
	return tap_done();
}
