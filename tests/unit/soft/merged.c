/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* primary/soft/rmap/merged.c: merged pages are found by reclaim and migration, and which notifiers are called. */
#include "recorder.h"

#define PAGES 8

static struct recorder recorder_a, recorder_b;

static struct mmun_soft *machine(size_t frames, size_t slots)
{
	const struct mmun_soft_params params = { .memory = frames * PAGE, .swap = slots * PAGE };

	return soft_machine(&params);
}

static void fill(struct mm_struct *mm, unsigned long at, size_t pages, unsigned long value)
{
	for (size_t i = 0; i < pages; i++)
		soft_poke(mm, at + i * PAGE, value);
}

static size_t filled(struct mm_struct *mm, unsigned long at, size_t pages, unsigned long value)
{
	size_t right = 0;

	for (size_t i = 0; i < pages; i++)
		right += soft_peek(mm, at + i * PAGE) == value;
	return right;
}

static unsigned long map_mergeable(struct mm_struct *mm, size_t pages, unsigned long value)
{
	unsigned long at = soft_map(mm, 0, pages, RW, PRIVATE, NULL);

	if (mmun_soft_madvise(mm, at, pages * PAGE, MADV_MERGEABLE))
		bail_out("cannot make memory mergeable");
	fill(mm, at, pages, value);
	return at;
}

/* Two address spaces, and a child of the second, that share one merged page. */
struct three {
	struct mmun_soft *soft;
	struct mm_struct *one, *two, *child;
	unsigned long at, there;
};

static struct three three_merged(void)
{
	struct three t = { .soft = machine(256, 64) };

	t.one = soft_new_mm(t.soft);
	t.two = soft_new_mm(t.soft);
	t.at = map_mergeable(t.one, PAGES, 42);
	t.there = map_mergeable(t.two, PAGES, 42);
	is(mmun_soft_ksm_scan(t.soft), 2 * PAGES - 1, "all pages of two address spaces merge");
	is(mmun_soft_mm_fork(t.two, &t.child), 0, "fork");
	is(soft_entry(t.one, t.at).mapcount, 3 * PAGES, "one frame for all");
	return t;
}

static void three_end(const struct three *t)
{
	mmput(t->one);
	mmput(t->two);
	mmput(t->child);
	is(soft_free_frames(t->soft), 256, "no frame is lost");
}

static void test_swapped(void)
{
	long live = mmun_alloc_live();
	struct three t = three_merged();
	struct mmun_soft_stats stats;

	record(&recorder_a, t.one);
	record(&recorder_b, t.child);
	is(mmun_soft_reclaim(t.soft, 8), 1, "a merged page is swapped out");
	is(single_pages(&recorder_a, MMUN_OP_RECLAIM, MMU_NOTIFY_CLEAR), PAGES,
	   "S1: a section for each mapping of it");
	is(recorder_a.nr, PAGES, "and no other");
	is(single_pages(&recorder_b, MMUN_OP_RECLAIM, MMU_NOTIFY_CLEAR), PAGES,
	   "S1: also in a child of later");
	ok(recorder_a.asked >= PAGES && recorder_b.asked >= PAGES,
	   "S9: after they were asked whether it is young");
	stats = soft_stats_of(t.soft);
	is(stats.swap_slots - stats.swap_free, 1, "into one slot");
	is(soft_free_frames(t.soft), 256, "its frame is free");
	ok(soft_entry(t.one, t.at).swapped && soft_entry(t.child, t.there).swapped, "for all");
	soft_poke(t.two, t.there, 43);
	is(filled(t.one, t.at, PAGES, 42) + filled(t.child, t.there, PAGES, 42), 2 * PAGES,
	   "all read what was there");
	is(soft_peek(t.two, t.there), 43, "or what they wrote since");
	is(mmun_soft_ksm_scan(t.soft), 3 * PAGES - 8 - 1, "what is in memory again merges again");
	mmu_notifier_unregister(&recorder_a.mn, t.one);
	mmu_notifier_unregister(&recorder_b.mn, t.child);
	three_end(&t);
	soft_gone(t.soft, live);
}

