/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * primary/soft/fault/huge.c and collapse.c: huge pages on first touch, split and
 * collapse.  Results and sections as the kernel's, measured.
 */
#include "recorder.h"

#include "frame/page.h"
#include "reclaim/reclaim.h"
#include "table/table.h"
#include "vma/vma.h"

#define HUGE  MMUN_SOFT_HUGE_SIZE
#define PAGES MMUN_SOFT_HUGE_PAGES
#define AT    0x40000000ul

static struct mmun_soft *soft;
static struct mm_struct *mm;
static struct recorder recorder;

static void begin(size_t pages, size_t swap_pages, bool huge_always)
{
	const struct mmun_soft_params params = {
		.memory = pages * PAGE,
		.swap = swap_pages * PAGE,
		.huge_always = huge_always,
	};

	soft = soft_machine(&params);
	mm = soft_new_mm(soft);
	record(&recorder, mm);
}

static struct mmun_soft_stats stats(void)
{
	struct mmun_soft_stats now;

	mmun_soft_stats(soft, &now);
	return now;
}

static void end(void)
{
	struct mmun_soft_stats now;

	stop_recording(&recorder, mm);
	mmput(mm);
	now = stats();
	is(now.frames - now.frames_free, 0, "every frame came back");
	is(now.swap_slots - now.swap_free, 0, "and every swap slot");
	is(mmun_soft_destroy(soft), 0, "the machine can go");
}

static struct mmun_soft_entry entry_of(struct mm_struct *which, unsigned long address)
{
	struct mmun_soft_entry entry;

	mmun_soft_pagemap(which, address, &entry);
	return entry;
}

static void tag(unsigned long at, unsigned long pages)
{
	for (unsigned long i = 0; i < pages; i++)
		soft_poke(mm, at + i * PAGE, i + 1);
}

static bool tagged(struct mm_struct *which, unsigned long at, unsigned long pages)
{
	for (unsigned long i = 0; i < pages; i++) {
		if (soft_peek(which, at + i * PAGE) != i + 1)
			return false;
	}
	return true;
}

static void test_first_touch(void)
{
	struct mmun_soft_translation t;
	int ret;

	begin(2048, 0, true);
	soft_map(mm, AT, 2 * PAGES + 1, RW, PRIVATE, NULL);
	soft_poke(mm, AT + 5 * PAGE, 7);
	ok(entry_of(mm, AT).huge && entry_of(mm, AT + HUGE - PAGE).huge, "a write makes 2 MiB");
	is(stats().huge_filled, 1, "one of them");
	ok(soft_peek(mm, AT + 5 * PAGE) == 7 && !soft_peek(mm, AT + 6 * PAGE),
	   "of zeroes but for it");
	ok(entry_of(mm, AT + 3 * PAGE).pfn == entry_of(mm, AT).pfn + 3, "by frames in a row");
	(void)soft_peek(mm, AT + HUGE);
	ok(entry_of(mm, AT + HUGE).zero, "a read takes the small zero page");
	soft_poke(mm, AT + HUGE, 1);
	ok(!entry_of(mm, AT + HUGE).huge, "and what was begun small stays small");
	soft_poke(mm, AT + 2 * HUGE, 1);
	ok(!entry_of(mm, AT + 2 * HUGE).huge, "so does what the mapping does not cover");
	is(recorder.nr, 1, "only the write to the zero page has a section: the rest came to be");
	mmap_read_lock(mm);
	ret = mmun_soft_translate(mm, AT, true, &t);
	mmap_read_unlock(mm);
	ok(!ret && t.huge && t.writable, "a device learns that it is huge");
	end();
}

