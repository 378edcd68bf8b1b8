/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sleepable read sections and grace periods.
 *
 * A reader counts itself in and out of one of two banks; a grace period waits
 * until each bank of each slot was seen empty once.  Readers need no registration
 * of their thread, no thread-local constructor and no allocation, may sleep, nest
 * and run in signal handlers.  A reader keeps the slot and the bank that it has
 * used, so the balance of each slot is exact by itself.
 *
 * Ordering (letters: docs/LOCKING.md); tests/model/srcu.pml shows what breaks without.
 */
#ifndef MMUN_CORE_SRCU_H
#define MMUN_CORE_SRCU_H

#include <mmunotify/mmu_notifier.h>

#include "srcu_cells.h"

/* How many slots a domain needs here: a power of two, at most MMUN_SRCU_MAX_SLOTS. */
unsigned int mmun_srcu_nr_slots(void);

/* @slots: mmun_srcu_nr_slots() zeroed ones that live as long as the domain. */
void mmun_srcu_init(struct srcu_struct *ssp, struct srcu_slot *slots, unsigned int nr);
void mmun_srcu_destroy(struct srcu_struct *ssp);

/*
 * synchronize_srcu() - wait until every read section that is open now has ended.
 * Context: sleeps; not inside a read section of the same domain.
 */
void synchronize_srcu(struct srcu_struct *ssp);

/* The same until @deadline, mmun_now() at the latest; 0: no limit.  False: too late. */
bool mmun_srcu_synchronize_until(struct srcu_struct *ssp, uint64_t deadline);

struct mmun_reader mmun_srcu_enter_slowly(struct srcu_struct *ssp);
void mmun_srcu_leave_slowly(struct srcu_struct *ssp, const struct mmun_reader *reader);
void mmun_srcu_wake(struct srcu_struct *ssp);

static inline struct mmun_reader srcu_read_lock(struct srcu_struct *ssp)
{
	struct srcu_slot *cell = mmun_task.cell[0].slot;
	unsigned long bank = mmun_load_relaxed(&ssp->idx) & 1;

	if (mmun_unlikely(!mmun_srcu_is_cell(ssp, cell)))
		return mmun_srcu_enter_slowly(ssp);
	/* A: the section comes after it, because of the barrier F; pairs with D. */
	mmun_srcu_count(&cell->opened[bank]);
	return (struct mmun_reader){ cell, mmun_task.cell[0].generation | bank };
}

/* In any thread; in the one that opened it, if it has a cell, for little. */
static inline void srcu_read_unlock(struct srcu_struct *ssp, const struct mmun_reader *reader)
{
	struct srcu_slot *slot = reader->slot;

	if (mmun_unlikely(slot != mmun_task.cell[0].slot ||
			  (reader->state & ~1ul) != mmun_task.cell[0].generation)) {
		mmun_srcu_leave_slowly(ssp, reader);
		return;
	}
	/* B: the section comes before it (stores are not reordered, and no load goes
	 * behind a store); pairs with C. */
	mmun_srcu_count(&slot->closed[reader->state & 1]);
	/* After B, because of the barrier E: the waiter sees one or we see the other. */
	if (mmun_unlikely(mmun_load_relaxed(&ssp->waiting)))
		mmun_srcu_wake(ssp);
}

#endif
