/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * primary/soft/reclaim: what becomes of each page when reclaim comes to it, or cannot have it:
 * references, contents, place on the LRU, slots, statistics.
 */
#include "frames.h"

static void test_as_many_as_asked(void)
{
	begin(64, 64);
	soft_map(mm, AT, 8, RW, PRIVATE, NULL);
	soft_tag(mm, AT, 8, 1);
	is(mmun_soft_reclaim(soft, 0), 0, "none is asked for, none goes");
	is(mmun_soft_reclaim(soft, 3), 3, "three");
	is(count_present(AT, 8), 5, "go");
	is(slots_used(), 3, "to three slots");
	is(soft_stats_of(soft).reclaimed, 3, "and are counted");
	is(soft_stats_of(soft).reclaim_young, 8, "after a look at all, which were young");
	is(reclaim_all(), 5, "then the others");
	is(soft_stats_of(soft).reclaim_young, 8, "which are old by now");
	is(mmun_soft_reclaim(soft, 3), 0, "nothing is left");
	end();
}

static void test_locked_page(void)
{
	struct page *page;

	begin(64, 64);
	soft_map(mm, AT, 2, RW, PRIVATE, NULL);
	soft_tag(mm, AT, 2, 1);
	page = page_at(AT);
	mmun_soft_page_lock(page);
	is(reclaim_all(), 1, "a page whose lock is held stays");
	ok(only_mapped(AT), "with the references that it had");
	is(mmun_soft_madvise(mm, AT, PAGE, MADV_PAGEOUT), 0, "MADV_PAGEOUT");
	ok(only_mapped(AT), "does not get it either");
	mmun_soft_page_unlock(page);
	is(reclaim_all(), 1, "later it goes: it is where reclaim looks");
	is(soft_tagged(mm, AT, 2, 1), 2, "with its contents");
	end();
}

/* A page off the LRU belongs to whoever took it off. */
static void test_isolated_page(void)
{
	struct page *page;

	begin(64, 64);
	soft_map(mm, AT, 2, RW, PRIVATE, NULL);
	soft_tag(mm, AT, 2, 1);
	page = page_at(AT);
	ok(mmun_soft_lru_isolate(page), "a page is isolated");
	ok(!mmun_soft_lru_isolate(page), "once");
	is(mmun_soft_madvise(mm, AT, PAGE, MADV_PAGEOUT), 0, "MADV_PAGEOUT");
	is(mmun_soft_madvise(mm, AT, PAGE, MADV_COLD), 0, "and MADV_COLD");
	ok(only_mapped(AT) && soft_entry(mm, AT).young, "pass it by");
	is(mmun_soft_migrate(mm, AT), -EBUSY, "migration is refused");
	ok(only_mapped(AT), "and leaves no reference");
	mmun_soft_lru_putback(page, true);
	is(mmun_soft_migrate(mm, AT), 0, "until it is put back");
	is(reclaim_all(), 2, "then it goes as well");
	end();
}

static void test_held_anonymous(void)
{
	struct page *page;

	begin(64, 64);
	soft_map(mm, AT, 1, RW, PRIVATE, NULL);
	soft_poke(mm, AT, 7);
	page = hold(AT, FOLL_WRITE);
	is(reclaim_all(), 0, "somebody has a reference");
	is(slots_used(), 0, "no slot is kept for it");
	is(soft_entry(mm, AT).refcount, 2, "the entry has its own still");
	mmun_soft_put_page(page);
	is(mmun_soft_madvise(mm, AT, PAGE, MADV_FREE), 0, "given up");
	page = hold(AT, 0);
	is(reclaim_all(), 0, "but held, it is not dropped");
	is(soft_peek(mm, AT), 7, "and reads as before");
	mmun_soft_put_page(page);
	is(reclaim_all(), 1, "then it is");
	is(slots_used(), 0, "without a slot");
	is(soft_peek(mm, AT), 0, "zeros are left");
	end();
}

