/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* core/interval_table.c: numbers, who waits for which sections, places that run out. */
#include <sched.h>

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
	is(nr_open(mm), 0, "no section is left open");
	mmput(mm);
	is(fake.destroys, 1, "R6 the struct goes when all have left");
}

static bool reader_must_retry(struct part *part, unsigned long seq)
{
	return mmu_interval_read_retry(&part->ni, seq) || mmu_interval_check_retry(&part->ni, seq);
}

/* Other threads that do one thing. */
static long waiting, returned;

static void *remove_it(void *arg)
{
	count(&waiting);
	mmu_interval_notifier_remove(&((struct part *)arg)->ni);
	count(&returned);
	/* What its owner does next. */
	memset(arg, 0xee, sizeof(struct part));
	return NULL;
}

static void *read_it(void *arg)
{
	unsigned long seq;

	count(&waiting);
	seq = mmu_interval_read_begin(&((struct part *)arg)->ni);
	if (!reader_must_retry(arg, seq))
		count(&returned);
	return NULL;
}

static pthread_t waits(void *(*what)(void *), struct part *part)
{
	pthread_t thread;

	waiting = returned = 0;
	thread = spawn(what, part);
	wait_until_set(&waiting);
	let_others_run();
	return thread;
}

static bool done_by_another(void *(*what)(void *), struct part *part)
{
	returned = 0;
	pthread_join(spawn(what, part), NULL);
	return returned;
}

static void test_numbers(void)
{
	unsigned long numbers[40], seq;
	struct mmu_notifier_range range, inner;
	struct part two;
	long equal = 0, even = 0;

	begin();
	numbers[0] = mmu_interval_read_begin(&one.ni);
	is(mmu_interval_read_begin(&one.ni), numbers[0], "nothing happens: the same number");
	section_on(mm, 7, 1);
	is(mmu_interval_read_begin(&one.ni), numbers[0], "nor does a section elsewhere change it");
	is(one.calls, 0, "or call it");
	for (int i = 1; i < 40; i++) {
		range = start_on(mm, 1, 1);
		numbers[i] = one.seq;
		inner = start_on(mm, 0, 3);
		equal += numbers[i] == one.seq || numbers[i - 1] == one.seq;
		even += !(one.seq & 1) + !(numbers[i] & 1);
		end_of(i & 1 ? &range : &inner);
		end_of(i & 1 ? &inner : &range);
		for (int j = 0; j < i; j++)
			equal += numbers[i] == numbers[j];
		part_insert(&two, mm, 1, 1);
		seq = mmu_interval_read_begin(&two.ni);
		equal += seq == numbers[i] || seq == one.seq;
		mmu_interval_notifier_remove(&two.ni);
		part_insert(&two, mm, 1, 1);
		equal += !reader_must_retry(&two, seq);
		mmu_interval_notifier_remove(&two.ni);
	}
	is(equal, 0, "sections and insertions have a number each");
	is(even, 0, "which is odd");
	finish();
}

static void test_retry(void)
{
	struct mmu_notifier_range first, second;
	unsigned long seq;

	begin();
	seq = mmu_interval_read_begin(&one.ni);
	ok(!reader_must_retry(&one, seq), "no section: no retry");
	first = start_on(mm, 1, 1);
	ok(one.ni.invalidate_seq == one.seq, "a section that touches it calls it with a number");
	ok(mmu_interval_read_retry(&one.ni, seq), "S5 the reader that began before retries");
	ok(mmu_interval_check_retry(&one.ni, seq), "S5 and sees it without the lock");
	second = start_on(mm, 0, 3);
	end_of(&first);
	end_of(&second);
	seq = mmu_interval_read_begin(&one.ni);
	ok(!reader_must_retry(&one, seq), "a reader that begins when they are over need not");
	section_on(mm, 1, 1);
	ok(reader_must_retry(&one, seq), "S5 until the next one");
	finish();
}

/* Interval notifiers are called first, at both ends. */

static long open_at_end = -1, calls_before_start;

