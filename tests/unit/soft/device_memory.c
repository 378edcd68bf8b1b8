/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* primary/soft/{frame/device.c,reclaim/migrate_device.c}: memory that only a device reaches. */
#include "owned.h"
#include "recorder.h"

static struct owned gpu, other;
static struct recorder recorder;
static struct mmun_soft *soft;
static struct mm_struct *mm;
static unsigned long at;
static long live;

static void begin(size_t frames, size_t slots)
{
	const struct mmun_soft_params params = { .memory = frames * PAGE, .swap = slots * PAGE };

	live = mmun_alloc_live();
	soft = soft_machine(&params);
	mm = soft_new_mm(soft);
	owned_start(&gpu, soft, 0);
	at = soft_map(mm, 0, 8, RW, PRIVATE, NULL);
}

static void end(void)
{
	mmput(mm);
	owned_stop(&gpu);
	soft_gone(soft, live);
}

static void test_memory(void)
{
	struct dev_pagemap wrong;
	struct range space;

	begin(64, 0);
	mmun_soft_device_space(soft, &space);
	wrong = gpu.pgmap;
	is(mmun_soft_memremap_pages(soft, &wrong), -EBUSY, "its memory is nobody else's");
	wrong.range.start = gpu.pgmap.range.end + 1 - PAGE;
	wrong.range.end = wrong.range.start + 2 * PAGE - 1;
	is(mmun_soft_memremap_pages(soft, &wrong), -EBUSY, "no page of it");
	wrong.range.start = space.end + 1 - PAGE;
	wrong.range.end = space.end + PAGE;
	is(mmun_soft_memremap_pages(soft, &wrong), -EINVAL, "more than there is");
	wrong.range.start = space.end - PAGE;
	wrong.range.end = space.end;
	is(mmun_soft_memremap_pages(soft, &wrong), -EINVAL, "half a page");
	wrong.range.start = space.end + 1 - PAGE;
	wrong.type = MEMORY_DEVICE_GENERIC;
	is(mmun_soft_memremap_pages(soft, &wrong), -EINVAL, "of another type");
	wrong.type = MEMORY_DEVICE_PRIVATE;
	is(mmun_soft_memremap_pages(soft, &wrong), 0, "the last page");
	is(mmun_soft_page_memory_type(mmun_soft_pfn_page(soft, space.end / PAGE)),
	   MEMORY_DEVICE_PRIVATE, "is one");
	ok(!mmun_soft_pfn_page(soft, space.end / PAGE - 1), "there is none between");
	ok(!mmun_soft_page_address(mmun_soft_pfn_page(soft, space.end / PAGE)), "it has no bytes");
	mmun_soft_memunmap_pages(&wrong);
	ok(!mmun_soft_pfn_page(soft, space.end / PAGE), "that goes again");
	is(mmun_soft_page_memory_type(mmun_soft_pfn_page(soft, 0)), 0, "the machine's are not");
	end();
}

static void *seen_owner;

static void note_owner(struct recorder *r, const struct mmu_notifier_range *range)
{
	seen_owner = range->owner;
}

static void test_there_and_back(void)
{
	struct mmun_soft_entry entry;
	size_t free;

	begin(64, 0);
	soft_tag(mm, at, 4, 100);
	record(&recorder, mm);
	recorder.in_start = note_owner;
	free = soft_free_frames(soft);
	is(owned_move(&gpu, mm, at, 8, true), 8, "pages move to the device, or come to be there");
	is(recorder.nr, 2, "two sections:");
	is(recorder.event[0].start, at, "what was there");
	is(recorder.event[1].start, at + 4 * PAGE, "and what was not");
	ok(recorder.event[0].class == MMU_NOTIFY_MIGRATE && seen_owner == &gpu, "by whom is said");
	is(soft_free_frames(soft), free + 4, "their frames are free");
	entry = soft_entry(mm, at);
	ok(entry.device && !entry.present && entry.writable, "the entry says so");
	ok(entry.refcount == 1 && entry.mapcount == 1, "and counts");
	is(soft_peek(mm, at + 3 * PAGE), 103, "a processor finds the contents");
	is(gpu.faults, 1, "by a fault");
	entry = soft_entry(mm, at + 3 * PAGE);
	ok(entry.present && entry.writable && !entry.device, "and the page is back");
	is(soft_peek(mm, at + 7 * PAGE), 0, "what was not there reads as zero");
	soft_poke(mm, at, 5);
	is(soft_peek(mm, at), 5, "a write as well");
	is(soft_tagged(mm, at + PAGE, 3, 101), 3, "all of them");
	forget(&recorder);
	is(owned_move(&gpu, mm, at + 4 * PAGE, 3, false), 3, "the driver brings back the rest");
	ok(just_one(&recorder, MMU_NOTIFY_MIGRATE, MMUN_OP_MIGRATE, at + 4 * PAGE, 3),
	   "in one section");
	is(owned_move(&gpu, mm, at + 4 * PAGE, 3, false), 0, "once");
	is(gpu.nr_free, OWNED_FRAMES, "the device has none");
	stop_recording(&recorder, mm);
	end();
}

