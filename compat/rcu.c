/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * RCU and SRCU: readers count themselves in and out of one of two banks.
 *
 * I1  A grace period turns to the other bank and waits until the old one is empty,
 *     twice: a reader that had read the index before the first turn may enter the old
 *     bank after it.
 * I2  RCU readers nest and are counted once, at the outermost level.
 *
 * Simple rather than fast: a grace period polls.
 * Tests: tests/contract/compat/wait.c.
 */
#include "runtime.h"

#include <linux/delay.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/workqueue.h>

static struct srcu_struct domain;
static __thread int nesting, outermost;
static pthread_mutex_t callbacks_lock = PTHREAD_MUTEX_INITIALIZER;
static struct rcu_head *callbacks, **last = &callbacks;

int mmun_compat_srcu_init(struct srcu_struct *ssp)
{
	*ssp = (struct srcu_struct){ .idx = 0 };
	return 0;
}

void mmun_compat_srcu_cleanup(struct srcu_struct *ssp)
{
	WARN_ON(READ_ONCE(ssp->readers[0]) || READ_ONCE(ssp->readers[1]));
}

int mmun_compat_srcu_enter(struct srcu_struct *ssp)
{
	int idx = (int)(__atomic_load_n(&ssp->idx, __ATOMIC_SEQ_CST) & 1);

	__atomic_fetch_add(&ssp->readers[idx], 1, __ATOMIC_SEQ_CST);
	return idx;
}

void mmun_compat_srcu_leave(struct srcu_struct *ssp, int idx)
{
	if (__atomic_sub_fetch(&ssp->readers[idx], 1, __ATOMIC_SEQ_CST) < 0)
		mmun_compat_broken("an SRCU section ends that never began");
}

/* I1 */
static void turn(struct srcu_struct *ssp)
{
	unsigned long old = __atomic_fetch_add(&ssp->idx, 1, __ATOMIC_SEQ_CST) & 1;

	while (__atomic_load_n(&ssp->readers[old], __ATOMIC_SEQ_CST))
		udelay(50);
}

void mmun_compat_srcu_sync(struct srcu_struct *ssp)
{
	pthread_mutex_t *one = (pthread_mutex_t *)ssp->libc;

	might_sleep();
	pthread_mutex_lock(one);
	turn(ssp);
	turn(ssp);
	pthread_mutex_unlock(one);
}

void rcu_read_lock(void)
{
	if (!nesting++)
		outermost = mmun_compat_srcu_enter(&domain);
	preempt_disable();
}

void rcu_read_unlock(void)
{
	preempt_enable();
	if (!--nesting)
		mmun_compat_srcu_leave(&domain, outermost);
}

int rcu_read_lock_held(void)
{
	return nesting > 0;
}

void synchronize_rcu(void)
{
	mmun_compat_srcu_sync(&domain);
}

static struct rcu_head *take_callbacks(void)
{
	struct rcu_head *all;

	pthread_mutex_lock(&callbacks_lock);
	all = callbacks;
	callbacks = NULL;
	last = &callbacks;
	pthread_mutex_unlock(&callbacks_lock);
	return all;
}

/* A function below a page is the place of the head in a block to be freed. */
static void invoke(struct rcu_head *head)
{
	size_t offset = (size_t)(uintptr_t)head->func;

	if (offset < 4096)
		kfree((char *)head - offset);
	else
		head->func(head);
}

static void run_callbacks(struct work_struct *work)
{
	struct rcu_head *head, *next;

	while ((head = take_callbacks())) {
		synchronize_rcu();
		for (; head; head = next) {
			next = head->next;
			invoke(head);
		}
	}
}

static DECLARE_WORK(callbacks_work, run_callbacks);

void call_rcu(struct rcu_head *head, rcu_callback_t func)
{
	head->func = func;
	head->next = NULL;
	pthread_mutex_lock(&callbacks_lock);
	*last = head;
	last = &head->next;
	pthread_mutex_unlock(&callbacks_lock);
	schedule_work(&callbacks_work);
}

void mmun_compat_kfree_rcu(struct rcu_head *head, size_t offset)
{
	call_rcu(head, (rcu_callback_t)(uintptr_t)offset);
}

void rcu_barrier(void)
{
	might_sleep();
	flush_work(&callbacks_work);
}
