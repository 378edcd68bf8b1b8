/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* primary/soft/{frame/device.c,reclaim/migrate_device.c,fault/gup.c}: memory of a device that
 * processors reach, too. */
#include "owned.h"
#include "recorder.h"

static struct owned gpu, other;
static struct recorder recorder;
static struct mmun_soft *soft;
static struct mm_struct *mm;
static unsigned long at, violations;
static long live;

static void note_violation(const struct mmun_soft_violation *what, void *arg)
{
	__atomic_add_fetch(&violations, 1, __ATOMIC_RELAXED);
}

static void begin_in(size_t frames, size_t slots, int fd)
{
	const struct mmun_soft_params params = {
		.memory = frames * PAGE,
		.swap = slots * PAGE,
		.memory_fd = fd,
		.violation = note_violation,
	};

	live = mmun_alloc_live();
	soft = soft_machine(&params);
	mm = soft_new_mm(soft);
	owned_start_type(&gpu, soft, 0, MEMORY_DEVICE_COHERENT);
	at = soft_map(mm, 0, 8, RW, PRIVATE, NULL);
	violations = 0;
}

static void begin(size_t frames, size_t slots)
{
	begin_in(frames, slots, 0);
}

static void end(void)
{
	mmput(mm);
	owned_stop(&gpu);
	soft_gone(soft, live);
}

static bool in_device(struct mm_struct *where, unsigned long address)
{
	const struct mmun_soft_entry entry = soft_entry(where, address);

	return entry.present && entry.pfn - gpu.first < OWNED_FRAMES;
}

static size_t pages_in_device(struct mm_struct *where, unsigned long address, size_t pages)
{
	size_t there = 0;

	for (size_t i = 0; i < pages; i++)
		there += in_device(where, address + i * PAGE);
	return there;
}

static long pin(unsigned long address, unsigned int gup_flags, struct page **page)
{
	long got;

	mmap_read_lock(mm);
	got = mmun_soft_get_user_pages(mm, address, 1, gup_flags, page);
	mmap_read_unlock(mm);
	return got;
}

static void test_memory(void)
{
	const struct dev_pagemap_ops no_free = { .migrate_to_ram = owned_to_ram };
	struct page *page, *second;
	struct dev_pagemap wrong;
	char *bytes;

	begin(64, 0);
	wrong = gpu.pgmap;
	is(mmun_soft_memremap_pages(soft, &wrong), -EBUSY, "its memory is nobody else's");
	wrong.owner = NULL;
	is(mmun_soft_memremap_pages(soft, &wrong), -EINVAL, "it has an owner");
	wrong = gpu.pgmap;
	wrong.ops = &no_free;
	is(mmun_soft_memremap_pages(soft, &wrong), -EINVAL, "who hears when a page is free");
	page = mmun_soft_pfn_page(soft, gpu.first);
	second = mmun_soft_pfn_page(soft, gpu.first + 1);
	is(mmun_soft_page_memory_type(page), MEMORY_DEVICE_COHERENT, "a page says what it is");
	bytes = mmun_soft_page_address(page);
	ok(bytes && (char *)mmun_soft_page_address(second) == bytes + PAGE, "it has bytes");
	is(bytes[PAGE - 1], 0, "zeroes");
	is(mmun_soft_page_pfn(second), gpu.first + 1, "and a number");
	end();
}

static void test_in_memfd(void)
{
	const int fd = memfd_create("frames", MFD_CLOEXEC);
	struct mmun_soft_entry entry;
	struct dev_pagemap second;
	unsigned long *word;

	begin_in(64, 0, fd);
	second = gpu.pgmap;
	soft_tag(mm, at, 2, 100);
	is(owned_move(&gpu, mm, at, 2, true), 2, "pages move");
	entry = soft_entry(mm, at + PAGE);
	word = mmap(NULL, PAGE, RW, MAP_SHARED, fd, (off_t)(entry.pfn * PAGE));
	ok(word != MAP_FAILED && *word == 101, "to where the memfd has their physical address");
	*word = 7;
	is(soft_peek(mm, at + PAGE), 7, "both ways");
	is(mmun_soft_memremap_pages(soft, &second), -EBUSY, "a second device there is refused");
	is(soft_peek(mm, at + PAGE), 7, "and takes no bytes away");
	mmput(mm);
	owned_stop(&gpu);
	is(*word, 0, "when the memory is gone its bytes are, too");
	munmap(word, PAGE);
	soft_gone(soft, live);
	close(fd);
}

