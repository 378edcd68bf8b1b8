/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Kernel threads: run, stop, and borrowing a user's mm. */
#ifndef MMUN_COMPAT_LINUX_KTHREAD_H
#define MMUN_COMPAT_LINUX_KTHREAD_H

#include <linux/err.h>
#include <linux/mm_types.h>
#include <linux/sched.h>

struct task_struct *kthread_create(int (*fn)(void *data), void *data, const char *name, ...)
	__printf(3, 4);
int kthread_stop(struct task_struct *task);
bool kthread_should_stop(void);
void kthread_use_mm(struct mm_struct *mm);
void kthread_unuse_mm(struct mm_struct *mm);

#define kthread_run(fn, data, name, ...) \
	({ \
		struct task_struct *mmun_thread = kthread_create(fn, data, name, ##__VA_ARGS__); \
		if (!IS_ERR(mmun_thread)) \
			wake_up_process(mmun_thread); \
		mmun_thread; \
	})

#endif
