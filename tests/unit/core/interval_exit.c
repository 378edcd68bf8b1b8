/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* core/interval_seq.c: the event at exit, and what may follow it; the copy of fork. */
#include <limits.h>

#include "clock.h"
#include "part.h"

static struct fake fake;
static struct mm_struct *mm;

static long moment, part_at;

static void note_part(struct part *part)
{
	part_at = ++moment;
}

static bool begin_pass(struct mmu_interval_notifier *ni, const struct mmu_notifier_range *range,
		       unsigned long seq, struct mmu_interval_notifier_finish **finish)
{
	*finish = &part_of(ni)->finish;
	return part_invalidate(ni, range, seq);
}

static void end_pass(struct mmu_interval_notifier_finish *finish)
{
	count(&mmun_container_of(finish, struct part, finish)->finishes);
}

static const struct mmu_interval_notifier_ops two_pass_ops = {
	.invalidate_start = begin_pass,
	.invalidate_finish = end_pass,
};

/* Exit. */
static long released_at;

static void note_release(struct watcher *watcher)
{
	released_at = ++moment;
}

static void test_exit(void)
{
	struct part part, two, top, fresh;
	struct watcher watcher;

	mm = fake_mm(&fake);
	mmgrab(mm);
	watch(&watcher, mm);
	watcher.in_release = note_release;
	part_insert(&part, mm, 1, 1);
	part.hook = note_part;
	part_init(&two);
	mmu_interval_notifier_insert(&two.ni, mm, 100, 1, &two_pass_ops);
	part_init(&top);
	mmu_interval_notifier_insert(&top.ni, mm, ULONG_MAX, 1, &part_ops);
	moment = 0;
	mmput(mm);
	ok(part_at == 1 && released_at == 2, "U1 exit calls intervals, then ->release");
	is(fake.exits, 1, "U1 before the memory goes");
	ok(part.range.event == MMU_NOTIFY_RELEASE && part.range.start == 0 &&
		   part.range.end == ULONG_MAX && mmu_notifier_range_blockable(&part.range) &&
		   part.range.mm == mm,
	   "a blockable RELEASE of everything");
	ok(part.calls == 1 && two.calls == 1 && two.finishes == 1, "U5 once each, in both passes");
	is(top.calls, 1, "U1 everything: the last byte, too");
	is(nr_open(mm), 0, "that section is over");
	part_init(&fresh);
	is(mmu_interval_notifier_insert(&fresh.ni, mm, PAGE, PAGE, &part_ops), -EINVAL,
	   "R5 insertion without a user");
	section_on(mm, 1, 1);
	is(part.calls, 2, "U6 who has not left is still called");
	mmu_interval_notifier_remove(&part.ni);
	mmu_interval_notifier_remove(&two.ni);
	mmu_interval_notifier_remove(&top.ni);
	is(part.calls, 2, "U4 remove after exit, without a call");
	mmu_notifier_unregister(&watcher.mn, mm);
	mmdrop(mm);
	is(fake.destroys, 1, "R6 the last one takes the struct with it");
}

static void test_dying(void)
{
	struct part part;

	mm = fake_mm(&fake);
	mmu_notifier_register(NULL, mm);
	mmun_mm_exit(mm);
	part_init(&part);
	is(mmu_interval_notifier_insert(&part.ni, mm, PAGE, PAGE, &part_ops), -ESRCH,
	   "insertion after mmun_mm_exit()");
	is(mm->mm_count, 1, "R7 holds nothing");
	is(mmu_notifier_register(NULL, mm), -ESRCH, "nor can the mode be switched");
	mmput(mm);
}

/* The mm dies between the check and the insertion. */
static bool kill_mm(size_t size)
{
	mmun_mm_exit(mm);
	return false;
}

static void kill_while_locked(struct mm_struct *which)
{
	unsigned int alive = MMUN_MM_ALIVE;

	mmun_cas_full(&which->dead, &alive, MMUN_MM_DEAD);
}

static void test_dies_meanwhile(void)
{
	struct part part;

	mm = fake_mm(&fake);
	part_init(&part);
	mmun_alloc_fail = kill_mm;
	is(mmu_interval_notifier_insert(&part.ni, mm, PAGE, PAGE, &part_ops), -ESRCH,
	   "R7 exit while memory is allocated");
	mmun_alloc_fail = NULL;
	is(mm->mm_count, 1, "R7 nothing is held");
	mmput(mm);
	mm = fake_mm(&fake);
	fake.while_locked = kill_while_locked;
	is(mmu_interval_notifier_insert(&part.ni, mm, PAGE, PAGE, &part_ops), -ESRCH,
	   "R7 exit while the mm is quiesced");
	is(mm->mm_count, 1, "R7 nothing is held");
	mmput(mm);
}

/* Somebody who changes the tree is stopped there. */

static const struct mmun_primary_ops hurried_ops = {
	.name = "hurried", .exit_wait_ms = 50, .exit = fake_exit, .destroy = fake_destroy
};
static long writing, may_finish;

