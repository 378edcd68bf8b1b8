/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Hints. */
#ifndef MMUN_COMPAT_LINUX_PREFETCH_H
#define MMUN_COMPAT_LINUX_PREFETCH_H

#define prefetch(p)  __builtin_prefetch(p)
#define prefetchw(p) __builtin_prefetch(p, 1)

#endif
