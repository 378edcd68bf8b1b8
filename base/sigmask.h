/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Keep signal handlers out of a short stretch of code.
 *
 * A handler may unmap memory or leave the process.  Where that would wait for
 * something that the interrupted code holds, the code runs with every signal
 * blocked but SIGSYS, libc's internal ones included (which libc's own
 * pthread_sigmask() would let through).
 */
#ifndef MMUN_BASE_SIGMASK_H
#define MMUN_BASE_SIGMASK_H

#include <signal.h>
#include <stdbool.h>

#include "raw_syscall.h"

/* The kernel's signal set, 64 signals. */
typedef unsigned long mmun_sigmask;

/* SIGSYS comes of what the thread itself does; blocked, it ends the process. */
#define MMUN_SIGMASK_SYS (1ul << (SIGSYS - 1))

static inline void mmun_signals_block(mmun_sigmask *saved)
{
	const mmun_sigmask all = ~MMUN_SIGMASK_SYS;

	mmun_syscall4(SYS_rt_sigprocmask, SIG_SETMASK, (unsigned long)&all, (unsigned long)saved,
		      sizeof(all));
}

static inline void mmun_signals_restore(const mmun_sigmask *saved)
{
	mmun_syscall4(SYS_rt_sigprocmask, SIG_SETMASK, (unsigned long)saved, 0, sizeof(*saved));
}

/* Is a signal waiting for this thread that @mask, when restored, lets through? */
static inline bool mmun_signals_pending(const mmun_sigmask *mask)
{
	mmun_sigmask pending = 0;

	mmun_syscall3(SYS_rt_sigpending, (unsigned long)&pending, sizeof(pending), 0);
	return pending & ~*mask;
}

#endif
