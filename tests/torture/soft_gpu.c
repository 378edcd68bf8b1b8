/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See soft_gpu.h.  A frame that is free is in its device's list, linked by ->zone_device_data. */
#include "soft_gpu.h"

#include <pthread.h>

#include <mmunotify/soft_device.h>

#include "atomic.h"
#include "frame/page.h"
#include "options.h"

#define PAGE       MMUN_SOFT_PAGE_SIZE
#define GPU_FRAMES 64ul
#define BATCH      64ul

static struct gpu {
	struct dev_pagemap pgmap;
	struct mmun_soft *soft;
	unsigned long first;
	pthread_mutex_t lock;
	struct page *free;
	/* Of private memory. */
	uint64_t bytes[GPU_FRAMES][PAGE / sizeof(uint64_t)];
} gpus[2];

static struct {
	long there, back, faults, lent;
} counts;

static struct gpu *gpu_of(struct page *page)
{
	return gpus[0].pgmap.owner == page->pgmap->owner ? &gpus[0] : &gpus[1];
}

static void *bytes_of(struct page *page)
{
	struct gpu *gpu;

	if (mmun_soft_page_memory_type(page) != MEMORY_DEVICE_PRIVATE)
		return mmun_soft_page_address(page);
	gpu = gpu_of(page);
	return gpu->bytes[mmun_soft_page_pfn(page) - gpu->first];
}

static void give(struct page *page)
{
	struct gpu *gpu = gpu_of(page);

	pthread_mutex_lock(&gpu->lock);
	page->zone_device_data = gpu->free;
	gpu->free = page;
	pthread_mutex_unlock(&gpu->lock);
}

static struct page *take(struct gpu *gpu)
{
	struct page *page;

	pthread_mutex_lock(&gpu->lock);
	page = gpu->free;
	if (page)
		gpu->free = page->zone_device_data;
	pthread_mutex_unlock(&gpu->lock);
	if (page)
		mmun_soft_zone_device_page_init(page);
	return page;
}

static struct page *page_of(struct gpu *gpu, unsigned long entry)
{
	return entry & MIGRATE_PFN_VALID ? mmun_soft_pfn_page(gpu->soft, entry >> MIGRATE_PFN_SHIFT)
					 : NULL;
}

/* The other page, locked and with the contents; 0: this one stays. */
static unsigned long copy(struct gpu *gpu, unsigned long src, bool there)
{
	struct page *from = page_of(gpu, src), *to;

	if (!(src & MIGRATE_PFN_MIGRATE) || (!there && !from))
		return 0;
	to = there ? take(gpu) : mmun_soft_alloc_page(gpu->soft);
	if (!to)
		return 0;
	if (!there)
		mmun_soft_lock_page(to);
	if (from)
		mmun_soft_copy_in(bytes_of(to), bytes_of(from), PAGE);
	else
		memset(bytes_of(to), 0, PAGE);
	return mmun_soft_page_pfn(to) << MIGRATE_PFN_SHIFT | MIGRATE_PFN_VALID;
}

static void count_moved(const unsigned long *src, const unsigned long *dst, unsigned long nr,
			bool there)
{
	for (unsigned long i = 0; i < nr; i++)
		if (dst[i] && src[i] & MIGRATE_PFN_MIGRATE)
			(void)mmun_add_relaxed(there ? &counts.there : &counts.back, 1);
}

static unsigned long selection(const struct gpu *gpu, bool there)
{
	if (there)
		return MIGRATE_VMA_SELECT_SYSTEM;
	return gpu->pgmap.type == MEMORY_DEVICE_PRIVATE ? MIGRATE_VMA_SELECT_DEVICE_PRIVATE
							: MIGRATE_VMA_SELECT_DEVICE_COHERENT;
}

/* mmap lock held.  False: there is no memory to come back to. */
static bool migrate(struct gpu *gpu, struct vm_area_struct *vma, unsigned long start,
		    unsigned long end, struct page *fault_page, bool there)
{
	unsigned long src[BATCH], dst[BATCH];
	struct migrate_vma args = {
		.vma = vma,
		.start = start,
		.end = end < vma->vm_end ? end : vma->vm_end,
		.src = src,
		.dst = dst,
		.pgmap_owner = gpu,
		.flags = selection(gpu, there),
		.fault_page = fault_page,
	};

	bool memory = true;

	if (mmun_soft_migrate_vma_setup(&args))
		return true;
	for (unsigned long i = 0; i < args.npages; i++) {
		dst[i] = copy(gpu, src[i], there);
		memory &= dst[i] || !(src[i] & MIGRATE_PFN_MIGRATE);
	}
	mmun_soft_migrate_vma_pages(&args);
	count_moved(src, dst, args.npages, there);
	mmun_soft_migrate_vma_finalize(&args);
	return memory;
}

