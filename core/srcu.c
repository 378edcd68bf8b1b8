/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Grace periods: two banks of counters, after the classic two-bank SRCU of
 * McKenney; the waiting here is a futex, there are no sleeping periods.
 *
 * I1  A reader that has counted itself into a bank of a slot keeps that bank from
 *     being seen empty until it has counted itself out of the same one.
 * I2  A grace period sees each bank of each slot empty once after it began.  The bank
 *     that new readers do not use goes first: a reader may have read ->idx long ago
 *     and still be about to enter it.  Then ->idx flips, so that readers that
 *     keep coming cannot hold the second bank up.
 * I3  ->waiting is raised before the last look at the counters and readers look
 *     at it after they counted themselves out, so no wake-up is lost.
 * I4  A reader keeps the domain alive beyond its unlock by means of its own
 *     (the caller of a walk holds the mm): unlock looks at ->waiting last.
 *
 * Not here: the owner of a cell (srcu_cells.c), callbacks (call_srcu.c).
 * Tests: tests/unit/core/srcu.c, tests/torture/srcu.c, tests/model/srcu.pml.
 */
#include "srcu.h"

#include <linux/membarrier.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bug.h"
#include "clock.h"
#include "futex.h"
#include "raw_syscall.h"
#include "spin.h"

/* Where libc keeps the area it shares with the kernel; absent before glibc 2.35. */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

/* Nobody wakes the waiter when a thread ends: looked for this often, ns. */
#define LOOK_PERIOD 10000000

/* Looks at a counter before the waiter goes to sleep: about ten microseconds, more than a
 * usual system call inside a section takes. */
#define LOOKS 200

unsigned int mmun_srcu_nr_slots(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	unsigned int nr = 1;

	while (nr < MMUN_SRCU_MAX_SLOTS && (long)nr < cpus)
		nr *= 2;
	return nr;
}

void mmun_srcu_init(struct srcu_struct *ssp, struct srcu_slot *slots, unsigned int nr)
{
	MMUN_BUG_ON(nr == 0 || (nr & (nr - 1)));
	*ssp = (struct srcu_struct){ .slots = slots, .mask = nr - 1 };
	if (&__rseq_offset && &__rseq_size && __rseq_size)
		ssp->rseq_offset = __rseq_offset;
	mmun_mutex_init(&ssp->grace_lock, MMUN_RANK_GRACE);
}

void mmun_srcu_destroy(struct srcu_struct *ssp)
{
	/* Threads that have had one may remember it. */
	if (ssp->cells && !mmun_load_full(&ssp->cells->nr))
		mmun_srcu_unmap_cells(ssp->cells);
	mmun_mutex_destroy(&ssp->grace_lock);
}

/* Barriers. */

/*
 * It worked once and does not any more: a seccomp filter came later.  To take rights away
 * from a page that is in use makes the kernel interrupt every processor that runs a
 * thread of ours, where it does not have the hardware flush their translations; in that
 * case the time that passes is many times what a store takes to leave its processor.
 */
static void barrier_by_rights(struct srcu_struct *ssp)
{
	const struct {
		long sec, nsec;
	} while_stores_drain = { 0, 1000000 };
	char *page = ssp->cells->page;

	(void)mmun_add_relaxed(&ssp->fallbacks, 1);
	mmun_store_full(page, 1);
	mmun_syscall3(SYS_mprotect, (unsigned long)page, 4096, PROT_NONE);
	mmun_syscall3(SYS_nanosleep, (unsigned long)&while_stores_drain, 0, 0);
	mmun_syscall3(SYS_mprotect, (unsigned long)page, 4096, PROT_READ | PROT_WRITE);
}

/* A full barrier here and, as far as readers lack it, in every thread of the process. */
static void barrier_everywhere(struct srcu_struct *ssp)
{
	/* Full, for readers in shared slots. */
	(void)mmun_add_full(&ssp->grace_periods, 0);
	if (ssp->cells && mmun_syscall3(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0))
		barrier_by_rights(ssp);
}

/* Readers, where the inline functions do not suffice. */

struct mmun_reader mmun_srcu_enter_slowly(struct srcu_struct *ssp)
{
	int entry = mmun_srcu_get_cell(ssp);
	unsigned long bank = mmun_load_relaxed(&ssp->idx) & 1;
	struct srcu_slot *slot;

	if (entry >= 0) {
		slot = mmun_task.cell[entry].slot;
		mmun_srcu_count(&slot->opened[bank]);
		return (struct mmun_reader){ slot, mmun_task.cell[entry].generation | bank };
	}
	mmun_srcu_hold(ssp);
	slot = mmun_srcu_slot(ssp);
	/* Full, see A. */
	(void)mmun_add_full(&slot->opened[bank], 1);
	return (struct mmun_reader){ slot, bank };
}

static bool is_own_reader(const struct mmun_reader *reader)
{
	for (int i = 0; i < MMUN_TASK_CELLS; i++)
		if (reader->slot == mmun_task.cell[i].slot &&
		    (reader->state & ~1ul) == mmun_task.cell[i].generation)
			return true;
	return false;
}

