/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The interface's: FALLOC_FL_*. */
#ifndef MMUN_COMPAT_LINUX_FALLOC_H
#define MMUN_COMPAT_LINUX_FALLOC_H

#include_next <linux/falloc.h>

#endif
