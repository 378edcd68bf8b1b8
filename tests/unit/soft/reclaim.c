/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* primary/soft/reclaim/reclaim.c, swap.c and oom.c: which pages go, where to, and which notifiers are called. */
#include "recorder.h"

#define PAGES 16

static struct recorder recorder_a, recorder_b;

static struct mmun_soft *machine(size_t frames, size_t slots)
{
	const struct mmun_soft_params params = { .memory = frames * PAGE, .swap = slots * PAGE };

	return soft_machine(&params);
}

static size_t reclaim_all(struct mmun_soft *soft)
{
	return mmun_soft_reclaim(soft, soft_stats_of(soft).frames);
}

static void test_anonymous(void)
{
	long live = mmun_alloc_live();
	struct mmun_soft *soft = machine(64, 64);
	struct mm_struct *mm = soft_new_mm(soft);
	unsigned long at = soft_map(mm, 0, PAGES, RW, PRIVATE, NULL);
	size_t before = soft_free_frames(soft);

	soft_tag(mm, at, PAGES, 100);
	record(&recorder_a, mm);
	is(reclaim_all(soft), PAGES, "every anonymous page goes to swap");
	is(soft_free_frames(soft), before, "their frames are free");
	is(soft_stats_of(soft).swapped_out, PAGES, "and counted as swapped out");
	is(soft_stats_of(soft).swap_free, 64 - PAGES, "one slot each");
	is(recorder_a.nr, PAGES, "S1: one section per page");
	is(single_pages(&recorder_a, MMUN_OP_RECLAIM, MMU_NOTIFY_CLEAR), PAGES,
	   "each of one page, CLEAR, because of reclaim");
	ok(soft_entry(mm, at).swapped && !soft_entry(mm, at).present, "the entry says so");
	is(soft_tagged(mm, at, PAGES, 100), PAGES, "contents come back");
	is(soft_stats_of(soft).swapped_in, PAGES, "each read from swap once");
	is(soft_stats_of(soft).swap_free, 64, "which frees the slots");
	is(recorder_a.nr, PAGES, "coming back calls no notifier");
	mmu_notifier_unregister(&recorder_a.mn, mm);
	mmput(mm);
	soft_gone(soft, live);
}

static void test_no_swap(void)
{
	struct mmun_soft *soft = machine(64, 0);
	struct mm_struct *mm = soft_new_mm(soft);
	unsigned long at = soft_map(mm, 0, PAGES, RW, PRIVATE, NULL);

	soft_tag(mm, at, PAGES, 1);
	record(&recorder_a, mm);
	is(reclaim_all(soft), 0, "without swap anonymous pages stay");
	is(recorder_a.nr + recorder_a.asked, 0, "and nobody is bothered");
	is(soft_tagged(mm, at, PAGES, 1), PAGES, "with their contents");
	mmu_notifier_unregister(&recorder_a.mn, mm);
	mmput(mm);
	mmun_soft_destroy(soft);
}

static void test_swap_full(void)
{
	struct mmun_soft *soft = machine(64, 5);
	struct mm_struct *mm = soft_new_mm(soft);
	unsigned long at = soft_map(mm, 0, PAGES, RW, PRIVATE, NULL);

	soft_tag(mm, at, PAGES, 1);
	is(reclaim_all(soft), 5, "as many go as there are slots");
	is(soft_tagged(mm, at, PAGES, 1), PAGES, "contents are right");
	mmput(mm);
	is(soft_stats_of(soft).swap_free, 5, "exit frees the slots of entries never read back");
	mmun_soft_destroy(soft);
}

static void test_no_memory_for_slot(void)
{
	struct mmun_soft *soft = machine(64, 64);
	struct mm_struct *mm = soft_new_mm(soft);
	unsigned long at = soft_map(mm, 0, 1, RW, PRIVATE, NULL);

	soft_tag(mm, at, 1, 7);
	fail_allocation(1);
	is(reclaim_all(soft), 0, "no memory for the slot: the page stays");
	fail_allocation(0);
	is(soft_stats_of(soft).swap_free, 64, "and no slot is lost");
	is(soft_peek(mm, at), 7, "contents are right");
	mmput(mm);
	mmun_soft_destroy(soft);
}

