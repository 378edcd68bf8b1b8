/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * User pointers of xe, with the pages of drm_gpusvm: jobs, for whose fences the second pass of
 * an invalidation waits, and a device that faults, whose translations a pass takes back.
 */
#include "../../machine.h"

#include <drm/drm_pagemap.h>
#include <xe_svm.h>

#define PAGES  8ul
#define ROUNDS 200

static struct device dev;
static struct xe_device xe = { .drm = { .dev = &dev } };
static struct xe_vm vm = { .xe = &xe };
static struct xe_userptr_vma uvma;

/* The device that faults: it uses pages while ->bound, and holds ->lock meanwhile. */
static struct {
	struct mutex lock;
	bool bound;
	unsigned long submitted, waited, invalidated;
} gpu;

int xe_vm_invalidate_vma(struct xe_vma *vma)
{
	mutex_lock(&gpu.lock);
	gpu.bound = false;
	gpu.invalidated++;
	mutex_unlock(&gpu.lock);
	return 0;
}

int xe_vm_invalidate_vma_submit(struct xe_vma *vma, struct xe_tlb_inval_batch *batch)
{
	gpu.submitted++;
	batch->pending = 1;
	return 0;
}

void xe_tlb_inval_batch_wait(struct xe_tlb_inval_batch *batch)
{
	BUG_ON(batch->pending != 1);
	batch->pending = 0;
	mutex_lock(&gpu.lock);
	gpu.bound = false;
	gpu.waited++;
	mutex_unlock(&gpu.lock);
}

/* No device memory here. */
void drm_pagemap_put(struct drm_pagemap *dpagemap)
{
	BUG_ON(dpagemap);
}

struct drm_pagemap *drm_pagemap_page_to_dpagemap(struct page *page)
{
	BUG();
	return NULL;
}

static void use_all(void)
{
	struct drm_pagemap_addr *entry = uvma.userptr.pages.dma_addr;

	for (unsigned long i = 0; i < PAGES; i += 1ul << entry++->order)
		for (unsigned long j = i; j < i + (1ul << entry->order); j++)
			use_page(MEMORY + j * PAGE_SIZE, PFN_DOWN(entry->addr) + j - i,
				 !xe_vma_read_only(&uvma.vma), NULL);
}

/* As the kernel's execution of a job: pin again what was invalidated, rebind it, and under the
 * notifier's lock look once more before the job's fence is there. */
static int run_job(void)
{
	struct dma_fence *fence;
	int ret = 0;

	down_write(&vm.lock);
	if (xe_vm_userptr_check_repin(&vm))
		ret = xe_vm_userptr_pin(&vm);
	if (ret)
		goto unlock;
	list_del_init(&uvma.vma.combined_links.rebind);
	sched_yield();
	fence = dma_fence_alloc(NULL);
	xe_vm_lock(&vm, false);
	down_read(&vm.svm.gpusvm.notifier_lock);
	ret = __xe_vm_userptr_needs_repin(&vm);
	if (!ret && !uvma.userptr.pages.dma_addr)
		ret = -EFAULT;
	if (!ret)
		dma_resv_add_fence(&vm.resv, fence, DMA_RESV_USAGE_BOOKKEEP);
	up_read(&vm.svm.gpusvm.notifier_lock);
	xe_vm_unlock(&vm);
	if (!ret)
		use_all();
	dma_fence_signal(fence);
	dma_fence_put(fence);
unlock:
	up_write(&vm.lock);
	return ret;
}

