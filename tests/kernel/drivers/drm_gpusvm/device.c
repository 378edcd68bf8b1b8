/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The driver's part: what drm_gpusvm.c and drm_pagemap.c call, and who calls them. */
#include "device.h"

#include <drm/drm_drv.h>
#include <drm/drm_pagemap_util.h>
#include <linux/highmem.h>
#include <linux/memremap.h>
#include <linux/migrate.h>
#include <linux/pagemap.h>

#define BLOCKS 64ul
#define TRIES  100

struct gpu gpu;
static struct device dev;
static const struct file_operations fops = { .owner = THIS_MODULE };
static const struct drm_driver driver = { .fops = &fops };
static struct drm_device drm = { .dev = &dev, .driver = &driver };
static const unsigned long chunk_sizes[] = { CHUNK_PAGES * PAGE_SIZE, PAGE_SIZE };
static char *memory;
static bool taken[BLOCKS];
static DEFINE_SPINLOCK(blocks_lock);

struct svm_range {
	struct drm_gpusvm_range base;
	struct list_head garbage;
};

struct block {
	struct drm_pagemap_devmem base;
	struct kref refcount;
	unsigned long number;
};

static struct svm_range *to_range(struct drm_gpusvm_range *range)
{
	return container_of(range, struct svm_range, base);
}

void drm_dev_get(struct drm_device *device)
{
	__atomic_add_fetch(&gpu.devices, 1, __ATOMIC_SEQ_CST);
}

void drm_dev_put(struct drm_device *device)
{
	__atomic_sub_fetch(&gpu.devices, 1, __ATOMIC_SEQ_CST);
}

void drm_pagemap_shrinker_add(struct drm_pagemap *dpagemap)
{
	drm_pagemap_destroy(dpagemap, false);
}

void *gpu_memory(u64 address)
{
	BUG_ON(address >= BLOCKS * CHUNK_PAGES * PAGE_SIZE);
	return memory + address;
}

static unsigned long first_pfn(void)
{
	return PFN_DOWN(gpu.pagemap.range.start);
}

u64 gpu_page_address(const struct page *page)
{
	return (u64)(page_to_pfn(page) - first_pfn()) << PAGE_SHIFT;
}

static void clear(unsigned long start, unsigned long end)
{
	mutex_lock(&gpu.lock);
	for (unsigned long i = 0; i < PAGES; i++)
		if (MEMORY + i * PAGE_SIZE >= start && MEMORY + i * PAGE_SIZE < end)
			gpu.table[i].valid = false;
	mutex_unlock(&gpu.lock);
}

static struct drm_gpusvm_range *alloc_range(struct drm_gpusvm *svm)
{
	struct svm_range *range = kzalloc(sizeof(*range), GFP_KERNEL);

	if (!range)
		return NULL;
	INIT_LIST_HEAD(&range->garbage);
	return &range->base;
}

static void free_range(struct drm_gpusvm_range *range)
{
	kfree(to_range(range));
}

static void invalidate(struct drm_gpusvm *svm, struct drm_gpusvm_notifier *notifier,
		       const struct mmu_notifier_range *mmu_range)
{
	struct drm_gpusvm_ctx ctx = { .in_notifier = true };
	struct drm_gpusvm_range *range = NULL;
	unsigned long start = max(mmu_range->start, drm_gpusvm_notifier_start(notifier));
	unsigned long end = min(mmu_range->end, drm_gpusvm_notifier_end(notifier));

	drm_gpusvm_for_each_range(range, notifier, start, end)
	{
		clear(drm_gpusvm_range_start(range), drm_gpusvm_range_end(range));
		drm_gpusvm_range_unmap_pages(svm, range, &ctx);
		if (mmu_range->event != MMU_NOTIFY_UNMAP)
			continue;
		drm_gpusvm_range_set_unmapped(range, mmu_range);
		spin_lock(&gpu.garbage_lock);
		if (list_empty(&to_range(range)->garbage))
			list_add_tail(&to_range(range)->garbage, &gpu.garbage);
		spin_unlock(&gpu.garbage_lock);
	}
}

static const struct drm_gpusvm_ops svm_ops = { .range_alloc = alloc_range,
					       .range_free = free_range,
					       .invalidate = invalidate };

static struct drm_gpusvm_pages_flags flags_of(struct drm_gpusvm_range *range)
{
	struct drm_gpusvm_pages_flags flags;

	drm_gpusvm_notifier_lock(&gpu.svm);
	flags = range->pages.flags;
	drm_gpusvm_notifier_unlock(&gpu.svm);
	return flags;
}

static void collect_garbage(void)
{
	struct svm_range *range;

	for (;;) {
		spin_lock(&gpu.garbage_lock);
		range = list_first_entry_or_null(&gpu.garbage, struct svm_range, garbage);
		/* Not empty after that: it is not added once more. */
		if (range)
			list_del(&range->garbage);
		spin_unlock(&gpu.garbage_lock);
		if (!range)
			return;
		if (flags_of(&range->base).partial_unmap) {
			drm_gpusvm_range_evict(&gpu.svm, &range->base);
			gpu.evicted++;
		}
		clear(drm_gpusvm_range_start(&range->base), drm_gpusvm_range_end(&range->base));
		drm_gpusvm_range_remove(&gpu.svm, &range->base);
		gpu.removed++;
	}
}

