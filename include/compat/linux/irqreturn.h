/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What an interrupt handler says; nothing calls one. */
#ifndef MMUN_COMPAT_LINUX_IRQRETURN_H
#define MMUN_COMPAT_LINUX_IRQRETURN_H

typedef enum {
	IRQ_NONE = 0,
	IRQ_HANDLED = 1,
	IRQ_WAKE_THREAD = 2,
} irqreturn_t;

#endif
