/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See linux/pgtable.h. */
#ifndef MMUN_COMPAT_ASM_PGTABLE_H
#define MMUN_COMPAT_ASM_PGTABLE_H

#include <linux/pgtable.h>

#endif
