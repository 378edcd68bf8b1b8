/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the libfabrics of a process share, in memory that is zero again in a forked child:
 * nothing of it is true there, and no lock is held by a thread that the child does not have.
 */
#ifndef MMUN_ADAPTERS_LIBFABRIC_SHARED_H
#define MMUN_ADAPTERS_LIBFABRIC_SHARED_H

#include <pthread.h>
#include <stdint.h>

#include "history.h"

struct lf_shared {
	/* Of imports, and of the start of the notifier. */
	pthread_mutex_t starting;
	/* The history is being written. */
	uint32_t ready;
	/* Of the reaper: what it does (reaper.c), up to which number it has swept, the
	 * addresses that matter. */
	uint32_t reaper;
	uint64_t swept;
	unsigned long lowest, highest;
	pthread_mutex_t sweeping;
	struct lf_history history __attribute__((aligned(64)));
};

/** lf_shared() - mapped at the first call; NULL: no memory.  Context: any but the first. */
struct lf_shared *lf_shared(void);

/** lf_map_wiped() - zeroed memory that is zeroed again in a forked child; NULL: none. */
void *lf_map_wiped(unsigned long size);

#endif
