/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One task at a time, the next one chosen by a seeded generator.
 *
 * I1  A task runs only while `running` is its number; everything here is under `lock`.
 * I2  A task that is blocked is not chosen until another one has passed a point: only that
 *     can have changed what it waits for.
 * I3  When all are blocked each gets one more chance, for not every change is a point; sleeps
 *     that would have ended by themselves are ended.  If still nobody passes a point, it
 *     is a deadlock.
 *
 * It does not see spinning; a run without end is stopped after MAX_POINTS.
 * Tests: tests/torture/deterministic.c.
 */
#include "scheduler.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lock.h"
#include "options.h"
#include "sched_point.h"

#define MAX_TASKS  16
#define MAX_POINTS 200000000ul

struct task {
	pthread_t thread;
	pthread_cond_t chosen;
	unsigned int id;
	bool done, blocked;
	/* Blocked again since everybody was given the last chance. */
	bool hopeless;
	const char *wants;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct task tasks[MAX_TASKS];
static unsigned int nr_tasks, running;
static struct rng rng;
static uint64_t hash;
static unsigned long points;
/* How many points a task passes in one go, on average: windows between two points are
 * found by a long absence in one of them, deadlocks by many short ones. */
static unsigned int burst;
static bool dead_lock;
static void (*body)(unsigned int id, void *arg);
static void *body_arg;
static __thread struct task *self;

static void mix(uint64_t value)
{
	hash = (hash ^ value) * 0x100000001b3ull;
	hash ^= hash >> 29;
}

void scheduler_log(uint64_t what)
{
	pthread_mutex_lock(&lock);
	mix(what);
	pthread_mutex_unlock(&lock);
}

static unsigned int count(bool (*wanted)(const struct task *task))
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < nr_tasks; i++)
		n += wanted(&tasks[i]);
	return n;
}

static bool can_run(const struct task *task)
{
	return !task->done && !task->blocked;
}

static bool has_hope(const struct task *task)
{
	return !task->done && !task->hopeless;
}

static bool not_done(const struct task *task)
{
	return !task->done;
}

static struct task *pick(bool (*wanted)(const struct task *task), unsigned int of)
{
	unsigned int nth = (unsigned int)(next_random(&rng) % of);
	struct task *task = tasks;

	while (!wanted(task) || nth--)
		task++;
	return task;
}

/* Each of the tasks says what it holds, from its own thread; the last one aborts. */
static struct task *say_and_pass_on(void)
{
	mmun_lock_report_held(self ? self->wants : "nothing");
	if (self)
		self->done = true;
	if (!count(not_done)) {
		fprintf(stderr, "deadlock: no task can go on (point %lu)\n", points);
		abort();
	}
	return pick(not_done, count(not_done));
}

static struct task *choose(void)
{
	unsigned int n = count(can_run);

	if (n)
		return pick(can_run, n);
	n = count(has_hope);
	if (n)
		return pick(has_hope, n);
	dead_lock = true;
	return say_and_pass_on();
}

/* Under ->lock. */
static void wait_for_turn(void)
{
	while (running != self->id)
		pthread_cond_wait(&self->chosen, &lock);
	if (dead_lock) {
		struct task *next = say_and_pass_on();

		running = next->id;
		pthread_cond_signal(&next->chosen);
		while (true)
			pthread_cond_wait(&self->chosen, &lock);
	}
}

static void switch_to_next(void)
{
	struct task *next;

	if (!count(not_done))
		return;
	next = choose();
	mix(next->id);
	running = next->id;
	if (next != self)
		pthread_cond_signal(&next->chosen);
	if (!self->done || dead_lock)
		wait_for_turn();
}

static void forget_blocks(void)
{
	for (unsigned int i = 0; i < nr_tasks; i++)
		tasks[i].blocked = tasks[i].hopeless = false;
}

void mmun_sched_point(const char *where, const void *what)
{
	if (!self)
		return;
	pthread_mutex_lock(&lock);
	if (++points > MAX_POINTS) {
		fprintf(stderr, "no end after %lu points\n", points);
		abort();
	}
	mix((uint64_t)(unsigned char)where[0] << 8 | self->id);
	forget_blocks();
	if (one_in(&rng, burst))
		switch_to_next();
	pthread_mutex_unlock(&lock);
}

bool mmun_sched_blocked(const char *where, const void *what)
{
	if (!self)
		return false;
	pthread_mutex_lock(&lock);
	self->wants = where;
	if (self->blocked && strcmp(where, "sleep for a time"))
		self->hopeless = true;
	self->blocked = true;
	switch_to_next();
	pthread_mutex_unlock(&lock);
	return true;
}

static void *run_task(void *arg)
{
	self = arg;
	pthread_mutex_lock(&lock);
	wait_for_turn();
	pthread_mutex_unlock(&lock);
	body(self->id, body_arg);
	pthread_mutex_lock(&lock);
	self->done = true;
	forget_blocks();
	switch_to_next();
	pthread_mutex_unlock(&lock);
	return NULL;
}

static void start(struct task *task, unsigned int id)
{
	*task = (struct task){ .id = id };
	pthread_cond_init(&task->chosen, NULL);
	if (pthread_create(&task->thread, NULL, run_task, task))
		bail_out("cannot create a thread");
}

uint64_t scheduler_run(uint64_t seed, unsigned int nr, void (*task)(unsigned int id, void *arg),
		       void *arg)
{
	rng = rng_of(seed, 5000);
	hash = seed;
	burst = 1u << seed % 4 * 3;
	points = 0;
	body = task;
	body_arg = arg;
	running = MAX_TASKS;
	nr_tasks = nr;
	for (unsigned int i = 0; i < nr; i++)
		start(&tasks[i], i);
	pthread_mutex_lock(&lock);
	running = choose()->id;
	pthread_cond_signal(&tasks[running].chosen);
	pthread_mutex_unlock(&lock);
	for (unsigned int i = 0; i < nr; i++) {
		pthread_join(tasks[i].thread, NULL);
		pthread_cond_destroy(&tasks[i].chosen);
	}
	return hash;
}