static void note_intervals_at_start(struct watcher *watcher)
{
	calls_before_start = one.calls;
}

static void note_intervals_at_end(struct watcher *watcher)
{
	open_at_end = (long)nr_open(mm);
}

static void test_before_the_list(void)
{
	struct watcher watcher;

	begin();
	watch(&watcher, mm);
	watcher.in_start = note_intervals_at_start;
	watcher.in_end = note_intervals_at_end;
	section_on(mm, 1, 1);
	is(calls_before_start, 1, "an interval notifier is called before those of the whole space");
	is(open_at_end, 0, "B8: at whose end the section is over for readers of intervals");
	mmu_notifier_unregister(&watcher.mn, mm);
	finish();
}

/* What the end of a section elsewhere is not waited for. */
static void check_goes_on(struct part *two, const char *what)
{
	unsigned long seq;

	section_on(mm, 1, 1);
	seq = mmu_interval_read_begin(&one.ni);
	ok(!reader_must_retry(&one, seq), "B11 %s: a reader goes on after a section of its own",
	   what);
	part_insert(two, mm, 1, 1);
	seq = mmu_interval_read_begin(&two->ni);
	ok(!reader_must_retry(two, seq), "B11 %s: so does that of a new one", what);
	section_on(mm, 1, 1);
	mmu_interval_notifier_remove(&two->ni);
	is(two->calls, 1, "B11 %s: an insertion and a removal are made at once", what);
}

static void test_elsewhere(void)
{
	struct mmu_notifier_range before, behind, ranges[100];
	struct part two, far;
	unsigned long seq;

	begin();
	part_insert(&far, mm, 30, 1);
	before = start_on(mm, 0, 1);
	behind = start_on(mm, 2, 1);
	check_goes_on(&two, "open sections beside it");
	for (unsigned long i = 0; i < 100; i++)
		ranges[i] = start_on(mm, 30 + i % 2, 1);
	is(far.calls, 50, "sections that touch another one");
	check_goes_on(&two, "a hundred of them, open");
	for (int i = 0; i < 100; i++)
		end_of(&ranges[i]);
	seq = mmu_interval_read_begin(&one.ni);
	for (int i = 0; i < 1000; i++)
		section_on(mm, 30, 1);
	ok(!reader_must_retry(&one, seq), "B11 after a thousand of them, too");
	end_of(&before);
	end_of(&behind);
	mmu_interval_notifier_remove(&far.ni);
	finish();
}

static void test_reader_waits(void)
{
	struct mmu_notifier_range range, second;
	pthread_t thread;

	begin();
	range = start_on(mm, 1, 1);
	second = start_on(mm, 0, 2);
	thread = waits(read_it, &one);
	ok(!counted(&returned), "S5 read_begin waits for a section that has called it");
	end_of(&range);
	let_others_run();
	ok(!counted(&returned), "S5 for each of them");
	end_of(&second);
	pthread_join(thread, NULL);
	ok(counted(&returned), "and returns a number that is good");
	finish();
}

static void test_insert_while_open(void)
{
	struct mmu_notifier_range range, second;
	struct part two;
	pthread_t thread;

	begin();
	range = start_on(mm, 2, 1);
	part_insert(&two, mm, 2, 1);
	second = start_on(mm, 2, 1);
	is(two.calls, 1, "insert beside an open section: the next one calls it");
	end_of(&second);
	thread = waits(read_it, &two);
	ok(!counted(&returned),
	   "S5 insert with an open section that did not call it: its readers wait");
	end_of(&range);
	pthread_join(thread, NULL);
	ok(counted(&returned), "until that has ended");
	mmu_interval_notifier_remove(&two.ni);
	range = start_on(mm, 2, 1);
	part_insert(&two, mm, 2, 1);
	thread = waits(read_it, &two);
	ok(!counted(&returned), "S5 also when no other section has called it");
	end_of(&range);
	pthread_join(thread, NULL);
	ok(counted(&returned), "until that has ended");
	mmu_interval_notifier_remove(&two.ni);
	finish();
}