static void test_young(void)
{
	struct mmun_soft *soft = machine(64, 64);
	struct mm_struct *mm = soft_new_mm(soft);
	unsigned long at = soft_map(mm, 0, 1, RW, PRIVATE, NULL);

	soft_tag(mm, at, 1, 7);
	record(&recorder_a, mm);
	record(&recorder_b, mm);
	recorder_a.young = recorder_b.young = 1;
	is(reclaim_all(soft), 0, "B22: a secondary MMU that always says young keeps the page");
	ok(recorder_a.asked > 0 && recorder_a.asked == recorder_b.asked,
	   "S9: every notifier is asked each time");
	forget(&recorder_a);
	forget(&recorder_b);
	recorder_a.young = 0;
	is(reclaim_all(soft), 0, "S9: one young answer is enough");
	ok(recorder_a.asked == recorder_b.asked, "S9: and the others are asked all the same");
	ok(soft_stats_of(soft).reclaim_young > 0, "counted");
	recorder_b.young = 0;
	soft_peek(mm, at);
	is(reclaim_all(soft), 1, "an access by the processor gives one more round only");
	mmu_notifier_unregister(&recorder_a.mn, mm);
	mmu_notifier_unregister(&recorder_b.mn, mm);
	mmput(mm);
	mmun_soft_destroy(soft);
}

static void test_order(void)
{
	struct mmun_soft *soft = machine(64, 64);
	struct mm_struct *mm = soft_new_mm(soft);
	unsigned long at = soft_map(mm, 0, PAGES, RW, PRIVATE, NULL);
	unsigned int gone_young = 0, gone_old = 0;

	soft_tag(mm, at, PAGES, 1);
	is(mmun_soft_madvise(mm, at, PAGES / 2 * PAGE, MADV_COLD), 0, "MADV_COLD");
	is(mmun_soft_reclaim(soft, PAGES / 2), PAGES / 2, "half of the pages are reclaimed");
	for (unsigned int i = 0; i < PAGES; i++)
		*(i < PAGES / 2 ? &gone_old : &gone_young) += soft_entry(mm, at + i * PAGE).swapped;
	is(gone_old, PAGES / 2, "the cold ones");
	is(gone_young, 0, "and none of the others");
	mmput(mm);
	mmun_soft_destroy(soft);
}

static void test_regular_file(void)
{
	long live = mmun_alloc_live();
	struct mmun_soft *soft = machine(64, 0);
	struct mm_struct *mm = soft_new_mm(soft);
	struct file *file = soft_new_file(soft, "f", MMUN_SOFT_FILE_REGULAR, PAGES);
	unsigned long at = soft_map(mm, 0, PAGES, RW, MAP_SHARED, file), word = 0;

	soft_tag(mm, at, PAGES, 50);
	record(&recorder_a, mm);
	is(reclaim_all(soft), PAGES, "pages of a file need no swap");
	is(soft_stats_of(soft).cleaned, PAGES, "dirty ones are stored first");
	is(single_pages(&recorder_a, MMUN_OP_RECLAIM, MMU_NOTIFY_CLEAR), PAGES, "one section each");
	is(recorder_a.nr, PAGES, "and no other");
	is(soft_tagged(mm, at, PAGES, 50), PAGES, "contents come from the store");
	is(reclaim_all(soft), PAGES, "clean ones are dropped");
	is(soft_stats_of(soft).cleaned, PAGES, "without being stored again");
	is(mmun_soft_pread(file, &word, sizeof(word), 3 * PAGE), sizeof(word),
	   "read by descriptor");
	is(word, 53, "sees the store too");
	mmu_notifier_unregister(&recorder_a.mn, mm);
	mmput(mm);
	mmun_soft_file_put(file);
	soft_gone(soft, live);
}

