/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Memory for drivers: blocks from malloc(), pages from the machine.
 *
 * I1  Every block is counted, so that a test can say that a driver leaks none.
 * I2  Whether an allocation may sleep is checked before it is asked whether it fails.
 *
 * Tests: tests/contract/compat/memory.c.
 */
#include "runtime.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

static long allocated;
static bool (*fails)(size_t size, void *arg);
static void *fails_arg;
static struct mmun_soft *machine;

void mmun_compat_start(struct mmun_soft *soft)
{
	machine = soft;
}

struct mmun_soft *mmun_compat_machine(void)
{
	if (!machine)
		mmun_compat_broken("mmun_compat_start() was not called");
	return machine;
}

long mmun_compat_allocated(void)
{
	return __atomic_load_n(&allocated, __ATOMIC_SEQ_CST);
}

void mmun_compat_fail_allocations(bool (*fail)(size_t size, void *arg), void *arg)
{
	fails_arg = arg;
	fails = fail;
}

/* I2 */
static bool refused(size_t size, gfp_t gfp)
{
	might_sleep_if(gfpflags_allow_blocking(gfp));
	if (gfp & __GFP_NOFAIL)
		return false;
	return size > PTRDIFF_MAX || (fails && fails(size, fails_arg));
}

static void *counted(void *block)
{
	if (block)
		__atomic_fetch_add(&allocated, 1, __ATOMIC_SEQ_CST);
	return block;
}

void *mmun_compat_alloc(size_t size, gfp_t gfp)
{
	return refused(size, gfp) ? NULL : counted(calloc(1, size ? size : 1));
}

void *kzalloc(size_t size, gfp_t gfp)
{
	return mmun_compat_alloc(size, gfp);
}

/* Not zeroed, so that sanitizers see reads of what was not written. */
void *kmalloc(size_t size, gfp_t gfp)
{
	if (gfp & __GFP_ZERO)
		return kzalloc(size, gfp);
	return refused(size, gfp) ? NULL : counted(malloc(size ? size : 1));
}

void *krealloc(const void *old, size_t size, gfp_t gfp)
{
	if (!old)
		return kmalloc(size, gfp);
	return refused(size, gfp) ? NULL : realloc((void *)(uintptr_t)old, size ? size : 1);
}

void kfree(const void *block)
{
	if (!block)
		return;
	__atomic_fetch_sub(&allocated, 1, __ATOMIC_SEQ_CST);
	free((void *)(uintptr_t)block);
}

size_t ksize(const void *block)
{
	return block ? malloc_usable_size((void *)(uintptr_t)block) : 0;
}

void *kmemdup(const void *src, size_t size, gfp_t flags)
{
	void *copy = kmalloc(size, flags);

	return copy ? memcpy(copy, src, size) : NULL;
}

char *kstrdup(const char *src, gfp_t flags)
{
	return src ? (char *)kmemdup(src, strlen(src) + 1, flags) : NULL;
}

char *kasprintf(gfp_t gfp, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return kstrdup(text, gfp);
}

struct kmem_cache {
	const char *name;
	unsigned int size;
	void (*ctor)(void *object);
	long objects;
};

struct kmem_cache *kmem_cache_create(const char *name, unsigned int size, unsigned int align,
				     slab_flags_t flags, void (*ctor)(void *object))
{
	struct kmem_cache *cache = (struct kmem_cache *)kzalloc(sizeof(*cache), GFP_KERNEL);

	if (!cache)
		return NULL;
	cache->name = name;
	cache->size = size;
	cache->ctor = ctor;
	return cache;
}

void kmem_cache_destroy(struct kmem_cache *cache)
{
	if (!cache)
		return;
	WARN(READ_ONCE(cache->objects), "the cache %s is destroyed with %ld objects\n", cache->name,
	     cache->objects);
	kfree(cache);
}

void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp)
{
	void *object = kmalloc(cache->size, gfp);

	if (!object)
		return NULL;
	if (cache->ctor)
		cache->ctor(object);
	__atomic_fetch_add(&cache->objects, 1, __ATOMIC_RELAXED);
	return object;
}

void *kmem_cache_zalloc(struct kmem_cache *cache, gfp_t gfp)
{
	return kmem_cache_alloc(cache, gfp | __GFP_ZERO);
}

void kmem_cache_free(struct kmem_cache *cache, void *object)
{
	if (!object)
		return;
	__atomic_fetch_sub(&cache->objects, 1, __ATOMIC_RELAXED);
	kfree(object);
}

/* Pages. */

struct page *alloc_page(gfp_t gfp)
{
	return refused(PAGE_SIZE, gfp) ? NULL : mmun_soft_alloc_page(mmun_compat_machine());
}

void __free_page(struct page *page)
{
	put_page(page);
}

struct page *pfn_to_page(unsigned long pfn)
{
	return mmun_soft_pfn_page(mmun_compat_machine(), pfn);
}

/* The zero page is one, behind the others. */
bool pfn_valid(unsigned long pfn)
{
	return pfn_to_page(pfn);
}

bool is_zero_pfn(unsigned long pfn)
{
	struct mmun_soft_stats stats;

	mmun_soft_stats(mmun_compat_machine(), &stats);
	return pfn == stats.frames;
}

/* The frames of a machine lie in one piece. */
static char *physical_memory(void)
{
	return (char *)page_address(pfn_to_page(1)) - PAGE_SIZE;
}

phys_addr_t mmun_compat_pa(const void *address)
{
	phys_addr_t physical = (phys_addr_t)((const char *)address - physical_memory());

	BUG_ON(!pfn_valid(PHYS_PFN(physical)));
	return physical;
}

void *mmun_compat_va(phys_addr_t address)
{
	BUG_ON(!pfn_valid(PHYS_PFN(address)));
	return physical_memory() + address;
}

struct page *virt_to_page(const void *address)
{
	return pfn_to_page(virt_to_pfn(address));
}

void dump_page(struct page *page, const char *reason)
{
	_printk("page 0x%lx of memory type %u, %spinned: %s\n", page_to_pfn(page),
		mmun_soft_page_memory_type(page), mmun_soft_page_pinned(page) ? "" : "not ",
		reason);
}

unsigned long get_zeroed_page(gfp_t gfp)
{
	struct page *page = alloc_page(gfp);

	return page ? (unsigned long)page_address(page) : 0;
}

unsigned long __get_free_page(gfp_t gfp)
{
	return get_zeroed_page(gfp);
}

void free_page(unsigned long address)
{
	if (address)
		__free_page(virt_to_page((const void *)address));
}