static void test_remove_waits(void)
{
	struct mmu_notifier_range range, other;
	struct part two;
	pthread_t thread;

	begin();
	part_insert(&two, mm, 2, 1);
	range = start_on(mm, 2, 1);
	other = start_on(mm, 5, 1);
	thread = waits(remove_it, &two);
	ok(!counted(&returned), "U2 B9 remove waits for a section that has called it");
	ok(!in_tree(mm, &two), "when it is out of the tree");
	section_on(mm, 2, 1);
	is(two.calls, 1, "U2 where sections that start now do not find it");
	end_of(&range);
	pthread_join(thread, NULL);
	ok(counted(&returned), "U2 and for no section elsewhere");
	end_of(&other);
	section_on(mm, 2, 1);
	is(two.calls, (long)0xeeeeeeeeeeeeeeee, "U2 B9 it is not touched again");
	finish();
}

/* A thread that ends, or is killed, inside a section. */
static void *leave_open(void *arg)
{
	*(struct mmu_notifier_range *)arg = start_on(mm, 1, 1);
	return NULL;
}

static void *walk_for_ever(void *arg)
{
	*(unsigned long *)arg = mmun_section_open(mm, itree_of(mm), PAGE, PAGE, 0);
	return NULL;
}

static void test_walk_gone(void)
{
	struct part two;
	unsigned long walk;

	begin();
	part_insert(&two, mm, 1, 1);
	pthread_join(spawn(walk_for_ever, &walk), NULL);
	ok(done_by_another(read_it, &one),
	   "a reader does not wait for one that ended while it walked");
	pthread_join(spawn(walk_for_ever, &walk), NULL);
	ok(done_by_another(remove_it, &two), "nor does who changes the tree");
	mmun_section_close(itree_of(mm), walk);
	finish();
}

static void test_thread_gone(void)
{
	struct mmu_notifier_range range, left_open[3];
	cpu_set_t before, one_cpu;
	struct part two;

	begin();
	/* Places are taken by processor: the last section is to get one of those that are left. */
	sched_getaffinity(0, sizeof(before), &before);
	CPU_ZERO(&one_cpu);
	CPU_SET((size_t)sched_getcpu(), &one_cpu);
	sched_setaffinity(0, sizeof(one_cpu), &one_cpu);
	part_insert(&two, mm, 1, 1);
	pthread_join(spawn(leave_open, &left_open[0]), NULL);
	is(nr_open(mm), 1, "a thread has ended inside a section");
	ok(done_by_another(read_it, &one), "a reader does not wait for it for ever");
	pthread_join(spawn(leave_open, &left_open[1]), NULL);
	ok(done_by_another(remove_it, &two), "nor does a removal");
	pthread_join(spawn(leave_open, &left_open[2]), NULL);
	(void)mmu_interval_read_begin(&one.ni);
	range = start_on(mm, 5, 1);
	for (int i = 0; i < 3; i++)
		end_of(&left_open[i]);
	is(nr_open(mm), 1, "its end, when it comes after all, ends no other section");
	end_of(&range);
	sched_setaffinity(0, sizeof(before), &before);
	finish();
}

/*
 * The first thread ends before the others: it stays, a zombie that signals still find, until
 * they have gone.
 */
static void *outlive_leader(void *arg)
{
	alarm(20);
	while (!mmun_thread_is_zombie(getpid()))
		usleep(1000);
	(void)mmu_interval_read_begin(&one.ni);
	mmu_interval_notifier_remove(&one.ni);
	save_coverage();
	_exit(0);
}

static void end_leader_inside(void *arg)
{
	begin();
	(void)start_on(mm, 1, 1);
	spawn(outlive_leader, NULL);
	mmun_syscall3(SYS_exit, 0, 0, 0);
}

static void test_leader_gone(void)
{
	char text[256];

	ok(exited_well(run_in_child(end_leader_inside, NULL, text, sizeof(text))),
	   "B11 a first thread that has ended inside a section is not waited for");
}

/* Two threads that run at once with one thread-local storage. */

