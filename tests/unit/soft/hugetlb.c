/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* primary/soft/fault/huge.c and the calls: MAP_HUGETLB, huge pages that stay whole. */
#include "owned.h"
#include "recorder.h"

#define HUGE    MMUN_SOFT_HUGE_SIZE
#define NR      MMUN_SOFT_HUGE_PAGES
#define HUGETLB (PRIVATE | MAP_HUGETLB)
#define FIRST   (1ul << 32)

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static struct recorder recorder;
static struct mmun_soft *soft;
static struct mm_struct *mm;
static long live;

static void begin(size_t blocks)
{
	const struct mmun_soft_params params = { .memory = blocks * HUGE, .swap = 2048 * PAGE };

	live = mmun_alloc_live();
	soft = soft_machine(&params);
	mm = soft_new_mm(soft);
}

static void end(void)
{
	mmput(mm);
	soft_gone(soft, live);
}

static long map(unsigned long at, size_t length, int flags)
{
	return (long)mmun_soft_mmap(mm, at, length, RW, HUGETLB | flags, NULL, 0);
}

/* Two of them at FIRST. */
static void map_two(void)
{
	is(map(FIRST, 2 * HUGE, MAP_FIXED), FIRST, "two huge pages are mapped");
}

static bool is_huge(struct mm_struct *where, unsigned long at)
{
	const struct mmun_soft_entry first = soft_entry(where, at),
				     last = soft_entry(where, at + HUGE - PAGE);

	return first.present && first.huge && last.huge && first.pfn % NR == 0 &&
	       last.pfn == first.pfn + NR - 1;
}

static void test_map(void)
{
	long at;

	begin(4);
	at = map(0, PAGE, 0);
	ok(at > 0 && at % (long)HUGE == 0, "an address for one is aligned");
	is(mmun_soft_munmap(mm, (unsigned long)at, PAGE), -EINVAL, "it is more than a page");
	is(mmun_soft_munmap(mm, (unsigned long)at, HUGE), 0, "but one huge page");
	at = map(FIRST + PAGE, HUGE, 0);
	ok(at > 0 && at % (long)HUGE == 0, "also where the hint is not");
	is(mmun_soft_munmap(mm, (unsigned long)at, HUGE), 0, "gone");
	is(map(FIRST + PAGE, HUGE, MAP_FIXED), -EINVAL, "no fixed one may be");
	is(map(FIRST, HUGE, MAP_FIXED | 30 << 26), -EINVAL, "pages of 1 GiB there are none");
	is(map(FIRST, HUGE, MAP_FIXED | 21 << 26), FIRST, "of 2 MiB there are");
	is(map(FIRST, 5 * HUGE, MAP_FIXED), -ENOMEM, "not more than are free");
	is(map(FIRST, 5 * HUGE, MAP_FIXED | MAP_NORESERVE), FIRST, "unless they need not be");
	is((long)mmun_soft_mmap(mm, 0, HUGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, NULL, 0),
	   -ENOMEM, "for shared memory there is no pool");
	end();
}

static void test_touch(void)
{
	struct mmun_soft_fault fault;
	struct mmun_soft_entry entry;
	unsigned long value = 1;

	begin(4);
	map_two();
	is(soft_peek(mm, FIRST + 5 * PAGE), 0, "a read finds zeroes");
	ok(is_huge(mm, FIRST), "in a huge page");
	is(soft_free_frames(soft), 3 * NR, "of 512 frames");
	entry = soft_entry(mm, FIRST + 5 * PAGE);
	ok(entry.writable && entry.refcount == 1 && entry.mapcount == 1, "that may be written");
	ok(!soft_entry(mm, FIRST + HUGE).present, "the other is not there yet");
	soft_tag(mm, FIRST, 2 * NR, 7);
	is(soft_tagged(mm, FIRST, 2 * NR, 7), 2 * NR, "each page is its own");
	ok(is_huge(mm, FIRST) && is_huge(mm, FIRST + HUGE), "of two huge ones");
	is(mmun_soft_munmap(mm, FIRST, 2 * HUGE), 0, "they go");
	is(soft_free_frames(soft), 4 * NR, "whole");
	is(map(FIRST, 5 * HUGE, MAP_FIXED | MAP_NORESERVE | MAP_POPULATE), FIRST,
	   "where none was promised");
	is(mmun_soft_write(mm, FIRST + 4 * HUGE, &value, 1, &fault), -EFAULT,
	   "a fault may find none");
	is(fault.signal, SIGBUS, "that is SIGBUS");
	is(soft_peek(mm, FIRST + 4 * HUGE - 8), 0, "those before have theirs");
	end();
}