static void *seen_owner;

static void note_owner(struct recorder *r, const struct mmu_notifier_range *range)
{
	seen_owner = range->owner;
}

static void test_there_and_back(void)
{
	struct mmun_soft_entry entry;
	unsigned long faults;
	size_t free;

	begin(64, 0);
	owned_start_type(&other, soft, OWNED_FRAMES, MEMORY_DEVICE_COHERENT);
	soft_tag(mm, at, 4, 100);
	record(&recorder, mm);
	recorder.in_start = note_owner;
	free = soft_free_frames(soft);
	is(owned_move(&gpu, mm, at, 8, true), 8, "pages move to the device, or come to be there");
	is(recorder.nr, 2, "in two sections");
	ok(recorder.event[0].class == MMU_NOTIFY_MIGRATE && seen_owner == &gpu, "by whom is said");
	is(soft_free_frames(soft), free + 4, "their frames are free");
	entry = soft_entry(mm, at);
	ok(entry.present && !entry.device && entry.writable && entry.dirty, "an entry maps it");
	ok(entry.refcount == 1 && entry.mapcount == 1, "and counts");
	is(pages_in_device(mm, at, 8), 8, "there");
	faults = soft_stats_of(soft).faults;
	is(soft_tagged(mm, at, 4, 100), 4, "a processor reads the contents");
	is(soft_peek(mm, at + 7 * PAGE), 0, "and zeroes of what was not there");
	soft_tag(mm, at, 8, 200);
	is(soft_tagged(mm, at, 8, 200), 8, "and writes");
	is(soft_stats_of(soft).faults, faults, "without a fault");
	is(gpu.faults, 0, "of which the driver would hear");
	is(owned_move(&other, mm, at, 8, true), 0, "it is not the machine's for another");
	is(owned_move(&other, mm, at, 8, false), 0, "nor another's to move back");
	forget(&recorder);
	is(owned_move(&gpu, mm, at, 4, false), 4, "its own driver moves it back");
	ok(just_one(&recorder, MMU_NOTIFY_MIGRATE, MMUN_OP_MIGRATE, at, 4), "in one section");
	is(pages_in_device(mm, at, 8), 4, "what was asked for");
	is(gpu.nr_free, OWNED_FRAMES - 4, "the frames are the driver's again");
	is(soft_tagged(mm, at, 8, 200), 8, "nothing is lost");
	entry = soft_entry(mm, at);
	ok(entry.writable && entry.dirty, "nor what an entry said");
	stop_recording(&recorder, mm);
	mmput(mm);
	owned_stop(&other);
	owned_stop(&gpu);
	soft_gone(soft, live);
}

