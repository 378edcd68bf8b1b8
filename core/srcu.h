/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sleepable read sections and grace periods.
 *
 * A reader counts itself in and out of one of two banks; a grace period waits
 * until each bank was seen empty once.  Readers need no registration of their
 * thread, no thread-local constructor and no allocation, may sleep, nest, run
 * in signal handlers, and may leave on another thread than they entered on.
 *
 * The counters are spread over slots, one per CPU up to a limit.  A slot is
 * only a place to count: each update is one atomic operation, so choosing
 * "the wrong" slot costs time and nothing else.
 *
 * Ordering (letters: docs/LOCKING.md).  Every operation below that has a
 * letter is a full one; tests/model/srcu.pml shows what breaks without it.
 */
#ifndef MMUN_CORE_SRCU_H
#define MMUN_CORE_SRCU_H

#include <stdbool.h>
#include <stdint.h>

#include "atomic.h"
#include "lock.h"
#include "sigmask.h"

#define MMUN_SRCU_MAX_SLOTS 64

/* Two cache lines each: processors prefetch the neighbour of a line. */
struct srcu_slot {
	unsigned long lock[2];
	unsigned long unlock[2];
} __attribute__((aligned(2 * MMUN_CACHE_LINE)));

/* A function to run after a grace period; embed it, it needs no other memory. */
struct mmun_callback {
	struct mmun_callback *next;
	void (*func)(struct mmun_callback *callback);
};

/* An entry of the worker's queue, see srcu_worker.c. */
struct mmun_pending {
	struct mmun_pending *next;
	/* Set for a barrier: the word to raise when the worker gets here. */
	unsigned int *reached;
};

struct srcu_struct {
	/* Read by every reader, written by grace periods only. */
	struct srcu_slot *slots;
	unsigned int mask;
	unsigned int idx;
	long rseq_offset;
	unsigned int waiting;

	/* One grace period at a time. */
	struct mmun_mutex grace_lock;
	unsigned long grace_periods;

	/* Under the worker's lock. */
	struct mmun_pending pending;
	struct mmun_callback *callbacks, *last_callback;
	uint64_t queued_in;
};

/* How many slots a domain needs here: a power of two, at most MMUN_SRCU_MAX_SLOTS. */
unsigned int mmun_srcu_nr_slots(void);

/* @slots: mmun_srcu_nr_slots() zeroed ones that live as long as the domain. */
void mmun_srcu_init(struct srcu_struct *ssp, struct srcu_slot *slots, unsigned int nr);
void mmun_srcu_destroy(struct srcu_struct *ssp);

/* Wakes the grace period that sleeps until readers leave. */
void mmun_srcu_wake(struct srcu_struct *ssp);

/*
 * synchronize_srcu() - wait until every read section that is open now has ended.
 * Context: sleeps; not inside a read section of the same domain.
 */
void synchronize_srcu(struct srcu_struct *ssp);

/* When a grace period is to be given up. */
struct mmun_give_up {
	/* Not zero.  Whoever sets it leaves a read section afterwards, which wakes
	 * the sleeping caller. */
	const unsigned int *asked;
	/* A signal waits that this mask lets through: its handler may be what a
	 * reader waits for. */
	const mmun_sigmask *unblocked;
};

/*
 * A grace period in the hands of a caller that holds ->grace_lock.  @give_up may
 * be NULL; false: given up.
 */
bool mmun_srcu_wait_readers(struct srcu_struct *ssp, const struct mmun_give_up *give_up);

/*
 * call_srcu() - run @callback->func after a grace period, in the worker thread.
 * Context: any but async-signal; does not sleep and does not allocate once
 * mmun_srcu_worker_start() has succeeded in this process.
 * Lifetime: @ssp must stay until @callback has run.
 */
void call_srcu(struct srcu_struct *ssp, struct mmun_callback *callback,
	       void (*func)(struct mmun_callback *callback));

/*
 * srcu_barrier() - wait until every callback queued before, on any domain, has run.
 * Context: sleeps; not from a callback.
 */
void srcu_barrier(void);

/* Make sure that this process (not its parent) has a worker.  0 or -ENOMEM, -EAGAIN. */
int mmun_srcu_worker_start(void);

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

static inline struct srcu_slot *mmun_srcu_slot(const struct srcu_struct *ssp)
{
	int cpu = -1;

	if (mmun_likely(ssp->rseq_offset))
		cpu = mmun_srcu_cpu(ssp->rseq_offset);
	if (mmun_unlikely(cpu < 0))
		cpu = (int)mmun_srcu_thread_hash();
	return &ssp->slots[(unsigned int)cpu & ssp->mask];
}

/* Returns the bank, for srcu_read_unlock(). */
static inline int srcu_read_lock(struct srcu_struct *ssp)
{
	unsigned int bank = mmun_load_relaxed(&ssp->idx) & 1;

	/* A: the section comes after it; pairs with D in bank_idle(). */
	(void)mmun_add_full(&mmun_srcu_slot(ssp)->lock[bank], 1);
	return (int)bank;
}

static inline void srcu_read_unlock(struct srcu_struct *ssp, int bank)
{
	/* B: the section comes before it; pairs with C in bank_idle(). */
	(void)mmun_add_full(&mmun_srcu_slot(ssp)->unlock[bank], 1);
	/* Pairs with E in wait_for_bank(): one of the two sees the other. */
	if (mmun_unlikely(mmun_load_full(&ssp->waiting)))
		mmun_srcu_wake(ssp);
}

#endif