static void test_shmem(void)
{
	long live = mmun_alloc_live();
	struct mmun_soft *soft = machine(64, 64);
	struct mm_struct *mm = soft_new_mm(soft), *other = soft_new_mm(soft);
	struct file *file = soft_new_file(soft, "m", MMUN_SOFT_FILE_SHMEM, PAGES);
	unsigned long at = soft_map(mm, 0, PAGES, RW, MAP_SHARED, file);
	unsigned long there = soft_map(other, 0, PAGES, RW, MAP_SHARED, file), word = 0;

	soft_tag(mm, at, PAGES, 50);
	is(soft_tagged(other, there, PAGES, 50), PAGES, "two address spaces share the file");
	is(reclaim_all(soft), PAGES, "its pages go to swap");
	is(soft_stats_of(soft).swap_free, 64 - PAGES, "one slot per page, however often mapped");
	ok(!soft_entry(mm, at).present && !soft_entry(other, there).present, "nobody maps them");
	soft_poke(other, there, 51);
	is(soft_peek(mm, at), 51, "both get the same page back");
	is(mmun_soft_pread(file, &word, sizeof(word), PAGE), sizeof(word), "read by descriptor");
	is(word, 51, "reads swap too");
	is(reclaim_all(soft), 2, "again");
	is(soft_tagged(mm, at + PAGE, PAGES - 1, 51), PAGES - 1, "contents are right");
	is(reclaim_all(soft), PAGES - 1, "and again");
	is(mmun_soft_ftruncate(file, 0), 0, "truncate");
	is(soft_stats_of(soft).swap_free, 64, "frees the slots");
	mmput(mm);
	mmput(other);
	mmun_soft_file_put(file);
	soft_gone(soft, live);
}

static void test_lazily_freed(void)
{
	struct mmun_soft *soft = machine(64, 0);
	struct mm_struct *mm = soft_new_mm(soft);
	unsigned long at = soft_map(mm, 0, 4, RW, PRIVATE, NULL);

	soft_tag(mm, at, 4, 9);
	is(mmun_soft_madvise(mm, at, 4 * PAGE, MADV_FREE), 0, "MADV_FREE");
	is(soft_peek(mm, at), 9, "contents are there until reclaim comes");
	soft_poke(mm, at + PAGE, 10);
	is(reclaim_all(soft), 3, "pages that were not written since are dropped without swap");
	is(soft_peek(mm, at), 0, "they read as zeros");
	is(soft_peek(mm, at + PAGE), 10, "the written one has stayed");
	mmput(mm);
	mmun_soft_destroy(soft);
}

static void test_pinned(void)
{
	struct mmun_soft *soft = machine(64, 64);
	struct mm_struct *mm = soft_new_mm(soft);
	unsigned long at = soft_map(mm, 0, 2, RW, PRIVATE, NULL);
	struct page *pinned, *held;

	soft_tag(mm, at, 2, 9);
	mmap_read_lock(mm);
	is(mmun_soft_get_user_pages(mm, at, 1, FOLL_WRITE | FOLL_PIN, &pinned), 1, "pin one page");
	is(mmun_soft_get_user_pages(mm, at + PAGE, 1, FOLL_WRITE, &held), 1, "hold another");
	mmap_read_unlock(mm);
	is(reclaim_all(soft), 0, "neither is reclaimed");
	*(unsigned long *)mmun_soft_page_address(held) = 77;
	is(soft_peek(mm, at + PAGE), 77, "the held page is still the mapped one");
	is(mmun_soft_madvise(mm, at, 2 * PAGE, MADV_PAGEOUT), 0, "MADV_PAGEOUT");
	ok(soft_entry(mm, at).present && soft_entry(mm, at + PAGE).present, "does not either");
	mmun_soft_unpin_page(pinned);
	mmun_soft_put_page(held);
	is(reclaim_all(soft), 2, "afterwards both are");
	is(soft_peek(mm, at + PAGE), 77, "with what was written last");
	mmput(mm);
	mmun_soft_destroy(soft);
}