/* For the owner, while it lives and nobody has taken the section for closed. */
static void close_elsewhere(struct srcu_slot *cell, const struct mmun_reader *reader)
{
	unsigned long *word = &cell->elsewhere[reader->state & 1];
	unsigned long elsewhere = mmun_load_full(word), next;

	do {
		if (elsewhere >> 32 != reader->state >> 1)
			return;
		next = (elsewhere & ~MMUN_SRCU_HALF) | ((elsewhere + 1) & MMUN_SRCU_HALF);
	} while (!mmun_cas_full(word, &elsewhere, next));
}

void mmun_srcu_leave_slowly(struct srcu_struct *ssp, const struct mmun_reader *reader)
{
	struct srcu_slot *slot = reader->slot;

	if (!mmun_srcu_is_cell(ssp, slot)) {
		/* Full, see B. */
		(void)mmun_add_full(&slot->closed[reader->state & 1], 1);
		mmun_srcu_let_go(ssp);
	} else if (is_own_reader(reader)) {
		mmun_srcu_count(&slot->closed[reader->state & 1]);
	} else {
		close_elsewhere(slot, reader);
	}
	if (mmun_load_full(&ssp->waiting))
		mmun_srcu_wake(ssp);
}

void mmun_srcu_wake(struct srcu_struct *ssp)
{
	if (mmun_swap_full(&ssp->waiting, 0))
		mmun_futex_wake_all(&ssp->waiting);
}

/* Grace periods. */

/* A slot, and in @cell its number among the cells or -1. */
struct place {
	struct srcu_slot *slot;
	int cell;
};

static bool sleep_for_slot(struct srcu_struct *ssp, struct place place, unsigned int bank,
			   uint64_t deadline)
{
	bool idle;

	for (;;) {
		/* E: raised before the counters are looked at, on every processor; pairs
		 * with the look at ->waiting after B. */
		(void)mmun_swap_full(&ssp->waiting, 1);
		barrier_everywhere(ssp);
		idle = !mmun_srcu_nr_open(place.slot, bank) ||
		       (place.cell >= 0 &&
			mmun_srcu_drop_left_open(ssp, (unsigned int)place.cell, bank));
		if (idle || mmun_is_past(deadline))
			break;
		mmun_futex_wait_for(&ssp->waiting, 1, mmun_time_left(deadline, LOOK_PERIOD));
	}
	mmun_store_full(&ssp->waiting, 0);
	return idle;
}

static bool wait_for_slot(struct srcu_struct *ssp, struct place place, unsigned int bank,
			  uint64_t deadline)
{
	return mmun_spin_for(LOOKS, !mmun_srcu_nr_open(place.slot, bank)) ||
	       sleep_for_slot(ssp, place, bank, deadline);
}

static bool wait_for_bank(struct srcu_struct *ssp, unsigned int bank, unsigned int nr_cells,
			  uint64_t deadline)
{
	for (unsigned int i = 0; i <= ssp->mask; i++)
		if (!wait_for_slot(ssp, (struct place){ &ssp->slots[i], -1 }, bank, deadline))
			return false;
	for (unsigned int i = 0; i < nr_cells; i++)
		if (!wait_for_slot(ssp, (struct place){ &ssp->cells->cell[i], (int)i }, bank,
				   deadline))
			return false;
	return true;
}

static bool wait_for_readers(struct srcu_struct *ssp, uint64_t deadline)
{
	unsigned int bank = mmun_load_relaxed(&ssp->idx) & 1, nr_cells;

	(void)mmun_add_full(&ssp->grace_periods, 1);
	/* F: what the caller changed comes before the counters are looked at, on every
	 * processor; pairs with A: a reader whose entry is not seen sees the change. */
	barrier_everywhere(ssp);
	/* A thread that claims a cell later enters later. */
	nr_cells = ssp->cells ? mmun_load_full(&ssp->cells->nr) : 0;
	if (!wait_for_bank(ssp, bank ^ 1, nr_cells, deadline))
		return false;
	/* G: the first bank is known empty before readers are sent to it; a
	 * reader that reads the new ->idx does so after that. */
	(void)mmun_swap_full(&ssp->idx, bank ^ 1);
	return wait_for_bank(ssp, bank, nr_cells, deadline);
}

bool mmun_srcu_synchronize_until(struct srcu_struct *ssp, uint64_t deadline)
{
	struct mmun_wait wait;
	bool done = false;

	mmun_wait_push(&wait, ssp);
	if (mmun_mutex_lock_until(&ssp->grace_lock, deadline)) {
		done = wait_for_readers(ssp, deadline);
		mmun_mutex_unlock(&ssp->grace_lock);
	}
	mmun_wait_pop(&wait);
	return done;
}

void synchronize_srcu(struct srcu_struct *ssp)
{
	(void)mmun_srcu_synchronize_until(ssp, 0);
}