/* Given up, and written since: it is needed like any other page again. */
static void test_written_again(void)
{
	begin(64, 64);
	soft_map(mm, AT, 1, RW, PRIVATE, NULL);
	soft_poke(mm, AT, 7);
	is(mmun_soft_madvise(mm, AT, PAGE, MADV_FREE), 0, "given up");
	soft_poke(mm, AT, 8);
	reclaim_all();
	reclaim_all();
	ok(soft_entry(mm, AT).swapped, "what was written since goes to swap");
	is(soft_peek(mm, AT), 8, "and comes back");
	end();
}

static void test_shmem_stays(void)
{
	struct file *file;
	struct page *page;

	begin(64, 4);
	file = soft_new_file(soft, "m", MMUN_SOFT_FILE_SHMEM, 8);
	soft_map(mm, AT, 8, RW, MAP_SHARED, file);
	soft_tag(mm, AT, 1, 5);
	page = hold(AT, FOLL_WRITE);
	is(reclaim_all(), 0, "a page of shared memory that is held stays");
	is(slots_used(), 0, "without a slot");
	*(unsigned long *)mmun_soft_page_address(page) = 6;
	is(soft_peek(mm, AT), 6, "it is the page of the file still");
	mmun_soft_put_page(page);
	fail_allocation(1);
	is(reclaim_all(), 0, "without memory for a slot as well");
	fail_allocation(0);
	is(slots_used(), 0, "none is lost");
	is(soft_peek(mm, AT), 6, "nor the contents");
	is(reclaim_all(), 1, "then it goes");
	is(slots_used(), 1, "into one");
	is(soft_stats_of(soft).swapped_out, 1, "which is counted");
	is(soft_peek(mm, AT), 6, "and comes back");
	soft_tag(mm, AT, 8, 20);
	is(reclaim_all(), 4, "as many go as there are slots");
	is(soft_tagged(mm, AT, 8, 20), 8, "none is lost");
	mmun_soft_file_put(file);
	end();
}

static void test_stored_page_stays(void)
{
	unsigned long word = 0;
	struct file *file;
	struct page *page;

	begin(64, 0);
	file = soft_new_file(soft, "f", MMUN_SOFT_FILE_REGULAR, 2);
	soft_map(mm, AT, 2, RW, MAP_SHARED, file);
	soft_poke(mm, AT, 5);
	page = hold(AT, FOLL_WRITE);
	is(reclaim_all(), 0, "a page of a file that is held stays");
	is(soft_stats_of(soft).cleaned, 1, "but is stored");
	ok(!soft_page_test(page, SOFT_PAGE_DIRTY), "and clean");
	*(unsigned long *)mmun_soft_page_address(page) = 6;
	mmun_soft_set_page_dirty(page);
	mmun_soft_put_page(page);
	is(soft_peek(mm, AT), 6, "it is the file's page still");
	is(reclaim_all(), 1, "later it goes");
	is(soft_stats_of(soft).cleaned, 2, "stored once more");
	is(mmun_soft_pread(file, &word, sizeof(word), 0), sizeof(word), "and reads");
	is(word, 6, "as it was written last");
	mmun_soft_file_put(file);
	mmput(mm);
	is(soft_stats_of(soft).swap_slots, 0, "all that without swap");
	is(reclaim_all(), 0, "the file took its pages along");
	is(mmun_soft_destroy(soft), 0, "the machine can go");
}

/* Truncated while somebody had it: no file's any more, and nobody's to reclaim. */
static void test_truncated_page(size_t slots)
{
	struct file *file;
	struct page *page;
	size_t free;

	begin(HUGE_PAGES + 64, slots);
	file = soft_new_file(soft, "m", MMUN_SOFT_FILE_SHMEM, 2);
	soft_map(mm, AT, 2, RW, MAP_SHARED, file);
	soft_poke(mm, AT, 5);
	page = hold(AT, FOLL_WRITE);
	is(mmun_soft_ftruncate(file, 0), 0, "truncate, with %zu slots", slots);
	ok(!soft_entry(mm, AT).present, "the page is no longer mapped");
	free = soft_free_frames(soft);
	is(reclaim_all(), 0, "reclaim leaves it alone");
	is(mmun_soft_compact(soft), 0, "and so does compaction");
	is(soft_free_frames(soft), free, "its frame is in use");
	is(*(unsigned long *)mmun_soft_page_address(page), 5, "and as it was");
	mmun_soft_put_page(page);
	is(soft_free_frames(soft), free + 1, "until the last one puts it");
	mmun_soft_file_put(file);
	end();
}

