/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One task waits, any may wake it. */
#ifndef MMUN_COMPAT_LINUX_RCUWAIT_H
#define MMUN_COMPAT_LINUX_RCUWAIT_H

#include <linux/sched/task.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

struct rcuwait {
	/* private: a reference to the waiter, under the lock. */
	spinlock_t lock;
	struct task_struct *task;
};

#define __RCUWAIT_INITIALIZER(name) \
	{ \
		.task = NULL \
	}

static inline void rcuwait_init(struct rcuwait *w)
{
	spin_lock_init(&w->lock);
	w->task = NULL;
}

static inline bool rcuwait_active(struct rcuwait *w)
{
	return READ_ONCE(w->task);
}

static inline int rcuwait_wake_up(struct rcuwait *w)
{
	int woken = 0;

	smp_mb();
	spin_lock(&w->lock);
	if (w->task)
		woken = wake_up_process(w->task);
	spin_unlock(&w->lock);
	return woken;
}

static inline void prepare_to_rcuwait(struct rcuwait *w)
{
	spin_lock(&w->lock);
	WARN_ON(w->task);
	WRITE_ONCE(w->task, get_task_struct(current));
	spin_unlock(&w->lock);
}

static inline void finish_rcuwait(struct rcuwait *w)
{
	struct task_struct *task;

	spin_lock(&w->lock);
	task = w->task;
	WRITE_ONCE(w->task, NULL);
	spin_unlock(&w->lock);
	__set_current_state(TASK_RUNNING);
	if (task)
		put_task_struct(task);
}

/* 0, or -EINTR when a signal came that @state lets in. */
#define rcuwait_wait_event(w, condition, state) \
	({ \
		int mmun_ret = 0; \
		prepare_to_rcuwait(w); \
		for (;;) { \
			set_current_state(state); \
			if (condition) \
				break; \
			if (mmun_compat_signal_pending(state)) { \
				mmun_ret = -EINTR; \
				break; \
			} \
			schedule(); \
		} \
		finish_rcuwait(w); \
		mmun_ret; \
	})

#endif
