/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Names of tasks that outlive them.  A task is a thread that used current. */
#ifndef MMUN_COMPAT_LINUX_PID_H
#define MMUN_COMPAT_LINUX_PID_H

#include <linux/sched.h>

struct pid;

enum pid_type {
	PIDTYPE_PID,
	PIDTYPE_TGID,
	PIDTYPE_PGID,
	PIDTYPE_SID,
};

/* A reference each, or NULL: the task has ended. */
struct pid *get_task_pid(struct task_struct *task, enum pid_type type);
struct task_struct *get_pid_task(struct pid *pid, enum pid_type type);
struct pid *get_pid(struct pid *pid);
void put_pid(struct pid *pid);
/* No reference.  For comparisons: the task may end at any time. */
struct pid *task_pid(struct task_struct *task);
#define task_tgid(task) task_pid(task)
pid_t pid_nr(struct pid *pid);
#define pid_vnr(pid) pid_nr(pid)

#endif
