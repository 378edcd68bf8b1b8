/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Locks of kernel code and what they forbid: compat/lock.c, compat/rcu.c. */
#include "part.h"

#include <linux/cleanup.h>
#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/rwsem.h>
#include <linux/seqlock.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <mmunotify/compat.h>

static DEFINE_SPINLOCK(spin);
static DEFINE_RWLOCK(rw);
static DEFINE_MUTEX(mutex);
static DECLARE_RWSEM(sem);

static void spin_sleep(void)
{
	spin_lock(&spin);
	msleep(0);
}

static void spin_mutex(void)
{
	spin_lock(&spin);
	mutex_lock(&mutex);
}

static void spin_alloc(void)
{
	spin_lock(&spin);
	kfree(kmalloc(1, GFP_KERNEL));
}

static void spin_copy(void)
{
	char c;

	spin_lock(&spin);
	(void)!copy_from_user(&c, (void *)0x1000, 1);
}

static void spin_twice(void)
{
	spin_lock(&spin);
	spin_lock(&spin);
}

static void read_sleep(void)
{
	read_lock(&rw);
	msleep(0);
}

static void rcu_sleep(void)
{
	rcu_read_lock();
	synchronize_rcu();
}

static void block_sleep(void)
{
	mmun_compat_non_block(1);
	mutex_lock(&mutex);
}

static void mutex_twice(void)
{
	mutex_lock(&mutex);
	mutex_lock(&mutex);
}

static void mutex_stray(void)
{
	mutex_unlock(&mutex);
}

static void up_stray(void)
{
	up_read(&sem);
}

static void assertion(void)
{
	lockdep_assert_held(&mutex);
}

static void read_is_not_write(void)
{
	down_read(&sem);
	lockdep_assert_held_write(&sem);
}

static void write_then_read(void)
{
	down_write(&sem);
	down_read(&sem);
}

static void exit_atomic(void)
{
	preempt_enable();
}

static void test_forbidden(void)
{
	dies(spin_sleep, "a sleep under a spin lock");
	dies(spin_mutex, "a mutex under a spin lock");
	dies(spin_alloc, "GFP_KERNEL under a spin lock");
	dies(spin_copy, "copy_from_user() under a spin lock");
	dies(spin_twice, "a spin lock taken twice");
	dies(read_sleep, "a sleep under a read lock");
	dies(rcu_sleep, "a grace period in an RCU section");
	dies(block_sleep, "a mutex where callbacks must not sleep");
	dies(mutex_twice, "a mutex taken twice");
	dies(mutex_stray, "an unlock by a task that does not hold it");
	dies(up_stray, "up_read() without a reader");
	dies(assertion, "a lock asserted that is not held");
	dies(read_is_not_write, "a write lock asserted by a reader");
	dies(write_then_read, "a read under one's own write");
	dies(exit_atomic, "preempt_enable() without disable");
}

static void test_allowed(void)
{
	unsigned long flags;
	void *block;

	spin_lock_irqsave(&spin, flags);
	block = kmalloc(8, GFP_ATOMIC);
	lockdep_assert_held(&spin);
	ok(block && in_atomic(), "GFP_ATOMIC under a spin lock");
	kfree(block);
	ok(mutex_trylock(&mutex), "and a trylock");
	ok(!mutex_trylock(&mutex), "of a mutex that is held fails");
	mutex_unlock(&mutex);
	spin_unlock_irqrestore(&spin, flags);
	mmun_compat_non_block(1);
	spin_lock(&spin);
	spin_unlock(&spin);
	mmun_compat_non_block(-1);
	down_read(&sem);
	ok(down_read_trylock(&sem), "a reader may try again");
	ok(!down_write_trylock(&sem), "readers keep writers out");
	ok(lockdep_is_held_type(&sem, 1) && !lockdep_is_held_type(&sem, 0), "held for read");
	up_read(&sem);
	up_read(&sem);
	ok(down_write_trylock(&sem), "until they have gone");
	lockdep_assert_held_write(&sem);
	ok(lockdep_is_held_type(&sem, 0) && !lockdep_is_held_type(&sem, 1), "held for write");
	up_write(&sem);
	ok(!lockdep_is_held_type(&sem, 0) && !lockdep_is_held_type(&sem, 1), "neither");
	might_lock(&sem);
	rcu_read_lock();
	rcu_read_lock();
	rcu_read_unlock();
	ok(rcu_read_lock_held() && in_atomic(), "RCU sections nest");
	rcu_read_unlock();
	might_sleep();
	ok(!in_atomic(), "at the end sleeping is allowed again");
}

static void test_scopes(void)
{
	{
		guard(mutex)(&mutex);
		ok(mutex_is_locked(&mutex), "guard() locks");
	}
	ok(!mutex_is_locked(&mutex), "and unlocks at the end of its scope");
	scoped_guard(spinlock, &spin) ok(spin_is_locked(&spin), "scoped_guard() too");
	ok(!spin_is_locked(&spin), "for one statement");
}

static void test_seqlock(void)
{
	static DEFINE_SEQLOCK(seq);
	unsigned int begin = read_seqbegin(&seq);

	ok(!read_seqretry(&seq, begin), "nobody wrote");
	write_seqlock(&seq);
	write_sequnlock(&seq);
	ok(read_seqretry(&seq, begin), "a write is seen");
}

int main(void)
{
	test_forbidden();
	test_allowed();
	test_scopes();
	test_seqlock();
	is(mmun_compat_warnings(), 0, "no warning");
	return tap_done();
}
