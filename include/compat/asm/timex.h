/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See linux/timex.h. */
#ifndef MMUN_COMPAT_ASM_TIMEX_H
#define MMUN_COMPAT_ASM_TIMEX_H

#include <linux/timex.h>

#endif
