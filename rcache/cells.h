/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Uses of registrations: one counter for each thread and registration, a cell, that only
 * its thread changes.
 *
 * I1  The uses of a registration are those that have begun less those that have ended, over all
 *     threads.  A use may begin in one thread and end in another.  Ends are summed up first: what
 *     has ended by then had begun, so that the difference is never too small.
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
#include "memory.h"

/* Two counts and not one, so that a get does not wait for the put before it. */
struct rc_cell {
	uint32_t begun, ended;
};

/* Those of a thread for a cache. */
struct rc_cells {
	/* Gets that found something. */
	unsigned long hits;
	unsigned long reserved;
	struct rc_cell cell[];
};

static inline size_t mmun_rc_cells_size(size_t nr)
{
	return mmun_rc_size(sizeof(struct rc_cells) + nr * sizeof(struct rc_cell));
}

struct rc_thread {
	/* By mmun_rc_shared.slot of the cache; NULL: none yet. */
	struct rc_cells *cells[MMUN_RCACHE_MAX_CACHES];
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
	/* Of a reaper: it is to end when this is not 0. */
	const unsigned int *stop;
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
	/* Of stats.c. */
	struct mmun_mutex stat_lock;
};

/* Of the calling process, not of a child of vfork().  NULL: no memory. */
struct rc_process *mmun_rc_process(void);

/*
 * mmun_rc_cells() - the calling thread's cells of the cache in @slot, made now if there are none.
 * @nr: how many
 * Context: any.  Return: NULL: no memory, or a child of vfork(), which only shares ours.
 */
struct rc_cells *mmun_rc_cells(struct rc_process *process, unsigned int slot, size_t nr);

/* Of all threads, when nobody uses the cache any more. */
void mmun_rc_free_cells(struct rc_process *process, unsigned int slot, size_t nr);

/* The sums of cell @id, with @spare, that of nobody. */
static inline struct rc_cell mmun_rc_sum(struct rc_process *process, unsigned int slot, uint32_t id,
					 const struct rc_cell *spare)
{
	struct rc_cell sum = { 0, mmun_load_full(&spare[id].ended) };
	struct rc_thread *thread;

	for (thread = mmun_load_acquire(&process->threads); thread; thread = thread->next) {
		struct rc_cells *cells = mmun_load_acquire(&thread->cells[slot]);

		if (cells)
			sum.ended += mmun_load_full(&cells->cell[id].ended);
	}
	for (thread = mmun_load_acquire(&process->threads); thread; thread = thread->next) {
		struct rc_cells *cells = mmun_load_acquire(&thread->cells[slot]);

		if (cells)
			sum.begun += mmun_load_full(&cells->cell[id].begun);
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

/* One instruction, as a handler may do the same. */
static inline void mmun_rc_count_hit(struct rc_cells *cells)
{
	__asm__ volatile("addq $1, %0" : "+m"(cells->hits) : : "cc");
}

static inline void mmun_rc_count(uint32_t *count, bool fenced)
{
	if (fenced)
		(void)mmun_add_full(count, 1);
	else
		__asm__ volatile("addl $1, %0" : "+m"(*count) : : "memory", "cc");
}

#endif
