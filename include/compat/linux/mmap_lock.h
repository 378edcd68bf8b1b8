/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The mmap lock, and assertions that the calling thread holds it. */
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
	if (!mmun_mmap_lock_held(mm, false))
		mmun_compat_bug("this thread does not hold the mmap lock", __FILE__, __LINE__);
}

bool mmun_compat_mmap_write_held(struct mm_struct *mm);
static inline void mmap_assert_write_locked(struct mm_struct *mm)
{
	if (!mmun_compat_mmap_write_held(mm))
		mmun_compat_bug("this thread does not hold the mmap lock for write", __FILE__,
				__LINE__);
}

/* The writer becomes a reader, and no other writer comes in between.  Here it goes on keeping
 * readers out too, until its mmap_read_unlock(). */
void mmun_compat_mmap_write_downgrade(struct mm_struct *mm);
void mmun_compat_mmap_write_unlock(struct mm_struct *mm);
void mmun_compat_mmap_read_unlock(struct mm_struct *mm);
#define mmap_write_downgrade(mm) mmun_compat_mmap_write_downgrade(mm)
#define mmap_write_unlock(mm)    mmun_compat_mmap_write_unlock(mm)
#define mmap_read_unlock(mm)     mmun_compat_mmap_read_unlock(mm)

DEFINE_GUARD(mmap_read_lock, struct mm_struct *, mmap_read_lock(_T), mmap_read_unlock(_T))
DEFINE_GUARD(mmap_write_lock, struct mm_struct *, mmap_write_lock(_T), mmap_write_unlock(_T))

#endif
