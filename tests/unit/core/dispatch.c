/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* core/dispatch.c: sections (S), refusals, young bits, unwinding. */
#include "fake.h"

static struct fake fake;
static struct mm_struct *mm;

static void test_nobody(void)
{
	struct mmu_notifier_range range;

	mm = fake_mm(&fake);
	range_init(&range, mm);
	is(mmu_notifier_invalidate_range_start(&range), 0, "S10 a section with no notifier");
	ok(mmu_notifier_range_blockable(&range), "the blocking start says so");
	is((long)mmun_srcu_open_here(&mm->srcu), 1, "R2 it is a read section where nobody listens");
	mmu_notifier_invalidate_range_end(&range);
	is(mmu_notifier_invalidate_range_start_nonblock(&range), 0, "S10 the nonblocking one too");
	ok(!mmu_notifier_range_blockable(&range), "which says that it must not block");
	is(mmu_notifier_clear_flush_young(mm, 0, 1), 0, "S10 nobody is young");
	mmu_notifier_invalidate_range_end(&range);
	is((long)mmun_srcu_open_here(&mm->srcu), 0, "R2 which ends with it");
	mmput(mm);
}

/* What the source has not filled in may be anything. */
static void dirty_section(unsigned int flags)
{
	struct mmu_notifier_range range;
	struct mmun_reader reader;

	memset(&range, 0xee, sizeof(range));
	range.mm = mm;
	range.start = 4096;
	range.end = 8192;
	range.flags = flags;
	if (flags & MMUN_RANGE_READ_LOCKED)
		mmun_mm_read_lock(mm, &reader);
	is(mmu_notifier_invalidate_range_start_nonblock(&range), 0, "S10 a section opens");
	mmu_notifier_invalidate_range_end(&range);
	if (flags & MMUN_RANGE_READ_LOCKED)
		mmun_mm_read_unlock(mm, &reader);
	is((long)mmun_srcu_open_here(&mm->srcu), 0, "R2 and closes all that it has opened");
}

static void test_dirty_range(void)
{
	unsigned int word = 1;
	struct watcher watcher;

	mm = fake_mm(&fake);
	dirty_section(0);
	dirty_section(MMUN_RANGE_READ_LOCKED);
	watch(&watcher, mm);
	dirty_section(0);
	dirty_section(MMUN_RANGE_READ_LOCKED);
	dirty_section(MMUN_RANGE_NOT_CANCELLED);
	ok(watcher.starts == 3 && watcher.ends == 3, "S3 who listens hears both edges");
	mmu_notifier_unregister(&watcher.mn, mm);
	mmput(mm);

	mm = fake_mm_with_word(&fake, &word);
	word = 0;
	dirty_section(0);
	mmput(mm);
}

static const struct mmu_notifier_range *seen[4];
static struct mmu_notifier_range seen_copy[4];
static int nr_seen;

static int see_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	seen_copy[nr_seen] = *range;
	seen[nr_seen++] = range;
	return 0;
}

static void see_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	seen_copy[nr_seen] = *range;
	seen[nr_seen++] = range;
}

static void test_arguments(void)
{
	static const struct mmu_notifier_ops ops = {
		.invalidate_range_start = see_start,
		.invalidate_range_end = see_end,
	};
	struct mmu_notifier mn = { .ops = &ops };
	struct mmun_origin origin = { .op = MMUN_OP_MUNMAP };
	struct mmu_notifier_range range;

	mm = fake_mm(&fake);
	mmu_notifier_register(&mn, mm);
	range_init(&range, mm);
	range.event = MMU_NOTIFY_MIGRATE;
	range.owner = &origin;
	range.origin = &origin;
	mmu_notifier_invalidate_range_start(&range);
	mmu_notifier_invalidate_range_end(&range);
	ok(nr_seen == 2 && seen[0] == &range && seen[1] == &range &&
		   !memcmp(&seen_copy[0], &seen_copy[1],
			   offsetof(struct mmu_notifier_range, section)),
	   "S3 start and end get the same range");
	ok(seen_copy[0].event == MMU_NOTIFY_MIGRATE && seen_copy[0].owner == &origin &&
		   seen_copy[0].origin == &origin && seen_copy[0].start == 4096 &&
		   seen_copy[0].end == 8192,
	   "S3 as the source filled it in");
	mmu_notifier_unregister(&mn, mm);
	mmput(mm);
}

