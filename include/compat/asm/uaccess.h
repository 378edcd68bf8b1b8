/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See linux/uaccess.h. */
#ifndef MMUN_COMPAT_ASM_UACCESS_H
#define MMUN_COMPAT_ASM_UACCESS_H

#include <linux/uaccess.h>

#endif
