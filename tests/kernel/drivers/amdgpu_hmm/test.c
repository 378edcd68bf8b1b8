/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * User pointers of amdgpu: jobs of a graphics buffer, which a callback waits for, and queues
 * of a compute buffer, which it stops, use pages while the task's memory changes.
 */
#include "../../machine.h"

#include <amdgpu.h>
#include <amdgpu_amdkfd.h>
#include <amdgpu_hmm.h>

#define PAGES  8ul
#define ROUNDS 200

/* The queues of a process: they run while ->evicted is 0, and hold ->lock meanwhile. */
struct kgd_mem {
	struct mutex lock;
	unsigned long evictions;
};

static struct amdgpu_device adev;
static struct dma_resv resv;
static struct kgd_mem compute;
static struct amdgpu_bo bo;

int amdgpu_amdkfd_evict_userptr(struct mmu_interval_notifier *mni, unsigned long cur_seq,
				struct kgd_mem *mem)
{
	mutex_lock(&mem->lock);
	mmu_interval_set_seq(mni, cur_seq);
	mem->evictions++;
	mutex_unlock(&mem->lock);
	return 0;
}

/* Both forms of the lookup: pages in an array and done(), or in the range that is asked. */
#if TEST_LINUX < 0x0700
typedef struct hmm_range lookup;

static int get_pages(struct page **pages, lookup **range)
{
	int ret;

	mmap_read_lock(mm);
	ret = amdgpu_hmm_range_get_pages(&bo.notifier, MEMORY, PAGES, false, NULL, pages, range);
	mmap_read_unlock(mm);
	return ret;
}

static bool invalidated(lookup *range)
{
	return amdgpu_hmm_range_get_pages_done(range);
}
#else
typedef struct amdgpu_hmm_range lookup;

static int get_pages(struct page **pages, lookup **out)
{
	lookup *range = amdgpu_hmm_range_alloc(&bo);
	int ret;

	mmap_read_lock(mm);
	ret = amdgpu_hmm_range_get_pages(&bo.notifier, MEMORY, PAGES, false, NULL, range);
	mmap_read_unlock(mm);
	if (ret) {
		amdgpu_hmm_range_free(range);
		return ret;
	}
	for (unsigned long i = 0; i < PAGES; i++)
		pages[i] = hmm_pfn_to_page(range->hmm_range.hmm_pfns[i]);
	*out = range;
	return 0;
}

static bool invalidated(lookup *range)
{
	bool valid = amdgpu_hmm_range_valid(range);

	amdgpu_hmm_range_free(range);
	return !valid;
}
#endif

static void use_all(struct page **pages)
{
	for (unsigned long i = 0; i < PAGES; i++)
		use_page(MEMORY + i * PAGE_SIZE, page_to_pfn(pages[i]), true, NULL);
}

/* A job: pages, and if they are still the right ones under the lock of the notifier, a fence
 * that keeps invalidations waiting until it is signaled.  -EAGAIN: invalidated meanwhile. */
static int run_job(void)
{
	struct page *pages[PAGES];
	struct dma_fence *fence;
	lookup *range;
	int ret = get_pages(pages, &range);

	if (ret)
		return ret;
	sched_yield();
	fence = dma_fence_alloc(NULL);
	dma_resv_lock(&resv, NULL);
	mutex_lock(&adev.notifier_lock);
	if (invalidated(range))
		ret = -EAGAIN;
	else
		dma_resv_add_fence(&resv, fence, DMA_RESV_USAGE_BOOKKEEP);
	mutex_unlock(&adev.notifier_lock);
	dma_resv_unlock(&resv);
	if (!ret)
		use_all(pages);
	dma_fence_signal(fence);
	dma_fence_put(fence);
	return ret;
}

/* Queues run for a while: an eviction waits for the lock that they hold. */
static int run_queues(void)
{
	struct page *pages[PAGES];
	lookup *range;
	int ret = get_pages(pages, &range);

	if (ret)
		return ret;
	sched_yield();
	mutex_lock(&compute.lock);
	if (invalidated(range))
		ret = -EAGAIN;
	else
		use_all(pages);
	mutex_unlock(&compute.lock);
	return ret;
}

