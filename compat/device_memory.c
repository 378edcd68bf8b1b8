/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Memory of devices: room among the physical addresses, and the machine's functions under
 * the kernel's names.
 *
 * I1  Regions are disjoint and in order of address.
 * I2  Memory whose range no region covers, because the driver was given it (as coherent memory is, by
 *     firmware or a parameter), has one of its own while it is there.
 *
 * Tests: tests/contract/compat/device_memory.c.
 */
#include "runtime.h"

#include <linux/device.h>
#include <linux/memremap.h>
#include <linux/migrate.h>
#include <linux/rmap.h>

/* I1 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(regions);
struct resource iomem_resource = { .end = U64_MAX, .name = "memory" };

/* The first @size bytes from *@start on that no region has; the one behind them, or the head. */
static struct list_head *find_room(u64 *start, u64 size)
{
	struct resource *region;

	list_for_each_entry(region, &regions, mmun_link) {
		if (*start + size <= region->start)
			return &region->mmun_link;
		*start = region->end + 1;
	}
	return &regions;
}

static bool take_room(struct resource *region, const struct resource *base, u64 size)
{
	struct list_head *behind;
	struct range space;
	bool fits;

	mmun_soft_device_space(mmun_compat_machine(), &space);
	pthread_mutex_lock(&lock);
	region->start = max(base->start, space.start);
	behind = find_room(&region->start, size);
	region->end = region->start + size - 1;
	fits = region->end <= min(base->end, space.end);
	if (fits)
		list_add_tail(&region->mmun_link, behind);
	pthread_mutex_unlock(&lock);
	return fits;
}

struct resource *request_free_mem_region(struct resource *base, unsigned long size,
					 const char *name)
{
	struct resource *region = (struct resource *)kzalloc(sizeof(*region), GFP_KERNEL);

	if (!region)
		return (struct resource *)ERR_PTR(-ENOMEM);
	region->name = name;
	if (take_room(region, base, size))
		return region;
	kfree(region);
	return (struct resource *)ERR_PTR(-ERANGE);
}

/* Locked.  @name: only one with that; NULL: any. */
static struct resource *find_region(resource_size_t start, resource_size_t size, const char *name)
{
	struct resource *region, *found = NULL;

	list_for_each_entry(region, &regions, mmun_link) {
		if (region->start == start && resource_size(region) == size &&
		    (!name || region->name == name))
			found = region;
	}
	return found;
}

static struct resource *take_region(resource_size_t start, resource_size_t size, const char *name)
{
	struct resource *found;

	pthread_mutex_lock(&lock);
	found = find_region(start, size, name);
	if (found)
		list_del(&found->mmun_link);
	pthread_mutex_unlock(&lock);
	return found;
}

void mmun_compat_release_region(resource_size_t start, resource_size_t size)
{
	struct resource *region = take_region(start, size, NULL);

	WARN(!region, "no region of 0x%llx bytes at 0x%llx\n", size, start);
	kfree(region);
}

/* The region of @range's own; its name says which those are. */
static const char given[] = "given";

/* I2.  False: one is there. */
static bool enter_region(struct resource *new)
{
	struct list_head *behind = &regions;
	struct resource *region;
	bool covered = false;

	pthread_mutex_lock(&lock);
	list_for_each_entry(region, &regions, mmun_link) {
		covered |= region->start <= new->end &&new->start <= region->end;
		if (behind == &regions && region->start > new->end)
			behind = &region->mmun_link;
	}
	if (!covered)
		list_add_tail(&new->mmun_link, behind);
	pthread_mutex_unlock(&lock);
	return !covered;
}

static int add_region(const struct range *range)
{
	struct resource *region = (struct resource *)kzalloc(sizeof(*region), GFP_KERNEL);

	if (!region)
		return -ENOMEM;
	region->start = range->start;
	region->end = range->end;
	region->name = given;
	if (!enter_region(region))
		kfree(region);
	return 0;
}

static void remove_region(const struct range *range)
{
	struct resource *region = take_region(range->start, range_len(range), given);

	kfree(region);
}

void *memremap_pages(struct dev_pagemap *pgmap, int nid)
{
	int ret;

	might_sleep();
	ret = mmun_soft_memremap_pages(mmun_compat_machine(), pgmap);
	if (ret)
		return ERR_PTR(ret);
	if (add_region(&pgmap->range)) {
		mmun_soft_memunmap_pages(pgmap);
		return ERR_PTR(-ENOMEM);
	}
	if (pgmap->type == MEMORY_DEVICE_PRIVATE)
		return (void *)(uintptr_t)pgmap->range.start;
	return page_address(pfn_to_page(PHYS_PFN(pgmap->range.start)));
}

