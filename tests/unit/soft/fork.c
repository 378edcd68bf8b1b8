/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* primary/soft/call/copy.c: the entries of a forked address space. */
#include "entries.h"

static struct recorder recorder;

static void test_fork(void)
{
	struct mmun_soft_translation before, after;
	struct mm_struct *child;
	unsigned long value = 7;

	begin(1024, 16);
	soft_map(mm, AT, 600, RW, PRIVATE, NULL);
	for (unsigned long i = 0; i < 600; i++)
		soft_poke(mm, AT + i * PAGE, i);
	mmun_soft_madvise(mm, AT + 3 * PAGE, PAGE, MADV_PAGEOUT);
	soft_map(mm, AT + 16 * HUGE, 4, RW, PRIVATE, NULL);
	(void)soft_peek(mm, AT + 16 * HUGE);
	record(&recorder, mm);
	mmap_read_lock(mm);
	is(mmun_soft_translate(mm, AT, true, &before), 0, "a device may write a page");
	mmap_read_unlock(mm);
	is(mmun_soft_mm_fork(mm, &child), 0, "fork");
	ok(just_one(&recorder, MMU_NOTIFY_PROTECTION_PAGE, MMUN_OP_FORK, AT, 600),
	   "S11: the parent gets a section for the VMA that has pages to copy, no other");
	is(mmun_soft_device_write(mm, AT, &before, &value, sizeof(value)), -EFAULT,
	   "B23: a writable translation from before the fork is refused");
	is(refusals, 1, "as a write to what is write-protected now");
	is(mmun_soft_translate_present(mm, AT, &after), 0, "the page is still there");
	ok(!after.writable && after.page == before.page, "but no more writable");
	ok(!entry_of(child, AT).writable && entry_of(child, AT).pfn == entry_of(mm, AT).pfn,
	   "the child has the same, and may not write either");
	ok(entry_of(child, AT + 3 * PAGE).swapped, "a swapped page is shared as such");
	soft_poke(child, AT, 99);
	ok(soft_peek(mm, AT) == 0 && soft_peek(child, AT) == 99, "the child's write is its own");
	forget(&recorder);
	soft_poke(mm, AT + PAGE, 98);
	ok(just_one(&recorder, MMU_NOTIFY_CLEAR, MMUN_OP_COW, AT + PAGE, 1),
	   "the parent's write copies the page, its devices are notified");
	ok(soft_peek(mm, AT + PAGE) == 98 && soft_peek(child, AT + PAGE) == 1, "and is its own");
	is(soft_peek(child, AT + 3 * PAGE), 3, "the child reads the swapped page");
	is(soft_peek(mm, AT + 3 * PAGE), 3, "so does the parent");
	stop_recording(&recorder, mm);
	mmput(child);
	end();
}

static void test_fork_pinned(void)
{
	struct mmun_soft_translation t;
	struct mm_struct *child;
	unsigned long value = 77;
	struct page *pinned;

	begin(64, 0);
	soft_map(mm, AT, 2, RW, PRIVATE, NULL);
	soft_poke(mm, AT, 1);
	soft_poke(mm, AT + PAGE, 2);
	mmap_read_lock(mm);
	is(mmun_soft_get_user_pages(mm, AT, 1, FOLL_PIN | FOLL_WRITE, &pinned), 1, "a pin");
	mmap_read_unlock(mm);
	is(mmun_soft_mm_fork(mm, &child), 0, "fork");
	ok(entry_of(mm, AT).pfn == mmun_soft_page_pfn(pinned) && entry_of(mm, AT).writable,
	   "the pinned page stays the parent's, writable");
	ok(entry_of(child, AT).pfn != mmun_soft_page_pfn(pinned), "the child got a copy at once");
	ok(entry_of(child, AT + PAGE).pfn == entry_of(mm, AT + PAGE).pfn, "others are shared");
	memcpy(mmun_soft_page_address(pinned), &value, sizeof(value));
	soft_poke(mm, AT + 8, 3);
	is(soft_peek(mm, AT), 77, "the parent sees what the device writes, also after a write");
	is(soft_peek(child, AT), 1, "the child what was there");
	soft_poke(child, AT, 5);
	is(mmun_soft_translate_present(child, AT, &t), 0, "the child writes its own");
	is(soft_peek(mm, AT), 77, "without the parent's noticing");
	mmun_soft_unpin_page(pinned);
	mmput(child);
	end();
}

