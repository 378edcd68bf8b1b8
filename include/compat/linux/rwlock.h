/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See linux/spinlock.h. */
#ifndef MMUN_COMPAT_LINUX_RWLOCK_H
#define MMUN_COMPAT_LINUX_RWLOCK_H

#include <linux/spinlock.h>

#endif
