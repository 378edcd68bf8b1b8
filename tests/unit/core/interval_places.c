/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * core/interval_table.c: places that had other sections before, owners that are not known,
 * spare groups, and a writer that comes while a section walks.
 */
#include "part.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

static struct fake fake;
static struct mm_struct *mm;
static struct part one;

static void begin(void)
{
	mm = fake_mm(&fake);
	part_insert(&one, mm, 1, 1);
}

/* All CPUs have one group. */
static void begin_with_one_group(void)
{
	mm = fake_mm(&fake);
	mm->srcu.mask = 0;
	part_insert(&one, mm, 1, 1);
}

static void finish(void)
{
	mmu_interval_notifier_remove(&one.ni);
	is(nr_open(mm), 0, "no section is left open");
	mmput(mm);
}

static long returned;

static void *read_it(void *arg)
{
	unsigned long seq = mmu_interval_read_begin(&((struct part *)arg)->ni);

	if (!mmu_interval_read_retry(&((struct part *)arg)->ni, seq))
		count(&returned);
	return NULL;
}

/* A reader of @part waits for @range, which nobody else keeps open. */
static bool reader_waits_for(struct part *part, struct mmu_notifier_range *range)
{
	pthread_t thread;
	bool waits;

	returned = 0;
	thread = spawn(read_it, part);
	let_others_run();
	waits = !counted(&returned);
	end_of(range);
	pthread_join(thread, NULL);
	return waits && counted(&returned);
}

/* Ranges and intervals that share one byte. */
static void test_one_byte(void)
{
	struct mmu_notifier_range range;
	struct part first, last;

	begin();
	part_init(&first);
	part_init(&last);
	if (mmu_interval_notifier_insert(&first.ni, mm, 10 * PAGE, 1, &part_ops) ||
	    mmu_interval_notifier_insert(&last.ni, mm, 11 * PAGE - 1, 1, &part_ops))
		bail_out("cannot insert");
	range = start_on(mm, 10, 1);
	ok(first.calls == 1 && last.calls == 1, "a section of a page touches its ends");
	ok(reader_waits_for(&first, &range), "S5 a reader of its first byte waits");
	range = start_on(mm, 10, 1);
	ok(reader_waits_for(&last, &range), "S5 and one of its last byte");
	range = start_on(mm, 11, 1);
	is(last.calls, 2, "the next page touches neither");
	end_of(&range);
	mmu_interval_notifier_remove(&first.ni);
	mmu_interval_notifier_remove(&last.ni);
	finish();
}

/* The group of the CPU is full: the first section in a spare group, and one beside others. */
static void test_spare_groups(void)
{
	enum { GROUPS = 6, SECTIONS = GROUPS * MMUN_GROUP_SECTIONS };
	struct mmu_notifier_range ranges[SECTIONS], again;
	struct part last;

	begin_with_one_group();
	for (unsigned long i = 0; i < MMUN_GROUP_SECTIONS; i++)
		ranges[i] = start_on(mm, 100 + i, 1);
	again = start_on(mm, 1, 1);
	is(itree_of(mm)->nr_used, 2, "one section more than a group has places takes another one");
	ok(reader_waits_for(&one, &again), "S5 the section there is waited for");

	for (unsigned long i = MMUN_GROUP_SECTIONS; i < SECTIONS; i++)
		ranges[i] = start_on(mm, 100 + i, 1);
	is(itree_of(mm)->nr_used, GROUPS, "as many groups as are needed");
	end_of(&ranges[MMUN_GROUP_SECTIONS]);
	ranges[MMUN_GROUP_SECTIONS] = start_on(mm, 100 + MMUN_GROUP_SECTIONS, 1);
	is(itree_of(mm)->nr_used, GROUPS, "a place that was given back is taken again");
	part_insert(&last, mm, 100 + SECTIONS - 1, 1);
	ok(reader_waits_for(&last, &ranges[SECTIONS - 1]),
	   "S5 and the sections of later groups are waited for all the same");
	mmu_interval_notifier_remove(&last.ni);
	for (int i = 0; i < SECTIONS - 1; i++)
		end_of(&ranges[i]);
	finish();
}

/* A place that a living thread is about to take says who had it before. */

