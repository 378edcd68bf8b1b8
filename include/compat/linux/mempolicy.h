/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See linux/numa.h; policies are outside. */
#ifndef MMUN_COMPAT_LINUX_MEMPOLICY_H
#define MMUN_COMPAT_LINUX_MEMPOLICY_H

#include <linux/numa.h>

#endif
