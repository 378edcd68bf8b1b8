// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* core/interval_seq.c: each row of the rules of the sequence, and who waits. */
#include "part.h"

static struct fake fake;
static struct mm_struct *mm;
/* The one that sections of page 1 touch. */
static struct part one;

static void begin(void)
{
	mm = fake_mm(&fake);
	part_insert(&one, mm, 1, 1);
}

static void finish(void)
{
	mmu_interval_notifier_remove(&one.ni);
	mmput(mm);
	is(fake.destroys, 1, "R6 the struct goes when all have left");
}

static void test_idle(void)
{
	struct mmu_notifier_range range;

	begin();
	is(seq_of(mm), 2, "the sequence starts at 2");
	is(one.ni.invalidate_seq, 1, "insert when idle: the odd number before");
	is(mmu_interval_read_begin(&one.ni), 1, "its reader does not wait");
	range = start_on(mm, 7, 1);
	is(seq_of(mm), 2, "start that touches nothing: no change");
	is(one.calls, 0, "and no call");
	is(mmu_interval_read_begin(&one.ni), 1, "no reader waits");
	end_of(&range);
	is(seq_of(mm), 2, "nor does its end change anything");
	finish();
}

static void test_touching(void)
{
	struct mmu_notifier_range first, second, other;
	unsigned long seq;

	begin();
	seq = mmu_interval_read_begin(&one.ni);
	first = start_on(mm, 1, 1);
	is(seq_of(mm), 3, "start that touches an interval: odd");
	ok(one.seq == 3 && one.ni.invalidate_seq == 3, "which the callback gets and sets");
	ok(mmu_interval_read_retry(&one.ni, seq), "S5 the reader that began before retries");
	ok(mmu_interval_check_retry(&one.ni, seq), "S5 and is told without the lock");
	second = start_on(mm, 0, 3);
	is(seq_of(mm), 3, "another one: no change");
	other = start_on(mm, 7, 1);
	end_of(&first);
	is(seq_of(mm), 3, "end while others are open: no change");
	end_of(&second);
	is(seq_of(mm), 3, "also when the others touched nothing");
	end_of(&other);
	is(seq_of(mm), 4, "the last end: even");
	seq = mmu_interval_read_begin(&one.ni);
	is(seq, 3, "a reader begins with the number of the last section");
	ok(!mmu_interval_read_retry(&one.ni, seq), "and need not retry");
	section_on(mm, 1, 1);
	is(seq_of(mm), 6, "the next section: odd and even again");
	ok(mmu_interval_read_retry(&one.ni, seq), "S5 and its reader retries");
	finish();
}

static void test_untouched_reader(void)
{
	struct mmu_notifier_range range;
	struct part two;
	unsigned long seq;

	begin();
	part_insert(&two, mm, 2, 1);
	range = start_on(mm, 1, 1);
	seq = mmu_interval_read_begin(&two.ni);
	ok(!mmu_interval_read_retry(&two.ni, seq),
	   "B11 the reader of an interval that the section does not touch goes on");
	end_of(&range);
	for (int i = 0; i < 1000; i++)
		section_on(mm, 1, 1);
	ok(!mmu_interval_read_retry(&two.ni, seq), "B11 after a thousand of them, too");
	mmu_interval_notifier_remove(&two.ni);
	finish();
}

static void test_insert_while_open(void)
{
	struct mmu_notifier_range range, second;
	struct part two;

	begin();
	range = start_on(mm, 2, 1);
	part_insert(&two, mm, 2, 1);
	is(seq_of(mm), 3, "insert with an open section and an even sequence: odd");
	is(two.ni.invalidate_seq, 3, "which it takes: readers wait");
	second = start_on(mm, 2, 1);
	is(two.calls, 1, "it is in the tree: the next section calls it");
	end_of(&second);
	is(seq_of(mm), 3, "the sequence stays odd for the first section");
	end_of(&range);
	is(seq_of(mm), 4, "until that has ended");
	is(mmu_interval_read_begin(&two.ni), 3, "then its readers go on");
	mmu_interval_notifier_remove(&two.ni);
	finish();
}

static void test_insert_deferred(void)
{
	struct mmu_notifier_range range;
	struct part two;

	begin();
	range = start_on(mm, 1, 1);
	part_insert(&two, mm, 2, 1);
	is(two.ni.invalidate_seq, 3, "insert while odd: it takes the odd number");
	ok(!mmun_itree_contains(&two.ni.interval_tree), "and is deferred");
	section_on(mm, 2, 1);
	is(two.calls, 0, "sections pass it over, its readers wait");
	is(seq_of(mm), 3, "the sequence stays");
	end_of(&range);
	is(seq_of(mm), 4, "the last end applies it");
	ok(mmun_itree_contains(&two.ni.interval_tree), "to the tree");
	is(mmu_interval_read_begin(&two.ni), 3, "its readers go on");
	section_on(mm, 2, 1);
	is(two.calls, 1, "the next section calls it");
	mmu_interval_notifier_remove(&two.ni);
	finish();
}

