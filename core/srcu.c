// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Grace periods: two banks of counters, after the classic two-bank SRCU of
 * McKenney; the waiting here is a futex, there are no sleeping periods.
 *
 * I1  A reader that has counted itself into a bank keeps that bank from being
 *     seen empty until it has counted itself out.
 * I2  A grace period sees each bank empty once after it began.  The bank that
 *     new readers do not use goes first: a reader may have read ->idx long ago
 *     and still be about to enter it.  Then ->idx flips, so that readers that
 *     keep coming cannot hold the second bank up.
 * I3  ->waiting is raised before the last look at the counters and readers look
 *     at it after they counted themselves out, so no wake-up is lost.
 * I4  A reader keeps the domain alive beyond its unlock by means of its own
 *     (the caller of a walk holds the mm): unlock looks at ->waiting last.
 *
 * Not here: callbacks (srcu_worker.c).  Tests: tests/unit/srcu.c,
 * tests/torture/srcu.c, tests/model/srcu.pml.
 */
#include "srcu.h"

#include <unistd.h>

#include "bug.h"
#include "futex.h"
#include "task.h"

/* Where libc keeps the area it shares with the kernel; absent before glibc 2.35. */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

/* Looks at the counters before the waiter goes to sleep: about ten microseconds,
 * more than a usual system call inside a section takes. */
#define SPINS 200

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
	mmun_mutex_destroy(&ssp->grace_lock);
}

void mmun_srcu_wake(struct srcu_struct *ssp)
{
	if (mmun_swap_full(&ssp->waiting, 0))
		mmun_futex_wake_all(&ssp->waiting);
}

/*
 * Exits are summed before entries: an entry that the second sum misses began
 * after the first, and each exit the first counted has its entry in the second,
 * so equal sums mean that nobody was inside at some moment in between.
 */
static bool bank_idle(const struct srcu_struct *ssp, unsigned int bank)
{
	unsigned long entries = 0, exits = 0;

	for (unsigned int i = 0; i <= ssp->mask; i++)
		exits += mmun_load_full(&ssp->slots[i].unlock[bank]);	/* C, pairs with B */
	for (unsigned int i = 0; i <= ssp->mask; i++)
		entries += mmun_load_full(&ssp->slots[i].lock[bank]);	/* D, pairs with A */
	return entries == exits;
}

/* A signal has nobody to wake the sleeper: looked for this often, ns. */
#define SIGNAL_PERIOD 1000000

static bool gives_up(const struct mmun_give_up *give_up)
{
	return give_up && (mmun_load_full(give_up->asked) ||
			   mmun_signals_pending(give_up->unblocked));
}

static bool sleep_for_bank(struct srcu_struct *ssp, unsigned int bank,
			   const struct mmun_give_up *give_up)
{
	bool idle;

	for (;;) {
		/* E: raised before the counters are looked at; pairs with the
		 * look at ->waiting after B in srcu_read_unlock(). */
		(void)mmun_swap_full(&ssp->waiting, 1);
		idle = bank_idle(ssp, bank);
		if (idle || gives_up(give_up))
			break;
		if (give_up)
			mmun_futex_wait_for(&ssp->waiting, 1, SIGNAL_PERIOD);
		else
			mmun_futex_wait(&ssp->waiting, 1);
	}
	mmun_store_full(&ssp->waiting, 0);
	return idle;
}

static bool wait_for_bank(struct srcu_struct *ssp, unsigned int bank,
			  const struct mmun_give_up *give_up)
{
	for (unsigned int i = 0; i < SPINS; i++) {
		if (bank_idle(ssp, bank))
			return true;
		mmun_cpu_relax();
	}
	return sleep_for_bank(ssp, bank, give_up);
}

bool mmun_srcu_wait_readers(struct srcu_struct *ssp, const struct mmun_give_up *give_up)
{
	unsigned int bank = mmun_load_relaxed(&ssp->idx) & 1;

	/* F: what the caller changed comes before the counters are looked at;
	 * pairs with A. */
	(void)mmun_add_full(&ssp->grace_periods, 1);
	if (!wait_for_bank(ssp, bank ^ 1, give_up))
		return false;
	/* G: the first bank is known empty before readers are sent to it; a
	 * reader that reads the new ->idx does so after that. */
	(void)mmun_swap_full(&ssp->idx, bank ^ 1);
	return wait_for_bank(ssp, bank, give_up);
}

void synchronize_srcu(struct srcu_struct *ssp)
{
	struct mmun_wait wait;

	mmun_wait_push(&wait, ssp);
	mmun_mutex_lock(&ssp->grace_lock);
	mmun_srcu_wait_readers(ssp, NULL);
	mmun_mutex_unlock(&ssp->grace_lock);
	mmun_wait_pop(&wait);
}