/* Each call of memory management finds a page there. */
static void test_calls(void)
{
	unsigned long moved;

	begin(64, 0);
	soft_tag(mm, at, 8, 100);
	is(owned_move(&gpu, mm, at, 8, true), 8, "there");
	is(mmun_soft_mprotect(mm, at, PAGE, PROT_READ), 0, "mprotect()");
	ok(!soft_entry(mm, at).writable && soft_entry(mm, at).device, "takes the right there");
	is(soft_peek(mm, at), 100, "it comes back");
	ok(!soft_entry(mm, at).writable, "without it");
	is(mmun_soft_madvise(mm, at + PAGE, PAGE, MADV_DONTNEED), 0, "MADV_DONTNEED");
	is(soft_peek(mm, at + PAGE), 0, "drops it");
	is(mmun_soft_madvise(mm, at + 2 * PAGE, PAGE, MADV_FREE), 0, "MADV_FREE");
	is(soft_peek(mm, at + 2 * PAGE), 102, "leaves it");
	moved = mmun_soft_mremap(mm, at + 3 * PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE, 0);
	ok(!mmun_soft_is_error(moved) && soft_entry(mm, moved).device, "mremap() takes it along");
	is(soft_peek(mm, moved), 103, "as it is");
	is(mmun_soft_mlock(mm, at + 4 * PAGE, PAGE), 0, "mlock()");
	ok(soft_entry(mm, at + 4 * PAGE).present, "brings it back");
	is(mmun_soft_madvise(mm, at + 5 * PAGE, PAGE, MADV_PAGEOUT), 0, "MADV_PAGEOUT");
	ok(soft_entry(mm, at + 5 * PAGE).device, "leaves it");
	is(mmun_soft_clear_soft_dirty(mm), 0, "clear_refs");
	ok(!soft_entry(mm, at + 5 * PAGE).writable, "write-protects it");
	is(soft_peek(mm, at + 5 * PAGE), 105, "and it is there");
	is(mmun_soft_migrate(mm, at + 6 * PAGE), -ENOENT, "it is no page of the machine to move");
	is(mmun_soft_munmap(mm, at + 6 * PAGE, 2 * PAGE), 0, "munmap()");
	is(gpu.nr_free, OWNED_FRAMES, "the rest is free");
	end();
}

static void test_fork(void)
{
	struct mm_struct *child;

	begin(64, 0);
	soft_tag(mm, at, 4, 100);
	is(owned_move(&gpu, mm, at, 4, true), 4, "there");
	is(mmun_soft_mm_fork(mm, &child), 0, "fork");
	is(soft_entry(mm, at).mapcount, 2, "both have the page");
	ok(!soft_entry(mm, at).writable && !soft_entry(child, at).writable, "neither may write");
	soft_poke(mm, at, 5);
	is(soft_peek(child, at), 100, "a write of one is not the other's");
	is(soft_peek(child, at + PAGE), 101, "a read brings it back");
	ok(soft_entry(mm, at + PAGE).present, "for both");
	is(owned_move(&gpu, child, at, 4, true), 2,
	   "what came back goes again; the others are there");
	ok(soft_entry(mm, at + PAGE).device && soft_entry(child, at).device, "for both");
	ok(!soft_entry(mm, at).device, "and not what is the parent's");
	is(owned_move(&gpu, mm, at, 4, true), 1, "but that goes, too");
	mmput(child);
	is(soft_tagged(mm, at + PAGE, 3, 101), 3, "the child's end leaves the parent's");
	is(soft_peek(mm, at), 5, "all");
	end();
}