/* MADV_COLD takes back every sign of use. */
static void test_cold(void)
{
	begin(64, 64);
	soft_map(mm, AT, 4, RW, PRIVATE, NULL);
	soft_tag(mm, AT, 4, 1);
	soft_page_set(page_at(AT + 2 * PAGE), SOFT_PAGE_REFERENCED);
	is(mmun_soft_madvise(mm, AT + 2 * PAGE, PAGE, MADV_COLD), 0, "MADV_COLD");
	is(count_young(AT, 4), 3, "its entry is old");
	is(mmun_soft_reclaim(soft, 1), 1, "the next page to go");
	ok(soft_entry(mm, AT + 2 * PAGE).swapped, "is that one");
	is(soft_stats_of(soft).reclaim_young, 0, "at first sight");
	end();
}

/* More pages than are gathered at once, small and huge. */
static void test_long_range(void)
{
	const size_t small = HUGE_PAGES / 2, pages = 3 * HUGE_PAGES;

	begin(6 * HUGE_PAGES, 4 * HUGE_PAGES);
	soft_map(mm, AT, pages, RW, PRIVATE, NULL);
	/* Where there is a small page already, no huge one comes. */
	soft_poke(mm, AT + small * PAGE, 0);
	soft_poke(mm, AT + 2 * HUGE, 0);
	mmun_soft_madvise(mm, AT, pages * PAGE, MADV_HUGEPAGE);
	soft_tag(mm, AT + small * PAGE, pages - small, small);
	ok(soft_entry(mm, AT + HUGE).huge && !soft_entry(mm, AT + 2 * HUGE).huge,
	   "a huge page between small ones");
	is(count_young(AT, pages), pages - small, "all are young");
	record(&recorder, mm);
	is(mmun_soft_madvise(mm, AT, pages * PAGE, MADV_COLD), 0, "MADV_COLD");
	is(count_young(AT, pages), 0, "none is any more");
	ok(soft_entry(mm, AT + HUGE).huge, "the huge one is huge still");
	is(forget(&recorder), 0, "nobody had to be notified");
	is(mmun_soft_madvise(mm, AT, pages * PAGE, MADV_PAGEOUT), 0, "MADV_PAGEOUT");
	is(count_present(AT, pages), 0, "takes them all");
	is(slots_used(), pages - small, "into a slot each");
	is(recorder.nr, (long)(pages - small) + 1, "a section for each, and for the split");
	is(soft_tagged(mm, AT + small * PAGE, pages - small, small), pages - small, "all return");
	stop_recording(&recorder, mm);
	end();
}

/* A huge page of which the range has a part. */
static void test_part_of_huge(unsigned long at)
{
	begin(4 * HUGE_PAGES, 2 * HUGE_PAGES);
	soft_map(mm, at, HUGE_PAGES, RW, PRIVATE, NULL);
	mmun_soft_madvise(mm, at, HUGE, MADV_HUGEPAGE);
	soft_tag(mm, at, HUGE_PAGES, 1);
	is(mmun_soft_madvise(mm, at + 8 * PAGE, 8 * PAGE, MADV_COLD), 0, "MADV_COLD");
	ok(!soft_entry(mm, at).young, "makes the one entry old");
	is(mmun_soft_reclaim(soft, 8), 8, "the next eight");
	is(count_present(at + 8 * PAGE, 8), 0, "are those of the range");
	is(count_present(at, HUGE_PAGES), HUGE_PAGES - 8, "and no others");
	is(mmun_soft_madvise(mm, at + HUGE - PAGE, PAGE, MADV_PAGEOUT), 0, "MADV_PAGEOUT");
	is(count_present(at, HUGE_PAGES), HUGE_PAGES - 9, "of the last one");
	ok(soft_entry(mm, at + HUGE - PAGE).swapped, "takes that");
	end();
}

