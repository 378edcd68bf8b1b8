/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * primary/soft/{vma/area,call/map,call/munmap,call/brk}.c: mmap, munmap, heap, stack, drivers' mappings.
 */
#include "types.h"
#include "frame/page.h"
#include "recorder.h"
#include "layout.h"
#include "vma/vma.h"

#define TOP (MMUN_SOFT_TASK_SIZE - (128ul << 20))

static long map(struct scene *s, unsigned long at, size_t length, int flags, struct file *file,
		uint64_t offset)
{
	return (long)mmun_soft_mmap(s->mm, at, length, RW, flags, file, offset);
}

static void test_errors(void)
{
	struct scene s = scene_begin(NULL);
	struct file *f = soft_new_file(s.soft, "f", MMUN_SOFT_FILE_REGULAR, 4);

	is(map(&s, 0, 0, PRIVATE, NULL, 0), -EINVAL, "no length");
	is(map(&s, 0, PAGE, MAP_PRIVATE, f, 1), -EINVAL, "an odd offset");
	is(map(&s, 0, ~0ul, PRIVATE, NULL, 0), -ENOMEM, "a length that wraps");
	is(map(&s, 0, 1ul << 47, PRIVATE, NULL, 0), -ENOMEM, "more than there is");
	is(map(&s, AT(0) + 1, PAGE, PRIVATE | MAP_FIXED, NULL, 0), -EINVAL,
	   "fixed at an odd address");
	is(map(&s, PAGE, PAGE, PRIVATE | MAP_FIXED, NULL, 0), -EPERM, "or too low");
	is(map(&s, MMUN_SOFT_TASK_SIZE, PAGE, PRIVATE | MAP_FIXED, NULL, 0), -ENOMEM,
	   "or too high");
	is(map(&s, 0, PAGE, MAP_ANONYMOUS, NULL, 0), -EINVAL, "neither shared nor private");
	is(map(&s, 0, PAGE, MAP_SHARED | MAP_PRIVATE, NULL, 0), -EINVAL, "both, anonymous");
	is(map(&s, 0, PAGE, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN, NULL, 0), -EINVAL,
	   "a shared stack");
	is(map(&s, 0, PAGE, MAP_PRIVATE | MAP_GROWSDOWN, f, 0), -EINVAL, "a file as stack");
	is(map(&s, 0, 2 * PAGE, MAP_PRIVATE, f, ~0ul & MMUN_SOFT_PAGE_MASK), -EOVERFLOW,
	   "an offset that wraps");
	is(map(&s, 0, PAGE, MAP_PRIVATE, f, 1ul << 63), -EOVERFLOW, "or is larger than a file");
	is(map(&s, 0, 1ul << 63, MAP_PRIVATE, f, 1ul << 63), -ENOMEM,
	   "first of all there must be room");
	is(map(&s, AT(0), PAGE, MAP_SHARED_VALIDATE | MAP_FIXED_NOREPLACE, f, 0), -EOPNOTSUPP,
	   "a flag that MAP_SHARED_VALIDATE does not know");
	is(map(&s, 0, PAGE, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, NULL, 0), -ENOMEM,
	   "no pool of huge pages");
	is_layout(s.mm, "", "none of these maps anything");
	mmun_soft_file_put(f);
	scene_end(&s, "errors");
}

