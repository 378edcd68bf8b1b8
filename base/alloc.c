/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Allocation over the C library's or the kernel's, with a hook that injects
 * failures and a count of live blocks for leak checks.  Never called on the path
 * of an invalidation, nor with a lock held that a callback may need.
 *
 * Tests: tests/unit/base/base.c, and the failure sweeps of tests/unit/.
 */
#include "alloc.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "atomic.h"
#include "raw_syscall.h"

/* Linux aligns mappings of this size since 6.7, and may back them by one page. */
#define HUGE_PAGE (2ul << 20)

bool (*mmun_alloc_fail)(size_t size);
static long live;

static bool to_fail(size_t size)
{
	bool (*fail)(size_t) = mmun_load_acquire(&mmun_alloc_fail);

	return fail && fail(size);
}

void *mmun_alloc(size_t size)
{
	void *block;

	if (to_fail(size))
		return NULL;
	if (posix_memalign(&block, MMUN_ALLOC_ALIGN, size))
		return NULL;
	memset(block, 0, size);
	mmun_add_relaxed(&live, 1);
	return block;
}

void mmun_free(void *block)
{
	if (!block)
		return;
	mmun_add_relaxed(&live, -1);
	free(block);
}

void *mmun_alloc_pages(size_t size)
{
	long block;

	if (to_fail(size))
		return NULL;
	block = mmun_syscall6(SYS_mmap, 0, size, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1ul, 0);
	if (block < 0)
		return NULL;
	if (size % HUGE_PAGE == 0)
		(void)mmun_syscall3(SYS_madvise, (unsigned long)block, size, MADV_HUGEPAGE);
	/* In full order: the one that gets an address comes after the one that gave it back, and
	 * ThreadSanitizer does not see these calls. */
	mmun_add_full(&live, 1);
	return (void *)block;
}

void mmun_free_pages(void *block, size_t size)
{
	if (!block)
		return;
	mmun_add_full(&live, -1);
	(void)mmun_syscall3(SYS_munmap, (unsigned long)block, size, 0);
}

long mmun_alloc_live(void)
{
	return mmun_load_relaxed(&live);
}
