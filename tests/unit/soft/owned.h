/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A driver with memory: private, where each frame has bytes that only it knows, or coherent. */
#ifndef MMUN_TESTS_UNIT_OWNED_H
#define MMUN_TESTS_UNIT_OWNED_H

#include <mmunotify/soft_device.h>

#include "frame/page.h"
#include "soft.h"

#define OWNED_FRAMES 64ul
#define OWNED_BATCH  16ul

struct owned {
	struct dev_pagemap pgmap;
	struct mmun_soft *soft;
	unsigned long first;
	pthread_mutex_t lock;
	struct page *free;
	unsigned long nr_free;
	char bytes[OWNED_FRAMES][MMUN_SOFT_PAGE_SIZE];
	/* Faults answered by this: 0 is to migrate. */
	vm_fault_t refuse;
	unsigned long faults, there, back;
	/* Between setup and the copies; may be NULL. */
	void (*in_between)(struct migrate_vma *args);
};

static UNUSED struct owned *owned_of(struct page *page)
{
	return mmun_container_of(page->pgmap, struct owned, pgmap);
}

static UNUSED char *owned_bytes(struct page *page)
{
	struct owned *o = owned_of(page);

	if (o->pgmap.type == MEMORY_DEVICE_COHERENT)
		return mmun_soft_page_address(page);
	return o->bytes[mmun_soft_page_pfn(page) - o->first];
}

static UNUSED void owned_give(struct page *page)
{
	struct owned *o = owned_of(page);

	pthread_mutex_lock(&o->lock);
	page->zone_device_data = o->free;
	o->free = page;
	o->nr_free++;
	pthread_mutex_unlock(&o->lock);
}

static UNUSED struct page *owned_take(struct owned *o)
{
	struct page *page;

	pthread_mutex_lock(&o->lock);
	page = o->free;
	if (page) {
		o->free = page->zone_device_data;
		o->nr_free--;
	}
	pthread_mutex_unlock(&o->lock);
	if (page)
		mmun_soft_zone_device_page_init(page);
	return page;
}

static UNUSED struct page *migrating(struct owned *o, unsigned long entry)
{
	return entry & MIGRATE_PFN_VALID ? mmun_soft_pfn_page(o->soft, entry >> MIGRATE_PFN_SHIFT)
					 : NULL;
}

static UNUSED void copy_page_there(struct owned *o, unsigned long src, unsigned long *dst)
{
	struct page *from = migrating(o, src), *to;

	if (!(src & MIGRATE_PFN_MIGRATE) || !(to = owned_take(o)))
		return;
	if (from)
		mmun_soft_copy_out(owned_bytes(to), mmun_soft_page_address(from), PAGE);
	else
		memset(owned_bytes(to), 0, PAGE);
	*dst = mmun_soft_page_pfn(to) << MIGRATE_PFN_SHIFT | MIGRATE_PFN_VALID;
}

static UNUSED void copy_page_back(struct owned *o, unsigned long src, unsigned long *dst)
{
	struct page *from = migrating(o, src), *to;

	if (!from || !(src & MIGRATE_PFN_MIGRATE) || !(to = mmun_soft_alloc_page(o->soft)))
		return;
	mmun_soft_lock_page(to);
	mmun_soft_copy_in(mmun_soft_page_address(to), owned_bytes(from), PAGE);
	*dst = mmun_soft_page_pfn(to) << MIGRATE_PFN_SHIFT | MIGRATE_PFN_VALID;
}

