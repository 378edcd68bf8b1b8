/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Waiting and running in kernel code: wait queues, completions, kernel threads, work
 * queues, RCU callbacks, signals. */
#include "part.h"

#include <pthread.h>

#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/rculist.h>
#include <linux/rcuwait.h>
#include <linux/sched/mm.h>
#include <linux/semaphore.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <mmunotify/compat.h>

static DECLARE_WAIT_QUEUE_HEAD(queue);
static int turn;

static int taker(void *arg)
{
	long me = (long)arg;

	for (int i = 0; i < 200; i++) {
		wait_event(queue, READ_ONCE(turn) % 3 == me);
		WRITE_ONCE(turn, READ_ONCE(turn) + 1);
		wake_up_all(&queue);
	}
	return (int)me;
}

static void test_turns(void)
{
	struct task_struct *threads[3];
	int sum = 0;

	for (long i = 0; i < 3; i++)
		threads[i] = kthread_run(taker, (void *)i, "taker/%ld", i);
	wait_event(queue, READ_ONCE(turn) == 600);
	for (int i = 0; i < 3; i++)
		sum += kthread_stop(threads[i]);
	is(READ_ONCE(turn), 600, "three threads take turns, no wake-up is lost");
	is(sum, 3, "kthread_stop() returns what the thread returned");
}

static DECLARE_WAIT_QUEUE_HEAD(crowd);
static atomic_t tokens = ATOMIC_INIT(0), got = ATOMIC_INIT(0);

static int exclusive(void *arg)
{
	int ret = wait_event_interruptible_exclusive(crowd, atomic_add_unless(&tokens, -1, 0));

	atomic_inc_return(&got);
	return ret;
}

static void test_exclusive(void)
{
	struct task_struct *threads[4];

	for (int i = 0; i < 4; i++)
		threads[i] = kthread_run(exclusive, NULL, "crowd");
	for (int i = 1; i <= 4; i++) {
		atomic_inc_return(&tokens);
		wake_up(&crowd);
		while (atomic_read(&got) < i)
			msleep(1);
	}
	for (int i = 0; i < 4; i++)
		kthread_stop(threads[i]);
	is(atomic_read(&got), 4, "each wake_up() lets one exclusive waiter go");
}

static void test_timeouts(void)
{
	unsigned long before = jiffies;

	is(wait_event_timeout(queue, false, 20), 0, "a wait for nothing times out");
	ok(time_after_eq(jiffies, before + 20), "not before its time");
	ok(wait_event_timeout(queue, true, 20) > 0, "a true condition leaves time");
	ok(schedule_timeout_uninterruptible(2) == 0, "schedule_timeout() too");
}

static DECLARE_COMPLETION(done);

static int completer(void *arg)
{
	DECLARE_COMPLETION_ONSTACK(local);

	complete(&local);
	wait_for_completion(&local);
	complete((struct completion *)arg);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1000);
	return 0;
}

static void test_completion(void)
{
	struct task_struct *thread = kthread_run(completer, &done, "completer");

	wait_for_completion(&done);
	ok(!completion_done(&done), "a completion is used up by its waiter");
	complete_all(&done);
	wait_for_completion(&done);
	ok(try_wait_for_completion(&done), "complete_all() lasts");
	reinit_completion(&done);
	is(wait_for_completion_timeout(&done, 2), 0, "until it is initialised again");
	is(kthread_stop(thread), 0, "kthread_stop() wakes a thread that sleeps");
}

static struct mmun_soft_task *task;
static int interrupted;

static void *interruptible(void *arg)
{
	mmun_compat_set_current(task);
	complete(&done);
	interrupted = wait_event_interruptible(queue, false);
	mmun_compat_set_current(NULL);
	return NULL;
}

static void test_signal(void)
{
	struct mmun_soft *soft;
	pthread_t thread;

	if (mmun_soft_create(NULL, &soft) || mmun_soft_task_create(soft, &task))
		bail_out("no machine");
	pthread_create(&thread, NULL, interruptible, NULL);
	wait_for_completion(&done);
	mmun_compat_signal(task, true);
	pthread_join(thread, NULL);
	is(interrupted, -ERESTARTSYS, "a signal ends an interruptible wait");
	mmun_compat_set_current(task);
	ok(current->mm == mmun_soft_task_mm(task), "current->mm is the task's");
	mmput_async(get_task_mm(current));
	flush_scheduled_work();
	mmun_soft_exec(task);
	ok(current->mm == mmun_soft_task_mm(task), "after exec too");
	mmun_compat_set_current(NULL);
	ok(!current->mm && !get_task_mm(current), "a kernel thread has none");
	mmun_soft_exit(task);
	is(mmun_soft_destroy(soft), 0, "no user of the memory is left");
}

static atomic_t runs = ATOMIC_INIT(0), inside = ATOMIC_INIT(0), together = ATOMIC_INIT(0);

static void count(struct work_struct *work)
{
	if (atomic_inc_return(&inside) > 1)
		atomic_inc(&together);
	msleep(1);
	atomic_dec_return(&inside);
	atomic_inc_return(&runs);
}

static void free_itself(struct work_struct *work)
{
	kfree(work);
	atomic_inc_return(&runs);
}

