/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Threads in an order that a seed decides.
 *
 * With -DMMUN_SCHED the locks of base/lock.h and the sleeps of base/futex.h ask here:
 * of all tasks one runs, and before it takes a lock, after it dropped one and instead of
 * sleeping the next one is chosen.  The same seed and the same tasks then give the same run.
 * A thread that is no task (the library's worker, the main thread) is not asked.
 */
#ifndef MMUN_TESTS_TORTURE_SCHEDULER_H
#define MMUN_TESTS_TORTURE_SCHEDULER_H

#include <stdint.h>

/** Runs @nr tasks until each has returned; a deadlock is printed and aborts.
 *  Return: a hash of everything that was chosen and logged. */
uint64_t scheduler_run(uint64_t seed, unsigned int nr, void (*task)(unsigned int id, void *arg),
		       void *arg);

/** Something that happened, for the hash. */
void scheduler_log(uint64_t what);

#endif