/* mmap lock held.  Pages that moved, or -errno. */
static UNUSED long owned_migrate(struct owned *o, struct migrate_vma *args, bool there)
{
	unsigned long src[OWNED_BATCH] = { 0 }, dst[OWNED_BATCH] = { 0 };
	long moved = 0;
	int ret;

	args->src = src;
	args->dst = dst;
	args->pgmap_owner = o;
	args->flags = there                                     ? MIGRATE_VMA_SELECT_SYSTEM
		      : o->pgmap.type == MEMORY_DEVICE_COHERENT ? MIGRATE_VMA_SELECT_DEVICE_COHERENT
								: MIGRATE_VMA_SELECT_DEVICE_PRIVATE;
	ret = mmun_soft_migrate_vma_setup(args);
	if (ret)
		return ret;
	if (o->in_between)
		o->in_between(args);
	for (unsigned long i = 0; i < args->npages; i++) {
		if (there)
			copy_page_there(o, src[i], &dst[i]);
		else
			copy_page_back(o, src[i], &dst[i]);
	}
	mmun_soft_migrate_vma_pages(args);
	for (unsigned long i = 0; i < args->npages; i++)
		moved += dst[i] && src[i] & MIGRATE_PFN_MIGRATE;
	mmun_soft_migrate_vma_finalize(args);
	__atomic_add_fetch(there ? &o->there : &o->back, (unsigned long)moved, __ATOMIC_RELAXED);
	return moved;
}

static UNUSED vm_fault_t owned_to_ram(struct vm_fault *vmf)
{
	struct owned *o = owned_of(vmf->page);
	struct migrate_vma args = {
		.vma = vmf->vma,
		.start = vmf->address,
		.end = vmf->address + PAGE,
		.fault_page = vmf->page,
	};

	__atomic_add_fetch(&o->faults, 1, __ATOMIC_RELAXED);
	if (o->refuse)
		return o->refuse;
	return owned_migrate(o, &args, false) < 0 ? VM_FAULT_SIGBUS : 0;
}

static UNUSED const struct dev_pagemap_ops owned_ops = {
	.page_free = owned_give,
	.migrate_to_ram = owned_to_ram,
};

/* Its memory begins @offset frames into the space. */
static UNUSED void owned_start_type(struct owned *o, struct mmun_soft *soft, unsigned long offset,
				    enum memory_type type)
{
	struct range space;

	mmun_soft_device_space(soft, &space);
	memset(o, 0, sizeof(*o));
	pthread_mutex_init(&o->lock, NULL);
	o->soft = soft;
	o->pgmap =
		(struct dev_pagemap){ .type = type, .ops = &owned_ops, .owner = o, .nr_range = 1 };
	o->pgmap.range.start = space.start + offset * PAGE;
	o->pgmap.range.end = o->pgmap.range.start + OWNED_FRAMES * PAGE - 1;
	o->first = o->pgmap.range.start / PAGE;
	is(mmun_soft_memremap_pages(soft, &o->pgmap), 0, "a device has memory");
	for (unsigned long i = 0; i < OWNED_FRAMES; i++)
		owned_give(mmun_soft_pfn_page(soft, o->first + i));
}

static UNUSED void owned_start(struct owned *o, struct mmun_soft *soft, unsigned long offset)
{
	owned_start_type(o, soft, offset, MEMORY_DEVICE_PRIVATE);
}

static UNUSED long owned_move(struct owned *o, struct mm_struct *mm, unsigned long at,
			      unsigned long pages, bool there)
{
	struct migrate_vma args = { .start = at, .end = at + pages * PAGE };
	long moved;

	mmap_read_lock(mm);
	args.vma = mmun_soft_vma_lookup(mm, at);
	moved = owned_migrate(o, &args, there);
	mmap_read_unlock(mm);
	return moved;
}

/* Wherever they are mapped. */
static UNUSED void owned_evict(struct owned *o)
{
	unsigned long src[OWNED_FRAMES], dst[OWNED_FRAMES] = { 0 };

	mmun_soft_migrate_device_range(o->soft, src, o->first, OWNED_FRAMES);
	for (unsigned long i = 0; i < OWNED_FRAMES; i++)
		copy_page_back(o, src[i], &dst[i]);
	mmun_soft_migrate_device_pages(o->soft, src, dst, OWNED_FRAMES);
	mmun_soft_migrate_device_finalize(o->soft, src, dst, OWNED_FRAMES);
}

static UNUSED void owned_stop(struct owned *o)
{
	is(o->nr_free, OWNED_FRAMES, "all frames are the driver's again");
	mmun_soft_memunmap_pages(&o->pgmap);
	ok(!mmun_soft_pfn_page(o->soft, o->first), "the memory is gone");
	pthread_mutex_destroy(&o->lock);
}

#endif
