/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * User pointers of radeon: a callback waits for the jobs of a buffer and takes its pages from
 * the device, the next job looks them up again.
 *
 * The driver looks pages up without asking whether an invalidation is under way, as a comment of its
 * own says; so lookups here keep out of changes, and one that does not is shown to keep a
 * page that the task has no more.
 */
#include "../../machine.h"

#include <radeon.h>

#define PAGES  8ul
#define ROUNDS 200

/* What is bound has references to pages.  ->bound is read by the callback without a lock. */
struct ttm_tt {
	struct page *pages[PAGES];
	bool bound;
};

static struct dma_resv resv;
static struct ttm_tt ttm;
static struct radeon_bo bo;
static unsigned long unbound;
/* Held to change memory, and to read around a lookup. */
static pthread_rwlock_t gate = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;

bool radeon_ttm_tt_is_bound(struct ttm_device *bdev, struct ttm_tt *tt)
{
	return READ_ONCE(tt->bound);
}

static int bind(void)
{
	long got = get_user_pages(MEMORY, PAGES, FOLL_WRITE, ttm.pages);

	if (got != (long)PAGES) {
		for (long i = 0; i < got; i++)
			put_page(ttm.pages[i]);
		return got < 0 ? (int)got : -EFAULT;
	}
	WRITE_ONCE(ttm.bound, true);
	return 0;
}

/* To the processor's domain: the device has no pages. */
int ttm_bo_validate(struct ttm_buffer_object *tbo, struct ttm_placement *placement,
		    struct ttm_operation_ctx *ctx)
{
	if (placement->domain == RADEON_GEM_DOMAIN_GTT)
		return tbo->ttm->bound ? 0 : bind();
	if (!tbo->ttm->bound)
		return 0;
	for (unsigned long i = 0; i < PAGES; i++)
		put_page(tbo->ttm->pages[i]);
	WRITE_ONCE(tbo->ttm->bound, false);
	unbound++;
	return 0;
}

/* As a command submission: lookups under the mmap lock and the buffer's. */
static int prepare(struct dma_fence *fence)
{
	struct ttm_operation_ctx ctx = { 0 };
	int ret;

	mmap_read_lock(mm);
	radeon_bo_reserve(&bo, true);
	radeon_ttm_placement_from_domain(&bo, RADEON_GEM_DOMAIN_GTT);
	ret = ttm_bo_validate(&bo.tbo, &bo.placement, &ctx);
	if (!ret && fence)
		dma_resv_add_fence(&resv, fence, DMA_RESV_USAGE_BOOKKEEP);
	radeon_bo_unreserve(&bo);
	mmap_read_unlock(mm);
	return ret;
}

static int run_job(void)
{
	struct dma_fence *fence = dma_fence_alloc(NULL);
	int ret;

	pthread_rwlock_rdlock(&gate);
	ret = prepare(fence);
	pthread_rwlock_unlock(&gate);
	for (unsigned long i = 0; !ret && i < PAGES; i++)
		use_page(MEMORY + i * PAGE_SIZE, page_to_pfn(ttm.pages[i]), true, NULL);
	dma_fence_signal(fence);
	dma_fence_put(fence);
	return ret;
}

static void close_gate(void)
{
	pthread_rwlock_wrlock(&gate);
}

static void open_gate(void)
{
	pthread_rwlock_unlock(&gate);
}

static void test_changes(void)
{
	struct changer changer = { .before = close_gate, .after = open_gate };
	unsigned long done = 0, other = 0;

	start_changer(&changer, PAGES);
	while (done < ROUNDS || changes(&changer) < ROUNDS) {
		int ret = run_job();

		done += !ret;
		other += ret && ret != -EFAULT;
	}
	stop_changer(&changer);
	diag("%lu jobs, %lu changes, unbound %lu times", done, changes(&changer), unbound);
	is(other, 0, "jobs against changes");
	ok(unbound > 0, "callbacks took the pages from the device");
	nothing_stale("jobs");
	is(run_job(), 0, "bound");
	mmun_compat_non_block(1);
	is(mmun_soft_oom_reap(mm), -EAGAIN, "the callback refuses where it must not sleep");
	mmun_compat_non_block(-1);
}

/* Inside a section of the page, after the driver's callback: another thread looks it up. */
static bool armed;

static void *look_up(void *arg)
{
	mmun_compat_set_current(task);
	*(int *)arg = prepare(NULL);
	mmun_compat_set_current(NULL);
	return NULL;
}

static int within(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	pthread_t thread;
	int ret = -1;

	if (!armed)
		return 0;
	armed = false;
	pthread_create(&thread, NULL, look_up, &ret);
	pthread_join(thread, NULL);
	is(ret, 0, "a lookup inside a section is not refused");
	return 0;
}

static void test_inside(void)
{
	static const struct mmu_notifier_ops ops = { .invalidate_range_start = within };
	struct mmu_notifier mn = { .ops = &ops };
	struct mmun_soft_translation t;

	is(mmu_notifier_register(&mn, mm), 0, "a notifier that is called after the driver's");
	stamp(MEMORY);
	armed = true;
	mmun_soft_madvise(mm, MEMORY, PAGE_SIZE, MADV_DONTNEED);
	stamp(MEMORY);
	ok(ttm.bound && !maps(MEMORY, page_to_pfn(ttm.pages[0]), true, NULL, &t),
	   "the device keeps a page that the task has no more, as a comment of the driver says");
	mmu_notifier_unregister(&mn, mm);
	mmun_soft_madvise(mm, MEMORY, PAGE_SIZE, MADV_DONTNEED);
	ok(!ttm.bound, "until the next invalidation");
}

static bool hear_nothing(struct mmu_interval_notifier *mni, const struct mmu_notifier_range *range,
			 unsigned long cur_seq)
{
	return true;
}

static void test_control(void)
{
	static const struct mmu_interval_notifier_ops deaf = { .invalidate = hear_nothing };

	bo.notifier.ops = &deaf;
	is(prepare(NULL), 0, "bound under a callback that does nothing");
	mmun_soft_madvise(mm, MEMORY, PAGE_SIZE, MADV_DONTNEED);
	use_page(MEMORY, page_to_pfn(ttm.pages[0]), true, NULL);
	is(stale, 1, "the device keeps its page");
	stale = 0;
	ttm_bo_validate(&bo.tbo, &(struct ttm_placement){ RADEON_GEM_DOMAIN_CPU }, NULL);
}

int main(void)
{
	start_machine();
	dma_resv_init(&resv);
	bo.tbo.base.resv = &resv;
	bo.tbo.base.size = PAGES * PAGE_SIZE;
	bo.tbo.ttm = &ttm;
	map(MEMORY, PAGES);
	is(radeon_mn_register(&bo, MEMORY), 0, "a buffer of the task's memory");
	test_changes();
	test_inside();
	test_control();
	radeon_mn_unregister(&bo);
	is(radeon_mn_register(&bo, MEMORY), 0, "registered again");
	is(prepare(NULL), 0, "and bound");
	leave_task();
	ok(!ttm.bound, "exit takes the pages");
	radeon_mn_unregister(&bo);
	dma_resv_fini(&resv);
	stop_machine(0);
	return tap_done();
}
