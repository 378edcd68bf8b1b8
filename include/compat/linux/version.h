/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The newest kernel whose driver interfaces these headers follow. */
#ifndef MMUN_COMPAT_LINUX_VERSION_H
#define MMUN_COMPAT_LINUX_VERSION_H

#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + (c))
#define LINUX_VERSION_CODE      KERNEL_VERSION(6, 12, 0)

#endif