/* Each call of memory management finds a page there. */
static void test_calls(void)
{
	unsigned long moved, value;

	begin(64, 64);
	soft_tag(mm, at, 8, 100);
	is(owned_move(&gpu, mm, at, 8, true), 8, "there");
	is(mmun_soft_mprotect(mm, at, PAGE, PROT_READ), 0, "mprotect()");
	ok(in_device(mm, at) && !soft_entry(mm, at).writable, "takes the right there");
	is(mmun_soft_write(mm, at, &value, 1, NULL), -EFAULT, "none may write");
	is(mmun_soft_mprotect(mm, at, PAGE, RW), 0, "until that is undone");
	soft_poke(mm, at, 100);
	ok(in_device(mm, at), "still there");
	is(mmun_soft_madvise(mm, at + PAGE, PAGE, MADV_DONTNEED), 0, "MADV_DONTNEED");
	is(gpu.nr_free, OWNED_FRAMES - 7, "gives its frame to the driver");
	is(soft_peek(mm, at + PAGE), 0, "and forgets it");
	is(mmun_soft_madvise(mm, at + 2 * PAGE, PAGE, MADV_FREE), 0, "MADV_FREE");
	ok(soft_entry(mm, at + 2 * PAGE).dirty, "leaves it, as it does not age");
	moved = mmun_soft_mremap(mm, at + 3 * PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE, 0);
	ok(!mmun_soft_is_error(moved) && in_device(mm, moved), "mremap() takes it along");
	is(soft_peek(mm, moved), 103, "as it is");
	is(mmun_soft_mlock(mm, at + 4 * PAGE, PAGE), 0, "mlock()");
	ok(in_device(mm, at + 4 * PAGE), "leaves it there");
	is(mmun_soft_madvise(mm, at + 5 * PAGE, PAGE, MADV_PAGEOUT), 0, "MADV_PAGEOUT");
	is(mmun_soft_madvise(mm, at + 5 * PAGE, PAGE, MADV_COLD), 0, "MADV_COLD");
	ok(in_device(mm, at + 5 * PAGE) && soft_entry(mm, at + 5 * PAGE).dirty, "so do they");
	is(mmun_soft_clear_soft_dirty(mm), 0, "clear_refs");
	ok(!soft_entry(mm, at + 5 * PAGE).writable, "write-protects it");
	soft_poke(mm, at + 5 * PAGE, 5);
	ok(in_device(mm, at + 5 * PAGE), "a write of its only user needs no other page");
	is(mmun_soft_migrate(mm, at + 6 * PAGE), -ENOENT, "it is no page of the machine to move");
	is(mmun_soft_munmap(mm, at + 6 * PAGE, 2 * PAGE), 0, "munmap()");
	is(gpu.nr_free, OWNED_FRAMES - 5, "the rest is free");
	is(mmun_soft_oom_reap(mm), 0, "the reaper");
	is(gpu.nr_free, OWNED_FRAMES, "takes all");
	end();
}

static void test_left_alone(void)
{
	unsigned long twin = 0, start;
	struct page *page;

	begin(2048, 64);
	for (int i = 0; i < 4; i++)
		soft_poke(mm, at + (unsigned long)i * PAGE, 9);
	is(owned_move(&gpu, mm, at, 2, true), 2, "there");
	mmun_soft_reclaim(soft, 64);
	mmun_soft_reclaim(soft, 64);
	is(pages_in_device(mm, at, 2), 2, "reclaim leaves it");
	is(soft_peek(mm, at + 2 * PAGE) + soft_peek(mm, at + 3 * PAGE), 18, "others may go");
	mmun_soft_madvise(mm, at, 4 * PAGE, MADV_MERGEABLE);
	for (int i = 0; i < 3; i++)
		twin += mmun_soft_ksm_scan(soft);
	ok(soft_entry(mm, at + 2 * PAGE).ksm, "equal pages of the machine are merged");
	is(twin, 1, "and no other");
	is(pages_in_device(mm, at, 2), 2, "not those in a device");
	is(owned_move(&gpu, mm, at + 2 * PAGE, 2, true), 0, "nor do merged ones move there");
	start = soft_map(mm, 1ul << 30, 512, RW, PRIVATE, NULL);
	soft_tag(mm, start, 512, 1);
	is(owned_move(&gpu, mm, start + 7 * PAGE, 1, true), 1, "one of 512");
	is(mmun_soft_collapse(mm, start), -EINVAL, "keeps them from being one huge page");
	is(owned_move(&gpu, mm, start + 7 * PAGE, 1, false), 1, "when it is back");
	is(mmun_soft_collapse(mm, start), 0, "they are");
	is(owned_move(&gpu, mm, start + 7 * PAGE, 2, true), 2, "of which a part moves");
	ok(!soft_entry(mm, start).huge && soft_entry(mm, start).present, "the rest is small then");
	is(soft_tagged(mm, start, 512, 1), 512, "nothing is lost");
	mmap_read_lock(mm);
	is(mmun_soft_make_device_exclusive(mm, at, 1, &page, &gpu), 1, "one lends pages");
	ok(!page, "of the machine only");
	mmap_read_unlock(mm);
	end();
}

