/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Drivers are loaded by mmun_compat_load(), not by buses. */
#ifndef MMUN_COMPAT_LINUX_PLATFORM_DEVICE_H
#define MMUN_COMPAT_LINUX_PLATFORM_DEVICE_H

#include <linux/device.h>

#endif