static void test_remove(void)
{
	struct mmu_notifier_range range;
	struct part two;

	begin();
	part_insert(&two, mm, 2, 1);
	range = start_on(mm, 7, 1);
	mmu_interval_notifier_remove(&two.ni);
	ok(!mmun_itree_contains(&two.ni.interval_tree),
	   "remove with an open section and an even sequence: at once");
	end_of(&range);
	range = start_on(mm, 1, 1);
	part_insert(&two, mm, 2, 1);
	mmu_interval_notifier_remove(&two.ni);
	ok(mmun_list_empty(&itree_of(mm)->deferred), "remove of a deferred one: off the queue, no wait");
	end_of(&range);
	ok(!mmun_itree_contains(&two.ni.interval_tree), "it is never inserted");
	is(seq_of(mm), 4, "the sequence is even again");
	finish();
}

static long waiting, returned;

static void *remove_two(void *arg)
{
	count(&waiting);
	mmu_interval_notifier_remove(&((struct part *)arg)->ni);
	count(&returned);
	/* What its owner does next. */
	memset(arg, 0xee, sizeof(struct part));
	return NULL;
}

static void test_remove_waits(void)
{
	struct mmu_notifier_range range, second;
	struct part two;
	pthread_t thread;

	begin();
	part_insert(&two, mm, 2, 1);
	range = start_on(mm, 1, 1);
	waiting = returned = 0;
	thread = spawn(remove_two, &two);
	wait_until_set(&waiting);
	while (mmun_list_empty(&itree_of(mm)->deferred))
		usleep(100);
	let_others_run();
	ok(!counted(&returned), "U2 remove while odd waits, also for a section that did not touch it");
	second = start_on(mm, 2, 1);
	is(two.calls, 1, "U6 it is called until it is out");
	end_of(&range);
	let_others_run();
	ok(!counted(&returned), "U2 for every open section");
	end_of(&second);
	pthread_join(thread, NULL);
	ok(mmun_list_empty(&itree_of(mm)->deferred), "B9 it returned after it left the queue");
	section_on(mm, 2, 1);
	is(two.calls, (long)0xeeeeeeeeeeeeeeee, "U2 B9 and is not touched again");
	finish();
}

static void *read_one(void *arg)
{
	count(&waiting);
	mmun_store_full((unsigned long *)arg, mmu_interval_read_begin(&one.ni));
	count(&returned);
	return NULL;
}

static void test_reader_waits(void)
{
	struct mmu_notifier_range range;
	unsigned long seq;
	pthread_t thread;

	begin();
	range = start_on(mm, 1, 1);
	waiting = returned = 0;
	thread = spawn(read_one, &seq);
	wait_until_set(&waiting);
	let_others_run();
	ok(!counted(&returned), "read_begin while a section that touched it is open waits");
	end_of(&range);
	pthread_join(thread, NULL);
	is(seq, 3, "for its end, and returns its number");
	ok(!mmu_interval_read_retry(&one.ni, seq), "no retry");
	is(itree_of(mm)->waiters, 0, "nobody is counted as waiting any more");
	finish();
}

/* An insertion with an open section, which ends before it is looked for again. */
static void test_last_end(void)
{
	struct mmu_notifier_range range;
	struct part many[8];

	begin();
	for (int i = 0; i < 8; i++) {
		range = start_on(mm, 9, 1);
		part_insert(&many[i], mm, 1, 1);
		end_of(&range);
	}
	is(seq_of(mm), 2 + 2 * 8, "every insertion with an open section is closed by its end");
	range = start_on(mm, 1, 1);
	for (int i = 0; i < 8; i++) {
		is(many[i].calls, 1, "equal interval %d is called", i);
		if (i & 1)
			continue;
		end_of(&range);
		mmu_interval_notifier_remove(&many[i].ni);
		part_insert(&many[i], mm, 1, 1);
		range = start_on(mm, 10, 1);
	}
	end_of(&range);
	for (int i = 0; i < 8; i++)
		mmu_interval_notifier_remove(&many[i].ni);
	finish();
}

/* Walks keep a writer out: it gives up, lets go, and tries again. */
static void *insert_two(void *arg)
{
	part_insert(arg, mm, 2, 1);
	count(&returned);
	return NULL;
}

