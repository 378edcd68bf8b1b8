/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Work queues with threads of their own: an item never runs twice at once, and items of
 * one queue run at the same time unless the queue is ordered. */
#ifndef MMUN_COMPAT_LINUX_WORKQUEUE_H
#define MMUN_COMPAT_LINUX_WORKQUEUE_H

#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/types.h>

struct workqueue_struct;
struct work_struct;
typedef void (*work_func_t)(struct work_struct *work);

struct work_struct {
	work_func_t func;
	/* private: under the lock of the queues. */
	struct list_head entry;
	struct workqueue_struct *wq;
	bool pending;
	unsigned int disabled;
	unsigned long due;
};

struct delayed_work {
	struct work_struct work;
};

#define __WORK_INITIALIZER(n, f) \
	{ \
		.func = (f), .entry = LIST_HEAD_INIT((n).entry) \
	}
#define DECLARE_WORK(n, f) struct work_struct n = __WORK_INITIALIZER(n, f)
#define DECLARE_DELAYED_WORK(n, f) \
	struct delayed_work n = { .work = __WORK_INITIALIZER((n).work, f) }
#define INIT_WORK(w, f) \
	do { \
		(w)->func = (f); \
		INIT_LIST_HEAD(&(w)->entry); \
		(w)->wq = NULL; \
		(w)->pending = false; \
		(w)->disabled = 0; \
		(w)->due = 0; \
	} while (0)
#define INIT_WORK_ONSTACK(w, f)  INIT_WORK(w, f)
#define destroy_work_on_stack(w) ((void)(w))
#define INIT_DELAYED_WORK(w, f)  INIT_WORK(&(w)->work, f)
#define to_delayed_work(w)       container_of(w, struct delayed_work, work)
#define work_pending(w)          READ_ONCE((w)->pending)
#define delayed_work_pending(w)  work_pending(&(w)->work)

#define WQ_UNBOUND             0x2u
#define WQ_FREEZABLE           0x4u
#define WQ_MEM_RECLAIM         0x8u
#define WQ_HIGHPRI             0x10u
#define WQ_CPU_INTENSIVE       0x20u
#define WQ_SYSFS               0x40u
#define WQ_PERCPU              0x100u
#define MMUN_COMPAT_WQ_ORDERED 0x10000u

struct workqueue_struct *alloc_workqueue(const char *name, unsigned int flags, int max_active, ...)
	__printf(1, 4);
#define alloc_ordered_workqueue(name, flags, args...) \
	alloc_workqueue(name, (flags) | MMUN_COMPAT_WQ_ORDERED, 1, ##args)
#define create_singlethread_workqueue(name) alloc_ordered_workqueue("%s", 0, name)
#define create_workqueue(name)              alloc_workqueue("%s", 0, 0, name)
void destroy_workqueue(struct workqueue_struct *wq);
void flush_workqueue(struct workqueue_struct *wq);
#define drain_workqueue(wq) flush_workqueue(wq)

struct workqueue_struct *mmun_compat_system_wq(void);
#define system_wq         mmun_compat_system_wq()
#define system_percpu_wq  mmun_compat_system_wq()
#define system_dfl_wq     mmun_compat_system_wq()
#define system_long_wq    mmun_compat_system_wq()
#define system_unbound_wq mmun_compat_system_wq()
#define system_highpri_wq mmun_compat_system_wq()

bool queue_work(struct workqueue_struct *wq, struct work_struct *work);
bool flush_work(struct work_struct *work);
bool cancel_work(struct work_struct *work);
bool cancel_work_sync(struct work_struct *work);
/* Cancelled, and not queued any more until as many enable_work(), whose last one returns true. */
bool disable_work(struct work_struct *work);
bool disable_work_sync(struct work_struct *work);
bool enable_work(struct work_struct *work);
bool queue_delayed_work(struct workqueue_struct *wq, struct delayed_work *work,
			unsigned long delay);
bool mod_delayed_work(struct workqueue_struct *wq, struct delayed_work *work, unsigned long delay);
bool flush_delayed_work(struct delayed_work *work);

#define schedule_work(work)                queue_work(system_wq, work)
#define queue_work_on(cpu, wq, work)       ((void)(cpu), queue_work(wq, work))
#define schedule_delayed_work(work, delay) queue_delayed_work(system_wq, work, delay)
#define cancel_delayed_work(w)             cancel_work(&(w)->work)
#define cancel_delayed_work_sync(w)        cancel_work_sync(&(w)->work)
#define flush_scheduled_work()             flush_workqueue(system_wq)

#endif
