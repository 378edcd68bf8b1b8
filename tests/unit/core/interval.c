/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * core/interval.c and core/interval_seq.c: insertion and its errors, callbacks of whole sections, both
 * passes, refusals together with the list.  Exit and fork: interval_exit.c.
 */
#include <limits.h>

#include "part.h"

static struct fake fake;
static struct mm_struct *mm;

static const struct mmu_interval_notifier_ops no_ops = { .invalidate_finish = NULL };

static void test_arguments(void)
{
	struct part part;
	struct mmu_interval_notifier *ni = &part.ni;
	long count_before;

	mm = fake_mm(&fake);
	count_before = mm->mm_count;
	part_init(&part);
	is(mmu_interval_notifier_insert(NULL, mm, PAGE, PAGE, &part_ops), -EINVAL, "no notifier");
	is(mmu_interval_notifier_insert(ni, NULL, PAGE, PAGE, &part_ops), -ESRCH,
	   "no address space");
	is(mmu_interval_notifier_insert(ni, mm, PAGE, 0, &part_ops), -EOVERFLOW, "length 0");
	is(mmu_interval_notifier_insert(ni, mm, 0, 0, &part_ops), -EOVERFLOW, "also at 0");
	is(mmu_interval_notifier_insert(ni, mm, ULONG_MAX, 2, &part_ops), -EOVERFLOW,
	   "a range that wraps");
	is(mmu_interval_notifier_insert(ni, mm, PAGE, PAGE, &no_ops), -EINVAL,
	   "no way to invalidate");
	is(mmu_interval_notifier_insert(ni, mm, PAGE, PAGE, NULL), -EINVAL, "no ops");
	is(mmu_interval_notifier_insert_locked(ni, mm, PAGE, PAGE, &part_ops), -EDEADLK,
	   "R4 _locked without the lock");
	mmap_write_lock(mm);
	is(mmu_interval_notifier_insert(ni, mm, PAGE, PAGE, &part_ops), -EDEADLK,
	   "R4 with the lock");
	ok(mmun_rwlock_mine(&mm->mmap_lock), "R4 which stays held");
	mmap_write_unlock(mm);
	ok(!mm_has_notifiers(mm) && mm->mm_count == count_before && !fake.locks,
	   "R7 none of these has changed anything");
	is(mmu_interval_notifier_insert(ni, mm, 0, ULONG_MAX, &part_ops), 0, "nearly everything");
	is(mmu_interval_notifier_insert(ni, mm, 0, 1, &part_ops), -EEXIST, "R11 twice");
	is(mm->mm_count, count_before + 1, "R6 it holds the struct");
	is(mm->mm_users, 1, "R5 and not the memory");
	mmu_interval_notifier_remove(ni);
	is(mm->mm_count, count_before, "R6 until it is removed");
	is(mmu_interval_notifier_insert(ni, mm, ULONG_MAX, 1, &part_ops), 0,
	   "the last byte, again");
	mmu_interval_notifier_remove(ni);
	mmput(mm);
}

static void test_first_one(void)
{
	struct part first, second, locked;
	long live = mmun_alloc_live();

	mm = fake_mm(&fake);
	part_insert(&first, mm, 1, 1);
	is(fake.locks, 1, "R1 R2 the first one quiesces the mm");
	is(fake.starts, 1, "and starts the event source");
	part_insert(&second, mm, 2, 1);
	is(fake.locks, 1, "a later one does not");
	part_init(&locked);
	mmap_write_lock(mm);
	is(mmu_interval_notifier_insert_locked(&locked.ni, mm, 0, 1, &part_ops), 0,
	   "R4 with the mmap lock held");
	ok(mmun_rwlock_mine(&mm->mmap_lock), "R4 which stays so");
	mmap_write_unlock(mm);
	section_on(mm, 0, 1);
	is(locked.calls, 1, "it is called");
	mmu_interval_notifier_remove(&first.ni);
	mmu_interval_notifier_remove(&second.ni);
	mmu_interval_notifier_remove(&locked.ni);
	ok(mm_has_notifiers(mm), "R9 the block stays");
	mmput(mm);
	is(mmun_alloc_live(), live, "R9 until the struct goes");
}

