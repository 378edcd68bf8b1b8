/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Nothing is loaded; the name is there. */
#ifndef MMUN_COMPAT_LINUX_FIRMWARE_H
#define MMUN_COMPAT_LINUX_FIRMWARE_H

struct device;
struct firmware;

#endif
