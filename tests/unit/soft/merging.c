/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * primary/soft/reclaim/ksm.c: what becomes of each page when merging comes to it, or cannot
 * have it: rights, contents, refusals, what a pass may believe of the one before.
 */
#include "frames.h"

static void map_mergeable(unsigned long at, size_t pages)
{
	soft_map(mm, at, pages, RW, PRIVATE, NULL);
	if (mmun_soft_madvise(mm, at, pages * PAGE, MADV_MERGEABLE))
		bail_out("cannot make memory mergeable");
}

static size_t count_ksm(unsigned long at, size_t pages)
{
	size_t merged = 0;

	for (size_t i = 0; i < pages; i++)
		merged += soft_entry(mm, at + i * PAGE).ksm;
	return merged;
}

/* More different contents than the tables have buckets. */
static void test_many_contents(void)
{
	const size_t pages = 1500;

	begin(2 * pages + 64, 0);
	map_mergeable(AT, pages);
	map_mergeable(AT + HUGE * 8, pages);
	soft_tag(mm, AT, pages, 1);
	soft_tag(mm, AT + HUGE * 8, pages, 1);
	is(mmun_soft_ksm_scan(soft), pages, "every page finds its equal in one pass");
	is(soft_stats_of(soft).ksm_merged, pages, "counted");
	is(soft_tagged(mm, AT, pages, 1) + soft_tagged(mm, AT + HUGE * 8, pages, 1), 2 * pages,
	   "contents are right");
	soft_tag(mm, AT, pages, 1);
	is(mmun_soft_ksm_scan(soft), pages, "and each the merged one in the next");
	end();
}

/* What a pass saw is not believed by the next. */
static void test_forgotten(void)
{
	begin(64, 0);
	map_mergeable(AT, 2);
	soft_poke(mm, AT, 1);
	is(mmun_soft_ksm_scan(soft), 0, "one page");
	soft_poke(mm, AT, 2);
	soft_poke(mm, AT + PAGE, 1);
	is(mmun_soft_ksm_scan(soft), 0, "another with what it had");
	is(count_ksm(AT, 2), 0, "neither is merged");
	soft_poke(mm, AT, 1);
	is(mmun_soft_ksm_scan(soft), 1, "until they are equal");
	is(mmun_soft_madvise(mm, AT, 2 * PAGE, MADV_DONTNEED), 0, "both go");
	soft_tag(mm, AT, 1, 1);
	is(mmun_soft_ksm_scan(soft), 0, "then there is nothing to merge with");
	is(soft_peek(mm, AT), 1, "contents");
	end();
}

static void test_scattered(void)
{
	begin(64, 0);
	soft_map(mm, AT, 2, RW, PRIVATE, NULL);
	map_mergeable(AT + 8 * PAGE, 2);
	soft_map(mm, AT + 10 * PAGE, 2, PROT_READ | PROT_WRITE | PROT_EXEC, PRIVATE, NULL);
	map_mergeable(AT + 20 * PAGE, 1);
	for (unsigned long i = 0; i < 21; i++)
		if (i < 2 || (i >= 8 && i < 12) || i == 20)
			soft_poke(mm, AT + i * PAGE, 3);
	is(mmun_soft_ksm_scan(soft), 2, "equal pages of two mappings merge");
	is(count_ksm(AT + 8 * PAGE, 2) + count_ksm(AT + 20 * PAGE, 1), 3, "all of those");
	is(count_ksm(AT, 2) + count_ksm(AT + 10 * PAGE, 2), 0, "none that was not to be");
	is(mmun_soft_madvise(mm, AT + 9 * PAGE, PAGE, MADV_UNMERGEABLE), 0, "one leaves");
	ok(soft_entry(mm, AT + 8 * PAGE).ksm && !soft_entry(mm, AT + 9 * PAGE).ksm &&
		   soft_entry(mm, AT + 20 * PAGE).ksm,
	   "alone");
	is(mmun_soft_ksm_scan(soft), 0, "for good");
	ok(only_mapped(AT + 8 * PAGE), "the merged page has the references of its entries");
	end();
}

/* In use elsewhere: not now. */
static void test_busy_pages(void)
{
	struct page *page;

	begin(64, 0);
	map_mergeable(AT, 3);
	soft_poke(mm, AT, 1);
	soft_poke(mm, AT + PAGE, 1);
	page = page_at(AT);
	ok(mmun_soft_lru_isolate(page), "a page off the LRU");
	is(mmun_soft_ksm_scan(soft), 0, "becomes no merged one");
	is(count_ksm(AT, 2), 0, "nor does its equal");
	ok(only_mapped(AT) && only_mapped(AT + PAGE), "nobody kept a reference");
	mmun_soft_lru_putback(page, true);
	page = page_at(AT + PAGE);
	mmun_soft_page_lock(page);
	is(mmun_soft_ksm_scan(soft), 0, "one whose lock is held does not merge");
	mmun_soft_page_unlock(page);
	ok(only_mapped(AT) && only_mapped(AT + PAGE), "nobody kept a reference");
	is(mmun_soft_ksm_scan(soft), 1, "then they merge");
	soft_poke(mm, AT + 2 * PAGE, 1);
	page = page_at(AT);
	mmun_soft_page_lock(page);
	is(mmun_soft_ksm_scan(soft), 0, "to a merged page whose lock is held none is added");
	mmun_soft_page_unlock(page);
	ok(only_mapped(AT) && only_mapped(AT + 2 * PAGE), "nobody kept a reference");
	is(mmun_soft_ksm_scan(soft), 1, "and then it is");
	is(soft_entry(mm, AT).mapcount, 3, "three of one");
	end();
}

