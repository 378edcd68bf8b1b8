/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Numbers only; see linux/sched.h. */
#ifndef MMUN_COMPAT_LINUX_PID_H
#define MMUN_COMPAT_LINUX_PID_H

#include <linux/sched.h>

#endif
