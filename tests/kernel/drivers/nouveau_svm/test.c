/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Shared virtual memory of nouveau: faults of the device, atomic ones by pages that only the
 * device reaches, and pages in the device's memory.
 *
 * Left out because the driver has no order for it: migrations of two threads at once, which
 * write into one channel without a lock; and accesses while a page moves to the device's memory,
 * during which the old entry stays (test_old_entry() shows it).
 */
#include "../../machine.h"

#include "device.h"

#include <nouveau_dmem.h>
#include <nouveau_svm.h>
#include <nvif/if000c.h>

#define INST   7
#define ROUNDS 400
/* What the driver takes of the device's memory at once. */
#define CHUNK_PAGES 512ul

static struct device dev;
static struct drm_device drm_dev = { .dev = &dev };
static struct nouveau_drm drm = { .dev = &drm_dev };
static struct nouveau_cli cli = { .drm = &drm };
static struct drm_file file = { .driver_priv = &cli };
/* Held to move pages to the device's memory, and to read around accesses. */
static pthread_rwlock_t gate = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static unsigned long in_memory, atomics;

/* A page that only the device reaches: its content says whether it is still the address's. */
static void use_exclusively(unsigned long address, u64 entry)
{
	unsigned long *words = page_address(pfn_to_page(entry >> PAGE_SHIFT));

	if (words[0] && words[0] != address)
		foreign++;
	words[2]++;
	atomics++;
}

/* A page of the device's memory. */
static void use_own(unsigned long address, u64 entry, enum access access)
{
	struct mmun_soft_translation t;
	u64 at = entry & NVIF_VMM_PFNMAP_V0_ADDR;
	unsigned long *words;

	if (mmun_soft_translate_device(mm, address, &drm_dev, &t) ||
	    !is_device_private_page(t.page) || nouveau_dmem_page_addr(t.page) != at) {
		stale++;
		return;
	}
	words = gpu_memory(at);
	if ((words[0] && words[0] != address) || (words[1] && words[1] != address))
		foreign++;
	if (access == WRITE_ACCESS)
		words[1] = address;
	in_memory++;
}

/* One access through the tables; false: there is no entry for it. */
static bool reach(unsigned long address, enum access access)
{
	u64 entry;

	mutex_lock(&gpu.lock);
	entry = gpu_entry(address, access);
	if (entry & NVIF_VMM_PFNMAP_V0_VRAM)
		use_own(address, entry, access);
	else if (entry & NVIF_VMM_PFNMAP_V0_A)
		use_exclusively(address, entry);
	else if (entry)
		use_page(address, entry >> PAGE_SHIFT, access == WRITE_ACCESS, &drm_dev);
	mutex_unlock(&gpu.lock);
	return entry;
}

/* The device's access, with as many faults as it takes; false: a fault was cancelled. */
static bool gpu_access(unsigned long address, enum access access)
{
	for (;;) {
		unsigned long cancels = gpu.cancels;

		if (reach(address, access))
			return true;
		gpu_fault(&drm, INST, address, access);
		if (gpu.cancels != cancels)
			return false;
	}
}

static int to_memory(unsigned long start, unsigned long pages)
{
	struct drm_nouveau_svm_bind args = {
		.header = (u64)NOUVEAU_SVM_BIND_COMMAND__MIGRATE << NOUVEAU_SVM_BIND_COMMAND_SHIFT |
			  (u64)NOUVEAU_SVM_BIND_TARGET__GPU_VRAM << NOUVEAU_SVM_BIND_TARGET_SHIFT,
		.va_start = start,
		.va_end = start + pages * PAGE_SIZE,
	};

	return nouveau_svmm_bind(&drm_dev, &args, &file);
}

static bool is_in_memory(unsigned long address)
{
	struct mmun_soft_translation t;

	return !mmun_soft_translate_device(mm, address, &drm_dev, &t) &&
	       is_device_private_page(t.page);
}

static void begin(void)
{
	struct drm_nouveau_svm_init args = { .unmanaged_addr = 0x1000, .unmanaged_size = 0x1000 };

	start_machine();
	ok(gpu_start(&drm), "the driver comes up");
	mutex_init(&cli.mutex);
	cli.svm = (struct nouveau_vmm){ 0 };
	map(MEMORY, PAGES);
	is(nouveau_svmm_init(&drm_dev, &args, &file), 0, "the task's memory for the device");
	is(nouveau_svmm_init(&drm_dev, &args, &file), -EBUSY, "once");
	is(nouveau_svmm_join(cli.svm.svmm, INST), 0, "a channel in it");
}

/* What goes wrong with DMA addresses gives a warning. */
static unsigned long expected;