/* One mapping of each kind, so that every step of a fork is there to fail. */
static void many_kinds(struct file *file, struct page **pinned)
{
	soft_map(mm, AT, 520, RW, PRIVATE, NULL);
	for (unsigned long i = 0; i < 520; i += 7)
		soft_poke(mm, AT + i * PAGE, i + 1);
	soft_map(mm, AT + 8 * HUGE, 4, RW, MAP_PRIVATE, file);
	soft_poke(mm, AT + 8 * HUGE, 5);
	soft_map(mm, AT + 9 * HUGE, 4, RW, MAP_SHARED, file);
	soft_poke(mm, AT + 9 * HUGE, 6);
	mmap_read_lock(mm);
	if (mmun_soft_get_user_pages(mm, AT, 1, FOLL_PIN | FOLL_WRITE, pinned) != 1)
		bail_out("no pin");
	mmap_read_unlock(mm);
}

static bool all_ended(const struct recorder *r)
{
	for (int i = 0; i < r->nr; i++) {
		if (!r->event[i].ended)
			return false;
	}
	return true;
}

static void test_fork_fails(void)
{
	int ret, wrong = 0, cut_short = 0;
	struct mm_struct *child;
	struct page *pinned;
	struct file *file;
	long nth = 0, live;
	size_t frames;

	begin(2048, 0);
	file = soft_new_file(soft, "f", MMUN_SOFT_FILE_REGULAR, 4);
	many_kinds(file, &pinned);
	record(&recorder, mm);
	mmu_notifier_synchronize();
	live = mmun_alloc_live();
	frames = soft_free_frames(soft);
	do {
		fail_allocation(++nth);
		ret = mmun_soft_mm_fork(mm, &child);
		fail_allocation(0);
		if (!ret)
			break;
		mmu_notifier_synchronize();
		cut_short += recorder.nr > 0;
		wrong += ret != -ENOMEM || !all_ended(&recorder);
		wrong += soft_free_frames(soft) != frames || mmun_alloc_live() != live;
		forget(&recorder);
	} while (nth < 200);
	ok(!ret && nth > 10, "a fork has %ld allocations", nth - 1);
	is(wrong, 0, "R7, S4: whichever fails, nothing stays and every section has ended");
	ok(cut_short, "S4: some fail inside a section");
	is(soft_peek(child, AT + 7 * PAGE), 8, "the one that succeeded is complete");
	is(soft_peek(child, AT), 1, "with its copy of a pinned page");
	is(soft_peek(child, AT + 8 * HUGE), 5, "of private pages of a file");
	is(soft_peek(child, AT + 9 * HUGE), 6, "and the shared file");
	stop_recording(&recorder, mm);
	mmun_soft_unpin_page(pinned);
	mmput(child);
	mmun_soft_file_put(file);
	end();
}

static void test_fork_nonlinear(void)
{
	struct mm_struct *child;
	unsigned long value = 55;
	struct file *file;

	begin(64, 0);
	file = soft_new_file(soft, "f", MMUN_SOFT_FILE_SHMEM, 8);
	mmun_soft_pwrite(file, &value, sizeof(value), 5 * PAGE);
	soft_map(mm, AT, 4, RW, MAP_SHARED, file);
	mmun_soft_remap_file_pages(mm, AT, PAGE, 0, 5, 0);
	mmun_soft_remap_file_pages(mm, AT + PAGE, PAGE, 0, 5, 0);
	is(soft_peek(mm, AT), 55, "one of two is faulted in");
	record(&recorder, mm);
	is(mmun_soft_mm_fork(mm, &child), 0, "fork");
	is(forget(&recorder), 0, "a shared mapping loses no right: no section");
	is(soft_peek(child, AT), 55, "the child has the chosen page");
	is(soft_peek(child, AT + PAGE), 55, "and the choice that was not used yet");
	stop_recording(&recorder, mm);
	mmput(child);
	mmun_soft_file_put(file);
	end();
}

