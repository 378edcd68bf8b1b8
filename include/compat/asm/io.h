/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* There are no registers to map. */
#ifndef MMUN_COMPAT_ASM_IO_H
#define MMUN_COMPAT_ASM_IO_H



#endif
