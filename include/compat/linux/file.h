/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See linux/fs.h; descriptors are outside. */
#ifndef MMUN_COMPAT_LINUX_FILE_H
#define MMUN_COMPAT_LINUX_FILE_H

#include <linux/fs.h>

#endif
