/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A thread inside a section is not cancelled: the read section would stay open for ever.
 * To disable cancellation is not enough: a request that was made before arrives as a
 * signal, whose handler in some versions of glibc looks only whether the thread's
 * cancellation is asynchronous.  So it is deferred, and disabled for callbacks.
 */
#ifndef MMUN_SELF_CANCEL_H
#define MMUN_SELF_CANCEL_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/single_threaded.h>

#include "atomic.h"

/* What the thread's cancellation was. */
struct mmun_cancel {
	int type, state;
	/* Nobody else could cancel it: nothing was changed; else whether it was disabled. */
	bool alone, disabled;
};

/* Nobody else can cancel the only thread; and two locked instructions beside a system
 * call are most of what all this takes. */
static inline void mmun_cancel_defer(struct mmun_cancel *cancel)
{
	cancel->alone = __libc_single_threaded;
	cancel->disabled = false;
	if (!cancel->alone)
		pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &cancel->type);
}

static inline void mmun_cancel_disable(struct mmun_cancel *cancel)
{
	if (cancel->alone)
		return;
	cancel->disabled = true;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel->state);
}

/* A pending cancellation is acted on here, with nothing held. */
static inline void mmun_cancel_restore(const struct mmun_cancel *cancel)
{
	if (cancel->disabled)
		pthread_setcancelstate(cancel->state, NULL);
	if (!cancel->alone && mmun_unlikely(cancel->type != PTHREAD_CANCEL_DEFERRED))
		pthread_setcanceltype(cancel->type, NULL);
}

#endif
