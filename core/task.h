/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the core knows about the calling thread: which walks and which gate it
 * is inside, so that waiting for itself is refused instead of a dead-lock.
 *
 * Initial-exec thread-local storage, all zero at the start: no constructor, no
 * allocation, usable in signal handlers.  A handler may interrupt any store,
 * so each field changes by one store and handlers leave it as they found it.
 */
#ifndef MMUN_CORE_TASK_H
#define MMUN_CORE_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include "atomic.h"

struct mm_struct;

struct srcu_struct;

/* A walk over an mm's notifiers, on the walker's stack. */
struct mmun_walk {
	struct mm_struct *mm;
	struct mmun_walk *outer;
	/* A ->release, which is in no section. */
	bool releasing;
};

/* A wait for the readers of a domain, on the waiter's stack. */
struct mmun_wait {
	const struct srcu_struct *ssp;
	struct mmun_wait *outer;
};

/* How far this thread is inside a gate; the low bits of ->gate. */
enum mmun_gate_state {
	MMUN_GATE_OUT = 0,
	/* Between two stores: it may be counted in or not. */
	MMUN_GATE_MAYBE = 1,
	MMUN_GATE_IN = 2,
	MMUN_GATE_STATES = 3,
};

struct mmun_task {
	struct mmun_walk *walk;
	/* The mm of the outermost gate this thread is inside, plus the state. */
	uintptr_t gate;
	/* Its fork_word while ->gate is set: a forked child inherits both. */
	const unsigned int *gate_word;
	/* What mm_lock() holds. */
	struct mm_struct *mm_locked;
	/* Grace periods and release steps of exit. */
	struct mmun_wait *wait;
	/* It is the one that runs what call_srcu() was given. */
	bool runs_callbacks;
};

extern __thread struct mmun_task mmun_task
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

#define mmun_compiler_barrier() __asm__ volatile("" ::: "memory")

static inline void mmun_walk_push(struct mmun_walk *walk, struct mm_struct *mm)
{
	walk->mm = mm;
	walk->outer = mmun_task.walk;
	walk->releasing = false;
	mmun_compiler_barrier();
	mmun_task.walk = walk;
}

static inline void mmun_walk_pop(const struct mmun_walk *walk)
{
	mmun_task.walk = walk->outer;
}

static inline void mmun_wait_push(struct mmun_wait *wait, const struct srcu_struct *ssp)
{
	wait->ssp = ssp;
	wait->outer = mmun_task.wait;
	mmun_compiler_barrier();
	mmun_task.wait = wait;
}

static inline void mmun_wait_pop(const struct mmun_wait *wait)
{
	mmun_compiler_barrier();
	mmun_task.wait = wait->outer;
}

/* Did a signal handler interrupt this thread in a wait for @ssp? */
static inline bool mmun_task_waits_for(const struct srcu_struct *ssp)
{
	for (const struct mmun_wait *wait = mmun_task.wait; wait; wait = wait->outer) {
		if (wait->ssp == ssp)
			return true;
	}
	return false;
}

/* ->gate, 0 when it is what a fork inside the gate has left in the child. */
static inline uintptr_t mmun_task_gate(void)
{
	uintptr_t gate = mmun_load_relaxed(&mmun_task.gate);
	const unsigned int *word = mmun_load_relaxed(&mmun_task.gate_word);

	return mmun_unlikely(gate && word && !mmun_load_relaxed(word)) ? 0 : gate;
}

/* For an @mm that is not a forked copy: is this thread in its gate? */
static inline bool mmun_task_gate_is(const struct mm_struct *mm)
{
	return (mmun_load_relaxed(&mmun_task.gate) & ~(uintptr_t)MMUN_GATE_STATES) ==
	       (uintptr_t)mm;
}

static inline bool mmun_task_in_gate(const struct mm_struct *mm)
{
	return (mmun_task_gate() & ~(uintptr_t)MMUN_GATE_STATES) == (uintptr_t)mm;
}

/* Is this thread inside a callback, a walk or the gate of @mm? */
static inline bool mmun_task_inside(const struct mm_struct *mm)
{
	for (const struct mmun_walk *walk = mmun_task.walk; walk; walk = walk->outer) {
		if (walk->mm == mm)
			return true;
	}
	return mmun_task_in_gate(mm);
}

#endif
