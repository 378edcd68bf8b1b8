/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Memory of the driver that a task maps too: frames of the machine, which lie side by side there,
 * so that the driver finds them in one piece.
 *
 * Tests: tests/contract/compat/memory.c.
 */
#include "runtime.h"

#include <string.h>

#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/vmalloc.h>

struct shared_block {
	struct shared_block *next;
	struct page *first;
	unsigned long pages;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct shared_block *blocks;

/* Where a run of @pages bits that has @bit in it begins, or ULONG_MAX. */
static unsigned long run_around(const unsigned long *map, unsigned long bits, unsigned long bit,
				unsigned long pages)
{
	unsigned long begin = bit, end = bit + 1;

	while (begin && test_bit(begin - 1, map))
		begin--;
	while (end < bits && test_bit(end, map))
		end++;
	return end - begin >= pages ? begin : ULONG_MAX;
}

/* Frames are taken until @pages of them are neighbours; the others are given back. */
static struct page *adjacent_pages(unsigned long pages)
{
	unsigned long *taken, frames, begin = ULONG_MAX, pfn;
	struct mmun_soft_stats stats;
	struct page *page;

	mmun_soft_stats(mmun_compat_machine(), &stats);
	frames = stats.frames + 1;
	taken = (unsigned long *)calloc(BITS_TO_LONGS(frames), sizeof(*taken));
	if (!taken)
		return NULL;
	while (begin == ULONG_MAX && (page = mmun_soft_alloc_page(mmun_compat_machine()))) {
		pfn = page_to_pfn(page);
		__set_bit(pfn, taken);
		begin = run_around(taken, frames, pfn, pages);
	}
	for_each_set_bit(pfn, taken, frames) {
		if (begin == ULONG_MAX || pfn < begin || pfn - begin >= pages)
			put_page(pfn_to_page(pfn));
	}
	free(taken);
	return begin == ULONG_MAX ? NULL : pfn_to_page(begin);
}

void *vmalloc_user(unsigned long size)
{
	struct shared_block *block = (struct shared_block *)kzalloc(sizeof(*block), GFP_KERNEL);

	if (!block)
		return NULL;
	block->pages = PFN_UP(size);
	block->first = block->pages ? adjacent_pages(block->pages) : NULL;
	if (!block->first) {
		kfree(block);
		return NULL;
	}
	pthread_mutex_lock(&lock);
	block->next = blocks;
	blocks = block;
	pthread_mutex_unlock(&lock);
	return page_address(block->first);
}

/* The block that begins at @address, or NULL; @unlink: it is not one any more. */
static struct shared_block *find_block(const void *address, bool unlink)
{
	struct shared_block **link, *block;

	pthread_mutex_lock(&lock);
	for (link = &blocks; *link && page_address((*link)->first) != address;
	     link = &(*link)->next)
		;
	block = *link;
	if (block && unlink)
		*link = block->next;
	pthread_mutex_unlock(&lock);
	return block;
}

void vfree(const void *address)
{
	struct shared_block *block = address ? find_block(address, true) : NULL;

	might_sleep();
	if (!block) {
		kfree(address);
		return;
	}
	for (unsigned long i = 0; i < block->pages; i++)
		put_page(nth_page(block->first, i));
	kfree(block);
}

int remap_vmalloc_range(struct vm_area_struct *vma, void *address, unsigned long pgoff)
{
	struct shared_block *block = find_block(address, false);
	unsigned long pages = vma_pages(vma);
	int ret = 0;

	if (!block || pgoff > block->pages || pages > block->pages - pgoff)
		return -EINVAL;
	for (unsigned long i = 0; i < pages && !ret; i++)
		ret = vm_insert_page(vma, vma->vm_start + i * PAGE_SIZE,
				     nth_page(block->first, pgoff + i));
	return ret;
}
