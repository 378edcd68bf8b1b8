/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Work queues: a few threads that take items from a list.
 *
 * I1  One lock for all queues; nothing runs under it.
 * I2  An item that runs is known by its worker, not by itself: its function may free
 *     it, and it may be queued again while it runs.
 * I3  A worker does not take an item that another worker of the queue still runs.
 *
 * Tests: tests/contract/compat/wait.c.
 */
#include "runtime.h"

#include <stdio.h>

#include <linux/bug.h>
#include <linux/ktime.h>
#include <linux/workqueue.h>

#define MAX_WORKERS 4

struct worker {
	struct workqueue_struct *wq;
	struct work_struct *running;
	pthread_t thread;
};

struct workqueue_struct {
	struct list_head items;
	pthread_cond_t changed;
	bool stopping;
	int nr_workers;
	struct worker workers[MAX_WORKERS];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct workqueue_struct *system_queue;

static bool runs(const struct workqueue_struct *wq, const struct work_struct *work)
{
	for (int i = 0; i < wq->nr_workers; i++) {
		if (wq->workers[i].running == work)
			return true;
	}
	return false;
}

/* I3.  The first item that is due; *@next: when to look again. */
static struct work_struct *pick(struct workqueue_struct *wq, u64 *next)
{
	u64 now = ktime_get_ns();
	struct work_struct *work;

	*next = 0;
	list_for_each_entry(work, &wq->items, entry) {
		if (work->due > now) {
			if (!*next || work->due < *next)
				*next = work->due;
		} else if (!runs(wq, work)) {
			return work;
		}
	}
	return NULL;
}

static void wait_for_change(struct workqueue_struct *wq, u64 until)
{
	struct timespec time;

	if (!until) {
		pthread_cond_wait(&wq->changed, &lock);
		return;
	}
	mmun_compat_ktime(&time, until);
	pthread_cond_timedwait(&wq->changed, &lock, &time);
}

/* I2 */
static void run_one(struct worker *worker, struct work_struct *work)
{
	list_del_init(&work->entry);
	WRITE_ONCE(work->pending, false);
	worker->running = work;
	pthread_mutex_unlock(&lock);
	work->func(work);
	if (mmun_compat_in_atomic())
		mmun_compat_broken("a work item returns with a spin lock held");
	pthread_mutex_lock(&lock);
	worker->running = NULL;
	pthread_cond_broadcast(&worker->wq->changed);
}

static void *worker_main(void *w)
{
	struct worker *worker = (struct worker *)w;
	u64 next;

	current->flags |= PF_KTHREAD;
	pthread_mutex_lock(&lock);
	while (!worker->wq->stopping) {
		struct work_struct *work = pick(worker->wq, &next);

		if (work)
			run_one(worker, work);
		else
			wait_for_change(worker->wq, next);
	}
	pthread_mutex_unlock(&lock);
	return NULL;
}

static void stop(struct workqueue_struct *wq)
{
	pthread_mutex_lock(&lock);
	wq->stopping = true;
	pthread_cond_broadcast(&wq->changed);
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < wq->nr_workers; i++)
		pthread_join(wq->workers[i].thread, NULL);
	pthread_cond_destroy(&wq->changed);
	free(wq);
}

static void init_changed(struct workqueue_struct *wq)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&wq->changed, &attr);
	pthread_condattr_destroy(&attr);
}

struct workqueue_struct *alloc_workqueue(const char *name, unsigned int flags, int max_active, ...)
{
	struct workqueue_struct *wq = (struct workqueue_struct *)calloc(1, sizeof(*wq));
	int count = (flags & MMUN_COMPAT_WQ_ORDERED) || max_active == 1 ? 1 : MAX_WORKERS;

	if (!wq)
		return NULL;
	INIT_LIST_HEAD(&wq->items);
	init_changed(wq);
	pthread_mutex_lock(&lock);
	for (; wq->nr_workers < count; wq->nr_workers++) {
		struct worker *worker = &wq->workers[wq->nr_workers];

		worker->wq = wq;
		if (pthread_create(&worker->thread, NULL, worker_main, worker))
			break;
	}
	count = wq->nr_workers;
	pthread_mutex_unlock(&lock);
	if (count)
		return wq;
	stop(wq);
	return NULL;
}

struct workqueue_struct *mmun_compat_system_wq(void)
{
	static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
	struct workqueue_struct *wq;

	pthread_mutex_lock(&once);
	if (!system_queue)
		system_queue = alloc_workqueue("events", 0, 0);
	wq = system_queue;
	pthread_mutex_unlock(&once);
	if (!wq)
		mmun_compat_broken("no thread for the system's work queue");
	return wq;
}

void mmun_compat_stop_work(void)
{
	if (system_queue)
		destroy_workqueue(system_queue);
	system_queue = NULL;
}

