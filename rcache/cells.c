/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Tests: tests/unit/rcache/cells.c. */
#include "cells.h"

#include <errno.h>
#include <linux/membarrier.h>

#include "memory.h"
#include "sigmask.h"

/* Threads that a new one looks at, whether they are gone. */
#define TRIES 4

/* Neither knows membarrier nor sees additions in assembly. */
#if defined(__SANITIZE_THREAD__)
#define ALWAYS_FENCED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ALWAYS_FENCED 1
#endif
#endif

static struct rc_thread nobody;

__thread struct rc_task mmun_rc_task = { .thread = &nobody };

static struct rc_process *the_process;

static void init_process(struct rc_process *process)
{
	mmun_lock_set_rank(&process->list_lock, MMUN_RANK_RCACHE_LIST);
	mmun_store_full(&process->pid, (unsigned int)mmun_syscall3(SYS_getpid, 0, 0, 0));
}

static struct rc_process *get_process(void)
{
	struct rc_process *process = mmun_load_acquire(&the_process), *none = NULL;

	if (process)
		return process;
	process = mmun_rc_map(mmun_rc_size(sizeof(*process)), 0);
	if (process)
		init_process(process);
	if (!process || mmun_cas_full(&the_process, &none, process))
		return process;
	mmun_free_pages(process, mmun_rc_size(sizeof(*process)));
	return none;
}

struct rc_process *mmun_rc_process(void)
{
	struct rc_process *process = get_process();

	/* In the child of a fork. */
	if (process && !mmun_load_relaxed(&process->pid))
		init_process(process);
	return process;
}

static bool is_gone(struct rc_process *process, unsigned int tid)
{
	return mmun_syscall3(SYS_tgkill, process->pid, tid, 0) == -ESRCH;
}

/* One whose thread is gone, or that an earlier thread of the same id has left. */
static struct rc_thread *take_over(struct rc_process *process, unsigned int tid)
{
	struct rc_thread *thread;

	for (thread = process->threads; thread; thread = thread->next) {
		if (mmun_load_relaxed(&thread->owner) == tid)
			return thread;
	}
	for (int i = 0; i < TRIES && process->threads; i++) {
		thread = process->hand ? process->hand : process->threads;
		process->hand = thread->next;
		if (is_gone(process, mmun_load_relaxed(&thread->owner)))
			return thread;
	}
	return NULL;
}

static void add_thread(struct rc_process *process, struct rc_thread *thread)
{
	thread->next = process->threads;
	mmun_store_full(&process->threads, thread);
}

/* With the lock held. */
static struct rc_thread *get_thread(struct rc_process *process)
{
	const unsigned int tid = (unsigned int)mmun_syscall3(SYS_gettid, 0, 0, 0);
	struct rc_thread *thread = mmun_rc_task.thread;

	if (mmun_load_relaxed(&thread->owner) == tid)
		return thread;
	/* A child of vfork() would leave what it gets here to its parent's thread, and end: then
	 * another thread would take that over. */
	if (mmun_syscall3(SYS_getpid, 0, 0, 0) != (long)process->pid)
		return NULL;
	if (thread != &nobody && !mmun_load_relaxed(&thread->owner)) {
		/* The one that forked, in the child: its own memory, and zero. */
		add_thread(process, thread);
	} else {
		thread = take_over(process, tid);
		if (!thread) {
			thread = mmun_rc_map(mmun_rc_size(sizeof(*thread)), 0);
			if (!thread)
				return NULL;
			add_thread(process, thread);
		}
	}
	mmun_store_relaxed(&thread->owner, tid);
	mmun_rc_task.thread = thread;
	return thread;
}

struct rc_cells *mmun_rc_cells(struct rc_process *process, unsigned int slot, size_t nr)
{
	struct rc_thread *thread = mmun_rc_task.thread;
	struct rc_cells *cells = NULL;
	mmun_sigmask saved;

	if (thread->cells[slot])
		return thread->cells[slot];
	mmun_signals_block(&saved);
	mmun_mutex_lock(&process->lock);
	thread = get_thread(process);
	if (thread) {
		cells = thread->cells[slot];
		if (!cells) {
			cells = mmun_rc_map(mmun_rc_cells_size(nr), 0);
			mmun_store_full(&thread->cells[slot], cells);
		}
	}
	mmun_mutex_unlock(&process->lock);
	mmun_signals_restore(&saved);
	return cells;
}

void mmun_rc_free_cells(struct rc_process *process, unsigned int slot, size_t nr)
{
	mmun_sigmask saved;

	mmun_signals_block(&saved);
	mmun_mutex_lock(&process->lock);
	for (struct rc_thread *thread = process->threads; thread; thread = thread->next) {
		mmun_free_pages(thread->cells[slot], mmun_rc_cells_size(nr));
		mmun_store_full(&thread->cells[slot], NULL);
	}
	mmun_mutex_unlock(&process->lock);
	mmun_signals_restore(&saved);
}

unsigned long mmun_rc_hits(struct rc_process *process, unsigned int slot, unsigned int *threads)
{
	unsigned long hits = 0;

	*threads = 0;
	for (struct rc_thread *thread = mmun_load_acquire(&process->threads); thread;
	     thread = thread->next) {
		const struct rc_cells *cells = mmun_load_acquire(&thread->cells[slot]);

		hits += cells ? mmun_load_relaxed(&cells->hits) : 0;
		*threads += cells != NULL;
	}
	return hits;
}

bool mmun_rc_barrier_works(void)
{
#ifdef ALWAYS_FENCED
	return false;
#else
	return !mmun_syscall3(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) &&
	       !mmun_syscall3(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
#endif
}

/*
 * Taking the rights from a page that is in use makes the kernel interrupt every processor
 * that runs a thread of the process, or do so before it runs one again.
 */
static void barrier_by_rights(char *page)
{
	const struct {
		long sec, nsec;
	} while_stores_drain = { 0, 1000000 };

	mmun_store_full(page, 1);
	mmun_syscall3(SYS_mprotect, (unsigned long)page, MMUN_RC_PAGE, PROT_NONE);
	mmun_syscall3(SYS_nanosleep, (unsigned long)&while_stores_drain, 0, 0);
	mmun_syscall3(SYS_mprotect, (unsigned long)page, MMUN_RC_PAGE, PROT_READ | PROT_WRITE);
}

void mmun_rc_barrier(char *page)
{
	if (mmun_syscall3(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0))
		barrier_by_rights(page);
}
