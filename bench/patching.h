/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Patching and unpatching under busy threads, for subjects that can do both.
 *
 * Busy threads map, advise and unmap without pause while one thread patches
 * and unpatches.  A subject whose hooks can say so calls bench_patching_seen()
 * from its callback; then every unmapping that lay wholly between "the patch
 * returned" and "the patch goes" must have been seen by its own thread.
 */
#ifndef MMUN_BENCH_PATCHING_H
#define MMUN_BENCH_PATCHING_H

#include <stdbool.h>

/* Arguments: ROUNDS THREADS.  @in and @out return 0 or -errno. */
int bench_patching_setup(char **args, int (*in)(void), int (*out)(void));

/* Figures: rounds done, calls made, calls checked, calls missed. */
void bench_patching_batch(double *figures);

/* This thread's call has been seen. */
void bench_patching_seen(void);

#endif