static void *write_for_long(void *arg)
{
	const uint64_t long_enough = mmun_now() + 20 * MMUN_NSEC_PER_SEC;
	mmun_sigmask saved;

	mmun_chain_lock(mmun_chain(mm), &saved);
	while (!mmun_itree_write_begin(itree_of(mm)))
		;
	count(&writing);
	while (!counted(&may_finish) && !mmun_is_past(long_enough))
		usleep(1000);
	if (!counted(&may_finish))
		count((long *)arg);
	mmun_itree_write_end(itree_of(mm));
	mmun_chain_unlock(mmun_chain(mm), &saved);
	return NULL;
}

static void test_exit_beside_writer(void)
{
	struct mmun_mm_params params = { .ops = &hurried_ops, .priv = &fake };
	struct mmun_stats stats;
	struct part part;
	pthread_t thread;
	long waited = 0;

	memset(&fake, 0, sizeof(fake));
	if (mmun_mm_create(&params, &mm))
		bail_out("no memory for an mm");
	part_insert(&part, mm, 1, 1);
	thread = spawn(write_for_long, &waited);
	wait_until_set(&writing);
	mmun_mm_exit(mm);
	count(&may_finish);
	pthread_join(thread, NULL);
	ok(!waited, "U3 the end of a process does not wait for who changes the tree");
	mmun_mm_stats(mm, &stats);
	is(stats.exit_timed_out, 1, "and that is counted");
	is(part.calls, 0, "the interval has not been called");
	is(nr_open(mm), 0, "no section is left open");
	mmu_interval_notifier_remove(&part.ni);
	mmput(mm);
	is(fake.destroys, 1, "R6 the struct goes all the same");
}

static struct part late;

/* Legal although it runs in a callback: removal from the list's ->release. */
static void remove_late(struct watcher *watcher)
{
	mmu_interval_notifier_remove(&late.ni);
}

static long section_opened, let_section_end;

static void *long_section(void *arg)
{
	struct mmu_notifier_range range = start_on(mm, 1, 1);

	count(&section_opened);
	wait_until_set(&let_section_end);
	let_others_run();
	end_of(&range);
	return NULL;
}

static void let_go(struct watcher *watcher)
{
	count(&let_section_end);
	remove_late(watcher);
}

static void test_remove_in_release(void)
{
	struct watcher watcher;
	pthread_t thread;

	mm = fake_mm(&fake);
	watch(&watcher, mm);
	part_insert(&late, mm, 1, 1);
	watcher.in_release = let_go;
	thread = spawn(long_section, NULL);
	wait_until_set(&section_opened);
	mmput(mm);
	pthread_join(thread, NULL);
	ok(!mmun_itree_contains(&late.ni.interval_tree),
	   "U8 remove from ->release waits for another thread's section");
	mmu_notifier_unregister(&watcher.mn, mm);
}

/* The copy that fork leaves in a child. */
static struct part inherited;

#define check(condition) \
	do { \
		if (!(condition)) { \
			dprintf(2, "line %d: %s", __LINE__, #condition); \
			_exit(1); \
		} \
	} while (0)

static void on_the_copy(void *arg)
{
	unsigned long seq;
	struct part part;

	section_on(mm, 1, 1);
	check(inherited.calls == 1);
	part_init(&part);
	check(mmu_interval_notifier_insert(&part.ni, mm, PAGE, PAGE, &part_ops) == -ESRCH);
	check(mmu_notifier_register(NULL, mm) == -ESRCH);
	seq = mmu_interval_read_begin(&inherited.ni);
	check(mmu_interval_read_retry(&inherited.ni, seq));
	mmu_interval_notifier_remove(&inherited.ni);
	mmput(mm);
	check(fake.destroys == 1);
}

static void *hold_the_lock(void *arg)
{
	mmun_sigmask saved;

	mmun_chain_lock(mmun_chain(mm), &saved);
	count(&section_opened);
	wait_until_set(&let_section_end);
	mmun_chain_unlock(mmun_chain(mm), &saved);
	return NULL;
}

static void test_fork(void)
{
	unsigned int *word =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct mmu_notifier_range range;
	pthread_t thread;
	char text[1024];
	int status;

	madvise(word, PAGE, MADV_WIPEONFORK);
	*word = 1;
	mm = fake_mm_with_word(&fake, word);
	part_insert(&inherited, mm, 1, 1);
	range = start_on(mm, 1, 1);
	section_opened = let_section_end = 0;
	thread = spawn(hold_the_lock, NULL);
	wait_until_set(&section_opened);
	status = run_in_child(on_the_copy, NULL, text, sizeof(text));
	ok(exited_well(status), "B15 S11 on the copy in a child nothing is called, nothing waits");
	if (*text)
		diag("%s", text);
	count(&let_section_end);
	pthread_join(thread, NULL);
	end_of(&range);
	is(nr_open(mm), 0, "the original goes on");
	mmu_interval_notifier_remove(&inherited.ni);
	mmput(mm);
	munmap(word, PAGE);
}

int main(void)
{
	test_exit();
	test_dying();
	test_dies_meanwhile();
	test_exit_beside_writer();
	test_remove_in_release();
	test_fork();
	return tap_done();
}