void memunmap_pages(struct dev_pagemap *pgmap)
{
	const struct range range = pgmap->range;

	might_sleep();
	mmun_soft_memunmap_pages(pgmap);
	remove_region(&range);
}

static void unmap_managed(void *data)
{
	memunmap_pages((struct dev_pagemap *)data);
}

void *devm_memremap_pages(struct device *dev, struct dev_pagemap *pgmap)
{
	void *bytes = memremap_pages(pgmap, numa_node_id());
	int ret;

	if (IS_ERR(bytes))
		return bytes;
	ret = devm_add_action_or_reset(dev, unmap_managed, pgmap);
	return ret ? ERR_PTR(ret) : bytes;
}

void devm_memunmap_pages(struct device *dev, struct dev_pagemap *pgmap)
{
	devm_release_action(dev, unmap_managed, pgmap);
}

static void release_managed(void *data)
{
	const struct resource *region = (const struct resource *)data;

	release_mem_region(region->start, resource_size(region));
}

struct resource *devm_request_free_mem_region(struct device *dev, struct resource *base,
					      unsigned long size)
{
	struct resource *region = request_free_mem_region(base, size, dev_name(dev));
	int ret;

	if (IS_ERR(region))
		return region;
	ret = devm_add_action_or_reset(dev, release_managed, region);
	return ret ? (struct resource *)ERR_PTR(ret) : region;
}

void devm_release_mem_region(struct device *dev, resource_size_t start, resource_size_t size)
{
	struct resource *region;

	pthread_mutex_lock(&lock);
	region = find_region(start, size, NULL);
	pthread_mutex_unlock(&lock);
	if (!WARN_ON(!region))
		devm_release_action(dev, release_managed, region);
}

struct dev_pagemap *mmun_compat_get_dev_pagemap(unsigned long pfn, struct dev_pagemap *known)
{
	if (known) {
		if (PFN_PHYS(pfn) >= known->range.start && PFN_PHYS(pfn) <= known->range.end)
			return known;
		put_dev_pagemap(known);
	}
	return mmun_soft_get_dev_pagemap(mmun_compat_machine(), pfn);
}

int migrate_vma_setup(struct migrate_vma *args)
{
	might_sleep();
	if (args->vma)
		mmap_assert_locked(args->vma->vm_mm);
	return mmun_soft_migrate_vma_setup(args);
}

void migrate_vma_pages(struct migrate_vma *args)
{
	mmap_assert_locked(args->vma->vm_mm);
	mmun_soft_migrate_vma_pages(args);
}

void migrate_vma_finalize(struct migrate_vma *args)
{
	mmap_assert_locked(args->vma->vm_mm);
	mmun_soft_migrate_vma_finalize(args);
}

int migrate_device_range(unsigned long *src_pfns, unsigned long start, unsigned long npages)
{
	might_sleep();
	return mmun_soft_migrate_device_range(mmun_compat_machine(), src_pfns, start, npages);
}

int migrate_device_pfns(unsigned long *src_pfns, unsigned long npages)
{
	might_sleep();
	return mmun_soft_migrate_device_pfns(mmun_compat_machine(), src_pfns, npages);
}

void migrate_device_pages(unsigned long *src_pfns, unsigned long *dst_pfns, unsigned long npages)
{
	mmun_soft_migrate_device_pages(mmun_compat_machine(), src_pfns, dst_pfns, npages);
}

void migrate_device_finalize(unsigned long *src_pfns, unsigned long *dst_pfns, unsigned long npages)
{
	mmun_soft_migrate_device_finalize(mmun_compat_machine(), src_pfns, dst_pfns, npages);
}

int make_device_exclusive_range(struct mm_struct *mm, unsigned long start, unsigned long end,
				struct page **pages, void *owner)
{
	might_sleep();
	mmap_assert_locked(mm);
	return (int)mmun_soft_make_device_exclusive(mm, start, (end - start) >> PAGE_SHIFT, pages,
						    owner);
}

struct page *make_device_exclusive(struct mm_struct *mm, unsigned long address, void *owner,
				   struct folio **folio)
{
	struct page *page = NULL;
	int ret = make_device_exclusive_range(mm, address, address + PAGE_SIZE, &page, owner);

	if (ret < 0)
		return (struct page *)ERR_PTR(ret);
	if (!page)
		return (struct page *)ERR_PTR(-EBUSY);
	*folio = page_folio(page);
	return page;
}