void gpu_collect_garbage(void)
{
	mutex_lock(&gpu.svm_lock);
	collect_garbage();
	mutex_unlock(&gpu.svm_lock);
}

/* Under the notifier's lock, if nothing was invalidated since the pages were looked up. */
static int bind(struct drm_gpusvm_range *range)
{
	unsigned long at = (drm_gpusvm_range_start(range) - MEMORY) / PAGE_SIZE;
	unsigned long pages = drm_gpusvm_range_size(range) / PAGE_SIZE;
	struct drm_pagemap_addr *from;
	int ret = -EAGAIN;

	drm_gpusvm_notifier_lock(&gpu.svm);
	if (drm_gpusvm_range_pages_valid(&gpu.svm, range)) {
		mutex_lock(&gpu.lock);
		from = range->pages.dma_addr;
		for (unsigned long i = 0; i < pages; from++)
			for (unsigned long j = 0; j < 1ul << from->order; j++, i++)
				gpu.table[at + i] = (struct entry){
					.valid = true,
					.own = from->proto == DRM_INTERCONNECT_DRIVER,
					.address = from->addr + j * PAGE_SIZE,
				};
		mutex_unlock(&gpu.lock);
		ret = 0;
	}
	drm_gpusvm_notifier_unlock(&gpu.svm);
	return ret;
}

static int fault_once(unsigned long address, struct drm_gpusvm_ctx *ctx)
{
	struct drm_gpusvm_range *range;
	int ret;

	collect_garbage();
	range = drm_gpusvm_range_find_or_insert(&gpu.svm, address, MEMORY,
						MEMORY + PAGES * PAGE_SIZE, ctx);
	if (IS_ERR(range))
		return (int)PTR_ERR(range);
	/* Best effort. */
	if (ctx->devmem_possible && flags_of(range).migrate_devmem)
		drm_pagemap_populate_mm(&gpu.dpagemap, drm_gpusvm_range_start(range),
					drm_gpusvm_range_end(range), gpu.svm.mm, 0);
	ret = drm_gpusvm_range_get_pages(&gpu.svm, range, ctx);
	if (ret == -EOPNOTSUPP) {
		gpu.evicted++;
		drm_gpusvm_range_evict(&gpu.svm, range);
		return -EAGAIN;
	}
	return ret ? ret : bind(range);
}

int gpu_fault(unsigned long address, bool own)
{
	struct drm_gpusvm_ctx ctx = { .device_private_page_owner = gpu.pagemap.owner,
				      .devmem_possible = own,
				      .allow_mixed = gpu.mixed };
	int ret = -EAGAIN;

	mutex_lock(&gpu.svm_lock);
	for (int i = 0; i < TRIES && ret == -EAGAIN; i++)
		ret = fault_once(address, &ctx);
	mutex_unlock(&gpu.svm_lock);
	return ret;
}

/* Memory of the device. */

static void free_block(struct kref *refcount)
{
	struct block *block = container_of(refcount, struct block, refcount);

	taken[block->number] = false;
	kfree(block);
}

/* Its pages are free. */
static void release_block(struct drm_pagemap_devmem *devmem)
{
	struct block *block = container_of(devmem, struct block, base);

	spin_lock(&blocks_lock);
	if (gpu.block == devmem)
		gpu.block = NULL;
	kref_put(&block->refcount, free_block);
	spin_unlock(&blocks_lock);
}

int gpu_evict(void)
{
	struct block *block = NULL;
	int ret;

	spin_lock(&blocks_lock);
	if (gpu.block) {
		block = container_of(gpu.block, struct block, base);
		kref_get(&block->refcount);
	}
	spin_unlock(&blocks_lock);
	if (!block)
		return -ENOENT;
	ret = drm_pagemap_evict_to_ram(&block->base);
	spin_lock(&blocks_lock);
	kref_put(&block->refcount, free_block);
	spin_unlock(&blocks_lock);
	return ret;
}

static int populate_pfns(struct drm_pagemap_devmem *devmem, unsigned long npages,
			 unsigned long *pfn)
{
	struct block *block = container_of(devmem, struct block, base);

	for (unsigned long i = 0; i < npages; i++)
		pfn[i] = first_pfn() + block->number * CHUNK_PAGES + i;
	return 0;
}