#ifdef __SANITIZE_THREAD__
#define OWN_TLS_ONLY 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define OWN_TLS_ONLY 1
#endif
#endif
#ifndef OWN_TLS_ONLY
#define OWN_TLS_ONLY 0
#endif

static long shared_inside, shared_may_end;

static int section_of_twin(void *arg)
{
	struct mmu_notifier_range range = start_on(mm, 1, 1);

	count(&shared_inside);
	while (!counted(&shared_may_end))
		sched_yield();
	end_of(&range);
	mmun_syscall3(SYS_exit, 0, 0, 0);
	return 0;
}

static void *let_twin_end(void *arg)
{
	let_others_run();
	count(&shared_may_end);
	return NULL;
}

/* The storage knows this thread already when the other one comes. */
static void remove_beside_twin(void *arg)
{
	static char stack[256 << 10] __attribute__((aligned(64)));

	alarm(20);
	begin();
	section_on(mm, 9, 1);
	mmun_thread_shares_tls();
	if (clone(section_of_twin, stack + sizeof(stack),
		  CLONE_VM | CLONE_THREAD | CLONE_SIGHAND | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM,
		  NULL) < 0)
		_exit(2);
	while (!counted(&shared_inside))
		sched_yield();
	spawn(let_twin_end, NULL);
	mmu_interval_notifier_remove(&one.ni);
	_exit(counted(&shared_may_end) ? 0 : 4);
}

static void test_shared_storage(void)
{
	char text[256];

	if (OWN_TLS_ONLY) {
		skip("two threads with one storage", "ThreadSanitizer keeps its own there");
		return;
	}
	is(run_in_child(remove_beside_twin, NULL, text, sizeof(text)), 0,
	   "B9 a section of another thread with the same storage is waited for");
}

/* Walks keep a writer out: it gives up, lets go, and tries again. */
static void *insert_two(void *arg)
{
	part_insert(arg, mm, 2, 1);
	count(&returned);
	return NULL;
}

static void check_backs_off(struct part *two, unsigned long walk, const char *what)
{
	pthread_t thread;

	returned = one.calls = 0;
	thread = spawn(insert_two, two);
	let_others_run();
	ok(!counted(&returned), "an insertion waits for %s", what);
	section_on(mm, 1, 1);
	is(one.calls, 1, "S8 sections, as of the handler, go on meanwhile");
	mmun_section_walked(itree_of(mm), walk);
	pthread_join(thread, NULL);
	ok(counted(&returned), "and is made when the walk has ended");
}