static void test_protect(void)
{
	unsigned long value;

	begin(4);
	map_two();
	soft_tag(mm, FIRST, 2 * NR, 7);
	record(&recorder, mm);
	is(mmun_soft_mprotect(mm, FIRST, HUGE, PROT_READ), 0, "mprotect() of one");
	ok(just_one(&recorder, MMU_NOTIFY_PROTECTION_VMA, MMUN_OP_MPROTECT, FIRST, NR),
	   "in one section");
	ok(is_huge(mm, FIRST) && !soft_entry(mm, FIRST).writable, "leaves it whole");
	is(mmun_soft_write(mm, FIRST + PAGE, &value, 1, NULL), -EFAULT, "and not writable");
	is(soft_tagged(mm, FIRST, NR, 7), NR, "but to be read");
	is(mmun_soft_mprotect(mm, FIRST, HUGE, RW), 0, "undone");
	forget(&recorder);
	soft_poke(mm, FIRST + PAGE, 8);
	ok(is_huge(mm, FIRST) && soft_entry(mm, FIRST).writable, "a write makes it writable");
	is(recorder.nr, 0, "which needs no section");
	is(mmun_soft_mprotect(mm, FIRST, PAGE, PROT_READ), -EINVAL, "not a part of one");
	is(mmun_soft_mprotect(mm, FIRST + PAGE, HUGE - PAGE, PROT_READ), -EINVAL, "nor the rest");
	is(mmun_soft_munmap(mm, FIRST, PAGE), -EINVAL, "nor is that unmapped");
	is(mmun_soft_munmap(mm, FIRST + HUGE - PAGE, HUGE), -EINVAL, "nor parts of both");
	is((long)mmun_soft_mmap(mm, FIRST, PAGE, RW, PRIVATE | MAP_FIXED, NULL, 0), -EINVAL,
	   "nor is anything mapped over it");
	is((long)mmun_soft_mremap(mm, FIRST, HUGE, HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, 1ul << 33),
	   -EINVAL, "it does not move");
	is((long)mmun_soft_mremap(mm, FIRST, HUGE, 2 * HUGE, MREMAP_MAYMOVE, 0), -EINVAL,
	   "nor grow");
	is((long)mmun_soft_mremap(mm, FIRST, 2 * HUGE, HUGE, 0, 0), FIRST, "but it shrinks");
	is(soft_peek(mm, FIRST + PAGE), 8, "nothing of the rest is lost");
	is(mmun_soft_clear_soft_dirty(mm), 0, "clear_refs");
	soft_poke(mm, FIRST + 2 * PAGE, 1);
	ok(is_huge(mm, FIRST) && soft_entry(mm, FIRST).soft_dirty, "says what is written");
	stop_recording(&recorder, mm);
	end();
}

