/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* There is no device memory: no page is of a device (linux/page-flags.h). */
#ifndef MMUN_COMPAT_LINUX_MEMREMAP_H
#define MMUN_COMPAT_LINUX_MEMREMAP_H

#include <linux/mm.h>

struct dev_pagemap;

#endif