/* What comes and goes is counted, also what does not come about. */
static void test_statistics(void)
{
	struct mmun_stats stats;
	struct part parts[3];

	mm = fake_mm(&fake);
	for (unsigned long i = 0; i < 3; i++)
		part_insert(&parts[i], mm, i, 1);
	mmun_mm_stats(mm, &stats);
	ok(stats.inserted == 3 && stats.removed == 0, "three are inserted");
	mmu_interval_notifier_remove(&parts[0].ni);
	mmun_mm_stats(mm, &stats);
	ok(stats.inserted == 3 && stats.removed == 1, "one is removed");
	mmu_interval_notifier_remove(&parts[1].ni);
	mmu_interval_notifier_remove(&parts[2].ni);
	mmput(mm);

	mm = fake_mm(&fake);
	fake.lock_error = -ENOMEM;
	is(mmu_interval_notifier_insert(&parts[0].ni, mm, PAGE, PAGE, &part_ops), -ENOMEM,
	   "one that fails");
	mmun_mm_stats(mm, &stats);
	is(stats.inserted - stats.removed, 0, "does not count as one that is there");
	mmput(mm);
}

/* A source that can be stopped while nobody is registered. */

static bool source_runs, dies_when_asked;

static bool is_source_started(const struct mm_struct *of)
{
	if (dies_when_asked)
		mmun_mm_exit(mm);
	return source_runs;
}

static int start_source(struct mm_struct *of)
{
	source_runs = true;
	return fake_start(of);
}

static void test_stopped_source(void)
{
	const struct mmun_primary_ops ops = { .name = "stoppable",
					      .start = start_source,
					      .is_started = is_source_started,
					      .lock = fake_lock,
					      .unlock = fake_unlock };
	const struct mmun_mm_params params = { .ops = &ops, .priv = &fake };
	struct part parts[3], late_one;

	memset(&fake, 0, sizeof(fake));
	if (mmun_mm_create(&params, &mm))
		bail_out("no memory for an mm");
	part_insert(&parts[0], mm, 1, 1);
	part_insert(&parts[1], mm, 2, 1);
	ok(fake.starts == 1 && fake.locks == 1, "a source that runs is not started again");
	source_runs = false;
	part_insert(&parts[2], mm, 3, 1);
	is(fake.starts, 2, "one that was stopped is");
	for (int i = 0; i < 3; i++)
		mmu_interval_notifier_remove(&parts[i].ni);
	dies_when_asked = true;
	part_init(&late_one);
	is(mmu_interval_notifier_insert(&late_one.ni, mm, PAGE, PAGE, &part_ops), -ESRCH,
	   "R5 one that dies when it is asked takes no interval more");
	ok(!mmun_itree_contains(&late_one.ni.interval_tree) && mm->mm_count == 1,
	   "R7 nothing is left of it");
	dies_when_asked = false;
	mmput(mm);
}

static void test_interval_mode(void)
{
	struct watcher watcher;
	struct part part;

	mm = fake_mm(&fake);
	is(__mmu_notifier_register(NULL, mm), -EDEADLK, "R4 a NULL notifier: same rules");
	is(mmu_notifier_register(NULL, mm), 0, "a NULL notifier switches to interval mode");
	is(fake.locks, 1, "with the mm quiesced");
	ok(itree_of(mm), "there is a tree");
	is(mm->mm_count, 1, "R6 and no reference");
	mmun_store_full(&allocations, 0);
	fail_allocation(1000);
	is(mmu_notifier_register(NULL, mm), 0, "again: nothing happens");
	is(counted(&allocations), 0, "R8 nor is anything allocated");
	fail_allocation(0);
	watch(&watcher, mm);
	part_insert(&part, mm, 1, 1);
	is(fake.locks, 3, "the first interval need not quiesce any more");
	fake_section(mm);
	ok(watcher.starts == 1 && part.calls == 1, "list and intervals are both called");
	mmu_notifier_unregister(&watcher.mn, mm);
	mmu_interval_notifier_remove(&part.ni);
	mmput(mm);
	mm = fake_mm(&fake);
	watch(&watcher, mm);
	mmap_write_lock(mm);
	is(__mmu_notifier_register(NULL, mm), 0, "interval mode after a list, lock held");
	mmap_write_unlock(mm);
	fake_section(mm);
	is(watcher.ends, 1, "the list is called as before");
	mmu_notifier_unregister(&watcher.mn, mm);
	mmput(mm);
}

