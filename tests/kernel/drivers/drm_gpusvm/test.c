/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Shared virtual memory by drm_gpusvm.c: ranges that come with faults and go with munmap(), and by
 * drm_pagemap.c in the memory of the device.
 */
#include "../../machine.h"

#include "device.h"

#include <linux/mmu_notifier.h>

#define ROUNDS 200

static unsigned long in_memory;

static void use_own(unsigned long address, const struct entry *entry)
{
	struct mmun_soft_translation t;
	unsigned long *words;

	if (mmun_soft_translate_device(mm, address, &gpu, &t) || !is_device_private_page(t.page) ||
	    gpu_page_address(t.page) != entry->address) {
		stale++;
		return;
	}
	words = gpu_memory(entry->address);
	if ((words[0] && words[0] != address) || (words[1] && words[1] != address))
		foreign++;
	words[1] = address;
	in_memory++;
}

/* One access; false: there is no entry. */
static bool reach(unsigned long address)
{
	const struct entry *entry = &gpu.table[(address - MEMORY) / PAGE_SIZE];
	bool valid;

	mutex_lock(&gpu.lock);
	valid = entry->valid;
	if (valid && entry->own)
		use_own(address, entry);
	else if (valid)
		use_page(address, PFN_DOWN(entry->address), true, &gpu);
	mutex_unlock(&gpu.lock);
	return valid;
}

static int gpu_access(unsigned long address, bool own)
{
	for (int i = 0; i < 100; i++) {
		int ret;

		if (reach(address))
			return 0;
		ret = gpu_fault(address, own);
		if (ret)
			return ret;
	}
	return -EAGAIN;
}

static bool is_in_memory(unsigned long address)
{
	struct mmun_soft_translation t;

	return !mmun_soft_translate_device(mm, address, &gpu, &t) && is_device_private_page(t.page);
}

static void begin(bool mixed)
{
	start_machine();
	is(mmun_compat_load(), 0, "the module");
	gpu_start(mm);
	gpu.mixed = mixed;
	map(MEMORY, PAGES);
}

static void end(void)
{
	leave_task();
	for (unsigned long i = 0; i < PAGES; i++)
		ok(!reach(MEMORY + i * PAGE_SIZE), "no entry after exit");
	is(gpu_fault(MEMORY, false), -EFAULT, "and no fault");
	gpu_stop();
	is(gpu.destroyed, 1, "the device's memory is given up");
	is(gpu.devices, 0, "and the device");
	mmun_compat_unload();
	stop_machine(0);
}

static void test_ranges(void)
{
	unsigned long at = MEMORY;

	is(gpu_access(at, false), 0, "a fault");
	ok(reach(at + (CHUNK_PAGES - 1) * PAGE_SIZE), "brings a range");
	ok(!reach(at + CHUNK_PAGES * PAGE_SIZE), "not the next one");
	is(task_reads(at + 8), at, "the task reads what the device wrote");
	mmun_soft_madvise(mm, at, PAGE_SIZE, MADV_DONTNEED);
	ok(!reach(at), "no entry after DONTNEED");
	is(gpu_access(at, false), 0, "but after a fault");
	is(gpu.removed, 0, "in the same range");
	map_intruder(at + PAGE_SIZE);
	gpu_collect_garbage();
	is(gpu.removed, 1, "a part that is unmapped ends the range");
	is(gpu.evicted, 1, "after what is left has come back from the device's memory");
	is(gpu_access(at + PAGE_SIZE, false), 0, "a fault during which there is a section");
	unmap_intruder();
	mmun_soft_mprotect(mm, at, PAGE_SIZE, PROT_READ);
	ok(!reach(at), "no entry after mprotect");
	is(gpu_access(at, false), -EPERM, "and no fault to write");
	mmun_soft_munmap(mm, at, CHUNK_PAGES * PAGE_SIZE);
	is(gpu_access(at, false), -ENOENT, "nor where nothing is mapped");
	map(at, CHUNK_PAGES);
	is(gpu_access(at, false), 0, "but where something is again");
	mmun_compat_non_block(1);
	is(mmun_soft_oom_reap(mm), -EAGAIN, "the callback refuses where it must not sleep");
	mmun_compat_non_block(-1);
	nothing_stale("ranges");
}

