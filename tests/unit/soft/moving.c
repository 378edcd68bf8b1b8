/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * primary/soft/reclaim/migrate.c: what becomes of each page when migration or compaction comes
 * to it, or cannot have it: references, contents, which blocks become free.
 */
#include "frames.h"

/* Migration. */

static void test_migrated_entry(void)
{
	struct mmun_soft_entry before, after;
	struct page *page;

	begin(64, 64);
	soft_map(mm, AT, 2, RW, PRIVATE, NULL);
	soft_poke(mm, AT, 1);
	mmun_soft_clear_soft_dirty(mm);
	before = soft_entry(mm, AT);
	is(mmun_soft_migrate(mm, AT), 0, "a page whose writes are watched moves");
	after = soft_entry(mm, AT);
	ok(after.soft_dirty == before.soft_dirty && after.writable == before.writable,
	   "and they still are");
	is(reclaim_all(), 1, "the new frame can be reclaimed");
	is(soft_peek(mm, AT), 1, "with the contents");
	page = hold(AT, FOLL_WRITE);
	is(mmun_soft_migrate(mm, AT), -EBUSY, "one that is held does not move");
	mmun_soft_put_page(page);
	ok(only_mapped(AT), "and has the references that it had");
	fail_allocation(1);
	is(mmun_soft_migrate(mm, AT), -ENOMEM, "nor one that has no place to go");
	fail_allocation(0);
	ok(only_mapped(AT), "it neither");
	is(reclaim_all(), 1, "both can still be reclaimed");
	is(soft_stats_of(soft).migrated, 1, "one is counted");
	end();
}

static void test_migrate_part_of_huge(void)
{
	unsigned long pfn;
	size_t moved = 0;

	begin(4 * HUGE_PAGES, 0);
	soft_map(mm, AT, HUGE_PAGES, RW, PRIVATE, NULL);
	mmun_soft_madvise(mm, AT, HUGE, MADV_HUGEPAGE);
	soft_tag(mm, AT, HUGE_PAGES, 1);
	pfn = soft_entry(mm, AT).pfn;
	record(&recorder, mm);
	is(mmun_soft_migrate(mm, AT + 5 * PAGE), 0, "a page inside a huge one moves");
	ok(recorder.nr == 2 && recorder.event[0].op == MMUN_OP_HUGE_SPLIT &&
		   recorder.event[1].op == MMUN_OP_MIGRATE &&
		   recorder.event[1].start == AT + 5 * PAGE,
	   "after a split");
	for (unsigned long i = 0; i < HUGE_PAGES; i++)
		moved += soft_entry(mm, AT + i * PAGE).pfn != pfn + i;
	is(moved, 1, "alone");
	ok(soft_entry(mm, AT + 5 * PAGE).pfn != pfn + 5, "that one");
	is(soft_tagged(mm, AT, HUGE_PAGES, 1), HUGE_PAGES, "contents are the same");
	fail_allocation(1);
	is(mmun_soft_migrate(mm, AT + HUGE), -ENOENT, "behind the mapping is nothing to move");
	fail_allocation(0);
	stop_recording(&recorder, mm);
	end();
}

/* Compaction.  Page i of the mapping is in frame i. */

static unsigned long fill_machine(unsigned long blocks)
{
	const size_t pages = blocks * HUGE_PAGES;
	unsigned long odd = 0;

	begin(pages, 0);
	soft_map(mm, AT, pages, RW, PRIVATE, NULL);
	mmun_soft_madvise(mm, AT, pages * PAGE, MADV_NOHUGEPAGE);
	soft_tag(mm, AT, pages, 0);
	for (unsigned long i = 0; i < pages; i++)
		odd += soft_entry(mm, AT + i * PAGE).pfn != i;
	is(odd, 0, "memory is full, page by page");
	return pages;
}

static void drop(unsigned long page)
{
	if (mmun_soft_madvise(mm, AT + page * PAGE, PAGE, MADV_DONTNEED))
		bail_out("cannot drop a page");
}

