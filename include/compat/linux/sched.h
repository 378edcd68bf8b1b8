/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The calling thread as a task: current, its mm, states, schedule().  mm is that of
 * the software task the thread has been given by mmun_compat_set_current(). */
#ifndef MMUN_COMPAT_LINUX_SCHED_H
#define MMUN_COMPAT_LINUX_SCHED_H

#include <asm/processor.h>
#include <linux/kernel.h>
#include <linux/refcount.h>
#include <linux/smp.h>
#include <linux/types.h>

struct mmun_soft_task;
struct mm_struct;

#define TASK_COMM_LEN 16
#define PF_EXITING    0x00000004
#define PF_KTHREAD    0x00200000

struct task_struct {
	/* NULL for a kernel thread, and after the task has left it. */
	struct mm_struct *mm, *active_mm;
	unsigned int flags;
	pid_t pid, tgid;
	char comm[TASK_COMM_LEN];
	struct task_struct *group_leader;
	/* Nobody knows: itself. */
	struct task_struct *real_parent;
	/* NULL: descriptors are outside. */
	struct files_struct *files;
	/* private: */
	unsigned int __state;
	bool signal, mm_borrowed;
	refcount_t usage;
	struct mmun_soft_task *soft;
	struct pid *pid_name;
	struct mm_struct *downgraded;
};

struct task_struct *get_current(void);
#define current get_current()

#define TASK_RUNNING         0u
#define TASK_INTERRUPTIBLE   1u
#define TASK_UNINTERRUPTIBLE 2u
#define TASK_KILLABLE        0x102u
#define TASK_IDLE            0x402u
#define TASK_NORMAL          (TASK_INTERRUPTIBLE | TASK_UNINTERRUPTIBLE)

#define set_current_state(state)   __atomic_store_n(&current->__state, (state), __ATOMIC_SEQ_CST)
#define __set_current_state(state) set_current_state(state)

#define MAX_SCHEDULE_TIMEOUT LONG_MAX
void schedule(void);
long schedule_timeout(long timeout);
long schedule_timeout_interruptible(long timeout);
long schedule_timeout_uninterruptible(long timeout);
int wake_up_process(struct task_struct *task);
void yield(void);
#define cond_resched() \
	({ \
		might_sleep(); \
		0; \
	})

bool mmun_compat_signal_pending(unsigned int state);
#define signal_pending(task)       ((task)->signal)
#define fatal_signal_pending(task) ((task)->signal)

static inline pid_t task_pid_nr(const struct task_struct *task)
{
	return task->pid;
}

static inline pid_t task_tgid_nr(const struct task_struct *task)
{
	return task->tgid;
}

#define get_task_comm(buf, task) strscpy(buf, (task)->comm, sizeof(buf))

#include <linux/string.h>

#endif