static void test_advice(void)
{
	static const int refused[] = { MADV_FREE, MADV_COLD, MADV_PAGEOUT, MADV_WIPEONFORK,
				       MADV_COLLAPSE };

	begin(4);
	map_two();
	soft_tag(mm, FIRST, 2 * NR, 7);
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++)
		is(mmun_soft_madvise(mm, FIRST, HUGE, refused[i]), -EINVAL, "advice %d is refused",
		   refused[i]);
	is(mmun_soft_madvise(mm, FIRST, 2 * HUGE, MADV_MERGEABLE), 0, "MADV_MERGEABLE");
	is(mmun_soft_ksm_scan(soft) + mmun_soft_ksm_scan(soft), 0, "means nothing");
	is(mmun_soft_mlock(mm, FIRST, PAGE), 0, "nor does mlock() of a part");
	record(&recorder, mm);
	is(mmun_soft_madvise(mm, FIRST + PAGE, HUGE, MADV_DONTNEED), -EINVAL,
	   "MADV_DONTNEED begins with a whole one");
	is(mmun_soft_madvise(mm, FIRST, HUGE - PAGE, MADV_DONTNEED), 0, "and of less than one");
	is(recorder.nr, 0, "drops nothing");
	is(mmun_soft_madvise(mm, FIRST, HUGE + PAGE, MADV_DONTNEED), 0, "of one and a bit");
	ok(just_one(&recorder, MMU_NOTIFY_CLEAR, MMUN_OP_MADV_DONTNEED, FIRST, NR), "one");
	is(soft_free_frames(soft), 3 * NR, "whose frames are free");
	is(soft_tagged(mm, FIRST + HUGE, NR, 7 + NR), NR, "the other is as it was");
	is(soft_peek(mm, FIRST), 0, "the first comes back with zeroes");
	ok(is_huge(mm, FIRST) && is_huge(mm, FIRST + HUGE), "both whole");
	stop_recording(&recorder, mm);
	end();
}

static void test_left_alone(void)
{
	unsigned long src[1], dst[1], small;
	struct migrate_vma args = {
		.start = FIRST,
		.end = FIRST + PAGE,
		.src = src,
		.dst = dst,
		.flags = MIGRATE_VMA_SELECT_SYSTEM,
	};
	struct page *page;

	begin(4);
	map_two();
	soft_tag(mm, FIRST, 2 * NR, 7);
	small = soft_map(mm, 0, 64, RW, PRIVATE, NULL);
	soft_tag(mm, small, 64, 1);
	is(mmun_soft_reclaim(soft, 4096) + mmun_soft_reclaim(soft, 4096), 64,
	   "reclaim takes other pages");
	is(mmun_soft_migrate(mm, FIRST), -EBUSY, "none of it migrates");
	mmap_read_lock(mm);
	args.vma = mmun_soft_vma_lookup(mm, FIRST);
	is(mmun_soft_migrate_vma_setup(&args), -EINVAL, "nor to a device");
	is(mmun_soft_make_device_exclusive(mm, FIRST, 1, &page, soft), 1, "nor is a page");
	ok(!page, "a device's alone");
	is(mmun_soft_get_user_pages(mm, FIRST + PAGE, 1, FOLL_WRITE | FOLL_PIN | FOLL_LONGTERM,
				    &page),
	   1, "a part is pinned");
	mmap_read_unlock(mm);
	is(*(unsigned long *)mmun_soft_page_address(page), 8, "that part");
	mmun_soft_unpin_page(page);
	is(mmun_soft_oom_reap(mm), 0, "the reaper leaves it");
	is(soft_tagged(mm, FIRST, 2 * NR, 7), 2 * NR, "nothing is lost");
	ok(is_huge(mm, FIRST) && is_huge(mm, FIRST + HUGE), "both are whole");
	end();
}

static void test_fork(void)
{
	struct mm_struct *child = NULL;
	struct page *page;

	begin(4);
	map_two();
	soft_tag(mm, FIRST, NR, 7);
	mmap_read_lock(mm);
	mmun_soft_get_user_pages(mm, FIRST, 1, FOLL_WRITE | FOLL_PIN, &page);
	mmap_read_unlock(mm);
	is(mmun_soft_mm_fork(mm, &child), 0, "fork");
	is(soft_free_frames(soft), 2 * NR, "copies what is there");
	ok(is_huge(mm, FIRST) && is_huge(child, FIRST), "for both it is whole");
	ok(soft_entry(mm, FIRST).pfn == mmun_soft_page_pfn(page), "the parent's is the pinned one");
	ok(soft_entry(mm, FIRST).writable && soft_entry(child, FIRST).writable, "both may write");
	soft_poke(mm, FIRST, 1);
	soft_poke(child, FIRST + PAGE, 2);
	is(soft_peek(child, FIRST), 7, "what one writes");
	is(soft_peek(mm, FIRST + PAGE), 8, "the other does not see");
	is(soft_tagged(child, FIRST + 2 * PAGE, NR - 2, 9), NR - 2, "the rest is the same");
	soft_tag(mm, FIRST + HUGE, NR, 7);
	soft_tag(child, FIRST + HUGE, NR, 7);
	is(soft_free_frames(soft), 0, "when all are in use");
	mmun_soft_unpin_page(page);
	mmput(child);
	soft_poke(mm, soft_map(mm, 0, 1, RW, PRIVATE, NULL), 1);
	is(mmun_soft_mm_fork(mm, &child), -ENOMEM, "a fork that lacks one fails");
	is(soft_free_frames(soft), 2 * NR - 1, "and leaves nothing behind");
	is(soft_tagged(mm, FIRST + HUGE, NR, 7), NR, "nor harm");
	end();
}