/* A fault of the device, and its accesses. */
static int run_fault(void)
{
	bool used = false;
	int ret;

	down_write(&vm.lock);
	ret = xe_vma_userptr_pin_pages(&uvma);
	if (ret)
		goto unlock;
	sched_yield();
	xe_vm_lock(&vm, false);
	down_read(&vm.svm.gpusvm.notifier_lock);
	ret = xe_vma_userptr_check_repin(&uvma);
	if (!ret) {
		mutex_lock(&gpu.lock);
		gpu.bound = true;
		mutex_unlock(&gpu.lock);
		uvma.userptr.initial_bind = true;
	}
	up_read(&vm.svm.gpusvm.notifier_lock);
	xe_vm_unlock(&vm);
	for (int i = 0; !ret && i < 4; i++) {
		mutex_lock(&gpu.lock);
		if (gpu.bound)
			use_all();
		used = gpu.bound;
		mutex_unlock(&gpu.lock);
		if (!used)
			break;
		sched_yield();
	}
unlock:
	up_write(&vm.lock);
	return ret;
}

static void begin(bool fault_mode, unsigned int flags)
{
	start_machine();
	init_rwsem(&vm.lock);
	dma_resv_init(&vm.resv);
	mutex_init(&gpu.lock);
	gpu.bound = false;
	INIT_LIST_HEAD(&vm.rebind_list);
	INIT_LIST_HEAD(&vm.userptr.repin_list);
	INIT_LIST_HEAD(&vm.userptr.invalidated);
	spin_lock_init(&vm.userptr.invalidated_lock);
	vm.fault_mode = fault_mode;
	is(drm_gpusvm_init(&vm.svm.gpusvm, "pages", &xe.drm, NULL, 0, 0, 0, NULL, NULL, 0), 0,
	   "pages of user pointers, nothing more");
	uvma = (struct xe_userptr_vma){ 0 };
	uvma.vma.vm = &vm;
	uvma.vma.userptr = MEMORY;
	uvma.vma.size = PAGES * PAGE_SIZE;
	uvma.vma.gpuva.flags = flags;
	INIT_LIST_HEAD(&uvma.vma.combined_links.rebind);
	map(MEMORY, PAGES);
	is(xe_userptr_setup(&uvma, MEMORY, PAGES * PAGE_SIZE), 0, "one of them%s",
	   fault_mode ? ", of a device that faults" : "");
	down_write(&vm.lock);
	is(xe_vma_userptr_pin_pages(&uvma), 0, "its pages");
	up_write(&vm.lock);
}

static void end(void)
{
	leave_task();
	mmun_soft_madvise(mm, MEMORY, PAGE_SIZE, MADV_DONTNEED);
	down_write(&vm.lock);
	if (!vm.fault_mode)
		is(xe_vm_userptr_check_repin(&vm), -EAGAIN, "exit invalidates");
	is(xe_vma_userptr_pin_pages(&uvma), -EFAULT, "no pages of a task that has gone");
	uvma.vma.gpuva.flags |= XE_VMA_DESTROYED;
	is(xe_vma_userptr_pin_pages(&uvma), 0, "nor of one that is destroyed");
	xe_userptr_destroy(&uvma);
	up_write(&vm.lock);
	xe_userptr_remove(&uvma);
	drm_gpusvm_fini(&vm.svm.gpusvm);
	dma_resv_fini(&vm.resv);
	stop_machine(0);
}

static void test_changes(int (*run)(void), const char *what)
{
	struct changer changer = { 0 };
	unsigned long done = 0, again = 0, other = 0;

	start_changer(&changer, PAGES);
	while (done < ROUNDS || changes(&changer) < ROUNDS) {
		int ret = run();

		done += !ret;
		again += ret == -EAGAIN || ret == -EBUSY;
		other += ret && ret != -EAGAIN && ret != -EBUSY && ret != -EFAULT && ret != -EPERM;
	}
	stop_changer(&changer);
	diag("%lu %s, %lu begun again, %lu changes", done, what, again, changes(&changer));
	is(other, 0, "%s against changes", what);
	nothing_stale(what);
}

/* A fence that somebody signals while an invalidation waits in its second pass. */
static atomic_t enabled;

static void note_enabled(struct dma_fence *fence)
{
	atomic_inc(&enabled);
}

