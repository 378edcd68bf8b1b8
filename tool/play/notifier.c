/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Notifiers and interval notifiers of a `mmunotify soft` run: subscriptions that do
 * nothing but print.
 *
 * I1  A subscription that has ended keeps its object: its counters may be asked.
 *
 * Tests: tests/system/soft_tool.py.
 */
#include <errno.h>
#include <stdlib.h>

#include "list.h"
#include "world.h"

static struct soft_subscriber *subscriber_of(struct mmu_notifier *mn)
{
	return mmun_container_of(mn, struct soft_subscriber, mn);
}

static void heard_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	soft_heard_release(&subscriber_of(mn)->listener);
}

static int clear_flush_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start,
			     unsigned long end)
{
	return soft_heard_young(&subscriber_of(mn)->listener, "clear_flush_young", start, end, 0);
}

static int clear_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start,
		       unsigned long end)
{
	return soft_heard_young(&subscriber_of(mn)->listener, "clear_young", start, end, 0);
}

static int test_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long address)
{
	return soft_heard_young(&subscriber_of(mn)->listener, "test_young", address, address + 1,
				0);
}

static void change_pte(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long address,
		       unsigned long pte)
{
	soft_heard_change(&subscriber_of(mn)->listener, address);
}

static int range_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	return soft_heard_start(&subscriber_of(mn)->listener, range);
}

static void range_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	soft_heard_end(&subscriber_of(mn)->listener, range);
}

static const struct mmu_notifier_ops notifier_ops = {
	.release = heard_release,
	.clear_flush_young = clear_flush_young,
	.clear_young = clear_young,
	.test_young = test_young,
	.change_pte = change_pte,
	.invalidate_range_start = range_start,
	.invalidate_range_end = range_end,
};

static int do_register(struct mmu_notifier *mn, struct mm_struct *mm, enum soft_registering how)
{
	bool locked = how == SOFT_LOCKED || how == SOFT_MISLOCKED;
	int ret;

	if (locked)
		mmap_write_lock(mm);
	if (how == SOFT_LOCKED || how == SOFT_UNLOCKED)
		ret = __mmu_notifier_register(mn, mm);
	else
		ret = mmu_notifier_register(mn, mm);
	if (locked)
		mmap_write_unlock(mm);
	return ret;
}

/* The user that the contract asks for is the task's, unless that has gone: then the
 * library says so. */
int soft_subscribe(struct soft_call *call, struct soft_subscriber *subscriber,
		   struct soft_task *task, const char *name, enum soft_registering how)
{
	struct mm_struct *mm = soft_task_mm(task);
	bool user = mmget_not_zero(mm);
	int ret;

	subscriber->mn.ops = &subscriber->ops;
	subscriber->mm = mm;
	subscriber->listener.world = call->world;
	subscriber->listener.name = name;
	subscriber->listener.task = task->name;
	mmgrab(mm);
	ret = do_register(&subscriber->mn, mm, how);
	if (user)
		mmput(mm);
	if (ret)
		mmdrop(mm);
	else
		subscriber->registered = true;
	return soft_outcome(ret);
}

void soft_subscriber_end(struct soft_subscriber *subscriber)
{
	if (subscriber->registered)
		mmu_notifier_unregister(&subscriber->mn, subscriber->mm);
	mmdrop(subscriber->mm);
}

static enum soft_registering registering(const struct soft_call *call)
{
	if (call->keyword[SOFT_NOTIFIER_LOCKED].given)
		return SOFT_LOCKED;
	if (call->keyword[SOFT_NOTIFIER_MISLOCKED].given)
		return SOFT_MISLOCKED;
	return call->keyword[SOFT_NOTIFIER_UNLOCKED].given ? SOFT_UNLOCKED : SOFT_LOCKING;
}

