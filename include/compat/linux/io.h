/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See asm/io.h. */
#ifndef MMUN_COMPAT_LINUX_IO_H
#define MMUN_COMPAT_LINUX_IO_H

#include <asm/io.h>

#endif