static void *signal_later(void *arg)
{
	while (!atomic_read(&enabled))
		sched_yield();
	dma_fence_signal(arg);
	return NULL;
}

static void test_two_passes(void)
{
	struct dma_fence *fence = dma_fence_alloc(note_enabled);
	pthread_t thread;

	is(run_job(), 0, "a job");
	ok(uvma.userptr.pages.flags.has_dma_mapping, "its pages are mapped");
	atomic_set(&enabled, 0);
	xe_vm_lock(&vm, false);
	dma_resv_add_fence(&vm.resv, fence, DMA_RESV_USAGE_BOOKKEEP);
	xe_vm_unlock(&vm);
	pthread_create(&thread, NULL, signal_later, fence);
	mmun_soft_madvise(mm, MEMORY, PAGE_SIZE, MADV_DONTNEED);
	pthread_join(thread, NULL);
	ok(dma_fence_is_signaled(fence) && atomic_read(&enabled) == 1,
	   "an invalidation asks for the end of jobs and waits for it");
	ok(!uvma.userptr.pages.flags.has_dma_mapping && !uvma.userptr.finish_inuse,
	   "then it unmaps");
	ok(!list_empty(&vm.userptr.invalidated), "and leaves the pointer to be pinned again");
	is(xe_vma_userptr_check_repin(&uvma), -EAGAIN, "as it says");
	dma_fence_put(fence);
	map_intruder(MEMORY + PAGE_SIZE);
	is(run_job(), -EAGAIN, "a job whose lookup was invalidated is to begin again");
	is(run_job(), 0, "and does");
	unmap_intruder();
	mmun_soft_munmap(mm, MEMORY, PAGE_SIZE);
	is(run_job(), -EFAULT, "none where nothing is mapped");
	map(MEMORY, 1);
	down_write(&vm.lock);
	is(xe_vma_userptr_pin_pages(&uvma), 0, "pinned again");
	xe_vm_lock(&vm, false);
	down_write(&vm.svm.gpusvm.notifier_lock);
	xe_vma_userptr_force_invalidate(&uvma);
	up_write(&vm.svm.gpusvm.notifier_lock);
	xe_vm_unlock(&vm);
	up_write(&vm.lock);
	ok(!uvma.userptr.pages.flags.has_dma_mapping, "invalidated by the driver itself");
	is(run_job(), 0, "a job again");
	mmun_compat_non_block(1);
	is(mmun_soft_oom_reap(mm), -EAGAIN, "the callback refuses where it must not sleep");
	mmun_compat_non_block(-1);
	nothing_stale("two passes");
}

static bool hear_nothing(struct mmu_interval_notifier *mni, const struct mmu_notifier_range *range,
			 unsigned long cur_seq)
{
	return true;
}

static void test_control(void)
{
	static const struct mmu_interval_notifier_ops deaf = { .invalidate = hear_nothing };
	const struct mmu_interval_notifier_ops *ops = uvma.userptr.notifier.ops;

	is(run_job(), 0, "a job");
	uvma.userptr.notifier.ops = &deaf;
	mmun_soft_madvise(mm, MEMORY, PAGE_SIZE, MADV_DONTNEED);
	is(run_job(), 0, "under a callback that does nothing the next one keeps its pages");
	is(stale, 1, "one is not the task's any more");
	stale = 0;
	uvma.userptr.notifier.ops = ops;
	mmun_soft_madvise(mm, MEMORY, PAGE_SIZE, MADV_DONTNEED);
}

int main(void)
{
	begin(false, 0);
	test_changes(run_job, "jobs");
	test_two_passes();
	test_control();
	end();
	begin(false, XE_VMA_READ_ONLY);
	test_changes(run_job, "jobs that read");
	end();
	begin(true, 0);
	test_changes(run_fault, "faults");
	ok(gpu.submitted > 0 && gpu.submitted == gpu.waited,
	   "each invalidation of the device that was begun was waited for");
	end();
	return tap_done();
}