static void nest(struct watcher *watcher)
{
	watcher->in_start = NULL;
	fake_section(mm);
}

static void test_nesting(void)
{
	struct watcher watcher;

	mm = fake_mm(&fake);
	watch(&watcher, mm);
	watcher.in_start = nest;
	fake_section(mm);
	is(watcher.starts, 2, "S3 sections nest in a thread: two starts");
	is(watcher.ends, 2, "S3 and two ends");
	is(watcher.open, 0, "S3 none is open");
	mmu_notifier_unregister(&watcher.mn, mm);
	mmput(mm);
}

/* Seven notifiers, any subset of which refuses; the newest is asked first. */
static void test_refusals(void)
{
	struct watcher watchers[7];
	struct mmun_stats stats;
	long wrong = 0, refused = 0, unwound = 0;

	mm = fake_mm(&fake);
	for (int i = 0; i < 7; i++)
		watch(&watchers[i], mm);
	for (unsigned int subset = 0; subset < 128; subset++) {
		int refuser = -1;

		for (int i = 0; i < 7; i++) {
			watchers[i].starts = watchers[i].ends = 0;
			watchers[i].answer = subset >> i & 1 ? -EAGAIN : 0;
			if (watchers[i].answer)
				refuser = i;
		}
		wrong += fake_section(mm) != (subset ? -EAGAIN : 0);
		for (int i = 0; i < 7; i++) {
			wrong += watchers[i].starts != (i >= refuser) || watchers[i].open != 0 ||
				 watchers[i].ends != (i > refuser);
			unwound += subset && i > refuser;
		}
		refused += !!subset;
	}
	is(wrong, 0,
	   "S8 B7 the first refusal stops the walk: those that began get an end, counts are 0");
	mmun_mm_stats(mm, &stats);
	is(stats.refused, refused, "B7 every refusal is counted");
	is(stats.unwound, unwound, "B7 and every end because of one");
	for (int i = 0; i < 7; i++)
		mmu_notifier_unregister(&watchers[i].mn, mm);
	mmput(mm);
}

/* What happens anyway cannot be refused: any subset of them may try. */
static void test_overruled(void)
{
	struct watcher watchers[4];
	struct mmun_stats stats;
	long wrong = 0, overruled = 0;

	mm = fake_mm(&fake);
	for (int i = 0; i < 4; i++)
		watch(&watchers[i], mm);
	for (unsigned int subset = 0; subset < 16; subset++) {
		struct mmu_notifier_range range;

		for (int i = 0; i < 4; i++) {
			watchers[i].starts = watchers[i].ends = 0;
			watchers[i].answer = subset >> i & 1 ? -EAGAIN : 0;
			overruled += subset >> i & 1;
		}
		range_init(&range, mm);
		range.flags = MMUN_RANGE_NOT_REFUSABLE;
		wrong += mmu_notifier_invalidate_range_start_nonblock(&range) != 0;
		for (int i = 0; i < 4; i++)
			wrong += watchers[i].starts != 1 || watchers[i].ends != 0;
		mmu_notifier_invalidate_range_end(&range);
		for (int i = 0; i < 4; i++)
			wrong += watchers[i].starts != 1 || watchers[i].ends != 1;
		mmun_mm_stats(mm, &stats);
		wrong += (long)stats.overruled != overruled;
	}
	is(wrong, 0, "S8 a refusal of what happens anyway stops nothing");
	mmun_mm_stats(mm, &stats);
	is(stats.overruled, overruled, "each of them is counted, and no other");
	is(stats.refused + stats.unwound, 0, "and none as a refusal");
	for (int i = 0; i < 4; i++)
		mmu_notifier_unregister(&watchers[i].mn, mm);
	mmput(mm);
}

