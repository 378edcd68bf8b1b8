/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A driver with private or coherent memory: the kernel's names for it, pages there and back. */
#include "machine.h"

#include <linux/device.h>
#include <linux/hmm.h>
#include <linux/memremap.h>
#include <linux/migrate.h>
#include <linux/mmu_notifier.h>
#include <linux/pagemap.h>
#include <linux/rmap.h>

#define PAGES 4ul

static int owner, other;
static struct page *free_pages;
static unsigned long nr_free;
static DEFINE_SPINLOCK(lock);

/* ->zone_device_data of a page in use is the page of the machine that stands for its memory. */
static struct page *memory_of(struct page *page)
{
	return (struct page *)page->zone_device_data;
}

static void give(struct page *page)
{
	spin_lock(&lock);
	page->zone_device_data = free_pages;
	free_pages = page;
	nr_free++;
	spin_unlock(&lock);
}

static void page_free(struct page *page)
{
	__free_page(memory_of(page));
	give(page);
}

static struct page *take(void)
{
	struct page *page, *memory = alloc_page(GFP_KERNEL);

	spin_lock(&lock);
	page = free_pages;
	free_pages = (struct page *)page->zone_device_data;
	nr_free--;
	spin_unlock(&lock);
	zone_device_page_init(page);
	page->zone_device_data = memory;
	return page;
}

static void to_device(struct migrate_vma *args, unsigned long i)
{
	struct page *from = migrate_pfn_to_page(args->src[i]), *to;

	if (!(args->src[i] & MIGRATE_PFN_MIGRATE))
		return;
	to = take();
	if (from)
		copy_highpage(memory_of(to), from);
	args->dst[i] = migrate_pfn(page_to_pfn(to));
}

static void to_system(unsigned long *src, unsigned long *dst)
{
	struct page *from = migrate_pfn_to_page(*src), *to;

	if (!from || !(*src & MIGRATE_PFN_MIGRATE))
		return;
	to = alloc_page(GFP_KERNEL);
	lock_page(to);
	copy_highpage(to, memory_of(from));
	*dst = migrate_pfn(page_to_pfn(to));
}

static vm_fault_t migrate_to_ram(struct vm_fault *vmf)
{
	unsigned long src = 0, dst = 0;
	struct migrate_vma args = {
		.vma = vmf->vma,
		.src = &src,
		.dst = &dst,
		.start = vmf->address,
		.end = vmf->address + PAGE_SIZE,
		.pgmap_owner = &owner,
		.flags = MIGRATE_VMA_SELECT_DEVICE_PRIVATE,
		.fault_page = vmf->page,
	};

	if (!vmf->pte || migrate_vma_setup(&args))
		return VM_FAULT_SIGBUS;
	to_system(&src, &dst);
	migrate_vma_pages(&args);
	migrate_vma_finalize(&args);
	return 0;
}

static const struct dev_pagemap_ops ops = { .page_free = page_free,
					    .migrate_to_ram = migrate_to_ram };
static struct dev_pagemap pgmap = {
	.type = MEMORY_DEVICE_PRIVATE, .nr_range = 1, .ops = &ops, .owner = &owner
};
static struct resource *region;

static void test_memory(void)
{
	struct dev_pagemap again;
	struct resource *second;

	region = request_free_mem_region(&iomem_resource, 8 * PAGE_SIZE, "memory");
	ok(!IS_ERR(region), "room among the physical addresses");
	second = request_free_mem_region(&iomem_resource, PAGE_SIZE, "more");
	ok(second->start > region->end, "and behind it");
	release_mem_region(second->start, resource_size(second));
	ok(IS_ERR(request_free_mem_region(&iomem_resource, 1ul << 40, "all")), "but not for all");
	pgmap.range.start = region->start;
	pgmap.range.end = region->end;
	is(range_len(&pgmap.range), 8 * PAGE_SIZE, "the length of a range");
	ok(!pfn_valid(PHYS_PFN(region->start)), "no frame there");
	ok(!IS_ERR_OR_NULL(memremap_pages(&pgmap, numa_node_id())), "memory of a device");
	for (unsigned long i = 0; i < 8; i++)
		give(pfn_to_page(PHYS_PFN(region->start) + i));
	ok(is_zone_device_page(free_pages), "is known as that");
	ok(is_device_private_page(free_pages), "only the device reaches it");
	ok(page_pgmap(free_pages) == &pgmap, "and whose it is");
	again = pgmap;
	ok(IS_ERR(memremap_pages(&again, 0)), "nobody else gets it");
}