static void test_no_huge_frames(void)
{
	begin(2 * PAGES - 1, 0, true);
	soft_map(mm, AT, 2 * PAGES, RW, PRIVATE, NULL);
	soft_poke(mm, AT, 1);
	soft_poke(mm, AT + HUGE, 1);
	ok(entry_of(mm, AT).huge && !entry_of(mm, AT + HUGE).huge,
	   "no frames for another one: small pages do");
	is(mmun_soft_munmap(mm, AT, 2 * HUGE), 0, "both go");
	soft_map(mm, AT, 2 * PAGES, RW, PRIVATE, NULL);
	soft_poke(mm, AT + HUGE, 2);
	ok(entry_of(mm, AT + HUGE).huge, "freed, the frames serve again");
	end();
}

/* RULES: inside a huge page first all of it has a section (split), then the part. */
static void test_partial_operations(void)
{
	begin(2048, 0, true);
	soft_map(mm, AT, 2 * PAGES, RW, PRIVATE, NULL);
	tag(AT, 2 * PAGES);
	forget(&recorder);
	is(mmun_soft_munmap(mm, AT + 7 * PAGE, PAGE), 0, "munmap of a page inside a huge one");
	is(recorder.nr, 2, "has two sections");
	ok(recorder.event[0].op == MMUN_OP_HUGE_SPLIT && recorder.event[0].start == AT &&
		   recorder.event[0].end == AT + HUGE,
	   "first the split of all of it");
	ok(recorder.event[1].op == MMUN_OP_MUNMAP && recorder.event[1].start == AT + 7 * PAGE &&
		   recorder.event[1].end == AT + 8 * PAGE,
	   "then the page");
	ok(tagged(mm, AT, 7) && soft_peek(mm, AT + 8 * PAGE) == 9,
	   "what is around it is as it was");
	ok(!entry_of(mm, AT).huge && entry_of(mm, AT + HUGE).huge, "the neighbour is huge still");
	forget(&recorder);
	is(mmun_soft_mprotect(mm, AT + HUGE + 4 * PAGE, 4 * PAGE, PROT_READ), 0,
	   "mprotect of four");
	ok(recorder.nr == 2 && recorder.event[0].op == MMUN_OP_HUGE_SPLIT &&
		   recorder.event[1].op == MMUN_OP_MPROTECT &&
		   recorder.event[1].end - recorder.event[1].start == 4 * PAGE,
	   "the same");
	ok(!entry_of(mm, AT + HUGE + 4 * PAGE).writable && entry_of(mm, AT + HUGE).writable,
	   "only they lost the right to write");
	is(stats().huge_split, 2, "two splits");
	forget(&recorder);
	is(mmun_soft_mprotect(mm, AT + HUGE + 4 * PAGE, 4 * PAGE, RW), 0, "and back");
	is(recorder.nr, 1, "what is split is not split again");
	end();
}

static void test_dontneed(void)
{
	size_t before;

	begin(2048, 0, true);
	soft_map(mm, AT, 2 * PAGES, RW, PRIVATE, NULL);
	before = soft_free_frames(soft);
	tag(AT, 2 * PAGES);
	forget(&recorder);
	is(mmun_soft_madvise(mm, AT, HUGE, MADV_DONTNEED), 0, "DONTNEED of a whole one");
	ok(just_one(&recorder, MMU_NOTIFY_CLEAR, MMUN_OP_MADV_DONTNEED, AT, PAGES),
	   "is one section");
	is(before - soft_free_frames(soft), PAGES, "and all its frames");
	is(soft_peek(mm, AT + PAGE), 0, "zeroes again");
	is(mmun_soft_madvise(mm, AT + HUGE, HUGE / 2, MADV_DONTNEED), 0, "of a half");
	is(before - soft_free_frames(soft), PAGES / 2, "gives half the frames");
	is(soft_peek(mm, AT + HUGE + HUGE / 2), PAGES + PAGES / 2 + 1, "the other half stays");
	end();
}

