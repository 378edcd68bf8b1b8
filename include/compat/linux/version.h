/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The kernel whose driver interfaces these headers follow: where Linux changed a type between 6.1 and
 * the newest, MMUN_COMPAT_LINUX says whose is meant (0x0601: 6.1). */
#ifndef MMUN_COMPAT_LINUX_VERSION_H
#define MMUN_COMPAT_LINUX_VERSION_H

#ifndef MMUN_COMPAT_LINUX
#define MMUN_COMPAT_LINUX 0x060c
#endif
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + (c))
#define LINUX_VERSION_CODE      KERNEL_VERSION(MMUN_COMPAT_LINUX >> 8, MMUN_COMPAT_LINUX & 0xff, 0)

#endif
