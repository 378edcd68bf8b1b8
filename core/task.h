/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the core knows about the calling thread: where its read sections are counted,
 * which walks and waits it is inside, so that waiting for itself is refused instead
 * of a deadlock.
 *
 * Initial-exec thread-local storage, all zero at the start: no constructor, no
 * allocation, usable in signal handlers.  A handler may interrupt any store,
 * so each field changes by one store and handlers leave it as they found it.
 */
#ifndef MMUN_CORE_TASK_H
#define MMUN_CORE_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include "atomic.h"

struct mm_struct;

struct srcu_slot;
struct srcu_struct;

/* The calls of ->release and of the release event, on the caller's stack. */
struct mmun_walk {
	struct mm_struct *mm;
	struct mmun_walk *outer;
};

/* A wait for the readers of a domain, on the waiter's stack. */
struct mmun_wait {
	const struct srcu_struct *ssp;
	struct mmun_wait *outer;
};

/* Domains with cells that one thread uses in its life; more of them count in slots. */
#define MMUN_TASK_CELLS 4
/* Domains in whose shared slots one thread has sections open at once. */
#define MMUN_TASK_HELD 8

/* Mmap locks that a thread remembers to hold. */
#define MMUN_TASK_MMAP_LOCKS 4

struct mmun_mmap_held {
	const struct mm_struct *mm;
	unsigned int count; /* more than 1: read and tried again */
	bool write;
};

struct mmun_task {
	/* The cells that this thread owns, and their generation (see struct srcu_slot),
	 * shifted by one.  An entry is set once. */
	struct {
		struct srcu_slot *slot;
		unsigned long generation;
	} cell[MMUN_TASK_CELLS];
	/* Whose cells these are: a forked child inherits what it does not own. */
	int tid;
	/* Another thread has the same thread-local storage: no cells. */
	bool shared;
	/* Sections to go before it looks for a cell again. */
	unsigned int no_cell;
	/* Open sections counted in shared slots. */
	struct {
		const struct srcu_struct *ssp;
		unsigned long open;
	} held[MMUN_TASK_HELD];

	struct mmun_walk *walk;
	/* mmap_lock.c; and how many more it holds. */
	struct mmun_mmap_held mmap_held[MMUN_TASK_MMAP_LOCKS];
	unsigned int mmap_unlisted;
	/* What mm_lock() holds. */
	struct mm_struct *mm_locked;
	/* Grace periods and release steps of exit. */
	struct mmun_wait *wait;
	/* It is the one that runs what call_srcu() was given. */
	bool runs_callbacks;
};

extern __thread struct mmun_task mmun_task
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

/* Has it ended, although a signal still finds it?  Async-signal-safe; false without /proc. */
bool mmun_thread_is_zombie(int tid);

#define mmun_compiler_barrier() __asm__ volatile("" ::: "memory")

static inline void mmun_walk_push(struct mmun_walk *walk, struct mm_struct *mm)
{
	walk->mm = mm;
	walk->outer = mmun_task.walk;
	mmun_compiler_barrier();
	mmun_task.walk = walk;
}

static inline void mmun_walk_pop(const struct mmun_walk *walk)
{
	mmun_task.walk = walk->outer;
}

static inline bool mmun_task_walks(const struct mm_struct *mm)
{
	for (const struct mmun_walk *walk = mmun_task.walk; walk; walk = walk->outer) {
		if (walk->mm == mm)
			return true;
	}
	return false;
}

static inline void mmun_wait_push(struct mmun_wait *wait, const struct srcu_struct *ssp)
{
	wait->ssp = ssp;
	wait->outer = mmun_task.wait;
	mmun_compiler_barrier();
	mmun_task.wait = wait;
}

static inline void mmun_wait_pop(const struct mmun_wait *wait)
{
	mmun_compiler_barrier();
	mmun_task.wait = wait->outer;
}

/* Did a signal handler interrupt this thread in a wait for @ssp? */
static inline bool mmun_task_waits_for(const struct srcu_struct *ssp)
{
	for (const struct mmun_wait *wait = mmun_task.wait; wait; wait = wait->outer) {
		if (wait->ssp == ssp)
			return true;
	}
	return false;
}

#endif
