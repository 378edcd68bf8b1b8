/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Preloaded into programs that know nothing of us: subscribes before main and
 * answers the question whether a range was reported.  Keeps the last sections in a
 * ring, without locks or allocation.
 */
#include <mmunotify/mmu_notifier.h>
#include <mmunotify/self.h>

#include "guest_watch.h"

#define RING 8192

static struct {
	unsigned long from, to;
} ring[RING];
static unsigned long count, starts;
static int registered = -1;

static int on_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	__atomic_add_fetch(&starts, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static void on_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	unsigned long i = __atomic_fetch_add(&count, 1, __ATOMIC_SEQ_CST) % RING;

	if (range->flags & MMUN_RANGE_UNCHANGED)
		return;
	__atomic_store_n(&ring[i].from, range->start, __ATOMIC_RELAXED);
	__atomic_store_n(&ring[i].to, range->end, __ATOMIC_RELAXED);
}

static const struct mmu_notifier_ops ops = { .invalidate_range_start = on_start,
					     .invalidate_range_end = on_end };
static struct mmu_notifier watcher = { .ops = &ops };

__attribute__((constructor)) static void subscribe(void)
{
	registered = mmu_notifier_register(&watcher, mmun_self());
}

int guest_watch_registered(void)
{
	return registered;
}

int guest_watch_notified(unsigned long from, unsigned long to)
{
	for (unsigned int i = 0; i < RING; i++)
		if (ring[i].from <= from && to <= ring[i].to)
			return 1;
	return 0;
}

unsigned long guest_watch_open(void)
{
	return __atomic_load_n(&starts, __ATOMIC_SEQ_CST) -
	       __atomic_load_n(&count, __ATOMIC_SEQ_CST);
}

void guest_watch_forget(void)
{
	for (unsigned int i = 0; i < RING; i++)
		ring[i].from = ring[i].to = 0;
}