#define RACE_PAGES 16

static long stop, at_now, migrated;

static void *migrator(void *arg)
{
	while (!mmun_load_full(&stop)) {
		for (unsigned long i = 0; i < RACE_PAGES; i++) {
			unsigned long address = (unsigned long)mmun_load_full(&at_now) + i * PAGE;

			if (!mmun_soft_migrate(mm, address))
				count(&migrated);
		}
	}
	return NULL;
}

static unsigned long wrong_values(struct mm_struct *which, unsigned long at)
{
	unsigned long wrong = 0;

	for (unsigned long i = 0; i < RACE_PAGES; i++)
		wrong += soft_peek(which, at + i * PAGE) != i + 1;
	return wrong;
}

/* A migration entry that one of them forgot would be waited for until the test times out. */
static void test_against_migration(void)
{
	const unsigned long places[] = { AT, AT + 5 * PAGE + HUGE, AT + 4 * HUGE };
	unsigned long wrong = 0, at = AT, to;
	struct mm_struct *child;
	pthread_t thread;

	begin(256, 0);
	soft_map(mm, AT, RACE_PAGES, RW, PRIVATE, NULL);
	for (unsigned long i = 0; i < RACE_PAGES; i++)
		soft_poke(mm, AT + i * PAGE, i + 1);
	mmun_store_full(&at_now, (long)AT);
	thread = spawn(migrator, NULL);
	for (int i = 0; i < 300 || (!mmun_load_full(&migrated) && i < 100000); i++) {
		if (mmun_soft_mm_fork(mm, &child))
			bail_out("no fork");
		wrong += wrong_values(child, at);
		mmput(child);
		to = places[i % 3];
		if (to != at && mmun_soft_mremap(mm, at, RACE_PAGES * PAGE, RACE_PAGES * PAGE,
						 MREMAP_MAYMOVE | MREMAP_FIXED, to) != to)
			bail_out("no mremap");
		at = to;
		mmun_store_full(&at_now, (long)at);
		wrong += wrong_values(mm, at);
	}
	mmun_store_full(&stop, 1);
	pthread_join(thread, NULL);
	is(wrong, 0, "forked and moved while its pages migrate: each page is what it was");
	ok(migrated, "(%ld migrations)", migrated);
	end();
}

/* A copy that a child gets at once is its own to write, as far as the mapping permits. */
static void test_copy_rights(void)
{
	struct mm_struct *child;
	struct page *pinned[2];
	unsigned long faults;

	begin(64, 0);
	soft_map(mm, AT, 2, RW, PRIVATE, NULL);
	mmap_read_lock(mm);
	is(mmun_soft_get_user_pages(mm, AT, 2, FOLL_PIN | FOLL_WRITE, pinned), 2, "two pins");
	mmap_read_unlock(mm);
	is(mmun_soft_mprotect(mm, AT + PAGE, PAGE, PROT_READ), 0, "one is read-only by now");
	is(mmun_soft_mm_fork(mm, &child), 0, "fork");
	ok(entry_of(child, AT).writable, "the child may write the one");
	ok(!entry_of(child, AT + PAGE).writable, "and not the other");
	ok(entry_of(child, AT).soft_dirty && entry_of(child, AT).dirty, "which is as written");
	faults = soft_stats_of(soft).faults;
	soft_poke(child, AT, 1);
	is(soft_stats_of(soft).faults, faults, "no fault is needed");
	mmun_soft_unpin_page(pinned[0]);
	mmun_soft_unpin_page(pinned[1]);
	mmput(child);
	end();
}