static void test_fork(void)
{
	struct mm_struct *child;
	size_t free;

	begin(64, 0);
	soft_tag(mm, at, 4, 100);
	is(owned_move(&gpu, mm, at, 4, true), 4, "there");
	is(mmun_soft_mm_fork(mm, &child), 0, "fork");
	is(soft_entry(mm, at).mapcount, 2, "both have the page");
	ok(!soft_entry(mm, at).writable && !soft_entry(child, at).writable, "neither may write");
	free = soft_free_frames(soft);
	soft_poke(mm, at, 5);
	ok(!in_device(mm, at) && in_device(child, at), "a write makes a copy in the machine");
	is(soft_free_frames(soft), free - 1, "of one page");
	is(soft_peek(child, at), 100, "which is not the other's");
	is(soft_peek(child, at + PAGE), 101, "a read leaves it");
	is(owned_move(&gpu, child, at, 4, false), 4, "moved back");
	is(pages_in_device(mm, at, 4) + pages_in_device(child, at, 4), 0, "for both");
	is(owned_move(&gpu, child, at + PAGE, 3, true), 3, "and there again");
	is(pages_in_device(mm, at, 4) + pages_in_device(child, at, 4), 6, "for both");
	mmput(child);
	is(gpu.nr_free, OWNED_FRAMES - 3, "the child's end leaves the parent's");
	soft_poke(mm, at + PAGE, 1);
	ok(in_device(mm, at + PAGE), "who alone has them now, and writes in place");
	is(soft_tagged(mm, at + 2 * PAGE, 2, 102), 2, "all of them");
	end();
}

static void test_pins(void)
{
	struct mm_struct *child;
	struct page *page;

	begin(64, 0);
	soft_tag(mm, at, 4, 100);
	is(owned_move(&gpu, mm, at, 4, true), 4, "there");
	is(pin(at, FOLL_WRITE, &page), 1, "get_user_pages()");
	is(mmun_soft_page_memory_type(page), MEMORY_DEVICE_COHERENT, "gives the page there");
	is(owned_move(&gpu, mm, at, 1, false), 0, "which does not move while somebody has it");
	ok(in_device(mm, at) && soft_entry(mm, at).writable, "and is as it was");
	is(pin(at, FOLL_WRITE | FOLL_PIN | FOLL_LONGTERM, &page), -EBUSY, "nor for long");
	mmun_soft_put_page(page);
	ok(!mmun_soft_page_pinned(page), "which is no pin");
	is(pin(at, FOLL_WRITE | FOLL_PIN, &page), 1, "a pin");
	ok(mmun_soft_page_pinned(page), "is one");
	is(owned_move(&gpu, mm, at, 1, false), 0, "keeps it");
	is(mmun_soft_mm_fork(mm, &child), 0, "also from being shared by fork");
	ok(in_device(mm, at) && !in_device(child, at), "the child has a copy of the machine's");
	is(soft_peek(child, at), 100, "with what it had");
	mmput(child);
	mmun_soft_unpin_page(page);
	record(&recorder, mm);
	is(pin(at, FOLL_WRITE | FOLL_PIN | FOLL_LONGTERM, &page), 1, "a pin for long");
	is(mmun_soft_page_memory_type(page), 0, "is of a page of the machine");
	is(recorder.nr, 1, "to which the page moves before:");
	ok(just_one(&recorder, MMU_NOTIFY_CLEAR, MMUN_OP_MIGRATE, at, 1), "notifiers hear of it");
	ok(!in_device(mm, at) && soft_entry(mm, at).writable, "it is what is mapped");
	is(*(unsigned long *)mmun_soft_page_address(page), 100, "it has what was there");
	is(gpu.nr_free, OWNED_FRAMES - 3, "the frame is the driver's");
	is(owned_move(&gpu, mm, at, 1, true), 0, "and it stays");
	mmun_soft_unpin_page(page);
	is(owned_move(&gpu, mm, at, 1, true), 1, "until it is let go");
	is(pin(at + PAGE, FOLL_LONGTERM, &page), 1, "to read it is the same");
	ok(!in_device(mm, at + PAGE), "it moves");
	mmun_soft_put_page(page);
	stop_recording(&recorder, mm);
	end();
}