int soft_run_notifier(struct soft_call *call)
{
	struct soft_symbol *symbol = call->arg[0].symbol;
	struct soft_task *task = soft_object(call, &call->arg[1]);
	struct soft_subscriber *subscriber;
	int ret;

	if (!task)
		return SOFT_OUTCOME_FAILED;
	subscriber = soft_object_new(call, sizeof(*subscriber));
	if (!subscriber)
		return SOFT_OUTCOME_FAILED;
	subscriber->ops = notifier_ops;
	if (call->keyword[SOFT_NOTIFIER_WITHOUT].given)
		subscriber->ops.release = NULL;
	subscriber->listener.refusing = call->keyword[SOFT_NOTIFIER_REFUSING].given;
	subscriber->listener.always_young = call->keyword[SOFT_NOTIFIER_YOUNG].given;
	ret = soft_subscribe(call, subscriber, task, symbol->name, registering(call));
	if (ret)
		free(subscriber);
	else
		soft_object_set(symbol, subscriber);
	return ret;
}

int soft_run_unregister(struct soft_call *call)
{
	struct soft_subscriber *subscriber = soft_object(call, &call->arg[0]);
	bool registered;

	if (!subscriber)
		return SOFT_OUTCOME_FAILED;
	pthread_mutex_lock(&call->world->lock);
	registered = subscriber->registered;
	subscriber->registered = false;
	pthread_mutex_unlock(&call->world->lock);
	if (!registered)
		return soft_fail(call, "'%s' is not registered", call->arg[0].symbol->name);
	mmu_notifier_unregister(&subscriber->mn, subscriber->mm);
	if (call->arg[0].symbol->kind == SOFT_DEVICE)
		soft_device_unregistered(call->arg[0].symbol);
	return 0;
}

void soft_notifier_end(struct soft_symbol *symbol)
{
	struct soft_subscriber *subscriber = soft_object_peek(symbol);

	soft_subscriber_end(subscriber);
	free(subscriber);
}

/* Interval notifiers. */

struct interval {
	struct mmu_interval_notifier sub;
	struct soft_listener listener;
	/* What readers and ->invalidate agree upon. */
	pthread_mutex_t lock;
	unsigned long seq;
	bool begun, inserted;
};

static bool invalidate(struct mmu_interval_notifier *sub, const struct mmu_notifier_range *range,
		       unsigned long cur_seq)
{
	struct interval *interval = mmun_container_of(sub, struct interval, sub);
	int ret = soft_heard_start(&interval->listener, range);

	if (!ret) {
		/* It has no end callback. */
		pthread_mutex_lock(&interval->listener.world->lock);
		interval->listener.open--;
		pthread_mutex_unlock(&interval->listener.world->lock);
	}
	pthread_mutex_lock(&interval->lock);
	mmu_interval_set_seq(sub, cur_seq);
	pthread_mutex_unlock(&interval->lock);
	return !ret;
}

static const struct mmu_interval_notifier_ops interval_ops = { .invalidate = invalidate };

static int insert(struct interval *interval, struct mm_struct *mm, unsigned long start,
		  unsigned long length, bool locked)
{
	bool user = mmget_not_zero(mm);
	int ret;

	if (locked) {
		mmap_write_lock(mm);
		ret = mmu_interval_notifier_insert_locked(&interval->sub, mm, start, length,
							  &interval_ops);
		mmap_write_unlock(mm);
	} else {
		ret = mmu_interval_notifier_insert(&interval->sub, mm, start, length,
						   &interval_ops);
	}
	if (user)
		mmput(mm);
	return ret;
}

