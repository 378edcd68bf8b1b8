/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What scenes about threads and processes begin with: a watch, and memory for it. */
#ifndef MMUN_TESTS_CONTRACT_WATCHING_H
#define MMUN_TESTS_CONTRACT_WATCHING_H

#include "operations.h"
#include "scene.h"

#define UNUSED __attribute__((unused))

/* The second is for scenes with two notifiers. */
static UNUSED struct watch watch, second;

/* Never of huge pages, each filled. */
static UNUSED char *map_pages(unsigned int pages)
{
	char *at = mmap(NULL, pages * PAGE_BYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	madvise(at, pages * PAGE_BYTES, MADV_NOHUGEPAGE);
	region_fill(at, pages * PAGE_BYTES, 1);
	return at;
}

static UNUSED struct watch_area area_of(const void *at, unsigned int pages, unsigned int flags)
{
	return (struct watch_area){ (unsigned long)at, PAGE_BYTES, pages, flags };
}

static UNUSED void arm(struct watch *w, const void *at, unsigned int pages)
{
	const struct watch_area area = area_of(at, pages, 0);

	watch_arm(w, &area);
}

/* Did one section that acts cover these pages? */
static UNUSED bool notified(const struct watch *w, const void *at, unsigned int pages)
{
	return watch_find(w, (unsigned long)at, (unsigned long)at + pages * PAGE_BYTES) >= 0;
}

/* linux/sched.h has it; its other types are not the C library's. */
struct clone3_arguments {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
};

static UNUSED void start_watching(void)
{
	pagemap_open();
	check(watch_register(&watch) == 0, "registers");
}

#endif
