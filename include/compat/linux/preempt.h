/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A thread that has disabled preemption must not sleep; that is all. */
#ifndef MMUN_COMPAT_LINUX_PREEMPT_H
#define MMUN_COMPAT_LINUX_PREEMPT_H

#include <linux/export.h>
#include <linux/compiler.h>
#include <stdbool.h>

void mmun_compat_atomic(int change);
bool mmun_compat_in_atomic(void);

#define preempt_disable() mmun_compat_atomic(1)
#define preempt_enable()  mmun_compat_atomic(-1)
#define in_atomic()       mmun_compat_in_atomic()
#define in_interrupt()    false
#define in_task()         true

#endif
