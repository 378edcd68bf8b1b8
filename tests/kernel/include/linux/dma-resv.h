/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The fences of a buffer, and its lock.  A signaled fence makes place for the next one. */
#ifndef MMUN_KERNEL_LINUX_DMA_RESV_H
#define MMUN_KERNEL_LINUX_DMA_RESV_H

#include <linux/dma-fence.h>
#include <linux/mutex.h>

enum dma_resv_usage {
	DMA_RESV_USAGE_KERNEL,
	DMA_RESV_USAGE_WRITE,
	DMA_RESV_USAGE_READ,
	DMA_RESV_USAGE_BOOKKEEP,
};

#define MMUN_RESV_FENCES 16

struct dma_resv {
	struct mutex lock;
	spinlock_t fences_lock;
	struct dma_fence *fences[MMUN_RESV_FENCES];
	enum dma_resv_usage usages[MMUN_RESV_FENCES];
};

struct dma_resv_iter {
	struct dma_resv *obj;
	enum dma_resv_usage usage;
	int next;
	struct dma_fence *fence;
};

static inline void dma_resv_init(struct dma_resv *resv)
{
	*resv = (struct dma_resv){ 0 };
	mutex_init(&resv->lock);
	spin_lock_init(&resv->fences_lock);
}

static inline void dma_resv_fini(struct dma_resv *resv)
{
	for (int i = 0; i < MMUN_RESV_FENCES; i++)
		dma_fence_put(resv->fences[i]);
}

static inline int dma_resv_lock(struct dma_resv *resv, void *ctx)
{
	mutex_lock(&resv->lock);
	return 0;
}

#define dma_resv_lock_interruptible(resv, ctx) dma_resv_lock(resv, ctx)
#define dma_resv_unlock(resv)                  mutex_unlock(&(resv)->lock)
#define dma_resv_held(resv)                    lockdep_is_held(&(resv)->lock)
#define dma_resv_assert_held(resv)             lockdep_assert_held(&(resv)->lock)

/* There is a place: the caller adds one fence at a time. */
static inline int dma_resv_reserve_fences(struct dma_resv *resv, unsigned int n)
{
	return 0;
}

static inline void dma_resv_add_fence(struct dma_resv *resv, struct dma_fence *fence,
				      enum dma_resv_usage usage)
{
	struct dma_fence *old = NULL;
	int i;

	dma_resv_assert_held(resv);
	spin_lock(&resv->fences_lock);
	for (i = 0; i < MMUN_RESV_FENCES; i++)
		if (!resv->fences[i] || dma_fence_is_signaled(resv->fences[i]))
			break;
	BUG_ON(i == MMUN_RESV_FENCES);
	old = resv->fences[i];
	resv->fences[i] = dma_fence_get(fence);
	resv->usages[i] = usage;
	spin_unlock(&resv->fences_lock);
	dma_fence_put(old);
}

static inline void dma_resv_iter_begin(struct dma_resv_iter *cursor, struct dma_resv *obj,
				       enum dma_resv_usage usage)
{
	*cursor = (struct dma_resv_iter){ .obj = obj, .usage = usage };
}

static inline void dma_resv_iter_end(struct dma_resv_iter *cursor)
{
	dma_fence_put(cursor->fence);
	cursor->fence = NULL;
}

/* The next one that is not signaled; the cursor holds it. */
static inline struct dma_fence *mmun_resv_next(struct dma_resv_iter *cursor)
{
	dma_resv_iter_end(cursor);
	spin_lock(&cursor->obj->fences_lock);
	while (cursor->next < MMUN_RESV_FENCES && !cursor->fence) {
		int i = cursor->next++;

		if (cursor->obj->fences[i] && cursor->obj->usages[i] <= cursor->usage &&
		    !dma_fence_is_signaled(cursor->obj->fences[i]))
			cursor->fence = dma_fence_get(cursor->obj->fences[i]);
	}
	spin_unlock(&cursor->obj->fences_lock);
	return cursor->fence;
}

#define dma_resv_for_each_fence_unlocked(cursor, fence) \
	while (((fence) = mmun_resv_next(cursor)) != NULL)
#define dma_resv_for_each_fence(cursor, resv, use, fence) \
	for (dma_resv_iter_begin(cursor, resv, use); ((fence) = mmun_resv_next(cursor)) != NULL;)

/* What is left of @timeout. */
static inline long dma_resv_wait_timeout(struct dma_resv *resv, enum dma_resv_usage usage,
					 bool interruptible, unsigned long timeout)
{
	struct dma_resv_iter cursor;
	struct dma_fence *fence;

	dma_resv_iter_begin(&cursor, resv, usage);
	dma_resv_for_each_fence_unlocked(&cursor, fence) dma_fence_wait(fence, interruptible);
	dma_resv_iter_end(&cursor);
	return timeout ? timeout : 1;
}

static inline bool dma_resv_test_signaled(struct dma_resv *resv, enum dma_resv_usage usage)
{
	struct dma_resv_iter cursor;
	bool signaled;

	dma_resv_iter_begin(&cursor, resv, usage);
	signaled = !mmun_resv_next(&cursor);
	dma_resv_iter_end(&cursor);
	return signaled;
}

#endif