static void test_exit(void)
{
	begin(64, 0);
	soft_tag(mm, at, 8, 100);
	is(owned_move(&gpu, mm, at, 8, true), 8, "there");
	is(gpu.nr_free, OWNED_FRAMES - 8, "in use");
	end();
}

static void test_stays(void)
{
	struct page *page;
	struct file *file;
	unsigned long shared;

	begin(64, 64);
	owned_start(&other, soft, OWNED_FRAMES);
	soft_tag(mm, at, 4, 100);
	mmap_read_lock(mm);
	mmun_soft_get_user_pages(mm, at, 1, FOLL_WRITE | FOLL_PIN, &page);
	mmap_read_unlock(mm);
	is(owned_move(&gpu, mm, at, 1, true), 0, "a pinned page");
	ok(soft_entry(mm, at).present && soft_entry(mm, at).writable, "stays as it is");
	mmun_soft_unpin_page(page);
	mmap_read_lock(mm);
	mmun_soft_get_user_pages(mm, at, 1, FOLL_WRITE, &page);
	mmap_read_unlock(mm);
	is(owned_move(&gpu, mm, at, 1, true), 0, "one that somebody holds");
	mmun_soft_put_page(page);
	mmun_soft_lock_page(page);
	is(owned_move(&gpu, mm, at, 1, true), 0, "one that is locked");
	mmun_soft_unlock_page(page);
	is(owned_move(&other, mm, at, 1, true), 1, "then it goes");
	is(owned_move(&gpu, mm, at, 1, true), 0, "and is another's");
	is(owned_move(&gpu, mm, at, 1, false), 0, "both ways");
	is(mmun_soft_madvise(mm, at + PAGE, PAGE, MADV_PAGEOUT), 0, "swapped out");
	is(owned_move(&gpu, mm, at + PAGE, 1, true), 0, "there is nothing to move");
	shared = soft_map(mm, 0, 1, RW, MAP_SHARED | MAP_ANONYMOUS, NULL);
	is(owned_move(&gpu, mm, shared, 1, true), 0, "nor in shared memory");
	soft_poke(mm, shared, 1);
	is(owned_move(&gpu, mm, shared, 1, true), 0, "whatever is there");
	file = soft_new_file(soft, "f", MMUN_SOFT_FILE_REGULAR, 2);
	shared = soft_map(mm, 0, 2, RW, MAP_PRIVATE, file);
	mmun_soft_file_put(file);
	soft_peek(mm, shared);
	soft_poke(mm, shared + PAGE, 9);
	is(owned_move(&gpu, mm, shared, 2, true), 1, "of a private file the copy");
	is(soft_peek(mm, shared + PAGE), 9, "and back");
	is(owned_move(&gpu, mm, at + 8 * PAGE, 0, true), -EINVAL, "no page at all");
	is(soft_peek(mm, at), 100, "from the other device");
	owned_stop(&other);
	end();
}

static bool fail_frame(size_t size)
{
	return size == PAGE;
}

static void test_refused(void)
{
	struct mmun_soft_fault fault;
	unsigned long value;

	begin(64, 0);
	soft_tag(mm, at, 2, 100);
	is(owned_move(&gpu, mm, at, 2, true), 2, "there");
	gpu.refuse = VM_FAULT_SIGBUS;
	is(mmun_soft_read(mm, at, &value, sizeof(value), &fault), -EFAULT, "the driver cannot");
	is(fault.signal, SIGBUS, "SIGBUS");
	gpu.refuse = VM_FAULT_OOM;
	is(mmun_soft_read(mm, at, &value, sizeof(value), &fault), -ENOMEM, "has no memory");
	gpu.refuse = 0;
	is(soft_tagged(mm, at, 2, 100), 2, "and then it can");
	while (gpu.nr_free)
		owned_take(&gpu);
	is(owned_move(&gpu, mm, at, 2, true), 0, "a device without room");
	ok(soft_entry(mm, at).present && soft_entry(mm, at).writable, "takes nothing");
	is(soft_entry(mm, at).refcount, 1, "and nothing is held");
	for (unsigned long i = 0; i < OWNED_FRAMES; i++) {
		struct page *page = mmun_soft_pfn_page(soft, gpu.first + i);

		mmun_soft_unlock_page(page);
		mmun_soft_put_page(page);
	}
	mmun_store_release(&mmun_alloc_fail, fail_frame);
	is(owned_move(&gpu, mm, at, 2, true), 2, "no frame is needed to go");
	is(owned_move(&gpu, mm, at, 2, false), 0, "but to come");
	ok(soft_entry(mm, at).device, "it is still there");
	mmun_store_release(&mmun_alloc_fail, NULL);
	is(soft_tagged(mm, at, 2, 100), 2, "unharmed");
	end();
}

