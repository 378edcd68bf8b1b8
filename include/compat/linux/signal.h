/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Is a signal pending?  Handlers and sets of signals are not there. */
#ifndef MMUN_COMPAT_LINUX_SIGNAL_H
#define MMUN_COMPAT_LINUX_SIGNAL_H

#include <linux/sched/signal.h>

#endif