static void test_failures(void)
{
	struct part part;
	long live = mmun_alloc_live(), needed;

	mm = fake_mm(&fake);
	part_init(&part);
	mmun_store_full(&allocations, 0);
	for (needed = 1; needed < 10; needed++) {
		long before = mmun_alloc_live();
		int ret;

		fail_allocation(needed);
		ret = mmu_interval_notifier_insert(&part.ni, mm, PAGE, PAGE, &part_ops);
		fail_allocation(0);
		if (!ret)
			break;
		is(ret, -ENOMEM, "R7 allocation %ld fails", needed);
		ok(mmun_alloc_live() == before && !mm_has_notifiers(mm) && !fake.locks &&
			   mm->mm_count == 1 && fake_mmap_lock_is_free(mm),
		   "R7 R8 nothing is left of it, the mm was not locked");
	}
	is(needed, 3, "R8 two blocks: the chain and the tree");
	mmu_interval_notifier_remove(&part.ni);
	fail_allocation(1);
	is(mmu_interval_notifier_insert(&part.ni, mm, PAGE, PAGE, &part_ops), 0,
	   "later insertions allocate nothing");
	section_on(mm, 1, 1);
	mmu_interval_notifier_remove(&part.ni);
	fail_allocation(0);
	mmput(mm);
	mm = fake_mm(&fake);
	fake.lock_error = -ENOMEM;
	is(mmu_interval_notifier_insert(&part.ni, mm, PAGE, PAGE, &part_ops), -ENOMEM,
	   "R7 the primary cannot be quiesced");
	fake.lock_error = 0;
	fake.start_error = -EBUSY;
	is(mmu_interval_notifier_insert(&part.ni, mm, PAGE, PAGE, &part_ops), -EBUSY,
	   "R7 the source cannot start");
	ok(!mm_has_notifiers(mm) && mm->mm_count == 1, "R7 nothing has changed");
	mmput(mm);
	is(mmun_alloc_live(), live, "R7 no memory is lost");
}

static void test_range(void)
{
	struct part parts[4];
	struct mmu_notifier_range range;
	unsigned long seq;

	mm = fake_mm(&fake);
	for (unsigned long i = 0; i < 4; i++)
		part_insert(&parts[i], mm, 10 * i, 10);
	seq = mmu_interval_read_begin(&parts[1].ni);
	range = pages(mm, 15, 10);
	range.event = MMU_NOTIFY_MIGRATE;
	range.owner = parts;
	mmu_notifier_invalidate_range_start(&range);
	ok(!parts[0].calls && parts[1].calls && parts[2].calls && !parts[3].calls,
	   "who overlaps is called, nobody else");
	ok(parts[1].range.start == 15 * PAGE && parts[1].range.end == 25 * PAGE &&
		   parts[1].range.event == MMU_NOTIFY_MIGRATE && parts[1].range.owner == parts,
	   "S3 with the whole range as the source filled it in");
	ok(mmu_notifier_range_blockable(&parts[1].range), "S7 which says that it may sleep");
	range.flags |= MMUN_RANGE_UNCHANGED;
	end_of(&range);
	ok(mmu_interval_read_retry(&parts[1].ni, seq),
	   "an end that changed nothing is a collision too");
	range = pages(mm, 5, 0);
	mmu_notifier_invalidate_range_start(&range);
	end_of(&range);
	range = pages(mm, 0, 0);
	mmu_notifier_invalidate_range_start(&range);
	end_of(&range);
	is(parts[0].calls, 0, "an empty range touches nobody, at 0 neither");
	nonblock_section(mm, 0, 1);
	ok(!mmu_notifier_range_blockable(&parts[0].range), "S7 a nonblocking one says so");
	for (int i = 0; i < 4; i++)
		mmu_interval_notifier_remove(&parts[i].ni);
	mmput(mm);
}

