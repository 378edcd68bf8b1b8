/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* primary/soft/reclaim/migrate.c: pages that change their frame, and which notifiers are called. */
#include "recorder.h"

static struct recorder recorder_a, recorder_b;

static struct mmun_soft *machine(size_t frames, size_t slots)
{
	const struct mmun_soft_params params = { .memory = frames * PAGE, .swap = slots * PAGE };

	return soft_machine(&params);
}

static void test_anonymous(void)
{
	long live = mmun_alloc_live();
	struct mmun_soft *soft = machine(64, 0);
	struct mm_struct *mm = soft_new_mm(soft);
	unsigned long at = soft_map(mm, 0, 2, RW, PRIVATE, NULL);
	struct mmun_soft_entry before, after;
	unsigned long faults;

	soft_tag(mm, at, 2, 5);
	before = soft_entry(mm, at);
	record(&recorder_a, mm);
	is(mmun_soft_migrate(mm, at + 8), 0, "a page migrates");
	after = soft_entry(mm, at);
	ok(before.pfn != after.pfn, "to another frame");
	ok(after.present && after.writable && after.refcount == 1 && after.mapcount == 1,
	   "with the same rights, and nobody else holds it");
	is(recorder_a.nr, 1, "one section");
	is(single_pages(&recorder_a, MMUN_OP_MIGRATE, MMU_NOTIFY_CLEAR), 1, "of one page");
	is(soft_free_frames(soft), 62, "the old frame is free");
	faults = soft_stats_of(soft).faults;
	soft_poke(mm, at, 6);
	is(soft_stats_of(soft).faults, faults, "writing there needs no fault");
	is(soft_tagged(mm, at + PAGE, 1, 6), 1, "its neighbour did not move");
	is(mmun_soft_migrate(mm, at), 0, "again");
	is(soft_peek(mm, at), 6, "contents moved along");
	is(soft_stats_of(soft).migrated, 2, "counted");
	mmu_notifier_unregister(&recorder_a.mn, mm);
	mmput(mm);
	soft_gone(soft, live);
}

static void test_refused(void)
{
	struct mmun_soft *soft = machine(64, 64);
	struct mm_struct *mm = soft_new_mm(soft);
	unsigned long at = soft_map(mm, 0, 4, RW, PRIVATE, NULL), pfn;
	struct page *page;

	is(mmun_soft_migrate(mm, at), -ENOENT, "nothing there yet");
	soft_peek(mm, at);
	is(mmun_soft_migrate(mm, at), -ENOENT, "the zero page is not ours");
	is(mmun_soft_migrate(mm, 0x100000), -ENOENT, "no mapping there");
	soft_tag(mm, at, 4, 5);
	pfn = soft_entry(mm, at).pfn;
	mmap_read_lock(mm);
	mmun_soft_get_user_pages(mm, at, 1, FOLL_WRITE | FOLL_PIN, &page);
	mmap_read_unlock(mm);
	is(mmun_soft_migrate(mm, at), -EBUSY, "a pinned page stays");
	mmun_soft_unpin_page(page);
	mmap_read_lock(mm);
	mmun_soft_get_user_pages(mm, at, 1, FOLL_WRITE, &page);
	mmap_read_unlock(mm);
	is(mmun_soft_migrate(mm, at), -EBUSY, "so does one that somebody holds");
	is(soft_entry(mm, at).pfn, pfn, "where it was");
	ok(soft_entry(mm, at).present && soft_entry(mm, at).writable, "as it was");
	mmun_soft_put_page(page);
	fail_allocation(1);
	is(mmun_soft_migrate(mm, at), -ENOMEM, "no frame to go to");
	fail_allocation(0);
	is(mmun_soft_migrate(mm, at), 0, "then it works");
	is(mmun_soft_madvise(mm, at, PAGE, MADV_PAGEOUT), 0, "swapped out");
	is(mmun_soft_migrate(mm, at), -ENOENT, "there is nothing to move");
	is(mmun_soft_madvise(mm, at, 4 * PAGE, MADV_MERGEABLE), 0, "merged");
	soft_poke(mm, at + 2 * PAGE, 1);
	soft_poke(mm, at + 3 * PAGE, 1);
	is(mmun_soft_ksm_scan(soft), 1, "pages");
	is(mmun_soft_migrate(mm, at + 2 * PAGE), 0, "move");
	is(soft_entry(mm, at + 2 * PAGE).pfn, soft_entry(mm, at + 3 * PAGE).pfn, "together");
	mmput(mm);
	is(soft_free_frames(soft), 64, "no frame is lost");
	mmun_soft_destroy(soft);
}