static void test_lazy_free(void)
{
	struct page *page;

	begin(2048, 0, true);
	soft_map(mm, AT, PAGES, RW, PRIVATE, NULL);
	tag(AT, PAGES);
	is(mmun_soft_madvise(mm, AT, HUGE, MADV_FREE), 0, "MADV_FREE of a huge page");
	page = mmun_soft_pfn_page(soft, entry_of(mm, AT + PAGE).pfn);
	ok(entry_of(mm, AT).huge && !entry_of(mm, AT).dirty, "it is clean as a whole");
	ok(!soft_page_test(page, SOFT_PAGE_SWAPBACKED), "all its pages may be dropped");
	ok(tagged(mm, AT, PAGES), "but are there");
	end();
}

static void test_fork(void)
{
	struct mm_struct *child;

	begin(4096, 0, true);
	soft_map(mm, AT, PAGES, RW, PRIVATE, NULL);
	tag(AT, PAGES);
	is(mmun_soft_mm_fork(mm, &child), 0, "fork");
	ok(just_one(&recorder, MMU_NOTIFY_PROTECTION_PAGE, MMUN_OP_FORK, AT, PAGES), "one section");
	ok(entry_of(child, AT).huge && entry_of(mm, AT).huge, "the huge page is shared as such");
	ok(!entry_of(mm, AT).writable && entry_of(mm, AT).mapcount == 2, "nobody may write it");
	soft_poke(child, AT + PAGE, 99);
	ok(!entry_of(child, AT).huge && entry_of(mm, AT).huge, "a write splits the writer's");
	ok(tagged(mm, AT, PAGES) && soft_peek(child, AT + PAGE) == 99, "and copies the one page");
	is(soft_peek(child, AT + 2 * PAGE), 3, "the rest is shared still");
	mmput(child);
	soft_poke(mm, AT, 1);
	ok(tagged(mm, AT, PAGES), "alone again, the parent writes it");
	end();
}

static void test_fork_pinned(void)
{
	struct mm_struct *child;
	struct page *pinned;

	begin(4096, 0, true);
	soft_map(mm, AT, PAGES, RW, PRIVATE, NULL);
	tag(AT, PAGES);
	mmap_read_lock(mm);
	is(mmun_soft_get_user_pages(mm, AT + 5 * PAGE, 1, FOLL_PIN | FOLL_WRITE, &pinned), 1,
	   "a page in the middle is pinned");
	mmap_read_unlock(mm);
	is(mmun_soft_mm_fork(mm, &child), 0, "fork");
	ok(entry_of(mm, AT + 5 * PAGE).pfn == mmun_soft_page_pfn(pinned) &&
		   entry_of(mm, AT + 5 * PAGE).writable,
	   "it stays the parent's, writable");
	ok(entry_of(child, AT + 5 * PAGE).pfn != mmun_soft_page_pfn(pinned),
	   "the child has a copy");
	is(entry_of(child, AT + 6 * PAGE).pfn, entry_of(mm, AT + 6 * PAGE).pfn,
	   "the others are shared");
	ok(tagged(child, AT, PAGES) && tagged(mm, AT, PAGES), "both read the same");
	mmun_soft_unpin_page(pinned);
	mmput(child);
	end();
}

static void test_move(void)
{
	const unsigned long to = AT + 64 * HUGE;

	begin(2048, 0, true);
	soft_map(mm, AT, PAGES, RW, PRIVATE, NULL);
	tag(AT, PAGES);
	is(mmun_soft_mremap(mm, AT, HUGE, HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, to), to,
	   "mremap to an aligned place");
	ok(entry_of(mm, to).huge && tagged(mm, to, PAGES), "moves it as it is");
	is(mmun_soft_mremap(mm, to, HUGE, HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, AT + PAGE),
	   AT + PAGE, "to any other place");
	ok(!entry_of(mm, AT + PAGE).huge && tagged(mm, AT + PAGE, PAGES), "in parts");
	end();
}

static void small_pages(unsigned long pages)
{
	soft_map(mm, AT, PAGES, RW, PRIVATE, NULL);
	tag(AT, pages);
	forget(&recorder);
}

static void again(void)
{
	mmun_soft_munmap(mm, AT, HUGE);
}