static void test_writer_backs_off(void)
{
	struct mmun_itree_slot *slot;
	struct part two;
	pthread_t thread;

	begin();
	slot = &itree_of(mm)->slots[0];
	returned = 0;
	/* A walk that was interrupted by a signal handler. */
	(void)mmun_add_full(&slot->count[MMUN_WALKS_BEGUN], 1);
	thread = spawn(insert_two, &two);
	let_others_run();
	ok(!counted(&returned), "an insertion waits for a walk");
	section_on(mm, 1, 1);
	is(one.calls, 1, "S8 sections, as of the handler, go on meanwhile");
	(void)mmun_add_full(&slot->count[MMUN_WALKS_DONE], 1);
	pthread_join(thread, NULL);
	ok(counted(&returned), "and the insertion is made when the walk has ended");
	/* As the end of the walk's own section does: the insertion may be a deferred one. */
	if (mmun_itree_odd(itree_of(mm)))
		mmun_itree_close(mm, mmun_chain(mm));
	mmu_interval_notifier_remove(&two.ni);
	finish();
}

/* Sections wait while the tree is changed. */
static void *open_section(void *arg)
{
	count(&waiting);
	section_on(mm, 1, 1);
	count(&returned);
	return NULL;
}

static void test_section_waits_for_writer(void)
{
	pthread_t threads[3];
	mmun_sigmask saved;

	begin();
	waiting = returned = 0;
	mmun_chain_lock(mmun_chain(mm), &saved);
	ok(mmun_itree_write_begin(itree_of(mm)), "nobody walks: the tree is the writer's");
	for (int i = 0; i < 3; i++)
		threads[i] = spawn(open_section, NULL);
	while (counted(&waiting) < 3)
		usleep(100);
	let_others_run();
	ok(!counted(&returned) && !one.calls, "sections wait for it");
	mmun_itree_write_end(itree_of(mm));
	mmun_chain_unlock(mmun_chain(mm), &saved);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	is(one.calls, 3, "and go on when it is done");
	finish();
}

/* Somebody is about to make the sequence even. */
static void test_closing(void)
{
	struct mmu_notifier_range range, second;
	struct part two;

	begin();
	range = start_on(mm, 1, 1);
	mmun_store_full(&itree_of(mm)->seq, 3 | MMUN_SEQ_CLOSING);
	is(seq_of(mm), 3, "a closer at work does not show in the sequence");
	second = start_on(mm, 1, 1);
	ok(one.seq == 3 && itree_of(mm)->seq == 3, "a section that touches something stops it");
	mmun_store_full(&itree_of(mm)->seq, 3 | MMUN_SEQ_CLOSING);
	part_insert(&two, mm, 2, 1);
	ok(itree_of(mm)->seq == 3 && two.ni.invalidate_seq == 3, "so does a deferral");
	mmun_store_full(&itree_of(mm)->closing, 1);
	end_of(&range);
	end_of(&second);
	is(seq_of(mm), 3, "an end that finds somebody else closing leaves it to him");
	mmun_store_full(&itree_of(mm)->closing, 0);
	mmun_itree_close(mm, mmun_chain(mm));
	is(seq_of(mm), 4, "who looks again when he has let go");
	ok(mmun_itree_contains(&two.ni.interval_tree), "and applies what was deferred");
	/* The other order: even again before the deferral is on the list. */
	ok(!mmun_itree_defer(itree_of(mm), &two.ni, 3) && mmun_list_empty(&itree_of(mm)->deferred),
	   "a deferral that finds the sequence even undoes itself");
	mmu_interval_notifier_remove(&two.ni);
	finish();
}

/* An end that has to apply something while a first walk is under way. */
static void test_close_gives_up(void)
{
	struct mmun_itree_slot *slot;
	struct mmu_notifier_range range;
	struct part two;

	begin();
	slot = &itree_of(mm)->slots[0];
	range = start_on(mm, 1, 1);
	part_insert(&two, mm, 2, 1);
	(void)mmun_add_full(&slot->count[MMUN_WALKS_BEGUN], 1);
	end_of(&range);
	is(seq_of(mm), 3, "an end does not wait for a walk: the walk's own section will close");
	(void)mmun_add_full(&slot->count[MMUN_WALKS_DONE], 1);
	section_on(mm, 7, 1);
	is(seq_of(mm), 4, "it does");
	ok(mmun_itree_contains(&two.ni.interval_tree), "with what was deferred");
	mmu_interval_notifier_remove(&two.ni);
	finish();
}

/* The number of processors may look different later, in a sandbox for example. */
static void test_slots(void)
{
	mm = fake_mm(&fake);
	mm->srcu.mask = 0;
	is(mmu_notifier_register(NULL, mm), 0, "interval mode");
	is(mm->mmu_notifier_mm->itree->nr_slots, 1, "it has the slots that the mm was made with");
	mmput(mm);
}

int main(void)
{
	test_slots();
	test_idle();
	test_touching();
	test_untouched_reader();
	test_insert_while_open();
	test_insert_deferred();
	test_remove();
	test_remove_waits();
	test_reader_waits();
	test_last_end();
	test_writer_backs_off();
	test_section_waits_for_writer();
	test_closing();
	test_close_gives_up();
	return tap_done();
}