static long fail_after;

static bool fail_later(size_t size)
{
	return fail_after-- <= 0;
}

static void test_failures(void)
{
	struct mm_struct *child;
	bool all = false;
	long steps = 0, wrong = 0;

	for (; !all && steps < 300; steps++) {
		unsigned long value = 9;
		int wrote, forked = -1;
		long at;

		begin(8);
		fail_after = steps;
		mmun_store_release(&mmun_alloc_fail, fail_later);
		at = map(FIRST, 2 * HUGE, MAP_FIXED);
		wrote = at < 0 ? -1 : mmun_soft_write(mm, FIRST + HUGE, &value, 8, NULL);
		if (at > 0)
			forked = mmun_soft_mm_fork(mm, &child);
		mmun_store_release(&mmun_alloc_fail, NULL);
		wrong += at > 0 && soft_peek(mm, FIRST + HUGE) != (wrote ? 0 : 9);
		wrong += !forked && soft_peek(child, FIRST + HUGE) != (wrote ? 0 : 9);
		if (!forked)
			mmput(child);
		all = !wrote && !forked;
		end();
	}
	ok(all && steps > 8, "each allocation fails, until none does");
	is(wrong, 0, "and nothing is wrong");
}

/* Threads that write and read their own pages, while the other huge page comes and goes. */
#define THREADS 3
#define SECONDS 1

static bool stop;
static unsigned long wrong, forks;

static void *work(void *arg)
{
	unsigned long at = FIRST + (unsigned long)(uintptr_t)arg * PAGE, n = 0, other;

	while (!mmun_load_acquire(&stop)) {
		soft_poke(mm, at, ++n);
		other = soft_peek(mm, at + HUGE);
		if (soft_peek(mm, at) != n || (other && other != n - 1))
			__atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
		soft_poke(mm, at + HUGE, n);
	}
	return NULL;
}

static void *disturb(void *arg)
{
	struct mm_struct *child;

	while (!mmun_load_acquire(&stop)) {
		mmun_soft_madvise(mm, FIRST + HUGE, HUGE, MADV_DONTNEED);
		mmun_soft_mprotect(mm, FIRST, HUGE, RW | PROT_EXEC);
		mmun_soft_mprotect(mm, FIRST, HUGE, RW);
		mmun_soft_reclaim(soft, 8);
		mmun_soft_migrate(mm, FIRST);
		mmun_soft_compact(soft);
		if (mmun_soft_mm_fork(mm, &child))
			continue;
		forks++;
		if (!is_huge(child, FIRST) || soft_peek(child, FIRST) > soft_peek(mm, FIRST))
			__atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
		mmput(child);
	}
	return NULL;
}

static void test_threads(void)
{
	pthread_t thread[THREADS + 1];

	begin(8);
	map_two();
	soft_poke(mm, FIRST, 0);
	stop = false;
	for (unsigned long i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, work, (void *)(uintptr_t)i);
	pthread_create(&thread[THREADS], NULL, disturb, NULL);
	poll(NULL, 0, SECONDS * 1000);
	mmun_store_release(&stop, true);
	for (int i = 0; i <= THREADS; i++)
		pthread_join(thread[i], NULL);
	is(wrong, 0, "everybody read what was written last");
	ok(forks, "while children came and went");
	end();
}

int main(void)
{
	test_map();
	test_touch();
	test_protect();
	test_advice();
	test_left_alone();
	test_fork();
	test_failures();
	test_threads();
	return tap_done();
}
