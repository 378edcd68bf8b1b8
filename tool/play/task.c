/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Names of a `mmunotify soft` run and what they stand for; the machine and its tasks.
 *
 * I1  The struct of every address space that a task had is held to the end of the
 *     run: a script that still asks after exit gets the library's answer.
 * I2  A task is in one command at a time; the library demands it.
 *
 * Tests: tests/system/soft_tool.py.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

void *soft_object_peek(const struct soft_symbol *symbol)
{
	return __atomic_load_n(&symbol->object, __ATOMIC_ACQUIRE);
}

void soft_object_set(struct soft_symbol *symbol, void *object)
{
	__atomic_store_n(&symbol->object, object, __ATOMIC_RELEASE);
}

void *soft_object(struct soft_call *call, const struct soft_arg *arg)
{
	void *object = soft_object_peek(arg->symbol);

	if (!object)
		soft_fail(call, "there is no %s '%s' now", soft_kind_name(arg->symbol->kind),
			  arg->symbol->name);
	return object;
}

void *soft_object_new(struct soft_call *call, size_t size)
{
	void *object = calloc(1, size);

	if (!object)
		soft_break(call, "out of memory");
	return object;
}

void soft_value_set(struct soft_world *world, struct soft_symbol *symbol, unsigned long value)
{
	pthread_mutex_lock(&world->lock);
	symbol->value = value;
	symbol->has_value = true;
	pthread_mutex_unlock(&world->lock);
}

static bool term_value(struct soft_call *call, const struct soft_term *term, unsigned long *value)
{
	bool known;

	*value = term->number;
	if (!term->symbol)
		return true;
	pthread_mutex_lock(&call->world->lock);
	*value = term->symbol->value;
	known = term->symbol->has_value;
	pthread_mutex_unlock(&call->world->lock);
	if (!known)
		soft_fail(call, "'%s' has no value yet", term->symbol->name);
	return known;
}

bool soft_value(struct soft_call *call, const struct soft_arg *arg, unsigned long *value)
{
	unsigned long term;

	*value = 0;
	for (unsigned int i = 0; i < arg->nr_terms; i++) {
		if (!term_value(call, &arg->term[i], &term))
			return false;
		*value += arg->term[i].minus ? -term : term;
	}
	return true;
}

bool soft_bytes(struct soft_call *call, const struct soft_arg *arg, struct soft_bytes *bytes)
{
	unsigned long value;

	if (arg->bytes) {
		*bytes = (struct soft_bytes){ .data = arg->bytes,
					      .length = arg->length,
					      .text = true };
		return true;
	}
	if (!soft_value(call, arg, &value))
		return false;
	bytes->text = false;
	bytes->number = value;
	bytes->data = (const char *)&bytes->number;
	bytes->length = sizeof(bytes->number);
	return true;
}

int soft_outcome(long ret)
{
	return ret < 0 ? (int)-ret : 0;
}

int soft_run_let(struct soft_call *call)
{
	unsigned long value;

	if (!soft_value(call, &call->arg[1], &value))
		return SOFT_OUTCOME_FAILED;
	soft_value_set(call->world, call->arg[0].symbol, value);
	return 0;
}

int soft_run_machine(struct soft_call *call)
{
	struct mmun_soft_params params = {
		.mm_lock = (enum mmun_soft_mm_lock)call->keyword[SOFT_MACHINE_MM_LOCK].number,
		.huge_always = call->keyword[SOFT_MACHINE_HUGE].given,
		.violation = soft_violation,
		.violation_arg = call->world,
	};
	unsigned long count;

	if (!soft_value(call, &call->keyword[SOFT_MACHINE_MEMORY], &params.memory) ||
	    !soft_value(call, &call->keyword[SOFT_MACHINE_SWAP], &params.swap) ||
	    !soft_value(call, &call->keyword[SOFT_MACHINE_MAP_COUNT], &count) ||
	    !soft_value(call, &call->keyword[SOFT_MACHINE_ADDRESS_SPACE], &params.address_space))
		return SOFT_OUTCOME_FAILED;
	if (count > UINT_MAX)
		return EINVAL;
	params.max_map_count = (unsigned int)count;
	return soft_outcome(mmun_soft_create(&params, &call->world->soft));
}