static void test_forked(void)
{
	struct mmun_soft *soft = machine(64, 0);
	struct mm_struct *mm = soft_new_mm(soft), *child;
	unsigned long at = soft_map(mm, 0, 1, RW, PRIVATE, NULL), pfn;

	soft_poke(mm, at, 5);
	is(mmun_soft_mm_fork(mm, &child), 0, "fork");
	pfn = soft_entry(mm, at).pfn;
	record(&recorder_a, mm);
	record(&recorder_b, child);
	is(mmun_soft_migrate(child, at), 0, "a shared page migrates");
	ok(recorder_a.nr == 1 && recorder_b.nr == 1, "both address spaces are notified");
	ok(soft_entry(mm, at).pfn != pfn && soft_entry(mm, at).pfn == soft_entry(child, at).pfn,
	   "both map the new frame");
	is(soft_entry(mm, at).mapcount, 2, "counted twice");
	soft_poke(mm, at, 6);
	is(soft_peek(child, at), 5, "it is still copied on write");
	is(mmun_soft_migrate(mm, at), 0, "both move");
	is(mmun_soft_migrate(child, at), 0, "on their own");
	ok(soft_peek(mm, at) == 6 && soft_peek(child, at) == 5, "with their contents");
	mmu_notifier_unregister(&recorder_a.mn, mm);
	mmu_notifier_unregister(&recorder_b.mn, child);
	mmput(child);
	mmput(mm);
	is(soft_free_frames(soft), 64, "no frame is lost");
	mmun_soft_destroy(soft);
}

static void check_file(enum mmun_soft_file_kind kind, const char *name)
{
	long live = mmun_alloc_live();
	struct mmun_soft *soft = machine(64, 64);
	struct mm_struct *mm = soft_new_mm(soft), *other = soft_new_mm(soft);
	struct file *file = soft_new_file(soft, name, kind, 4);
	unsigned long at = soft_map(mm, 0, 4, RW, MAP_SHARED, file);
	unsigned long there = soft_map(other, 0, 4, PROT_READ, MAP_PRIVATE, file), pfn, word = 0;

	soft_tag(mm, at, 4, 5);
	is(soft_tagged(other, there, 4, 5), 4, "%s: two mappings", name);
	pfn = soft_entry(mm, at + PAGE).pfn;
	is(mmun_soft_migrate(other, there + PAGE), 0, "%s: a page migrates", name);
	ok(soft_entry(mm, at + PAGE).pfn != pfn &&
		   soft_entry(mm, at + PAGE).pfn == soft_entry(other, there + PAGE).pfn,
	   "%s: both follow", name);
	soft_poke(mm, at + PAGE, 66);
	is(soft_peek(other, there + PAGE), 66, "%s: and see the same", name);
	is(mmun_soft_pread(file, &word, sizeof(word), PAGE), sizeof(word), "%s: by descriptor",
	   name);
	is(word, 66, "%s: too", name);
	is(mmun_soft_migrate(mm, at + 2 * PAGE), 0, "%s: a dirty page", name);
	mmput(mm);
	mmput(other);
	mmun_soft_reclaim(soft, 64);
	is(soft_free_frames(soft), 64, "%s: is reclaimed", name);
	is(mmun_soft_pread(file, &word, sizeof(word), 2 * PAGE), sizeof(word), "%s: without", name);
	is(word, 7, "%s: being lost", name);
	mmun_soft_file_put(file);
	soft_gone(soft, live);
}

static void test_device(void)
{
	static unsigned int before;
	struct mmun_soft *soft = machine(64, 0);
	struct mm_struct *mm = soft_new_mm(soft);
	unsigned long at = soft_map(mm, 0, 1, RW, PRIVATE, NULL), word = 9;
	struct mmun_soft_translation t;

	soft_poke(mm, at, 5);
	mmap_read_lock(mm);
	is(mmun_soft_translate(mm, at, true, &t), 0, "a device translates an address");
	mmap_read_unlock(mm);
	is(mmun_soft_device_write(mm, at, &t, &word, sizeof(word)), 0, "and writes there");
	is(mmun_soft_migrate(mm, at), 0, "the page migrates");
	is(soft_peek(mm, at), 9, "with what the device wrote");
	before = (unsigned int)soft_stats_of(soft).violations;
	is(mmun_soft_device_write(mm, at, &t, &word, sizeof(word)), -EFAULT,
	   "S1: the old translation is refused by the checker");
	is(soft_stats_of(soft).violations, before + 1, "and reported");
	mmput(mm);
	mmun_soft_destroy(soft);
}