static void test_places(void)
{
	struct scene s = scene_begin(NULL);
	long a = map(&s, 0, 4 * PAGE, PRIVATE, NULL, 0), b = map(&s, 0, PAGE, PRIVATE, NULL, 0);

	is(a, (long)(TOP - 4 * PAGE), "the first one is at the top");
	is(map(&s, AT(8), PAGE, PRIVATE | MAP_FIXED, NULL, ~0ul & MMUN_SOFT_PAGE_MASK), (long)AT(8),
	   "an offset means nothing without a file");
	mmun_soft_munmap(s.mm, AT(8), PAGE);
	is(b, a - (long)PAGE, "the next one below");
	is(map(&s, AT(0) + 7, PAGE, PRIVATE, NULL, 0), (long)AT(0), "a free hint is taken");
	is(map(&s, AT(0), PAGE, PRIVATE, NULL, 0), b - (long)PAGE, "one that is not free is not");
	is(map(&s, 1, PAGE, PRIVATE, NULL, 0), b - 2 * (long)PAGE, "the first page is no hint");
	is(map(&s, PAGE, PAGE, PRIVATE, NULL, 0), (long)MMUN_SOFT_MIN_ADDRESS,
	   "a low hint is raised");
	mmun_soft_munmap(s.mm, TOP - 3 * PAGE, 2 * PAGE);
	is(map(&s, 0, 3 * PAGE, PRIVATE, NULL, 0), b - 5 * (long)PAGE, "a hole that is too small");
	is(map(&s, 0, 2 * PAGE, PRIVATE, NULL, 0), (long)(TOP - 3 * PAGE), "and one that is not");
	is(map(&s, 0, MMUN_SOFT_HUGE_SIZE, PRIVATE, NULL, 0) % (long)MMUN_SOFT_HUGE_SIZE, 0,
	   "whole huge pages are aligned");
	is(map(&s, TOP - PAGE, PAGE, PRIVATE | MAP_FIXED_NOREPLACE, NULL, 0), -EEXIST,
	   "MAP_FIXED_NOREPLACE replaces nothing");
	is(map(&s, TOP, PAGE, PRIVATE | MAP_FIXED_NOREPLACE, NULL, 0), (long)TOP,
	   "but takes what is free");
	scene_end(&s, "places");
}

/* The whole of the space: when what is below the base is full, what is above is used. */
static void test_full(void)
{
	struct scene s = scene_begin(NULL);
	const size_t all = TOP - MMUN_SOFT_MIN_ADDRESS;

	is(map(&s, 0, all, PRIVATE, NULL, 0), (long)MMUN_SOFT_MIN_ADDRESS, "all below the base");
	is(map(&s, 0, PAGE, PRIVATE, NULL, 0), (long)(MMUN_SOFT_TASK_SIZE - PAGE), "then above");
	is(map(&s, 0, 1ul << 30, PRIVATE, NULL, 0), -ENOMEM, "1 GiB is not there");
	scene_end(&s, "full");
}

/* The gaps that the tree knows, against a list of what is free. */
static void test_gaps(void)
{
	enum { PAGES = 256 };
	static bool used[PAGES];
	struct scene s = scene_begin(NULL);
	unsigned int seed = 1, wrong = 0;

	memset(used, 0, sizeof(used));
	/* Nothing but the last 256 pages below the base is free. */
	map(&s, MMUN_SOFT_MIN_ADDRESS, TOP - PAGES * PAGE - MMUN_SOFT_MIN_ADDRESS,
	    PRIVATE | MAP_FIXED | MAP_NORESERVE, NULL, 0);
	map(&s, TOP, MMUN_SOFT_TASK_SIZE - TOP, PRIVATE | MAP_FIXED | MAP_NORESERVE, NULL, 0);
	for (int i = 0; i < 3000; i++) {
		long n = 1 + rand_r(&seed) % 12, at = -1, run = 0;
		mmun_soft_address got;

		if (rand_r(&seed) % 2) {
			at = rand_r(&seed) % (PAGES - n);
			mmun_soft_munmap(s.mm, TOP - (unsigned long)(PAGES - at) * PAGE,
					 (size_t)n * PAGE);
			memset(used + at, 0, (size_t)n);
			continue;
		}
		for (long p = PAGES - 1; p >= 0 && at < 0; p--) {
			run = used[p] ? 0 : run + 1;
			at = run == n ? p : -1;
		}
		got = mmun_soft_mmap(s.mm, 0, (size_t)n * PAGE, rand_r(&seed) % 8, PRIVATE, NULL,
				     0);
		wrong += got != (at < 0 ? (mmun_soft_address)-ENOMEM
					: TOP - (unsigned long)(PAGES - at) * PAGE);
		if (at >= 0)
			memset(used + at, 1, (size_t)n);
	}
	is(wrong, 0, "3000 times the highest gap that is wide enough");
	scene_end(&s, "gaps");
}

