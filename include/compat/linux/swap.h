/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See linux/mm.h. */
#ifndef MMUN_COMPAT_LINUX_SWAP_H
#define MMUN_COMPAT_LINUX_SWAP_H

#include <linux/mm.h>

#define mark_page_accessed(page) ((void)(page))

#endif