static void *poke_moving(void *arg)
{
	soft_poke(mm, at, 7);
	return NULL;
}

static pthread_t poker;

static void start_poker(struct migrate_vma *args)
{
	gpu.in_between = NULL;
	pthread_create(&poker, NULL, poke_moving, NULL);
	poll(NULL, 0, 50);
	ok(soft_stats_of(soft).faults > 0, "somebody touches a page on its way");
}

static void test_touched(void)
{
	begin(64, 0);
	soft_tag(mm, at, 2, 100);
	gpu.in_between = start_poker;
	is(owned_move(&gpu, mm, at, 2, true), 2, "it arrives");
	pthread_join(poker, NULL);
	is(soft_peek(mm, at), 7, "and is fetched back");
	is(soft_peek(mm, at + PAGE), 101, "the other as well");
	end();
}

static void test_evict(void)
{
	struct mm_struct *child;

	begin(64, 0);
	soft_tag(mm, at, 4, 100);
	is(owned_move(&gpu, mm, at, 4, true), 4, "there");
	is(mmun_soft_mm_fork(mm, &child), 0, "shared with a child");
	owned_evict(&gpu);
	is(gpu.nr_free, OWNED_FRAMES, "the device gives all back");
	ok(soft_entry(mm, at).present && soft_entry(child, at).present, "to both");
	is(soft_tagged(child, at, 4, 100), 4, "with their contents");
	is(soft_tagged(mm, at, 4, 100), 4, "here as well");
	mmput(child);
	end();
}

static void lend(unsigned long pages)
{
	struct page *page[4];

	mmap_read_lock(mm);
	is(mmun_soft_make_device_exclusive(mm, at, pages, page, &gpu), pages, "pages are lent");
	mmap_read_unlock(mm);
	for (unsigned long i = 0; i < pages; i++) {
		ok(page[i], "each of them");
		*(unsigned long *)mmun_soft_page_address(page[i]) += 100;
		mmun_soft_unlock_page(page[i]);
		mmun_soft_put_page(page[i]);
	}
}

static void test_exclusive(void)
{
	struct mmun_soft_entry entry;
	struct mm_struct *child;

	begin(64, 64);
	soft_tag(mm, at, 4, 100);
	record(&recorder, mm);
	recorder.in_start = note_owner;
	lend(1);
	ok(seen_owner == &gpu, "by whom is said");
	ok(just_one(&recorder, MMU_NOTIFY_EXCLUSIVE, MMUN_OP_DRIVER, at, 1), "in a section");
	entry = soft_entry(mm, at);
	ok(entry.device && !entry.present && entry.writable, "the entry says so");
	ok(entry.refcount == 1 && entry.mapcount == 1, "and counts");
	is(owned_move(&gpu, mm, at, 1, true), 0, "it does not move");
	is(mmun_soft_madvise(mm, at, PAGE, MADV_PAGEOUT), 0, "nor is it asked to leave");
	forget(&recorder);
	is(soft_peek(mm, at), 200, "a processor sees what the device wrote");
	ok(!seen_owner, "and takes it back for nobody in particular");
	ok(just_one(&recorder, MMU_NOTIFY_EXCLUSIVE, MMUN_OP_DRIVER, at, 1), "in a section");
	ok(soft_entry(mm, at).present && soft_entry(mm, at).writable, "whole");
	lend(4);
	is(mmun_soft_mprotect(mm, at, PAGE, PROT_READ), 0, "mprotect()");
	ok(soft_entry(mm, at).device && !soft_entry(mm, at).writable, "leaves it with less");
	is(soft_peek(mm, at), 300, "and so it comes back");
	ok(!soft_entry(mm, at).writable, "to read");
	is(mmun_soft_madvise(mm, at + PAGE, PAGE, MADV_DONTNEED), 0, "MADV_DONTNEED");
	is(soft_peek(mm, at + PAGE), 0, "drops it");
	is(mmun_soft_mm_fork(mm, &child), 0, "fork");
	ok(soft_entry(mm, at + 2 * PAGE).present, "ends it");
	soft_poke(mm, at + 2 * PAGE, 1);
	is(soft_peek(child, at + 2 * PAGE), 202, "the child has its own");
	mmput(child);
	soft_poke(mm, at + 3 * PAGE, 1);
	is(mmun_soft_mprotect(mm, at, PAGE, RW), 0, "writable again");
	lend(1);
	ok(mmun_soft_reclaim(soft, 64) + mmun_soft_reclaim(soft, 64), "reclaim takes it");
	ok(soft_entry(mm, at).swapped, "away");
	is(soft_peek(mm, at), 400, "with what the device wrote");
	lend(1);
	stop_recording(&recorder, mm);
	end();
}

