/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Deadlines: nanoseconds of the monotonic clock, 0 for none.  Async-signal-safe. */
#ifndef MMUN_BASE_CLOCK_H
#define MMUN_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "raw_syscall.h"

#define MMUN_NSEC_PER_MSEC 1000000ul
#define MMUN_NSEC_PER_SEC  1000000000ul

static inline uint64_t mmun_now(void)
{
	struct timespec now;

	mmun_syscall3(SYS_clock_gettime, CLOCK_MONOTONIC, (unsigned long)&now, 0);
	return (uint64_t)now.tv_sec * MMUN_NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

static inline bool mmun_is_past(uint64_t deadline)
{
	return deadline && mmun_now() >= deadline;
}

/* Until @deadline, at most @most nanoseconds. */
static inline long mmun_time_left(uint64_t deadline, long most)
{
	uint64_t now;

	if (!deadline)
		return most;
	now = mmun_now();
	if (now >= deadline)
		return 0;
	return deadline - now < (uint64_t)most ? (long)(deadline - now) : most;
}

/* Sleeps for less than a second, or until a signal comes. */
static inline void mmun_nap(unsigned long ns)
{
	const struct timespec time = { 0, (long)ns };

	mmun_syscall3(SYS_nanosleep, (unsigned long)&time, 0, 0);
}

#endif
