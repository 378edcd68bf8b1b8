/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where threads count their read sections.
 *
 * Two ways to count, chosen once for a domain:
 *
 *   slots   A few of them, one per CPU up to a limit, shared by all threads: two
 *           full atomic additions a section.  A slot is only a place to count.
 *   cells   One slot per thread, claimed by its first section.  The owner counts with
 *           plain additions, one instruction each, so that a signal handler of the
 *           same thread comes before or after; the barrier that they lack is made by
 *           the one who waits (membarrier, on every running thread).  Threads that
 *           find no cell, and processes that merely share the memory, use slots.
 *
 * The asymmetry is that of liburcu's membarrier flavour.  Cells belong to threads and
 * not to CPUs: restartable sequences, with which a CPU's counter can be increased
 * without an atomic operation, are off in a child of vfork(), which shares our memory;
 * and of a thread one can find out that it is gone.
 *
 * A section ends with its thread at the latest: where a cell's owner is gone, what it
 * left open is taken for closed.  (A shared slot does not know its readers.)
 */
#ifndef MMUN_CORE_SRCU_CELLS_H
#define MMUN_CORE_SRCU_CELLS_H

#include <stdbool.h>
#include <stdint.h>

#include "atomic.h"
#include "lock.h"
#include "task.h"

#define MMUN_SRCU_MAX_SLOTS 64

/* Two cache lines each: processors prefetch the neighbour of a line. */
struct srcu_slot {
	/* Sections by bank.  In a cell: changed by its owner alone, without atomicity. */
	unsigned long opened[2];
	unsigned long closed[2];
	/* Cells only.  Low half: sections that another thread has closed, or that were left
	 * open by an owner who is gone; high half: the generation, one for each owner. */
	unsigned long elsewhere[2];
} __attribute__((aligned(2 * MMUN_CACHE_LINE)));

/* Threads that can have a cell at once. */
#define MMUN_SRCU_CELLS 1024

/* Stays mapped as long as there is a thread that may remember its cell. */
struct srcu_cells {
	struct srcu_slot cell[MMUN_SRCU_CELLS];
	/* Low half: thread ids, 0: nobody yet; high half: how often an id came back for it. */
	unsigned long owner[MMUN_SRCU_CELLS];
	/* Cells that have ever had an owner, and where to look for one that is gone. */
	unsigned int nr, hand;
	/* To make a barrier without membarrier. */
	char *page;
};

/* A function to run after a grace period; embed it, it needs no other memory. */
struct mmun_callback {
	struct mmun_callback *next;
	void (*func)(struct mmun_callback *callback);
};

/* An entry of the worker's queue, see call_srcu.c. */
struct mmun_pending {
	struct mmun_pending *next;
	/* Set for a barrier: the word to raise when the worker gets here. */
	unsigned int *reached;
};

struct srcu_struct {
	/* Read by every reader, written by grace periods only. */
	struct srcu_slot *slots;
	/* NULL and 0 without cells. */
	struct srcu_cells *cells;
	unsigned long cells_size;
	unsigned int mask;
	unsigned int idx;
	long rseq_offset;
	unsigned int waiting;
	/* The process whose threads may have cells. */
	int pid;

	/* One grace period at a time. */
	struct mmun_mutex grace_lock;
	unsigned long grace_periods;
	/* Sections of threads that are gone; times that membarrier failed. */
	unsigned long dropped, fallbacks;

	/* Under the worker's lock. */
	struct mmun_pending pending;
	struct mmun_callback *callbacks, *last_callback;
	uint64_t queued_in;
};

/*
 * Count in cells, if this process may use membarrier and has memory for them.  Before
 * the first reader; for a domain of the calling process, whose copy in a forked child
 * is not waited for.  Return: whether it does.
 */
bool mmun_srcu_use_cells(struct srcu_struct *ssp);

