/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * User pointers of xe in 6.12: pages of a range in a scatterlist, which the callback unmaps
 * when the jobs that use them have ended.  The callback is as that of xe_vm.c, in our words.
 */
#include "../../machine.h"

#include <xe_vm.h>

#include <xe_hmm.h>

#define PAGES  8ul
#define ROUNDS 200

static struct device dev;
static struct xe_device xe = { .drm = { .dev = &dev } };
static struct xe_vm vm = { .xe = &xe };
static struct xe_userptr_vma uvma;

static bool invalidate(struct mmu_interval_notifier *mni, const struct mmu_notifier_range *range,
		       unsigned long cur_seq)
{
	if (!mmu_notifier_range_blockable(range))
		return false;
	down_write(&vm.userptr.notifier_lock);
	mmu_interval_set_seq(mni, cur_seq);
	dma_resv_wait_timeout(&vm.resv, DMA_RESV_USAGE_BOOKKEEP, false, MAX_SCHEDULE_TIMEOUT);
	xe_hmm_userptr_unmap(&uvma);
	up_write(&vm.userptr.notifier_lock);
	return true;
}

static const struct mmu_interval_notifier_ops ops = { .invalidate = invalidate };

static int populate(void)
{
	int ret;

	down_write(&vm.lock);
	ret = xe_hmm_userptr_populate_range(&uvma, false);
	up_write(&vm.lock);
	return ret;
}

/* Each page of the scatterlist: @fn with its address in the task and in the device. */
static void for_each_page(void (*fn)(unsigned long address, unsigned long pfn))
{
	unsigned long address = MEMORY;
	struct scatterlist *sg;
	int i;

	for_each_sgtable_dma_sg(uvma.userptr.sg, sg, i)
		for (unsigned long at = 0; at < sg_dma_len(sg); at += PAGE_SIZE) {
			fn(address, PFN_DOWN(sg_dma_address(sg) + at));
			address += PAGE_SIZE;
		}
	if (address != MEMORY + PAGES * PAGE_SIZE)
		foreign++;
}

static void use(unsigned long address, unsigned long pfn)
{
	use_page(address, pfn, !xe_vma_read_only(&uvma.vma), NULL);
}

/* Pages, and under the notifier's lock a fence if they are still the right ones. */
static int run_job(void)
{
	struct dma_fence *fence;
	int ret;

	down_write(&vm.lock);
	ret = xe_hmm_userptr_populate_range(&uvma, false);
	if (ret) {
		up_write(&vm.lock);
		return ret;
	}
	sched_yield();
	fence = dma_fence_alloc(NULL);
	dma_resv_lock(&vm.resv, NULL);
	down_read(&vm.userptr.notifier_lock);
	if (mmu_interval_read_retry(&uvma.userptr.notifier, uvma.userptr.notifier_seq))
		ret = -EAGAIN;
	else
		dma_resv_add_fence(&vm.resv, fence, DMA_RESV_USAGE_BOOKKEEP);
	up_read(&vm.userptr.notifier_lock);
	dma_resv_unlock(&vm.resv);
	if (!ret)
		for_each_page(use);
	dma_fence_signal(fence);
	dma_fence_put(fence);
	up_write(&vm.lock);
	return ret;
}

static void begin(unsigned int flags)
{
	start_machine();
	init_rwsem(&vm.lock);
	init_rwsem(&vm.userptr.notifier_lock);
	dma_resv_init(&vm.resv);
	uvma = (struct xe_userptr_vma){ 0 };
	uvma.vma.vm = &vm;
	uvma.vma.userptr = MEMORY;
	uvma.vma.size = PAGES * PAGE_SIZE;
	uvma.vma.gpuva.flags = flags;
	uvma.userptr.notifier_seq = LONG_MAX;
	mutex_init(&uvma.userptr.unmap_mutex);
	map(MEMORY, PAGES);
	is(mmu_interval_notifier_insert(&uvma.userptr.notifier, mm, MEMORY, PAGES * PAGE_SIZE,
					&ops),
	   0, "a user pointer%s", flags ? ", to read" : "");
}

