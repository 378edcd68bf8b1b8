/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See linux/swap.h. */
#ifndef MMUN_COMPAT_LINUX_SWAPOPS_H
#define MMUN_COMPAT_LINUX_SWAPOPS_H

#include <linux/swap.h>

#endif
