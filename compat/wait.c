/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Wait queues and completions.
 *
 * I1  An entry is on its queue only between prepare_to_wait() (or add_wait_queue()) and
 *     finish_wait(), which takes the queue's lock: nobody wakes a thread through an
 *     entry that has gone.
 * I2  The state is set before the condition is looked at, under the queue's lock, so a
 *     change with a wake-up is either seen or wakes.
 *
 * Tests: tests/contract/compat/wait.c.
 */
#include "runtime.h"

#include <linux/completion.h>
#include <linux/wait.h>

void init_waitqueue_head(wait_queue_head_t *wq)
{
	spin_lock_init(&wq->lock);
	INIT_LIST_HEAD(&wq->head);
}

static void wait_enqueue(wait_queue_head_t *wq, struct wait_queue_entry *entry)
{
	if (entry->flags & WQ_FLAG_EXCLUSIVE)
		list_add_tail(&entry->entry, &wq->head);
	else
		list_add(&entry->entry, &wq->head);
}

static void wait_add(wait_queue_head_t *wq, struct wait_queue_entry *entry, unsigned int flags)
{
	spin_lock(&wq->lock);
	entry->flags = flags;
	wait_enqueue(wq, entry);
	spin_unlock(&wq->lock);
}

void add_wait_queue(wait_queue_head_t *wq, struct wait_queue_entry *entry)
{
	wait_add(wq, entry, 0);
}

void add_wait_queue_exclusive(wait_queue_head_t *wq, struct wait_queue_entry *entry)
{
	wait_add(wq, entry, WQ_FLAG_EXCLUSIVE);
}

void remove_wait_queue(wait_queue_head_t *wq, struct wait_queue_entry *entry)
{
	spin_lock(&wq->lock);
	list_del(&entry->entry);
	spin_unlock(&wq->lock);
}

/* I2 */
static bool prepare(wait_queue_head_t *wq, struct wait_queue_entry *entry, unsigned int flags,
		    unsigned int state)
{
	bool first = false;

	spin_lock(&wq->lock);
	entry->flags = flags;
	if (list_empty(&entry->entry)) {
		first = list_empty(&wq->head);
		wait_enqueue(wq, entry);
	}
	set_current_state(state);
	spin_unlock(&wq->lock);
	return first;
}

void prepare_to_wait(wait_queue_head_t *wq, struct wait_queue_entry *entry, unsigned int state)
{
	prepare(wq, entry, 0, state);
}

bool prepare_to_wait_exclusive(wait_queue_head_t *wq, struct wait_queue_entry *entry,
			       unsigned int state)
{
	return prepare(wq, entry, WQ_FLAG_EXCLUSIVE, state);
}

/* I1 */
void finish_wait(wait_queue_head_t *wq, struct wait_queue_entry *entry)
{
	__set_current_state(TASK_RUNNING);
	spin_lock(&wq->lock);
	list_del_init(&entry->entry);
	spin_unlock(&wq->lock);
}

int default_wake_function(struct wait_queue_entry *entry, unsigned int mode, int flags, void *key)
{
	struct task_struct *task = (struct task_struct *)entry->private;
	unsigned int state = READ_ONCE(task->__state);

	return (state & mode) ? wake_up_process(task) : 0;
}

int autoremove_wake_function(struct wait_queue_entry *entry, unsigned int mode, int flags,
			     void *key)
{
	if (!default_wake_function(entry, mode, flags, key))
		return 0;
	list_del_init(&entry->entry);
	return 1;
}

static void wake_locked(wait_queue_head_t *wq, unsigned int mode, int exclusive)
{
	struct wait_queue_entry *entry, *next;

	list_for_each_entry_safe(entry, next, &wq->head, entry) {
		bool last = entry->flags & WQ_FLAG_EXCLUSIVE;

		if (entry->func(entry, mode, 0, NULL) && last && exclusive && !--exclusive)
			break;
	}
}

void mmun_compat_wake_up(wait_queue_head_t *wq, unsigned int mode, int exclusive)
{
	spin_lock(&wq->lock);
	wake_locked(wq, mode, exclusive);
	spin_unlock(&wq->lock);
}

bool waitqueue_active(wait_queue_head_t *wq)
{
	smp_mb();
	return !list_empty(&wq->head);
}

void init_completion(struct completion *x)
{
	x->done = 0;
	init_waitqueue_head(&x->wait);
}

void reinit_completion(struct completion *x)
{
	WRITE_ONCE(x->done, 0);
}

/* The waiter may free it as soon as the lock is free. */
void complete(struct completion *x)
{
	spin_lock(&x->wait.lock);
	if (x->done != UINT_MAX)
		WRITE_ONCE(x->done, x->done + 1);
	wake_locked(&x->wait, TASK_NORMAL, 1);
	spin_unlock(&x->wait.lock);
}

void complete_all(struct completion *x)
{
	spin_lock(&x->wait.lock);
	WRITE_ONCE(x->done, UINT_MAX);
	wake_locked(&x->wait, TASK_NORMAL, 0);
	spin_unlock(&x->wait.lock);
}

bool try_wait_for_completion(struct completion *x)
{
	bool done;

	spin_lock(&x->wait.lock);
	done = x->done;
	if (done && x->done != UINT_MAX)
		WRITE_ONCE(x->done, x->done - 1);
	spin_unlock(&x->wait.lock);
	return done;
}

bool completion_done(struct completion *x)
{
	return READ_ONCE(x->done);
}

void wait_for_completion(struct completion *x)
{
	wait_event(x->wait, try_wait_for_completion(x));
}

int wait_for_completion_interruptible(struct completion *x)
{
	return wait_event_interruptible(x->wait, try_wait_for_completion(x));
}

int wait_for_completion_killable(struct completion *x)
{
	return wait_event_killable(x->wait, try_wait_for_completion(x));
}

unsigned long wait_for_completion_timeout(struct completion *x, unsigned long timeout)
{
	return (unsigned long)wait_event_timeout(x->wait, try_wait_for_completion(x),
						 (long)timeout);
}

long wait_for_completion_interruptible_timeout(struct completion *x, unsigned long timeout)
{
	return wait_event_interruptible_timeout(x->wait, try_wait_for_completion(x), (long)timeout);
}
