/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Memory of the cache: from the kernel, by raw system calls, so that nothing of it is a
 * change that the cache itself is notified of.
 */
#ifndef MMUN_RCACHE_MEMORY_H
#define MMUN_RCACHE_MEMORY_H

#include <sys/mman.h>

#include "alloc.h"
#include "raw_syscall.h"

#define MMUN_RC_PAGE 4096ul

/* In pages, and never a whole number of huge ones: most of it is hardly used. */
static inline size_t mmun_rc_size(size_t size)
{
	size = (size + MMUN_RC_PAGE - 1) & ~(MMUN_RC_PAGE - 1);
	return size % (2ul << 20) ? size : size + MMUN_RC_PAGE;
}

/*
 * mmun_rc_map() - zeroes; a forked child finds zeroes again in what lies behind @kept bytes.
 * Return: NULL: no memory, or the kernel cannot do that.
 */
static inline void *mmun_rc_map(size_t size, size_t kept)
{
	char *block = mmun_alloc_pages(size);

	if (!block)
		return NULL;
	if (kept < size &&
	    mmun_syscall3(SYS_madvise, (unsigned long)block + kept, size - kept, MADV_WIPEONFORK)) {
		mmun_free_pages(block, size);
		return NULL;
	}
	return block;
}

#endif
