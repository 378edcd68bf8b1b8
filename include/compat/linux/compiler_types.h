/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See linux/compiler.h. */
#ifndef MMUN_COMPAT_LINUX_COMPILER_TYPES_H
#define MMUN_COMPAT_LINUX_COMPILER_TYPES_H

#include <linux/compiler.h>

#endif