static void test_locked(void)
{
	struct mmun_soft *soft = machine(64, 64);
	struct mm_struct *mm = soft_new_mm(soft);
	unsigned long at = soft_map(mm, 0, PAGES, RW, PRIVATE, NULL);

	soft_tag(mm, at, PAGES, 1);
	is(mmun_soft_mlock(mm, at, 4 * PAGE), 0, "mlock");
	is(reclaim_all(soft), PAGES - 4, "locked pages stay");
	ok(soft_entry(mm, at).present && soft_entry(mm, at + 3 * PAGE).present, "where they were");
	mmput(mm);
	is(soft_stats_of(soft).swap_free, 64, "exit frees every slot");
	mmun_soft_destroy(soft);
}

static void test_forked(void)
{
	long live = mmun_alloc_live();
	struct mmun_soft *soft = machine(64, 64);
	struct mm_struct *mm = soft_new_mm(soft), *child, *late;
	unsigned long at = soft_map(mm, 0, PAGES, RW, PRIVATE, NULL);

	soft_tag(mm, at, PAGES, 1);
	is(mmun_soft_mm_fork(mm, &child), 0, "fork");
	record(&recorder_a, mm);
	record(&recorder_b, child);
	is(reclaim_all(soft), PAGES, "pages that two address spaces share are reclaimed");
	ok(recorder_a.nr == PAGES && recorder_b.nr == PAGES, "and both are notified of each");
	is(soft_stats_of(soft).swap_free, 64 - PAGES, "one slot per page");
	is(mmun_soft_mm_fork(child, &late), 0, "fork with everything in swap");
	soft_poke(child, at, 1000);
	is(soft_tagged(mm, at, PAGES, 1), PAGES, "the parent sees what it wrote");
	is(soft_tagged(late, at, PAGES, 1), PAGES, "so does the grandchild");
	is(soft_peek(child, at), 1000, "the child its own");
	is(soft_tagged(child, at + PAGE, PAGES - 1, 2), PAGES - 1, "and the rest");
	is(soft_stats_of(soft).swap_free, 64, "the slots are free when all have read them");
	mmu_notifier_unregister(&recorder_a.mn, mm);
	mmu_notifier_unregister(&recorder_b.mn, child);
	mmput(late);
	mmput(child);
	mmput(mm);
	soft_gone(soft, live);
}

/* One sharer goes to swap, the other has the page locked: the frame stays, and is its own. */
static void test_partly_unmapped(void)
{
	struct mmun_soft *soft = machine(64, 64);
	struct mm_struct *mm = soft_new_mm(soft), *child;
	unsigned long at = soft_map(mm, 0, 1, RW, PRIVATE, NULL), pfn;

	soft_poke(mm, at, 5);
	is(mmun_soft_mm_fork(mm, &child), 0, "fork");
	is(mmun_soft_mprotect(child, at, PAGE, PROT_READ), 0, "the child reads only");
	is(mmun_soft_mlock(child, at, PAGE), 0, "and locks the page that both have");
	pfn = soft_entry(mm, at).pfn;
	is(reclaim_all(soft), 0, "which is not reclaimed");
	ok(soft_entry(mm, at).swapped && soft_entry(child, at).pfn == pfn,
	   "but taken from the parent");
	is(mmun_soft_mprotect(child, at, PAGE, RW), 0, "the child may write again");
	soft_poke(child, at, 7);
	is(soft_entry(child, at).pfn, pfn, "and does so in place");
	is(soft_peek(mm, at), 5, "I3: what the parent has in swap is not changed by that");
	mmput(child);
	mmput(mm);
	is(soft_stats_of(soft).swap_free, 64, "no slot is lost");
	mmun_soft_destroy(soft);
}

static void test_more_than_memory(void)
{
	const size_t pages = 400;
	struct mmun_soft *soft = machine(64, 512);
	struct mm_struct *mm = soft_new_mm(soft);
	unsigned long at = soft_map(mm, 0, pages, RW, PRIVATE, NULL);

	soft_tag(mm, at, pages, 1);
	is(soft_tagged(mm, at, pages, 1), pages, "six times the memory works, with swap");
	is(soft_stats_of(soft).out_of_memory, 0, "and no allocation fails");
	mmput(mm);
	is(soft_stats_of(soft).swap_free, 512, "all slots are back");
	mmun_soft_destroy(soft);
}