static void work_enqueue(struct workqueue_struct *wq, struct work_struct *work, unsigned long delay)
{
	if (wq->stopping)
		mmun_compat_broken("work is queued on a queue that is being destroyed");
	WRITE_ONCE(work->pending, true);
	work->wq = wq;
	work->due = delay ? (unsigned long)ktime_get_ns() + delay * NSEC_PER_MSEC : 0;
	list_add_tail(&work->entry, &wq->items);
	pthread_cond_broadcast(&wq->changed);
}

static bool queue(struct workqueue_struct *wq, struct work_struct *work, unsigned long delay)
{
	bool queued;

	pthread_mutex_lock(&lock);
	queued = !work->pending && !work->disabled;
	if (queued)
		work_enqueue(wq, work, delay);
	pthread_mutex_unlock(&lock);
	return queued;
}

bool queue_work(struct workqueue_struct *wq, struct work_struct *work)
{
	return queue(wq, work, 0);
}

bool queue_delayed_work(struct workqueue_struct *wq, struct delayed_work *work, unsigned long delay)
{
	return queue(wq, &work->work, delay);
}

static bool dequeue(struct work_struct *work)
{
	if (!work->pending)
		return false;
	list_del_init(&work->entry);
	WRITE_ONCE(work->pending, false);
	pthread_cond_broadcast(&work->wq->changed);
	return true;
}

bool mod_delayed_work(struct workqueue_struct *wq, struct delayed_work *work, unsigned long delay)
{
	bool pending;

	pthread_mutex_lock(&lock);
	pending = dequeue(&work->work);
	if (!work->work.disabled)
		work_enqueue(wq, &work->work, delay);
	pthread_mutex_unlock(&lock);
	return pending;
}

bool cancel_work(struct work_struct *work)
{
	bool pending;

	pthread_mutex_lock(&lock);
	pending = dequeue(work);
	pthread_mutex_unlock(&lock);
	return pending;
}

/* Waits while the item runs or, with @pending, is due. */
static bool wait_for(struct work_struct *work, bool pending)
{
	struct workqueue_struct *wq = work->wq;
	bool waited = false;

	while (wq && (runs(wq, work) || (pending && work->pending && !work->due))) {
		waited = true;
		pthread_cond_wait(&wq->changed, &lock);
	}
	return waited;
}

bool cancel_work_sync(struct work_struct *work)
{
	bool pending;

	might_sleep();
	pthread_mutex_lock(&lock);
	pending = dequeue(work);
	wait_for(work, false);
	/* It may have queued itself again. */
	dequeue(work);
	pthread_mutex_unlock(&lock);
	return pending;
}

bool disable_work(struct work_struct *work)
{
	bool pending;

	pthread_mutex_lock(&lock);
	work->disabled++;
	pending = dequeue(work);
	pthread_mutex_unlock(&lock);
	return pending;
}

bool disable_work_sync(struct work_struct *work)
{
	bool pending;

	might_sleep();
	pthread_mutex_lock(&lock);
	work->disabled++;
	pending = dequeue(work);
	wait_for(work, false);
	pthread_mutex_unlock(&lock);
	return pending;
}

bool enable_work(struct work_struct *work)
{
	bool enabled;

	pthread_mutex_lock(&lock);
	enabled = work->disabled && !--work->disabled;
	pthread_mutex_unlock(&lock);
	return enabled;
}

bool flush_work(struct work_struct *work)
{
	bool waited;

	might_sleep();
	pthread_mutex_lock(&lock);
	waited = wait_for(work, true);
	pthread_mutex_unlock(&lock);
	return waited;
}

bool flush_delayed_work(struct delayed_work *work)
{
	pthread_mutex_lock(&lock);
	if (work->work.pending) {
		work->work.due = 0;
		pthread_cond_broadcast(&work->work.wq->changed);
	}
	pthread_mutex_unlock(&lock);
	return flush_work(&work->work);
}

static bool busy(const struct workqueue_struct *wq)
{
	struct work_struct *work;

	for (int i = 0; i < wq->nr_workers; i++) {
		if (wq->workers[i].running)
			return true;
	}
	list_for_each_entry(work, &wq->items, entry) {
		if (!work->due)
			return true;
	}
	return false;
}

/* Items that queue others are waited for until they stop doing so. */
void flush_workqueue(struct workqueue_struct *wq)
{
	might_sleep();
	pthread_mutex_lock(&lock);
	while (busy(wq))
		pthread_cond_wait(&wq->changed, &lock);
	pthread_mutex_unlock(&lock);
}

void destroy_workqueue(struct workqueue_struct *wq)
{
	flush_workqueue(wq);
	WARN(!list_empty(&wq->items), "a work queue is destroyed with delayed work pending\n");
	stop(wq);
}