static void test_memory(void)
{
	/* A range that was made without this in mind stays in the machine's. */
	unsigned long at = MEMORY + CHUNK_PAGES * PAGE_SIZE;

	for (unsigned long i = 0; i < CHUNK_PAGES; i++)
		stamp(at + i * PAGE_SIZE);
	is(gpu_access(at, true), 0, "a fault that moves a range to the device's memory");
	ok(is_in_memory(at) && is_in_memory(at + (CHUNK_PAGES - 1) * PAGE_SIZE), "it is there");
	is(in_memory, 1, "and used there");
	is(task_reads(at + 8), at, "the task reads what the device wrote");
	ok(!is_in_memory(at) && !reach(at), "which brought the range back");
	is(gpu_access(at, true), 0, "there again");
	ok(is_in_memory(at) && gpu.block, "in a block");
	is(gpu_evict(), 0, "which is evicted");
	ok(!is_in_memory(at) && !reach(at), "and is empty");
	ok(!gpu.block, "and free");
	is(task_reads(at), at, "nothing is lost");
	is(gpu_access(at, true), 0, "there again");
	mmun_soft_munmap(mm, at + PAGE_SIZE, PAGE_SIZE);
	ok(!reach(at), "a hole takes the entries of its range");
	gpu_collect_garbage();
	ok(!is_in_memory(at), "and the pages from the device's memory");
	map(at + PAGE_SIZE, 1);
	nothing_stale("the device's memory");
}

static void test_changes(bool own, const char *what)
{
	struct changer changer = { 0 };
	unsigned long done = 0, other = 0, failed = 0;

	start_changer(&changer, PAGES);
	while (done < ROUNDS || changes(&changer) < ROUNDS) {
		unsigned long at = MEMORY + (done * 5 + failed) % PAGES * PAGE_SIZE;
		int ret = gpu_access(at, own && done % 4);

		if (own && done % 16 == 0)
			gpu_evict();
		done += !ret;
		failed += !!ret;
		other += ret && ret != -EAGAIN && ret != -EBUSY && ret != -EFAULT &&
			 ret != -EPERM && ret != -ENOENT;
	}
	stop_changer(&changer);
	diag("%s: %lu accesses, %lu failed, %lu changes, %lu to memory, %lu back, %lu evicted",
	     what, done, failed, changes(&changer), gpu.to_memory, gpu.to_ram, gpu.evicted);
	is(other, 0, "%s: no other error", what);
	nothing_stale(what);
}

static bool hear_nothing(struct mmu_interval_notifier *mni, const struct mmu_notifier_range *range,
			 unsigned long cur_seq)
{
	return true;
}

static void test_control(void)
{
	static const struct mmu_interval_notifier_ops deaf = { .invalidate = hear_nothing };
	struct drm_gpusvm_notifier *notifier;
	const struct mmu_interval_notifier_ops *ops;

	is(gpu_access(MEMORY, false), 0, "an entry");
	notifier = drm_gpusvm_notifier_find(&gpu.svm, MEMORY, MEMORY + PAGE_SIZE);
	ops = notifier->notifier.ops;
	notifier->notifier.ops = &deaf;
	mmun_soft_madvise(mm, MEMORY, PAGE_SIZE, MADV_DONTNEED);
	ok(reach(MEMORY), "stays under a callback that does nothing");
	is(stale, 1, "for a page that is gone");
	stale = 0;
	notifier->notifier.ops = ops;
	mmun_soft_madvise(mm, MEMORY, PAGE_SIZE, MADV_DONTNEED);
}

int main(void)
{
	begin(false);
	test_ranges();
	test_memory();
	test_control();
	test_changes(false, "against changes");
	test_changes(true, "in the device's memory against changes");
	ok(gpu.to_memory > 0 && gpu.to_ram > 0, "ranges went there and came back");
	end();
	begin(true);
	test_changes(true, "of both in one range against changes");
	end();
	return tap_done();
}