static void test_out_of_memory(void)
{
	struct mmun_soft *soft = machine(64, 16);
	struct mm_struct *mm = soft_new_mm(soft);
	unsigned long at = soft_map(mm, 0, 128, RW, PRIVATE, NULL);
	struct mmun_soft_fault fault = { 0 };
	unsigned long word = 1;
	size_t written = 0;

	while (written < 128 &&
	       !mmun_soft_write(mm, at + written * PAGE, &word, sizeof(word), &fault))
		written++;
	is(written, 64 + 16, "memory and swap are full");
	is(fault.signal, SIGKILL, "the next access has no memory");
	is(mmun_soft_munmap(mm, at, 8 * PAGE), 0, "unmap some");
	is(mmun_soft_write(mm, at + written * PAGE, &word, sizeof(word), &fault), 0,
	   "and it works");
	mmput(mm);
	mmun_soft_destroy(soft);
}

static void test_pageout(void)
{
	struct mmun_soft *soft = machine(64, 64);
	struct mm_struct *mm = soft_new_mm(soft), *child;
	unsigned long at = soft_map(mm, 0, PAGES, RW, PRIVATE, NULL);

	soft_tag(mm, at, PAGES, 1);
	record(&recorder_a, mm);
	is(mmun_soft_madvise(mm, at, PAGES * PAGE, MADV_PAGEOUT), 0, "MADV_PAGEOUT");
	is(soft_free_frames(soft), soft_stats_of(soft).frames, "takes young pages too");
	is(single_pages(&recorder_a, MMUN_OP_MADV_PAGEOUT, MMU_NOTIFY_CLEAR), PAGES,
	   "one section per page");
	is(soft_tagged(mm, at, PAGES, 1), PAGES, "contents come back");
	is(mmun_soft_mm_fork(mm, &child), 0, "fork");
	is(mmun_soft_madvise(mm, at, PAGES * PAGE, MADV_PAGEOUT), 0, "MADV_PAGEOUT");
	ok(soft_entry(mm, at).present, "leaves pages alone that others map too");
	mmu_notifier_unregister(&recorder_a.mn, mm);
	mmput(child);
	mmput(mm);
	mmun_soft_destroy(soft);
}

static void test_pageout_huge(void)
{
	struct mmun_soft *soft = machine(4 * MMUN_SOFT_HUGE_PAGES, 1024);
	struct mm_struct *mm = soft_new_mm(soft);
	const unsigned long at = 0x40000000;
	size_t pages = MMUN_SOFT_HUGE_PAGES;

	soft_map(mm, at, pages, RW, PRIVATE, NULL);
	is(mmun_soft_madvise(mm, at, pages * PAGE, MADV_HUGEPAGE), 0, "MADV_HUGEPAGE");
	soft_tag(mm, at, pages, 1);
	ok(soft_entry(mm, at).huge, "a huge page");
	is(mmun_soft_madvise(mm, at, pages * PAGE, MADV_COLD), 0, "MADV_COLD");
	ok(soft_entry(mm, at).huge && !soft_entry(mm, at).young, "makes it old as it is");
	is(mmun_soft_madvise(mm, at + PAGE, 2 * PAGE, MADV_PAGEOUT), 0, "MADV_PAGEOUT of a part");
	ok(soft_entry(mm, at).present && soft_entry(mm, at + PAGE).swapped &&
		   soft_entry(mm, at + 2 * PAGE).swapped && soft_entry(mm, at + 3 * PAGE).present,
	   "splits it and takes that part");
	is(mmun_soft_madvise(mm, at, pages * PAGE, MADV_PAGEOUT), 0, "of the whole");
	is(soft_free_frames(soft), soft_stats_of(soft).frames, "takes the rest");
	is(soft_tagged(mm, at, pages, 1), pages, "contents come back");
	mmput(mm);
	mmun_soft_destroy(soft);
}

