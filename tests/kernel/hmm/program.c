/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Programs by number: how they begin, fork, and end with their last connection.
 *
 * I1  A program leaves the list when nothing is left of it: its address space has ended and
 *     its files are closed, in this order, as in the kernel.
 */
#include <errno.h>
#include <stdlib.h>

#include <mmunotify/compat.h>

#include "program.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gone = PTHREAD_COND_INITIALIZER;
static struct program *programs;
static long last_id;

/* With one connection. */
static struct program *new_program(struct mmun_soft_task *task, pid_t pid)
{
	struct program *program = calloc(1, sizeof(*program));

	if (!program)
		return NULL;
	program->pid = pid;
	program->connections = 1;
	program->task = task;
	program->mm = mmun_soft_task_mm(task);
	pthread_mutex_init(&program->files_lock, NULL);
	if (pages_start(program)) {
		pthread_mutex_destroy(&program->files_lock);
		free(program);
		return NULL;
	}
	return program;
}

static void publish(struct program *program)
{
	pthread_mutex_lock(&lock);
	program->id = ++last_id;
	program->next = programs;
	programs = program;
	pthread_mutex_unlock(&lock);
}

struct program *program_create(struct mmun_soft *soft, pid_t pid)
{
	struct mmun_soft_task *task;
	struct program *program;

	if (mmun_soft_task_create(soft, &task))
		return NULL;
	program = new_program(task, pid);
	if (program)
		publish(program);
	else
		mmun_soft_exit(task);
	return program;
}

struct program *program_fork(struct program *parent)
{
	struct mmun_soft_task *task;
	struct program *program;

	if (mmun_soft_fork(parent->task, &task))
		return NULL;
	program = new_program(task, 0);
	if (!program) {
		mmun_soft_exit(task);
		return NULL;
	}
	pthread_mutex_lock(&parent->files_lock);
	for (unsigned int i = 0; i < PROGRAM_FILES; i++) {
		if (parent->files[i])
			program->files[i] = mmun_soft_file_get(parent->files[i]);
	}
	pthread_mutex_unlock(&parent->files_lock);
	program->awaited = true;
	publish(program);
	return program;
}

static struct program *find(long id)
{
	struct program *program = programs;

	while (program && program->id != id)
		program = program->next;
	return program;
}

struct program *program_connect(long id)
{
	struct program *program;

	pthread_mutex_lock(&lock);
	program = find(id);
	if (program && program->awaited)
		program->awaited = false;
	else if (program && program->connections)
		program->connections++;
	else
		program = NULL;
	pthread_mutex_unlock(&lock);
	return program;
}

/* I1 */
static void end(struct program *program)
{
	struct program **link = &programs;

	mmun_soft_exit(program->task);
	for (unsigned int i = 0; i < PROGRAM_FILES; i++) {
		if (program->files[i])
			mmun_soft_file_put(program->files[i]);
	}
	pages_end(program);
	pthread_mutex_lock(&lock);
	while (*link != program)
		link = &(*link)->next;
	*link = program->next;
	pthread_cond_broadcast(&gone);
	pthread_mutex_unlock(&lock);
	pthread_mutex_destroy(&program->files_lock);
	free(program);
}

void program_disconnect(struct program *program)
{
	bool last;

	pthread_mutex_lock(&lock);
	last = !--program->connections;
	pthread_mutex_unlock(&lock);
	if (last)
		end(program);
}

void program_abandon(long id)
{
	struct program *program;

	pthread_mutex_lock(&lock);
	program = find(id);
	if (program && !program->awaited)
		program = NULL;
	else if (program)
		program->awaited = false;
	pthread_mutex_unlock(&lock);
	if (program)
		program_disconnect(program);
}

void program_set_pid(long id, pid_t pid)
{
	struct program *program;

	pthread_mutex_lock(&lock);
	program = find(id);
	if (program)
		__atomic_store_n(&program->pid, pid, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&lock);
}

static bool there(pid_t pid)
{
	for (const struct program *program = programs; program; program = program->next) {
		if (!pid || program->pid == pid)
			return true;
	}
	return false;
}

void program_wait_gone(pid_t pid)
{
	pthread_mutex_lock(&lock);
	while (there(pid))
		pthread_cond_wait(&gone, &lock);
	pthread_mutex_unlock(&lock);
}

/* Files. */

int program_add_file(struct program *program, struct file *file)
{
	int handle = 0;

	pthread_mutex_lock(&program->files_lock);
	while (handle < PROGRAM_FILES && program->files[handle])
		handle++;
	if (handle < PROGRAM_FILES)
		program->files[handle] = file;
	pthread_mutex_unlock(&program->files_lock);
	if (handle < PROGRAM_FILES)
		return handle;
	mmun_soft_file_put(file);
	return -EMFILE;
}

struct file *program_file(struct program *program, long handle)
{
	struct file *file = NULL;

	if (handle < 0 || handle >= PROGRAM_FILES)
		return NULL;
	pthread_mutex_lock(&program->files_lock);
	if (program->files[handle])
		file = mmun_soft_file_get(program->files[handle]);
	pthread_mutex_unlock(&program->files_lock);
	return file;
}

int program_close_file(struct program *program, long handle)
{
	struct file *file;

	if (handle < 0 || handle >= PROGRAM_FILES)
		return -EBADF;
	pthread_mutex_lock(&program->files_lock);
	file = program->files[handle];
	program->files[handle] = NULL;
	pthread_mutex_unlock(&program->files_lock);
	if (!file)
		return -EBADF;
	mmun_soft_file_put(file);
	return 0;
}