static int copy_to_devmem(struct page **pages, struct drm_pagemap_addr *from, unsigned long npages,
			  struct dma_fence *fence)
{
	for (unsigned long i = 0; i < npages; i++) {
		if (!pages[i])
			continue;
		if (from[i].addr)
			memcpy_from_page(gpu_memory(gpu_page_address(pages[i])),
					 pfn_to_page(PFN_DOWN(from[i].addr)), 0, PAGE_SIZE);
		else
			memset(gpu_memory(gpu_page_address(pages[i])), 0, PAGE_SIZE);
	}
	__atomic_add_fetch(&gpu.to_memory, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static int copy_to_ram(struct page **pages, struct drm_pagemap_addr *to, unsigned long npages,
		       struct dma_fence *fence)
{
	for (unsigned long i = 0; i < npages; i++)
		if (pages[i] && to[i].addr)
			memcpy_to_page(pfn_to_page(PFN_DOWN(to[i].addr)), 0,
				       gpu_memory(gpu_page_address(pages[i])), PAGE_SIZE);
	__atomic_add_fetch(&gpu.to_ram, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static const struct drm_pagemap_devmem_ops block_ops = {
	.devmem_release = release_block,
	.populate_devmem_pfn = populate_pfns,
	.copy_to_devmem = copy_to_devmem,
	.copy_to_ram = copy_to_ram,
};

/* The block belongs to the migration, whatever comes of it. */
static int populate(struct drm_pagemap *dpagemap, unsigned long start, unsigned long end,
		    struct mm_struct *mm, unsigned long timeslice_ms)
{
	const struct drm_pagemap_migrate_details details = { 0 };
	struct block *block = kzalloc(sizeof(*block), GFP_KERNEL);
	unsigned long number = 0;

	if (!block)
		return -ENOMEM;
	spin_lock(&blocks_lock);
	while (number < BLOCKS && taken[number])
		number++;
	if (number < BLOCKS)
		taken[number] = true;
	spin_unlock(&blocks_lock);
	if (number == BLOCKS) {
		kfree(block);
		return -ENOSPC;
	}
	block->number = number;
	kref_init(&block->refcount);
	drm_pagemap_devmem_init(&block->base, &dev, mm, &block_ops, dpagemap, end - start, NULL);
	spin_lock(&blocks_lock);
	gpu.block = &block->base;
	spin_unlock(&blocks_lock);
	return drm_pagemap_migrate_to_devmem(&block->base, mm, start, end, &details);
}

static struct drm_pagemap_addr map_page(struct drm_pagemap *dpagemap, struct device *device,
					struct page *page, unsigned int order,
					enum dma_data_direction dir)
{
	return drm_pagemap_addr_encode(gpu_page_address(page), DRM_INTERCONNECT_DRIVER, order, dir);
}

static void unmap_page(struct drm_pagemap *dpagemap, struct device *device,
		       const struct drm_pagemap_addr *addr)
{
}

static void destroy(struct drm_pagemap *dpagemap, bool is_atomic_or_reclaim)
{
	gpu.destroyed++;
}

static const struct drm_pagemap_ops pagemap_ops = { .device_map = map_page,
						    .device_unmap = unmap_page,
						    .populate_mm = populate,
						    .destroy = destroy };

/* drm_pagemap.c takes DMA address 0 for none.  Linux never gives its frame away; a machine does. */
static struct page *first_frame;

static void take_first_frame(void)
{
	static struct page *others[1 << 16];
	unsigned long n = 0;

	while ((first_frame = alloc_page(GFP_KERNEL)) && page_to_pfn(first_frame)) {
		BUG_ON(n == ARRAY_SIZE(others));
		others[n++] = first_frame;
	}
	while (n--)
		put_page(others[n]);
	BUG_ON(!first_frame);
}

void gpu_start(struct mm_struct *mm)
{
	struct resource *place;

	gpu = (struct gpu){ 0 };
	memset(taken, 0, sizeof(taken));
	take_first_frame();
	memory = kzalloc(BLOCKS * CHUNK_PAGES * PAGE_SIZE, GFP_KERNEL);
	mutex_init(&gpu.lock);
	mutex_init(&gpu.svm_lock);
	spin_lock_init(&gpu.garbage_lock);
	INIT_LIST_HEAD(&gpu.garbage);
	place = request_free_mem_region(&iomem_resource, BLOCKS * CHUNK_PAGES * PAGE_SIZE,
					"gpusvm");
	gpu.pagemap = (struct dev_pagemap){ .type = MEMORY_DEVICE_PRIVATE,
					    .ops = drm_pagemap_pagemap_ops_get(),
					    .owner = &gpu,
					    .nr_range = 1,
					    .range = { place->start, place->end } };
	BUG_ON(IS_ERR(memremap_pages(&gpu.pagemap, numa_node_id())));
	BUG_ON(drm_pagemap_init(&gpu.dpagemap, &gpu.pagemap, &drm, &pagemap_ops));
	BUG_ON(drm_gpusvm_init(&gpu.svm, "svm", &drm, mm, 0, TASK_SIZE, SZ_2M, &svm_ops,
			       chunk_sizes, ARRAY_SIZE(chunk_sizes)));
}

void gpu_stop(void)
{
	gpu_collect_garbage();
	drm_gpusvm_fini(&gpu.svm);
	drm_pagemap_put(&gpu.dpagemap);
	flush_workqueue(system_wq);
	memunmap_pages(&gpu.pagemap);
	release_mem_region(gpu.pagemap.range.start, range_len(&gpu.pagemap.range));
	put_page(first_frame);
	kfree(memory);
}