static void test_unmap(void)
{
	struct scene s = scene_begin(NULL);
	size_t frames = soft_free_frames(s.soft);

	is(mmun_soft_munmap(s.mm, AT(0) + 1, PAGE), -EINVAL, "munmap at an odd address");
	is(mmun_soft_munmap(s.mm, AT(0), 0), -EINVAL, "of nothing");
	is(mmun_soft_munmap(s.mm, MMUN_SOFT_TASK_SIZE, PAGE), -EINVAL, "beyond the end");
	is(mmun_soft_munmap(s.mm, AT(0), PAGE), 0, "of a hole");
	scene_fill(&s, 0, 8, 1);
	is(mmun_soft_munmap(s.mm, AT(2), 3 * PAGE - 5), 0, "out of the middle");
	is_layout(s.mm, "0-2 rw-p, 5-8 rw-p", "leaves both ends");
	is((long)frames - (long)soft_free_frames(s.soft), 5, "and their pages");
	is(soft_peek(s.mm, AT(5)), 6, "each with its contents");
	is(mmun_soft_munmap(s.mm, AT(0), 8 * PAGE), 0, "over the hole");
	is_layout(s.mm, "", "nothing is left");
	is(soft_free_frames(s.soft), frames, "no frame either");
	scene_end(&s, "munmap");
}

static void test_events(void)
{
	struct scene s = scene_begin(NULL);
	struct recorder r;

	scene_fill(&s, 0, 4, 1);
	record(&r, s.mm);
	map(&s, AT(8), 4 * PAGE, PRIVATE | MAP_FIXED, NULL, 0);
	is(forget(&r), 0, "a new mapping calls no notifier");
	mmun_soft_munmap(s.mm, AT(4), 4 * PAGE);
	is(forget(&r), 0, "nor does the munmap of a hole");
	mmun_soft_munmap(s.mm, AT(0) + 1, PAGE);
	is(forget(&r), 0, "nor one that fails");
	map(&s, AT(1), 2 * PAGE, PRIVATE | MAP_FIXED, NULL, 0);
	ok(just_one(&r, MMU_NOTIFY_UNMAP, MMUN_OP_MMAP_FIXED, AT(1), 2),
	   "MAP_FIXED notifies of its range");
	mmun_soft_munmap(s.mm, AT(0), 10 * PAGE);
	ok(just_one(&r, MMU_NOTIFY_UNMAP, MMUN_OP_MUNMAP, AT(0), 10),
	   "S3: munmap of several mappings and a hole is one section");
	is_layout(s.mm, "10-12 rw-p", "what was not meant stays");
	stop_recording(&r, s.mm);
	scene_end(&s, "events");
}

static bool still_there;

static void look_at_start(struct recorder *r, const struct mmu_notifier_range *range)
{
	struct mmun_soft_translation t;

	still_there = !mmun_soft_translate_present(range->mm, range->start, &t) &&
		      !soft_page_test(t.page, SOFT_PAGE_FREE);
}

static void test_start_is_before(void)
{
	struct scene s = scene_begin(NULL);
	struct recorder r;

	scene_fill(&s, 0, 1, 1);
	record(&r, s.mm);
	r.in_start = look_at_start;
	mmun_soft_munmap(s.mm, AT(0), PAGE);
	ok(still_there, "S2: when the section starts, the page is still there");
	stop_recording(&r, s.mm);
	scene_end(&s, "start");
}

static void test_populate(void)
{
	struct scene s = scene_begin(NULL);
	struct mmun_soft_entry entry;
	struct file *f = soft_new_file(s.soft, "f", MMUN_SOFT_FILE_SHMEM, 1);

	map(&s, AT(0), 2 * PAGE, PRIVATE | MAP_FIXED | MAP_POPULATE, NULL, 0);
	mmun_soft_pagemap(s.mm, AT(1), &entry);
	ok(entry.present && entry.writable, "MAP_POPULATE: there at once");
	map(&s, AT(2), PAGE, PRIVATE | MAP_FIXED | MAP_POPULATE | MAP_NONBLOCK, NULL, 0);
	mmun_soft_pagemap(s.mm, AT(2), &entry);
	ok(!entry.present, "not with MAP_NONBLOCK");
	map(&s, AT(4), PAGE, PRIVATE | MAP_FIXED | MAP_LOCKED, NULL, 0);
	mmun_soft_pagemap(s.mm, AT(4), &entry);
	ok(entry.present, "MAP_LOCKED: there too");
	ok(map(&s, AT(8), 2 * PAGE, MAP_SHARED | MAP_FIXED | MAP_POPULATE, f, 0) > 0,
	   "what cannot be had is left out");
	mmun_soft_pagemap(s.mm, AT(8), &entry);
	ok(entry.present && entry.file, "what can be is there");
	mmun_soft_file_put(f);
	scene_end(&s, "populate");
}

