/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One page that a call takes away, and a notifier that looks for nothing else. */
#ifndef MMUN_TESTS_CONTRACT_PAGE_H
#define MMUN_TESTS_CONTRACT_PAGE_H

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/self.h>

#include "operations.h"

#define UNUSED __attribute__((unused))
#define RW     (PROT_READ | PROT_WRITE)

/* The page that a call takes away, and the sections that acted on it. */
static struct {
	volatile unsigned long from, to;
	volatile unsigned int starts, acted;
	void (*edge)(void);
} page;

static int on_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	void (*edge)(void) = page.edge;

	if (range->start <= page.from && page.to <= range->end)
		page.starts++;
	page.edge = NULL;
	if (edge)
		edge();
	return 0;
}

static void on_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	if (range->start <= page.from && page.to <= range->end &&
	    !(range->flags & MMUN_RANGE_UNCHANGED))
		page.acted++;
}

static const struct mmu_notifier_ops ops = {
	.invalidate_range_start = on_start,
	.invalidate_range_end = on_end,
};
static struct mmu_notifier mn = { .ops = &ops };

static UNUSED void watch_page(const void *at)
{
	page.from = (unsigned long)at;
	page.to = page.from + PAGE_BYTES;
	page.starts = page.acted = 0;
}

static UNUSED bool was_notified(void)
{
	return page.starts && page.acted;
}

static UNUSED bool register_now(void)
{
	return mmu_notifier_register(&mn, mmun_self()) == 0;
}

/* What it is a page of. */
static struct {
	char *at, *other;
	int fd, pidfd;
	char path[64];
} t;

static UNUSED char *map_file(void)
{
	char *at = mmap(NULL, 4 * PAGE_BYTES, RW, MAP_SHARED, t.fd, 0);

	if (at != MAP_FAILED)
		memset(at, 7, 4 * PAGE_BYTES);
	return at;
}

static UNUSED bool file(void)
{
	strcpy(t.path, REGION_FILE "XXXXXX");
	t.fd = mkstemp(t.path);
	if (t.fd < 0 || ftruncate(t.fd, 4 * PAGE_BYTES))
		return false;
	t.at = map_file();
	watch_page(t.at + 2 * PAGE_BYTES);
	return t.at != MAP_FAILED;
}

#endif
