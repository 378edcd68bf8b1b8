/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Running a script of `mmunotify soft`: commands one after the other, blocks in
 * threads of their own, and the judgement of how each ends.
 *
 * I1  A command that ends otherwise than it was expected to, a violation that no
 *     command expected, and a thread that never ends each make the run fail.
 * I2  After a failure no command is begun, and a thread that waits in a callback or for
 *     one goes on: every thread comes to its end and everything is taken down.
 * I3  "Settled" is a state, not a time: every thread of the script has ended or
 *     sleeps in the kernel, seen several times in a row.  One that waits for the
 *     reader of the output does not count as asleep, nor as stuck.
 *
 * Tests: tests/system/soft_tool.py.
 */
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "status.h"
#include "world.h"

_Thread_local struct soft_thread *soft_current;

void soft_changed(struct soft_world *world)
{
	world->progress++;
	pthread_cond_broadcast(&world->changed);
}

void soft_wait(struct soft_world *world)
{
	pthread_cond_wait(&world->changed, &world->lock);
}

static void set_stop(struct soft_world *world)
{
	pthread_mutex_lock(&world->lock);
	world->stop = true;
	soft_changed(world);
	pthread_mutex_unlock(&world->lock);
}

int soft_fail(struct soft_call *call, const char *format, ...)
{
	const struct soft_statement *statement = call->statement;
	char reason[512];
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	if (call->world->options->json)
		soft_say(call->world, SOFT_SAY_ANSWER, "failure",
			 SOFT_FIELDS(SOFT_TEXT("reason", reason)), "%s", reason);
	pthread_mutex_lock(&call->world->print);
	soft_complain(call->world->script, statement->line, statement->column, "failed", "%s",
		      reason);
	pthread_mutex_unlock(&call->world->print);
	set_stop(call->world);
	return SOFT_OUTCOME_FAILED;
}

int soft_break(struct soft_call *call, const char *what)
{
	call->world->broken = true;
	return soft_fail(call, "%s", what);
}

static int judge(struct soft_call *call, int outcome)
{
	const struct soft_statement *statement = call->statement;

	if (outcome == SOFT_OUTCOME_FAILED)
		return outcome;
	if (statement->expects && outcome == statement->expected) {
		soft_say(call->world, SOFT_SAY_EVENT, "outcome",
			 SOFT_FIELDS(SOFT_TEXT("outcome", soft_outcome_name(outcome))),
			 "%s, as expected", soft_outcome_name(outcome));
		return 0;
	}
	if (statement->expects)
		return soft_fail(call, "%s was expected, but the command %s%s",
				 soft_outcome_name(statement->expected),
				 outcome ? "ended with " : "succeeded",
				 outcome ? soft_outcome_name(outcome) : "");
	if (outcome)
		return soft_fail(call, "the command ended with %s, which was not expected",
				 soft_outcome_name(outcome));
	return 0;
}

static bool begin(struct soft_thread *thread, const struct soft_statement *statement)
{
	struct soft_world *world = thread->world;
	bool stop;

	pthread_mutex_lock(&world->lock);
	stop = world->stop;
	if (!stop)
		thread->statement = statement;
	soft_changed(world);
	pthread_mutex_unlock(&world->lock);
	return !stop;
}

static void finish(struct soft_thread *thread)
{
	pthread_mutex_lock(&thread->world->lock);
	thread->statement = NULL;
	soft_changed(thread->world);
	pthread_mutex_unlock(&thread->world->lock);
}

static void maps_after(struct soft_world *world)
{
	struct soft_symbol *symbol;
	struct soft_task *task;

	for (symbol = world->script->symbols; symbol; symbol = symbol->next) {
		task = symbol->kind == SOFT_TASK ? soft_object_peek(symbol) : NULL;
		if (task && task->task)
			soft_maps_of(world, task, SOFT_SAY_ANSWER);
	}
}

static int make_machine(struct soft_call *call)
{
	struct mmun_soft_params params = {
		.violation = soft_violation,
		.violation_arg = call->world,
	};

	if (call->world->soft || call->statement->syntax->run == soft_run_machine)
		return 0;
	return mmun_soft_create(&params, &call->world->soft)
		       ? soft_break(call, "the machine cannot be made: out of memory")
		       : 0;
}

static int run_statement(struct soft_thread *thread, const struct soft_statement *statement)
{
	struct soft_call call = {
		.world = thread->world,
		.thread = thread,
		.statement = statement,
		.arg = statement->arg,
		.keyword = statement->keyword,
	};
	int ret;

	thread->violation = 0;
	soft_say_command(thread->world, statement);
	ret = make_machine(&call);
	if (ret)
		return ret;
	ret = judge(&call, statement->syntax->run(&call));
	if (!ret && thread->violation && !statement->expects)
		ret = soft_fail(&call, "the checker caught a secondary MMU: %s",
				mmun_soft_violation_name(thread->violation));
	if (!ret && thread->world->options->maps_after_each && !thread->name)
		maps_after(thread->world);
	return ret;
}