static unsigned long migrate(void)
{
	unsigned long src[PAGES] = { 0 }, dst[PAGES] = { 0 };
	struct migrate_vma args = {
		.src = src,
		.dst = dst,
		.start = AT,
		.end = AT + PAGES * PAGE_SIZE,
		.pgmap_owner = &owner,
		.flags = MIGRATE_VMA_SELECT_SYSTEM,
	};
	unsigned long moved = 0;

	mmap_read_lock(current->mm);
	args.vma = vma_lookup(current->mm, AT);
	is(migrate_vma_setup(&args), 0, "pages are collected");
	for (unsigned long i = 0; i < args.npages; i++)
		to_device(&args, i);
	migrate_vma_pages(&args);
	for (unsigned long i = 0; i < args.npages; i++)
		moved += !!(args.src[i] & MIGRATE_PFN_MIGRATE);
	migrate_vma_finalize(&args);
	mmap_read_unlock(current->mm);
	return moved;
}

static unsigned long pfns[PAGES];

static bool invalidate(struct mmu_interval_notifier *sub, const struct mmu_notifier_range *range,
		       unsigned long cur_seq)
{
	mmu_interval_set_seq(sub, cur_seq);
	return true;
}

static const struct mmu_interval_notifier_ops sub_ops = { .invalidate = invalidate };

static void look(void *who, unsigned long flags)
{
	struct mmu_interval_notifier sub = { .mm = NULL };
	struct hmm_range range = {
		.notifier = &sub,
		.start = AT,
		.end = AT + PAGES * PAGE_SIZE,
		.hmm_pfns = pfns,
		.default_flags = flags,
		.dev_private_owner = who,
	};

	memset(pfns, 0, sizeof(pfns));
	is(mmu_interval_notifier_insert(&sub, current->mm, AT, PAGES * PAGE_SIZE, &sub_ops), 0,
	   "an interval");
	do {
		range.notifier_seq = mmu_interval_read_begin(&sub);
		mmap_read_lock(current->mm);
	} while (hmm_range_fault(&range) == -EBUSY && (mmap_read_unlock(current->mm), true));
	mmap_read_unlock(current->mm);
	mmu_interval_notifier_remove(&sub);
}

static void test_there_and_back(void)
{
	char bytes[2] = { 0 };

	map(AT, PAGES, PROT_READ | PROT_WRITE);
	mmun_soft_write(current->mm, AT, "ab", 2, NULL);
	is(migrate(), PAGES, "all go, also those that were not there yet");
	is(nr_free, 4, "each to a page of the device");
	look(&owner, 0);
	ok(is_device_private_page(hmm_pfn_to_page(pfns[0])) && pfns[0] & HMM_PFN_WRITE,
	   "hmm_range_fault() finds it for its owner");
	look(&other, 0);
	is(pfns[0], 0, "and nothing for another");
	mmun_soft_read(current->mm, AT, bytes, 2, NULL);
	ok(bytes[0] == 'a' && bytes[1] == 'b', "a processor gets it back");
	is(nr_free, 5, "its page is the driver's again");
	look(&other, HMM_PFN_REQ_FAULT);
	ok(pfns[3] & HMM_PFN_VALID && !is_zone_device_page(hmm_pfn_to_page(pfns[3])),
	   "another device's fault brings the others back");
	is(nr_free, 8, "all of them");
}

static void test_removal(void)
{
	unsigned long start = PHYS_PFN(pgmap.range.start), src[8], dst[8] = { 0 };
	char byte = 0;

	is(migrate(), PAGES, "there again");
	is(migrate_device_range(src, start, 8), 0, "all that is in use");
	for (unsigned long i = 0; i < 8; i++)
		to_system(&src[i], &dst[i]);
	migrate_device_pages(src, dst, 8);
	migrate_device_finalize(src, dst, 8);
	is(nr_free, 8, "has left");
	memunmap_pages(&pgmap);
	release_mem_region(region->start, resource_size(region));
	ok(!pfn_valid(start), "the memory is gone");
	mmun_soft_read(current->mm, AT + 1, &byte, 1, NULL);
	is(byte, 'b', "the contents are not");
	mmun_soft_munmap(current->mm, AT, PAGES * PAGE_SIZE);
}