/* A pinned page of shared memory is both sides', as it was. */
static void test_pinned_shared(void)
{
	struct mm_struct *child;
	struct page *pinned;
	struct file *file;

	begin(64, 0);
	file = soft_new_file(soft, "m", MMUN_SOFT_FILE_SHMEM, 4);
	soft_map(mm, AT, 4, RW, MAP_SHARED, file);
	is(mmun_soft_remap_file_pages(mm, AT, PAGE, 0, 3, 0), 0, "entries that fork must copy");
	mmap_read_lock(mm);
	is(mmun_soft_get_user_pages(mm, AT, 1, FOLL_PIN | FOLL_WRITE, &pinned), 1, "and a pin");
	mmap_read_unlock(mm);
	is(mmun_soft_mm_fork(mm, &child), 0, "fork");
	is(entry_of(child, AT).pfn, mmun_soft_page_pfn(pinned), "the child has the page, too");
	soft_poke(child, AT, 7);
	is(soft_peek(mm, AT), 7, "and what it writes there the parent sees");
	mmun_soft_unpin_page(pinned);
	mmun_soft_file_put(file);
	mmput(child);
	end();
}

/* A huge page is shared as one unless a part of it, and not what is behind, is pinned. */
static void test_pinned_neighbour(void)
{
	struct mm_struct *child;
	struct page *pinned;

	begin(4 * MMUN_SOFT_HUGE_PAGES, 0);
	soft_map(mm, AT, 2 * MMUN_SOFT_HUGE_PAGES, RW, PRIVATE, NULL);
	mmun_soft_madvise(mm, AT, 2 * HUGE, MADV_HUGEPAGE);
	soft_poke(mm, AT, 1);
	soft_poke(mm, AT + HUGE, 2);
	is(entry_of(mm, AT + HUGE).pfn, entry_of(mm, AT).pfn + MMUN_SOFT_HUGE_PAGES,
	   "two huge pages, one behind the other");
	mmap_read_lock(mm);
	is(mmun_soft_get_user_pages(mm, AT + HUGE, 1, FOLL_PIN | FOLL_WRITE, &pinned), 1,
	   "a pin in the second");
	mmap_read_unlock(mm);
	is(mmun_soft_mm_fork(mm, &child), 0, "fork");
	ok(entry_of(mm, AT).huge && entry_of(child, AT).huge, "the first is shared as it is");
	ok(!entry_of(mm, AT + HUGE).huge && !entry_of(child, AT + HUGE).huge,
	   "the second in parts");
	is(entry_of(mm, AT + HUGE).pfn, mmun_soft_page_pfn(pinned), "the pinned one stays");
	mmun_soft_unpin_page(pinned);
	mmput(child);
	end();
}

/* Fork meets a page on its way to another frame: when it has arrived, it is shared. */
static void test_page_under_way(void)
{
	struct mm_struct *child;
	struct page *page;

	begin(64, 0);
	soft_map(mm, AT, 1, RW, PRIVATE, NULL);
	soft_poke(mm, AT, 1);
	page = mmun_soft_pfn_page(soft, entry_of(mm, AT).pfn);
	mmun_soft_get_page(page);
	mmun_soft_page_lock(page);
	ok(mmun_soft_try_to_unmap(page, MMUN_OP_MIGRATE, true, 0), "its entry is taken away");
	is(mmun_soft_mm_fork(mm, &child), 0, "fork");
	mmun_soft_remove_migration(page, page);
	mmun_soft_page_unlock(page);
	mmun_soft_put_page(page);
	is(entry_of(mm, AT).mapcount, 2, "both get one back");
	ok(!entry_of(mm, AT).writable && !entry_of(child, AT).writable, "that writes nothing");
	soft_poke(mm, AT, 2);
	is(soft_peek(child, AT), 1, "what the parent writes the child does not see");
	soft_poke(child, AT, 3);
	is(soft_peek(mm, AT), 2, "nor the other way");
	mmput(child);
	end();
}

int main(void)
{
	test_fork();
	test_fork_pinned();
	test_fork_fails();
	test_fork_nonlinear();
	test_against_migration();
	test_copy_rights();
	test_pinned_shared();
	test_pinned_neighbour();
	test_page_under_way();
	return tap_done();
}