/* The order of ends after a refusal is that of the starts. */

static int calls[16], nr_calls;

static void note_start(struct watcher *watcher)
{
	calls[nr_calls++] = watcher->id;
}

static void note_end(struct watcher *watcher)
{
	calls[nr_calls++] = -watcher->id;
}

static void test_order(void)
{
	static const int expected[] = { 4, 3, 2, -4, -3 };
	struct watcher watchers[4];

	mm = fake_mm(&fake);
	for (int i = 0; i < 4; i++) {
		watch(&watchers[i], mm);
		watchers[i].id = i + 1;
		watchers[i].in_start = note_start;
		watchers[i].in_end = note_end;
	}
	watchers[1].answer = -EAGAIN;
	is(fake_section(mm), -EAGAIN, "B7 the second to last refuses");
	ok(nr_calls == 5 && !memcmp(calls, expected, sizeof(expected)),
	   "B7 those that began end in the order in which they began");
	for (int i = 0; i < 4; i++)
		mmu_notifier_unregister(&watchers[i].mn, mm);
	mmput(mm);
}

/* The refuser leaves the list while those that began get their ends. */

static struct watcher *refuser;

static void take_refuser_off(struct watcher *watcher)
{
	struct mmu_notifier_mm *chain = mm->mmu_notifier_mm;
	mmun_sigmask saved;

	watcher->in_end = NULL;
	/* What another thread's unregister does first; it waits for this section then. */
	mmun_chain_lock(chain, &saved);
	mmun_list_del_init(&refuser->mn.hlist);
	mmun_chain_unlock(chain, &saved);
}

static void test_refuser_leaves(void)
{
	struct watcher watchers[4];

	mm = fake_mm(&fake);
	for (int i = 0; i < 4; i++)
		watch(&watchers[i], mm);
	refuser = &watchers[1];
	refuser->answer = -EAGAIN;
	watchers[3].in_end = take_refuser_off;
	is(fake_section(mm), -EAGAIN, "B7 a refuser leaves while its refusal is undone");
	ok(watchers[3].ends == 1 && watchers[2].ends == 1 && !watchers[2].early_ends,
	   "B7 those that began get their end");
	ok(!watchers[0].starts && !watchers[0].ends, "R1 who comes after it gets none");
	for (int i = 0; i < 4; i++)
		mmu_notifier_unregister(&watchers[i].mn, mm);
	mmput(mm);
}

/* A section that a notifier joins in the middle of: case of a program that notifies
 * the chain of its own system calls. */

struct joiner {
	struct watcher watcher;
	long joined;
};

static void *join(void *arg)
{
	struct joiner *joiner = arg;

	watch(&joiner->watcher, mm);
	count(&joiner->joined);
	return NULL;
}

static void *whole_section(void *arg)
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

static long go[2];
static pthread_t section;

static void open_section(struct mm_struct *of)
{
	fake.while_locked = NULL;
	section = spawn(whole_section, go);
	wait_until_set(&go[0]);
}

/* When the section begins: before the registration, or just before the publication. */
static void test_joined_inside(bool first, bool late)
{
	struct watcher early;
	struct joiner joiner = { 0 };
	pthread_t joining;

	mm = fake_mm(&fake);
	memset(go, 0, sizeof(go));
	if (!first)
		watch(&early, mm);
	if (late)
		fake.while_locked = open_section;
	else
		open_section(mm);
	joining = spawn(join, &joiner);
	wait_until_set(&go[0]);
	let_others_run();
	ok(!counted(&joiner.joined), "R2 a registration (%s) waits for a section that began %s",
	   first ? "the first" : "not the first", late ? "just before it was published" : "before");
	count(&go[1]);
	/* It is the one that has set ->section. */
	pthread_join(joining, NULL);
	pthread_join(section, NULL);
	ok(!joiner.watcher.starts && !joiner.watcher.ends,
	   "R1 B5 who registers inside it hears of neither edge");
	mmu_notifier_unregister(&joiner.watcher.mn, mm);
	if (!first) {
		ok(early.starts == 1 && early.ends == 1, "S3 who was there hears both");
		mmu_notifier_unregister(&early.mn, mm);
	}
	mmput(mm);
}