static void test_migrated(void)
{
	long live = mmun_alloc_live();
	struct three t = three_merged();
	struct mmun_soft_entry before = soft_entry(t.one, t.at), after;
	unsigned long more;

	record(&recorder_a, t.one);
	record(&recorder_b, t.child);
	is(mmun_soft_migrate(t.two, t.there), 0, "a merged page migrates");
	is(single_pages(&recorder_a, MMUN_OP_MIGRATE, MMU_NOTIFY_CLEAR), PAGES,
	   "S1: a section for each mapping of it");
	is(single_pages(&recorder_b, MMUN_OP_MIGRATE, MMU_NOTIFY_CLEAR), PAGES, "S1: everywhere");
	after = soft_entry(t.one, t.at);
	ok(after.present && after.pfn != before.pfn, "to another frame");
	ok(after.ksm && !after.writable, "as what it was");
	ok(after.mapcount == 3 * PAGES && after.refcount == 3 * PAGES, "counted as before");
	is(soft_entry(t.child, t.there).pfn, after.pfn, "all follow");
	is(filled(t.one, t.at, PAGES, 42) + filled(t.child, t.there, PAGES, 42), 2 * PAGES,
	   "contents are the same");
	more = map_mergeable(t.one, 1, 42);
	is(mmun_soft_ksm_scan(t.soft), 1, "an equal page");
	is(soft_entry(t.one, more).pfn, after.pfn, "merges with it where it is now");
	soft_poke(t.two, t.there, 43);
	ok(soft_peek(t.child, t.there) == 42 && soft_peek(t.two, t.there) == 43,
	   "a write copies as ever");
	is(mmun_soft_migrate(t.one, t.at), 0, "it moves once more");
	is(mmun_soft_reclaim(t.soft, 256), 2, "and to swap");
	mmu_notifier_unregister(&recorder_a.mn, t.one);
	mmu_notifier_unregister(&recorder_b.mn, t.child);
	three_end(&t);
	soft_gone(t.soft, live);
}

/* Pages of one family that have merged: an entry is found by more than one way. */
static void test_family(void)
{
	struct mmun_soft *soft = machine(256, 64);
	struct mm_struct *mm = soft_new_mm(soft), *child;
	unsigned long at = map_mergeable(mm, 2, 5);

	is(mmun_soft_mm_fork(mm, &child), 0, "fork");
	fill(child, at, 2, 6);
	is(mmun_soft_ksm_scan(soft), 2, "two and two merge");
	fill(mm, at, 2, 6);
	is(mmun_soft_ksm_scan(soft), 2, "and now all four");
	record(&recorder_a, child);
	is(mmun_soft_migrate(mm, at), 0, "they move");
	is(recorder_a.nr, 2, "each entry has one section");
	forget(&recorder_a);
	is(mmun_soft_reclaim(soft, 256), 1, "and go");
	is(recorder_a.nr, 2, "has one section too");
	is(filled(mm, at, 2, 6) + filled(child, at, 2, 6), 4, "contents");
	mmu_notifier_unregister(&recorder_a.mn, child);
	mmput(mm);
	mmput(child);
	mmun_soft_destroy(soft);
}

static void test_refused(void)
{
	struct mmun_soft *soft = machine(256, 64), *without = machine(256, 0);
	struct mm_struct *mm = soft_new_mm(soft);
	unsigned long at = map_mergeable(mm, PAGES, 42);
	struct page *page;

	is(mmun_soft_ksm_scan(soft), PAGES - 1, "merge");
	mmap_read_lock(mm);
	is(mmun_soft_get_user_pages(mm, at, 1, 0, &page), 1, "a reference");
	mmap_read_unlock(mm);
	is(mmun_soft_reclaim(soft, 256), 0, "a merged page that somebody holds stays");
	is(mmun_soft_migrate(mm, at), -EBUSY, "where it is");
	ok(soft_entry(mm, at).present && soft_entry(mm, at).ksm &&
		   soft_entry(mm, at).mapcount == PAGES,
	   "as it is");
	mmun_soft_put_page(page);
	is(mmun_soft_mlock(mm, at + 3 * PAGE, PAGE), 0, "mlock");
	ok(soft_entry(mm, at + 3 * PAGE).present, "keeps its page in memory");
	soft_poke(mm, at + 3 * PAGE, 42);
	is(mmun_soft_ksm_scan(soft), 1, "it merges");
	mmun_soft_reclaim(soft, 256);
	ok(soft_entry(mm, at + 3 * PAGE).present, "it is not swapped out");
	is(filled(mm, at, PAGES, 42), PAGES, "contents are the same");
	mmput(mm);
	mmun_soft_destroy(soft);

	mm = soft_new_mm(without);
	map_mergeable(mm, 2, 1);
	is(mmun_soft_ksm_scan(without), 1, "without swap");
	is(mmun_soft_reclaim(without, 256), 0, "nothing goes");
	mmput(mm);
	mmun_soft_destroy(without);
}

/* MADV_FREE gave it up; a merged page is needed by others too. */
static void test_given_up(void)
{
	struct mmun_soft *soft = machine(256, 64);
	struct mm_struct *mm = soft_new_mm(soft);
	unsigned long at = map_mergeable(mm, 2, 9);

	is(mmun_soft_madvise(mm, at, PAGE, MADV_FREE), 0, "MADV_FREE");
	is(mmun_soft_ksm_scan(soft), 1, "merged with what is still needed");
	is(mmun_soft_reclaim(soft, 256), 1, "swapped out");
	is(filled(mm, at, 2, 9), 2, "it is not lost");
	mmput(mm);
	mmun_soft_destroy(soft);
}