static void run_block(struct soft_thread *thread)
{
	const struct soft_statement *statement;
	int ret;

	for (statement = thread->block->first; statement; statement = statement->next) {
		if (!begin(thread, statement))
			return;
		ret = run_statement(thread, statement);
		finish(thread);
		if (ret)
			return;
	}
}

static void *thread_main(void *arg)
{
	struct soft_thread *thread = arg;

	soft_current = thread;
	run_block(thread);
	pthread_mutex_lock(&thread->world->lock);
	thread->ended = true;
	soft_changed(thread->world);
	pthread_mutex_unlock(&thread->world->lock);
	return NULL;
}

static struct soft_thread *start_thread(struct soft_call *call, const char *name,
					const struct soft_block *block)
{
	struct soft_thread *thread = calloc(1, sizeof(*thread));
	struct soft_world *world = call->world;

	if (!thread)
		goto failed;
	thread->world = world;
	thread->name = name;
	thread->block = block;
	if (pthread_create(&thread->pthread, NULL, thread_main, thread))
		goto free_thread;
	pthread_mutex_lock(&world->lock);
	thread->next = world->threads;
	world->threads = thread;
	pthread_mutex_unlock(&world->lock);
	return thread;

free_thread:
	free(thread);
failed:
	soft_break(call, "a thread cannot be started");
	return NULL;
}

/* Return: whether it has ended; not when the run is being given up. */
static bool join_thread(struct soft_world *world, struct soft_thread *thread)
{
	bool ended;

	pthread_mutex_lock(&world->lock);
	while (!thread->ended && !world->stop)
		soft_wait(world);
	ended = thread->ended;
	pthread_mutex_unlock(&world->lock);
	return ended;
}

/* The letter after the command's name in parentheses. */
static bool sleeps(pid_t tid)
{
	char path[64], line[256];
	const char *state = NULL;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	file = fopen(path, "re");
	/* It has just ended: look again. */
	if (!file)
		return false;
	if (fgets(line, sizeof(line), file))
		state = strrchr(line, ')');
	fclose(file);
	return state && state[1] == ' ' && state[2] == 'S';
}

/* Then somebody may sleep because the reader of the output takes his time. */
static bool is_printing(struct soft_world *world)
{
	if (pthread_mutex_trylock(&world->print))
		return true;
	pthread_mutex_unlock(&world->print);
	return false;
}

/* The library's own threads count: one that runs may be about to wake another. */
static bool all_sleep(struct soft_world *world)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;
	bool all = tasks && !is_printing(world);

	while (all && (entry = readdir(tasks)))
		all = entry->d_name[0] == '.' || atoi(entry->d_name) == gettid() ||
		      sleeps(atoi(entry->d_name));
	if (tasks)
		closedir(tasks);
	return all;
}

/* I3 */
void soft_settle(struct soft_world *world)
{
	const struct timespec pause = { .tv_nsec = 5000000 };

	for (int times = 0; times < 5; times++) {
		if (!all_sleep(world))
			times = -1;
		nanosleep(&pause, NULL);
	}
}

int soft_run_start(struct soft_call *call)
{
	struct soft_symbol *symbol = call->arg[0].symbol;
	struct soft_thread *thread = start_thread(call, symbol->name, call->arg[1].block);

	if (!thread)
		return SOFT_OUTCOME_FAILED;
	soft_object_set(symbol, thread);
	soft_settle(call->world);
	return 0;
}

int soft_run_join(struct soft_call *call)
{
	struct soft_thread *thread = soft_object(call, &call->arg[0]);

	if (!thread)
		return SOFT_OUTCOME_FAILED;
	if (thread == call->thread)
		return soft_fail(call, "a thread cannot join itself");
	return join_thread(call->world, thread) ? 0 : SOFT_OUTCOME_FAILED;
}

int soft_run_parallel(struct soft_call *call)
{
	static const char *const names[SOFT_MAX_ARGS] = { "1", "2", "3", "4", "5" };
	struct soft_thread *threads[SOFT_MAX_ARGS] = { NULL };
	int ret = 0;

	for (int i = 0; i < SOFT_MAX_ARGS && call->arg[i].block && !ret; i++) {
		threads[i] = start_thread(call, names[i], call->arg[i].block);
		ret = threads[i] ? 0 : SOFT_OUTCOME_FAILED;
	}
	for (int i = 0; i < SOFT_MAX_ARGS && threads[i]; i++)
		if (!join_thread(call->world, threads[i]))
			ret = SOFT_OUTCOME_FAILED;
	return ret;
}

int soft_run_settle(struct soft_call *call)
{
	soft_settle(call->world);
	return 0;
}

