/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the adapter says to whoever runs the program: nothing when all is well. */
#ifndef MMUN_ADAPTERS_UCX_SAY_H
#define MMUN_ADAPTERS_UCX_SAY_H

#include <stdbool.h>

/**
 * ucx_say() - one sentence on stderr, after "mmunotify: ucx: ".
 *
 * Context: sleeps; allocates nothing.  Leaves errno alone.
 */
__attribute__((format(printf, 1, 2))) void ucx_say(const char *format, ...);

/**
 * ucx_say_once() - the same, but nothing is said by a second call in this process or in a
 * process that was forked from it.
 */
__attribute__((format(printf, 1, 2))) void ucx_say_once(const char *format, ...);

/**
 * ucx_is_off() - MMUNOTIFY_UCX=off: UCX is to work as without us.
 * ucx_is_silent() - MMUNOTIFY_UCX=silent: connected, but no event is handed on (tests).
 *
 * Read at the first call.  Context: as getenv().
 */
bool ucx_is_off(void);
bool ucx_is_silent(void);

#endif
