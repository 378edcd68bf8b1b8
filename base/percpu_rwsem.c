/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * I1  A reader counts itself in and then looks for a writer; a writer says that it is
 *     there and then looks at the counts.  All are full operations, so one of the two
 *     sees the other: the writer waits for the reader, or the reader steps back.
 * I2  Exits are summed before entries, so equal sums mean that nobody was inside at some
 *     moment in between; each reader leaves the slot that it entered.
 * I3  A thread that is inside does not look: the writer waits for it, it must not wait
 *     for the writer.
 * I4  A writer lets those in first that waited for the last one, for a time: one of them
 *     may have been stopped.
 *
 * Tests: tests/unit/base/percpu_rwsem.c, tests/model/percpu_rwsem.pml.
 */
#include "percpu_rwsem.h"

#include <sched.h>

#include "bug.h"
#include "futex.h"
#include "spin.h"

/* How long a writer waits for one reader that waited for the last one, ns. */
#define HAND_OVER 10000000

/* The outermost one that this thread is inside, and how often. */
static __thread struct {
	const struct mmun_percpu_rwsem *sem;
	unsigned int depth;
} inside __attribute__((tls_model("initial-exec")));

void mmun_percpu_rwsem_init(struct mmun_percpu_rwsem *sem, enum mmun_lock_rank rank)
{
	*sem = (struct mmun_percpu_rwsem){ 0 };
	mmun_mutex_init(&sem->writer, rank);
}

void mmun_percpu_rwsem_destroy(struct mmun_percpu_rwsem *sem)
{
	mmun_mutex_destroy(&sem->writer);
}

bool mmun_percpu_read_held(const struct mmun_percpu_rwsem *sem)
{
	return inside.sem == sem;
}

static void leave(struct mmun_percpu_rwsem *sem, struct mmun_rwsem_slot *slot)
{
	(void)mmun_add_full(&slot->left, 1);
	if (mmun_unlikely(mmun_load_full(&sem->writing))) {
		(void)mmun_add_full(&sem->departures, 1);
		mmun_futex_wake_all(&sem->departures);
	}
}

/* The writer may have forgotten us. */
static void no_longer_waiting(struct mmun_percpu_rwsem *sem)
{
	unsigned int waiting = mmun_load_full(&sem->waiting);

	while (waiting && !mmun_cas_full(&sem->waiting, &waiting, waiting - 1))
		;
	mmun_futex_wake_all(&sem->waiting);
}

/* Counted in, and a writer is there. */
__attribute__((noinline, cold)) static void enter_later(struct mmun_percpu_rwsem *sem,
							struct mmun_rwsem_slot *slot)
{
	(void)mmun_add_full(&sem->waiting, 1);
	do {
		leave(sem, slot);
		if (!mmun_spin_until(!mmun_load_full(&sem->writing)))
			while (mmun_load_full(&sem->writing))
				mmun_futex_wait(&sem->writing, 1);
		(void)mmun_add_full(&slot->entered, 1);
	} while (mmun_load_full(&sem->writing));
	no_longer_waiting(sem);
}

unsigned int mmun_percpu_read_lock(struct mmun_percpu_rwsem *sem)
{
	unsigned int index = (unsigned int)sched_getcpu() % MMUN_RWSEM_SLOTS;
	struct mmun_rwsem_slot *slot = &sem->slot[index];
	bool nested = inside.sem == sem;

	(void)mmun_add_full(&slot->entered, 1);
	if (mmun_unlikely(mmun_load_full(&sem->writing) && !nested))
		enter_later(sem, slot);
	if (nested) {
		inside.depth++;
	} else if (!inside.sem) {
		inside.sem = sem;
		inside.depth = 1;
	}
	return index;
}

void mmun_percpu_read_unlock(struct mmun_percpu_rwsem *sem, unsigned int slot)
{
	if (inside.sem == sem && --inside.depth == 0)
		inside.sem = NULL;
	leave(sem, &sem->slot[slot]);
}

static bool nobody_inside(const struct mmun_percpu_rwsem *sem)
{
	unsigned long entered = 0, left = 0;

	for (unsigned int i = 0; i < MMUN_RWSEM_SLOTS; i++)
		left += mmun_load_full(&sem->slot[i].left);
	for (unsigned int i = 0; i < MMUN_RWSEM_SLOTS; i++)
		entered += mmun_load_full(&sem->slot[i].entered);
	return entered == left;
}

static void let_waiters_in(struct mmun_percpu_rwsem *sem)
{
	unsigned int waiting;

	if (mmun_spin_until(!mmun_load_full(&sem->waiting)))
		return;
	while ((waiting = mmun_load_full(&sem->waiting))) {
		mmun_futex_wait_for(&sem->waiting, waiting, HAND_OVER);
		(void)mmun_cas_full(&sem->waiting, &waiting, 0);
	}
}

void mmun_percpu_write_lock(struct mmun_percpu_rwsem *sem)
{
	unsigned int departures;

	if (mmun_percpu_read_held(sem))
		mmun_misuse("a thread that changes entries quiesces the same address space "
			    "and waits for itself");
	mmun_mutex_lock(&sem->writer);
	let_waiters_in(sem);
	mmun_store_full(&sem->writing, 1);
	if (mmun_spin_until(nobody_inside(sem)))
		return;
	for (;;) {
		departures = mmun_load_full(&sem->departures);
		if (nobody_inside(sem))
			return;
		mmun_futex_wait(&sem->departures, departures);
	}
}

void mmun_percpu_write_unlock(struct mmun_percpu_rwsem *sem)
{
	mmun_store_full(&sem->writing, 0);
	mmun_futex_wake_all(&sem->writing);
	mmun_mutex_unlock(&sem->writer);
}
