/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * mm_lock(): quiesce whatever can change translations of an mm.  How is the
 * primary's operation; here is what holds for every primary.
 *
 * I1  The caller holds the mmap lock throughout (checked in debug builds).
 * I2  A task holds at most one mm_lock: nothing orders two of them, so a second
 *     one could deadlock with another task.  It fails with -EDEADLK and takes
 *     nothing (debug builds abort).
 *
 * Tests: tests/unit/core/mm_lock.c.
 */
#include "internal.h"

#include <errno.h>

#include "bug.h"

int mm_lock(struct mm_struct *mm, struct mm_lock_data *data)
{
	int ret;

	MMUN_BUG_ON(!mmun_lock_held(&mm->mmap_lock));
	if (!mm->ops->lock)
		return -EOPNOTSUPP;
	if (mmun_task.mm_locked) {
		mmun_misuse("a task that holds mm_lock() calls it again");
		return -EDEADLK;
	}
	*data = (struct mm_lock_data){ 0 };
	ret = mm->ops->lock(mm, data);
	if (!ret)
		mmun_task.mm_locked = mm;
	return ret;
}

void mm_unlock(struct mm_struct *mm, struct mm_lock_data *data)
{
	MMUN_BUG_ON(!mmun_lock_held(&mm->mmap_lock));
	MMUN_BUG_ON(mmun_task.mm_locked != mm);
	mmun_task.mm_locked = NULL;
	mm->ops->unlock(mm, data);
}