static void begin(bool is_compute)
{
	start_machine();
	mutex_init(&adev.notifier_lock);
	mutex_init(&compute.lock);
	dma_resv_init(&resv);
	bo = (struct amdgpu_bo){ .kfd_bo = is_compute ? &compute : NULL };
	bo.tbo.base.resv = &resv;
	bo.tbo.base.size = PAGES * PAGE_SIZE;
	bo.tbo.bdev = &adev.bdev;
	bo.parent = &bo;
	map(MEMORY, PAGES);
	is(amdgpu_hmm_register(&bo, MEMORY), 0, "a %s buffer of the task's memory",
	   is_compute ? "compute" : "graphics");
}

static void end(void)
{
	leave_task();
	amdgpu_hmm_unregister(&bo);
	ok(!bo.notifier.mm, "unregistered after exit");
	amdgpu_hmm_unregister(&bo);
	dma_resv_fini(&resv);
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
		again += ret == -EAGAIN;
		/* The page is not mapped, or only to be read, for the moment. */
		other += ret && ret != -EAGAIN && ret != -EFAULT && ret != -EPERM;
	}
	stop_changer(&changer);
	diag("%s: %lu done, %lu begun again, %lu changes", what, done, again, changes(&changer));
	is(other, 0, "%s against changes", what);
	nothing_stale(what);
}

/* An invalidation between the lookup and its use. */
static void test_retry(void)
{
	struct page *pages[PAGES];
	lookup *range;

	is(get_pages(pages, &range), 0, "pages");
	mmun_soft_madvise(mm, MEMORY, PAGE_SIZE, MADV_DONTNEED);
	ok(invalidated(range), "invalidated before they are used");
	is(get_pages(pages, &range), 0, "pages again");
	ok(!invalidated(range), "and good");
	map_intruder(MEMORY + PAGE_SIZE);
	is(get_pages(pages, &range), -EAGAIN, "to be begun again");
	is(get_pages(pages, &range), 0, "and begun again");
	ok(!invalidated(range), "good");
	unmap_intruder();
	mmun_soft_mprotect(mm, MEMORY, PAGE_SIZE, PROT_READ);
	is(get_pages(pages, &range), -EPERM, "not where the task may not write");
	mmun_soft_munmap(mm, MEMORY, PAGE_SIZE);
	is(get_pages(pages, &range), -EFAULT, "nor where nothing is mapped");
	map(MEMORY, 1);
	mmun_compat_non_block(1);
	is(mmun_soft_oom_reap(mm), -EAGAIN, "the callback refuses where it must not sleep");
	mmun_compat_non_block(-1);
}

static bool hear_nothing(struct mmu_interval_notifier *mni, const struct mmu_notifier_range *range,
			 unsigned long cur_seq)
{
	return true;
}

/* With another callback the same job uses a page that is gone. */
static void test_control(void)
{
	static const struct mmu_interval_notifier_ops deaf = { .invalidate = hear_nothing };
	struct mmun_soft_translation t;
	struct page *pages[PAGES];
	lookup *range;
	unsigned long word;

	bo.notifier.ops = &deaf;
	is(get_pages(pages, &range), 0, "pages under a callback that does nothing");
	ok(maps(MEMORY, page_to_pfn(pages[0]), true, NULL, &t), "are those of the task");
	mmun_soft_madvise(mm, MEMORY, PAGE_SIZE, MADV_DONTNEED);
	ok(!invalidated(range), "no retry is asked for");
	is(mmun_soft_device_read(mm, MEMORY, &t, &word, sizeof(word)), -EFAULT,
	   "and a freed page is used");
	is(violations, 1, "which is reported");
	violations = 0;
}

int main(void)
{
	begin(false);
	test_changes(run_job, "jobs");
	test_retry();
	test_control();
	end();
	begin(true);
	test_changes(run_queues, "queues");
	ok(compute.evictions > 0, "they were evicted");
	end();
	return tap_done();
}
