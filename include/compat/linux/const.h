/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The interface's, and constants with a suffix. */
#ifndef MMUN_COMPAT_LINUX_CONST_H
#define MMUN_COMPAT_LINUX_CONST_H

#include_next <linux/const.h>

#define UL(x)  _UL(x)
#define ULL(x) _ULL(x)

#endif