static int collapse(void)
{
	int ret;

	mmap_write_lock(mm);
	ret = mmun_soft_collapse_locked(mmun_soft_vma_find(soft_mm(mm), AT), AT);
	mmap_write_unlock(mm);
	return ret;
}

static void test_collapse(void)
{
	size_t before;

	begin(4096, 0, false);
	before = soft_free_frames(soft);
	small_pages(PAGES);
	is(mmun_soft_collapse(mm, AT + 5 * PAGE), 0, "512 small pages become a huge one");
	ok(just_one(&recorder, MMU_NOTIFY_CLEAR, MMUN_OP_MADV_COLLAPSE, AT, PAGES),
	   "in one section");
	ok(entry_of(mm, AT).huge && entry_of(mm, AT).writable && tagged(mm, AT, PAGES),
	   "with all they held");
	is(before - soft_free_frames(soft), PAGES, "their frames are free");
	is(stats().huge_collapsed, 1, "counted");
	is(mmun_soft_collapse(mm, AT), 0, "again: it is huge already");
	is(recorder.nr, 0, "no notifier is called");
	again();
	small_pages(1);
	is(collapse(), 0, "one page is enough");
	ok(tagged(mm, AT, 1) && !soft_peek(mm, AT + PAGE), "the rest is zeroes");
	again();
	small_pages(PAGES);
	mmun_soft_madvise(mm, AT + PAGE, PAGE, MADV_DONTNEED);
	is(collapse(), 0, "with a hole");
	ok(!soft_peek(mm, AT + PAGE) && soft_peek(mm, AT + 2 * PAGE) == 3, "which is zeroes then");
	again();
	small_pages(2);
	(void)soft_peek(mm, AT + 3 * PAGE);
	is(collapse(), 0, "with zero pages");
	is(soft_peek(mm, AT + 3 * PAGE), 0, "too");
	end();
}

/* What has the zero page pinned does not see what is written to the page that takes its place. */
static void test_collapse_pinned_safe(void)
{
	struct page *page;

	begin(4096, 0, false);
	small_pages(PAGES);
	is(collapse(), 0, "512 pages collapse");
	ok(recorder.event[0].flags & MMUN_RANGE_PINNED_SAFE, "pinned ones would stay");
	again();
	small_pages(2);
	mmap_read_lock(mm);
	is(mmun_soft_get_user_pages(mm, AT + 3 * PAGE, 1, FOLL_PIN, &page), 1,
	   "the zero page is pinned");
	mmap_read_unlock(mm);
	forget(&recorder);
	is(collapse(), 0, "which does not stop a collapse");
	ok(recorder.nr == 1 && !(recorder.event[0].flags & MMUN_RANGE_PINNED_SAFE),
	   "S1: but a pin of it is notified that it goes");
	mmun_soft_unpin_page(page);
	end();
}

static void test_collapse_rights(void)
{
	begin(4096, 0, false);
	small_pages(PAGES);
	mmun_soft_mprotect(mm, AT, HUGE, PROT_READ);
	is(collapse(), 0, "a read-only mapping collapses");
	ok(!entry_of(mm, AT).writable && tagged(mm, AT, PAGES), "and stays read-only");
	mmun_soft_mprotect(mm, AT, HUGE, RW);
	soft_poke(mm, AT, 1);
	again();
	small_pages(PAGES);
	mmun_soft_mprotect(mm, AT, HUGE, PROT_NONE);
	is(collapse(), 0, "so does one without rights");
	mmun_soft_mprotect(mm, AT, HUGE, RW);
	ok(tagged(mm, AT, PAGES), "contents survive");
	end();
}

static bool translated(unsigned long at)
{
	struct mmun_soft_translation t;

	return !mmun_soft_translate_present(mm, at, &t);
}

