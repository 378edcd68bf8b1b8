/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sleep on a word and wake its sleepers; async-signal-safe, errno untouched. */
#ifndef MMUN_BASE_FUTEX_H
#define MMUN_BASE_FUTEX_H

#include <limits.h>
#include <linux/futex.h>

#include "raw_syscall.h"
#include "sched_point.h"

/* Sleeps while *word == value; may return early for any reason. */
static inline void mmun_futex_wait(const unsigned int *word, unsigned int value)
{
	if (mmun_sched_blocked("sleep", word))
		return;
	mmun_syscall4(SYS_futex, (unsigned long)word, FUTEX_WAIT_PRIVATE, value, 0);
}

/* The same for at most @nsec, below a second. */
static inline void mmun_futex_wait_for(const unsigned int *word, unsigned int value, long nsec)
{
	const struct {
		long sec, nsec;
	} time = { 0, nsec };

	if (mmun_sched_blocked("sleep for a time", word))
		return;
	mmun_syscall4(SYS_futex, (unsigned long)word, FUTEX_WAIT_PRIVATE, value,
		      (unsigned long)&time);
}

static inline void mmun_futex_wake(const unsigned int *word, int count)
{
	mmun_syscall3(SYS_futex, (unsigned long)word, FUTEX_WAKE_PRIVATE, (unsigned long)count);
	mmun_sched_point("wake", word);
}

static inline void mmun_futex_wake_all(const unsigned int *word)
{
	mmun_futex_wake(word, INT_MAX);
}

#endif
