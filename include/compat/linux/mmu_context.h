/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See linux/kthread.h. */
#ifndef MMUN_COMPAT_LINUX_MMU_CONTEXT_H
#define MMUN_COMPAT_LINUX_MMU_CONTEXT_H

#include <linux/kthread.h>

#endif