/* Each thread has a page, which only it writes; what it reads must be what it wrote last. */
#define THREADS 3
#define SECONDS 1

static bool stop;
static unsigned long wrong;

static void *work(void *arg)
{
	unsigned long address = at + (unsigned long)(uintptr_t)arg * PAGE, n = 0;

	soft_poke(mm, address, 0);
	while (!mmun_load_acquire(&stop)) {
		if (soft_peek(mm, address) != n)
			__atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
		soft_poke(mm, address, ++n);
	}
	return NULL;
}

static void *migrate(void *arg)
{
	struct owned *o = arg;

	while (!mmun_load_acquire(&stop)) {
		owned_move(o, mm, at, 8, true);
		owned_move(o, mm, at, 8, false);
		owned_evict(o);
		owned_move(o, mm, at, 8, true);
		sched_yield();
	}
	return NULL;
}

/* The device adds one twice, which nobody else sees in between. */
static void *borrow(void *arg)
{
	struct page *page;
	unsigned long *word;

	while (!mmun_load_acquire(&stop)) {
		mmap_read_lock(mm);
		if (mmun_soft_make_device_exclusive(mm, at + 4 * PAGE, 1, &page, &gpu) == 1 &&
		    page) {
			word = mmun_soft_page_address(page);
			mmun_store_relaxed(word, mmun_load_relaxed(word) + 1);
			mmun_store_relaxed(word, mmun_load_relaxed(word) + 1);
			mmun_soft_unlock_page(page);
			mmun_soft_put_page(page);
		}
		mmap_read_unlock(mm);
		if (soft_peek(mm, at + 4 * PAGE) % 2)
			__atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void *fork_and_exit(void *arg)
{
	struct mm_struct *child;
	unsigned long value;

	while (!mmun_load_acquire(&stop)) {
		if (mmun_soft_mm_fork(mm, &child))
			continue;
		value = soft_peek(child, at);
		if (soft_peek(child, at) != value)
			__atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
		mmput(child);
		mmun_soft_reclaim(soft, 4);
		mmun_soft_migrate(mm, at + PAGE);
	}
	return NULL;
}

static void test_threads(void)
{
	pthread_t thread[THREADS + 5];

	begin(128, 128);
	owned_start(&other, soft, OWNED_FRAMES);
	stop = false;
	for (unsigned long i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, work, (void *)(uintptr_t)i);
	pthread_create(&thread[THREADS], NULL, migrate, &gpu);
	pthread_create(&thread[THREADS + 1], NULL, migrate, &other);
	pthread_create(&thread[THREADS + 2], NULL, fork_and_exit, NULL);
	pthread_create(&thread[THREADS + 3], NULL, borrow, NULL);
	pthread_create(&thread[THREADS + 4], NULL, borrow, NULL);
	poll(NULL, 0, SECONDS * 1000);
	mmun_store_release(&stop, true);
	for (int i = 0; i < THREADS + 5; i++)
		pthread_join(thread[i], NULL);
	is(wrong, 0, "everybody read what was written last");
	ok(gpu.there && gpu.back && gpu.faults && other.faults, "pages went there and came back");
	diag("%lu and %lu there, %lu and %lu faults", gpu.there, other.there, gpu.faults,
	     other.faults);
	mmput(mm);
	owned_stop(&other);
	owned_stop(&gpu);
	soft_gone(soft, live);
}

int main(void)
{
	test_memory();
	test_there_and_back();
	test_calls();
	test_fork();
	test_exit();
	test_stays();
	test_refused();
	test_touched();
	test_evict();
	test_exclusive();
	test_threads();
	return tap_done();
}