/* The thread that ends it need not be the one that started it, if that is still there. */
static void *end_it(void *range)
{
	mmu_notifier_invalidate_range_end(range);
	return NULL;
}

static void test_moved_section(const unsigned int *word)
{
	struct mmu_notifier_range range;
	struct watcher watcher, late;

	mm = fake_mm_with_word(&fake, word);
	watch(&watcher, mm);
	range_init(&range, mm);
	mmu_notifier_invalidate_range_start(&range);
	watcher_init(&late);
	is(mmu_notifier_register(&late.mn, mm), -EDEADLK,
	   "R4 inside its own section a thread does not register");
	pthread_join(spawn(end_it, &range), NULL);
	ok(watcher.starts == 1 && watcher.ends == 1, "S3 another thread makes the end");
	watch(&late, mm);
	ok(true, "and the section is over");
	mmu_notifier_unregister(&late.mn, mm);
	mmu_notifier_unregister(&watcher.mn, mm);
	mmput(mm);
}

static int refuse_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	return -EAGAIN;
}

static void test_refusal_without_end(void)
{
	static const struct mmu_notifier_ops no_end = { .invalidate_range_start = refuse_start };
	struct mmu_notifier mn = { .ops = &no_end };
	struct mmu_notifier_range range;
	struct watcher watcher;

	mm = fake_mm(&fake);
	watch(&watcher, mm);
	mmu_notifier_register(&mn, mm);
	range_init(&range, mm);
	is(mmu_notifier_invalidate_range_start_nonblock(&range), -EAGAIN,
	   "B7 a refusal in a section of its own");
	is(watcher.open, 0, "B7 is unwound as well");
	ok(!mmun_task.walk, "and leaves no mark on the thread");
	mmu_notifier_unregister(&mn, mm);
	mmu_notifier_unregister(&watcher.mn, mm);
	mmput(mm);
}

struct young {
	struct mmu_notifier mn;
	int answer;
	int flushed, cleared, tested;
	unsigned long pte;
};

static struct young *young_of(struct mmu_notifier *mn)
{
	return mmun_container_of(mn, struct young, mn);
}

static int flush_young(struct mmu_notifier *mn, struct mm_struct *of, unsigned long start,
		       unsigned long end)
{
	young_of(mn)->flushed++;
	return young_of(mn)->answer;
}

static int clear_young(struct mmu_notifier *mn, struct mm_struct *of, unsigned long start,
		       unsigned long end)
{
	young_of(mn)->cleared++;
	return young_of(mn)->answer;
}

static int test_young_bit(struct mmu_notifier *mn, struct mm_struct *of, unsigned long address)
{
	young_of(mn)->tested++;
	return young_of(mn)->answer;
}

static bool flush_young_bool(struct mmu_notifier *mn, struct mm_struct *of, unsigned long start,
			     unsigned long end)
{
	return flush_young(mn, of, start, end);
}

static bool clear_young_bool(struct mmu_notifier *mn, struct mm_struct *of, unsigned long start,
			     unsigned long end)
{
	return clear_young(mn, of, start, end);
}

static bool test_young_bool(struct mmu_notifier *mn, struct mm_struct *of, unsigned long address)
{
	return test_young_bit(mn, of, address);
}

static void note_pte(struct mmu_notifier *mn, struct mm_struct *of, unsigned long address,
		     unsigned long pte)
{
	young_of(mn)->pte = pte;
}