static vm_fault_t to_ram(struct vm_fault *vmf)
{
	struct gpu *gpu = gpu_of(vmf->page);

	(void)mmun_add_relaxed(&counts.faults, 1);
	return migrate(gpu, vmf->vma, vmf->address, vmf->address + PAGE, vmf->page, false)
		       ? 0
		       : VM_FAULT_OOM;
}

static const struct dev_pagemap_ops gpu_ops = { .page_free = give, .migrate_to_ram = to_ram };

static void create(struct gpu *gpu, struct mmun_soft *soft, enum memory_type type, uint64_t address)
{
	memset(gpu, 0, sizeof(*gpu));
	pthread_mutex_init(&gpu->lock, NULL);
	gpu->soft = soft;
	gpu->pgmap = (struct dev_pagemap){
		.type = type,
		.ops = &gpu_ops,
		.owner = gpu,
		.nr_range = 1,
		.range = { address, address + GPU_FRAMES * PAGE - 1 },
	};
	gpu->first = address / PAGE;
	if (mmun_soft_memremap_pages(soft, &gpu->pgmap))
		bail_out("cannot make memory of a device");
	for (unsigned long i = 0; i < GPU_FRAMES; i++)
		give(mmun_soft_pfn_page(soft, gpu->first + i));
}

void gpus_create(struct mmun_soft *soft)
{
	struct range space;

	mmun_soft_device_space(soft, &space);
	create(&gpus[0], soft, MEMORY_DEVICE_PRIVATE, space.start);
	create(&gpus[1], soft, MEMORY_DEVICE_COHERENT, space.start + GPU_FRAMES * PAGE);
}

void gpus_destroy(void)
{
	for (int i = 0; i < 2; i++) {
		mmun_soft_memunmap_pages(&gpus[i].pgmap);
		pthread_mutex_destroy(&gpus[i].lock);
	}
}

void gpu_move(struct mm_struct *mm, unsigned long start, unsigned long end, bool coherent,
	      bool there)
{
	struct vm_area_struct *vma;

	if (end > start + BATCH * PAGE)
		end = start + BATCH * PAGE;
	mmap_read_lock(mm);
	vma = mmun_soft_vma_lookup(mm, start);
	if (vma && vma->vm_start <= start)
		migrate(&gpus[coherent], vma, start, end, NULL, there);
	mmap_read_unlock(mm);
}

void gpu_evict(bool coherent)
{
	unsigned long src[GPU_FRAMES], dst[GPU_FRAMES];
	struct gpu *gpu = &gpus[coherent];

	mmun_soft_migrate_device_range(gpu->soft, src, gpu->first, GPU_FRAMES);
	for (unsigned long i = 0; i < GPU_FRAMES; i++)
		dst[i] = copy(gpu, src[i], false);
	mmun_soft_migrate_device_pages(gpu->soft, src, dst, GPU_FRAMES);
	count_moved(src, dst, GPU_FRAMES, false);
	mmun_soft_migrate_device_finalize(gpu->soft, src, dst, GPU_FRAMES);
}

bool gpu_write_lent(struct mm_struct *mm, unsigned long address, uint64_t word)
{
	struct page *page = NULL;
	uint64_t *words;
	long got;

	mmap_read_lock(mm);
	got = mmun_soft_make_device_exclusive(mm, address, 1, &page, &gpus[0]);
	mmap_read_unlock(mm);
	if (got != 1 || !page)
		return false;
	words = mmun_soft_page_address(page);
	for (unsigned long i = 0; i < PAGE / sizeof(*words); i++)
		mmun_store_relaxed(&words[i], word);
	mmun_soft_unlock_page(page);
	mmun_soft_put_page(page);
	(void)mmun_add_relaxed(&counts.lent, 1);
	return true;
}

bool gpus_worked(void)
{
	diag("%10ld pages to devices, %ld back, %ld faults, %ld lent", counts.there, counts.back,
	     counts.faults, counts.lent);
	return counts.there && counts.back && counts.faults && counts.lent;
}
