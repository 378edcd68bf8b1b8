/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See linux/mm.h; make_device_exclusive() is outside. */
#ifndef MMUN_COMPAT_LINUX_RMAP_H
#define MMUN_COMPAT_LINUX_RMAP_H

#include <linux/mm.h>
#include <linux/pagemap.h>

#endif