/* Takes @of over. */
static int new_task(struct soft_call *call, struct soft_symbol *symbol, struct mmun_soft_task *of)
{
	struct soft_task *task = soft_object_new(call, sizeof(*task));

	if (!task) {
		mmun_soft_exit(of);
		return SOFT_OUTCOME_FAILED;
	}
	task->task = of;
	task->mm = mmun_soft_task_mm(of);
	task->name = symbol->name;
	mmgrab(task->mm);
	soft_object_set(symbol, task);
	return 0;
}

struct soft_task *soft_task_enter(struct soft_call *call, const struct soft_arg *arg)
{
	struct soft_task *task = soft_object(call, arg);
	struct soft_thread *user;

	if (!task)
		return NULL;
	pthread_mutex_lock(&call->world->lock);
	user = task->user;
	if (!user && task->task)
		task->user = call->thread;
	pthread_mutex_unlock(&call->world->lock);
	if (user)
		soft_fail(call, "task '%s' is in another command now (a clone would not be)",
			  task->name);
	else if (!task->task)
		soft_fail(call, "task '%s' has exited", task->name);
	return user || !task->task ? NULL : task;
}

struct mm_struct *soft_task_mm(struct soft_task *task)
{
	return __atomic_load_n(&task->mm, __ATOMIC_ACQUIRE);
}

void soft_task_leave(struct soft_call *call, struct soft_task *task)
{
	pthread_mutex_lock(&call->world->lock);
	task->user = NULL;
	pthread_mutex_unlock(&call->world->lock);
}

int soft_run_task(struct soft_call *call)
{
	struct mmun_soft_task *task;
	int ret = mmun_soft_task_create(call->world->soft, &task);

	return ret ? soft_outcome(ret) : new_task(call, call->arg[0].symbol, task);
}

static int copy_task(struct soft_call *call,
		     int (*copy)(struct mmun_soft_task *task, struct mmun_soft_task **out))
{
	struct soft_task *task = soft_task_enter(call, &call->arg[0]);
	struct mmun_soft_task *out;
	int ret;

	if (!task)
		return SOFT_OUTCOME_FAILED;
	ret = copy(task->task, &out);
	soft_task_leave(call, task);
	return ret ? soft_outcome(ret) : new_task(call, call->arg[1].symbol, out);
}

int soft_run_clone(struct soft_call *call)
{
	return copy_task(call, mmun_soft_clone);
}

int soft_run_fork(struct soft_call *call)
{
	return copy_task(call, mmun_soft_fork);
}

int soft_run_exec(struct soft_call *call)
{
	struct soft_left *left = soft_object_new(call, sizeof(*left));
	struct soft_task *task = left ? soft_task_enter(call, &call->arg[0]) : NULL;
	struct mm_struct *mm;
	int ret;

	if (!task) {
		free(left);
		return SOFT_OUTCOME_FAILED;
	}
	ret = mmun_soft_exec(task->task);
	if (ret) {
		free(left);
	} else {
		*left = (struct soft_left){ .next = task->left, .mm = task->mm };
		task->left = left;
		mm = mmun_soft_task_mm(task->task);
		mmgrab(mm);
		__atomic_store_n(&task->mm, mm, __ATOMIC_RELEASE);
	}
	soft_task_leave(call, task);
	return soft_outcome(ret);
}

int soft_run_exit(struct soft_call *call)
{
	struct soft_task *task = soft_task_enter(call, &call->arg[0]);
	struct mmun_soft_task *leaving;

	if (!task)
		return SOFT_OUTCOME_FAILED;
	pthread_mutex_lock(&call->world->lock);
	leaving = task->task;
	task->task = NULL;
	task->user = NULL;
	pthread_mutex_unlock(&call->world->lock);
	mmun_soft_exit(leaving);
	return 0;
}

void soft_task_end(struct soft_symbol *symbol)
{
	struct soft_task *task = soft_object_peek(symbol);
	struct soft_left *left;

	if (task->task)
		mmun_soft_exit(task->task);
	while ((left = task->left)) {
		task->left = left->next;
		mmdrop(left->mm);
		free(left);
	}
	mmdrop(task->mm);
	free(task);
}
