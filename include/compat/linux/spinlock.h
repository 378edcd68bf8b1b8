/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Taking spin locks.  While one is held sleeping is a bug and ends the program, as do
 * taking a lock twice and releasing another thread's.  There are no interrupts: the
 * _irq and _bh forms are the plain ones. */
#ifndef MMUN_COMPAT_LINUX_SPINLOCK_H
#define MMUN_COMPAT_LINUX_SPINLOCK_H

#include <linux/atomic.h>
#include <linux/preempt.h>
#include <linux/spinlock_types.h>

void mmun_compat_lock_init(struct mmun_compat_lock *lock);
void mmun_compat_rwlock_init(struct mmun_compat_rwlock *lock);
void mmun_compat_spin_lock(struct mmun_compat_lock *lock);
bool mmun_compat_spin_trylock(struct mmun_compat_lock *lock);
void mmun_compat_spin_unlock(struct mmun_compat_lock *lock);
void mmun_compat_read_lock(struct mmun_compat_rwlock *lock);
void mmun_compat_read_unlock(struct mmun_compat_rwlock *lock);
void mmun_compat_write_lock(struct mmun_compat_rwlock *lock);
void mmun_compat_write_unlock(struct mmun_compat_rwlock *lock);

#define spin_lock_init(lock)             mmun_compat_lock_init(&(lock)->mmun)
#define spin_lock(lock)                  mmun_compat_spin_lock(&(lock)->mmun)
#define spin_lock_nested(lock, subclass) spin_lock(lock)
#define spin_trylock(lock)               mmun_compat_spin_trylock(&(lock)->mmun)
#define spin_unlock(lock)                mmun_compat_spin_unlock(&(lock)->mmun)
#define spin_lock_bh(lock)               spin_lock(lock)
#define spin_unlock_bh(lock)             spin_unlock(lock)
#define spin_lock_irq(lock)              spin_lock(lock)
#define spin_unlock_irq(lock)            spin_unlock(lock)
#define spin_lock_irqsave(lock, flags) \
	do { \
		(flags) = 0; \
		spin_lock(lock); \
	} while (0)
#define spin_trylock_irqsave(lock, flags) ((flags) = 0, spin_trylock(lock))
#define spin_unlock_irqrestore(lock, flags) \
	do { \
		(void)(flags); \
		spin_unlock(lock); \
	} while (0)
#define spin_is_locked(lock)     (READ_ONCE((lock)->mmun.owner) != 0)
#define assert_spin_locked(lock) BUG_ON(!spin_is_locked(lock))

#define raw_spin_lock_init(lock)                spin_lock_init(lock)
#define raw_spin_lock(lock)                     spin_lock(lock)
#define raw_spin_unlock(lock)                   spin_unlock(lock)
#define raw_spin_lock_irqsave(lock, flags)      spin_lock_irqsave(lock, flags)
#define raw_spin_unlock_irqrestore(lock, flags) spin_unlock_irqrestore(lock, flags)

#define rwlock_init(lock)  mmun_compat_rwlock_init(&(lock)->mmun)
#define read_lock(lock)    mmun_compat_read_lock(&(lock)->mmun)
#define read_unlock(lock)  mmun_compat_read_unlock(&(lock)->mmun)
#define write_lock(lock)   mmun_compat_write_lock(&(lock)->mmun)
#define write_unlock(lock) mmun_compat_write_unlock(&(lock)->mmun)
#define read_lock_irqsave(lock, flags) \
	do { \
		(flags) = 0; \
		read_lock(lock); \
	} while (0)
#define read_unlock_irqrestore(lock, flags) \
	do { \
		(void)(flags); \
		read_unlock(lock); \
	} while (0)
#define write_lock_irqsave(lock, flags) \
	do { \
		(flags) = 0; \
		write_lock(lock); \
	} while (0)
#define write_unlock_irqrestore(lock, flags) \
	do { \
		(void)(flags); \
		write_unlock(lock); \
	} while (0)
#define write_lock_irq(lock)   write_lock(lock)
#define write_unlock_irq(lock) write_unlock(lock)
#define read_lock_irq(lock)    read_lock(lock)
#define read_unlock_irq(lock)  read_unlock(lock)
#define write_lock_bh(lock)    write_lock(lock)
#define write_unlock_bh(lock)  write_unlock(lock)

#define local_irq_save(flags) \
	do { \
		(flags) = 0; \
		preempt_disable(); \
	} while (0)
#define local_irq_restore(flags) \
	do { \
		(void)(flags); \
		preempt_enable(); \
	} while (0)

#endif
