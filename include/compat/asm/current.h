/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See linux/sched.h. */
#ifndef MMUN_COMPAT_ASM_CURRENT_H
#define MMUN_COMPAT_ASM_CURRENT_H

#include <linux/sched.h>

#endif