/* What leads to a merged page's entries is as much as there are, however often they change. */
static void test_bounded(void)
{
	struct mmun_soft *soft = machine(256, 0);
	struct mm_struct *mm = soft_new_mm(soft), *other;
	unsigned long at = map_mergeable(mm, 2, 1);
	long live;

	mmun_soft_ksm_scan(soft);
	soft_poke(mm, at, 1);
	mmun_soft_ksm_scan(soft);
	live = mmun_alloc_live();
	for (int i = 0; i < 50; i++) {
		soft_poke(mm, at, 1);
		mmun_soft_ksm_scan(soft);
	}
	is(mmun_alloc_live(), live, "a page that leaves and joins again adds nothing");
	for (int i = 0; i < 200; i++) {
		other = soft_new_mm(soft);
		map_mergeable(other, 1, 1);
		mmun_soft_ksm_scan(soft);
		mmput(other);
	}
	ok(mmun_alloc_live() < live + 100, "nor do 200 address spaces that have gone");
	is(soft_entry(mm, at).mapcount, 2, "the ones that stay have it");
	mmput(mm);
	mmun_soft_destroy(soft);
}

static void test_no_memory(void)
{
	long live = mmun_alloc_live(), nth = 0;
	struct mmun_soft *soft;
	struct mm_struct *mm;
	unsigned long at, wrong = 0;
	size_t merged;

	do {
		soft = machine(256, 16);
		mm = soft_new_mm(soft);
		at = map_mergeable(mm, 4, 42);
		fail_allocation(++nth);
		merged = mmun_soft_ksm_scan(soft);
		fail_allocation(0);
		mmun_soft_reclaim(soft, 256);
		wrong += filled(mm, at, 4, 42) != 4;
		mmput(mm);
		mmun_soft_destroy(soft);
		wrong += mmun_alloc_live() != live;
	} while (merged < 3 && nth < 100);
	is(merged, 3, "a merge of four pages");
	ok(nth > 5, "allocates more than once");
	is(wrong, 0, "whichever fails, contents are right and nothing is left");
}

/* Threads that write to pages which merge, move and are swapped all the time. */
struct worker {
	struct mm_struct *mm;
	unsigned long at;
	long wrong;
};

static long busy;

static void *write_and_check(void *arg)
{
	struct worker *w = arg;
	struct mm_struct *child;

	for (unsigned long round = 0; round < 200; round++) {
		fill(w->mm, w->at, 8, round % 4);
		if (round % 16 == 0 && !mmun_soft_mm_fork(w->mm, &child)) {
			w->wrong += (long)(8 - filled(child, w->at, 8, round % 4));
			mmput(child);
		}
		w->wrong += (long)(8 - filled(w->mm, w->at, 8, round % 4));
	}
	(void)mmun_sub_full(&busy, 1);
	return NULL;
}

static void *keep_scanning(void *arg)
{
	while (mmun_load_full(&busy))
		mmun_soft_ksm_scan(arg);
	return NULL;
}

static void *keep_reclaiming(void *arg)
{
	while (mmun_load_full(&busy))
		mmun_soft_reclaim(arg, 4);
	return NULL;
}

static void test_concurrent(void)
{
	struct mmun_soft *soft = machine(256, 256);
	struct mm_struct *mm = soft_new_mm(soft);
	struct worker workers[2];
	pthread_t threads[4];
	long wrong = 0;

	mmun_store_full(&busy, 2);
	for (unsigned int i = 0; i < 2; i++) {
		workers[i] = (struct worker){ .mm = mm, .at = map_mergeable(mm, 8, 0) };
		threads[i] = spawn(write_and_check, &workers[i]);
	}
	threads[2] = spawn(keep_scanning, soft);
	threads[3] = spawn(keep_reclaiming, soft);
	for (unsigned long i = 0; mmun_load_full(&busy); i++)
		mmun_soft_migrate(mm, workers[i % 2].at + i / 2 % 8 * PAGE);
	for (unsigned int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (unsigned int i = 0; i < 2; i++)
		wrong += workers[i].wrong;
	is(wrong, 0, "no write is lost while pages merge, move and are swapped");
	mmput(mm);
	is(soft_free_frames(soft), 256, "all frames are back");
	mmun_soft_destroy(soft);
}

int main(void)
{
	test_swapped();
	test_migrated();
	test_family();
	test_refused();
	test_given_up();
	test_bounded();
	test_no_memory();
	test_concurrent();
	return tap_done();
}
