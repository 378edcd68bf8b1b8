/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Threads as tasks: current, sleeping and waking, kernel threads, borrowed address spaces.
 *
 * I1  Each thread has one task_struct from its first use of current until it ends; who
 *     needs it longer takes a reference.
 * I2  A wake-up that comes between set_current_state() and schedule() is not lost: the
 *     state is the word that is slept on.
 * I3  ->mm is read again at each use of current: after exec it is the new one.
 *
 * Tests: tests/contract/compat/wait.c, examples/kernel_driver/mirror_test.c.
 */
#include "runtime.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <linux/futex.h>
#include <sys/syscall.h>

#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

struct task {
	struct task_struct task; /* first */
	struct list_head link;
	/* A kernel thread's. */
	int (*fn)(void *data);
	void *data;
	pthread_t thread;
	bool should_stop;
	int result;
};

static __thread struct task *self;
static pthread_mutex_t tasks_lock = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(tasks);
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool (*signal_comes)(void *arg);
static void *signal_comes_arg;

struct task_struct *get_task_struct(struct task_struct *task)
{
	refcount_inc(&task->usage);
	return task;
}

void put_task_struct(struct task_struct *task)
{
	if (refcount_dec_and_test(&task->usage))
		free(container_of(task, struct task, task));
}

static void thread_ends(void *t)
{
	struct task *task = (struct task *)t;

	pthread_mutex_lock(&tasks_lock);
	list_del(&task->link);
	pthread_mutex_unlock(&tasks_lock);
	mmun_compat_pid_ends(&task->task);
	self = NULL;
	put_task_struct(&task->task);
}

static void make_key(void)
{
	pthread_key_create(&key, thread_ends);
}

static struct task *new_task(void)
{
	static int last_pid;
	struct task *task = (struct task *)calloc(1, sizeof(*task));

	if (!task)
		return NULL;
	refcount_set(&task->task.usage, 1);
	task->task.pid = __atomic_add_fetch(&last_pid, 1, __ATOMIC_RELAXED);
	task->task.tgid = task->task.pid;
	task->task.group_leader = &task->task;
	task->task.real_parent = &task->task;
	return task;
}

/* The calling thread is @task from now on. */
static void become(struct task *task)
{
	pthread_once(&key_once, make_key);
	pthread_setspecific(key, task);
	pthread_mutex_lock(&tasks_lock);
	list_add_tail(&task->link, &tasks);
	pthread_mutex_unlock(&tasks_lock);
	self = task;
}

/* I1, I3 */
struct task_struct *get_current(void)
{
	if (!self) {
		struct task *task = new_task();

		if (!task)
			mmun_compat_broken("no memory for a task");
		become(task);
	}
	if (!self->task.mm_borrowed)
		self->task.mm = self->task.soft ? mmun_soft_task_mm(self->task.soft) : NULL;
	self->task.active_mm = self->task.mm;
	return &self->task;
}

void mmun_compat_set_current(struct mmun_soft_task *task)
{
	struct task_struct *me = get_current();

	pthread_mutex_lock(&tasks_lock);
	me->soft = task;
	pthread_mutex_unlock(&tasks_lock);
}

struct mm_struct *get_task_mm(struct task_struct *task)
{
	struct mm_struct *mm = task->mm;

	return mm && !(task->flags & PF_KTHREAD) && mmget_not_zero(mm) ? mm : NULL;
}

void kthread_use_mm(struct mm_struct *mm)
{
	struct task_struct *me = get_current();

	WARN_ON_ONCE(me->mm);
	mmgrab(mm);
	me->mm_borrowed = true;
	me->mm = mm;
}

void kthread_unuse_mm(struct mm_struct *mm)
{
	struct task_struct *me = get_current();

	WARN_ON_ONCE(me->mm != mm);
	me->mm_borrowed = false;
	me->mm = NULL;
	mmdrop(mm);
}

/* Sleeping. */

static bool interruptible(unsigned int state)
{
	return (state & TASK_INTERRUPTIBLE) || state == TASK_KILLABLE;
}

void mmun_compat_signal_waits(bool (*comes)(void *arg), void *arg)
{
	signal_comes_arg = arg;
	signal_comes = comes;
}

bool mmun_compat_signal_pending(unsigned int state)
{
	if (!interruptible(state))
		return false;
	if (signal_comes && signal_comes(signal_comes_arg))
		WRITE_ONCE(get_current()->signal, true);
	return READ_ONCE(get_current()->signal);
}

static void futex_wait(unsigned int *word, unsigned int value, u64 ns)
{
	struct timespec time;

	mmun_compat_ktime(&time, ns);
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, &time, NULL, 0);
}