/* A page that a child has too is not for one of them to give up. */
static void test_shared_page(void)
{
	struct mm_struct *child;

	begin(64, 64);
	soft_map(mm, AT, 1, RW, PRIVATE, NULL);
	soft_poke(mm, AT, 1);
	is(mmun_soft_mm_fork(mm, &child), 0, "fork");
	soft_peek(mm, AT);
	is(mmun_soft_madvise(mm, AT, PAGE, MADV_COLD), 0, "MADV_COLD");
	ok(soft_entry(mm, AT).young, "of a shared page does nothing");
	is(mmun_soft_madvise(mm, AT, PAGE, MADV_PAGEOUT), 0, "MADV_PAGEOUT");
	ok(soft_entry(mm, AT).present && soft_entry(child, AT).present, "neither");
	mmput(child);
	is(mmun_soft_madvise(mm, AT, PAGE, MADV_COLD), 0, "when the child is gone");
	ok(!soft_entry(mm, AT).young, "it does");
	end();
}

/* The one bit of a huge entry stands for its 512 pages, and for none behind. */
static void test_young_neighbour(void)
{
	struct page *first, *behind;
	size_t marked = 0;

	begin(4 * HUGE_PAGES, 0);
	soft_map(mm, AT, 3 * HUGE_PAGES, RW, PRIVATE, NULL);
	mmun_soft_madvise(mm, AT, HUGE, MADV_HUGEPAGE);
	soft_poke(mm, AT, 1);
	soft_poke(mm, AT + 2 * HUGE, 2);
	first = page_at(AT);
	behind = page_at(AT + 2 * HUGE);
	ok(behind == mmun_soft_page_next(first, HUGE_PAGES), "a page behind a huge one");
	is(mmun_soft_page_referenced(first), 1, "which was used");
	for (unsigned long i = 1; i < HUGE_PAGES; i++)
		marked += !!soft_page_test(mmun_soft_page_next(first, i), SOFT_PAGE_REFERENCED);
	is(marked, HUGE_PAGES - 1, "all its other pages count as used");
	ok(!soft_page_test(first, SOFT_PAGE_REFERENCED), "the one that was asked for has said so");
	ok(!soft_page_test(behind, SOFT_PAGE_REFERENCED), "and what is behind was not meant");
	is(mmun_soft_page_referenced(first), 0, "asked again, it was not used since");
	end();
}

static void test_mkclean(void)
{
	struct file *file;
	struct page *page;

	begin(64, 0);
	file = soft_new_file(soft, "f", MMUN_SOFT_FILE_REGULAR, 1);
	soft_map(mm, AT, 1, RW, MAP_SHARED, file);
	soft_peek(mm, AT);
	page = page_at(AT);
	ok(!mmun_soft_page_mkclean(page), "a page that was read has no dirty entry");
	soft_poke(mm, AT, 1);
	ok(soft_entry(mm, AT).writable, "one that was written");
	ok(mmun_soft_page_mkclean(page), "has");
	ok(!soft_entry(mm, AT).writable && !soft_entry(mm, AT).dirty, "until it is clean");
	ok(!mmun_soft_page_mkclean(page), "and then no more");
	mmun_soft_file_put(file);
	end();
}

/* Private copies are no part of the file: a hole leaves them, in memory or in swap. */
static void test_copies_and_holes(void)
{
	struct file *file;

	begin(64, 64);
	file = soft_new_file(soft, "f", MMUN_SOFT_FILE_REGULAR, 4);
	soft_map(mm, AT, 4, RW, MAP_PRIVATE, file);
	soft_tag(mm, AT, 2, 30);
	soft_peek(mm, AT + 2 * PAGE);
	is(mmun_soft_madvise(mm, AT, PAGE, MADV_PAGEOUT), 0, "one copy goes to swap");
	ok(soft_entry(mm, AT).swapped, "and is there");
	is(mmun_soft_punch_hole(file, 0, 4 * PAGE), 0, "a hole");
	ok(soft_entry(mm, AT).swapped && soft_entry(mm, AT + PAGE).present, "leaves both copies");
	ok(!soft_entry(mm, AT + 2 * PAGE).present, "and takes the file's page");
	is(soft_tagged(mm, AT, 2, 30), 2, "they read as before");
	is(mmun_soft_madvise(mm, AT, PAGE, MADV_PAGEOUT), 0, "again");
	is(mmun_soft_ftruncate(file, 0), 0, "truncate");
	is(slots_used(), 0, "takes copies too");
	ok(!soft_entry(mm, AT).swapped && !soft_entry(mm, AT + PAGE).present, "all of them");
	mmun_soft_file_put(file);
	end();
}

