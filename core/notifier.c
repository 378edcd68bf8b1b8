/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Registration and unregistration of a notifier, and its ->release.
 *
 * I1  A registration publishes at the head of the list and returns when every read
 *     section that was open then has ended.  A section that took the head before calls
 *     neither start nor end (R1: no end without its start) and is waited for (R2:
 *     none that opened before is still open); a later one calls both.
 *     All memory is allocated before (R8: not under the mm's locks), and nothing is
 *     changed on failure (R7: no lock, entry or count left behind).
 * I2  The chain lock decides who calls ->release: the first that sets CLAIMED
 *     (U5: once per registration).  The claimer is inside an SRCU read section from the claim until
 *     the notifier is off the list, so everybody else waits for it by waiting
 *     for a grace period (U3: they wait for each other).
 * I3  A notifier leaves the list only after its ->release has returned, so
 *     invalidations reach it until then (U6: sections still reach it); leaving twice is
 *     harmless (U7: exit and unregister may both come).
 * I4  Waiting for one's own callback or section is refused (U8: not in a callback).
 * I5  The list and its lock are never touched in a forked child.
 * I6  A notifier off the list keeps its way to the rest, and nobody frees it or registers
 *     it again before a grace period has passed: sections may keep it as their head.
 * I7  The mm lock of a primary whose sections are not read sections throughout is held
 *     for the publication alone; never while a grace period is waited for.
 * I8  The end of a process waits for what others hold only for a time.
 *
 *     exit                       unregister                   a walk
 *     lock; CLAIMED; read lock;
 *     unlock; ->release          lock; CLAIMED already;
 *                                unlock; 1st grace period     read lock; finds it
 *     lock; unhash; unlock       waits for ...
 *     read unlock                ... this, not for the walk   calls it
 *                                2nd grace period: for the
 *                                walk too; then mmdrop        read unlock
 *
 * Not here: walks (dispatch.c), get and put (notifier_get.c).
 * Tests: tests/unit/core/notifier.c, tests/torture/chain.c, tests/model/{join,release}.pml.
 */
#include "notifier.h"

#include <errno.h>
#include <pthread.h>

#include "bug.h"
#include "call_srcu.h"
#include "chain.h"
#include "clock.h"

/* Under the mmap lock; the mm is quiesced if its primary can do that. */
static int publish(struct mmu_notifier *mn, struct mm_struct *mm, struct mmun_spares *spares)
{
	struct mmu_notifier_mm *chain = mmun_chain_install(mm, spares);
	mmun_sigmask saved;
	bool alive;

	mmun_chain_lock(chain, &saved);
	/* M: after the chain was made visible; pairs with L in mmun_mm_exit():
	 * the release step finds @mn, or @mn is not added. */
	alive = mmun_mm_alive(mm);
	if (alive && mn) {
		mn->mm = mm;
		/* Dropped by unregister, or after the last put. */
		mmgrab(mm);
		mmun_detached_forget(chain, &mn->hlist);
		if (mn->ops->invalidate_range)
			mmun_store_relaxed(&chain->invalidates_ranges, 1);
		mmun_list_add_head(&chain->list, &mn->hlist);
	}
	mmun_chain_unlock(chain, &saved);
	return alive ? 0 : -ESRCH;
}

static int check_ops(const struct mmu_notifier_ops *ops, const struct mm_struct *mm)
{
	if (!ops)
		return -EINVAL;
	/* As Linux: a change would reach it twice, by different ranges. */
	if (ops->arch_invalidate_secondary_tlbs &&
	    (ops->invalidate_range_start || ops->invalidate_range_end))
		return -EINVAL;
	/* It would wait for flushes that never come. */
	if ((ops->arch_invalidate_secondary_tlbs || ops->invalidate_range) &&
	    !mm->ops->flushes_secondary_tlbs)
		return -EOPNOTSUPP;
	return 0;
}

/* False: it is registered, or somebody else is registering it. */
static bool claim(struct mmu_notifier *mn)
{
	unsigned int before = mmun_load_full(&mn->state);
	unsigned int mark = mmun_notifier_mark(mn);

	return (before & ~MMUN_MN_BITS) != mark &&
	       mmun_cas_full(&mn->state, &before, mark | MMUN_MN_REGISTERED);
}

/*
 * Two grace periods.  The second is what R2 asks for (no section that opened before is
 * still open).  The first comes before anything is published, so that a section that never
 * ends (its thread is frozen, or sleeps in the kernel) makes the registration fail when
 * nobody can have met the notifier yet: there is nothing to take back, and nothing that
 * would have to wait for that very section.
 *
 * Nothing less is exact.  That a section was opened before the publication, and that its
 * slot has counted no other since, does not say that it has not met the notifier: it may
 * have taken the head of the list only after.  So the second one has no limit.  What it
 * waits for was opened after the first had begun to look at its slot.
 */
int do_mmu_notifier_register(struct mmu_notifier *mn, struct mm_struct *mm, bool take_mmap_lock,
			     unsigned int users)
{
	struct mmun_spares spares = { NULL, NULL };
	struct mm_lock_data data;
	uint64_t deadline;
	int ret;

	if (!mm)
		return -ESRCH;
	ret = mn ? check_ops(mn->ops, mm) : 0;
	if (ret)
		return ret;
	if (mmun_mm_is_stale(mm) || !mmun_mm_alive(mm))
		return -ESRCH;
	if (mmun_task_inside(mm) || mmun_rwlock_mine(&mm->mmap_lock) == take_mmap_lock)
		return -EDEADLK;
	if (mn) {
		if (!claim(mn))
			return -EEXIST;
		mn->users = users;
	}

	ret = mmun_spares_alloc(&spares, mm, !mn);
	if (ret)
		goto free_spares;
	/* mmu_notifier_put() may be its end. */
	ret = mn && mn->ops->free_notifier ? mmun_srcu_worker_start() : 0;
	if (ret)
		goto free_spares;
	if (take_mmap_lock)
		mmap_write_lock(mm);
	ret = mm->ops->start ? mm->ops->start(mm) : 0;
	if (ret)
		goto unlock;

	/* Before the first grace period: every section that meets @mn sees it. */
	if (!mn || !(mn->ops->flags & MMUN_OPS_NO_CANCELLATION_POINT))
		mmun_store_full(&mm->cancellable, true);
	deadline = mmun_now() + MMUN_REGISTER_WAIT_MS * MMUN_NSEC_PER_MSEC;
	if (!mmun_srcu_synchronize_until(&mm->srcu, deadline)) {
		mmun_stat_inc(mm, timed_out);
		ret = -ETIMEDOUT;
		goto unlock;
	}
	ret = mm->ops->lock ? mm_lock(mm, &data) : 0;
	if (ret)
		goto unlock;
	ret = publish(mn, mm, &spares);
	if (mm->ops->lock)
		mm_unlock(mm, &data);
	if (ret)
		goto unlock;
	synchronize_srcu(&mm->srcu);

	if (mmun_chain_itree(mmun_chain(mm)))
		mmun_store_release(&mmun_chain(mm)->intervals_ready, true);
	/* Before the lock is free: a source that can be stopped looks at it. */
	if (mn)
		mmun_stat_inc(mm, registered);
unlock:
	if (take_mmap_lock)
		mmap_write_unlock(mm);
free_spares:
	mmun_spares_free(&spares);
	if (ret && mn)
		mmun_store_full(&mn->state, 0);
	return ret;
}

int mmu_notifier_register(struct mmu_notifier *mn, struct mm_struct *mm)
{
	return do_mmu_notifier_register(mn, mm, true, 0);
}

int __mmu_notifier_register(struct mmu_notifier *mn, struct mm_struct *mm)
{
	return do_mmu_notifier_register(mn, mm, false, 0);
}

bool mmun_release_claim(struct mmu_notifier *mn, struct mm_struct *mm, struct mmun_reader *reader)
{
	if (mn->state & MMUN_MN_CLAIMED)
		return false;
	mmun_store_relaxed(&mn->state, mn->state | MMUN_MN_CLAIMED);
	*reader = srcu_read_lock(&mm->srcu);
	return true;
}

bool mmun_release_run(struct mmu_notifier *mn, struct mm_struct *mm, struct mmu_notifier_mm *chain,
		      const struct mmun_reader *reader, uint64_t deadline)
{
	mmun_sigmask saved;
	bool locked;
	int cancel;

	if (mn->ops->release) {
		/* A claim that nobody finishes would block everybody. */
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
		mn->ops->release(mn, mm);
		pthread_setcancelstate(cancel, NULL);
	}
	locked = mmun_chain_lock_until(chain, &saved, deadline);
	if (locked) {
		mmun_list_del_init(&mn->hlist);
		mmun_chain_unlock(chain, &saved);
	}
	srcu_read_unlock(&mm->srcu, reader);
	return locked;
}

/* The object becomes the caller's again; the mm may go.  Its address stays there: a driver
 * may hold a reference of its own and drop that by it. */
static void part(struct mmu_notifier *mn, struct mm_struct *mm)
{
	mmun_store_full(&mn->state, 0);
	mmun_stat_inc(mm, unregistered);
	mmdrop(mm);
}

void mmun_notifier_forget(struct mmu_notifier *mn)
{
	mn->hlist.pprev = NULL;
	part(mn, mn->mm);
}

void mmun_notifier_detach(struct mmu_notifier *mn)
{
	mmun_store_relaxed(&mn->state, mn->state | MMUN_MN_CLAIMED | MMUN_MN_LEAVING);
	mmun_list_del_init(&mn->hlist);
}

/* From a callback or inside a section: take @mn off the list, wait for nothing. */
static void detach_without_waiting(struct mmu_notifier *mn, struct mm_struct *mm,
				   struct mmu_notifier_mm *chain)
{
	mmun_sigmask saved;

	mmun_stat_inc(mm, misused_unregister);
	mmun_misuse("mmu_notifier_unregister() inside a callback or section of the same "
		    "address space would wait for itself; detached without waiting");
	mmun_chain_lock(chain, &saved);
	mmun_list_del_init(&mn->hlist);
	mmun_detached_remember(chain, &mn->hlist);
	mmun_chain_unlock(chain, &saved);
}

void mmu_notifier_unregister(struct mmu_notifier *mn, struct mm_struct *mm)
{
	bool registered, released = false;
	struct mmu_notifier_mm *chain;
	struct mmun_reader reader;
	struct mmun_walk walk;
	mmun_sigmask saved;

	if (!mn || !mm) {
		mmun_misuse("mmu_notifier_unregister() of no notifier, or on no address space");
		return;
	}
	if (mmun_mm_is_stale(mm)) {
		if (mn->mm == mm && (mn->state & MMUN_MN_REGISTERED))
			mmun_notifier_forget(mn);
		return;
	}
	chain = mmun_chain(mm);
	if (!chain)
		goto not_registered;

	mmun_walk_push(&walk, mm);
	mmun_chain_lock(chain, &saved);
	registered = mn->mm == mm && (mn->state & MMUN_MN_REGISTERED) &&
		     !(mn->state & MMUN_MN_LEAVING);
	if (registered) {
		mmun_store_relaxed(&mn->state, mn->state | MMUN_MN_LEAVING);
		released = mmun_release_claim(mn, mm, &reader);
	}
	mmun_chain_unlock(chain, &saved);
	if (released)
		mmun_release_run(mn, mm, chain, &reader, 0);
	mmun_walk_pop(&walk);
	if (!registered)
		goto not_registered;

	if (mmun_task_inside(mm)) {
		detach_without_waiting(mn, mm, chain);
		part(mn, mm);
		return;
	}
	if (!released) {
		/*
		 * Exit has claimed it, and it stays on the list until exit's ->release has
		 * returned; walks that begin meanwhile find it: only a grace period that
		 * begins after it left the list waits for them.
		 */
		synchronize_srcu(&mm->srcu);
		/* Exit may have got no lock in its time (I8). */
		mmun_chain_lock(chain, &saved);
		mmun_list_del_init(&mn->hlist);
		mmun_chain_unlock(chain, &saved);
	}
	synchronize_srcu(&mm->srcu);
	part(mn, mm);
	return;

not_registered:
	mmun_misuse("mmu_notifier_unregister() of a notifier that is not registered");
}
