/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A reader-writer semaphore for very many readers and hardly any writer: readers count
 * themselves in slots, one per CPU up to a limit, and look at one word; a writer sets that
 * word and waits until the counts say that nobody is inside.
 *
 * As in the kernel a reader sleeps while a writer is inside or waits; unlike there a
 * thread that is inside may enter the same one again, whatever a writer does.  A thread
 * that is inside one and enters another waits in both: callers order them.
 * Not in signal handlers.
 */
#ifndef MMUN_BASE_PERCPU_RWSEM_H
#define MMUN_BASE_PERCPU_RWSEM_H

#include "atomic.h"
#include "lock.h"

#define MMUN_RWSEM_SLOTS 16

struct mmun_rwsem_slot {
	unsigned long entered, left;
} __attribute__((aligned(2 * MMUN_CACHE_LINE)));

struct mmun_percpu_rwsem {
	/* Futex words: a writer is inside or waits for readers to leave; how often a reader
	 * has left meanwhile; and how many wait for the writer. */
	unsigned int writing;
	unsigned int departures;
	unsigned int waiting;
	/* One writer at a time. */
	struct mmun_mutex writer;
	struct mmun_rwsem_slot slot[MMUN_RWSEM_SLOTS];
};

/* Zero-filled but for the rank of the writers' lock. */
void mmun_percpu_rwsem_init(struct mmun_percpu_rwsem *sem, enum mmun_lock_rank rank);
void mmun_percpu_rwsem_destroy(struct mmun_percpu_rwsem *sem);

/* Returns the slot, for the unlock by the same thread. */
unsigned int mmun_percpu_read_lock(struct mmun_percpu_rwsem *sem);
void mmun_percpu_read_unlock(struct mmun_percpu_rwsem *sem, unsigned int slot);

/*
 * On return nobody else is inside until the unlock.  Readers that wait for a writer get in
 * before the next one, so writers in a row do not keep them out.
 * Context: sleeps; inside the same one as a reader it would wait for itself.
 */
void mmun_percpu_write_lock(struct mmun_percpu_rwsem *sem);
void mmun_percpu_write_unlock(struct mmun_percpu_rwsem *sem);

/* Is this thread inside @sem as a reader? */
bool mmun_percpu_read_held(const struct mmun_percpu_rwsem *sem);

#endif