/* One mapping that keeps the page is enough: others are not asked then. */
static int sections_beside(bool lock_first)
{
	struct mm_struct *other;
	struct file *file;
	int sections;

	begin(64, 64);
	other = soft_new_mm(soft);
	file = soft_new_file(soft, "m", MMUN_SOFT_FILE_SHMEM, 4);
	soft_map(mm, AT, 4, RW, MAP_SHARED, file);
	soft_map(other, AT, 4, RW, MAP_SHARED, file);
	mmun_soft_remap_file_pages(mm, AT, PAGE, 0, 3, 0);
	mmun_soft_remap_file_pages(other, AT, PAGE, 0, 3, 0);
	soft_poke(mm, AT, 1);
	soft_poke(other, AT, 1);
	mmun_soft_mlock(lock_first ? mm : other, AT, 4 * PAGE);
	record(&recorder, lock_first ? other : mm);
	mmun_soft_reclaim(soft, 64);
	sections = recorder.nr;
	ok(soft_entry(lock_first ? mm : other, AT).present, "a locked page stays");
	stop_recording(&recorder, lock_first ? other : mm);
	mmun_soft_file_put(file);
	mmput(other);
	end();
	return sections;
}

static void test_locked_nonlinear(void)
{
	is(sections_beside(true) + sections_beside(false), 1,
	   "only who is before the one that keeps it is notified");
}

/* A huge page is zeroed, and what is behind it is not. */
static void test_behind_huge(void)
{
	struct page *first, *huge, *behind;

	begin(2 * HUGE_PAGES, 0);
	soft_map(mm, AT, 2 * HUGE_PAGES, RW, PRIVATE, NULL);
	mmun_soft_madvise(mm, AT, 2 * HUGE, MADV_NOHUGEPAGE);
	soft_tag(mm, AT, 2 * HUGE_PAGES, 1);
	is(soft_free_frames(soft), 0, "every frame has been used");
	mmun_soft_munmap(mm, AT, 2 * HUGE);
	first = mmun_soft_pfn_page(soft, 0);
	behind = NULL;
	while (!behind) {
		struct page *page = mmun_soft_page_alloc(soft);

		if (!page)
			bail_out("no page");
		if (page == mmun_soft_page_next(first, HUGE_PAGES))
			behind = page;
	}
	*(unsigned long *)mmun_soft_page_address(behind) = 77;
	for (unsigned long i = 0; i < HUGE_PAGES; i++)
		if (!soft_page_test(mmun_soft_page_next(first, i), SOFT_PAGE_FREE))
			mmun_soft_put_page(mmun_soft_page_next(first, i));
	huge = mmun_soft_page_alloc_huge(soft);
	ok(huge == first, "the first block is a huge page");
	is(*(unsigned long *)mmun_soft_page_address(mmun_soft_page_next(first, HUGE_PAGES - 1)), 0,
	   "of zeros to its end");
	is(*(unsigned long *)mmun_soft_page_address(behind), 77, "and not behind it");
	for (unsigned long i = 0; huge && i < HUGE_PAGES; i++)
		mmun_soft_put_page(mmun_soft_page_next(huge, i));
	for (unsigned long i = HUGE_PAGES; i < 2 * HUGE_PAGES; i++)
		if (!soft_page_test(mmun_soft_page_next(first, i), SOFT_PAGE_FREE))
			mmun_soft_put_page(mmun_soft_page_next(first, i));
	end();
}

