/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * User pointers of i915: the callback only notes that there was a change; a submission pins the
 * pages, asks under the object's lock whether they are still those of the task, and if not is
 * begun again.  Jobs that run use pages that are pinned, whatever becomes of the task's.
 *
 * So pages are compared with the task's between the driver's two questions: where the second
 * one is answered with yes, they were right.
 */
#include "../../machine.h"

#include <linux/highmem.h>

#include <i915_gem_ioctls.h>
#include <i915_gem_object.h>

#define PAGES    8ul
#define ROUNDS   150
#define ATTEMPTS (40 * ROUNDS)

static struct device dev;
static struct i915_address_space vm = { .has_read_only = true };
static struct drm_i915_private i915 = { .drm = { .dev = &dev }, .gt = { &vm }, .has_llc = true };
/* One to write, one to read, of the same memory. */
static struct drm_file files[2];

/* The device's part: objects, their pages, where it sees them. */

int drm_gem_handle_create(struct drm_file *file, struct drm_gem_object *obj, u32 *handle)
{
	if (file->object)
		return -ENOSPC;
	kref_get(&obj->refcount);
	file->object = container_of(obj, struct drm_i915_gem_object, base);
	*handle = 1;
	return 0;
}

int ____i915_gem_object_get_pages(struct drm_i915_gem_object *obj)
{
	assert_object_held(obj);
	return obj->ops->get_pages(obj);
}

int i915_gem_object_pin_pages(struct drm_i915_gem_object *obj)
{
	int ret = obj->mm.pages ? 0 : ____i915_gem_object_get_pages(obj);

	obj->mm.pages_pin_count += !ret;
	return ret;
}

void i915_gem_object_unpin_pages(struct drm_i915_gem_object *obj)
{
	assert_object_held_shared(obj);
	obj->mm.pages_pin_count--;
}

static unsigned long unbound;

int i915_gem_object_unbind(struct drm_i915_gem_object *obj, unsigned long flags)
{
	dma_resv_wait_timeout(&obj->base.resv, DMA_RESV_USAGE_BOOKKEEP, true, 1);
	if (!obj->bound)
		return 0;
	obj->bound = false;
	i915_gem_object_unpin_pages(obj);
	__atomic_add_fetch(&unbound, 1, __ATOMIC_RELAXED);
	return 0;
}

static void release(struct kref *kref)
{
	struct drm_i915_gem_object *obj =
		container_of(kref, struct drm_i915_gem_object, base.refcount);

	i915_gem_object_unbind(obj, 0);
	obj->ops->put_pages(obj, __i915_gem_object_unset_pages(obj));
	obj->ops->release(obj);
	dma_resv_fini(&obj->base.resv);
	kfree(obj);
}

void i915_gem_object_put(struct drm_i915_gem_object *obj)
{
	kref_put(&obj->base.refcount, release);
}

static int bind(struct drm_i915_gem_object *obj)
{
	int ret = obj->bound ? 0 : i915_gem_object_pin_pages(obj);

	obj->bound |= !ret;
	return ret;
}

/* Jobs. */

/* What the device sees at each page of an object. */
static void note_pages(struct drm_i915_gem_object *obj, unsigned long *pfns)
{
	struct scatterlist *sg;
	unsigned long n = 0;
	int i;

	for_each_sgtable_dma_sg(obj->mm.pages, sg, i)
		for (unsigned long at = 0; at < sg_dma_len(sg) && n < PAGES; at += PAGE_SIZE)
			pfns[n++] = PFN_DOWN(sg_dma_address(sg) + at);
	if (n != PAGES)
		__atomic_add_fetch(&foreign, 1, __ATOMIC_RELAXED);
}

static unsigned long count_wrong(struct drm_i915_gem_object *obj, const unsigned long *pfns)
{
	struct mmun_soft_translation t;
	unsigned long wrong = 0;

	for (unsigned long i = 0; i < PAGES; i++)
		wrong += !maps(MEMORY + i * PAGE_SIZE, pfns[i], !obj->readonly, NULL, &t);
	return wrong;
}

/* Pinned pages are nobody else's, also when the task has them no more. */
static void run_job(struct drm_i915_gem_object *obj, const unsigned long *pfns)
{
	for (unsigned long i = 0; i < PAGES; i++) {
		unsigned long address = MEMORY + i * PAGE_SIZE, words[2];
		struct page *page = pfn_to_page(pfns[i]);

		memcpy_from_page((char *)words, page, 0, sizeof(words));
		if ((words[0] && words[0] != address) || (words[1] && words[1] != address))
			__atomic_add_fetch(&foreign, 1, __ATOMIC_RELAXED);
		if (!obj->readonly)
			memcpy_to_page(page, 8, (char *)&address, sizeof(address));
	}
}

