/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a task may: memory that is locked for it, and the right to lock more.
 *
 * Tests: tests/contract/compat/memory.c.
 */
#include "runtime.h"

#include <linux/capability.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>

static unsigned long locked_bytes = ULONG_MAX;

void mmun_compat_limit_locked(unsigned long bytes)
{
	__atomic_store_n(&locked_bytes, bytes, __ATOMIC_SEQ_CST);
}

unsigned long rlimit(unsigned int limit)
{
	return limit == RLIMIT_MEMLOCK ? READ_ONCE(locked_bytes) : ULONG_MAX;
}

bool capable(int cap)
{
	return cap != CAP_IPC_LOCK || READ_ONCE(locked_bytes) == ULONG_MAX;
}

bool can_do_mlock(void)
{
	return rlimit(RLIMIT_MEMLOCK) || capable(CAP_IPC_LOCK);
}
