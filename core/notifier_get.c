/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One notifier per (mm, ops), shared by counting: get, put, synchronize.
 *
 * I1  Finding and creating are one step under the mmap lock held for write, so
 *     a pair has at most one notifier.
 * I2  mmu_notifier.users is changed under the chain lock; at zero the notifier
 *     leaves the list and cannot be found again.
 * I3  put does not wait: ->free_notifier runs in the SRCU worker after a grace
 *     period, which also outlasts a ->release of exit that is still running.
 *     The worker is made by get and by registration, where sleeping and allocating are legal.
 *
 * Tests: tests/unit/core/notifier_get.c, tests/torture/chain.c.
 */
#include "notifier.h"

#include <errno.h>
#include <limits.h>

#include "bug.h"
#include "call_srcu.h"

/* The callback lives in the notifier: put has no memory to allocate. */
_Static_assert(sizeof(struct mmun_callback) <= sizeof(((struct mmu_notifier *)0)->reserved),
	       "callback does not fit");

static struct mmun_callback *callback_of(struct mmu_notifier *mn)
{
	return (struct mmun_callback *)(void *)mn->reserved;
}

/* A user more for the notifier of @ops, an error pointer, or NULL for none. */
static struct mmu_notifier *find_get(const struct mmu_notifier_ops *ops,
				     struct mmu_notifier_mm *chain)
{
	struct mmu_notifier *mn, *found = NULL;
	struct mmun_list_node *node;
	mmun_sigmask saved;

	mmun_chain_lock(chain, &saved);
	for (node = mmun_list_first(&chain->list); node; node = mmun_list_next(node)) {
		mn = mmun_container_of(node, struct mmu_notifier, hlist);
		if (mn->ops != ops || !mn->users || (mn->state & MMUN_MN_CLAIMED))
			continue;
		found = mn->users == UINT_MAX ? mmun_err_ptr(-EOVERFLOW) : mn;
		break;
	}
	if (found && !mmun_is_err(found))
		found->users++;
	mmun_chain_unlock(chain, &saved);
	return found;
}

static struct mmu_notifier *create(const struct mmu_notifier_ops *ops, struct mm_struct *mm)
{
	struct mmu_notifier *mn;
	int ret = mmun_srcu_worker_start();

	if (ret)
		return mmun_err_ptr(ret);
	mn = ops->alloc_notifier(mm);
	if (!mn)
		return mmun_err_ptr(-ENOMEM);
	if (mmun_is_err(mn))
		return mn;
	mn->ops = ops;
	ret = do_mmu_notifier_register(mn, mm, false, 1);
	if (!ret)
		return mn;
	if (ops->free_notifier)
		ops->free_notifier(mn);
	return mmun_err_ptr(ret);
}

static int check_get(const struct mmu_notifier_ops *ops, struct mm_struct *mm, bool locked)
{
	if (!ops || !ops->alloc_notifier)
		return -EINVAL;
	if (!mm)
		return -ESRCH;
	if (mmun_mm_is_stale(mm) || !mmun_mm_alive(mm))
		return -ESRCH;
	if (mmun_task_inside(mm) || mmun_rwlock_mine(&mm->mmap_lock) != locked)
		return -EDEADLK;
	return 0;
}

static struct mmu_notifier *find_or_create(const struct mmu_notifier_ops *ops, struct mm_struct *mm)
{
	struct mmu_notifier_mm *chain = mmun_chain(mm);
	struct mmu_notifier *mn = chain ? find_get(ops, chain) : NULL;

	return mn ? mn : create(ops, mm);
}

struct mmu_notifier *mmu_notifier_get_locked(const struct mmu_notifier_ops *ops,
					     struct mm_struct *mm)
{
	int ret = check_get(ops, mm, true);

	return ret ? mmun_err_ptr(ret) : find_or_create(ops, mm);
}

struct mmu_notifier *mmu_notifier_get(const struct mmu_notifier_ops *ops, struct mm_struct *mm)
{
	struct mmu_notifier *mn;
	int ret = check_get(ops, mm, false);

	if (ret)
		return mmun_err_ptr(ret);
	mmap_write_lock(mm);
	mn = find_or_create(ops, mm);
	mmap_write_unlock(mm);
	return mn;
}

static void free_after_grace_period(struct mmun_callback *callback)
{
	struct mmu_notifier *mn =
		mmun_container_of((void **)callback, struct mmu_notifier, reserved);
	struct mm_struct *mm = mn->mm;

	if (mn->ops->free_notifier)
		mn->ops->free_notifier(mn);
	mmdrop(mm);
}

/* In a forked child nobody else can reach @mn, and its chain lock may be held
 * by a thread that does not exist here. */
static void put_stale(struct mmu_notifier *mn)
{
	const struct mmu_notifier_ops *ops = mn->ops;

	if (mn->users ? --mn->users : !ops->free_notifier)
		return;
	mmun_notifier_forget(mn);
	if (ops->free_notifier)
		ops->free_notifier(mn);
}

/* Drops a user; true for the last one, which is off the list then.  What was registered, not
 * got, has one if there is a way to free it: drivers of Linux put it. */
static bool drop_user(struct mmu_notifier *mn, struct mmu_notifier_mm *chain)
{
	mmun_sigmask saved;
	unsigned int users;

	mmun_chain_lock(chain, &saved);
	users = mn->users;
	if (users)
		mn->users--;
	else if (mn->ops->free_notifier && !(mn->state & MMUN_MN_LEAVING))
		users = 1;
	if (users == 1)
		mmun_notifier_detach(mn);
	mmun_chain_unlock(chain, &saved);
	if (!users)
		mmun_misuse("mmu_notifier_put() without a user");
	return users == 1;
}

void mmu_notifier_put(struct mmu_notifier *mn)
{
	struct mm_struct *mm = mn->mm;

	if (!mm || !(mmun_load_full(&mn->state) & MMUN_MN_REGISTERED)) {
		mmun_misuse("mmu_notifier_put() of a notifier that is not registered");
		return;
	}
	if (mmun_mm_is_stale(mm)) {
		put_stale(mn);
		return;
	}
	if (!drop_user(mn, mmun_chain(mm)))
		return;
	mmun_stat_inc(mm, unregistered);
	call_srcu(&mm->srcu, callback_of(mn), free_after_grace_period);
}

/* In a callback only perhaps: it waits for this read section if something of the same
 * mm is pending. */
void mmu_notifier_synchronize(void)
{
	if (mmun_task.runs_callbacks) {
		mmun_misuse("mmu_notifier_synchronize() inside ->free_notifier would wait for "
			    "itself; it does not wait");
		return;
	}
	if (mmun_task.walk || mmun_srcu_open_anywhere())
		mmun_misuse("mmu_notifier_synchronize() inside a callback may wait for itself");
	srcu_barrier();
}
