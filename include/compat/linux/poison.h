/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the links of a removed entry point to. */
#ifndef MMUN_COMPAT_LINUX_POISON_H
#define MMUN_COMPAT_LINUX_POISON_H

#define LIST_POISON1 ((void *)0x100)
#define LIST_POISON2 ((void *)0x122)

#endif