static void end(void)
{
	unsigned long used = 0;

	for (unsigned long i = 0; task && i < PAGES; i++)
		used += is_in_memory(MEMORY + i * PAGE_SIZE);
	nouveau_svmm_part(cli.svm.svmm, INST);
	nouveau_svmm_fini(&cli.svm.svmm);
	/* The driver unmaps an address for each page of its memory, used or not. */
	expected += CHUNK_PAGES - used;
	gpu_stop(&drm);
	for (unsigned long i = 0; task && i < PAGES; i++)
		if (task_reads(MEMORY + i * PAGE_SIZE) != MEMORY + i * PAGE_SIZE)
			foreign++;
	nothing_stale("the end");
	mmu_notifier_synchronize();
	stop_machine(expected);
	expected = 0;
}

static void stamp_all(void)
{
	for (unsigned long i = 0; i < PAGES; i++)
		stamp(MEMORY + i * PAGE_SIZE);
}

/* A page that does not move (it has moved before) is one whose DMA address the driver does not
 * set, and unmaps. */
static void test_unset_address(void)
{
	unsigned long before = mmun_compat_warnings();

	stamp_all();
	is(to_memory(MEMORY, 1), 0, "a page to the device's memory");
	is(mmun_compat_warnings(), before, "without a warning");
	is(to_memory(MEMORY, 2), 0, "and again, with one more");
	is(mmun_compat_warnings(), before + 1, "an address that was never set is unmapped");
	ok(is_in_memory(MEMORY) && is_in_memory(MEMORY + PAGE_SIZE), "both are there");
	expected++;
	stamp_all();
}

static void test_faults(void)
{
	unsigned long at = MEMORY;

	stamp(at);
	ok(gpu_access(at, READ_ACCESS), "the device reads");
	ok(!gpu_entry(at, ATOMIC_ACCESS), "by an entry that allows no more");
	ok(gpu_access(at, WRITE_ACCESS), "and writes");
	is(task_reads(at + 8), at, "what the task reads");
	mmun_soft_mprotect(mm, at, PAGE_SIZE, PROT_READ);
	ok(!gpu_entry(at, READ_ACCESS), "no entry after mprotect");
	ok(!gpu_access(at, WRITE_ACCESS), "and none to write");
	ok(gpu_access(at, READ_ACCESS), "but one to read");
	mmun_soft_munmap(mm, at, PAGE_SIZE);
	ok(!gpu_access(at, READ_ACCESS), "none where nothing is mapped");
	map(at, 1);
	gpu_fault(&drm, INST, at, PREFETCH_ACCESS);
	ok(!reach(at, READ_ACCESS), "what is only to be prefetched is not faulted in");
	gpu_fault(&drm, INST + 1, at, READ_ACCESS);
	ok(!reach(at, READ_ACCESS), "another channel's fault is cancelled");
	map_intruder(at);
	ok(gpu_access(at, WRITE_ACCESS), "a fault during which there is a section");
	unmap_intruder();
	mmun_compat_non_block(1);
	is(mmun_soft_oom_reap(mm), -EAGAIN, "the callback refuses where it must not sleep");
	mmun_compat_non_block(-1);
	nothing_stale("faults");
}

static void test_atomic(void)
{
	unsigned long at = MEMORY + PAGE_SIZE;
	struct mmun_soft_entry entry;

	stamp(at);
	for (int i = 0; i < 5; i++)
		ok(gpu_access(at, ATOMIC_ACCESS), "an atomic access");
	mmun_soft_pagemap(mm, at, &entry);
	ok(entry.device, "of a page that only the device reaches");
	is(task_reads(at + 16), 5, "a processor's access takes it back");
	ok(!gpu_entry(at, READ_ACCESS), "and its entry");
	ok(gpu_access(at, ATOMIC_ACCESS), "again");
	mmun_soft_munmap(mm, at, PAGE_SIZE);
	ok(!gpu_entry(at, READ_ACCESS), "munmap takes it too");
	ok(!gpu_access(at, ATOMIC_ACCESS), "no atomic access where nothing is mapped");
	map(at, 1);
	nothing_stale("atomic accesses");
}

/*
 * An atomic fault whose first lookup is invalidated (here by the page's way back from the device's
 * memory) cannot succeed: each further one takes back the page that the one before had made
 * exclusive, in a section that invalidates it again, until the driver's time is over.
 */
static void test_given_up(unsigned long at)
{
	unsigned long cancels = gpu.cancels;

	ok(!gpu_access(at, ATOMIC_ACCESS), "an atomic fault of it is given up");
	is(gpu.cancels, cancels + 1, "and cancelled");
	ok(!is_in_memory(at), "the page is back");
	is(task_reads(at + 8), at, "the task reads it");
	ok(gpu_access(at, ATOMIC_ACCESS), "after that an atomic fault succeeds");
}