static void test_address_space(void)
{
	struct scene s = scene_begin(&(struct mmun_soft_params){ .address_space = 8 * PAGE });

	is(map(&s, AT(0), 9 * PAGE, PRIVATE | MAP_FIXED, NULL, 0), -ENOMEM, "over the limit");
	is(map(&s, AT(0), 8 * PAGE, PRIVATE | MAP_FIXED, NULL, 0), (long)AT(0), "up to it");
	is(map(&s, AT(8), PAGE, PRIVATE | MAP_FIXED, NULL, 0), -ENOMEM, "no more");
	is(map(&s, AT(2), 2 * PAGE, PRIVATE | MAP_FIXED | MAP_STACK, NULL, 0), (long)AT(2),
	   "what replaces does not count");
	is(map(&s, AT(7), 2 * PAGE, PRIVATE | MAP_FIXED, NULL, 0), -ENOMEM, "as far as it does");
	is(soft_mm(s.mm)->total_pages, 8, "nothing is lost by the refusal");
	mmun_soft_set_brk_base(s.mm, AT(64));
	is(mmun_soft_brk(s.mm, AT(65)), AT(64), "the heap counts");
	is(mmun_soft_mremap(s.mm, AT(0), PAGE, 2 * PAGE, MREMAP_MAYMOVE, 0), (unsigned long)-ENOMEM,
	   "and so does mremap");
	scene_end(&s, "address space");
}

static void test_brk(void)
{
	struct scene s = scene_begin(NULL);
	struct recorder r;

	is(mmun_soft_brk(s.mm, AT(1)), 0, "no heap");
	is(mmun_soft_set_brk_base(s.mm, 5), -EINVAL, "a base too low");
	is(mmun_soft_set_brk_base(s.mm, AT(0)), 0, "a base");
	is(mmun_soft_brk(s.mm, 0), AT(0), "the break is there");
	is(mmun_soft_brk(s.mm, AT(2) + 5), AT(2) + 5, "it moves up");
	is_layout(s.mm, "0-3 rw-p [heap]+0", "in whole pages");
	is(mmun_soft_set_brk_base(s.mm, AT(0)), -EBUSY, "the base stays");
	is(mmun_soft_brk(s.mm, AT(5)), AT(5), "further up");
	is_layout(s.mm, "0-5 rw-p [heap]+0", "the same mapping");
	soft_poke(s.mm, AT(4), 1);
	record(&r, s.mm);
	is(mmun_soft_brk(s.mm, AT(3)), AT(3), "and down");
	ok(just_one(&r, MMU_NOTIFY_UNMAP, MMUN_OP_BRK, AT(3), 2), "which is notified");
	is(mmun_soft_brk(s.mm, AT(3) - 9), AT(3) - 9, "inside the page");
	is(forget(&r), 0, "is not");
	stop_recording(&r, s.mm);
	map(&s, AT(8), PAGE, PRIVATE | MAP_FIXED, NULL, 0);
	is(mmun_soft_brk(s.mm, AT(7)), AT(7), "up to a page below another mapping");
	is(mmun_soft_brk(s.mm, AT(8)), AT(7), "not to it");
	is(mmun_soft_brk(s.mm, ~0ul), AT(7), "nor to the end of the world");
	is(mmun_soft_brk(s.mm, AT(0) - 1), AT(7), "nor below the base");
	scene_end(&s, "brk");
}

static void test_stack(void)
{
	struct scene s = scene_begin(NULL);
	const int stack = PRIVATE | MAP_FIXED | MAP_GROWSDOWN;
	struct mmun_soft_fault why;
	char byte = 1;

	map(&s, AT(4096), 2 * PAGE, stack, NULL, 0);
	is(mmun_soft_write(s.mm, AT(4090), &byte, 1, &why), 0, "a write below the stack");
	is_layout(s.mm, "4090-4098 rw-p [stack]+0", "makes it grow");
	map(&s, AT(3000), PAGE, PRIVATE | MAP_FIXED, NULL, 0);
	is(mmun_soft_write(s.mm, AT(3001 + 255), &byte, 1, &why), -EFAULT, "not into its guard");
	is(why.signal, SIGSEGV, "but SIGSEGV");
	is(mmun_soft_write(s.mm, AT(3001 + 256), &byte, 1, &why), 0, "just above it");
	is(map(&s, AT(2999), PAGE, PRIVATE, NULL, 0), (long)AT(2999), "a hint in the free");
	ok(map(&s, AT(3100), PAGE, PRIVATE, NULL, 0) != (long)AT(3100),
	   "one in the guard is not taken");
	map(&s, AT(8192), PAGE, stack, NULL, 0);
	is(mmun_soft_write(s.mm, AT(8192 - 2048), &byte, 1, &why), -EFAULT, "8 MiB at most");
	is(mmun_soft_write(s.mm, AT(8192 - 2047), &byte, 1, &why), 0, "that much");
	scene_end(&s, "stack");
}