int soft_run_expect_waiting(struct soft_call *call)
{
	struct soft_thread *thread = soft_object(call, &call->arg[0]);
	bool ended;

	if (!thread)
		return SOFT_OUTCOME_FAILED;
	soft_settle(call->world);
	pthread_mutex_lock(&call->world->lock);
	ended = thread->ended;
	pthread_mutex_unlock(&call->world->lock);
	return ended ? soft_fail(call, "'%s' was expected to wait, but has ended", thread->name)
		     : 0;
}

static void complain_stuck(struct soft_world *world)
{
	const struct soft_thread *thread;

	for (thread = world->threads; thread; thread = thread->next)
		if (!thread->ended && thread->statement)
			soft_complain(world->script, thread->statement->line,
				      thread->statement->column, "failed",
				      "%s%s waits here and nothing will wake it",
				      thread->name ? "thread " : "the script",
				      thread->name ? thread->name : "");
}

/* Nothing but the process can end threads that wait for each other. */
static void give_up(struct soft_world *world)
{
	complain_stuck(world);
	fflush(stdout);
	_exit(SOFT_EXIT_FAILED);
}

static void *watch(void *arg)
{
	struct soft_world *world = arg;
	unsigned long progress = 0;
	struct timespec until;

	pthread_mutex_lock(&world->lock);
	while (!world->is_over) {
		progress = world->progress;
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += world->options->timeout;
		while (!world->is_over && world->progress == progress)
			if (pthread_cond_timedwait(&world->over, &world->lock, &until))
				break;
		if (!world->is_over && world->progress == progress && !is_printing(world))
			give_up(world);
	}
	pthread_mutex_unlock(&world->lock);
	return NULL;
}

/* The script is at its end: only its other threads can still wake each other. */
static bool join_rest(struct soft_world *world, struct soft_thread *self)
{
	struct soft_thread *thread;
	bool stuck = false;

	soft_settle(world);
	pthread_mutex_lock(&world->lock);
	for (thread = world->threads; thread; thread = thread->next)
		stuck |= thread != self && !thread->ended;
	if (stuck)
		complain_stuck(world);
	world->stop |= stuck;
	soft_changed(world);
	pthread_mutex_unlock(&world->lock);
	return !stuck;
}

static struct soft_thread *next_to_reap(struct soft_world *world)
{
	struct soft_thread *thread;

	pthread_mutex_lock(&world->lock);
	for (thread = world->threads; thread; thread = thread->next)
		if (thread->name && !thread->reaped)
			break;
	pthread_mutex_unlock(&world->lock);
	return thread;
}

/* While one runs it may still start others, and look at any: so all are joined before
 * the first is freed. */
static void reap_threads(struct soft_world *world)
{
	struct soft_thread *thread;

	while ((thread = next_to_reap(world))) {
		pthread_join(thread->pthread, NULL);
		thread->reaped = true;
	}
	while ((thread = world->threads)) {
		world->threads = thread->next;
		if (thread->name)
			free(thread);
	}
}

static bool has_stopped(struct soft_world *world)
{
	bool stop;

	pthread_mutex_lock(&world->lock);
	stop = world->stop;
	pthread_mutex_unlock(&world->lock);
	return stop;
}

static int start_world(struct soft_world *world)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&world->lock, NULL);
	pthread_mutex_init(&world->print, NULL);
	pthread_cond_init(&world->changed, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&world->over, &attr);
	pthread_condattr_destroy(&attr);
	return pthread_create(&world->watchdog, NULL, watch, world);
}

static void end_world(struct soft_world *world)
{
	pthread_mutex_lock(&world->lock);
	world->is_over = true;
	pthread_cond_signal(&world->over);
	pthread_mutex_unlock(&world->lock);
	pthread_join(world->watchdog, NULL);
	pthread_cond_destroy(&world->over);
	pthread_cond_destroy(&world->changed);
	pthread_mutex_destroy(&world->print);
	pthread_mutex_destroy(&world->lock);
}

int soft_run(struct soft_script *script, const struct soft_options *options)
{
	struct soft_world world = { .script = script, .options = options };
	struct soft_thread self = { .world = &world, .block = script->main };
	bool failed;

	if (start_world(&world))
		return SOFT_EXIT_ENVIRONMENT;
	self.pthread = pthread_self();
	world.threads = &self;
	soft_current = &self;
	run_block(&self);
	if (!has_stopped(&world))
		join_rest(&world, &self);
	reap_threads(&world);
	world.ending = true;
	failed = world.stop;
	/* After a failure as well: it is no reason to leave anything behind. */
	failed |= soft_teardown(&world) != 0;
	soft_current = NULL;
	end_world(&world);
	if (world.broken)
		return SOFT_EXIT_ENVIRONMENT;
	return failed ? SOFT_EXIT_FAILED : 0;
}
