/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Not named sched.h: base/ is in the include path before libc. */
/*
 * Points where a test's scheduler may let another thread go on (-DMMUN_SCHED,
 * tests/torture/scheduler.c); nothing otherwise.
 */
#ifndef MMUN_BASE_SCHED_POINT_H
#define MMUN_BASE_SCHED_POINT_H

#ifdef MMUN_SCHED
#include <stdbool.h>

/* Before a lock is tried, and after it was dropped. */
void mmun_sched_point(const char *where, const void *what);
/* Nothing can be done until another task has done something: a lock that is taken, a
 * sleep.  False: this thread is not scheduled, wait as usual. */
bool mmun_sched_blocked(const char *where, const void *what);
#else
#define mmun_sched_point(where, what)   ((void)0)
#define mmun_sched_blocked(where, what) false
#endif

#endif