static void test_young(void)
{
	static const struct mmu_notifier_ops ops = {
		.clear_flush_young = flush_young,
		.clear_young = clear_young,
		.test_young = test_young_bit,
		.change_pte = note_pte,
	};
	struct young young[3] = { { .mn.ops = &ops },
				  { .mn.ops = &ops, .answer = 4 },
				  { .mn.ops = &ops } };

	mm = fake_mm(&fake);
	for (int i = 0; i < 3; i++)
		mmu_notifier_register(&young[i].mn, mm);
	is(mmu_notifier_clear_flush_young(mm, 0, 4096), 1, "S9 clear_flush_young is the OR of all");
	ok(young[0].flushed && young[1].flushed && young[2].flushed, "S9 all are asked");
	is(mmu_notifier_clear_young(mm, 0, 4096), 1, "S9 so is clear_young");
	ok(young[0].cleared && young[1].cleared && young[2].cleared, "S9 all are asked");
	is(mmu_notifier_test_young(mm, 0), 1, "S9 test_young finds one");
	ok(young[2].tested && young[1].tested && !young[0].tested, "S9 and stops there");
	young[1].answer = 0;
	is(mmu_notifier_test_young(mm, 0), 0, "S9 or finds none");
	ok(young[0].tested, "S9 after asking all");
	is(mmu_notifier_clear_flush_young(mm, 0, 4096), 0, "S9 nobody: clear_flush_young is 0");
	is(mmu_notifier_clear_young(mm, 0, 4096), 0, "S9 so is clear_young");
	for (int i = 0; i < 3; i++)
		young[i].answer = 2 << i;
	is(mmu_notifier_clear_flush_young(mm, 0, 4096), 1, "S9 everybody: it is 1");
	is(mmu_notifier_clear_young(mm, 0, 4096), 1, "S9 so is clear_young");
	is(mmu_notifier_test_young(mm, 0), 1, "S9 and test_young");
	mmu_notifier_change_pte(mm, 0, 42);
	ok(young[0].pte == 42 && young[2].pte == 42, "change_pte reaches all");
	for (int i = 0; i < 3; i++)
		mmu_notifier_unregister(&young[i].mn, mm);
	mmput(mm);
}

/* The form of the newest kernels, beside the other. */
static void test_young_bools(void)
{
	static const struct mmu_notifier_ops ops = {
		.clear_flush_young = flush_young,
		.clear_young = clear_young,
		.test_young = test_young_bit,
	};
	static const struct mmu_notifier_ops bools = {
		.clear_flush_young_bool = flush_young_bool,
		.clear_young_bool = clear_young_bool,
		.test_young_bool = test_young_bool,
	};
	struct young old = { .mn.ops = &ops }, young = { .mn.ops = &bools, .answer = 256 };

	mm = fake_mm(&fake);
	mmu_notifier_register(&old.mn, mm);
	mmu_notifier_register(&young.mn, mm);
	is(mmu_notifier_clear_flush_young(mm, 0, 4096), 1, "S9 a bool counts as well");
	is(mmu_notifier_clear_young(mm, 0, 4096), 1, "S9 for clear_young too");
	ok(old.flushed && old.cleared, "S9 the others are asked");
	is(mmu_notifier_test_young(mm, 0), 1, "S9 and for test_young");
	ok(!old.tested, "S9 which stops there");
	young.answer = 0;
	old.answer = 256;
	is(mmu_notifier_clear_flush_young(mm, 0, 4096), 1, "S9 so does an int that is no bool");
	is(mmu_notifier_test_young(mm, 0), 1, "S9 by each callback");
	is(young.tested, 2, "S9 in their order");
	mmu_notifier_unregister(&old.mn, mm);
	mmu_notifier_unregister(&young.mn, mm);
	mmput(mm);
}

/* Others come and go while sections run. */

static long stop;

static void *come_and_go(void *arg)
{
	while (!counted(&stop)) {
		struct watcher watcher;

		watch(&watcher, mm);
		mmu_notifier_unregister(&watcher.mn, mm);
	}
	return NULL;
}