/* A monitored range of which a part is unmapped, as when a mapping is split. */
static void test_split(void)
{
	struct part part;
	unsigned long seq;

	mm = fake_mm(&fake);
	part_insert(&part, mm, 10, 10);
	seq = mmu_interval_read_begin(&part.ni);
	section_on(mm, 13, 2);
	ok(part.calls == 1 && part.range.start == 13 * PAGE && part.range.end == 15 * PAGE,
	   "B21 a part of the range goes: called with that part");
	ok(mmu_interval_read_retry(&part.ni, seq), "B21 readers retry");
	section_on(mm, 10, 3);
	section_on(mm, 15, 5);
	is(part.calls, 3, "B21 still called for each of the halves");
	section_on(mm, 5, 10);
	is(part.calls, 4, "B21 and for a range that begins outside");
	seq = mmu_interval_read_begin(&part.ni);
	ok(!mmu_interval_read_retry(&part.ni, seq) && !nr_open(mm), "B21 nothing is left open");
	mmu_interval_notifier_remove(&part.ni);
	mmput(mm);
}

/* Which of them are called when. */
static long moment, list_start_at, list_end_at, part_at;

static void note_list_start(struct watcher *watcher)
{
	list_start_at = ++moment;
}

static void note_list_end(struct watcher *watcher)
{
	list_end_at = ++moment;
}

static void note_part(struct part *part)
{
	part_at = ++moment;
}

static void test_order(void)
{
	struct watcher watcher;
	struct part part;

	mm = fake_mm(&fake);
	watch(&watcher, mm);
	part_insert(&part, mm, 1, 1);
	watcher.in_start = note_list_start;
	watcher.in_end = note_list_end;
	part.hook = note_part;
	section_on(mm, 1, 1);
	ok(part_at == 1 && list_start_at == 2 && list_end_at == 3,
	   "intervals first, then the list");
	fake_section(mm);
	ok(part_at == 4 && list_start_at == 5 && list_end_at == 6, "inside a read section, too");
	mmu_notifier_unregister(&watcher.mn, mm);
	mmu_interval_notifier_remove(&part.ni);
	mmput(mm);
}

/* Three intervals and three list notifiers, any of which refuses. */
static void test_refusals(void)
{
	struct watcher watchers[3];
	struct part parts[3];
	long wrong = 0, stuck = 0;
	unsigned long seq;

	mm = fake_mm(&fake);
	for (unsigned long i = 0; i < 3; i++) {
		watch(&watchers[i], mm);
		part_insert(&parts[i], mm, 1, 1 + i);
	}
	for (unsigned int mix = 0; mix < 64; mix++) {
		unsigned int of_parts = mix & 7, of_list = mix >> 3;

		for (int i = 0; i < 3; i++) {
			parts[i].refuses = of_parts >> i & 1;
			parts[i].calls = 0;
			watchers[i].starts = watchers[i].ends = 0;
			watchers[i].answer = of_list >> i & 1 ? -EAGAIN : 0;
		}
		wrong += nonblock_section(mm, 1, 1) != (mix ? -EAGAIN : 0);
		for (int i = 0; i < 3; i++)
			/* The newest is asked first, nobody after a refusal. */
			wrong += watchers[i].starts != (!of_parts && !(of_list >> (i + 1))) ||
				 watchers[i].ends != (!of_parts && !(of_list >> i)) ||
				 watchers[i].open != 0;
		stuck += nr_open(mm) != 0;
		if (stuck) {
			is(stuck, 0, "B7 B8 mix %u leaves no section open for intervals", mix);
			bail_out("readers and removals would hang");
		}
		for (int i = 0; i < 3; i++) {
			/* In the order of insertion: those behind a refusal hear nothing. */
			wrong += parts[i].calls != !(of_parts & ((1u << i) - 1));
			seq = mmu_interval_read_begin(&parts[i].ni);
			wrong += mmu_interval_read_retry(&parts[i].ni, seq);
		}
	}
	is(wrong, 0, "B7 B8 64 mixes of refusals: each that began gets the end, no other");
	is(stuck, 0, "B8 none leaves a section open for intervals");
	for (int i = 0; i < 3; i++) {
		parts[i].refuses = true;
		parts[i].calls = 0;
	}
	for (int i = 0; i < 3; i++) {
		mmu_interval_notifier_remove(&parts[i].ni);
		mmu_notifier_unregister(&watchers[i].mn, mm);
	}
	ok(true, "B8 remove does not hang");
	mmput(mm);
}