/* A child has the page as well. */
static void test_long_pin_of_shared(void)
{
	struct mm_struct *child;
	struct page *page;

	begin(64, 0);
	soft_tag(mm, at, 2, 100);
	is(owned_move(&gpu, mm, at, 2, true), 2, "there");
	is(mmun_soft_mm_fork(mm, &child), 0, "and a child");
	is(pin(at, FOLL_PIN | FOLL_LONGTERM, &page), 1, "a pin for long, to read");
	ok(!in_device(mm, at), "of the parent's own copy");
	is(soft_peek(child, at), 100, "the child's is what it was");
	is(soft_peek(mm, at), 100, "as is the parent's");
	mmun_soft_unpin_page(page);
	is(pin(at + PAGE, FOLL_LONGTERM, &page), 1, "a reference for long");
	ok(!in_device(mm, at + PAGE) && !in_device(child, at + PAGE), "moves it for both");
	is(soft_entry(child, at + PAGE).mapcount, 2, "who share it still");
	mmun_soft_put_page(page);
	mmput(child);
	end();
}

static void test_device_sees(void)
{
	struct mmun_soft_translation t;
	unsigned long value = 0;

	begin(64, 0);
	soft_tag(mm, at, 2, 100);
	is(owned_move(&gpu, mm, at, 2, true), 2, "there");
	is(mmun_soft_translate_present(mm, at, &t), 0, "any secondary MMU finds it");
	ok(t.writable && t.page == mmun_soft_pfn_page(soft, soft_entry(mm, at).pfn), "to write");
	is(mmun_soft_device_read(mm, at, &t, &value, sizeof(value)), 0, "reads");
	is(value, 100, "what is there");
	value = 5;
	is(mmun_soft_device_write(mm, at, &t, &value, sizeof(value)), 0, "and writes");
	is(soft_peek(mm, at), 5, "as a processor sees");
	is(owned_move(&gpu, mm, at, 1, false), 1, "it moves back");
	is(mmun_soft_device_read(mm, at, &t, &value, sizeof(value)), -EFAULT,
	   "and what was known of it is stale");
	is(violations, 1, "which is a violation");
	is(owned_move(&gpu, mm, at, 1, true), 1, "there again");
	is(mmun_soft_device_read(mm, at, &t, &value, sizeof(value)), -EFAULT,
	   "also when the same frame is used again");
	is(mmun_soft_munmap(mm, at, 8 * PAGE), 0, "nothing of it stays");
	mmun_soft_memunmap_pages(&gpu.pgmap);
	is(mmun_soft_device_read(mm, at, &t, &value, sizeof(value)), -EFAULT,
	   "and when the memory is gone");
	is(violations, 3, "each time");
	mmput(mm);
	pthread_mutex_destroy(&gpu.lock);
	soft_gone(soft, live);
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
	is(pages_in_device(mm, at, 4) + pages_in_device(child, at, 4), 0, "to both");
	is(soft_tagged(child, at, 4, 100) + soft_tagged(mm, at, 4, 100), 8, "with their contents");
	mmput(child);
	end();
}

static void *remove_memory(void *arg)
{
	mmun_soft_memunmap_pages(&gpu.pgmap);
	return NULL;
}

static void test_reference(void)
{
	struct page *first;
	pthread_t thread;

	begin(64, 0);
	first = mmun_soft_pfn_page(soft, gpu.first);
	ok(!mmun_soft_get_dev_pagemap(soft, 0), "a frame of the machine is no device's");
	ok(!mmun_soft_get_dev_pagemap(soft, gpu.first + OWNED_FRAMES), "nor one that is not there");
	ok(mmun_soft_get_dev_pagemap(soft, gpu.first + 1) == &gpu.pgmap,
	   "others say whose they are");
	pthread_create(&thread, NULL, remove_memory, NULL);
	while (mmun_soft_get_dev_pagemap(soft, gpu.first)) {
		mmun_soft_put_dev_pagemap(&gpu.pgmap);
		sched_yield();
	}
	ok(mmun_soft_pfn_page(soft, gpu.first) == first,
	   "memory that is to go stays while asked for");
	mmun_soft_put_dev_pagemap(&gpu.pgmap);
	pthread_join(thread, NULL);
	ok(!mmun_soft_pfn_page(soft, gpu.first), "and then goes");
	pthread_mutex_destroy(&gpu.lock);
	mmput(mm);
	soft_gone(soft, live);
}