/* Fill all, then free every other page: no block is free. */
static void test_compact(void)
{
	const size_t pages = 3 * MMUN_SOFT_HUGE_PAGES;
	struct mmun_soft *soft = machine(pages, 0);
	struct mm_struct *mm = soft_new_mm(soft);
	const unsigned long huge = 0x40000000;
	unsigned long at = soft_map(mm, 0, pages, RW, PRIVATE, NULL);
	size_t kept = 0, right = 0, moved;

	soft_tag(mm, at, pages, 1);
	is(mmun_soft_compact(soft), 0, "with no free frame there is nothing to do");
	for (size_t i = 0; i < pages; i += 2)
		mmun_soft_madvise(mm, at + i * PAGE, PAGE, MADV_DONTNEED);
	soft_map(mm, huge, MMUN_SOFT_HUGE_PAGES, RW, PRIVATE, NULL);
	mmun_soft_madvise(mm, huge, MMUN_SOFT_HUGE_SIZE, MADV_HUGEPAGE);
	soft_poke(mm, huge, 77);
	is(mmun_soft_collapse(mm, huge), -ENOMEM, "memory in pieces has no huge page");
	moved = mmun_soft_compact(soft);
	ok(moved > 0 && moved <= MMUN_SOFT_HUGE_PAGES, "compaction moves a block's pages");
	is(soft_stats_of(soft).migrated, moved, "by migration");
	is(mmun_soft_compact(soft), 0, "one free block is enough");
	is(mmun_soft_collapse(mm, huge), 0, "and becomes a huge page");
	ok(soft_entry(mm, huge).huge && soft_peek(mm, huge) == 77, "with what was there");
	for (size_t i = 1; i < pages; i += 2, kept++)
		right += soft_peek(mm, at + i * PAGE) == 1 + i;
	is(right, kept, "contents are right");
	mmput(mm);
	mmun_soft_destroy(soft);
}

/* Threads that count in memory which moves below them, and a fork now and then. */
struct counter {
	struct mm_struct *mm;
	unsigned long at;
	long wrong;
};

static long counting;

static void *count_up(void *arg)
{
	struct counter *c = arg;

	for (unsigned long i = 1; i <= 4000; i++) {
		soft_poke(c->mm, c->at, i);
		c->wrong += soft_peek(c->mm, c->at) != i;
	}
	(void)mmun_sub_full(&counting, 1);
	return NULL;
}

static void *keep_moving(void *arg)
{
	struct counter *c = arg;

	while (mmun_load_full(&counting))
		c->wrong += mmun_soft_migrate(c->mm, c->at) == -ENOMEM;
	return NULL;
}

static void *keep_forking(void *arg)
{
	struct counter *c = arg;
	struct mm_struct *child;
	unsigned long value;

	while (mmun_load_full(&counting)) {
		if (mmun_soft_mm_fork(c->mm, &child))
			continue;
		value = soft_peek(child, c->at);
		sched_yield();
		c->wrong += soft_peek(child, c->at) != value;
		mmput(child);
	}
	return NULL;
}

static void *keep_mremapping(void *arg)
{
	struct counter *c = arg;
	const unsigned long places[2] = { c->at, c->at + 64 * PAGE };

	for (unsigned int i = 0; mmun_load_full(&counting) || i % 2; i++) {
		unsigned long from = places[i % 2], to = places[1 - i % 2];

		if (mmun_soft_mremap(c->mm, from, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) !=
		    to)
			continue;
		c->wrong += soft_peek(c->mm, to) != 4711;
		mmun_soft_migrate(c->mm, to);
	}
	return NULL;
}

static void test_concurrent(void)
{
	struct mmun_soft *soft = machine(256, 0);
	struct mm_struct *mm = soft_new_mm(soft);
	struct counter a = { .mm = mm, .at = soft_map(mm, 0x100000, 1, RW, PRIVATE, NULL) };
	struct counter b = { .mm = mm, .at = soft_map(mm, 0x200000, 1, RW, PRIVATE, NULL) };
	struct counter c = { .mm = mm, .at = soft_map(mm, 0x300000, 1, RW, PRIVATE, NULL) };
	struct counter mover_a = a, mover_b = b, forker = a;
	pthread_t threads[6];

	counting = 2;
	soft_poke(mm, a.at, 0);
	soft_poke(mm, b.at, 0);
	soft_poke(mm, c.at, 4711);
	threads[0] = spawn(count_up, &a);
	threads[1] = spawn(count_up, &b);
	threads[2] = spawn(keep_moving, &mover_a);
	threads[3] = spawn(keep_moving, &mover_b);
	threads[4] = spawn(keep_forking, &forker);
	threads[5] = spawn(keep_mremapping, &c);
	for (unsigned int i = 0; i < 6; i++)
		pthread_join(threads[i], NULL);
	is(a.wrong + b.wrong + mover_a.wrong + mover_b.wrong, 0,
	   "no write is lost while pages move");
	is(forker.wrong, 0, "forks see what was written before");
	is(c.wrong, 0, "mremap and migration of the same page agree");
	mmput(mm);
	is(soft_free_frames(soft), 256, "all frames are back");
	mmun_soft_destroy(soft);
}

int main(void)
{
	test_anonymous();
	test_refused();
	test_forked();
	check_file(MMUN_SOFT_FILE_REGULAR, "file");
	check_file(MMUN_SOFT_FILE_SHMEM, "shmem");
	test_device();
	test_compact();
	test_concurrent();
	return tap_done();
}