static void test_work(void)
{
	struct workqueue_struct *ordered = alloc_ordered_workqueue("test", 0);
	struct work_struct items[4], *own = kzalloc(sizeof(*own), GFP_KERNEL);
	struct delayed_work later;

	for (int i = 0; i < 4; i++) {
		INIT_WORK(&items[i], count);
		ok(queue_work(ordered, &items[i]), "work is queued");
	}
	ok(!queue_work(ordered, &items[3]), "once");
	flush_workqueue(ordered);
	is(atomic_read(&runs), 4, "all of it has run");
	is(atomic_read(&together), 0, "one after the other");
	INIT_WORK(own, free_itself);
	queue_work(ordered, own);
	INIT_DELAYED_WORK(&later, count);
	queue_delayed_work(ordered, &later, 5);
	ok(cancel_delayed_work_sync(&later), "delayed work can be cancelled");
	ok(!cancel_delayed_work_sync(&later), "once");
	mod_delayed_work(ordered, &later, 100000);
	flush_delayed_work(&later);
	is(atomic_read(&runs), 6, "and flushed before its time");
	queue_delayed_work(ordered, &later, 1);
	while (atomic_read(&runs) < 7)
		msleep(1);
	ok(true, "or runs in its time");
	flush_work(&later.work);
	queue_work(ordered, &items[0]);
	flush_workqueue(ordered);
	disable_work(&items[0]);
	ok(!disable_work_sync(&items[0]), "disabled twice, it was not pending");
	ok(!queue_work(ordered, &items[0]), "and is not queued");
	ok(!enable_work(&items[0]) && !queue_work(ordered, &items[0]), "nor after one enable");
	ok(enable_work(&items[0]) && queue_work(ordered, &items[0]), "but after the other");
	destroy_workqueue(ordered);
}

struct object {
	int value;
	struct rcu_head rcu;
	struct list_head link;
};

static LIST_HEAD(objects);
static bool stop;
static long bad;

static int reader(void *arg)
{
	while (!READ_ONCE(stop)) {
		struct object *object;

		rcu_read_lock();
		list_for_each_entry_rcu(object, &objects, link) {
			if (READ_ONCE(object->value) != 1)
				__atomic_add_fetch(&bad, 1, __ATOMIC_RELAXED);
		}
		rcu_read_unlock();
	}
	return 0;
}

static void poison(struct rcu_head *head)
{
	struct object *object = container_of(head, struct object, rcu);

	WRITE_ONCE(object->value, 0);
	kfree(object);
}

static void test_rcu(void)
{
	struct task_struct *thread = kthread_run(reader, NULL, "reader");
	struct srcu_struct srcu;
	int idx;

	for (int i = 0; i < 300; i++) {
		struct object *object = kzalloc(sizeof(*object), GFP_KERNEL);

		object->value = 1;
		list_add_rcu(&object->link, &objects);
		if (i % 16 == 0)
			synchronize_rcu();
		list_del_rcu(&object->link);
		if (i % 2)
			call_rcu(&object->rcu, poison);
		else
			kfree_rcu(object, rcu);
	}
	rcu_barrier();
	WRITE_ONCE(stop, true);
	kthread_stop(thread);
	is(bad, 0, "no RCU reader meets a freed object");
	init_srcu_struct(&srcu);
	idx = srcu_read_lock(&srcu);
	msleep(0);
	srcu_read_unlock(&srcu, idx);
	synchronize_srcu(&srcu);
	cleanup_srcu_struct(&srcu);
	ok(true, "SRCU sections may sleep");
}

static struct rcuwait one_waiter = __RCUWAIT_INITIALIZER(one_waiter);
static int ticks;

static int ticker(void *arg)
{
	while (!kthread_should_stop()) {
		WRITE_ONCE(ticks, READ_ONCE(ticks) + 1);
		rcuwait_wake_up(&one_waiter);
		msleep(1);
	}
	return 0;
}

static void test_rcuwait(void)
{
	struct task_struct *thread = kthread_run(ticker, NULL, "ticker");
	int wrong = 0;

	for (int i = 1; i <= 20; i++) {
		wrong += rcuwait_wait_event(&one_waiter, READ_ONCE(ticks) >= i, TASK_INTERRUPTIBLE);
		wrong += READ_ONCE(ticks) < i;
	}
	kthread_stop(thread);
	is(wrong, 0, "one task waits for another");
	ok(!rcuwait_active(&one_waiter) && !rcuwait_wake_up(&one_waiter), "then nobody waits");
}

static void test_semaphore(void)
{
	struct semaphore sem;

	sema_init(&sem, 1);
	down(&sem);
	is(down_trylock(&sem), 1, "a semaphore that is taken");
	up(&sem);
	is(down_interruptible(&sem), 0, "and one that is free");
}

int main(void)
{
	test_turns();
	test_exclusive();
	test_timeouts();
	test_completion();
	test_signal();
	test_work();
	test_rcu();
	test_semaphore();
	test_rcuwait();
	mmun_compat_stop();
	is(mmun_compat_allocated(), 0, "nothing is left");
	is(mmun_compat_warnings(), 0, "no warning");
	return tap_done();
}
