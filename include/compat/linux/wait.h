/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Wait queues: wait_event() in its variants, prepare_to_wait() and finish_wait(),
 * wake_up() in its variants.  Exclusive waiters are woken one at a time. */
#ifndef MMUN_COMPAT_LINUX_WAIT_H
#define MMUN_COMPAT_LINUX_WAIT_H

#include <linux/errno.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/sched.h>
#include <linux/spinlock.h>

typedef struct wait_queue_head {
	spinlock_t lock;
	struct list_head head;
} wait_queue_head_t;

struct wait_queue_entry;
typedef int (*wait_queue_func_t)(struct wait_queue_entry *entry, unsigned int mode, int flags,
				 void *key);

#define WQ_FLAG_EXCLUSIVE 1u

typedef struct wait_queue_entry {
	unsigned int flags;
	void *private;
	wait_queue_func_t func;
	struct list_head entry;
} wait_queue_entry_t;

#define __WAIT_QUEUE_HEAD_INITIALIZER(name) \
	{ \
		.lock = __SPIN_LOCK_UNLOCKED(name.lock), .head = LIST_HEAD_INIT(name.head) \
	}
#define DECLARE_WAIT_QUEUE_HEAD(name)         wait_queue_head_t name = __WAIT_QUEUE_HEAD_INITIALIZER(name)
#define DECLARE_WAIT_QUEUE_HEAD_ONSTACK(name) DECLARE_WAIT_QUEUE_HEAD(name)

int default_wake_function(struct wait_queue_entry *entry, unsigned int mode, int flags, void *key);
int autoremove_wake_function(struct wait_queue_entry *entry, unsigned int mode, int flags,
			     void *key);

#define DECLARE_WAITQUEUE(name, task) \
	struct wait_queue_entry name = { .private = (task), .func = default_wake_function }
#define DEFINE_WAIT_FUNC(name, function) \
	struct wait_queue_entry name = { .private = current, \
					 .func = (function), \
					 .entry = LIST_HEAD_INIT(name.entry) }
#define DEFINE_WAIT(name) DEFINE_WAIT_FUNC(name, autoremove_wake_function)

void init_waitqueue_head(wait_queue_head_t *wq);
void add_wait_queue(wait_queue_head_t *wq, struct wait_queue_entry *entry);
void add_wait_queue_exclusive(wait_queue_head_t *wq, struct wait_queue_entry *entry);
void remove_wait_queue(wait_queue_head_t *wq, struct wait_queue_entry *entry);
void prepare_to_wait(wait_queue_head_t *wq, struct wait_queue_entry *entry, unsigned int state);
/* true when it is the first to wait. */
bool prepare_to_wait_exclusive(wait_queue_head_t *wq, struct wait_queue_entry *entry,
			       unsigned int state);
void finish_wait(wait_queue_head_t *wq, struct wait_queue_entry *entry);
void mmun_compat_wake_up(wait_queue_head_t *wq, unsigned int mode, int exclusive);
bool waitqueue_active(wait_queue_head_t *wq);
#define wq_has_sleeper(wq) waitqueue_active(wq)

#define wake_up(wq)                   mmun_compat_wake_up(wq, TASK_NORMAL, 1)
#define wake_up_nr(wq, nr)            mmun_compat_wake_up(wq, TASK_NORMAL, nr)
#define wake_up_all(wq)               mmun_compat_wake_up(wq, TASK_NORMAL, 0)
#define wake_up_interruptible(wq)     mmun_compat_wake_up(wq, TASK_INTERRUPTIBLE, 1)
#define wake_up_interruptible_all(wq) mmun_compat_wake_up(wq, TASK_INTERRUPTIBLE, 0)

/* The ticks that are left (1 at least when @condition holds), 0 when time ran out, or
 * -ERESTARTSYS.  @exclusive and @state are constants. */
#define MMUN_COMPAT_WAIT(wq, condition, state, exclusive, timeout) \
	({ \
		long mmun_left = (timeout); \
		DEFINE_WAIT(mmun_wait); \
		might_sleep(); \
		for (;;) { \
			if (exclusive) \
				prepare_to_wait_exclusive(&(wq), &mmun_wait, (state)); \
			else \
				prepare_to_wait(&(wq), &mmun_wait, (state)); \
			if (condition) { \
				mmun_left = mmun_left ? mmun_left : 1; \
				break; \
			} \
			if (!mmun_left) \
				break; \
			if (mmun_compat_signal_pending(state)) { \
				mmun_left = -ERESTARTSYS; \
				break; \
			} \
			mmun_left = schedule_timeout(mmun_left); \
		} \
		finish_wait(&(wq), &mmun_wait); \
		mmun_left; \
	})
#define wait_event(wq, condition) \
	((void)MMUN_COMPAT_WAIT(wq, condition, TASK_UNINTERRUPTIBLE, 0, MAX_SCHEDULE_TIMEOUT))
#define wait_event_interruptible(wq, condition) \
	(MMUN_COMPAT_WAIT(wq, condition, TASK_INTERRUPTIBLE, 0, MAX_SCHEDULE_TIMEOUT) < 0 \
		 ? -ERESTARTSYS \
		 : 0)
#define wait_event_interruptible_exclusive(wq, condition) \
	(MMUN_COMPAT_WAIT(wq, condition, TASK_INTERRUPTIBLE, 1, MAX_SCHEDULE_TIMEOUT) < 0 \
		 ? -ERESTARTSYS \
		 : 0)
#define wait_event_killable(wq, condition) \
	(MMUN_COMPAT_WAIT(wq, condition, TASK_KILLABLE, 0, MAX_SCHEDULE_TIMEOUT) < 0 \
		 ? -ERESTARTSYS \
		 : 0)
#define wait_event_timeout(wq, condition, timeout) \
	MMUN_COMPAT_WAIT(wq, condition, TASK_UNINTERRUPTIBLE, 0, timeout)
#define wait_event_interruptible_timeout(wq, condition, timeout) \
	MMUN_COMPAT_WAIT(wq, condition, TASK_INTERRUPTIBLE, 0, timeout)
#define wait_event_killable_timeout(wq, condition, timeout) \
	MMUN_COMPAT_WAIT(wq, condition, TASK_KILLABLE, 0, timeout)

#endif