static void *leave_a_place(void *index)
{
	const unsigned long number = mmun_section_open(mm, itree_of(mm), PAGE, PAGE, 0);

	*(unsigned long *)index = number / 2 % MMUN_NUMBER_PLACES;
	mmun_section_walked(itree_of(mm), number);
	mmun_section_close(itree_of(mm), number);
	return NULL;
}

static void *insert_another(void *part)
{
	part_insert(part, mm, 2, 1);
	count(&returned);
	return NULL;
}

static void test_owner_of_before(void)
{
	struct mmun_section_group *group;
	unsigned long index;
	struct part two;
	pthread_t thread;
	unsigned long *state;

	begin();
	pthread_join(spawn(leave_a_place, &index), NULL);
	group = &itree_of(mm)->groups[index / MMUN_GROUP_SECTIONS];
	state = &group->state[index % MMUN_GROUP_SECTIONS];
	ok(group->owner[index % MMUN_GROUP_SECTIONS], "a place remembers its last owner");
	returned = 0;
	(void)mmun_add_full(state, MMUN_SECTION_WALKS);
	thread = spawn(insert_another, &two);
	let_others_run();
	let_others_run();
	ok(!counted(&returned), "I6 who has just taken it is not gone with the one before");
	(void)mmun_sub_full(state, MMUN_SECTION_WALKS);
	pthread_join(thread, NULL);
	mmu_interval_notifier_remove(&two.ni);
	finish();
}

/* A thread that ended while its section walked is in nobody's way. */

static void *walk_for_ever(void *number)
{
	*(unsigned long *)number = mmun_section_open(mm, itree_of(mm), PAGE, PAGE, 0);
	return NULL;
}

static void test_insert_beside_gone(void)
{
	unsigned long number;
	struct part two;

	begin();
	pthread_join(spawn(walk_for_ever, &number), NULL);
	part_insert(&two, mm, 2, 1);
	ok(in_tree(mm, &two), "I6 an insertion does not wait for a walk whose thread is gone");
	mmun_section_close(itree_of(mm), number);
	mmu_interval_notifier_remove(&two.ni);
	finish();
}

/* A section that had to wait for a writer walks afterwards, as far as the next one can see. */

static void *open_one(void *number)
{
	*(unsigned long *)number = mmun_section_open(mm, itree_of(mm), 7, 7, 0);
	return NULL;
}

static void check_walks_after_writer(const char *what)
{
	struct mmun_itree *itree = itree_of(mm);
	unsigned long number;
	mmun_sigmask saved;
	pthread_t thread;

	mmun_chain_lock(mmun_chain(mm), &saved);
	while (!mmun_itree_write_begin(itree))
		;
	thread = spawn(open_one, &number);
	let_others_run();
	mmun_itree_write_end(itree);
	mmun_chain_unlock(mmun_chain(mm), &saved);
	pthread_join(thread, NULL);

	mmun_chain_lock(mmun_chain(mm), &saved);
	ok(!mmun_itree_write_begin(itree), "I3 %s keeps the next writer out", what);
	mmun_section_walked(itree, number);
	ok(mmun_itree_write_begin(itree), "I3 until it has walked");
	mmun_itree_write_end(itree);
	mmun_chain_unlock(mmun_chain(mm), &saved);
	mmun_section_close(itree, number);
}

static void test_walks_after_writer(void)
{
	unsigned long numbers[(1 + MMUN_SPARE_GROUPS) * MMUN_GROUP_SECTIONS];
	const unsigned long places = sizeof(numbers) / sizeof(numbers[0]);

	begin_with_one_group();
	check_walks_after_writer("a section that waited for a writer");
	for (unsigned long i = 0; i < places; i++) {
		numbers[i] = mmun_section_open(mm, itree_of(mm), 7, 7, 0);
		mmun_section_walked(itree_of(mm), numbers[i]);
	}
	check_walks_after_writer("one that is counted only");
	for (unsigned long i = 0; i < places; i++)
		mmun_section_close(itree_of(mm), numbers[i]);
	finish();
}

/* More intervals than one look at the tree finds, and a writer between two looks. */

enum { MANY = 40 };

static struct part many[MANY];
static long in_callback, may_go_on;

static void stop_in_callback(struct part *part)
{
	part->hook = NULL;
	count(&in_callback);
	wait_until_set(&may_go_on);
}