static void test_exclusive(void)
{
	struct page *page, *pages[2];
	struct folio *folio;
	char byte = 'x';

	map(AT, PAGES, PROT_READ | PROT_WRITE);
	mmun_soft_write(current->mm, AT, "a", 1, NULL);
	mmap_read_lock(current->mm);
	is(make_device_exclusive_range(current->mm, AT, AT + 2 * PAGE_SIZE, pages, &owner), 2,
	   "two pages only for the device");
	ok(pages[0] && pages[1] && PageLocked(pages[0]), "locked");
	memcpy_to_page(pages[0], 0, &byte, 1);
	for (int i = 0; i < 2; i++) {
		unlock_page(pages[i]);
		put_page(pages[i]);
	}
	page = make_device_exclusive(current->mm, AT + PAGE_SIZE, &owner, &folio);
	ok(!IS_ERR(page) && folio == page_folio(page), "one more time, one of them");
	folio_unlock(folio);
	folio_put(folio);
	page = make_device_exclusive(current->mm, AT + PAGES * PAGE_SIZE, &owner, &folio);
	is(PTR_ERR(page), -EFAULT, "nothing there");
	mmap_read_unlock(current->mm);
	look(&owner, 0);
	is(pfns[0], 0, "hmm_range_fault() finds nothing present");
	byte = 0;
	mmun_soft_read(current->mm, AT, &byte, 1, NULL);
	is(byte, 'x', "a processor sees what the device wrote");
	look(&owner, 0);
	ok(pfns[0] & HMM_PFN_WRITE && !is_zero_pfn(page_to_pfn(hmm_pfn_to_page(pfns[0]))),
	   "and then it is there");
	mmun_soft_munmap(current->mm, AT, PAGES * PAGE_SIZE);
}

/* Coherent memory: at a range that the driver is given, above all that was asked for. */

static struct page *coherent_free;

static void give_coherent(struct page *page)
{
	spin_lock(&lock);
	page->zone_device_data = coherent_free;
	coherent_free = page;
	nr_free++;
	spin_unlock(&lock);
}

static const struct dev_pagemap_ops coherent_ops = { .page_free = give_coherent };
static struct dev_pagemap coherent = {
	.type = MEMORY_DEVICE_COHERENT, .nr_range = 1, .ops = &coherent_ops, .owner = &owner
};

static void add_coherent(void)
{
	struct resource *before, *behind;
	void *bytes;

	before = request_free_mem_region(&iomem_resource, 8 * PAGE_SIZE, "before");
	coherent.range.start = before->end + 1;
	coherent.range.end = coherent.range.start + 8 * PAGE_SIZE - 1;
	bytes = memremap_pages(&coherent, numa_node_id());
	ok(!IS_ERR_OR_NULL(bytes), "coherent memory at an address that nobody was asked for");
	ok(bytes == page_address(pfn_to_page(PHYS_PFN(coherent.range.start))), "has bytes");
	behind = request_free_mem_region(&iomem_resource, PAGE_SIZE, "behind");
	ok(behind->start > coherent.range.end, "nobody else is given that address now");
	release_mem_region(behind->start, resource_size(behind));
	release_mem_region(before->start, resource_size(before));
	nr_free = 0;
	for (unsigned long i = 0; i < 8; i++)
		give_coherent(pfn_to_page(PHYS_PFN(coherent.range.start) + i));
	ok(is_device_coherent_page(coherent_free), "a page says what it is");
	ok(!is_device_private_page(coherent_free), "and is not private");
	ok(folio_is_device_coherent(page_folio(coherent_free)), "as does a folio");
}

