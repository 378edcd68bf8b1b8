/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The end of an address space's memory: its release step.
 *
 * I1  The release step runs once, for whichever of mmun_mm_exit() and the last mmput()
 *     comes first; the primary frees memory after it (U1: release before the first page).
 * I2  Interval notifiers go first, then every ->release of the list, each claimed one by
 *     one (notifier.c), then a grace period for those that unregister has claimed (U3:
 *     exit and unregister wait for each other).
 * I3  The end of a process waits for what others hold only for a time.
 *
 * Not here: ->release of one notifier, and what it races with (notifier.c).
 * Tests: tests/unit/core/mm.c, tests/unit/core/notifier.c, tests/unit/core/interval_exit.c,
 * tests/model/{exit,release}.pml.
 */
#include "internal.h"

#include "bug.h"
#include "clock.h"
#include "futex.h"
#include "interval_seq.h"
#include "notifier.h"

/* Claims one notifier that nobody has claimed; NULL when there is none, or no lock. */
static struct mmu_notifier *claim_next(struct mm_struct *mm, struct mmu_notifier_mm *chain,
				       struct mmun_reader *reader, uint64_t deadline, bool *locked)
{
	struct mmun_list_node *node;
	struct mmu_notifier *mn = NULL;
	mmun_sigmask saved;

	*locked = mmun_chain_lock_until(chain, &saved, deadline);
	if (!*locked)
		return NULL;
	for (node = mmun_list_first(&chain->list); node; node = mmun_list_next(node)) {
		mn = mmun_container_of(node, struct mmu_notifier, hlist);
		if (mmun_release_claim(mn, mm, reader))
			break;
	}
	mmun_chain_unlock(chain, &saved);
	return node ? mn : NULL;
}

/* False: the lock was not to be had in time. */
static bool release_all(struct mm_struct *mm, struct mmu_notifier_mm *chain, uint64_t deadline)
{
	bool locked;
	struct mmu_notifier *mn;
	struct mmun_reader reader;
	struct mmun_walk walk;

	mmun_walk_push(&walk, mm);
	while ((mn = claim_next(mm, chain, &reader, deadline, &locked))) {
		if (mn->ops->release)
			mmun_stat_inc(mm, released);
		locked = mmun_release_run(mn, mm, chain, &reader, deadline);
		if (!locked)
			break;
	}
	mmun_walk_pop(&walk);
	return locked;
}

static void release_notifiers(struct mm_struct *mm, uint64_t deadline)
{
	const bool may_wait = mmun_may_wait(mm);
	struct mmu_notifier_mm *chain = mmun_chain(mm);
	struct mmun_wait wait;
	bool intervals_done = true, done;

	if (!chain)
		return;
	/* Full, as is the load of the chain: see L. */
	if (mmun_load_full(&chain->itree))
		intervals_done = mmun_intervals_release(mm, chain, deadline);
	mmun_wait_push(&wait, &mm->srcu);
	done = release_all(mm, chain, deadline) && intervals_done;
	/* Those that are claimed by unregister may still be in ->release (U3: exit waits for
	 * it).  A signal handler that interrupted a section of this mm skips it. */
	if (may_wait && !mmun_srcu_synchronize_until(&mm->srcu, deadline))
		done = false;
	if (!done)
		mmun_stat_inc(mm, exit_timed_out);
	mmun_wait_pop(&wait);
}

/*
 * Another thread is in the release step: one that goes on to free the memory or
 * to end the process must not overtake it.  A signal handler that interrupted
 * that very step (or a walk that it waits for) cannot wait for it.
 */
static void wait_for_other_exit(struct mm_struct *mm, uint64_t deadline)
{
	if (!mmun_may_wait(mm))
		return;
	while (mmun_load_full(&mm->dead) == MMUN_MM_DYING && !mmun_is_past(deadline))
		mmun_futex_wait_for(&mm->dead, MMUN_MM_DYING,
				    mmun_time_left(deadline, MMUN_NSEC_PER_SEC / 2));
}

void mmun_mm_exit(struct mm_struct *mm)
{
	const uint64_t deadline =
		mm->ops->exit_wait_ms ? mmun_now() + mm->ops->exit_wait_ms * MMUN_NSEC_PER_MSEC : 0;
	unsigned int alive = MMUN_MM_ALIVE;

	if (mmun_mm_is_stale(mm))
		return;
	/* L: from here registration fails, or had its notifier on the list
	 * before the release step looks there; pairs with M in publish(). */
	if (!mmun_cas_full(&mm->dead, &alive, MMUN_MM_DYING)) {
		wait_for_other_exit(mm, deadline);
		return;
	}
	release_notifiers(mm, deadline);
	mmun_store_full(&mm->dead, MMUN_MM_DEAD);
	mmun_futex_wake_all(&mm->dead);
}

void mmput(struct mm_struct *mm)
{
	long users = mmun_sub_full(&mm->mm_users, 1);

	if (mmun_unlikely(users < 0))
		mmun_misuse("mmput() without a user");
	if (users != 0)
		return;
	mmun_mm_exit(mm);
	if (mm->ops->exit && !mmun_mm_is_stale(mm))
		mm->ops->exit(mm);
	mmdrop(mm);
}
