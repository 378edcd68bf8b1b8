/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A secondary MMU for the torture of software address spaces: it caches a
 * translation per page of one window and follows the retry protocol, nothing else.
 * Whether it is notified enough is for the machine's checker to say.
 */
#ifndef MMUN_TESTS_TORTURE_SOFT_DEVICE_H
#define MMUN_TESTS_TORTURE_SOFT_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include <mmunotify/soft.h>

#define WINDOW_PAGES 512u

struct device;

/** A device on @mm's window from @base.  NULL when it cannot register. */
struct device *device_create(struct mm_struct *mm, unsigned long base);

/** Unregisters it; the mm may be gone already. */
void device_destroy(struct device *device);

/**
 * The whole page @page, through the cached translation or a new one.
 * The mm is alive.  0; -EFAULT (the address does not permit it); -ENOMEM; -EAGAIN (sections keep
 * opening, or exit has begun).  A violation is counted by the machine.
 */
int device_read(struct device *device, unsigned int page, void *to);
int device_write(struct device *device, unsigned int page, const void *from);

/** Any thread: reads one page of some device that exists. */
void device_read_any(uint64_t random);

/** Ends that came without a start; the reverse is legal when unregister lands in a section (R3: a start
 * without its end). */
long device_unpaired(void);

#endif
