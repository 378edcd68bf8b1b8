/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The system's: the C library's sched.h includes it by this name (glibc 2.41). */
#ifndef MMUN_COMPAT_LINUX_SCHED_TYPES_H
#define MMUN_COMPAT_LINUX_SCHED_TYPES_H

#include_next <linux/sched/types.h>

#endif