static unsigned long count_moved(unsigned long pages, unsigned long *wrong)
{
	struct mmun_soft_entry entry;
	unsigned long moved = 0;

	*wrong = 0;
	for (unsigned long i = 0; i < pages; i++) {
		entry = soft_entry(mm, AT + i * PAGE);
		if (entry.present) {
			moved += entry.pfn != i;
			*wrong += soft_peek(mm, AT + i * PAGE) != i;
		}
	}
	return moved;
}

/* The highest block is emptied, the holes below are filled from the low end, and that is all. */
static void test_compact_enough(void)
{
	unsigned long pages = fill_machine(4), wrong, highest = 0;
	const unsigned long last = 3 * HUGE_PAGES;
	struct mmun_soft_entry entry;

	for (unsigned long i = 0; i < 100; i++) {
		drop(3 * i);
		drop(HUGE_PAGES + 3 * i);
	}
	for (unsigned long i = 0; i < HUGE_PAGES; i++)
		if (i % 8)
			drop(last + i);
	is(mmun_soft_compact(soft), HUGE_PAGES / 8, "as many move as were in the last block");
	is(count_moved(pages, &wrong), HUGE_PAGES / 8, "and no others");
	is(wrong, 0, "with their contents");
	for (unsigned long i = 0; i < HUGE_PAGES; i += 8) {
		entry = soft_entry(mm, AT + (last + i) * PAGE);
		if (entry.pfn > highest)
			highest = entry.pfn;
	}
	is(highest, 3 * (HUGE_PAGES / 8 - 1), "into the lowest frames that were free");
	is(mmun_soft_compact(soft), 0, "a free block is enough");
	is(soft_stats_of(soft).migrated, HUGE_PAGES / 8, "counted");
	end();
}

/* A block that cannot become free is left as it is. */
static void test_compact_pinned(void)
{
	unsigned long pages = fill_machine(3), wrong, above = 0;
	struct page *pinned = hold(AT + (pages - 5) * PAGE, FOLL_WRITE | FOLL_PIN);

	for (unsigned long i = 0; i < 40; i++)
		drop(7 * i);
	for (unsigned long i = 0; i < HUGE_PAGES; i++) {
		if (i % 16)
			drop(HUGE_PAGES + i);
		if (i % 32 && i != HUGE_PAGES - 5)
			drop(2 * HUGE_PAGES + i);
	}
	is(mmun_soft_compact(soft), HUGE_PAGES / 16, "the next lower one is emptied");
	for (unsigned long i = 2 * HUGE_PAGES; i < pages; i++)
		above += soft_entry(mm, AT + i * PAGE).present &&
			 soft_entry(mm, AT + i * PAGE).pfn == i;
	is(above, HUGE_PAGES / 32 + 1, "what is in the pinned one has not moved");
	is(count_moved(pages, &wrong), HUGE_PAGES / 16, "nothing else did");
	is(wrong, 0, "contents are right");
	mmun_soft_unpin_page(pinned);
	end();
}

/* Fewer holes below than pages above: what can move has moved. */
static void test_compact_too_full(void)
{
	unsigned long pages = fill_machine(2), wrong;

	for (unsigned long i = 0; i < 10; i++)
		drop(i);
	is(mmun_soft_compact(soft), 10, "all holes are filled");
	is(count_moved(pages, &wrong), 10, "from the end");
	is(wrong, 0, "contents are right");
	is(soft_entry(mm, AT + (pages - 1) * PAGE).pfn, 0, "the last page is first now");
	end();
}

/* An incomplete block at the end never becomes a huge page. */
static void test_compact_incomplete(void)
{
	begin(HUGE_PAGES + HUGE_PAGES / 2, 0);
	soft_map(mm, AT, 8, RW, PRIVATE, NULL);
	soft_tag(mm, AT, 8, 0);
	is(mmun_soft_compact(soft), 0, "in a machine of one and a half nothing moves");
	end();
}

int main(void)
{
	test_migrated_entry();
	test_migrate_part_of_huge();
	test_compact_enough();
	test_compact_pinned();
	test_compact_too_full();
	test_compact_incomplete();
	return tap_done();
}