static void test_no_access(void)
{
	begin(4096, 0, true);
	soft_map(mm, AT, PAGES, RW, PRIVATE, NULL);
	tag(AT, PAGES);
	is(mmun_soft_mprotect(mm, AT, HUGE, PROT_NONE), 0, "a huge page without access");
	ok(entry_of(mm, AT).huge && !translated(AT + 9 * PAGE), "stays one, not translated");
	is(mmun_soft_mprotect(mm, AT, HUGE, RW), 0, "and back");
	ok(entry_of(mm, AT).huge && translated(AT + 9 * PAGE) && tagged(mm, AT, PAGES),
	   "with its contents");
	is(mmun_soft_mprotect(mm, AT + 8 * PAGE, PAGE, PROT_NONE), 0, "a part of it");
	ok(!translated(AT + 8 * PAGE) && translated(AT + 7 * PAGE) && translated(AT + 9 * PAGE),
	   "is not translated, its neighbours are");
	is(mmun_soft_mprotect(mm, AT, HUGE, PROT_NONE), 0, "all of it");
	is(collapse(), 0, "collapses");
	ok(entry_of(mm, AT).huge && !translated(AT), "into a huge page without access");
	is(mmun_soft_mprotect(mm, AT, HUGE, PROT_READ), 0, "it becomes readable");
	ok(translated(AT) && tagged(mm, AT, PAGES), "with its contents");
	end();
}

static void test_collapse_refused(void)
{
	begin(4096, 0, false);
	small_pages(0);
	is(collapse(), -EINVAL, "nothing there: refused");
	(void)soft_peek(mm, AT);
	is(collapse(), -EINVAL, "only zero pages: refused");
	again();
	small_pages(PAGES);
	mmun_soft_madvise(mm, AT, HUGE, MADV_DONTNEED);
	is(collapse(), -EINVAL, "emptied at once: refused");
	(void)soft_peek(mm, AT);
	is(collapse(), 0, "a page is there again: collapsed");
	again();
	small_pages(PAGES);
	mmun_soft_madvise(mm, AT, HUGE / 2, MADV_DONTNEED);
	mmun_soft_madvise(mm, AT + HUGE / 2, HUGE / 2, MADV_DONTNEED);
	is(collapse(), 0, "emptied by halves: collapsed, as Linux does");
	again();
	small_pages(PAGES);
	mmun_soft_madvise(mm, AT, HUGE, MADV_NOHUGEPAGE);
	is(collapse(), -EINVAL, "MADV_NOHUGEPAGE: refused");
	again();
	small_pages(PAGES);
	mmun_soft_mprotect(mm, AT + 100 * PAGE, PAGE, PROT_READ);
	is(collapse(), -EINVAL, "two mappings: refused");
	is(mmun_soft_munmap(mm, AT + 100 * PAGE, PAGE), 0, "a hole");
	is(mmun_soft_collapse(mm, AT + 100 * PAGE), -EINVAL, "nothing mapped there: refused");
	ok(soft_peek(mm, AT + 99 * PAGE) == 100 && soft_peek(mm, AT + 101 * PAGE) == 102,
	   "and all is as it was");
	end();
}

static void test_collapse_file(void)
{
	struct file *file;

	begin(4096, 0, false);
	file = soft_new_file(soft, "f", MMUN_SOFT_FILE_REGULAR, PAGES);
	soft_map(mm, AT, PAGES, RW, MAP_PRIVATE, file);
	tag(AT, PAGES);
	is(collapse(), -EINVAL, "a private mapping of a file does not collapse");
	mmun_soft_file_put(file);
	end();
}

