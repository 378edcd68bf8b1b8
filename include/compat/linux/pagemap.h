/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See linux/mm.h and linux/highmem.h. */
#ifndef MMUN_COMPAT_LINUX_PAGEMAP_H
#define MMUN_COMPAT_LINUX_PAGEMAP_H

#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/uaccess.h>

#endif