/* A driver that counts, and answers as it is set. */
static struct {
	int mmap_result, opened, closed, released, split_result;
	bool insert, held, own;
	struct page *page;
	struct mmu_notifier mn;
} device;

static void device_open(struct vm_area_struct *vma)
{
	device.opened++;
}

static void device_close(struct vm_area_struct *vma)
{
	device.closed++;
}

static int device_may_split(struct vm_area_struct *vma, unsigned long address)
{
	return device.split_result;
}

static vm_fault_t device_fault(struct vm_fault *vmf)
{
	mmun_soft_get_page(device.page);
	vmf->page = device.page;
	return 0;
}

static const struct vm_operations_struct device_vm_ops = {
	.open = device_open,
	.close = device_close,
	.may_split = device_may_split,
	.fault = device_fault,
};

static const struct mmu_notifier_ops no_ops;

static int device_mmap(struct file *file, struct vm_area_struct *vma)
{
	device.held = mmap_read_trylock(vma->vm_mm);
	if (device.held)
		mmap_read_unlock(vma->vm_mm);
	vma->vm_ops = &device_vm_ops;
	vma->vm_flags |= VM_IO | VM_DONTEXPAND;
	if (device.insert)
		mmun_soft_vm_insert_page(vma, vma->vm_start, device.page);
	if (device.own) {
		device.mn.ops = &no_ops;
		if (__mmu_notifier_register(&device.mn, vma->vm_mm))
			return -EIO;
	}
	return device.mmap_result;
}

static struct mm_struct *release_locks;

static int device_release(struct inode *inode, struct file *file)
{
	device.released++;
	if (release_locks) {
		mmap_write_lock(release_locks);
		mmap_write_unlock(release_locks);
	}
	return 0;
}

static const struct file_operations device_fops = { .mmap = device_mmap,
						    .release = device_release };
static const struct file_operations no_mmap_fops = { .release = device_release };

static struct file *device_begin(struct scene *s, const struct file_operations *fops)
{
	struct file *file;

	memset(&device, 0, sizeof(device));
	device.page = mmun_soft_alloc_page(s->soft);
	memset(mmun_soft_page_address(device.page), 0x5a, PAGE);
	if (mmun_soft_device_create(s->soft, "/dev/test", fops, NULL, &file))
		bail_out("no device");
	return file;
}

static void test_device(void)
{
	struct scene s = scene_begin(NULL);
	struct file *f = device_begin(&s, &device_fops);
	struct recorder r;

	record(&r, s.mm);
	is(map(&s, AT(0), 4 * PAGE, MAP_SHARED | MAP_FIXED, f, 0), (long)AT(0),
	   "a device's mapping");
	ok(!device.held, "R4: its ->mmap runs with the mmap lock held for write");
	is(device.opened, 0, "->open is not for the first");
	is_layout(s.mm, "0-4 rw-s /dev/test+0", "it is there");
	is(soft_peek(s.mm, AT(1)), 0x5a5a5a5a5a5a5a5a, "the driver's page is seen");
	mmun_soft_zap_vma_ptes(mmun_soft_vma_lookup(s.mm, AT(0)), AT(1), PAGE);
	ok(just_one(&r, MMU_NOTIFY_CLEAR, MMUN_OP_DRIVER, AT(1), 1), "zap_vma_ptes notifies of it");
	mmun_soft_zap_vma_ptes(mmun_soft_vma_lookup(s.mm, AT(0)), AT(3), 2 * PAGE);
	is(forget(&r), 0, "and does nothing outside the mapping");
	device.split_result = -EBUSY;
	is(mmun_soft_munmap(s.mm, AT(1), PAGE), -EBUSY, "the driver refuses a split");
	device.split_result = 0;
	is(mmun_soft_munmap(s.mm, AT(1), PAGE), 0, "or not");
	is(device.opened, 2, "each part that is split off is opened");
	is(device.closed, 1, "the one that goes is closed");
	is_layout(s.mm, "0-1 rw-s /dev/test+0, 2-4 rw-s /dev/test+2", "two are left");
	stop_recording(&r, s.mm);
	release_locks = s.mm;
	mmun_soft_file_put(f);
	mmun_soft_munmap(s.mm, AT(0), 4 * PAGE);
	release_locks = NULL;
	is(device.closed, 3, "all are closed");
	is(device.released, 1, "->release may take the mmap lock");
	mmun_soft_put_page(device.page);
	scene_end(&s, "device");
}