/* What a hole takes of a page is zero on the disk too. */
static void test_hole_is_stored(void)
{
	unsigned long word = 1;
	struct file *file;

	begin(64, 0);
	file = soft_new_file(soft, "f", MMUN_SOFT_FILE_REGULAR, 2);
	is(mmun_soft_pwrite(file, &word, sizeof(word), 8), sizeof(word), "a write");
	is(mmun_soft_pwrite(file, &word, sizeof(word), PAGE + 8), sizeof(word), "and another");
	is(mmun_soft_fsync(file), 0, "are stored");
	is(mmun_soft_punch_hole(file, 0, 16), 0, "the first goes");
	is(mmun_soft_ftruncate(file, PAGE + 8), 0, "the second is behind the end");
	is(reclaim_all(), 2, "the pages go");
	is(mmun_soft_ftruncate(file, 2 * PAGE), 0, "and the file is longer again");
	is(mmun_soft_pread(file, &word, sizeof(word), 8), sizeof(word), "there");
	is(word, 0, "is nothing");
	word = 1;
	is(mmun_soft_pread(file, &word, sizeof(word), PAGE + 8), sizeof(word), "nor there");
	is(word, 0, "is anything");
	mmun_soft_file_put(file);
	end();
}

/* On a disk the last page goes as a whole when the hole goes beyond the end of the file. */
static void test_hole_at_end(void)
{
	unsigned long word = 1;
	struct file *file;

	begin(64, 0);
	file = soft_new_file(soft, "f", MMUN_SOFT_FILE_REGULAR, 0);
	mmun_soft_pwrite(file, &word, sizeof(word), PAGE);
	is(mmun_soft_punch_hole(file, PAGE, sizeof(word)), 0, "a hole up to the end");
	is(soft_stats_of(soft).truncated, 0, "leaves the page");
	is(mmun_soft_punch_hole(file, PAGE, sizeof(word) + 1), 0, "one beyond it");
	is(soft_stats_of(soft).truncated, 1, "takes it");
	is(mmun_soft_file_size(file), PAGE + sizeof(word), "the size is as it was");
	mmun_soft_file_put(file);
	end();
}

/* A forced write where writing is permitted leaves it permitted. */
static void test_forced_write(void)
{
	struct page *page;

	begin(64, 0);
	soft_map(mm, AT, 1, RW, PRIVATE, NULL);
	soft_poke(mm, AT, 1);
	is(mmun_soft_clear_soft_dirty(mm), 0, "writes are watched");
	ok(!soft_entry(mm, AT).writable, "by the entry");
	page = hold(AT, FOLL_WRITE | FOLL_FORCE);
	ok(soft_entry(mm, AT).writable && soft_entry(mm, AT).soft_dirty, "one by force is seen");
	mmun_soft_put_page(page);
	end();
}

/* An access to a page that is on its way waits for it. */
static void *get_moving(void *arg)
{
	struct page *page = NULL;
	unsigned long *word = arg;

	mmap_read_lock(mm);
	if (mmun_soft_get_user_pages(mm, AT, 1, FOLL_WRITE, &page) == 1 && page) {
		*word = *(unsigned long *)mmun_soft_page_address(page);
		mmun_soft_put_page(page);
	}
	mmap_read_unlock(mm);
	return NULL;
}

static void test_wait_for_migration(void)
{
	unsigned long word = 0;
	pthread_t thread;
	struct page *page;

	begin(64, 0);
	soft_map(mm, AT, 1, RW, PRIVATE, NULL);
	soft_poke(mm, AT, 7);
	page = page_at(AT);
	mmun_soft_get_page(page);
	mmun_soft_page_lock(page);
	ok(mmun_soft_try_to_unmap(page, MMUN_OP_MIGRATE, true, 0), "a page is on its way");
	is(mmun_soft_migrate(mm, AT), -EBUSY, "nobody else moves it");
	thread = spawn(get_moving, &word);
	let_others_run();
	mmun_soft_remove_migration(page, page);
	mmun_soft_page_unlock(page);
	mmun_soft_put_page(page);
	pthread_join(thread, NULL);
	is(word, 7, "another thread has got it afterwards");
	ok(only_mapped(AT), "and put it");
	end();
}

/* While a huge page is got, another thread's fault makes small entries there. */
static long overtaken;

