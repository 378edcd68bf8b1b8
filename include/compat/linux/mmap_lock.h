/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The mmap lock, and assertions about it (by trying it: free is a bug). */
#ifndef MMUN_COMPAT_LINUX_MMAP_LOCK_H
#define MMUN_COMPAT_LINUX_MMAP_LOCK_H

#include <linux/bug.h>
#include <linux/cleanup.h>
#include <linux/mm_types.h>

#define mmap_read_lock_killable(mm)          (mmap_read_lock(mm), 0)
#define mmap_write_lock_killable(mm)         (mmap_write_lock(mm), 0)
#define mmap_write_lock_nested(mm, subclass) mmap_write_lock(mm)

static inline void mmap_assert_locked(struct mm_struct *mm)
{
	if (mmap_write_trylock(mm)) {
		mmap_write_unlock(mm);
		mmun_compat_bug("the mmap lock is not held", __FILE__, __LINE__);
	}
}

static inline void mmap_assert_write_locked(struct mm_struct *mm)
{
	if (mmap_read_trylock(mm)) {
		mmap_read_unlock(mm);
		mmun_compat_bug("the mmap lock is not held for write", __FILE__, __LINE__);
	}
}

/* The writer becomes a reader, and no other writer comes in between.  Here it goes on keeping
 * readers out too, until its mmap_read_unlock(). */
void mmun_compat_mmap_write_downgrade(struct mm_struct *mm);
void mmun_compat_mmap_read_unlock(struct mm_struct *mm);
#define mmap_write_downgrade(mm) mmun_compat_mmap_write_downgrade(mm)
#define mmap_read_unlock(mm)     mmun_compat_mmap_read_unlock(mm)

DEFINE_GUARD(mmap_read_lock, struct mm_struct *, mmap_read_lock(_T), mmap_read_unlock(_T))
DEFINE_GUARD(mmap_write_lock, struct mm_struct *, mmap_write_lock(_T), mmap_write_unlock(_T))

#endif