long schedule_timeout(long timeout)
{
	struct task_struct *me = get_current();
	u64 begin = ktime_get_ns(), now = begin, length;
	unsigned int state;

	might_sleep();
	if (timeout > LONG_MAX / NSEC_PER_MSEC)
		length = LONG_MAX;
	else
		length = (u64)timeout * NSEC_PER_MSEC;
	while ((state = __atomic_load_n(&me->__state, __ATOMIC_SEQ_CST)) != TASK_RUNNING &&
	       now - begin < length && !mmun_compat_signal_pending(state)) {
		futex_wait(&me->__state, state, length - (now - begin));
		now = ktime_get_ns();
	}
	__set_current_state(TASK_RUNNING);
	if (timeout == MAX_SCHEDULE_TIMEOUT)
		return timeout;
	return now - begin < length ? (long)((length - (now - begin)) / NSEC_PER_MSEC) : 0;
}

void schedule(void)
{
	schedule_timeout(MAX_SCHEDULE_TIMEOUT);
}

long schedule_timeout_interruptible(long timeout)
{
	set_current_state(TASK_INTERRUPTIBLE);
	return schedule_timeout(timeout);
}

long schedule_timeout_uninterruptible(long timeout)
{
	set_current_state(TASK_UNINTERRUPTIBLE);
	return schedule_timeout(timeout);
}

void yield(void)
{
	sched_yield();
}

/* I2 */
int wake_up_process(struct task_struct *task)
{
	if (__atomic_exchange_n(&task->__state, TASK_RUNNING, __ATOMIC_SEQ_CST) == TASK_RUNNING)
		return 0;
	syscall(SYS_futex, &task->__state, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
	return 1;
}

void mmun_compat_signal(struct mmun_soft_task *soft, bool pending)
{
	struct task *task;

	pthread_mutex_lock(&tasks_lock);
	list_for_each_entry(task, &tasks, link) {
		if (task->task.soft != soft)
			continue;
		WRITE_ONCE(task->task.signal, pending);
		if (pending && interruptible(READ_ONCE(task->task.__state)))
			wake_up_process(&task->task);
	}
	pthread_mutex_unlock(&tasks_lock);
}

/* Kernel threads. */

static void *task_main(void *t)
{
	struct task *task = (struct task *)t;

	get_task_struct(&task->task);
	become(task);
	while (__atomic_load_n(&task->task.__state, __ATOMIC_SEQ_CST) != TASK_RUNNING)
		futex_wait(&task->task.__state, TASK_UNINTERRUPTIBLE, NSEC_PER_SEC);
	if (!kthread_should_stop())
		task->result = task->fn(task->data);
	return NULL;
}

struct task_struct *kthread_create(int (*fn)(void *data), void *data, const char *name, ...)
{
	struct task *task = new_task();
	va_list args;

	if (!task)
		return (struct task_struct *)ERR_PTR(-ENOMEM);
	va_start(args, name);
	vsnprintf(task->task.comm, sizeof(task->task.comm), name, args);
	va_end(args);
	task->fn = fn;
	task->data = data;
	task->result = -EINTR;
	task->task.flags = PF_KTHREAD;
	task->task.__state = TASK_UNINTERRUPTIBLE;
	if (pthread_create(&task->thread, NULL, task_main, task)) {
		put_task_struct(&task->task);
		return (struct task_struct *)ERR_PTR(-EAGAIN);
	}
	return &task->task;
}

bool kthread_should_stop(void)
{
	get_current();
	return __atomic_load_n(&self->should_stop, __ATOMIC_SEQ_CST);
}

int kthread_stop(struct task_struct *t)
{
	struct task *task = container_of(t, struct task, task);
	int result;

	might_sleep();
	__atomic_store_n(&task->should_stop, true, __ATOMIC_SEQ_CST);
	wake_up_process(t);
	pthread_join(task->thread, NULL);
	result = task->result;
	put_task_struct(t);
	return result;
}

struct async_put {
	struct work_struct work;
	struct mm_struct *mm;
};

static void async_put(struct work_struct *work)
{
	struct async_put *put = container_of(work, struct async_put, work);

	mmput(put->mm);
	free(put);
}

void mmput_async(struct mm_struct *mm)
{
	struct async_put *put = (struct async_put *)calloc(1, sizeof(*put));

	if (!put)
		mmun_compat_broken("no memory for mmput_async()");
	INIT_WORK(&put->work, async_put);
	put->mm = mm;
	schedule_work(&put->work);
}