static long calls_of_many(void)
{
	long calls = 0;

	for (int i = 0; i < MANY; i++)
		calls += counted(&many[i].calls);
	return calls;
}

static void *section_on_many(void *arg)
{
	section_on(mm, 100, 1);
	return NULL;
}

static void test_writer_between_walks(void)
{
	mmun_sigmask saved;
	pthread_t thread;
	long before;

	begin();
	for (int i = 0; i < MANY; i++)
		part_insert(&many[i], mm, 100, 1);
	many[0].hook = stop_in_callback;
	thread = spawn(section_on_many, NULL);
	wait_until_set(&in_callback);
	mmun_chain_lock(mmun_chain(mm), &saved);
	ok(mmun_itree_write_begin(itree_of(mm)), "I3 in a callback nobody walks");
	count(&may_go_on);
	let_others_run();
	before = calls_of_many();
	ok(before < MANY, "I3 a section does not look at the tree again while it is changed");
	mmun_itree_write_end(itree_of(mm));
	mmun_chain_unlock(mmun_chain(mm), &saved);
	pthread_join(thread, NULL);
	is(calls_of_many(), MANY, "and then calls each of the others once");
	for (int i = 0; i < MANY; i++)
		mmu_interval_notifier_remove(&many[i].ni);
	finish();
}

/* Sections beside writers that come and go. */

static long stop;

static void *come_and_go(void *arg)
{
	while (!counted(&stop)) {
		struct part part;

		part_insert(&part, mm, 2, 1);
		mmu_interval_notifier_remove(&part.ni);
	}
	return NULL;
}

static void test_beside_writers(void)
{
	pthread_t thread;
	long wrong = 0;

	begin();
	stop = 0;
	thread = spawn(come_and_go, NULL);
	for (int i = 0; i < 20000; i++)
		wrong += nonblock_section(mm, 1, 1) != 0;
	count(&stop);
	pthread_join(thread, NULL);
	is(wrong, 0, "no section fails because of a writer");
	is(one.calls, 20000, "and each calls who is there");
	finish();
}

/* A process that shares the memory, and a kernel that does not say which thread calls. */

#if defined(__SANITIZE_THREAD__)
#define WATCHED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WATCHED 1
#endif
#endif

#ifdef WATCHED
static void test_not_a_thread(void)
{
	skip("a child of vfork(), and a kernel that does not say who calls",
	     "ThreadSanitizer makes more of either");
}
#else
static long opened, may_end;

static void *section_after_vfork(void *arg)
{
	struct mmu_notifier_range range;
	pid_t pid = vfork();

	if (!pid) {
		section_on(mm, 5, 1);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	range = start_on(mm, 1, 1);
	count(&opened);
	wait_until_set(&may_end);
	end_of(&range);
	return NULL;
}

/* In another thread than the one that opens a section in @opens. */
static bool waits_for(void *(*opens)(void *))
{
	pthread_t thread, reader;
	bool waits;

	opened = may_end = returned = 0;
	thread = spawn(opens, NULL);
	wait_until_set(&opened);
	reader = spawn(read_it, &one);
	for (int i = 0; i < 10; i++)
		let_others_run();
	waits = !counted(&returned);
	count(&may_end);
	pthread_join(thread, NULL);
	pthread_join(reader, NULL);
	return waits && counted(&returned);
}

static void *plain_section(void *arg)
{
	struct mmu_notifier_range range = start_on(mm, 1, 1);

	count(&opened);
	wait_until_set(&may_end);
	end_of(&range);
	return NULL;
}

/* The kernel does not say who calls. */
static void without_gettid(void *arg)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_gettid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	begin();
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		_exit(77);
	_exit(waits_for(plain_section) ? 0 : 2);
}

static void test_not_a_thread(void)
{
	char text[1024];

	begin();
	ok(waits_for(section_after_vfork),
	   "B9 a thread whose child of vfork() had a section is still there");
	finish();
	is(run_in_child(without_gettid, NULL, text, sizeof(text)), 0,
	   "B9 a section of an owner that is not known is neither one's own nor over");
}
#endif

int main(void)
{
	test_one_byte();
	test_spare_groups();
	test_owner_of_before();
	test_insert_beside_gone();
	test_walks_after_writer();
	test_writer_between_walks();
	test_beside_writers();
	test_not_a_thread();
	return tap_done();
}