/* An execution: -EAGAIN if it is to be begun again. */
static int submit(struct drm_i915_gem_object *obj)
{
	unsigned long pfns[PAGES], wrong = 0;
	struct dma_fence *fence;
	int ret;

	ret = i915_gem_object_userptr_submit_init(obj);
	if (ret)
		return ret;
	sched_yield();
	fence = dma_fence_alloc(NULL);
	i915_gem_object_lock_interruptible(obj, NULL);
	ret = bind(obj);
	if (!ret) {
		note_pages(obj, pfns);
		wrong = count_wrong(obj, pfns);
		ret = i915_gem_object_userptr_submit_done(obj);
	}
	if (!ret) {
		__atomic_add_fetch(&stale, wrong, __ATOMIC_RELAXED);
		dma_resv_add_fence(&obj->base.resv, fence, DMA_RESV_USAGE_BOOKKEEP);
	}
	i915_gem_object_unlock(obj);
	if (!ret)
		run_job(obj, pfns);
	dma_fence_signal(fence);
	dma_fence_put(fence);
	return ret;
}

static int create(struct drm_file *file, u64 at, u64 size, u32 flags)
{
	struct drm_i915_gem_userptr args = { .user_ptr = at, .user_size = size, .flags = flags };

	return i915_gem_userptr_ioctl(&i915.drm, &args, file);
}

static void close_file(struct drm_file *file)
{
	if (file->object)
		i915_gem_object_put(file->object);
	file->object = NULL;
}

static void test_ioctl(void)
{
	const u64 size = PAGES * PAGE_SIZE;
	struct drm_file *file = &files[0];

	is(create(file, MEMORY, 0, 0), -EINVAL, "no object of nothing");
	is(create(file, MEMORY + 8, size, 0), -EINVAL, "nor of half a page");
	is(create(file, MEMORY, size, 4), -EINVAL, "nor with a flag that is none");
	is(create(file, MEMORY, size, I915_USERPTR_UNSYNCHRONIZED), -ENODEV,
	   "nor without a notifier");
	is(create(file, MEMORY, size + PAGE_SIZE, I915_USERPTR_PROBE), -EFAULT,
	   "a probe finds the end of the mapping");
	is(create(file, MEMORY - PAGE_SIZE, size, I915_USERPTR_PROBE), -EFAULT, "and its start");
	is(create(file, MEMORY, size, I915_USERPTR_PROBE), 0, "one of mapped memory");
	is(create(file, MEMORY, size, 0), -ENOSPC, "no second one with that file");
	is(i915_gem_object_userptr_validate(file->object), 0, "is valid");
	close_file(file);
	is(create(file, MEMORY + size, PAGE_SIZE, 0), 0, "one of nothing, not probed");
	is(i915_gem_object_userptr_validate(file->object), -EFAULT, "is not");
	close_file(file);
	is(create(&files[0], MEMORY, size, 0), 0, "an object to write");
	is(create(&files[1], MEMORY, size, I915_USERPTR_READ_ONLY), 0, "and one to read");
}

static void test_one_by_one(void)
{
	struct drm_i915_gem_object *obj = files[0].object;
	struct mmun_soft_task *other;
	unsigned long before;

	is(submit(obj), 0, "a job");
	before = unbound;
	is(submit(obj), 0, "and another");
	is(unbound, before, "with the same pages");
	is(task_reads(MEMORY + PAGE_SIZE + 8), MEMORY + PAGE_SIZE, "the task reads what it wrote");
	mmun_soft_madvise(mm, MEMORY, PAGE_SIZE, MADV_DONTNEED);
	is(submit(obj), 0, "one after a change");
	is(unbound, before + 1, "has others");
	is(task_reads(MEMORY + 8), MEMORY, "the task's again");
	mmun_soft_munmap(mm, MEMORY, PAGE_SIZE);
	is(submit(obj), -EFAULT, "none where nothing is mapped");
	map(MEMORY, 1);
	if (mmun_soft_task_create(soft, &other))
		bail_out("no second task");
	mmun_compat_set_current(other);
	is(submit(obj), -EFAULT, "none by another task");
	mmun_compat_set_current(task);
	mmun_soft_exit(other);
	is(submit(obj), 0, "but by this one");
	nothing_stale("one by one");
}

