/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Descriptors that this object has open for a moment, and the children of other threads'
 * forks: as primary/self/process.c does for those of the library, whose counts are its own.
 * Tests: tests/system/trace_lost.py.
 */
#include <pthread.h>

#include <inherited.h>

#include "tracer.h"

/* Of the fork of this thread. */
static __thread unsigned long before;

static void prepare(void)
{
	before = mmun_inherited_before();
}

static void close_inherited(void)
{
	mmun_inherited_close(before);
}

void inherited_watch(void)
{
	pthread_atfork(prepare, NULL, close_inherited);
}
