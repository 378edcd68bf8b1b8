/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A notifier that records its sections, beside what the kernel says at
 * that moment about the pages of one watched area.
 *
 * The truth is the kernel's (pagemap.h).  Nothing here allocates or blocks, so
 * it may run inside any memory call.
 */
#ifndef MMUN_TESTS_CONTRACT_WATCH_H
#define MMUN_TESTS_CONTRACT_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <mmunotify/mmu_notifier.h>

#include "pagemap.h"

#define WATCH_PAGES   64
#define WATCH_RECORDS 512

/* Up to WATCH_PAGES sampled pages, @stride bytes apart. */
struct watch_area {
	unsigned long start;
	unsigned long stride;
	unsigned int pages;
	unsigned int flags;
};

struct watch_record {
	bool end;
	/* Index of the other edge, or -1. */
	int peer;
	unsigned long from, to;
	enum mmu_notifier_event event;
	unsigned int flags;
	enum mmun_op op;
	int nr;
	long result;
	pid_t tid;
	/* One bit for each sampled page that differs from the baseline now. */
	uint64_t moved;
};

struct watch {
	struct mmu_notifier mn;
	struct watch_area area;
	uint64_t baseline[WATCH_PAGES];
	struct watch_record records[WATCH_RECORDS];
	unsigned int nr_records;
	unsigned int released;
	bool armed;
	/* Called at each edge, after it has been written down. */
	void (*edge)(struct watch *w, const struct mmu_notifier_range *range, bool end);
	void *edge_arg;
};

/* Subscribes @w to the running process. */
int watch_register(struct watch *w);
void watch_unregister(struct watch *w);

/* Takes the baseline of @area and starts recording; watch_disarm() stops. */
void watch_arm(struct watch *w, const struct watch_area *area);
void watch_disarm(struct watch *w);

/* Bits of the sampled pages whose state is not the baseline's. */
uint64_t watch_moved(const struct watch *w);
unsigned long watch_page_at(const struct watch_area *area, unsigned int i);

/* Number of sections that touch [from,to) and say that something changed. */
unsigned int watch_sections(const struct watch *w, unsigned long from, unsigned long to);
/* Unmaps a few pages of its own: is that notified?  Rearms @w. */
bool watch_sees_unmap(struct watch *w);
/* Index of a finished start record whose section acts and covers [from,to), or -1. */
int watch_find(const struct watch *w, unsigned long from, unsigned long to);
/* Does the section that starts at record @i have its end, and did it change something? */
bool watch_acts(const struct watch *w, unsigned int i);

#endif