static void test_concurrent_changes(void)
{
	struct watcher first, last;
	pthread_t threads[2];

	mm = fake_mm(&fake);
	watch(&first, mm);
	for (int i = 0; i < 2; i++)
		threads[i] = spawn(come_and_go, NULL);
	for (int i = 0; i < 20000; i++)
		fake_section(mm);
	count(&stop);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	is(first.starts, 20000, "S8 20000 sections reach who stays while others come and go");
	is(first.ends, 20000, "S8 with their ends");
	watch(&last, mm);
	mmu_notifier_unregister(&last.mn, mm);
	mmu_notifier_unregister(&first.mn, mm);
	mmput(mm);
}

/* A thread is cancelled while a callback reaches a cancellation point. */

static long passed;

static void reach_cancellation_point(struct watcher *watcher)
{
	pthread_testcancel();
	count(&passed);
}

static struct watcher trio[3];

static void *cancelled_section(void *arg)
{
	struct mmu_notifier_range range;

	range_init(&range, mm);
	pthread_cancel(pthread_self());
	mmu_notifier_invalidate_range_start(&range);
	mmu_notifier_invalidate_range_end(&range);
	count(&passed);
	pthread_testcancel();
	return NULL;
}

static void test_cancellation(void)
{
	struct watcher late;
	void *status;

	mm = fake_mm(&fake);
	for (int i = 0; i < 3; i++)
		watch(&trio[i], mm);
	trio[1].in_start = trio[1].in_end = reach_cancellation_point;
	passed = 0;
	pthread_join(spawn(cancelled_section, NULL), &status);
	ok(status == PTHREAD_CANCELED, "the thread was cancelled");
	is(passed, 3, "but not inside its callbacks nor between them");
	for (int i = 0; i < 3; i++)
		ok(trio[i].starts == 1 && trio[i].ends == 1, "notifier %d saw the section", i);
	watch(&late, mm);
	mmu_notifier_unregister(&late.mn, mm);
	ok(true, "nothing is left open: registration still works");
	for (int i = 0; i < 3; i++)
		mmu_notifier_unregister(&trio[i].mn, mm);
	mmput(mm);
}

static void page_with_cancellation_point(struct mmu_notifier *mn, struct mm_struct *of,
					 unsigned long address)
{
	pthread_testcancel();
	count(&passed);
}

static void *cancelled_page(void *arg)
{
	pthread_cancel(pthread_self());
	mmu_notifier_invalidate_page(mm, 4096);
	count(&passed);
	pthread_testcancel();
	return NULL;
}

static void test_cancelled_page(void)
{
	static const struct mmu_notifier_ops ops = {
		.invalidate_page = page_with_cancellation_point,
	};
	struct mmu_notifier mns[2] = { { .ops = &ops }, { .ops = &ops } };
	void *status;

	mm = fake_mm(&fake);
	for (int i = 0; i < 2; i++)
		is(mmu_notifier_register(&mns[i], mm), 0, "registered");
	passed = 0;
	pthread_join(spawn(cancelled_page, NULL), &status);
	is(passed, 3, "nor is a thread cancelled in the callbacks of a page");
	ok(status == PTHREAD_CANCELED, "but afterwards it is");
	for (int i = 0; i < 2; i++)
		mmu_notifier_unregister(&mns[i], mm);
	mmput(mm);
}

int main(void)
{
	static const unsigned int word = 1;

	test_nobody();
	test_dirty_range();
	test_arguments();
	test_nesting();
	test_refusals();
	test_overruled();
	test_order();
	test_refuser_leaves();
	for (int i = 0; i < 4; i++)
		test_joined_inside(i & 1, i & 2);
	test_moved_section(NULL);
	test_moved_section(&word);
	test_refusal_without_end();
	test_young();
	test_young_bools();
	test_concurrent_changes();
	test_cancellation();
	test_cancelled_page();
	return tap_done();
}
