/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The end of a job of a device, which others wait for. */
#ifndef MMUN_KERNEL_LINUX_DMA_FENCE_H
#define MMUN_KERNEL_LINUX_DMA_FENCE_H

#include <linux/completion.h>
#include <linux/kref.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

struct dma_fence {
	struct kref refcount;
	struct completion done;
	/* For who has to do something before it can be signaled; once. */
	void (*enable)(struct dma_fence *fence);
	atomic_t enabled;
};

static inline struct dma_fence *dma_fence_alloc(void (*enable)(struct dma_fence *fence))
{
	struct dma_fence *fence = kzalloc(sizeof(*fence), GFP_KERNEL);

	if (!fence)
		return NULL;
	kref_init(&fence->refcount);
	init_completion(&fence->done);
	fence->enable = enable;
	return fence;
}

static inline void mmun_fence_free(struct kref *kref)
{
	kfree(container_of(kref, struct dma_fence, refcount));
}

static inline struct dma_fence *dma_fence_get(struct dma_fence *fence)
{
	if (fence)
		kref_get(&fence->refcount);
	return fence;
}

static inline void dma_fence_put(struct dma_fence *fence)
{
	if (fence)
		kref_put(&fence->refcount, mmun_fence_free);
}

static inline bool dma_fence_is_signaled(struct dma_fence *fence)
{
	return completion_done(&fence->done);
}

static inline int dma_fence_signal(struct dma_fence *fence)
{
	complete_all(&fence->done);
	return 0;
}

static inline void dma_fence_enable_sw_signaling(struct dma_fence *fence)
{
	if (fence->enable && !atomic_xchg(&fence->enabled, 1))
		fence->enable(fence);
}

static inline long dma_fence_wait(struct dma_fence *fence, bool interruptible)
{
	dma_fence_enable_sw_signaling(fence);
	wait_for_completion(&fence->done);
	return 0;
}

#endif