static void *read_there(void *arg)
{
	soft_peek(mm, AT + PAGE);
	return NULL;
}

static bool overtake(size_t size)
{
	pthread_t thread;

	if (size == HUGE && !overtaken++) {
		thread = spawn(read_there, NULL);
		pthread_join(thread, NULL);
	}
	return false;
}

/* Small entries are no place for a huge page: none is got in vain. */
static long huge_wanted;

static bool count_huge(size_t size)
{
	huge_wanted += size == HUGE;
	return false;
}

static void test_no_place_for_huge(void)
{
	begin(4 * HUGE_PAGES, 0);
	soft_map(mm, AT, HUGE_PAGES, RW, PRIVATE, NULL);
	soft_poke(mm, AT, 1);
	mmun_soft_madvise(mm, AT, HUGE, MADV_HUGEPAGE);
	huge_wanted = 0;
	mmun_alloc_fail = count_huge;
	soft_poke(mm, AT + PAGE, 1);
	mmun_alloc_fail = NULL;
	is(huge_wanted, 0, "beside a small page no huge one is asked for");
	ok(soft_entry(mm, AT + PAGE).writable && !soft_entry(mm, AT + PAGE).huge,
	   "but a small one");
	end();
}

/* The last slot goes to another page in between. */
static void *page_out_other(void *arg)
{
	mmun_soft_madvise(mm, AT + PAGE, PAGE, MADV_PAGEOUT);
	return NULL;
}

static bool take_last_slot(size_t size)
{
	pthread_t thread;

	if (size == PAGE && !overtaken++) {
		thread = spawn(page_out_other, NULL);
		pthread_join(thread, NULL);
	}
	return false;
}

static void test_last_slot(void)
{
	long live;

	begin(64, 1);
	soft_map(mm, AT, 2, RW, PRIVATE, NULL);
	soft_tag(mm, AT, 2, 1);
	live = mmun_alloc_live();
	overtaken = 0;
	mmun_alloc_fail = take_last_slot;
	is(mmun_soft_madvise(mm, AT, PAGE, MADV_PAGEOUT), 0, "MADV_PAGEOUT of one");
	mmun_alloc_fail = NULL;
	ok(only_mapped(AT) && soft_entry(mm, AT + PAGE).swapped, "another got the last slot");
	is(mmun_alloc_live(), live + 1, "which has the only memory");
	is(soft_tagged(mm, AT, 2, 1), 2, "contents");
	end();
}

static void test_overtaken_huge(void)
{
	begin(4 * HUGE_PAGES, 0);
	soft_map(mm, AT, HUGE_PAGES, RW, PRIVATE, NULL);
	mmun_soft_madvise(mm, AT, HUGE, MADV_HUGEPAGE);
	overtaken = 0;
	mmun_alloc_fail = overtake;
	soft_poke(mm, AT, 1);
	mmun_alloc_fail = NULL;
	is(overtaken, 1, "a huge page was wanted, and another fault was faster");
	ok(!soft_entry(mm, AT).huge && soft_entry(mm, AT).writable, "it is a small one");
	is(soft_free_frames(soft), 4 * HUGE_PAGES - 1, "the huge one is free again");
	is(soft_peek(mm, AT), 1, "contents");
	is(soft_stats_of(soft).huge_filled, 0, "none is counted");
	end();
}

int main(void)
{
	test_as_many_as_asked();
	test_locked_page();
	test_isolated_page();
	test_held_anonymous();
	test_written_again();
	test_shmem_stays();
	test_stored_page_stays();
	test_truncated_page(0);
	test_truncated_page(16);
	test_cold();
	test_long_range();
	test_part_of_huge(AT);
	test_part_of_huge(AT + HUGE);
	test_shared_page();
	test_young_neighbour();
	test_mkclean();
	test_copies_and_holes();
	test_locked_nonlinear();
	test_hole_is_stored();
	test_hole_at_end();
	test_forced_write();
	test_wait_for_migration();
	test_overtaken_huge();
	test_no_place_for_huge();
	test_last_slot();
	test_behind_huge();
	return tap_done();
}