/* What could not be changed says so. */
static void test_refused_sections(void)
{
	struct page *page;
	int unchanged = 0;

	begin(64, 0);
	map_mergeable(AT, 2);
	soft_poke(mm, AT, 1);
	soft_poke(mm, AT + PAGE, 1);
	page = hold(AT, FOLL_WRITE);
	record(&recorder, mm);
	is(mmun_soft_ksm_scan(soft), 0, "a page that is held does not merge");
	for (int i = 0; i < recorder.nr; i++)
		unchanged += recorder.event[i].unchanged;
	ok(recorder.nr > 0 && unchanged == recorder.nr,
	   "B9: its section says that nothing changed");
	mmun_soft_put_page(page);
	forget(&recorder);
	is(mmun_soft_ksm_scan(soft), 1, "then it does");
	is(recorder.nr, 3, "in three sections");
	ok(!recorder.event[0].unchanged && !recorder.event[1].unchanged &&
		   !recorder.event[2].unchanged,
	   "that changed something");
	stop_recording(&recorder, mm);
	end();
}

/* Rights stay what they are. */
static void test_merged_rights(void)
{
	struct mmun_soft_fault why;
	unsigned long word;

	begin(64, 0);
	map_mergeable(AT, 2);
	soft_poke(mm, AT, 1);
	soft_poke(mm, AT + PAGE, 1);
	is(mmun_soft_mprotect(mm, AT, 2 * PAGE, PROT_NONE), 0, "memory that permits no access");
	is(mmun_soft_ksm_scan(soft), 1, "merges");
	is(mmun_soft_read(mm, AT, &word, sizeof(word), &why), -EFAULT, "and permits none");
	is(mmun_soft_mprotect(mm, AT, 2 * PAGE, RW), 0, "until it may be used");
	ok(soft_peek(mm, AT) == 1 && soft_peek(mm, AT + PAGE) == 1, "and has its contents");
	ok(soft_entry(mm, AT).ksm && !soft_entry(mm, AT).writable, "merged and read-only");
	ok(soft_entry(mm, AT).soft_dirty, "written, as it was since the start");
	is(mmun_soft_clear_soft_dirty(mm), 0, "forgotten");
	is(mmun_soft_madvise(mm, AT, PAGE, MADV_UNMERGEABLE), 0, "parted again");
	is(soft_peek(mm, AT), 1, "it reads the same");
	end();
}

/* Whatever is missing in a pass: contents stay, and the next one does the rest. */
static void test_merge_without_memory(void)
{
	size_t merged, all = 1;
	long nth, tried = 0, wrong = 0;

	begin(64, 0);
	map_mergeable(AT, 6);
	for (nth = 1; all; nth++) {
		for (unsigned long i = 0; i < 6; i++)
			soft_poke(mm, AT + i * PAGE, i / 3);
		fail_allocation(nth);
		merged = mmun_soft_ksm_scan(soft);
		all = counted(&fail_countdown) <= 0;
		fail_allocation(0);
		tried += (long)all;
		merged += mmun_soft_ksm_scan(soft);
		wrong += merged != 4;
		for (unsigned long i = 0; i < 6; i++)
			wrong += soft_peek(mm, AT + i * PAGE) != i / 3 ||
				 !only_mapped(AT + i * PAGE);
		mmun_soft_madvise(mm, AT, 6 * PAGE, MADV_DONTNEED);
		if (nth > 200)
			break;
	}
	ok(tried > 4, "%ld allocations failed in turn", tried);
	is(wrong, 0, "each time two passes merge all, and nothing is lost");
	end();
}

/* While a pass gets memory, another thread replaces a page that it looks at. */
static long until_replaced;

static void *replace_page(void *arg)
{
	mmun_soft_madvise(mm, AT, PAGE, MADV_DONTNEED);
	soft_poke(mm, AT, 9);
	return NULL;
}

static bool replace_at_nth(size_t size)
{
	pthread_t thread;

	if (mmun_sub_full(&until_replaced, 1) == 0) {
		thread = spawn(replace_page, NULL);
		pthread_join(thread, NULL);
	}
	return false;
}

static void test_replaced_meanwhile(void)
{
	long nth, wrong = 0, left = 0;

	begin(64, 0);
	map_mergeable(AT, 3);
	for (nth = 1; nth < 20 && left <= 0; nth++) {
		for (unsigned long i = 0; i < 3; i++)
			soft_poke(mm, AT + i * PAGE, 5);
		until_replaced = nth;
		mmun_alloc_fail = replace_at_nth;
		mmun_soft_ksm_scan(soft);
		mmun_alloc_fail = NULL;
		left = until_replaced;
		wrong += soft_peek(mm, AT) != (left <= 0 ? 9 : 5);
		wrong += soft_peek(mm, AT + PAGE) != 5 || soft_peek(mm, AT + 2 * PAGE) != 5;
		soft_poke(mm, AT, 8);
		wrong += soft_peek(mm, AT + PAGE) != 5 || soft_peek(mm, AT + 2 * PAGE) != 5;
		for (unsigned long i = 0; i < 3; i++)
			wrong += !only_mapped(AT + i * PAGE);
		mmun_soft_madvise(mm, AT, 3 * PAGE, MADV_DONTNEED);
	}
	ok(nth > 4, "a page is replaced at %ld moments", nth - 2);
	is(wrong, 0, "each time the new one is there, and the others are as they were");
	end();
}

int main(void)
{
	test_many_contents();
	test_forgotten();
	test_scattered();
	test_busy_pages();
	test_refused_sections();
	test_merged_rights();
	test_merge_without_memory();
	test_replaced_meanwhile();
	return tap_done();
}