static void end(void)
{
	leave_task();
	is(populate(), -EFAULT, "no pages of a task that has gone");
	down_write(&vm.lock);
	if (uvma.userptr.sg)
		xe_hmm_userptr_free_sg(&uvma);
	uvma.vma.gpuva.flags |= XE_VMA_DESTROYED;
	is(xe_hmm_userptr_populate_range(&uvma, false), 0, "nor of one that is destroyed");
	up_write(&vm.lock);
	mmu_interval_notifier_remove(&uvma.userptr.notifier);
	dma_resv_fini(&vm.resv);
	stop_machine(0);
}

static void test_changes(const char *what)
{
	struct changer changer = { 0 };
	unsigned long done = 0, again = 0, other = 0;

	start_changer(&changer, PAGES);
	while (done < ROUNDS || changes(&changer) < ROUNDS) {
		int ret = run_job();

		done += !ret;
		/* -EBUSY: sections until the driver's time was over. */
		again += ret == -EAGAIN || ret == -EBUSY;
		other += ret && ret != -EAGAIN && ret != -EBUSY && ret != -EFAULT && ret != -EPERM;
	}
	stop_changer(&changer);
	diag("%lu %s, %lu begun again, %lu changes", done, what, again, changes(&changer));
	is(other, 0, "%s against changes", what);
	nothing_stale(what);
}

static void test_retry(void)
{
	unsigned long seq;

	is(run_job(), 0, "a job");
	seq = uvma.userptr.notifier_seq;
	is(populate(), 0, "pages that are there");
	is(uvma.userptr.notifier_seq, seq, "are not looked up again");
	mmun_soft_madvise(mm, MEMORY, PAGE_SIZE, MADV_DONTNEED);
	ok(!uvma.userptr.mapped, "unmapped by the callback");
	is(populate(), 0, "looked up again");
	ok(uvma.userptr.mapped && uvma.userptr.notifier_seq != seq, "with another sequence");
	map_intruder(MEMORY + PAGE_SIZE);
	is(run_job(), 0, "a job whose lookup was invalidated");
	unmap_intruder();
	mmun_soft_mprotect(mm, MEMORY, PAGE_SIZE, PROT_READ);
	is(populate(), -EPERM, "not where the task may not write");
	mmun_soft_munmap(mm, MEMORY, PAGE_SIZE);
	is(populate(), -EFAULT, "nor where nothing is mapped");
	ok(!uvma.userptr.sg, "nothing is left of them");
	map(MEMORY, 1);
	is(run_job(), 0, "a job again");
	mmun_compat_non_block(1);
	is(mmun_soft_oom_reap(mm), -EAGAIN, "the callback refuses where it must not sleep");
	mmun_compat_non_block(-1);
	nothing_stale("retries");
}

/* The allocations of a lookup fail one after the other. */
static long until_failure;

static bool fail(size_t size, void *arg)
{
	return !--until_failure;
}

static void test_no_memory(void)
{
	int ret = -ENOMEM;

	mmun_compat_fail_allocations(fail, NULL);
	for (long n = 1; ret == -ENOMEM || ret == -EIO; n++) {
		mmun_soft_madvise(mm, MEMORY, PAGE_SIZE, MADV_DONTNEED);
		until_failure = n;
		ret = populate();
		if (n == 1)
			is(ret, -ENOMEM, "no memory for a lookup");
	}
	mmun_compat_fail_allocations(NULL, NULL);
	is(ret, 0, "until it is enough");
	is(run_job(), 0, "and a job");
	nothing_stale("without memory");
}

static bool hear_nothing(struct mmu_interval_notifier *mni, const struct mmu_notifier_range *range,
			 unsigned long cur_seq)
{
	return true;
}

static void test_control(void)
{
	static const struct mmu_interval_notifier_ops deaf = { .invalidate = hear_nothing };

	uvma.userptr.notifier.ops = &deaf;
	is(populate(), 0, "pages under a callback that does nothing");
	mmun_soft_madvise(mm, MEMORY, PAGE_SIZE, MADV_DONTNEED);
	is(run_job(), 0, "a job keeps them");
	is(stale, 1, "one is not the task's any more");
	stale = 0;
	uvma.userptr.notifier.ops = &ops;
}

int main(void)
{
	begin(0);
	test_changes("jobs");
	test_retry();
	test_no_memory();
	test_control();
	end();
	begin(XE_VMA_READ_ONLY);
	test_changes("jobs that read");
	end();
	return tap_done();
}
