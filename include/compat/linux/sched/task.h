/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* References to tasks. */
#ifndef MMUN_COMPAT_LINUX_SCHED_TASK_H
#define MMUN_COMPAT_LINUX_SCHED_TASK_H

#include <linux/sched.h>

struct task_struct *get_task_struct(struct task_struct *task);
void put_task_struct(struct task_struct *task);

#endif