/* What comes and goes while a section is open that is then refused by the list. */
static struct part late, leaver;
static long removed;
static bool removed_early;

static void *remove_leaver(void *arg)
{
	mmu_interval_notifier_remove(&leaver.ni);
	count(&removed);
	return NULL;
}

static pthread_t remover;

static void insert_and_remove(struct watcher *watcher)
{
	part_insert(&late, mm, 1, 1);
	remover = spawn(remove_leaver, NULL);
	while (in_tree(mm, &leaver))
		usleep(100);
	let_others_run();
	removed_early = counted(&removed);
}

static void test_refusal_meanwhile(void)
{
	struct watcher watcher;
	struct part part;
	unsigned long seq;

	mm = fake_mm(&fake);
	watch(&watcher, mm);
	watcher.in_start = insert_and_remove;
	watcher.answer = -EAGAIN;
	part_insert(&part, mm, 1, 1);
	part_insert(&leaver, mm, 1, 1);
	is(nonblock_section(mm, 1, 1), -EAGAIN, "B8 intervals agree, the list refuses");
	pthread_join(remover, NULL);
	ok(!removed_early && removed == 1, "B8 B9 a removal that waited is done");
	seq = mmu_interval_read_begin(&late.ni);
	ok(!mmu_interval_read_retry(&late.ni, seq),
	   "B8 and the reader of an insertion from a callback does not hang");
	watcher.in_start = NULL;
	mmu_interval_notifier_remove(&late.ni);
	mmu_interval_notifier_remove(&part.ni);
	mmu_notifier_unregister(&watcher.mn, mm);
	mmput(mm);
}

/* A refusal of what happens anyway. */
static void test_overruled(void)
{
	struct mmu_notifier_range range;
	struct mmun_stats stats;
	struct part part;
	unsigned long seq;

	mm = fake_mm(&fake);
	part_insert(&part, mm, 1, 1);
	part.refuses = true;
	seq = mmu_interval_read_begin(&part.ni);
	range = pages(mm, 1, 1);
	range.flags = MMUN_RANGE_NOT_REFUSABLE;
	is(mmu_notifier_invalidate_range_start_nonblock(&range), 0, "an overruled refusal");
	ok(part.calls == 1 && mmu_interval_read_retry(&part.ni, seq), "S5 its readers retry");
	is(nr_open(mm), 1, "S5 and wait");
	end_of(&range);
	is(nonblock_section(mm, 1, 1), -EAGAIN, "what can be refused is");
	mmun_mm_stats(mm, &stats);
	ok(stats.overruled == 1 && stats.refused == 1, "each is counted as what it was");
	mmu_interval_notifier_remove(&part.ni);
	mmput(mm);
}

/* Two passes. */
static long pass_moment, passes_begun, first_finish_at;
static struct part *finished_order[4];
static long nr_finished;

static bool begin_pass(struct mmu_interval_notifier *ni, const struct mmu_notifier_range *range,
		       unsigned long seq, struct mmu_interval_notifier_finish **finish)
{
	struct part *part = part_of(ni);

	if (*finish)
		return false;
	passes_begun = ++pass_moment;
	if (part->two_passes)
		*finish = &part->finish;
	return part_invalidate(ni, range, seq);
}

static void end_pass(struct mmu_interval_notifier_finish *finish)
{
	struct part *part = mmun_container_of(finish, struct part, finish);

	if (finish->notifier == &part->ni)
		finished_order[nr_finished] = part;
	nr_finished++;
	pass_moment++;
	if (!first_finish_at)
		first_finish_at = pass_moment;
	count(&part->finishes);
	/* It may be freed. */
	memset(finish, 0xee, sizeof(*finish));
}

static const struct mmu_interval_notifier_ops two_pass_ops = {
	.invalidate_start = begin_pass,
	.invalidate_finish = end_pass,
};