static void test_writer_backs_off(void)
{
	struct part two, three;
	unsigned long walk;

	begin();
	/* As if a signal handler had interrupted it. */
	walk = mmun_section_open(mm, itree_of(mm), 7, 7, 0);
	check_backs_off(&two, walk, "a walk");
	mmun_section_walk(itree_of(mm), walk);
	check_backs_off(&three, walk, "a second one of the same section");
	mmun_section_close(itree_of(mm), walk);
	mmu_interval_notifier_remove(&two.ni);
	mmu_interval_notifier_remove(&three.ni);
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

/* A section that has a place and has not said yet which range. */
static void test_without_a_range(void)
{
	struct mmun_section_group *group;
	const int i = MMUN_GROUP_SECTIONS - 1;
	unsigned long seq;
	struct part two;
	pthread_t thread;

	begin();
	group = &itree_of(mm)->groups[0];
	mmun_store_full(&group->state[i], MMUN_SECTION_WALKS);
	seq = mmu_interval_read_begin(&one.ni);
	ok(!reader_must_retry(&one, seq), "a section without a range will call: readers go on");
	returned = 0;
	thread = spawn(insert_two, &two);
	let_others_run();
	ok(!counted(&returned), "for a writer it walks");
	mmun_store_full(&group->state[i], 0);
	pthread_join(thread, NULL);
	mmu_interval_notifier_remove(&two.ni);
	finish();
}

/* A walk that has been interrupted, of a section that has called somebody. */
static void test_walking(void)
{
	unsigned long walk;
	pthread_t thread;

	begin();
	walk = mmun_section_open(mm, itree_of(mm), PAGE, PAGE, 0);
	thread = waits(read_it, &one);
	ok(!counted(&returned), "S5 readers wait for a section that walks, too");
	mmun_section_walked(itree_of(mm), walk);
	let_others_run();
	mmun_section_walk(itree_of(mm), walk);
	let_others_run();
	ok(!counted(&returned), "S5 whatever it does");
	mmun_section_walked(itree_of(mm), walk);
	mmun_section_close(itree_of(mm), walk);
	pthread_join(thread, NULL);
	ok(counted(&returned), "until it is over");
	finish();
}

/* Every place is taken. */
static void test_full(void)
{
	struct mmu_notifier_range *ranges;
	unsigned long places = 0, other, seq;
	struct part two, three;
	pthread_t thread;

	mm = fake_mm(&fake);
	/* Whatever CPU this is: one group and the spare ones. */
	mm->srcu.mask = 0;
	part_insert(&one, mm, 1, 1);
	ranges = calloc(itree_of(mm)->nr_groups * MMUN_GROUP_SECTIONS + 1, sizeof(*ranges));
	for (unsigned long i = 0; !itree_of(mm)->others.open; i++) {
		ranges[i] = start_on(mm, 7 + i, 1);
		places++;
	}
	is(places - 1, (1 + MMUN_SPARE_GROUPS) * MMUN_GROUP_SECTIONS,
	   "so many sections take all places");
	is(nr_open(mm), places, "the next one is counted");
	thread = waits(read_it, &one);
	ok(!counted(&returned), "S5 its range is not known: readers wait");
	section_on(mm, 1, 1);
	other = one.seq;
	section_on(mm, 1, 1);
	ok(other != one.seq && other & 1, "sections that are counted only have numbers, too");
	end_of(&ranges[--places]);
	pthread_join(thread, NULL);
	seq = mmu_interval_read_begin(&one.ni);
	ok(!reader_must_retry(&one, seq), "until it has ended, and for none of those with a place");
	other = mmun_section_open(mm, itree_of(mm), 7, 7, 0);
	check_backs_off(&two, other, "a walk of one that is counted only");
	mmun_section_walk(itree_of(mm), other);
	check_backs_off(&three, other, "its second one");
	mmun_section_close(itree_of(mm), other);
	mmu_interval_notifier_remove(&two.ni);
	mmu_interval_notifier_remove(&three.ni);
	while (places)
		end_of(&ranges[--places]);
	free(ranges);
	check_goes_on(&two, "all places are free again");
	finish();
}

/* One object for one section after the other, and in another address space. */
static void test_range_again(void)
{
	struct mmu_notifier_range range;
	struct fake other_fake;
	struct mm_struct *other;

	begin();
	range = start_on(mm, 1, 1);
	end_of(&range);
	ok(!range.section.interval, "S3 nothing is left in a range after its end");
	mmu_notifier_invalidate_range_start(&range);
	end_of(&range);
	is(one.calls, 2, "S3 it can be used again");
	other = fake_mm(&other_fake);
	range.mm = other;
	mmu_notifier_invalidate_range_start(&range);
	end_of(&range);
	is(one.calls, 2, "S3 for another address space");
	mmput(other);
	finish();
}

/* The number of processors may look different later, in a sandbox for example. */
static void test_slots(void)
{
	mm = fake_mm(&fake);
	mm->srcu.mask = 0;
	is(mmu_notifier_register(NULL, mm), 0, "interval mode");
	is(itree_of(mm)->nr_used, 1, "it has a group for each slot that the mm was made with");
	mmput(mm);
}

int main(void)
{
	test_slots();
	test_numbers();
	test_retry();
	test_before_the_list();
	test_elsewhere();
	test_reader_waits();
	test_insert_while_open();
	test_remove_waits();
	test_thread_gone();
	test_walk_gone();
	test_leader_gone();
	test_shared_storage();
	test_writer_backs_off();
	test_section_waits_for_writer();
	test_without_a_range();
	test_walking();
	test_full();
	test_range_again();
	return tap_done();
}
