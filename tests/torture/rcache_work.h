/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Workers against registration caches of software address spaces, with a card whose every
 * access is checked (secondary/nic): for threads (rcache_soft.c), and in an order that a
 * seed decides (rcache_deterministic.c).
 */
#ifndef MMUN_TESTS_TORTURE_RCACHE_WORK_H
#define MMUN_TESTS_TORTURE_RCACHE_WORK_H

#include <mmunotify/rcache.h>

#include "nic.h"
#include "options.h"

#define MAX_WORKERS 8

/* What went wrong, and what was done at all. */
#define WORK_COUNTS(X) \
	X(violations, "accesses through a stale translation") \
	X(wrong, "words that were not what was written last") \
	X(refused, "gets that had to succeed and did not") \
	X(leaked, "caches, cards or machines that could not go") \
	X(gets, "gets") \
	X(reads, "reads by the card") \
	X(writes, "writes by the card") \
	X(outdated, "registrations that had ended before they were used") \
	X(changes, "changes of memory") \
	X(forks, "forks") \
	X(handed_over, "puts by another worker")

struct work_counts {
#define WORK_FIELD(name, text) long name;
	WORK_COUNTS(WORK_FIELD)
#undef WORK_FIELD
};

/* Atomic. */
extern struct work_counts work_counts;

/* A machine for @nr workers; @flags: of the caches. */
void work_create(unsigned int nr, uint64_t seed, unsigned int flags);
/* One thing, of worker @id. */
void work_step(unsigned int id);
/* What a worker has seen so far, for a hash. */
uint64_t work_hash(unsigned int id);
/* Everything goes; @stats: the sum of those of all caches. */
void work_destroy(struct mmun_rcache_stats *stats);

/* Set while allocations of this thread may fail. */
extern __thread struct rng *inject_rng;

#endif