static void test_two_passes(void)
{
	struct part parts[4];
	struct watcher watcher;

	mm = fake_mm(&fake);
	watch(&watcher, mm);
	for (unsigned long i = 0; i < 4; i++) {
		part_init(&parts[i]);
		parts[i].two_passes = i != 1;
		mmu_interval_notifier_insert(&parts[i].ni, mm, i * PAGE, PAGE, &two_pass_ops);
	}
	section_on(mm, 0, 4);
	ok(nr_finished == 3 && finished_order[0] == &parts[0] && finished_order[1] == &parts[2] &&
		   finished_order[2] == &parts[3],
	   "two passes: each that asked is finished, in order, once");
	ok(first_finish_at > passes_begun, "two passes: after every first pass");
	is(parts[1].finishes, 0, "who asked for none gets none");
	nr_finished = 0;
	parts[3].refuses = true;
	is(nonblock_section(mm, 0, 4), -EAGAIN, "B7 the last first pass refuses");
	ok(nr_finished == 2 && finished_order[0] == &parts[0] && finished_order[1] == &parts[2],
	   "B7 those before it are finished, it is not");
	ok(!nr_open(mm) && watcher.starts == 1, "B7 the section is over, the list was not asked");
	nr_finished = 0;
	parts[3].refuses = false;
	watcher.answer = -EAGAIN;
	is(nonblock_section(mm, 0, 4), -EAGAIN, "B8 the list refuses");
	ok(nr_finished == 3 && !nr_open(mm), "B8 all are finished, the section is over");
	for (int i = 0; i < 4; i++)
		mmu_interval_notifier_remove(&parts[i].ni);
	mmu_notifier_unregister(&watcher.mn, mm);
	mmput(mm);
}

/* Sections in callbacks, insertions in callbacks. */
static void nest(struct part *part)
{
	part->hook = NULL;
	section_on(mm, 1, 1);
}

static void insert_late(struct part *part)
{
	part->hook = NULL;
	part_insert(&late, mm, 1, 1);
}

static void test_nesting(void)
{
	struct part part;

	mm = fake_mm(&fake);
	part_insert(&part, mm, 1, 1);
	part.hook = nest;
	section_on(mm, 1, 1);
	is(part.calls, 2, "S3 a callback opens a section of its own");
	part.hook = insert_late;
	section_on(mm, 1, 1);
	section_on(mm, 1, 1);
	ok(late.calls == 1 || late.calls == 2,
	   "an insertion from a callback: sections that start later call it");
	is(nr_open(mm), 0, "S3 all of them have ended");
	mmu_interval_notifier_remove(&late.ni);
	mmu_interval_notifier_remove(&part.ni);
	mmput(mm);
}

/* A thread is cancelled while its callbacks reach a cancellation point. */
static long passed;

static void reach_cancellation_point(struct part *part)
{
	pthread_testcancel();
	count(&passed);
}

static void *cancelled_section(void *arg)
{
	pthread_cancel(pthread_self());
	section_on(mm, 1, 1);
	count(&passed);
	pthread_testcancel();
	return NULL;
}

static void *cancelled_exit(void *arg)
{
	pthread_cancel(pthread_self());
	mmun_mm_exit(mm);
	count(&passed);
	pthread_testcancel();
	return NULL;
}

static void test_cancellation(void)
{
	struct part part;
	void *status;

	mm = fake_mm(&fake);
	part_insert(&part, mm, 1, 1);
	part.hook = reach_cancellation_point;
	pthread_join(spawn(cancelled_section, NULL), &status);
	ok(status == PTHREAD_CANCELED && passed == 2, "no callback is cancelled half way");
	is(nr_open(mm), 0, "and the section ends");
	passed = 0;
	pthread_join(spawn(cancelled_exit, NULL), &status);
	ok(status == PTHREAD_CANCELED && passed == 2, "nor the one of exit");
	mmu_interval_notifier_remove(&part.ni);
	mmput(mm);
}

int main(void)
{
	test_arguments();
	test_first_one();
	test_statistics();
	test_stopped_source();
	test_interval_mode();
	test_failures();
	test_range();
	test_split();
	test_order();
	test_refusals();
	test_refusal_meanwhile();
	test_overruled();
	test_two_passes();
	test_nesting();
	test_cancellation();
	return tap_done();
}
