/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Registration and ->release, for files that do one or the other. */
#ifndef MMUN_CORE_NOTIFIER_H
#define MMUN_CORE_NOTIFIER_H

#include "internal.h"

/*
 * do_mmu_notifier_register() - both entry points and mmu_notifier_get().
 * @mn: NULL to switch @mm to interval mode only.
 * @users: 1 for mmu_notifier_get(), 0 otherwise.
 */
int do_mmu_notifier_register(struct mmu_notifier *mn, struct mm_struct *mm, bool take_mmap_lock,
			     unsigned int users);

/*
 * The right to call ->release, which one has: mmun_walk_push(), then claim under the chain
 * lock, then run; mmun_walk_pop() when there is no more to claim.  So the thread is inside
 * from before a claim until after its read section: a signal handler must not wait for that.
 */

/* Opens a read section; false if somebody else has the right. */
bool mmun_release_claim(struct mmu_notifier *mn, struct mm_struct *mm, struct mmun_reader *reader);
/* Calls it, takes @mn off the list and closes the read section.  False: not taken off the
 * list, the chain lock was not to be had until @deadline (0: no limit). */
bool mmun_release_run(struct mmu_notifier *mn, struct mm_struct *mm, struct mmu_notifier_mm *chain,
		      const struct mmun_reader *reader, uint64_t deadline);

/* Under the chain lock, from put: unhash without ->release. */
void mmun_notifier_detach(struct mmu_notifier *mn);

/* In a forked child: no locks, their holders may not exist here. */
void mmun_notifier_forget(struct mmu_notifier *mn);

#endif
