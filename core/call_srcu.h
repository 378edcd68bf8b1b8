/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Functions that run after a grace period. */
#ifndef MMUN_CORE_CALL_SRCU_H
#define MMUN_CORE_CALL_SRCU_H

#include "srcu.h"

/*
 * call_srcu() - run @callback->func after a grace period, in the worker thread.
 * Context: any but async-signal; does not sleep and does not allocate once
 * mmun_srcu_worker_start() has succeeded in this process.
 * Lifetime: @ssp must stay until @callback has run.
 */
void call_srcu(struct srcu_struct *ssp, struct mmun_callback *callback,
	       void (*func)(struct mmun_callback *callback));

/*
 * srcu_barrier() - wait until every callback queued before, on any domain, has run.
 * Context: sleeps; not from a callback.
 */
void srcu_barrier(void);

/* Make sure that this process (not its parent) has a worker.  0 or -ENOMEM, -EAGAIN. */
int mmun_srcu_worker_start(void);

#endif