/* One in the middle is answered by -EAGAIN. */
static void test_section_in_the_middle(void)
{
	for (int i = 0; i < 2; i++) {
		struct drm_i915_gem_object *obj = files[i].object;

		map_intruder(MEMORY + 2 * PAGE_SIZE);
		is(submit(obj), -EAGAIN, "a section while pages are pinned");
		is(submit(obj), 0, "and again");
		unmap_intruder();
		/* A page of zeros that is pinned to be read is another when it is to be written. */
		stamp(intruder_address);
		is(submit(obj), 0, "with memory as before");
	}
	is(i915_gem_object_userptr_submit_init(files[0].object), 0, "pages for a submission");
	mmun_soft_madvise(mm, MEMORY, PAGE_SIZE, MADV_DONTNEED);
	is(i915_gem_object_userptr_submit_done(files[0].object), -EAGAIN,
	   "a change before its end");
	nothing_stale("sections in the middle");
}

struct submitter {
	struct changer *changer;
	unsigned int first;
	unsigned long jobs, again, other;
	pthread_t thread;
};

static bool enough(const struct submitter *s)
{
	return s->jobs + s->again >= ROUNDS && changes(s->changer) >= ROUNDS;
}

static void *run_submitter(void *arg)
{
	struct submitter *s = arg;

	mmun_compat_set_current(task);
	for (unsigned int i = 0; i < ATTEMPTS && !enough(s); i++) {
		int ret = submit(files[(s->first + i / 4) % 2].object);

		s->jobs += !ret;
		s->again += ret == -EAGAIN;
		/* A page may not be mapped, or not for writing, for the moment. */
		if (ret == -EFAULT)
			sched_yield();
		else
			s->other += ret && ret != -EAGAIN;
	}
	mmun_compat_set_current(NULL);
	return NULL;
}

static void test_changes(void)
{
	struct changer changer = { 0 };
	struct submitter s[2] = { { .changer = &changer }, { .changer = &changer, .first = 1 } };

	start_changer(&changer, PAGES);
	for (int i = 0; i < 2; i++)
		if (pthread_create(&s[i].thread, NULL, run_submitter, &s[i]))
			bail_out("no thread");
	for (int i = 0; i < 2; i++)
		pthread_join(s[i].thread, NULL);
	stop_changer(&changer);
	diag("%lu and %lu jobs, %lu and %lu begun again, %lu changes", s[0].jobs, s[1].jobs,
	     s[0].again, s[1].again, changes(&changer));
	is(s[0].other + s[1].other, 0, "submissions against changes");
	for (int i = 0; i < 2; i++)
		is(submit(files[i].object), 0, "one at the end");
	nothing_stale("jobs");
}

static bool refuse(size_t size, void *arg)
{
	return true;
}

static void test_no_memory(void)
{
	mmun_soft_madvise(mm, MEMORY, PAGE_SIZE, MADV_DONTNEED);
	mmun_compat_fail_allocations(refuse, NULL);
	is(i915_gem_object_userptr_submit_init(files[0].object), -ENOMEM, "no memory, no pages");
	mmun_compat_fail_allocations(NULL, NULL);
	is(submit(files[0].object), 0, "and with memory");
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
	struct mmu_interval_notifier *mni = &files[0].object->userptr.notifier;
	const struct mmu_interval_notifier_ops *ops = mni->ops;

	mni->ops = &deaf;
	mmun_soft_madvise(mm, MEMORY, PAGE_SIZE, MADV_DONTNEED);
	stamp(MEMORY);
	is(submit(files[0].object), 0, "a job under a callback that does nothing");
	is(stale, 1, "has a page that the task has no more");
	stale = 0;
	mni->ops = ops;
	mmun_soft_madvise(mm, MEMORY, PAGE_SIZE, MADV_DONTNEED);
	is(submit(files[0].object), 0, "one after the driver's own");
	nothing_stale("the driver's callback");
}

int main(void)
{
	start_machine();
	map(MEMORY, PAGES);
	test_ioctl();
	test_one_by_one();
	test_section_in_the_middle();
	test_changes();
	test_no_memory();
	test_control();
	leave_task();
	for (int i = 0; i < 2; i++) {
		is(i915_gem_object_userptr_submit_done(files[i].object), -EAGAIN, "exit is heard");
		close_file(&files[i]);
	}
	stop_machine(0);
	return tap_done();
}
