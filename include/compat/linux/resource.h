/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* RLIMIT_* are libc's; rlimit() is in linux/sched/signal.h. */
#ifndef MMUN_COMPAT_LINUX_RESOURCE_H
#define MMUN_COMPAT_LINUX_RESOURCE_H

#include <sys/resource.h>

#endif