static void test_exit(void)
{
	begin(64, 0);
	soft_tag(mm, at, 8, 100);
	is(owned_move(&gpu, mm, at, 8, true), 8, "there");
	is(gpu.nr_free, OWNED_FRAMES - 8, "in use");
	end();
}

static long fail_after;

static bool fail_later(size_t size)
{
	return fail_after-- <= 0;
}

/* Each allocation of a sequence fails once, and all that follow it. */
static void test_failures(void)
{
	const unsigned int long_pin = FOLL_WRITE | FOLL_PIN | FOLL_LONGTERM;
	bool all = false;
	long steps = 0, lost = 0;

	for (; !all && steps < 200; steps++) {
		struct page *page = NULL;
		long got;

		begin(64, 0);
		soft_tag(mm, at, 4, 100);
		fail_after = steps;
		mmun_store_release(&mmun_alloc_fail, fail_later);
		all = owned_move(&gpu, mm, at, 8, true) == 8;
		got = pin(at, long_pin, &page);
		all &= got == 1;
		lost += got != 1 && got != -ENOMEM;
		all &= owned_move(&gpu, mm, at + PAGE, 7, false) == 7;
		mmun_store_release(&mmun_alloc_fail, NULL);
		lost += soft_tagged(mm, at, 4, 100) != 4 || soft_peek(mm, at + 7 * PAGE) != 0;
		if (got == 1)
			mmun_soft_unpin_page(page);
		end();
	}
	ok(all && steps > 4, "each step fails, until nothing does");
	is(lost, 0, "and nothing is lost");
}

/* Each thread has a page, which only it writes; what it reads must be what it wrote last. */
#define THREADS 3
#define SECONDS 1

static bool stop;
static unsigned long wrong, pinned;

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
		sched_yield();
		owned_move(o, mm, at, 8, false);
		owned_move(o, mm, at, 8, true);
		owned_evict(o);
	}
	return NULL;
}

/* A page that is pinned for long is of the machine, and the one that is mapped. */
static void *pin_for_long(void *arg)
{
	struct page *page;

	while (!mmun_load_acquire(&stop)) {
		for (unsigned long i = 0; i < THREADS; i++) {
			if (pin(at + i * PAGE, FOLL_WRITE | FOLL_PIN | FOLL_LONGTERM, &page) != 1)
				continue;
			__atomic_add_fetch(&pinned, 1, __ATOMIC_RELAXED);
			if (mmun_soft_page_memory_type(page) ||
			    soft_entry(mm, at + i * PAGE).pfn != mmun_soft_page_pfn(page))
				__atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
			mmun_soft_unpin_page(page);
		}
		sched_yield();
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
		mmun_soft_madvise(mm, at + 6 * PAGE, 2 * PAGE, MADV_DONTNEED);
	}
	return NULL;
}

static void test_threads(void)
{
	pthread_t thread[THREADS + 4];

	begin(128, 128);
	owned_start(&other, soft, OWNED_FRAMES);
	stop = false;
	for (unsigned long i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, work, (void *)(uintptr_t)i);
	pthread_create(&thread[THREADS], NULL, migrate, &gpu);
	pthread_create(&thread[THREADS + 1], NULL, migrate, &other);
	pthread_create(&thread[THREADS + 2], NULL, fork_and_exit, NULL);
	pthread_create(&thread[THREADS + 3], NULL, pin_for_long, NULL);
	poll(NULL, 0, SECONDS * 1000);
	mmun_store_release(&stop, true);
	for (int i = 0; i < THREADS + 4; i++)
		pthread_join(thread[i], NULL);
	is(wrong, 0, "everybody read what was written last");
	ok(gpu.there && gpu.back && other.there && pinned, "pages went there and came back");
	diag("%lu and %lu there, %lu pinned", gpu.there, other.there, pinned);
	mmput(mm);
	owned_stop(&other);
	owned_stop(&gpu);
	soft_gone(soft, live);
}

int main(void)
{
	test_memory();
	test_in_memfd();
	test_there_and_back();
	test_calls();
	test_left_alone();
	test_fork();
	test_pins();
	test_long_pin_of_shared();
	test_device_sees();
	test_evict();
	test_reference();
	test_exit();
	test_failures();
	test_threads();
	return tap_done();
}
