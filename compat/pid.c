/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Names of tasks.
 *
 * I1  A name keeps no task: once its thread has ended, it names nothing.
 *
 * Tests: tests/contract/compat/pages.c.
 */
#include "runtime.h"

#include <linux/pid.h>
#include <linux/sched/task.h>

struct pid {
	refcount_t usage;
	pid_t nr;
	struct task_struct *task;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The task's own reference lasts until it ends. */
static struct pid *name_of(struct task_struct *task)
{
	struct pid *pid = task->pid_name;

	if (pid)
		return pid;
	pid = (struct pid *)calloc(1, sizeof(*pid));
	if (!pid)
		mmun_compat_broken("no memory for the name of a task");
	refcount_set(&pid->usage, 1);
	pid->nr = task->pid;
	pid->task = task;
	task->pid_name = pid;
	return pid;
}

struct pid *task_pid(struct task_struct *task)
{
	struct pid *pid;

	pthread_mutex_lock(&lock);
	pid = name_of(task);
	pthread_mutex_unlock(&lock);
	return pid;
}

struct pid *get_task_pid(struct task_struct *task, enum pid_type type)
{
	struct pid *pid;

	pthread_mutex_lock(&lock);
	pid = get_pid(name_of(task));
	pthread_mutex_unlock(&lock);
	return pid;
}

struct pid *get_pid(struct pid *pid)
{
	if (pid)
		refcount_inc(&pid->usage);
	return pid;
}

void put_pid(struct pid *pid)
{
	if (pid && refcount_dec_and_test(&pid->usage))
		free(pid);
}

/* I1 */
void mmun_compat_pid_ends(struct task_struct *task)
{
	struct pid *pid;

	pthread_mutex_lock(&lock);
	pid = task->pid_name;
	task->pid_name = NULL;
	if (pid)
		pid->task = NULL;
	pthread_mutex_unlock(&lock);
	put_pid(pid);
}

struct task_struct *get_pid_task(struct pid *pid, enum pid_type type)
{
	struct task_struct *task = NULL;

	if (!pid)
		return NULL;
	pthread_mutex_lock(&lock);
	if (pid->task)
		task = get_task_struct(pid->task);
	pthread_mutex_unlock(&lock);
	return task;
}

pid_t pid_nr(struct pid *pid)
{
	return pid ? pid->nr : 0;
}
