/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* signal_pending() and its relatives are in linux/sched.h: mmun_compat_signal() of a
 * test sets what they see. */
#ifndef MMUN_COMPAT_LINUX_SCHED_SIGNAL_H
#define MMUN_COMPAT_LINUX_SCHED_SIGNAL_H

#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/sched/task.h>

/* RLIMIT_MEMLOCK is what mmun_compat_limit_locked() says; there is no other limit. */
unsigned long rlimit(unsigned int limit);

#endif