static void test_collapse_used_pages(void)
{
	struct mm_struct *child;
	struct page *page;

	begin(4096, 0, false);
	small_pages(PAGES);
	is(mmun_soft_mm_fork(mm, &child), 0, "a child has the pages too");
	is(collapse(), 0, "shared pages are copied apart");
	soft_poke(mm, AT, 99);
	ok(tagged(child, AT, PAGES) && soft_peek(mm, AT) == 99, "what is written then is our own");
	mmput(child);
	again();
	small_pages(PAGES);
	mmap_read_lock(mm);
	is(mmun_soft_get_user_pages(mm, AT + PAGE, 1, FOLL_PIN | FOLL_WRITE, &page), 1, "a pin");
	mmap_read_unlock(mm);
	is(collapse(), -EAGAIN, "a pinned page does not move");
	is(mmun_soft_collapse(mm, AT), -EBUSY, "and says so");
	is(recorder.nr, 0, "no notifier is called");
	ok(tagged(mm, AT, PAGES) && !entry_of(mm, AT).huge, "nothing changed");
	mmun_soft_unpin_page(page);
	mmap_read_lock(mm);
	is(mmun_soft_get_user_pages(mm, AT + PAGE, 1, 0, &page), 1, "a plain reference");
	mmap_read_unlock(mm);
	is(collapse(), -EAGAIN, "is as good");
	mmun_soft_put_page(page);
	is(collapse(), 0, "given back, it collapses");
	end();
}

static void test_collapse_swapped(void)
{
	begin(4096, PAGES, false);
	small_pages(PAGES);
	is(mmun_soft_madvise(mm, AT, 100 * PAGE, MADV_PAGEOUT), 0, "some pages are swapped out");
	ok(entry_of(mm, AT).swapped, "they are");
	is(collapse(), 0, "the range collapses");
	ok(entry_of(mm, AT).huge && tagged(mm, AT, PAGES), "with their contents");
	is(stats().swap_slots - stats().swap_free, 0, "the slots are free");
	end();
}

static void test_collapse_fails(void)
{
	int ret, wrong = 0;
	long nth = 0, live;
	size_t frames;

	begin(4096, 0, false);
	small_pages(PAGES);
	live = mmun_alloc_live();
	frames = soft_free_frames(soft);
	do {
		fail_allocation(++nth);
		ret = collapse();
		fail_allocation(0);
		wrong += ret && (ret != -ENOMEM || recorder.nr || mmun_alloc_live() != live ||
				 soft_free_frames(soft) != frames);
	} while (ret && nth < 100);
	ok(!ret && nth == 3, "a collapse has two allocations");
	is(wrong, 0, "whichever fails, nothing has happened");
	ok(tagged(mm, AT, PAGES), "contents");
	end();

	begin(PAGES + 20, 0, false);
	small_pages(30);
	is(collapse(), -ENOMEM, "no 512 frames in a row: -ENOMEM");
	ok(tagged(mm, AT, 30), "nothing changed");
	end();
}

static long stop;

/* Reads and writes its own word while pages are split and collapsed around it. */
static void *processor(void *arg)
{
	unsigned long wrong = 0, value = 0, seen;

	while (!mmun_load_full(&stop)) {
		value++;
		soft_poke(mm, AT + 17 * PAGE + 8, value);
		seen = soft_peek(mm, AT + 17 * PAGE + 8);
		wrong += seen != value;
	}
	return (void *)wrong;
}

static void test_threads(void)
{
	unsigned long collapsed = 0;
	pthread_t thread;
	void *wrong;

	begin(4096, 0, false);
	small_pages(PAGES);
	mmun_store_full(&stop, 0);
	thread = spawn(processor, NULL);
	for (int i = 0; i < 100; i++) {
		collapsed += !collapse();
		mmun_soft_madvise(mm, AT + (unsigned long)(i + 20) * PAGE, PAGE, MADV_DONTNEED);
	}
	mmun_store_full(&stop, 1);
	pthread_join(thread, &wrong);
	is((unsigned long)wrong, 0, "no write was lost while its page moved");
	is(collapsed, 100, "each time");
	end();
}

int main(void)
{
	test_first_touch();
	test_no_huge_frames();
	test_partial_operations();
	test_dontneed();
	test_lazy_free();
	test_fork();
	test_fork_pinned();
	test_move();
	test_collapse();
	test_collapse_pinned_safe();
	test_collapse_rights();
	test_no_access();
	test_collapse_refused();
	test_collapse_file();
	test_collapse_used_pages();
	test_collapse_swapped();
	test_collapse_fails();
	test_threads();
	return tap_done();
}