/*
 * mmun_srcu_drop_cells() - give back the cells of a copy that fork has left, which only
 * the calling thread can use: the one that forked.  It counts in slots from then on.
 * Return: false, and nothing is done, if the thread has a section open there.
 */
bool mmun_srcu_drop_cells(struct srcu_struct *ssp);

/*
 * mmun_srcu_share() - the calling thread's thread-local storage is going to be that of
 * another thread as well, while both run: a clone with CLONE_VM, without CLONE_VFORK and
 * without CLONE_SETTLS.  From now on neither counts without atomicity.  To be called
 * before the clone, by the thread that makes it.  Context: any; for good.
 */
void mmun_srcu_share(void);

/* How many sections has the calling thread open?  After a section that ended in another
 * thread than it began, in a slot: perhaps one too many until the domain is idle. */
unsigned long mmun_srcu_open_here(struct srcu_struct *ssp);
/* Any at all?  For a warning: of moved sections as above. */
bool mmun_srcu_open_anywhere(void);

/*
 * The CPU this thread runs on, from the area that libc shares with the kernel;
 * below zero when this thread has none.
 */
static inline int mmun_srcu_cpu(long rseq_offset)
{
	int cpu;

	/* The second word of struct rseq is cpu_id. */
	__asm__ volatile("movl %%fs:4(%1), %0" : "=r"(cpu) : "r"(rseq_offset));
	return cpu;
}

static inline unsigned int mmun_srcu_thread_hash(void)
{
	uint64_t thread;

	__asm__("movq %%fs:0, %0" : "=r"(thread));
	return (unsigned int)((thread >> 6) * 0x9e3779b97f4a7c15ull >> 58);
}

/* The shared slot of the calling thread. */
static inline struct srcu_slot *mmun_srcu_slot(const struct srcu_struct *ssp)
{
	int cpu = -1;

	if (mmun_likely(ssp->rseq_offset))
		cpu = mmun_srcu_cpu(ssp->rseq_offset);
	if (mmun_unlikely(cpu < 0))
		cpu = (int)mmun_srcu_thread_hash();
	return &ssp->slots[(unsigned int)cpu & ssp->mask];
}

/* One instruction: whatever interrupts this thread comes before or after it. */
static inline void mmun_srcu_count(unsigned long *count)
{
	__asm__ volatile("addq $1, %0" : "+m"(*count) : : "memory");
}

static inline bool mmun_srcu_is_cell(const struct srcu_struct *ssp, const struct srcu_slot *slot)
{
	return (uintptr_t)slot - (uintptr_t)ssp->cells < ssp->cells_size;
}

/* The low half of srcu_slot.elsewhere and srcu_cells.owner. */
#define MMUN_SRCU_HALF 0xfffffffful

/* Sections that are open in @bank: exact for a moment between the first load and the last. */
static inline unsigned long mmun_srcu_nr_open(const struct srcu_slot *slot, unsigned int bank)
{
	/* C: the exits are looked at first; pairs with B. */
	unsigned long elsewhere = mmun_load_full(&slot->elsewhere[bank]);
	unsigned long closed = mmun_load_full(&slot->closed[bank]);

	/* D: an entry that is not seen began after the exits were; pairs with A. */
	return (mmun_load_full(&slot->opened[bank]) - closed - elsewhere) & MMUN_SRCU_HALF;
}

/* Nobody can remember one of them. */
void mmun_srcu_unmap_cells(struct srcu_cells *cells);

/* The entry of the calling thread's cell in mmun_task.cell, claimed now if it has none; -1:
 * none to be had. */
int mmun_srcu_get_cell(struct srcu_struct *ssp);

/* Is the owner of the cell gone?  Then what it has left open in @bank counts as closed. */
bool mmun_srcu_drop_left_open(struct srcu_struct *ssp, unsigned int index, unsigned int bank);

/* The calling thread opens a section in a shared slot, or closes one. */
void mmun_srcu_hold(const struct srcu_struct *ssp);
void mmun_srcu_let_go(const struct srcu_struct *ssp);

#endif
