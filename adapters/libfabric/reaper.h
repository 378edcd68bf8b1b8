/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The thread that lets libfabric release registrations of memory that has changed.
 *
 * libfabric takes its lock when it is notified, and callbacks of the chain may take no lock
 * that a caller may hold.  Without a notification a registration of memory that is no longer
 * mapped would keep its pages until its cache is full.  So there is one thread, as in
 * libfabric's own userfaultfd monitor, but only from the first question on that is asked after
 * memory has changed that was registered: a program that keeps its buffers has none.  It blocks
 * all signals, sleeps while nothing happens to memory that was registered, and rests for
 * a while between two sweeps.
 *
 * Nothing depends on it but when memory is released, and how long the histories are that
 * answers are found in.
 */
#ifndef MMUN_ADAPTERS_LIBFABRIC_REAPER_H
#define MMUN_ADAPTERS_LIBFABRIC_REAPER_H

#include <stdbool.h>
#include <stdint.h>

#define LF_REST_MS 20

/** lf_reaper_wanted() - is it time for lf_reaper_start()?  One load.  Context: any. */
bool lf_reaper_wanted(void);

/**
 * lf_reaper_start() - begin to sweep, if that is wanted and not done already.
 * @sweep: called again and again
 *
 * Context: sleeps, allocates.
 */
void lf_reaper_start(void (*sweep)(void));

/** lf_reaper_watch() - [start, end) has been registered.  Context: any. */
void lf_reaper_watch(unsigned long start, unsigned long end);

/** lf_reaper_news() - edge @number may have changed what was registered.
 *  Context: callbacks of the chain. */
void lf_reaper_news(uint64_t number, unsigned long start, unsigned long end);

#endif
