/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The notifier that writes the history.
 *
 * Events that pinned pages survive are left out, and ends of calls that changed nothing.
 */
#ifndef MMUN_ADAPTERS_LIBFABRIC_NOTIFIER_H
#define MMUN_ADAPTERS_LIBFABRIC_NOTIFIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * lf_notifier_start() - from now on the history is written.
 *
 * Again in a forked child that starts a cache of its own.  It stays registered as
 * long as the process lives: unregistering waits for sections of other threads, and whoever
 * stops a cache holds locks.
 * Context: sleeps, allocates.
 * Return: 0 or -errno.
 */
int lf_notifier_start(void);

/**
 * lf_notifier_probe() - can lf_notifier_start() work here?
 * @reason: one sentence, if not; @remedy: what to do; each of @size bytes
 */
bool lf_notifier_probe(char *reason, char *remedy, size_t size);

/** lf_generation() - which history, of this process and its ancestors, is written now. */
uint64_t lf_generation(void);

#endif
