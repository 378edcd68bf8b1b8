/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The interface's: FUTEX_*. */
#ifndef MMUN_COMPAT_LINUX_FUTEX_H
#define MMUN_COMPAT_LINUX_FUTEX_H

#include_next <linux/futex.h>

#endif
