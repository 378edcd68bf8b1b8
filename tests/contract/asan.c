/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: a program built with AddressSanitizer.
 *
 * The library is not built with it; the program is.  Its interceptors end in
 * libc's functions; its own allocator makes its system calls itself.  Both are
 * notified.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/self.h>

#include "../tap.h"

#define PAGE 4096UL

static unsigned long wanted;
static int starts, ends, inside;

static int on_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	starts += range->start == wanted;
	inside += range->start <= wanted && wanted < range->end;
	return 0;
}

static void on_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	ends += range->start == wanted;
}

static const struct mmu_notifier_ops ops = { .invalidate_range_start = on_start,
					     .invalidate_range_end = on_end };

static void *pages(void)
{
	void *at = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(at, 1, 4 * PAGE);
	wanted = (unsigned long)at;
	starts = ends = 0;
	return at;
}

int main(void)
{
	struct mmu_notifier mn = { .ops = &ops };
	void *at;

	is(mmu_notifier_register(&mn, mmun_self()), 0, "registers");
	at = pages();
	is(munmap(at, 4 * PAGE), 0, "munmap works");
	ok(starts == 1 && ends == 1, "and is notified once");
	at = pages();
	is(madvise(at, 4 * PAGE, MADV_DONTNEED), 0, "madvise works");
	ok(starts == 1 && ends == 1, "and is notified once");
	/* Larger than any size class: mapped and unmapped alone, with memory around it. */
	at = malloc(64 << 20);
	memset(at, 1, PAGE);
	wanted = (unsigned long)at;
	inside = 0;
	/* Without which the compiler leaves both calls out. */
	__asm__ volatile("" : : "r"(at) : "memory");
	free(at);
	ok(inside > 0, "what the sanitizer's own allocator unmaps is seen");
	for (int i = 0; i < 1000; i++)
		free(malloc((size_t)i << 12));
	ok(munmap((void *)1, PAGE) == -1 && errno == EINVAL, "a failing munmap says EINVAL");
	mmu_notifier_unregister(&mn, mmun_self());
	is(mmun_self_stop(), 0, "stops");
	return tap_done();
}