/* Pages that moved. */
static unsigned long move_coherent(bool there)
{
	unsigned long src[PAGES] = { 0 }, dst[PAGES] = { 0 }, moved = 0;
	struct migrate_vma args = {
		.src = src,
		.dst = dst,
		.start = AT,
		.end = AT + PAGES * PAGE_SIZE,
		.pgmap_owner = &owner,
		.flags = there ? MIGRATE_VMA_SELECT_SYSTEM : MIGRATE_VMA_SELECT_DEVICE_COHERENT,
	};

	mmap_read_lock(current->mm);
	args.vma = vma_lookup(current->mm, AT);
	is(migrate_vma_setup(&args), 0, "pages are collected");
	for (unsigned long i = 0; i < args.npages; i++) {
		struct page *from = migrate_pfn_to_page(src[i]), *to;

		if (!(src[i] & MIGRATE_PFN_MIGRATE) || (!there && !from))
			continue;
		if (there) {
			to = coherent_free;
			coherent_free = (struct page *)to->zone_device_data;
			nr_free--;
			zone_device_page_init(to);
		} else {
			to = alloc_page(GFP_KERNEL);
			lock_page(to);
		}
		if (from)
			copy_highpage(to, from);
		else
			clear_highpage(to);
		dst[i] = migrate_pfn(page_to_pfn(to));
	}
	migrate_vma_pages(&args);
	for (unsigned long i = 0; i < args.npages; i++)
		moved += dst[i] && src[i] & MIGRATE_PFN_MIGRATE;
	migrate_vma_finalize(&args);
	mmap_read_unlock(current->mm);
	return moved;
}

/* All go there, and come back in another order, with a frame that nobody uses. */
static void move_by_number(void)
{
	unsigned long src[PAGES + 1], dst[PAGES + 1] = { 0 };
	char byte = 0;

	is(move_coherent(true), PAGES, "there again");
	look(&other, 0);
	for (unsigned long i = 0; i < PAGES; i++)
		src[i] = page_to_pfn(hmm_pfn_to_page(pfns[PAGES - 1 - i]));
	src[PAGES] = page_to_pfn(coherent_free);
	is(migrate_device_pfns(src, PAGES + 1), 0, "frames by their numbers");
	is(src[PAGES], 0, "one that nobody uses does not move");
	for (unsigned long i = 0; i < PAGES; i++) {
		struct page *from = migrate_pfn_to_page(src[i]), *to = alloc_page(GFP_KERNEL);

		lock_page(to);
		copy_highpage(to, from);
		dst[i] = migrate_pfn(page_to_pfn(to));
	}
	migrate_device_pages(src, dst, PAGES + 1);
	migrate_device_finalize(src, dst, PAGES + 1);
	is(nr_free, 8, "the others do");
	mmun_soft_read(current->mm, AT, &byte, 1, NULL);
	is(byte, 'b', "nothing is lost");
}

static void test_coherent(void)
{
	struct page *pages[2];
	char byte = 0;

	add_coherent();
	map(AT, PAGES, PROT_READ | PROT_WRITE);
	mmun_soft_write(current->mm, AT, "a", 1, NULL);
	is(move_coherent(true), PAGES, "all go");
	look(&other, 0);
	for (unsigned long i = 0; i < PAGES; i++)
		ok(is_device_coherent_page(hmm_pfn_to_page(pfns[i])) && pfns[i] & HMM_PFN_WRITE,
		   "hmm_range_fault() finds page %lu there, for anybody", i);
	is(*(char *)page_address(hmm_pfn_to_page(pfns[0])), 'a', "with what was written");
	mmun_soft_write(current->mm, AT, "b", 1, NULL);
	is(*(char *)page_address(hmm_pfn_to_page(pfns[0])), 'b', "and is");
	is(pin_user_pages_fast(AT, 1, FOLL_WRITE, pages), 1, "a pin");
	ok(is_device_coherent_page(pages[0]), "of a page there");
	unpin_user_page(pages[0]);
	is(pin_user_pages_fast(AT, 2, FOLL_WRITE | FOLL_LONGTERM, pages), 2, "pins for long");
	ok(!is_zone_device_page(pages[0]) && !is_zone_device_page(pages[1]), "of pages elsewhere");
	is(nr_free, 6, "those there are the driver's again");
	mmun_soft_read(current->mm, AT, &byte, 1, NULL);
	is(byte, 'b', "nothing is lost");
	unpin_user_pages(pages, 2);
	is(move_coherent(false), PAGES - 2, "the others come back when asked for");
	is(nr_free, 8, "all");
	move_by_number();
	mmun_soft_munmap(current->mm, AT, PAGES * PAGE_SIZE);
	memunmap_pages(&coherent);
	ok(!pfn_valid(PHYS_PFN(coherent.range.start)), "the memory is gone");
	ok(!IS_ERR(memremap_pages(&coherent, 0)), "and can be there again");
	memunmap_pages(&coherent);
}

