/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The memory monitor that a libfabric is given: what its caches ask, answered from the
 * history.
 *
 * M1  No callback of the chain takes a lock; the questions come under libfabric's own.
 * M2  A registration is subscribed after its pages were taken, by the thread that took them.
 *     They were taken after that thread's last question before (of a subscription that was
 *     refused: after the one before that, because a cache may lie on another cache, whose
 *     subscriptions come while the outer one's pages are being taken).  If the
 *     object is preloaded it sees ibv_reg_mr() and its like, and knows it exactly.
 *     What may have changed since is not kept.
 */
#ifndef MMUN_ADAPTERS_LIBFABRIC_MONITOR_H
#define MMUN_ADAPTERS_LIBFABRIC_MONITOR_H

#include <stdbool.h>
#include <stddef.h>

struct fid_mem_monitor;

/**
 * lf_monitor_create() - a monitor for one more libfabric.
 *
 * @silent: it finds everything valid (tests)
 *
 * Context: sleeps, allocates; one thread at a time.  Return: NULL if there are too many, or no memory.
 */
struct fid_mem_monitor *lf_monitor_create(bool silent);

/** lf_monitor_discard() - the one that was created last was not imported. */
void lf_monitor_discard(struct fid_mem_monitor *monitor);

/** lf_monitor_retire() - no cache starts on it from now on; false: one is running. */
bool lf_monitor_retire(struct fid_mem_monitor *monitor);

/** lf_pages_taken() - this thread is about to take the pages of a registration. */
void lf_pages_taken(const void *start, size_t length);

#endif