int soft_run_interval(struct soft_call *call)
{
	struct soft_symbol *symbol = call->arg[0].symbol;
	struct soft_task *task = soft_object(call, &call->arg[1]);
	unsigned long start, length;
	struct interval *interval;
	int ret;

	if (!task || !soft_value(call, &call->arg[2], &start) ||
	    !soft_value(call, &call->arg[3], &length))
		return SOFT_OUTCOME_FAILED;
	interval = soft_object_new(call, sizeof(*interval));
	if (!interval)
		return SOFT_OUTCOME_FAILED;
	interval->listener = (struct soft_listener){
		.world = call->world,
		.name = symbol->name,
		.task = task->name,
		.refusing = call->keyword[SOFT_INTERVAL_REFUSING].given,
	};
	pthread_mutex_init(&interval->lock, NULL);
	ret = insert(interval, soft_task_mm(task), start, length,
		     call->keyword[SOFT_INTERVAL_LOCKED].given);
	if (ret) {
		free(interval);
		return soft_outcome(ret);
	}
	interval->inserted = true;
	soft_object_set(symbol, interval);
	return 0;
}

static struct interval *interval_now(struct soft_call *call)
{
	struct interval *interval = soft_object(call, &call->arg[0]);
	bool inserted;

	if (!interval)
		return NULL;
	pthread_mutex_lock(&interval->lock);
	inserted = interval->inserted;
	pthread_mutex_unlock(&interval->lock);
	if (!inserted) {
		soft_fail(call, "'%s' has been removed", call->arg[0].symbol->name);
		return NULL;
	}
	return interval;
}

int soft_run_remove(struct soft_call *call)
{
	struct interval *interval = interval_now(call);
	bool inserted;

	if (!interval)
		return SOFT_OUTCOME_FAILED;
	pthread_mutex_lock(&interval->lock);
	inserted = interval->inserted;
	interval->inserted = false;
	pthread_mutex_unlock(&interval->lock);
	if (inserted)
		mmu_interval_notifier_remove(&interval->sub);
	return 0;
}

int soft_run_begin(struct soft_call *call)
{
	struct interval *interval = interval_now(call);
	unsigned long seq;

	if (!interval)
		return SOFT_OUTCOME_FAILED;
	seq = mmu_interval_read_begin(&interval->sub);
	pthread_mutex_lock(&interval->lock);
	interval->seq = seq;
	interval->begun = true;
	pthread_mutex_unlock(&interval->lock);
	return 0;
}

static struct interval *reader_now(struct soft_call *call, unsigned long *seq)
{
	struct interval *interval = interval_now(call);
	bool begun;

	if (!interval)
		return NULL;
	pthread_mutex_lock(&interval->lock);
	begun = interval->begun;
	*seq = interval->seq;
	pthread_mutex_unlock(&interval->lock);
	if (!begun)
		soft_fail(call, "no read of '%s' has begun", call->arg[0].symbol->name);
	return begun ? interval : NULL;
}

int soft_run_retry(struct soft_call *call)
{
	unsigned long seq;
	struct interval *interval = reader_now(call, &seq);
	bool retry;

	if (!interval)
		return SOFT_OUTCOME_FAILED;
	pthread_mutex_lock(&interval->lock);
	retry = mmu_interval_read_retry(&interval->sub, seq);
	pthread_mutex_unlock(&interval->lock);
	return retry ? SOFT_OUTCOME_RETRY : 0;
}

int soft_run_check(struct soft_call *call)
{
	unsigned long seq;
	struct interval *interval = reader_now(call, &seq);

	if (!interval)
		return SOFT_OUTCOME_FAILED;
	return mmu_interval_check_retry(&interval->sub, seq) ? SOFT_OUTCOME_RETRY : 0;
}

void soft_interval_end(struct soft_symbol *symbol)
{
	struct interval *interval = soft_object_peek(symbol);

	if (interval->inserted)
		mmu_interval_notifier_remove(&interval->sub);
	pthread_mutex_destroy(&interval->lock);
	free(interval);
}

struct soft_listener *soft_listener_of(const struct soft_symbol *symbol)
{
	void *object = soft_object_peek(symbol);

	if (symbol->kind == SOFT_INTERVAL)
		return &((struct interval *)object)->listener;
	return &((struct soft_subscriber *)object)->listener;
}
