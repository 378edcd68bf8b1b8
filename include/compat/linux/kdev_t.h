/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Device numbers. */
#ifndef MMUN_COMPAT_LINUX_KDEV_T_H
#define MMUN_COMPAT_LINUX_KDEV_T_H

#include <linux/types.h>

#define MINORBITS           20
#define MINORMASK           ((1u << MINORBITS) - 1)
#define MAJOR(dev)          ((unsigned int)((dev) >> MINORBITS))
#define MINOR(dev)          ((unsigned int)((dev)&MINORMASK))
#define MKDEV(major, minor) ((dev_t)(major) << MINORBITS | (minor))

#endif
