/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef MMUN_TESTS_KERNEL_XEN_EVENT_CHANNEL_H
#define MMUN_TESTS_KERNEL_XEN_EVENT_CHANNEL_H

#include <linux/types.h>

typedef u32 evtchn_port_t;

#endif
