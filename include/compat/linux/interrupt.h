/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* There are no interrupts. */
#ifndef MMUN_COMPAT_LINUX_INTERRUPT_H
#define MMUN_COMPAT_LINUX_INTERRUPT_H

#include <linux/irqreturn.h>
#include <linux/preempt.h>

#endif