static void test_memory(void)
{
	unsigned long at = MEMORY + 2 * PAGE_SIZE;

	stamp(at);
	is(to_memory(at, 2), 0, "a page, and one that was not there, to the device's memory");
	ok(is_in_memory(at) && is_in_memory(at + PAGE_SIZE), "they are there");
	ok(reach(at, WRITE_ACCESS) && reach(at + PAGE_SIZE, READ_ACCESS), "with their entries");
	is(in_memory, 2, "used there");
	is(task_reads(at + 8), at, "the task reads what the device wrote");
	ok(!is_in_memory(at) && !reach(at, READ_ACCESS), "its access brought one back");
	ok(is_in_memory(at + PAGE_SIZE), "not the other");
	mmun_soft_munmap(mm, at + PAGE_SIZE, PAGE_SIZE);
	ok(!reach(at + PAGE_SIZE, READ_ACCESS), "munmap takes the entry");
	map(at + PAGE_SIZE, 1);
	is(to_memory(at, 1), 0, "again");
	ok(is_in_memory(at), "there");
	test_given_up(at);
	nothing_stale("the device's memory");
}

/* Between the copies and the new entries the device still reaches the page that was left. */
static bool reached;

static void write_meanwhile(void)
{
	u64 entry;

	mutex_lock(&gpu.lock);
	entry = gpu_entry(MEMORY, WRITE_ACCESS);
	reached = entry && !(entry & NVIF_VMM_PFNMAP_V0_VRAM);
	mutex_unlock(&gpu.lock);
}

static void test_old_entry(void)
{
	stamp(MEMORY);
	gpu_access(MEMORY, WRITE_ACCESS);
	gpu.copied = write_meanwhile;
	is(to_memory(MEMORY, 1), 0, "a page that the device uses, to its memory");
	gpu.copied = NULL;
	ok(reached, "after the copy the device could write to the old one, which is lost");
	ok(reach(MEMORY, WRITE_ACCESS), "then it has the new one");
	nothing_stale("the new entry");
}

static void close_gate(void)
{
	pthread_rwlock_wrlock(&gate);
	stamp_all();
	to_memory(MEMORY, PAGES / 2);
	pthread_rwlock_unlock(&gate);
}

static void test_changes(const enum access *accesses, void (*before)(void), const char *what)
{
	struct changer changer = { .before = before };
	unsigned long cleared = gpu.cleared, done = 0, cancelled = 0;

	start_changer(&changer, PAGES);
	while (done < ROUNDS || changes(&changer) < ROUNDS) {
		unsigned long at = MEMORY + (done * 5 + cancelled) % PAGES * PAGE_SIZE;

		pthread_rwlock_rdlock(&gate);
		if (gpu_access(at, accesses[done % 3]))
			done++;
		else
			cancelled++;
		pthread_rwlock_unlock(&gate);
	}
	stop_changer(&changer);
	diag("%s: %lu accesses, %lu cancelled, %lu changes, %lu in memory, %lu atomic", what, done,
	     cancelled, changes(&changer), in_memory, atomics);
	ok(gpu.cleared > cleared, "%s: entries were cleared", what);
	nothing_stale(what);
}

static int hear_nothing(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	return 0;
}

static void test_control(void)
{
	static const struct mmu_notifier_ops deaf = { .invalidate_range_start = hear_nothing };
	const struct mmu_notifier_ops *ops = cli.svm.svmm->notifier.ops;

	gpu_access(MEMORY, WRITE_ACCESS);
	cli.svm.svmm->notifier.ops = &deaf;
	mmun_soft_madvise(mm, MEMORY, PAGE_SIZE, MADV_DONTNEED);
	ok(reach(MEMORY, WRITE_ACCESS), "under a callback that does nothing the entry stays");
	is(stale, 1, "for a page that is gone");
	stale = 0;
	cli.svm.svmm->notifier.ops = ops;
	mmun_soft_madvise(mm, MEMORY, PAGE_SIZE, MADV_DONTNEED);
}

/* The notifier has no ->release. */
static void test_exit(void)
{
	unsigned long cancels = gpu.cancels;

	stamp_all();
	to_memory(MEMORY, PAGES / 2);
	ok(gpu_access(MEMORY + (PAGES - 1) * PAGE_SIZE, READ_ACCESS), "the device reads");
	leave_task();
	ok(gpu_entry(MEMORY, READ_ACCESS) &&
		   gpu_entry(MEMORY + (PAGES - 1) * PAGE_SIZE, READ_ACCESS),
	   "after exit the entries stay until the device's file is closed: there is no ->release");
	memset(gpu.table, 0, sizeof(gpu.table));
	gpu_fault(&drm, INST, MEMORY, READ_ACCESS);
	is(gpu.cancels, cancels + 1, "a fault is cancelled");
}

int main(void)
{
	static const enum access plain[] = { READ_ACCESS, WRITE_ACCESS, WRITE_ACCESS };
	static const enum access atomic[] = { READ_ACCESS, ATOMIC_ACCESS, WRITE_ACCESS };

	begin();
	test_faults();
	test_atomic();
	test_memory();
	test_old_entry();
	test_control();
	test_changes(plain, NULL, "faults against changes");
	test_changes(atomic, NULL, "atomic faults against changes");
	test_changes(plain, close_gate, "the device's memory against changes");
	test_unset_address();
	is(to_memory(MEMORY, PAGES), 0, "to the device's memory once more");
	end();
	begin();
	test_exit();
	end();
	return tap_done();
}
