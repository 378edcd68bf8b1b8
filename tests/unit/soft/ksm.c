/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* primary/soft/reclaim/ksm.c: which pages merge, which notifiers are called, and how they part again. */
#include "recorder.h"

#define PAGES 16

static struct recorder recorder_a, recorder_b;

static struct mmun_soft *machine(size_t frames)
{
	const struct mmun_soft_params params = { .memory = frames * PAGE };

	return soft_machine(&params);
}

static unsigned long map_mergeable(struct mm_struct *mm, size_t pages)
{
	unsigned long at = soft_map(mm, 0, pages, RW, PRIVATE, NULL);

	if (mmun_soft_madvise(mm, at, pages * PAGE, MADV_MERGEABLE))
		bail_out("cannot make memory mergeable");
	return at;
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

static void test_merge(void)
{
	long live = mmun_alloc_live();
	struct mmun_soft *soft = machine(256);
	struct mm_struct *mm = soft_new_mm(soft);
	unsigned long at = map_mergeable(mm, PAGES);
	size_t before;

	fill(mm, at, PAGES, 42);
	before = soft_free_frames(soft);
	record(&recorder_a, mm);
	is(mmun_soft_ksm_scan(soft), PAGES - 1, "16 equal pages: 15 merge with the first");
	is(soft_free_frames(soft), before + PAGES - 1, "15 frames are free");
	is(recorder_a.nr, 31, "31 sections: each is protected, all but one replaced");
	is(single_pages(&recorder_a, MMUN_OP_KSM, MMU_NOTIFY_CLEAR), 31, "of one page each");
	is(recorder_a.changed, PAGES - 1, "change_pte for each replaced entry");
	is(recorder_a.changed_inside, PAGES - 1, "while its section is open");
	is(filled(mm, at, PAGES, 42), PAGES, "contents are the same");
	is(soft_entry(mm, at).pfn, soft_entry(mm, at + 5 * PAGE).pfn, "in one frame");
	ok(soft_entry(mm, at).ksm && !soft_entry(mm, at).writable, "merged and read-only");
	is(soft_entry(mm, at).mapcount, PAGES, "mapped by all");

	forget(&recorder_a);
	is(mmun_soft_ksm_scan(soft), 0, "a second pass finds nothing new");
	is(recorder_a.nr, 0, "and calls no notifier");
	soft_poke(mm, at + 3 * PAGE, 43);
	ok(recorder_a.nr == 1 && recorder_a.event[0].start == at + 3 * PAGE &&
		   recorder_a.event[0].end == at + 4 * PAGE &&
		   recorder_a.event[0].op == MMUN_OP_COW,
	   "a write to a merged page: one section of that page");
	is(filled(mm, at, PAGES, 42), PAGES - 1, "the others keep their contents");
	is(soft_peek(mm, at + 3 * PAGE), 43, "the writer sees its own");
	is(soft_stats_of(soft).ksm_unmerged, 1, "counted");
	soft_poke(mm, at + 3 * PAGE, 42);
	forget(&recorder_a);
	is(mmun_soft_ksm_scan(soft), 1, "equal again, it merges again");
	is(recorder_a.nr, 2, "with two sections, the merged page being there");
	mmu_notifier_unregister(&recorder_a.mn, mm);
	mmput(mm);
	is(soft_free_frames(soft), 256, "the last entry takes the merged page along");
	soft_gone(soft, live);
}

static void test_across(void)
{
	struct mmun_soft *soft = machine(256);
	struct mm_struct *one = soft_new_mm(soft), *two = soft_new_mm(soft), *child;
	unsigned long at = map_mergeable(one, 2), there = map_mergeable(two, 2);

	fill(one, at, 1, 7);
	soft_poke(one, at + PAGE, 8);
	fill(two, there, 2, 7);
	record(&recorder_a, one);
	record(&recorder_b, two);
	is(mmun_soft_ksm_scan(soft), 2, "pages of two address spaces merge");
	is(recorder_a.nr + recorder_b.nr, 5, "five sections in all, each for its own mm");
	is(soft_entry(one, at).pfn, soft_entry(two, there).pfn, "one frame");
	ok(!soft_entry(one, at + PAGE).ksm, "what differs stays apart");
	is(mmun_soft_mm_fork(two, &child), 0, "fork");
	is(soft_entry(child, there).pfn, soft_entry(one, at).pfn, "shares merged pages");
	soft_poke(child, there, 9);
	is(soft_peek(one, at), 7, "a child's write is its own");
	mmu_notifier_unregister(&recorder_a.mn, one);
	mmu_notifier_unregister(&recorder_b.mn, two);
	mmput(two);
	is(soft_peek(one, at), 7, "the merged page outlives those that leave");
	mmput(one);
	is(soft_peek(child, there + PAGE), 7, "all but the last");
	mmput(child);
	is(soft_free_frames(soft), 256, "which takes it along");
	mmun_soft_destroy(soft);
}

static void test_forked_before(void)
{
	struct mmun_soft *soft = machine(256);
	struct mm_struct *mm = soft_new_mm(soft), *child;
	unsigned long at = map_mergeable(mm, 2);

	fill(mm, at, 2, 7);
	is(mmun_soft_mm_fork(mm, &child), 0, "fork, then merge what is shared");
	mmun_soft_ksm_scan(soft);
	soft_poke(mm, at, 1);
	soft_poke(child, at + PAGE, 2);
	ok(soft_peek(mm, at) == 1 && soft_peek(child, at) == 7, "the child keeps the first");
	ok(soft_peek(child, at + PAGE) == 2 && soft_peek(mm, at + PAGE) == 7,
	   "the parent the second");
	mmput(child);
	mmput(mm);
	is(soft_free_frames(soft), 256, "no frame is lost");
	mmun_soft_destroy(soft);
}

static void test_unmerge(void)
{
	struct mmun_soft *soft = machine(256);
	struct mm_struct *mm = soft_new_mm(soft);
	unsigned long at = map_mergeable(mm, PAGES);
	struct mmun_soft_fault fault;
	unsigned long word = 1;

	fill(mm, at, PAGES, 42);
	mmun_soft_ksm_scan(soft);
	record(&recorder_a, mm);
	is(mmun_soft_madvise(mm, at, PAGES * PAGE, MADV_UNMERGEABLE), 0, "MADV_UNMERGEABLE");
	is(recorder_a.nr, PAGES, "one section per page");
	ok(!soft_entry(mm, at).ksm && soft_entry(mm, at).pfn != soft_entry(mm, at + PAGE).pfn,
	   "each has a frame of its own");
	is(filled(mm, at, PAGES, 42), PAGES, "contents are the same");
	is(mmun_soft_ksm_scan(soft), 0, "no pass merges them again");
	is(mmun_soft_madvise(mm, at, PAGES * PAGE, MADV_MERGEABLE), 0, "MADV_MERGEABLE");
	is(mmun_soft_mprotect(mm, at, PAGES * PAGE, PROT_READ), 0, "read-only memory");
	is(mmun_soft_ksm_scan(soft), PAGES - 1, "merges too");
	is(mmun_soft_write(mm, at, &word, sizeof(word), &fault), -EFAULT, "and stays read-only");
	mmu_notifier_unregister(&recorder_a.mn, mm);
	mmput(mm);
	mmun_soft_destroy(soft);
}

static void test_not_merged(void)
{
	struct mmun_soft *soft = machine(256);
	struct mm_struct *mm = soft_new_mm(soft);
	unsigned long at = map_mergeable(mm, 4), plain = soft_map(mm, 0, 2, RW, PRIVATE, NULL);
	struct page *pinned, *held;

	fill(mm, at, 4, 5);
	fill(mm, plain, 2, 5);
	soft_peek(mm, map_mergeable(mm, 4));
	mmap_read_lock(mm);
	mmun_soft_get_user_pages(mm, at, 1, FOLL_WRITE | FOLL_PIN, &pinned);
	mmun_soft_get_user_pages(mm, at + PAGE, 1, FOLL_WRITE, &held);
	mmap_read_unlock(mm);
	is(mmun_soft_ksm_scan(soft), 1, "pinned, held, zero and other pages do not merge");
	*(unsigned long *)mmun_soft_page_address(pinned) = 6;
	*(unsigned long *)mmun_soft_page_address(held) = 7;
	ok(soft_peek(mm, at) == 6 && soft_peek(mm, at + PAGE) == 7, "and stay where they are");
	is(filled(mm, plain, 2, 5), 2, "memory that did not ask is left alone");
	mmun_soft_unpin_page(pinned);
	mmun_soft_put_page(held);
	mmput(mm);
	mmun_soft_destroy(soft);
}

static void test_huge(void)
{
	struct mmun_soft *soft = machine(4 * MMUN_SOFT_HUGE_PAGES);
	struct mm_struct *mm = soft_new_mm(soft);
	const unsigned long at = 0x40000000;

	soft_map(mm, at, MMUN_SOFT_HUGE_PAGES, RW, PRIVATE, NULL);
	mmun_soft_madvise(mm, at, MMUN_SOFT_HUGE_SIZE, MADV_HUGEPAGE);
	mmun_soft_madvise(mm, at, MMUN_SOFT_HUGE_SIZE, MADV_MERGEABLE);
	soft_poke(mm, at, 1);
	ok(soft_entry(mm, at).huge, "a huge page");
	record(&recorder_a, mm);
	is(mmun_soft_ksm_scan(soft), MMUN_SOFT_HUGE_PAGES - 2, "its equal parts merge");
	ok(recorder_a.event[0].op == MMUN_OP_HUGE_SPLIT &&
		   recorder_a.event[0].end - recorder_a.event[0].start == MMUN_SOFT_HUGE_SIZE,
	   "after it was split, with a section of 2 MiB");
	is(recorder_a.nr, 1 + 2 * (MMUN_SOFT_HUGE_PAGES - 1) - 1, "then as for small pages");
	ok(soft_peek(mm, at) == 1 &&
		   filled(mm, at + PAGE, MMUN_SOFT_HUGE_PAGES - 1, 0) == MMUN_SOFT_HUGE_PAGES - 1,
	   "contents are the same");
	mmu_notifier_unregister(&recorder_a.mn, mm);
	mmput(mm);
	mmun_soft_destroy(soft);
}

static void test_no_memory(void)
{
	long live = mmun_alloc_live();
	struct mmun_soft *soft = machine(256);
	struct mm_struct *mm = soft_new_mm(soft);
	unsigned long at = map_mergeable(mm, PAGES);
	size_t merged = 0;

	fill(mm, at, PAGES, 42);
	fail_allocation(1);
	merged = mmun_soft_ksm_scan(soft);
	fail_allocation(0);
	is(merged, PAGES - 2, "no memory to remember the first page: the second is the first");
	is(filled(mm, at, PAGES, 42), PAGES, "contents are the same");
	fail_allocation(1);
	is(mmun_soft_madvise(mm, at, PAGES * PAGE, MADV_UNMERGEABLE), -EAGAIN,
	   "no memory to part: MADV_UNMERGEABLE fails as Linux has it fail");
	fail_allocation(0);
	is(mmun_soft_madvise(mm, at, PAGES * PAGE, MADV_UNMERGEABLE), 0, "and works later");
	mmput(mm);
	soft_gone(soft, live);
}

/* Threads that write to pages which are merged all the time. */
struct worker {
	struct mm_struct *mm;
	unsigned long at;
	long wrong;
	long *stop;
};

static void *write_and_check(void *arg)
{
	struct worker *w = arg;

	for (unsigned long round = 0; round < 300; round++) {
		/* Equal most of the time, so that they keep merging. */
		fill(w->mm, w->at, 8, round % 4);
		w->wrong += (long)(8 - filled(w->mm, w->at, 8, round % 4));
	}
	return NULL;
}

static void *keep_scanning(void *arg)
{
	for (unsigned int i = 0; i < 200; i++)
		mmun_soft_ksm_scan(arg);
	return NULL;
}

static void test_concurrent(void)
{
	struct mmun_soft *soft = machine(256);
	struct mm_struct *mm = soft_new_mm(soft);
	struct worker workers[3];
	pthread_t threads[4];

	for (unsigned int i = 0; i < 3; i++) {
		workers[i] = (struct worker){ .mm = mm, .at = map_mergeable(mm, 8) };
		threads[i] = spawn(write_and_check, &workers[i]);
	}
	threads[3] = spawn(keep_scanning, soft);
	for (unsigned int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	is(workers[0].wrong + workers[1].wrong + workers[2].wrong, 0,
	   "no write is lost or seen by others while pages merge");
	mmput(mm);
	is(soft_free_frames(soft), 256, "all frames are back");
	mmun_soft_destroy(soft);
}

int main(void)
{
	test_merge();
	test_across();
	test_forked_before();
	test_unmerge();
	test_not_merged();
	test_huge();
	test_no_memory();
	test_concurrent();
	return tap_done();
}
