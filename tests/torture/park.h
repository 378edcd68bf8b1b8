/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The end of a test's threads.
 *
 * Normally they end and are joined.  ThreadSanitizer forgets a thread before
 * libc gives its stack back, which is a memory call with callbacks: there the
 * threads stay parked until the process ends.
 */
#ifndef MMUN_TESTS_TORTURE_PARK_H
#define MMUN_TESTS_TORTURE_PARK_H

#include <pthread.h>
#include <unistd.h>

#include "../contract/sanitizer.h"

static unsigned int parked;

/* The last thing a thread does. */
static inline void *park_thread(void)
{
	__atomic_add_fetch(&parked, 1, __ATOMIC_SEQ_CST);
	while (THREAD_SANITIZED)
		pause();
	return NULL;
}

/* Waits until @total threads at least have been parked, for @thread among them. */
static inline void park_wait(pthread_t thread, unsigned int total)
{
	if (!THREAD_SANITIZED)
		pthread_join(thread, NULL);
	while (THREAD_SANITIZED && __atomic_load_n(&parked, __ATOMIC_SEQ_CST) < total)
		usleep(1000);
}

#endif