static void test_oom_reap(void)
{
	struct mmun_soft *soft = machine(64, 0);
	struct mm_struct *mm = soft_new_mm(soft);
	struct file *file = soft_new_file(soft, "m", MMUN_SOFT_FILE_SHMEM, 1);
	unsigned long low = soft_map(mm, 0x100000, 4, RW, PRIVATE, NULL);
	unsigned long shared = soft_map(mm, 0x200000, 1, RW, MAP_SHARED, file);
	unsigned long high = soft_map(mm, 0x300000, 4, RW, PRIVATE, NULL);

	soft_tag(mm, low, 4, 1);
	soft_poke(mm, shared, 2);
	soft_tag(mm, high, 4, 3);
	record(&recorder_a, mm);
	recorder_a.refuse = true;
	is(mmun_soft_oom_reap(mm), -EAGAIN, "a notifier that would have to sleep refuses");
	is(soft_tagged(mm, low, 4, 1), 4, "S2: then nothing was dropped");
	is(recorder_a.open, 0, "B7: and no section is open");
	recorder_a.refuse = false;
	forget(&recorder_a);
	is(mmun_soft_oom_reap(mm), 0, "else the memory is taken");
	is(recorder_a.nr, 2, "a section for each private VMA");
	ok(recorder_a.event[0].start == low && recorder_a.event[0].end == low + 4 * PAGE &&
		   !recorder_a.event[0].blockable && recorder_a.event[0].op == MMUN_OP_OOM_REAP &&
		   recorder_a.event[0].class == MMU_NOTIFY_UNMAP,
	   "of all of it, that must not sleep");
	ok(!soft_entry(mm, low).present && !soft_entry(mm, high).present, "private pages are gone");
	is(soft_peek(mm, shared), 2, "shared ones are not");
	mmap_write_lock(mm);
	is(mmun_soft_oom_reap(mm), -EAGAIN, "it does not wait for the mmap lock");
	mmap_write_unlock(mm);
	mmu_notifier_unregister(&recorder_a.mn, mm);
	mmput(mm);
	mmun_soft_file_put(file);
	mmun_soft_destroy(soft);
}

/* Threads that write what they own while others take it away. */
struct writer {
	struct mm_struct *mm;
	unsigned long at;
	unsigned int pages;
	long wrong;
};

static void *write_and_check(void *arg)
{
	struct writer *w = arg;

	for (unsigned long round = 1; round <= 60; round++) {
		soft_tag(w->mm, w->at, w->pages, round << 16);
		sched_yield();
		w->wrong += (long)(w->pages - soft_tagged(w->mm, w->at, w->pages, round << 16));
	}
	return NULL;
}

static void *keep_reclaiming(void *arg)
{
	struct mmun_soft *soft = arg;

	for (unsigned int i = 0; i < 400; i++)
		mmun_soft_reclaim(soft, 8);
	return NULL;
}

static void test_concurrent(void)
{
	struct mmun_soft *soft = machine(96, 512);
	struct mm_struct *mm = soft_new_mm(soft);
	struct writer writers[3];
	pthread_t threads[4];

	for (unsigned int i = 0; i < 3; i++) {
		writers[i] = (struct writer){ mm, soft_map(mm, 0, 40, RW, PRIVATE, NULL), 40, 0 };
		threads[i] = spawn(write_and_check, &writers[i]);
	}
	threads[3] = spawn(keep_reclaiming, soft);
	for (unsigned int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	is(writers[0].wrong + writers[1].wrong + writers[2].wrong, 0,
	   "no write is lost while pages come and go");
	mmput(mm);
	is(soft_stats_of(soft).swap_free, 512, "all slots are back");
	is(soft_free_frames(soft), 96, "all frames are back");
	mmun_soft_destroy(soft);
}

int main(void)
{
	test_anonymous();
	test_no_swap();
	test_swap_full();
	test_no_memory_for_slot();
	test_young();
	test_order();
	test_regular_file();
	test_shmem();
	test_lazily_freed();
	test_pinned();
	test_locked();
	test_forked();
	test_partly_unmapped();
	test_more_than_memory();
	test_out_of_memory();
	test_pageout();
	test_pageout_huge();
	test_oom_reap();
	test_concurrent();
	return tap_done();
}
