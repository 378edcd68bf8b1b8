/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Spin locks and reader-writer spin locks; a zero-filled one is unlocked.  Inside are
 * libc's locks, so that sanitizers know them. */
#ifndef MMUN_COMPAT_LINUX_SPINLOCK_TYPES_H
#define MMUN_COMPAT_LINUX_SPINLOCK_TYPES_H

#include <linux/lockdep.h>
#include <linux/types.h>

struct mmun_compat_lock {
	unsigned long libc[5];
	unsigned long owner;
};

struct mmun_compat_rwlock {
	unsigned long libc[7];
	unsigned long writer;
};

typedef struct spinlock {
	struct mmun_compat_lock mmun;
} spinlock_t;

typedef spinlock_t raw_spinlock_t;

typedef struct {
	struct mmun_compat_rwlock mmun;
} rwlock_t;

#define __SPIN_LOCK_UNLOCKED(name) \
	{ \
		{ \
			{ 0 }, 0 \
		} \
	}
#define DEFINE_SPINLOCK(name)     spinlock_t name = __SPIN_LOCK_UNLOCKED(name)
#define DEFINE_RAW_SPINLOCK(name) DEFINE_SPINLOCK(name)
#define __RW_LOCK_UNLOCKED(name) \
	{ \
		{ \
			{ 0 }, 0 \
		} \
	}
#define DEFINE_RWLOCK(name) rwlock_t name = __RW_LOCK_UNLOCKED(name)

#endif