/* Memory that goes with its device, by the names of newer kernels. */

static unsigned long folios_freed, acted;

static void folio_free(struct folio *folio)
{
	folios_freed += folio->pgmap == page_pgmap(&folio->page);
}

static const struct dev_pagemap_ops folio_ops = { .folio_free = folio_free,
						  .migrate_to_ram = migrate_to_ram };

static void act(void *data)
{
	acted = acted * 10 + (unsigned long)(uintptr_t)data;
}

static void released(struct device *dev)
{
	acted *= 10;
}

static void test_managed(void)
{
	struct dev_pagemap managed = {
		.type = MEMORY_DEVICE_PRIVATE, .nr_range = 1, .ops = &folio_ops, .owner = &owner
	};
	unsigned long before = mmun_compat_allocated(), pfn;
	struct resource *res;
	struct folio *folio;
	struct device dev;

	device_initialize(&dev);
	dev_set_name(&dev, "managed");
	res = devm_request_free_mem_region(&dev, &iomem_resource, 2 * PAGE_SIZE);
	ok(!IS_ERR(res), "room for memory of a device");
	managed.range.start = res->start;
	managed.range.end = res->end;
	pfn = PHYS_PFN(res->start);
	ok(!IS_ERR(devm_memremap_pages(&dev, &managed)), "which has it");
	ok(get_dev_pagemap(pfn, NULL) == &managed, "it is found by the number of a frame");
	ok(get_dev_pagemap(pfn + 1, &managed) == &managed, "and known for the next");
	ok(!get_dev_pagemap(0, &managed), "but a frame of the machine is none's");
	ok(get_dev_pagemap(pfn) == &managed, "as newer kernels ask");
	put_dev_pagemap(&managed);
	put_dev_pagemap(NULL);
	folio = page_folio(pfn_to_page(pfn));
	zone_device_folio_init(folio, &managed, 0);
	ok(folio_test_locked(folio), "a folio there is taken");
	folio_set_zone_device_data(folio, &managed);
	ok(folio_zone_device_data(folio) == &managed, "and has data of the driver's");
	folio_unlock(folio);
	folio_put(folio);
	is(folios_freed, 1, "its last reference has gone");
	is(devm_add_action(&dev, act, (void *)1), 0, "something to do when the device goes");
	is(devm_add_action(&dev, act, (void *)2), 0, "something more");
	is(devm_add_action(&dev, act, (void *)3), 0, "and more");
	devm_remove_action(&dev, act, (void *)2);
	is(acted, 0, "one is not to be done");
	ok(devm_kzalloc(&dev, 8, GFP_KERNEL), "a block");
	devm_kfree(&dev, devm_kzalloc(&dev, 8, GFP_KERNEL));
	dev.release = released;
	ok(get_device(&dev) == &dev, "a device has users");
	put_device(&dev);
	device_del(&dev);
	is(acted, 31, "the others are, latest first");
	put_device(&dev);
	is(acted, 310, "the last user's end is the device's");
	ok(!pfn_valid(pfn), "and the memory is gone");
	is(mmun_compat_allocated(), before, "as all that the device had");
}

static void test_managed_early(void)
{
	struct dev_pagemap managed = {
		.type = MEMORY_DEVICE_COHERENT, .nr_range = 1, .ops = &folio_ops, .owner = &owner
	};
	unsigned long before = mmun_compat_allocated();
	struct resource *res;
	struct device dev;

	device_initialize(&dev);
	dev_set_name(&dev, "managed");
	res = devm_request_free_mem_region(&dev, &iomem_resource, PAGE_SIZE);
	managed.range.start = res->start;
	managed.range.end = res->end;
	ok(!IS_ERR(devm_memremap_pages(&dev, &managed)), "a device has memory");
	devm_memunmap_pages(&dev, &managed);
	ok(!pfn_valid(PHYS_PFN(managed.range.start)), "and has it no more");
	devm_release_mem_region(&dev, managed.range.start, PAGE_SIZE);
	is(mmun_compat_allocated(), before, "nor its room");
	device_del(&dev);
}

int main(void)
{
	start_machine();
	test_memory();
	test_there_and_back();
	test_removal();
	test_exclusive();
	test_coherent();
	test_managed();
	test_managed_early();
	stop_machine(0);
	return tap_done();
}
