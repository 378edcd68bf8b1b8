/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who uses which registration: one counter for each thread and registration, a cell, that only
 * its thread changes.
 *
 * I1  The uses of a registration are the sum of its cells over all threads.  A use may begin
 *     in one thread and end in another: a single cell may be below zero.
 * I2  Cells change by one instruction without a lock, so that a signal handler of the thread
 *     comes before or after.  Whoever needs the sum makes a barrier in all threads first
 *     (mmun_rc_barrier()).  With ->fenced they change by locked instructions, and nobody needs one.
 * I3  A thread that is gone leaves its cells with what they count; another one takes them over
 *     and goes on counting.  That it is gone is what the kernel says of its id.
 * I4  In a forked child all of it is zero, the list of threads as well.
 *
 * Not here: whose registrations they are (cache.h).
 */
#ifndef MMUN_RCACHE_CELLS_H
#define MMUN_RCACHE_CELLS_H

#include <stdbool.h>
#include <stdint.h>

#include <mmunotify/rcache.h>

#include "atomic.h"
#include "lock.h"

/* A cell: uses now in the low bits; how many have begun, modulo 256, above them. */
#define MMUN_RC_USE  ((1u << 24) + 1)
#define MMUN_RC_USES ((1u << 24) - 1)

struct rc_thread {
	/* By mmun_rc_shared.slot of the cache; NULL: none yet. */
	uint32_t *cells[MMUN_RCACHE_MAX_CACHES];
	/* Of the same cache: gets that found something. */
	unsigned long hits[MMUN_RCACHE_MAX_CACHES];
	struct rc_thread *next;
	/* The thread's id. */
	unsigned int owner;
};

/* What a thread knows of itself. */
struct rc_task {
	/* Before its first use of a cache one that has no cells. */
	struct rc_thread *thread;
	/* It is inside a part of the cache that cannot be entered again. */
	unsigned int inside;
};

extern __thread struct rc_task mmun_rc_task
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

/* What all caches of a process share; zero in a forked child. */
struct rc_process {
	struct mmun_mutex lock;
	struct rc_thread *threads;
	/* Where to look for a thread that is gone. */
	struct rc_thread *hand;
	/* Its threads have cells; those of processes that share the memory have none. */
	unsigned int pid;
	/* Of process.c. */
	struct mmun_mutex list_lock;
	struct mmun_rcache *caches;
};

/* Of the calling process, not of a child of vfork().  NULL: no memory. */
struct rc_process *mmun_rc_process(void);

/*
 * mmun_rc_cells() - the calling thread's cells of the cache in @slot, made now if there are none.
 * @nr: how many
 * Context: any.  Return: NULL: no memory, or a child of vfork(), which only shares ours.
 */
uint32_t *mmun_rc_cells(struct rc_process *process, unsigned int slot, size_t nr);

/* Of all threads, when nobody uses the cache any more. */
void mmun_rc_free_cells(struct rc_process *process, unsigned int slot, size_t nr);

/* The sum of cell @id, with @spare, that of nobody. */
static inline uint32_t mmun_rc_sum(struct rc_process *process, unsigned int slot, uint32_t id,
				   const uint32_t *spare)
{
	uint32_t sum = mmun_load_full(&spare[id]);

	for (struct rc_thread *thread = mmun_load_acquire(&process->threads); thread;
	     thread = thread->next) {
		uint32_t *cells = mmun_load_acquire(&thread->cells[slot]);

		if (cells)
			sum += mmun_load_full(&cells[id]);
	}
	return sum;
}

/* Hits of a cache, and how many threads have cells of it. */
unsigned long mmun_rc_hits(struct rc_process *process, unsigned int slot, unsigned int *threads);

/* May cells be changed without locked instructions here?  Once for each process. */
bool mmun_rc_barrier_works(void);

/* mmun_rc_barrier() - every thread sees what was stored before, and what it has counted before
 * is seen.  @page: one that is written, for kernels that refuse membarrier all of a sudden. */
void mmun_rc_barrier(char *page);

static inline void mmun_rc_count(uint32_t *cell, uint32_t n, bool fenced)
{
	if (fenced)
		(void)mmun_add_full(cell, n);
	else
		__asm__ volatile("addl %1, %0" : "+m"(*cell) : "er"(n) : "memory", "cc");
}

#endif