static void test_device_refuses(void)
{
	struct scene s = scene_begin(NULL);
	struct file *f = device_begin(&s, &device_fops);

	scene_fill(&s, 0, 3, 1);
	device.mmap_result = -EBUSY;
	device.insert = true;
	is(map(&s, AT(1), PAGE, MAP_SHARED | MAP_FIXED, f, 0), -EBUSY, "a driver that refuses");
	is_layout(s.mm, "0-1 rw-p, 2-3 rw-p", "leaves a hole where MAP_FIXED had been");
	is(device.closed, 0, "and no mapping to close");
	mmun_soft_put_page(device.page);
	mmun_soft_file_put(f);
	is(device.released, 1, "nor a reference to the file");
	f = device_begin(&s, &no_mmap_fops);
	is(map(&s, AT(1), PAGE, MAP_SHARED | MAP_FIXED, f, 0), -ENODEV,
	   "a device that has no mmap");
	mmun_soft_put_page(device.page);
	mmun_soft_file_put(f);
	scene_end(&s, "refused");
}

/* The 2008 patch's case: a driver registers in its mmap. */
static void test_register_in_mmap(void)
{
	struct scene s = scene_begin(NULL);
	struct file *f = device_begin(&s, &device_fops);

	device.own = true;
	is(map(&s, AT(0), PAGE, MAP_SHARED | MAP_FIXED, f, 0), (long)AT(0),
	   "R4: a notifier is registered inside the driver's ->mmap");
	mmu_notifier_unregister(&device.mn, s.mm);
	mmun_soft_file_put(f);
	is(device.released, 0, "the mapping keeps the file");
	mmun_soft_put_page(device.page);
	mmgrab(s.mm);
	release_locks = s.mm;
	mmput(s.mm);
	release_locks = NULL;
	is(device.released, 1, "exit drops it when the mmap lock is free again");
	mmdrop(s.mm);
	s.mm = soft_new_mm(s.soft);
	scene_end(&s, "register in mmap");
	is(device.closed + device.released, 2, "exit closes the mapping and the file");
}

static int map_three(struct scene *s, struct file *f)
{
	long at = map(s, AT(0), 4 * PAGE, PRIVATE | MAP_FIXED, NULL, 0);

	if (at > 0)
		at = map(s, AT(1), PAGE, MAP_SHARED | MAP_FIXED, f, 0);
	if (at > 0)
		at = map(s, AT(2), PAGE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, NULL, 0);
	return at > 0 ? 0 : (int)at;
}

static void test_no_memory(void)
{
	struct scene s = scene_begin(NULL);
	struct file *f = soft_new_file(s.soft, "f", MMUN_SOFT_FILE_SHMEM, 4);
	int nth, ret = -1, odd = 0, leaks = 0;
	long live = mmun_alloc_live();

	for (nth = 1; nth < 100 && ret; nth++) {
		fail_allocation(nth);
		ret = map_three(&s, f);
		fail_allocation(0);
		odd += ret && ret != -ENOMEM;
		mmun_soft_munmap(s.mm, AT(0), 4 * PAGE);
		leaks += mmun_alloc_live() != live;
	}
	ok(!ret && nth > 5, "mmap succeeds after %d failures", nth - 2);
	is(odd, 0, "each was -ENOMEM");
	is(leaks, 0, "and left nothing behind");
	mmun_soft_file_put(f);
	scene_end(&s, "no memory");
}

int main(void)
{
	test_errors();
	test_places();
	test_full();
	test_gaps();
	test_unmap();
	test_events();
	test_start_is_before();
	test_populate();
	test_address_space();
	test_brk();
	test_stack();
	test_device();
	test_device_refuses();
	test_register_in_mmap();
	test_no_memory();
	return tap_done();
}
