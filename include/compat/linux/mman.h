/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The constants of mmap(). */
#ifndef MMUN_COMPAT_LINUX_MMAN_H
#define MMUN_COMPAT_LINUX_MMAN_H

#include_next <linux/mman.h>

#include <linux/mm.h>

#endif
