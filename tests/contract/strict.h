/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Strict mode, and an unmap by an instruction of the program's own. */
#ifndef MMUN_TESTS_CONTRACT_STRICT_H
#define MMUN_TESTS_CONTRACT_STRICT_H

#include <mmunotify/primary.h>
#include <mmunotify/self.h>

#include "calls.h"
#include "scene.h"

#define UNUSED __attribute__((unused))
#define PAGE   4096ul

/* What a notifier saw: the last range that started, and how many. */
static unsigned long last_start;
static UNUSED unsigned long starts;

static int on_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	__atomic_store_n(&last_start, range->start, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&starts, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static const struct mmu_notifier_ops ops = { .invalidate_range_start = on_start };
static struct mmu_notifier notifier = { .ops = &ops };

static UNUSED void start_strict(void)
{
	check(mmun_self_start_strict() == 0, "strict mode starts");
	check(mmu_notifier_register(&notifier, mmun_self()) == 0, "registers");
}

static UNUSED char *map_page(void)
{
	char *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*at = 1;
	return at;
}

/* An unmap by an instruction of this program: was it notified? */
static UNUSED bool unmap_notified(void)
{
	char *at = map_page();

	/* An earlier one may have had the same address. */
	__atomic_store_n(&last_start, 0, __ATOMIC_SEQ_CST);
	return calls_inline(SYS_munmap, at, PAGE, 0L, 0L, 0L, 0L) == 0 &&
	       __atomic_load_n(&last_start, __ATOMIC_SEQ_CST) == (unsigned long)at;
}

static UNUSED unsigned long traps(void)
{
	struct mmun_stats stats;

	mmun_mm_stats(mmun_self(), &stats);
	return stats.traps;
}

static UNUSED void *unmap_in_thread(void *arg)
{
	return (void *)(long)unmap_notified();
}

static UNUSED volatile int handler_notified, handled;

static UNUSED void unmapping_handler(int sig)
{
	handler_notified = unmap_notified();
	handled++;
}

#endif
